"""What a call of engine_cases.py should give, and how far from it an engine may be.

Values come from coremltools: its operators infer the value of a call whose arguments are all constants. Ops it cannot
infer are written here in numpy, in float64, from their definitions.
"""
import itertools
import math

import numpy as np

import coremltools as ct
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function

EPS = 2.0 ** -24  # half a unit in the last place of float, relative


def infer(op, args, opset=ct.target.iOS18):
    """coremltools' values, or None for an op of which it infers only types."""
    with Function({}, opset_version=opset):
        result = getattr(mb, op)(**args)
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    if op.startswith("constexpr_") or op == "dequantize":
        return [np.asarray(results[0].op.materialized_val_inference())]
    values = [v.val for v in results]
    return None if any(v is None for v in values) else [np.asarray(v) for v in values]


# ---- references of our own

def silu(x):
    return x / (1 + np.exp(-x))


def conv(x, weight, bias=None, strides=None, dilations=None, pad=None, pad_type="valid", groups=1):
    axes = x.ndim - 2
    strides, dilations = [list(v) if v is not None else [1] * axes for v in (strides, dilations)]
    kernel, pads = weight.shape[2:], []
    for i in range(axes):
        reach = (kernel[i] - 1) * dilations[i] + 1
        before = after = 0
        if pad_type == "custom" and pad is not None:
            before, after = pad[2 * i], pad[2 * i + 1]
        elif pad_type.startswith("same"):
            total = max(0, (math.ceil(x.shape[2 + i] / strides[i]) - 1) * strides[i] + reach - x.shape[2 + i])
            small, large = total // 2, total - total // 2
            before, after = (large, small) if pad_type == "same_lower" else (small, large)
        pads.append((before, after))
    padded = np.pad(x, [(0, 0), (0, 0)] + pads)
    out = [(padded.shape[2 + i] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(axes)]
    per, result = weight.shape[0] // groups, np.zeros((x.shape[0], weight.shape[0], *out))
    for g, at in itertools.product(range(groups), itertools.product(*map(range, kernel))):
        window = padded[:, g * weight.shape[1]:(g + 1) * weight.shape[1]]
        window = window[(slice(None), slice(None)) + tuple(
            slice(k * d, k * d + (o - 1) * s + 1, s) for k, d, o, s in zip(at, dilations, out, strides))]
        taps = weight[(slice(g * per, (g + 1) * per), slice(None)) + at]
        result[:, g * per:(g + 1) * per] += np.einsum("ni...,oi->no...", window, taps)
    return result if bias is None else result + bias.reshape(1, -1, *[1] * axes)


def channels(v, x):
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


def batch_norm(x, mean, variance, gamma=None, beta=None, epsilon=1e-5):
    y = (x - channels(mean, x)) / np.sqrt(channels(variance, x) + epsilon)
    return y * (1 if gamma is None else channels(gamma, x)) + (0 if beta is None else channels(beta, x))


def instance_norm(x, gamma=None, beta=None, epsilon=1e-5):
    axes = tuple(range(2, x.ndim))
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    return y * (1 if gamma is None else channels(gamma, x)) + (0 if beta is None else channels(beta, x))


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    squares, before = np.zeros_like(x), (int(size) - 1) // 2
    for c in range(x.shape[1]):
        squares[:, c] = (x[:, max(0, c - before):c - before + int(size)] ** 2).sum(1)
    return x / (k + alpha / size * squares) ** beta


def depth_to_space(x, block_size):
    n, c, h, w = x.shape
    d = int(block_size)
    return x.reshape(n, d, d, c // d // d, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // d // d, h * d, w * d)


def space_to_depth(x, block_size):
    n, c, h, w = x.shape
    d = int(block_size)
    return x.reshape(n, c, h // d, d, w // d, d).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * d * d, h // d, w // d)


def pixel_shuffle(x, upscale_factor):
    n, c, h, w = x.shape
    d = int(upscale_factor)
    return x.reshape(n, c // d // d, d, d, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // d // d, h * d, w * d)


def sliding_windows(x, axis, size, stride=1):
    windows = [np.take(x, range(at, at + size), axis) for at in range(0, x.shape[axis] - size + 1, stride)]
    return np.stack(windows, axis if axis >= 0 else axis - 1)


def gather_nd(x, indices, batch_dims=0):
    if batch_dims:
        return np.stack([gather_nd(a, i, batch_dims - 1) for a, i in zip(x, indices)])
    return x[tuple(np.moveaxis(indices, -1, 0))]


COMBINE = {"update": lambda a, b: b, "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
           "div": lambda a, b: a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype),
           "max": np.maximum, "min": np.minimum}


def scatter(data, indices, updates, axis=0, mode="add"):
    out = np.moveaxis(data, axis, 0).copy()
    rows = np.moveaxis(updates, axis, 0)
    for at, row in zip(indices, rows):
        out[at] = COMBINE[mode](out[at], row)
    return np.moveaxis(out, 0, axis)


def scatter_nd(data, indices, updates, mode="add"):
    out = data.copy()
    for at in np.ndindex(indices.shape[:-1]):
        where = tuple(indices[at])
        out[where] = COMBINE[mode](out[where], updates[at])
    return out


def one_hot(indices, one_hot_vector_size, axis=-1, on_value=1, off_value=0):
    hot = np.arange(one_hot_vector_size) == indices[..., None]
    return np.moveaxis(np.where(hot, on_value, off_value), -1, axis)


# Ops coremltools never infers.
OURS = {f.__name__: f for f in [silu, conv, batch_norm, instance_norm, local_response_norm, depth_to_space,
                                space_to_depth,
                                pixel_shuffle, sliding_windows, gather_nd, scatter, scatter_nd, one_hot]}


def cumsum(x, axis=0, exclusive=False, reverse=False):
    x = np.flip(x, axis) if reverse else x
    y = np.cumsum(x, axis, dtype=x.dtype)
    y = y - x if exclusive else y
    return np.flip(y, axis) if reverse else y


def interleave(values, axis, interleave):
    parts = np.stack(values, axis + 1)
    return parts.reshape([-1 if i == axis else d for i, d in enumerate(values[0].shape)])


def scatter_along_axis(data, indices, updates, axis, mode):
    out = data.copy()
    for at in np.ndindex(indices.shape):
        where = list(at)
        where[axis] = indices[at]
        out[tuple(where)] = COMBINE[mode](out[tuple(where)], updates[at])
    return out


# Calls it fails at, or gets wrong: op, which, and the value.
GAPS = [
    ("matmul", lambda a: a["y"].ndim == 1, lambda x, y: np.matmul(x, y)),
    ("cumsum", lambda a: a.get("exclusive"), cumsum),
    ("flatten2d", lambda a: a["axis"] == 0, lambda x, axis: x.reshape(1, -1)),
    ("prelu", lambda a: a["x"].ndim == 3 and a["alpha"].size > 1,
     lambda x, alpha: np.where(x > 0, x, (alpha[:, None] * x).astype(x.dtype))),
    ("concat", lambda a: a.get("interleave"), interleave),  # it leaves the parts as they are
    ("scatter_along_axis", lambda a: a["mode"] != "update", scatter_along_axis),  # it does not look at the mode
    # It floors the exact quotient: 2499 for 2.5 / 0.001, where the quotient as a float is 2500.
    ("floor_div", lambda a: a["x"].dtype.kind == "f", lambda x, y: np.floor(x / y)),
]


def value(op, args, opset):
    """The outputs of a call, floats in fp32 or wider; None when nobody can say."""
    for gap, applies, work in GAPS:
        if gap == op and applies(args):
            return [np.asarray(work(**args))]
    if op not in OURS:
        return infer(op, args, opset)
    if op not in BOUNDS:  # one operation in float
        return [np.asarray(OURS[op](**args))]
    return [np.asarray(OURS[op](**{k: wide(v) if is_floats(v) else v for k, v in args.items()}))]


def is_floats(v):
    return isinstance(v, (np.ndarray, np.generic)) and v.dtype.kind == "f"


# ---- bounds: the largest difference from the value that arithmetic in float may leave

def wide(v):
    return np.asarray(v, dtype=np.float64)


def units(n):
    """n units in the last place of the value, or of the least normal float."""
    return lambda args, want: n * 2 * EPS * np.maximum(np.abs(want), 2.0 ** -126)


def near(n):
    """The same of the value or of 1, where terms of that size cancel."""
    return lambda args, want: n * 2 * EPS * np.maximum(np.abs(want), 1)


def near_x(n):
    return lambda args, want: n * 2 * EPS * np.maximum(np.abs(want), np.abs(wide(args["x"])))


def matmul_terms(args, want):
    a, b = np.abs(wide(args["x"])), np.abs(wide(args["y"]))
    swap = lambda m: np.swapaxes(m, -1, -2)
    a, b = swap(a) if args.get("transpose_x") else a, swap(b) if args.get("transpose_y") else b
    return (a.shape[-1] + 2) * EPS * np.matmul(a, b)


def linear_terms(args, want):
    a, b = np.abs(wide(args["x"])), np.abs(wide(args["weight"]))
    return (a.shape[-1] + 3) * EPS * (a @ b.T + np.abs(wide(args.get("bias", 0))))


def conv_terms(args, want):
    plain = {k: np.abs(wide(v)) if k in ("x", "weight", "bias") else v for k, v in args.items()}
    return (np.prod(args["weight"].shape[1:]) + 3) * EPS * conv(**plain)


def einsum_terms(args, want):
    a, b = [np.abs(wide(v)) for v in args["values"]]
    return (a.shape[-1] + 2) * EPS * np.matmul(np.moveaxis(a, -3, -2), np.moveaxis(b, -3, -2)).swapaxes(-3, -2)


def reduced(kind):
    """Both sides add n terms, coremltools in float: n + 2 roundings of the sum of sizes."""
    def bound(args, want):
        x = np.abs(wide(args["x"]))
        axes = tuple(int(a) for a in args["axes"]) if "axes" in args else None
        keep = bool(args.get("keep_dims", False))
        terms = kind(x, axes, keep)
        n = x.size / max(1, terms.size)
        return (n + 2) * EPS * terms
    return bound


def sums(x, axes, keep):
    return x.sum(axes, keepdims=keep)


def log_terms(args, want):
    # The error of a logarithm is that of its argument, relative, and its own.
    x = wide(args["x"])
    return (x.size + 4) * EPS * np.maximum(1, np.abs(want))


def normalised(args, want):
    # Mean and variance in float on coremltools' side: n roundings each, of numbers near 1.
    return (np.size(args["x"]) + 8) * EPS * np.maximum(np.abs(want), 4)


def attention(args, want):
    # Scores: E products, then exponentials of their errors, then S products.
    q, k, v = [np.abs(wide(args[p])) for p in ("query", "key", "value")]
    scores = np.matmul(q, np.swapaxes(k, -1, -2)).max() / math.sqrt(q.shape[-1])
    return (q.shape[-1] + k.shape[-2] + 16) * EPS * (1 + scores) * v.max() * np.ones_like(want)


# Ops not named here must be right to the last bit: they move numbers, count, compare, or round one operation.
BOUNDS = {
    # numpy's functions of float and the C library's are each within two units, exp's kernels within 2 of kernels.h
    **{op: units(4) for op in ["atan", "cosh", "erf", "exp", "exp2", "sinh", "tan", "tanh", "pow", "scaled_tanh",
                               "atanh", "acos",
                               "asin", "sin", "cos"]},
    "rsqrt": units(2), "inverse": units(1), "sigmoid": units(6), "softmax": units(8),
    "log": near(4), "softplus": near(4), "softplus_parametric": near(8), "elu": near(4),
    "silu": units(6), "gelu": near_x(8),
    "matmul": matmul_terms, "linear": linear_terms, "conv": conv_terms, "einsum": einsum_terms,
    "scaled_dot_product_attention": attention,
    "reduce_sum": reduced(sums), "reduce_l1_norm": reduced(sums),
    "reduce_mean": reduced(lambda x, axes, keep: x.mean(axes, keepdims=keep)),
    "reduce_sum_square": reduced(lambda x, axes, keep: (x * x).sum(axes, keepdims=keep)),
    "reduce_l2_norm": reduced(lambda x, axes, keep: np.sqrt((x * x).sum(axes, keepdims=keep))),
    "reduce_prod": reduced(lambda x, axes, keep: x.prod(axes, keepdims=keep)),
    "reduce_log_sum": log_terms, "reduce_log_sum_exp": log_terms,
    "cumsum": lambda args, want: (args["x"].shape[int(args["axis"])] + 2) * EPS * np.abs(wide(args["x"])).sum(),
    "layer_norm": normalised, "instance_norm": normalised, "batch_norm": normalised, "l2_norm": units(16),
    "local_response_norm": units(4),
}


def bound(op, args, want):
    if want.dtype.kind != "f":
        return np.zeros(want.shape)
    return np.broadcast_to(BOUNDS.get(op, units(0))(args, wide(want)), want.shape)
