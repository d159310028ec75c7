"""`lathe verify --engine coreml` over the double: what the gates of a device see, and where their results go. No figure here
is a device's."""
import json
import re
import shutil
import time

import pytest
from bundle_edit import BundleEdit
from command import HELLO, lathe
from report_schema import DEVICE, SEAL

pytestmark = pytest.mark.linux("GNUstep, for the stand-in of Core ML")

@pytest.fixture(scope="module")
def sealed(hello_sealed, tmp_path_factory):
    path = tmp_path_factory.mktemp("gates") / "h.lathe"
    shutil.copytree(hello_sealed, path)
    return path


@pytest.fixture
def copy(hello_sealed, tmp_path):
    shutil.copytree(hello_sealed, tmp_path / "h.lathe")
    return tmp_path / "h.lathe"


def judge(mac, bundle, *more, **options):
    return mac("verify", bundle, "--model", HELLO, "--engine", "coreml", *more, **options)


def record(bundle):
    document = json.loads((bundle / "verify/device.json").read_text())
    assert not list(DEVICE.iter_errors(document)), [e.message for e in DEVICE.iter_errors(document)][:3]
    return document


def seal(bundle):
    document = json.loads((bundle / "seal.json").read_text())
    assert not list(SEAL.iter_errors(document)), [e.message for e in SEAL.iter_errors(document)][:3]
    return document


def test_all_gates_pass_and_are_kept_apart_from_the_proof(mac, sealed):
    before = seal(sealed)
    done = judge(mac, sealed)
    assert "no figure is a device's" in done.stdout and "no figure is a device's" in done.stderr
    [run] = record(sealed)["runs"]
    assert run["passed"] and list(run["gates"]) == ["residency", "layer golden", "positions", "head", "text", "drift"]
    assert run["machine"]["is_device"] is False and run["machine"]["ane_cores"] == 16
    after = seal(sealed)
    [short] = after.pop("device")
    assert before.pop("device") is None and short["machine"] == run["machine"] and set(short["gates"].values()) == {"passed"}
    before.pop("sha256"), after.pop("sha256")
    assert before == after  # the proof itself has not changed
    page = (sealed / "verify/report.html").read_text()
    assert "No device: a stand-in for the framework" in page and "no figure here is a device's" in page
    # The seal still counts: chat takes the bundle, and a second run replaces the first.
    assert "Hello" in mac("chat", sealed, "--temp", "0", "-p", "write hello world in Erlang").stdout
    judge(mac, sealed, "--gates", "residency")
    assert [list(r["gates"]) for r in record(sealed)["runs"]] == [["residency"]]


def residency(bundle):
    [run] = record(bundle)["runs"]
    return [r for r in run["gates"]["residency"] if "planned" in r["figures"]]


def test_plan_and_prediction_stand_side_by_side_and_differences_are_the_predictors(mac, copy):
    judge(mac, copy, "--gates", "residency")
    for result in residency(copy):
        planned, predicted, wrong = (result["figures"][k] for k in ("planned", "predicted", "predictor_errors"))
        assert planned["compute_ane"] == planned["compute_total"] == predicted["compute_total"]
        assert planned["conv_ane"] == predicted["conv_total"] > 0 and result["figures"]["off"] == []
        # Where the rules say CPU, the double plans the Neural Engine: each is an error of the prediction, by name.
        assert len(wrong) == predicted["compute_total"] - predicted["compute_ane"]
        assert all(w["predicted"] == "not" and w["device"] == "ane" for w in wrong)


def test_each_op_off_the_engine_is_named_with_layer_and_rule(mac, copy):
    done = judge(mac, copy, "--gates", "residency", double="plans_cpu=200", ok=False)
    assert done.returncode == 1 and "FAILED" in done.stdout and "no rule predicts that" in done.stdout, done.stdout
    first = residency(copy)[1]
    off = first["figures"]["off"]
    assert first["verdict"] == "failed" and off and all(o["device"] == "cpu" for o in off)
    assert any("layer" in o and o["output"].startswith(f"layer_{o['layer']:02}_") for o in off)
    planned = first["figures"]["planned"]
    assert len(off) == planned["compute_total"] - planned["compute_ane"]
    assert any(w["predicted"] == "ane" for w in first["figures"]["predictor_errors"])
    # The proof is another thing: its seal holds, and says what the device did.
    assert seal(copy)["device"][0]["gates"] == {"residency": "failed"}
    assert mac("chat", copy, "--temp", "0", "-p", "x", "--max-tokens", "1").returncode == 0


