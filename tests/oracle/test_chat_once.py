"""`lathe chat -p`: the way from a GGUF file to an answer, and every option that shapes one."""

import json
import re
import socket
import subprocess

import pytest
from bundle_edit import swap_answers
from command import ASK_ERLANG, ERLANG, HELLO, LATHE, ROOT, done, lathe

END_OF_TEXT, END = 2016, 2037  # the stop ids of hello-phi3
UNUSED = 2046

TIMING = re.compile(
    r"^(?:\[proved, except: .+\]\n)?\[(.+); load (\d+\.\d+) s; prefill (\d+) tokens, (\d+\.\d) tok/s \((\d+) reused\); "
    r"decode (\d+) tokens, (\d+\.\d) tok/s; (.+); position (\d+) of (\d+)\]\n$"
)


def timing(run):
    found = TIMING.match(run.stderr)
    assert found, run.stderr
    names = ("engine", "load", "prefill", "prefill_rate", "reused", "decode", "decode_rate", "end", "position", "context")
    return dict(zip(names, found.groups()))


def ask(path, *args, prompt=ASK_ERLANG):
    return done("chat", path, "-p", prompt, *args)


@pytest.fixture(scope="session")
def endless(tmp_path_factory):
    """hello-phi3 with an unused token in the place of each stop id: an answer ends nowhere."""
    return swap_answers(HELLO, tmp_path_factory.mktemp("endless") / "endless.gguf", [(END, UNUSED), (END_OF_TEXT, UNUSED + 1)])


# ---- the whole way


def test_convert_verify_chat_as_in_the_readme(tmp_path):
    convert = done("convert", HELLO, "-o", "hello.lathe", "--layers-per-shard", "2", cwd=tmp_path)
    assert "prove it with: lathe verify hello.lathe" in convert.stdout
    verify = done("verify", "hello.lathe", "--model", HELLO, cwd=tmp_path)
    assert "hello.lathe: all gates passed, sealed" in verify.stdout
    chat = done("chat", "hello.lathe", "-p", ASK_ERLANG, cwd=tmp_path)
    assert chat.stdout == ERLANG + "\n"
    assert timing(chat)["engine"] == "cpu (fp16)"


def test_a_gguf_file_is_answered_by_the_reference():
    run = ask(HELLO)
    assert run.stdout == ERLANG + "\n" and timing(run)["engine"] == "reference (fp32)"


def test_a_bundle_is_answered_by_the_reference_when_asked(hello_sealed):
    run = ask(hello_sealed, "--engine", "reference", "--model", HELLO)
    assert run.stdout == ERLANG + "\n" and timing(run)["engine"] == "reference (fp32)"
    run = lathe("chat", hello_sealed, "-p", "x", "--engine", "reference")
    assert run.returncode == 2 and "needs --model" in run.stderr


def test_timing_line_counts_what_was_fed(hello_sealed, tmp_path):
    messages = tmp_path / "messages.json"
    for system in (None, "You are terse."):
        chat = [{"role": "system", "content": system}] if system else []
        messages.write_text(json.dumps(chat + [{"role": "user", "content": ASK_ERLANG}]))
        text = done("template", HELLO, "--messages", messages, "--add-generation-prompt").stdout
        n_prompt = len(done("tokenize", HELLO, given=text).stdout.split())
        for path in (hello_sealed, HELLO):
            line = timing(ask(path, *(["--system", system] if system else [])))
            assert int(line["prefill"]) == n_prompt and line["reused"] == "0"
            assert int(line["position"]) == n_prompt + int(line["decode"]) and line["context"] == "2048"
            assert line["end"] == "end of turn"


def test_quiet_leaves_no_word_on_stderr(hello_sealed):
    assert ask(hello_sealed, "--quiet").stderr == ""


# ---- sampling

# Everything stays possible, and nearly equally likely.
WILD = ["--temp", "4", "--top-k", "0", "--top-p", "1", "--min-p", "0", "--max-tokens", "12"]


def test_same_seed_same_text_other_seed_other_text(hello_sealed):
    texts = [ask(hello_sealed, *WILD, "--seed", seed).stdout for seed in (1, 2, 3, 1)]
    assert texts[0] == texts[3] and len(set(texts)) == 3


@pytest.mark.parametrize("narrow", [["--temp", "0"], ["--top-k", "1"], ["--top-p", "0"], ["--min-p", "1"]], ids=" ".join)
def test_a_choice_of_one_is_greedy(hello_sealed, narrow):
    # The last of an option counts, so each narrows what WILD opened.
    greedy = ask(hello_sealed, "--max-tokens", "12").stdout
    for seed in (1, 2):
        assert ask(hello_sealed, *WILD, *narrow, "--seed", seed).stdout == greedy != ""


def test_repeat_penalty_keeps_words_from_coming_again(endless):
    # Without end the model falls into a loop; against repetition it does not.
    plain, punished = (ask(endless, "--max-tokens", "200", *more).stdout for more in ([], ["--repeat-penalty", "2"]))
    kinds = [len({text[i:i + 8] for i in range(len(text) - 8)}) / len(text) for text in (plain, punished)]
    assert kinds[0] < 0.5 < 0.75 < kinds[1]


