"""The story again, with a real model: Qwen2.5-Coder-1.5B-Instruct, asked for what the port of Phi-4-mini could not say. Its rotary
base is a million; read as 10,000 by contract, compiler, host and reference alike it passes what compares them with each
other. Runs with LATHE_FULL=1 only: a gigabyte, and the vote's part of an hour."""

import json
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "oracle"))

from command import ROOT, done, lathe  # noqa: E402
from gguf_edit import edit  # noqa: E402
from llama_cpp import LlamaCpp  # noqa: E402
from test_reference import greedy  # noqa: E402
from tokenizer_oracle import PARSE_SPECIAL, many, qwen_gguf  # noqa: E402

pytestmark = pytest.mark.full

QUESTION = "write hello world in Erlang"
# Gates that compare a bundle with a reference that read the same file.
LOCAL = "structure,graph,layer-golden,positions,head"
N_IDS = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """right.lathe, and wrong.gguf and wrong.lathe with the base misread; config.json as the publisher's."""
    folder = tmp_path_factory.mktemp("qwen")
    edit(qwen_gguf("1.5b"), folder / "wrong.gguf", {"qwen2.rope.freq_base": 10000.0})
    done("convert", qwen_gguf("1.5b"), "-o", folder / "right.lathe")
    done("convert", folder / "wrong.gguf", "-o", folder / "wrong.lathe")
    published = json.loads((ROOT / "contracts/qwen2.5-1.5b.json").read_text())["config"]
    (folder / "config.json").write_text(json.dumps(published))
    return folder


def answer(model, *options):
    return done("chat", model, *options, "--quiet", "-p", QUESTION, timeout=900).stdout


# What it calls the function is close: the publisher's class has hello/0 by 0.03 of a logit, int8 and llama.cpp have start/0.
MODULE = re.compile(r'```erlang\n-module\(hello\)\.\n-export\(\[(\w+)/0\]\)\.\n\n\1\(\) ->\n    io:format\("Hello, World!~n"\)\.\n```')


def test_it_answers_as_the_publishers_class_does(folder):
    """All parts give an Erlang module, and the reference gives the publisher's ids. llama.cpp's, which rounds activations to 8
    bits, are others from the third on (its two best are 0.1 apart); its text is a module as well."""
    import publisher  # PyTorch, which ./check has not

    asked = json.dumps([{"role": "user", "content": QUESTION}])
    prompt = done("template", qwen_gguf("1.5b"), "--messages", "-", "--add-generation-prompt", given=asked).stdout
    ids = many(qwen_gguf("1.5b"), [prompt], PARSE_SPECIAL)[0][0]
    assert greedy(qwen_gguf("1.5b"), 512, ids, N_IDS) == publisher.generate(publisher.published(qwen_gguf("1.5b")), ids, N_IDS)[0]
    with LlamaCpp(qwen_gguf("1.5b"), 512, threads=2) as peer:
        told = [int(peer.feed(ids)[-1].argmax())]
        while len(told) < 2 * N_IDS:
            told.append(int(peer.feed(told[-1:])[-1].argmax()))
        told = peer.text(told)
    for text in (told, answer(qwen_gguf("1.5b")), answer(folder / "right.lathe", "--unsealed")):  # int8 for weights
        assert MODULE.search(text), text


def test_what_compares_the_parts_with_each_other_sees_nothing(folder):
    run = lathe("verify", folder / "wrong.lathe", "--gates", LOCAL, timeout=3600)
    assert run.returncode == 0, run.stdout + run.stderr
    for model in (folder / "wrong.lathe", folder / "wrong.gguf"):
        assert "-module(hello)" not in answer(model, *(["--unsealed"] if model.suffix == ".lathe" else [])), "the fault must show"


def test_the_publishers_file_and_the_weights_say_it(folder):
    run = lathe("verify", folder / "wrong.lathe", "--gates", "contract", "--config", folder / "config.json")
    assert run.returncode == 1 and any(
        line.startswith("contract ") and "rope_base" in line and line.endswith("FAILED") for line in run.stdout.splitlines())
    assert lathe("inspect", qwen_gguf("1.5b"), "--config", folder / "config.json").returncode == 0
    run = lathe("verify", folder / "wrong.gguf", "--gates", "vote", timeout=7200)
    line = next(line for line in run.stdout.splitlines() if line.split()[:2] == ["vote", "rope_base"])
    assert run.returncode == 1 and "this field is suspect" in line and line.endswith("FAILED")
