"""The report page in a browser, on a phone's width and a desk's, and the journal as a user meets it."""

import json
import shutil

import pytest
from browser import console, measure, run, screenshot
from command import HELLO, HELLO_F16, done, lathe
from planted import planted
from test_range import LOUD

WIDTHS = [360, 390, 1100]


@pytest.fixture(scope="module")
def sealed(hello_sealed, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "hello.lathe"
    shutil.copytree(hello_sealed, path)
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


def test_the_browser_would_say_what_is_wrong(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<body><script>nothing()</script><img src='http://example.invalid/x.png'>")
    found = console(run("--virtual-time-budget=2000", "--dump-dom", page.as_uri()).stderr)
    assert any("nothing is not defined" in line for line in found), found
    seen, _ = measure(page, 390)
    assert seen["scripts"] == 1 and seen["outside"] == ["http://example.invalid/x.png"]
    page.write_text("<body style='background: #fff'>")
    assert screenshot(page, tmp_path / "blank.png", 200, 100)[0]["drawn"] == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_page_of_a_proved_bundle(sealed, width):
    seen, said = measure(sealed / "verify/report.html", width)
    assert said == []
    assert seen["width"] <= width and seen["wide"] == [], seen["wide"]
    assert seen["scripts"] == 0 and seen["outside"] == [] and seen["links"] == 0
    assert seen["title"] == "hello.lathe – lathe report" and seen["h1"] == ["hello.lathe"]
    assert seen["verdict"][0].startswith("✓ Proved")
    assert seen["svgs"] >= 8
    assert seen["letters"] >= 7  # pixels of the smallest letters in a picture: readable on a phone
    assert {"Error, layer by layer", "Where it would run", "The contract", "Sizes"} <= set(seen["h2"])


def test_page_of_a_failure_says_so_first(partial):
    seen, said = measure(partial.parent / "page.html", 390)
    assert said == [] and seen["wide"] == [] and seen["scripts"] == 0
    assert seen["h1"] == ["hello & <b>.lathe"]
    assert seen["verdict"][0].startswith("✗ Not proved")
    assert any("--gates text" in text and "hello & <b>.lathe" in text for text in seen["absent"])
    assert (partial / "verify/report.html").read_bytes() == (partial.parent / "page.html").read_bytes()


@pytest.mark.parametrize("width, height", [(390, 844), (1100, 900)])
def test_the_picture_is_not_blank(sealed, tmp_path, width, height):
    seen, said = screenshot(sealed / "verify/report.html", tmp_path / "page.png", width, height)
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
    assert "against run 1:" in text and "layer golden" in text and " -> cos=" in text


def test_entries_have_the_form(runs):
    text = (runs / "verify/journal.md").read_text()
    entry = text.split("## ")[1]
    order = [entry.index(f"**{name}.**") for name in
             ("Intent", "Setup", "Result", "Surprise or hurdle", "Lesson", "Next", "Refs")]
    assert order == sorted(order)
    assert "_What should the next one know?_" in entry and "| graph | layers 00..03 | ok | cos=" in entry


@pytest.mark.parametrize("args, code, words", [
    ([], 2, "an argument is missing"), (["9"], 2, "runs 1 to 3"), (["1", "0"], 2, "runs 1 to 3"), (["x"], 2, "runs 1 to 3")])
def test_wrong_questions(runs, args, code, words):
    got = lathe("journal", *([runs] if args else []), *args)
    assert got.returncode == code and words in got.stderr and got.stdout == ""


def test_no_bundle_and_no_journal(tmp_path):
    got = lathe("journal", tmp_path)
    assert got.returncode == 3 and "not a bundle" in got.stderr
    done("convert", HELLO, "-o", tmp_path / "b.lathe")
    got = lathe("journal", tmp_path / "b.lathe")
    assert got.returncode == 2 and "lathe verify" in got.stderr


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
