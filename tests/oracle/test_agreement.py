"""`lathe inspect MODEL --config …`: two files that share no writer, field by field. A contradiction exits 1 and names
both sources; a key that is not understood exits 3."""

import json
import math
import subprocess

import pytest
from configs import CONFIG, LLAMA, LLAMA3, YARN
from gguf_edit import edit
from random_models import RandomModel, rope_freqs
from tokenizer_oracle import LATHE, MODELS

HELLO = MODELS / "hello-phi3-q8_0.gguf"


def inspect(model, *options, code=0):
    run = subprocess.run([LATHE, "inspect", model, *options, "--json"], capture_output=True, timeout=60)
    assert run.returncode == code, run.stderr.decode()
    assert run.stderr.count(b"\n") == (code != 0), run.stderr.decode()
    return (json.loads(run.stdout) if run.stdout else None), run.stderr.decode()


def write(folder, content, name="config.json"):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def contradictions(told):
    return [row["field"] for row in told["agreement"] if row["verdict"] == "contradict"]


def compare(folder, model, config, code=0):
    return inspect(model, "--config", write(folder, config), code=code)


def test_hello_agrees_in_full():
    told, _ = inspect(HELLO, "--config", MODELS / "hello-config.json")
    assert contradictions(told) == []
    assert sum(row["verdict"] == "agree" for row in told["agreement"]) == 30
    assert [row["field"] for row in told["agreement"]] == list(told["contract"])


def test_text_form_says_the_same():
    run = subprocess.run([LATHE, "inspect", HELLO, "--config", MODELS / "hello-config.json"], capture_output=True)
    assert run.returncode == 0 and b"30 agree, 0 contradict" in run.stdout


# ---- the GGUF altered: field, keys, tensors

FACTORS_16 = {name: [1 + i / 8 for i in range(16)] for name in ("rope_factors_short.weight", "rope_factors_long.weight")}
ALTERED = {
    "rope_dim": ({"phi3.rope.dimension_count": 32}, FACTORS_16),  # the seed's own case: the whole head
    "attn_factor": ({"phi3.rope.scaling.attn_factor": 1.0}, {}),  # and the one still hidden behind it
    "rope_base": ({"phi3.rope.freq_base": 100000.0}, {}),
    "norm_eps": ({"phi3.attention.layer_norm_rms_epsilon": 1e-6}, {}),
    "n_heads": ({"phi3.attention.head_count": 8, "phi3.attention.head_count_kv": 4, "phi3.rope.dimension_count": 16},
                {name: [1.0] * 8 for name in FACTORS_16}),
    "context": ({"phi3.context_length": 8192}, {}),
    "original_context": ({"phi3.rope.scaling.original_context_length": 2048}, {}),
    "attn_window": ({"phi3.attention.sliding_window": 512}, {}),
    "rope_factors_short": ({}, {"rope_factors_short.weight": [1.0] * 12}),
    "rope_factors_long": ({}, {"rope_factors_long.weight": CONFIG["rope_scaling"]["long_factor"][:-1] + [8.01]}),
}  # fmt: skip


@pytest.mark.parametrize("field", ALTERED)
def test_altered_gguf_is_contradicted(field, tmp_path):
    keys, tensors = ALTERED[field]
    model = edit(HELLO, tmp_path / "m.gguf", keys, tensors)
    told, said = compare(tmp_path, model, CONFIG, code=1)
    assert field in contradictions(told)
    assert "config.json: " in said and ("key: " in said or "tensor: " in said or "derived: " in said)


def test_lists_that_begin_alike_are_told_apart(tmp_path):
    """A line shows the beginning of a list, which may be the same on both sides."""
    for field, says in (("rope_dim", "16 factors against 12"), ("rope_factors_long", "factor 12 of 12 is 8.01 against 8")):
        model = edit(HELLO, tmp_path / "m.gguf", *ALTERED[field])
        run = subprocess.run([LATHE, "verify", model, "--gates", "contract", "--config", MODELS / "hello-config.json"],
                             capture_output=True, text=True, timeout=120)  # fmt: skip
        assert any(says in line and line.endswith("FAILED") for line in run.stdout.splitlines()), run.stdout
    assert says in inspect(model, "--config", MODELS / "hello-config.json", code=1)[1]


