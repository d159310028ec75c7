"""docs/report.schema.json and docs/seal.schema.json: what lathe writes follows them (command.py asks that of every report
that a test makes), and they are tight: what is missing, unknown or of another kind is refused."""

import copy
import json

import jsonschema
import pytest
from command import HELLO, MODELS, done, lathe
from gates_table import NAMES
from report_schema import REPORT, SCHEMAS, SEAL

# Members that not every report has: sections are of gates that ran, the others of what there is to say.
MAY_LACK = {"agreement", "use", "vote", "vote_long", "placement", "graph_errors", "golden_errors", "range", "note", "evicted_by"}
OPEN = {"inputs", "section_gates", "agreement", "rules", "use"}  # maps whose names are data


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """All gates ran, two publisher's files agree, in a context too short for all that the text gate asks."""
    path = tmp_path_factory.mktemp("schema") / "m.lathe"
    done("convert", HELLO, "-o", path, "--context", "200", "--layers-per-shard", "2")
    lathe("verify", path, "--model", HELLO, "--config", MODELS / "hello-config.json")
    return path


@pytest.fixture(scope="module")
def report(bundle):
    return json.loads((bundle / "verify/report.json").read_text())


def places(value, path=()):
    """(path, value) of everything in a document; of lists the first and the last item."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for i in sorted({0, len(value) - 1}) if value else ():
            yield from places(value[i], (*path, i))


def changed(document, path, change):
    """A copy in which `change` was done to the container of what lies at `path`."""
    copied = copy.deepcopy(document)
    at = copied
    for step in path[:-1]:
        at = at[step]
    change(at, path[-1])
    return copied


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_they_know_the_gates_of_the_table():
    results = SCHEMAS["report.schema.json"]["$defs"]["results"]["properties"]
    schemas = SCHEMAS["seal.schema.json"]["properties"]["gate_schemas"]
    assert list(results) == NAMES == list(schemas["properties"]) == schemas["required"]


def test_what_is_written_follows_them(bundle, report):
    assert not list(REPORT.iter_errors(report))
    assert report["passed"] and not list(SEAL.iter_errors(json.loads((bundle / "seal.json").read_text())))


def drop(container, key):
    del container[key]


def is_optional(document, path):
    """Of a map, of figures with one member, or of what may be absent."""
    outer = path[-2] if len(path) > 1 else None
    at = document
    for step in path[:-1]:
        at = at[step]
    return path[-1] in MAY_LACK and len(path) <= 2 or path[-1] in {"note", "evicted_by"} or outer in OPEN or \
        (outer == "figures" and len(at) == 1) or outer == "gates"


def check_tight(validator, document):
    members = [path for path, _ in places(document) if path and isinstance(path[-1], str)]
    assert len(members) > 30
    loose = [path for path in members if not is_optional(document, path) and validator.is_valid(changed(document, path, drop))]
    assert not loose, f"may be missing: {loose}"
    more = [path for path in members if path[:-1] and not (set(path[-2:-1]) & OPEN)
            and validator.is_valid(changed(document, path, lambda at, key: at.__setitem__("surprise", 1)))]  # fmt: skip
    assert not more, f"may stand beside a member nobody knows: {more}"
    other = [path for path in members if path[-1] not in {"figures", "publisher"}
             and validator.is_valid(changed(document, path, lambda at, key: at.__setitem__(key, True if at[key] is not True else {})))]  # fmt: skip
    assert not [path for path in other if path[-1] not in {"passed", "known", "sealed"}], f"may be of another kind: {other}"


def test_the_report_is_tight(report):
    # A few results of each kind are enough: each change is validated anew.
    small = copy.deepcopy(report)
    for rows in (small["vote"]["rows"], small["range"]["ops"], small["contract"], small["vote_long"]["rows"] if "vote_long" in small else []):
        del rows[1:]
    small["placement"]["rules"] = dict(list(small["placement"]["rules"].items())[:1])
    for arrays in (small["graph_errors"], small["golden_errors"]):
        for figures in arrays.values():
            if isinstance(figures, dict):
                for values in figures.values():
                    del values[1:]
    check_tight(REPORT, small)


def test_the_seal_is_tight(bundle):
    seal = json.loads((bundle / "seal.json").read_text())
    for name, results in seal["gates"].items():
        del results[1:]
    check_tight(SEAL, seal)


def test_verdicts_are_held_together(report):
    failed = copy.deepcopy(report)
    failed["gates"]["graph"][0]["verdict"] = "failed"
    assert not REPORT.is_valid(failed)
    failed["gates"]["graph"][0]["passed"] = False
    assert REPORT.is_valid(failed)
