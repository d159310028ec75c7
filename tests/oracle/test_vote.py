"""The vote of the weights: no alarm on files that are right, the field's name on files that are wrong, and a plain word
where a likelihood cannot tell."""

import json
import re
import shutil

import numpy as np
import pytest
from command import HELLO, HELLO_F16, NATURAL, done, lathe, smollm2_gguf
from configs import LONG, SHORT
from gguf_edit import edit



def factors(short, long):
    return {"rope_factors_short.weight": short, "rope_factors_long.weight": long}


def resized(list_, n):
    return np.concatenate([list_, np.full(max(0, n - len(list_)), list_[-1])])[:n]


def rope_dim(n):
    return {"phi3.rope.dimension_count": n}, factors(resized(SHORT, n // 2), resized(LONG, n // 2))


def vote(path, *options):
    """Exit code; field -> (line, whether nothing speaks against it: what the weights cannot tell is unproved)."""
    run = lathe("verify", path, "--gates", "vote", "--verbose", *options)
    assert run.returncode in (0, 1), run.stderr
    # The lines of single readings end with what the reading is.
    lines = [line for line in run.stdout.splitlines() if line.startswith("vote ") and not re.search(r" over +\d+ tokens.*\)  \w+$", line)]
    return run.returncode, {line.split()[1]: (line, not line.endswith("  FAILED")) for line in lines}


# The first is what test_a_model_alone_has_no_other_gates reads, too.
@pytest.mark.parametrize("path", [pytest.param(HELLO, marks=pytest.mark.full), HELLO_F16, NATURAL], ids=lambda p: p.stem)
def test_a_true_contract_stands(path):
    code, fields = vote(path)
    assert code == 0
    assert all(passed for _, passed in fields.values())
    assert "tokens are of texts that the model knows" in fields["text"][0]
    for field in ("rope_dim", "n_heads", "n_kv_heads", "architecture", "norm_offset", "rope_style", "logit_scale"):
        assert "not told apart" not in fields[field][0], fields[field][0]


# What the file says, and the field that has to be called suspect. The first text line fails too where the misreading
# leaves the model knowing nothing.
HALVED = {"phi3.attention.head_count": 2, "phi3.attention.head_count_kv": 1}  # and as many dims of each rotate
WRONG = {
    "rope_dim of the whole head": (HELLO_F16, *rope_dim(32), "rope_dim"),
    "rope_dim of half a head": (HELLO_F16, *rope_dim(16), "rope_dim"),
    "attention factor 1": (HELLO_F16, {"phi3.rope.scaling.attn_factor": 1.0}, {}, "attn_factor"),
    "short and long factors exchanged": (HELLO_F16, {}, factors(LONG, SHORT), "rope_factors_short"),
    "factors inverted": (HELLO_F16, {}, factors(1 / SHORT, LONG), "rope_factors_short"),
    "base times 10": (HELLO_F16, {"phi3.rope.freq_base": 1e5}, {}, "rope_base"),
    "base over 10": (HELLO_F16, {"phi3.rope.freq_base": 1e3}, {}, "rope_base"),
    "eps times 1000": (HELLO_F16, {"phi3.attention.layer_norm_rms_epsilon": 1e-2}, {}, "norm_eps"),
    "heads doubled": (HELLO_F16, {"phi3.attention.head_count": 8, "phi3.attention.head_count_kv": 4,
                                  "phi3.rope.dimension_count": 12}, factors(SHORT[:6], LONG[:6]), "n_heads"),
    "scores over sqrt(24)": (HELLO_F16, {"phi3.attention.scale": 24**-0.5}, {}, "attn_scale"),
    "heads halved": (HELLO, HALVED, {}, "n_heads"),
    "natural: heads halved": (NATURAL, HALVED, {}, "n_heads"),
    "natural: rope_dim of the whole head": (NATURAL, *rope_dim(32), "rope_dim"),
    "natural: base of Llama 3": (NATURAL, {"phi3.rope.freq_base": 5e5}, {}, "rope_base"),
}  # fmt: skip


# Of each of these ./check has another of its kind.
ALIKE = {"natural: rope_dim of the whole head", "rope_dim of half a head", "heads halved"}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.full if name in ALIKE else ()) for name in WRONG
])
def test_a_wrong_contract_is_named(name, tmp_path):
    path, keys, tensors, field = WRONG[name]
    code, fields = vote(edit(path, tmp_path / "wrong.gguf", keys, tensors))
    assert code == 1
    line, passed = fields[field]
    assert not passed and "this field is suspect" in line, line


