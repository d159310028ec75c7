"""`lathe verify --blame` against planted faults: it names the op, the function and the kind of error. And `layer golden`
tells an error of the graph from one of the weights."""

import json

import numpy as np
import pytest
from bundle_edit import BundleEdit
from command import HELLO, HELLO_F16, done, lathe
from planted import planted
from random_models import RandomModel


def verify(bundle, *args, model=HELLO):
    run = lathe("verify", bundle.path, "--model", model, "--gates", "graph,layer-golden", "--verbose", *args)
    return run, json.loads((bundle.path / "verify/report.json").read_text())


def blame(bundle, model=HELLO):
    """What is blamed, of the shard that fails first: figures and text."""
    bundle.redigest()
    run, report = verify(bundle, "--blame", model=model)
    assert run.returncode == 1, run.stdout
    found = [r for gate in ("graph", "layer golden") for r in report["gates"][gate] if r["scope"].startswith("blame")]
    assert found, run.stdout
    return found[0]["figures"], found[0]["text"]


def passed(report, gate, scope):
    return [r["passed"] for r in report["gates"][gate] if r["scope"].startswith(scope)]


class Fault:
    """Changes of a program by names of ops, in some of its functions."""

    def __init__(self, bundle, shard, functions):
        self.bundle, self.shard, self.functions = bundle, shard, functions

    @staticmethod
    def name_of(op):
        """Of its first value; what gives none, as write_state, has a name of its own."""
        return op.outputs[0].name if op.outputs else op.attributes["name"].immediateValue.tensor.strings.values[0]

    def each(self, name, change):
        with self.bundle.program(self.shard) as model:
            for function in self.functions:
                ops = [op for op in self.bundle.operations(model, function) if self.name_of(op) == name]
                assert len(ops) == 1, (name, function)
                change(ops[0])

    def becomes(self, name, kind):
        self.each(name, lambda op: setattr(op, "type", kind))

    def reads(self, name, param, value):
        self.each(name, lambda op: setattr(op.inputs[param].arguments[0], "name", value))

    def ints(self, name, *values):
        def change(op):
            tensor = op.attributes["val"].immediateValue.tensor
            assert len(tensor.ints.values) == len(values)
            tensor.ints.values[:] = values
        self.each(name, change)

    def half(self, name, change):
        def apply(op):
            raw = op.attributes["val"].immediateValue.tensor.bytes
            raw.values = np.float16(change(np.frombuffer(raw.values, np.float16)[0])).tobytes()
        self.each(name, apply)


BOTH = ("decode", "prefill")

# name: the shard, its functions, the fault; then the place, its op, and an op that is named as a suspect
GRAPH_FAULTS = {
    "a product that adds": (0, BOTH, lambda f: f.becomes("layer_01_gated", "add"), "gated", "layer_01_gated", None),
    "the wrong way round": (1, BOTH, lambda f: f.becomes("layer_02_rope_first", "add"), "q_rotated", "layer_02_rope",
                            "layer_02_rope_first"),
    "softmax over queries": (0, ("prefill",), lambda f: f.ints("layer_01_shares_0_axis_0", -2), "attn_context",
                             "layer_01_attended", "layer_01_shares_0"),
    # Rows that a later layer wrote over are missed by the layer they were taken from, one call later.
    "keys in another layer's place": (0, ("decode",), lambda f: f.reads("layer_01_keys_write", "input", "k_00"),
                                      "attn_context", "layer_00_attended", "layer_00_keys_now"),
    "a residual left out": (1, BOTH, lambda f: f.reads("layer_03_middle", "x", "layer_03_attn_norm_y"), "post_attn_residual",
                            "layer_03_middle", None),
    "a norm twice as large": (1, BOTH, lambda f: f.half("layer_02_ffn_norm_gain_factor", lambda x: 2 * x), "ffn_normed",
                              "layer_02_ffn_norm_y", "layer_02_ffn_norm_gain"),
    "scores not scaled": (1, BOTH, lambda f: f.half("layer_02_q_scaled_factor", lambda x: 1), "attn_context",
                          "layer_02_attended", "layer_02_q_scaled"),
    "gate for up": (0, BOTH, lambda f: f.reads("layer_00_gated", "y", "layer_00_gate"), "gated", "layer_00_gated", None),
}


