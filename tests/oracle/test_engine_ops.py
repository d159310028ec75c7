"""Every op of the engine's table, against coremltools' value inference and numpy.

The program `run_stdin` (tests/engine) runs each call of engine_cases.py in each arithmetic; it also runs it again, on
two and three threads and with a plan that reuses no buffer, reports any bit that differs, and counts what a run
allocates. Here its numbers are held to the values of engine_reference.py:

    fp32  within the op's bound
    fp16  what the program declares fp16 is a binary16 number no further from the value than the bound and half a unit
          of binary16; ops without a bound round to the nearest, ties to even
    ane   elements moved, integers and truth values only: tests/engine/test_ane.c has the rest
"""
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import coremltools as ct

from engine_cases import CASES, OLDER, T, W
from engine_reference import BOUNDS, GAPS, OURS, bound, infer, value
from mil_text import dtype_name, literal, type_text

BUILD = Path(os.environ["LATHE_BUILD"])
RUNNER = BUILD / "tests" / "engine" / "run_stdin"
TABLE = Path(__file__).resolve().parents[2] / "src" / "engine" / "ops.def"
ROWS = re.findall(r"^OP(?:_IDLE)?\((\w+),", TABLE.read_text(), re.M)
# Not calls of one op: constants are in every program, states in tests/engine/test_states.c.
ELSEWHERE = {"const", "read_state", "write_state"}
FLOAT = {"fp32": np.float32, "fp16": np.float16}


def is_float(value):
    """A float of engine_cases.py, to become one of the program's type."""
    return isinstance(value, float) or isinstance(value, (np.ndarray, np.generic)) and value.dtype == np.float64


class Call:
    """One op with arguments of one float type."""

    def __init__(self, op, args, dtype, opset):
        self.op, self.dtype, self.opset = op, dtype, opset
        self.args = {name: [self.cast(v) for v in value] if isinstance(value, list) else self.cast(value)
                     for name, value in args.items()}

    def cast(self, value):
        if isinstance(value, T):
            return T(self.cast(value.array))
        if isinstance(value, W):
            return W(value.op, **{name: self.cast(v) for name, v in value.args.items()})
        if is_float(value):
            with np.errstate(over="ignore"):
                return np.asarray(value).astype(FLOAT[self.dtype])[()]
        return value

    def __str__(self):
        def one(v):
            array = v.array if isinstance(v, T) else "<%s>" % v.op if isinstance(v, W) else v
            if isinstance(array, np.ndarray) and array.size > 6:
                return "%s%s" % (array.dtype, list(array.shape))
            return str(array).replace("\n", "")
        return "%s(%s)" % (self.op, ", ".join("%s=%s" % (k, list(map(one, v)) if isinstance(v, list) else one(v))
                                              for k, v in self.args.items()))

    def plain(self, arithmetic="fp32"):
        """The arguments as numpy values, floats in fp32 whatever the program's type: so fp16 is judged by values that
        are not rounded. Decompressed weights are rounded, if the arithmetic rounds."""
        def one(v):
            v = v.array if isinstance(v, T) else v
            if isinstance(v, W):
                weight = value(v.op, {name: one(a) for name, a in v.args.items()}, self.opset)[0]
                return weight.astype(FLOAT[self.dtype]).astype(np.float32) if arithmetic == "fp16" else weight
            is_real = isinstance(v, (np.ndarray, np.generic)) and v.dtype in (np.float16, np.float32)
            return v.astype(np.float32) if is_real and self.op != "constexpr_cast" else v
        return {k: [one(v) for v in value] if isinstance(value, list) else one(value) for k, value in self.args.items()}

    def expected(self):
        self.has_weights = any(isinstance(v, W) for v in self.args.values())
        self.wants = {}
        for arithmetic in ["fp32", "fp16"] if self.has_weights else ["fp32"]:
            with np.errstate(all="ignore"):
                self.wants[arithmetic] = value(self.op, self.plain(arithmetic), self.opset)
        self.wants.setdefault("fp16", self.wants["fp32"])
        self.want = self.wants["fp32"]
        assert self.want is not None, "coremltools infers no value of %s; write a reference" % self

    def text(self):
        """The program, and its inputs' bits."""
        declared, bits, weights = [], [], []

        def call(op, given):
            return "%s(%s)" % (op, ", ".join("%s = %s" % pair for pair in given.items()))

        def one(value):
            if isinstance(value, W):
                name = "w%d" % len(weights)
                weights.append("%s = %s" % (name, call(value.op, {k: literal(v) for k, v in value.args.items()})))
                return name
            if not isinstance(value, T):
                return literal(value)
            name, array = "in%d" % len(declared), value.array
            declared.append("%s: %s" % (name, type_text(dtype_name(array.dtype), array.shape)))
            numbers = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int32)
            bits.append(" ".join([name] + ["%x" % v for v in np.ascontiguousarray(numbers).view(np.uint32).flatten()]))
            return name

        given = {name: "(%s)" % ", ".join(map(one, v)) if isinstance(v, list) else one(v)
                 for name, v in self.args.items()}
        names = ", ".join("y%d" % k for k in range(len(self.want)))
        # The shape of non_zero is for the file to state.
        results = "y0: %s" % type_text("int32", self.want[0].shape) if self.op == "non_zero" else names
        lines = ["program %d default main" % self.opset.value, "func main(%s) {" % ", ".join(declared), *weights,
                 "%s = %s" % (results, call(self.op, given)), "} -> (%s)" % names, "%%", *bits, "%%"]
        return "\n".join(lines) + "\n"


