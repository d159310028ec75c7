"""The command line: what it lists, what it explains, what it refuses, and the exit code of each."""

import os
import re
import shutil
import subprocess

import pytest
from command import HELLO, LATHE, ROOT, commands, done, lathe, options_of
from terminal import Terminal

# Of ./check, meson, pytest and git in the documents.
OF_OTHERS = {"--keep", "--quick", "--full", "--format", "--collect-only", "--no-rebuild", "--suite"}
VERSION = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text())[1]


def test_without_arguments_it_says_how_on_stderr():
    run = lathe()
    assert run.returncode == 2 and run.stdout == "" and run.stderr.startswith("usage: lathe COMMAND")


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_lists_every_command(word):
    run = done(word)
    assert run.stderr == ""
    assert re.findall(r"^  ([\w-]+) +\S", run.stdout, re.M) == commands()
    assert "Exit codes: 0 done, 1 a gate failed, 2 usage, 3 bad input, 4 the system" in run.stdout


@pytest.mark.parametrize("command", commands())
def test_help_of_a_command_in_either_order(command):
    assert done("help", command).stdout == done(command, "--help").stdout


@pytest.mark.parametrize("word", ["version", "--version", "-v"])
def test_version_is_the_build_systems(word):
    assert done(word).stdout == f"lathe {VERSION}\n"


def test_the_documents_list_the_commands_of_the_table():
    section = re.search(r"^## Commands\n(.*?)^## ", (ROOT / "docs/using.md").read_text(), re.M | re.S)[1]
    said = dict(re.findall(r"^    lathe ([\w-]+) +(\S+)", section, re.M))
    assert list(said) == commands()
    for command, first in said.items():  # what each is about, as its usage says
        assert done(command, "--help").stdout.split()[3] == first, command


def test_readme_and_the_page_on_proofs_count_the_same_mutants():
    proof = re.search(r"^    (\d+) mutants, (\d+) killed, 0 survived", (ROOT / "docs/proof.md").read_text(), re.M)
    assert proof[1] == proof[2] and f"of {proof[1]} conversions" in (ROOT / "README.md").read_text()


def test_the_documents_list_the_gates_of_the_table():
    help = done("verify", "--help").stdout
    gates = re.findall(r"^  ([a-z]+(?: [a-z]+)?) +\S", help.split("\ngates:\n")[1].split("\n\n")[0], re.M)
    section = re.search(r"^## The gates\n(.*?)^## ", (ROOT / "docs/proof.md").read_text(), re.M | re.S)[1]
    assert re.findall(r"^\| (?!gate |---)([a-z ]+?) \|", section, re.M) == gates


@pytest.mark.parametrize("document", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]))
def test_documents_name_no_option_that_is_not_there(document):
    # Options stand in code blocks and backticks; those of other programs are listed here.
    text = (ROOT / document).read_text()
    code = "\n".join(re.findall(r"^    .*$|`[^`\n]+`", text, re.M))
    named = set(re.findall(r"(?<![\w-])(--[a-z][-a-z]+)", code))
    known = {"--help", "--version"}.union(*map(options_of, commands()), OF_OTHERS)
    assert not named - known


@pytest.mark.parametrize("command", commands())
def test_help_of_a_command_documents_every_option(command):
    run = done(command, "--help")
    assert run.stderr == "" and run.stdout.startswith(f"usage: lathe {command}")
    # An option opens its line, and something is said about it there.
    documented = dict(re.findall(r"^  (--?[a-z][-a-z0-9]*)(?: [A-Z]\S*)? +(\S.*)$", run.stdout, re.M))
    assert set(documented) - {"--"} == options_of(command)
    assert all(len(doc) > 10 for doc in documented.values())
    assert max(map(len, run.stdout.splitlines())) <= 110
    assert done(command, "-h").stdout == run.stdout


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("args", [("--help",), ("verify", "--help"), ("chat", "--help")])
def test_help_breaks_between_words_in_a_narrow_terminal(args, columns):
    with Terminal([LATHE, *args], columns=columns) as t:
        assert t.finish() == 0
    assert t.output.replace("\r\n", " ").split() == done(*args).stdout.split()
    assert all(len(line) <= columns or " " not in line.strip() for line in t.output.splitlines())


@pytest.mark.parametrize("columns", [40, 60])
def test_results_and_banner_break_between_words_in_a_narrow_terminal(columns, hello_sealed):
    with Terminal([LATHE, "doctor", hello_sealed], columns=columns) as t:
        assert t.finish() == 0
    assert t.output.replace("\r\n", " ").split() == done("doctor", hello_sealed).stdout.split()
    with Terminal([LATHE, "chat", HELLO], columns=columns) as chat:
        banner = chat.expect(r"[^\r\n]*hello-phi3.*?lists the\s+commands\.").group()
    assert "\r\n" in banner and "/quit ends, Ctrl-C" in banner.replace("\r\n", " ")
    for line in (t.output + banner).splitlines():
        assert len(line) <= columns or " " not in line.strip(), line


