"""The rows of src/bundle/gates.def, read as text: a reading of its own, which the program's has to agree with."""

import re
from typing import NamedTuple

from command import ROOT

ALL = {"SOURCE", "HOST", "PACKAGES"}


class Gate(NamedTuple):
    name: str
    schema: int
    needs: set  # SOURCE, HOST, PACKAGES, USE, PUBLISHER, VOTE_TEXT, VOTE_LONG
    mutants: str


def read_row(row):
    needs = set(re.findall(r"GATE_NEEDS_(\w+)", row))
    mutants = re.search(r"\.mutants = MUTANTS_(\w+)", row)
    return Gate(re.search(r'\.name = "([^"]+)"', row)[1], int(re.search(r"\.schema = (\d+)", row)[1]),
                needs - {"ALL"} | (ALL if "ALL" in needs else set()), mutants[1] if mutants else "NOT_JUDGED")  # fmt: skip


GATES = [read_row(row) for row in re.findall(r"^GATE\(.*?\)$", (ROOT / "src/bundle/gates.def").read_text(), re.M | re.S)]
NAMES = [gate.name for gate in GATES]
