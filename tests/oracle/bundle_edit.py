"""Alters bundles on disk: plants a fault behind every digest, so that only a gate that looks at the meaning sees it.

    bundle = BundleEdit.copy(good, tmp_path / "bad.lathe")
    bundle.weight("layer_01_down").codes[5] += 3        # a view into its weight file, written through
    with bundle.program(0) as model: ...                # the package's protobuf, parsed by coremltools' own classes
    bundle.host_tensor("token_embd.weight")[7] ^= 1     # raw bytes of a tensor in host.gguf
    bundle.chain["options"]["context"] = 128            # chain.json as a dict
    bundle.redigest()                                   # sizes and digests of chain.json follow; any seal is removed

Shares nothing with lathe: digests are hashlib's and libxxhash's own, packages are read by coremltools' protobuf classes.
"""

import contextlib
import ctypes
import ctypes.util
import hashlib
import json
import pathlib
import re
import shutil
from dataclasses import dataclass

import coremltools.proto.Model_pb2 as Model_pb2
import gguf
import numpy as np

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"  # the first file, of most packages the only one


class _XXH128(ctypes.Structure):
    _fields_ = [("low64", ctypes.c_uint64), ("high64", ctypes.c_uint64)]


_xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
_xxhash.XXH3_128bits.restype = _XXH128
_xxhash.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh128(data):
    """XXH3-128 in the canonical form: high half first."""
    h = _xxhash.XXH3_128bits(data, len(data))
    return f"{h.high64:016x}{h.low64:016x}"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def own_sha256(said):
    """What the member `sha256` of seal.json and verify/report.json is to be (docs/chain-schema.md): over all other members
    as compact JSON, members by name, reals with 17 digits."""
    return sha256(compact({k: v for k, v in said.items() if k != "sha256"}).encode())


