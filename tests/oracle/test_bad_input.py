"""Broken, contradictory and unknown models as a user meets them: `lathe inspect` and `lathe convert` end with exit code
3 and one line that names the file and what is wrong with it, and leave nothing on disk."""

import json
import os
import subprocess

import pytest
from gguf_fields import ARRAY, BOOL, F32, I32, STRING, U32, File, array, string
from random_models import RandomModel
from tokenizer_oracle import LATHE, MODELS

HELLO = MODELS / "hello-phi3-q8_0.gguf"
RAW = HELLO.read_bytes()
SANITIZED = os.environ.get("LATHE_SAN")


def check_output(command, run):
    """Nothing, but: the keys and tensors of a file that can be listed, and an object for programs."""
    output = run.stdout.decode()
    assert all(line.isprintable() for line in output.splitlines())
    if "--json" in command:
        told = json.loads(output)
        assert told["code"] == 3 and told["error"] in run.stderr.decode()
    elif command[0] == "inspect":
        assert output == "" or output.startswith("key ")
    else:
        assert output == ""


def refusal(path, folder, program=LATHE):
    """The one line that both commands give."""
    commands = [["inspect", path], ["inspect", path, "--json"], ["convert", path, "-o", folder / "out.lathe"]]
    lines = set()
    before = sorted(folder.iterdir())
    for command in commands:
        run = subprocess.run([program, *command], capture_output=True, timeout=120)
        said = run.stderr.decode()
        assert run.returncode == 3, f"{command[0]}: exit code {run.returncode}: {said}"
        assert said.count("\n") == 1 and said.endswith("\n"), said
        check_output(command, run)
        start = f"lathe {command[0]}: {path}: "
        assert said.startswith(start), said
        lines.add(said.removeprefix(start).strip())
        assert sorted(folder.iterdir()) == before, "something was left on disk"
    (line,) = lines
    assert line.isprintable()
    return line


def put(name, kind, value):
    return lambda f: f.put(name, kind, value)


def drop(*names):
    return lambda f: [f.drop(name) for name in names]


def with_tensor(tensor, **fields):
    return lambda f: vars(f.tensor(tensor)).update(fields)


def with_key(key, **fields):
    return lambda f: vars(f.key(key)).update(fields)


def with_file(**fields):
    return lambda f: vars(f).update(fields)


def two(first, second):
    return lambda f: (first(f), second(f))


def no_factors(f):
    f.drop_tensor("rope_factors_long.weight")
    f.drop_tensor("rope_factors_short.weight")


def as_second_tensor(f):
    f.tensors[1].name = f.tensors[0].name


QKV, DOWN, NORM = "blk.1.attn_qkv.weight", "blk.1.ffn_down.weight", "blk.1.attn_norm.weight"
LONG = "rope_factors_long.weight"
HEADS_KV = "phi3.attention.head_count_kv"

