"""Range conditioning (`convert --range`): models that leave fp16 are named by the measurement, break without it and pass
with it; and nothing else changes.

The models are planted (planted.py): the same function as hello in fp32, with a stream, values or gated activations that
are powers of two larger or smaller. That makes each figure checkable: what is c times larger is measured c times larger,
and what leaves a conditioned bundle equals what leaves the bundle of the model it was planted in."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from bundle_edit import BundleEdit
from command import HELLO_F16, done, lathe, smollm2_gguf
from planted import planted
from random_models import RandomModel
from tokenizer_oracle import BUILD

CONTEXT = 160
GOLDEN = BUILD / "tests" / "range" / "range_golden"
LOGITS = BUILD / "tests" / "reference" / "reference_logits"
# A thing of 2^-31 in the norms of hello changes nothing; 2^11 times the stream then has an eps of 2^-9.
SMALL_EPS = 2.0**-31

LOUD = dict(stream=2.0**11, eps=SMALL_EPS)  # layer 0 stays in fp16, the later ones do not: as Phi's layers 24 to 31
BRANCHES = dict(up={3: 2.0**10}, v={2: 2.0**8})
# Branches of rms 1e-3. An eps of 1e-5 would vanish in fp16 with the stream, which `--range off` refuses.
QUIET_EPS = 4e-5
QUIET = dict(stream=2.0**-10, eps=QUIET_EPS)


def convert(model, path, *options):
    done("convert", model, "-o", path, "--context", CONTEXT, *options)
    return BundleEdit(path)


def shares(chain):
    """Per part: the power of two its weights were stored multiplied by."""
    return {(t["layer"], p["role"]): p["factor"] for s in chain["shards"] for t in s["tensors"] for p in t["parts"]}


def ids(model, n=96):
    text = (HELLO_F16.parent / "README.md").read_text()[:900]
    return done("tokenize", model, given=text).stdout.split()[:n]


def golden(bundle, model, arithmetic):
    run = subprocess.run([GOLDEN, bundle, model, arithmetic], input=" ".join(ids(model)), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def is_broken(shards):
    """A shard that lost the model: infinite or NaN elements, rows of zeros, or another direction."""
    return any(s["infinite"] or s["zero_rows"] or s["cos"] < 0.999 for s in shards)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """name -> (planted model, the model it was planted in)."""
    place = tmp_path_factory.mktemp("planted")
    plain = planted(HELLO_F16, place / "plain.gguf")
    return {
        "loud": (planted(HELLO_F16, place / "loud.gguf", **LOUD),
                 planted(HELLO_F16, place / "loud-plain.gguf", eps=SMALL_EPS)),
        "branches": (planted(HELLO_F16, place / "branches.gguf", **BRANCHES), plain),
        "quiet": (planted(HELLO_F16, place / "quiet.gguf", **QUIET),
                  planted(HELLO_F16, place / "quiet-plain.gguf", eps=QUIET_EPS)),
    }


@pytest.fixture(scope="module")
def bundles(models, tmp_path_factory):
    """(name, "off" or "auto") -> bundle, and (name, "plain") for the model it was planted in."""
    place = tmp_path_factory.mktemp("range")
    made = {}
    for name, (model, plain) in models.items():
        made[name, "off"] = convert(model, place / f"{name}-off.lathe", "--range", "off")
        made[name, "auto"] = convert(model, place / f"{name}-auto.lathe", "--range", "auto")
        made[name, "plain"] = convert(plain, place / f"{name}-plain.lathe", "--range", "auto")
    return made


NAMES = ["loud", "branches", "quiet"]


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_model_is_the_same_function_in_fp32(name, models):
    rows = []
    for model in models[name]:
        run = subprocess.run([LOGITS, model, str(CONTEXT), "all"], input=" ".join(ids(model)).encode(), capture_output=True)
        assert run.returncode == 0, run.stderr
        rows.append(np.frombuffer(run.stdout, np.float32).astype(np.float64))
    a, b = rows
    assert a @ b / np.sqrt((a @ a) * (b @ b)) >= 0.9999998


def figures(bundle):
    return bundle.chain["ranges"]["layers"]


def test_measurement_names_a_loud_stream(bundles):
    loud, plain = bundles["loud", "auto"], bundles["loud", "plain"]
    for a, b in zip(figures(loud), figures(plain)):
        for name in a:
            wanted = b[name]
            if re.match("(attn|ffn)_(in|out)_", name):
                wanted *= 2**11
            # Four digits each; the eps of hello itself is of no consequence to either.
            assert a[name] == pytest.approx(wanted, rel=2e-3), name
    # Layer 0 enters within fp16, the others do not.
    assert [layer["attn_in_peak"] > 65504 for layer in figures(loud)] == [False, True, True, True]


def test_measurement_names_loud_and_quiet_branches(bundles):
    branches, quiet, plain = (bundles[key] for key in (("branches", "auto"), ("quiet", "auto"), ("branches", "plain")))
    assert figures(branches)[3]["gated_peak"] == pytest.approx(figures(plain)[3]["gated_peak"] * 2**10, rel=1e-3)
    assert figures(branches)[2]["v_peak"] == pytest.approx(figures(plain)[2]["v_peak"] * 2**8, rel=1e-3)
    assert figures(branches)[3]["gated_peak"] > 65504
    assert figures(quiet)[3]["ffn_out_rms"] < 1e-2 and figures(quiet)[0]["attn_out_rms"] < 2e-4


@pytest.mark.parametrize("name", NAMES)
def test_without_conditioning_the_model_is_lost(name, bundles, models):
    for arithmetic in ("fp16", "ane"):
        assert is_broken(golden(bundles[name, "off"].path, models[name][0], arithmetic)), arithmetic
    gates = lathe("verify", bundles[name, "off"].path, "--model", models[name][0], "--gates", "graph,layer-golden", "--verbose")
    assert gates.returncode == 1
    # The graph is right: in fp32 it is the model.
    verdicts = {gate: [line.split()[-1] for line in gates.stdout.splitlines() if line.startswith(gate)]
                for gate in ("graph ", "layer golden  layers ")}
    assert set(verdicts["graph "]) == {"ok"} and set(verdicts["layer golden  layers "]) == {"FAILED"}, gates.stdout


@pytest.mark.parametrize("name", NAMES)
def test_conditioning_gives_the_plain_model_back(name, bundles, models):
    model, plain = models[name]
    for arithmetic in ("fp16", "ane"):
        a = golden(bundles[name, "auto"].path, model, arithmetic)
        b = golden(bundles[name, "plain"].path, plain, arithmetic)
        assert not is_broken(a)
        # The same codes and the same mantissas: what differs is the rounding of sums that the multiplication after a
        # branch adds, and eps, whose root is rounded to fp16 in another binade.
        for s, t in zip(a, b):
            assert 1 - s["cos"] <= 1.05 * (1 - t["cos"]) + 2e-6, (arithmetic, s, t)


@pytest.mark.parametrize("name", NAMES)
def test_conditioned_bundles_pass_every_gate(name, bundles, models):
    done("verify", bundles[name, "auto"].path, "--model", models[name][0])
    assert (bundles[name, "auto"].path / "seal.json").exists()


def test_overflow_of_sums_shows_in_ane_arithmetic_only(tmp_path):
    """Sums beyond 32768 and a stream below 65504: fp16 holds it, the Neural Engine's accumulator does not."""
    model = planted(HELLO_F16, tmp_path / "sums.gguf", stream=2.0**9, eps=SMALL_EPS)
    off = convert(model, tmp_path / "off.lathe", "--range", "off").path
    auto = convert(model, tmp_path / "auto.lathe", "--range", "auto").path
    assert golden(off, model, "fp16")[0]["infinite"] == 0
    assert golden(off, model, "ane")[0]["infinite"] > 0
    assert golden(auto, model, "ane")[0]["infinite"] == 0


