"""The kill matrix: a compiler and a host that are wrong on purpose, judged by the ordinary gates."""

import json

import pytest
from command import HELLO, ROOT, done, lathe, smollm2_gguf, table
from conftest import IS_FULL
from random_models import RandomModel

GATES = ["contract", "structure", "graph", "layer golden", "positions", "head", "text"]
# What hello-phi3 gives no second reading of, by the fields that it does not use or states in its only form.
NOT_HELLO = {
    "activation_silu", "attn_factor_derived", "attn_factor_yarn", "attn_scale_d_model", "attn_scale_head_dim",
    "attn_softcap_0", "attn_window_4096", "attn_window_doubled", "attn_window_off", "window_ignored", "window_one_longer",
    "window_one_shorter", "embedding_scale_1", "final_softcap_0", "head_tied", "heads_doubled_alone",
    "kv_heads_tiled", "logit_scale_1", "logit_scale_inverse", "norm_offset_0", "original_context_full",
    "residual_scale_1", "residual_scale_inverse", "rope_base_10000", "rope_dim_three_quarters", "rope_factor_doubled",
    "rope_factor_halved", "rope_linear_2", "rope_linear_4", "rope_linear_8", "rope_llama3", "rope_scaling_none",
    "yarn_beta_fast_doubled", "yarn_beta_slow_doubled", "yarn_ext_factor_0", "yarn_ext_factor_1",
    "attn_window_one_more", "kinds_exchanged", "norm_rms", "post_norms_dropped", "qk_norm_after_rope", "qk_norm_before_rope",
    "qk_norm_none", "qkv_bias_dropped", "rope_base_one_for_all", "rope_everywhere", "rope_nowhere", "windows_everywhere",
    "xielu_alphas_stored", "xielu_alphas_exchanged", "xielu_layers_reversed", "xielu_beta_not_added", "xielu_beta_0",
    "attn_scale_beside_head_dim", "ffn_bias_dropped", "head_bias_dropped", "mean_not_subtracted", "norm_bias_dropped",
    "out_bias_dropped", "post_norm_left_out", "post_norm_weight_dropped", "post_norms_first", "q_norm_weight_dropped",
    "qk_norm_per_head", "rope_scaling_everywhere",
    "ring_masked_by_slot", "ring_not_read_again", "ring_slot_late", "ring_too_short",
    "branches_in_parallel",  # such a bundle lacks a landmark that chain.json needs: it is refused when it is opened
}  # fmt: skip


def convert(path, model=HELLO, *options):
    done("convert", model, "-o", path, "--layers-per-shard", "2", "--context", "256", *options)
    return path


def matrix(bundle):
    report = json.loads((bundle / "verify" / "mutants.json").read_text())
    assert report["gates"] == GATES
    return {row["name"]: row for row in report["mutants"]}, {row["name"] for row in report["not_applicable"]}


ALL = {name: kind for name, kind, *_ in table("mutants")}
# Each with a gate of its own.
NAMED = {"scale_of_one_channel", "one_weight_negated", "embedding_of_the_next_token", "logit_scale_off",
         "logit_of_one_token_lowered", "embedding_of_one_token_zeroed", "embedding_scale_off"}  # fmt: skip
# ./check --full asks all, ./check those and each tenth of the others, of every kind.
ASKED = set(ALL) if IS_FULL else NAMED | set(list(ALL)[::10])


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    """The mutants of hello-phi3, once."""
    bundle = convert(tmp_path_factory.mktemp("mutants") / "hello.lathe")
    run = done("verify", bundle, "--model", HELLO, "--mutants", "all" if IS_FULL else ",".join(sorted(ASKED)), timeout=900)
    return bundle, run.stdout, *matrix(bundle)


def killers(row):
    return {gate for gate, cell in row["gates"].items() if cell == "failed"}


def test_every_mutant_of_hello_is_killed(hello):
    _, out, rows, left_out = hello
    assert {ALL[name] for name in rows} == set(ALL.values()) and all(row["killed"] for row in rows.values())
    assert set(rows) == ASKED - NOT_HELLO and left_out == NOT_HELLO & ASKED
    assert f"{len(rows)} mutants, {len(rows)} killed, 0 survived; {len(left_out)} do not apply" in out
    assert "SURVIVED" not in out and all(name in out for name in rows)


