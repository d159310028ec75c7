"""Bundles that are made once a run. Tests that change one copy it first (bundle_edit.BundleEdit.copy)."""

import os

import pytest
from command import HELLO, done

# What asks the publisher's code itself needs torch; without LATHE_FULL=1 its figures stand in (test_publisher.py).
collect_ignore = [] if os.environ.get("LATHE_FULL") == "1" else ["test_publisher_live.py"]


@pytest.fixture(scope="session")
def hello_sealed(tmp_path_factory):
    """hello-phi3, int8, two packages, all gates passed."""
    path = tmp_path_factory.mktemp("hello") / "hello.lathe"
    done("convert", HELLO, "-o", path, "--layers-per-shard", "2")
    done("verify", path, "--model", HELLO)
    return path
