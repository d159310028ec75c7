"""lathe settle: predictions on any system, and the whole of it over the double of Core ML. No figure here is a device's."""
import json
import os
import shutil
import signal
import subprocess
import time

import jsonschema
import pytest
from apple_build import link_lathe
from command import HELLO, ROOT, done, lathe

pytestmark = pytest.mark.linux("the double of Core ML, on GNUstep")
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/settle.schema.json").read_text()))


def result_of(folder):
    result = json.loads((folder / "settle.json").read_text())
    SCHEMA.validate(result)
    return result


def variant_of(result, question, name):
    found = [v for q in result["questions"] if q["id"] == question for v in q["variants"] if v["name"] == name]
    assert len(found) == 1, (question, name)
    return found[0]


def figure_of(result, question, variant, figure):
    return variant_of(result, question, variant)["figures"][figure]["median"]


def answer_of(result, question):
    return next(q["answer"] for q in result["questions"] if q["id"] == question)


def verdicts(result, question, variant):
    return {p["figure"]: p["verdict"] for p in variant_of(result, question, variant)["predictions"]}


def wait_for(happens, run):
    until = time.monotonic() + 120
    while not happens():
        assert run.poll() is None and time.monotonic() < until
        time.sleep(0.01)


# ---- without Core ML

def test_without_core_ml_it_says_so(tmp_path):
    run = lathe("settle", HELLO, "-o", tmp_path / "s")
    assert run.returncode == 4 and "Core ML is not on this system" in run.stderr and "--predict-only" in run.stderr
    assert not (tmp_path / "s").exists()


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("settle") / "p"
    return folder, done("settle", HELLO, "-o", folder, "--predict-only", "--only", "states,where,speed")


def test_predictions_are_written_and_nothing_is_measured(predicted):
    folder, run = predicted
    result = result_of(folder)
    assert result["predicted_only"] and not result["complete"] and result["wrong"] == []
    written = json.loads((folder / "predictions.json").read_text())["predictions"]
    assert result["predictions"] == {"right": 0, "wrong": 0, "open": len(written)}
    assert f"{len(written)} predictions in" in run.stdout and "nothing was measured" in run.stdout
    page = (folder / "settle.html").read_text()
    assert "Predicted, nothing measured" in page and page.endswith("</html>\n")
    assert sorted(p.name for p in folder.iterdir()) == ["logs", "predictions.json", "records", "settle.html", "settle.json"]


def test_computed_predictions_are_doctors_counts(predicted, tmp_path):
    done("convert", HELLO, "-o", tmp_path / "h.lathe")
    packages = json.loads(done("doctor", tmp_path / "h.lathe", "--json").stdout)["packages"]
    counts = [p["predicted"]["macos27"] for p in packages]
    rows = {p["figure"]: p for p in variant_of(result_of(predicted[0]), "where", "as_is")["predictions"]}
    for figure in ("conv_ane", "compute_ane"):
        assert rows[figure]["low"] == rows[figure]["high"] == sum(c[figure] for c in counts)


def test_predictions_stay_as_they_were_written(predicted):
    folder, _ = predicted
    before = (folder / "predictions.json").read_bytes()
    done("settle", HELLO, "-o", folder, "--predict-only", "--only", "states,where,speed")
    assert (folder / "predictions.json").read_bytes() == before


def test_a_folder_of_another_model_is_refused(predicted):
    run = lathe("settle", HELLO.with_name("hello-phi3-f16.gguf"), "-o", predicted[0], "--predict-only", "--only", "states")
    assert run.returncode == 2 and "another model" in run.stderr


@pytest.mark.parametrize("arguments, text", [
    (["--only", "states,speeed"], "--only speeed: expected some of these questions: states, compiles"),
    (["--tune", "a/b"], "--tune"),
    (["--tune", "a"], "and --predict-only makes none"),
])
def test_what_cannot_be_asked_is_refused(arguments, text, tmp_path):
    run = lathe("settle", HELLO, "-o", tmp_path / "s", "--predict-only", *arguments)
    assert run.returncode == 2 and text in run.stderr


