"""The Core ML adapter over the double: what a Mac does awkwardly, on Linux. No figure here is a device's."""
import json
import os
import re
import shutil
import subprocess

import pytest
from apple_build import APPLE, ENVIRONMENT, link_test
from bundle_edit import BundleEdit
from command import ROOT, done as must, lathe

pytestmark = pytest.mark.linux("GNUstep, for the stand-in of Core ML")
HELLO = ROOT / "models/hello-phi3-q8_0.gguf"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    bundle = tmp_path_factory.mktemp("device") / "h.lathe"
    must("convert", HELLO, "-o", bundle)
    return next((bundle / "shards").glob("*.mlpackage"))


def device_tests(test, package, **options):
    return subprocess.run([test, package], capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, **options)


@pytest.mark.parametrize("sanitizers", [("address", "undefined"), ("thread",)], ids=["asan", "tsan"])
def test_the_adapter_keeps_its_promises(sanitizers, package, tmp_path):
    done = device_tests(link_test(tmp_path, APPLE / "test_device.c", sanitizers), package)
    assert done.returncode == 0, done.stdout + done.stderr


# Faults planted in the adapter, and that the tests or a sanitizer see each of them.
PLANTED = {
    "a leak": ("        [m->model release];\n", ""),
    "one release too many": ("        [m->options release];\n", "        [m->options release];\n        [m->options release];\n"),
    "padded rows taken for packed": ("uint8_t *there = framework + (at + k * l->strides[inner]) * l->element;",
                                     "uint8_t *there = framework + (r * row + k) * l->element; (void)at;"),
    "a declined backing believed": ("    if (array == m->backings[i]) return true;\n", "    if (array) return true;\n"),
    "an exception let through": ("fail_thrown(&why, \"prediction\", thrown);", "@throw;"),
    "held inputs written": ("    if (!is_held(m, &m->sets[m->current])) return;\n", "    if (m) return;\n"),
    "memory that goes before its array": ("        if (s->arrays) [s->arrays[i] release];\n",
                                          "        if (s->memory) free(s->memory[i]);\n        if (s->arrays) [s->arrays[i] release];\n"),
    "an output not missed": ('    if (!array) return err_set(err, ERR_FORMAT, "output \'%s\' is missing from the results", p->name);\n',
                             "    if (!array) return true;\n"),
}


def test_the_page_lists_what_is_planted():
    page = (ROOT / "docs/apple.md").read_text()
    assert not [name for name in PLANTED if f"| {name} |" not in page]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_caught(name, package, tmp_path):
    text = (ROOT / "src/coreml/device.m").read_text()
    old, new = PLANTED[name]
    assert text.count(old) == 1, "the line to change is not there once"
    adapter = tmp_path / "device.m"
    adapter.write_text(text.replace(old, new))
    done = device_tests(link_test(tmp_path, APPLE / "test_device.c", ("address", "undefined"), adapter), package, timeout=300)
    assert done.returncode != 0, "nothing noticed it"


# ---- the whole program

@pytest.fixture(scope="module")
def bundle(mac, tmp_path_factory):
    place = tmp_path_factory.mktemp("sealed") / "h.lathe"
    mac("convert", HELLO, "-o", place)
    return place


def ask(mac, bundle, *more, **options):
    return mac("chat", bundle, "--unsealed", "--engine", "coreml", "--temp", "0", "-p", "write hello world in Erlang", *more, **options)


def test_chat_says_the_same_as_on_the_cpu(mac, bundle):
    cpu = mac("chat", bundle, "--unsealed", "--temp", "0", "-p", "write hello world in Erlang")
    device = ask(mac, bundle)
    assert device.stdout == cpu.stdout
    assert "Hello" in device.stdout and "coreml" in device.stderr


@pytest.mark.parametrize("fault", ["", "declines_backings", "pads_rows", "run_exhausts=9", "holds_inputs", "loses_writes"])
def test_chat_with_caches_that_the_host_keeps(fault, mac, tmp_path_factory):
    """--kv rows: rows that either function gives are in the inputs of both when they are read."""
    place = tmp_path_factory.mktemp("rows") / "h.lathe"
    mac("convert", HELLO, "-o", place, "--kv", "rows")
    assert "Hello" in (found := ask(mac, place, double=fault).stdout)
    assert found == mac("chat", place, "--unsealed", "--temp", "0", "-p", "write hello world in Erlang").stdout


@pytest.mark.parametrize("fault", ["declines_backings", "pads_rows", "run_exhausts=9", "holds_inputs"])
def test_chat_lives_with(fault, mac, bundle):
    assert ask(mac, bundle, double=fault).stdout == ask(mac, bundle).stdout


@pytest.mark.parametrize("fault, text", [
    ("load_misleads", "the compiler of the Neural Engine refused the program"),
    ("load_throws", "the double throws at load"),
    ("lacks_function", "the double finds no function of that name"),
    ("run_fails", "--kv"),
    ("gives_nan", "not finite"),
])
def test_chat_ends_with_a_reason(fault, text, mac, bundle):
    done = ask(mac, bundle, double=fault, ok=False)
    assert done.returncode in (3, 4) and text in done.stderr, done.stderr


def planned(stderr):
    """The line of where it will run, as numbers; and what is off the Neural Engine."""
    found = re.search(r"\[planned for the Neural Engine: conv (\d+)/(\d+), compute (\d+)/(\d+)(; off it: .*)? \(planned, not measured\)\]",
                      stderr)
    assert found, stderr
    return [int(n) for n in found.groups()[:4]], found[5] or ""


