"""The op table and type inference of src/mil/ against coremltools' operator registry.

Every row's parameters, types, constness and defaults are those of coremltools' definition, and several hundred op
instances come out with the same types or are refused by both. `infer_stdin` (tests/mil) is our side.
"""
import os
import pathlib
import subprocess

import numpy as np
import pytest

import coremltools as ct
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, get_new_symbol, types
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry
from coremltools.converters.mil.mil.types.symbolic import is_symbolic

from mil_text import literal

OURS = os.path.join(os.environ["LATHE_BUILD"], "tests", "mil", "infer_stdin")

# Ops of the registry that the table does not have, so that a new one in either is seen.
NOT_HANDLED = set("""
    _const_symbolic affine batch_to_space classify cond conv_quantized crop crop_resize gru list_gather list_length
    list_read list_scatter list_write lstm make_list non_maximum_suppression pixel_unshuffle random_bernoulli
    random_categorical random_normal random_uniform resample reshape_like resize resize_bilinear
    resize_nearest_neighbor reverse_sequence rnn space_to_batch upsample_bilinear upsample_nearest_neighbor while_loop
""".split())
# In the table but not in the registry: coremltools makes it of its own coreml_update_state.
ONLY_OURS = {"write_state"}

OPTIONAL, CONST, TUPLE, STATE = 1, 2, 4, 8
NONE, INT, BOOL, TEXT, REAL, REAL_OF_X, ONES, ZERO_PAIRS, ALL_AXES, ZERO_BIAS = range(10)


def rows():
    out, op = [], None
    for line in subprocess.run([OURS, "--rows"], capture_output=True, text=True, check=True).stdout.splitlines():
        word = line.split(" ")
        if word[0] == "op":
            op = {"name": word[1], "since": int(word[2]), "until": int(word[3]), "flags": int(word[4]), "params": []}
            out.append(op)
        else:
            op["params"].append({"name": word[1], "group": word[2], "flags": int(word[3]),
                                 "dtypes": set(word[4].strip(",").split(",")),
                                 "default": (int(word[5]), float(word[6]), word[7])})
    return out


ROWS = rows()


def test_example_of_the_header_parses():
    """The comment that describes the text form shows a program of it."""
    header = (pathlib.Path(__file__).parents[2] / "src" / "mil" / "mil.h").read_text()
    lines = [line[2:] for line in header.splitlines() if line.startswith("//     ")]
    assert "program 9" in lines[0] and "-> (ab)" in lines[-1]
    out = subprocess.run([OURS], input="\n".join(lines) + "\n%%\n", capture_output=True, text=True, check=True).stdout
    assert "ab: fp16[1, 8, 1, 1]" in out


def definition(row):
    versions = {target.value: cls for target, cls in SSAOpRegistry.core_ops[row["name"]].items()}
    return versions[max(v for v in versions if v <= row["until"])], min(versions)


def test_every_op_is_handled_or_listed():
    assert {r["name"] for r in ROWS} - ONLY_OURS | NOT_HANDLED == set(SSAOpRegistry.core_ops)
    assert not {r["name"] for r in ROWS} & NOT_HANDLED


@pytest.mark.parametrize("row", [r for r in ROWS if r["name"] not in ONLY_OURS | {"const"}],
                         ids=lambda r: f"{r['name']}-{r['until']}")
def test_row_is_the_definition(row):
    cls, first = definition(row)
    spec = cls.input_spec.input_types
    assert [p["name"] for p in row["params"]] == list(spec)
    assert row["since"] == max(6, first_version(row, first))
    groups = {}
    for ours in row["params"]:
        theirs = spec[ours["name"]]
        kind = type(theirs).__name__
        assert bool(ours["flags"] & OPTIONAL) == theirs.optional, ours["name"]
        assert bool(ours["flags"] & CONST) == theirs.const, ours["name"]
        assert bool(ours["flags"] & TUPLE) == (kind == "TupleInputType"), ours["name"]
        assert bool(ours["flags"] & STATE) == (kind == "StateInputType"), ours["name"]
        if kind != "TensorInputType":
            continue
        domain = cls.type_domains[theirs.type_domain_id] if theirs.type_domain_id else theirs.type_domain
        domain = domain if isinstance(domain, tuple) else (domain,)
        assert ours["dtypes"] == {types.builtin_to_string(d) for d in domain}, ours["name"]
        groups.setdefault(theirs.type_domain_id, set()).add(ours["name"])
    # Parameters share a letter exactly when they share a type domain. A letter used once says nothing.
    letters = {}
    for ours in row["params"]:
        if ours["group"] != "_":
            letters.setdefault(ours["group"], set()).add(ours["name"])
    theirs = {frozenset(g) for name, g in groups.items() if name and len(g) > 1}
    assert {frozenset(g) for g in letters.values() if len(g) > 1} == theirs


def first_version(row, first):
    """The first version our row speaks for: of two forms of one op, the newer begins where the older ends."""
    older = [r for r in ROWS if r["name"] == row["name"] and r["until"] < row["until"]]
    return older[0]["until"] + 1 if older else first


# ---- defaults

class Shaped:
    """Stands for an op with an x (and a weight): enough for default_inputs()."""

    def __init__(self, dtype, rank):
        self.x = type("Var", (), {"dtype": dtype, "rank": rank})()
        self.weight = type("Var", (), {"dtype": dtype, "shape": (3, 4)})()
        self.return_indices = None


