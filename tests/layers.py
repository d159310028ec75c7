"""Folders are layers: each includes only those above it in the list of meson.build. And what checks must not share
code with what it checks: reference/ stands on four layers, verify/ knows nothing of compile/, whatever the way."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
LAYERS = re.findall(r"'(\w+)'", re.search(r"layers = \[(.*?)\]", (ROOT / "meson.build").read_text(), re.S)[1]) + ["cli"]
REFERENCE_MAY = {"base", "gguf", "quant", "contract", "reference"}


def included(path):
    """Files of ours that `path` includes."""
    return [SRC / name for name in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.M)]


def sources(layer):
    return sorted(p for p in (SRC / layer).rglob("*") if p.suffix in (".c", ".h", ".def", ".m"))


def layer_of(path):
    return path.relative_to(SRC).parts[0]


def reached(path):
    """All files that `path` includes, directly or through others."""
    seen, todo = set(), [path]
    while todo:
        for found in included(todo.pop()):
            if found not in seen and found.exists():
                seen.add(found)
                todo.append(found)
    return seen


def test_every_folder_is_a_layer():
    assert {p.name for p in SRC.iterdir() if p.is_dir()} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_includes_only_those_above(layer):
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    wrong = [f"{p.relative_to(SRC)} includes {q.relative_to(SRC)}" for p in sources(layer) for q in included(p)
             if layer_of(q) not in allowed]
    assert not wrong


def test_reference_stands_on_four_layers():
    wrong = [f"{p.relative_to(SRC)} reaches {q.relative_to(SRC)}" for p in sources("reference") for q in reached(p)
             if layer_of(q) not in REFERENCE_MAY]
    assert not wrong


def test_verify_knows_nothing_of_the_compiler():
    wrong = [f"{p.relative_to(SRC)} reaches {q.relative_to(SRC)}" for p in sources("verify") for q in reached(p)
             if layer_of(q) == "compile"]
    assert not wrong


def test_no_include_leaves_the_tree():
    wrong = [f"{p.relative_to(SRC)}: {q.relative_to(SRC)}" for layer in LAYERS for p in sources(layer) for q in included(p)
             if not q.exists()]
    assert not wrong
