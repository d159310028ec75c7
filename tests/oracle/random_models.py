"""Small random models of every kind lathe supports, written with the PyPI package `gguf`. Nothing of lathe is used.

Shapes are chosen so that a wrong reading cannot hide: no two sizes are equal, weights of attention are large enough to
make attention sharp, norm weights are not 1, and the text is longer than the batches it is fed in."""

import math
import zlib

import gguf
import numpy

N_VOCAB = 320
K_BLOCK_SCALES = {  # offset of the f16 scale, of the f16 minimum (or None), and minimum over scale that centres weights
    "Q2_K": (80, 82, 1.5),
    "Q3_K": (108, None, 0),
    "Q4_K": (0, 2, 7.5),
    "Q5_K": (0, 2, 15.5),
    "Q6_K": (208, None, 0),
    "IQ1_S": (0, None, 0),
    "IQ2_XXS": (0, None, 0),
    "IQ2_XS": (0, None, 0),
    "IQ2_S": (0, None, 0),
    "IQ1_M": (48, None, 0),  # in the four top bits of four words
}


def random_array(name, *shape, scale=1.0):
    """Each tensor has its own stream, so one that is added or dropped changes no other."""
    return (numpy.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape) * scale).astype(numpy.float32)


def k_blocks(name, rows, cols, kind, deviation):
    """Random bytes as super-blocks whose weights have mean 0, about, and the given deviation."""
    quant = gguf.GGMLQuantizationType[kind]
    n_weights, n_bytes = gguf.GGML_QUANT_SIZES[quant]
    rng = numpy.random.default_rng(zlib.crc32(name.encode()))
    blocks = rng.integers(0, 256, (rows * cols // n_weights, n_bytes), dtype=numpy.uint8)
    at, minimum_at, ratio = K_BLOCK_SCALES[kind]

    def scaled(scale):
        if kind == "IQ1_M":
            words, bits = blocks[:, at:].view("<u2"), int(numpy.float16(scale).view(numpy.uint16))
            words[:] = words & 0x0FFF | numpy.array([bits << 12 & 0xF000, bits << 8 & 0xF000, bits << 4 & 0xF000, bits & 0xF000], "<u2")
            return gguf.quants.dequantize(blocks, quant)
        blocks[:, at : at + 2] = numpy.frombuffer(numpy.float16(scale).tobytes(), numpy.uint8)
        if minimum_at is not None:
            blocks[:, minimum_at : minimum_at + 2] = numpy.frombuffer(numpy.float16(scale * ratio).tobytes(), numpy.uint8)
        return gguf.quants.dequantize(blocks, quant)

    scaled(deviation / scaled(1.0).std())
    return blocks.reshape(rows, cols // n_weights * n_bytes)


class RandomModel:
    """Keys and float tensors of one model; `write` stores its matrices as any block type."""

    def __init__(self, arch, *, d_model=96, d_ff=160, n_layers=2, n_heads=4, n_kv_heads=2, head_dim=None, rope_dim=None,
                 context=256, eps=1e-3, base=500.0, tied=True, fused=None, biases=(), keys=None, tensors=None):
        self.arch, self.d_model, self.d_ff, self.n_layers, self.n_heads = arch, d_model, d_ff, n_layers, n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        self.head_dim = head_dim or d_model // n_heads
        self.rope_dim, self.context, self.eps, self.base = rope_dim or self.head_dim, context, eps, base
        self.keys = {
            "context_length": context, "embedding_length": d_model, "feed_forward_length": d_ff, "block_count": n_layers,
            "attention.head_count": n_heads, "attention.layer_norm_rms_epsilon": float(eps), "rope.freq_base": float(base),
            "rope.dimension_count": self.rope_dim,
        }  # fmt: skip
        if n_kv_heads:
            self.keys["attention.head_count_kv"] = n_kv_heads
        if head_dim:
            self.keys |= {"attention.key_length": head_dim, "attention.value_length": head_dim}
        if arch == "phi3":
            self.keys["attention.sliding_window"] = 262144  # as Phi-4-mini: every position is seen
        self.keys |= keys or {}
        self.fused = arch == "phi3" if fused is None else fused
        self.tensors = {}
        self._add_tensors(tied, biases)
        self.tensors |= {name: numpy.asarray(t, numpy.float32) for name, t in (tensors or {}).items()}

    def _matrix(self, name, rows, cols, gain=1.0):
        self.tensors[name] = random_array(name, rows, cols, scale=gain / math.sqrt(cols))

    def _add_tensors(self, tied, biases):
        q, kv, d = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim, self.d_model
        self.tensors["token_embd.weight"] = random_array("token_embd.weight", N_VOCAB, d)
        self.tensors["output_norm.weight"] = 1 + random_array("output_norm.weight", d, scale=0.2)
        if not tied:
            self._matrix("output.weight", N_VOCAB, d)
        for i in range(self.n_layers):
            p = f"blk.{i}."
            for norm in ("attn_norm.weight", "ffn_norm.weight"):
                self.tensors[p + norm] = 1 + random_array(p + norm, d, scale=0.2)
            # Queries and keys twice as large as usual: scores spread over several units, so positions matter.
            for name, rows, gain in (("q", q, 2), ("k", kv, 2), ("v", kv, 1)):
                self._matrix(f"{p}attn_{name}.weight", rows, d, gain)
                if "qkv" in biases:
                    self.tensors[f"{p}attn_{name}.bias"] = random_array(f"{p}attn_{name}.bias", rows, scale=0.5)
            self._matrix(p + "attn_output.weight", d, q)
            if "out" in biases:
                self.tensors[p + "attn_output.bias"] = random_array(p + "attn_output.bias", d, scale=0.5)
            for name, rows, cols in (("ffn_gate", self.d_ff, d), ("ffn_up", self.d_ff, d), ("ffn_down", d, self.d_ff)):
                self._matrix(f"{p}{name}.weight", rows, cols)

    def stored(self):
        """Tensors as the file has them: phi3 keeps q, k, v in one and gate, up in one."""
        out = dict(self.tensors)
        for i in range(self.n_layers if self.fused else 0):
            p = f"blk.{i}."
            out[p + "attn_qkv.weight"] = numpy.concatenate([out.pop(f"{p}attn_{x}.weight") for x in "qkv"])
            out[p + "ffn_up.weight"] = numpy.concatenate([out.pop(p + "ffn_gate.weight"), out.pop(p + "ffn_up.weight")])
        return out

    def write(self, path, kind="F32", decode=False):
        """Matrices as `kind`; with `decode` as F32 of what those blocks decode to, by gguf's own decoder."""
        quant = gguf.GGMLQuantizationType[kind]
        writer = gguf.GGUFWriter(path, self.arch)
        for key, value in self.keys.items():
            add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, bool: writer.add_bool}
            if value is not None:
                add[type(value)](f"{self.arch}.{key}", value)
        add_vocabulary(writer)
        for name, tensor in self.stored().items():
            if tensor.ndim == 1 or kind == "F32":
                writer.add_tensor(name, tensor)
                continue
            if kind in K_BLOCK_SCALES:
                blocks = k_blocks(name, *tensor.shape, kind, tensor.std())
            else:
                blocks = gguf.quants.quantize(tensor, quant)
            if decode:
                writer.add_tensor(name, gguf.quants.dequantize(blocks, quant))
            else:
                writer.add_tensor(name, blocks, raw_dtype=quant)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def add_vocabulary(writer):
    """A byte-level vocabulary with one merge (llama.cpp asks for some), filled up with tokens no text gives."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(letters + ["ab"] + [f"<|spare{i}|>" for i in range(N_VOCAB - 258)] + ["<|endoftext|>"])
    writer.add_token_types([1] * 257 + [5] * (N_VOCAB - 258) + [3])
    writer.add_token_merges(["a b"])
    writer.add_uint32("tokenizer.ggml.eos_token_id", N_VOCAB - 1)
    writer.add_uint32("tokenizer.ggml.bos_token_id", N_VOCAB - 1)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)


def random_ids(n, seed=5):
    return [int(i) for i in numpy.random.default_rng(seed).integers(0, N_VOCAB, n)]


def rope_freqs(rope_dim, base, factor, low, high, original):
    """Llama 3's divisors, after transformers' _compute_llama3_parameters."""
    out = []
    for i in range(rope_dim // 2):
        wavelength = 2 * math.pi * base ** (2 * i / rope_dim)
        if wavelength < original / high:
            out.append(1.0)
        elif wavelength > original / low:
            out.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return out