def test_without_a_neural_engine_residency_is_unproved(mac, copy):
    done = judge(mac, copy, "--gates", "residency", double="has_no_ane")
    assert "unproved" in done.stdout and "no Neural Engine" in done.stderr
    assert {r["verdict"] for r in residency(copy)} == {"unproved"}


@pytest.mark.parametrize("fault, gate, text", [
    ("errs", "layer golden", "shard 00 rows"),
    ("gives_nan", "layer golden", "NOT FINITE"),
    # What 96 rows of a golden forgive adds up over 320 steps.
    ("rots", "drift", "in the last"),
    # From its 400th prediction on: later than the golden's.
    ("gives_nan=400", "drift", "NOT FINITE at step"),
])
def test_numbers_that_are_not_lathes_own_fail(fault, gate, text, mac, copy):
    done = judge(mac, copy, "--gates", "layer-golden,drift", double=fault, ok=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith(gate) and "FAILED" in line]
    assert done.returncode == 1 and failed and any(text in line for line in failed), done.stdout


def test_weights_of_an_older_model_are_not_taken_for_its_own(mac, copy, tmp_path):
    """lathe's own cache names the weights; a cache of the system that does not would serve those of the first model."""
    judge(mac, copy, "--gates", "layer-golden")
    other = BundleEdit.copy(copy, tmp_path / "other.lathe")
    weight = other.weight("layer_01_down")
    weight.codes[:] = weight.codes[::-1].copy()
    weight.codes.flush()
    other.redigest()
    time.sleep(1.1)  # the double tells older from newer by seconds
    judge(mac, other.path, "--gates", "layer-golden")
    done = judge(mac, other.path, "--gates", "layer-golden", double="serves_stale", ok=False)
    assert done.returncode == 1 and re.search(r"^layer golden +FAILED", done.stdout, re.M), done.stdout


def test_a_device_that_cannot_load_it_records_nothing(mac, copy):
    done = judge(mac, copy, double="load_misleads", ok=False)
    assert done.returncode == 4 and "could not run" in done.stderr and "refused the program" in done.stderr
    assert not (copy / "verify/device.json").exists() and seal(copy)["device"] is None


def test_options_that_belong_to_the_proof_are_refused(mac, copy):
    for more in (["--mutants", "all"], ["--resume"], ["--blame"], ["--gates", "vote"], ["--gates", "graph"]):
        assert judge(mac, copy, *more, ok=False).returncode == 2
    assert mac("verify", copy, "--model", HELLO, "--engine", "reference", ok=False).returncode == 2
    assert mac("verify", HELLO, "--engine", "coreml", ok=False).returncode == 2
    done = lathe("verify", copy, "--model", HELLO, "--engine", "coreml")
    assert done.returncode == 2 and "not on this system" in done.stderr


def test_a_record_over_other_packages_does_not_count(mac, copy):
    judge(mac, copy, "--gates", "residency")
    document = record(copy)
    document["chain_sha256"] = "0" * 64
    (copy / "verify/device.json").write_text(json.dumps(document))
    mac("verify", copy, "--model", HELLO, "--resume")
    assert seal(copy)["device"] is None


def test_chat_says_what_was_found_on_this_machine(mac, copy):
    def gates_line(*more, **options):
        done = mac("chat", copy, "--engine", "coreml", "--max-tokens", "1", "-p", "hi", *more, **options)
        return next(line for line in done.stderr.splitlines() if "gates on this machine" in line)

    none = gates_line()
    assert "not run: residency, layer golden, positions, head, text, drift" in none and "passed" not in none
    assert f"lathe verify {copy} --engine coreml" in none  # the source is remembered
    judge(mac, copy, "--gates", "residency,drift")
    assert "passed: residency, drift; not run: layer golden, positions, head, text" in gates_line("--strict")
    judge(mac, copy, "--gates", "residency,drift", double="rots", ok=False)
    assert "passed: residency; FAILED: drift; not run:" in gates_line()
    refused = mac("chat", copy, "--engine", "coreml", "--strict", "-p", "hi", ok=False)
    assert refused.returncode == 1 and "FAILED: drift" in refused.stderr and not refused.stdout
    # What another machine gave says nothing of this one; nor does a record that was edited.
    document = record(copy)
    document["runs"][0]["machine"]["chip"] = "Apple M9"
    (copy / "verify/device.json").write_text(json.dumps(document))
    assert "FAILED" not in gates_line()
    mac("chat", copy, "-p", "hi", "--max-tokens", "1")  # on the CPU nothing is said of devices
