"""The publisher's files that come with a pulled model, and names of the hub where commands take a model file."""

import json

import pytest
from bundle_edit import rewrite_gguf
from command import HELLO, done, lathe
from test_cli_json import fits
from test_pull import MODEL, Q8, SYSTEM, TOKEN, env, hub, model_dir, names, refused  # noqa: F401

GATE = 1
CONFIG = json.loads((HELLO.parent / "hello-config.json").read_text())
HUB = "https://huggingface.co"


def config(**changes):
    return {**CONFIG, **changes}


@pytest.fixture
def both(hub):  # noqa: F811
    """A quantisation, whose card names the publisher's repository."""
    hub.add("u/r", {Q8: MODEL, "config.json": config(rope_theta=3.0)}, base="o/m")
    hub.add("o/m", {"config.json": CONFIG, "generation_config.json": {"eos_token_id": 2037}, "notes.txt": b""})
    return hub


def pulled(env, *args):  # noqa: F811
    return fits("pull", json.loads(done("pull", "hf:u/r", "--json", *args, env=env).stdout))


def test_the_files_of_the_publisher_come_along(both, env):  # noqa: F811
    run = done("pull", "hf:u/r", env=env)
    assert "of the publisher o/m (named by the model's card), commit 0123456789ab: config.json generation_config.json\n" in run.stdout
    folder = model_dir(env)
    assert names(folder) == ["config.json", "generation_config.json", Q8, "pulled.json"]
    assert json.loads((folder / "config.json").read_text()) == CONFIG
    n = len(both.log)
    said = pulled(env)
    assert said["base"] == "o/m" and said["publisher"] == {name: str(folder / name) for name in ("config.json", "generation_config.json")}
    assert not any("/resolve/" in path for path, _ in both.log[n:])  # they were there


def test_a_new_file_of_the_publisher_replaces_the_old_one(both, env):  # noqa: F811
    done("pull", "hf:u/r", env=env)
    both.add("o/m", {"config.json": config(new=1)}, commit="e" * 40)
    done("pull", "hf:u/r", env=env)
    assert json.loads((model_dir(env) / "config.json").read_text())["new"] == 1
    assert names(model_dir(env)) == ["config.json", Q8, "pulled.json"]


@pytest.mark.parametrize("how, base", [
    ({"base": "o/m"}, "o/m"), ({"base": ["o/m"], "tags": ["base_model:quantized:o/m"]}, "o/m"),
    ({}, "u/r"),  # nobody is named: the repository's own config.json
    ({"base": ["o/m", "o/n"]}, "u/r"), ({"base": "o/m", "tags": ["base_model:finetune:o/m"]}, "u/r"),
])
def test_whose_files(hub, env, how, base):  # noqa: F811
    hub.add("o/m", {"config.json": CONFIG})
    hub.add("u/r", {Q8: MODEL, "config.json": CONFIG}, **how)
    assert pulled(env)["base"] == base


@pytest.mark.parametrize("keys, base", [
    ({"general.source.repo_url": f"{HUB}/o/m"}, "o/m"),
    ({"general.base_model.0.repo_url": f"{HUB}/o/Hello-3-Instruct", "general.name": "Hello 3 instruct"}, "o/Hello-3-Instruct"),
    # The model that this one was trained from, which is another one.
    ({"general.base_model.0.repo_url": f"{HUB}/o/Hello-3", "general.name": "Hello 3 Instruct"}, None),
    ({"general.base_model.0.repo_url": f"{HUB}/o/m"}, None),
    ({"general.source.repo_url": "https://github.com/o/m"}, None),
    ({"general.source.repo_url": f"{HUB}/../../x"}, None),
    ({"general.source.repo_url": f"{HUB}/o/absent"}, None),
])
def test_what_the_file_says(hub, env, tmp_path, keys, base):  # noqa: F811
    rewrite_gguf(HELLO, tmp_path / "x.gguf", keys=keys)
    for name in ("o/m", "o/Hello-3-Instruct", "o/Hello-3"):
        hub.add(name, {"config.json": CONFIG})
    hub.add("u/r", {Q8: (tmp_path / "x.gguf").read_bytes()})
    assert pulled(env)["base"] == base


def test_the_user_says(both, env):  # noqa: F811
    both.add("o/n", {"config.json": CONFIG})
    assert pulled(env, "--base", "o/n")["base"] == "o/n"
    assert pulled(env, "--base", "none") | {"fetched": 0} == pulled(env, "--base", "none")
    assert names(model_dir(env)) == [Q8, "pulled.json"]
    refused(env, "hf:u/r", "--base", "../x", code=2, says="--base ../x: expected USER/REPO or none")
    refused(env, "hf:u/r", "--base", "o/absent", code=SYSTEM, says="hf:o/absent is not on")


