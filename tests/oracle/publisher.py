"""The publisher's code as an oracle: a GGUF file in the transformers class that its model was published with.

Weights are read and decoded by the PyPI package `gguf`; nothing of lathe is used. float32, eager attention, CPU. A family is
a row of FAMILIES: the publisher's class, its config built from the file's keys, and where each of its tensors is in the
file. A config.json, where there is one, replaces the built config: then only weights come from the file.

Needs torch (requirements-full.txt); what is compared without it are the fixtures of make_publisher_fixtures.py."""

import dataclasses
from collections.abc import Callable

import gguf
import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM

torch.set_grad_enabled(False)


class GgufFile:
    """Keys by name without the architecture's prefix, and tensors as float32 arrays."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.architecture = reader.fields["general.architecture"].contents()
        self.keys = {name.removeprefix(self.architecture + "."): f.contents() for name, f in reader.fields.items()}
        self.tensors = {t.name: t for t in reader.tensors}

    def tensor(self, name):
        t = self.tensors[name]
        return gguf.quants.dequantize(t.data, t.tensor_type).astype(numpy.float32).reshape(t.shape[::-1].tolist())


# ---- tensors: the publisher's name after "model.layers.N.", the file's after "blk.N.", and what the file did to it


def unchanged(config, rows):
    return rows


def deinterleaved(n_heads):
    """llama files have the rows of queries and keys permuted so that the two dims of a rotated pair are neighbours
    (llama.cpp, convert_hf_to_gguf.py: LlamaModel.permute). The publisher's code pairs dim i with i + head_dim / 2."""

    def undo(config, rows):
        heads = rows.reshape(n_heads(config), -1, 2, *rows.shape[1:])  # [head, pair, dim of the pair, …]
        return heads.swapaxes(1, 2).reshape(rows.shape)

    return undo


NORMS = [
    ("input_layernorm.weight", "attn_norm.weight", unchanged),
    ("post_attention_layernorm.weight", "ffn_norm.weight", unchanged),
]
LLAMA_LAYER = NORMS + [
    ("self_attn.q_proj.weight", "attn_q.weight", deinterleaved(lambda c: c.num_attention_heads)),
    ("self_attn.k_proj.weight", "attn_k.weight", deinterleaved(lambda c: c.num_key_value_heads)),
    ("self_attn.v_proj.weight", "attn_v.weight", unchanged),
    ("self_attn.o_proj.weight", "attn_output.weight", unchanged),
    ("mlp.gate_proj.weight", "ffn_gate.weight", unchanged),
    ("mlp.up_proj.weight", "ffn_up.weight", unchanged),
    ("mlp.down_proj.weight", "ffn_down.weight", unchanged),
]
QWEN2_LAYER = [(there, here, unchanged) for there, here, _ in LLAMA_LAYER] + [
    (f"self_attn.{x}_proj.bias", f"attn_{x}.bias", unchanged) for x in "qkv"
]
PHI3_LAYER = NORMS + [
    ("self_attn.qkv_proj.weight", "attn_qkv.weight", unchanged),
    ("self_attn.o_proj.weight", "attn_output.weight", unchanged),
    ("mlp.gate_up_proj.weight", "ffn_up.weight", unchanged),
    ("mlp.down_proj.weight", "ffn_down.weight", unchanged),
]
WHOLE = [
    ("model.embed_tokens.weight", "token_embd.weight", unchanged),
    ("model.norm.weight", "output_norm.weight", unchanged),
]
ROTARY = {"rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"}  # in the config, there


# ---- configs from the file's keys