# Errors of prefill, of a chunk and of its padding; and a position that is late in every row turns all angles alike.
WITHOUT_PREFILL = {
    "heads_not_transposed", "last_row_of_a_padded_chunk", "later_padding_counted", "padding_counted",
    "position_early_behind_the_first_chunk", "position_late_in_decode", "position_late_in_prefill", "q_not_transposed",
    "rope_backwards_in_prefill", "rows_not_stored_in_prefill"}  # fmt: skip


@pytest.mark.full
def test_every_mutant_of_a_bundle_without_prefill_is_killed(tmp_path):
    bundle = convert(tmp_path / "hello.lathe", HELLO, "--functions", "decode")
    done("verify", bundle, "--model", HELLO, "--mutants", "all", timeout=900)
    rows, left_out = matrix(bundle)
    assert left_out == NOT_HELLO | WITHOUT_PREFILL and set(rows) == set(ALL) - left_out
    assert not [name for name, row in rows.items() if not row["killed"]]


def test_the_documents_state_how_many_there_are():
    count = len(set(ALL) - NOT_HELLO)
    assert NOT_HELLO <= set(ALL) and count >= 100
    assert f"{count} mutants, {count} killed, 0 survived; {len(NOT_HELLO)} do not apply" in (ROOT / "docs/proof.md").read_text()
    assert f"of {count} conversions of the bundled model" in (ROOT / "README.md").read_text()


def test_each_kind_is_noticed_where_it_shows(hello):
    rows = hello[2]
    for name, row in rows.items():
        # chain.json states the truth and digests are right: the cheap gates can see nothing but the host's file.
        assert killers(row) & {"contract", "structure"} == ({"contract"} if row["kind"] == "keys" else set()), name
        if row["kind"] == "graph" and not name.startswith("output_norm"):
            assert "graph" in killers(row), name
        if row["kind"] in ("rows", "bytes"):
            assert killers(row) & {"layer golden", "head"}, name
        assert row["gates"]["text"] in ("failed", "not run"), name
    assert {name for name, row in rows.items() if killers(row) == {"text"}} == ASKED & {
        "stale_slot_across_turns", "padding_counted", "last_row_of_a_padded_chunk", "later_padding_counted",
        "no_recompute_at_crossing"}  # fmt: skip
    assert killers(rows["scale_of_one_channel"]) == killers(rows["one_weight_negated"]) == {"layer golden"}
    assert killers(rows["embedding_of_the_next_token"]) == {"positions", "head"}
    # Too little to change an answer, and seen all the same: by the layer's own figures, or by the token's.
    small = {name for name in rows if name.endswith("_off") and rows[name]["kind"] in ("graph", "host")}
    assert len(small) == 11 or not IS_FULL
    # Those of the host's rotary tables are seen at every position, besides, and some in the rows of single tokens.
    assert all({"graph"} <= killers(rows[name]) <= {"graph", "head"} | ({"positions"} if rows[name]["kind"] == "host" else set())
               for name in small - {"embedding_scale_off", "logit_scale_off"})  # fmt: skip
    assert killers(rows["logit_scale_off"]) == {"graph", "head"}
    assert killers(rows["logit_of_one_token_lowered"]) == {"graph"}
    assert killers(rows["embedding_of_one_token_zeroed"]) == killers(rows["embedding_scale_off"]) == {"head"}


def test_nothing_is_left_behind(hello):
    bundle = hello[0]
    assert sorted(p.name for p in bundle.parent.iterdir()) == [bundle.name]
    done("verify", bundle, "--model", HELLO, "--gates", "contract,structure")


@pytest.mark.parametrize("options", [("--kv", "slice"), *(pytest.param(o, marks=pytest.mark.full) for o in (
    ("--kv", "rows"), ("--weights", "fp16"), ("--weights", "int8-tensor")))])  # fmt: skip
