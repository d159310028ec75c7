"""examples/host.c, which runs a bundle by its own hand and lathe.h's functions of packages alone: bit for bit the logits of
lathe's session, whatever the form of the KV caches, the shards, the slices of the head, the length, the rotary scaling."""
import pathlib
import subprocess

import pytest
import random_models
from apple_build import BUILD, ROOT
from command import HELLO, HELLO_F16, done

SESSION = BUILD / "tests/runtime/session_logits"
EXAMPLE = ROOT / "examples"
N_STEPS = 6


def compiled(folder, old="", new=""):
    """The example, perhaps with one line changed, built as an app would."""
    text = (EXAMPLE / "host.c").read_text()
    assert not old or text.count(old) == 1, "the line to change is not there once"
    (folder / "host.c").write_text(text.replace(old, new) if old else text)
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
    library = next(p for p in sorted((BUILD / "include").glob("liblathe.*")) if p.is_file() and p.suffix != ".p")
    run = subprocess.run(["cc", *strict, f"-I{ROOT}/include", f"-I{EXAMPLE}", folder / "host.c", library, f"-Wl,-rpath,{library.parent}",
                          *subprocess.run(["pkg-config", "--cflags", "--libs", "jansson"], capture_output=True, text=True).stdout.split(),
                          "-lm", "-o", folder / "host"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder / "host"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("example"))


def logits(program, bundle, ids, folder):
    place = folder / "logits"
    run = subprocess.run([program, bundle, str(N_STEPS), *map(str, ids), "-o", place], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return place.read_bytes(), [int(line) for line in run.stdout.split()]


def session_logits(bundle, ids):
    run = subprocess.run([SESSION, bundle, str(N_STEPS), *map(str, ids)], capture_output=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def ids_of(n, n_vocab=2000):
    return [(37 * i * i + 11 * i + 5) % n_vocab for i in range(n)]


# What is converted, and how many tokens are fed: prefill and single steps, past the original context (LongRoPE's other
# factors), to where a whole prefill no longer fits.
BUNDLES = {
    "two packages, slices": (HELLO, ["--layers-per-shard", "2", "--kv", "slice"], 75),
    "the long factors": (HELLO, [], 1022),
    "whole states": (HELLO_F16, ["--kv", "overwrite", "--context", "128"], 100),
    "a ring": (HELLO, ["--set", "phi3.attention.sliding_window=37", "--context", "512", "--prefill-rows", "16"], 301),
    "a ring in place": (HELLO, ["--set", "phi3.attention.sliding_window=37", "--context", "512", "--prefill-rows", "80", "--kv", "slice"], 301),
    "no prefill": (HELLO, ["--functions", "decode", "--layers-per-shard", "3"], 9),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_the_example_computes_what_the_session_does(name, host, tmp_path):
    source, options, n = BUNDLES[name]
    done("convert", source, "-o", tmp_path / "b.lathe", "--range", "off", *options)
    ids = ids_of(n)
    found, chosen = logits(host, tmp_path / "b.lathe", ids, tmp_path)
    assert len(chosen) == N_STEPS and len(found) == N_STEPS * 2048 * 4
    assert found == session_logits(tmp_path / "b.lathe", ids)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A llama whose head has two slices, with llama3's rotary scaling."""
    folder = tmp_path_factory.mktemp("wide")
    was = random_models.N_VOCAB
    random_models.N_VOCAB = 66_000
    try:
        model = random_models.RandomModel("llama", d_model=64, tensors={"rope_freqs.weight": [1, 1.5, 2, 4, 8, 8, 8, 8]})
        model.write(folder / "wide.gguf", "F16")
    finally:
        random_models.N_VOCAB = was
    done("convert", folder / "wide.gguf", "-o", folder / "b.lathe", "--range", "off")
    return folder / "b.lathe"


def test_slices_of_the_head_are_put_together(wide, host, tmp_path):
    ids = ids_of(70)
    found, _ = logits(host, wide, ids, tmp_path)
    assert len(found) == N_STEPS * 66_000 * 4 and found == session_logits(wide, ids)


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """Two packages that carry the stream divided by 16."""
    folder = tmp_path_factory.mktemp("loud")
    model = random_models.RandomModel("llama", d_model=64)
    model.tensors["blk.0.ffn_down.weight"] *= 4000
    done("convert", model.write(folder / "loud.gguf", "F16"), "-o", folder / "b.lathe", "--layers-per-shard", "1")
    assert '"residual_factor": 16.0' in (folder / "b.lathe/chain.json").read_text()
    return folder / "b.lathe"


def test_what_packages_divide_is_multiplied_again(loud, host, tmp_path):
    ids = ids_of(75, 320)
    assert logits(host, loud, ids, tmp_path)[0] == session_logits(loud, ids)


# Errors that a host can make, each of which changes the logits. (What padding holds does not: its rows are written again.)
WRONG = {
    "the angle of the next position": ("(double)self) * gain);\n            h->sines", "((double)self + 1)) * gain);\n            h->sines"),
    "slots of the future seen": ("p <= self; p++", "p <= self + 1; p++"),
    "a residual left divided": ("get(f, 0, h->shards[i].residual, h->x);", "get(f, 0, 1, h->x);"),
    "the state one slot late": ("h->write_mask[slot_of(h, self, n_rows) * n_rows", "h->write_mask[(slot_of(h, self, n_rows) + 1) * n_rows"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_comparison_sees_errors_of_a_host(name, loud, tmp_path):
    ids = ids_of(75, 320)
    found, _ = logits(compiled(tmp_path, *WRONG[name]), loud, ids, tmp_path)
    assert found != session_logits(loud, ids)


def test_the_comparison_sees_rows_lost_behind_a_ring(tmp_path):
    done("convert", HELLO, "-o", tmp_path / "b.lathe", "--range", "off", "--kv", "slice", "--context", "512", "--prefill-rows", "80",
         "--set", "phi3.attention.sliding_window=37")
    wrong = compiled(tmp_path, "if (now > room) now = room;", "(void)room;")
    ids = ids_of(161)  # the ring has 128 slots: calls would go over its end
    assert logits(wrong, tmp_path / "b.lathe", ids, tmp_path)[0] != session_logits(tmp_path / "b.lathe", ids)


def test_what_the_example_does_not_know_is_said(host, tmp_path):
    run = subprocess.run([host, tmp_path / "nowhere", "1", "1"], capture_output=True, text=True)
    assert run.returncode == 1 and "chain.json" in run.stderr
    done("convert", HELLO, "-o", tmp_path / "b.lathe", "--range", "off", "--context", "64")
    run = subprocess.run([host, tmp_path / "b.lathe", "60", *map(str, ids_of(9))], capture_output=True, text=True)
    assert run.returncode == 1 and "the context is 64" in run.stderr


def test_it_stays_an_example():
    assert len((EXAMPLE / "host.c").read_text().splitlines()) <= 330
    assert not set(pathlib.Path(EXAMPLE / "host.c").read_text().split()) & {'"runtime/host.h"', '"bundle/bundle.h"'}
