"""Models whose activations are too large or too small for fp16 and whose function in fp32 is that of the model they were
made from: every factor is a power of two, put in at one place and taken out at another."""

import gguf
import numpy as np
from bundle_edit import rewrite_gguf


def planted(source, path, stream=1.0, up=None, v=None, eps=None):
    """Writes to `path` the model of `source` (hello-phi3-f16.gguf or its kin) with

    stream   the residual stream this many times larger: embedding, both writers, and eps by its square. The head, which
             is tied in the source, becomes a tensor of its own
    up, v    {layer: c}: W_up or W_v c times larger, W_down or W_o c times smaller
    eps      of the norms, before `stream`: a contract with an eps above 0.01 is refused, so a much larger stream needs
             a model with a small one. By default the source's
    """
    reader = gguf.GGUFReader(source)
    weights = {t.name: np.asarray(t.data, np.float32) for t in reader.tensors}
    eps = eps or reader.fields["phi3.attention.layer_norm_rms_epsilon"].contents()
    n_layers = reader.fields["phi3.block_count"].contents()
    heads = reader.fields["phi3.attention.head_count"].contents()
    kv_heads = reader.fields["phi3.attention.head_count_kv"].contents()
    changed = {"output.weight": weights["token_embd.weight"], "token_embd.weight": weights["token_embd.weight"] * stream}
    for i in range(n_layers):
        name = f"blk.{i}.%s.weight"
        qkv, out = weights[name % "attn_qkv"], weights[name % "attn_output"]
        gate_up, down = weights[name % "ffn_up"], weights[name % "ffn_down"]
        c_v, c_up = np.float32((v or {}).get(i, 1)), np.float32((up or {}).get(i, 1))
        n_v, d_ff = qkv.shape[0] * kv_heads // (heads + 2 * kv_heads), gate_up.shape[0] // 2
        changed[name % "attn_qkv"] = np.concatenate([qkv[:-n_v], qkv[-n_v:] * c_v])
        changed[name % "attn_output"] = out * (np.float32(stream) / c_v)
        changed[name % "ffn_up"] = np.concatenate([gate_up[:d_ff], gate_up[d_ff:] * c_up])
        changed[name % "ffn_down"] = down * (np.float32(stream) / c_up)
    return rewrite_gguf(source, path, {"phi3.attention.layer_norm_rms_epsilon": eps * stream * stream}, changed)
