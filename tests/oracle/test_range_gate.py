"""Gate range and arithmetic ane, as a user meets them: true models have room, planted ones are named by op and rule, and
figures agree with what the reference measured on its own."""

import json
import re

import pytest
from bundle_edit import BundleEdit
from command import ASK_ERLANG, ERLANG, HELLO, HELLO_F16, NATURAL, done, lathe, smollm2_gguf
from planted import planted
from test_range import BRANCHES, LOUD, QUIET, SMALL_EPS

CONTEXT = 160


def convert(model, path, *options):
    done("convert", model, "-o", path, "--context", CONTEXT, "--layers-per-shard", "2", *options)
    return path


def gate(bundle, model):
    """(exit code, lines as (scope, text, passed), the report's section)."""
    run = lathe("verify", bundle, "--model", model, "--gates", "range", "--verbose")
    assert run.returncode in (0, 1), run.stderr
    report = json.loads((bundle / "verify" / "report.json").read_text())
    lines = [(r["scope"], r["text"], r["passed"]) for r in report["gates"]["range"]]
    printed = [line for line in run.stdout.splitlines() if line.startswith("range ")]
    assert len(printed) == len(lines)
    assert [line.split()[-1] for line in printed] == ["ok" if passed else "FAILED" for _, _, passed in lines]
    return run.returncode, lines, report["range"]


def by_op(section):
    return {op["op"]: op for op in section["ops"]}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("planted")
    kinds = {"loud": LOUD, "branches": BRANCHES, "quiet": QUIET, "sums": dict(stream=2.0**9, eps=SMALL_EPS)}
    return {name: planted(HELLO_F16, place / f"{name}.gguf", **kind) for name, kind in kinds.items()}


@pytest.fixture(scope="module")
def judged(models, tmp_path_factory):
    place = tmp_path_factory.mktemp("bundles")
    out = {}
    for name, model in models.items():
        for how in ("off", "auto"):
            bundle = convert(model, place / f"{name}-{how}.lathe", "--range", how)
            out[name, how] = gate(bundle, model)
    return out


# ---- no false alarm

@pytest.mark.parametrize("model", [HELLO, NATURAL], ids=lambda m: m.stem)
@pytest.mark.parametrize("options", [[], ["--weights", "fp16"], ["--kv", "slice"], ["--kv", "rows"], ["--range", "off"]], ids=str)
def test_bundled_models_have_room(model, options, tmp_path):
    code, lines, section = gate(convert(model, tmp_path / "b.lathe", *options), model)
    assert code == 0 and [scope for scope, _, _ in lines] == ["embedding", "shard 00", "shard 01"]
    assert section["named"] == []
    assert all(op["room_bits"] > 3 and op["ane_not_finite"] == 0 and op["lost_share"] < 0.002 for op in section["ops"])


@pytest.mark.full
def test_smollm2_has_little_room_and_conditioning_gives_more(tmp_path):
    """Its stream peaks beyond 22,000: within fp16 and the sums by a fraction of a bit, and by four bits conditioned."""
    least = {}
    for how in ("off", "auto"):
        bundle = tmp_path / f"{how}.lathe"
        done("convert", smollm2_gguf(), "-o", bundle, "--context", 96, "--range", how)
        code, lines, section = gate(bundle, smollm2_gguf())
        assert code == 0 and section["named"] == []
        op = section["ops"][0]
        assert op["op"] == "layer_11_down_y" and op["ane_not_finite"] == 0
        least[how] = op["room_bits"]
    assert 0 < least["off"] < 1
    assert least["auto"] > 3.5


# ---- what is planted is named

def named(judged_one):
    return {scope: text for scope, text, passed in judged_one[1] if not passed and not scope.startswith("shard")}


def test_an_overflow_is_named_where_it_begins(judged):
    assert judged["loud", "off"][0] == 1
    said = named(judged["loud", "off"])
    assert re.match(r"overflows: results of 7\.\d+e\+04, limit 32752 \[rule I01\]; \d+ results not finite in simulated ANE", said["layer_00_down_y"])
    assert "rows of" in said["layer_02_attn_norm_u"] and "[rule I04]" in said["layer_02_attn_norm_u"]
    # What only follows is counted and not named: the branch that reads the broken rows.
    ops = by_op(judged["loud", "off"][2])
    follows = ops["layer_00_down_y"]["ane_not_finite"], ops["layer_01_attn_norm_u"]["ane_not_finite"]
    assert follows[0] > 0 and "layer_01_attn_norm_sum" not in said


def test_overflow_of_branches_is_named(judged):
    said = named(judged["branches", "off"])
    assert judged["branches", "off"][0] == 1 and set(said) == {"layer_02_mixed_0", "layer_03_gated"}
    assert "[rule I01]" in said["layer_02_mixed_0"] and "[rule I04]" in said["layer_03_gated"]