# name: (change, words of the message)
CASES = {
    # the file as a file
    "magic": (with_file(magic=b"GGML"), "not a GGUF file"),
    "version 1": (with_file(version=1), "GGUF version 1, expected 2 or 3"),
    "big-endian": (with_file(version=0x03000000), "big-endian"),
    "one key too many": (lambda f: with_file(n_keys=f.n_keys + 1)(f), "tensor 1 of 28 has a name of 0 bytes"),
    "2^60 keys": (with_file(n_keys=2**60), "1152921504606846976 keys"),
    "one tensor too many": (lambda f: with_file(n_tensors=f.n_tensors + 1)(f), "tensor"),
    "2^60 tensors": (with_file(n_tensors=2**60), "1152921504606846976 tensors"),
    "key of unknown type": (with_key("phi3.block_count", kind=13), "key 'phi3.block_count': value type 13"),
    "key with a line break": (with_key("phi3.block_count", name="phi3.block\ncount"), "byte 0x0a in its name"),
    "key twice": (lambda f: f.add(HEADS_KV, U32, bytes(4)), f"key '{HEADS_KV}' occurs twice"),
    "bool of 2": (put("tokenizer.ggml.add_bos_token", BOOL, 2), "a bool of value 2"),
    "string beyond the file": (with_key("general.name", value=b"\0\0\0\1\0\0\0\0ab"), "key 'general.name': a string of 16777216"),
    "list of lists": (put("phi3.sizes", ARRAY, array(ARRAY, [])), "key 'phi3.sizes': an array of arrays"),
    "alignment 3": (put("general.alignment", U32, 3), "key 'general.alignment': 3, expected a power of two"),
    "tensor twice": (as_second_tensor, "tensor 'rope_factors_long.weight' occurs twice"),
    "tensor of five dimensions": (with_tensor(QKV, dims=[128, 256, 1, 1, 1]), f"tensor '{QKV}': 5 dimensions"),
    "tensor dimension 0": (with_tensor(QKV, dims=[128, 0]), f"tensor '{QKV}': dimension 2 of 2 is 0"),
    "tensor size wraps": (with_tensor(QKV, dims=[2**32, 2**32]), f"tensor '{QKV}': its 2 dimensions multiply to more"),
    "tensor row of half a block": (with_tensor(QKV, dims=[16, 2048]), f"tensor '{QKV}': rows of 16 weights"),
    "tensor type unknown": (with_tensor(QKV, kind=4711), f"tensor '{QKV}': unknown weight type 4711"),
    "tensor offset odd": (lambda f: setattr(f.tensor(QKV), "offset", f.tensor(QKV).offset + 2), "expected a multiple of the alignment"),
    "tensor beyond the file": (with_tensor(QKV, offset=1 << 40), f"tensor '{QKV}': 34816 bytes at offset 1099511627776"),
    "tensors overlap": (lambda f: setattr(f.tensor(QKV), "offset", f.tensor(NORM).offset), "overlap"),
    # a sound file that says something unknown
    "unknown architecture": (put("general.architecture", STRING, "gemma9"), "architecture 'gemma9' is not supported; known are"),
    "unknown key": (put("phi3.attention.temperature", F32, 0.5), "key 'phi3.attention.temperature': lathe does not know it"),
    "experts": (put("phi3.expert_count", U32, 16), "key 'phi3.expert_count': lathe does not know it"),
    "unknown tensor": (with_tensor(DOWN, name="blk.1.ffn_sideways.weight"), "tensor 'blk.1.ffn_down.weight' is missing"),
    "tensor of a layer that is not there": (put("phi3.block_count", U32, 3), "tensor 'blk.3."),
    "retired type": (with_tensor("blk.1.attn_output.weight", kind=36), "type IQ4_NL_4_4 is not supported: ggml has retired it; quantise"),
    "type of activations": (with_tensor(NORM, kind=9), "type Q8_1 is not supported: it holds activations"),
    "unknown tokenizer": (put("tokenizer.ggml.model", STRING, "bert"), "key 'tokenizer.ggml.model': 'bert' is not supported"),
    "unknown pre-tokenizer": (put("tokenizer.ggml.pre", STRING, "gpt-9"), "'gpt-9' is not known; known are"),
    # absent
    "no layers": (drop("phi3.block_count"), "key 'phi3.block_count' is absent"),
    "no heads": (drop("phi3.attention.head_count"), "key 'phi3.attention.head_count' is absent"),
    "no eps": (drop("phi3.attention.layer_norm_rms_epsilon"), "key 'phi3.attention.layer_norm_rms_epsilon' is absent"),
    "no rope base": (drop("phi3.rope.freq_base"), "key 'phi3.rope.freq_base' is absent"),
    "no window": (drop("phi3.attention.sliding_window"), "key 'phi3.attention.sliding_window' is absent"),
    "no original context": (drop("phi3.rope.scaling.original_context_length"), "is absent, but the scaling depends on it"),
    "no end": (drop("tokenizer.ggml.eos_token_id"), "key 'tokenizer.ggml.eos_token_id' is absent: no token would end"),
    "no token types": (drop("tokenizer.ggml.token_type"), "key 'tokenizer.ggml.token_type' is absent"),
    "no factors": (no_factors, "1024 of 4096 positions, but neither"),
    "long factors alone": (lambda f: f.drop_tensor("rope_factors_short.weight"), "tensor 'rope_factors_short.weight' is missing"),
    "no down projection": (lambda f: f.drop_tensor(DOWN), f"tensor '{DOWN}' is missing"),
    # of the wrong kind, out of range
    "layers as a string": (put("phi3.block_count", STRING, "4"), "key 'phi3.block_count': type string, expected a whole number"),
    "kv heads one a layer": (put(HEADS_KV, ARRAY, array(U32, [2, 2, 1, 2])), f"key '{HEADS_KV}': a list with one value per layer (4)"),
    "eps 0": (put("phi3.attention.layer_norm_rms_epsilon", F32, 0.0), "layer_norm_rms_epsilon': 0, expected"),
    "rope base NaN": (put("phi3.rope.freq_base", F32, float("nan")), "key 'phi3.rope.freq_base': nan, expected"),
    "rope dims odd": (put("phi3.rope.dimension_count", U32, 23), "key 'phi3.rope.dimension_count': 23, expected an even"),
    "factor NaN": (lambda f: f.set_floats(LONG, [float("nan")]), f"tensor '{LONG}': factor 0 is nan"),
    "factor negative": (lambda f: f.set_floats(LONG, [-1.0]), f"tensor '{LONG}': factor 0 is -1"),
    "attention factor 0": (put("phi3.rope.scaling.attn_factor", F32, 0.0), "key 'phi3.rope.scaling.attn_factor': 0, expected"),
    "end beyond the vocabulary": (put("tokenizer.ggml.eos_token_id", U32, 2048), "2048, expected a token id below 2048"),
    "template a number": (put("tokenizer.chat_template", U32, 1), "key 'tokenizer.chat_template': type u32"),
    # contradictions
    "rope over the whole head": (put("phi3.rope.dimension_count", U32, 32), "says 32 dims, which are 16 pairs"),
    "kv heads do not divide": (put(HEADS_KV, U32, 3), "4 query heads (attention.head_count) cannot share 3"),
    "all heads kv heads": (put(HEADS_KV, U32, 4), "tensor 'blk.0.attn_qkv.weight': shape [128, 256]"),
    "narrower": (put("phi3.embedding_length", U32, 96), "tensor 'token_embd.weight': shape [128, 2048]"),
    "feed-forward as stored": (put("phi3.feed_forward_length", U32, 768), "tensor 'blk.0.ffn_up.weight': shape [128, 768]"),
    "vocab_size": (put("phi3.vocab_size", U32, 2000), "key 'phi3.vocab_size' is 2000, but"),
    "fewer tokens": (put("tokenizer.ggml.tokens", ARRAY, array(STRING, ["a", "b"])), "lists 2 tokens"),
    "fewer token types": (put("tokenizer.ggml.token_type", ARRAY, array(I32, [1, 1])), "key 'tokenizer.ggml.token_type': 2 items"),
    "linear with factors": (put("phi3.rope.scaling.type", STRING, "linear"), "contradicts the file's tensors"),
    "begins with a token it does not name": (
        two(drop("tokenizer.ggml.bos_token_id"), put("tokenizer.ggml.add_bos_token", BOOL, 1)),
        "texts begin with a token, but key",
    ),
}  # fmt: skip


