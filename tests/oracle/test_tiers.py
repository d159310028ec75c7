"""Which tests a run has: on a system that is not Linux those are left out that need it, and the run says so."""
import os
import re
import subprocess
import sys

import pytest
from apple_build import ROOT

FILES = [f"tests/oracle/{name}.py" for name in ("test_apple_api", "test_apple_gates")]


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_what_needs_linux_is_left_out_and_named_elsewhere(workers):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, *FILES]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "LATHE_TEST_SYSTEM": "darwin"})
    assert run.returncode == 5, run.stdout  # of these files nothing is left
    assert re.search(r"left out on darwin: \d+ tests that need headers of musl", run.stdout), run.stdout
    assert re.search(r"left out on darwin: \d+ tests that need GNUstep", run.stdout), run.stdout


def test_all_of_linux_are_there_on_linux():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", FILES[0]]
    collected = {system: subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                                        env={**os.environ, "LATHE_TEST_SYSTEM": system}).stdout for system in ("linux", "darwin")}
    assert "test_declarations_are_apples" in collected["linux"] and "left out on" not in collected["linux"]
    assert "test_declarations_are_apples" not in collected["darwin"]
