"""--set KEY=VALUE and --ignore-key KEY: a model file that lacks a key, states a wrong one or has one that lathe does not know, on the
user's word, which stands in chain.json, seal, report and page."""

import json

import pytest
from bundle_edit import BundleEdit
from command import HELLO, done, lathe, smollm2_gguf
from gguf_edit import edit

WINDOW, UNKNOWN = "phi3.attention.sliding_window", "prism.hadamard.block"
SET, IGNORE = f"{WINDOW}=262144", ["--ignore-key", UNKNOWN]


def seen(path, *options):
    told = json.loads(done("inspect", path, "--json", *options).stdout)
    return told["contract"], told["sources"], {row["name"]: row["reason"] for row in told["unread"]}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """hello without its window, with a key that nobody knows."""
    return edit(HELLO, tmp_path_factory.mktemp("odd") / "m.gguf", {WINDOW: None, UNKNOWN: 64})


@pytest.fixture(scope="module")
def bundle(odd, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "m.lathe"
    done("convert", odd, "-o", path, "--set", SET, *IGNORE, "--context", "256")
    return path


# ---- the contract


def test_a_value_that_the_file_lacks(odd):
    contract, sources, unread = seen(odd, "--set", SET, *IGNORE)
    assert contract == seen(HELLO)[0]
    assert sources["attn_window"]["kind"] == "set"
    assert sources["attn_window"]["from"] == f"--set {SET} (the file has no such key)"
    assert "--ignore-key" in unread[UNKNOWN]
    assert [f for f, s in sources.items() if s["kind"] == "set"] == ["attn_window"]


def test_a_value_in_place_of_the_files_is_named_with_it():
    contract, sources, _ = seen(HELLO, "--set", "phi3.attention.layer_norm_rms_epsilon=1e-6", "--set", "phi3.context_length=2048")
    assert contract["norm_eps"] == pytest.approx(1e-6, rel=1e-6) and contract["context"] == 2048
    assert sources["context"]["from"] == "--set phi3.context_length=2048 (the file has 4096)"
    assert sources["norm_eps"]["from"].endswith("(the file has 1e-05)")


@pytest.mark.parametrize("value, field, expected", [
    ("phi3.rope.freq_base=500000", "rope_base", 500000), ("phi3.rope.freq_base=5e5", "rope_base", 500000),
    ("tokenizer.ggml.add_bos_token=true", "adds_bos", True), ("tokenizer.ggml.pre=gpt-4o", "pre_tokenizer", "gpt-4o"),
    ("phi3.attention.head_count_kv=[2, 2, 2, 2]", "n_kv_heads", 2), ("phi3.vocab_size=2048", "n_vocab", 2048),
])
def test_values_are_typed_as_the_field_is(value, field, expected):
    assert seen(HELLO, "--set", value)[0][field] == expected


@pytest.mark.parametrize("options, code, says", [
    (["--set", "phi3.attention.sliding_windw=0"], 3, "--set phi3.attention.sliding_windw: lathe does not read this key for architecture phi3"),
    (["--set", f"{WINDOW}=many"], 3, f"key '{WINDOW}': type string, expected a whole number"),
    (["--set", f"{WINDOW}=1.5"], 3, "type f64, expected a whole number"),
    (["--set", f"{WINDOW}=-1"], 3, "expected a whole number"),
    (["--set", WINDOW], 2, f"--set {WINDOW}: expected KEY=VALUE"),
    (["--set", "=3"], 2, "--set: expected the name of a key"),
    (["--set", SET, "--set", f"{WINDOW}=3"], 2, f"--set {WINDOW}: given twice"),
    (["--set", f"{WINDOW}=[1, \"a\"]"], 2, "item 1 of the list has another type"),
    (["--set", "general.alignment=64"], 2, "how the file is laid out"),
    (["--set", "split.count=2"], 2, "how the file is laid out"),
    (["--ignore-key", "phi3.context_length"], 3, "lathe reads that key; to give it another value: --set phi3.context_length=VALUE"),
    (["--ignore-key", "general.name"], 3, "lathe knows already that this key changes nothing (describes the file)"),
    (["--ignore-key", "no.such"], 2, "the file has no such key"),
    (["--ignore-key", WINDOW, "--set", SET], 2, "--set gives it a value"),
])  # fmt: skip
@pytest.mark.parametrize("command", ["inspect", "convert", "verify"])
def test_what_cannot_be_meant_is_refused(command, options, code, says, tmp_path):
    rest = {"convert": ["-o", tmp_path / "m.lathe"], "verify": ["--gates", "contract"], "inspect": []}[command]
    run = lathe(command, HELLO, *options, *rest)
    assert run.returncode == code and says in run.stderr and (command == "inspect" or run.stdout == ""), run
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source, key, hf", [
    (HELLO, WINDOW, "sliding_window"), (smollm2_gguf(), "llama.rope.freq_base", "rope_theta"),
    (HELLO, "phi3.context_length", "max_position_embeddings"), (HELLO, "phi3.attention.layer_norm_rms_epsilon", "rms_norm_eps"),
])  # fmt: skip
def test_a_missing_key_is_refused_with_the_way_to_state_it(source, key, hf, tmp_path):
    """The command of the message, with the value of the file that had the key, reads the same contract."""
    contract, sources, _ = seen(source)
    (field,) = [f for f, s in sources.items() if s["from"] == key]
    path = edit(source, tmp_path / "m.gguf", {key: None})
    run = lathe("inspect", path)
    assert run.returncode == 3 and f"from config.json's '{hf}': --set {key}=VALUE" in run.stderr
    assert seen(path, "--set", f"{key}={contract[field]}")[0] == contract


