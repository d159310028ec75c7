"""The residency gate on real bundles: its counts against coremltools' reading of the packages, and planted faults.

The rules themselves are held to published measurements by tests/placement.
"""

import json
import os
import re
import subprocess

import pytest
from bundle_edit import WEIGHTS, BundleEdit
from command import ROOT, done
from random_models import RandomModel
from tokenizer_oracle import LATHE, MODELS, smollm2_gguf

HELLO = MODELS / "hello-phi3-q8_0.gguf"
LINE = re.compile(r"conv_ane=(\d+)/(\d+) compute_ane=(\d+)/(\d+) \(predicted\)")


def convert(model, path, *options):
    subprocess.run([LATHE, "convert", model, "-o", path, *options], check=True, capture_output=True)
    return BundleEdit(path)


def judge(bundle, model=HELLO):
    """Exit code, and a line for each shard."""
    run = subprocess.run([LATHE, "verify", bundle.path, "--model", model, "--gates", "residency", "--verbose"], capture_output=True,
                         text=True)
    lines = [line for line in run.stdout.splitlines() if re.match(r"residency +shard \d+  ", line)]
    assert len(lines) == len(bundle.chain["shards"]), run.stdout + run.stderr
    return run.returncode, lines


def ops_of(bundle, shard):
    model = bundle.read_program(shard)
    return [op for name in model.mlProgram.functions for op in bundle.operations(model, name)]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return convert(HELLO, tmp_path_factory.mktemp("residency") / "good.lathe", "--layers-per-shard", "2")


@pytest.fixture(scope="module")
def sliced(tmp_path_factory):
    return convert(HELLO, tmp_path_factory.mktemp("residency") / "sliced.lathe", "--layers-per-shard", "2", "--kv", "slice")


@pytest.mark.parametrize("options", [[], ["--kv", "slice"], ["--kv", "rows"], ["--weights", "fp16"], ["--weights", "int8-tensor"],
                                     ["--functions", "decode", "--target", "macos26"], ["--functions", "one"]], ids=" ".join)
def test_what_lathe_emits_is_resident_and_counted_as_the_seed_counts(options, tmp_path):
    bundle = convert(HELLO, tmp_path / "b.lathe", "--layers-per-shard", "2", *options)
    code, lines = judge(bundle)
    assert code == 0, lines
    for shard, line in enumerate(lines):
        conv_ane, conv_total, compute_ane, compute_total = map(int, LINE.search(line).groups())
        ops = [op.type for op in ops_of(bundle, shard)]
        assert conv_ane == conv_total == ops.count("conv")
        assert compute_ane == compute_total == sum(not t.startswith("const") for t in ops)
        assert "index ops" not in line


def test_a_real_model_is_resident(tmp_path):
    bundle = convert(smollm2_gguf(), tmp_path / "smol.lathe", "--range", "off")
    code, lines = judge(bundle, smollm2_gguf())
    assert code == 0 and "conv_ane=242/242" in lines[0]


def edit(good, tmp_path, change):
    bundle = BundleEdit.copy(good.path, tmp_path / "bad.lathe")
    with bundle.program(0) as model:
        change(bundle.operations(model, "decode"))
    bundle.redigest()
    return bundle


def named(ops, name):
    return next(i for i, op in enumerate(ops) if op.outputs and op.outputs[0].name == name)


def never_taken(ops):
    ops[named(ops, "layer_01_silu")].type = "tan"


def update_used_directly(ops):
    ops[named(ops, "layer_00_keys")].inputs["x"].arguments[0].name = "layer_00_kv_update"


@pytest.mark.parametrize("change, op, rule", [(never_taken, "layer_01_silu", "B02"),
                                              (update_used_directly, "layer_00_kv_update", "F06")])
def test_an_op_that_leaves_the_ane_is_named(sliced, tmp_path, change, op, rule):
    code, lines = judge(edit(sliced, tmp_path, change))
    assert code == 1
    assert lines[0].endswith("FAILED") and f"'{op}'" in lines[0] and f"[{rule} " in lines[0], lines[0]
    assert lines[1].endswith("ok")


# chain.json still states the old size: the gate must not believe it. The file is sparse.
@pytest.mark.parametrize("target, code", [("macos27", 1), ("macos26", 0)])
def test_a_package_too_large_runs_nothing_on_the_ane(good, tmp_path, target, code):
    bundle = BundleEdit.copy(good.path, tmp_path / "large.lathe")
    bundle.chain["options"]["target"] = target
    bundle.write_chain()
    os.truncate(bundle.package(0) / WEIGHTS, (1 << 30) + 4096)
    found, lines = judge(bundle)
    assert found == code
    assert ("conv_ane=0/16 compute_ane=0/" in lines[0] and "[D27 " in lines[0]) == (code == 1), lines[0]


# The newest count looks at what a function reaches, and up to macOS 26 at a weight file: one of 1 GiB is right there.
@pytest.mark.parametrize("target, size, code", [("macos27", 1 << 30, 0), ("macos26", 1 << 30, 0), ("macos26", 1 << 31, 0)])
def test_the_newest_count_is_of_functions(good, target, size, code, tmp_path):
    bundle = BundleEdit.copy(good.path, tmp_path / "large.lathe")
    bundle.chain["options"] |= {"target": target, "sizes": "newest"}
    bundle.write_chain()
    os.truncate(bundle.package(0) / WEIGHTS, size + 4096)
    found, lines = judge(bundle)
    assert found == code and "conv_ane=16/16" in lines[0], lines[0]


