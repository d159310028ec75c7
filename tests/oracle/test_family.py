"""Every family in the default tier, by the made models of tests/oracle/family/ (families.py made them; test_families.py
looks, in the full tier, whether it would still): the reference's logits are transformers', conversion passes its gates, and
the config.json that transformers saves agrees with the file, and with no other one.

A key whose change nobody notices is a row of UNNOTICED, with the reason."""

import copy
import functools
import json
import re
import subprocess

import gguf
import pytest
from command import ROOT, done, lathe
from family import HERE, IDS, KEPT, NAMES, config_of, gguf_of, logits_of
from gguf_edit import edit
from test_reference import BOUND, nmse, reference
from tokenizer_oracle import LATHE
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

GATES = "contract,structure,graph,layer golden,positions,head"


@pytest.mark.parametrize("name", NAMES)
def test_logits(name):
    published = logits_of(name)
    assert published.std() > 0.1, "logits without variety prove nothing"
    assert nmse(reference(gguf_of(name), 256, IDS)[KEPT], published) < BOUND["F32"]


@pytest.mark.parametrize("name", NAMES)
def test_gates(name, tmp_path):
    """With weights as they are: in int8 some of these made models lose more than the gates allow, as they do in transformers
    (smollm3's last rows have a cosine of 0.998 to their own with every matrix rounded so)."""
    bundle, config = tmp_path / "m.lathe", ("--config", HERE / f"{name}.json")
    done("convert", gguf_of(name), "-o", bundle, "--context", "256", "--weights", "fp16", *config)
    done("verify", bundle, "--model", gguf_of(name), "--gates", GATES, *config)


def test_scores_that_fp16_cannot_tell_apart(tmp_path):
    """With norms twice as large, the made Nemotron's scores are four times as large, up to 79, where steps of fp16 are 1/16. Where two
    keys nearly tie, a row then goes to either: also in transformers in fp16, whose worst rows have a cosine of 0.995 to those of
    fp64 (docs/differences.md). The arithmetic of the graph is right all the same."""
    weights = {t.name: t.data + 1 for t in gguf.GGUFReader(gguf_of("nemotron")).tensors if t.name.endswith("norm.weight")}
    assert len(weights) == 5
    model, bundle = edit(gguf_of("nemotron"), tmp_path / "m.gguf", tensors=weights), tmp_path / "m.lathe"
    done("convert", model, "-o", bundle, "--context", "256", "--weights", "fp16")
    done("verify", bundle, "--model", model, "--gates", "graph,head")
    run = lathe("verify", bundle, "--model", model, "--gates", "positions")
    assert run.returncode == 1 and "rows up to 255" in run.stdout and "Failed: positions" in run.stderr


# ---- config.json

TRAINING, RUNNING, FILE = "training only", "how transformers computes, not what", "describes the file"
UNNOTICED = {
    "attention_dropout": TRAINING, "embd_pdrop": TRAINING, "resid_pdrop": TRAINING, "embedding_dropout": TRAINING,
    "residual_dropout": TRAINING, "hidden_dropout": TRAINING, "initializer_range": TRAINING,
    "use_cache": RUNNING, "pretraining_tp": RUNNING,
    "dtype": FILE, "transformers_version": FILE,
    "pad_token_id": "nothing is padded",
    "bos_token_id": "no text of these models begins with one",
    "eod_token_id": "generate does not look at it",
    "max_window_layers": "of a window that is not used",
    "_sliding_window_pattern": "transformers reads layer_types",
    "no_rope_layer_interval": "transformers reads no_rope_layers",
    "hunyuan-dense-alpha.rope_parameters.factor": "transformers does not look at it beside an alpha",
    "use_sliding_window": "there is no window to use",
}  # fmt: skip


def is_unnoticed(name, key):
    return key in UNNOTICED or f"{name}.{key}" in UNNOTICED