# ---- where an answer ends


def test_max_tokens_cuts_the_answer(hello_sealed):
    run = ask(hello_sealed, "--max-tokens", "7")
    line = timing(run)
    assert line["decode"] == "7" and line["end"] == "token limit"
    assert ERLANG.startswith(run.stdout[:-1]) and 0 < len(run.stdout) < len(ERLANG)


def test_every_stop_id_ends_an_answer(tmp_path):
    ids = done("inspect", HELLO, "--json").stdout
    assert sorted(json.loads(ids)["contract"]["stop_ids"]) == [END_OF_TEXT, END]
    # The model whose head says the other stop id instead of its usual one.
    run = ask(swap_answers(HELLO, tmp_path / "other.gguf", [(END, END_OF_TEXT)]), "--max-tokens", "300")
    assert run.stdout == ERLANG + "\n" and timing(run)["end"] == "end of turn"


def test_without_a_stop_id_the_context_ends_it(endless):
    run = ask(endless, "--context", "100")
    line = timing(run)
    assert line["end"] == "context full" and line["position"] == line["context"] == "100"
    assert run.stdout.startswith(ERLANG)


@pytest.mark.parametrize(
    "stops, left",
    [
        (["start"], "```erlang\n-module(hello).\n-export(["),
        (["nowhere", "start"], "```erlang\n-module(hello).\n-export(["),
        (["World", "export", "start"], "```erlang\n-module(hello).\n-"),  # the first in the text, not in the list
        (["odule", "module"], "```erlang\n-"),
        (["module", "odule"], "```erlang\n-"),
        (["\n\n"], "```erlang\n-module(hello).\n-export([start/0])."),
        (["hello).\n-export([sta"], "```erlang\n-module("),  # over several tokens
        (["```"], ""),
        (["Hello, World? no", "[]).\n```\nand more"], ERLANG),  # begins, but does not come
        ([""], ERLANG),
    ],
)
def test_stop_texts_cut_before_they_come(hello_sealed, stops, left):
    run = ask(hello_sealed, *[word for stop in stops for word in ("--stop", stop)])
    assert run.stdout == left + "\n"
    assert timing(run)["end"] == ("stop string" if left != ERLANG else "end of turn")


def test_a_prompt_longer_than_the_context_is_refused():
    run = lathe("chat", HELLO, "-p", "word " * 300, "--context", "256")
    assert run.returncode == 2 and run.stdout == ""
    assert re.search(r"the conversation is too long: \d+ tokens do not fit into the context of 256", run.stderr)


# ---- streaming


def test_text_is_written_as_it_comes(hello_sealed):
    # A socket of packets keeps the borders of each write.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    args = [LATHE, "chat", hello_sealed, "-p", ASK_ERLANG]
    with subprocess.Popen(args, stdout=theirs, stderr=subprocess.PIPE, text=True) as process:
        theirs.close()
        pieces = []
        while piece := ours.recv(4096):
            pieces.append(piece.decode())
        n_tokens = int(TIMING.match(process.stderr.read())[6])
    assert process.returncode == 0 and "".join(pieces) == ERLANG + "\n"
    # One write a token, but those that complete no character; and the end of the line.
    assert len(pieces) > n_tokens // 2 and max(map(len, pieces[:-1])) < 12