def test_factors_are_those_of_the_figures(bundles):
    chain = bundles["loud", "auto"].chain
    (shard,) = chain["shards"]
    peak = max(max(layer["attn_in_peak"], layer["ffn_in_peak"]) for layer in chain["ranges"]["layers"])
    peak = max(peak, chain["ranges"]["out_peak"])
    assert peak / shard["residual_factor"] <= 1024 < 2 * peak / shard["residual_factor"]
    chain = bundles["branches", "auto"].chain
    factors = shares(chain)
    assert factors[3, "up"] * factors[3, "down"] == 1 and factors[2, "v"] * factors[2, "attn_out"] == 1
    assert chain["ranges"]["layers"][3]["gated_peak"] * factors[3, "up"] <= 4094
    assert 64 * chain["ranges"]["layers"][2]["v_peak"] * factors[2, "v"] <= 2047
    assert all(f == 1 for key, f in factors.items()
               if key not in {(3, "up"), (3, "down"), (2, "v"), (2, "attn_out")})


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_unchanged_and_scales_carry_the_factor(name, bundles):
    off, auto, plain = (bundles[name, how] for how in ("off", "auto", "plain"))
    factors, n_scaled = shares(auto.chain), 0
    for tensor in (t for s in auto.chain["shards"] for t in s["tensors"] if t["form"] == "int8"):
        a, b, c = off.weight(tensor["name"]), auto.weight(tensor["name"]), plain.weight(tensor["name"])
        # The codes are those of the model it was planted in, though not all scales without conditioning can be.
        assert np.array_equal(b.codes, c.codes), tensor["name"]
        assert set(np.frexp(b.scale.astype(float) / c.scale)[0]) == {0.5}, tensor["name"]
        for part in tensor["parts"]:
            rows = np.arange(part["first_row"], part["first_row"] + part["rows"])
            # Scales are never below fp16's smallest normal number: off had other codes there.
            rows = rows[a.scale[rows] > 2.0**-14]
            factor = factors[tensor["layer"], part["role"]]
            assert np.array_equal(a.codes[rows], b.codes[rows]), tensor["name"]
            assert np.array_equal(b.scale[rows], a.scale[rows] * np.float16(factor)), tensor["name"]
            n_scaled += factor != 1
    assert n_scaled >= {"loud": 4, "branches": 2, "quiet": 4}[name]