def test_dropped_attention_factor_is_derived_and_agrees(tmp_path):
    """Nothing is lost: the rule gives what the publisher's settings give."""
    model = edit(HELLO, tmp_path / "m.gguf", {"phi3.rope.scaling.attn_factor": None})
    told, _ = compare(tmp_path, model, CONFIG)
    assert told["sources"]["attn_factor"]["kind"] == "derived"


# ---- the config altered

CONFIGS = {
    "n_layers": {"num_hidden_layers": 5},
    "d_model": {"hidden_size": 96},
    "n_kv_heads": {"num_key_value_heads": 4},
    "d_ff": {"intermediate_size": 768},
    "n_vocab": {"vocab_size": 2056},
    "head_dim": {"head_dim": 40},
    "rope_dim": {"partial_rotary_factor": 1.0},
    "rope_base": {"rope_theta": 500000.0},
    "norm_eps": {"rms_norm_eps": 1e-6},
    "attn_window": {"sliding_window": 2047},
    "is_head_tied": {"tie_word_embeddings": False},
    "activation": {"hidden_act": "gelu_pytorch_tanh"},
    "logit_scale": {"logits_scaling": 8.0},
    "residual_scale": {"residual_multiplier": 0.22},
    "embedding_scale": {"embedding_multiplier": 12.0},
    "attn_scale": {"attention_multiplier": 0.0078125},
    "attn_softcap": {"attn_logit_softcapping": 50.0},
    "stop_ids": {"eos_token_id": [2037, 2038]},
    "attn_factor": {"rope_scaling": CONFIG["rope_scaling"] | {"attention_factor": 1.19}},
    "rope_scaling": {"rope_scaling": None},
    "architecture": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
}


@pytest.mark.parametrize("field", CONFIGS)
def test_altered_config_is_contradicted(field, tmp_path):
    told, _ = compare(tmp_path, HELLO, CONFIG | CONFIGS[field], code=1)
    assert field in contradictions(told)


@pytest.mark.parametrize(
    "key, stated, field, meant",
    [
        ("logits_scaling", 8.0, "logit_scale", 0.125),  # Granite divides by it
        ("logit_scale", 0.0625, "logit_scale", 0.0625),  # Cohere multiplies by it
        ("query_pre_attn_scalar", 256.0, "attn_scale", 0.0625),  # Gemma divides by its root
        ("attention_multiplier", 0.5, "attn_scale", 0.5),
    ],
)
def test_multipliers_have_a_direction(key, stated, field, meant, tmp_path):
    told, _ = compare(tmp_path, HELLO, CONFIG | {key: stated}, code=1)
    (row,) = [row for row in told["agreement"] if row["field"] == field]
    assert float(row["config"]) == meant and key in row["config_from"]


def without(*names):
    return {key: value for key, value in CONFIG.items() if key not in names}


def test_same_meaning_in_other_words_agrees(tmp_path):
    scaling = {key: value for key, value in CONFIG["rope_scaling"].items() if key != "type"}
    parameters = scaling | {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}
    new = without("rope_scaling", "rope_theta", "partial_rotary_factor") | {"rope_parameters": parameters}
    by_layer = new | {"rope_parameters": {"full_attention": parameters, "sliding_attention": parameters}}
    factor = math.sqrt(1 + math.log(4) / math.log(1024))
    same = [
        new,
        by_layer,
        CONFIG | {"rope_scaling": scaling | {"type": "su"}},
        CONFIG | {"rope_scaling": CONFIG["rope_scaling"] | {"attention_factor": factor}},
        CONFIG | {"rope_scaling": CONFIG["rope_scaling"] | {"short_mscale": factor, "long_mscale": factor}},
        CONFIG | {"sliding_window": None},  # 262144 hides nothing of 4096
        CONFIG | {"sliding_window": 512, "use_sliding_window": False},
        CONFIG | {"head_dim": 32},
        CONFIG | {"logits_scaling": 1.0},
        CONFIG | {"eos_token_id": [2037, 2016]},
        CONFIG | {"layer_types": ["full_attention"] * 4},
        without("rope_theta"),  # transformers has 10000
    ]
    for config in same:
        told, _ = compare(tmp_path, HELLO, config)
        assert contradictions(told) == []


