"""Published contracts (contracts/): a file that names a well-known model is compared with it, with no option given."""

import json
import re
import pathlib
import subprocess

import pytest
from gguf_edit import edit
from random_models import RandomModel
from tokenizer_oracle import LATHE, MODELS, smollm2_gguf

CONTRACTS = pathlib.Path(__file__).resolve().parent.parent.parent / "contracts"
SMOLLM2 = json.loads((CONTRACTS / "smollm2-135m.json").read_text())


def lathe(*arguments):
    run = subprocess.run([LATHE, *arguments], capture_output=True, timeout=120)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def inspect(model, *options, code=0):
    found, said, why = lathe("inspect", model, "--json", *options)
    assert found == code, why
    return json.loads(said), why


def contradictions(told, member="published"):
    rows = told[member]["agreement"] if member == "published" else told[member]
    return [row["field"] for row in rows if row["verdict"] == "contradict"]


def test_every_file_is_compiled_in():
    """Each turns up under its own words on a small file; what its shapes contradict is not the point here."""
    listed = (CONTRACTS.parent / "src/contract/meson.build").read_text()
    names = re.search(r"foreach name : \[(.*?)\]", listed, re.S)[1]
    assert sorted(re.findall(r"'([^']+)'", names)) == sorted(path.stem for path in CONTRACTS.glob("*.json"))


@pytest.mark.parametrize("path", sorted(CONTRACTS.glob("*.json")), ids=lambda p: p.stem)
def test_each_is_matched_by_each_of_its_words(path, tmp_path):
    contract = json.loads(path.read_text())
    for words in contract["match"]:
        spelt = {f"general.{key}": value.replace("-", " ").title() for key, value in words.items()}
        told, _ = inspect(edit(MODELS / "hello-phi3-q8_0.gguf", tmp_path / "m.gguf", spelt), code=1)
        assert told["published"]["name"] == contract["name"]


def test_smollm2_agrees_with_what_is_published():
    told, _ = inspect(smollm2_gguf())
    assert told["published"]["name"] == "smollm2-135m" and contradictions(told) == []
    assert sum(row["verdict"] == "agree" for row in told["published"]["agreement"]) == 23
    code, said, _ = lathe("verify", smollm2_gguf(), "--gates", "contract", "--verbose")
    assert code == 0 and "smollm2-135m" in said and "23 fields agree, 0 contradict" in said


def test_hello_is_no_well_known_model():
    told, _ = inspect(MODELS / "hello-phi3-q8_0.gguf")
    assert "published" not in told


@pytest.mark.parametrize(
    "field, keys",
    [
        ("rope_base", {"llama.rope.freq_base": 10000.0}),  # the default of readers, where the key was lost
        ("norm_eps", {"llama.attention.layer_norm_rms_epsilon": 1e-6}),
        ("context", {"llama.context_length": 2048}),
        ("rope_scaling", {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}),
    ],
)
def test_altered_smollm2_is_contradicted_without_any_option(field, keys, tmp_path):
    model = edit(smollm2_gguf(), tmp_path / "m.gguf", keys)
    told, why = inspect(model, code=1)
    assert field in contradictions(told) and "published smollm2-135m" in why
    code, said, why = lathe("convert", model, "-o", tmp_path / "out.lathe")
    assert code == 1 and said == "" and "published smollm2-135m" in why and not (tmp_path / "out.lathe").exists()
    code, said, _ = lathe("verify", model, "--gates", "contract")
    assert code == 1 and any(line.split()[1] == field and line.endswith("FAILED") for line in said.splitlines())


def test_another_name_is_another_model(tmp_path):
    """Every key of an alternative must match: a size alone, or a name alone, names nothing."""
    for change in ({"general.basename": "smollm3"}, {"general.size_label": "136M"}, {"general.size_label": None}):
        model = edit(smollm2_gguf(), tmp_path / "m.gguf", change | {"llama.rope.freq_base": 10000.0})
        assert "published" not in inspect(model)[0]


def test_a_fine_tune_is_told_by_its_own_config(tmp_path):
    """Where config.json and the GGUF agree, the base's published contract is another model's: shown, and no failure."""
    model = edit(smollm2_gguf(), tmp_path / "m.gguf", {"llama.rope.freq_base": 273768.0})
    assert contradictions(inspect(model, code=1)[0]) == ["rope_base"]
    config = tmp_path / "config.json"
    config.write_text(json.dumps(SMOLLM2["config"] | {"rope_theta": 273768.0}))
    told, _ = inspect(model, "--config", config)
    (row,) = [row for row in told["published"]["agreement"] if row["field"] == "rope_base"]
    assert row["verdict"] == "not comparable" and "agree" in row["note"]
    config.write_text(json.dumps(SMOLLM2["config"]))  # the base's own excuses nothing
    told, _ = inspect(model, "--config", config, code=1)
    assert contradictions(told) == ["rope_base"] == contradictions(told, "agreement")


def test_a_file_that_does_not_say_excuses_nothing(tmp_path):
    model = edit(smollm2_gguf(), tmp_path / "m.gguf", {"llama.rope.freq_base": 273768.0})
    tokenizer = tmp_path / "tokenizer_config.json"
    tokenizer.write_text(json.dumps({"add_bos_token": False}))
    assert contradictions(inspect(model, "--tokenizer-config", tokenizer, code=1)[0]) == ["rope_base"]


def test_a_window_longer_than_the_bundle_hides_nothing(tmp_path):
    """GGUF files of Mistral say nothing of its window: 4096 positions are the same with and without it, 8192 are not."""
    model = RandomModel("llama", context=8192).write(tmp_path / "m.gguf")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "mistral", "sliding_window": 4096, "max_position_embeddings": 8192,
                                  "rope_theta": 500.0, "tie_word_embeddings": True, "num_key_value_heads": 2,
                                  "rms_norm_eps": 1e-3}))  # fmt: skip
    arguments = ("convert", model, "--range", "off", "--config", config, "-o", tmp_path / "out.lathe")
    code, _, why = lathe(*arguments, "--context", "8192")
    assert code == 1 and "attn_window" in why
    code, _, why = lathe(*arguments, "--context", "4096")
    assert code == 0, why
    code, said, _ = lathe("verify", tmp_path / "out.lathe", "--model", model, "--gates", "contract", "--config", config, "--verbose")
    assert code == 0 and "0 contradict" in said
