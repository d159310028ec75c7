"""A GGUF file with one thing changed: a key, a tensor. What a wrong converter would have written."""

import gguf
import numpy as np

STRUCTURAL = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count")


def kind_of(value):
    """The type of a key that the file did not have."""
    kinds = gguf.GGUFValueType
    return {bool: kinds.BOOL, int: kinds.UINT32, float: kinds.FLOAT32, str: kinds.STRING, list: kinds.ARRAY}[type(value)]


def edit(source, target, keys=None, tensors=None):
    """Copies `source` to `target`.

    `keys`: name -> new value (of the type the key has, or a list of such; a new key's follows from the value), None drops it.
    `tensors`: name -> new array (F32), None drops it.
    """
    keys, tensors = dict(keys or {}), dict(tensors or {})
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name in STRUCTURAL or field.name == "general.architecture":
            continue
        kind = field.types[0]
        item = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        value = keys.pop(field.name) if field.name in keys else field.contents()
        if isinstance(value, list) and item is None:
            kind, item = gguf.GGUFValueType.ARRAY, kind
        if value is not None:
            writer.add_key_value(field.name, value, kind, sub_type=item)
    for name, value in keys.items():
        if value is not None:
            writer.add_key_value(name, value, kind_of(value))
    for tensor in reader.tensors:
        if tensor.name not in tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, array in tensors.items():
        if array is not None:
            writer.add_tensor(name, np.asarray(array, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