@pytest.mark.parametrize("row", [r for r in ROWS if r["name"] not in ONLY_OURS | {"const"}],
                         ids=lambda r: f"{r['name']}-{r['until']}")
def test_defaults(row):
    cls, _ = definition(row)
    stand_in = object.__new__(type("StandIn", (cls,), {"__init__": lambda self: None}))
    stand_in.__dict__.update(Shaped(types.fp16, 4).__dict__)
    theirs = dict(cls.default_inputs(stand_in).items()) if hasattr(cls, "default_inputs") else {}
    for ours in row["params"]:
        kind, number, text = ours["default"]
        want = theirs.get(ours["name"])
        if kind == NONE:
            assert want is None, ours["name"]
        elif kind in (INT, REAL):
            assert want == number and isinstance(want, bool) is False, ours["name"]
        elif kind == BOOL:
            assert want is bool(number), ours["name"]
        elif kind == TEXT:
            assert want == text, ours["name"]
        elif kind == REAL_OF_X:
            assert want == np.float16(number) and want.dtype == np.float16, ours["name"]
        elif kind == ONES:
            assert list(want) == [1, 1]
        elif kind == ZERO_PAIRS:
            assert list(want) == [0] * 4
        elif kind == ALL_AXES:
            assert list(want) == [0, 1, 2, 3]
        elif kind == ZERO_BIAS:
            assert list(want) == [0] * 3 and want.dtype == np.float16


# ---- inference

class In:
    """A tensor computed at run time. `None` is an unknown dim."""

    def __init__(self, dtype, *dims):
        self.dtype, self.dims = dtype, dims


def h(*dims): return In("fp16", *dims)
def f(*dims): return In("fp32", *dims)
def i(*dims): return In("int32", *dims)
def b(*dims): return In("bool", *dims)


def I(*values): return np.array(values, dtype=np.int32)
def H(*values): return np.array(values, dtype=np.float16)
def B(*values): return np.array(values, dtype=bool)
def zeros(dtype, *dims): return np.zeros(dims, dtype=dtype)


def half(x): return np.float16(x)


BUILTIN = {"fp16": types.fp16, "fp32": types.fp32, "int32": types.int32, "bool": types.bool, "int8": types.int8,
           "uint8": types.uint8, "int16": types.int16, "uint16": types.uint16}


def our_program(op, args, opset):
    inputs, given = [], []

    def one(value):
        if not isinstance(value, In):
            return literal(value)
        inputs.append(value)
        return "in%d" % (len(inputs) - 1)

    for name, value in args.items():
        text = "(%s)" % ", ".join(map(one, value)) if isinstance(value, list) else one(value)
        given.append("%s = %s" % (name, text))
    declared = []
    for k, v in enumerate(inputs):
        dims = "[%s]" % ", ".join("?" if d is None else str(d) for d in v.dims) if v.dims else ""
        declared.append("in%d: %s%s" % (k, v.dtype, dims))
    return ["program %d" % opset.value, "func main(%s) {" % ", ".join(declared)], given


def ours(cases):
    text = ""
    for op, args, n_out, opset in cases:
        lines, given = our_program(op, args, opset)
        names = ", ".join("y%d" % k for k in range(n_out))
        lines.append("%s = %s(%s)" % (names, op, ", ".join(given)))
        lines.append("} -> ()")
        text += "\n".join(lines) + "\n%%\n"
    out = subprocess.run([OURS], input=text, capture_output=True, text=True, check=True).stdout
    answers = out.split("%%\n")[:-1]
    assert len(answers) == len(cases)
    return [a.strip() for a in answers]


def type_text(var):
    name = types.builtin_to_string(var.dtype)
    dims = ["?" if is_symbolic(d) else str(int(d)) for d in var.shape]
    return name + ("[%s]" % ", ".join(dims) if dims else "")


def theirs(op, args, opset):
    """Types of the outputs by coremltools, or the exception it raises."""
    placeholders = {}

    def hold(value):
        name = "in%d" % len(placeholders)
        dims = [get_new_symbol() if d is None else d for d in value.dims]
        placeholders[name] = mb.placeholder(dims, dtype=BUILTIN[value.dtype], allow_rank0_input=True)
        return name

    held = {k: [hold(v) if isinstance(v, In) else v for v in value] if isinstance(value, list)
            else hold(value) if isinstance(value, In) else value for k, value in args.items()}
    with Function(placeholders, opset_version=opset) as function:
        def value(v):
            return function.inputs[v] if isinstance(v, str) and v in placeholders else v
        try:
            given = {k: [value(x) for x in v] if isinstance(v, list) else value(v) for k, v in held.items()}
            result = getattr(mb, op)(**given)
        except Exception as error:  # whatever it raises is a refusal
            return error
    return [type_text(v) for v in (result if isinstance(result, (tuple, list)) else [result])]


