"""`lathe eval`: perplexity against llama.cpp's logits under its own definition (tools/perplexity), and what a bundle is said to be
away from its source."""

import json
import math

import numpy as np
import pytest
from bundle_edit import BundleEdit
from command import HELLO, HELLO_F16, MODELS, NATURAL, done, lathe, smollm2_gguf
from gguf_edit import edit
from llama_cpp import LlamaCpp
from test_reference import decoded_copy

PROSE = """The ferry left at six in the morning, while the fog still lay over the harbour. On deck stood a few people with
bicycles, and a dog that barked at every gull. Nobody spoke. When the sun came through, the island rose out of the water like
the back of a sleeping animal, and the children ran to the rail to see who would be the first to find the lighthouse.

The keeper of that lighthouse had been there for thirty years. He knew the tides by heart, wrote the weather into a book every
evening, and repaired the lamp with parts that he made himself. In 1987 a storm took the roof of his shed; he built another one,
stronger, and painted it red so that the fishermen could see it from the sea. "Measure twice," he used to say, "and then ask
somebody else to measure it again."

def area(width, height):
    return width * height

Visitors asked him whether he was lonely. He laughed and pointed at the birds, the boats and the post, which came on Tuesdays.
"""


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    """Conversations that the small models were made for, one after the other."""
    oracle = json.loads((MODELS / "hello-oracle.json").read_text())
    rendered = [chat["rendered"] + "\n" for chat in oracle["files"]["hello-phi3-f16.gguf"]]
    path = tmp_path_factory.mktemp("text") / "chats.txt"
    path.write_text((PROSE[:400] + "".join(rendered))[:2600])
    return path


