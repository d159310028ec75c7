"""The misreadings of docs/wrong-contracts.md, each as a file that a wrong converter would have written or a reader that
takes it wrongly, against the gate that the page names. A row of the page without a test, or the other way round, fails."""

import json
import re

import gguf
import numpy as np
import pytest
from command import HELLO, HELLO_F16, ROOT, done, lathe, smollm2_gguf
from configs import CONFIG, LLAMA, LLAMA3, LONG, SHORT, YARN
from gguf_edit import edit
from gguf_fields import File
from random_models import RandomModel, rope_freqs

FACTORS = ("rope_factors_short.weight", "rope_factors_long.weight")
YARN_KEYS = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}


def hello(keys=None, tensors=None, source=HELLO):
    return lambda folder: edit(source, folder / "m.gguf", keys, tensors)


def hello_f16(keys=None, tensors=None):
    return hello(keys, tensors, HELLO_F16)


def smollm2(keys):
    return lambda folder: edit(smollm2_gguf(), folder / "m.gguf", keys)


def llama(**how):
    return lambda folder: RandomModel("llama", **how).write(folder / "m.gguf")


def both_factors(short, long=LONG):
    return dict(zip(FACTORS, (short, long)))


def failed(run, gate):
    """Scopes of the gate's lines that failed."""
    assert run.returncode == 1, run.stdout + run.stderr
    return {line.split()[1] for line in run.stdout.splitlines() if line.startswith(f"{gate} ") and line.endswith("FAILED")}


# ---- refused: the file alone is enough

def duplicated(folder):
    f = File(HELLO.read_bytes())
    f.keys.append(f.key("phi3.attention.head_count_kv"))
    path = folder / "m.gguf"
    path.write_bytes(f.bytes())
    return path


REFUSED = [
    (1, "no base", hello({"phi3.rope.freq_base": None}), "phi3.rope.freq_base"),
    (2, "no base", llama(keys={"rope.freq_base": None}), "llama.rope.freq_base"),
    (3, "no base, so no default of a reader can move", llama(keys={"rope.freq_base": None}), "llama.rope.freq_base"),
    (6, "factors lost", hello({"phi3.rope.scaling.attn_factor": None}, dict.fromkeys(FACTORS)), "nor a factor tensor"),
    (13, "ext_factor = factor", llama(keys=YARN_KEYS | {"rope.scaling.yarn_ext_factor": 64.0}), "yarn_ext_factor': 64"),
    (17, "heads wider than d_model / heads, not stated", llama(head_dim=32, keys=dict.fromkeys(("attention.key_length", "attention.value_length", "rope.dimension_count"))), "blk.0.attn_q.weight"),
    (18, "kv heads forgotten", llama(keys={"attention.head_count_kv": None}), "attn_k"),
    (20, "no eps", hello({"phi3.attention.layer_norm_rms_epsilon": None}), "layer_norm_rms_epsilon"),
    (24, "a multiplier of another architecture", hello({"phi3.logit_scale": 8.0}), "phi3.logit_scale"),
    (25, "experts", llama(keys={"expert_count": 8, "expert_used_count": 2}), "expert"),
    (26, "experts", llama(keys={"expert_count": 8, "expert_used_count": 2}), "expert"),
    (27, "a key that nothing reads", llama(keys={"attention.temperature_scale": 0.1}), "llama.attention.temperature_scale"),
    (28, "a key twice", duplicated, "phi3.attention.head_count_kv"),
    (29, "no window", hello({"phi3.attention.sliding_window": None}), "sliding_window"),
    (31, "vocabulary of another size", hello({"phi3.vocab_size": 32064}), "32064"),
    (35, "no pre-tokenizer", hello({"tokenizer.ggml.pre": None}), "tokenizer.ggml.pre"),
]  # fmt: skip


def check_refused(make, message, folder):
    run = lathe("inspect", make(folder))
    assert run.returncode == 3 and message in run.stderr, run.stderr


# ---- --config: the publisher's files contradict it

def hello_config(change=None):
    return "--config", CONFIG | (change or {})


def llama_config(change):
    return "--config", LLAMA | change


TOKENS = {"2037": {"content": "<|end|>", "special": True}}


def typed_normal(folder):
    types = [int(t) for t in gguf.GGUFReader(HELLO).fields["tokenizer.ggml.token_type"].contents()]
    types[2037] = 1
    return edit(HELLO, folder / "m.gguf", {"tokenizer.ggml.token_type": types})