def test_sums_beyond_the_accumulator_are_named_though_fp16_holds_them(judged):
    """Results of layer 0 leave neither; the last down projection passes 32752."""
    code, lines, section = judged["sums", "off"]
    ops = by_op(section)
    assert code == 1 and "[rule I01]" in named(judged["sums", "off"])["layer_03_down_y"]
    assert ops["layer_00_down_y"]["room_bits"] > 0 and ops["layer_00_down_y"]["ane_not_finite"] == 0
    assert ops["layer_03_down_y"]["sum_bound"] >= ops["layer_03_down_y"]["largest_out"] * 0.2


def test_products_that_are_lost_are_named_and_pass(judged):
    code, lines, section = judged["quiet", "off"]
    assert code == 0 and all(passed for _, _, passed in lines)
    said = {scope: text for scope, text, _ in lines}
    share = float(re.match(r"([\d.]+) % of the products are too small for the sums \[rule I02\]", said["layer_00_attn_out_y"])[1])
    assert share > 20
    assert {op["op"] for op in section["named"]} >= {"layer_00_attn_out_y", "layer_01_down_y"}


@pytest.mark.parametrize("name", ["loud", "branches", "quiet", "sums"])
def test_conditioning_leaves_nothing_to_name(name, judged):
    code, lines, section = judged[name, "auto"]
    assert code == 0 and section["named"] == [] and len(lines) == 3
    assert all(op["room_bits"] > 3 for op in section["ops"])


def test_a_failed_range_is_not_sealed(models, tmp_path):
    bundle = convert(models["loud"], tmp_path / "b.lathe", "--range", "off")
    run = lathe("verify", bundle, "--model", models["loud"])
    assert run.returncode == 1 and not (bundle / "seal.json").exists()
    assert "a gate failed; the bundle is not sealed" in run.stderr
    assert [line.split()[2] for line in run.stdout.splitlines() if line.endswith("; convert again with --range auto  FAILED")] == ["00", "01"]
    (bundle / "verify/report.json").unlink()  # what the other gates gave
    run = lathe("verify", bundle, "--model", models["loud"], "--gates", "range")
    again = f"Convert with smaller numbers in the packages: lathe convert {models['loud']} -o {bundle} --force --context 160 --range auto\n"
    assert again in run.stderr


# ---- the figures

@pytest.mark.parametrize("name", ["loud", "branches", "quiet", "sums"])
def test_figures_are_those_of_the_reference(name, models, tmp_path):
    """`convert` measured the same text in the reference, by code of its own. The gate fills short pieces up and ends at
    the end of the context, so it may see more, but nothing less than the reference saw."""
    bundle = convert(models[name], tmp_path / "b.lathe", "--range", "auto", "--weights", "fp16")
    chain = BundleEdit(bundle).chain
    factors = [shard["residual_factor"] for shard in chain["shards"] for _ in range(*shard["layers"])]
    ops = by_op(gate(bundle, models[name])[2])
    for i, (layer, factor) in enumerate(zip(chain["ranges"]["layers"], factors, strict=True)):
        for op, figure in (("attn_norm_u", "attn_in_peak"), ("ffn_norm_u", "ffn_in_peak")):
            found = ops[f"layer_{i:02}_{op}"]["largest_in"] * factor
            assert 0.99 * layer[figure] <= found <= 1.3 * layer[figure], (i, op)


def test_room_is_the_logarithm_of_what_is_left(judged):
    import math
    for op in judged["sums", "off"][2]["ops"]:
        largest = max(op["largest_in"], op["largest_out"]) if op["role"] == "norm input" else op["largest_out"]
        assert op["room_bits"] == pytest.approx(math.log2(op["limit"] / largest), abs=1e-3)
        assert op["limit"] == (32752 if op["role"] == "product" else 65504)


def test_the_page_shows_them(models, tmp_path):
    bundle = convert(models["loud"], tmp_path / "b.lathe", "--range", "off")
    lathe("verify", bundle, "--model", models["loud"], "--gates", "range")
    page = (bundle / "verify" / "report.html").read_text()
    assert "layer_00_down_y" in page


# ---- chat in another arithmetic

@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    bundle = tmp_path_factory.mktemp("hello") / "b.lathe"
    done("convert", HELLO, "-o", bundle, "--context", "256")
    return bundle


@pytest.mark.parametrize("arithmetic", ["fp32", "fp16", "ane"])
def test_chat_in_each_arithmetic(arithmetic, hello):
    run = done("chat", hello, "--unsealed", "--arithmetic", arithmetic, "-p", ASK_ERLANG)
    assert run.stdout.strip() == ERLANG
    assert f"[cpu ({arithmetic}" in run.stderr


def test_chat_refuses_other_arithmetics(hello):
    run = lathe("chat", hello, "--unsealed", "--arithmetic", "bf16", "-p", "x")
    assert run.returncode == 2 and "arithmetic 'bf16': expected fp32, fp16 or ane" in run.stderr
    run = lathe("chat", HELLO, "--arithmetic", "ane", "-p", "x")
    assert run.returncode == 2 and "--arithmetic chooses how the CPU engine rounds" in run.stderr
