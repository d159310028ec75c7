"""Convolutions at half speed: docs/notch.md against the publishers' geometries by an arithmetic of its own, and real conversions
that are cut against ones that are not."""

import json
import re

import numpy as np
import pytest
from bundle_edit import BundleEdit
from command import HELLO, ROOT, done
from random_models import N_VOCAB, RandomModel

MIB = 1 << 20
ROW = re.compile(r"\| (\S+) \| (int8|fp16) \| ([^|]+) \| (\d+) x (\d+) \| ([\d.]+)( \*\*half speed\*\*)? \| (\d+) x (\d+): ([\d.]+) \|")


def share(rows, row_bytes):
    return -(-rows // 16) * row_bytes


def is_slow(share):
    nearest = max(1, round(share / MIB)) * MIB
    return abs(share - nearest) < 64 << 10


def geometry(config):
    d, heads = config["hidden_size"], config["num_attention_heads"]
    kv, dim = config.get("num_key_value_heads", heads), config.get("head_dim") or d // heads
    ff, vocab = config["intermediate_size"], config["vocab_size"]
    return {"q, k and v": ((heads + 2 * kv) * dim, d), "attention output": (d, heads * dim), "gate and up": (2 * ff, d),
            "down": (d, ff), "head": (vocab, d)}


def test_the_document_has_the_published_geometries():
    text = (ROOT / "docs/notch.md").read_text()
    names = {"Phi-4-mini": "phi-4-mini", "Llama-3.2-1B": "llama-3.2-1b", "Llama-3.2-3B": "llama-3.2-3b", "Llama-3.1-8B": "llama-3.1-8b",
             "Mistral-7B": "mistral-7b-v0.3", "SmolLM2-1.7B": "smollm2-1.7b"}
    rows = ROW.findall(text)
    assert len(rows) == len(names) * 2 * 5
    for name, form, what, n_rows, n_cols, before, slow, n_pieces, most, after in rows:
        config = json.loads((ROOT / f"contracts/{names[name]}.json").read_text())["config"]
        shape = geometry(config)[what.strip()]
        assert (int(n_rows), int(n_cols)) == shape
        row_bytes = shape[1] * (1 if form == "int8" else 2)
        whole = share(min(shape[0], 65536) if what.strip() == "head" else shape[0], row_bytes)
        assert abs(whole / MIB - float(before)) < 0.001 and is_slow(whole) == bool(slow)
        assert int(n_pieces) == -(-shape[0] // int(most))
        assert not is_slow(share(int(most), row_bytes))
        assert abs(share(int(most), row_bytes) / MIB - float(after)) < 0.001


# ---- real conversions

# As fp16 each of a layer's four convolutions would stream at half speed: 1.03, 0.97, 2.00 and 1.00 MiB a core.
HIT = dict(d_model=1024, d_ff=8192, n_layers=1, n_heads=62, n_kv_heads=2, head_dim=128, context=64)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """The source, cut for any chip, and whole for one that is free of the notch. Rows of llama's q and k change their order."""
    path = tmp_path_factory.mktemp("notch")
    model = RandomModel("llama", **HIT, keys={"vocab_size": N_VOCAB}).write(path / "model.gguf", "Q8_0")
    for name, target in (("cut", "macos26"), ("whole", "macos26:m1")):
        done("convert", model, "-o", path / f"{name}.lathe", "--weights", "fp16", "--target", target, "--range", "off")
    return path


def convolutions(bundle, function):
    model = bundle.read_program(0)
    block = model.mlProgram.functions[function].block_specializations["CoreML8"]
    shapes = {o.name: [d.constant.size for d in o.type.tensorType.dimensions] for op in block.operations for o in op.outputs}
    return {op.outputs[0].name: shapes[op.inputs["weight"].arguments[0].name] for op in block.operations if op.type == "conv"}


def test_each_choice_is_taken_and_nothing_is_slow(bundles):
    cut = convolutions(BundleEdit(bundles / "cut.lathe"), "decode")
    whole = convolutions(BundleEdit(bundles / "whole.lathe"), "decode")
    slow = {name for name, (rows, cols, *_) in whole.items() if is_slow(share(rows, 2 * cols))}
    assert slow == {f"layer_00_{x}_y" for x in ("qkv", "attn_out", "gate_up", "down")}
    assert not [name for name, (rows, cols, *_) in cut.items() if is_slow(share(rows, 2 * cols))]
    assert sorted(cut) == sorted(f"layer_00_{x}" for x in (
        "qkv_y_0", "qkv_y_1", "attn_out_y_0", "attn_out_y_1", "gate_0", "gate_1", "up_0", "up_1", "down_y_0", "down_y_1"))
    assert cut == convolutions(BundleEdit(bundles / "cut.lathe"), "prefill")


@pytest.mark.parametrize("arithmetic", ["fp16", "ane"])
def test_numbers_are_those_of_the_whole_convolution(bundles, arithmetic, tmp_path):
    """Hidden rows of decode, bit by bit: no sum is another."""
    package = next((bundles / "cut.lathe/shards").iterdir()).name
    rows = []
    for name in ("cut", "whole"):
        done("run", bundles / f"{name}.lathe/shards" / package, "--function", "decode", "--arithmetic", arithmetic, "--fill", "random:3",
             "--output", f"hidden={tmp_path / name}")
        rows.append(np.frombuffer((tmp_path / name).read_bytes(), np.uint16))
    hidden = rows[0].view(np.float16)
    assert len(hidden) == HIT["d_model"] and np.isfinite(hidden).all() and np.abs(hidden).max() > 0.1
    assert np.array_equal(rows[0], rows[1])


def test_head_slices_are_the_rows_that_were_asked_for(tmp_path):
    """2,048 rows in one, and in four slices: the same logits bit by bit, the gates of what they concern, the same again for a mutant."""
    logits = []
    for name, options, n in (("whole", [], 1), ("cut", ["--head-slice-rows", 512], 4)):
        bundle = tmp_path / f"{name}.lathe"
        done("convert", HELLO, "-o", bundle, "--range", "off", *options)
        package = next((bundle / "shards").iterdir())
        outputs = [f"logits_{i}" for i in range(n)]
        done("run", package, "--function", "head", "--fill", "random:3", *[w for o in outputs for w in ("--output", f"{o}={tmp_path / o}")])
        logits.append(b"".join((tmp_path / o).read_bytes() for o in outputs))
    assert len(logits[0]) == 2 * 2048 and logits[0] == logits[1]
    assert json.loads((bundle / "chain.json").read_text())["options"]["head_slice_rows"] == 512
    done("verify", bundle, "--model", HELLO, "--gates", "structure,residency,graph,head", "--mutants", "head_rows_shifted")


@pytest.mark.full
def test_the_gates_pass_on_what_is_cut(bundles):
    """All but the vote: random weights know no text, so no reading of them predicts one better."""
    gates = "contract,structure,residency,graph,layer golden,positions,range,head,text"
    done("verify", bundles / "cut.lathe", "--model", bundles / "model.gguf", "--gates", gates, timeout=3000)
