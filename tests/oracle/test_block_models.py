"""Whole models in every block type: the bundled model and a random one, quantised anew by ggml and gguf, read by lathe.

A model of blocks and the F32 model of what ggml decodes them to are the same model: lathe on the first and llama.cpp on the
second agree as two fp32 programs do."""

import re

import ggml
import numpy
import pytest
from command import HELLO_F16, done
from gguf_fields import File
from random_models import RandomModel, random_ids
from test_blocks import TYPES
from test_reference import BOUND, assert_near, llama, run_reference

F32, F16 = 0, 1
SMALL = ["IQ4_NL", "MXFP4", "NVFP4", "Q1_0", "Q2_0"]  # rows of 128 weights will do
LARGE = ["IQ3_XXS", "IQ3_S", "IQ4_XS", "TQ1_0", "TQ2_0"]
SLOW = ["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S"]  # ggml prepares them for 4 to 40 seconds


def requantised(source, target, kind, decoded=None):
    """Copies a model of F32 or F16 matrices to `target` with all of them as blocks of `kind`; to `decoded` as F32 of these."""
    f = File(source.read_bytes())
    plain = File(source.read_bytes())
    number, n_weights, n_bytes, _ = TYPES[kind]
    data, plain_data = bytearray(), bytearray()
    for tensor, copy in zip(f.tensors, plain.tensors):
        n = numpy.prod(tensor.dims)
        stored = numpy.frombuffer(f.data, {F32: "<f4", F16: "<f2"}[tensor.kind], n, tensor.offset)
        raw = floats = stored.astype("<f4")
        if len(tensor.dims) == 2:
            raw = ggml.quantize(number, floats.reshape(-1, tensor.dims[0]))
            floats = ggml.decode(kind, raw, n)
            assert raw.nbytes == n // n_weights * n_bytes
        tensor.kind = number if len(tensor.dims) == 2 else F32
        copy.kind = F32
        for out, t, array in (data, tensor, raw), (plain_data, copy, floats):
            out += bytes(-len(out) % 32)
            t.offset = len(out)
            out += array.tobytes()
    f.data, plain.data = data, plain_data
    f.drop("general.file_type")
    target.write_bytes(f.bytes())
    if decoded:
        decoded.write_bytes(plain.bytes())
    return target


def check_logits(blocks, plain):
    """At the worst position of 40. gguf cannot read a file of Q2_0, so the reference is asked here."""
    ids = random_ids(40)
    found = numpy.frombuffer(run_reference(blocks, "256", "all", ids=ids), "<f4").reshape(len(ids), -1)
    assert_near(found, llama(plain, 256, ids), BOUND["F32"])


def check_quantised(kind, tmp_path):
    """d_model 256 holds a super-block."""
    source = RandomModel("phi3", d_model=256, d_ff=256, n_layers=1, rope_dim=48).write(tmp_path / "f.gguf")
    check_logits(requantised(source, tmp_path / "b.gguf", kind, tmp_path / "d.gguf"), tmp_path / "d.gguf")


@pytest.mark.parametrize("kind", SMALL + LARGE)
def test_logits_of_a_model_of_blocks(kind, tmp_path):
    check_quantised(kind, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("kind", SLOW)
def test_logits_of_a_model_of_blocks_that_take_long_to_quantise(kind, tmp_path):
    check_quantised(kind, tmp_path)


@pytest.mark.parametrize("kind", SLOW)
def test_logits_of_a_model_of_random_blocks(kind, tmp_path):
    """Without ggml's quantiser: any bytes are a block, once its scale is a sane one."""
    model = RandomModel("phi3", d_model=256, d_ff=256, n_layers=1, rope_dim=48)
    check_logits(model.write(tmp_path / "b.gguf", kind), model.write(tmp_path / "d.gguf", kind, decode=True))


@pytest.mark.parametrize("kind", SMALL)
def test_the_bundled_model_in_other_blocks_is_inspected_and_converted(kind, tmp_path):
    model = requantised(HELLO_F16, tmp_path / "m.gguf", kind)
    types = re.findall(r"^tensors (\w+) +(\d+) ", done("inspect", model).stdout, re.M)
    done("convert", model, "-o", tmp_path / "m.lathe")
    assert (kind, "17") in types, types


def test_a_bundle_of_codebook_blocks_passes_its_gates(tmp_path):
    model = requantised(HELLO_F16, tmp_path / "m.gguf", "IQ4_NL")
    done("convert", model, "-o", tmp_path / "m.lathe")
    done("verify", tmp_path / "m.lathe", "--model", model, "--gates", "contract,structure,layer golden,head")
