"""The exit codes: a script can tell "not proved yet" from "proved wrong", and a wrong call from a wrong file. One row a situation;
what each code means is stated once, in `lathe --help`, and the documents say the same."""

import json
import re
import shutil
import subprocess

import pytest
from bundle_edit import BundleEdit, rewrite_gguf
from command import HELLO, LATHE, ROOT, commands, done, lathe

DONE, GATE, USAGE, FORMAT, SYSTEM, UNPROVED = range(6)
# What each command needs besides the file it is about.
MORE = {"convert": ("-o", "out.lathe"), "export-hf": ("-o", "out"), "eval": ("--text", "text"), "chat": ("-p", "hello", "--max-tokens", "1"), "tokenize": ("hello",),
        "template": ("--messages", "messages.json"), "run": ("--list",)}
# Those without take a name, or nothing; settle asks for a Mac first.
ABOUT_A_PATH = [name for name in commands() if name not in ("cache", "list", "pull", "rm", "settle")]


@pytest.fixture(scope="module")
def here(tmp_path_factory, hello_sealed):
    path = tmp_path_factory.mktemp("codes")
    (path / "empty").mkdir()
    (path / "noise").write_text("noise\n" * 100)
    (path / "text").write_text("One two three. " * 40)
    (path / "messages.json").write_text(json.dumps([{"role": "user", "content": "hi"}]))
    done("convert", HELLO, "-o", path / "fresh.lathe", "--range", "off")
    (path / "failed").mkdir()  # away from its source, which is looked for beside it
    failed = BundleEdit.copy(hello_sealed, path / "failed/m.lathe")
    failed.chain["shards"][0]["files"][0]["sha256"] = "0" * 64
    failed.write_chain()
    assert lathe("verify", failed.path, "--model", HELLO, "--gates", "structure").returncode == GATE
    damaged = BundleEdit.copy(hello_sealed, path / "damaged.lathe")
    (damaged.path / "host.gguf").write_bytes(b"x")
    other = BundleEdit.copy(hello_sealed, path / "resealed.lathe")
    seal = other.path / "seal.json"
    seal.write_text(re.sub(r'"build": "\w+"', '"build": "other"', seal.read_text()))
    rewrite_gguf(HELLO, path / "wrong.gguf", keys={"phi3.rope.freq_base": 500000.0})
    shutil.copy(HELLO.parent / "hello-config.json", path / "config.json")
    return path


def code(here, *args):
    run = lathe(*args, cwd=here)
    if run.returncode not in (DONE, GATE):
        assert run.stdout == "" and run.stderr.startswith("lathe"), run
    return run.returncode


@pytest.mark.parametrize("command", ABOUT_A_PATH)
def test_a_path_that_is_not_there(here, command):
    assert code(here, command, "nowhere", *MORE.get(command, ())) == SYSTEM


@pytest.mark.parametrize("command", ABOUT_A_PATH)
def test_a_folder_that_is_nothing(here, command):
    assert code(here, command, "empty", *MORE.get(command, ())) == FORMAT


@pytest.mark.parametrize("command", [name for name in ABOUT_A_PATH if name != "template"])  # which takes any text
def test_a_file_that_is_nothing(here, command):
    assert code(here, command, "noise", *MORE.get(command, ())) == FORMAT


@pytest.mark.parametrize("args", [(), ("nothing",), *((name, "--nothing") for name in commands())])
def test_a_wrong_call(here, args):
    assert lathe(*args, cwd=here).returncode == USAGE


@pytest.mark.parametrize(("args", "expected"), [
    # not proved yet …
    (("chat", "fresh.lathe", "-p", "hi"), UNPROVED), (("eval", "fresh.lathe", "--text", "text"), UNPROVED),
    (("journal", "fresh.lathe"), UNPROVED), (("chat", "resealed.lathe", "-p", "hi"), UNPROVED),
    # … and proved wrong
    (("verify", "fresh.lathe", "--gates", "structure"), DONE),
    (("verify", "failed/m.lathe", "--model", HELLO, "--gates", "structure"), GATE), (("chat", "failed/m.lathe", "-p", "hi"), GATE),
    (("chat", "damaged.lathe", "-p", "hi"), GATE), (("verify", "damaged.lathe", "--model", HELLO, "--gates", "structure"), FORMAT),
    # the publisher says another model
    (("inspect", "wrong.gguf", "--config", "config.json"), GATE), (("convert", "wrong.gguf", "-o", "w.lathe", "--config", "config.json"), GATE),
    (("verify", "wrong.gguf", "--config", "config.json", "--gates", "contract"), GATE),
    # what is missing is the user's to say
    (("convert", HELLO), USAGE), (("convert", HELLO, "-o", "fresh.lathe"), USAGE), (("verify", HELLO, "--gates", "graph"), USAGE),
    (("doctor", "fresh.lathe"), DONE), (("doctor",), DONE), (("cache",), DONE),
])
def test_of_bundles_and_models(here, args, expected):
    assert code(here, *args) == expected


def test_a_result_that_cannot_be_written(here):
    with open("/dev/full", "w") as full:
        run = subprocess.run([LATHE, "inspect", HELLO], stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == SYSTEM and "No space left" in run.stderr


def test_the_meanings_are_stated_once():
    said = done("--help").stdout.split("Exit codes: ")[1].split(".")[0]
    assert [int(n) for n in re.findall(r"(\d) ", said)] == list(range(6))
    using = re.sub(r"\s+", " ", (ROOT / "docs/using.md").read_text())
    assert "Exit codes: " + said.replace(", ", "; ") in using