@pytest.mark.parametrize("command", commands())
@pytest.mark.parametrize("option", ["--no-such-option", "-z"])
def test_unknown_option_exits_2_and_is_named(command, option):
    run = lathe(command, option)
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith(f"lathe {command}: no option '{option}'") and f"usage: lathe {command}" in run.stderr


@pytest.mark.parametrize("command", [c for c in commands() if c not in ("doctor", "cache", "list")])
def test_missing_argument_exits_2_and_is_named(command):
    run = lathe(command)
    usage = re.search(r"^usage: lathe [\w-]+ (\S+)", done(command, "--help").stdout)[1]
    assert run.returncode == 2 and run.stdout == "" and f"usage: lathe {command}" in run.stderr
    assert run.stderr.startswith(f"lathe {command}: missing {usage}\n")


@pytest.mark.parametrize("slip, meant", [("convret", "convert"), ("Verify", "verify"), ("inspct", "inspect"), ("tempalte", "template")])
def test_a_slip_of_a_command_is_told(slip, meant):
    for args in ((slip, HELLO), ("help", slip)):
        run = lathe(*args)
        assert run.returncode == 2 and f"no command '{slip}'; did you mean '{meant}'? " in run.stderr


@pytest.mark.parametrize("slip, meant", [("--wieghts", "--weights"), ("--contxt=3", "--context"), ("--treads", "--threads")])
def test_a_slip_of_an_option_is_told(slip, meant):
    assert f"no option '{slip}'; did you mean '{meant}'?" in lathe("convert", HELLO, slip).stderr


def test_an_option_and_its_value_in_one_word(tmp_path):
    for n, args in enumerate((["--context", "128", "--weights", "fp16"], ["--context=128", "--weights=fp16"])):
        done("convert", HELLO, "-o", tmp_path / f"{n}.lathe", *args)
    assert (tmp_path / "0.lathe/chain.json").read_bytes() == (tmp_path / "1.lathe/chain.json").read_bytes()
    assert done("chat", HELLO, "--system=a=b", "-p", "Hi", "--max-tokens=1").stdout


def test_more_threads_than_processors_are_cut():
    run = done("chat", HELLO, "-p", "Hi", "--max-tokens", "1", "--threads", "99999")
    n = os.cpu_count()
    assert f"[--threads 99999: this machine has {n} processors, so {n}]\n" in run.stderr
    assert "[--threads" not in done("chat", HELLO, "-p", "Hi", "--max-tokens", "1", "--threads", "1").stderr


def test_an_option_of_use_reads_the_same_in_every_help():
    of = lambda command: re.search(r"^  --rope-factors .*?(?=\n  --)", done(command, "--help").stdout, re.M | re.S)[0]
    assert of("eval") == of("convert") == of("chat")


def test_unknown_command_exits_2_and_says_where_the_list_is():
    run = lathe("prove", HELLO)
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr == "lathe: no command 'prove'; `lathe --help` lists them\n"


