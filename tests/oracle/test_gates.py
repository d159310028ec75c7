"""For each gate a fault on disk, behind every digest, that this gate must see; and none where there is none.

Faults of the vote, of residency and of range stand in their own files; errors of the compiler and the host are the mutants'
(test_mutants.py). Here the bundle itself is wrong: a weight, an op, a key, a digest."""

import json
import re

import numpy as np
import pytest
import random_models
from bundle_edit import BundleEdit, rewrite_gguf
from command import HELLO, HELLO_F16, NATURAL, done, lathe
from gates_table import NAMES
from gguf_edit import edit
from planted import planted

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


# ---- the seal


def test_a_few_gates_that_pass_leave_the_seal(bundle):
    run = done("verify", bundle.path, "--model", HELLO, "--gates", "contract,residency")
    assert "these gates passed; the bundle is sealed" in run.stdout
    assert done("chat", bundle.path, "--model", HELLO, "-p", "hi", "--max-tokens", "2").stdout


def test_one_that_fails_takes_the_seal(bundle, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "phi3", "num_hidden_layers": 5}))
    run = lathe("verify", bundle.path, "--model", HELLO, "--gates", "contract", "--config", config)
    assert run.returncode == 1 and not (bundle.path / "seal.json").exists()
    assert "Not proved" in (bundle.path / "verify" / "report.html").read_text()


def test_a_run_that_breaks_off_leaves_no_page_that_says_proved(tmp_path):
    model = edit(HELLO, tmp_path / "m.gguf", {"tokenizer.chat_template": "{{ raise_exception('no') }}"})
    done("convert", model, "-o", tmp_path / "m.lathe", "--range", "off")
    page = tmp_path / "m.lathe" / "verify" / "report.html"
    page.write_text("proved, once")
    run = lathe("verify", tmp_path / "m.lathe")
    assert run.returncode == 3 and "gate 'vote' could not run" in run.stderr and not page.exists()


def test_a_seal_over_other_bytes_does_not_count(bundle):
    seal = (bundle.path / "seal.json").read_bytes()
    another_template(bundle)
    bundle.redigest()
    (bundle.path / "seal.json").write_bytes(seal)
    run = done("verify", bundle.path, "--model", HELLO, "--gates", "residency")
    assert "run all gates to seal" in run.stdout
    assert "Proved" not in (bundle.path / "verify/report.html").read_text()
    assert lathe("chat", bundle.path, "--model", HELLO, "-p", "hi").returncode == 5


# ---- contract


def another_template(bundle):
    bundle.host_key("tokenizer.chat_template")[0][-1] ^= 1


def a_key_more(bundle):
    """What a vocabulary means without the key is not what it means with it."""
    host = bundle.path / "host.gguf"
    rewrite_gguf(host, bundle.path / "new.gguf", {"tokenizer.ggml.add_space_prefix": True}).replace(host)


def another_embedding(bundle):
    bundle.host_tensor("token_embd.weight")[5] ^= 1


@pytest.mark.parametrize("plant, says", [(another_template, "key 'tokenizer.chat_template' differs from the source's"),
                                         (a_key_more, "key 'tokenizer.ggml.add_space_prefix' differs from the source's"),
                                         (another_embedding, "tensor 'token_embd.weight' differs from the source's")])
def test_contract_sees_a_host_file_that_is_not_the_sources(bundle, plant, says):
    plant(bundle)
    bundle.redigest()
    found, run = failed(bundle, "contract")
    assert found == {"contract"} and says in run.stdout


def test_another_source_is_seen_before_gates_run(bundle, tmp_path):
    other = rewrite_gguf(HELLO, tmp_path / HELLO.name, {"general.name": "somebody else"})
    bundle.set_source(other)
    run = lathe("verify", bundle.path, "--model", HELLO)
    assert run.returncode == 1 and run.stdout == "" and f"is another file than {bundle.path} was converted from" in run.stderr