def test_messages_show_the_way(odd, tmp_path):
    key = lathe("inspect", edit(HELLO, tmp_path / "key.gguf", {UNKNOWN: 64})).stderr
    assert key.rstrip().endswith(f"if you know that it changes nothing: --ignore-key {UNKNOWN}")


# ---- what was set stays with the bundle


def test_it_stands_in_chain_seal_and_report(bundle, odd, tmp_path):
    m = BundleEdit.copy(bundle, tmp_path / "m.lathe").path
    run = done("verify", m, "--model", odd, "--verbose")
    settings = {"set": {WINDOW: "262144"}, "ignored": [UNKNOWN]}
    chain, seal, report = (json.loads((m / f).read_text()) for f in ("chain.json", "seal.json", "verify/report.json"))
    assert chain["schema"] == 11 and chain["settings"] == settings == seal["settings"]
    lines = [f"--set {SET} (the file has no such key): no publisher's file confirms this value",
             f"--ignore-key {UNKNOWN}: no publisher's file confirms that this key changes nothing"]
    for line in lines:
        assert {"gate": "contract", "scope": "-", "text": line} in seal["unproved"] and line in run.stdout
    (field,) = [f for f in report["contract"] if f["field"] == "attn_window"]
    assert field["kind"] == "set"
    page = (m / "verify/report.html").read_text()
    weak = page[page.index("Where it is weak"):]
    assert all(line.split(":")[0] in weak for line in lines)
    chat = done("chat", m, "-p", "Hi", "--max-tokens", "2")
    assert "[proved, except: " in chat.stderr and f"--set {SET}" in chat.stderr
    assert done("eval", m, "--model", odd, "--text", "-", "--context", "16", given="Hello there, world. " * 9).stdout


def test_the_publisher_may_vouch_for_it(bundle, odd, tmp_path):
    m = BundleEdit.copy(bundle, tmp_path / "m.lathe").path
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "phi3", "sliding_window": 262144}))
    run = lathe("verify", m, "--model", odd, "--gates", "contract", "--config", config, "--verbose")
    assert f"--set {SET} (the file has no such key): the model's publisher states the same  ok" in run.stdout
    page = (m / "verify/report.html").read_text()
    assert f"Set by hand: --set {SET}" in page[page.index("Where it is weak"):]


def test_a_bundle_takes_no_others(bundle, odd, tmp_path):
    for command, rest in (("verify", []), ("chat", ["--unsealed", "-p", "x"])):
        for option in (["--set", SET], IGNORE):
            run = lathe(command, bundle, "--model", odd, *option, *rest)
            assert run.returncode == 2 and "keeps those that it was converted with" in run.stderr


def test_the_source_is_another_without_them(bundle, odd, tmp_path):
    """The settings are read from chain.json: without them there the source cannot be read, with others it is another model."""
    m = BundleEdit.copy(bundle, tmp_path / "m.lathe").path
    chain = json.loads((m / "chain.json").read_text())
    for change, says in (({"set": {}, "ignored": [UNKNOWN]}, "is absent"), ({"set": {WINDOW: "0"}, "ignored": [UNKNOWN]}, "expected the bundle's")):
        (m / "chain.json").write_text(json.dumps(chain | {"settings": change}))
        run = lathe("verify", m, "--model", odd, "--gates", "contract")
        assert run.returncode != 0 and says in run.stdout + run.stderr


def test_resume_keeps_nothing_of_other_settings(bundle, odd, tmp_path):
    m = BundleEdit.copy(bundle, tmp_path / "m.lathe").path
    inputs = {}
    for name, options in (("set", ["--set", SET]), ("set otherwise", ["--set", f"{WINDOW}=4096000"])):
        done("convert", odd, "-o", m, "--force", *options, *IGNORE, "--context", "256")
        done("verify", m, "--model", odd, "--gates", "contract")
        inputs[name] = json.loads((m / "verify/report.json").read_text())["inputs"]["contract"]
    assert inputs["set"] != inputs["set otherwise"]


def test_a_bundle_made_with_the_key_has_the_same_programs(bundle, tmp_path):
    done("convert", HELLO, "-o", tmp_path / "m.lathe", "--context", "256")
    mine, its = (json.loads((b / "chain.json").read_text()) for b in (bundle, tmp_path / "m.lathe"))
    assert mine["contract_sha256"] == its["contract_sha256"]
    weights = lambda chain: [f["sha256"] for s in chain["shards"] for f in s["files"] if f["path"].endswith("weight.bin")]
    assert weights(mine) == weights(its)