def cases():
    """(op, arguments): accepted by both with the same types, or refused by both."""
    c = []
    def add(op, **args): c.append((op, args))

    names = {r["name"]: r for r in ROWS}
    binary = [n for n, r in names.items() if [p["name"] for p in r["params"]] == ["x", "y"]]
    unary = [n for n, r in names.items() if [p["name"] for p in r["params"]] == ["x"] and n != "shape"]
    for op in binary:
        make = b if op.startswith("logical") else h
        add(op, x=make(2, 3), y=make(2, 3))
        add(op, x=make(4, 1, 3), y=make(5, 1))
        add(op, x=make(2, 3), y=make())
        add(op, x=make(2, 3), y=make(2, 4))
        add(op, x=make(None, 3), y=make(2, 3))
        add(op, x=make(None, 3), y=make(1, 3))
        add(op, x=make(2, 3), y=i(2, 3))
    add("add", x=i(2), y=I(1, 2))
    add("real_div", x=i(2), y=i(2))
    add("mul", x=f(1, 8, 1, 4), y=f(8, 1, 1))
    for op in unary:
        make = b if op == "logical_not" else h
        add(op, x=make(2, 3, 4))
        add(op, x=make())
        add(op, x=make(None, 3))
        add(op, x=i(3))
    for op in ["rsqrt", "inverse", "log"]:
        add(op, x=h(2, 3))
        add(op, x=h(2, 3), epsilon=np.float32(1e-5))
        add(op, x=f(2, 3), epsilon=half(1e-3))
    add("clip", x=h(2), alpha=half(0), beta=half(6))
    add("clip", x=h(2), alpha=half(6), beta=half(0))
    add("clip", x=h(2), alpha=np.float32(0), beta=np.float32(6))
    add("threshold", x=i(2), alpha=np.int32(3))
    for dtype in ["fp16", "fp32", "int32", "bool", "int8", "uint8", "int16", "uint16", "int64", "fp64"]:
        add("cast", x=h(2, 3), dtype=dtype)
    add("cast", x=In("int8", 4), dtype="fp16")
    for mode in ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION", "exact"]:
        add("gelu", x=h(2), mode=mode)
    for op in ["elu", "leaky_relu", "thresholded_relu"]:
        add(op, x=h(2, 3), alpha=half(0.1))
    for op in ["clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard"]:
        add(op, x=h(2, 3), alpha=half(0.1), beta=half(0.2))
    add("prelu", x=h(1, 3, 4, 4), alpha=H(1, 2, 3))
    add("prelu", x=h(1, 3, 4, 4), alpha=H(1, 2))
    add("prelu", x=h(1, 3), alpha=H(1, 2, 3))
    add("softplus_parametric", x=h(1, 3, 4), alpha=H(1, 2, 3), beta=H(1, 2, 3))
    add("softplus_parametric", x=h(1, 3, 4), alpha=H(1, 2, 3), beta=H(1, 2))
    for axis in [-1, 0, 3]:
        add("softmax", x=h(1, 4, 2, 8), axis=axis)
    add("select", cond=b(2, 3), a=h(2, 3), b=h(3))
    add("select", cond=b(1, 3), a=h(2, 1), b=h(2, 3))
    add("select", cond=b(2, 3), a=i(2, 3), b=i())
    add("select", cond=b(2, 3), a=h(2, 3), b=f(2, 3))
    add("select", cond=i(2, 3), a=h(2, 3), b=h(2, 3))

    # linear algebra
    for x, w, more in [((1, 4, 1, 1), (8, 4, 1, 1), {}), ((2, 6, 9, 7), (4, 6, 3, 3), {}),
                       ((2, 6, 9, 7), (4, 3, 3, 3), {"groups": 2}), ((2, 6, 9, 7), (4, 3, 3, 3), {"groups": 4}),
                       ((1, 6, 9), (4, 6, 3), {}), ((1, 2, 5, 6, 7), (4, 2, 3, 2, 1), {}),
                       ((1, 6, 9, 7), (4, 6, 3, 3), {"strides": I(2, 3)}),
                       ((1, 6, 9, 7), (4, 6, 3, 3), {"dilations": I(2, 2)}),
                       ((1, 6, 9, 7), (4, 6, 3, 3), {"pad_type": "same", "strides": I(2, 2)}),
                       ((1, 6, 9, 7), (4, 6, 3, 3), {"pad_type": "same_lower", "strides": I(2, 2)}),
                       ((1, 6, 9, 7), (4, 6, 3, 3), {"pad_type": "custom", "pad": I(1, 2, 0, 3)}),
                       ((1, 6, 9, 7), (4, 6, 3, 3), {"pad_type": "valid", "pad": I(1, 2, 0, 3)}),
                       ((1, 6, 9, 7), (4, 6, 3, 3), {"pad_type": "other"}),
                       ((1, 6, 9, 7), (4, 5, 3, 3), {}), ((1, 6, 2, 7), (4, 6, 3, 3), {}),
                       ((1, 6, None, 7), (4, 6, 3, 3), {}), ((None, 6, 9, 7), (4, 6, 1, 1), {})]:
        add("conv", x=h(*x), weight=zeros("float16", *w), **more)
    add("conv", x=h(1, 4, 1, 8), weight=zeros("float16", 8, 4, 1, 1), bias=zeros("float16", 8))
    add("conv", x=h(1, 4, 1, 8), weight=zeros("float16", 8, 4, 1, 1), bias=zeros("float16", 7))
    add("conv", x=f(1, 4, 1, 8), weight=zeros("float16", 8, 4, 1, 1))
    add("conv", x=h(1, 4, 9, 9), weight=h(8, 4, 3, 3))
    add("conv", x=h(1, 4, 9, 9), weight=h(8, 4, 3, 3), dilations=I(2, 2))
    for more in [{}, {"strides": I(2, 2)}, {"pad_type": "same", "strides": I(2, 2)},
                 {"pad_type": "custom", "pad": I(1, 1, 0, 1)}, {"groups": 2}, {"dilations": I(2, 1)},
                 {"output_shape": I(1, 3, 8, 9)}]:
        add("conv_transpose", x=h(1, 4, 5, 6), weight=zeros("float16", 4, 3, 2, 3), **more)
    for x, w in [((2, 4), (5, 4)), ((3, 2, 4), (5, 4)), ((4,), (5, 4)), ((2, 3), (5, 4)), ((None, 4), (5, 4))]:
        add("linear", x=h(*x), weight=zeros("float16", *w))
    add("linear", x=h(2, 4), weight=zeros("float16", 5, 4), bias=zeros("float16", 5))
    add("linear", x=h(2, 4), weight=zeros("float16", 5, 4), bias=zeros("float16", 4))
    add("linear", x=f(2, 4), weight=zeros("float16", 5, 4))
    for x, y, tx, ty in [((2, 3), (3, 4), 0, 0), ((3, 2), (3, 4), 1, 0), ((2, 3), (4, 3), 0, 1), ((2, 3), (4, 5), 0, 0),
                         ((1, 8, 1, 64), (1, 8, 64, 100), 0, 0), ((5, 1, 2, 3), (7, 3, 4), 0, 0), ((3,), (3, 4), 0, 0),
                         ((3,), (3, 4), 1, 0), ((2, 2, 3), (3, 3, 4), 0, 0), ((None, 3), (3, 4), 0, 0),
                         ((2, None), (3, 4), 0, 0), ((1, 8, 4, 1), (1, 8, 4, 9), 1, 0)]:
        add("matmul", x=h(*x), y=h(*y), transpose_x=bool(tx), transpose_y=bool(ty))
    add("matmul", x=h(2, 3), y=f(3, 4))
    add("matmul", x=h(2, 3), y=zeros("float32", 3, 4))
    add("matmul", x=zeros("float16", 2, 3), y=f(3, 4))
    for equation, x, y in [("nchw,nwhu->nchu", (1, 2, 3, 4), (1, 4, 3, 5)), ("bqhc,bchk->bqhk", (1, 2, 3, 4), (1, 4, 3, 5)),
                           ("nchw,nwhu->nchu", (2, 2, 1, 4), (1, 4, 3, 5)), ("chw,whr->chr", (2, 3, 4), (4, 3, 5)),
                           ("nchw,nwhu->nchu", (1, 2, 3, 4), (1, 5, 3, 5)), ("nchw,nwhu->nchu", (1, 2, 3, 4), (1, 4, 2, 5)),
                           ("bchq,bkhc->bkhq", (1, 4, 2, 5), (1, 7, 2, 4)), ("bkhc,bchq->bkhq", (1, 7, 2, 4), (1, 4, 2, 5)),
                           ("ij,jk->ik", (2, 3), (3, 4))]:
        add("einsum", values=[h(*x), h(*y)], equation=equation)
    add("einsum", values=[h(1, 2, 3, 4)], equation="nchw,nwhu->nchu")
    for q, k, v, m in [((1, 8, 4, 64), (1, 8, 9, 64), (1, 8, 9, 32), None), ((1, 8, 4, 64), (1, 2, 9, 64), (1, 2, 9, 32), None),
                       ((8, 4, 64), (8, 9, 64), (8, 9, 32), (4, 9)), ((8, 4, 64), (8, 9, 64), (8, 9, 32), (1, 9)),
                       ((8, 4, 64), (8, 9, 64), (8, 9, 32), (4, 8)), ((8, 4, 64), (8, 9, 64), (8, 9, 32), (4, 1)),
                       ((4, 64), (9, 64), (9, 32), None), ((8, 4, 64), (8, 9, 63), (8, 9, 32), None),
                       ((8, 4, 64), (8, 9, 64), (8, 8, 32), None)]:
        add("scaled_dot_product_attention", query=h(*q), key=h(*k), value=h(*v), **({"attn_mask": h(*m)} if m else {}))
    add("scaled_dot_product_attention", query=h(8, 4, 64), key=h(8, 9, 64), value=h(8, 9, 32), attn_mask=b(8, 4, 9))

    # normalisation, pooling
    # axes are given: coremltools cannot make a const of its own default, a range
    add("layer_norm", x=h(1, 4, 8), axes=I(0, 1, 2))
    add("layer_norm", x=h(1, 4, 8), axes=I(-1), gamma=zeros("float16", 8), beta=zeros("float16", 8), epsilon=half(1e-3))
    add("layer_norm", x=h(1, 4, 8), axes=I(2, 1), gamma=zeros("float16", 4, 8), epsilon=half(1e-3))
    add("layer_norm", x=h(1, 4, 8), axes=I(-1), gamma=zeros("float16", 4), epsilon=half(1e-3))
    add("layer_norm", x=h(1, 4, 8), axes=I(-1), gamma=zeros("float16", 8))
    add("layer_norm", x=h(1, 4, 8), axes=I(3))
    add("l2_norm", x=h(1, 4, 8))
    add("l2_norm", x=h(4, 8))
    add("batch_norm", x=h(1, 4, 8), mean=zeros("float16", 4), variance=zeros("float16", 4), epsilon=half(1e-3))
    add("batch_norm", x=h(1, 4, 8, 8), mean=zeros("float32", 4), variance=zeros("float32", 4))
    add("instance_norm", x=h(1, 4, 8, 8))
    add("instance_norm", x=h(1, 4, 8, 8), gamma=zeros("float16", 4), beta=zeros("float16", 4), epsilon=half(1e-3))
    add("local_response_norm", x=h(1, 4, 8, 8), size=np.int32(3))
    for op in ["avg_pool", "max_pool", "l2_pool"]:
        for more in [{}, {"strides": I(2, 2)}, {"pad_type": "same", "strides": I(2, 2)},
                     {"pad_type": "custom", "pad": I(1, 1, 1, 1)}, {"pad_type": "custom", "pad": I(1, 0, 1, 1)},
                     {"strides": I(2, 2), "ceil_mode": True}, {"strides": I(3, 2), "ceil_mode": True},
                     {"pad_type": "custom", "pad": I(1, 1, 1, 1), "strides": I(2, 2), "ceil_mode": True},
                     {"pad_type": "custom", "pad": I(1, 0, 1, 1), "ceil_mode": True},
                     {"pad_type": "same", "ceil_mode": True}]:
            add(op, x=h(1, 3, 9, 8), kernel_sizes=I(3, 3), **{"pad_type": "valid", **more})
        add(op, x=h(1, 3, 9), kernel_sizes=I(3), pad_type="valid")
        add(op, x=h(1, 3, 5, 5, 5), kernel_sizes=I(2, 2, 2), pad_type="valid")
        add(op, x=h(1, 3, 2, 8), kernel_sizes=I(3, 3), pad_type="valid")

    # reductions
    for op in [n for n in names if n.startswith("reduce_") and not n.startswith("reduce_arg")]:
        add(op, x=h(2, 3, 4))
        add(op, x=h(2, 3, 4), axes=I(1))
        add(op, x=h(2, 3, 4), axes=I(-1, 0), keep_dims=True)
        add(op, x=i(2, 3, 4), axes=I(0, 1, 2), keep_dims=True)
        add(op, x=h(None, 3, 4), axes=I(1))
    add("reduce_sum", x=h(2, 3), axes=I(2))
    add("reduce_sum", x=b(2, 3))
    for op in ["reduce_argmax", "reduce_argmin"]:
        add(op, x=h(2, 3, 4))
        add(op, x=h(2, 3, 4), axis=1, keep_dims=True)
        add(op, x=h(2, 3, 4), axis=0, output_dtype="uint16")
        add(op, x=h(2, 3, 4), axis=0, output_dtype="int8")
    add("argsort", x=h(2, 3))
    add("argsort", x=h(2, 3), axis=0, ascending=True)
    for more in [{}, {"k": np.int32(3)}, {"k": np.int32(2), "axis": 0}, {"k": np.int32(5)}, {"k": np.int8(2)},
                 {"output_indices_dtype": "uint16"}, {"output_indices_dtype": "fp16"}]:
        add("topk", x=h(2, 4), **more)
    add("topk", x=h(2, 4), return_indices=False)
    add("topk", x=In("int8", 2, 4), k=np.int32(2))
    for axis in [0, 1, -1, 2, -2]:
        add("cumsum", x=h(2, 4), axis=axis)

    # shape
    for x, shape in [((2, 12), (4, 6)), ((2, 12), (-1, 6)), ((2, 12), (0, 3, 4)), ((2, 12), (2, 0)), ((2, 12), (0, 0)),
                     ((2, 12), (0, 2, 0)), ((2, 12), (-1, -1)), ((2, 12), (5, -1)), ((2, 12), (5, 5)), ((24,), (1, 24, 1, 1)),
                     ((), (1,)), ((2, 12), (24,))]:
        add("reshape", x=h(*x), shape=I(*shape))
    add("reshape", x=h(2, 12), shape=i(3))
    add("reshape", x=In("int8", 2, 12), shape=np.array([24], dtype=np.int16))
    for x, perm in [((2, 3, 4), (2, 0, 1)), ((2, 3), (-1, -2)), ((2, 3), (0,)), ((1, 4, 1, 8), (0, 3, 2, 1)), ((None, 3), (1, 0))]:
        add("transpose", x=h(*x), perm=I(*perm))
    for axes in [(0,), (-1,), (1, 3), (2, 0), (4,), (-5,)]:
        add("expand_dims", x=h(2, 3), axes=I(*axes))
    for axes in [(0,), (-1,), (0, 2), (1,), (5,)]:
        add("squeeze", x=h(1, 3, 1), axes=I(*axes))
    add("squeeze", x=h(1, 3, 1))
    add("squeeze", x=h(1, 1))
    add("squeeze", x=h(1, 1), axes=I(0, 1))
    add("reverse", x=h(2, 3), axes=I(1))
    add("reverse", x=h(2, 3))
    for axis in [0, 1, 2, -1]:
        add("flatten2d", x=h(2, 3, 4), axis=axis)
    add("shape", x=h(2, 3, 4))
    add("shape", x=h(None, 3))
    for reps in [(1, 2), (3, 1), (0, 1), (2,)]:
        add("tile", x=h(2, 3), reps=I(*reps))
    add("tile", x=h(2, 3), reps=i(2))
    for pad in [(1, 1), (1, 0, 2, 3), (0, 0, 1, 1, 2, 2), (-1, 1), (1,)]:
        add("pad", x=h(2, 3), pad=I(*pad))
    for mode in ["constant", "reflect", "replicate", "wrap"]:
        add("pad", x=h(2, 3), pad=I(1, 1), mode=mode)
    add("pad", x=h(2, 3), pad=i(4))
    add("pad", x=h(2, 3), pad=I(1, 1), constant_val=half(1))
    add("pad", x=h(2, 3), pad=I(1, 1), constant_val=np.float32(1))
    add("concat", values=[h(2, 3), h(2, 4)], axis=1)
    add("concat", values=[h(2, 3), h(2, 4)], axis=-1)
    add("concat", values=[h(2, 3), h(2, 4)], axis=0)
    add("concat", values=[h(2, 3), h(2, 3), h(2, 3)], axis=0, interleave=True)
    add("concat", values=[h(2, 3), h(1, 3)], axis=0, interleave=True)
    add("concat", values=[i(), i(), i()], axis=0)
    add("concat", values=[h(2, 3), f(2, 3)], axis=0)
    add("concat", values=[h(2, 3), h(2, 3, 1)], axis=0)
    add("concat", values=[h(2, None), h(2, 3)], axis=1)
    add("concat", values=[h(2, 3)], axis=2)
    add("stack", values=[h(2, 3), h(2, 3)], axis=0)
    add("stack", values=[h(2, 3), h(2, 3)], axis=2)
    add("stack", values=[h(2, 3), h(2, 3)], axis=-1)
    add("stack", values=[h(2, 3), h(2, 4)], axis=0)
    add("stack", values=[i(), i()], axis=0)
    add("split", x=h(2, 6), num_splits=3, axis=1)
    add("split", x=h(2, 6), num_splits=4, axis=1)
    add("split", x=h(2, 6), split_sizes=I(1, 2, 3), axis=-1)
    add("split", x=h(2, 6), axis=-1)
    add("band_part", x=h(2, 3, 4), lower=-1, upper=0)
    add("band_part", x=b(2, 3, 4))
    add("depth_to_space", x=h(1, 8, 2, 3), block_size=2)
    add("pixel_shuffle", x=h(1, 9, 2, 3), upscale_factor=3)
    add("space_to_depth", x=h(1, 2, 4, 6), block_size=2)
    add("sliding_windows", x=h(2, 9), axis=1, size=3)
    add("sliding_windows", x=h(2, 9, 4), axis=1, size=3, stride=2)
    add("sliding_windows", x=h(2, 9, 4), axis=-1, size=2)

    # slices
    for begin, end, more in [((0, 0), (1, 3), {}), ((0, 1), (2, 6), {}), ((0, -3), (2, -1), {}), ((0, 0), (9, 9), {}),
                             ((0, 4), (2, 2), {}), ((0, 0), (2, 6), {"stride": I(1, 2)}),
                             ((0, 5), (2, 1), {"stride": I(1, -2)}), ((0, -1), (2, -4), {"stride": I(1, -1)}),
                             ((0, 0), (0, 0), {"end_mask": B(True, True)}), ((0, 2), (2, 0), {"end_mask": B(False, True)}),
                             ((1, 2), (2, 4), {"begin_mask": B(True, True)}),
                             ((0, 0), (0, 0), {"begin_mask": B(True, True), "end_mask": B(True, True), "stride": I(1, 4)}),
                             ((1, 2), (2, 4), {"squeeze_mask": B(True, False)}),
                             ((1, 2), (2, 4), {"squeeze_mask": B(True, True)}),
                             ((0, -1), (2, 0), {"end_mask": B(False, True)}),
                             ((0, 5), (2, 0), {"begin_mask": B(False, True), "stride": I(1, -1)}),
                             ((0,), (2,), {}), ((0, 0, 0), (1, 1, 1), {})]:
        add("slice_by_index", x=h(2, 6), begin=I(*begin), end=I(*end), **more)
    add("slice_by_index", x=h(None, 6), begin=I(0, 0), end=I(1, 3))
    add("slice_by_index", x=h(None, 6), begin=I(0, 0), end=I(4, 3))
    add("slice_by_index", x=h(None, 6), begin=I(0, 0), end=I(0, 3), begin_mask=B(True, False), end_mask=B(True, False))
    add("slice_by_index", x=h(2, 6), begin=i(2), end=i(2))
    add("slice_by_index", x=h(1, 6), begin=i(2), end=i(2))
    add("slice_by_index", x=h(2, 6), begin=i(2), end=I(2, 4))
    add("slice_by_index", x=h(2, 6), begin=i(2), end=i(2), squeeze_mask=B(True, False))
    for begin, size in [((0, 1), (2, 3)), ((0, 1), (-1, -1)), ((0, 1, 2), (1, 1, 1))]:
        add("slice_by_size", x=h(2, 6), begin=I(*begin), size=I(*size))
    add("slice_by_size", x=h(2, 6), begin=i(2), size=I(1, -1))
    add("slice_by_size", x=h(2, 6), begin=i(2), size=i(2))
    for u, begin, end, more in [((2, 3), (0, 1), (2, 4), {}), ((2, 4), (0, 1), (2, 4), {}), ((3,), (0, 1), (2, 4), {"squeeze_mask": B(True, False)}),
                                ((2, 3), (0, 0), (2, 6), {"stride": I(1, 2)}), ((), (0, 1), (2, 4), {"squeeze_mask": B(True, True)})]:
        add("slice_update", x=h(2, 6), update=h(*u), begin=I(*begin), end=I(*end), **more)
    add("slice_update", x=h(2, 6), update=h(2, 3), begin=i(2), end=i(2))
    add("slice_update", x=h(2, 6), update=f(2, 3), begin=i(2), end=i(2))

    # gather, scatter
    for x, ind, more in [((5, 6), (), {}), ((5, 6), (3,), {}), ((5, 6), (2, 3), {"axis": 1}), ((5,), (), {}), ((5, 6), (3,), {"axis": 2}),
                         ((2, 5, 6), (2, 3), {"axis": 1, "batch_dims": 1}), ((2, 5, 6), (2,), {"axis": 1, "batch_dims": 1}),
                         ((2, 5, 6), (2, 3), {"axis": 1, "batch_dims": 3}), ((None, 6), (3,), {"axis": 1})]:
        add("gather", x=h(*x), indices=i(*ind), **more)
    add("gather", x=In("int8", 5, 6), indices=In("uint16", 3))
    add("gather", x=b(5, 6), indices=i(3))
    for x, ind, axis in [((2, 5), (2, 3), 1), ((2, 5), (3, 5), 0), ((2, 5), (3, 4), 0), ((2, 5), (2,), 0), ((2, 5), (2, 3), 2)]:
        add("gather_along_axis", x=h(*x), indices=i(*ind), axis=axis)
    for x, ind, batch in [((2, 5, 6), (3, 2), 0), ((2, 5, 6), (3, 1), 0), ((2, 5, 6), (3, 4), 0), ((2, 5, 6), (2, 3, 1), 1), ((2, 5), (4, 2), 0)]:
        add("gather_nd", x=h(*x), indices=i(*ind), batch_dims=batch)
    for mode in ["update", "add", "max"]:
        add("scatter", data=h(5, 6), indices=i(3), updates=h(3, 6), mode=mode)
    add("scatter", data=h(5, 6), indices=i(3), updates=h(5, 3), axis=1, mode="update")
    add("scatter", data=h(5, 6), indices=i(3), updates=h(3, 5))
    add("scatter", data=h(5, 6), indices=i(3), updates=f(3, 6))
    add("scatter_along_axis", data=h(5, 6), indices=i(3, 6), updates=h(3, 6))
    add("scatter_along_axis", data=h(5, 6), indices=i(3, 6), updates=h(2, 6))
    add("scatter_along_axis", data=h(5, 6), indices=i(3, 5), updates=h(3, 5))
    add("scatter_nd", data=h(5, 6), indices=i(3, 1), updates=h(3, 6))
    add("scatter_nd", data=h(5, 6), indices=i(3, 2), updates=h(3))
    add("scatter_nd", data=h(5, 6), indices=i(3, 2), updates=h(3, 6))

    # made from numbers
    add("fill", shape=I(2, 3))
    add("fill", shape=I(2, 3), value=half(1))
    add("fill", shape=i(2), value=np.int32(1))
    add("fill_like", ref_tensor=h(2, 3))
    add("fill_like", ref_tensor=h(2, 3), value=np.int32(1))
    add("range_1d", start=i(), end=np.int32(5), step=np.int32(1))
    add("range_1d", start=i(), end=h(), step=np.int32(1))
    add("non_zero", x=h(2, 3))
    add("one_hot", indices=i(3), one_hot_vector_size=np.int32(5))
    add("one_hot", indices=i(3, 2), one_hot_vector_size=np.int32(5), axis=1, on_value=half(1), off_value=half(0))
    add("one_hot", indices=i(3, 2), one_hot_vector_size=i())
    add("one_hot", indices=i(3), one_hot_vector_size=np.int32(5), on_value=half(1))
    add("one_hot", indices=i(3), one_hot_vector_size=np.int32(5), axis=2)

    # quantised
    add("quantize", input=h(2, 3), scale=half(1), output_dtype="int8")
    add("quantize", input=h(2, 3), scale=H(1, 1, 1), axis=1, output_dtype="uint8")
    add("quantize", input=h(2, 3), scale=H(1, 1, 1), output_dtype="uint8")
    add("quantize", input=h(2, 3), scale=half(1), axis=1, output_dtype="uint8")
    add("quantize", input=h(2, 3), scale=half(1), zero_point=np.int8(1), output_dtype="uint8")
    add("quantize", input=h(2, 3), scale=half(1), output_dtype="int16")
    add("dequantize", input=In("int8", 2, 3), scale=half(1))
    add("dequantize", input=In("int8", 2, 3), scale=H(1, 1), axis=0, zero_point=np.array([1, 1], dtype=np.int8))
    add("dequantize", input=In("int8", 2, 3), scale=H(1, 1), axis=1)
    add("dequantize", input=In("uint8", 2, 3), scale=H(1, 1), axis=0, zero_point=np.uint8(1))

    # compressed constants
    int4, uint4, uint1 = types.np_int4_dtype, types.np_uint4_dtype, types.np_uint1_dtype
    for data, scale, more in [((8, 4), (8, 1), {}), ((8, 4), (1, 1), {}), ((8, 4), (8, 2), {}), ((8, 4), (8, 3), {}),
                              ((8, 4), (8,), {}), ((8, 4), (8, 1), {"offset": zeros("int8", 8, 1)}),
                              ((8, 4), (8, 1), {"offset": zeros("int8", 8, 2)}), ((8, 4), (8, 1), {"offset": zeros("uint8", 8, 1)}),
                              ((8, 4), (8, 1), {"offset": zeros("float16", 8, 1)})]:
        add("constexpr_blockwise_shift_scale", data=zeros("int8", *data), scale=zeros("float16", *scale), **more)
    add("constexpr_blockwise_shift_scale", data=zeros(int4, 8, 64), scale=zeros("float16", 8, 2))
    add("constexpr_blockwise_shift_scale", data=zeros(uint4, 8, 64), scale=zeros("float32", 8, 2), offset=zeros(uint4, 8, 2))
    for indices, lut, more in [((4, 2), (1, 1, 16, 1), {}), ((4, 2), (2, 1, 16, 1), {}), ((4, 2), (3, 1, 16, 1), {}),
                               ((4, 2), (1, 1, 16, 2), {}), ((4, 2), (1, 1, 16, 2), {"vector_axis": 0}),
                               ((4, 2), (1, 1, 8, 1), {}), ((4, 2), (1, 16, 1), {}), ((4, 2), (1, 1, 16, 2), {"vector_axis": 2})]:
        add("constexpr_lut_to_dense", indices=zeros(uint4, *indices), lut=zeros("float16", *lut), **more)
    mask = np.array([[1, 0], [1, 1]]).astype(uint1)
    add("constexpr_sparse_to_dense", nonzero_data=H(1, 2, 3), mask=mask)
    add("constexpr_sparse_to_dense", nonzero_data=H(1, 2), mask=mask)
    add("constexpr_lut_to_sparse", indices_mask=mask, indices_nonzero_data=np.array([1, 2, 3]).astype(uint4),
        lut=zeros("float16", 1, 1, 16, 1))
    add("constexpr_lut_to_sparse", indices_mask=mask, indices_nonzero_data=np.array([1, 2, 3]).astype(uint4),
        lut=zeros("float16", 1, 1, 16, 2), vector_axis=1)
    add("constexpr_sparse_blockwise_shift_scale", data_mask=mask, nonzero_data=np.array([1, 2, 3], dtype=np.int8),
        scale=zeros("float16", 2, 1))
    add("constexpr_sparse_blockwise_shift_scale", data_mask=mask, nonzero_data=np.array([1, 2, 3], dtype=np.int8),
        scale=zeros("float16", 3, 1))
    add("constexpr_cast", source_val=zeros("float16", 2, 3), output_dtype="fp32")
    add("constexpr_cast", source_val=zeros("float16", 2, 3), output_dtype="fp16")
    for scale, zero_point, axis in [((), (), 0), ((2,), (2,), 0), ((3,), (), 1), ((2,), (), 1), ((3,), (3,), -1), ((3,), (3,), 2)]:
        add("constexpr_affine_dequantize", quantized_data=zeros("int8", 2, 3), zero_point=zeros("int8", *zero_point)[()],
            scale=zeros("float16", *scale)[()], axis=axis)
    return c


