"""`lathe inspect` as people and programs read it: docs/inspect-json.md, computed again here."""

import hashlib
import json
import re
import shutil
import subprocess

import gguf
import numpy
import pytest
from gguf_edit import edit
from tokenizer_oracle import LATHE, MODELS, smollm2_gguf

HELLO = MODELS / "hello-phi3-q8_0.gguf"
FILES = {"hello": HELLO, "smollm2": smollm2_gguf()}
FLOATS = {"norm_eps", "norm_offset", "rope_base", "rope_factor", "rope_factors_short", "rope_factors_long",
          "rope_freq_factors", "attn_factor", "yarn_ext_factor", "yarn_beta_fast", "yarn_beta_slow", "attn_scale",
          "attn_softcap", "final_softcap", "embedding_scale", "residual_scale", "logit_scale"}  # fmt: skip


def inspect(path, *options):
    run = subprocess.run([LATHE, "inspect", path, *options], capture_output=True, timeout=60)
    assert run.returncode == 0 and run.stderr == b"", run.stderr
    return run.stdout.decode()


def text_of(name, value):
    if isinstance(value, list):
        return " ".join(text_of(name, x) for x in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if name == "bos_id" and value == 2**32 - 1:
        return "none"
    if name not in FLOATS:
        return str(value)
    x = numpy.float32(value)
    if x == numpy.rint(x) and abs(x) < 1e7:
        return f"{x:.0f}"
    return next(t for t in (f"{float(x):.{n}g}" for n in range(1, 10)) if numpy.float32(t) == x)


@pytest.mark.parametrize("name", FILES)
def test_json_is_the_documented_form(name):
    told = json.loads(inspect(FILES[name], "--json"))
    known = ["published"] if name == "smollm2" else []
    assert list(told) == ["schema", "contract", "sources", "contract_sha256", "unread", "tensors", *known]
    assert told["schema"] == 1
    assert list(told["sources"]) == list(told["contract"])
    for source in told["sources"].values():
        assert list(source) == ["kind", "from", "unit", "meaning"]
        assert source["kind"] in ("key", "tensor", "shape", "architecture", "derived")
        assert source["from"] and source["meaning"]
    assert all(list(row) == ["name", "reason"] and row["reason"] for row in told["unread"])
    counted = {}
    for t in gguf.GGUFReader(FILES[name]).tensors:
        row = counted.setdefault(t.tensor_type.name, [0, 0, 0])
        row[0], row[1], row[2] = row[0] + 1, row[1] + int(t.n_elements), row[2] + int(t.n_bytes)
    assert {t["type"]: [t["count"], t["weights"], t["bytes"]] for t in told["tensors"]} == counted


@pytest.mark.parametrize("name", FILES)
def test_digest_is_of_the_documented_text(name):
    told = json.loads(inspect(FILES[name], "--json"))
    text = "".join(f"{field} = {text_of(field, value)}\n" for field, value in told["contract"].items())
    assert hashlib.sha256(text.encode()).hexdigest() == told["contract_sha256"]


@pytest.mark.parametrize("name", FILES)
def test_values_are_the_files(name):
    """Every value said to come from a key is what gguf reads there, and no key is left out of both lists."""
    fields = gguf.GGUFReader(FILES[name]).fields
    told = json.loads(inspect(FILES[name], "--json"))
    seen = {row["name"] for row in told["unread"]}
    for field, source in told["sources"].items():
        if source["kind"] != "key":
            continue
        seen.add(source["from"])
        value, stored = told["contract"][field], fields[source["from"]].contents()
        if field == "template_digest":
            assert value == hashlib.sha256(stored.encode()).hexdigest()
        elif field == "space_prefix":
            assert value == ("each" if stored else "none")
        elif field != "vocab_digest":
            assert value == (pytest.approx(stored, rel=1e-7) if isinstance(stored, float) else stored)
    seen |= {"tokenizer.ggml.token_type", "tokenizer.ggml.merges", "tokenizer.ggml.eos_token_id"}  # of digest and stop ids
    assert {k for k in fields if not k.startswith("GGUF.")} == seen


def test_text_shows_every_field_with_its_source():
    told, lines = json.loads(inspect(HELLO, "--json")), inspect(HELLO).splitlines()
    for field, source in told["sources"].items():
        (line,) = [line for line in lines if line.split(" ", 1)[0] == field]
        assert line.endswith(f"<- {source['kind']}: {source['from']}")
    assert f"contract sha256 {told['contract_sha256']}" in lines
    shown = {line.split(" ", 1)[0]: re.sub(r"^\S+ +| +<- .*", "", line) for line in lines if "<-" in line}
    assert shown["n_layers"] == "4 layers" and shown["norm"] == "rms" and shown["rope_freq_factors"] == "-"
    assert shown["stop_ids"] == "2 ids: 2016, 2037" and shown["rope_factors_short"].startswith("1, 1.0905, 1.1279, ")
    assert shown["vocab_digest"].endswith("… sha256")


def test_a_list_of_one_is_shown_with_a_singular(tmp_path):
    tokens = gguf.GGUFReader(HELLO).fields["tokenizer.ggml.tokens"].contents()
    tokens[2016] = "<|spare|>"  # <|endoftext|>, which ended a turn by its name
    (line,) = [line for line in inspect(edit(HELLO, tmp_path / "m.gguf", {"tokenizer.ggml.tokens": tokens})).splitlines()
               if line.startswith("stop_ids")]
    assert " 1 id: 2037  <- " in line


def test_counts_of_text_and_json_agree():
    told, lines = json.loads(inspect(HELLO, "--json")), inspect(HELLO).splitlines()
    assert sum(line.startswith("unread ") for line in lines) == len(told["unread"])
    assert sum(line.startswith("tensors ") for line in lines) == len(told["tensors"])


def test_a_derived_value_says_so(tmp_path):
    """Without its key the attention factor is computed, to the same float, and shown with the rule."""
    path = edit(HELLO, tmp_path / "m.gguf", {"phi3.rope.scaling.attn_factor": None})
    told, truth = json.loads(inspect(path, "--json")), json.loads(inspect(HELLO, "--json"))
    assert told["sources"]["attn_factor"] | {"unit": "", "meaning": ""} == {
        "kind": "derived", "from": "sqrt(1 + ln(4096 / 1024) / ln 1024)", "unit": "", "meaning": "",
    }  # fmt: skip
    assert told["contract_sha256"] == truth["contract_sha256"]


def test_a_file_of_an_unknown_architecture_shows_what_stands_in_it(tmp_path):
    path = edit(HELLO, tmp_path / "m.gguf", {"phi3.context_length": None})
    data = path.read_bytes().replace(b"general.architecture" + b"\x08\0\0\0" + b"\x04\0\0\0\0\0\0\0phi3",
                                     b"general.architecture" + b"\x08\0\0\0" + b"\x04\0\0\0\0\0\0\0rwkv")  # fmt: skip
    path.write_bytes(data)
    run = subprocess.run([LATHE, "inspect", path], capture_output=True, text=True)
    assert run.returncode == 3 and "architecture 'rwkv' is not supported" in run.stderr
    reader = gguf.GGUFReader(path)
    assert re.findall(r"^key +(\S+)", run.stdout, re.M) == [k for k in reader.fields if not k.startswith("GGUF.")]
    assert re.findall(r"^tensor +(\S+)", run.stdout, re.M) == [t.name for t in reader.tensors]
    told = subprocess.run([LATHE, "inspect", path, "--json"], capture_output=True, text=True)
    value = json.loads(told.stdout)
    assert told.returncode == value["code"] == 3 and told.stderr == run.stderr == f"lathe inspect: {value['error']}\n"
    assert list(value) == ["schema", "error", "code", "keys", "tensor_list", "tensors"]
    assert [k["name"] for k in value["keys"]] == [k for k in reader.fields if not k.startswith("GGUF.")]
    keys = {k["name"]: k for k in value["keys"]}
    assert keys["general.architecture"] == {"name": "general.architecture", "type": "string", "value": "rwkv"}
    assert keys["phi3.block_count"] == {"name": "phi3.block_count", "type": "u32", "value": "4"}
    assert keys["tokenizer.ggml.tokens"]["items"] == 2048 and keys["tokenizer.ggml.tokens"]["value"].endswith("(2048)")
    assert [(t["name"], t["type"], t["dims"]) for t in value["tensor_list"]] == [
        (t.name, t.tensor_type.name, [int(d) for d in t.shape]) for t in reader.tensors]
    assert value["tensors"] == json.loads(inspect(HELLO, "--json"))["tensors"]


def test_a_bundle_shows_its_source(hello_sealed, tmp_path):
    bundle = tmp_path / "m.lathe"
    shutil.copytree(hello_sealed, bundle, ignore=shutil.ignore_patterns("verify"))
    run = subprocess.run([LATHE, "inspect", bundle], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 2 and "inspect the model file itself" in run.stderr
    shutil.copy(HELLO, tmp_path)
    assert inspect(bundle) == inspect(HELLO)
    for args in (["tokenize", "{}", "Hi there", "--pieces"], ["template", "{}", "--messages", "-"]):
        told = [subprocess.run([LATHE, *(a.format(p) for a in args)], capture_output=True, text=True, check=True,
                               input='[{"role": "user", "content": "Hi"}]').stdout for p in (bundle, HELLO)]  # fmt: skip
        assert told[0] == told[1] != ""
