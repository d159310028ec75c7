"""Who may include whom: the folders of src/ against the table in src/README.md, which must not have circles.

What checks must not share code with what it checks: reference/ includes only four rooms, and the gates reach compile/ in no
way. Inside a room, files that need each other's functions, as the linker sees them, must not form a circle either.

Needs nothing but Python: `python3 tests/rooms.py`, also run by `meson test`; the circles of files need a build, which
LATHE_BUILD names."""
import collections
import graphlib
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
ROWS = re.findall(r"^\| `(\w+)` \| ([\w –]+) \| .+ \|$", (SRC / "README.md").read_text(), re.M)
MAY = {room: set(names.split()) - {"–"} for room, names in ROWS}
# Room -> what none of its files may reach, directly or through others.
FORBIDDEN = {room: {"compile", "convert"} for room in ("proof", "placement", "vote", "gates", "verify")}
FORBIDDEN["reference"] = set(MAY) - {"base", "gguf", "quant", "contract", "reference"}
# Functions that call each other because what they read is recursive: an expression holds filters, tests and calls, whose
# arguments are expressions; a macro's body is statements.
RECURSIVE = {"jinja": {"evaluate", "filter", "filter_list", "render", "test"}}


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


def symbols(build):
    """name -> (room, file) that defines it, and (room, file) -> names it needs."""
    objects = {p.name: p for p in (build / "liblathe.a.p").glob("src_*.c.o")}
    objects |= {"src_cli_" + p.name: p for p in (build / "src" / "cli" / "lathe.p").glob("*.c.o")}
    defines, needs = {}, collections.defaultdict(set)
    for source in SRC.rglob("*.c"):
        found = objects.get("src_" + "_".join(source.relative_to(SRC).parts) + ".o")
        if not found:  # of another instruction set
            continue
        key = (room_of(source), source.stem)
        lines = subprocess.run(["nm", "-g", found], capture_output=True, text=True, check=True).stdout.splitlines()
        for *_, kind, name in (line.split() for line in lines):
            if kind == "U":
                needs[key].add(name)
            else:
                defines[name] = key
    return defines, needs


def calls_of(room, defines, needs):
    """file -> files of the same room whose functions or tables it needs, but for what is recursive by nature."""
    graph = {key[1]: {defines[name][1] for name in names if defines.get(name, ("",))[0] == room} - {key[1]}
             for key, names in needs.items() if key[0] == room}
    recursive = RECURSIVE.get(room, set())
    for name in recursive & set(graph):
        graph[name] -= recursive
    return graph


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

    @unittest.skipUnless("LATHE_BUILD" in os.environ, "LATHE_BUILD names no build")
    def test_files_of_a_room_have_no_circle(self):
        defines, needs = symbols(pathlib.Path(os.environ["LATHE_BUILD"]))
        self.assertGreater(len(needs), 250, "the build lacks objects")
        for room in MAY:
            with self.subTest(room):
                # Raises CycleError, which names the circle.
                graphlib.TopologicalSorter(calls_of(room, defines, needs)).prepare()

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
