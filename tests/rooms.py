"""Who may include whom: the folders of src/ against the table in src/README.md, which must not have circles.

What checks must not share code with what it checks: reference/ includes only four rooms, and the gates reach compile/ in no
way. Needs nothing but Python: `python3 tests/rooms.py`, also run by `meson test`."""
import graphlib
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
ROWS = re.findall(r"^\| `(\w+)` \| ([\w –]+) \| .+ \|$", (SRC / "README.md").read_text(), re.M)
MAY = {room: set(names.split()) - {"–"} for room, names in ROWS}
# Room -> what none of its files may reach, directly or through others.
FORBIDDEN = {room: {"compile", "convert"} for room in ("proof", "placement", "vote", "gates", "verify")}
FORBIDDEN["reference"] = set(MAY) - {"base", "gguf", "quant", "contract", "reference"}


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


class Rooms(unittest.TestCase):
    def test_every_folder_has_a_row(self):
        self.assertEqual({p.name for p in SRC.iterdir() if p.is_dir()}, set(MAY))

    def test_room_includes_what_its_row_says(self):
        for room in MAY:
            uses = {room_of(q): f"{p.relative_to(SRC)} includes {q.relative_to(SRC)}" for p in sources(room) for q in included(p)
                    if room_of(q) != room}
            with self.subTest(room):
                self.assertEqual({uses[other] for other in uses if other not in MAY[room]}, set(), "the row does not allow it")
                self.assertEqual(MAY[room] - set(uses), set(), "the row allows what no file needs")

    def test_rooms_have_no_circle(self):
        # Raises CycleError, which names the circle.
        graphlib.TopologicalSorter(MAY).prepare()

    def test_what_checks_does_not_reach(self):
        for room, forbidden in FORBIDDEN.items():
            wrong = [f"{p.relative_to(SRC)} reaches {q.relative_to(SRC)}" for p in sources(room) for q in reached(p)
                     if room_of(q) in forbidden]
            with self.subTest(room):
                self.assertEqual(wrong, [])

    def test_no_include_leaves_the_tree(self):
        wrong = [f"{p.relative_to(SRC)}: {q.relative_to(SRC)}" for room in MAY for p in sources(room) for q in included(p)
                 if not q.exists()]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
