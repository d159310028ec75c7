"""For each gate a fault on disk, behind every digest, that this gate must see; and none where there is none.

Faults of the vote, of residency and of range stand in their own files; errors of the compiler and the host are the mutants'
(test_mutants.py). Here the bundle itself is wrong: a weight, an op, a key, a digest."""

import re

import numpy as np
import pytest
import random_models
from bundle_edit import BundleEdit, rewrite_gguf
from command import HELLO, NATURAL, ROOT, done, lathe

NAMES = re.findall(r'^GATE\(\w+, \d+, [\w| ]+, "([^"]+)"', (ROOT / "src/bundle/gates.def").read_text(), re.M)
END = 2037  # <|end|>, a stop id of hello-phi3


def failed(bundle, *gates, model=HELLO):
    """The gates that failed, and the run, when these were asked."""
    run = lathe("verify", bundle.path, "--model", model, "--gates", ",".join(g.replace(" ", "-") for g in gates))
    lines = [line for line in run.stdout.splitlines() if line.endswith("FAILED")]
    found = {name for name in NAMES for line in lines if line.startswith(f"{name:13} ")}
    assert run.returncode == (1 if found else 0), run.stdout + run.stderr
    assert not (bundle.path / "seal.json").exists()
    return found, run


@pytest.fixture
def bundle(hello_sealed, tmp_path):
    return BundleEdit.copy(hello_sealed, tmp_path / "bad.lathe")


# ---- contract


def another_template(bundle):
    bundle.host_key("tokenizer.chat_template")[0][-1] ^= 1


def a_key_more(bundle):
    """What a vocabulary means without the key is not what it means with it."""
    host = bundle.path / "host.gguf"
    rewrite_gguf(host, bundle.path / "new.gguf", {"tokenizer.ggml.add_space_prefix": True}).replace(host)


def another_embedding(bundle):
    bundle.host_tensor("token_embd.weight")[5] ^= 1


@pytest.mark.parametrize("plant, says", [(another_template, "key 'tokenizer.chat_template' is not the source's"),
                                         (a_key_more, "key 'tokenizer.ggml.add_space_prefix' is not the source's"),
                                         (another_embedding, "tensor 'token_embd.weight' is not the source's")])
def test_contract_sees_a_host_file_that_is_not_the_sources(bundle, plant, says):
    plant(bundle)
    bundle.redigest()
    found, run = failed(bundle, "contract")
    assert found == {"contract"} and says in run.stdout


def test_contract_sees_another_source(bundle, tmp_path):
    other = rewrite_gguf(HELLO, tmp_path / HELLO.name, {"general.name": "somebody else"})
    bundle.set_source(other)
    found, run = failed(bundle, "contract")
    assert found == {"contract"} and "is another file than it was converted from" in run.stdout


def test_contract_sees_another_contract(tmp_path):
    """A bundle of a misread model that says it was made of the true one."""
    other = rewrite_gguf(HELLO, tmp_path / HELLO.name, {"phi3.attention.layer_norm_rms_epsilon": 1e-3})
    done("convert", other, "-o", tmp_path / "bad.lathe")
    bundle = BundleEdit(tmp_path / "bad.lathe")
    bundle.set_source(HELLO)
    found, run = failed(bundle, "contract")
    assert found == {"contract"} and re.search(r"the source's contract is \w{16}…, not the bundle's", run.stdout)


