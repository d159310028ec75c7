"""A decoder in float64 numpy, written from the papers: for what llama.cpp does not compute (a sliding window of a
phi3 file, which it switches off). It is held to llama.cpp's logits on models both can compute."""

import numpy


def rms_norm(x, weight, eps):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotate(x, rope_dim, base, is_interleaved):
    """x [tokens, heads, head_dim]: the first rope_dim dims of each head, by position."""
    half = rope_dim // 2
    angles = numpy.arange(len(x))[:, None] * base ** (-2.0 * numpy.arange(half) / rope_dim)
    cos, sin = numpy.cos(angles)[:, None], numpy.sin(angles)[:, None]
    first = slice(0, rope_dim, 2) if is_interleaved else slice(0, half)
    second = slice(1, rope_dim, 2) if is_interleaved else slice(half, rope_dim)
    out = x.copy()
    out[..., first] = x[..., first] * cos - x[..., second] * sin
    out[..., second] = x[..., second] * cos + x[..., first] * sin
    return out


def logits(model, ids, window=0):
    """Logits [len(ids), N_VOCAB] of a RandomModel without rope scaling. `window`: latest positions seen, own included."""
    t = {name: tensor.astype(numpy.float64) for name, tensor in model.tensors.items()}
    n, head_dim, group = len(ids), model.head_dim, model.n_heads // model.n_kv_heads
    ago = numpy.arange(n)[:, None] - numpy.arange(n)
    hidden = (ago < 0) | ((ago >= window) if window else False)
    x = t["token_embd.weight"][ids]
    for i in range(model.n_layers):
        w = {name.removeprefix(f"blk.{i}."): tensor for name, tensor in t.items() if name.startswith(f"blk.{i}.")}
        y = rms_norm(x, w["attn_norm.weight"], model.eps)
        q, k, v = ((y @ w[f"attn_{c}.weight"].T + w.get(f"attn_{c}.bias", 0)).reshape(n, -1, head_dim) for c in "qkv")
        q, k = (rotate(z, model.rope_dim, model.base, model.arch == "llama") for z in (q, k))
        k, v = (z.repeat(group, 1) for z in (k, v))
        scores = numpy.einsum("qhd,khd->hqk", q, k) / numpy.sqrt(head_dim)
        scores[:, hidden] = -numpy.inf
        weights = numpy.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        heads = numpy.einsum("hqk,khd->qhd", weights, v).reshape(n, -1)
        x = x + heads @ w["attn_output.weight"].T + w.get("attn_output.bias", 0)
        y = rms_norm(x, w["ffn_norm.weight"], model.eps)
        gate = y @ w["ffn_gate.weight"].T
        x = x + (gate / (1 + numpy.exp(-gate)) * (y @ w["ffn_up.weight"].T)) @ w["ffn_down.weight"].T
    return rms_norm(x, t["output_norm.weight"], model.eps) @ t.get("output.weight", t["token_embd.weight"]).T