def test_a_bundles_options_are_those_of_its_variants_but_for_what_they_say(tmp_path):
    done("convert", HELLO, "-o", tmp_path / "h.lathe", "--context", "128", "--weights", "fp16", "--prefill-rows", "32", "--range", "off")
    done("settle", tmp_path / "h.lathe", "--model", HELLO, "-o", tmp_path / "s", "--predict-only", "--only", "functions,weights", "--keep-bundles")
    result = result_of(tmp_path / "s")
    assert [v["name"] for q in result["questions"] for v in q["variants"] if v["unasked"]] in ([], ["one"])
    chains = {p.parent.stem: json.loads(p.read_text())["options"] for p in (tmp_path / "s/bundles").glob("*/chain.json")}
    assert {c["context"] for c in chains.values()} == {128}
    rows = {name: c["prefill_rows"] for name, c in chains.items()}
    assert rows["functions-decode"] == 0 and set(rows.values()) == {0, 32}


def test_the_folder_is_needed():
    assert "missing -o FOLDER" in lathe("settle", HELLO, "--predict-only").stderr


# ---- over the double

@pytest.fixture(scope="module")
def mac(tmp_path_factory):
    """lathe settle with the double for Core ML: a folder, its result and what was printed."""
    base = tmp_path_factory.mktemp("mac")
    program = link_lathe(base)

    def settle(name, *arguments, double="", ok=True, subject=HELLO):
        # A short context and no measured ranges: what is asked here is the command, not the model.
        small = [] if "--convert" in arguments else ["--convert", "--context 256 --range off"]
        run = subprocess.run([program, "settle", subject, "-o", base / name, *small, *map(str, arguments)], capture_output=True, text=True,
                             timeout=600, env={**os.environ, "LATHE_DOUBLE": double, "LATHE_SETTINGS_DIR": str(base / "named")})
        assert not ok or run.returncode == 0, run.stdout + run.stderr
        return base / name, result_of(base / name) if ok else None, run

    settle.program = program
    return settle


@pytest.fixture(scope="module")
def well(mac):
    return mac("well", "--only", "states,compiles,where,right")


def test_what_works_is_answered(well):
    folder, result, run = well
    assert result["complete"] and not result["predicted_only"]
    assert answer_of(result, "states").startswith("yes: slice, overwrite")
    assert answer_of(result, "compiles") == "yes: as_is"
    assert figure_of(result, "where", "overwrite", "resident") == figure_of(result, "right", "overwrite", "right") == 1
    assert figure_of(result, "right", "as_is", "kl") < 1e-3
    for variant in ("as_is", "slice", "overwrite"):
        assert set(verdicts(result, "where", variant).values()) == set(verdicts(result, "right", variant).values()) == {"right"}
    counts = result["predictions"]
    assert counts["wrong"] == len(result["wrong"]) and f"{counts['right']} right, {counts['wrong']} wrong" in run.stdout


def test_figures_of_the_double_are_called_so(well):
    folder, result, run = well
    page = (folder / "settle.html").read_text()
    assert result["machine"]["stand_in"] is True
    assert "none of its figures is a device's" in run.stdout
    assert "No figure here is a device's" in page and ">measured<" not in page and "from the stand-in" in page


def test_every_option_of_the_questions_is_one_of_convert(mac):
    _, result, _ = mac("takes", "--predict-only", "--only", "slices,functions,prefill,norms")
    variants = {(q["id"], v["name"]): v for q in result["questions"] if q["id"] in ("slices", "functions") for v in q["variants"]}
    assert {("slices", "r16384"), ("functions", "two"), ("functions", "alone"), ("functions", "one")} <= set(variants)
    assert {key: v["unasked"] for key, v in variants.items() if v["unasked"]} == {}