def test_other_forms(options, tmp_path):
    names = ("rope_dim_full,attn_factor_1,kv_heads_tiled_in_graph,one_weight_negated,scale_of_one_channel,slot_late,"
             "head_rows_shifted,norm_plus_1,stop_id_unreachable,v_not_cached,keys_read_for_values,"
             "values_of_the_layer_before,rows_put_over_the_layer_before,rows_not_stored,rows_not_stored_in_prefill,"
             "keys_read_too_early")  # fmt: skip
    bundle = convert(tmp_path / "hello.lathe", HELLO, *options)
    done("verify", bundle, "--model", HELLO, "--mutants", names)
    rows, left_out = matrix(bundle)
    assert set(rows) | left_out == set(names.split(","))
    assert left_out == ({"scale_of_one_channel"} if "int8-tensor" in options else set())  # one scale serves them all


IDLE = {
    # a factor of 1, one set of factors, each query head its own kv head
    "plain": (dict(arch="llama", n_kv_heads=4), (), {"attn_factor_on_cos_only", "factor_set_of_the_other_length",
                                                     "kv_heads_tiled_in_graph"}),
    "one kv head": (dict(arch="llama", n_kv_heads=1), (), {"attn_factor_on_cos_only", "factor_set_of_the_other_length",
                                                           "kv_heads_tiled_in_graph"}),
    # all rows by decode: every angle is off by as much, and there is no chunk
    "no prefill": (dict(arch="llama"), ("--functions", "decode"), {
        "attn_factor_on_cos_only", "factor_set_of_the_other_length", "position_late_in_decode",
        "position_late_in_prefill", "position_early_behind_the_first_chunk", "padding_counted",
        "last_row_of_a_padded_chunk", "rope_backwards_in_prefill", "rows_not_stored_in_prefill",
        "q_not_transposed", "heads_not_transposed"}),
    # each row of a call has its own angle; a chunk is two, three … tokens of the function that single ones go through
    "one function": (dict(arch="llama"), ("--functions", "one"), {"attn_factor_on_cos_only", "factor_set_of_the_other_length"}),
}  # fmt: skip


@pytest.mark.parametrize("case", IDLE)
def test_what_changes_nothing_in_a_model_does_not_survive_in_it(case, tmp_path):
    shape, options, idle = IDLE[case]
    model = RandomModel(**shape).write(tmp_path / "model.gguf")
    bundle = convert(tmp_path / "model.lathe", model, "--range", "off", *options)
    names = sorted(set().union(*(names for _, _, names in IDLE.values())))
    run = lathe("verify", bundle, "--model", model, "--mutants", ",".join(names), "--gates",
                "graph,layer-golden,positions")  # fmt: skip
    rows, left_out = matrix(bundle)
    assert left_out == idle
    # What only a conversation shows is the text gate's, which was not asked.
    assert {name for name, row in rows.items() if not row["killed"]} <= {"padding_counted", "last_row_of_a_padded_chunk"}
    assert run.returncode == (0 if case == "no prefill" else 1), run.stderr


@pytest.mark.full
@pytest.mark.parametrize("kv", ["overwrite", "slice", "rows"])
def test_one_function_is_judged_as_two_are(kv, tmp_path):
    names = ("rope_backwards_in_prefill,mask_left_out_in_decode,rows_not_stored,rows_not_stored_in_prefill,q_not_transposed,"
             "heads_not_transposed,position_late_in_decode,position_late_in_prefill,slot_late,slot_early,one_head_off,"
             "norm_eps_left_out,mask_hides_the_row_itself")
    bundle = convert(tmp_path / "hello.lathe", HELLO, "--functions", "one", "--kv", kv)
    done("verify", bundle, "--model", HELLO, "--mutants", names)
    rows, left_out = matrix(bundle)
    assert set(rows) == set(names.split(",")) and not left_out


def test_a_survivor_fails_the_run(tmp_path):
    """Metadata say nothing of what a program computes, so with their gate as the only judge such a mutant lives."""
    bundle = convert(tmp_path / "hello.lathe")
    run = lathe("verify", bundle, "--model", HELLO, "--mutants", "score_scale_off,template_changed", "--gates", "contract")
    assert run.returncode == 1
    assert "1 of 2 mutants survived" in run.stderr and run.stdout.count("SURVIVED") == 1
    rows, _ = matrix(bundle)
    assert not rows["score_scale_off"]["killed"] and rows["template_changed"]["killed"]


