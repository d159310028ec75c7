"""The report page in a browser, on a phone's width and a desk's, and the journal as a user meets it."""

import json
import os
import re
import shutil

import pytest
from browser import DARK, console, look, measure, run, screenshot
from command import HELLO, HELLO_F16, MODELS, ROOT, done, lathe
from planted import planted
from random_models import RandomModel
from test_range import LOUD

WIDTHS = [360, 390, 1280]
CONFIG = MODELS / "hello-config.json"
# One of each class, and one that the text gate alone notices.
MUTANTS = ["attn_factor_1", "rope_sine_negated", "norm_plus_1", "one_weight_negated", "stale_slot_across_turns",
           "template_changed"]  # fmt: skip
LEAST_CONTRAST = 4.5  # of letters of ordinary size, WCAG 2.2, 1.4.3
# In #mutants: the name of each planted error and what its cells say, from left to right.
MATRIX = """[...d.querySelectorAll("#mutants details tbody tr, #mutants .alarm tbody tr")].map(
    e => [e.querySelector("b").textContent, ...[...e.querySelectorAll("td")].slice(1).map(c => c.className + c.textContent)])"""


@pytest.fixture(scope="module")
def sealed(hello_sealed, tmp_path_factory):
    """All gates passed, a second source agrees, and some errors were planted."""
    path = tmp_path_factory.mktemp("report") / "hello.lathe"
    shutil.copytree(hello_sealed, path)
    done("verify", path, "--model", HELLO, "--config", CONFIG, "--resume")
    done("verify", path, "--model", HELLO, "--mutants", ",".join(MUTANTS))
    return path


@pytest.fixture(scope="module")
def partial(sealed, tmp_path_factory):
    """A run of one gate only, and of one that fails."""
    path = tmp_path_factory.mktemp("partial") / "hello & <b>.lathe"
    shutil.copytree(sealed, path)
    chain = json.loads((path / "chain.json").read_text())
    with open(path / chain["shards"][1]["files"][2]["path"], "r+b") as weights:
        weights.seek(-100, 2)
        weights.write(b"\0" * 100)
    got = lathe("verify", path, "--model", HELLO, "--gates", "structure,residency", "--report", path.parent / "page.html")
    assert got.returncode == 1
    return path


