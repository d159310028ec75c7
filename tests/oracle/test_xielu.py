"""xIELU: an activation with numbers of its own in every layer (Apertus). What its keys may say, and squares beyond fp16.
That its curve is transformers' is test_family.py's to show."""

import json
import re

import gguf
import numpy as np
import pytest
from bundle_edit import rewrite_gguf
from command import ROOT, done, lathe
from family import gguf_of
from test_settings import seen

MODEL = gguf_of("apertus")  # of three layers


def softplus(x):
    return np.log1p(np.exp(x))


def test_lists_are_read_layer_by_layer():
    contract, sources, _ = seen(MODEL, "--set", "xielu.alpha_p=[0.0, 1.0, -2.0]", "--set", "xielu.alpha_n=[-1.0, 0.5, 3.0]",
                                "--set", "xielu.beta=[0.5, 0.25, 1.0]")
    assert contract["xielu_alpha_p"] == pytest.approx(softplus(np.array([0, 1, -2])), rel=1e-6)
    assert contract["xielu_alpha_n"] == pytest.approx(softplus(np.array([-1, 0.5, 3])) + [0.5, 0.25, 1], rel=1e-6)
    assert contract["xielu_beta"] == [0.5, 0.25, 1]
    assert sources["xielu_alpha_n"]["from"] == "softplus of xielu.alpha_n, plus xielu.beta"


def test_one_number_is_every_layers(tmp_path):
    path = rewrite_gguf(MODEL, tmp_path / "m.gguf", {"xielu.beta": None})
    assert seen(path, "--set", "xielu.beta=0.5")[0]["xielu_beta"] == [0.5, 0.5, 0.5]


def test_other_families_have_none():
    contract, sources, _ = seen(gguf_of("nemotron"))
    assert contract["xielu_alpha_p"] == [] and sources["xielu_alpha_p"]["kind"] == "architecture"


@pytest.mark.parametrize("value, said", [
    ("xielu.beta=[0.5, 0.5]", "key 'xielu.beta': a list of 2 values, expected one for each of 3 layers"),
    ("xielu.beta=[0.5, 0.5, -0.5]", "key 'xielu.beta': -0.5 for layer 2, expected 0 to 1000"),
    ("xielu.eps=[-0.5, 0.0, 0.0]", "key 'xielu.eps': -0.5 for layer 0, expected -6e-05 to 0"),
    ("xielu.alpha_p=[0.0, 1e9, 0.0]", "key 'xielu.alpha_p': 1e+09 for layer 1, expected -88 to 88"),
])  # fmt: skip
def test_keys_that_cannot_be_meant(value, said):
    run = lathe("inspect", MODEL, "--set", value)
    assert run.returncode == 3 and said in run.stderr, run.stderr


@pytest.mark.parametrize("key", ["xielu.alpha_p", "xielu.alpha_n", "xielu.beta", "xielu.eps"])
def test_a_key_must_be_there(key, tmp_path):
    run = lathe("inspect", rewrite_gguf(MODEL, tmp_path / "m.gguf", {key: None}))
    assert run.returncode == 3 and f"key '{key}' is absent" in run.stderr, run.stderr


@pytest.mark.parametrize("family, weights", [("apertus", "fp16"), ("apertus", "int8"), ("nemotron", "fp16")])
def test_a_square_beyond_fp16(family, weights, tmp_path):
    """x squared passes 65,504, in xIELU and in relu squared. A constant divides it, and the down projection takes that out
    again: all gates pass."""
    model = gguf_of(family)
    tensors = {t.name: np.asarray(gguf.quants.dequantize(t.data, t.tensor_type)) for t in gguf.GGUFReader(model).tensors}
    loud = {name: x * 128 for name, x in tensors.items() if name.endswith("ffn_up.weight")}
    loud |= {name: x / 4096 for name, x in tensors.items() if name.endswith("ffn_down.weight")}
    path, bundle = rewrite_gguf(model, tmp_path / "m.gguf", tensors=loud), tmp_path / "m.lathe"
    done("convert", path, "-o", bundle, "--context", "256", "--weights", weights)
    ranges = json.loads((bundle / "chain.json").read_text())["ranges"]["layers"]
    assert max(layer["gated_peak"] for layer in ranges) > 65504
    done("verify", bundle, "--model", path, "--gates", "structure,graph,layer golden,positions,range")
    off = tmp_path / "off.lathe"
    done("convert", path, "-o", off, "--context", "256", "--weights", weights, "--range", "off")
    assert lathe("verify", off, "--model", path, "--gates", "range").returncode == 1


def test_every_misreading_of_the_numbers_is_killed(tmp_path):
    names = re.findall(r"^MUTANT\((xielu_\w+)", (ROOT / "src/contract/mutants.def").read_text(), re.M)
    bundle = tmp_path / "m.lathe"
    done("convert", MODEL, "-o", bundle, "--context", "256", "--weights", "fp16")
    run = done("verify", bundle, "--model", MODEL, "--gates", "graph", "--mutants", ",".join(names))
    assert len(names) == 5 and "5 mutants, 5 killed, 0 survived" in run.stdout