CONTRADICTED = [
    (1, "base 10000 for another", hello({"phi3.rope.freq_base": 1e4}), hello_config({"rope_theta": 1e6}), "rope_base"),
    (2, "base 10000 for 500000", hello(), hello_config({"rope_theta": 5e5}), "rope_base"),
    (3, "the base of another reader's default", hello({"phi3.rope.freq_base": 1e6}), hello_config(), "rope_base"),
    (4, "linear scale not written", llama(), llama_config({"rope_scaling": {"type": "linear", "factor": 4.0}}), "rope_scaling"),
    (5, "YaRN lost", llama(), llama_config({"rope_scaling": YARN}), "rope_scaling"),
    (5, "YaRN lost, new schema", llama(), llama_config({"rope_parameters": YARN | {"rope_theta": 500.0}}), "rope_scaling"),
    (6, "factors 1", hello(tensors=both_factors(np.ones(12), np.ones(12))), hello_config(), "rope_factors_short"),
    (7, "attention factor 1", hello({"phi3.rope.scaling.attn_factor": 1.0}), hello_config(), "attn_factor"),
    (9, "factors of an earlier revision", hello(tensors=both_factors(SHORT + np.r_[np.zeros(11), 1e-3])), hello_config(), "rope_factors_short"),
    (10, "frequency factors missing", llama(), llama_config({"rope_scaling": LLAMA3}), "rope_scaling"),
    (11, "a scale not honoured", llama(keys={"rope.scaling.type": "linear", "rope.scaling.factor": 1.0}), llama_config({"rope_scaling": {"type": "linear", "factor": 8.0}}), "rope_factor"),
    (13, "half an ext_factor", llama(keys=YARN_KEYS | {"rope.scaling.yarn_ext_factor": 0.5}), llama_config({"rope_scaling": YARN}), "yarn_ext_factor"),
    (14, "YaRN's own factor lost", llama(keys=YARN_KEYS), llama_config({"rope_scaling": YARN | {"attention_factor": 1.0}}), "attn_factor"),
    (15, "the whole head rotates", hello({"phi3.rope.dimension_count": 32}, both_factors(np.ones(16), np.ones(16))), hello_config(), "rope_dim"),
    (15, "one end of turn of two", hello(), ("--generation-config", {"eos_token_id": [2037, 2040]}), "stop_ids"),
    (16, "rope_dim taken for head_dim", hello({"phi3.rope.dimension_count": 32}, both_factors(np.ones(16), np.ones(16))), hello_config(), "rope_dim"),
    (20, "eps 1e-5 always", hello(), hello_config({"rms_norm_eps": 1e-6}), "norm_eps"),
    (23, "a softcap that the file lost", hello(), hello_config({"attn_logit_softcapping": 50.0}), "attn_softcap"),
    (24, "logits divided, Granite's way", hello(), hello_config({"logits_scaling": 8.0}), "logit_scale"),
    (24, "logits multiplied, Cohere's way", hello(), hello_config({"logit_scale": 0.0625}), "logit_scale"),
    (30, "tied or not", hello(), hello_config({"tie_word_embeddings": False}), "is_head_tied"),
    (31, "vocabulary of another size", hello(), hello_config({"vocab_size": 32064}), "n_vocab"),
    (32, "other ids end a text", hello(), ("--generation-config", {"eos_token_id": 1}), "stop_ids"),
    (33, "a control token typed normal", typed_normal, ("--tokenizer-config", {"added_tokens_decoder": TOKENS}), "added_tokens"),
    (34, "BOS added where none is", hello({"tokenizer.ggml.add_bos_token": True}), ("--tokenizer-config", {"add_bos_token": False}), "adds_bos"),
    (36, "biases lost", llama(), llama_config({"attention_bias": True}), "has_qkv_bias"),
]  # fmt: skip


def check_contradicted(make, option, field, folder):
    name, stated = option
    path = folder / "stated.json"
    path.write_text(json.dumps(stated))
    model = make(folder)
    assert field in failed(lathe("verify", model, "--gates", "contract", name, path), "contract")
    run = lathe("convert", model, "-o", folder / "out.lathe", name, path)
    assert run.returncode == 1 and not (folder / "out.lathe").exists(), run.stderr


# ---- published: contracts/ says otherwise, with no option given

PUBLISHED = [
    (1, "the default of readers", smollm2({"llama.rope.freq_base": 1e4}), "rope_base"),
    (4, "a scale that is not the model's", smollm2({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}), "rope_scaling"),
    (20, "another eps", smollm2({"llama.attention.layer_norm_rms_epsilon": 1e-6}), "norm_eps"),
]  # fmt: skip


def check_published(make, field, folder):
    assert field in failed(lathe("verify", make(folder), "--gates", "contract"), "contract")