@pytest.fixture(scope="module")
def contradicted(sealed, tmp_path_factory):
    """The publisher's file says another thing of two fields."""
    path = tmp_path_factory.mktemp("contradicted") / "hello.lathe"
    shutil.copytree(sealed, path)
    config = path.parent / "other.json"
    config.write_text(json.dumps(json.loads(CONFIG.read_text()) | {"rope_theta": 500000.0, "num_hidden_layers": 5}))
    got = lathe("verify", path, "--model", HELLO, "--config", config, "--resume")
    assert got.returncode == 1
    return path / "verify/report.html"


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A model of thirty layers in three packages, and gates that fill plots and map. Errors of random layers add up as
    those of trained ones do not: some are beyond their bounds."""
    folder = tmp_path_factory.mktemp("deep")
    model = RandomModel("llama", d_model=32, d_ff=64, n_layers=30, head_dim=32, context=128).write(folder / "m.gguf")
    done("convert", model, "-o", folder / "deep.lathe", "--layers-per-shard", "10")
    assert lathe("verify", folder / "deep.lathe", "--model", model, "--gates", "graph,layer-golden,residency").returncode == 1
    return folder / "deep.lathe"


def test_the_browser_would_say_what_is_wrong(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<body><script>nothing()</script><img src='http://example.invalid/x.png'><p style='color: #999'>pale</p>"
                    "<svg role='img' aria-label='x'><desc></desc></svg>")
    found = console(run("--virtual-time-budget=2000", "--dump-dom", page.as_uri()).stderr)
    assert any("nothing is not defined" in line for line in found), found
    seen, _ = measure(page, 390)
    assert seen["scripts"] == 1 and seen["outside"] == ["http://example.invalid/x.png"]
    assert seen["contrast"] == [pytest.approx(2.85, abs=0.01), "pale"] and seen["silent"] == 1 and seen["lang"] == ""
    page.write_text("<body style='background: #fff'>")
    assert screenshot(page, tmp_path / "blank.png", 200, 100)[0]["drawn"] == 0


def assert_well_made(seen, said, width):
    """What holds of every page of ours."""
    assert said == []
    assert seen["width"] <= width and seen["wide"] == [], seen["wide"]
    assert seen["scripts"] == 0 and seen["outside"] == [] and seen["links"] == 0
    assert seen["lang"] == "en" and seen["title"].endswith(" – lathe report") and len(seen["h1"]) == 1
    levels = seen["levels"]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False)), levels
    assert seen["silent"] == 0
    assert seen["contrast"][0] >= LEAST_CONTRAST, seen["contrast"]


@pytest.mark.parametrize("width", WIDTHS)
def test_page_of_a_proved_bundle(sealed, width):
    seen, said = measure(sealed / "verify/report.html", width)
    assert_well_made(seen, said, width)
    assert seen["title"] == "hello.lathe – lathe report" and seen["h1"] == ["hello.lathe"]
    assert seen["verdict"][0].startswith("✓ Proved") and "What failed, and what to do" not in seen["h2"]
    assert all("--engine coreml" in text for text in seen["absent"]), seen["absent"]  # which needs a Mac
    assert seen["svgs"] >= 8
    assert seen["letters"] >= 8  # pixels of the smallest letters in a picture: readable on a phone
    for words in ("Error, layer by layer", "Where it would run", "The contract", "Would the gates notice an error", "Sizes"):
        assert any(title.startswith(words) for title in seen["h2"]), words


@pytest.mark.parametrize("which, width, flags", [("proved", 390, DARK), ("proved", 1280, ()), ("contradicted", 390, ())])
def test_all_that_is_folded_fits_too(sealed, contradicted, which, width, flags):
    page = sealed / "verify/report.html" if which == "proved" else contradicted
    assert_well_made(*measure(page, width, opened=True, flags=flags), width)


# ---- what the sections show, against the files that programs read

def test_contract_shows_every_field_and_its_second_source(sealed):
    report = json.loads((sealed / "verify/report.json").read_text())
    seen, _ = look(sealed / "verify/report.html", 1280, """{source: text("#contract .card"), rows: [...d.querySelectorAll(
        "#contract .fields tbody tr")].map(e => [...e.querySelectorAll("td")].map(c => c.textContent))}""", opened=True)
    (source,) = seen["source"]
    verdicts = {row["field"]: row for row in report["agreement"]["files given"]}
    alone = sum(row["verdict"] == "only the GGUF says" for row in verdicts.values())
    assert "files given" in source and f"0 fields contradict, 30 agree, {alone} only the model file states" in source
    assert len(seen["rows"]) == len(report["contract"]) == 30 + alone
    for field, (name, value, origin, second, _) in zip(report["contract"], seen["rows"], strict=True):
        assert name.startswith(field["field"]) and value.startswith(field["value"] or "none")
        assert origin == f"{field['kind']}: {field['from']}"
        told = verdicts[field["field"]]
        note = f"; {told['note']}" if told.get("note") else ""
        assert second == (f"✓ agrees {told['config_from']}{note}" if told["verdict"] == "agree" else "–")
    votes = {row[0].split()[0]: row[4] for row in seen["rows"]}
    assert votes["rope_dim"] == "✓ 3 of 3 predict worse" and "not told apart" in votes["norm_eps"] and votes["d_ff"] == "–"


def test_every_misreading_is_counted(sealed):
    """Those of how the model is used, too: in the main figures and in the documents."""
    rows = json.loads((sealed / "verify/report.json").read_text())["vote"]["rows"]
    assert any(row["field"] == "rope_factors" for row in rows)
    seen, _ = look(sealed / "verify/report.html", 1280, '{tiles: text(".tiles li")}')
    assert any(f"0 of {len(rows)}misreadings predict better" in tile for tile in seen["tiles"])
    assert f"({len(rows)} misreadings for the bundled model)" in (ROOT / "README.md").read_text()
    assert f"({len(rows)} for the bundled model)" in (ROOT / "docs/proof.md").read_text()


def test_matrix_shows_what_mutants_json_says(sealed):
    told = json.loads((sealed / "verify/mutants.json").read_text())
    seen, _ = look(sealed / "verify/report.html", 390, f"""{{matrix: {MATRIX}, says: text("#mutants > p"),
        alarms: text("#mutants .alarm"), classes: text("#mutants summary"), tiles: text(".tiles li"),
        gates: text("#mutants .matrix:not(details *) th span"), overview: [...d.querySelectorAll(
            "#mutants > .matrix tbody tr")].map(e => [...e.querySelectorAll("td")].slice(1).map(c => c.textContent))}}""")
    cells = {"failed": "hit●", "passed": "miss·", "not run": "miss"}
    assert sorted(seen["matrix"]) == sorted(
        [row["name"], *(cells[row["gates"][gate]] for gate in told["gates"])] for row in told["mutants"])
    assert {row[0] for row in seen["matrix"]} == set(MUTANTS) and seen["alarms"] == []
    assert any("6 of 6 planted errors were noticed" in says for says in seen["says"])
    assert any("6 of 6" in tile and "Planted errors" in tile for tile in seen["tiles"])
    assert seen["gates"] == told["gates"]
    assert len(seen["classes"]) == 6 and len(seen["overview"]) == 7  # a class each; and what one gate noticed alone
    for k, gate in enumerate(told["gates"]):
        n = sum(row["gates"][gate] == "failed" for row in told["mutants"])
        assert sum(int(row[k]) for row in seen["overview"][:-1] if row[k] != "·") == n, gate


def test_a_survivor_is_loud(sealed, tmp_path):
    shutil.copytree(sealed, tmp_path / "b.lathe")
    got = lathe("verify", tmp_path / "b.lathe", "--model", HELLO, "--gates", "contract,structure", "--mutants",
                "rope_sine_negated,template_changed,eos_of_the_base_model")
    assert got.returncode == 1
    seen, _ = look(tmp_path / "b.lathe/verify/report.html", 390,
                   f"""{{matrix: {MATRIX}, alarm: text("#mutants .alarm h3"), weak: text("main > ul.plain li")}}""")
    assert seen["alarm"] == ["✗ 1 survived: no gate that ran failed"]
    assert [row[0] for row in seen["matrix"]] == ["rope_sine_negated", "eos_of_the_base_model", "template_changed"]
    assert "1 of 3 planted errors survived: no gate notices such errors." in seen["weak"]


def test_plots_of_four_layers_are_those_of_the_report(sealed):
    """A point a layer and part, and a dashed line for each bound, in every plot."""
    report = json.loads((sealed / "verify/report.json").read_text())
    seen, _ = look(sealed / "verify/report.html", 390, """{plots: [...d.querySelectorAll("#layers svg")].map(e => ({
        name: e.getAttribute("aria-label"), points: [...e.querySelectorAll("title")].map(t => t.textContent),
        bounds: [...e.querySelectorAll("g text")].map(t => t.textContent)}))}""")
    assert [plot["name"].split(": ")[-1] for plot in seen["plots"]] == \
        ["1 - cos", "1 - cos", "rmse", "max_abs", "share of its size"]
    assert all(len(plot["points"]) == 12 for plot in seen["plots"])
    bounds = ["allowed: fp32", "allowed: fp16", "allowed: weights"]
    # Gate graph has no bound of a cosine: it judges what each branch adds.
    assert [plot["bounds"] for plot in seen["plots"]] == [bounds[1:], bounds[1:], [], [], bounds]
    for key, name in (("graph_fp32", "graph fp32"), ("graph", "graph fp16"), ("weights", "weights' form")):
        for layer, rmse in enumerate((report["graph_errors"] | report["golden_errors"])[key]["rmse"]):
            (point,) = [p for p in seen["plots"][2]["points"] if p.startswith(f"{name}, layer {layer}: ")]
            assert float(point.split(": ")[1]) == pytest.approx(rmse, rel=1e-2)  # three digits are written


def test_thirty_layers_are_readable_on_a_phone(deep, tmp_path):
    page = deep / "verify/report.html"
    seen, said = measure(page, 390, opened=True)
    assert_well_made(seen, said, 390)
    assert seen["letters"] >= 9
    seen, _ = look(page, 390, """{points: [...d.querySelectorAll("#layers svg")].map(e => e.querySelectorAll("title").length),
        gaps: [...d.querySelectorAll("#layers svg")].map(e => Math.min(...[...e.querySelectorAll("circle")].slice(1)
            .map(c => c.getBoundingClientRect().left).sort((a, b) => a - b).map((x, i, all) => i ? x - all[i - 1] : 99))),
        maps: [...d.querySelectorAll("#placement .plots svg")].map(e => e.getAttribute("aria-label")),
        runs: [...d.querySelectorAll("#placement .plots svg")].map(e => [...e.querySelectorAll("title")].map(t => t.textContent)),
        ops: [...d.querySelectorAll("#placement .plots svg")].map(e => Math.max(...[...e.querySelectorAll("rect")]
            .map(r => r.getBoundingClientRect().right)))}""")
    assert seen["points"] == [90] * 5 and min(seen["gaps"]) > 7  # points of neighbouring layers do not touch
    assert seen["maps"] == [f"{name}: kinds of op over layers" for name in ("decode", "prefill", "head")]
    assert max(seen["ops"]) <= 390
    assert all("matmul, layers 0 to 29: Neural Engine" in runs for runs in seen["runs"][:2])  # three packages, one map
    assert screenshot(page, tmp_path / "deep.png", 390, 844)[0]["drawn"] > 0.02


# ---- runs that prove nothing

def test_page_of_a_failure_says_so_first(partial):
    seen, said = measure(partial.parent / "page.html", 390)
    assert_well_made(seen, said, 390)
    assert seen["h1"] == ["hello & <b>.lathe"]
    assert seen["verdict"][0].startswith("✗ Not proved") and seen["h2"][0] == "What failed, and what to do"
    assert any("--gates text" in text and "hello & <b>.lathe" in text for text in seen["absent"])
    assert (partial / "verify/report.html").read_bytes() == (partial.parent / "page.html").read_bytes()


def test_contradictions_are_in_sight_on_a_phone(contradicted):
    seen, _ = look(contradicted, 390, """{top: [...d.querySelectorAll("#failures li")].map(
        e => [e.textContent, e.getBoundingClientRect().bottom]), section: text("#contract .alarm tbody tr"),
        help: text("#failures code"), first: text("#contract .fields tbody tr").slice(0, 2)}""")
    said = [text for text, _ in seen["top"]]
    assert len(said) == 2 and "n_layers is 4 in the model file" in said[0] and "5 by its second source" in said[0]
    assert "rope_base is 10000" in said[1] and "500000" in said[1] and "other.json: rope_theta 500000" in said[1]
    assert all(bottom < 844 for _, bottom in seen["top"])  # the height of the phone
    folder = contradicted.parents[2]  # relative paths where there is a folder in common
    source = HELLO if os.path.commonpath([folder, HELLO]) == "/" else os.path.relpath(HELLO, folder)
    assert seen["help"] == [f"lathe convert {source} -o hello.lathe --force"]
    assert len(seen["section"]) == 2
    assert [text.split()[0][:8] for text in seen["first"]] == ["n_layers", "rope_bas"]


def test_a_part_of_the_gates_is_no_proof(sealed, tmp_path):
    shutil.copytree(sealed, tmp_path / "b.lathe", ignore=shutil.ignore_patterns("verify", "seal.json"))
    done("verify", tmp_path / "b.lathe", "--model", HELLO, "--gates", "structure,residency")
    seen, said = measure(tmp_path / "b.lathe/verify/report.html", 1280)
    assert_well_made(seen, said, 1280)
    assert seen["verdict"][0].startswith("◐ Partly checked2 of 10 gates") and "What failed, and what to do" not in seen["h2"]
    assert any("--mutants all" in text for text in seen["absent"])


@pytest.mark.parametrize("which, width, height", [("proved", 390, 844), ("failed", 390, 844), ("proved", 1280, 900)])
def test_the_picture_is_not_blank(sealed, contradicted, tmp_path, which, width, height):
    page = sealed / "verify/report.html" if which == "proved" else contradicted
    seen, said = screenshot(page, tmp_path / "page.png", width, height)
    assert said == [] and (seen["width"], seen["height"]) == (width, height)
    # Letters and boxes from top to bottom, in more than a few colours.
    assert 0.02 < seen["drawn"] < 0.9 and all(seen["bands"]) and seen["colours"] > 50, seen


# ---- the journal

@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs: int8, the same again, fp16 in its place."""
    path = tmp_path_factory.mktemp("journal") / "hello.lathe"
    gates = ["--model", HELLO, "--gates", "contract,graph,layer-golden,residency"]
    done("convert", HELLO, "-o", path)
    done("verify", path, *gates, "--intent", "a first look | with a bar", "--next", "fp16")
    done("verify", path, *gates)
    done("convert", HELLO, "-o", path, "--weights", "fp16", "--force")
    done("verify", path, *gates, "--surprise", "fp16 errs less", "--refs", "https://example.org/x")
    return path