def spoilt(name):
    file = File(RAW)
    CASES[name][0](file)
    return file.bytes()


def test_untouched_file_comes_back():
    assert File(RAW).bytes() == RAW


@pytest.mark.parametrize("name", CASES)
def test_corruption(name, tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(spoilt(name))
    assert CASES[name][1] in refusal(path, tmp_path)



def cuts():
    """Every 4 KiB, and one byte before, at and behind each boundary between parts."""
    around = {at + d for at in File(RAW).boundaries for d in (-1, 0, 1)}
    return sorted(n for n in around | set(range(0, len(RAW), 4096)) if n < len(RAW))


def test_every_truncation(tmp_path):
    path = tmp_path / "bad.gguf"
    lengths = cuts()
    assert len(lengths) > 400
    for n in lengths:
        path.write_bytes(RAW[:n])
        refusal(path, tmp_path)


@pytest.mark.skipif(not SANITIZED, reason="LATHE_SAN names no sanitizer build")
def test_sample_under_sanitizers(tmp_path):
    """A report of a sanitizer is another exit code and more than one line."""
    path = tmp_path / "bad.gguf"
    for raw in [spoilt(name) for name in CASES] + [RAW[:n] for n in cuts()[::25]]:
        path.write_bytes(raw)
        refusal(path, tmp_path, SANITIZED)


def test_strings_of_a_file_are_no_formats(tmp_path):
    path = tmp_path / "bad.gguf"
    for text in ("%s%n%x", "%1000000d"):
        file = File(RAW)
        file.put("general.architecture", STRING, text)
        path.write_bytes(file.bytes())
        assert f"'{text}'" in refusal(path, tmp_path)


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "bad.gguf"
    file = File(RAW)
    file.put("general.architecture", STRING, string("\x1b[2Jphi\n3\x00"))
    path.write_bytes(file.bytes())
    refusal(path, tmp_path)


@pytest.mark.parametrize("command", [["inspect"], ["convert", "-o", "out.lathe"]])
def test_no_such_file(command, tmp_path):
    run = subprocess.run([LATHE, command[0], "nowhere.gguf", *command[1:]], capture_output=True, cwd=tmp_path)
    assert run.returncode == 4 and b"nowhere.gguf: " in run.stderr and run.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


def test_directory_and_empty_file(tmp_path):
    (tmp_path / "empty.gguf").touch()
    refusal(tmp_path / "empty.gguf", tmp_path)
    run = subprocess.run([LATHE, "inspect", tmp_path], capture_output=True)
    assert run.returncode in (3, 4) and run.stderr.count(b"\n") == 1


@pytest.mark.parametrize("form", ["int8", "int8-tensor", "fp16"])
@pytest.mark.parametrize("weight", [7e4, 1e7, float("nan")])
def test_weights_beyond_fp16(form, weight, tmp_path):
    """In eight bits and a scale such a weight fits; what a package computes with is fp16."""
    model = RandomModel("llama", n_layers=1)
    model.tensors["blk.0.ffn_down.weight"][3, 5] = weight
    path = model.write(tmp_path / "model.gguf")
    out = tmp_path / "out.lathe"
    run = subprocess.run([LATHE, "convert", path, "-o", out, "--weights", form, "--range", "off"], capture_output=True)
    assert run.returncode == 3 and sorted(tmp_path.iterdir()) == [path], run.stderr
    assert b"'blk.0.ffn_down.weight': row 3 has a weight that is not finite or beyond fp16" in run.stderr


def test_weights_that_only_their_code_takes_beyond_fp16(tmp_path):
    """65504 is fp16's largest number; 127 times the scale that int8 rounds up to, 516, is 65532: infinity."""
    model = RandomModel("llama", n_layers=1)
    model.tensors["blk.0.attn_q.weight"][3, 5] = 65504
    path = model.write(tmp_path / "model.gguf")
    for form, code in (("int8", 3), ("int8-tensor", 3), ("fp16", 0)):
        command = [LATHE, "convert", path, "-o", tmp_path / f"{form}.lathe", "--weights", form, "--range", "off"]
        run = subprocess.run(command, capture_output=True)
        assert run.returncode == code, run.stderr
        if code:
            said = f"65504, which {form} makes 65532; packages compute in fp16, which ends at 65504; --weights fp16 keeps it"
            assert said.encode() in run.stderr


def test_weights_beyond_fp16_name_what_helps(tmp_path):
    for name, says in (("ffn_down", "--range auto"), ("attn_q", "no package can carry this model")):
        model = RandomModel("llama", n_layers=1)
        model.tensors[f"blk.0.{name}.weight"][3, 5] = 7e4
        path = model.write(tmp_path / f"{name}.gguf")
        command = [LATHE, "convert", path, "-o", tmp_path / "out.lathe", "--range", "off"]
        run = subprocess.run(command, capture_output=True)
        assert run.returncode == 3 and b": 70000; " in run.stderr and says.encode() in run.stderr, run.stderr