def perplexity_by(logits_of, ids, chunk):
    """(perplexity, its error, scored tokens) as llama-perplexity has it: the tokens from the middle of each chunk on are scored,
    what is left over not. `logits_of`: [n, n_vocab] of a chunk's ids, from an empty cache."""
    scores = []
    for at in range(0, len(ids) - len(ids) % chunk, chunk):
        part = ids[at : at + chunk]
        logits = logits_of(part).astype(np.float64)
        for i in range(chunk // 2, chunk - 1):
            row = logits[i] - logits[i].max()
            scores.append(np.log(np.exp(row).sum()) - row[part[i + 1]])
    mean = np.mean(scores)
    error = math.sqrt((np.mean(np.square(scores)) - mean**2) / (len(scores) - 1)) * math.exp(mean)
    return math.exp(mean), error, len(scores)


def perplexity(path, text, chunk, bos=None, special=False):
    """The same by llama.cpp: control tokens in the text are text, and bos stands in the first place where the model wants one."""

    def logits_of(part):
        with LlamaCpp(path, chunk, threads=2) as model:
            return model.feed([part[0] if bos is None else bos] + part[1:])

    with LlamaCpp(path, chunk) as model:
        ids = model.tokenize(text, True, special)
    return perplexity_by(logits_of, ids, chunk)


def evaluated(*args):
    return json.loads(done("eval", *args, "--json").stdout)


def check(found, expected):
    """0.1 %: what is left between two fp32 sums of the same weights is a hundredth of that. F16 files differ by 0.03 %, since
    llama.cpp rounds what it multiplies with them to fp16."""
    value, error, n = expected
    assert found["scored"] == n
    assert found["perplexity"] == pytest.approx(value, rel=1e-3)
    assert found["error"] == pytest.approx(error, rel=1e-2)
    assert found["nll"] == pytest.approx(math.log(found["perplexity"]), rel=1e-9)


@pytest.mark.parametrize("path", [HELLO_F16, NATURAL], ids=lambda path: path.stem)
@pytest.mark.parametrize("chunk", [64, 127])
def test_perplexity_is_llama_cpps(path, chunk, chats):
    found = evaluated(path, "--text", chats, "--context", chunk)
    assert found["context"] == chunk and found["chunks"] == found["tokens"] // chunk >= 3
    assert found["tokens"] % chunk > 0  # something is left over
    check(found, perplexity(path, chats.read_text(), chunk))


def test_control_tokens_are_text_unless_asked_for(chats):
    """The same text is half as many tokens, and one that the model knows, when its marks are tokens."""
    plain, special = evaluated(HELLO_F16, "--text", chats, "--context", 64), evaluated(HELLO_F16, "--text", chats, "--context", 64, "--special")
    assert plain["tokens"] > 1.2 * special["tokens"] and plain["perplexity"] > 10 * special["perplexity"]
    check(special, perplexity(HELLO_F16, chats.read_text(), 64, special=True))


def test_perplexity_of_int8_blocks(chats, tmp_path):
    """llama.cpp rounds activations to int8 where weights are: it gets the same weights in F32."""
    copy = decoded_copy(HELLO, tmp_path / "f32.gguf")
    check(evaluated(HELLO, "--text", chats, "--context", 96), perplexity(copy, chats.read_text(), 96))


def test_bos_in_the_first_place_of_every_chunk(chats, tmp_path):
    path = edit(NATURAL, tmp_path / "bos.gguf", {"tokenizer.ggml.add_bos_token": True})
    bos = int(read_key(path, "tokenizer.ggml.bos_token_id"))
    found = evaluated(path, "--text", chats, "--context", 64)
    check(found, perplexity(path, chats.read_text(), 64, bos))
    without = perplexity(path, chats.read_text(), 64)[0]
    assert abs(found["perplexity"] / without - 1) > 3e-3  # or the comparison says nothing


def read_key(path, name):
    import gguf

    return gguf.GGUFReader(path).fields[name].contents()


@pytest.mark.full
def test_smollm2(tmp_path):
    text = tmp_path / "prose.txt"
    text.write_text(PROSE)
    copy = decoded_copy(smollm2_gguf(), tmp_path / "f32.gguf")
    check(evaluated(smollm2_gguf(), "--text", text, "--context", 96), perplexity(copy, PROSE, 96))
    copy.unlink()  # half a gigabyte


def test_bundle_against_its_source(hello_sealed, chats):
    alone = evaluated(hello_sealed, "--text", chats, "--context", 128)
    both = evaluated(hello_sealed, "--text", chats, "--context", 128, "--model", HELLO)
    source = evaluated(hello_sealed, "--text", chats, "--context", 128, "--model", HELLO, "--engine", "reference")
    assert "source" not in alone and "kl" not in alone
    assert {key: both[key] for key in alone} == alone and alone["engine"] == "cpu (fp16)"
    for key in ("perplexity", "error", "nll", "engine"):
        assert both["source"][key] == source[key]
    assert both["source"]["engine"] == "reference (fp32)"
    # int8 weights: a few thousandths of a nat; equal models would give none at all.
    assert 0 < both["kl"]["mean"] < 0.02 and both["kl"]["mean"] < both["kl"]["p99"] <= both["kl"]["max"]
    assert 0.95 < both["top1"] <= both["top5"] <= 1
    assert both["perplexity"] == pytest.approx(both["source"]["perplexity"], rel=0.05)


def test_lines_say_what_json_says(hello_sealed, chats):
    args = [hello_sealed, "--text", chats, "--context", "128", "--model", HELLO]
    found, lines = evaluated(*args), done("eval", *args).stdout.splitlines()
    assert lines[0] == f"text        {found['tokens']} tokens, {found['chunks']} chunks of 128, {found['scored']} scored"
    assert lines[1] == f"perplexity  {found['perplexity']:.4f} +- {found['error']:.4f}  cpu (fp16)"
    assert lines[2].startswith(f"source      {found['source']['perplexity']:.4f} +- ")
    assert lines[3] == "kl          " + " ".join(f"{k}={found['kl'][k]:.3g}" for k in ("mean", "p99", "max"))
    assert lines[4] == f"agreement   top-1 {100 * found['top1']:.2f}% top-5 {100 * found['top5']:.2f}%"


def test_a_damaged_weight_shows(hello_sealed, chats, tmp_path):
    good = evaluated(hello_sealed, "--text", chats, "--context", 128, "--model", HELLO)
    bundle = BundleEdit.copy(hello_sealed, tmp_path / "bad.lathe")
    codes = bundle.weight("layer_01_down").codes
    codes[::2] = -codes[::2]
    bundle.redigest()
    bad = evaluated(bundle.path, "--text", chats, "--context", 128, "--model", HELLO, "--unsealed")
    assert bad["kl"]["mean"] > 10 * good["kl"]["mean"] and bad["top1"] < good["top1"]
    assert bad["source"] == good["source"]


def test_chunks_are_of_512_by_default(hello_sealed, chats):
    assert evaluated(HELLO, "--text", chats)["context"] == evaluated(hello_sealed, "--text", chats)["context"] == 512


def test_wrong_use(hello_sealed, chats, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("too short")
    unsealed = BundleEdit.copy(hello_sealed, tmp_path / "unsealed.lathe")
    unsealed.redigest()
    cases = [
        ([HELLO], 2, "--text"),
        ([HELLO, "--text", chats, "--context", "3"], 2, "--context 3"),
        ([HELLO, "--text", chats, "--context", "99999999"], 2, "--context 99999999"),
        ([hello_sealed, "--text", chats, "--context", "5000"], 2, "--context 5000"),
        ([HELLO, "--text", chats, "--model", HELLO], 2, "--model"),
        ([HELLO, "--text", chats, "--engine", "cpu"], 2, "cpu runs bundles"),
        ([HELLO, "--text", short], 3, "does not fill a chunk of 512"),
        ([hello_sealed, "--text", chats, "--model", smollm2_gguf()], 1, "another contract"),
        ([unsealed.path, "--text", chats], 5, "lathe verify"),
        ([HELLO, "--text", tmp_path / "none.txt"], 4, "No such file"),
    ]
    for args, code, says in cases:
        run = lathe("eval", *args)
        assert run.returncode == code and run.stdout == "" and says in run.stderr, (args, run.returncode, run.stderr)