def has_floats(args):
    flat = [v for value in args.values() for v in (value if isinstance(value, list) else [value])]
    return any(is_float(v.array if isinstance(v, T) else v) for v in flat)


def calls():
    out = []
    for op, args, only in CASES:
        for dtype in [only] if only else ["fp32", "fp16"] if has_floats(args) else ["fp32"]:
            out.append(Call(op, args, dtype, ct.target.iOS18))
    for op, args in OLDER:
        out += [Call(op, args, dtype, ct.target.iOS16) for dtype in ["fp32", "fp16"]]
    for call in out:
        call.expected()
    return out


CALLS = calls()


def parse(answer):
    """{arithmetic: {output: (type, array)} or error text}, and remarks."""
    results, remarks, at = {}, [], None
    for line in answer.splitlines():
        words = line.split(" ")
        if len(words) == 1 and line in ("fp32", "fp16", "ane"):
            at = results.setdefault(line, {})
        elif words[0] in ("error:", "differs:", "allocates:"):
            remarks.append(line)
        else:
            bits = np.array([int(w, 16) for w in words[2:]], dtype=np.uint32)
            name, shape = re.fullmatch(r"(\w+?)(?:\[(.*)\])?", words[1]).groups()
            array = bits.view(np.float32 if name.startswith("fp") else np.int32)
            dims = [int(d) for d in shape.replace("_", "").split(",")] if shape else []
            at[words[0]] = (name, array.reshape(dims))
    return results, remarks


def run(kernels):
    env = {**os.environ, "LATHE_KERNELS": kernels} if kernels else dict(os.environ)
    text = "".join(call.text() for call in CALLS)
    out = subprocess.run([RUNNER], input=text, env=env, capture_output=True, text=True, check=True).stdout
    answers = out.split("%%\n")[:-1]
    assert len(answers) == len(CALLS)
    return [parse(a) for a in answers]


def kernel_sets():
    """The sets of kernels this processor can run: with another name an engine does not open."""
    def works(name):
        empty = "program 9 default main\nfunc main() {\n} -> ()\n%%\n%%\n"
        return "error" not in subprocess.run([RUNNER], input=empty, env={**os.environ, "LATHE_KERNELS": name},
                                             capture_output=True, text=True, check=True).stdout
    return [name for name in ["scalar", "avx2", "avx512", "neon"] if works(name)]


SETS = kernel_sets()
ANSWERS = {name: run(name) for name in SETS}


def half_units(value):
    """Half a unit of binary16 at the value; from 65520 on all is infinity."""
    size = np.clip(np.abs(value), 2.0 ** -14, 65504)
    return 2.0 ** (np.floor(np.log2(size)) - 11)


def check_floats(call, arithmetic, dtype, got, want):
    rounds = arithmetic == "fp16" and dtype == "fp16"
    want = np.asarray(want, dtype=np.float64)
    limit = bound(call.op, call.plain(arithmetic), want)
    if call.op == "cast" and arithmetic == "fp32":  # fp32 leaves a cast to fp16 unrounded, coremltools does not
        limit = limit + half_units(want)
    with np.errstate(all="ignore"):
        if rounds:
            assert np.array_equal(got.astype(np.float16).astype(np.float32), got,
                                  equal_nan=True), "not binary16 numbers"
            if call.op not in BOUNDS:
                want = want.astype(np.float32).astype(np.float16).astype(np.float64)
            else:
                limit = limit + half_units(want)
                want = np.where(np.abs(want) + limit >= 65520, np.where(np.isinf(got), got, want), want)
        wrong = ~((np.abs(got - want) <= limit) | (got == want) | (np.isnan(got) & np.isnan(want)))
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        pytest.fail("%d of %d wrong; [%s]: got %.9g, want %.9g, bound %.3g" %
                    (wrong.sum(), wrong.size, ", ".join(map(str, at)), got[at], want[at], limit[at]))


def check(call, answer):
    results, remarks = answer
    assert not remarks, remarks
    for arithmetic, outputs in results.items():
        assert len(outputs) == len(call.want)
        for k, want in enumerate(call.wants.get(arithmetic, call.want)):
            dtype, got = outputs["y%d" % k]
            assert got.shape == want.shape
            if call.args.get("sort") is False:  # topk in any order
                got, want = np.sort(got), np.sort(want)
            if want.dtype.kind != "f":
                assert not dtype.startswith("fp")
                np.testing.assert_array_equal(got, want.astype(np.int32))
            elif arithmetic != "ane":
                assert dtype.startswith("fp")
                check_floats(call, arithmetic, dtype, got, want)
    assert set(results) == {"fp32", "fp16", "ane"}


@pytest.mark.parametrize("index", range(len(CALLS)), ids=lambda i: "%d-%s-%s" % (i, CALLS[i].dtype, CALLS[i].op))
def test_values(index):
    for name in SETS:
        print("kernels", name, CALLS[index])
        check(CALLS[index], ANSWERS[name][index])


def test_every_row_has_calls():
    assert set(ROWS) - {call.op for call in CALLS} == ELSEWHERE
    assert len(ROWS) == len(set(ROWS)) > 120


def test_references_of_our_own_are_needed():
    for op in OURS:
        call = next(c for c in CALLS if c.op == op)
        assert infer(op, call.plain(), call.opset) is None, "coremltools infers %s" % op
    for op, applies, _ in GAPS:
        # The last such call has the most to it.
        call = [c for c in CALLS if c.op == op and applies(c.plain())][-1]
        try:
            theirs = infer(op, call.plain(), call.opset)
        except Exception:  # whatever it raises
            continue
        assert not np.array_equal(theirs[0], call.want[0], equal_nan=True), "coremltools gets %s right" % op