# Llama 3.1's name on a small model: what its shapes contradict is not the point.
def check_published_llama(folder):
    named = {"general.name": "Llama 3.1 8B Instruct", "general.basename": "Llama-3.1", "general.size_label": "8B"}
    factors = rope_freqs(24, 500.0, 8.0, 1.0, 4.0, 64)
    plain = edit(llama()(folder), folder / "plain.gguf", named)
    scaled = edit(llama(tensors={"rope_freqs.weight": factors})(folder), folder / "scaled.gguf", named)
    assert "rope_scaling" in failed(lathe("verify", plain, "--gates", "contract"), "contract")
    assert "rope_scaling" not in failed(lathe("verify", scaled, "--gates", "contract"), "contract")


# ---- vocabulary: tokens, merges, types and template contradict a key

def renamed_end(folder):
    """A turn end that lathe knows by no list, and an eos that is the base model's."""
    fields = gguf.GGUFReader(HELLO).fields
    tokens = ["<|fin|>" if t == "<|end|>" else t for t in fields["tokenizer.ggml.tokens"].contents()]
    template = fields["tokenizer.chat_template"].contents().replace("<|end|>", "<|fin|>")
    return edit(HELLO, folder / "m.gguf", {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.eos_token_id": 2016,
                                           "tokenizer.ggml.eot_token_id": None, "tokenizer.chat_template": template})  # fmt: skip


VOCABULARY = [
    (32, "eos is the base model's", renamed_end, "stop_ids"),
    (33, "a control token typed normal", typed_normal, "token_type"),
    (34, "BOS is a word", hello({"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": 11}), "bos_id"),
    *((35, f"{pre} for gpt-4o", hello({"tokenizer.ggml.pre": pre}), "pre_tokenizer")
      for pre in ("gpt-2", "qwen2", "smollm", "tekken", "default", "falcon", "bloom", "deepseek-v3")),
    *((35, f"{pre} for smollm", smollm2({"tokenizer.ggml.pre": pre}), "pre_tokenizer")
      for pre in ("llama-bpe", "gpt-4o", "default", "falcon", "bloom")),
]  # fmt: skip


# ---- vote: the weights object

def interleaved(folder):
    """Rows of q and k as the other rotary style has them."""
    order = np.arange(32)
    order[0:24:2], order[1:24:2] = np.arange(12), np.arange(12, 24)
    tensors = {}
    for tensor in gguf.GGUFReader(HELLO_F16).tensors:
        if tensor.name.endswith("attn_qkv.weight"):
            heads = np.array(tensor.data, np.float32).reshape(8, 32, 128)
            heads[:6] = heads[:6, order]
            tensors[tensor.name] = heads.reshape(256, 128)
    return edit(HELLO_F16, folder / "m.gguf", {}, tensors)


def norms_plus(offset):
    def make(folder):
        norms = {t.name: np.array(t.data) + offset for t in gguf.GGUFReader(HELLO_F16).tensors if t.name.endswith("norm.weight")}
        return edit(HELLO_F16, folder / "m.gguf", {}, norms)

    return make


# Nothing is left that says how it was stretched; the factor that is missing is one of scores, squared.
LOST = dict.fromkeys(("phi3.rope.scaling.attn_factor", "phi3.rope.scaling.original_context_length"))

VOTE = [
    (1, "a tenth of the base", hello_f16({"phi3.rope.freq_base": 1e3}), "rope_base"),
    (3, "ten times the base", hello_f16({"phi3.rope.freq_base": 1e5}), "rope_base"),
    (6, "short and long factors exchanged", hello_f16(tensors=both_factors(LONG, SHORT)), "rope_factors_short"),
    (6, "factors and attention factor lost", hello_f16(LOST, dict.fromkeys(FACTORS)), "attn_scale"),
    (7, "attention factor 1", hello_f16({"phi3.rope.scaling.attn_factor": 1.0}), "attn_factor"),
    (15, "the whole head rotates", hello_f16({"phi3.rope.dimension_count": 32}, both_factors(np.r_[SHORT, [1.3] * 4], np.r_[LONG, [8.0] * 4])), "rope_dim"),
    (16, "rope_dim taken for head_dim", hello_f16({"phi3.rope.dimension_count": 32}, both_factors(np.r_[SHORT, [1.3] * 4], np.r_[LONG, [8.0] * 4])), "rope_dim"),
    (18, "rows of q and k in the other order", interleaved, "rope_style"),
    (19, "halves for neighbours", interleaved, "rope_style"),
    (20, "eps times 1000", hello_f16({"phi3.attention.layer_norm_rms_epsilon": 1e-2}), "norm_eps"),
    (21, "1 added to norms twice", norms_plus(1), "norm_offset"),
    (21, "1 not added to norms", norms_plus(-1), "norm_offset"),
    (22, "scores over sqrt(24)", hello_f16({"phi3.attention.scale": 24**-0.5}), "attn_scale"),
]  # fmt: skip


def check_vote(make, field, folder):
    run = lathe("verify", make(folder), "--gates", "vote")
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("vote ") and line.split()[1] == field]
    assert run.returncode == 1 and line.endswith("FAILED"), line


