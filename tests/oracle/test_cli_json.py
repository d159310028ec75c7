"""--json: one object on stdout for programs, that says what the same command says to people; messages stay on stderr."""

import json
import math
import re
import struct

import pytest
from bundle_edit import WEIGHTS, BundleEdit
from command import HELLO, ROOT, done, lathe
from jsonschema import Draft202012Validator


SCHEMA = json.loads((ROOT / "docs/json.schema.json").read_text())


def read(run):
    """The object on stdout, as docs/json.schema.json describes it; nothing else may stand there."""
    value = json.loads(run.stdout)
    assert isinstance(value, dict)
    return fits("error" if set(value) == {"error", "code"} else run.args[1], value)


def fits(command, value):
    Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{command}"}).validate(value)
    return value


def test_convert(tmp_path):
    args = ["-o", tmp_path / "m.lathe", "--layers-per-shard", "2", "--context", "128"]
    run = done("convert", HELLO, *args, "--json")
    said, chain = read(run), BundleEdit(tmp_path / "m.lathe").chain
    assert re.fullmatch(r"converted in .*\n", run.stderr)
    assert said["bundle"] == str(tmp_path / "m.lathe") and said["context"] == 128 and said["weights"] == "int8"
    assert said["contract_sha256"] == chain["contract_sha256"] and said["source_sha256"] == chain["source"]["sha256"]
    assert said["ranges_measured"] is True and said["target"] == "macos27"
    for package, shard in zip(said["packages"], chain["shards"], strict=True):
        assert package["path"] == shard["package"] and package["bytes"] == shard["bytes"]
        assert package["layers"] == shard["layers"] and package["logits"] == shard["logits"]
    files = [p for p in (tmp_path / "m.lathe").rglob("*") if p.is_file() and p.name not in ("chain.json", "source.json")]
    assert said["bytes"] == sum(p.stat().st_size for p in files)


@pytest.mark.parametrize("kv, functions", [("overwrite", "decode,prefill"), ("overwrite", "decode"), ("slice", "decode,prefill"),
                                            ("rows", "decode,prefill")])