def test_a_run_goes_on_from_its_records(well, mac):
    folder, result, run = well
    stamps = {p: p.stat().st_mtime_ns for p in (folder / "records").iterdir()}
    again, second, run = mac("well", "--only", "states,compiles,where,right")
    assert {p: p.stat().st_mtime_ns for p in (folder / "records").iterdir()} == stamps and len(stamps) > 4
    assert second == result and "(kept)" in run.stdout


def test_an_interrupted_run_leaves_whole_files_and_goes_on(mac, tmp_path):
    arguments = [mac.program, "settle", HELLO, "-o", tmp_path / "s", "--only", "states,where"]
    run = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "s/records/default-open.json").exists(), run)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 4
    before = result_of(tmp_path / "s")
    assert before["complete"] is False
    assert not list((tmp_path / "s").rglob("*.partial"))
    for record in (tmp_path / "s/records").iterdir():
        json.loads(record.read_text())
    stamp = (tmp_path / "s/records/default-open.json").stat().st_mtime_ns
    subprocess.run(arguments, check=True, capture_output=True)
    assert result_of(tmp_path / "s")["complete"] and (tmp_path / "s/records/default-open.json").stat().st_mtime_ns == stamp


def test_two_runs_do_not_share_a_folder(mac, tmp_path):
    arguments = [mac.program, "settle", HELLO, "-o", tmp_path / "s", "--only", "states"]
    first = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: list((tmp_path / "s").glob("logs/*-convert.log")), first)
    second = subprocess.run(arguments, capture_output=True, text=True)
    assert second.returncode == 4 and "in use by process" in second.stderr
    assert first.wait(120) == 0


def test_states_that_lose_slices_are_seen_with_their_cure(mac):
    folder, result, run = mac("loses", "--only", "states,right", double="loses_writes")
    assert figure_of(result, "states", "slice", "keeps_states") == 0 and verdicts(result, "states", "slice")["keeps_states"] == "wrong"
    assert figure_of(result, "states", "overwrite", "keeps_states") == 1
    answer = answer_of(result, "states")
    assert "yes: overwrite" in answer and "no: slice" in answer and "convert with --kv overwrite" in answer
    assert "convert again with --kv overwrite" in run.stdout
    assert figure_of(result, "right", "slice", "right") == 0 and figure_of(result, "right", "overwrite", "right") == 1
    assert answer in (folder / "settle.html").read_text()


def test_a_plan_on_the_cpu_is_seen(mac):
    folder, result, _ = mac("cpu", "--only", "where", double="plans_cpu")
    assert figure_of(result, "where", "as_is", "conv_ane") == figure_of(result, "where", "as_is", "resident") == 0
    assert verdicts(result, "where", "as_is")["conv_ane"] == "wrong"
    plan = next(s for s in variant_of(result, "where", "as_is")["stages"] if s["stage"] == "plan")
    off = plan["details"]["off"]
    assert {op["device"] for op in off} == {"cpu"} and any("layer_0" in op["value"] for op in off)
    assert {op["predicted"] for op in plan["details"]["surprises"]} == {"ane"} and len(result["wrong"]) >= 4
    assert "operations off the Neural Engine" in (folder / "settle.html").read_text()


def test_a_first_prediction_that_dies_ends_no_run(mac):
    folder, result, _ = mac("dies", "--only", "compiles,right", double="first_run_dies")
    figures = variant_of(result, "compiles", "as_is")["figures"]
    assert figures["loads"]["median"] == 1 and figures["runs"]["median"] == 0
    stage = variant_of(result, "compiles", "as_is")["stages"][0]
    assert stage["ended"] == "died" and stage["signal"] == 9 and verdicts(result, "compiles", "as_is")["runs"] == "wrong"
    assert "no answer for as_is: the process ended by signal 9" in answer_of(result, "right")
    assert "the process ended by signal 9" in (folder / "settle.html").read_text()