def common_config(file):
    keys = file.keys
    return {
        "hidden_size": keys["embedding_length"],
        "intermediate_size": keys["feed_forward_length"],
        "num_hidden_layers": keys["block_count"],
        "num_attention_heads": keys["attention.head_count"],
        "num_key_value_heads": keys.get("attention.head_count_kv", keys["attention.head_count"]),
        "rms_norm_eps": keys["attention.layer_norm_rms_epsilon"],
        "max_position_embeddings": keys["context_length"],
        "vocab_size": len(keys["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "bos_token_id": keys.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": keys.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": None,
    }


def llama_config(file):
    """Without rotary scaling, which `published` is then told: of Llama 3's the file keeps only divisors that follow from it."""
    keys = file.keys
    head_dim = keys.get("attention.key_length", keys["embedding_length"] // keys["attention.head_count"])
    config = common_config(file) | {"head_dim": head_dim}
    if not any(key.startswith("rope.scal") for key in keys) and "rope_freqs.weight" not in file.tensors:
        config["rope_parameters"] = {"rope_type": "default", "rope_theta": keys["rope.freq_base"]}
    return config


def phi3_config(file):
    keys = file.keys
    head_dim = keys["embedding_length"] // keys["attention.head_count"]
    rope = {
        "rope_type": "default",
        "rope_theta": keys["rope.freq_base"],
        "partial_rotary_factor": keys["rope.dimension_count"] / head_dim,
    }
    if "rope_factors_short.weight" in file.tensors:
        rope |= {
            "rope_type": "longrope",
            "short_factor": file.tensor("rope_factors_short.weight").tolist(),
            "long_factor": file.tensor("rope_factors_long.weight").tolist(),
        }
    original = keys.get("rope.scaling.original_context_length", keys["context_length"])
    return common_config(file) | {
        "original_max_position_embeddings": original,
        "sliding_window": keys.get("attention.sliding_window"),
        "rope_parameters": rope,
    }


def qwen2_config(file):
    return common_config(file) | {"rope_parameters": {"rope_type": "default", "rope_theta": file.keys["rope.freq_base"]}}


@dataclasses.dataclass
class Family:
    model: type
    config: type
    config_of: Callable[[GgufFile], dict]
    layer: list


FAMILIES = {
    "llama": Family(LlamaForCausalLM, LlamaConfig, llama_config, LLAMA_LAYER),
    "phi3": Family(Phi3ForCausalLM, Phi3Config, phi3_config, PHI3_LAYER),
    "qwen2": Family(Qwen2ForCausalLM, Qwen2Config, qwen2_config, QWEN2_LAYER),
}


def state_of(file, family, config):
    """The publisher's tensors. A tensor of the file that no row of the table takes is an error."""
    rows = WHOLE + [
        (f"model.layers.{i}.{there}", f"blk.{i}.{here}", how)
        for i in range(config.num_hidden_layers)
        for there, here, how in family.layer
    ]
    head = "token_embd.weight" if config.tie_word_embeddings else "output.weight"
    rows.append(("lm_head.weight", head, unchanged))
    left = set(file.tensors) - {here for _, here, _ in rows} - ROTARY
    assert not left, f"no row of the {file.architecture} table takes {sorted(left)}"
    return {there: torch.from_numpy(how(config, file.tensor(here)).copy()) for there, here, how in rows}


def published(path, config=None, **more):
    """The model of the file at `path`. `config`: what a config.json says; None: what the file's keys say. `more` is added."""
    file = GgufFile(path)
    family = FAMILIES[file.architecture]
    stated = dict(config or family.config_of(file)) | more
    assert "rope_parameters" in stated or "rope_theta" in stated, "how does the publisher rotate?"
    stated.pop("torch_dtype", None)  # how the publisher keeps weights, not what the model is
    built = family.config(**stated, dtype="float32", attn_implementation="eager")
    model = family.model(built).eval()
    model.load_state_dict(state_of(file, family, built), strict=True)
    assert model.dtype == torch.float32 and model.config._attn_implementation == "eager"
    return model


# ---- what is asked of it


def last_logits(model, ids):
    """One forward pass over `ids` without a cache: logits [n_vocab] of the last position."""
    return model(torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1].numpy()


def all_logits(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def generate(model, ids, n, stops=None):
    """The publisher's `generate`, greedy, with its cache: the new ids, and the logits [ids, n_vocab] each was chosen by.
    `stops`: ids that end an answer; without, all `n` come."""
    model.generation_config.eos_token_id = stops
    given = torch.tensor([ids])
    out = model.generate(
        given, attention_mask=torch.ones_like(given), max_new_tokens=n, do_sample=False, pad_token_id=0,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    return out.sequences[0, len(ids) :].tolist(), torch.cat(out.logits).numpy()