def test_contract_sees_another_contract(tmp_path):
    """A bundle of a misread model that says it was made of the true one."""
    other = rewrite_gguf(HELLO, tmp_path / HELLO.name, {"phi3.attention.layer_norm_rms_epsilon": 1e-3})
    done("convert", other, "-o", tmp_path / "bad.lathe")
    bundle = BundleEdit(tmp_path / "bad.lathe")
    bundle.set_source(HELLO)
    found, run = failed(bundle, "contract")
    assert found == {"contract"} and re.search(r"the source's contract has sha256 \w{16}…, expected the bundle's", run.stdout)


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


def report_of(bundle, gate):
    return json.loads((bundle.path / "verify/report.json").read_text())["gates"][gate]


def test_a_scale_that_is_not_a_number_is_named_and_nothing_passes_on_it(bundle):
    """Row 5 of gate in layer 3; every figure that has no number is null, not an object without members."""
    bundle.weight("layer_03_gate_up").scale[5] = np.nan
    bundle.redigest()
    found, run = failed(bundle, "layer golden", "positions", "text")
    assert found == {"layer golden", "positions", "text"}, run.stdout
    assert re.search(r"layer golden +weights +1 rows .*; layer 3 gate row 5 has nan, which fp16 cannot hold", run.stdout)
    # A session refuses what is not finite, so that no answer is compared at all.
    (line,) = [r for r in report_of(bundle, "text") if not r["passed"]]
    assert "are not finite in cpu (fp16)" in line["text"], line
    for gate in ("layer golden", "positions"):
        assert all(r["figures"] for r in report_of(bundle, gate)), gate


def test_weights_beyond_fp16_do_not_pass_though_they_are_the_sources(tmp_path):
    """W_down 2^18 times larger, W_up as much smaller: a code times its scale is the source's weight, and beyond 65504."""
    model = planted(HELLO_F16, tmp_path / "m.gguf", up={3: 2.0**-18})
    done("convert", HELLO_F16, "-o", tmp_path / "m.lathe", "--range", "off")
    bundle = BundleEdit(tmp_path / "m.lathe")
    bundle.weight("layer_03_down").scale[:] *= np.float16(2.0**9)
    bundle.weight("layer_03_down").scale[:] *= np.float16(2.0**9)
    gate_up = bundle.weight("layer_03_gate_up")
    up = slice(len(gate_up.scale) // 2, None)
    gate_up.codes[up], gate_up.scale[up] = 0, 2.0**-14  # what is left of W_up rounds to zero
    bundle.set_source(model)
    run = lathe("verify", bundle.path, "--model", model, "--gates", "layer-golden,range")
    assert run.returncode == 1, run.stdout
    assert re.search(r"range +layer_03_down_y +reads a weight that is not finite in fp16.*FAILED", run.stdout), run.stdout
    assert re.search(r"weights +\d+ rows .*; layer 3 down row \d+ has -?(6[6-9]|[7-9]\d|[1-9]\d\d)\d{3}(\.\d+)?, which fp16 cannot hold",
                     run.stdout), run.stdout
    # And no such bundle is made.
    run = lathe("convert", model, "-o", tmp_path / "n.lathe", "--range", "off")
    assert run.returncode == 3 and "'blk.3.ffn_down.weight'" in run.stderr and "--range auto" in run.stderr, run.stderr
    # Conditioning brings W_down back. Of W_up int8 has little left, which layer golden would say.
    done("convert", model, "-o", tmp_path / "n.lathe", "--range", "auto")
    done("verify", tmp_path / "n.lathe", "--model", model, "--gates", "graph,range")


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
        assert re.search(rf"head +reach .*but not token {END}", run.stdout)


# ---- no false alarm


def test_a_model_without_the_sharp_training_passes_all(tmp_path):
    done("convert", NATURAL, "-o", tmp_path / "m.lathe")
    run = done("verify", tmp_path / "m.lathe", "--model", NATURAL)
    assert "FAILED" not in run.stdout and (tmp_path / "m.lathe/seal.json").exists()
    assert {name for name in NAMES if re.search(rf"^{name} ", run.stdout, re.M)} == set(NAMES)
