"""The workflows for other people's machines: valid by the schema that GitHub's are checked with (PyPI package check-jsonschema,
which carries it), and what their steps run is there."""
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from command import LATHE, ROOT, commands

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))


def check(path):
    return subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path],
                          capture_output=True, text=True)


def steps(path):
    for name, job in yaml.safe_load(path.read_text())["jobs"].items():
        for step in job["steps"]:
            yield name, job, step


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_workflow_is_valid(path):
    run = check(path)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("old, new", [("runs-on:", "run-on:"), ("uses: actions/checkout@v4", "use: actions/checkout@v4"),
                                      ("timeout-minutes: 90", "timeout-minutes: soon")])
def test_a_wrong_workflow_is_seen(old, new, tmp_path):
    text = FILES[0].read_text()
    assert old in text
    (tmp_path / "w.yml").write_text(text.replace(old, new, 1))
    assert check(tmp_path / "w.yml").returncode != 0


def test_both_systems_are_asked():
    jobs = yaml.safe_load((ROOT / ".github/workflows/macos.yml").read_text())["jobs"]
    assert all(job["strategy"]["matrix"]["os"] == ["macos-15", "macos-26"] for job in jobs.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_steps_run_is_there(path):
    for name, job, step in steps(path):
        for line in step.get("run", "").splitlines():
            word, *rest = line.split()
            if "/" in word and word != "build/src/cli/lathe":
                script = ROOT / word
                assert script.exists() and script.stat().st_mode & 0o111, f"{name}: {line}"
            if word.endswith("/lathe"):
                assert rest[0] in commands(), f"{name}: {line}"
                known = subprocess.run([LATHE, rest[0], "--help"], capture_output=True, text=True).stdout
                assert all(re.search(rf"^  {re.escape(o)}\b", known, re.M) for o in rest if o.startswith("-")), f"{name}: {line}"
        for used in re.findall(r"matrix\.(\w+)", str(step)):
            assert used in job["strategy"]["matrix"], f"{name}: matrix.{used}"


def test_the_models_of_the_workflow_can_be_had(tmp_path):
    run = subprocess.run([ROOT / "scripts/model", "hello", "m.gguf"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0 and (tmp_path / "m.gguf").read_bytes() == pathlib.Path(ROOT / "models/hello-phi3-q8_0.gguf").read_bytes()
    assert subprocess.run([ROOT / "scripts/model", "other", "m.gguf"], cwd=tmp_path, capture_output=True).returncode == 4
