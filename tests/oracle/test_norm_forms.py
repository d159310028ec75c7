"""--norm l2: what decode and head compute then, against the form that divides by the largest magnitude, and what is refused."""

import json

import numpy as np
import pytest
from bundle_edit import BundleEdit
from command import HELLO, done, lathe
from random_models import N_VOCAB, RandomModel

import coremltools as ct
from coremltools.converters.mil.converter import mil_convert
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

BLOCKS = ("decode", "prefill", "head")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """The bundled model in both forms."""
    path = tmp_path_factory.mktemp("norms")
    for form in ("max", "l2"):
        done("convert", HELLO, "-o", path / f"{form}.lathe", "--norm", form)
    return path


def operations(bundle):
    model = bundle.read_program(0)
    return {name: bundle.operations(model, name) for name in BLOCKS}


def test_a_norm_of_one_row_is_two_ops(bundles):
    edit = {form: BundleEdit(bundles / f"{form}.lathe") for form in ("max", "l2")}
    found = {form: operations(edit[form]) for form in edit}
    n_norms = {"decode": 2 * 4, "head": 1}
    for name, n in n_norms.items():
        ops = [op for op in found["l2"][name] if op.type != "const"]
        assert sum(op.type == "l2_norm" for op in ops) == n
        assert not {"reduce_max", "rsqrt", "abs", "maximum"} & {op.type for op in ops}
        # abs, max, maximum, division, square, sum, eps (2), their sum, rsqrt, gain, unit: one op instead of these twelve.
        assert len([op for op in found["max"][name] if op.type != "const"]) - len(ops) == 11 * n
    # A call of many rows reduces other axes; the weights hold the gain.
    types_of = [sorted(op.type for op in found[form]["prefill"] if op.type != "const") for form in ("max", "l2")]
    assert "l2_norm" not in types_of[1] and len(types_of[0]) - len(types_of[1]) == 2 * 4
    assert edit["l2"].chain["options"]["norm"] == "l2" and edit["max"].chain["options"]["norm"] == "max"


def test_weights_hold_the_root_of_the_width(bundles):
    plain, scaled = (BundleEdit(bundles / f"{form}.lathe").weight("layer_02_ffn_norm").codes.astype(np.float64) for form in ("max", "l2"))
    root = np.sqrt(BundleEdit(bundles / "l2.lathe").chain["contract"]["d_model"])
    assert np.allclose(scaled.ravel(), plain.ravel() * root, rtol=2**-10)


@pytest.mark.parametrize("function, output", [("decode", "hidden"), ("head", "logits_0")])
def test_both_forms_give_the_same_numbers(bundles, function, output, tmp_path):
    """In fp32, to the roundings of two constants a norm."""
    rows = []
    for form in ("max", "l2"):
        package = next((bundles / f"{form}.lathe/shards").iterdir())
        done("run", package, "--function", function, "--arithmetic", "fp32", "--fill", "random:5", "--output", f"{output}={tmp_path / form}")
        rows.append(np.frombuffer((tmp_path / form).read_bytes(), np.float16).astype(np.float64))
    assert np.abs(rows[0]).max() > 0.05
    assert np.linalg.norm(rows[0] - rows[1]) < 2e-3 * np.linalg.norm(rows[0])
    assert (rows[0] != rows[1]).any()  # another graph


def test_the_model_of_the_engine_leaves_eps_out(tmp_path):
    """A row as small as eps, and one of zeros; the other arithmetics add it."""

    @mb.program(input_specs=[mb.TensorSpec((1, 64, 1, 1), types.fp16)], opset_version=ct.target.iOS18)
    def program(x):
        return mb.l2_norm(x=x, epsilon=np.float16(0.25), name="y")

    program.skip_all_passes = True
    model = mil_convert(program, convert_to="mlprogram", convert_from="milinternal", specification_version=9,
                        compute_units=ct.ComputeUnit.CPU_ONLY, skip_model_load=True)
    model.save(str(tmp_path / "l2.mlpackage"))

    def first(arithmetic, fill):
        run = done("run", tmp_path / "l2.mlpackage", "--fill", fill, "--arithmetic", arithmetic, "--json")
        return json.loads(run.stdout)["outputs"][0]["first"][0]

    assert first("fp16", "0.0625") == pytest.approx(0.0625 / np.sqrt(0.5), rel=1e-3)  # the sum is 0.25, too
    assert first("ane", "0.0625") == pytest.approx(0.0625 / np.sqrt(0.25), rel=1e-3)
    assert first("fp16", "zeros") == first("ane", "zeros") == 0


def test_rows_that_need_eps_are_refused(tmp_path):
    """Embedding rows of a mean square near eps: measured, and named with what they would come to."""
    model = RandomModel("llama", eps=1e-3, keys={"vocab_size": N_VOCAB})
    for name in ("token_embd.weight",):
        model.tensors[name] = model.tensors[name] * np.float32(0.05)
    path = model.write(tmp_path / "quiet.gguf", "F16")
    done("convert", path, "-o", tmp_path / "max.lathe")
    run = lathe("convert", path, "-o", tmp_path / "l2.lathe", "--norm", "l2")
    assert run.returncode == 3 and "--norm l2: a row before a norm of layer 0" in run.stderr, run.stderr
    assert "too large; use --norm max" in run.stderr and not (tmp_path / "l2.lathe").exists()
    assert lathe("convert", path, "-o", tmp_path / "x.lathe", "--norm", "rms").stderr.strip().endswith("expected max or l2")


def test_all_gates_pass(bundles):
    done("verify", bundles / "l2.lathe", "--model", HELLO)


@pytest.mark.full
def test_mutants_of_norms_are_killed(bundles):
    names = "norm_eps_left_out,ffn_norm_eps_left_out,attn_norm_weight_dropped,output_norm_weight_dropped,output_norm_left_out,norm_plus_1"
    done("verify", bundles / "l2.lathe", "--model", HELLO, "--mutants", names)
