"""The made models of families.py that are kept in tests/oracle/family/: what the default tier needs of them, without torch."""

import base64
import json
import pathlib
import textwrap

import numpy
from random_models import N_VOCAB, random_ids

HERE = pathlib.Path(__file__).parent / "family"
N = 150
IDS = random_ids(N)
KEPT = [1, 34, 90, N - 1]  # positions whose logits are kept: two within every window, two beyond
NAMES = sorted(path.stem for path in HERE.glob("*.gguf"))


def gguf_of(name):
    return HERE / f"{name}.gguf"


def config_of(name):
    return json.loads((HERE / f"{name}.json").read_text())


def as_text(logits):
    """Little-endian 32-bit floats in base64: what is binary in the tree is a model or a picture."""
    return "\n".join(textwrap.wrap(base64.b64encode(logits.astype("<f4").tobytes()).decode(), 120)) + "\n"


def from_text(text):
    return numpy.frombuffer(base64.b64decode(text), "<f4").reshape(len(KEPT), N_VOCAB)


def logits_of(name):
    """[len(KEPT), n_vocab], by transformers in fp64."""
    return from_text((HERE / f"{name}.logits").read_text())