UNNOTICED_VALUES = {
    ("exaone4-full", "sliding_window_pattern", "1"): "of a window that is not there",
    ("exaone4-full", "sliding_window_pattern", "2"): "of a window that is not there",
    ("smollm3", "sliding_window", "1"): "of a window that is not used",
    ("smollm3", "sliding_window", "24"): "of a window that is not used",
}
# Where a key may be absent without a word: nothing is said of the field, and nothing is compared.
NOT_STATED = {
    "architectures": "model_type says it",
    "model_type": "architectures says it",
    "vocab_size": "every published file has it, but the text part of Gemma 3 with pictures, where the class's number is not the file's",
    "eos_token_id": "the ends of an answer are often in generation_config.json alone",
    **{key: "every published file has it" for key in (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")},
    "rope_parameters.full_attention.original_max_position_embeddings": "nothing is made up; transformers takes the whole context",
    "rope_parameters.full_attention.attention_factor": "transformers' formula gives the same",
    "rotary_pct": "transformers' class does not look at it",
    "exaone4-full.layer_types": "without a window all layers see everything; transformers divides by zero",
}  # fmt: skip
OTHER = {  # words for which there is another that a class would take
    "silu": "gelu_pytorch_tanh", "gelu_pytorch_tanh": "gelu", "gelu_new": "gelu", "relu2": "silu", "xielu": "silu", "default": "linear",
    "linear": "default", "yarn": "linear", "dynamic": "default", "full_attention": "sliding_attention",
    "sliding_attention": "full_attention",
}  # fmt: skip


def classes():
    text = (ROOT / "src/contract/hf_classes.def").read_text()
    for row in re.findall(r'^HF_CLASS\((.*?)\)\)?$(?=\n(?:HF_CLASS|//|\Z)|\Z)', text, re.M | re.S):
        names = re.match(r'"(\w+)", "(\w+)"', row)
        defaults = re.search(r"JSON\((\{.*?\})\)?", row, re.S)
        yield names[1], names[2], json.loads(defaults[1]) if defaults else {}


DEFAULTS = {model_type: defaults for model_type, _, defaults in classes()}


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def other_values(value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value + 2]
    if isinstance(value, float):
        return [value * 1.5 + 1e-7, value * 2 + 0.1]
    if isinstance(value, str):
        return [OTHER.get(value, value + "x")]
    if isinstance(value, list):
        flipped = [OTHER.get(x, f"{x}x") if isinstance(x, str) else 1 - x for x in value]
        return [value[:-1], flipped[:1] + value[1:], value[:-1] + flipped[-1:]]
    return [True, 1, 24, "x"]  # of null


def changed(config, path, value):
    config = copy.deepcopy(config)
    place = config
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return config


def inspect(name, config, folder):
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return subprocess.run([LATHE, "inspect", gguf_of(name), "--config", path], capture_output=True, text=True, timeout=60)


@functools.cache
def meaning(text):
    config = json.loads(text)
    return CONFIG_MAPPING[config["model_type"]](**config).to_dict()


def means(config):
    return meaning(json.dumps(config))


def same_meaning(config, other):
    """Whether transformers' class makes the same of both. What it does not take means something else."""
    try:
        return means(other) == means(config)
    except Exception:  # of any kind: classes check their values in many ways
        return False


@pytest.mark.parametrize("name", NAMES)
def test_the_publishers_config_agrees(name, tmp_path):
    run = inspect(name, config_of(name), tmp_path)
    assert run.returncode == 0 and " 0 contradict" in run.stdout, run.stderr
    assert int(re.search(r"(\d+) agree", run.stdout)[1]) >= 26


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_key_is_noticed(name, tmp_path):
    config, wrong = config_of(name), []
    for path, value in leaves(config):
        key = ".".join(path)
        for other in other_values(value):
            run = inspect(name, changed(config, path, other), tmp_path)
            assert run.returncode in (0, 1, 3), f"{key} {other}: {run.stderr}"
            silent = is_unnoticed(name, key) or (name, key, str(other)) in UNNOTICED_VALUES
            silent = silent or same_meaning(config, changed(config, path, other))
            if (run.returncode == 0) != silent:
                wrong.append(f"{key}: {other} for {value}: {run.stderr or 'not noticed'}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_an_absent_key_is_the_classs_default(name, tmp_path):
    """Or nothing is said of what it states. Where transformers makes the same of a file without the key, it agrees."""
    config, wrong = config_of(name), []
    for path, value in leaves(config):
        key, without = ".".join(path), changed(config, path, None)
        run = inspect(name, without, tmp_path)
        is_unsaid = not {key, f"{name}.{key}"}.isdisjoint(NOT_STATED) and key not in DEFAULTS[config["model_type"]]
        if key == "num_hidden_layers" and "layer_types" in config:
            agrees = False  # a list of layers without their number
        else:
            agrees = is_unnoticed(name, key) or is_unsaid or same_meaning(config, without)
        if (run.returncode == 0) != agrees:
            wrong.append(f"without {key}, {value}: {run.stderr or 'not noticed'}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("model_type, name, defaults", list(classes()), ids=lambda x: x if isinstance(x, str) else "")
def test_defaults_are_the_classs(model_type, name, defaults):
    known = CONFIG_MAPPING[model_type](**{"use_sliding_window": True} if "max_window_layers" in defaults else {}).to_dict()
    rope = known.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope)
    for key, value in defaults.items():
        assert rope[key] == value if key in ("rope_theta", "partial_rotary_factor") else known[key] == value, key
    for key in ("tie_word_embeddings", "attention_bias", "use_bias") if defaults else ():
        assert bool(known.get(key)) == bool(defaults.get(key)), f"{key}: {known.get(key)}"


def test_every_class_has_a_made_model():
    """But those that other tests are about: llama's and phi3's."""
    rows = {model_type for model_type, _, _ in classes()}
    assert len(rows) == (ROOT / "src/contract/hf_classes.def").read_text().count("\nHF_CLASS(")
    assert rows - {config_of(name)["model_type"] for name in NAMES} == {"llama", "mistral", "phi3", "gemma3"}
