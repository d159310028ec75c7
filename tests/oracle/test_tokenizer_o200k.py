"""o200k and the hello models against tiktoken: the truth for gpt-4o."""

import pytest
import tiktoken
from tokenizer_oracle import (
    BROKEN,
    CONTROL,
    LONG,
    MODELS,
    O200K,
    O200K_SPECIAL,
    PARSE_SPECIAL,
    TORTURE,
    compare,
    many,
    o200k_gguf,
    o200k_ranks,
    random_texts,
    read_vocab,
    with_bytes,
)


@pytest.fixture(scope="module")
def o200k():
    return tiktoken.Encoding(
        "o200k", pat_str=O200K, mergeable_ranks=o200k_ranks(), special_tokens=O200K_SPECIAL
    )


def plain(encoding):
    return lambda text: encoding.encode(text, disallowed_special=())


def special(encoding):
    return lambda text: encoding.encode(text, allowed_special="all")


def test_o200k_equals_tiktoken(o200k):
    texts = TORTURE + random_texts(3000)
    compare(o200k_gguf(), texts, plain(o200k), decoded=lambda text: text)


def test_o200k_with_special_tokens_equals_tiktoken(o200k):
    texts = TORTURE + random_texts(500, seed=7)
    compare(o200k_gguf(), texts, special(o200k), PARSE_SPECIAL, decoded=lambda text: text)


def test_o200k_of_broken_bytes_equals_tiktoken_of_replacement_characters(o200k):
    compare(o200k_gguf(), BROKEN, plain(o200k), decoded=lambda text: text)


def test_o200k_of_long_runs(o200k):
    # tiktoken gives up on long runs of some kinds, so those are held to the text that comes back.
    model = o200k_gguf()
    for text, (ids, back) in zip(LONG, many(model, LONG)):
        assert back == text and len(ids) > 0
    compare(model, [text[:20_000] for text in LONG], plain(o200k))


@pytest.mark.parametrize("name", ["hello-phi3-q8_0.gguf", "hello-natural-f16.gguf"])
def test_hello_equals_tiktoken(name):
    v = read_vocab(MODELS / name)
    marks = {t: i for i, (t, y) in enumerate(zip(v["tokens"], v["token_type"])) if y == CONTROL}
    encoding = tiktoken.Encoding(
        "hello", pat_str=O200K, mergeable_ranks=with_bytes(v), special_tokens=marks
    )
    texts = TORTURE + random_texts(1000)
    compare(MODELS / name, texts, plain(encoding), decoded=lambda text: text)
    compare(MODELS / name, texts, special(encoding), PARSE_SPECIAL, decoded=lambda text: text)
