"""lathe's decoders against two others, on random blocks: the numpy decoders of the PyPI package
`gguf`, and ggml's own scalar C functions, which the wheel `xllamacpp` exports. The floats must be
the same bits; where a NaN comes out (all bytes are random, scales too), a NaN must come out here.
"""
import os
import pathlib
import subprocess

import ggml
import gguf
import numpy
import pytest

DECODE = pathlib.Path(os.environ["LATHE_BUILD"]) / "tests" / "quant" / "decode_stdin"

N_BLOCKS = 2000

# Formats that ggml has taken out again: files have them, no current software gives their sizes.
REMOVED = {4, 5, 31, 32, 33, 36, 37, 38}


def read_types():
    lines = subprocess.run([DECODE, "--types"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in lines.splitlines()]
    return {name: (int(i), int(weights), int(size), flag == "1") for i, name, weights, size, flag in rows}


TYPES = read_types()
DECODABLE = [name for name, (_, _, _, is_decodable) in TYPES.items() if is_decodable]

# Plain numbers: numpy has them, neither decoder covers all.
NUMPY = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}

# gguf decodes neither: Q8_K is a form of activations, and its Q1_0 and Q2_0 are names alone.
NOT_IN_GGUF = {"Q8_K", "Q1_0", "Q2_0"}
GGML_ROW = [name for name in DECODABLE if ggml.row_function(name)]
GRIDS = {"iq1": "IQ1_S", "iq2_xxs": "IQ2_XXS", "iq2_xs": "IQ2_XS", "iq2_s": "IQ2_S", "iq3_xxs": "IQ3_XXS", "iq3_s": "IQ3_S"}


def random_blocks(name):
    _, _, size, _ = TYPES[name]
    seed = sum(name.encode())
    any_bytes = numpy.random.default_rng(seed).integers(0, 256, (N_BLOCKS, size), dtype=numpy.uint8)
    same_bytes = numpy.repeat(numpy.arange(256, dtype=numpy.uint8), size).reshape(256, size)
    return numpy.concatenate([any_bytes, same_bytes])


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


@pytest.mark.parametrize("name", [name for name in DECODABLE if name not in NUMPY and name not in NOT_IN_GGUF])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # random scales reach infinity
def test_blocks_as_gguf_decodes_them(name):
    blocks = random_blocks(name)
    expected = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name]).reshape(-1)
    assert expected.dtype == numpy.float32
    assert_same(decode(name, blocks), expected)


@pytest.mark.parametrize("name", GGML_ROW)
def test_blocks_as_ggml_decodes_them(name):
    blocks = random_blocks(name)
    assert_same(decode(name, blocks), ggml.decode(name, blocks, len(blocks) * TYPES[name][1]))


@pytest.mark.parametrize("name", [name for name in DECODABLE if name not in NUMPY])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scales_of_every_kind_as_ggml_decodes_them(name):
    """Subnormal, the largest, infinite and NaN, and every 61st binary16, at every place where a block could have one."""
    _, n_weights, size, _ = TYPES[name]
    edges = [0, 1, 0x3FF, 0x400, 0x7BFF, 0x7C00, 0x7C01, 0x7DFF, 0x7E00, 0x7FFF]
    halves = numpy.array(edges + [0x8000 | h for h in edges] + [*range(0, 65536, 61)], "<u2")
    for at in sorted({0, 2, size - 2, size - 4} & set(range(0, size - 1, 2))):
        blocks = numpy.full((len(halves), size), 0x5A, numpy.uint8)
        blocks[:, at : at + 2] = halves.view(numpy.uint8).reshape(-1, 2)
        assert_same(decode(name, blocks), ggml.decode(name, blocks, len(blocks) * n_weights))


def test_every_decodable_type_is_compared():
    assert set(DECODABLE) == set(NUMPY) | set(GGML_ROW)
    assert not [name for name in TYPES if name not in DECODABLE and ggml.row_function(name)]


def digits_of_gguf(name):
    """A grid of gguf as digits: [points, weights of a point]."""
    kind = getattr(gguf.quants, name)
    kind.init_grid()
    return numpy.searchsorted(numpy.array(kind.grid_map), kind.grid.reshape(kind.grid_shape))


def test_grids_equal_those_of_gguf():
    lines = subprocess.run([DECODE, "--grids"], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {name: points for name, *points in map(str.split, lines)}
    assert set(found) == set(GRIDS)
    for name, kind in GRIDS.items():
        expected = ["".join(map(str, point)) for point in digits_of_gguf(kind)]
        assert found[name] == expected, name


def test_table_holds_every_type_of_gguf():
    for kind, (weights, size) in gguf.GGML_QUANT_SIZES.items():
        number, *ours, _ = TYPES[kind.name]
        if kind.name == "Q8_1":
            size = 36  # gguf says 40: the block once had two floats; ggml's has two halves
        assert (number, *ours) == (kind.value, weights, size), kind.name


@pytest.mark.parametrize("name", TYPES)
def test_table_agrees_with_ggml(name):
    number, weights, size, _ = TYPES[name]
    theirs = ggml.LIBRARY.ggml_type_name(number).decode()
    if number in REMOVED:
        assert f"TYPE_{name} REMOVED" in theirs or number < 6 and theirs == "DEPRECATED"
        base = "IQ4_NL" if name.startswith("IQ4_NL") else "Q4_0"
        assert number < 6 or (weights, size) == TYPES[base][1:3]
        return
    assert theirs.upper() == name
    assert (ggml.LIBRARY.ggml_blck_size(number), ggml.LIBRARY.ggml_type_size(number)) == (weights, size)


def test_unknown_or_undecodable_name_is_refused():
    for name in ("Q4_0_4_4", "Q8_1", "Q9_9", "q8_0"):
        assert subprocess.run([DECODE, name], input=b"", capture_output=True).returncode == 2
