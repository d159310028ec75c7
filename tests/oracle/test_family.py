"""Every family in the default tier, by the made models of tests/oracle/family/ (families.py made them; test_families.py
looks, in the full tier, whether it would still): the reference's logits are transformers', conversion passes its gates, and
the config.json that transformers saves agrees with the file, and with no other one.

A key whose change nobody notices is a row of UNNOTICED, with the reason."""

import copy
import functools
import json
import pathlib
import re
import subprocess

import gguf
import numpy
import pytest
from apple_build import BUILD
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


def test_what_has_a_familys_name_and_computes_something_else(tmp_path):
    layers = {t.name.replace("blk.1.", f"blk.{i}."): t.data for i in range(2, 40) for t in gguf.GGUFReader(gguf_of("baichuan")).tensors
              if t.name.startswith("blk.1.")}  # fmt: skip
    layers = {name: gguf.quants.dequantize(data, gguf.GGMLQuantizationType.Q8_0) if data.dtype == "uint8" else data
              for name, data in layers.items()}  # fmt: skip
    for i, refused in ((39, False), (40, True)):
        these = {name: data for name, data in layers.items() if not name.startswith(f"blk.{i}.")}
        run = lathe("inspect", edit(gguf_of("baichuan"), tmp_path / "m.gguf", {"baichuan.block_count": i}, these))
        assert run.returncode == (3 if refused else 0), run.stderr
        assert ("ALiBi" in run.stderr) == refused
    run = lathe("inspect", edit(gguf_of("mistral3"), tmp_path / "m.gguf", {"mistral3.attention.temperature_scale": 0.1}))
    assert run.returncode == 3 and "attention.temperature_scale" in run.stderr


def test_mistral3_reads_the_magnitude_of_its_yarn(tmp_path):
    """Which other families' files state, too, and no runtime reads there."""
    path = edit(gguf_of("mistral3"), tmp_path / "m.gguf", {"mistral3.rope.scaling.yarn_log_multiplier": 0.0})
    run = lathe("inspect", path, "--config", HERE / "mistral3.json")
    assert run.returncode == 1 and "attn_factor is 1.2079442" in run.stderr


# ---- a part of config.json

PICTURES = {
    "gemma3": {"boi_token_index": 255999, "eoi_token_index": 256000, "image_token_index": 262144, "mm_tokens_per_image": 256},
    "mistral3": {"image_token_index": 10, "multimodal_projector_bias": False, "projector_hidden_act": "gelu", "spatial_merge_size": 2,
                 "vision_feature_layer": -1},
}  # fmt: skip


def with_pictures(name):
    config = config_of(name)
    kept = {key: config.pop(key) for key in ("bos_token_id", "eos_token_id", "dtype", "transformers_version")}
    del config["architectures"]
    model_type, class_, _ = next(row for row in classes() if row[0] == name)
    return {"architectures": [class_], "model_type": model_type, "text_config": config, "vision_config": {"hidden_size": 8}, **kept,
            **PICTURES[name]}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_the_text_part_of_a_file_with_pictures(name, tmp_path):
    config = with_pictures(name)
    run = inspect(name, config, tmp_path)
    alone = inspect(name, config_of(name), tmp_path)
    assert run.returncode == alone.returncode == 0, run.stderr
    assert re.search(r"(\d+) agree", run.stdout)[1] == re.search(r"(\d+) agree", alone.stdout)[1]
    assert "text_config" in run.stdout
    for key in ("rms_norm_eps", "hidden_size", "rope_parameters"):
        text = config["text_config"]
        other = {"rms_norm_eps": 1e-6, "hidden_size": 96, "rope_parameters": None}[key]
        assert inspect(name, config | {"text_config": text | {key: other}}, tmp_path).returncode == 1, key
    run = inspect(name, config | {"text_config": text | {"unheard_of": 1}}, tmp_path)
    assert run.returncode == 3 and "text_config: key 'unheard_of'" in run.stderr
    run = inspect(name, {key: value for key, value in config.items() if key != "text_config"}, tmp_path)
    assert run.returncode == 3 and "text_config" in run.stderr
    run = inspect(name, config | {"text_config": text | {"model_type": "phi3"}}, tmp_path)
    assert run.returncode == 3 and "expected " in run.stderr


# ---- windows

SESSION = pathlib.Path(BUILD) / "tests/runtime/session_logits"
WINDOWED = [name for name in NAMES if config_of(name).get("sliding_window") and config_of(name).get("use_sliding_window", True)]
FORMS = [(kv, functions) for kv in ("overwrite", "slice", "rows") for functions in ("decode,prefill", "one")]


