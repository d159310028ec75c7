"""What is kept of the publisher's logits, and of which models: shared by the script that makes the fixtures and by the test."""

import pathlib

import numpy
from tokenizer_oracle import MODELS, smollm2_gguf

FIXTURES = pathlib.Path(__file__).parent / "publisher"
ORIGINAL = 1024  # the original context of the hello models
HELLO_LENGTHS = [1, 10, 300, ORIGINAL - 1, ORIGINAL, ORIGINAL + 1, ORIGINAL + 40]
# SmolLM2 stretches nothing; its lengths are the same but for the longest.
MODELS_OF_FIXTURES = {
    "hello-phi3-f16": (MODELS / "hello-phi3-f16.gguf", HELLO_LENGTHS),
    "hello-natural-f16": (MODELS / "hello-natural-f16.gguf", HELLO_LENGTHS),
    "smollm2-135m-q4_1": (smollm2_gguf(), [1, 10, 300, 1023, 1024, 1025]),
}
ANSWERED = ["hello-phi3-f16.gguf", "hello-phi3-q8_0.gguf", "hello-natural-f16.gguf"]
SPREAD, TOP = 32, 5


def spread(n_vocab):
    """SPREAD ids from the first to the last, evenly."""
    return numpy.linspace(0, n_vocab - 1, SPREAD).astype(int)


def rounded(values):
    return [float(f"{v:.8g}") for v in values]


def figures(row):
    """Of logits [n_vocab]: at the spread ids, the largest with their ids, and ln Σ exp."""
    row = row.astype(float)
    top = numpy.argsort(-row, kind="stable")[:TOP]
    logsumexp = row.max() + numpy.log(numpy.exp(row - row.max()).sum())
    return {"spread": rounded(row[spread(len(row))]), "top": top.tolist(), "top_logits": rounded(row[top]),
            "logsumexp": rounded([logsumexp])[0]}  # fmt: skip


def largest_difference(row, figures):
    """Between logits [n_vocab] and the figures of others, over all figures."""
    row = row.astype(float)
    logsumexp = row.max() + numpy.log(numpy.exp(row - row.max()).sum())
    return max(
        numpy.abs(row[spread(len(row))] - figures["spread"]).max(),
        numpy.abs(row[figures["top"]] - figures["top_logits"]).max(),
        abs(logsumexp - figures["logsumexp"]),
    )
