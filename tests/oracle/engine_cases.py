"""What tests/oracle/test_engine_ops.py runs: for every op of src/engine/ops.def, calls with their arguments.

Floats are written once and used as fp32 and, rounded, as fp16. `T` marks what the program gets as a function's input;
other arguments are constants in its text.
"""
import numpy as np

from coremltools.converters.mil.mil import types


class T:
    """A tensor the program is given at run time."""

    def __init__(self, array):
        self.array = np.asarray(array)


class W:
    """A compressed constant: the constexpr op that makes it, with its arguments."""

    def __init__(self, op, **args):
        self.op, self.args = op, args


class Random:
    """Numbers that depend on how many were asked for before, and on nothing else."""

    def __init__(self):
        self.rng = np.random.default_rng(11)

    def floats(self, *shape, low=-2.0, high=2.0):
        return self.rng.uniform(low, high, shape)

    def ints(self, *shape, low=-9, high=10):
        return self.rng.integers(low, high, shape).astype(np.int32)

    def bools(self, *shape):
        return self.rng.random(shape) < 0.5


R = Random()
x, n, b = (lambda *s, **k: T(R.floats(*s, **k))), (lambda *s, **k: T(R.ints(*s, **k))), (lambda *s: T(R.bools(*s)))
c = R.floats  # a constant


def I(*values):
    return np.array(values, dtype=np.int32)


def B(*values):
    return np.array(values, dtype=bool)


CASES = []


def case(op, only=None, **args):
    """`only`: the one float type to use."""
    CASES.append((op, args, only))


# Elementwise work goes in stretches of 512 and in pieces of 16384 a thread.
STRETCHES = [1, 511, 512, 513, 16384 + 7]
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.5, 2.5, 6e-8, 6.1e-5, 65504.0, -65504.0,
                    1e-3, 3.0, 10.0, -10.0, 88.0, -88.0])

# ---- elementwise, two operands
ARITHMETIC = ["add", "sub", "mul", "real_div", "floor_div", "mod", "maximum", "minimum"]
COMPARE = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
for op in ARITHMETIC + COMPARE:
    for a, d in [((3, 1, 5), (4, 1)), ((2, 3, 4), ()), ((), (2, 2)), ((1, 6, 1, 3), (6, 1, 1)),
                 ((2, 1, 3, 1), (1, 4, 1, 5))]:
        case(op, x=x(*a), y=x(*d))
        case(op, x=n(*a), y=n(*d))
    case(op, x=x(7), y=c(7))
    case(op, x=c(1, 7), y=x(3, 1))
    case(op, x=T(np.repeat(SPECIAL, len(SPECIAL))), y=T(np.tile(SPECIAL, len(SPECIAL))))
for count in STRETCHES:
    case("add", x=x(count), y=x(count))
    case("mul", x=x(count), y=x(1))
    case("less", x=n(count), y=n(1))
    case("select", cond=b(count), a=x(count), b=x(count))
for shape in [(4,), (2, 3)]:
    case("pow", x=x(*shape, low=0.1, high=5), y=x(*shape))
case("pow", x=T([-2.0, -2.0, 0.0, 0.0, 3.0]), y=T([2.0, 3.0, 0.0, 2.0, -1.0]))
case("pow", x=n(3, 4, low=-4, high=5), y=n(4, low=0, high=6))
INT_MIN, INT_MAX = -2**31, 2**31 - 1
for op in ["add", "sub", "mul"]:
    case(op, x=T(I(INT_MAX, INT_MIN, INT_MAX, 65536)), y=T(I(1, -1, INT_MAX, 65536)))
case("floor_div", x=T(I(7, -7, 7, -7, 6, INT_MAX)), y=T(I(2, 2, -2, -2, -3, -1)))
case("mod", x=T(I(7, -7, 7, -7, 6, INT_MAX)), y=T(I(2, 2, -2, -2, -3, 10)))
case("real_div", x=T(I(7, -7, 6)), y=T(I(2, 2, 3)))
for op in ["logical_and", "logical_or", "logical_xor"]:
    case(op, x=b(2, 1, 5), y=b(3, 1))
    case(op, x=b(4, 5), y=R.bools(5))
for shapes in [((2, 3), (2, 3), (2, 3)), ((3,), (2, 3), (1,)), ((1, 3), (2, 1), (2, 3)), ((), (2, 3), (3,)),
               ((2, 3), (), (2, 3))]:
    case("select", cond=b(*shapes[0]), a=x(*shapes[1]), b=x(*shapes[2]))
    case("select", cond=b(*shapes[0]), a=n(*shapes[1]), b=n(*shapes[2]))
