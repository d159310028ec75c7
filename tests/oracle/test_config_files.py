"""The publisher's files by themselves: what they state twice must be the same, what is stated is understood or refused,
and what they do not say is not stated."""

import json
import subprocess

import pytest
from gguf_edit import edit
from test_agreement import CONFIG, HELLO, LATHE, TOKENIZER, compare, contradictions, inspect, lathe, template, without, write

# ---- stated twice

SCALING = CONFIG["rope_scaling"]
TWICE = {
    "two multipliers of logits": ({"logits_scaling": 8.0, "logit_scale": 8.0},
                                  "logit_scale is 0.125 (config.json: 1 / logits_scaling 8), but 8 (config.json: logit_scale 8)"),
    "two scales of scores": ({"attention_multiplier": 0.5, "query_pre_attn_scalar": 256},
                             "attn_scale is 0.5 (config.json: attention_multiplier 0.5), but 0.0625"),
    "two kinds": ({"rope_scaling": SCALING | {"rope_type": "yarn"}},
                  "rope_scaling is longrope (config.json: type longrope), but yarn (config.json: rope_type yarn)"),
    "two schemas": ({"rope_parameters": SCALING | {"rope_theta": 5e5}}, "key 'rope_theta': 500000.0 in rope_parameters, but 10000.0"),
    "two lists": ({"rope_parameters": SCALING | {"short_factor": [1.0] * 12}}, "key 'short_factor': [1.0,1.0"),
    "a factor that lengths are not": (
        {"rope_scaling": SCALING | {"factor": 32.0}},
        "'factor' is 32, but max_position_embeddings 4096 / original_max_position_embeddings 1024 is 4",
    ),
    "settings beside those of a layer type": (
        {"rope_scaling": None, "rope_parameters": {"full_attention": {"rope_type": "default"}, "rope_type": "yarn", "factor": 4.0}},
        "rope_parameters of 'full_attention' and 'rope_type' differ",
    ),
    "a layer type of nothing": (
        {"rope_scaling": None, "rope_parameters": {"full_attention": SCALING, "sliding_attention": None}},
        "rope_parameters of 'full_attention' and 'sliding_attention' differ",
    ),
    "a class of another type": ({"architectures": ["LlamaForCausalLM"]}, "the class of model_type phi3 is Phi3ForCausalLM"),
    "windows of no width": ({"layer_types": ["sliding_attention"] * 4, "sliding_window": None},
                            "sliding_attention, but key 'sliding_window' is absent"),
    "no windows of a width": ({"layer_types": ["full_attention"] * 4, "sliding_window": 512},
                              "full_attention, but config.json: sliding_window 512"),
    "layers of another count": ({"layer_types": ["full_attention"] * 3}, "expected a list with one kind for each layer"),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_one_file_must_agree_with_itself(name, tmp_path):
    change, message = TWICE[name]
    _, said = compare(tmp_path, HELLO, CONFIG | change, code=3)
    assert message in said


def together(folder, *, code, generation=None, tokenizer=None, jinja=None):
    options = ["--config", write(folder, CONFIG)]
    if generation:
        options += ["--generation-config", write(folder, generation, "generation_config.json")]
    if tokenizer:
        options += ["--tokenizer-config", write(folder, tokenizer, "tokenizer_config.json")]
    if jinja:
        (folder / "chat_template.jinja").write_text(jinja)
        options += ["--chat-template", folder / "chat_template.jinja"]
    return inspect(HELLO, *options, code=code)


def test_files_must_agree_with_each_other(tmp_path):
    _, said = together(tmp_path, code=3, generation={"bos_token_id": 5})
    assert "contradict each other: bos_id is 2016 (config.json: bos_token_id 2016), but 5 (generation_config.json: " in said
    _, said = together(tmp_path, code=3, tokenizer={"bos_token": "a"})
    assert 'but 64 (tokenizer_config.json: bos_token "a")' in said
    _, said = together(tmp_path, code=3, tokenizer={"chat_template": template()}, jinja="{{ messages }}")
    assert "template_digest is " in said and "(chat_template.jinja: the whole file)" in said
    told, _ = together(tmp_path, code=0, generation={"bos_token_id": 2016}, tokenizer={"bos_token": "<|endoftext|>"})
    assert contradictions(told) == []


def test_ends_of_an_answer_add_up(tmp_path):
    told, _ = together(tmp_path, code=0, generation={"eos_token_id": [2016]}, tokenizer={"eos_token": "<|end|>"})
    (row,) = [row for row in told["agreement"] if row["field"] == "stop_ids"]
    assert row["config"] == "2037 2016" and "note" not in row
    assert [part.split(":")[0] for part in row["config_from"].split(", ")] == [
        "config.json", "generation_config.json", "tokenizer_config.json"]  # fmt: skip


def test_both_schemas_with_one_meaning_agree(tmp_path):
    own = {key: value for key, value in SCALING.items() if key != "type"}
    for both in (
        CONFIG | {"rope_parameters": SCALING},
        CONFIG | {"rope_parameters": own | {"rope_type": "longrope", "rope_theta": 10000, "partial_rotary_factor": 0.75}},
        without("rope_theta") | {"rope_parameters": own | {"rope_type": "su", "rope_theta": 1e4}},
    ):
        assert contradictions(compare(tmp_path, HELLO, both)[0]) == []


# ---- stated and not understood

SWALLOWED = {
    "a factor without a kind": ({"rope_scaling": {"factor": 8.0}}, "'factor' is not known to lathe with rope scaling 'none'"),
    "a factor of a null kind": ({"rope_scaling": {"type": None, "factor": 8.0}}, "'factor' is not known"),
    "a factor of no scaling": ({"rope_scaling": {"type": "default", "factor": 8.0}}, "with rope scaling 'default'"),
    "settings in a list": ({"rope_scaling": [8.0]}, "expected an object of settings"),
    "no end": ({"eos_token_id": []}, "key 'eos_token_id': an empty list"),
    "layer types as a text": ({"layer_types": "full_attention"}, "key 'layer_types': expected a list"),
    "layers of a third kind": ({"layer_types": ["chunked_attention"] * 4}, "expected full_attention or sliding_attention"),
    "classes as a text": ({"architectures": "Phi3ForCausalLM"}, "key 'architectures': expected a list"),
    "biases of feed-forward": ({"mlp_bias": True}, "key 'mlp_bias': expected false"),
    "other layers' windows": ({"full_attn_mod": 2}, "key 'full_attn_mod': expected 1"),
}


@pytest.mark.parametrize("name", SWALLOWED)
def test_nothing_that_is_stated_is_dropped(name, tmp_path):
    change, message = SWALLOWED[name]
    _, said = compare(tmp_path, HELLO, CONFIG | change, code=3)
    assert message in said


@pytest.mark.parametrize(
    "change, message",
    [
        ({"eos_token": 2037}, "key 'eos_token': expected a token's text"),
        ({"bos_token": {"id": 5}}, "key 'bos_token': expected a token's text"),
        ({"added_tokens_decoder": [{"content": "<|end|>"}]}, "key 'added_tokens_decoder': expected an object"),
        ({"added_tokens_decoder": {"end": {"content": "<|end|>"}}}, "member 'end', expected a token id"),
        ({"added_tokens_decoder": {"2037": {}}}, "expected a token's text"),
        ({"chat_template": 5}, "key 'chat_template': expected a text"),
        ({"chat_template": [{"name": "tool_use", "template": "{{ tools }}"}]}, "a list with one named default"),
    ],
)
def test_nothing_of_the_tokenizer_is_dropped(change, message, tmp_path):
    _, said = inspect(HELLO, "--tokenizer-config", write(tmp_path, TOKENIZER | change), code=3)
    assert message in said


def test_a_class_alone_names_the_family(tmp_path):
    told, _ = compare(tmp_path, HELLO, without("model_type"))
    assert "config.json: architectures Phi3ForCausalLM" in [row["config_from"] for row in told["agreement"]]
    _, said = compare(tmp_path, HELLO, without("model_type") | {"architectures": ["MambaForCausalLM"]}, code=3)
    assert "key 'architectures': 'MambaForCausalLM', expected one of" in said


@pytest.mark.parametrize("key", ["eos_token", "bos_token"])
def test_a_token_that_the_vocabulary_lacks(key, tmp_path):
    told, said = inspect(HELLO, "--tokenizer-config", write(tmp_path, {key: "<|stop|>"}), code=1)
    assert contradictions(told) == ["added_tokens"] and f'the vocabulary has no {key} "<|stop|>"' in said


# ---- not stated

@pytest.mark.parametrize("key, silent", [
    ("max_position_embeddings", {"context", "attn_factor"}),
    ("original_max_position_embeddings", {"original_context", "attn_factor"}),
])  # fmt: skip
def test_what_is_absent_is_not_made_up(key, silent, tmp_path):
    told, _ = compare(tmp_path, HELLO, without(key))
    rows = {row["field"]: row for row in told["agreement"]}
    assert all(rows[field]["verdict"] == "only the GGUF says" for field in silent)
    assert not any(f": {key} " in row["config_from"] for row in told["agreement"])


# ---- ids

def test_more_ends_than_the_publisher_lists_are_named(tmp_path):
    told, _ = compare(tmp_path, HELLO, CONFIG)
    (row,) = [row for row in told["agreement"] if row["field"] == "stop_ids"]
    assert row["verdict"] == "agree" and row["note"] == 'the GGUF also ends an answer at 2016 "<|endoftext|>"'
    run = subprocess.run([LATHE, "inspect", HELLO, "--config", tmp_path / "config.json"], capture_output=True)
    assert b'agree: the GGUF also ends an answer at 2016 "<|endoftext|>"' in run.stdout


@pytest.mark.parametrize("key", ["eos", "eot", "eom"])
def test_text_ends_no_answer(key, tmp_path):
    model = edit(HELLO, tmp_path / "m.gguf", {f"tokenizer.ggml.{key}_token_id": 64})
    _, said = inspect(model, code=3)
    assert f"'tokenizer.ggml.{key}_token_id': token 64 \"a\" is ordinary text" in said
    assert lathe("convert", model, "-o", tmp_path / "out.lathe")[0] == 3


def test_bos_counts_where_a_text_begins_with_it(tmp_path):
    """By the tokenizer or by the template, which `lathe template` fills in; where neither does, it means nothing."""
    unused = edit(HELLO, tmp_path / "a.gguf", {"tokenizer.ggml.bos_token_id": 5})
    told, _ = compare(tmp_path, unused, CONFIG)
    (row,) = [row for row in told["agreement"] if row["field"] == "bos_id"]
    assert row["verdict"] == "not comparable" and row["note"] == "no text begins with it"
    by_template = edit(HELLO, tmp_path / "b.gguf", {"tokenizer.ggml.bos_token_id": 5,
                                                    "tokenizer.chat_template": "{{ bos_token }}" + template()})  # fmt: skip
    assert contradictions(compare(tmp_path, by_template, CONFIG, code=1)[0]) == ["bos_id"]


# ---- the template in a file of its own

def test_chat_template_of_its_own(tmp_path):
    path = tmp_path / "chat_template.jinja"
    path.write_text(template())
    told, _ = inspect(HELLO, "--chat-template", path)
    assert [row["field"] for row in told["agreement"] if row["verdict"] == "agree"] == ["template_digest"]
    path.write_text(template().replace("<|user|>", "<|human|>").replace("role", "rôle", 1))
    told, said = inspect(HELLO, "--chat-template", path, code=1)
    assert contradictions(told) == ["template_digest"] and "(chat_template.jinja: the whole file)" in said
    code, _, why = lathe("convert", HELLO, "-o", tmp_path / "out.lathe", "--chat-template", path)
    assert code == 1 and "template_digest" in why
    code, said, _ = lathe("verify", HELLO, "--gates", "contract", "--chat-template", path)
    assert code == 1 and "template_digest" in said
    assert "nowhere.jinja" in inspect(HELLO, "--chat-template", tmp_path / "nowhere.jinja", code=4)[1]


# ---- words

def test_names_of_keys_do_not_reach_the_terminal_raw(tmp_path):
    code, said, _ = lathe("inspect", HELLO, "--config", write(tmp_path, {"\x1b[2J\n": None}))
    assert code == 1 and "config.json: ?[2J?" in said and "\x1b" not in said


def test_divisors_of_an_unknown_width_are_not_stated(tmp_path):
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 1024}  # fmt: skip
    told, _ = compare(tmp_path, HELLO, {"rope_scaling": scaling}, code=1)
    assert "rope_scaling" in contradictions(told) and "rope_freq_factors" not in contradictions(told)


