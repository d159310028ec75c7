"""Bundles that are made once a run, and which tests a run has.

Tests that change a bundle copy it first (bundle_edit.BundleEdit.copy). Tests marked `full` take minutes each, or the publisher's
code itself: they are left out unless LATHE_FULL=1 (`./check --full`). None is skipped: what was skipped counts as failed."""

import os

import pytest
from command import HELLO, done

IS_FULL = os.environ.get("LATHE_FULL") == "1"
# What asks the publisher's code itself needs torch; otherwise its figures stand in (test_publisher.py).
collect_ignore = [] if IS_FULL else ["test_publisher_live.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "full: minutes, for ./check --full alone")


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.get_closest_marker("full") and not IS_FULL]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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
