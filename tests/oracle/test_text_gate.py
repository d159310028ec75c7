"""Gate `text` of `lathe verify`: what it says of good bundles, and the faults it must see. They are planted in the bundle on disk and
hidden behind true digests; only this gate is asked."""

import json
import re

import numpy as np
import pytest
from bundle_edit import BundleEdit, rewrite_gguf
from command import HELLO, done, lathe

IDS, TEXT = "ids", "against the source"


def judged(bundle, model=HELLO):
    """(exit code, {scope: (passed, text, figures)})."""
    run = lathe("verify", bundle, "--model", model, "--gates", "text")
    report = json.loads((bundle / "verify" / "report.json").read_text())
    return run.returncode, {r["scope"]: (r["passed"], r["text"], r["figures"]) for r in report["gates"]["text"]}


def failed(lines):
    return {scope for scope, (passed, *_) in lines.items() if not passed}


@pytest.fixture
def bad(hello_sealed, tmp_path):
    return BundleEdit.copy(hello_sealed, tmp_path / "bad.lathe")


@pytest.fixture(scope="module")
def good(hello_sealed, tmp_path_factory):
    """Of a copy: asking for one gate takes the seal away."""
    return judged(BundleEdit.copy(hello_sealed, tmp_path_factory.mktemp("good") / "good.lathe").path)


def rewrite_host(bundle, **keys):
    host = bundle.path / "host.gguf"
    rewritten = rewrite_gguf(host, bundle.path / "new.gguf", {f"tokenizer.{k.replace('__', '.')}": v for k, v in keys.items()})
    rewritten.replace(host)
    bundle.redigest()


def test_a_good_bundle(good):
    code, lines = good
    assert code == 0 and not failed(lines)
    assert re.fullmatch(r"\d+ ids from host.gguf equal the source's", lines[IDS][1])
    figures = {scope: lines[scope][2] for scope in ("fp16", "weights' form", TEXT)}
    # Rounding is far below what int8 costs, and that is what the whole differs by.
    assert figures["fp16"]["kl_mean"] < figures["weights' form"]["kl_mean"] / 10
    assert figures[TEXT]["kl_mean"] == pytest.approx(figures["weights' form"]["kl_mean"], rel=0.3)
    assert all(0 <= f["kl_mean"] <= f["kl_99"] <= f["kl_max"] and f["top1"] <= f["top5"] == 1 for f in figures.values())
    values = lines["perplexity"][2]
    assert set(values) == {"source", "packed", "bundle"}
    assert values["bundle"] == pytest.approx(values["packed"], rel=0.01)
    assert values["packed"] == pytest.approx(values["source"], rel=0.1) and values["packed"] != values["source"]
    assert {"turns", "end of context", "crossing"} <= set(lines)


def test_answers_are_the_references(good):
    """The near tie that int8 weights once tipped here was the wrong factor set's: under the right one nothing is near."""
    for prompt, n in (("Write hello world in Erlang.", 48), ("What is the capital of France?", 5), ("Count from 3 to 9.", 20)):
        passed, text, figures = good[1][prompt]
        assert passed and figures["differing"] == 0 and re.fullmatch(rf"{n} of {n} tokens match; logits differ by \S+, allowed \S+", text), text
        assert figures["question"] == prompt and figures["source_answer"] == figures["bundle_answer"] != ""


def test_noise_is_not_taken_from_the_answers_that_it_judges(good):
    """A bundle that is far off would excuse itself by its own errors."""
    prompts = [line[2] for line in good[1].values() if "logit_noise" in line[2]]
    assert len(prompts) == 3 and len({figures["logit_noise"] for figures in prompts}) == 1
    assert all(figures["logits_off"] != figures["logit_noise"] for figures in prompts)


def test_an_altered_template(bad):
    template = "{% for m in messages %}{{ '<|' + m.role + '|> ' + m.content + '<|end|>' }}{% endfor %}<|assistant|>"
    rewrite_host(bad, chat_template=template)
    code, lines = judged(bad.path)
    assert code == 1 and IDS in failed(lines)
    assert re.search(r"id 1 is \d+ \"[^\"]*\", the source's \d+ \"[^\"]*\"", lines[IDS][1]), lines[IDS][1]


def test_a_control_token_typed_as_text(bad):
    kinds = [int(part[0]) for part in bad.host_key("tokenizer.ggml.token_type")]
    tokens = [bytes(part).decode() for part in bad.host_key("tokenizer.ggml.tokens")]
    assert kinds[tokens.index("<|user|>")] == 3
    bad.host_key("tokenizer.ggml.token_type")[tokens.index("<|user|>")][0] = 1
    bad.redigest()
    code, lines = judged(bad.path)
    assert code == 1 and IDS in failed(lines)
    assert "id 0 is " in lines[IDS][1] and '"<|user|>"' in lines[IDS][1].split("the source's")[1]


