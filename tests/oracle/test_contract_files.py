"""The files of contracts/ as data: their written schema, the equations between their members, transformers' words for
them. Architectures that lathe knows and does not read are refused with the reason."""

import copy
import datetime
import json
import re

import gguf
import jsonschema
import pytest
from command import ROOT, lathe
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

SCHEMA = json.loads((ROOT / "docs/contracts.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
READ = sorted((ROOT / "contracts").glob("*.json"))
CONTRACTS = {path.stem: json.loads(path.read_text()) for path in READ}


# ---- what is wrong with a contract, in words


def head_dim(config):
    return config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])


def n_parameters(config):
    """Every tensor of the family's class in transformers: Qwen2 adds biases to q, k and v, Qwen3 a norm to q and to k."""
    d, wide = config["hidden_size"], config["num_attention_heads"] * head_dim(config)
    narrow = config["num_key_value_heads"] * head_dim(config)
    attention = d * wide + 2 * d * narrow + wide * d
    attention += {"qwen2": wide + 2 * narrow, "qwen3": 2 * head_dim(config)}.get(config["model_type"], 0)
    layer = attention + 3 * d * config["intermediate_size"] + 2 * d
    tables = 1 if config["tie_word_embeddings"] else 2
    return tables * config["vocab_size"] * d + config["num_hidden_layers"] * layer + d


def rope_problems(config):
    scaling, context = config.get("rope_scaling") or {}, config["max_position_embeddings"]
    width = head_dim(config) * config.get("partial_rotary_factor", 1)
    if width % 2:
        yield f"rotary width: {width} is no whole number of pairs"
    for name in ("long_factor", "short_factor"):
        factors = scaling.get(name)
        if factors and len(factors) != width / 2:
            yield f"{name}: {len(factors)} factors for {width} rotated values"
        if factors and factors != sorted(factors):
            yield f"{name}: falls, and LongRoPE's search lets no factor be less than the one before"
    if "long_factor" in scaling and config["original_max_position_embeddings"] >= context:
        yield "original_max_position_embeddings: not below the context that LongRoPE reaches"
    if "factor" in scaling:
        if scaling["low_freq_factor"] >= scaling["high_freq_factor"]:
            yield "low_freq_factor: not below high_freq_factor"
        if scaling["original_max_position_embeddings"] >= context:
            yield "original_max_position_embeddings: not below the context that llama3 reaches"


def equation_problems(contract):
    config = contract["config"]
    if config["num_attention_heads"] % config["num_key_value_heads"]:
        yield "num_key_value_heads: does not divide num_attention_heads"
    if "head_dim" not in config and config["hidden_size"] % config["num_attention_heads"]:
        yield "head_dim: absent, and num_attention_heads does not divide hidden_size"
    yield from rope_problems(config)
    if "parameters" in contract and n_parameters(config) != contract["parameters"]:
        yield f"parameters: the shapes have {n_parameters(config)}"
    for source in contract["sources"]:
        try:
            datetime.date.fromisoformat(source["date"])
        except ValueError:
            yield f"date: {source['date']} is no day"


def class_problems(config):
    """Keys are config.json's own words: the family's class has each, and keeps its value."""
    family = CONFIG_MAPPING[config["model_type"]]
    known, kept = family(), family(**copy.deepcopy(config))
    for key, value in config.items():
        if key in ("rope_theta", "partial_rotary_factor"):
            found = kept.rope_parameters.get(key)
        elif key == "rope_scaling":
            found = {k: kept.rope_parameters.get(k) for k in value} if value else value
        elif not hasattr(known, key):
            found = False  # a key nobody looks at may deny something, and not demand it
        else:
            found = getattr(kept, key)
        if key == "sliding_window" and config.get("use_sliding_window") is False:
            value = None  # Qwen's classes drop a window that is switched off
        if found != value:
            yield f"{key}: {value}, but {family.__name__} has {found}"


def problems(contract):
    """Equations only where the form holds, the class only where they do: each would stumble over what was said before."""
    form = [f"{'.'.join(map(str, e.absolute_path)) or 'file'}: {e.message}" for e in VALIDATOR.iter_errors(contract)]
    return form or [*equation_problems(contract)] or [*class_problems(contract["config"])]


def test_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", CONTRACTS)
def test_nothing_is_wrong_with(name):
    assert CONTRACTS[name]["name"] == name
    assert problems(CONTRACTS[name]) == []