def test_the_field_accused_may_stand_for_another(tmp_path):
    """Nothing in the file says any more what the short factors were: with a window short enough they matter less."""
    code, fields = vote(edit(HELLO, tmp_path / "wrong.gguf", {}, factors(LONG, LONG)))
    line, passed = fields["attn_window"]
    assert code == 1 and not passed and "attn_window_32 predicts better" in line and "or another one whose error this misreading compensates" in line


# A model that was not taught to mind does not: the vote must say so, not guess.
UNSEEN = {
    "natural: attention factor 1": (NATURAL, {"phi3.rope.scaling.attn_factor": 1.0}, {}, "attn_factor"),
    "natural: factors dropped": (NATURAL, {}, factors(np.ones(12), LONG), "rope_factors_short"),
    "eps over 10": (HELLO_F16, {"phi3.attention.layer_norm_rms_epsilon": 1e-6}, {}, "norm_eps"),
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.full if name == "natural: factors dropped" else ()) for name in UNSEEN
])
def test_what_it_cannot_see_it_says(name, tmp_path):
    path, keys, tensors, field = UNSEEN[name]
    code, fields = vote(edit(path, tmp_path / "wrong.gguf", keys, tensors))
    assert code == 0
    line = fields[field][0]
    assert "not told apart" in line and "publisher's files can (--config)" in line and line.endswith("  unproved")


def test_a_dropped_attention_factor_is_derived_again(tmp_path):
    path = edit(HELLO_F16, tmp_path / "dropped.gguf", {"phi3.rope.scaling.attn_factor": None})
    contract = [json.loads(done("inspect", p, "--json").stdout)["contract_sha256"] for p in (path, HELLO_F16)]
    assert contract[0] == contract[1]


# The true short factors as the long ones of a shorter original context: only positions beyond it use them.
@pytest.mark.parametrize("long, passes", [(SHORT, True), (SHORT / 2, False)], ids=["true", "wrong"])
def test_long_factors_show_beyond_the_original_context(long, passes, tmp_path):
    path = edit(HELLO_F16, tmp_path / "long.gguf", {"phi3.rope.scaling.original_context_length": 64},
                factors(SHORT, long))  # fmt: skip
    # A model that knows text there is asked without being told to.
    for options in ([], ["--vote-long"]):
        run = lathe("verify", path, "--gates", "vote", "--verbose", *options)
        assert run.returncode == (0 if passes else 1), run.stdout
        assert "beyond the original context" in run.stdout
    if not passes:
        line = next(line for line in run.stdout.splitlines() if line.split()[1] == "rope_factors_long" and "predicts better" in line)
        assert "rope_factors_long_are_short predicts better" in line and "this field is suspect" in line


@pytest.mark.parametrize("path, original", [
    pytest.param(HELLO, 1024, id="hello", marks=pytest.mark.full),
    pytest.param(NATURAL, 1024, id="natural", marks=pytest.mark.full),
    pytest.param(NATURAL, 896, id="natural from 896"),
])
def test_no_alarm_beyond_the_original_context(path, original, tmp_path):
    """Neither was taught there. From position 896 on hello-natural does better with ten times the base, by five standard
    errors, and still not well: that accuses nothing."""
    path = edit(path, tmp_path / "m.gguf", {"phi3.rope.scaling.original_context_length": original})
    run = done("verify", path, "--gates", "vote", "--vote-long", "--verbose")
    assert "beyond the original context" in run.stdout and "FAILED" not in run.stdout


def test_a_long_vote_without_long_positions_says_so(tmp_path):
    path = edit(HELLO_F16, tmp_path / "short.gguf", {"phi3.rope.scaling.original_context_length": 4096})
    run = lathe("verify", path, "--gates", "vote", "--vote-long", "--verbose")
    assert "the context of 2048 does not go beyond the original one, 4096" in run.stdout


