"""Bundles against their written schema, and what is refused: chain.json that says too little or too much, seals that are
missing, foreign or over other bytes."""

import copy
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import jsonschema
import pytest
from bundle_edit import BundleEdit, compact, own_sha256, rewrite_gguf
from command import HELLO, LATHE, ROOT, done, lathe, table
from random_models import RandomModel
from tokenizer_oracle import BUILD

SCHEMA = json.loads((ROOT / "docs/chain.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def chain_of(bundle):
    return json.loads((bundle / "chain.json").read_text())


# ---- real bundles fit the schema

BUNDLES = {
    "int8": (),
    "slice": ("--kv", "slice", "--functions", "decode", "--range", "off"),
    "fp16": ("--weights", "fp16", "--layers-per-shard", 1),
    "one function": ("--functions", "one", "--kv", "rows"),
    "int8-tensor": ("--weights", "int8-tensor", "--context", 600, "--target", "macos26"),
}


def test_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_are_valid(name, tmp_path):
    done("convert", HELLO, "-o", tmp_path / "m.lathe", *BUNDLES[name])
    VALIDATOR.validate(chain_of(tmp_path / "m.lathe"))


def test_a_head_alone_and_biases_are_valid(tmp_path):
    model = RandomModel("llama", biases=("qkv", "out"), tied=False).write(tmp_path / "m.gguf")
    done("convert", model, "-o", tmp_path / "a.lathe")
    subprocess.run([BUILD / "tests/convert/convert_limit", HELLO, tmp_path / "b.lathe", "400000"], check=True)
    for name, roles in (("a", {"q_bias", "attn_out_bias"}), ("b", {"q", "head"})):
        chain = chain_of(tmp_path / f"{name}.lathe")
        VALIDATOR.validate(chain)
        assert roles <= {p["role"] for s in chain["shards"] for t in s["tensors"] for p in t["parts"]}


# ---- the schema says what the program's table says

KINDS = {"U32": {"$ref": "#/$defs/u32"}, "F32": {"type": "number"}, "BOOL": {"type": "boolean"},
         "F32S": {"type": "array", "items": {"type": "number"}}, "TEXT": {"type": "string"},
         "U32S": {"type": "array", "items": {"$ref": "#/$defs/u32"}}}


def test_contract_is_the_table_of_fields():
    rows = table("fields")
    assert len(rows) > 40
    contract = SCHEMA["properties"]["contract"]
    assert list(contract["properties"]) == contract["required"] == [name for name, *_ in rows]
    for name, kind, doc, layer in rows:
        stated = dict(contract["properties"][name])
        assert stated.pop("description").startswith(doc)
        if layer:
            stated, by_kind = stated["anyOf"]
            assert by_kind == {"$ref": "#/$defs/by_kind"}
        assert set(stated) == {"enum"} if kind.startswith("ENUM") else stated == KINDS[kind], name


def test_ranges_are_the_table_of_figures():
    rows = [(name, doc) for name, doc, *_ in table("figures")]
    layer = SCHEMA["$defs"]["layer_range"]
    assert [(name, stated["description"]) for name, stated in layer["properties"].items()] == rows
    assert layer["required"] == [name for name, _ in rows]


def test_landmarks_are_the_table_of_places():
    rows = [name for name, *_ in table("landmarks")]
    assert SCHEMA["$defs"]["landmark"]["properties"]["place"]["enum"] == rows


# ---- the schema is tight

def thin(chain):
    """The same with two of every list of objects: what differs by place only is tried once."""
    chain = copy.deepcopy(chain)
    del chain["ranges"]["layers"][1:]
    for shard in chain["shards"]:
        del shard["tensors"][2:-1], shard["landmarks"][2:]
        for function in shard["functions"]:
            del function["inputs"][2:]
    return chain


@pytest.fixture(scope="module")
def chain(hello_sealed):
    return thin(chain_of(hello_sealed))


def members(value, path=()):
    """Paths of all members of objects, anywhere below."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*path, key)
        yield from members(below, (*path, key))


def changed(chain, path, change):
    out = copy.deepcopy(chain)
    parent = out
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return out


def other_types(value):
    """Values of every other JSON type; a whole number is a number, so numbers are tried as what they are not."""
    kinds = {str: "text", bool: True, int: 7, float: 0.5, list: [], dict: {}, type(None): None}
    numbers = {int, float}
    for kind, sample in kinds.items():
        if kind is not type(value) and not (type(value) is float and kind in numbers):
            yield sample


def test_thinned_chain_is_valid(chain):
    VALIDATOR.validate(chain)
    assert len(list(members(chain))) > 250


def test_no_member_may_be_missing(chain):
    for path in members(chain):
        assert not VALIDATOR.is_valid(changed(chain, path, lambda parent, key: parent.pop(key))), path


def test_no_member_may_be_of_another_type(chain):
    for path in members(chain):
        value = chain
        for key in path:
            value = value[key]
        for other in other_types(value):
            if path[-1] in ("layer", "ranges") and other is None or (value is None and other == 7):
                continue  # a number or an object, or null
            if path[-1] == "publisher" and isinstance(other, str | None):
                continue  # a text or null
            bad = changed(chain, path, lambda parent, key: parent.__setitem__(key, other))
            assert not VALIDATOR.is_valid(bad), (path, other)


def test_no_member_may_be_added(chain):
    objects = {path[:-1] for path in members(chain)}
    assert len(objects) > 40
    for path in objects:
        bad = changed(chain, (*path, "news"), lambda parent, key: parent.__setitem__(key, 1))
        assert not VALIDATOR.is_valid(bad), path


@pytest.mark.parametrize(("path", "value"), [
    (("schema",), 2), (("source", "sha256"), "0" * 63), (("source", "sha256"), "G" * 64), (("source", "bytes"), -1),
    (("source", "name"), "../m.gguf"), (("host", "path"), "/etc/passwd"), (("options", "kv"), "other"),
    (("options", "context"), 2**32), (("contract", "architecture"), "other"), (("shards",), []),
    (("shards", 0, "layers"), [0]), (("shards", 0, "functions", 0, "role"), "other"),
    (("shards", 0, "functions", 0, "inputs", 0, "shape"), [1, 0, 1, 1]),
    (("shards", 0, "functions", 0, "inputs", 0, "dtype"), "fp32"), (("shards", 0, "tensors", 0, "parts"), []),
    (("shards", 0, "tensors", 0, "parts", 0, "role"), "other"),
])
def test_values_have_their_range(chain, path, value):
    assert not VALIDATOR.is_valid(changed(chain, path, lambda parent, key: parent.__setitem__(key, value)))


# ---- lathe reads as strictly

@pytest.fixture(scope="module")
def edited(hello_sealed, tmp_path_factory):
    """A bundle whose chain.json tests write anew."""
    return BundleEdit.copy(hello_sealed, tmp_path_factory.mktemp("edited") / "m.lathe").path


def structure(bundle, chain):
    (bundle / "chain.json").write_text(json.dumps(chain))
    return lathe("verify", bundle, "--model", HELLO, "--gates", "structure")


def kinds_of(chain):
    """One path for each kind of member: `shards/*/bytes`, not one for every shard."""
    seen = {}
    for path in members(chain):
        seen.setdefault(tuple("*" if isinstance(k, int) else k for k in path), path)
    return seen.values()


def test_lathe_misses_every_member(edited, hello_sealed):
    chain = chain_of(hello_sealed)
    assert structure(edited, chain).returncode == 0
    paths = list(kinds_of(chain))
    assert len(paths) > 80
    for path in paths:
        run = structure(edited, changed(chain, path, lambda parent, key: parent.pop(key)))
        assert run.returncode == 3 and "chain.json" in run.stderr and str(path[-1]) in run.stderr, (path, run.stderr)


def test_lathe_wants_every_type(edited, hello_sealed):
    chain = chain_of(hello_sealed)
    for path in kinds_of(chain):
        value = chain
        for key in path:
            value = value[key]
        other = 7 if isinstance(value, (str, bool)) or path[-1] == "publisher" else "text"
        run = structure(edited, changed(chain, path, lambda parent, key: parent.__setitem__(key, other)))
        assert run.returncode == 3 and str(path[-1]) in run.stderr, (path, run.stderr)


@pytest.mark.parametrize(("path", "value", "words"), [
    (("schema",), 99, "which this version of lathe reads"), (("host", "path"), "../host.gguf", "does not stay inside the bundle"),
    (("shards", 0, "package"), "shards/../../x", "does not stay inside the bundle"),
    (("shards", 0, "files", 0, "path"), "/etc/passwd", "does not stay inside the bundle"),
    (("shards", 0, "layers"), [0, 1], "30 items, expected 15"),
    (("shards", 1, "logits"), [0, 2047], "vocabulary row 2047"), (("shards", 0, "layers"), [2, 0], "expected [first, end]"),
    (("shards", 0, "layers"), ["0", "2"], "expected [first, end]"),
    (("shards", 0, "functions", 0, "inputs", 0, "shape"), [1, "128", 1, 1], "dimension 1 must be a positive integer"),
    (("shards", 0, "functions", 0, "inputs", 0, "dtype"), "fp17", "'fp17' is not a data type"),
    (("shards", 0, "functions", 0, "role"), "other", "no decode function"),
    (("shards", 0, "tensors", 1, "parts", 1, "first_row"), 0, "leave gaps or overlap"),
    (("shards", 0, "tensors", 1, "rows"), 255, "parts of 256 rows in all, expected 255"),
    (("shards", 0, "landmarks", 3, "place"), "other", "item 3, expected 'v' of layer 0"),
    (("shards", 0, "landmarks", 15, "layer"), 0, "item 15, expected 'attn_normed' of layer 1"),
    (("shards", 0, "landmarks"), [], "item 0, expected 'attn_normed' of layer 0"),
    (("contract", "rope_dim"), 32, "it was altered"), (("contract_sha256",), "0" * 64, "it was altered"),
    (("options", "context"), 0, "contradict"), (("options", "state_rows"), 32, "contradict"),
])
def test_lathe_refuses(edited, hello_sealed, path, value, words):
    chain = changed(chain_of(hello_sealed), path, lambda parent, key: parent.__setitem__(key, value))
    run = structure(edited, chain)
    assert run.returncode == 3 and words in run.stderr, run.stderr
    assert run.stderr.rstrip().endswith(f"convert the model again: lathe convert {HELLO} -o {edited} --force")


def test_lathe_misses_a_layer(edited, hello_sealed):
    chain = chain_of(hello_sealed)
    shard = chain["shards"][1]
    shard["layers"] = [3, 5]
    for mark in shard["landmarks"]:
        mark["layer"] += 1
    run = structure(edited, chain)
    assert run.returncode == 3 and "begins at layer 3, expected 2" in run.stderr, run.stderr


# ---- seals

def chat(bundle, *args):
    return lathe("chat", bundle, "-p", "hello", "--max-tokens", "1", *args)


def assert_refused(bundle, *words):
    run = chat(bundle)
    assert run.returncode in (1, 5), (run.returncode, run.stderr)
    assert run.stdout == "" and re.search(r"lathe (verify|convert)", run.stderr), run.stderr
    assert all(w in run.stderr for w in words), run.stderr


@pytest.fixture
def sealed(hello_sealed, tmp_path):
    return BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")


def test_a_sealed_bundle_chats(sealed):
    assert chat(sealed.path).returncode == 0


def test_no_seal(sealed):
    (sealed.path / "seal.json").unlink()
    assert_refused(sealed.path, "is not sealed", "lathe verify")


def test_a_foreign_seal(sealed, tmp_path):
    """One that is good over another bundle of the same model."""
    done("convert", HELLO, "-o", tmp_path / "other.lathe", "--context", 256)
    done("verify", tmp_path / "other.lathe", "--model", HELLO)
    shutil.copy(tmp_path / "other.lathe/seal.json", sealed.path / "seal.json")
    assert_refused(sealed.path, "a seal over another chain.json", "lathe verify")


@pytest.mark.parametrize("member", ["schema", "chain_sha256", "gates", "gate_schemas", "sha256", "build", "kernels",
                                    "contract_sha256", "source_sha256", "unproved"])
def test_a_seal_that_lacks_a_member(sealed, member):
    seal = json.loads((sealed.path / "seal.json").read_text())
    del seal[member]
    (sealed.path / "seal.json").write_text(json.dumps(seal))
    assert_refused(sealed.path, "a seal that cannot be read", member, "lathe verify")


def test_a_seal_that_is_no_json(sealed):
    (sealed.path / "seal.json").write_text("{")
    assert_refused(sealed.path, "a seal that cannot be read", "lathe verify")


def test_a_seal_with_better_figures(sealed):
    """Figures, the tool, what was measured where: nothing a seal says can be edited unnoticed."""
    good = json.loads((sealed.path / "seal.json").read_text())
    for change in (lambda s: s["gates"]["graph"][0]["figures"].update(cos=1.0), lambda s: s.update(tool="lathe 9"),
                   lambda s: s.update(device={"chip": "M4", "build": "26A1"}), lambda s: s.update(extra=1),
                   lambda s: s.update(contract_sha256="0" * 64)):
        seal = copy.deepcopy(good)
        change(seal)
        (sealed.path / "seal.json").write_text(json.dumps(seal))
        assert_refused(sealed.path, "a seal that was edited", "lathe verify")


def spelled(value, indent=0):
    """JSON as lathe writes it to files."""
    if not isinstance(value, (dict, list)) or not value:
        return compact(value)
    inner = "\n" + " " * (indent + 1)
    if isinstance(value, dict):
        items = (f"{compact(k)}: {spelled(v, indent + 1)}" for k, v in value.items())
    else:
        items = (spelled(v, indent + 1) for v in value)
    ends = "{}" if isinstance(value, dict) else "[]"
    return ends[0] + inner + ("," + inner).join(items) + "\n" + " " * indent + ends[1]


def write_seal(bundle, seal):
    """As a lathe would that says this: to the byte in its spelling, with the true digest over itself."""
    seal["sha256"] = own_sha256(seal)
    (bundle / "seal.json").write_text(spelled(seal) + "\n")


def test_a_seal_is_of_this_build_contract_and_source(sealed):
    """The digest that it has over itself is true each time: what it says is what is wrong."""
    good = json.loads((sealed.path / "seal.json").read_text())
    write_seal(sealed.path, copy.deepcopy(good))
    assert chat(sealed.path).returncode == 0

    def fail_a_gate(seal):
        seal["gates"]["graph"][0].update(passed=False, verdict="failed")

    for change, words in ((lambda s: s.update(build="0" * 64), "proved by another build of lathe"),
                          (lambda s: s.update(contract_sha256="0" * 64), "over another contract"),
                          (lambda s: s.update(source_sha256="0" * 64), "over another source"),
                          (lambda s: s["gates"].update(graph=[]), "gate 'graph' was less strict"), (fail_a_gate, "a gate that failed")):
        seal = copy.deepcopy(good)
        change(seal)
        write_seal(sealed.path, seal)
        assert_refused(sealed.path, words, f"prove it: lathe verify {sealed.path}\n")


def test_another_build_is_proved_anew(sealed):
    """Neither the seal nor kept results of a program whose code was another count."""
    for name in ("seal.json", "verify/report.json"):
        said = json.loads((sealed.path / name).read_text())
        said["build"] = "0" * 64
        if "inputs" in said:
            said["inputs"] = dict.fromkeys(said["inputs"], "0" * 64)
            said["sha256"] = own_sha256(said)
            (sealed.path / name).write_text(json.dumps(said))
        else:
            write_seal(sealed.path, said)
    run = lathe("verify", sealed.path, "--gates", "structure,residency", "--resume")
    assert run.returncode == 0 and "(kept)" not in run.stdout
    assert set(json.loads((sealed.path / "verify/report.json").read_text())["gates"]) == {"structure", "residency"}
    assert_refused(sealed.path, "another build")


def test_a_build_is_its_sources(tmp_path):
    """Any change of code, of a table or of the compiler is another build; the place and the time are not."""
    program = ROOT / "scripts/build_id.py"

    def identity(root, *words):
        subprocess.run([sys.executable, program, tmp_path / "out.c", root, *words], check=True)
        return (tmp_path / "out.c").read_text()

    for name in ("src", "scripts", "contracts"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name)
    shutil.copy(ROOT / "meson.build", tmp_path / "copy")
    here = identity(ROOT, "gcc", "12")
    assert here == identity(tmp_path / "copy", "gcc", "12") != identity(ROOT, "gcc", "13") != identity(ROOT, "gcc1", "3")
    for name in ("src/runtime/host.c", "src/bundle/gates.def", "src/kernels/sums.inc", "src/cli/chat.c", "src/verify/meson.build",
                 "scripts/embed.py", "meson.build", "contracts/phi-4-mini.json", "src/base/half.h"):
        path = tmp_path / "copy" / name
        text = path.read_bytes()
        path.write_bytes(text + b"\n")
        assert identity(tmp_path / "copy", "gcc", "12") != here, name
        path.write_bytes(text)
    (tmp_path / "copy/src/runtime/more.h").write_text("")
    assert identity(tmp_path / "copy", "gcc", "12") != here


def test_a_seal_names_what_it_saw(sealed):
    seal, chain = (json.loads((sealed.path / name).read_text()) for name in ("seal.json", "chain.json"))
    assert seal["contract_sha256"] == chain["contract_sha256"] and seal["source_sha256"] == chain["source"]["sha256"]
    assert seal["device"] is None and seal["tool"].startswith("lathe ")
    assert seal["sha256"] == own_sha256(seal)
    assert all("figures" in r and "passed" in r for results in seal["gates"].values() for r in results)


def test_a_seal_of_older_gates(sealed):
    good = json.loads((sealed.path / "seal.json").read_text())
    for change in (lambda s: s.update(schema=s["schema"] - 1), lambda s: s["gates"].pop("graph"),
                   lambda s: s["gate_schemas"].update(graph=0), lambda s: s["gate_schemas"].pop("head")):
        seal = copy.deepcopy(good)
        change(seal)
        (sealed.path / "seal.json").write_text(json.dumps(seal))
        assert_refused(sealed.path, "lathe verify")


def all_files(bundle):
    return sorted(p for p in bundle.rglob("*") if p.is_file() and p.parent.name != "verify")


def test_one_altered_byte_in_any_file(hello_sealed, tmp_path):
    count = 0
    for file in all_files(hello_sealed):
        if file.name == "seal.json":
            continue
        for part in (0, 0.37, 0.81, 1):
            bundle = BundleEdit.copy(hello_sealed, tmp_path / f"{count}.lathe").path
            path = bundle / file.relative_to(hello_sealed)
            data = bytearray(path.read_bytes())
            data[int(part * (len(data) - 1))] ^= 0x10
            path.write_bytes(data)
            assert_refused(bundle)
            shutil.rmtree(bundle)
            count += 1
    assert count == 4 * 8  # chain.json, host.gguf, and three files of two packages


def test_a_missing_file(hello_sealed, tmp_path):
    for i, file in enumerate(all_files(hello_sealed)):
        bundle = BundleEdit.copy(hello_sealed, tmp_path / f"{i}.lathe").path
        (bundle / file.relative_to(hello_sealed)).unlink()
        run = chat(bundle)
        # Without its seal it is not proved yet; a file that is missing is a fault.
        assert run.returncode == (5 if file.name == "seal.json" else 1) and run.stdout == "", run.stderr
        assert file.name in run.stderr and "convert" in run.stderr or "lathe verify" in run.stderr


@pytest.mark.parametrize("place", ["shards/02-more.mlpackage", "shards/note.txt", "note.txt", "host.gguf.old", "shards/MyThumbs.db",
                                   "shards/00-layers-00-01.mlpackage/Data/com.apple.CoreML/weights/0-weight.bin",
                                   "shards/00-layers-00-01.mlpackage/Data/more.mlmodel"])
def test_a_file_that_no_digest_covers(sealed, place):
    (sealed.path / place).write_text("x")
    run = chat(sealed.path)
    assert run.returncode == 1 and "is not part of the bundle; remove it" in run.stderr
    run = lathe("verify", sealed.path, "--model", HELLO, "--gates", "structure")
    assert run.returncode == 1 and "is not part of the bundle; remove it" in run.stdout


def test_what_people_and_their_finder_leave_is_let_be(sealed):
    for place in (".DS_Store", "shards/.DS_Store", "verify/notes.txt", "._chain.json", "shards/._x",
                  "shards/00-layers-00-01.mlpackage/._Manifest.json", "Thumbs.db", "shards/Thumbs.db", "desktop.ini"):
        (sealed.path / place).write_text("x")
    assert chat(sealed.path).returncode == 0


def test_a_refusal_names_the_command_that_mends_it(sealed):
    again = f"convert the model again: lathe convert {HELLO} -o {sealed.path} --force"
    for change in (lambda path: path.write_bytes(path.read_bytes()[:-1]), lambda path: path.unlink()):
        change(sealed.path / "host.gguf")
        assert again in chat(sealed.path).stderr
    (sealed.path / "chain.json").unlink()
    assert f"lathe convert {HELLO} -o {sealed.path} --force" in chat(sealed.path).stderr


@pytest.mark.parametrize(("member", "value", "gates", "words"), [
    (("source", "sha256"), "0" * 64, "structure", "lathe.source is"),
    (("options", "state_rows"), 2080, "graph", "input 'mask': 2048 numbers, the contract asks for 2080 numbers"),
    (("contract", "d_model"), 64, "structure", "it was altered"),
])
def test_a_package_that_does_not_fit_is_named_with_what_mends_it(sealed, member, value, gates, words):
    sealed.chain[member[0]][member[1]] = value
    sealed.write_chain()
    run = lathe("verify", sealed.path, "--model", HELLO, "--gates", gates)
    again = f"convert the model again: lathe convert {HELLO} -o {sealed.path} --force"
    assert run.returncode == 3 and words in run.stderr and run.stderr.rstrip().endswith(again), run.stderr


def test_a_chain_that_leaves_a_file_out_is_not_proved(sealed):
    """Or its weights could be changed behind the seal."""
    del sealed.chain["shards"][0]["files"][2]
    sealed.write_chain()
    run = lathe("verify", sealed.path, "--model", HELLO, "--gates", "structure")
    assert run.returncode == 1 and "weight.bin is not part of the bundle" in run.stdout


def test_a_source_that_means_something_else_now(sealed, tmp_path):
    """The file of the source's name, beside the bundle or named, read today as another contract."""
    other = tmp_path / "other.gguf"
    rewrite_gguf(HELLO, other, keys={"phi3.rope.scaling.attn_factor": 1.0})
    run = chat(sealed.path, "--model", other)
    assert run.returncode == 1 and "another contract" in run.stderr and "lathe convert" in run.stderr, run.stderr
    assert chat(sealed.path, "--model", HELLO).returncode == 0
    shutil.copy(other, sealed.path.parent / HELLO.name)
    assert_refused(sealed.path, "another contract", HELLO.name, "lathe convert", "lathe verify")
    assert chat(f"{sealed.path}/").returncode == 1  # as shells complete it: the source lies beside it all the same
    shutil.copy(HELLO, sealed.path.parent / HELLO.name)
    assert chat(sealed.path).returncode == 0


def test_a_source_with_other_weights(sealed, tmp_path):
    """The contract is the same, and so are name, length and time; the bundle is not of this file any more."""
    beside = sealed.path.parent / HELLO.name
    shutil.copy(HELLO, beside)
    assert chat(sealed.path).returncode == 0
    when = beside.stat()

    def replace(data, is_in_place):
        fresh = beside if is_in_place else tmp_path / "fresh.gguf"
        fresh.write_bytes(data)
        os.replace(fresh, beside)
        os.utime(beside, ns=(when.st_atime_ns, when.st_mtime_ns))

    good = bytearray(HELLO.read_bytes())
    for at in (-100, len(good) // 2 + 12345):
        for is_in_place in (False, True):
            bad = good.copy()
            bad[at] ^= 1
            replace(bad, is_in_place)
            for command in (("chat", "-p", "hello", "--max-tokens", "1"), ("eval", "--text", __file__)):
                run = lathe(command[0], sealed.path, *command[1:])
                assert run.returncode == 1 and run.stdout == "" and "is not the file" in run.stderr, run.stderr
                again = f"lathe convert {beside} -o {sealed.path} --force && lathe verify {sealed.path} --model {beside}"
                assert again in run.stderr, run.stderr
            assert chat(sealed.path, "--unsealed").returncode == 0
            assert chat(sealed.path, "--model", HELLO).returncode == 0
            replace(good, is_in_place)
            assert chat(sealed.path).returncode == 0
    beside.unlink()
    assert chat(sealed.path).returncode == 0


def test_a_source_is_read_whole_once(sealed):
    """What was looked at is remembered until anything about the file changes; an edited memory is none."""
    beside, memory = sealed.path.parent / HELLO.name, sealed.path / "verify/source.json"
    shutil.copy(HELLO, beside)
    assert chat(sealed.path).returncode == 0
    said = json.loads(memory.read_text())
    assert said["path"] == str(beside) and said["parts"][0]["bytes"] == HELLO.stat().st_size
    before = memory.stat().st_mtime_ns
    assert chat(sealed.path).returncode == 0 and memory.stat().st_mtime_ns == before
    # Nothing that the memory alone says is believed of another file.
    data = bytearray(HELLO.read_bytes())
    data[-100] ^= 1
    beside.write_bytes(data)
    stat = beside.stat()
    said["parts"][0].update(inode=stat.st_ino, modified_ns=stat.st_mtime_ns, changed_ns=stat.st_ctime_ns)
    memory.write_text(json.dumps(said))
    assert_refused(sealed.path, "is not the file")


def test_a_source_that_lathe_no_longer_reads(sealed):
    rewrite_gguf(HELLO, sealed.path.parent / HELLO.name, keys={"phi3.new_maths": 2.0})
    assert_refused(sealed.path, "phi3.new_maths", "lathe convert")


def test_a_gate_that_fails_takes_the_seal_off(sealed):
    path = sealed.package(0) / "Data/com.apple.CoreML/weights/weight.bin"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    run = lathe("verify", sealed.path, "--model", HELLO, "--gates", "structure")
    assert run.returncode == 1 and not (sealed.path / "seal.json").exists()
    assert_refused(sealed.path, "it failed gate 'structure' (files: ", f"{sealed.path}/verify/report.html")


# ---- no proof is taken away

def started(bundle, *args):
    return subprocess.Popen([LATHE, "verify", str(bundle), "--model", str(HELLO), "--verbose", *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def read_until(process, gate):
    for line in process.stdout:
        if line.startswith(gate):
            return


def stop(process, number):
    process.send_signal(number)
    process.communicate()


def test_an_interrupted_run_leaves_the_seal(sealed):
    seal = (sealed.path / "seal.json").read_bytes()
    process = started(sealed.path)
    read_until(process, "structure")
    assert chat(sealed.path).returncode == 0
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (sealed.path / "seal.json").read_bytes() == seal and chat(sealed.path).returncode == 0
    # It says so, and how to go on; a shell sees that Ctrl-C ended it.
    assert process.returncode == -signal.SIGINT
    assert said.endswith(f"lathe verify: stopped. Results of finished gates are kept, and a valid seal stays. "
                         f"To continue: lathe verify --resume {sealed.path} --model {HELLO} --verbose\n"), said


def test_an_interrupted_first_run_goes_on(sealed):
    (sealed.path / "seal.json").unlink()
    shutil.rmtree(sealed.path / "verify")
    assert_refused(sealed.path, "is not sealed: it was never verified", f"lathe verify {sealed.path} --model {HELLO.name}\n")
    process = started(sealed.path)
    read_until(process, "graph")
    process.send_signal(signal.SIGSTOP)
    assert_refused_while(sealed.path, f"it is being verified by process {process.pid}, now at gate graph; wait")
    for args in (("verify", sealed.path, "--model", HELLO), ("convert", HELLO, "-o", sealed.path, "--force")):
        run = lathe(*args)
        assert run.returncode == 4 and f"in use by process {process.pid}" in run.stderr and "wait for it or stop it" in run.stderr
    stop(process, signal.SIGKILL)
    assert_refused(sealed.path, "was interrupted at gate 'graph'", "--resume\n")
    run = done("verify", sealed.path, "--model", HELLO, "--resume")
    kept = {line[:13].strip() for line in run.stdout.splitlines() if "(kept)" in line}
    assert kept == {"vote", "structure", "residency"} and "all gates passed, sealed" in run.stdout
    assert chat(sealed.path).returncode == 0 and not (sealed.path / "verify/progress.json").exists()


def assert_refused_while(bundle, words):
    run = chat(bundle)
    assert run.returncode == 5 and run.stdout == "" and words in run.stderr, run.stderr


def test_what_cannot_be_written_is_found_before_gates_run(sealed, tmp_path):
    for args, words in ((("--report", tmp_path / "no/x.html"), f"no folder {tmp_path}/no"),
                        (("--report", tmp_path), "a folder, expected a file")):
        run = lathe("verify", sealed.path, "--model", HELLO, *args)
        assert run.returncode == 4 and run.stdout == "" and words in run.stderr, run.stderr
    # A folder in the way of what verify writes first, since root may write everywhere.
    (sealed.path / "seal.json.new").mkdir()
    run = lathe("verify", sealed.path, "--model", HELLO)
    assert run.returncode == 4 and run.stdout == "" and "no gate has run" in run.stderr, run.stderr
    (sealed.path / "seal.json.new").rmdir()
    assert chat(sealed.path).returncode == 0


def test_a_command_in_a_message_runs_as_printed(hello_sealed, tmp_path):
    """Quoted for the shell, with the source by the path where it was last."""
    path = tmp_path / "-it's a \"bundle\"; true.lathe"
    bundle = BundleEdit.copy(hello_sealed, path)
    (bundle.path / "seal.json").unlink()
    run = lathe("chat", f"./{path.name}", "-p", "hello", cwd=tmp_path)
    command = re.search(r"prove it: (lathe verify .*)\n$", run.stderr)
    assert command, run.stderr
    where = {**os.environ, "PATH": f"{pathlib.Path(LATHE).parent}:{os.environ['PATH']}"}
    run = subprocess.run(command[1] + " --gates structure", shell=True, cwd=tmp_path, env=where, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