def test_names_are_checked(tmp_path):
    bundle = convert(tmp_path / "hello.lathe")
    for args, code, message in (
        (["--mutants", "rope_dim_full,gremlins"], 2, "no mutant 'gremlins'"),
        (["--mutants", "all", "--gates", "smell"], 2, "no gate 'smell'"),
        (["--mutants", "all", "--model", tmp_path / "none.gguf"], 4, "none.gguf"),
    ):
        run = lathe("verify", bundle, *(["--model", HELLO] if "--model" not in args else []), *args)
        assert run.returncode == code and message in run.stderr, run.stderr
        assert not (tmp_path / "hello.lathe.mutants").exists()


@pytest.mark.full
def test_a_sample_on_smollm2(tmp_path):
    """A real model of the other architecture: one wrong op in one of thirty layers, one wrong weight in 134 million."""
    bundle = tmp_path / "smollm2.lathe"
    done("convert", smollm2_gguf(), "-o", bundle, "--context", "128", "--layers-per-shard", "15", "--range", "off")
    names = "rope_base_over_10,kv_heads_tiled_in_graph,one_weight_negated"
    done("verify", bundle, "--model", smollm2_gguf(), "--mutants", names, "--gates", "graph,layer-golden", timeout=900)
    rows, left_out = matrix(bundle)
    assert set(rows) == set(names.split(",")) and not left_out
    assert killers(rows["one_weight_negated"]) == {"layer golden"}


@pytest.mark.parametrize("kv", ["overwrite", *(pytest.param(kv, marks=pytest.mark.full) for kv in ("slice", "rows"))])
def test_wrong_rings_are_noticed(kv, tmp_path):
    """gemma2 of 3 layers, two of them with a window, by the packages' rows; a ring that is a slot too short, by the host's tables."""
    bundle, model = tmp_path / "gemma2.lathe", ROOT / "tests/oracle/family/gemma2.gguf"
    names = "ring_slot_late,ring_masked_by_slot,ring_too_short"
    done("convert", model, "-o", bundle, "--weights", "fp16", "--kv", kv)
    done("verify", bundle, "--model", model, "--mutants", names, "--gates", "layer-golden,positions", timeout=900)
    rows, left_out = matrix(bundle)
    assert set(rows) == set(names.split(",")) and not left_out
    assert killers(rows["ring_too_short"]) == {"positions"}
    assert all(killers(rows[name]) == {"layer golden", "positions"} for name in names.split(",")[:2])


def test_rings_that_are_not_there_are_not_judged(tmp_path):
    """A window that no ring is shorter than."""
    bundle, model = tmp_path / "gemma2.lathe", ROOT / "tests/oracle/family/gemma2.gguf"
    done("convert", model, "-o", bundle, "--weights", "fp16", "--windows", "whole")
    run = lathe("verify", bundle, "--model", model, "--mutants", "ring_too_short", "--gates", "positions")
    assert run.returncode == 1 and "no mutant was judged" in run.stderr
    assert matrix(bundle)[1] == {"ring_too_short"}


@pytest.mark.full
def test_a_conversation_that_is_not_read_again_is_noticed(tmp_path):
    bundle, window = tmp_path / "hello.lathe", ("--set", "phi3.attention.sliding_window=40")
    done("convert", HELLO, "-o", bundle, "--context", "512", *window)
    done("verify", bundle, "--model", HELLO, "--mutants", "ring_not_read_again", "--gates", "text", timeout=900)
    assert killers(matrix(bundle)[0]["ring_not_read_again"]) == {"text"}


@pytest.mark.parametrize(
    "names, gates, code, says",
    [
        ("", None, 2, "--mutants is an empty list"),
        ("nix", None, 2, "no mutant 'nix'"),
        ("attn_factor_1", "vote", 2, "--gates vote: none of these judges mutants"),
        ("attn_factor_1", "structure", 1, "1 of 1 mutants survived: no gate that ran would notice"),
        ("activation_silu", None, 1, "no mutant was judged"),
    ],
)
def test_what_is_asked_of_mutants_is_judged_or_refused(names, gates, code, says, hello_sealed):
    run = lathe("verify", hello_sealed, "--model", HELLO, "--mutants", names, *(("--gates", gates) if gates else ()))
    assert run.returncode == code and says in run.stderr
    assert code == 1 or run.stdout == ""
