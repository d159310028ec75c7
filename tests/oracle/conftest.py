"""Bundles that are made once a run, and which tests a run has.

Tests that change a bundle copy it first (bundle_edit.BundleEdit.copy). Tests marked `full` take minutes each, or the publisher's
code itself: they are left out unless LATHE_FULL=1 (`./check --full`). Those marked `linux` need what only Linux has: on other
systems they are left out, and the run says how many and why. None is skipped: what was skipped counts as failed."""

import collections
import os
import sys

import pytest
from command import HELLO, done

IS_FULL = os.environ.get("LATHE_FULL") == "1"
SYSTEM = os.environ.get("LATHE_TEST_SYSTEM", sys.platform)  # a test of this file says another
LEFT_OUT = collections.Counter()  # why -> how many tests of Linux
# What asks the publisher's code itself needs torch; otherwise its figures stand in (test_publisher.py).
collect_ignore = [] if IS_FULL else ["test_export_hf_live.py", "test_families.py", "test_hf_folder_live.py", "test_publisher_live.py", "test_qwen_live.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "full: minutes, for ./check --full alone")
    config.addinivalue_line("markers", "linux(why): needs what other systems do not have")


def needs_linux(item):
    """Why, or None."""
    mark = item.get_closest_marker("linux")
    return mark.args[0] if mark else "GNUstep, for the stand-in of Core ML" if "mac" in item.fixturenames else None


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.get_closest_marker("full") and not IS_FULL]
    if SYSTEM != "linux":
        of_linux = [item for item in items if item not in left_out and needs_linux(item)]
        LEFT_OUT.update(needs_linux(item) for item in of_linux)
        left_out += of_linux
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # each worker collects all tests
        session.config.workeroutput["left_out"] = dict(LEFT_OUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    LEFT_OUT.update(node.workeroutput.get("left_out", {}) if not LEFT_OUT else {})


def pytest_terminal_summary(terminalreporter):
    for why, count in sorted(LEFT_OUT.items()):
        terminalreporter.write_line(f"left out on {SYSTEM}: {count} tests that need {why}")


@pytest.fixture(scope="session")
def mac(tmp_path_factory):
    """lathe with the double for Core ML (tests/apple), and a cache of its own: mac(ARGUMENT…, double="FAULT,…", ok=…)."""
    from apple_build import caller, link_lathe

    folder = tmp_path_factory.mktemp("mac")
    return caller(link_lathe(folder), folder / "cache")


@pytest.fixture(scope="session")
def hello_sealed(tmp_path_factory):
    """hello-phi3, int8, two packages, all gates passed."""
    path = tmp_path_factory.mktemp("hello") / "hello.lathe"
    done("convert", HELLO, "-o", path, "--layers-per-shard", "2")
    done("verify", path, "--model", HELLO)
    return path