def check_config_is_wrong_too(folder):
    """Case 22 as it happened: the vendor's config.json and the file agree; the weights do not."""
    scale = 24**-0.5
    model = hello_f16({"phi3.attention.scale": scale})(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(CONFIG | {"attention_multiplier": scale}))
    done("verify", model, "--gates", "contract", "--config", path)
    assert failed(lathe("verify", model, "--gates", "contract,vote", "--config", path), "contract") == set()


def check_two_rotations(folder):
    """A config.json with one rotary setting for some layers and another for the rest: no contract of lathe's holds both."""
    path = folder / "config.json"
    rotations = {"full_attention": YARN, "sliding_attention": {"rope_type": "default"}}
    path.write_text(json.dumps(LLAMA | {"rope_parameters": rotations}))
    run = lathe("convert", llama()(folder), "-o", folder / "out.lathe", "--config", path)
    assert run.returncode == 3 and "'full_attention' and 'sliding_attention' differ" in run.stderr, run.stderr


def check_vote_long(folder):
    """Case 2's kind: only positions behind the original context use these factors."""
    keys = {"phi3.rope.scaling.original_context_length": 64}
    model = edit(HELLO_F16, folder / "m.gguf", keys, both_factors(SHORT, SHORT / 2))
    assert "rope_factors_long" in failed(lathe("verify", model, "--gates", "vote", "--vote-long"), "vote")


# ---- mutants: right in the file, wrong in compiler or host

MUTANTS = {
    7: ("attn_factor_1", "attn_factor_on_cos_only"),
    8: ("rope_factors_short_are_long", "factor_set_of_the_other_length"),
    11: ("rope_factors_short_1",),
    16: ("rope_dim_full", "rope_dim_half"),
    18: ("kv_heads_tiled_in_graph", "rope_style_other"),
    19: ("rope_style_other",),
    21: ("norm_offset_1", "norm_plus_1"),
    22: ("attn_scale_rope_dim",),
    24: ("logit_scale_eighth",),
    32: ("eos_of_the_base_model", "stop_id_unreachable"),
    33: ("control_token_typed_normal",),
    34: ("bos_policy_turned_round",),
}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """Mutant -> gates that caught it."""
    bundle = tmp_path_factory.mktemp("mutants") / "hello.lathe"
    done("convert", HELLO, "-o", bundle, "--range", "off")
    names = sorted({name for names in MUTANTS.values() for name in names})
    lathe("verify", bundle, "--model", HELLO, "--mutants", ",".join(names))
    return json.loads((bundle / "verify" / "mutants.json").read_text())


@pytest.mark.parametrize("number", MUTANTS)
def test_mutants(number, matrix):
    killed = {row["name"] for row in matrix["mutants"] if row["killed"]}
    assert set(MUTANTS[number]) <= killed


# ---- all of it, and the page

TABLES = {
    "refused": (check_refused, REFUSED),
    "--config": (check_contradicted, CONTRADICTED),
    "published": (check_published, PUBLISHED),
    "vocabulary": (check_published, VOCABULARY),
    "vote": (check_vote, VOTE),
}
OTHERS = [
    (12, "--config", check_two_rotations),
    (10, "published", check_published_llama),
    (22, "vote", check_config_is_wrong_too),
    (2, "--vote-long", check_vote_long),
]
CASES = [(number, way, what, check, arguments) for way, (check, table) in TABLES.items() for number, what, *arguments in table]
CASES += [(number, way, check.__name__, check, ()) for number, way, check in OTHERS]


# These files are byte by byte those of test_vote.py or of another row, or much like one of them, and a vote takes a quarter of a minute.
ELSEWHERE = {"a tenth of the base", "ten times the base", "short and long factors exchanged", "attention factor 1",
             "rope_dim taken for head_dim", "rows of q and k in the other order", "eps times 1000", "scores over sqrt(24)", "1 added to norms twice"}


@pytest.mark.parametrize("case", [
    pytest.param(case, id=f"{case[0]} {case[1]}: {case[2]}", marks=pytest.mark.full if case[2] in ELSEWHERE else ())
    for case in CASES
])
def test_is_caught(case, tmp_path):
    _, _, _, check, arguments = case
    check(*arguments, tmp_path)


def test_the_page_says_what_is_tested():
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", (ROOT / "docs" / "wrong-contracts.md").read_text(), re.M)
    rows = [row for row in rows if int(row[0]) < 38]  # the others are test_wrong_families.py's
    assert [int(number) for number, _ in rows] == list(range(1, 38))
    said = {(int(number), way) for number, ways in rows for way in re.findall(r"`([^`]+)`", ways)}
    assert said == {(number, way) for number, way, *_ in CASES} | {(number, "mutants") for number in MUTANTS}
