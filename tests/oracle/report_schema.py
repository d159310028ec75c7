"""docs/report.schema.json, docs/seal.schema.json and docs/device.schema.json as validators: by jsonschema-rs, since reports are
long and test_report_schema.py asks of each of their members in turn."""

import json
import pathlib

import jsonschema_rs

DOCS = pathlib.Path(__file__).parents[2] / "docs"
SCHEMAS = {name: json.loads((DOCS / name).read_text()) for name in ("report.schema.json", "seal.schema.json", "device.schema.json")}
_registry = jsonschema_rs.Registry(list(SCHEMAS.items()))
REPORT, SEAL, DEVICE = (jsonschema_rs.Draft202012Validator(SCHEMAS[name], registry=_registry) for name in SCHEMAS)


def check_report(path):
    """Says where a report leaves its schema."""
    wrong = [f"{'/'.join(map(str, e.instance_path))}: {e.message[:300]}"
             for e in REPORT.iter_errors(json.loads(pathlib.Path(path).read_text()))]  # fmt: skip
    assert not wrong, f"{path} does not follow docs/report.schema.json:\n" + "\n".join(wrong[:5])
