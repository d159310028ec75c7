"""The fp32 reference against the publisher's code: what transformers computed of the models at hand, as figures that
make_publisher_fixtures.py wrote. Which factor set LongRoPE takes is part of it: by the length that was fed, for all
positions, with everything computed again where the original context is crossed, in either direction.

Bounds, of logits that reach 40: both sides compute in fp32 and differ by the order of their sums, some 2^-22 of 40, 1e-5.
The angles add to it with the position: transformers rounds each frequency and its product with the position to fp32, so
at position 300 a pair that turns by 130 radians is off by 130 * 2^-23 = 1.5e-5, at position 1023 by 5e-5, where lathe has
them in double. Measured up to 300 positions: hello 2.5e-5, SmolLM2 1.6e-5; beyond: hello 6.0e-5, SmolLM2 with its thirty
layers 8.4e-5. Up to 300 positions the bound is twice what was measured, the
sum of the two errors above; beyond, three and a half times, since the
error of the angles grows with the position. Both hold on the scalar, AVX2 and AVX-512 kernels. A wrong factor set is off by 1.2 at 10 positions already and by 11 and 24 at 300."""

import hashlib
import json

import numpy
import pytest
from publisher_figures import FIXTURES, HELLO_LENGTHS, MODELS_OF_FIXTURES, ORIGINAL, largest_difference
from test_reference import run_reference
from tokenizer_oracle import MODELS

POSITIONS = 1100  # to hold: more than any fixture feeds, so that the length alone decides
HELLO = [name for name in MODELS_OF_FIXTURES if name.startswith("hello")]
ANSWERS = json.loads((FIXTURES / "hello-answers.json").read_text())


def bound(n):
    return 5e-5 if n <= 300 else 3e-4


def fixture(name):
    return json.loads((FIXTURES / f"{name}.json").read_text())


def ids_of(fixture, n):
    period = fixture["period"]
    return (period * (n // len(period) + 1))[:n]


def chunks(path, ids, steps):
    """lathe's logits after each step: so many more of `ids`, or "@N", back to position N."""
    raw = run_reference(path, POSITIONS, "chunks", ",".join(map(str, steps)), ids=ids)
    return numpy.frombuffer(raw, "<f4").reshape(sum(not str(s).startswith("@") for s in steps), -1)


def assert_near(row, figures, n, what):
    off = largest_difference(row, figures)
    assert off < bound(n), f"{what}: off by {off:.3g}, bound {bound(n):g}"


@pytest.mark.parametrize("name", MODELS_OF_FIXTURES)
def test_fixture_is_of_this_model(name):
    made = fixture(name)["model"]
    path = MODELS_OF_FIXTURES[name][0]
    assert made["file"] == path.name
    assert made["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), "run make_publisher_fixtures.py"


@pytest.mark.parametrize("n", HELLO_LENGTHS)
@pytest.mark.parametrize("name", HELLO)
def test_logits_of_one_chunk(name, n):
    f = fixture(name)
    (row,) = chunks(MODELS_OF_FIXTURES[name][0], ids_of(f, n), [n])
    assert_near(row, f["by_length"][str(n)], n, f"{n} positions")


@pytest.mark.parametrize("name", MODELS_OF_FIXTURES)
def test_logits_of_a_growing_text(name):
    """The same lengths one after the other, as a chat grows: each as if it had been fed at once."""
    path, lengths = MODELS_OF_FIXTURES[name]
    f = fixture(name)
    rows = chunks(path, ids_of(f, lengths[-1]), numpy.diff([0, *lengths]).tolist())
    for n, row in zip(lengths, rows):
        assert_near(row, f["by_length"][str(n)], n, f"{n} positions")


@pytest.mark.parametrize("name", HELLO)  # SmolLM2 has no boundary to cross
def test_generate_across_the_original_context(name):
    """Token by token: each step's logits are the publisher's, and so is each token."""
    f = fixture(name)
    start, new = f["generate"]["from"], f["generate"]["new_ids"]
    assert start < ORIGINAL < start + len(new)
    rows = chunks(MODELS_OF_FIXTURES[name][0], ids_of(f, start) + new[:-1], [start] + [1] * (len(new) - 1))
    for k, (row, figures) in enumerate(zip(rows, f["generate"]["figures"])):
        assert_near(row, figures, start + k, f"step {k}, {start + k} positions")
    assert rows.argmax(-1).tolist() == new


BACK = [  # steps, and the length of the last one
    ([ORIGINAL + 40, f"@{ORIGINAL - 1}", 1], ORIGINAL),  # shortened below the boundary
    ([ORIGINAL + 40, "@290", 10], 300),
    ([ORIGINAL + 1, f"@{ORIGINAL}", 1], ORIGINAL + 1),  # to the boundary, and over it again
    ([ORIGINAL, "@300", ORIGINAL + 40 - 300], ORIGINAL + 40),
    ([ORIGINAL + 1, "@0", 10, 290, ORIGINAL - 299], ORIGINAL + 1),  # a new text, then over it
]


@pytest.mark.parametrize("steps, n", BACK)
def test_logits_after_going_back(steps, n):
    """What was fed under one factor set leaves no trace in what is read under the other."""
    f = fixture("hello-phi3-f16")
    row = chunks(MODELS_OF_FIXTURES["hello-phi3-f16"][0], ids_of(f, ORIGINAL + 40), steps)[-1]
    assert_near(row, f["by_length"][str(n)], n, f"{n} positions after {steps}")


@pytest.mark.parametrize("chat", ANSWERS["chats"], ids=lambda chat: chat["name"])
@pytest.mark.parametrize("file", ANSWERS["files"])
def test_answers(file, chat):
    """Greedy, through the chat template, with room for more than the original context."""
    expected = ANSWERS["files"][file]["answers"][chat["name"]]
    assert expected["least_margin"] > 2 * bound(300), "nearer than the noise: no answer is expected"
    found = run_reference(MODELS / file, POSITIONS, "greedy", str(len(expected["ids"])), ids=chat["ids"])
    assert [int(i) for i in found.split()] == expected["ids"], expected["text"]


@pytest.mark.parametrize("file", ANSWERS["files"])
def test_answers_are_of_this_model(file):
    assert ANSWERS["files"][file]["sha256"] == hashlib.sha256((MODELS / file).read_bytes()).hexdigest()