def last_logits(bundle, ids):
    """After `ids`, by a session of the bundle."""
    run = subprocess.run([SESSION, bundle, "1", *map(str, ids)], capture_output=True, check=True)
    return numpy.frombuffer(run.stdout, "<f4")


# One form of every family, every form of one; the rest in the full tier.
RINGS = [pytest.param(name, *form, marks=[] if form == FORMS[0] or name == "gemma3" else [pytest.mark.full])
         for name in WINDOWED for form in FORMS]  # fmt: skip


@pytest.mark.parametrize("name, kv, functions", RINGS)
def test_rings_give_transformers_logits(name, kv, functions, tmp_path):
    """150 tokens in rings of 64 slots, twice round them, by calls of 16 rows. Rounded to fp16 the logits of these models come as near
    as 4e-5 (cohere2; 1e-6 gemma2), with whole caches just as near. Rings add the same numbers in another order: 9e-7 from whole ones
    at most. A window off by one shows at 1e-3 and more."""
    options = ("--context", "256", "--weights", "fp16", "--range", "off", "--prefill-rows", "16", "--kv", kv, "--functions", functions)
    found = {}
    for windows in ("ring", "whole"):
        done("convert", gguf_of(name), "-o", tmp_path / windows, *options, "--windows", windows)
        chain = json.loads((tmp_path / windows / "chain.json").read_text())
        assert chain["options"]["ring_slots"] == (64 if windows == "ring" else 0)
        found[windows] = last_logits(tmp_path / windows, IDS)
    assert nmse(found["ring"], logits_of(name)[-1]) < 1e-4
    assert nmse(found["ring"], found["whole"]) < 1e-5


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
    "mistral3.rope_parameters.original_max_position_embeddings": "nothing is made up; transformers' class needs it",
    "mistral3.rope_parameters.llama_4_scaling_beta": "nothing is made up; transformers' class needs it",
    "num_layers": "every published file has it",
    "rotary_pct": "transformers' class does not look at it",
    "exaone4-full.layer_types": "without a window all layers see everything; transformers divides by zero",
}  # fmt: skip
OTHER = {  # words for which there is another that a class would take
    "silu": "gelu_pytorch_tanh", "gelu_pytorch_tanh": "gelu", "gelu_new": "gelu", "relu2": "silu", "xielu": "silu", "default": "linear",
    "linear": "default", "yarn": "linear", "dynamic": "default", "full_attention": "sliding_attention",
    "sliding_attention": "full_attention",
}  # fmt: skip


def is_unnoticed(name, key):
    return not {key, f"{name}.{key}"}.isdisjoint(UNNOTICED)


def classes():
    text = (ROOT / "src/contract/hf_classes.def").read_text()
    for row in re.findall(r'^HF_CLASS\((.*?)\)\)?$(?=\n(?:HF_CLASS|//|\Z)|\Z)', text, re.M | re.S):
        names = re.match(r'"(\w+)", "(\w+)"', row)
        defaults = re.search(r"JSON\((\{.*?\})\)?", row, re.S)
        yield names[1], names[2], json.loads(defaults[1]) if defaults else {}


DEFAULTS = {model_type: defaults for model_type, _, defaults in classes()}
# Classes that come with their checkpoints: what transformers' class that computes the same would be told (families.py, PUBLISHED).
AS_KNOWN = {
    "minicpm": lambda c: {**c, "model_type": "granite", "embedding_multiplier": c.pop("scale_emb", 1),
                          "residual_multiplier": c.pop("scale_depth", 1) / c["num_hidden_layers"] ** 0.5,
                          "logits_scaling": c["hidden_size"] / c.pop("dim_model_base", 1),
                          "rms_norm_eps": c.get("rms_norm_eps", 1e-6), "tie_word_embeddings": c.get("tie_word_embeddings", True)},
    "internlm2": lambda c: {**c, "model_type": "llama", "attention_bias": c.pop("bias", True)},
    "baichuan": lambda c: {**c, "model_type": "llama"},
}  # fmt: skip


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
    config = AS_KNOWN.get(config["model_type"], lambda c: c)(config)
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


@pytest.mark.parametrize("model_type, name, defaults", [row for row in classes() if row[0] not in AS_KNOWN], ids=lambda x: x if isinstance(x, str) else "")
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
    assert rows - {config_of(name)["model_type"] for name in NAMES} == {"llama", "mistral", "phi3", "gemma3", "mistral3"}


def test_the_readme_counts_the_architectures():
    rows = (ROOT / "src/contract/archs.def").read_text().count("\nARCH(")
    assert f"- {rows - 2} more, including Qwen2" in (ROOT / "README.md").read_text()  # besides llama and phi3
