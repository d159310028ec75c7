"""The first time of a model on a machine, over the double: compiling and the first prediction die, hang and grow in a process
of their own; what the framework writes is kept and understood. No figure here is a device's."""
import json
import os
import re

import pytest
from apple_build import caller, link_lathe
from command import HELLO
from report_schema import DEVICE

pytestmark = pytest.mark.linux("GNUstep, for the stand-in of Core ML")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return link_lathe(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def bundle(program, tmp_path_factory):
    place = tmp_path_factory.mktemp("bundle") / "h.lathe"
    caller(program, place.parent / "none")("convert", HELLO, "-o", place)
    return place


@pytest.fixture
def mac(program, tmp_path):
    """With an empty cache."""
    return caller(program, tmp_path / "cache")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "compiled"


def ask(mac, bundle, monkeypatch=None, variables=(), **options):
    for name, value in dict(variables).items():
        monkeypatch.setenv(name, value)
    return mac("chat", bundle, "--unsealed", "--engine", "coreml", "--temp", "0", "--max-tokens", "2", "-p", "hi", **options)


@pytest.mark.parametrize("fault, variables, texts", [
    ("first_run_dies", {}, ["its first prediction was ended by signal 9", "(U5)", "--layers-per-shard"]),
    ("run_crashes", {}, ["was ended by signal 11", "(U7)", "lathe cache --clear"]),
    ("run_fails", {}, ["(U6a)", "--kv"]),
    ("run_hangs", {"LATHE_COREML_MINUTES": "0.03"}, ["its first prediction took longer than 0.03 minutes", "LATHE_COREML_MINUTES"]),
    ("compile_hangs", {"LATHE_COREML_MINUTES": "0.03"}, ["compiling took longer than 0.03 minutes", "LATHE_COREML_MINUTES"]),
    ("run_eats_memory", {"LATHE_COREML_GIB": "0.2"}, ["took more than 0.2 GiB of memory", "LATHE_COREML_GIB", "--layers-per-shard"]),
    ("load_says_ane_failed", {}, ["(U4a)", "reported success", "lathe doctor"]),
    ("load_misleads", {}, ["(U1)", "refused the program"]),
    ("load_says_macho", {}, ["(U3)", "lathe cache --clear"]),
])
def test_what_dies_there_leaves_a_reason_here(fault, variables, texts, mac, bundle, cache, monkeypatch):
    done = ask(mac, bundle, monkeypatch, variables, double=fault, ok=False)
    assert done.returncode == 4 and done.stdout == "", (done.returncode, done.stdout, done.stderr)
    assert all(text in done.stderr for text in texts), done.stderr
    log = re.search(r"log:? (\S+\.log)", done.stderr)
    assert log and os.path.exists(log[1])
    assert not list(cache.glob("*.ran")) and not list(cache.glob("*.partial*"))  # nothing counts as done
    for name in variables:
        monkeypatch.delenv(name)
    assert ask(mac, bundle).returncode == 0  # the next start tries again


def test_limits_that_are_no_numbers_are_refused(mac, bundle, monkeypatch):
    for name, value in (("LATHE_COREML_MINUTES", "soon"), ("LATHE_COREML_GIB", "-1")):
        done = ask(mac, bundle, monkeypatch, {name: value}, ok=False)
        assert done.returncode == 2 and f"{name}={value}: expected a number above 0" in done.stderr
        monkeypatch.delenv(name)


def test_the_first_time_is_said_and_happens_once(mac, bundle, cache, monkeypatch):
    first = ask(mac, bundle)
    assert first.stderr.count("has not run on this machine yet") == 1 and "about 5 s" in first.stderr
    [mark] = cache.glob("*.ran")
    lines = re.findall(r"^ran \S+\.log (\w+) [\d.]+ [\d.]+$", mark.read_text(), re.M)
    assert lines == ["decode", "prefill", "head"]
    # No process of its own again: its limits are not even read.
    again = ask(mac, bundle, monkeypatch, {"LATHE_COREML_MINUTES": "soon"})
    assert "has not run on this machine yet" not in again.stderr and again.stdout == first.stdout


def test_the_systems_log_is_kept_with_the_models(mac, bundle, cache, tmp_path, monkeypatch):
    script = tmp_path / "log"
    script.write_text("#!/bin/sh\necho \"asked: $*\"\n")
    script.chmod(0o755)
    ask(mac, bundle, monkeypatch, {"LATHE_COREML_LOG": str(script)})
    [log] = cache.glob("*.log")
    text = log.read_text()
    assert text.count("asked: show --last") == 2  # compiling, and the first prediction
    assert 'subsystem == "com.apple.espresso" OR subsystem == "com.apple.coreml"' in text


def test_times_counts_and_logs_stand_in_the_record(mac, bundle):
    mac("verify", bundle, "--model", HELLO, "--engine", "coreml", "--gates", "layer-golden,drift", double="declines_backings,holds_inputs")
    document = json.loads((bundle / "verify/device.json").read_text())
    assert not list(DEVICE.iter_errors(document)), [e.message for e in DEVICE.iter_errors(document)][:3]
    [run] = document["runs"]
    rows = {(r["gate"], r["function"]): r for r in run["loads"]}
    first, later = rows["layer golden", "decode"], rows["drift", "decode"]
    assert first["load"] > 0 and later["cold_run"] > 0 and later["first_run"] > 0
    assert later["first_load"] == pytest.approx(first["first_load"]) and later["runs"] >= 320 and later["warm_run"] > 0
    assert later["declined"] >= 320 and later["held"] >= 320 and later["reloads"] == 0
    [name] = run["logs"]
    assert (bundle / "verify/device-logs" / name).stat().st_size == run["logs"][name] and first["log"] == name
