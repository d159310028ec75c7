"""The kill matrix of families: every mutant of a made model of each kind (family_mutants.py), judged by the ordinary gates. What changes
nothing in a model is left out with the reason; whatever is judged must be killed. docs/proof.md has the numbers."""

import json
import re

import pytest
from command import ROOT, done
from family import gguf_of
from family_mutants import FAMILIES, MUTANTS

pytestmark = pytest.mark.full

# Why a mutant may be left out, besides being no other reading of the contract.
REASONS = (
    r"this misreading does not apply to this model",
    r"the contract has no field for it: see kv_heads_tiled_in_graph",
    r"no line '.*' with '.*' in the program",  # an op that the family's graph has not
    r"line \d+: '.*' is used before it is defined",  # likewise
    r".*chain\.json: member \"landmarks\".*",  # norms at other places: such a bundle cannot be opened
    r"this model, converted with these options, has no place for it",
    r"the attention factor is 1",
    r"the model has one set of factors",
    r"the context ends before .*",
    r"no position lies beyond the original context",
    r"fp16 has every position of the context",
    r"no window lies within the context",
    r"there is only one way to assign query heads to kv heads",
    r"the norm after feed-forward divides by what its input is multiplied by",
)


@pytest.fixture(scope="module", params=FAMILIES)
def matrix(request, tmp_path_factory):
    """(family, last line, the report)"""
    model, bundle = gguf_of(request.param), tmp_path_factory.mktemp("mutants") / "m.lathe"
    done("convert", model, "-o", bundle, "--context", "256", "--weights", "fp16")
    run = done("verify", bundle, "--model", model, "--mutants", "all", timeout=1800)
    return request.param, run.stdout.splitlines(), json.loads((bundle / "verify" / "mutants.json").read_text())


def test_every_mutant_is_killed(matrix):
    name, out, report = matrix
    rows, left_out = report["mutants"], report["not_applicable"]
    assert len(rows) >= 100 and all(row["killed"] for row in rows), [row["name"] for row in rows if not row["killed"]]
    assert f"{len(rows)} mutants, {len(rows)} killed, 0 survived; {len(left_out)} do not apply (verify/mutants.json)" in out
    said = re.search(rf"^\| {name} \|.*\| (\d+) \|$", (ROOT / "docs/proof.md").read_text(), re.M)
    assert said and int(said[1]) == len(rows), len(rows)


def test_what_is_left_out_changes_nothing(matrix):
    _, _, report = matrix
    for row in report["not_applicable"]:
        assert any(re.fullmatch(reason, row["why"]) for reason in REASONS), row


def test_published_misreadings_are_killed(matrix):
    name, _, report = matrix
    killed = {row["name"] for row in report["mutants"] if row["killed"]}
    for number, mutants in MUTANTS.items():
        assert {mutant for family, mutant in mutants if family == name} <= killed, number


def test_every_published_misreading_has_a_family_that_is_judged():
    assert {family for mutants in MUTANTS.values() for family, _ in mutants} <= set(FAMILIES)