def test_a_model_at_ease_gives_the_same_packages(tmp_path):
    off = convert(HELLO_F16, tmp_path / "off.lathe", "--range", "off")
    auto = convert(HELLO_F16, tmp_path / "auto.lathe")  # auto, for a model of this size
    assert off.chain["ranges"] is None and auto.chain["ranges"] is not None
    assert off.chain["shards"] == auto.chain["shards"]
    assert set(shares(auto.chain).values()) == {1}
    # And again: the same bytes, measured with another number of threads.
    again = convert(HELLO_F16, tmp_path / "again.lathe", "--range", "auto", "--threads", "1")
    assert (again.path / "chain.json").read_bytes() == (auto.path / "chain.json").read_bytes()


@pytest.mark.parametrize("name, options", [
    ("loud", ("--weights", "fp16")), ("loud", ("--weights", "int8-tensor")), ("loud", ("--kv", "slice")),
    ("loud", ("--layers-per-shard", "1")), ("branches", ("--weights", "fp16")), ("quiet", ("--weights", "fp16")),
])
def test_every_form_is_conditioned(name, options, models, tmp_path):
    bundle = convert(models[name][0], tmp_path / "b.lathe", "--range", "auto", *options)
    done("verify", bundle.path, "--model", models[name][0], "--gates", "graph,layer-golden,positions")
    assert not is_broken(golden(bundle.path, models[name][0], "ane"))


def test_biases_take_their_share(tmp_path):
    """A llama-architecture model with every bias, and a stream and values that fp16 cannot hold."""
    stream, values = 2.0**13, 2.0**8
    model = RandomModel("llama", d_model=64, d_ff=96, n_layers=3, tied=False, biases=("qkv", "out"),
                        eps=2.0**-33 * stream**2)
    model.tensors["token_embd.weight"] *= stream
    for i in range(3):
        for name, factor in (("attn_v.weight", values), ("attn_v.bias", values), ("attn_output.weight", stream / values),
                             ("attn_output.bias", stream), ("ffn_down.weight", stream)):
            model.tensors[f"blk.{i}.{name}"] *= np.float32(factor)
    path = model.write(tmp_path / "model.gguf")
    bundle = convert(path, tmp_path / "b.lathe", "--range", "auto")
    factors = shares(bundle.chain)
    assert factors[1, "v"] == factors[1, "v_bias"] < 1
    assert factors[1, "attn_out_bias"] == factors[1, "attn_out"] * factors[1, "v"] < 1
    done("verify", bundle.path, "--model", path, "--gates", "graph,layer-golden,positions")


def test_rows_that_share_a_scale_are_divided_by_the_graph(models, tmp_path):
    """int8-tensor has one scale for gate and up: up is not divided in it but after it. The planted up, 2^10 times
    gate, is too much for one scale whatever is done, so that only the graph and its range are looked at."""
    bundle = convert(models["branches"][0], tmp_path / "b.lathe", "--range", "auto", "--weights", "int8-tensor")
    factors = shares(bundle.chain)
    assert factors[3, "up"] == 1 and factors[3, "down"] > 1 and factors[2, "v"] == 1 and factors[2, "attn_out"] > 1
    done("verify", bundle.path, "--model", models["branches"][0], "--gates", "graph")
    assert golden(bundle.path, models["branches"][0], "ane")[0]["infinite"] == 0


