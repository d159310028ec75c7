"""A GGUF file taken apart into fields that can be set one by one, whatever they then say, and put together again."""

import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
SIZES = {U8: 1, I8: 1, U16: 2, I16: 2, U32: 4, I32: 4, F32: 4, BOOL: 1, U64: 8, I64: 8, F64: 8}


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def array(kind, items):
    body = b"".join(string(i) if kind == STRING else struct.pack({U32: "<I", I32: "<i", F32: "<f"}[kind], i) for i in items)
    return struct.pack("<IQ", kind, len(items)) + body


class Key:
    def __init__(self, name, kind, value):
        self.name, self.kind, self.value = name, kind, value


class Tensor:
    def __init__(self, name, dims, kind, offset):
        self.name, self.dims, self.kind, self.offset = name, dims, kind, offset


class File:
    def __init__(self, raw):
        self.raw, self.at = raw, 4
        self.magic = raw[:4]
        self.version, self.n_tensors, self.n_keys = self._take("<IQQ")
        self.boundaries = [4, 8, 16, self.at]  # where one part ends and the next begins
        self.keys = [self._key() for _ in range(self.n_keys)]
        self.tensors = [self._tensor() for _ in range(self.n_tensors)]
        self.alignment = 32
        self.data_at = -(-self.at // 32) * 32
        self.boundaries.append(self.data_at)
        self.boundaries += [self.data_at + t.offset for t in self.tensors]
        self.data = bytearray(raw[self.data_at :])

    def _take(self, form):
        values = struct.unpack_from(form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return values

    def _string(self):
        (n,) = self._take("<Q")
        self.at += n
        return self.raw[self.at - n : self.at]

    def _skip(self, kind):
        if kind == STRING:
            self._string()
        elif kind == ARRAY:
            inner, n = self._take("<IQ")
            for _ in range(n):
                self._skip(inner)
        else:
            self.at += SIZES[kind]

    def _key(self):
        name = self._string().decode()
        (kind,) = self._take("<I")
        start = self.at
        self._skip(kind)
        self.boundaries.append(self.at)
        return Key(name, kind, self.raw[start : self.at])

    def _tensor(self):
        name = self._string().decode()
        (n,) = self._take("<I")
        tensor = Tensor(name, list(self._take(f"<{n}Q")), *self._take("<IQ"))
        self.boundaries.append(self.at)
        return tensor

    def key(self, name):
        return next(k for k in self.keys if k.name == name)

    def tensor(self, name):
        return next(t for t in self.tensors if t.name == name)

    def put(self, name, kind, value):
        """Sets a key or adds it. `value`: a number, a string, or the encoded bytes."""
        if kind == STRING and isinstance(value, str):
            value = string(value)
        elif not isinstance(value, bytes):
            value = struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q"}[kind], value)
        self.drop(name)
        self.add(name, kind, value)

    def add(self, name, kind, value):
        self.keys.append(Key(name, kind, value))
        self.n_keys += 1

    def drop(self, name):
        kept = [k for k in self.keys if k.name != name]
        self.n_keys -= len(self.keys) - len(kept)
        self.keys = kept

    def drop_tensor(self, name):
        self.tensors.remove(self.tensor(name))
        self.n_tensors -= 1

    def set_floats(self, name, values):
        struct.pack_into(f"<{len(values)}f", self.data, self.tensor(name).offset, *values)

    def bytes(self):
        out = self.magic + struct.pack("<IQQ", self.version, self.n_tensors, self.n_keys)
        for k in self.keys:
            out += string(k.name) + struct.pack("<I", k.kind) + k.value
        for t in self.tensors:
            out += string(t.name) + struct.pack("<I", len(t.dims)) + struct.pack(f"<{len(t.dims)}Q", *t.dims)
            out += struct.pack("<IQ", t.kind, t.offset)
        return out + bytes(-len(out) % self.alignment) + self.data
