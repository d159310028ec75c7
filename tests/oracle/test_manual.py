"""The manual page and the completions of shells: every command and option of the program's tables, in files that the shells read."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from command import commands, described

BUILT = Path(os.environ["LATHE_BUILD"]) / "src/cli"
OPTIONS = {name: [option["name"] for option in line["options"]] for name, line in described().items()}


def completed(*words):
    """What bash offers for the last of `words`."""
    script = f'. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lathe; printf "%s\\n" "${{COMPREPLY[@]}}"'
    run = subprocess.run(["bash", "-euc", script, "bash", BUILT / "lathe.bash", *words], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    return run.stdout.split()


def test_manual_has_every_command_and_option():
    text = (BUILT / "lathe.1").read_text().replace("\\-", "-")
    sections = dict(re.findall(r"^\.SS ([\w-]+) - .+\n((?:(?!\.SS|\.SH).*\n)*)", text, re.M))
    assert list(sections) == commands()
    for name, section in sections.items():
        assert re.findall(r"^\.TP\n\\fB(\S+)\\fR", section, re.M) == OPTIONS[name] + ["--help"]
    assert re.search(r"^\.SH EXIT STATUS\n0 done", text, re.M)


def test_manual_is_read_without_a_warning():
    if not shutil.which("groff"):  # the manual's own oracle where it is installed; the test above needs none
        return
    run = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-k", BUILT / "lathe.1"], capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == ""


def test_bash_completes_commands():
    assert completed("lathe", "") == commands() + ["--help", "--version"]
    assert completed("lathe", "ver") == ["verify"]


@pytest.mark.parametrize("command", commands())
def test_bash_completes_options(command):
    assert completed("lathe", command, "--") == [name for name in OPTIONS[command] if name.startswith("--")] + ["--help"]


def test_bash_leaves_values_and_files_to_the_shell():
    assert completed("lathe", "convert", "model") == []
    assert completed("lathe", "convert", "--calibration", "--") == []


def test_zsh_file_states_every_option():
    text = (BUILT / "_lathe").read_text()
    assert text.startswith("#compdef lathe\n")
    # zsh quotes as a POSIX shell does.
    cases = re.findall(r"^    ([\w-]+)\) _arguments \\\n((?:.*\\\n)*.*;;)$", text, re.M)
    assert [name for name, _ in cases] == commands()
    for name, body in cases:
        specs = shlex.split(body.replace("\\\n", " ").removesuffix(";;"))
        assert [re.match(r"\*?(--?[\w-]+)\[", spec)[1] for spec in specs[:-1]] == OPTIONS[name] + ["--help"]
        assert all(re.fullmatch(r"[^[]+\[(?:\\.|[^]\\])+\](?::[^:]+:.*)?", spec) for spec in specs[:-1])


def test_fish_file_states_every_option():
    rows = re.findall(r"^complete -c lathe -n '__fish_seen_subcommand_from ([\w-]+)' -([ls]) (\S+)", (BUILT / "lathe.fish").read_text(), re.M)
    for name in commands():
        assert [("--" if kind == "l" else "-") + word for row, kind, word in rows if row == name] == OPTIONS[name] + ["--help"]


@pytest.mark.parametrize("shell, file", [("bash", "lathe.bash"), ("zsh", "_lathe"), ("fish", "lathe.fish")])
def test_the_shell_itself_takes_the_file(shell, file):
    if shutil.which(shell):  # bash always; the others where they are installed
        run = subprocess.run([shell, "-n", BUILT / file], capture_output=True, text=True)
        assert run.returncode == 0 and run.stderr == ""


def test_install_puts_them_where_shells_look(tmp_path):
    run = subprocess.run(["meson", "install", "-C", os.environ["LATHE_BUILD"], "--no-rebuild", "--destdir", tmp_path],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    installed = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    for end in ("bin/lathe", "share/man/man1/lathe.1", "share/bash-completion/completions/lathe.bash",
                "share/zsh/site-functions/_lathe", "share/fish/vendor_completions.d/lathe.fish"):
        assert any(name.endswith("/" + end) for name in installed), end