def test_the_factor_may_change_where_shards_meet(models, tmp_path):
    chain = convert(models["loud"][0], tmp_path / "b.lathe", "--range", "auto", "--layers-per-shard", "1").chain
    factors = [s["residual_factor"] for s in chain["shards"]]
    assert len(factors) == 4 and len(set(factors)) > 1


def test_eps_that_vanishes_in_fp16_is_refused_unless_conditioning_raises_it(tmp_path):
    """sqrt(128 · 1e-12) is subnormal in fp16, which the Neural Engine is reported to lose: a row of zeros would give NaN."""
    model = planted(HELLO_F16, tmp_path / "m.gguf", eps=1e-12)
    run = lathe("convert", model, "-o", tmp_path / "off.lathe", "--context", CONTEXT, "--range", "off")
    assert run.returncode == 3 and not (tmp_path / "off.lathe").exists()
    for part in ("norm_eps 1e-12", "1.13e-05", "6.10e-05", "--range auto"):
        assert part in run.stderr, run.stderr
    bundle = convert(model, tmp_path / "auto.lathe", "--range", "auto")
    (shard,) = bundle.chain["shards"]
    assert shard["residual_factor"] == 2.0**-3
    done("verify", bundle.path, "--model", model)


def test_calibration_text_is_the_users(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("One paragraph.\n\nAnother one, with a number: 42.\n")
    chain = convert(HELLO_F16, tmp_path / "b.lathe", "--calibration", text).chain
    # Two paragraphs, the first one again behind each of two stop ids, and the whole up to the context.
    assert chain["ranges"]["text"]["pieces"] == 5
    assert CONTEXT < chain["ranges"]["text"]["tokens"] < CONTEXT + 5 * 32
    other = convert(HELLO_F16, tmp_path / "c.lathe").chain
    assert other["ranges"]["text"]["sha256"] != chain["ranges"]["text"]["sha256"]


def test_wrong_options_say_what_is_expected(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    for options, code, message in (
        (("--range", "some"), 2, "--range some: expected auto or off"),
        (("--range", "off", "--calibration", HELLO_F16), 2, "--calibration with --range off: nothing is measured"),
        (("--calibration", tmp_path / "none.txt"), 4, "none.txt"),
        (("--calibration", empty), 3, "is empty"),
    ):
        run = lathe("convert", HELLO_F16, "-o", tmp_path / "b.lathe", *options)
        assert run.returncode == code and message in run.stderr, (options, run.stderr)
        assert not (tmp_path / "b.lathe").exists()


def test_a_factor_that_chain_json_states_wrongly_is_seen(bundles, models, tmp_path):
    """chain.json is what a host divides by: a wrong factor must not pass."""
    for change in ("residual", "part"):
        bundle = BundleEdit.copy(bundles["loud", "auto"].path, tmp_path / f"{change}.lathe")
        (shard,) = bundle.chain["shards"]
        if change == "residual":
            shard["residual_factor"] *= 2
        else:
            next(t for t in shard["tensors"] if t["name"] == "layer_03_down")["parts"][0]["factor"] *= 2
        bundle.redigest()
        run = lathe("verify", bundle.path, "--model", models["loud"][0], "--gates", "graph,layer-golden")
        assert run.returncode == 1 and "FAILED" in run.stdout, (change, run.stdout + run.stderr)
    bundle.chain["shards"][0]["residual_factor"] = 3
    bundle.redigest()
    run = lathe("verify", bundle.path, "--model", models["loud"][0])
    assert run.returncode == 3 and "expected a power of two" in run.stderr


def test_smollm2_stream_is_brought_down(tmp_path):
    """A natural case: from its twelfth layer on SmolLM2 carries a token of 27,000, and one projection's sums reach
    that too. The text is short here, so that the test is."""
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time there was a machine.\n\n#include <stdio.h>\n")
    model = smollm2_gguf()
    path = tmp_path / "b.lathe"
    done("convert", model, "-o", path, "--context", 64, "--calibration", text)
    chain = json.loads((path / "chain.json").read_text())
    (shard,) = chain["shards"]
    layers = chain["ranges"]["layers"]
    assert 20000 < layers[20]["attn_in_peak"] < 32768 and layers[11]["ffn_out_bound"] > 16384
    assert shard["residual_factor"] == 32
    # No factor is left out of what the projection adds up to.
    factor = shares(chain)[11, "down"]
    assert layers[11]["ffn_out_sum"] * factor <= 2047
    shutil.rmtree(path)