@pytest.mark.parametrize("name", GRAPH_FAULTS)
def test_a_fault_of_the_graph_is_found(name, hello_sealed, tmp_path):
    shard, functions, plant, place, op, suspect = GRAPH_FAULTS[name]
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    plant(Fault(bundle, shard, functions))
    figures, text = blame(bundle)
    assert (figures["cause"], figures["place"], figures["op"]) == ("graph", place, op), text
    assert figures["function"] in functions
    assert suspect is None or suspect in figures["suspects"]
    assert text.startswith(f"graph: '{op}'")
    assert len(figures["suspects"]) < 45  # a part of a layer, not all of it


@pytest.mark.parametrize("function", BOTH)
def test_the_function_is_named(function, hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    Fault(bundle, 1, (function,)).becomes("layer_03_gated", "sub")
    figures, _ = blame(bundle)
    assert (figures["function"], figures["op"], figures["type"]) == (function, "layer_03_gated", "sub")


def test_an_overflow_is_called_fp16(hello_sealed, tmp_path):
    """The same factor in and out: right in fp32, beyond 65504 in fp16."""
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    fault = Fault(bundle, 0, BOTH)
    fault.half("layer_01_raised_0_factor", lambda x: 2.0**15)
    fault.half("layer_01_heads_0_factor", lambda x: 2.0**-15)
    bundle.redigest()
    _, report = verify(bundle)
    assert passed(report, "graph", "layers") == [True, True]
    assert passed(report, "layer golden", "graph")[0] is False and passed(report, "layer golden", "weights 0")[0] is True
    figures, text = blame(bundle)
    assert (figures["cause"], figures["place"], figures["layer"]) == ("fp16", "attn_context", 1), text
    assert "layer_01_mixed_0" in figures["suspects"]


# weight, what is done to it, the place it is found at, and the op that reads it
WEIGHT_FAULTS = {
    "down": ("layer_01_down", lambda w: w.scale.__setitem__(slice(32, 64), w.scale[32:64] * 4), "ffn_out",
             "layer_01_down_y"),
    "queries": ("layer_02_qkv", lambda w: w.codes.__setitem__(slice(0, 32), -w.codes[0:32]), "q", "layer_02_qkv_y"),
    "values": ("layer_00_qkv", lambda w: w.codes.__setitem__(slice(192, 256), w.codes[192:256][::-1].copy()), "v",
               "layer_00_qkv_y"),
    "gate": ("layer_03_gate_up", lambda w: w.scale.__setitem__(slice(0, 64), w.scale[0:64] / 2), "gate",
             "layer_03_gate_up_y"),
    "norm": ("layer_02_attn_norm", lambda w: w.codes.__setitem__(slice(0, 128), w.codes[0:128] * 2), "attn_normed",
             "layer_02_attn_norm_y"),
}


@pytest.mark.parametrize("name", WEIGHT_FAULTS)
def test_a_fault_of_the_weights_is_found(name, hello_sealed, tmp_path):
    tensor, plant, place, op = WEIGHT_FAULTS[name]
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    weight = bundle.weight(tensor)
    plant(weight)
    weight.codes.flush()
    if weight.scale is not None:
        weight.scale.flush()
    bundle.redigest()
    _, report = verify(bundle)
    # The same weights on both sides: the graph is right, and is said to be.
    assert all(passed(report, "graph", "layers")) and all(passed(report, "layer golden", "graph"))
    assert passed(report, "layer golden", "weights 0").count(False) == 1
    figures, text = blame(bundle)
    assert (figures["cause"], figures["place"], figures["op"]) == ("weights", place, op), text
    if op != "layer_02_attn_norm_y":
        assert f"it reads '{tensor}'" in text


@pytest.mark.parametrize("form", ["int8", "fp16"])
def test_places_of_a_conditioned_model_are_compared_in_its_own_scale(form, tmp_path):
    """Streams, values and gated activations are carried divided by powers of two, in the weights or behind them. A fault
    in the last op of the last layer is found there only when every place before it agrees."""
    model = planted(HELLO_F16, tmp_path / "m.gguf", stream=64.0, up={1: 2.0**12, 3: 2.0**9}, v={2: 2.0**11}, eps=1e-8)
    done("convert", model, "-o", tmp_path / "m.lathe", "--weights", form, "--range", "auto")
    bundle = BundleEdit(tmp_path / "m.lathe")
    factors = {(mark["place"], mark["factor"]) for s in bundle.chain["shards"] for mark in s["landmarks"]}
    scaled = {place for place, factor in factors if factor != 1}
    assert {"stream", "post_attn_residual", "attn_context", "gated"} <= scaled, scaled
    weight = bundle.weight("layer_03_down")
    weight.codes[0:32] = -weight.codes[0:32]
    weight.codes.flush()
    figures, text = blame(bundle, model=model)
    assert (figures["cause"], figures["place"], figures["layer"]) == ("weights", "ffn_out", 3), text


def test_a_scale_too_coarse_for_its_rows_is_found(tmp_path):
    """One scale for gate and up, where up is 4096 times larger: every gate becomes 0."""
    model = planted(HELLO_F16, tmp_path / "m.gguf", up={1: 2.0**12})
    done("convert", model, "-o", tmp_path / "m.lathe", "--weights", "int8-tensor", "--range", "auto")
    figures, text = blame(BundleEdit(tmp_path / "m.lathe"), model=model)
    assert (figures["cause"], figures["place"], figures["layer"]) == ("weights", "gate", 1), text


def test_a_weight_that_is_not_a_number_is_no_error_of_the_graph(hello_sealed, tmp_path):
    """The reference with the package's weights has it, too: only the source's weights tell where it began."""
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    weight = bundle.weight("layer_02_gate_up")
    weight.scale[5] = np.nan
    weight.scale.flush()
    bundle.redigest()
    run, report = verify(bundle, "--blame")
    blamed = [r["figures"] for r in report["gates"]["layer golden"] if r["scope"].startswith("blame")]
    assert run.returncode == 1 and len(blamed) == 2, run.stdout
    assert (blamed[0]["cause"], blamed[0]["place"], blamed[0]["layer"]) == ("weights", "gate", 2), run.stdout
    assert (blamed[1]["tensor"], blamed[1]["role"], blamed[1]["row"]) == ("layer_02_gate_up", "gate", 5), run.stdout
    assert blamed[1]["cos"] is None and blamed[1]["times"] is None


def test_a_row_that_moves_no_layer_is_named(hello_sealed, tmp_path):
    """One row of 384 negated, in a group whose other rows are right: only the line about single weights fails."""
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    weight = bundle.weight("layer_03_gate_up")
    row = 384 + 9
    weight.codes[row] = -weight.codes[row]
    weight.codes.flush()
    figures, text = blame(bundle)
    report = json.loads((bundle.path / "verify/report.json").read_text())
    assert [r["scope"] for r in report["gates"]["layer golden"] if not r["passed"]] == ["weights", "blame weights"], text
    found = {k: figures[k] for k in ("cause", "tensor", "role", "layer", "row", "bad_rows", "source", "source_row")}
    assert found == {"cause": "weight", "tensor": "layer_03_gate_up", "role": "up", "layer": 3, "row": 9, "bad_rows": 1,
                     "source": "blk.3.ffn_up.weight", "source_row": row}, text
    assert figures["times"] == pytest.approx(-1, abs=0.02) and figures["cos"] < -0.999, text
    assert "'layer_03_gate_up' in shards/" in text and "row 9 of its up (row 393 of 'blk.3.ffn_up.weight')" in text


def test_a_norm_weight_that_is_wrong_is_named(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    weight = bundle.weight("output_norm")
    weight.codes[11] *= np.float16(1.01)
    weight.codes.flush()
    figures, text = blame(bundle)
    found = {k: figures[k] for k in ("cause", "tensor", "role", "layer", "row")}
    assert found == {"cause": "weight", "tensor": "output_norm", "role": "output_norm", "layer": None, "row": 11}, text


def test_rotated_pairs_are_compared_in_the_order_of_the_model(tmp_path):
    """llama files store them as neighbours, packages pull them apart."""
    model = RandomModel("llama", head_dim=24).write(tmp_path / "m.gguf")
    done("convert", model, "-o", tmp_path / "m.lathe", "--context", 256)
    bundle = BundleEdit(tmp_path / "m.lathe")
    assert any(part["unrolled"] for t in bundle.chain["shards"][0]["tensors"] for part in t["parts"])
    Fault(bundle, 0, BOTH).becomes("layer_01_gated", "add")
    figures, text = blame(bundle, model=model)
    assert (figures["cause"], figures["op"]) == ("graph", "layer_01_gated"), text


def test_nothing_is_blamed_where_nothing_fails(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    run, report = verify(bundle, "--blame")
    assert run.returncode == 0
    assert not [r for gate in report["gates"].values() for r in gate if r["scope"].startswith("blame")]


def test_landmarks_that_lie_are_said_to(hello_sealed, tmp_path):
    """They are the compiler's word: one that names no such value fails the gate instead of being compared."""
    for change in ({"value": "nobody"}, {"first_channel": 4096}, {"value": "write_mask"}):
        bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
        bundle.chain["shards"][0]["landmarks"][1].update(change)
        bundle.redigest()
        run, _ = verify(bundle)
        assert run.returncode == 1 and "landmark 'q' of layer 0" in run.stdout
        (tmp_path / "m.lathe").rename(tmp_path / f"{change}")


# ---- figures a layer

def test_every_layer_has_its_figures(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    _, report = verify(bundle)
    assert set(report["graph_errors"]) == {"group_channels", "graph_fp32"}
    assert set(report["golden_errors"]) == {"group_channels", "graph", "weights", "total"}
    errors = report["graph_errors"] | report["golden_errors"]
    for kind in ("graph_fp32", "graph", "weights", "total"):
        for figure in ("cos", "worst_cos", "rmse", "max_abs", "group_off", "group_first"):
            assert len(errors[kind][figure]) == 4
    # int8 weights cost more than fp16 in every layer, and fp16 more than fp32.
    rmse = {kind: np.array(errors[kind]["rmse"]) for kind in ("graph_fp32", "graph", "weights")}
    assert (rmse["graph_fp32"] < rmse["graph"]).all() and (2 * rmse["graph"] < rmse["weights"]).all()


def test_figures_do_not_depend_on_threads(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    one, two, again = (verify(bundle, "--gates", "layer-golden", "--threads", n)[1]["gates"] for n in (1, 2, 2))
    assert one == two == again


def test_a_weight_that_is_no_number(tmp_path):
    """In the middle of a row whose other weights are right."""
    path = tmp_path / "m.lathe"
    assert lathe("convert", HELLO, "-o", path, "--weights", "fp16", "--context", 128).returncode == 0
    bundle = BundleEdit(path)
    bundle.weight("layer_01_down").codes[5, 7] = np.nan
    bundle.redigest()
    run = lathe("verify", path, "--model", HELLO, "--gates", "layer-golden")
    assert run.returncode == 1 and "1 rows differ from the source by more than rounding" in run.stdout, run.stdout
    assert "layer 1 down row 5" in run.stdout


def test_figures_outlive_a_run_that_resumes(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    _, first = verify(bundle)
    run, second = verify(bundle, "--resume")
    assert run.stdout.count("(kept)") >= 8
    assert all(second[section] == first[section] for section in ("graph_errors", "golden_errors"))


def test_the_worst_channels_are_named(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    _, before = verify(bundle)
    weight = bundle.weight("layer_02_down")
    weight.scale[64:96] *= 3
    weight.scale.flush()
    bundle.redigest()
    _, report = verify(bundle)
    errors, sound = report["golden_errors"]["weights"], before["golden_errors"]["weights"]
    assert errors["group_first"][2] == 64 and errors["group_off"][2] > 10 * sound["group_off"][2]
    assert errors["cos"][:2] == sound["cos"][:2]  # the other shard knows nothing of it


def test_a_layer_inside_a_shard_is_judged(hello_sealed, tmp_path):
    """What leaves the shard is right, what stands for the layer before it is not."""
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    with bundle.program(1) as model:
        for function in BOTH:
            ops = bundle.operations(model, function)
            changed = []
            for op in ops:
                for argument in (a for v in op.inputs.values() for a in v.arguments):
                    if argument.name == "layer_02_out":
                        argument.name = "layer_02_true"
                if op.outputs and op.outputs[0].name == "layer_02_out":
                    true = type(op)()
                    true.CopyFrom(op)
                    true.outputs[0].name = "layer_02_true"
                    changed.append(true)
                    op.type = "sub"
                changed.append(op)
            changed = [type(op).FromString(op.SerializeToString()) for op in changed]
            del ops[:]
            ops.extend(changed)
    bundle.redigest()
    run, report = verify(bundle)
    figures = next(r["figures"] for r in report["gates"]["graph"] if r["scope"] == "layers 02..03")
    assert run.returncode == 1 and figures["layer"] == 2
    cos = report["graph_errors"]["graph_fp32"]["cos"]
    # A layer is judged from the rows before it, so what stands between two layers speaks against both.
    assert cos[2] < 0.99 and cos[3] < 0.999999
