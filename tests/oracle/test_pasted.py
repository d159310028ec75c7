"""Every command that lathe prints runs as it is printed: pasted into a shell, in the folder where lathe was called, with paths that
hold spaces, quotes, dollar signs and a dash at the beginning. Words in capitals are for the user to fill in; one that shows where lathe
knows better is a fault."""

import html
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess

import pytest
from bundle_edit import BundleEdit, rewrite_gguf
from command import HELLO, LATHE

# A command ends with the line, before "; ", " (" or " &&", outside of quotes.
WORD = r"(?:'[^']*'|\\'|[^\s;'()&<>]|;(?=\S))+"
COMMAND = re.compile(rf"lathe (?:chat|convert|verify|inspect|journal|eval|doctor)(?: {WORD})+")  # not "lathe chat: why it failed"


@pytest.fixture
def place(tmp_path):
    """Folders as nobody should name them: where the model is, and where the user is."""
    models, here = tmp_path / "it's the $HOME of \"models\"", tmp_path / "here; or (there)"
    models.mkdir()
    here.mkdir()
    shutil.copy(HELLO, models / "-my hello's.gguf")
    programs = tmp_path / "bin"
    programs.mkdir()
    # The text that is pasted stays as it is; what a run of verify takes is cut down to one gate, a conversion's to what it must do.
    shim = programs / "lathe"
    shim.write_text(f'#!/bin/sh\ncase "$1" in\nverify) exec {LATHE} "$@" $VERIFY_MORE;;\nconvert) exec {LATHE} "$@" $CONVERT_MORE;;\n'
                    f'*) exec {LATHE} "$@";;\nesac\n')  # fmt: skip
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    return Place(models / "-my hello's.gguf", here, programs)


class Place:
    def __init__(self, model, here, programs):
        self.model, self.here = model, here
        self.path = f"{programs}:{os.environ['PATH']}"

    def shell(self, command, cwd=None, gates="structure"):
        more = {"VERIFY_MORE": f"--gates {gates}" if gates else "", "CONVERT_MORE": "--range off"}
        return subprocess.run(command, shell=True, cwd=cwd or self.here, capture_output=True, text=True,
                              env={**os.environ, "PATH": self.path, **more})  # fmt: skip

    def lathe(self, *args):
        return subprocess.run([LATHE, *map(str, args)], cwd=self.here, capture_output=True, text=True)

    def converted(self, name="-a 'b'.lathe"):
        model = os.path.relpath(self.model, self.here)
        run = self.lathe("convert", model, "-o", f"./{name}", "--range", "off")
        assert run.returncode == 0, run.stderr
        return BundleEdit(self.here / name), run

    def paste(self, text, *starts, **how):
        """Runs every command in `text`; there must be one for each start, in that order."""
        found = COMMAND.findall(text)
        assert len(found) == len(starts) and all(map(str.startswith, found, starts)), (found, text)
        for command in found:
            assert not set(re.findall(r"\b[A-Z]{3,}\S*", command)) - {"HOME"}, command  # nothing left to fill in
            run = self.shell(command, **how)
            assert run.returncode == 0, (command, run.stderr)


def test_convert_says_how_to_prove(place):
    bundle, run = place.converted()
    place.paste(run.stdout, "lathe verify './-a ")


def test_a_model_that_was_moved_is_asked_for_by_name(place):
    bundle, _ = place.converted()
    moved = place.model.rename(place.here / "aside.gguf")
    run = place.lathe("chat", bundle.path, "-p", "hello")
    assert run.returncode == 5 and "--model ./'-my hello" in run.stderr
    run = place.lathe("verify", bundle.path)
    assert run.returncode == 2 and "was not found" in run.stderr and "--model ./'-my hello" in run.stderr
    moved.rename(place.here / "-my hello's.gguf")  # "here" is one of the places that are looked at
    place.paste(place.lathe("chat", bundle.path, "-p", "hello").stderr, "lathe verify")


