"""ggml's own scalar quantisers and decoders of block types, which the wheel `xllamacpp` exports."""

import ctypes
import pathlib

import numpy
import xllamacpp

LIBRARY = ctypes.CDLL(str(pathlib.Path(xllamacpp.__file__).parent / "xllamacpp.abi3.so"))
LIBRARY.ggml_type_name.restype = ctypes.c_char_p
LIBRARY.ggml_type_name.argtypes = [ctypes.c_int]
LIBRARY.ggml_blck_size.restype = ctypes.c_int64
LIBRARY.ggml_type_size.restype = ctypes.c_size_t
LIBRARY.ggml_quantize_chunk.restype = ctypes.c_size_t
LIBRARY.ggml_quantize_chunk.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]

SPELT = {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}


def row_function(name):
    """ggml's decoder of a row, or None: of plain numbers, activations and what it has retired."""
    spelt = SPELT.get(name, "dequantize_row_" + (name.lower()[:-1] + "K" if name.endswith("_K") else name.lower()))
    function = getattr(LIBRARY, spelt, None)
    if function:
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64], None
    return function


def decode(name, blocks, n_weights):
    """`n_weights` floats of a contiguous array of blocks."""
    out = numpy.zeros(n_weights, "<f4")
    row_function(name)(blocks.ctypes.data, out.ctypes.data, out.size)
    return out


def quantize(number, rows):
    """Rows of floats as blocks of type `number`, every weight of equal importance: an array of bytes, a row each."""
    rows = numpy.ascontiguousarray(rows, "<f4")
    n_rows, n_cols = rows.shape
    row_bytes = n_cols // LIBRARY.ggml_blck_size(number) * LIBRARY.ggml_type_size(number)
    out, importance = numpy.zeros((n_rows, row_bytes), numpy.uint8), numpy.ones(n_cols, "<f4")
    written = LIBRARY.ggml_quantize_chunk(number, rows.ctypes.data, out.ctypes.data, 0, n_rows, n_cols, importance.ctypes.data)
    assert written == out.size
    return out