def test_the_journal_survives_a_conversion(runs):
    listed = json.loads(done("journal", runs, "--json").stdout)
    assert [entry["run"] for entry in listed] == [1, 2, 3]
    assert listed[0]["intent"] == "a first look | with a bar" and listed[0]["next"] == "fp16"
    assert listed[1]["intent"] == "" and "int8 weights" in listed[1]["setup"]
    assert listed[2]["surprise"] == "fp16 errs less" and "fp16 weights" in listed[2]["setup"]
    assert "changes" not in listed[0] and listed[1]["changes"] == []


def test_runs_are_compared(runs):
    change = {(c["after"]["gate"], c["after"]["scope"]): (c["before"]["text"], c["after"]["text"])
              for c in json.loads(done("journal", runs, "3", "--json").stdout)[0]["changes"]}
    rmse = [float(text.split("rmse=")[1].split()[0]) for text in change["layer golden", "layers 00..03"]]
    assert rmse[1] < rmse[0] / 3  # fp16 weights of a Q8_0 file lose next to nothing
    assert ("contract", "digest") not in change
    assert ("residency", "shard 00") not in change  # the same ops
    text = done("journal", runs, "1", "3").stdout
    assert "against run 1:" in text
    assert re.search(r"    layer golden, layers 00..03\n        was  cos=.*  ok\n        now  cos=.*  ok\n", text)


