"""`lathe convert` as what it promises to the disk: the same bytes each time, an older bundle or the new one at every
moment and whatever fails, and bounded memory."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import gguf
import numpy as np
import pytest
from command import HELLO, LATHE, done, lathe, smollm2_gguf
from random_models import add_vocabulary
from tokenizer_oracle import BUILD

FAULT = BUILD / "tests/convert/fault.so"
needs_faults = pytest.mark.linux("glibc, some of whose functions fault.so replaces")


def files(path):
    """Every file below, by its path within, but for the one that says where the source lies."""
    found = {str(p.relative_to(path)): p.read_bytes() for p in sorted(pathlib.Path(path).rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name != "verify/source.json"}


def names(path):
    return sorted(p.name for p in pathlib.Path(path).iterdir())


@pytest.fixture
def tmp_path(tmp_path):
    """In memory where there is such a place: converting syncs, and these tests convert some hundred times."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    path = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm", prefix="lathe-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


# ---- the same bytes

@pytest.mark.parametrize("options", [(), ("--kv", "slice", "--weights", "fp16", "--functions", "decode"),
                                     ("--weights", "int8-tensor", "--layers-per-shard", 1, "--context", 200)])
def test_the_same_input_gives_the_same_bytes(options, tmp_path):
    for name, threads in (("a.lathe", 1), ("b.lathe", 3)):
        done("convert", HELLO, "-o", tmp_path / name, "--threads", threads, *options)
    a, b = files(tmp_path / "a.lathe"), files(tmp_path / "b.lathe")
    assert a == b and len(a) >= 5 and names(tmp_path) == ["a.lathe", "b.lathe"]


@pytest.mark.parametrize("rows", [16, 256])
def test_prefill_takes_as_many_rows_as_are_asked_for(rows, tmp_path):
    """Chunks, a padded rest, and a second turn: the text gate's conversations, and rows against the reference."""
    done("convert", HELLO, "-o", tmp_path / "a.lathe", "--prefill-rows", rows, "--context", 512)
    chain = json.loads((tmp_path / "a.lathe/chain.json").read_text())
    assert chain["options"]["prefill_rows"] == rows
    assert [f["rows"] for f in chain["shards"][0]["functions"]] == [1, rows, 1]
    done("verify", tmp_path / "a.lathe", "--model", HELLO, "--gates", "residency,graph,positions,text")