ESCAPES = "\x1b[31m\n\x7f\u009b<|end|>"


def test_tokens_do_not_reach_the_terminal_raw(tmp_path):
    config = write(tmp_path, {"bos_token": ESCAPES, "added_tokens_decoder": {"2037": {"content": ESCAPES}}})
    for command in (["inspect", HELLO], ["verify", HELLO, "--gates", "contract"], ["convert", HELLO, "-o", tmp_path / "o.lathe"]):
        code, said, why = lathe(*command, "--tokenizer-config", config)
        assert code == 1 and not set(said + why) & {"\x1b", "\x7f", "\u009b"} 
        assert why.count("\n") == (2 if "ran 1 gate in" in why else 1)
    known = edit(HELLO, tmp_path / "m.gguf", {"tokenizer.ggml.tokens": tokens()[:-1] + [ESCAPES]})
    code, said, why = lathe("inspect", known, "--tokenizer-config", write(tmp_path, {"bos_token": ESCAPES}))
    assert code == 0 and not set(said + why) & {"\x1b", "\x7f", "\u009b"}
    assert 'bos_token "\\u001B[31m\\n\\u007F\\u009B<|end|>"' in said


def tokens():
    import gguf

    return gguf.GGUFReader(HELLO).fields["tokenizer.ggml.tokens"].contents()