@pytest.mark.parametrize("files, how, why", [
    ({"config.json": CONFIG, "x.gguf": b""}, {"is_gated": True}, "is gated"), ({"README.md": b""}, {}, "hf:o/m has no config.json"),
    ({"config.json": b"{"}, {}, "config.json: line 1"), ({"config.json": b"[]"}, {}, "expected a JSON object"),
])
def test_a_publisher_that_cannot_be_read_is_passed_over(hub, env, files, how, why):  # noqa: F811
    hub.add("u/r", {Q8: MODEL}, base="o/m")
    hub.add("o/m", files, **how)
    run = done("pull", "hf:u/r", env=env)
    assert "[no files of the publisher o/m (named by the model's card): " in run.stderr and why in run.stderr
    assert names(model_dir(env)) == [Q8, "pulled.json"]
    hub.add("u/r", {Q8: MODEL, "config.json": CONFIG}, base="o/m")
    assert pulled(env)["base"] == "u/r"


def test_a_gated_publisher_with_a_token(hub, env):  # noqa: F811
    hub.add("u/r", {Q8: MODEL}, base="o/m")
    hub.add("o/m", {"config.json": CONFIG}, is_gated=True)
    hub.tokens[TOKEN] = ["o/m"]
    assert pulled({**env, "HF_TOKEN": TOKEN})["base"] == "o/m"


# ---- as a second source, unasked

SAID = "[the publisher's files that came with the model count as well: config.json"


def test_inspect_compares_with_them(both, env):  # noqa: F811
    path = pulled(env)["path"]
    run = done("inspect", path)
    assert SAID in run.stderr and "generation_config.json, of o/m, named by the model's card]" in run.stderr
    assert " agree, 0 contradict" in run.stdout
    assert "contradict" not in done("inspect", HELLO).stdout
    done("pull", "hf:u/r", "--base", "none", env=env)
    assert SAID not in done("inspect", path).stderr


def test_a_contradiction_stops_what_asked_for_nothing(both, env, tmp_path):  # noqa: F811
    both.add("o/m", {"config.json": config(partial_rotary_factor=1.0)})
    path = pulled(env)["path"]
    for args in (("inspect", path), ("convert", path, "-o", tmp_path / "m.lathe"), ("verify", path, "--gates", "contract")):
        run = lathe(*args)
        assert run.returncode == GATE and "rope" in run.stderr + run.stdout, run
    # What is given takes the place of what came along.
    given = ("--config", HELLO.parent / "hello-config.json")
    run = done("convert", path, "-o", tmp_path / "m.lathe", *given, "--range", "off")
    assert SAID not in run.stderr
    # The bundle remembers its source, beside which the files lie.
    run = lathe("verify", tmp_path / "m.lathe", "--gates", "contract")
    assert run.returncode == GATE and SAID in run.stderr
    done("verify", tmp_path / "m.lathe", "--gates", "contract", *given)


# ---- names

def test_a_name_stands_for_the_file(both, env, tmp_path):  # noqa: F811
    run = done("inspect", "hf:u/r", env=env)  # pulled first
    assert f"[hf:u/r:Q8_0: {model_dir(env) / Q8}]" in run.stderr and SAID in run.stderr
    n = len(both.log)
    done("convert", "hf:u/r:q8_0", "-o", tmp_path / "m.lathe", "--range", "off", env=env)
    assert done("tokenize", "hf:u/r", "hello", env=env).stdout == done("tokenize", HELLO, "hello").stdout
    assert done("verify", "hf:u/r", "--gates", "contract", env=env)
    told = done("chat", "hf:u/r", "-p", "Hi", "--max-tokens", "3", env=env)
    assert told.stdout == done("chat", HELLO, "-p", "Hi", "--max-tokens", "3").stdout
    assert len(both.log) == n  # the hub was asked once


def test_chat_samples_as_the_publisher_does(both, env):  # noqa: F811
    both.add("o/m", {"config.json": CONFIG, "generation_config.json": {"eos_token_id": 2037, "do_sample": True, "temperature": 0.25}})
    done("pull", "hf:u/r", env=env)
    lines = done("chat", "hf:u/r", "--lines", "--max-tokens", "1", given="Hi\n", env=env).stderr
    assert "temperature 0.25" in lines and "generation_config.json" in lines
    assert "generation_config.json" not in done("chat", HELLO, "--lines", "--max-tokens", "1", given="Hi\n").stderr


@pytest.mark.parametrize("command", [("inspect",), ("convert", "-o", "m.lathe"), ("verify",), ("chat", "-p", "x")])
def test_offline_commands_ask_nobody(both, env, tmp_path, command):  # noqa: F811
    run = lathe(command[0], "hf:u/r", *command[1:], "--offline", env=env, cwd=tmp_path)
    assert run.returncode == SYSTEM and "hf:u/r is not in the store; `lathe pull hf:u/r` brings it" in run.stderr
    assert not both.log and list(tmp_path.iterdir()) == []


def test_a_name_that_means_nothing_is_told_by_each(hub, env):  # noqa: F811
    for command in ("inspect", "tokenize"):
        run = lathe(command, "hf:u/none", *(["x"] if command == "tokenize" else []), env=env)
        assert run.returncode == SYSTEM and f"lathe {command}: hf:u/none is not on" in run.stderr