@pytest.mark.parametrize("kv", ["overwrite", "slice", "rows"])
@pytest.mark.parametrize("n_packages", [1, 2])
def test_one_function_takes_chunks_and_single_tokens(kv, n_packages, tmp_path):
    """Single tokens as a call of 16 rows, to the last position of the context: conversations and rows against the reference."""
    bundle = tmp_path / "a.lathe"
    done("convert", HELLO, "-o", bundle, "--functions", "one", "--kv", kv, "--prefill-rows", 16, "--context", 160,
         "--layers-per-shard", 4 // n_packages)
    chain = json.loads((bundle / "chain.json").read_text())
    assert [[(f["role"], f["rows"]) for f in s["functions"]] for s in chain["shards"]] == (
        [[("decode", 16)]] * (n_packages - 1) + [[("decode", 16), ("head", 1)]])
    # What is stored besides the row that counts has room behind the last position, or is not stored.
    assert chain["options"]["state_rows"] == (160 if kv == "overwrite" else 192)
    done("verify", bundle, "--model", HELLO, "--gates", "structure,residency,graph,layer-golden,positions,text")
    # To the end of the context, where no second chunk fits, as two functions do.
    two, answers = tmp_path / "b.lathe", []
    done("convert", HELLO, "-o", two, "--kv", kv, "--prefill-rows", 16, "--context", 160)
    for path in (bundle, two):
        run = lathe("chat", path, "--unsealed", "-p", "Count from 3 to 9. " * 16, "--json")
        answers.append(json.loads(run.stdout))
        assert run.returncode == 0 and answers[-1]["finish_reason"] == "length", run.stderr
    assert answers[0]["content"] == answers[1]["content"] and answers[0]["position"] == answers[1]["position"]


def test_each_choice_of_functions_is_said_with_the_memory_it_wires(tmp_path):
    said = {}
    for functions in ("decode,prefill", "decode", "one"):
        options = ("-o", tmp_path / "a.lathe", "--force", "--functions", functions)
        said[functions] = json.loads(done("convert", HELLO, *options, "--json").stdout)
        text = done("convert", HELLO, *options).stdout
        assert "--functions decode,prefill 1.9 MB, decode or one 1.1 MB" in text
        assert ("as 64 rows" in text) == (functions == "one")
    two, decode, one = said.values()
    assert decode["wired_bytes"] == one["wired_bytes"] == two["wired_bytes_one_function"]
    assert two["wired_bytes"] == one["wired_bytes_two_functions"] > one["wired_bytes"]


def test_the_place_of_the_source_is_in_one_file_alone(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(HELLO, tmp_path / "elsewhere" / HELLO.name)
    done("convert", HELLO, "-o", tmp_path / "a.lathe")
    done("convert", tmp_path / "elsewhere" / HELLO.name, "-o", tmp_path / "b.lathe")
    assert files(tmp_path / "a.lathe") == files(tmp_path / "b.lathe")
    for name, model in (("a.lathe", HELLO), ("b.lathe", tmp_path / "elsewhere" / HELLO.name)):
        said = json.loads((tmp_path / name / "verify/source.json").read_text())
        assert said["path"] == str(model.resolve())
        (tmp_path / name / "verify/source.json").unlink()
        (tmp_path / name / "verify").rmdir()  # nothing else lies there


# ---- what is there already

# Ranges are not measured, to be quick: these tests convert some hundred times.
OLD, NEW = ("--context", 128, "--range", "off"), ("--context", 256, "--range", "off")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The older bundle and the one that is to take its place."""
    path = tmp_path_factory.mktemp("both")
    done("convert", HELLO, "-o", path / "old.lathe", *OLD)
    done("convert", HELLO, "-o", path / "new.lathe", *NEW)
    return files(path / "old.lathe"), files(path / "new.lathe"), path / "old.lathe"


def test_an_older_bundle_stays_without_force(both, tmp_path):
    shutil.copytree(both[2], tmp_path / "m.lathe")
    run = lathe("convert", HELLO, "-o", tmp_path / "m.lathe", *NEW)
    assert run.returncode == 2 and "exists; --force replaces it" in run.stderr
    assert files(tmp_path / "m.lathe") == both[0] and names(tmp_path) == ["m.lathe"]


def test_force_replaces_a_bundle(both, tmp_path):
    shutil.copytree(both[2], tmp_path / "m.lathe")
    (tmp_path / "m.lathe/verify/report.json").write_text("{}")
    done("convert", HELLO, "-o", f"{tmp_path}/m.lathe/", "--force", *NEW)
    assert files(tmp_path / "m.lathe") == both[1] and names(tmp_path) == ["m.lathe"]


def test_force_replaces_nothing_else(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("folder", "file"):
        run = lathe("convert", HELLO, "-o", tmp_path / name, "--force")
        assert run.returncode == 2 and "is not a lathe bundle" in run.stderr
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == ["mine.txt"]


def test_force_without_a_bundle_is_fine(tmp_path):
    done("convert", HELLO, "-o", tmp_path / "m.lathe", "--force", *NEW)
    assert names(tmp_path) == ["m.lathe"]


# ---- where nothing can be written

@pytest.mark.parametrize("place", ["none/m.lathe", "file/m.lathe", "/proc/m.lathe"])
def test_a_place_that_cannot_be_written(place, tmp_path):
    (tmp_path / "file").write_text("")
    run = lathe("convert", HELLO, "-o", tmp_path / place)
    assert run.returncode == 4 and "m.lathe" in run.stderr and run.stdout == ""
    assert names(tmp_path) == ["file"]


def test_bad_input_leaves_nothing(tmp_path):
    (tmp_path / "bad.gguf").write_bytes(HELLO.read_bytes()[:100000])
    run = lathe("convert", tmp_path / "bad.gguf", "-o", tmp_path / "m.lathe")
    assert run.returncode == 3 and names(tmp_path) == ["bad.gguf"]
    run = lathe("convert", tmp_path / "none.gguf", "-o", tmp_path / "m.lathe")
    assert run.returncode == 4 and names(tmp_path) == ["bad.gguf"]


# ---- one call that writes goes wrong, at every place in turn

def convert_with_fault(out, fault, exchange=True):
    env = os.environ | {"LD_PRELOAD": str(FAULT), "LATHE_FAULT": fault}
    if not exchange:
        env["LATHE_FAULT_NO_EXCHANGE"] = "1"
    return subprocess.run([LATHE, "convert", HELLO, "-o", out, "--force", *map(str, NEW)], env=env, capture_output=True,
                          text=True)


def count_calls(both, tmp_path, with_old, exchange=True):
    """(calls that write, calls of pwrite among them) of a conversion without a fault; leaves the folder empty."""
    if with_old:
        shutil.copytree(both[2], tmp_path / "m.lathe")
    run = convert_with_fault(tmp_path / "m.lathe", "count:1", exchange)
    assert run.returncode == 0 and files(tmp_path / "m.lathe") == both[1] and names(tmp_path) == ["m.lathe"]
    shutil.rmtree(tmp_path / "m.lathe")
    calls, writes = map(int, re.search(r"(\d+) writing calls, (\d+) pwrite", run.stderr).groups())
    assert calls > 30 and writes > 8
    return calls, writes


@needs_faults
@pytest.mark.parametrize(("with_old", "exchange"), [(True, True), (True, False), (False, True)])
def test_killed_at_every_call(with_old, exchange, both, tmp_path):
    out, n_old, n_new, n_gap = tmp_path / "m.lathe", 0, 0, 0
    for n in range(1, count_calls(both, tmp_path, with_old, exchange)[0] + 1):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        if with_old:
            shutil.copytree(both[2], out)
        run = convert_with_fault(out, f"kill:{n}", exchange)
        assert run.returncode == -signal.SIGKILL
        if with_old and not out.exists():
            # Only where names cannot be exchanged: the older bundle waits beside its place …
            assert not exchange and files(tmp_path / "m.lathe.partial.old") == both[0]
            assert lathe("convert", HELLO, "-o", out, *NEW).returncode == 2  # … and the next conversion puts it back
            assert files(out) == both[0]
            n_gap += 1
        found = files(out) if out.exists() else None
        assert found in ((both[0], both[1]) if with_old else (None, both[1])), n
        n_old, n_new = n_old + (found == both[0]), n_new + (found == both[1])
        # The next conversion works and leaves nothing of the killed one.
        done("convert", HELLO, "-o", out, "--force", *NEW)
        assert files(out) == both[1] and names(tmp_path) == ["m.lathe"]
    assert n_old > 30 or not with_old
    assert n_new >= 1 and n_gap == (with_old and not exchange)


@needs_faults
@pytest.mark.parametrize("kind", ["fail", "short"])
@pytest.mark.parametrize("with_old", [True, False])
def test_disk_full_at_every_call(with_old, kind, both, tmp_path):
    out, n_left = tmp_path / "m.lathe", 0
    for n in range(1, count_calls(both, tmp_path, with_old)[kind == "short"] + 1):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        if with_old:
            shutil.copytree(both[2], out)
        run = convert_with_fault(out, f"{kind}:{n}")
        assert run.returncode == 4 and "No space left on device" in run.stderr and run.stdout == "", (n, run.stderr)
        if out.exists() and files(out) == both[1]:
            n_left += 1  # the new bundle was in its place: what is left is the older one, or that it was not synced
            continue
        assert (files(out) if out.exists() else None) == (both[0] if with_old else None)
        assert names(tmp_path) == (["m.lathe"] if with_old else [])
    assert n_left <= 20 if with_old else n_left <= 1


def test_killed_at_several_times(both, tmp_path):
    """As the tests above, without their library: by the clock."""
    out, started = tmp_path / "m.lathe", time.monotonic()
    done("convert", HELLO, "-o", out, *NEW)
    whole = time.monotonic() - started
    shutil.rmtree(out)
    shutil.copytree(both[2], out)
    for part in range(10):
        run = subprocess.Popen([LATHE, "convert", HELLO, "-o", out, "--force", *map(str, NEW)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        time.sleep(whole * part / 10)
        run.kill()
        run.wait()
        assert files(out) in both[:2]
    done("convert", HELLO, "-o", out, "--force", *NEW)
    assert files(out) == both[1] and names(tmp_path) == ["m.lathe"]


# ---- memory

MIB = 1 << 20
BLOCK = 8 * MIB  # rows of a tensor held at once: src/compile/pack.c


def write_large(path):
    """Two layers of 218 million weights, one tensor of 134 million; the same random rows again and again."""
    d, ff, heads, kv = 2048, 32768, 16, 4
    rng = np.random.default_rng(1)
    block = np.empty((64, 34), np.uint8)
    block[:, :2] = np.frombuffer((rng.random(64) / 500).astype(np.float16).tobytes(), np.uint8).reshape(64, 2)
    block[:, 2:] = rng.integers(0, 256, (64, 32), dtype=np.uint8)
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in {"context_length": 256, "embedding_length": d, "feed_forward_length": ff, "block_count": 2,
                       "attention.head_count": heads, "attention.head_count_kv": kv,
                       "rope.dimension_count": d // heads}.items():
        writer.add_uint32(f"llama.{key}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    add_vocabulary(writer)

    def matrix(name, rows, cols):
        data = np.resize(block.reshape(-1), rows * cols // 32 * 34).reshape(rows, cols // 32 * 34)
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)

    matrix("token_embd.weight", 320, d)
    writer.add_tensor("output_norm.weight", np.ones(d, np.float32))
    for i in range(2):
        for name, rows, cols in (("attn_q", d, d), ("attn_k", d // heads * kv, d), ("attn_v", d // heads * kv, d),
                                 ("attn_output", d, d), ("ffn_gate", ff, d), ("ffn_up", ff, d), ("ffn_down", d, ff)):
            matrix(f"blk.{i}.{name}.weight", rows, cols)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{i}.{name}.weight", np.ones(d, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def peak_of(command):
    """Runs it; the most RssAnon (proc(5)) it was seen with, in bytes, and what it said."""
    run, peak = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), 0
    while run.poll() is None:
        try:
            found = re.search(r"RssAnon:\s+(\d+) kB", pathlib.Path(f"/proc/{run.pid}/status").read_text())
        except OSError:
            break
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(0.002)
    stdout, stderr = run.communicate()
    assert run.returncode == 0, stderr
    return peak, stderr


@pytest.mark.linux("/proc, which tells the memory of a process")
def test_memory_does_not_grow_with_the_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("large")
    model = write_large(path / "large.gguf")
    assert model.stat().st_size > 400 * MIB
    out = path / "large.lathe"
    # This form reads each matrix twice: for its scale, then for its codes.
    peak, stderr = peak_of([LATHE, "convert", model, "-o", out, "--weights", "int8-tensor", "--range", "off"])
    said = re.search(r"converted in [\d.]+ s, peak memory (\d+) MiB \(with mapped files (\d+) MiB resident\)", stderr)
    assert peak <= 64 * MIB + BLOCK and int(said[1]) * MIB <= 64 * MIB + BLOCK
    assert int(said[1]) * MIB >= peak / 2 and peak > MIB  # the program's own figure is the kernel's
    assert sum(map(len, files(out).values())) > 380 * MIB
    shutil.rmtree(path)


def test_ctrl_c_ends_a_conversion_with_one_line_and_leaves_nothing(tmp_path):
    """While activations are measured, which takes longest; an older bundle stays as it was."""
    done("convert", HELLO, "-o", tmp_path / "m.lathe", "--context", "128")
    before = (tmp_path / "m.lathe/chain.json").read_bytes()
    args = [LATHE, "convert", smollm2_gguf(), "-o", tmp_path / "m.lathe", "--force", "--context", "256"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=120)
    assert (run.returncode, out) == (4, "")
    assert err == f"lathe convert: stopped; nothing was written to {tmp_path / 'm.lathe'}\n"
    assert [p.name for p in tmp_path.iterdir()] == ["m.lathe"] and (tmp_path / "m.lathe/chain.json").read_bytes() == before
