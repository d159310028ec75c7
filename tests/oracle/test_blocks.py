"""lathe's decoders against two others, on random blocks: the numpy decoders of the PyPI package
`gguf`, and ggml's own scalar C functions, which the wheel `xllamacpp` exports. The floats must be
the same bits; where a NaN comes out (all bytes are random, scales too), a NaN must come out here.
"""
import ctypes
import os
import pathlib
import subprocess

import gguf
import numpy
import pytest
import xllamacpp

DECODE = pathlib.Path(os.environ["LATHE_BUILD"]) / "tests" / "quant" / "decode_stdin"
GGML = ctypes.CDLL(str(pathlib.Path(xllamacpp.__file__).parent / "xllamacpp.abi3.so"))
GGML.ggml_type_name.restype = ctypes.c_char_p
GGML.ggml_blck_size.restype = ctypes.c_int64
GGML.ggml_type_size.restype = ctypes.c_size_t

N_BLOCKS = 2000

# Formats that ggml has taken out again: files have them, no current software gives their sizes.
REMOVED = {31, 32, 33, 36, 37, 38}


def read_types():
    lines = subprocess.run([DECODE, "--types"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in lines.splitlines()]
    return {name: (int(i), int(weights), int(size), flag == "1") for i, name, weights, size, flag in rows}


TYPES = read_types()
DECODABLE = [name for name, (_, _, _, is_decodable) in TYPES.items() if is_decodable]

# Plain numbers: numpy has them, neither decoder covers all.
NUMPY = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}

GGML_ROW = {
    "F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row",
    **{name: "dequantize_row_" + name.lower() for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")},
    **{name: f"dequantize_row_q{name[1]}_K" for name in ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K")},
}


def random_blocks(name):
    _, _, size, _ = TYPES[name]
    seed = sum(name.encode())
    return numpy.random.default_rng(seed).integers(0, 256, (N_BLOCKS, size), dtype=numpy.uint8)


def decode(name, blocks):
    out = subprocess.run([DECODE, name], input=blocks.tobytes(), check=True, capture_output=True).stdout
    return numpy.frombuffer(out, "<f4")


def assert_same(found, expected):
    assert found.shape == expected.shape
    nan = numpy.isnan(expected)
    assert (numpy.isnan(found) == nan).all()
    assert nan.sum() < nan.size / 4, "too few numbers were compared"
    different = (found.view("<u4") != expected.view("<u4")) & ~nan
    first = int(numpy.argmax(different))
    assert not different.any(), f"{different.sum()} differ; weight {first}: {found[first]!r}, expected {expected[first]!r}"


@pytest.mark.parametrize("name", [name for name in DECODABLE if name in NUMPY])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # doubles beyond float's range
def test_numbers_as_numpy_reads_them(name):
    blocks = random_blocks(name)
    expected = blocks.reshape(-1).view(NUMPY[name]).astype("<f4")
    assert_same(decode(name, blocks), expected)


# gguf has no decoder for Q8_K, which is a form of activations; ggml's is below.
@pytest.mark.parametrize("name", [name for name in DECODABLE if name not in NUMPY and name != "Q8_K"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # random scales reach infinity
def test_blocks_as_gguf_decodes_them(name):
    blocks = random_blocks(name)
    expected = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name]).reshape(-1)
    assert expected.dtype == numpy.float32
    assert_same(decode(name, blocks), expected)


@pytest.mark.parametrize("name", GGML_ROW)
def test_blocks_as_ggml_decodes_them(name):
    blocks = random_blocks(name)
    expected = numpy.zeros(N_BLOCKS * TYPES[name][1], "<f4")
    function = getattr(GGML, GGML_ROW[name])
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function.restype = None
    function(blocks.ctypes.data, expected.ctypes.data, expected.size)
    assert_same(decode(name, blocks), expected)


def test_every_decodable_type_is_compared():
    assert set(DECODABLE) == set(NUMPY) | set(GGML_ROW)


def test_table_holds_every_type_of_gguf():
    for kind, (weights, size) in gguf.GGML_QUANT_SIZES.items():
        number, *ours, _ = TYPES[kind.name]
        if kind.name == "Q8_1":
            size = 36  # gguf says 40: the block once had two floats; ggml's has two halves
        assert (number, *ours) == (kind.value, weights, size), kind.name


@pytest.mark.parametrize("name", TYPES)
def test_table_agrees_with_ggml(name):
    number, weights, size, _ = TYPES[name]
    theirs = GGML.ggml_type_name(number).decode()
    if number in REMOVED:
        assert f"TYPE_{name} REMOVED" in theirs
        base = "IQ4_NL" if name.startswith("IQ4_NL") else "Q4_0"
        assert (weights, size) == TYPES[base][1:3]
        return
    assert theirs.upper() == name
    assert (GGML.ggml_blck_size(number), GGML.ggml_type_size(number)) == (weights, size)


def test_unknown_or_undecodable_name_is_refused():
    for name in ("IQ4_XS", "Q9_9", "q8_0"):
        assert subprocess.run([DECODE, name], input=b"", capture_output=True).returncode == 2
