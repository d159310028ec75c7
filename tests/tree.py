"""The tree as a reader meets it: formatted, in files of a readable size, with nothing left for later."""
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRACKED = [ROOT / name for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                                                  check=True).stdout.split()]
C_FILES = [p for p in TRACKED if p.suffix in (".c", ".h", ".m")]
CODE = C_FILES + [p for p in TRACKED if p.suffix in (".py", ".sh", ".def", ".build") or p.name in ("check", "demo", "run")]
MAX_LINES = 800


def named(paths):
    return [str(p.relative_to(ROOT)) for p in paths]


def test_c_is_formatted():
    # The one of requirements.txt: another version has another taste.
    tool = pathlib.Path(sys.executable).parent / "clang-format"
    run = subprocess.run([tool, "--dry-run", *C_FILES], capture_output=True, text=True, check=True)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning", run.stderr, re.M)))
    assert not wrong, "run clang-format -i on these"


def test_files_are_short():
    wrong = [p for p in CODE if p.name != "train_hello.py" and len(p.read_text().splitlines()) > MAX_LINES]
    assert not named(wrong)


def test_nothing_is_left_for_later():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    assert not named(p for p in CODE if marks.search(p.read_text()))


# Folders of a particular machine, and what lies outside the tree.
@pytest.mark.parametrize("mark", ["../sha" "red", "/wo" "rk/", "/ro" "ot/"])
def test_the_tree_stands_alone(mark):
    texts = [p for p in TRACKED if p.suffix not in (".gguf", ".png") and p.name != ".gitignore"]
    assert not named(p for p in texts if mark in p.read_text(errors="replace"))