def older_cases():
    """The constexpr forms of iOS 16."""
    c = []
    def add(op, **args): c.append((op, args))
    U = np.uint32
    for n_lut, n_bytes, shape in [(2, 1, (2, 3)), (4, 2, (2, 3)), (16, 3, (2, 3)), (64, 5, (2, 3)), (256, 6, (2, 3)), (8, 3, (2, 3)),
                                  (16, 4, (2, 3))]:
        add("constexpr_lut_to_dense", indices=zeros("uint8", n_bytes), lut=zeros("float16", n_lut), shape=np.array(shape, dtype=U))
    add("constexpr_sparse_to_dense", nonzero_data=H(1, 2), mask=np.array([0x21], dtype=np.uint8), shape=np.array([2, 3], dtype=U))
    add("constexpr_sparse_to_dense", nonzero_data=H(1, 2, 3), mask=np.array([0x21], dtype=np.uint8), shape=np.array([2, 3], dtype=U))
    add("constexpr_sparse_to_dense", nonzero_data=H(1, 2), mask=np.array([0x21, 0], dtype=np.uint8), shape=np.array([2, 3], dtype=U))
    add("constexpr_cast", source_val=zeros("float16", 2, 3), output_dtype="fp32")
    add("constexpr_affine_dequantize", quantized_data=zeros("int8", 2, 3), zero_point=np.int8(0), scale=half(1), axis=0)
    return c