def test_the_plan_is_said_before_the_answer_and_counts_what_the_program_has(mac, bundle):
    done = ask(mac, bundle, "--strict")
    (conv, convs, compute, total), off = planned(done.stderr)
    doctor = mac("doctor", bundle, "--json")
    predicted = [p["predicted"]["any"] for p in json.loads(doctor.stdout)["packages"]]
    assert (conv, compute, off) == (convs, total, "") and "Hello" in done.stdout
    assert convs == sum(p["conv_total"] for p in predicted)
    assert "planned" not in ask(mac, bundle, "--quiet").stderr


def test_operations_planned_off_the_neural_engine_are_named_and_refused_by_strict(mac, bundle):
    for fault in ("plans_cpu", "plans_cpu=20"):
        done = ask(mac, bundle, double=fault)
        (conv, convs, compute, total), off = planned(done.stderr)
        assert conv < convs and compute < total and "on the CPU" in off and "layer_0" in off and "more" in off, done.stderr
        assert (compute == 0) == (fault == "plans_cpu") and "Hello" in done.stdout
        refused = ask(mac, bundle, "--strict", double=fault, ok=False)
        assert refused.returncode == 4 and refused.stdout == "" and f"compute {compute}/{total}" in refused.stderr, refused.stderr


def test_a_machine_without_neural_engine_is_said_and_refused_by_strict(mac, bundle):
    done = ask(mac, bundle, double="has_no_ane")
    assert "[this machine has no Neural Engine" in done.stderr and "Hello" in done.stdout
    assert ask(mac, bundle, "--strict", double="has_no_ane", ok=False).returncode == 4


def test_strict_needs_an_engine_that_plans(mac, bundle):
    for arguments in ((bundle, "--unsealed"), (HELLO,)):
        done = mac("chat", *arguments, "--strict", "-p", "x", ok=False)
        assert done.returncode == 2 and "--engine coreml" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def sliced(mac, tmp_path_factory):
    place = tmp_path_factory.mktemp("slice") / "h.lathe"
    mac("convert", HELLO, "-o", place, "--kv", "slice")
    return place


def test_states_that_lose_writes_of_slices_are_refused_with_the_cure(mac, bundle, sliced):
    done = ask(mac, sliced, double="loses_writes", ok=False)
    assert done.returncode == 4 and done.stdout == "", done.stdout
    assert "slot 0 changed when slot 1 was written" in done.stderr and "convert again with --kv overwrite" in done.stderr, done.stderr
    assert "Hello" in ask(mac, bundle, double="loses_writes").stdout


def test_states_that_keep_nothing_are_refused_in_every_form(mac, bundle, sliced):
    for form, other in ((sliced, "overwrite"), (bundle, "rows")):
        done = ask(mac, form, double="drops_writes", ok=False)
        assert done.returncode == 4 and "slot 0 is all zeros after it was written" in done.stderr, done.stderr
        assert f"convert again with --kv {other}" in done.stderr, done.stderr


@pytest.mark.parametrize("fault, text", [("compile_fails", "the double fails to compile"), ("compile_crashes", "signal 6")])
def test_a_compiler_that_fails_or_crashes_leaves_the_program_alive(fault, text, mac, bundle):
    mac("cache", "--clear")
    done = ask(mac, bundle, double=fault, ok=False)
    assert done.returncode == 4 and text in done.stderr and ".log" in done.stderr, done.stderr
    assert "Hello" in ask(mac, bundle).stdout


def test_a_compiled_model_is_kept_and_found_again(mac, bundle):
    mac("cache", "--clear")
    assert "0 compiled models" in mac("cache").stdout
    ask(mac, bundle)
    row, total = mac("cache").stdout.splitlines()
    assert "1 compiled model," in total
    assert row.endswith(f" {next(bundle.glob('shards/*')).resolve()}") and float(row.split()[0]) > 0.5
    # With a compiler that fails, only what is kept can answer.
    assert "Hello" in ask(mac, bundle, double="compile_fails").stdout


def compiled(mac):
    """The last line of lathe cache: how many there are."""
    return mac("cache").stdout.splitlines()[-1].split(",")[0]


def test_the_list_says_whose_package_is_gone(mac, bundle, tmp_path):
    mac("cache", "--clear")
    moved = BundleEdit.copy(bundle, tmp_path / "moved.lathe").path
    ask(mac, moved)
    shutil.rmtree(moved)
    assert mac("cache").stdout.splitlines()[0].endswith(".mlpackage (which is there no more)")
    assert "1 compiled model," in mac("cache", "--clear").stdout and "0 compiled models," in mac("cache").stdout


def test_other_weights_are_another_compiled_model(mac, bundle, tmp_path):
    ask(mac, bundle)
    before = compiled(mac)
    other = tmp_path / "other.lathe"
    mac("convert", ROOT / "models/hello-phi3-f16.gguf", "-o", other)
    ask(mac, other)
    assert compiled(mac) != before


def test_other_weights_in_a_further_file_are_another_compiled_model(mac, tmp_path):
    first = tmp_path / "first.lathe"
    mac("convert", HELLO, "-o", first, "--weight-files", 2)
    ask(mac, first)
    before = compiled(mac)
    other = BundleEdit.copy(first, tmp_path / "other.lathe")
    weight = other.weight("layer_03_down")
    weight.codes[5] ^= 1
    weight.codes.flush()
    other.redigest()
    paths = [next(b.glob("shards/*/Data/com.apple.CoreML/weights/weight.bin")) for b in (first, other.path)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    ask(mac, other.path)
    assert compiled(mac) != before


def test_without_the_double_core_ml_is_absent(bundle):
    done = lathe("chat", bundle, "--engine", "coreml", "-p", "x")
    assert done.returncode == 2 and "not on this system" in done.stderr
