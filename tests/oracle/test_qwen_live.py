"""Qwen2.5-Coder-0.5B-Instruct beside its publisher's code: the class of transformers, and the cuts of its tokenizer. Runs with
LATHE_FULL=1 only (conftest.py): half a gigabyte, and PyTorch."""

import json

import gguf
import numpy
import publisher
import pytest
from command import done, lathe
from gguf_edit import edit
from llama_cpp import LlamaCpp
from test_eval import PROSE, check, evaluated, perplexity_by
from test_reference import BOUND, decoded_copy, greedy, nmse, rows_of_answer, run_reference
from tokenizer_oracle import NORMAL, PARSE_SPECIAL, byte_alphabet_, compare, many, qwen_gguf
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN2
from transformers.models.qwen3_5.tokenization_qwen3_5 import PRETOKENIZE_REGEX as QWEN3_5

IM_END = 151645
QUESTION = "write hello world in Erlang"
FIBONACCI = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWrite a function in Python that returns the "
    "n-th Fibonacci number, and explain it.<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def vocabulary():
    """(tokens, merges, texts of the ordinary tokens that are whole characters: id -> text)"""
    keys = gguf.GGUFReader(qwen_gguf()).fields
    tokens, types = keys["tokenizer.ggml.tokens"].contents(), keys["tokenizer.ggml.token_type"].contents()
    byte_of = {c: b for b, c in byte_alphabet_.items()}
    texts = {}
    for i, token in enumerate(tokens):
        raw = bytes(byte_of[c] for c in token) if types[i] == NORMAL else b"\xff"
        try:
            texts[i] = raw.decode()
        except UnicodeDecodeError:
            pass
    return tokens, [tuple(m.split(" ")) for m in keys["tokenizer.ggml.merges"].contents()], texts


def tokenizer(vocabulary, cuts):
    tokens, merges, _ = vocabulary
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(cuts), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    return made


def test_the_vocabulary_holds_tokens_that_its_own_cuts_cannot_give(vocabulary):
    """Why src/tokenizer/pre.c surveys it by the cuts of Qwen3.5: the publisher's own reach 1,673 tokens fewer."""
    texts = vocabulary[2]
    own, newer = tokenizer(vocabulary, QWEN2), tokenizer(vocabulary, QWEN3_5)
    missed = [sum(made.encode(text).ids != [i] for i, text in texts.items()) for made in (own, newer)]
    assert missed == [1673, 6]
    own.normalizer = normalizers.NFC()  # that of its tokenizer.json; the survey asks about the cuts alone
    compare(qwen_gguf(), list(texts.values()), lambda text: own.encode(text).ids)
    said = done("verify", qwen_gguf(), "--gates", "contract", "--verbose").stdout
    row = next(line for line in said.splitlines() if "pre_tokenizer" in line)
    given, all_tokens = (int(n) for n in row.split("the texts of ")[1].split(" tokens")[0].split(" of the vocabulary's "))
    assert "learnt under 'qwen35'" in row and all_tokens - given == 6


def test_logits_and_answer(vocabulary):
    """The logits of the prompt, and the whole greedy answer: what an odd answer means, the publisher's code says."""
    asked = json.dumps([{"role": "user", "content": QUESTION}])
    prompt = done("template", qwen_gguf(), "--messages", "-", "--add-generation-prompt", given=asked).stdout
    ids = many(qwen_gguf(), [prompt], PARSE_SPECIAL)[0][0]
    model = publisher.published(qwen_gguf())
    found = numpy.frombuffer(run_reference(qwen_gguf(), 512, "all", ids=ids), "<f4").reshape(len(ids), -1)
    assert nmse(found, publisher.all_logits(model, ids)) < BOUND["F32"]
    answer, _ = publisher.generate(model, ids, 64, IM_END)
    assert 1 < len(answer) < 64 and answer[-1] == IM_END
    text = "".join(vocabulary[2][i] for i in answer[:-1])
    assert done("chat", qwen_gguf(), "--quiet", "-p", QUESTION, timeout=300).stdout.strip() == text.strip()


def test_64_greedy_ids(tmp_path):
    """The reference's greedy continuation is llama.cpp's (on the same weights in fp32) and that of the publisher's class."""
    with LlamaCpp(qwen_gguf(), 512) as model:
        ids = model.tokenize(FIBONACCI)
    answer = greedy(qwen_gguf(), 512, ids, 64)
    assert publisher.generate(publisher.published(qwen_gguf()), ids, 64)[0] == answer
    plain = decoded_copy(qwen_gguf(), tmp_path / "f32.gguf")
    assert rows_of_answer(plain, 512, ids, answer).argmax(-1).tolist() == answer


def test_perplexity_is_the_publishers(tmp_path):
    text = tmp_path / "prose.txt"
    text.write_text(PROSE)
    ids = many(qwen_gguf(), [PROSE])[0][0]
    model = publisher.published(qwen_gguf())
    check(evaluated(qwen_gguf(), "--text", text, "--context", 96), perplexity_by(lambda part: publisher.all_logits(model, part), ids, 96))


# What its config.json states (transformers' Qwen2Config has the rest by default).
CONFIG = {
    "model_type": "qwen2", "num_hidden_layers": 24, "hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2,
    "intermediate_size": 4864, "vocab_size": 151936, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    "tie_word_embeddings": True,
}  # fmt: skip


def test_contract(tmp_path):
    """The spare copy of a tied head, in another block type, is no contradiction; a base of 10000 is one."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    done("verify", qwen_gguf(), "--gates", "contract", "--config", config)
    misread = edit(qwen_gguf(), tmp_path / "m.gguf", {"qwen2.rope.freq_base": 1e4})
    run = lathe("verify", misread, "--gates", "contract", "--config", config)
    failed = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("contract ") and line.endswith("FAILED")]
    assert run.returncode == 1 and failed == ["rope_base", "publisher"]


def test_all_gates_seal_it(tmp_path):
    """A quarter of an hour on two cores, most of it the vote's."""
    done("convert", qwen_gguf(), "-o", tmp_path / "qwen.lathe", timeout=1200)
    run = done("verify", tmp_path / "qwen.lathe", timeout=7200)
    assert "all gates passed, sealed" in run.stdout