WRONG = [
    (["convert", HELLO], "missing -o OUT.lathe"),
    (["convert", HELLO, "-o", "x", "--layers-per-shard", "0"], "--layers-per-shard 0: expected 1 or more"),
    (["convert", HELLO, "-o", "x", "--threads", "0"], "--threads 0: expected 1 or more"),
    (["convert", HELLO, "-o", "x", "--context", "0"], "--context 0: expected a whole number from 1"),
    (["convert", HELLO, "-o", "x", "--force=yes"], "--force takes no value, found 'yes'"),
    (["eval", HELLO, "--text", HELLO, "--context", "0"], "--context 0: expected 1 or more"),
    (["convert", HELLO, "-o"], "-o needs a value (OUT.lathe)"),
    (["convert", HELLO, "-o", "x", "--weights", "int3"], "--weights int3: expected int8"),
    (["convert", HELLO, "-o", "x", "--kv", "ring"], "--kv: kv form 'ring': expected overwrite, slice or rows"),
    (["convert", HELLO, "-o", "x", "--windows", "half"], "--windows half: expected ring or whole"),
    (["convert", HELLO, "-o", "x", "--prefill-rows", "24"], "--prefill-rows 24: expected a multiple of 16 up to 256"),
    (["convert", HELLO, "-o", "x", "--prefill-rows", "272"], "--prefill-rows 272: expected a multiple of 16 up to 256"),
    (["convert", HELLO, "-o", "x", "--prefill-rows", "32", "--functions", "decode"], "--functions decode makes no prefill"),
    (["convert", HELLO, "-o", "x", "--head-slice-rows", "1000"], "--head-slice-rows 1000: expected a multiple of 16 from 256 to 65536"),
    (["convert", HELLO, "-o", "x", "--head-slice-rows", "65552"], "--head-slice-rows 65552: expected a multiple of 16 from 256"),
    (["convert", HELLO, "-o", "x", "--weight-files", "17"], "--weight-files 17: expected 1 to 16"),
    (["convert", HELLO, "-o", "x", "--sizes", "large"], "--sizes large: expected cautious or newest"),
    (["convert", HELLO, "-o", "x", "--target", "macos9"], "--target macos9: expected macos27 or macos26"),
    (["convert", HELLO, "-o", "x", "--functions", "prefill"], "--functions prefill: expected decode,prefill, decode or one"),
    (["convert", HELLO, "-o", "x", "--context", "-1"], "--context -1: expected a whole number"),
    (["convert", HELLO, "-o", "x", "--context", "4e3.5"], "--context 4e3.5: expected a number"),
    (["convert", HELLO, "-o", "x", "--context", "99999999999"], "--context 99999999999: expected a whole number"),
    (["convert", HELLO, "-o", "x", "--context", "200000"], "the model was made for 4096 positions"),
    (["convert", HELLO, "-o", "x", "--context", "63"], "shorter than one prefill call"),
    (["convert", HELLO, "y", "-o", "x"], "unexpected 'y'"),
    (["verify", ".", "--gates", "smell"], "no gate 'smell'; expected some of: contract, vote"),
    (["verify", HELLO, "--gates", ""], "--gates is an empty list"),
    (["eval", HELLO, "--text", HELLO, "--context", "1"], "--context 1: expected 4 or more tokens"),
    (["convert", HELLO, "-o", ""], "missing -o OUT.lathe"),
    (["verify", HELLO, "--mutants", "all"], "--mutants applies to bundles; "),
    (["verify", HELLO, "--resume"], "--resume applies to bundles; "),
    (["verify", HELLO, "--report", "x.html"], "--report applies to bundles; "),
    (["verify", HELLO, "--blame"], "--blame applies to bundles; "),
    (["chat", HELLO, "--temp", "hot"], "--temp hot: expected a number"),
    (["chat", HELLO, "--temp", "-1"], "--temp -1: expected a number from 0 to 1000000"),
    (["chat", HELLO, "--temp", "nan"], "--temp nan: expected a number from 0 to 1000000"),
    (["chat", HELLO, "--temp", "1e9"], "--temp 1e9: expected a number from 0 to 1000000"),
    (["chat", HELLO, "--repeat-penalty", "1e30"], "--repeat-penalty 1e30: expected a number from 0.001 to 1000"),
    (["chat", HELLO, "--max-tokens", "-1"], "--max-tokens -1: expected a whole number from 0 to 4294967295"),
    (["chat", HELLO, "-p", "x", "--lines"], "-p, -f and --lines exclude each other"),
    (["chat", HELLO, "--top-p", "1.5"], "--top-p 1.5: expected a number from 0 to 1"),
    (["chat", HELLO, "--repeat-penalty", "0"], "--repeat-penalty 0: expected a number from 0.001 to 1000"),
    (["chat", HELLO, "--seed", "x"], "--seed x: expected a whole number"),
    (["chat", HELLO, "--engine", "gpu"], "--engine gpu: expected cpu"),
    (["chat", HELLO, "--engine", "cpu"], "--engine cpu runs bundles"),
    (["chat", HELLO, "--engine", "coreml"], "--engine coreml"),  # on a Mac: it runs bundles, and this is none
    (["chat", HELLO, "--context", "200000", "-p", "x"], "the model was made for 4096"),
    (["template", HELLO], "missing --messages FILE.json"),
    (["chat", HELLO, *["--stop", "x"] * 17], "--stop: given more than 16 times"),
]


@pytest.mark.parametrize("args, says", WRONG, ids=[" ".join(str(a).split("/")[-1] for a in args)[:60] for args, _ in WRONG])
def test_wrong_use_exits_2_and_says_what_was_expected(args, says, tmp_path):
    run = lathe(*args, cwd=tmp_path)
    assert run.returncode == 2 and run.stdout == "", run
    assert run.stderr.startswith(f"lathe {args[0]}: ") and says in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["inspect", "convert", "chat", "tokenize"])
def test_a_file_that_is_not_there_is_named(command, tmp_path):
    run = lathe(command, "nowhere.gguf", *(["-o", "out.lathe"] if command == "convert" else []), cwd=tmp_path)
    assert run.returncode == 4 and run.stdout == ""
    assert "nowhere.gguf" in run.stderr and "No such file or directory" in run.stderr


@pytest.mark.parametrize("command", ["verify", "chat"])
def test_a_folder_that_is_no_bundle_exits_3(command, tmp_path):
    run = lathe(command, tmp_path)
    assert run.returncode == 3 and "not a lathe bundle" in run.stderr and run.stdout == ""


def test_two_dashes_end_the_options():
    run = lathe("chat", "--", "--temp")
    assert run.returncode == 4 and "--temp" in run.stderr


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_written(tmp_path):
    """chain.json states the source's name, and is text."""
    odd = os.fsencode(tmp_path) + b"/s\xff.gguf"
    shutil.copy(HELLO, odd)
    run = subprocess.run([LATHE, "convert", odd, "-o", tmp_path / "out.lathe"], capture_output=True)
    assert run.returncode == 2 and b"the file name is not UTF-8" in run.stderr
    assert os.listdir(os.fsencode(tmp_path)) == [b"s\xff.gguf"]