@pytest.mark.linux("/dev/full")
def test_an_answer_that_cannot_be_written_exits_4(hello_sealed):
    with open("/dev/full", "w") as full:
        run = subprocess.run([LATHE, "chat", hello_sealed, "-p", ASK_ERLANG], stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 4 and "standard output" in run.stderr


# ---- what a script needs to know


@pytest.mark.parametrize("args, why", [
    (["--max-tokens", "7"], "[the answer was cut at --max-tokens 7]\n"),
    (["--context", "100"], "[the answer was cut: the context of 100 tokens is full]\n"),
    (["--stop", "module"], ""),
])
def test_an_answer_that_was_cut_says_so_when_quiet(endless, args, why):
    assert ask(endless, "--quiet", *args).stderr == why


def as_json(path, *args, prompt=ASK_ERLANG):
    run = ask(path, "--json", *args, prompt=prompt)
    return [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def test_an_answer_as_json(hello_sealed, endless):
    """The shape that docs/chat-json.md states."""
    (line,), said = as_json(hello_sealed)
    assert said == ""
    assert {k: v for k, v in line.items() if k not in ("seconds", "not_proved")} == {
        "schema": 1, "role": "assistant", "content": ERLANG, "finish_reason": "stop", "ended_by": "end of turn",
        "tokens": {"prompt": 18, "reused": 0, "answer": 58}, "engine": "cpu (fp16)", "position": 76, "context": 2048,
        "not_as_published": None,
    }
    assert set(line["seconds"]) == {"load", "prefill", "decode"} and all(s > 0 for s in line["seconds"].values())
    stated = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/chat-json.md").read_text(), re.M))
    assert stated == set(line)
    ended = lambda *args: [(a["finish_reason"], a["ended_by"]) for a in as_json(endless, *args)[0]]
    assert ended("--max-tokens", "5") == [("length", "token limit")]
    assert ended("--context", "100") == [("length", "context full")]
    assert ended("--stop", "module") == [("stop", "stop string")]
    assert as_json(endless, "--max-tokens", "1", "--temp", "2")[0][0]["not_as_published"] == "temperature 2 (the publisher's: 0)"


def test_json_has_a_line_an_answer(hello_sealed):
    run = done("chat", hello_sealed, "--json", "--lines", given=f"{ASK_ERLANG}\n/reset\nCount from 7 to 19\n")
    first, second = [json.loads(line) for line in run.stdout.splitlines()]
    assert first["content"] == ERLANG and second["content"].startswith("7, 8") and second["tokens"]["reused"] == 0


# ---- prompts from files and pipes


MANY_LINES = "Show me hello world\n\tin Erlang,\n\nplease \\\nand /quit"


def fed(run):
    return int(timing(run)["prefill"]), run.stdout


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_prompt_of_several_lines_is_one_prompt(hello_sealed, tmp_path, line_end, last):
    """From a pipe, by -p - and from a file: the ends of lines after the last word are left out."""
    wanted = fed(ask(hello_sealed, prompt=MANY_LINES))
    text = (MANY_LINES + "\n" * last).replace("\n", line_end).encode()
    (tmp_path / "prompt.txt").write_bytes(text)
    for args in ([], ["-p", "-"], ["-f", "-"], ["-f", tmp_path / "prompt.txt"]):
        run = subprocess.run([LATHE, "chat", hello_sealed, *args], input=b"" if args[1:] == [tmp_path / "prompt.txt"] else text,
                             capture_output=True)
        run.stdout, run.stderr = run.stdout.decode(), run.stderr.decode()
        assert run.returncode == 0 and fed(run) == wanted, args


@pytest.mark.parametrize("lines", [[], ["--lines"]])
def test_what_is_no_prompt_is_refused(hello_sealed, tmp_path, lines):
    for given, code, why in ((b"a\0b\n", 3, "byte 1 is NUL, expected text"), (b"word " * 5000, 2, "the conversation is too long")):
        run = subprocess.run([LATHE, "chat", hello_sealed, "--quiet", *lines], input=given, capture_output=True)
        assert run.returncode == code and run.stdout == b"" and why in run.stderr.decode()
    if lines:
        return
    for given in ("", "\n", "\r\n\n"):
        run = lathe("chat", hello_sealed, given=given)
        assert run.returncode == 2 and "standard input is empty, expected a prompt" in run.stderr
    (tmp_path / "nul").write_bytes(b"a\0b")
    (tmp_path / "empty").write_bytes(b"")
    for name, code, why in (("nul", 3, "byte 1 is NUL"), ("empty", 2, "is empty"), ("none", 4, "No such file")):
        run = lathe("chat", hello_sealed, "-f", tmp_path / name)
        assert run.returncode == code and why in run.stderr and name in run.stderr
    run = lathe("chat", hello_sealed, "-f", tmp_path / "nul", "-p", "x")
    assert run.returncode == 2 and "give one of them" in run.stderr


def test_a_pipe_with_a_command_alone_runs_it(hello_sealed):
    for given in ("/quit", "/quit\n", "/bye\r\n"):
        run = done("chat", hello_sealed, given=given)
        assert run.stdout == "" and run.stderr.startswith("[proved, except") or run.stderr == ""
    assert "unknown" not in done("chat", hello_sealed, "--max-tokens", "2", given="/etc is what?").stderr


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lines_of_a_pipe_are_turns_and_stdout_holds_answers_only(hello_sealed, line_end):
    lines = [ASK_ERLANG, "", "/reset", "/bogus", f"{ASK_ERLANG[:8]}\\", "hello", "/quit", "not asked", ""]
    run = subprocess.run([LATHE, "chat", hello_sealed, "--lines", "--quiet"], input=line_end.join(lines).encode(), capture_output=True)
    stdout, stderr = run.stdout.decode(), run.stderr.decode()
    assert stdout.startswith(ERLANG + "\n") and ">" not in stdout[len(ERLANG):]
    assert stderr == "[a new conversation]\n[unknown command '/bogus'; /help lists the commands]\n"
    # Both kinds of line end give the model the same text.
    assert stdout[len(ERLANG) + 1:] == ask(hello_sealed, "--quiet", prompt=f"{ASK_ERLANG[:8]}\nhello").stdout


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_last_line_that_ends_in_a_backslash_is_asked(hello_sealed, end):
    wanted = ask(hello_sealed, "--quiet").stdout
    assert done("chat", hello_sealed, "--lines", "--quiet", given=ASK_ERLANG + "\\" + end).stdout == wanted