def test_convert_says_what_a_token_and_each_function_cost(kv, functions, tmp_path):
    """From what stands on disk: states as the chain declares them, weights as a function's program names them."""
    said = read(done("convert", HELLO, "-o", tmp_path / "m.lathe", "--kv", kv, "--functions", functions, "--context", "128",
                     "--layers-per-shard", "2", "--json"))
    bundle = BundleEdit(tmp_path / "m.lathe")
    caches = [math.prod(p["shape"]) * 2 for s in bundle.chain["shards"]
              for p in s["functions"][0]["states"] + s["functions"][0]["inputs"] if re.fullmatch(r"kv|[kv]_\d\d", p["name"])]
    slots = bundle.chain["options"]["state_rows"]
    assert said["kv"] == kv and said["kv_bytes"] == sum(caches)
    assert said["kv_bytes_a_token"] == (2 * sum(caches) if kv == "overwrite" else sum(caches) // slots)
    wired = {role: 0 for role in ("decode", "prefill", "head")}
    for i, shard in enumerate(bundle.chain["shards"]):
        blob = (bundle.package(i) / WEIGHTS).read_bytes()
        model = bundle.read_program(i)
        for f in shard["functions"]:
            places = set()
            for op in bundle.operations(model, f["name"]):
                values = [a.value for v in op.inputs.values() for a in v.arguments] + list(op.attributes.values())
                places |= {v.blobFileValue.offset for v in values if v.WhichOneof("value") == "blobFileValue"}
            wired[f["role"]] += sum(struct.unpack_from("<Q", blob, at + 8)[0] for at in places)
    assert said["weight_bytes_a_token"] == pytest.approx(wired["decode"] + wired["head"], rel=0.01)
    assert said["wired_bytes"] == pytest.approx(sum(wired.values()), rel=0.01)


@pytest.mark.parametrize("args", [
    ["convert", "no.gguf", "-o", "m.lathe"], ["convert", HELLO], ["convert", HELLO, "--nothing"], ["inspect", "no.gguf"], ["verify", "no.lathe"],
    ["eval", HELLO, "--text", "no.txt"], ["doctor", "no.lathe"], ["journal", "no.lathe"], ["tokenize", "no.gguf", "x"],
])  # fmt: skip
def test_an_error_is_an_object_too(args, tmp_path):
    run = lathe(*args, "--json", cwd=tmp_path)
    assert run.returncode > 1
    error = read(run)
    assert error["code"] == run.returncode and set(error) == {"error", "code"}
    assert run.stderr == f"lathe {args[0]}: {error['error']}\n"
    assert lathe(*args, cwd=tmp_path).stdout == ""


def test_verify_of_a_good_bundle(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    args = ["verify", bundle.path, "--model", HELLO, "--resume"]
    plain = done(*args, "--verbose").stdout.splitlines()
    run = done(*args, "--json")
    said = read(run)
    assert said["passed"] is True and said["sealed"] is True and (bundle.path / "seal.json").exists()
    words = {"passed": "ok", "note": "note", "unproved": "unproved"}
    assert [f"{line['gate']:13} {line['scope']:22} {line['text']}  {words[line['verdict']]}" for line in said["lines"]] == \
        plain[:-3]
    assert said["report"] == json.loads((bundle.path / "verify/report.json").read_text())
    assert re.fullmatch(r"ran 10 gates in .*: all passed; peak memory \d+ MiB resident\n", run.stderr)


def test_verify_of_a_bad_bundle_exits_1_and_says_which_line_failed(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    bundle.host_tensor("token_embd.weight")[5] ^= 1
    bundle.redigest()
    run = lathe("verify", bundle.path, "--model", HELLO, "--gates", "contract", "--json")
    said = read(run)
    assert run.returncode == 1 and said["passed"] is said["sealed"] is said["report"]["passed"] is False
    assert [line["scope"] for line in said["lines"] if not line["passed"]] == ["host.gguf"]


def test_some_gates_do_not_seal(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    ask = ("verify", bundle.path, "--model", HELLO, "--gates", "structure", "--json")
    assert read(done(*ask))["sealed"] is True  # the seal it had holds
    (bundle.path / "seal.json").unlink()
    said = read(done(*ask))
    assert said["passed"] is True and said["sealed"] is False and not (bundle.path / "seal.json").exists()


def test_verify_of_a_model_alone():
    said = read(done("verify", HELLO, "--gates", "contract", "--json"))
    assert said["passed"] is True and said["sealed"] is False and "report" not in said
    assert {line["gate"] for line in said["lines"]} == {"contract"}


def test_a_matrix_is_read_from_its_file(hello_sealed):
    run = lathe("verify", hello_sealed, "--mutants", "all", "--json")
    assert run.returncode == 2 and read(run)["code"] == 2 and "verify/mutants.json" in run.stderr


@pytest.mark.parametrize("text", ["hello wörld <|end|>", "", "日本\n"])
def test_tokenize(text):
    ids = [int(line) for line in done("tokenize", HELLO, text).stdout.split()]
    assert read(done("tokenize", HELLO, text, "--json")) == {"ids": ids}
    pieces = read(done("tokenize", HELLO, text, "--json", "--pieces"))["pieces"]
    assert [p["id"] for p in pieces] == ids
    joined = b"".join(p["text"].encode() if "text" in p else bytes.fromhex(p["hex"]) for p in pieces)
    assert joined == text.encode()


@pytest.mark.parametrize("kv, rows", [("overwrite", 128), ("slice", 192), ("rows", 192)])
def test_what_rings_save(kv, rows, tmp_path):
    """gemma2 of 3 layers, the first and last with a window of 33: 33 and the 64 rows of a call come to 128 slots."""
    model, out = ROOT / "tests/oracle/family/gemma2.gguf", tmp_path / "m.lathe"
    options = ("--context", "256", "--range", "off", "--kv", kv)
    whole = read(done("convert", model, "-o", out, *options, "--windows", "whole", "--json"))
    text = done("convert", model, "-o", out, "--force", *options).stdout
    said = read(done("convert", model, "-o", out, "--force", *options, "--json"))
    slot = 2 * 2 * 2 * 16  # fp16, keys and values of 2 heads of 16
    chain = BundleEdit(out).chain
    assert chain["options"]["ring_slots"] == 128 and chain["options"]["ring_rows"] == rows
    assert said["kv_bytes"] == slot * (256 + 2 * rows) and said["kv_bytes_saved"] == slot * 2 * (256 - rows)
    assert whole["kv_bytes"] == said["kv_bytes"] + said["kv_bytes_saved"] and whole["kv_bytes_saved"] == 0
    if kv != "rows":
        states = chain["shards"][0]["functions"][0]["states"]
        assert said["kv_bytes"] == sum(math.prod(p["shape"]) * 2 for p in states)
        assert [p["name"] for p in states] == (["kv", "kv_ring"] if kv == "slice" else [f"{x}_0{i}" for i in range(3) for x in "kv"])
    line = "2 of 3 layers keep 128 positions, their window and one call, not the context of 256"
    doctor = read(done("doctor", out, "--json"))
    assert line in text and line in done("doctor", out).stdout
    assert doctor["kv_bytes"] == said["kv_bytes"] and doctor["kv_bytes_saved"] == said["kv_bytes_saved"]


def test_doctor(hello_sealed):
    machine = read(done("doctor", "--json"))
    text = done("doctor").stdout
    assert machine["threads"] >= 1 and machine["memory_bytes"] > 1 << 28 and machine["core_ml"] is False
    assert machine["kernels"] in machine["kernels_usable"] and f"kernels     {machine['kernels']} " in text
    assert machine["system"] in text
    limits = {t["name"]: t["package_limit"] for t in machine["targets"]}
    assert limits == {"macos27": 1 << 30, "macos26": 2 << 30}
    chain = BundleEdit(hello_sealed).chain
    packages = read(done("doctor", hello_sealed, "--json"))["packages"]
    for package, shard in zip(packages, chain["shards"], strict=True):
        assert package["path"] == shard["package"] and package["bytes"] == shard["bytes"]


def test_nothing_is_coloured_in_a_file(hello_sealed, tmp_path):
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")
    run = done("verify", bundle.path, "--model", HELLO, "--gates", "structure")
    assert "\x1b" not in run.stdout + run.stderr and "\r" not in run.stdout + run.stderr


def test_eval_and_journal_are_as_documented(hello_sealed, tmp_path):
    text = tmp_path / "text"
    text.write_text("Hello there, world. " * 20)
    for args in (["eval", HELLO], ["eval", hello_sealed, "--model", HELLO]):
        assert ("kl" in read(done(*args, "--text", text, "--context", "16", "--json"))) == (len(args) > 2)
    runs = fits("journal", json.loads(done("journal", hello_sealed, "--json").stdout))
    assert runs[0]["run"] == 1 and runs[0]["figures"]
