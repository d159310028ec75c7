"""Values in the text form of programs, as src/mil/ reads it."""
import numpy as np

from coremltools.converters.mil.mil import types

NUMPY = {"float16": "fp16", "float32": "fp32"}


def dtype_name(dtype):
    """What the text form calls a numpy dtype, coremltools' sub-byte ones included."""
    dtype = np.dtype(dtype)
    return NUMPY.get(dtype.name) or types.builtin_to_string(types.numpy_type_to_builtin_type(dtype))


def type_text(name, shape):
    return name + ("[%s]" % ", ".join(map(str, shape)) if shape else "")


def literal(value):
    """A constant operand: a str, bool or int, or a numpy scalar or array."""
    if isinstance(value, str):
        return 'string("%s")' % value
    if isinstance(value, (bool, np.bool_)):
        return "bool(%s)" % str(bool(value)).lower()
    if isinstance(value, int):
        return "int32(%d)" % value
    array = np.asarray(value)
    name = dtype_name(array.dtype)
    if name == "bool":
        text = [str(bool(v)).lower() for v in array.flatten()]
    elif name.startswith("fp"):
        text = ["%.9g" % v for v in array.flatten()]
    else:
        text = [str(int(v)) for v in array.flatten()]
    return "%s(%s)" % (type_text(name, array.shape), "[%s]" % ", ".join(text) if array.shape else text[0])