def test_one_contradiction_is_one(tmp_path):
    _, said = compare(tmp_path, HELLO, CONFIG | {"rms_norm_eps": 1e-6}, code=1)
    assert ": 1 contradiction; norm_eps is" in said
    _, said = compare(tmp_path, HELLO, CONFIG | {"rms_norm_eps": 1e-6, "intermediate_size": 768}, code=1)
    assert ": 2 contradictions; d_ff is" in said


def test_a_published_contract_says_the_way_out(tmp_path):
    keys = {"general.name": "Phi-4-mini-instruct", "general.basename": "Phi-4", "general.size_label": "mini",
            "general.finetune": "instruct"}  # fmt: skip
    model = edit(HELLO, tmp_path / "m.gguf", keys)
    _, said = inspect(model, code=1)
    assert "published phi-4-mini" in said and "give its own config.json: --config config.json" in said
    code, said, _ = lathe("verify", model, "--gates", "contract")
    assert code == 1 and "give its own config.json: --config config.json" in said
    _, said = inspect(model, "--config", write(tmp_path, CONFIG | {"rms_norm_eps": 1e-6}), code=1)
    assert "config.json: rms_norm_eps" in said and "give its own config.json" not in said
    inspect(model, "--config", write(tmp_path, CONFIG))  # and the way leads out