def test_who_was_never_verified_or_interrupted_is_told_how_to_go_on(place):
    bundle, _ = place.converted()
    for command in (("chat", bundle.path, "-p", "hello"), ("eval", bundle.path, "--text", __file__)):
        place.paste(place.lathe(*command).stderr, "lathe verify ")
    place.paste(place.lathe("journal", place.converted("second one")[0].path).stderr, "lathe verify ")
    shutil.rmtree(bundle.path / "verify/report.json", ignore_errors=True)
    process = subprocess.Popen([LATHE, "verify", bundle.path, "--model", place.model], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("contract"):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run = place.lathe("chat", bundle.path, "-p", "hello")
    assert "interrupted" in run.stderr and "--resume\n" in run.stderr
    (command,) = COMMAND.findall(run.stderr)
    assert "all gates passed, sealed" in place.shell(command, gates=None).stdout


def test_ctrl_c_is_told_how_to_go_on(place):
    bundle, _ = place.converted()
    process = subprocess.Popen([LATHE, "verify", f"./{bundle.path.name}", "--model", place.model], cwd=place.here,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("contract"):
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    (command,) = COMMAND.findall(said)
    assert command.startswith("lathe verify --resume ") and "all gates passed, sealed" in place.shell(command, gates=None).stdout


def test_a_contradiction_asks_the_weights(place):
    """Which of two sources is right, and what to do then: said by whoever meets the contradiction, and answered by the vote."""
    config = json.loads((HELLO.parent / "hello-config.json").read_text()) | {"rope_theta": 99.0}
    (place.here / "my config.json").write_text(json.dumps(config))
    for args in (("inspect", place.model), ("convert", place.model, "-o", "x.lathe")):
        run = place.lathe(*args, "--config", "my config.json")
        (command,) = COMMAND.findall(run.stderr)
        assert run.returncode == 1 and command.startswith("lathe verify ") and "--set KEY=VALUE corrects it" in run.stderr
    run = place.shell(command, gates=None)
    assert run.returncode == 1, run.stderr
    assert "a gate failed: contract (above). The weights fit no other reading tried better than rope_base of the model file. " in run.stderr
    (command,) = COMMAND.findall(run.stderr)
    assert command.startswith("lathe inspect ") and place.shell(command).returncode == 1


def test_what_is_damaged_is_converted_again(place):
    bundle, _ = place.converted()
    (bundle.path / "host.gguf").write_bytes(b"x")
    place.paste(place.lathe("verify", bundle.path, "--gates", "structure").stderr, "lathe convert ")
    (bundle.path / "chain.json").write_text("{}")
    place.paste(place.lathe("doctor", bundle.path).stderr, "lathe convert ")


def test_a_sealed_bundle_that_is_damaged_or_whose_source_was_replaced(place, hello_sealed):
    path = place.here / "-a 'b'.lathe"
    model = place.here / HELLO.name  # beside it
    shutil.copy(HELLO, model)
    BundleEdit.copy(hello_sealed, path)
    assert place.lathe("chat", path, "-p", "hello", "--max-tokens", "1").returncode == 0
    (path / "host.gguf").unlink()
    place.paste(place.lathe("chat", path, "-p", "hello").stderr, "lathe convert ")
    shutil.rmtree(path)
    BundleEdit.copy(hello_sealed, path)
    (path / "chain.json").unlink()
    (path / "verify/source.json").unlink()
    assert "lathe convert MODEL.gguf -o" in place.lathe("chat", path, "-p", "hello").stderr  # nothing says which
    shutil.copytree(hello_sealed, place.here / "kept.lathe")
    (place.here / "kept.lathe/chain.json").unlink()
    place.paste(place.lathe("chat", "kept.lathe", "-p", "hello").stderr, "lathe convert ")
    shutil.rmtree(path)
    BundleEdit.copy(hello_sealed, path)
    data = bytearray(HELLO.read_bytes())
    data[-100] ^= 1
    model.write_bytes(data)
    run = place.lathe("chat", path, "-p", "hello")
    assert run.returncode == 1 and "is not the file" in run.stderr
    place.paste(run.stderr, "lathe convert ", "lathe verify ")
    shutil.rmtree(path)
    BundleEdit.copy(hello_sealed, path)
    place.paste(place.lathe("verify", path, "--model", model).stderr, "lathe convert ")


def test_a_model_file_where_a_bundle_is_needed(place):
    for more in (("--gates", "graph"), ("--resume",), ("--blame",), ("--report", "x.html"), ("--mutants", "all")):
        run = place.lathe("verify", place.model, *more)
        assert run.returncode == 2
        place.paste(run.stderr, "lathe convert ")
        shutil.rmtree(place.here / "-my hello's.lathe")


def test_settings_are_part_of_the_command(place):
    rewrite_gguf(HELLO, place.model, keys={"other.key": "x"})
    run = place.lathe("convert", place.model, "-o", "-b.lathe", "--range", "off", "--ignore-key", "other.key", "--weights", "fp16")
    assert run.returncode == 0, run.stderr
    (place.here / "-b.lathe/host.gguf").write_bytes(b"x")
    place.paste(place.lathe("verify", "./-b.lathe", "--gates", "structure").stderr, "lathe convert ")
    assert BundleEdit(place.here / "-b.lathe").chain["options"]["weights"] == "fp16"


def test_the_page_and_the_last_line_of_a_failure(place):
    """Commands of the page are for the folder that holds the bundle, which need not be the one that verify ran in."""
    bundle, _ = place.converted()
    bundle.chain["shards"][0]["files"][0]["sha256"] = "0" * 64
    bundle.write_chain()
    elsewhere = place.model.parent
    run = subprocess.run([LATHE, "verify", bundle.path, "--gates", "structure,residency"], cwd=elsewhere, capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    page = (bundle.path / "verify/report.html").read_text()
    assert "for the folder that holds the bundle" in page
    commands = {html.unescape(text) for text in re.findall(r"<code>(lathe [^<]*)</code>", page)}
    assert {command.split()[1] for command in commands} == {"convert", "verify"}
    assert any(command.endswith("--range auto") for command in commands)
    convert = next(command for command in commands if command.endswith(" --force"))
    assert convert == "lathe convert '../it'\\''s the $HOME of \"models\"/-my hello'\\''s.gguf' -o ./'-a '\\''b'\\''.lathe' --force"
    assert COMMAND.findall(run.stderr)[0].startswith("lathe convert ")
    assert place.shell(COMMAND.findall(run.stderr)[0], cwd=elsewhere).returncode == 0
    for command in sorted(commands, key=lambda c: c.split()[1]):  # convert before verify
        if "--config config.json" in command:
            shutil.copy(HELLO.parent / "hello-config.json", place.here / "config.json")
        if "--mutants all" in command or "--engine coreml" in command:
            continue  # minutes, which the story takes; Macs alone
        gates = None if "--gates" in command else "structure"
        run = place.shell(command, gates=gates)
        assert run.returncode == 0, (command, run.stdout, run.stderr)
    assert json.loads((bundle.path / "verify/report.json").read_text())["commands"]["bundle"] == "./'-a '\\''b'\\''.lathe'"
