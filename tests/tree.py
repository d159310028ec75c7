"""The tree as a reader meets it: formatted, in files of a readable size, with nothing left for later.

Needs nothing but Python and git: `python3 tests/tree.py`, also run by `meson test`. Only the format is left out where the pinned
clang-format is not installed; `./check` installs it."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRACKED = [p for p in (ROOT / name for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                                                              check=True).stdout.split()) if p.exists()]
C_FILES = [p for p in TRACKED if p.suffix in (".c", ".h", ".m")]
CODE = C_FILES + [p for p in TRACKED if p.suffix in (".py", ".sh", ".def", ".build") or p.name in ("check", "demo", "run")]
MAX_LINES = 800
# Folders of a particular machine, and what lies outside the tree.
ELSEWHERE = ["../sha" "red", "/wo" "rk/", "/ro" "ot/"]


def named(paths):
    return [str(p.relative_to(ROOT)) for p in paths]


def clang_format():
    """The one of requirements.txt, installed by ./check: another version formats otherwise. None where there is none."""
    cache = pathlib.Path(os.environ.get("LATHE_CACHE", pathlib.Path.home() / ".cache/lathe"))
    if "LATHE_CLANG_FORMAT" in os.environ:
        return os.environ["LATHE_CLANG_FORMAT"]
    found = [pathlib.Path(sys.executable).parent / "clang-format", *sorted(cache.glob("venv-*/bin/clang-format"))]
    pinned = re.search(r"^clang-format==([\d.]+)$", (ROOT / "tests/oracle/requirements.txt").read_text(), re.M)[1]
    for tool in found:
        if tool.exists() and pinned in subprocess.run([tool, "--version"], capture_output=True, text=True).stdout:
            return tool
    return None


class Tree(unittest.TestCase):
    def test_c_is_formatted(self):
        tool = clang_format()
        if not tool:
            self.skipTest("the pinned clang-format is not installed: ./check installs it")
        run = subprocess.run([tool, "--dry-run", *C_FILES], capture_output=True, text=True, check=True)
        wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning", run.stderr, re.M)))
        self.assertEqual(wrong, [], "./check --format formats these")

    def test_files_are_short(self):
        wrong = [p for p in CODE if p.name != "train_hello.py" and len(p.read_text().splitlines()) > MAX_LINES]
        self.assertEqual(named(wrong), [])

    def test_nothing_is_left_for_later(self):
        marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
        self.assertEqual(named(p for p in CODE if marks.search(p.read_text())), [])

    def test_documents_name_files_that_are_there(self):
        # A path is from the root or from src/. What begins with no folder of these belongs to a bundle or to another project.
        of_a_bundle = re.compile(r"^verify/[^.]*\.(json|jsonl|html|md)$")
        folders = {p.name for base in (ROOT, ROOT / "src") for p in base.iterdir() if p.is_dir()}
        for document in (p for p in TRACKED if p.suffix == ".md"):
            paths = re.findall(r"`([\w.-]+(?:/[\w.-]+)+\.\w+)(?:: ?\w+)?`", document.read_text())
            wrong = [path for path in paths if path.split("/")[0] in folders and not of_a_bundle.match(path)
                     and not any((base / path).exists() for base in (ROOT, ROOT / "src"))]
            self.assertEqual(wrong, [], document.relative_to(ROOT))

    def test_what_is_binary_is_a_model_or_a_picture(self):
        binary = [p for p in TRACKED if b"\0" in p.read_bytes()]
        self.assertEqual(named(p for p in binary if p.suffix not in (".gguf", ".png")), [])

    def test_the_tree_stands_alone(self):
        texts = [p for p in TRACKED if p.suffix not in (".gguf", ".png") and p.name != ".gitignore"]
        for mark in ELSEWHERE:
            self.assertEqual(named(p for p in texts if mark in p.read_text(errors="replace")), [], mark)


if __name__ == "__main__":
    unittest.main()