REFUSED = {
    "unknown key": ({"logit_temperature": 2.0}, "key 'logit_temperature': lathe does not know it"),
    "unknown rotary setting": ({"rope_scaling": CONFIG["rope_scaling"] | {"spin": 1}}, "rotary setting 'spin' is not known"),
    "unknown scaling": ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope scaling 'dynamic' is not known"),
    "unknown family": ({"model_type": "mamba"}, "key 'model_type': 'mamba', expected one of"),
    "class of another family": ({"architectures": ["GraniteForCausalLM"]}, "is Phi3ForCausalLM"),
    "layers of two kinds": ({"layer_types": ["full_attention", "sliding_attention"] * 2}, "layers 0 and 1 differ"),
    "two rotations": (
        {"rope_scaling": None, "rope_parameters": {"a": {"rope_type": "default"}, "b": {"rope_type": "yarn"}}},
        "rope_parameters of 'a' and 'b' differ",
    ),
    "two bases": ({"rope_parameters": CONFIG["rope_scaling"], "rope_scaling": {"type": "yarn"}},
                  "key 'type': \"longrope\" in rope_parameters, but \"yarn\" elsewhere in the file"),
    "two attention factors": (
        {"rope_scaling": CONFIG["rope_scaling"] | {"short_mscale": 1.1, "long_mscale": 1.2}},
        "short_mscale 1.1 and long_mscale 1.2 differ",
    ),
    "biases in feed-forward": ({"mlp_bias": True}, "key 'mlp_bias': expected false, the only value that lathe computes"),
    "activation": ({"hidden_act": "relu"}, "key 'hidden_act': 'relu'"),
    "a string for a number": ({"hidden_size": "128"}, "key 'hidden_size': expected a number"),
    "half a layer": ({"num_hidden_layers": 4.5}, "expected a whole number"),
    "no layer": ({"num_hidden_layers": 0}, "expected a whole number"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(name, tmp_path):
    change, message = REFUSED[name]
    _, said = compare(tmp_path, HELLO, CONFIG | change, code=3)
    assert "config.json: " in said and message in said


def test_broken_files(tmp_path):
    for text, message in (("{", "line 1"), ("[]", "expected a JSON object"), ('{"a": 1, "a": 2}', "duplicate")):
        (tmp_path / "config.json").write_text(text)
        assert message in inspect(HELLO, "--config", tmp_path / "config.json", code=3)[1]
    assert "nowhere.json" in inspect(HELLO, "--config", tmp_path / "nowhere.json", code=4)[1]


# ---- llama: divisors recomputed, linear, yarn

def test_llama3_divisors_are_recomputed(tmp_path):
    factors = rope_freqs(24, 500.0, 8.0, 1.0, 4.0, 64)
    model = RandomModel("llama", tensors={"rope_freqs.weight": factors}).write(tmp_path / "m.gguf")
    told, _ = compare(tmp_path, model, LLAMA | {"rope_scaling": LLAMA3})
    assert contradictions(told) == []
    for change in ({"factor": 32.0}, {"low_freq_factor": 2.0}, {"high_freq_factor": 8.0}, {"original_max_position_embeddings": 128}):
        told, _ = compare(tmp_path, model, LLAMA | {"rope_scaling": LLAMA3 | change}, code=1)
        assert contradictions(told) == ["rope_freq_factors"], change


def test_lost_scalings_are_seen(tmp_path):
    """A GGUF that says nothing of its stretch reads well up to the original context."""
    model = RandomModel("llama").write(tmp_path / "m.gguf")
    assert contradictions(compare(tmp_path, model, LLAMA)[0]) == []
    for scaling in (LLAMA3, YARN, {"type": "linear", "factor": 4.0}):
        told, _ = compare(tmp_path, model, LLAMA | {"rope_scaling": scaling}, code=1)
        assert "rope_scaling" in contradictions(told)


def test_yarn_and_linear_agree(tmp_path):
    keys = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
    model = RandomModel("llama", keys=keys).write(tmp_path / "m.gguf")
    assert contradictions(compare(tmp_path, model, LLAMA | {"rope_scaling": YARN})[0]) == []
    told, _ = compare(tmp_path, model, LLAMA | {"rope_scaling": YARN | {"attention_factor": 1.0}}, code=1)
    assert contradictions(told) == ["attn_factor"]
    model = RandomModel("llama", keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}).write(tmp_path / "l.gguf")
    assert contradictions(compare(tmp_path, model, LLAMA | {"rope_scaling": {"type": "linear", "factor": 4.0}})[0]) == []


def test_windows_of_mistral(tmp_path):
    """Its class has 4096 where the key is absent; a GGUF of llama architecture says nothing of it."""
    model = RandomModel("llama", context=8192).write(tmp_path / "m.gguf")
    mistral = LLAMA | {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "max_position_embeddings": 8192}
    assert contradictions(compare(tmp_path, model, mistral, code=1)[0]) == ["attn_window"]
    assert contradictions(compare(tmp_path, model, mistral | {"sliding_window": None})[0]) == []


# ---- text: generation_config.json, tokenizer_config.json

def test_generation_config(tmp_path):
    told, _ = inspect(HELLO, "--generation-config", write(tmp_path, {"eos_token_id": [2037, 2016], "do_sample": True}))
    assert contradictions(told) == []
    told, said = inspect(HELLO, "--generation-config", write(tmp_path, {"eos_token_id": [2037, 2040]}, "g.json"), code=1)
    assert contradictions(told) == ["stop_ids"] and "g.json: eos_token_id" in said
    _, said = inspect(HELLO, "--generation-config", write(tmp_path, {"suppress_tokens": [1]}), code=3)
    assert "key 'suppress_tokens'" in said


def template():
    import gguf

    return gguf.GGUFReader(HELLO).fields["tokenizer.chat_template"].contents()


TOKENIZER = {
    "add_bos_token": False, "add_eos_token": False, "bos_token": "<|endoftext|>", "eos_token": {"content": "<|end|>"},
    "tokenizer_class": "GPT2Tokenizer",
    "added_tokens_decoder": {"2037": {"content": "<|end|>", "special": True}, "2038": {"content": "<|user|>", "special": True}},
}  # fmt: skip


def test_tokenizer_config(tmp_path):
    told, _ = inspect(HELLO, "--tokenizer-config", write(tmp_path, TOKENIZER | {"chat_template": template()}))
    assert contradictions(told) == []
    agreed = {row["field"] for row in told["agreement"] if row["verdict"] == "agree"}
    assert agreed == {"adds_bos", "adds_eos", "bos_id", "stop_ids", "template_digest", "added_tokens"}


@pytest.mark.parametrize(
    "field, change",
    [
        ("adds_bos", {"add_bos_token": True}),
        ("adds_eos", {"add_eos_token": True}),
        ("template_digest", {"chat_template": "{{ messages }}"}),
        ("stop_ids", {"eos_token": "<|assistant|>"}),
        ("added_tokens", {"added_tokens_decoder": {"2037": {"content": "<|stop|>", "special": True}}}),
        ("added_tokens", {"added_tokens_decoder": {"9999": {"content": "<|end|>", "special": True}}}),
        ("added_tokens", {"added_tokens_decoder": {"64": {"content": "a", "special": True}}}),  # a control token typed normal
    ],
)
def test_altered_tokenizer_config(field, change, tmp_path):
    told, _ = inspect(HELLO, "--tokenizer-config", write(tmp_path, TOKENIZER | change), code=1)
    assert contradictions(told) == [field]


# ---- convert and verify


def lathe(*arguments):
    run = subprocess.run([LATHE, *arguments], capture_output=True, timeout=120)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


@pytest.mark.parametrize("field", ["rope_dim", "attn_factor"])
def test_seeds_case_is_not_converted(field, tmp_path):
    """Compiler, reference and runtime would all read the file's number: nothing else could object."""
    model = edit(HELLO, tmp_path / "m.gguf", *ALTERED[field])
    out = tmp_path / "out.lathe"
    code, said, why = lathe("convert", model, "-o", out, "--config", MODELS / "hello-config.json")
    assert code == 1 and said == "" and "hello-config.json: " in why and why.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.gguf"]
    code, said, _ = lathe("verify", model, "--gates", "contract", "--config", MODELS / "hello-config.json")
    (line,) = [line for line in said.splitlines() if line.split()[1] == field]
    assert code == 1 and line.endswith("FAILED") and "key: phi3." in line and "hello-config.json: " in line


def test_true_model_is_converted_and_its_gate_says_so(tmp_path):
    out = tmp_path / "out.lathe"
    config = ("--config", MODELS / "hello-config.json")
    assert lathe("convert", HELLO, "-o", out, "--range", "off", *config)[0] == 0
    code, said, _ = lathe("verify", out, "--model", HELLO, "--gates", "contract", "--verbose", *config)
    assert code == 0 and "30 fields agree, 0 contradict" in said
    wrong = write(tmp_path, CONFIG | {"partial_rotary_factor": 1.0})
    code, said, _ = lathe("verify", out, "--model", HELLO, "--gates", "contract", "--config", wrong)
    assert code == 1 and "rope_dim" in said and "FAILED" in said


def test_a_config_that_is_not_understood_stops_both(tmp_path):
    config = write(tmp_path, CONFIG | {"logit_temperature": 2.0})
    code, _, why = lathe("convert", HELLO, "-o", tmp_path / "out.lathe", "--config", config)
    assert code == 3 and "logit_temperature" in why and not (tmp_path / "out.lathe").exists()
    code, _, why = lathe("verify", HELLO, "--gates", "contract", "--config", config)
    assert code == 3 and "logit_temperature" in why


def test_a_second_source_that_says_nothing_proves_nothing(tmp_path):
    for option in ("--generation-config", "--tokenizer-config"):
        code, said, _ = lathe("verify", HELLO, "--gates", "contract", option, write(tmp_path, {}))
        assert code == 1 and "0 fields agree, 0 contradict; the files state no field that can be compared" in said, said


def test_a_contradiction_is_cut_between_characters(tmp_path):
    """A line shows 60 bytes of a value; half a character is no text, and JSON that refuses it would lose the result."""
    out = tmp_path / "out.lathe"
    assert lathe("convert", HELLO, "-o", out, "--range", "off")[0] == 0
    for pad in range(3):  # wherever the 60th byte falls
        tokens = {"added_tokens_decoder": {"9999": {"content": "x" * pad + "列車は遅れている" * 9, "special": True}}}
        config = write(tmp_path, tokens, "tokenizer_config.json")
        code, _, _ = lathe("verify", out, "--model", HELLO, "--gates", "contract", "--tokenizer-config", config)
        results = json.loads((out / "verify" / "report.json").read_text())["gates"]["contract"]
        assert code == 1 and [r["scope"] for r in results if not r["passed"]] == ["added_tokens", "publisher"]
        (text,) = [r["text"] for r in results if r["scope"] == "added_tokens"]
        assert "token 9999 \"" in text and "遅れている" * 9 not in text