@pytest.mark.parametrize("fault, figure", [("compile_crashes", "compiles"), ("load_throws", "loads"), ("gives_nan", "runs")])
def test_other_ends_are_those_of_their_figure(fault, figure, mac):
    _, result, _ = mac(fault, "--only", "compiles", double=fault)
    assert figure_of(result, "compiles", "as_is", figure) == 0 and verdicts(result, "compiles", "as_is")[figure] == "wrong"


def test_wrong_numbers_are_seen(mac):
    folder, result, _ = mac("wrong", "--only", "right", double="gives_wrong")
    assert figure_of(result, "right", "as_is", "right") == 0 and figure_of(result, "right", "as_is", "kl") > 0.02
    assert {p["figure"] for p in result["wrong"]} >= {"right", "kl", "top1"} and "Predictions that were wrong" in (folder / "settle.html").read_text()


def test_texts_that_mislead_are_explained(mac):
    folder, result, _ = mac("misleads", "--only", "compiles", double="load_misleads")
    explained = variant_of(result, "compiles", "as_is")["stages"][0]["explained"]
    assert [row["id"] for row in explained] == ["U1"] and "the compiler of the Neural Engine refused the program" in explained[0]["means"]


def test_the_systems_log_is_kept_and_explained(mac, tmp_path, monkeypatch):
    (tmp_path / "log").write_text("#!/bin/sh\necho espresso: live input tensor not used in network\n")
    (tmp_path / "log").chmod(0o755)
    monkeypatch.setenv("LATHE_COREML_LOG", str(tmp_path / "log"))
    folder, result, _ = mac("system-log", "--only", "compiles")
    assert "live input tensor" in (folder / "logs/default-open-compiler.log").read_text()
    assert "U8" in [row["id"] for row in variant_of(result, "compiles", "as_is")["stages"][0]["explained"]]


def test_a_bundle_is_settled_as_it_is_and_its_model_gives_the_others(mac, tmp_path):
    done("convert", HELLO, "-o", tmp_path / "h.lathe", "--context", "256", "--layers-per-shard", "2")
    before = {p: p.read_bytes() for p in sorted((tmp_path / "h.lathe").rglob("*")) if p.is_file()}
    _, result, _ = mac("bundle", "--only", "states,compiles", "--model", HELLO, subject=tmp_path / "h.lathe")
    assert answer_of(result, "compiles") == "yes: as_is" and answer_of(result, "states").startswith("yes: slice, overwrite")
    assert {p: p.read_bytes() for p in sorted((tmp_path / "h.lathe").rglob("*")) if p.is_file()} == before
    shutil.rmtree(tmp_path / "h.lathe/verify")  # where convert remembers its source
    _, result, _ = mac("alone", "--only", "states,compiles", subject=tmp_path / "h.lathe")
    assert "--model" in variant_of(result, "states", "overwrite")["unasked"]


POWERMETRICS = """#!/bin/sh
[ "$1 $2" = "-n powermetrics" ] || exit 9
sleep 0.2
for i in 1 2; do printf 'CPU Power: %s mW\\nGPU Power: 10 mW\\nANE Power: 40 mW\\n' "$((100 * i))"; done
printf 'Current pressure level: Nominal\\n'
"""


def test_power_is_asked_of_powermetrics_where_it_is_wanted(mac, tmp_path, monkeypatch):
    for name, script in (("sudo", POWERMETRICS), ("pmset", "#!/bin/sh\necho pmset $@\n")):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _, result, _ = mac("power", "--only", "power", "--power")
    stage = next(s for s in variant_of(result, "power", "as_is")["stages"] if s["stage"] == "power")
    assert set(stage["details"]) == {"idle_before", "decode", "prefill", "idle_after", "before", "after"}
    assert stage["details"]["before"] == {"load": stage["details"]["before"]["load"], "thermal": "pmset -g therm\n", "supply": "pmset -g batt\n"}
    assert stage["details"]["decode"]["cpu_w"] == pytest.approx(0.15) and stage["details"]["decode"]["thermal_pressure"] == "Nominal"
    assert figure_of(result, "power", "as_is", "decode_w") == pytest.approx(0)  # as much as idle
    _, result, _ = mac("no-power", "--only", "power")
    assert "decode_w" not in variant_of(result, "power", "as_is")["figures"]