case("select", cond=b(5), a=b(5), b=b(5))

# ---- elementwise, one operand
UNARY = ["abs", "acos", "asin", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "relu", "relu6",
         "round", "sigmoid", "sign", "silu", "sin", "sinh", "softplus", "softsign", "sqrt", "square", "tan", "tanh"]
for op in UNARY:
    case(op, x=x(3, 5, 2, low=-0.95, high=0.95))
    case(op, x=x(2, 7, low=-6, high=6))
    case(op, x=x())
    case(op, x=T(SPECIAL))
for op in ["exp", "sigmoid", "silu", "tanh", "relu"]:
    for count in STRETCHES:
        case(op, x=x(count, low=-9, high=9))
for op in ["abs", "sign", "square"]:
    case(op, x=T(I(0, 1, -1, 7, -9, INT_MAX, INT_MIN, 46341)))
case("exp2", x=T(I(0, 1, 5, 30)))
for op, low in [("rsqrt", 0.01), ("inverse", 0.01), ("log", 0.01)]:
    case(op, x=x(3, 7, low=low, high=9))
    for epsilon in [0.0, 0.25]:
        case(op, x=x(3, 7, low=low, high=9), epsilon=epsilon)
    case(op, x=T(SPECIAL), epsilon=0.0)
    case(op, x=T([0.0, 1.0, -0.5]), only="fp32")
case("inverse", x=x(9, low=-3, high=-0.1), epsilon=0.0)
for alpha, beta in [(0.0, 6.0), (-0.5, 0.5)]:
    case("clip", x=x(4, 9), alpha=alpha, beta=beta)
case("clip", x=T(SPECIAL), alpha=-1.0, beta=2.0)
case("threshold", x=x(4, 9), alpha=0.5)
case("threshold", x=n(4, 9), alpha=np.int32(3))
for op in ["elu", "leaky_relu", "thresholded_relu"]:
    for alpha in [0.0, 0.25, 1.5]:
        case(op, x=x(4, 9), alpha=alpha)
    case(op, x=T(SPECIAL), alpha=0.5)
for op in ["clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard"]:
    for alpha, beta in [(0.25, 0.75), (1.5, 0.5), (-1.0, 3.0)]:
        case(op, x=x(4, 9), alpha=alpha, beta=beta)
for mode in ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"]:
    case("gelu", x=x(3, 171, low=-8, high=8), mode=mode)
case("gelu", x=x(5))
for shape, channels in [((2, 3, 4, 5), 3), ((1, 4, 6), 4), ((1, 1, 5, 2), 1)]:
    case("prelu", x=x(*shape), alpha=c(channels))
    case("softplus_parametric", x=x(*shape), alpha=c(channels), beta=c(channels, low=0.5, high=3))
case("logical_not", x=b(3, 5))
for value in [x(2, 3), n(2, 3), b(2, 3)]:
    case("identity", x=value)
for dtype in ["fp16", "fp32", "int32", "bool", "int8", "uint8", "int16", "uint16"]:
    case("cast", x=T([0.0, 1.0, 1.7, 100.5, 2.5, 127.0]), dtype=dtype)
    case("cast", x=T(I(0, 1, 5, 127)), dtype=dtype)
    case("cast", x=T(B(True, False)), dtype=dtype)
for dtype in ["fp16", "fp32", "int32", "int8", "int16"]:
    case("cast", x=T([0.0, -1.0, -1.7, -100.5, 0.3333]), dtype=dtype)
    case("cast", x=T(np.array([-128, 5, 127], dtype=np.int8)), dtype=dtype)
case("cast", x=T(np.array([0, 200], dtype=np.uint8)), dtype="fp16")
case("cast", x=T(I(300, -129, 70000, -1)), dtype="int8")
case("cast", x=T(I(300, -129, 70000, -1)), dtype="uint16")
for q, low in [("int8", -128), ("uint8", 0)]:
    case("quantize", input=x(3, 4, low=-3, high=3), scale=0.03125, output_dtype=q)
    case("quantize", input=x(3, 4, low=-9, high=9), scale=c(4, low=0.01, high=0.05), axis=1, output_dtype=q)
    case("quantize", input=x(3, 4), scale=0.0625, zero_point=np.dtype(q).type(5), output_dtype=q)
    case("quantize", input=x(3, 2, 4), scale=c(3, low=0.01, high=0.05), zero_point=np.array([1, 0, 7], dtype=q), axis=0,
         output_dtype=q)
    case("quantize", input=T([0.5, 1.5, 2.5, -0.5, -1.5, 500.0, -500.0]), scale=1.0, output_dtype=q)  # ties, both ends
    quantized = T(R.rng.integers(low, low + 256, (3, 4)).astype(q))
    case("dequantize", input=quantized, scale=0.03125)
    case("dequantize", input=quantized, scale=0.03125, zero_point=np.dtype(q).type(7))
    case("dequantize", input=quantized, scale=c(4, low=0.01, high=0.05), axis=1)
    case("dequantize", input=quantized, scale=c(3, low=0.01, high=0.05), zero_point=np.array([1, 0, 7], dtype=q),
         axis=-2)

