"""The misreadings of families in docs/wrong-contracts.md (rows from 38 on), each as a file that a wrong converter would have
written, a config.json that contradicts it, or a mutant of the family's made model. A row of the page without a test, or the
other way round, fails. The mutants of a family are judged by test_family_mutants.py (full tier); some of them here."""

import copy
import json
import re

import gguf
import numpy as np
import pytest
from command import ROOT, done, lathe
from configs import LLAMA, LLAMA3, YARN
from family import HERE, config_of, gguf_of
from family_mutants import MUTANTS
from gguf_edit import edit
from gguf_fields import STRING, File
from test_wrong_contracts import check_contradicted, check_refused, llama
from tokenizer_oracle import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED, write_vocab


def made(name, keys=None, tensors=None):
    return lambda folder: edit(gguf_of(name), folder / "m.gguf", {f"{name}.{key}": value for key, value in (keys or {}).items()}, tensors)


def of_layers(name, ends):
    """A file without the tensors of its layers that end so."""
    return made(name, tensors={t.name: None for t in gguf.GGUFReader(gguf_of(name)).tensors if t.name.endswith(ends)})


def renamed(name, architecture):
    def make(folder):
        f = File(gguf_of(name).read_bytes())
        f.put("general.architecture", STRING, architecture)
        (folder / "m.gguf").write_bytes(f.bytes())
        return folder / "m.gguf"

    return make


def config(name, *path, value):
    """The config.json that transformers saves of a made model, with one value changed."""
    changed = copy.deepcopy(config_of(name))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return "--config", changed


def flipped(name, key, *values):
    return [values[1 - values.index(x)] for x in config_of(name)[key]]


NO_SCALE = dict.fromkeys(("rope.scaling.type", "rope.scaling.factor"))
GLM_STOPS = {"eos_token_id": [319, 300, 301]}

REFUSED = [
    (39, "qwen3.5", renamed("qwen3", "qwen35"), "its delta net keeps a state"),
    (41, "no base", made("qwen2", {"rope.freq_base": None}), "qwen2.rope.freq_base"),
    (43, "no cap of scores", made("gemma2", {"attn_logit_softcapping": None}), "gemma2.attn_logit_softcapping"),
    (43, "no cap of logits", made("gemma2", {"final_logit_softcapping": None}), "gemma2.final_logit_softcapping"),
    (44, "no window", made("gemma2", {"attention.sliding_window": None}), "gemma2.attention.sliding_window"),
    (49, "gemma4", renamed("gemma3", "gemma4"), "gemma4"),
    (53, "no logit scale", made("granite", {"logit_scale": None}), "granite.logit_scale"),
    (55, "no embedding scale", made("minicpm", {"embedding_scale": None}), "minicpm.embedding_scale"),
    (55, "no logit scale", made("minicpm", {"logit_scale": None}), "minicpm.logit_scale"),
    (56, "olmoe", renamed("olmo2", "olmoe"), "mixture of experts"),
    (57, "llama4", renamed("qwen3", "llama4"), "mixture of experts"),
    (60, "norms after branches lost", of_layers("glm4", "post_attention_norm.weight"), "post_attention_norm"),
    (64, "qwen3.5", renamed("qwen3", "qwen35"), "its delta net keeps a state"),
    (65, "gpt-oss", renamed("qwen3", "gpt-oss"), "mixture of experts"),
]  # fmt: skip

CONTRADICTED = [
    (41, "10000 for 1e6", made("qwen2", {"rope.freq_base": 1e4}), config("qwen2", "rope_parameters", "rope_theta", value=1e6), "rope_base"),
    (42, "224 for 256", made("gemma2"), config("gemma2", "query_pre_attn_scalar", value=14), "attn_scale"),
    (43, "cap of scores", made("gemma2"), config("gemma2", "attn_logit_softcapping", value=None), "attn_softcap"),
    (43, "cap of logits", made("gemma2"), config("gemma2", "final_logit_softcapping", value=None), "final_softcap"),
    (44, "the other layers", made("gemma2"), config("gemma2", "layer_types", value=flipped("gemma2", "layer_types", "sliding_attention", "full_attention")), "attn_window"),
    (45, "factor 8 lost", made("gemma3", NO_SCALE), config("gemma3", "rope_parameters", value=config_of("gemma3")["rope_parameters"]), "rope_scaling"),
    (50, "all layers rotate", made("smollm3"), config("smollm3", "no_rope_layers", value=[1, 1, 1, 1, 1]), "rope_dim"),
    (51, "the list read backwards", made("smollm3"), config("smollm3", "no_rope_layers", value=[0, 0, 0, 1, 0]), "rope_dim"),
    (53, "embedding", made("granite", {"embedding_scale": 1.0}), config("granite", "embedding_multiplier", value=7.0), "embedding_scale"),
    (53, "residual", made("granite", {"residual_scale": 1.0}), config("granite", "residual_multiplier", value=0.3), "residual_scale"),
    (53, "logits multiplied", made("granite", {"logit_scale": 1 / 3.0}), config("granite", "logits_scaling", value=3.0), "logit_scale"),
    (54, "1 / sqrt(head_dim)", made("granite", {"attention.scale": 0.25}), config("granite", "attention_multiplier", value=0.11), "attn_scale"),
    (55, "no residual scale", made("minicpm", {"residual_scale": 1.0}), config("minicpm", "scale_depth", value=1.4), "residual_scale"),
    (55, "logits multiplied", made("minicpm", {"logit_scale": 20 / 64}), config("minicpm", "dim_model_base", value=20), "logit_scale"),
    (58, "the whole head rotates", made("glm4", {"rope.dimension_count": 24}), config("glm4", "rope_parameters", "partial_rotary_factor", value=0.5), "rope_dim"),
    (58, "one end of several", made("glm4"), ("--generation-config", GLM_STOPS), "stop_ids"),
    (62, "llama3's factors lost", made("exaone4"), config("exaone4", "rope_parameters", value=LLAMA3 | {"rope_theta": 500.0}), "rope_scaling"),
]  # fmt: skip


