"""Packages against coremltools: every form that `lathe convert` emits loads there with full type inference, and what
coremltools writes of it again is read by lathe's reader and computes the same bits.
"""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
from command import HELLO, done
from tokenizer_oracle import BUILD

import coremltools as ct
import coremltools.proto.Model_pb2 as Model_pb2
from coremltools.converters.mil.converter import mil_convert
from coremltools.converters.mil.frontend.milproto import load as milproto
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights"
CONTEXT, PREFILL = 128, 64  # a short state keeps the runs short

KV, FORMS, FUNCTIONS = ("overwrite", "slice"), ("int8", "int8-tensor", "fp16"), ("decode,prefill", "decode")
BUNDLES = [(kv, form, functions) for kv in KV for form in FORMS for functions in FUNCTIONS] + [
    ("rows", "int8", "decode,prefill"), ("rows", "fp16", "decode"), "head-alone", "three-files"]


def name_of(case):
    return case if isinstance(case, str) else "-".join(case).replace(",", "+")


@pytest.fixture(scope="module")
def make_bundle(tmp_path_factory):
    """case -> bundle of hello-phi3, made once."""
    made = {}

    def make(case):
        if case in made:
            return made[case]
        path = made[case] = tmp_path_factory.mktemp("bundle") / "hello.lathe"
        if case == "head-alone":
            # Below this size a layer fits, but not beside the head: see tests/convert/convert_limit.c.
            subprocess.run([BUILD / "tests/convert/convert_limit", HELLO, path, "400000"], check=True)
        elif case == "three-files":
            done("convert", HELLO, "-o", path, "--context", CONTEXT, "--weight-files", 3)
        else:
            kv, form, functions = case
            done("convert", HELLO, "-o", path, "--kv", kv, "--weights", form, "--functions", functions,
                 "--context", CONTEXT, "--layers-per-shard", 2)
        return path

    return make


@pytest.fixture(scope="module", params=BUNDLES, ids=name_of)
def bundle(request, make_bundle):
    return make_bundle(request.param)


def chain_of(bundle):
    return json.loads((bundle / "chain.json").read_text())


def packages(bundle):
    return [(shard, bundle / shard["package"]) for shard in chain_of(bundle)["shards"]]


def spec_of(package):
    spec = Model_pb2.Model()
    spec.ParseFromString((package / MODEL).read_bytes())
    return spec


def infer(package, spec):
    """The package as coremltools' own program; every declared type is compared with its inference on the way."""
    return milproto.load(spec, spec.specificationVersion, str(package / WEIGHTS))


@pytest.fixture(scope="module")
def programs(bundle):
    """(shard of chain.json, package, coremltools' program of it), of at most three packages: further ones are alike."""
    return [(shard, package, infer(package, spec_of(package))) for shard, package in packages(bundle)[-3:]]


def export(package, program, path):
    """Writes the program again by coremltools, unchanged: no pass of its converter runs."""
    spec = spec_of(package)
    program.skip_all_passes = True
    if spec.description.defaultFunctionName:
        program.export_as_multifunction = True
        program.default_function_name = spec.description.defaultFunctionName
    model = mil_convert(program, convert_to="mlprogram", convert_from="milinternal",
                        specification_version=spec.specificationVersion, compute_units=ct.ComputeUnit.CPU_ONLY,
                        model_description=spec.description, skip_model_load=True)
    model.save(str(path))
    return path


