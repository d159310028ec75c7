"""The folders of src/ are rooms: the table in src/README.md says who may include whom, without circles. And what checks must not share code with what it checks: reference/ stands on three rooms,
the gates do not reach compile/, by whatever way."""
import graphlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
ROWS = re.findall(r"^\| `(\w+)` \| ([\w –]+) \| .+ \|$", (SRC / "README.md").read_text(), re.M)
MAY = {room: set(names.split()) - {"–"} for room, names in ROWS}
PROVERS = ("proof", "placement", "vote", "gates", "verify")


def room_of(path):
    return path.relative_to(SRC).parts[0]


def sources(room):
    return sorted(p for p in (SRC / room).rglob("*") if p.suffix in (".c", ".h", ".def", ".inc", ".m"))


def included(path):
    """Files of ours that `path` includes."""
    return [SRC / name for name in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.M)]


def reached(path):
    """All files that `path` includes, directly or through others."""
    seen, todo = set(), [path]
    while todo:
        for found in included(todo.pop()):
            if found not in seen and found.exists():
                seen.add(found)
                todo.append(found)
    return seen


def test_every_folder_has_a_row():
    assert {p.name for p in SRC.iterdir() if p.is_dir()} == set(MAY)


@pytest.mark.parametrize("room", MAY)
def test_room_includes_what_its_row_says(room):
    uses = {room_of(q): f"{p.relative_to(SRC)} includes {q.relative_to(SRC)}" for p in sources(room) for q in included(p)
            if room_of(q) != room}
    assert not {uses[other] for other in uses if other not in MAY[room]}
    assert MAY[room] <= set(uses), "the row allows what no file needs"


def test_rooms_have_no_circle():
    # Raises CycleError, which names the circle.
    graphlib.TopologicalSorter(MAY).prepare()


@pytest.mark.parametrize("first, forbidden", [
    *((room, {"compile", "convert"}) for room in PROVERS),
    ("reference", set(MAY) - {"base", "gguf", "quant", "contract", "reference"}),
])
def test_what_checks_does_not_reach(first, forbidden):
    wrong = [f"{p.relative_to(SRC)} reaches {q.relative_to(SRC)}" for p in sources(first) for q in reached(p)
             if room_of(q) in forbidden]
    assert not wrong


def test_no_include_leaves_the_tree():
    wrong = [f"{p.relative_to(SRC)}: {q.relative_to(SRC)}" for room in MAY for p in sources(room) for q in included(p)
             if not q.exists()]
    assert not wrong