def check_truncate(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(LLAMA | {"rope_scaling": YARN | {"truncate": False}}))
    keys = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
    run = lathe("convert", llama(keys=keys)(folder), "-o", folder / "out.lathe", "--config", path)
    assert run.returncode == 3 and "key 'truncate': false" in run.stderr, run.stderr


def spaces(folder, kind, **keys):
    """Ids of two spaces between words, where the vocabulary has a token of two spaces."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "▁", "a", "▁a", "  "]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, NORMAL, NORMAL, NORMAL, kind]
    write_vocab(folder / "spm.gguf", "llama", tokens, types, scores=[0.0] * 259 + [-3.0, -2.0, -1.0, 0.0],
                bos_token_id=1, eos_token_id=2, unknown_token_id=0, add_bos_token=False, **keys)  # fmt: skip
    run = done("tokenize", folder / "spm.gguf", given="a  a")
    return [int(line) for line in run.stdout.split()]


def check_spaces(folder):
    """What the publisher's tokenizer gives is in test_tokenizer_spm.py."""
    assert spaces(folder, USER_DEFINED, add_space_prefix=False) == [260, 262, 260]
    assert spaces(folder, NORMAL, add_space_prefix=False) == [260, 259, 261]
    assert spaces(folder, USER_DEFINED, add_space_prefix=True)[0] == 261


def louder(name, ends, by=2.0**15):
    """A made model with the weights larger whose tensors end so."""
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(gguf_of(name)).tensors if t.name.endswith(ends)}
    return made(name, tensors={key: value * np.float32(by) for key, value in tensors.items()})


def check_loud_stream(folder):
    """Norms after branches give the stream their size."""
    check_loud(louder("gemma3", ("post_attention_norm.weight", "post_ffw_norm.weight"))(folder), folder)


def check_loud_branch(folder):
    """The norm after feed-forward makes it small again: the function is that of the model as it was."""
    check_loud(louder("glm4", "ffn_down.weight")(folder), folder)


def check_loud(model, folder):
    bundle = folder / "m.lathe"
    done("convert", model, "-o", bundle, "--context", "128", "--weights", "fp16", "--range", "off")
    run = lathe("verify", bundle, "--model", model, "--gates", "range")
    assert run.returncode == 1 and re.search(r"^range .*FAILED$", run.stdout, re.M), run.stdout
    done("convert", model, "-o", bundle, "--context", "128", "--weights", "fp16", "--force")
    done("verify", bundle, "--model", model, "--gates", "range,graph")


OTHERS = [(65, "--config", check_truncate), (48, "tokenizer", check_spaces), (47, "range", check_loud_stream), (59, "range", check_loud_branch)]
CASES = [(number, "refused", what, check_refused, arguments) for number, what, *arguments in REFUSED]
CASES += [(number, "--config", what, check_contradicted, arguments) for number, what, *arguments in CONTRADICTED]
CASES += [(number, way, check.__name__, check, ()) for number, way, check in OTHERS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}: {case[2]}")
def test_is_caught(case, tmp_path):
    _, _, _, check, arguments = case
    check(*arguments, tmp_path)


# One of each kind of model; all of them are the full tier's.
SAMPLE = {
    "olmo2": "qk_norm_per_head,post_norm_left_out",
    "nemotron": "norm_bias_dropped,mean_not_subtracted",
    "smollm3": "rope_everywhere",
    "granite": "attn_scale_beside_head_dim",
}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_mutants(name, tmp_path):
    bundle = tmp_path / "m.lathe"
    done("convert", gguf_of(name), "-o", bundle, "--context", "128", "--weights", "fp16")
    done("verify", bundle, "--model", gguf_of(name), "--mutants", SAMPLE[name], "--gates", "graph")


def test_the_page_says_what_is_tested():
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", (ROOT / "docs" / "wrong-contracts.md").read_text(), re.M)
    rows = [(int(number), ways) for number, ways in rows if int(number) >= 38]
    assert [number for number, _ in rows] == list(range(38, 66))
    said = {(number, way) for number, ways in rows for way in re.findall(r"`([^`]+)`", ways)}
    assert said == {(number, way) for number, way, *_ in CASES} | {(number, "mutants") for number in MUTANTS}