PLANTED = {
    "a key nobody reads": ("qwen3-4b", "config.rope_base", 1e6, "rope_base"),
    "a family nobody knows": ("qwen3-4b", "config.model_type", "qwen4", "config.model_type"),
    "another family's key": ("qwen2.5-3b", "config.attention_bias", True, "attention_bias: True, but Qwen2Config"),
    "no layers": ("qwen3-4b", "config.num_hidden_layers", None, "num_hidden_layers"),
    "a layer too many": ("qwen3-4b", "config.num_hidden_layers", 37, "parameters"),
    "digits swapped": ("qwen3-4b", "config.intermediate_size", 9782, "parameters"),
    "untied": ("qwen3-4b", "config.tie_word_embeddings", False, "parameters"),
    "family without biases": ("qwen2.5-0.5b", "config.model_type", "llama", "parameters"),
    "heads left over": ("qwen3-4b", "config.num_key_value_heads", 7, "num_key_value_heads"),
    "heads that do not fit": ("qwen2.5-1.5b", "config.num_attention_heads", 10, "head_dim: absent"),
    "heads of Qwen3 derived": ("qwen3-0.6b", "config.head_dim", None, "head_dim"),
    "a window without its switch": ("qwen2.5-3b", "config.use_sliding_window", None, "use_sliding_window"),
    "a ratio as a count": ("qwen3-4b", "config.hidden_size", 2560.5, "config.hidden_size"),
    "a base in thousands": ("qwen3-4b", "config.rope_theta", 1, "config.rope_theta"),
    "a factor short": ("phi-3-mini-128k", "config.rope_scaling.long_factor", [1.0] * 47, "long_factor: 47 factors"),
    "factors out of order": ("phi-4-mini", "config.rope_scaling.short_factor", [2.0] + [1.0] * 47, "falls"),
    "a list lost": ("phi-3-mini-128k", "config.rope_scaling.short_factor", None, "config.rope_scaling"),
    "no context to stretch": ("phi-3.5-mini", "config.original_max_position_embeddings", None, "original_max_position"),
    "nothing stretched": ("phi-3.5-mini", "config.original_max_position_embeddings", 131072, "not below the context"),
    "half of llama3": ("llama-3.1-8b", "config.rope_scaling.low_freq_factor", None, "config.rope_scaling"),
    "llama3 upside down": ("llama-3.1-8b", "config.rope_scaling.low_freq_factor", 8.0, "low_freq_factor: not below"),
    "no eps of either norm": ("phi-2", "config.layer_norm_eps", None, "config"),
    "heads of Gemma derived": ("gemma-7b", "config.head_dim", None, "head_dim"),
    "an odd width": ("phi-4-mini", "config.partial_rotary_factor", 0.7578125, "rotary width"),
    "a short commit": ("qwen3-4b", "sources.0.commit", "8434c8d1", "sources.0.commit"),
    "no such day": ("qwen3-4b", "sources.0.date", "2025-02-30", "date: 2025-02-30"),
    "no file": ("qwen3-4b", "sources.0.where", "citsjtu2020/LLM-Prof", "sources.0.where"),
    "no source": ("qwen3-4b", "sources", [], "sources"),
    "words as nobody spells them": ("qwen3-4b", "match.0.name", "Qwen3 4B", "match.0.name"),
    "a size alone": ("qwen3-4b", "match", [{"size_label": "4b"}], "match.0"),
}


@pytest.mark.parametrize("name, path, value, told", PLANTED.values(), ids=PLANTED)
def test_a_planted_error_is_found(name, path, value, told):
    contract = copy.deepcopy(CONTRACTS[name])
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place = contract
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    found = problems(contract)
    assert any(told in problem for problem in found), found


# ---- which file a model is compared with


def shared_words(contracts):
    """Pairs of which one asks for no more than the other: a file that matches the second matches both."""
    return [
        (a["name"], b["name"])
        for a in contracts
        for b in contracts
        if a is not b and any(x.items() <= y.items() for x in a["match"] for y in b["match"])
    ]


def test_no_two_match_the_same_file():
    assert shared_words(CONTRACTS.values()) == []
    wide = copy.deepcopy(CONTRACTS["mistral-7b-v0.1"])
    wide["match"].append({"basename": "mistral", "size_label": "7b"})  # of any version
    assert shared_words([wide, CONTRACTS["mistral-7b-v0.2"]]) == [("mistral-7b-v0.1", "mistral-7b-v0.2")]


# ---- what is not read


def refused(run):
    # inspect lists the keys and tensors of a file that it cannot read as a model.
    assert run.returncode == 3 and (run.args[1] == "inspect" or run.stdout == ""), run.stdout + run.stderr
    return run.stderr


def refused_architectures():
    return re.findall(r'^UNSUPPORTED\("([^"]+)"', (ROOT / "src/contract/unsupported.def").read_text(), re.M)


@pytest.mark.parametrize("architecture", refused_architectures())
def test_an_architecture_that_is_not_read_is_refused_with_the_reason(architecture, tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for command in (("inspect",), ("convert", "-o", tmp_path / "out.lathe"), ("verify", "--gates", "contract")):
        why = refused(lathe(command[0], tmp_path / "m.gguf", *command[1:]))
        # The reason lies between the two colons and the semicolon.
        assert re.search(rf"architecture '{architecture}' is not supported: [^;]+; known are ", why), why
        assert f"{architecture} (" not in why