def test_a_vocabulary_without_bytes_ends(tmp_path):
    """No text gives a token, so there is nothing to feed: said, and not looked for for ever."""
    n = random_models.N_VOCAB
    tokens = ["一", "丁", "一丁"] + [chr(0x5000 + i) for i in range(n - 3)]
    model = rewrite_gguf(random_models.RandomModel("llama", n_layers=1).write(tmp_path / "bytes.gguf"), tmp_path / "mute.gguf",
                         {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": ["一 丁"]})  # fmt: skip
    done("convert", model, "-o", tmp_path / "mute.lathe", "--range", "off")
    run = lathe("verify", tmp_path / "mute.lathe", "--model", model, "--gates", "graph", timeout=60)
    assert run.returncode == 3 and "0 tokens of a text of" in run.stderr, run.stderr


# ---- structure


def test_structure_sees_a_file_that_is_not_as_stated(bundle):
    bundle.weight("layer_01_down").codes[3, 3] ^= 1
    bundle.write_chain()
    found, run = failed(bundle, "structure")
    assert found == {"structure"} and "weight.bin" in run.stdout


def test_structure_sees_a_weight_that_its_package_lacks(bundle):
    next(t for t in bundle.chain["shards"][0]["tensors"] if t["name"] == "layer_01_down")["name"] = "layer_01_up"
    bundle.redigest()
    found, run = failed(bundle, "structure")
    assert found == {"structure"} and "layer_01_up" in run.stdout


def test_structure_sees_a_package_too_large(bundle):
    bundle.chain["options"]["package_limit"] = bundle.chain["shards"][0]["bytes"]
    bundle.redigest()
    assert failed(bundle, "structure")[0] == {"structure"}


# ---- graph, layer golden, positions: what the programs compute


def replace_op(bundle, function, kind, other, shard=0):
    """Gives the last op of its kind in one function another name; operands and types stay good."""
    with bundle.program(shard) as model:
        ops = [op for op in bundle.operations(model, function) if op.type == kind]
        assert ops
        ops[-1].type = other
    bundle.redigest()


@pytest.mark.parametrize("function", ["decode", "prefill"])
@pytest.mark.parametrize("kind, other", [("silu", "tanh"), ("sub", "add")])
def test_graph_and_positions_see_a_wrong_op_in_either_function(bundle, function, kind, other):
    replace_op(bundle, function, kind, other)
    found, run = failed(bundle, "graph", "layer golden", "positions")
    assert found == {"graph", "layer golden", "positions"}, run.stdout


def test_layer_golden_sees_weights_that_are_not_the_sources(bundle):
    """The graph is right, so gate graph passes: it has the same wrong weights on both sides."""
    scale = bundle.weight("layer_01_down").scale
    scale[:40] *= np.float16(1.5)
    bundle.redigest()
    found, run = failed(bundle, "graph", "layer golden")
    assert found == {"layer golden"}, run.stdout


def test_layer_golden_sees_rows_in_the_wrong_order(bundle):
    weight = bundle.weight("layer_02_attn_out")
    for part in (weight.codes, weight.scale):
        part[:] = np.roll(part, 1, axis=0)
    bundle.redigest()
    assert failed(bundle, "graph", "layer golden")[0] == {"layer golden"}


# ---- head and text


def shift_head(bundle):
    weight = bundle.weight("head_0")
    for part in (weight.codes, weight.scale):
        part[:] = np.roll(part, 1, axis=0)


def mute_stop_id(bundle):
    bundle.weight("head_0").codes[END] = 0


@pytest.mark.parametrize("plant", [shift_head, mute_stop_id])
def test_head_and_text_see_a_wrong_head(bundle, plant):
    plant(bundle)
    bundle.redigest()
    found, run = failed(bundle, "graph", "head", "text")
    assert found == {"head", "text"}, run.stdout
    if plant is mute_stop_id:
        assert re.search(rf"head +reach .*token {END} is not", run.stdout)


# ---- no false alarm


def test_a_model_without_the_sharp_training_passes_all(tmp_path):
    done("convert", NATURAL, "-o", tmp_path / "m.lathe")
    run = done("verify", tmp_path / "m.lathe", "--model", NATURAL)
    assert "FAILED" not in run.stdout and (tmp_path / "m.lathe/seal.json").exists()
    assert {name for name in NAMES if re.search(rf"^{name} ", run.stdout, re.M)} == set(NAMES)