def run_package(package, *steps):
    run = subprocess.run([BUILD / "tests/mlpackage/run_package", package, *steps], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def index_vector(name, at, rows, heads, dim):
    """Where the new rows of a layer begin or end in the one state of the slice form."""
    kind, layer = name.rsplit("_", 1)
    pair = 2 * int(layer)
    numbers = {"kv_begin": (pair, 0, at, 0), "kv_end": (pair + 2, heads, at + rows, dim)}[kind]
    return "/".join(map(str, numbers))


def steps_of(shard):
    """Calls that fill the state from its first row to its last, and the head."""
    named = {f["role"]: f for f in shard["functions"]}
    steps, at = [], 0
    for role in ("decode", "decode", "prefill", "decode"):
        if role not in named:
            continue
        f = named[role]
        ints = [p["name"] for p in f["inputs"] if p["dtype"] == "int32"]
        heads, _, dim = f["states"][0]["shape"][1:] if f["states"] else (0, 0, 0)
        steps.append(f["name"] + (":" + ",".join(f"{n}={index_vector(n, at, f['rows'], heads, dim)}" for n in ints) if ints else ""))
        at += f["rows"]
    return steps + [f["name"] for role, f in named.items() if role == "head"]


# ---- every form that convert emits

def test_forms_are_all_there(bundle):
    chain = chain_of(bundle)
    roles = [[f["role"] for f in shard["functions"]] for shard in chain["shards"]]
    if chain["options"]["target"] == "limited":
        assert roles == [["decode", "prefill"]] * 4 + [["head"]]
        assert [s["functions"][0]["name"] for s in chain["shards"]] == ["decode"] * 4 + ["main"]
    else:
        layers = ["decode", "prefill"] if chain["options"]["prefill_rows"] else ["decode"]
        whole = chain["options"]["weight_files"] > 0
        assert roles == ([] if whole else [layers]) + [layers + ["head"]]


def test_loads(bundle, tmp_path):
    for i, (shard, package) in enumerate(packages(bundle)):
        copy = tmp_path / f"{i}.mlpackage"
        shutil.copytree(package, copy)  # loading rewrites the manifest
        names = [f["name"] for f in shard["functions"]]
        for name in names:
            model = ct.models.MLModel(str(copy), skip_model_load=True,
                                      function_name=None if names == ["main"] else name)
            assert model.get_spec().specificationVersion == 9
        spec = model.get_spec()
        described = {f.name: f for f in spec.description.functions} or {"main": spec.description}
        assert set(described) == set(names)
        for f in shard["functions"]:
            assert [p.name for p in described[f["name"]].input] == [p["name"] for p in f["inputs"]]
            assert [p.name for p in described[f["name"]].output] == [p["name"] for p in f["outputs"]]
            assert [p.name for p in described[f["name"]].state] == [p["name"] for p in f["states"]]
        assert spec.description.defaultFunctionName == ("" if names == ["main"] else names[0])


def shape_and_dtype(var):
    return list(var.shape), types.builtin_to_string(var.dtype)


def test_types_are_inferred(programs):
    for shard, package, program in programs:
        assert set(program.functions) == {f["name"] for f in shard["functions"]}
        for stated in shard["functions"]:
            f = program.functions[stated["name"]]
            ports = {p["name"]: (p["shape"], p["dtype"]) for p in stated["inputs"]}
            states = {p["name"]: (p["shape"], p["dtype"]) for p in stated["states"]}
            assert set(f.inputs) == set(ports) | set(states)
            for name, wanted in ports.items():
                assert shape_and_dtype(f.inputs[name]) == wanted
            for name, (shape, dtype) in states.items():
                assert types.is_state(f.inputs[name].sym_type)
                wrapped = f.inputs[name].sym_type.wrapped_type()
                assert (list(wrapped.get_shape()), types.builtin_to_string(wrapped.get_primitive())) == (shape, dtype)
            assert [(p["shape"], p["dtype"]) for p in stated["outputs"]] == [shape_and_dtype(v) for v in f.outputs]


REWRITE = """
import sys
import coremltools.proto.Model_pb2 as Model_pb2
for path in sys.argv[1:]:
    found = open(path, "rb").read()
    spec = Model_pb2.Model()
    spec.ParseFromString(found)
    if spec.SerializeToString(deterministic=True) != found:
        sys.exit(path)
"""


def test_bytes_are_those_of_protobuf(make_bundle, example):
    """Shortest varints, defaults left out, fields in order, maps sorted: what protobuf's own writer makes of it.

    Its Python implementation sorts keys as strings; the C one puts "pad_type" before "pad"."""
    forms = [("slice", "int8", "decode,prefill"), ("overwrite", "fp16", "decode"), "head-alone", "three-files"]
    paths = [package / MODEL for case in forms for _, package in packages(make_bundle(case))[-2:]] + [example / MODEL]
    run = subprocess.run([sys.executable, "-c", REWRITE, *paths], capture_output=True, text=True,
                         env=os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"})
    assert run.returncode == 0, run.stderr.splitlines()[-1]


def test_functions_share_their_weights(bundle):
    for shard, package in packages(bundle):
        offsets = {}
        for name, function in spec_of(package).mlProgram.functions.items():
            for op in next(iter(function.block_specializations.values())).operations:
                values = [a.value for v in op.inputs.values() for a in v.arguments] + list(op.attributes.values())
                for v in values:
                    if v.WhichOneof("value") == "blobFileValue":
                        place = v.blobFileValue.fileName, v.blobFileValue.offset
                        offsets.setdefault(name, set()).add(place)
        assert all(offsets[f["name"]] == offsets["decode"] for f in shard["functions"] if f["role"] == "prefill")


def test_weight_file_is_record_after_record(bundle):
    """Without a gap but to the next multiple of 64, as many as the header says, to the file's end."""
    for data in (path.read_bytes() for _, package in packages(bundle) for path in sorted((package / WEIGHTS).iterdir())):
        count, version = struct.unpack_from("<II", data)
        assert version == 2 and not any(data[8:64])
        at = 64
        for _ in range(count):
            sentinel, _, n_bytes, data_at, padding = struct.unpack_from("<IIQQQ", data, at)
            assert (sentinel, data_at, padding) == (0xDEADBEEF, at + 64, 0) and not any(data[at + 32 : at + 64])
            end = data_at + n_bytes
            at = -(-end // 64) * 64
            assert not any(data[end:at])
        assert end == len(data)


def test_weights_in_several_files_are_those_of_one(make_bundle):
    """Every constant, as coremltools reads it by the file and the offset that the program names."""
    found = []
    for case in ("three-files", ("overwrite", "int8", "decode,prefill")):
        constants = {}
        for _, package in packages(make_bundle(case)):
            for f in infer(package, spec_of(package)).functions.values():
                for op in f.operations:
                    if op.op_type == "constexpr_blockwise_shift_scale":
                        constants[op.name] = op.data.val.tobytes(), op.scale.val.tobytes()
        found.append(constants)
    assert found[0] == found[1] and len(found[0]) == 17  # four matrices of four layers, and the head
    [[_, package]] = packages(make_bundle("three-files"))
    assert sorted(p.name for p in (package / WEIGHTS).iterdir()) == ["weight.bin", "weight_1.bin", "weight_2.bin"]


def test_written_again_by_coremltools_it_computes_the_same(programs, tmp_path):
    for i, (shard, package, program) in enumerate(programs):
        again = export(package, program, tmp_path / f"{i}.mlpackage")
        assert (again / MODEL).read_bytes() != (package / MODEL).read_bytes()  # it is another writing
        steps = steps_of(shard)
        ours = run_package(package, *steps)
        assert ours == run_package(again, *steps)
        outputs = [line.split(" ")[-1] for line in ours.splitlines()]
        n_outputs = {f["name"]: len(f["outputs"]) for f in shard["functions"]}
        assert len(outputs) == sum(n_outputs[s.split(":")[0]] for s in steps) + sum(len(f["states"]) for f in shard["functions"][:1])
        assert all(len(set(o)) > 2 for o in outputs)  # no zeros


# ---- the worked example of the format

EXAMPLE_SHA256 = "6dc27de3b0f6f9796707f3aaad10e68d8077bc28ffeeb47cde97ff664d360078"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "ours.mlpackage"
    subprocess.run([BUILD / "tests/mlpackage/write_example", path], check=True)
    return path


def build_example():
    """The convolution by coremltools' own builder."""

    @mb.program(input_specs=[mb.TensorSpec((1, 4, 1, 1), types.fp16)], opset_version=ct.target.iOS18)
    def program(x):
        w = mb.constexpr_blockwise_shift_scale(data=np.arange(-16, 16, dtype=np.int8).reshape(8, 4, 1, 1),
                                               scale=np.full((1, 1, 1, 1), 0.5, np.float16), name="w")
        return mb.conv(x=x, weight=w, name="y")

    return program


def test_example_is_what_coremltools_builds(example, tmp_path):
    program = build_example()
    program.skip_all_passes = True
    model = mil_convert(program, convert_to="mlprogram", convert_from="milinternal", specification_version=9,
                        compute_units=ct.ComputeUnit.CPU_ONLY, skip_model_load=True)
    model.save(str(tmp_path / "theirs.mlpackage"))
    theirs = spec_of(tmp_path / "theirs.mlpackage")
    # Who made it and when is theirs alone.
    theirs.description.ClearField("metadata")
    theirs.mlProgram.attributes.clear()
    assert theirs == spec_of(example)
    assert (tmp_path / "theirs.mlpackage" / WEIGHTS / "weight.bin").read_bytes() == \
        (example / WEIGHTS / "weight.bin").read_bytes()
    assert hashlib.sha256((example / MODEL).read_bytes()).hexdigest() == EXAMPLE_SHA256


def test_example_survives_coremltools_unchanged(example, tmp_path):
    path = export(example, infer(example, spec_of(example)), tmp_path / "again.mlpackage")
    again = spec_of(path)
    again.description.ClearField("metadata")
    again.mlProgram.attributes.clear()
    assert again == spec_of(example)
    assert (path / WEIGHTS / "weight.bin").read_bytes() == (example / WEIGHTS / "weight.bin").read_bytes()


def test_example_computes_the_convolution(example):
    """The weights of row r are (4r-16 … 4r-13)/2; x is whatever run_package makes of its name."""
    bits = run_package(example, "main").split()[-1]
    y = np.frombuffer(bytes.fromhex(bits), ">f4").astype(np.float64)
    steps = np.diff(y)  # each row is the row before plus 2 · sum(x)
    assert np.allclose(steps, steps[0], atol=2**-8) and abs(steps[0]) > 2**-5
