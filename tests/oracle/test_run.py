"""`lathe run` on packages that coremltools built and saved: its numbers against numpy's, its lists against the spec."""

import json

import numpy as np
import pytest
from command import done, lathe

import coremltools as ct
from coremltools.converters.mil.converter import mil_convert
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

W = np.linspace(-1, 1, 24, dtype=np.float16).reshape(6, 4, 1, 1)


def save(program, path, target=9):
    program.skip_all_passes = True
    model = mil_convert(program, convert_to="mlprogram", convert_from="milinternal", specification_version=target,
                        compute_units=ct.ComputeUnit.CPU_ONLY, skip_model_load=True)
    model.save(str(path))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def mixed(folder):
    """Two inputs of different types, two outputs."""

    @mb.program(input_specs=[mb.TensorSpec((1, 4, 1, 3), types.fp16), mb.TensorSpec((2,), types.int32)], opset_version=ct.target.iOS18)
    def program(x, at):
        y = mb.conv(x=x, weight=W, name="y")
        picked = mb.gather(x=np.arange(10, 20, dtype=np.int32), indices=at, axis=0, name="picked")
        return y, picked

    return save(program, folder / "mixed.mlpackage")


@pytest.fixture(scope="module")
def counter(folder):
    """A state that grows by the input at each run; the output is its sum."""

    @mb.program(input_specs=[mb.TensorSpec((1, 4), types.fp16), mb.StateTensorSpec((1, 4), types.fp16)],
                opset_version=ct.target.iOS18)
    def program(x, memory):
        grown = mb.add(x=mb.read_state(input=memory), y=x)
        mb.coreml_update_state(state=memory, value=grown)
        return mb.reduce_sum(x=grown, axes=[1], keep_dims=True, name="sum")

    return save(program, folder / "counter.mlpackage")


def results(*args):
    return json.loads(done("run", *args, "--json").stdout)


def output(run, name):
    return next(o for o in run["outputs"] if o["name"] == name)


def test_conv_and_gather_are_numpys(mixed, tmp_path):
    x = np.arange(12, dtype=np.float16).reshape(1, 4, 1, 3) / 8
    (tmp_path / "x.bin").write_bytes(x.tobytes())
    run = results(mixed, "--input", f"x={tmp_path / 'x.bin'}", "--input", "at=2,7", "--output", f"y={tmp_path / 'y.bin'}")
    expected = np.einsum("oi,bihw->bohw", W[:, :, 0, 0].astype(np.float64), x.astype(np.float64))
    y = np.frombuffer((tmp_path / "y.bin").read_bytes(), np.float16).reshape(1, 6, 1, 3)
    assert np.array_equal(y, expected.astype(np.float16))
    of_y = output(run, "y")
    assert (of_y["dtype"], of_y["shape"], of_y["not_finite"]) == ("fp16", [1, 6, 1, 3], 0)
    assert of_y["first"] == y.flatten()[:8].tolist()
    assert (of_y["min"], of_y["max"]) == (y.min(), y.max()) and np.isclose(of_y["mean"], y.astype(np.float64).mean())
    assert output(run, "picked")["first"] == [12, 17]
    assert (run["function"], run["steps"], run["arithmetic"]) == ("main", 1, "fp16")


def test_text_shows_the_same_numbers(mixed):
    run = done("run", mixed, "--fill", "ones")
    assert "output  y: fp16[1, 6, 1, 3]" in run.stdout and "output  picked: int32[2]\n        min 11  max 11  mean 11" in run.stdout
    assert run.stdout.startswith("function main, fp16 arithmetic, 1 step of ") and run.stderr == ""


def test_words_for_values(mixed, tmp_path):
    of = lambda *args: output(results(mixed, "--fill", "zeros", *args), "y")
    assert of("--input", "x=ones")["first"] == of("--input", "x=1")["first"] == of("--input", "x=" + ",".join("1" * 12))["first"]
    assert of("--input", "x=zeros")["max"] == 0
    assert of("--input", "x=random:1") == of("--input", "x=random:1") != of("--input", "x=random:2")
    assert done("run", mixed, "--input", "x=random:9", "--input", "at=0", "--output", f"y={tmp_path / 'y'}").returncode == 0
    assert np.frombuffer((tmp_path / "y").read_bytes(), np.float16).std() > 0


def test_arithmetic_decides_how_results_are_rounded(mixed):
    first = {name: output(results(mixed, "--input", "x=0.1", "--input", "at=0", "--arithmetic", name), "y")["first"] for name in ("fp16", "fp32")}
    assert first["fp16"] != first["fp32"] and np.allclose(first["fp16"], first["fp32"], atol=1e-3)
    assert np.array_equal(np.float16(first["fp16"]), first["fp16"]) and not np.array_equal(np.float16(first["fp32"]), first["fp32"])


def test_states_are_kept_from_step_to_step(counter):
    for steps in (1, 3):
        run = results(counter, "--input", "x=1,2,3,4", "--steps", steps)
        assert output(run, "sum")["first"] == [10 * steps]
        assert [s["first"] for s in run["states"]] == [[1 * steps, 2 * steps, 3 * steps, 4 * steps]]


def test_not_finite_numbers_are_counted_and_left_out(mixed):
    of_y = output(results(mixed, "--input", "x=inf,0,0,0,0,0,0,0,0,0,0,0", "--input", "at=0"), "y")
    assert of_y["not_finite"] == 6 and of_y["max"] == 0 and None in of_y["first"]
    of_y = output(results(mixed, "--input", "x=inf,1,0,0,0,0,0,0,0,0,0,0", "--input", "at=0"), "y")
    column = W[:, 0, 0, 0].astype(np.float64)  # at one of the two places that are finite
    assert column.sum() != 0 and np.isclose(of_y["mean"], column.sum() / 12) and of_y["min"] == min(0, column.min())
    assert "not finite 6" in done("run", mixed, "--input", "x=inf,0,0,0,0,0,0,0,0,0,0,0", "--input", "at=0").stdout