# ---- products: blocks of 64 columns, 256 deep, 24 rows; four rows and fewer go by dot products
for m, k, q in [(1, 1, 1), (1, 255, 63), (4, 256, 64), (5, 257, 65), (24, 513, 8), (25, 16, 130), (49, 300, 1)]:
    for tx, ty in [(False, False), (False, True), (True, False), (True, True)]:
        case("matmul", x=x(*((k, m) if tx else (m, k))), y=x(*((q, k) if ty else (k, q))), transpose_x=tx,
             transpose_y=ty)
    case("matmul", x=x(m, k), y=c(k, q))
    case("matmul", x=c(m, k), y=x(k, q))
    case("linear", x=x(m, k), weight=c(q, k))
    case("linear", x=x(2, m, k), weight=c(q, k), bias=c(q))
case("linear", x=x(7), weight=c(3, 7))
case("linear", x=n(2, 7), weight=R.ints(3, 7), bias=R.ints(3))
for a, d in [((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (1, 5, 4, 2)),
             ((4,), (4, 3)), ((3, 4), (4,)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((4,), (4,))]:
    case("matmul", x=x(*a), y=x(*d))
    case("matmul", x=n(*a), y=n(*d))
case("matmul", x=n(2, 4, 3), y=n(5, 4), transpose_x=True, transpose_y=True)
for a, d in [((2, 3, 4, 5), (2, 5, 4, 6)), ((2, 3, 1, 5), (2, 5, 4, 6)), ((1, 3, 4, 5), (2, 5, 4, 6)),
             ((2, 3, 4, 5), (1, 5, 1, 6))]:
    case("einsum", values=[x(*a), x(*d)], equation="nchw,nwhu->nchu")
case("einsum", values=[x(3, 4, 5), x(5, 4, 6)], equation="chw,whr->chr")
case("einsum", values=[x(3, 4, 5), x(5, 4, 6)], equation="abc,cbd->abd")
for q, k, e, v in [(1, 1, 1, 1), (3, 7, 8, 5), (9, 65, 16, 16)]:
    for lead in [(2,), (1, 3)]:
        qkv = dict(query=x(*lead, q, e), key=x(*lead, k, e), value=x(*lead, k, v))
        case("scaled_dot_product_attention", **qkv)
        case("scaled_dot_product_attention", **qkv, attn_mask=x(*lead, q, k))
        mask = R.bools(*lead[:-1], 1, q, k)
        mask[..., 0] = True  # at least one key for each row
        case("scaled_dot_product_attention", **qkv, attn_mask=T(mask))
# 1x1 over one column, many columns; then kernels, strides, dilations, pads, groups
for channels, outs, area, groups in [(1, 1, 1, 1), (255, 23, 1, 1), (256, 24, 7, 1), (257, 25, 64, 1), (8, 6, 65, 2),
                                     (6, 48, 1, 3)]:
    weight = c(outs, channels // groups, 1, 1)
    case("conv", x=x(2, channels, 1, area), weight=weight, groups=groups)
    case("conv", x=x(1, channels, 1, area), weight=weight, bias=c(outs), groups=groups)
for more in [{}, {"strides": I(2, 3)}, {"dilations": I(2, 1)}, {"pad_type": "same"},
             {"pad_type": "same", "strides": I(2, 2)}, {"pad_type": "same_lower", "strides": I(2, 2)},
             {"pad_type": "same_lower"}, {"pad_type": "custom", "pad": I(1, 2, 0, 3)},
             {"pad_type": "custom", "pad": I(2, 0, 3, 1), "strides": I(3, 1), "dilations": I(1, 2)}]:
    case("conv", x=x(2, 4, 9, 8), weight=c(6, 4, 3, 2), bias=c(6), **more)
    case("conv", x=x(1, 4, 9, 8), weight=c(6, 2, 3, 2), groups=2, **more)
case("conv", x=x(1, 4, 9), weight=c(3, 4, 3), pad_type="custom", pad=I(2, 1))
case("conv", x=x(1, 2, 5, 6, 7), weight=c(3, 2, 2, 3, 2), strides=I(1, 2, 1), pad_type="same")
case("conv", x=x(1, 4, 1, 5), weight=x(6, 4, 1, 1))  # a computed weight

# ---- over axes: lines of accumulators are 64 long
for shape, axis in [((3, 5), -1), ((3, 5), 0), ((2, 63, 3), 1), ((2, 7, 64), 1), ((2, 7, 65), -2), ((1, 4, 1, 300), 3),
                    ((1,), 0), ((2, 17), 1)]:
    case("softmax", x=x(*shape, low=-8, high=8), axis=axis)
case("softmax", x=T([[1.0, -1e4, 2.0], [-1e4, -1e4, -1e4]]))
case("softmax", x=T([60000.0, 59990.0, -60000.0]))
REDUCE = ["reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum_square",
          "reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum", "reduce_log_sum_exp"]
for op in REDUCE:
    low = 0.1 if op == "reduce_log_sum" else -1.2
    for shape, axes in [((3, 4, 5), (0,)), ((3, 4, 5), (1,)), ((3, 4, 5), (-1,)), ((3, 4, 5), (0, 2)),
                        ((2, 3, 4, 65), (1, -2)), ((3, 4, 64), (2, 0, 1)), ((7,), (0,)), ((2, 3, 63), (1,)),
                        ((65, 2), (0,)), ((2, 64), (1,)), ((1, 300), (1,))]:
        for keep in [True, False]:
            case(op, x=x(*shape, low=low, high=1.3), axes=I(*axes), keep_dims=keep)
    case(op, x=x(3, 4, low=low, high=1.3))
    if op != "reduce_log_sum":
        case(op, x=n(3, 4, 5), axes=I(1), keep_dims=False)
for op in ["reduce_argmax", "reduce_argmin"]:
    for axis in [0, 1, -1]:
        case(op, x=x(3, 4, 5), axis=axis)
        case(op, x=n(3, 4, 5), axis=axis, keep_dims=True)
    case(op, x=T([[2.0, 5.0, 5.0, 1.0, 1.0]]))  # the first of equals
    case(op, x=x(3, 4))
for shape, axes in [((2, 3, 4), (2,)), ((2, 3, 4), (1, 2)), ((2, 65, 3), (1,)), ((2, 3, 4), (-2,)),
                    ((1, 64, 1, 5), (1,))]:
    size = [shape[a] for a in axes]
    case("layer_norm", x=x(*shape), axes=I(*axes))
    case("layer_norm", x=x(*shape), axes=I(*axes), gamma=c(*size), beta=c(*size), epsilon=1e-3)
for shape in [(1, 3, 4, 5), (2, 3, 2, 2), (3, 4, 5)]:
    case("l2_norm", x=x(*shape))
    case("l2_norm", x=x(*shape), epsilon=0.5)
for shape in [(2, 3, 4, 5), (1, 4, 6), (1, 2, 3, 2, 2)]:
    ch = shape[1]
    given = dict(mean=c(ch), variance=c(ch, low=0.1, high=3))
    case("batch_norm", x=x(*shape), **given)
    case("batch_norm", x=x(*shape), **given, gamma=c(ch), beta=c(ch), epsilon=1e-3)
    if 3 <= len(shape) <= 4:
        case("instance_norm", x=x(*shape))
        case("instance_norm", x=x(*shape), gamma=c(ch), beta=c(ch), epsilon=1e-3)
for size in [1, 2, 3, 9]:
    case("local_response_norm", x=x(2, 5, 3, 2), size=np.int32(size))
case("local_response_norm", x=x(1, 5, 4), size=np.int32(3), alpha=0.5, beta=0.5, k=2.0)
for axis in [0, 1, -1]:
    for k in [1, 3]:
        case("topk", x=x(4, 6), k=np.int32(k), axis=axis)
        case("topk", x=x(4, 6), k=np.int32(k), axis=axis, ascending=True)
    case("topk", x=n(4, 6, low=-99, high=99), k=np.int32(2), axis=axis)
    for ascending in [True, False]:
        case("argsort", x=T(R.rng.permutation(24).reshape(4, 6).astype(np.float64)), axis=axis, ascending=ascending)
    for more in [{}, {"exclusive": True}, {"reverse": True}, {"exclusive": True, "reverse": True}]:
        case("cumsum", x=x(4, 6), axis=axis, **more)
        case("cumsum", x=n(4, 6), axis=axis, **more)
case("topk", x=x(2, 70), k=np.int32(65))
case("topk", x=x(4, 6), k=np.int32(2), output_indices_dtype="uint16")
case("topk", x=x(4, 6), k=np.int32(2), return_indices=False)
case("topk", x=x(4, 6), k=np.int32(6), sort=False)

# ---- elements moved
for shape, new in [((2, 12), (4, 6)), ((2, 12), (-1, 6)), ((2, 12), (2, 0)), ((2, 12), (24,)), ((1,), ()),
                   ((24,), (1, 24, 1, 1))]:
    case("reshape", x=x(*shape), shape=np.array(new, dtype=np.int32))
    case("reshape", x=n(*shape), shape=np.array(new, dtype=np.int32))
for shape, perm in [((2, 3, 4), (2, 0, 1)), ((2, 3), (-1, -2)), ((1, 4, 1, 8), (0, 3, 2, 1)),
                    ((2, 3, 4, 5, 2), (4, 2, 0, 3, 1)), ((70, 65), (1, 0)), ((200, 300), (1, 0)),
                    ((3, 4, 5), (0, 1, 2))]:
    case("transpose", x=x(*shape), perm=I(*perm))
case("transpose", x=n(2, 3, 4), perm=I(1, 2, 0))
case("transpose", x=b(2, 3), perm=I(1, 0))
for axes in [(0,), (-1,), (1, 3), (0, 1, 4)]:
    case("expand_dims", x=x(2, 3), axes=I(*axes))
for shape, axes in [((1, 3, 1), (0,)), ((1, 3, 1), (-1,)), ((1, 3, 1), (0, 2))]:
    case("squeeze", x=x(*shape), axes=I(*axes))
case("squeeze", x=n(1, 3, 1))
for axis in [0, 1, 2, -1]:
    case("flatten2d", x=x(2, 3, 4), axis=axis)
for axes in [(1,), (0, 2), (-1,)]:
    case("reverse", x=x(2, 3, 4), axes=I(*axes))
case("reverse", x=n(2, 3))
for block in [2, 3]:
    case("depth_to_space", x=x(2, 2 * block * block, 3, 2), block_size=np.int32(block))
    case("space_to_depth", x=x(2, 3, 2 * block, 3 * block), block_size=np.int32(block))
    case("pixel_shuffle", x=x(2, 2 * block * block, 3, 2), upscale_factor=np.int32(block))
for axis, size, stride in [(1, 3, 1), (1, 3, 2), (-1, 2, 1), (0, 2, 3)]:
    case("sliding_windows", x=x(5, 9, 4), axis=axis, size=size, stride=stride)
for reps in [(1, 2), (3, 1), (2, 3), (1, 1)]:
    case("tile", x=x(2, 3), reps=I(*reps))
case("tile", x=n(2, 1, 3), reps=I(1, 4, 2))
for shape, pad in [((2, 3), (1, 2)), ((2, 3), (1, 0, 2, 3)), ((2, 3, 4), (0, 1, 1, 2)), ((1, 2, 3, 4), (1, 1, 2, 1))]:
    for mode in ["constant", "reflect", "replicate"]:
        if mode == "reflect" and (len(pad) != 4 or len(shape) < 3):
            continue
        case("pad", x=x(*shape), pad=I(*pad), mode=mode)
case("pad", x=x(2, 3), pad=I(1, 1, 0, 2), constant_val=-1.5)
for shapes, axis in [([(2, 3), (2, 4)], 1), ([(2, 3), (2, 4), (2, 1)], -1), ([(2, 3), (4, 3)], 0),
                     ([(2, 2, 3), (2, 5, 3)], 1), ([(2, 3)], 0)]:
    case("concat", values=[x(*s) for s in shapes], axis=axis)
    case("concat", values=[n(*s) for s in shapes], axis=axis)
for axis in [0, 1]:
    case("concat", values=[x(2, 3), x(2, 3), x(2, 3)], axis=axis, interleave=True)
case("concat", values=[x(2, 3), c(2, 3)], axis=0)
for axis in [0, 1, 2, -1]:
    case("stack", values=[x(2, 3), x(2, 3), x(2, 3)], axis=axis)
case("stack", values=[n(), n()], axis=0)
for more in [{"num_splits": 3, "axis": 1}, {"split_sizes": I(1, 2, 3), "axis": -1}, {"num_splits": 2, "axis": 0}]:
    case("split", x=x(2, 6), **more)
    case("split", x=n(2, 6), **more)
case("split", x=x(2, 6, 3), split_sizes=I(4, 2), axis=1)

# ---- slices
SLICES = [
    ((0, 0), (1, 3), {}), ((0, 1), (2, 6), {}), ((0, -3), (2, -1), {}), ((0, 0), (9, 9), {}),
    ((0, 0), (2, 6), {"stride": I(1, 2)}), ((0, 5), (2, 1), {"stride": I(1, -2)}),
    ((0, -1), (2, -4), {"stride": I(1, -1)}), ((0, 2), (2, 0), {"end_mask": B(False, True)}),
    ((1, 2), (2, 4), {"begin_mask": B(True, True)}), ((1, 2), (2, 4), {"squeeze_mask": B(True, False)}),
    ((1, 2), (2, 4), {"squeeze_mask": B(True, True)}),
    ((0, 0), (0, 0), {"begin_mask": B(True, True), "end_mask": B(True, True), "stride": I(1, 4)}),
    ((0, 5), (2, 0), {"end_mask": B(False, True), "stride": I(1, -1)}),
    ((0, 5), (2, 0), {"begin_mask": B(False, True), "stride": I(1, -1)}),
]
for begin, end, more in SLICES:
    case("slice_by_index", x=x(2, 6), begin=I(*begin), end=I(*end), **more)
    case("slice_by_index", x=n(2, 6), begin=I(*begin), end=I(*end), **more)
case("slice_by_index", x=x(2, 3, 4, 5), begin=I(0, 1, 0, 4), end=I(2, 3, 4, 0), stride=I(1, 1, 3, -2))
for begin, size in [((0, 1), (2, 3)), ((0, 1), (-1, -1)), ((1, 0), (1, 6))]:
    case("slice_by_size", x=x(2, 6), begin=I(*begin), size=I(*size))
case("slice_by_size", x=x(2, 6), begin=T(I(1, 2)), size=I(1, 3))
for update, begin, end, more in [((2, 3), (0, 1), (2, 4), {}), ((2, 3), (0, 0), (2, 6), {"stride": I(1, 2)}),
                                 ((3,), (0, 1), (2, 4), {"squeeze_mask": B(True, False)}),
                                 ((2, 3), (0, 0), (2, 3), {"begin_mask": B(True, True)})]:
    case("slice_update", x=x(2, 6), update=x(*update), begin=I(*begin), end=I(*end), **more)
case("slice_update", x=n(2, 6), update=n(1, 3), begin=T(I(1, 2)), end=T(I(2, 5)))
case("slice_update", x=x(2, 3, 4), update=x(2, 1, 4), begin=T(I(0, 2, 0)), end=T(I(2, 3, 4)))

# ---- gather and scatter
for shape, indices, more in [((5, 6), (3, 0, 4), {}), ((5, 6), (1, 5, 0, 5), {"axis": 1}), ((5, 6), 3, {}),
                             ((5,), (1, 1), {}), ((3, 4, 5), ((0, 2), (3, 1)), {"axis": 1})]:
    case("gather", x=x(*shape), indices=T(np.array(indices, dtype=np.int32)), **more)
    case("gather", x=n(*shape), indices=np.array(indices, dtype=np.int32), **more)
case("gather", x=x(2, 5, 6), indices=T(np.array([[0, 4, 2], [1, 1, 3]], dtype=np.int32)), axis=1, batch_dims=1)
case("gather", x=c(40, 70), indices=T(I(39, 0, 17)))
case("gather", x=T(np.arange(30, dtype=np.int8).reshape(5, 6)), indices=T(np.array([4, 0], dtype=np.uint16)))
for shape, axis in [((3, 4), 0), ((3, 4), 1), ((3, 4), -1)]:
    case("gather_along_axis", x=x(*shape), indices=n(*shape, low=0, high=3), axis=axis)
for lead, k, batch in [((3,), 2, 0), ((2, 2), 1, 0), ((4,), 3, 0)]:
    case("gather_nd", x=x(4, 3, 5), indices=n(*lead, k, low=0, high=3), batch_dims=batch)
case("gather_nd", x=x(2, 4, 3), indices=n(2, 3, 1, low=0, high=4), batch_dims=1)
case("gather_nd", x=n(4, 3), indices=n(5, 2, low=0, high=3))
MODES = ["update", "add", "sub", "mul", "div", "max", "min"]
for mode in MODES:
    case("scatter", data=x(5, 6), indices=T(I(3, 0, 4)), updates=x(3, 6, low=0.5), axis=0, mode=mode)
    case("scatter", data=x(5, 6), indices=T(I(3, 0, 5)), updates=x(5, 3, low=0.5), axis=1, mode=mode)
    case("scatter", data=n(5, 6), indices=T(I(1, 2)), updates=n(2, 6, low=1), axis=0, mode=mode)
    distinct = R.rng.permuted(np.tile(I(0, 1, 2, 3), (6, 1)), axis=1).T[:3].copy()
    case("scatter_along_axis", data=x(4, 6), indices=T(distinct), updates=x(3, 6, low=0.5), axis=0, mode=mode)
    case("scatter_nd", data=x(5, 6), indices=T(np.array([[3], [0]], dtype=np.int32)), updates=x(2, 6, low=0.5),
         mode=mode)
    case("scatter_nd", data=x(5, 6), indices=T(np.array([[3, 1], [0, 5], [2, 2]], dtype=np.int32)),
         updates=x(3, low=0.5), mode=mode)
for lower, upper in [(-1, -1), (0, 0), (1, 0), (-1, 0), (0, -1), (1, 2)]:
    case("band_part", x=x(2, 4, 5), lower=lower, upper=upper)
case("band_part", x=n(4, 4), lower=1, upper=1)

# ---- made from numbers
case("shape", x=x(2, 3, 4))
case("fill", shape=I(2, 3), value=1.5)
case("fill", shape=I(2, 3), value=np.int32(7))
case("fill", shape=I(2, 3), value=np.bool_(True))
case("fill", shape=I(4), only="fp32")
case("fill_like", ref_tensor=x(2, 3), value=np.int32(7))
case("fill_like", ref_tensor=x(2, 3), value=0.25)
for start, end, step in [(0, 7, 1), (7, 0, -2), (1, 10, 4)]:
    case("range_1d", start=np.int32(start), end=np.int32(end), step=np.int32(step))
    case("range_1d", start=start / 2, end=end / 2, step=step / 2)
case("one_hot", indices=T(I(0, 2, 1)), one_hot_vector_size=np.int32(4))
case("one_hot", indices=T(np.array([[0, 3], [1, 2]], dtype=np.int32)), one_hot_vector_size=np.int32(4), axis=1,
     on_value=2.5, off_value=-1.0)
case("one_hot", indices=T(I(0, 2, 1)), one_hot_vector_size=np.int32(4), axis=0, on_value=np.int32(5),
     off_value=np.int32(6))
case("non_zero", x=np.array([[0.0, 1.0, 0.0], [2.0, 0.0, -3.0]]))
case("non_zero", x=T(I(0, 5, 0, -1)))


# ---- compressed constants, read as they are

def codes(name, *shape):
    low, high = -2 ** (int(name[3:]) - 1) if name[0] == "i" else 0, 2 ** int(name.strip("uint"))
    dtype = getattr(types, "np_%s_dtype" % name, None) or np.dtype(name)
    return R.rng.integers(low, high + low, shape).astype(dtype)


for dtype in ["int8", "uint8", "int4", "uint4"]:
    for shape, cut in [((8, 4), (8, 1)), ((8, 4), (1, 1)), ((8, 4), (8, 2)), ((8, 4), (2, 4)), ((6, 64), (6, 2)),
                       ((5, 3, 1, 1), (5, 1, 1, 1)), ((700,), (7,)), ((2, 6, 4), (1, 3, 4))]:
        scale = c(*cut, low=0.01, high=0.1)
        case("constexpr_blockwise_shift_scale", data=codes(dtype, *shape), scale=scale)
        case("constexpr_blockwise_shift_scale", data=codes(dtype, *shape), scale=scale, offset=codes(dtype, *cut))
for bits in [1, 2, 3, 4, 6, 8]:
    dtype, entries = "uint%d" % bits, 2 ** bits
    for shape, cut in [((6, 5), (1, 1)), ((6, 5), (3, 1)), ((6, 8), (2, 4)), ((3, 700), (1, 1))]:
        case("constexpr_lut_to_dense", indices=codes(dtype, *shape), lut=c(*cut, entries, 1))
    case("constexpr_lut_to_dense", indices=codes(dtype, 6, 5), lut=c(1, 1, entries, 2), vector_axis=0)
    case("constexpr_lut_to_dense", indices=codes(dtype, 6, 5), lut=c(2, 1, entries, 3), vector_axis=1)
for shape in [(3, 5), (41, 300)]:  # the mask is counted by 4096
    mask = codes("uint1", *shape)
    case("constexpr_sparse_to_dense", nonzero_data=c(int(mask.astype(int).sum())), mask=mask)
case("constexpr_sparse_to_dense", nonzero_data=codes("int8", 4),
     mask=np.array([[1, 0, 1], [0, 1, 1]]).astype(types.np_uint1_dtype))
case("constexpr_cast", source_val=c(3, 5).astype(np.float16), output_dtype="fp32")


# …and packed, by ops that read them piece by piece: rows of 260 and 520 cross the pieces of 256 and 512

def sparse(*shape):
    mask = codes("uint1", *shape)
    return W("constexpr_sparse_to_dense", nonzero_data=c(int(mask.astype(int).sum())), mask=mask)


def scaled(dtype, cut, has_offset):
    def make(*shape):
        cuts = [c if c else d for c, d in zip(cut, shape)] + [1] * (len(shape) - 2)
        offset = {"offset": codes(dtype, *cuts)} if has_offset else {}
        return W("constexpr_blockwise_shift_scale", data=codes(dtype, *shape), scale=c(*cuts, low=0.01, high=0.1),
                 **offset)
    return make


def palette(bits, vector):
    def make(*shape):
        tables = [1] * len(shape)
        given = {"vector_axis": 1} if vector > 1 else {}
        short = [d // vector if i == 1 else d for i, d in enumerate(shape)]
        return W("constexpr_lut_to_dense", indices=codes("uint%d" % bits, *short), lut=c(*tables, 2 ** bits, vector),
                 **given)
    return make


# cut: scales along rows and columns, 0 for one a row or column
FORMS = [scaled("int8", (0, 1), False), scaled("int8", (1, 1), False), scaled("int8", (0, 2), False),
         scaled("uint8", (0, 1), True), scaled("int4", (0, 1), False), scaled("uint4", (0, 4), True),
         scaled("int4", (1, 0), True), palette(4, 1), palette(8, 1), palette(3, 2), sparse]
for form in FORMS:
    for m in [1, 5]:
        case("linear", x=x(m, 520), weight=form(66, 520))
        case("matmul", x=x(m, 260), y=form(66, 260), transpose_y=True)
    case("matmul", x=x(5, 66), y=form(66, 260))
    case("matmul", x=form(6, 260), y=x(260, 3))
    case("matmul", x=form(260, 8), y=x(260, 3), transpose_x=True)
    for area in [1, 3]:
        case("conv", x=x(1, 260, 1, area), weight=form(26, 260, 1, 1))
    case("conv", x=x(1, 4, 3, 3), weight=form(6, 4, 2, 2))
    case("gather", x=form(9, 520), indices=T(I(8, 0, 3)))
    case("gather", x=form(6, 4), indices=T(I(3, 1)), axis=1)
OLDER = []  # the forms of iOS 16, with attributes; there, indices may count from the end
for op in ["gather", "gather_along_axis"]:
    OLDER.append((op, dict(x=x(3, 4), indices=n(*((3, 4) if op == "gather_along_axis" else (5,)), low=-3, high=3),
                           axis=1)))
for zero, scale, axis in [((), (), 0), ((4,), (4,), 0), ((6,), (), 1), ((), (6,), -1)]:
    zero_point = R.rng.integers(-5, 5, zero).astype(np.int8)[()]
    OLDER.append(("constexpr_affine_dequantize", dict(quantized_data=codes("int8", 4, 6), zero_point=zero_point,
                                                      scale=c(*scale, low=0.01, high=0.1), axis=axis)))
for entries, bits in [(2, 1), (4, 2), (16, 4), (64, 6), (256, 8)]:
    OLDER.append(("constexpr_lut_to_dense", dict(indices=R.rng.integers(0, 256, (30 * bits + 7) // 8).astype(np.uint8),
                                                 lut=c(entries), shape=np.array([5, 6], dtype=np.uint32))))
OLDER.append(("constexpr_sparse_to_dense", dict(nonzero_data=c(5), mask=np.array([0x21, 0x07], dtype=np.uint8),
                                                shape=np.array([3, 4], dtype=np.uint32))))
OLDER.append(("constexpr_cast", dict(source_val=c(3, 5).astype(np.float16), output_dtype="fp32")))
