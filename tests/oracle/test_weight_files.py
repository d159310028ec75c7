"""Bundles whose packages have several weight files (--weight-files): proved, sealed and broken like those with one."""
import json
import re

import pytest
from bundle_edit import BundleEdit
from command import HELLO, done, lathe

FILES = ["weight.bin", "weight_1.bin", "weight_2.bin", "weight_3.bin"]
# A short context: seconds, not minutes.
SHORT = ["--range", "off", "--context", 128]


def weight_files(bundle):
    return sorted(next((bundle / "shards").iterdir()).glob("Data/com.apple.CoreML/weights/*"))


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """hello-phi3 in one package of four weight files, proved."""
    path = tmp_path_factory.mktemp("files") / "four.lathe"
    out = done("convert", HELLO, "-o", path, "--weight-files", 4, *SHORT).stdout
    assert re.search(r"MiB: 4 weight files, the largest 0\.\d; reached by decode", out), out
    done("verify", path, "--model", HELLO)
    return path


def test_every_file_has_its_digest_and_the_way_back(four):
    chain = json.loads((four / "chain.json").read_text())
    listed = [f["path"].rsplit("/", 1)[1] for f in chain["shards"][0]["files"]]
    assert listed == ["Manifest.json", "model.mlmodel", *FILES]
    assert [p.name for p in weight_files(four)] == FILES
    assert chain["options"]["weight_files"] == 4
    [package] = json.loads(done("doctor", four, "--json").stdout)["packages"]
    assert package["weight_files"] == 4
    assert package["weight_file_bytes"] == max(p.stat().st_size for p in weight_files(four))


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_in_any_of_them_breaks_the_seal(four, name, tmp_path):
    bundle = BundleEdit.copy(four, tmp_path / "b.lathe")
    path = next(p for p in weight_files(bundle.path) if p.name == name)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    run = lathe("chat", bundle.path, "-p", "x", "--max-tokens", 1)
    assert run.returncode != 0 and run.stdout == "" and name in run.stderr, run.stderr
    run = lathe("verify", bundle.path, "--model", HELLO, "--gates", "structure")
    assert run.returncode == 1 and name in run.stdout
    assert "--weight-files 4" in run.stdout + run.stderr


def test_a_file_that_is_missing_or_more_is_named(four, tmp_path):
    bundle = BundleEdit.copy(four, tmp_path / "b.lathe")
    paths = weight_files(bundle.path)
    (paths[0].parent / "weight_4.bin").write_bytes(paths[0].read_bytes())
    run = lathe("verify", bundle.path, "--model", HELLO, "--gates", "structure")
    assert run.returncode == 1 and "weight_4.bin is not part of the bundle" in run.stdout
    (paths[0].parent / "weight_4.bin").unlink()
    paths[2].unlink()
    run = lathe("verify", bundle.path, "--model", HELLO, "--gates", "structure")
    assert run.returncode != 0 and "weight_2.bin" in run.stdout + run.stderr


def test_wrong_weights_behind_right_digests_fail_a_gate(four, tmp_path):
    """A weight of the second file and one of the last, each alone."""
    for name in ("layer_01_down", "layer_03_down"):
        bundle = BundleEdit.copy(four, tmp_path / f"{name}.lathe")
        weight = bundle.weight(name)
        weight.codes[5] += 3
        weight.codes.flush()
        bundle.redigest()
        run = lathe("verify", bundle.path, "--model", HELLO, "--gates", "structure,layer golden")
        assert run.returncode == 1 and "layer golden" in run.stdout, run.stdout


def test_errors_of_bytes_are_seen_in_any_file(four):
    """The mutants that edit weight files: two of them move bytes of layer 1, one those of the head."""
    names = "scale_of_one_channel,one_weight_negated,kv_heads_exchanged,scales_shifted"
    out = done("verify", four, "--model", HELLO, "--mutants", names).stdout
    assert "4 mutants, 4 killed, 0 survived" in out, out


def test_the_same_answers_as_with_one_file(four, tmp_path):
    one = tmp_path / "one.lathe"
    done("convert", HELLO, "-o", one, *SHORT)
    answers = [done("run", next((b / "shards").iterdir()), "--function", "decode", "--fill", "random:3", "--output",
                    f"hidden={tmp_path / b.name}.bin") for b in (one, four)]
    assert answers and (tmp_path / "one.lathe.bin").read_bytes() == (tmp_path / "four.lathe.bin").read_bytes()
    with_one, with_four = weight_files(one), weight_files(four)
    assert len(with_one) == 1 and sum(p.stat().st_size for p in with_four) >= with_one[0].stat().st_size
