"""Folders of Hugging Face made without lathe and without PyTorch: a made model of tests/oracle/family/ as its class of
transformers holds it. Names of tensors are those that transformers saved (family/names.txt); which tensor of the GGUF file
each one is, is said by the PyPI package gguf."""

import json
import pathlib
import struct

import gguf
import numpy
from family import HERE, config_of, gguf_of
from random_models import N_VOCAB
from test_reference import run_reference

PERMUTED = {"llama", "granite", "smollm3"}  # conversion/llama.py of llama.cpp and those that inherit from it
PLUS_ONE = {"gemma", "gemma2", "gemma3", "nemotron"}  # conversion/gemma.py, nemotron.py
# Families that are not there are refused (huggingface/forms.def).
NAMES_OF = {line.split(": ")[0]: line.split(": ")[1].split() for line in (HERE / "names.txt").read_text().splitlines()}


def tokenizer():
    """random_models.add_vocabulary's, as huggingface/tokenizers has it; the spare tokens are left out."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]
    end = {"id": N_VOCAB - 1, "content": "<|endoftext|>", "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": level, "decoder": level,
        "post_processor": None, "added_tokens": [end | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)],
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {t: i for i, t in enumerate(letters + ["ab"])}, "merges": [["a", "b"]]},
    }  # fmt: skip


DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def encoded(array, dtype):
    if dtype == "BF16":
        bits = numpy.ascontiguousarray(array, "<f4").view("<u4")
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
    return numpy.ascontiguousarray(array, DTYPES[dtype])


def safetensors(rows, *, metadata=None, tail=b"", change=None):
    """The bytes of a file of {name: (dtype, array)}; `change` may spoil the header, an object."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, array) in rows.items():
        raw = encoded(array, dtype).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header) if change is None else change(header)
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(text)) + text + data + tail


def as_published(name, array, arch, heads, kv_heads, gguf_name):
    kind = gguf_name.split(".")[-2]
    if arch in PERMUTED and kind in ("attn_q", "attn_k"):
        n = heads if kind == "attn_q" else kv_heads
        array = array.reshape(n, -1, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
    if arch in PLUS_ONE and "norm" in kind and gguf_name.endswith("weight"):
        array = array - numpy.float32(1)
    return array


def tensors_of(family):
    """{name as transformers saves it: fp32}, in the order of names.txt, layer after layer."""
    reader = gguf.GGUFReader(gguf_of(family))
    arch = reader.fields["general.architecture"].contents()
    sizes = ("attention.head_count", "attention.head_count_kv", "block_count")
    heads, kv_heads, layers = (reader.fields[f"{arch}.{key}"].contents() for key in sizes)
    ours = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1].tolist()) for t in reader.tensors}
    kind = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
    names = gguf.get_tensor_name_map(kind, layers)
    out = {}
    for layer in [None, *range(layers)]:
        for name in NAMES_OF[family]:
            if (".layers." in name) != (layer is not None):
                continue
            name = name if layer is None else name.replace(".layers.0.", f".layers.{layer}.")
            there = names.get_name(name, try_suffixes=(".weight", ".bias"))
            out[name] = as_published(name, ours[there], arch, heads, kv_heads, there)
    return out


def folder_of(family, out, dtype="F32", n_files=1):
    out.mkdir()
    (out / "config.json").write_text(json.dumps(config_of(family)))
    (out / "tokenizer.json").write_text(json.dumps(tokenizer()))
    rows = {name: (dtype, t) for name, t in tensors_of(family).items()}
    if n_files == 1:
        (out / "model.safetensors").write_bytes(safetensors(rows, metadata={"format": "pt"}))
        return out
    files = [f"model-{i + 1:05}-of-{n_files:05}.safetensors" for i in range(n_files)]
    weight_map = {name: files[i * n_files // len(rows)] for i, name in enumerate(rows)}
    for file in files:
        (out / file).write_bytes(safetensors({n: t for n, t in rows.items() if weight_map[n] == file}))
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return out


def reference(path, context, ids):
    return numpy.frombuffer(run_reference(path, str(context), "all", ids=ids), "<f4").reshape(len(ids), -1)


def rewrite(path, change):
    """Changes the JSON file at `path` in place."""
    value = json.loads(pathlib.Path(path).read_text())
    change(value)
    pathlib.Path(path).write_text(json.dumps(value))