def test_list_is_what_the_spec_says(mixed, counter):
    listed = json.loads(done("run", mixed, "--list", "--json").stdout)
    assert listed == {"default": "main", "functions": [{"name": "main", "states": [],
        "inputs": [{"name": "x", "dtype": "fp16", "shape": [1, 4, 1, 3]}, {"name": "at", "dtype": "int32", "shape": [2]}],
        "outputs": [{"name": "y", "dtype": "fp16", "shape": [1, 6, 1, 3]}, {"name": "picked", "dtype": "int32", "shape": [2]}]}]}
    assert done("run", counter, "--list").stdout == (
        "function main (default)\n  input   x: fp16[1, 4]\n  output  sum: fp16[1, 1]\n  state   memory: fp16[1, 4]\n")


def test_one_of_several_functions(folder):
    both = folder / "both.mlpackage"
    programs = {}
    for name, factor in (("twice", 2), ("thrice", 3)):
        @mb.program(input_specs=[mb.TensorSpec((1, 4), types.fp16)], opset_version=ct.target.iOS18)
        def program(x):
            return mb.mul(x=x, y=np.float16(factor), name="y")
        programs[name] = save(program, folder / f"{name}.mlpackage")
    description = ct.utils.MultiFunctionDescriptor()
    for name, path in programs.items():
        description.add_function(str(path), src_function_name="main", target_function_name=name)
    description.default_function_name = "thrice"
    ct.utils.save_multifunction(description, str(both))
    assert output(results(both, "--input", "x=1"), "y")["first"] == [3, 3, 3, 3]
    assert output(results(both, "--input", "x=1", "--function", "twice"), "y")["first"] == [2, 2, 2, 2]
    assert "function thrice (default)\n" in done("run", both, "--list").stdout
    run = lathe("run", both, "--function", "main", "--fill", "zeros")
    assert run.returncode == 3 and "no function 'main'" in run.stderr


def test_an_op_the_engine_lacks_is_named_and_the_ports_are_listed_all_the_same(folder):
    @mb.program(input_specs=[mb.TensorSpec((1, 4, 4, 4), types.fp16)], opset_version=ct.target.iOS18)
    def program(x):
        return mb.avg_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", name="y")

    path = save(program, folder / "pool.mlpackage")
    run = lathe("run", path, "--fill", "zeros")
    assert run.returncode == 3 and "op 'y': the engine has no avg_pool (`lathe run --ops` lists what it has)" in run.stderr
    ops = done("run", "--ops").stdout.split()
    assert "avg_pool" not in ops and {"conv", "matmul", "softmax"} <= set(ops)
    assert json.loads(done("run", "--ops", "--json").stdout)["ops"] == ops
    assert "output  y: fp16[1, 4, 2, 2]" in done("run", path, "--list").stdout


WRONG = [
    (["--fill", "zeros", "--input", "z=1"], 2, "--input z=1: expected NAME=VALUE with NAME one of: x, at"),
    (["--fill", "zeros", "--output", "x=f"], 2, "--output x=f: expected NAME=FILE with NAME one of: y, picked"),
    (["--fill", "zeros", "--input", "x"], 2, "--input x: expected NAME=VALUE"),
    (["--input", "x=1", "--input", "x=2", "--fill", "zeros"], 2, "--input x=2: 'x' is given twice"),
    (["--input", "x=1"], 2, "input 'at' has no value; give --input at=VALUE, or --fill zeros"),
    (["--input", "at=1.5", "--fill", "zeros"], 2, "input 'at': 1.5 is not a number of int32"),
    (["--input", "at=3e9", "--fill", "zeros"], 2, "input 'at': 3e+09 is not a number of int32"),
    (["--input", "x=1,2", "--fill", "zeros"], 2, "input 'x': 2 numbers, expected 1 or 12"),
    (["--fill", "random:x"], 2, "input 'x': random:x: expected a whole number as the seed"),
    (["--fill", "random:"], 2, "expected a whole number as the seed"),
    (["--input", "x=nowhere.bin", "--fill", "zeros"], 4, "input 'x': nowhere.bin: No such file"),
    (["--input", "x=short.bin", "--fill", "zeros"], 2, "short.bin: 'x': 3 bytes, expected 24 (12 elements of fp16)"),
    (["--input", "at=10", "--fill", "zeros"], 3, "step 1 of 1: op 'picked' (gather)"),
    (["--fill", "zeros", "--arithmetic", "fp8"], 2, "--arithmetic fp8: expected fp16, fp32 or ane"),
    (["--fill", "zeros", "--steps", "0"], 2, "--steps 0: expected 1 or more"),
    (["--fill", "zeros", "--output", "y=no/such/folder"], 4, "no/such/folder: cannot create"),
]


@pytest.mark.parametrize("args, code, says", WRONG, ids=[" ".join(args)[:50] for args, _, _ in WRONG])
def test_wrong_use_is_explained(mixed, tmp_path, args, code, says):
    (tmp_path / "short.bin").write_bytes(b"abc")
    run = lathe("run", mixed, *args, cwd=tmp_path)
    assert run.returncode == code and run.stdout == "" and says in run.stderr, run


def test_what_is_no_package_is_refused(tmp_path):
    run = lathe("run", tmp_path, "--list")
    assert run.returncode == 3 and "no Manifest.json: not an .mlpackage" in run.stderr
    run = lathe("run", tmp_path / "nowhere", "--list")
    assert run.returncode == 4 and "nowhere: No such file or directory" in run.stderr