def test_runs_without_a_gate_in_common(runs, tmp_path):
    bundle = tmp_path / "b.lathe"
    shutil.copytree(runs, bundle)
    (bundle / "verify/report.json").unlink()  # else it carries on what the other gates gave
    done("verify", bundle, "--model", HELLO, "--gates", "structure")
    assert "nothing to compare: no gate ran in both" in done("journal", bundle, "3", "4").stdout
    record = json.loads((bundle / "verify/journal.jsonl").read_text().splitlines()[-1])
    assert {r["gate"] for r in record["results"]} == {"structure"} and record["run"]["asked"] == "structure"
    # As an older version wrote it: no line beside the entry.
    (bundle / "verify/journal.jsonl").unlink()
    text = done("journal", bundle, "1", "3").stdout
    assert "no figures to compare: an older version of lathe" in text and "fp16 errs less" in text


def test_entries_have_the_form(runs):
    text = (runs / "verify/journal.md").read_text()
    entry = text.split("## ")[1]
    order = [entry.index(f"**{name}.**") for name in
             ("Intent", "Setup", "Result", "Surprise or hurdle", "Lesson", "Next", "Refs")]
    assert order == sorted(order)
    assert "_What should the next one know?_" in entry and "| graph | layers 00..03 | ok | cos=" in entry