def compact(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{compact(k)}:{compact(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, float):
        text = re.sub(r"e([+-])0*", lambda m: "e" + m[1].strip("+"), f"{value:.17g}")
        return text if re.search("[.e]", text) else text + ".0"
    return json.dumps(value, ensure_ascii=False)


@dataclass
class Weight:
    """Views into a weight file. `codes` is [rows, cols] int8 (or fp16 for that form); `scale` is [rows] or [1] fp16, or None."""

    codes: np.ndarray
    scale: np.ndarray | None


class BundleEdit:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.chain = json.loads((self.path / "chain.json").read_text())

    @classmethod
    def copy(cls, source, path):
        shutil.copytree(source, path)
        return cls(path)

    # ---- packages

    def package(self, shard):
        return self.path / self.chain["shards"][shard]["package"]

    @contextlib.contextmanager
    def program(self, shard):
        """The package's Model message, for changing in place; written back at the end."""
        model = self.read_program(shard)
        yield model
        (self.package(shard) / MODEL).write_bytes(model.SerializeToString(deterministic=True))

    def read_program(self, shard):
        model = Model_pb2.Model()
        model.ParseFromString((self.package(shard) / MODEL).read_bytes())
        return model

    def operations(self, model, function):
        """The list of operations of one function of a message that program() gave."""
        blocks = model.mlProgram.functions[function].block_specializations
        assert len(blocks) == 1
        return next(iter(blocks.values())).operations

    def weight(self, name):
        """Views of the weight called `name` in chain.json, writable, kept in step with the file."""
        for i, shard in enumerate(self.chain["shards"]):
            for tensor in shard["tensors"]:
                if tensor["name"] == name:
                    return self._locate(i, tensor)
        raise KeyError(name)

    def _locate(self, shard, tensor):
        shape = (tensor["rows"], tensor["cols"])
        model = self.read_program(shard)
        for op in (op for f in model.mlProgram.functions for op in self.operations(model, f)):
            if not op.outputs or op.outputs[0].name != tensor["name"]:
                continue
            if op.type == "const":
                return Weight(self._blob(shard, op.attributes["val"], np.float16, shape), None)
            data, scale = (op.inputs[k].arguments[0].value for k in ("data", "scale"))
            n_scales = 1 if tensor["form"] == "int8-tensor" else shape[0]
            return Weight(self._blob(shard, data, np.int8, shape), self._blob(shard, scale, np.float16, (n_scales,)))
        raise KeyError(tensor["name"])

    def _blob(self, shard, value, dtype, shape):
        if value.HasField("immediateValue"):
            raise ValueError("an immediate value: change it through program()")
        path = (self.package(shard) / WEIGHTS).with_name(pathlib.PurePosixPath(value.blobFileValue.fileName).name)
        # A record of blob storage v2: 0xDEADBEEF, type, bytes, offset of the data, in 64 bytes.
        record = np.fromfile(path, np.uint8, 24, offset=value.blobFileValue.offset).tobytes()
        assert record[:4] == bytes.fromhex("efbeadde")
        n_bytes, offset = (int.from_bytes(record[k : k + 8], "little") for k in (8, 16))
        assert n_bytes == np.dtype(dtype).itemsize * int(np.prod(shape))
        return np.memmap(path, dtype, "r+", offset=offset, shape=shape)

    # ---- host.gguf

    def host_tensor(self, name):
        """The bytes of a tensor of host.gguf as it is stored, writable."""
        reader = gguf.GGUFReader(self.path / "host.gguf", "r+")
        return next(t for t in reader.tensors if t.name == name).data.view(np.uint8)

    def host_key(self, name):
        """The parts of a key of host.gguf that hold its value, writable: numbers as arrays, texts as bytes."""
        field = gguf.GGUFReader(self.path / "host.gguf", "r+").fields[name]
        return [field.parts[i] for i in field.data]

    # ---- chain.json and seal.json

    def write_chain(self):
        text = json.dumps(self.chain, indent=1, ensure_ascii=False)
        (self.path / "chain.json").write_text(text + "\n")
        (self.path / "seal.json").unlink(missing_ok=True)

    def redigest(self):
        """Makes chain.json true of the files again: sizes, SHA-256, XXH3-128. Removes the seal."""
        self._redigest_file(self.chain["host"])
        for shard in self.chain["shards"]:
            for file in shard["files"]:
                self._redigest_file(file)
            shard["bytes"] = sum(file["bytes"] for file in shard["files"])
        self.write_chain()

    def _redigest_file(self, entry):
        data = (self.path / entry["path"]).read_bytes()
        entry.update(bytes=len(data), sha256=sha256(data), xxh128=xxh128(data))

    def set_source(self, path):
        """Says everywhere in the bundle that it was made of the GGUF file at `path`, which it was not."""
        path = pathlib.Path(path)
        data = path.read_bytes()
        self.chain["source"].update(name=path.name, bytes=len(data), sha256=sha256(data))
        for i in range(len(self.chain["shards"])):
            with self.program(i) as model:
                model.description.metadata.userDefined["lathe.source"] = sha256(data)
        self.redigest()


def rewrite_gguf(source, path, keys=None, tensors=None):
    """Copies a GGUF file with other values: keys {name: value or None to drop}, tensors {name: float32 array}.

    A new value takes the old one's type; a key the file lacks takes one by its Python type. Tensors become F32; those
    the file lacks are added."""
    keys, tensors = dict(keys or {}), dict(tensors or {})
    reader = gguf.GGUFReader(source)
    arch = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(path, arch)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = keys.pop(name, field.contents()) if name in keys else field.contents()
        if value is None:
            continue
        sub = field.types[1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], sub)
    for name, value in keys.items():
        if value is not None:
            writer.add_key_value(name, value, gguf.GGUFValueType.get_type(value))
    for tensor in reader.tensors:
        if tensor.name in tensors:
            writer.add_tensor(tensor.name, np.ascontiguousarray(tensors.pop(tensor.name), np.float32))
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, data in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(data, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return pathlib.Path(path)


def read_tensor(path, name):
    """A tensor of a GGUF file, decoded to float32."""
    tensor = next(t for t in gguf.GGUFReader(path).tensors if t.name == name)
    return gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def swap_answers(source, path, pairs):
    """The model whose tied head names token b wherever `source` would say a, and the other way round, for (a, b) of pairs."""
    head = read_tensor(source, "token_embd.weight")
    for a, b in pairs:
        head[[a, b]] = head[[b, a]]
    return rewrite_gguf(source, path, tensors={"output.weight": head})
