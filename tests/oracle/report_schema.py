"""docs/report.schema.json, docs/seal.schema.json and docs/device.schema.json as validators."""

import json
import pathlib

import jsonschema
from referencing import Registry, Resource

DOCS = pathlib.Path(__file__).parents[2] / "docs"
SCHEMAS = {name: json.loads((DOCS / name).read_text()) for name in ("report.schema.json", "seal.schema.json", "device.schema.json")}
_registry = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items())
REPORT, SEAL, DEVICE = (jsonschema.Draft202012Validator(SCHEMAS[name], registry=_registry) for name in SCHEMAS)


def check_report(path):
    """Says where a report leaves its schema."""
    wrong = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]} (in {str(e.instance)[:300]})"
             for e in REPORT.iter_errors(json.loads(pathlib.Path(path).read_text()))]  # fmt: skip
    assert not wrong, f"{path} does not follow docs/report.schema.json:\n" + "\n".join(wrong[:5])