def test_bos_dropped(tmp_path):
    """hello-phi3 wants none; the same model that does, and a bundle of it that forgot."""
    model = rewrite_gguf(HELLO, tmp_path / "bos.gguf", {"tokenizer.ggml.add_bos_token": True})
    done("convert", model, "-o", tmp_path / "bos.lathe", "--context", "256")
    bundle = BundleEdit(tmp_path / "bos.lathe")
    assert judged(bundle.path, model)[0] == 0
    rewrite_host(bundle, ggml__add_bos_token=False)
    code, lines = judged(bundle.path, model)
    assert code == 1 and IDS in failed(lines)
    assert "id 0 is " in lines[IDS][1] and '"<|endoftext|>"' in lines[IDS][1].split("the source's")[1]


@pytest.mark.parametrize("function", ["decode", "prefill"])
def test_a_state_that_keeps_its_stale_slots(bad, function):
    """What one of the functions writes to the cache of a layer never gets there: it reads what was left by earlier tokens."""
    with bad.program(0) as model:
        operations = bad.operations(model, function)
        at = next(i for i, op in enumerate(operations) if op.type == "write_state")
        del operations[at]
    bad.redigest()
    code, lines = judged(bad.path)
    assert code == 1 and failed(lines) & {"fp16", "turns", "What is the capital of France?"}, lines


def test_a_row_of_weights_that_both_readers_take(bad):
    """The table in chain.json and the program agree, the reference with the package's weights as well: graph and fp16 have nothing to
    say, the text has."""
    codes = bad.weight("layer_01_down").codes
    codes[::2] = -codes[::2]
    bad.redigest()
    code, lines = judged(bad.path)
    assert code == 1 and lines["fp16"][0]
    assert lines[TEXT][2]["kl_mean"] > 0.1 and failed(lines)
    # A token that differs is shown with how much the source prefers its own, and how much a near tie may be.
    shown = [re.search(r'step \d+: \d+ "[^"]*" for \d+ "[^"]*"\): the source\'s token leads by (\S+), NO NEAR TIE \(up to (\S+)\)',
                       lines[scope][1]) for scope in failed(lines)]
    assert any(found and float(found[1]) > float(found[2]) for found in shown), lines


@pytest.mark.parametrize("kv", ["overwrite", *(pytest.param(kv, marks=pytest.mark.full) for kv in ("slice", "rows"))])
def test_a_conversation_round_the_rings(kv, tmp_path):
    """The bundled model with a window of 40: 2 · 128 tokens and some more, taken back within and beyond what the rings remember."""
    done("convert", HELLO, "-o", tmp_path / "m.lathe", "--context", "512", "--kv", kv, "--set", "phi3.attention.sliding_window=40")
    code, lines = judged(tmp_path / "m.lathe")
    assert code == 0 and lines["rings"][0] and lines["rings"][2]["compared"] == 12
    assert "8 of 8 kinds of conversation" in lines["coverage"][1]


@pytest.mark.parametrize("context", [1, 16])
def test_a_context_without_room_for_a_prompt_is_no_proof(context, tmp_path):
    done("convert", HELLO, "-o", tmp_path / "tiny.lathe", "--context", context, "--functions", "decode", "--range", "off")
    code, lines = judged(tmp_path / "tiny.lathe")
    assert code == 1 and failed(lines) == {"prompts"}
    assert "convert with a larger --context" in lines["prompts"][1]


def test_what_is_not_finite_fails(bad):
    bad.weight("layer_00_down").scale[:] = np.float16("inf")
    bad.redigest()
    run = lathe("verify", bad.path, "--model", HELLO, "--gates", "text")
    assert run.returncode == 1 and "FAILED" in run.stdout


def test_what_a_gate_cannot_tell_is_sealed_as_unproved_and_chat_repeats_it(tmp_path):
    """In a context this short no second turn fits: nothing shows that one works."""
    bundle = tmp_path / "m.lathe"
    done("convert", HELLO, "-o", bundle, "--context", "40", "--functions", "decode")
    run = done("verify", bundle, "--model", HELLO, "--verbose")
    lines = re.findall(r"^(\w+) +(\S+) +(.*)  unproved$", run.stdout, re.M)
    told = [{"gate": gate, "scope": scope, "text": text} for gate, scope, text in lines]
    assert any(line["gate"] == "text" and "it does not fit into a context of 40" in line["text"] for line in told), run.stdout
    assert f"all gates passed, sealed; {len(told)} things unproved (above)\n" in run.stdout
    for name in ("seal.json", "verify/report.json"):
        assert json.loads((bundle / name).read_text())["unproved"] == told
    chat = done("chat", bundle, "-p", "hello", "--max-tokens", "1")
    assert f"[proved, except: {told[0]['scope']}; " in chat.stderr and f"and {len(told) - 3} more, which lathe verify names]" in chat.stderr
    # What a run keeps, it keeps as it was.
    again = done("verify", bundle, "--model", HELLO, "--resume", "--verbose")
    assert f"{told[-1]['text']} (kept)  unproved\n" in again.stdout and f"{len(told)} things unproved" in again.stdout
