"""Each family of models three times: transformers, llama.cpp, lathe's reference. Any two give the same logits at every
position (NMSE 1e-9, as test_reference.py has it), but where docs/differences.md says that llama.cpp is wrong and why. The
models are families.py's, made by transformers' own classes and written by llama.cpp's own converter."""

import os
import subprocess
import sys

import numpy
import pytest
from families import FAMILIES, IDS
from test_reference import BOUND, llama, nmse, reference

pytestmark = pytest.mark.full

GELU_TABLE = 1e-6  # measured up to 1.5e-7, and all with gelu; the cause in llama.cpp was not looked up
LLAMA_BOUND = {name: GELU_TABLE for name in ("gemma", "gemma2", "gemma3", "starcoder2", "phi2")}
LLAMA_BOUND["nemotron"] = 1e-8  # measured 1.6e-9
WRONG_IN_LLAMA = {"exaone4"}  # windows by the number of layers


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("family")
    here = os.path.dirname(__file__)
    run = subprocess.run([sys.executable, os.path.join(here, "families.py"), out, request.param], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return request.param, out / f"{request.param}.gguf", numpy.load(out / f"{request.param}.npy")


def test_logits(family):
    name, path, published = family
    assert published.std() > 0.1, "logits without variety prove nothing"
    found, other = reference(path, 256, IDS), llama(path, 256, IDS)
    assert nmse(found, published) < BOUND["F32"]
    if name in WRONG_IN_LLAMA:
        assert nmse(other, published) > 0.1, "llama.cpp agrees now: docs/differences.md says that it does not"
        return
    bound = LLAMA_BOUND.get(name, BOUND["F32"])
    assert nmse(other, published) < bound and nmse(found, other) < bound