def test_convert_plans_by_the_newest_count_and_says_what_it_counts(tmp_path):
    out = done("convert", HELLO, "-o", tmp_path / "a.lathe", "--range", "off", "--sizes", "newest").stdout
    options = json.loads((tmp_path / "a.lathe/chain.json").read_text())["options"]
    assert options["sizes"] == "newest" and options["package_limit"] == 1 << 31
    sizes = re.search(r"MiB: weight file ([\d.]+); reached by decode ([\d.]+), head ([\d.]+), prefill ([\d.]+)\n", out)
    file, decode, head, prefill = map(float, sizes.groups())
    assert decode == prefill and abs(decode + head - file) <= 0.15
    done("verify", tmp_path / "a.lathe", "--model", HELLO, "--gates", "structure,residency,graph", "--mutants", "score_scale_off")


def test_doctor_predicts_the_same_for_every_target(good):
    """…as the gate does for the bundle's own. Its rows and its verdict are of the targets that convert takes."""
    text = subprocess.run([LATHE, "doctor", good.path], check=True, capture_output=True, text=True).stdout
    _, lines = judge(good)
    for line in lines:
        assert text.count(LINE.search(line)[0]) == 2
    sums = [sum(int(n) for n in column) for column in zip(*(LINE.search(line).groups()[:4] for line in lines))]
    assert text.splitlines()[-1] == ("verdict     macos27, macos26: fits; Neural Engine predicted for "
                                     f"conv {sums[0]}/{sums[1]}, compute {sums[2]}/{sums[3]}")
    packages = json.loads(subprocess.run([LATHE, "doctor", good.path, "--json"], check=True, capture_output=True,
                                         text=True).stdout)["packages"]
    found = [tuple(p["predicted"]["macos27"][k] for k in ("conv_ane", "conv_total", "compute_ane", "compute_total"))
             for p in packages]
    assert found == [tuple(map(int, LINE.search(line).groups()[:4])) for line in lines]
    assert all(p["predicted"][t]["resident"] for p in packages for t in ("macos27", "macos26", "macos15", "any"))


def test_doctor_judges_each_target_where_they_differ(good, tmp_path):
    bundle = BundleEdit.copy(good.path, tmp_path / "large.lathe")
    os.truncate(bundle.package(0) / WEIGHTS, (1 << 30) + 4096)
    bundle.chain["shards"][0]["bytes"] = (1 << 30) + 4096
    bundle.write_chain()
    text = subprocess.run([LATHE, "doctor", bundle.path], check=True, capture_output=True, text=True).stdout
    last = text.splitlines()[-2:]
    assert last[0].startswith("verdict     macos27: a package is TOO LARGE; Neural Engine predicted for conv 17/33"), text
    assert last[1].startswith("            macos26: fits; Neural Engine predicted for conv 33/33"), text
    assert "runs on the CPU, without a word (0.965 GiB in, 1.04 GiB out)" in text and "[D27 whole program off]" in text, text
    # What its functions reach has not grown, which newer measurements count.
    assert "TOO LARGE counting the whole weight file, fits counting what each function reaches" in text, text


@pytest.mark.parametrize("model", ["hello-phi3", pytest.param("SmolLM2-135M", marks=pytest.mark.full)])
def test_the_document_has_the_counts_of_the_three_forms(model, tmp_path):
    path = HELLO if model == "hello-phi3" else smollm2_gguf()
    rows = [line.split("|")[2:5] for line in (ROOT / "docs/design.md").read_text().splitlines() if line.strip().startswith(f"| {model} |")]
    assert len(rows) == 1
    for form, stated in zip(("overwrite", "slice", "rows"), rows[0], strict=True):
        bundle = convert(path, tmp_path / f"{form}.lathe", "--kv", form, "--range", "off")
        code, lines = judge(bundle, path)
        assert code == 0 and len(lines) == 1 and LINE.search(lines[0])[0] == f"{stated.strip()} (predicted)", (form, lines)


# 64 heads of 49,152 keys by 256 rows are 1.61 GB of scores, cut into products of less than 2^20 scores a head.
@pytest.mark.parametrize("context, rows, rules", [(49152, 256, ["G06", "G07"]), (49152, 128, ["G06"]), (16384, 128, []), (16416, 16, ["G06"])])
def test_convert_warns_of_a_context_that_no_compiler_was_seen_to_take(context, rows, rules, tmp_path):
    model = RandomModel("llama", d_model=64, d_ff=64, n_layers=1, n_heads=64, n_kv_heads=64, head_dim=32, rope_dim=32,
                        context=65536).write(tmp_path / "m.gguf")
    run = done("convert", model, "-o", tmp_path / "m.lathe", "--range", "off", "--context", context, "--prefill-rows", rows)
    warned = [line for line in run.stderr.splitlines() if line.startswith(f"context {context}: ")]
    assert [re.search(r"\[(\w+)\]", line)[1] for line in warned] == rules, run.stderr
    assert all("use a smaller --context" in line for line in warned)
    if "G06" in rules:
        assert f"has {context}; seen on M4 Pro" in warned[0]
    if "G07" in rules:
        assert "here 1.61 GB" in warned[1] and "or fewer --prefill-rows" in warned[1]
