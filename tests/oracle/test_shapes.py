"""Conversion of shapes the bundled model does not have: each program computes in fp32 what the reference computes with
the same weights (gate `graph`), whose reading test_reference.py holds to llama.cpp."""

import pytest
from command import done
from random_models import RandomModel

SHAPES = {
    "phi3": (RandomModel("phi3", head_dim=40, rope_dim=24), ()),
    "llama-interleaved": (RandomModel("llama", n_heads=6, n_kv_heads=3, head_dim=16), ()),
    "llama-biases": (RandomModel("llama", biases=("qkv", "out"), tied=False), ("--weights", "fp16")),
    "no-sharing-of-heads": (RandomModel("llama", n_heads=3, n_kv_heads=None), ("--weights", "int8-tensor")),
    "one-kv-head": (RandomModel("phi3", n_heads=8, n_kv_heads=1, head_dim=16), ("--layers-per-shard", 1)),
    "eight-to-a-kv-head": (RandomModel("llama", n_heads=8, n_kv_heads=1, head_dim=12, context=600), ()),
    "state-of-544-rows": (RandomModel("phi3", context=512), ("--kv", "slice")),
    "window": (RandomModel("phi3", keys={"attention.sliding_window": 40}), ("--kv", "overwrite")),
    # 4 · 64 rows of scores by 16384 keys are 2^22: sixteen products
    "scores-in-pieces": (RandomModel("llama", n_layers=1, n_kv_heads=1, context=16384), ()),
    # 16384 rows of the state by 64 are 2^20: rows are placed in two products
    "places-in-pieces": (RandomModel("llama", n_layers=1, n_heads=2, n_kv_heads=1, context=16384), ("--kv", "overwrite")),
}


@pytest.mark.parametrize("name", SHAPES)
def test_graph(name, tmp_path):
    model, options = SHAPES[name]
    path = model.write(tmp_path / "model.gguf")
    done("convert", path, "-o", tmp_path / "model.lathe", "--context", model.context, *options)
    run = done("verify", tmp_path / "model.lathe", "--model", path, "--gates", "structure,graph", "--verbose")
    graph = [line for line in run.stdout.splitlines() if line.startswith("graph ")]
    assert graph and all(line.endswith("  ok") for line in graph)