def answered():
    listed = [(op, args, ct.target.iOS18) for op, args in cases()]
    listed += [(op, args, ct.target.iOS16) for op, args in older_cases()]
    out = []
    for op, args, opset in listed:
        out.append((op, args, opset, theirs(op, args, opset)))
    # Outputs are counted by coremltools; where it refuses, one is asked for.
    mine = ours([(op, args, 1 if isinstance(t, Exception) else len(t), opset) for op, args, opset, t in out])
    return list(zip(out, mine))


ANSWERS = answered()


def describe(args):
    def one(v):
        if isinstance(v, In):
            return "%s%s" % (v.dtype, list(v.dims))
        return str(v).replace("\n", "") if not isinstance(v, np.ndarray) or v.size < 9 else "%s%s" % (v.dtype, v.shape)
    return ", ".join("%s=%s" % (k, [one(x) for x in v] if isinstance(v, list) else one(v)) for k, v in args.items())


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda a: "%s(%s)" % (a[0][0], describe(a[0][1])))
def test_same_types_or_both_refuse(answer):
    (op, args, _, them), mine = answer
    if isinstance(them, Exception):
        assert mine.startswith("error: "), f"coremltools: {them}"
        return
    assert mine.splitlines() == ["y%d: %s" % (k, t) for k, t in enumerate(them)]


def test_the_cases_reach_every_row():
    reached = {op for (op, _, _, _), _ in ANSWERS}
    assert {r["name"] for r in ROWS} - reached == {"const", "read_state", "write_state"}


def test_both_verdicts_occur():
    refused = sum(isinstance(t, Exception) for (_, _, _, t), _ in ANSWERS)
    assert len(ANSWERS) > 450 and refused > 90
