"""The whole program through adapter and double under the sanitizers, with nothing left alive; and how much of the adapter the
tests of the double run. No figure here is a device's."""
import json
import os
import re
import subprocess

import pytest
from apple_build import ADAPTER, APPLE, ENVIRONMENT, caller, link_lathe, link_test, run
from command import HELLO, ROOT

pytestmark = pytest.mark.linux("GNUstep, for the stand-in of Core ML")

PROFILE = ["-fprofile-instr-generate", "-fcoverage-mapping"]
FAULTS = ["", "declines_backings,holds_inputs", "pads_rows,run_exhausts=9"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    place = tmp_path_factory.mktemp("whole") / "h.lathe"
    subprocess.run([os.environ["LATHE"], "convert", HELLO, "-o", place, "--context", "256", "--layers-per-shard", "2"], check=True,
                   capture_output=True)
    return place


@pytest.mark.parametrize("sanitizers", [("address", "undefined"), ("thread",)], ids=["asan-ubsan", "tsan"])
def test_chat_and_gates_run_clean_and_leave_nothing_alive(sanitizers, bundle, tmp_path, monkeypatch):
    mac = caller(link_lathe(tmp_path, sanitizers), tmp_path / "cache")
    count = tmp_path / "alive"
    for name, value in {**ENVIRONMENT, "LATHE_DOUBLE_COUNT": str(count)}.items():
        monkeypatch.setenv(name, value)
    for fault in FAULTS:
        done = mac("chat", bundle, "--unsealed", "--engine", "coreml", "--temp", "0", "--max-tokens", "12", "-p", "hi", double=fault)
        assert done.stdout
    # One thread: lathe's own pool is in the part that has no sanitizer here, and ThreadSanitizer cannot see how it waits.
    done = mac("verify", bundle, "--model", HELLO, "--engine", "coreml", "--gates", "residency,layer-golden,head,drift",
               "--threads", "1", double="holds_inputs")
    assert "these gates passed" in done.stdout
    # A failure on the way leaves nothing behind either.
    for fault in ("load_misleads=3", "run_fails=20", "gives_nan=9"):
        mac("chat", bundle, "--unsealed", "--engine", "coreml", "--temp", "0", "-p", "hi", double=fault, ok=False)
    alive = count.read_text().split()
    assert len(alive) >= 7 and set(alive) == {"0"}, alive


def coverage(program, profiles, folder):
    run("llvm-profdata-14", "merge", "-sparse", "-o", folder / "all.profdata", *profiles)
    shown = run("llvm-cov-14", "export", "-summary-only", program, f"-instr-profile={folder / 'all.profdata'}", ADAPTER)
    [data] = json.loads(shown.stdout)["data"]
    return {kind: data["totals"][kind]["percent"] for kind in ("lines", "branches", "functions")}


def test_the_tests_of_the_double_cover_the_adapter_as_the_page_says(tmp_path):
    subprocess.run([os.environ["LATHE"], "convert", HELLO, "-o", tmp_path / "one.lathe", "--context", "256"], check=True, capture_output=True)
    [package] = (tmp_path / "one.lathe/shards").glob("*.mlpackage")
    test = link_test(tmp_path, APPLE / "test_device.c", extra=PROFILE)
    subprocess.run([test, package], env={**os.environ, "LLVM_PROFILE_FILE": str(tmp_path / "unit.profraw")}, check=True, capture_output=True)
    found = coverage(test, [tmp_path / "unit.profraw"], tmp_path)
    page = (ROOT / "docs/apple.md").read_text()
    stated = re.search(r"(\d+) % of its lines and (\d+) % of its branches", page)
    assert found["functions"] == 100, found
    assert int(found["lines"]) == int(stated[1]) and int(found["branches"]) == int(stated[2]), found