def test_a_text_too_short_to_compare_readings_by_does_not_pass(tmp_path):
    """Known, two tokens long: no reading gets a verdict, so nothing has been asked."""
    text = tmp_path / "short.txt"
    text.write_text("Hello")
    code, fields = vote(HELLO, "--vote-text", text)
    assert code == 1 and "only 2 of 2 tokens are of texts that the model knows under the contract as stated, expected 64" in fields["text"][0]
    assert {field for field, (_, passed) in fields.items() if not passed} == {"text"}


def test_text_of_the_users_own(tmp_path):
    text = tmp_path / "own.txt"
    text.write_text("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. " * 20)
    run = lathe("verify", HELLO_F16, "--gates", "vote", "--vote-text", text)
    assert run.returncode == 1 and "under the contract as stated the model knows no text" in run.stdout  # hello was taught no German
    run = lathe("verify", HELLO_F16, "--gates", "vote", "--vote-text", tmp_path / "none.txt")
    assert run.returncode == 4 and "none.txt" in run.stderr
    text.write_text("")
    run = lathe("verify", HELLO_F16, "--gates", "vote", "--vote-text", text)
    assert run.returncode == 3 and "no text to read" in run.stderr


def test_a_model_alone_has_no_other_gates():
    run = lathe("verify", HELLO, "--gates", "graph")
    assert run.returncode == 2 and "is a model file; convert it first: lathe convert" in run.stderr
    run = done("verify", HELLO)
    assert run.stdout.startswith("contract ") and "\nvote " in run.stdout and "structure" not in run.stdout


def test_the_table_is_in_the_report(hello_sealed, tmp_path):
    report = json.loads((hello_sealed / "verify" / "report.json").read_text())
    rows = {row["reading"]: row for row in report["vote"]["rows"]}
    assert len(rows) >= 35 and rows["rope_dim_full"]["field"] == "rope_dim"
    assert rows["rope_dim_full"]["delta"] > 3 and rows["rope_dim_full"]["verdict"] == "worse"
    assert {text["kind"] for text in report["vote"]["texts"]} == {"chat", "code", "numbers", "prose", "other scripts"}
    verbose = done("verify", HELLO, "--gates", "vote", "--verbose").stdout
    assert all(f"vote          {name} " in verbose for name in rows)


def test_a_bundle_of_a_misread_model_is_not_sealed(tmp_path):
    """Contract, compiler, host and reference agree on a wrong attention factor: every gate that compares them passes."""
    path = edit(HELLO_F16, tmp_path / "wrong.gguf", {"phi3.rope.scaling.attn_factor": 1.0})
    bundle = tmp_path / "wrong.lathe"
    done("convert", path, "-o", bundle, "--context", "256")
    run = lathe("verify", bundle, "--model", path)
    assert run.returncode == 1
    failed = [line for line in run.stdout.splitlines() if line.endswith("FAILED")]
    assert failed and all(line.startswith("vote ") for line in failed), "\n".join(failed)
    assert not (bundle / "seal.json").exists()
    shutil.rmtree(bundle)


@pytest.mark.full
def test_smollm2():
    """A real model of another architecture, as published."""
    code, fields = vote(smollm2_gguf())
    assert code == 0 and all(passed for _, passed in fields.values())
    assert "chat, code, numbers, prose, other scripts" in fields["text"][0]
    for field in ("rope_dim", "n_heads", "n_kv_heads", "attn_scale", "activation", "rope_scaling", "logit_scale"):
        assert "not told apart" not in fields[field][0], fields[field][0]


@pytest.mark.full
def test_smollm2_misread(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("To make bread you need flour, water, salt and yeast. Mix the flour with the water and the yeast, "
                    "knead the dough for ten minutes and let it rest for an hour. Then shape it, let it rest again and "
                    "bake it in a hot oven until the crust is brown.")  # fmt: skip
    # Heads of half the width, consistently: keys and shapes agree, so only the weights can object.
    wrong = {"llama.attention.head_count": 18, "llama.attention.head_count_kv": 6, "llama.rope.dimension_count": 32}
    path = edit(smollm2_gguf(), tmp_path / "wrong.gguf", wrong)
    code, fields = vote(path, "--vote-text", text)
    assert code == 1 and "this field is suspect" in fields["n_heads"][0]
