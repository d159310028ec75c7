"""The helper that plants faults in bundles: it must change what it says and nothing else."""

import filecmp
import subprocess

import numpy as np
import pytest
from bundle_edit import WEIGHTS, BundleEdit, rewrite_gguf
from tokenizer_oracle import LATHE, MODELS

HELLO = MODELS / "hello-phi3-q8_0.gguf"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "good.lathe"
    subprocess.run([LATHE, "convert", HELLO, "-o", path, "--layers-per-shard", "2"], check=True, capture_output=True)
    return path


def test_redigesting_an_unchanged_bundle_changes_no_digest(good, tmp_path):
    bundle = BundleEdit.copy(good, tmp_path / "b.lathe")
    before = bundle.chain
    bundle.redigest()
    assert BundleEdit(bundle.path).chain == before == BundleEdit(good).chain


def test_a_weight_is_changed_in_the_file(good, tmp_path):
    bundle = BundleEdit.copy(good, tmp_path / "b.lathe")
    weight = bundle.weight("layer_01_down")
    assert weight.codes.shape == (128, 384) and weight.scale.shape == (128,)
    weight.codes[5, 7] ^= 1
    weight.codes.flush()
    old, new = (np.fromfile(p / "shards/00-layers-00-01.mlpackage" / WEIGHTS, np.uint8) for p in (good, bundle.path))
    assert (old != new).sum() == 1
    bundle.redigest()
    assert BundleEdit(bundle.path).chain["shards"][0]["files"] != BundleEdit(good).chain["shards"][0]["files"]
    assert BundleEdit(bundle.path).chain["shards"][1] == BundleEdit(good).chain["shards"][1]


def test_a_program_written_back_is_still_one(good, tmp_path):
    bundle = BundleEdit.copy(good, tmp_path / "b.lathe")
    for i in range(2):
        with bundle.program(i) as model:
            assert len(bundle.operations(model, "prefill")) > 100
    bundle.redigest()
    run = subprocess.run([LATHE, "verify", bundle.path, "--model", HELLO, "--gates", "contract,structure,graph"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_rewriting_a_gguf_file_keeps_its_contract(tmp_path):
    copy = rewrite_gguf(HELLO, tmp_path / "copy.gguf")
    same, other = (subprocess.run([LATHE, "inspect", path], capture_output=True, text=True).stdout
                   for path in (copy, rewrite_gguf(HELLO, tmp_path / "other.gguf",
                                                   {"phi3.attention.layer_norm_rms_epsilon": 1e-3})))
    wanted = subprocess.run([LATHE, "inspect", HELLO], capture_output=True, text=True).stdout
    assert same == wanted
    assert [a.split()[0] for a, b in zip(wanted.splitlines(), other.splitlines()) if a != b] == ["norm_eps", "contract"]


def test_host_file_bytes_are_changed_in_place(good, tmp_path):
    bundle = BundleEdit.copy(good, tmp_path / "b.lathe")
    bundle.host_tensor("token_embd.weight")[7] ^= 1
    assert not filecmp.cmp(good / "host.gguf", bundle.path / "host.gguf", shallow=False)
    assert (good / "host.gguf").stat().st_size == (bundle.path / "host.gguf").stat().st_size