def test_a_refused_right_to_measure_is_said(mac, tmp_path, monkeypatch):
    (tmp_path / "sudo").write_text("#!/bin/sh\necho sudo: a password is required\nexit 1\n")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _, result, _ = mac("refused", "--only", "power", "--power")
    why = next(s["why"] for s in variant_of(result, "power", "as_is")["stages"] if s["stage"] == "power")
    assert "a password is required" in why and "sudo -v" in why


def test_the_script_for_macs_says_where_it_belongs():
    run = subprocess.run([ROOT / "scripts/settle-mac"], capture_output=True, text=True)
    assert run.returncode == 4 and "settle-mac is for macOS 15 and later" in run.stderr


# ---- settings

def test_convert_takes_the_options_of_a_setting(tmp_path):
    setting = {"schema": 1, "name": "m", "options": ["--kv", "slice", "--weights", "fp16"], "stand_in": False}
    (tmp_path / "m.json").write_text(json.dumps(setting))
    done("convert", HELLO, "-o", tmp_path / "a.lathe", "--settings", tmp_path / "m.json")
    done("convert", HELLO, "-o", tmp_path / "b.lathe", "--kv", "slice", "--weights", "fp16")
    assert (tmp_path / "a.lathe/chain.json").read_bytes() == (tmp_path / "b.lathe/chain.json").read_bytes()
    # What stands on the command line goes before the setting.
    done("convert", HELLO, "-o", tmp_path / "c.lathe", "--weights", "int8", "--settings", tmp_path / "m.json")
    chain = json.loads((tmp_path / "c.lathe/chain.json").read_text())
    assert (chain["options"]["weights"], chain["options"]["kv"]) == ("int8", "slice")


def test_a_setting_that_convert_cannot_take_is_refused(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({"schema": 1, "name": "m", "options": ["--kvv", "x"], "stand_in": False}))
    run = lathe("convert", HELLO, "-o", tmp_path / "a.lathe", "--settings", tmp_path / "m.json")
    assert run.returncode == 2 and "--settings" in run.stderr and "--kvv" in run.stderr
    run = lathe("convert", HELLO, "-o", tmp_path / "a.lathe", "--settings", "nobody", env={"LATHE_SETTINGS_DIR": str(tmp_path)})
    assert run.returncode == 2 and "there is no such file, and no such setting" in run.stderr and not (tmp_path / "a.lathe").exists()


@pytest.mark.full
def test_everything_is_asked_and_the_fastest_that_is_right_is_kept(mac, tmp_path):
    folder, result, run = mac("tuned", "--tune", "mine", double="loses_writes")
    kept = json.loads((folder / "mine.json").read_text())
    assert kept["stand_in"] is True
    assert not (folder.parent / "named").exists()  # what a stand-in gave is not put among the user's settings
    speed = variant_of(result, "speed", "overwrite")["figures"]
    assert speed["decode_ms"]["runs"] == 3 and speed["decode_ms"]["least"] <= speed["decode_ms"]["median"] <= speed["decode_ms"]["most"]
    done_by = lathe("convert", HELLO, "-o", tmp_path / "t.lathe", "--settings", folder / "mine.json")
    assert done_by.returncode == 0 and "stand-in for Core ML" in done_by.stderr
    chain = json.loads((tmp_path / "t.lathe/chain.json").read_text())
    assert chain["options"]["kv"] == "overwrite"  # slices are lost there
    # What is wrong is never kept, nothing is kept.
    folder, _, run = mac("untuned", "--only", "states", "--tune", "none", double="gives_wrong")
    assert "no setting was kept" in run.stdout and not (folder / "none.json").exists()