@pytest.mark.parametrize("args, code, words", [
    ([], 2, "missing BUNDLE"), (["9"], 2, "runs 1 to 3"), (["1", "0"], 2, "runs 1 to 3"), (["x"], 2, "runs 1 to 3")])
def test_wrong_questions(runs, args, code, words):
    got = lathe("journal", *([runs] if args else []), *args)
    assert got.returncode == code and words in got.stderr and got.stdout == ""


def test_no_bundle_and_no_journal(tmp_path):
    got = lathe("journal", tmp_path)
    assert got.returncode == 3 and "not a lathe bundle" in got.stderr
    done("convert", HELLO, "-o", tmp_path / "b.lathe")
    got = lathe("journal", tmp_path / "b.lathe")
    assert got.returncode == 5 and "lathe verify" in got.stderr


# ---- ranges: before and after conditioning

def test_range_shows_what_is_measured_and_what_is_carried(tmp_path):
    model = planted(HELLO_F16, tmp_path / "loud.gguf", **LOUD)
    done("convert", model, "-o", tmp_path / "loud.lathe", "--range", "auto", "--layers-per-shard", "2")
    done("verify", tmp_path / "loud.lathe", "--model", model, "--gates", "structure")
    report = json.loads((tmp_path / "loud.lathe/verify/report.json").read_text())
    chain = json.loads((tmp_path / "loud.lathe/chain.json").read_text())
    factors = [shard["residual_factor"] for shard in chain["shards"] for _ in range(*shard["layers"])]
    assert max(factors) > 1
    for layer, factor, measured in zip(report["conditioning"]["layers"], factors, chain["ranges"]["layers"], strict=True):
        stream, carried = layer["stream"]
        assert stream == pytest.approx(max(measured["attn_in_peak"], measured["ffn_in_peak"]))
        assert carried * factor == pytest.approx(stream) and carried <= 1024
        assert layer["ffn_sum"][0] == pytest.approx(measured["ffn_out_sum"])
        # Sums of the planted model are those of the plain one times its factor; carried, they fit.
        assert layer["ffn_sum"][1] < 32752 and layer["attn_sum"][1] < 32752
    assert max(layer["stream"][0] for layer in report["conditioning"]["layers"]) > 65504
    page, said = measure(tmp_path / "loud.lathe/verify/report.html", 390)
    assert said == [] and not any("--range auto" in text for text in page["absent"])
