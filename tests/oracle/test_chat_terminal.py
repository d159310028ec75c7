"""`lathe chat` as a person meets it, on a real terminal: lines, keys, commands, and what Ctrl-C does."""

import re
import shutil

import pytest
from bundle_edit import swap_answers
from command import ASK_ERLANG, ERLANG, HELLO, LATHE, done
from terminal import CTRL_D, UP, Terminal

PROMPT, MORE = r"> (?!.*> )", r"\. (?!.*\. )"
ENDED = r"; position (\d+) of \d+\]\r\n"


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """hello-phi3 with unused tokens in the place of its stop ids: an answer ends when it is stopped."""
    return swap_answers(HELLO, tmp_path_factory.mktemp("endless") / "endless.gguf", [(2037, 2046), (2016, 2047)])


def chat(path, *args):
    return Terminal([LATHE, "chat", path, *args])


def say(t, text):
    """Types a line at the prompt and waits for its end; (what came, position in the end)."""
    t.expect(PROMPT)
    before = t.at
    t.send(text + "\n")
    found = t.expect(ENDED)
    return t.output[before:t.at].replace("\r\n", "\n"), int(found[1])


def n_question(line):
    """Tokens of the conversation up to the answer: those fed for it and those found in the cache."""
    return sum(int(n) for n in re.search(r"prefill (\d+) tokens, .* tok/s \((\d+) reused\); decode", line).groups())


def test_a_conversation_and_quit(hello_sealed):
    with chat(hello_sealed) as t:
        t.expect(r"context\s+2048,\s+greedy\s+decoding\s+\(no\s+file\s+states\s+one[^)]*\)\.\s+/quit\s+ends,\s+Ctrl-C\s+stops\s+an\s+"
                 r"answer,\s+/help\s+lists\s+the\s+commands\.\r\n")
        answer, position = say(t, ASK_ERLANG)
        assert ERLANG in answer
        answer, later = say(t, "Count from 3 to 9.")
        # The second turn found the first in the cache.
        reused = int(re.search(r"\((\d+) reused\)", answer)[1])
        assert later > position and position - 1 <= reused <= position
        t.expect(PROMPT)
        t.send("/quit\n")
        assert t.finish() == 0


@pytest.mark.parametrize("keys", [CTRL_D, "/quit\n", "/exit\n", "/bye\n"])
def test_ways_out(hello_sealed, keys):
    with chat(hello_sealed) as t:
        t.expect(PROMPT)
        t.expect_keys()  # before that the terminal itself would take Ctrl-D
        t.send(keys)
        assert t.finish() == 0
        # The shell's prompt begins on a line of its own.
        assert t.screen()[-1] == ""


def test_history_gives_earlier_lines_back(hello_sealed):
    with chat(hello_sealed) as t:
        say(t, ASK_ERLANG)
        say(t, "hello")
        t.expect(PROMPT)
        t.send("/reset\n")
        t.expect("a new conversation")
        again, _ = say(t, UP * 3)
        assert ERLANG in again


def test_a_backslash_continues_the_line(hello_sealed):
    with chat(hello_sealed) as t:
        t.expect(PROMPT)
        t.send("Show me hello world \\\n")
        t.expect(MORE)
        t.send("in Erlang.\n")
        broken = n_question(t.expect(r"prefill \d+ tokens.*?" + ENDED)[0])
        t.expect(PROMPT)
        t.send("/reset\n")
        answer, _ = say(t, "Show me hello world in Erlang.")
        # The model was given one text with a line break in it.
        assert n_question(answer) == broken - 1


BEGIN_PASTE, END_PASTE = "\x1b[200~", "\x1b[201~"


@pytest.mark.parametrize("line_end", ["\n", "\r"])
def test_a_paste_is_one_turn_however_many_lines_it_has(hello_sealed, line_end):
    lines = ["Show me hello world", "\tin", "", "/quit", "Erlang \\", "please."]
    with chat(hello_sealed) as t:
        t.expect(r"\x1b\[\?2004h")  # what asks the terminal for marks around a paste
        t.expect(PROMPT)
        t.expect_keys()
        t.send(BEGIN_PASTE + line_end.join(lines) + END_PASTE)
        t.expect(r"please\.")
        assert "prefill" not in t.output  # nothing is asked before the Enter key
        t.send(" Thanks.\n")
        t.expect(r"\x1b\[\?2004l")
        pasted = n_question(t.expect(r"prefill \d+ tokens.*?" + ENDED)[0])
        t.expect(PROMPT)
        t.expect_keys()
        t.send(CTRL_D)
        assert t.finish() == 0
    run = done("chat", hello_sealed, "-p", "\n".join(lines) + " Thanks.")
    assert n_question(run.stderr) == pasted


def test_text_beyond_ascii_is_read_as_typed(hello_sealed):
    question = "Où est l'élève 学生 😀?"
    run = done("chat", hello_sealed, "-p", question, "--max-tokens", "3")
    for env in ({"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}, {"LC_ALL": "", "LANG": ""}):
        with Terminal([LATHE, "chat", hello_sealed, "--max-tokens", "3"], env=env) as t:
            answer, _ = say(t, question)
            assert n_question(answer) == n_question(run.stderr)


def test_ctrl_c_within_a_paste_begins_the_turn_anew(hello_sealed):
    with chat(hello_sealed) as t:
        t.expect(PROMPT)
        t.expect_keys()
        t.send(BEGIN_PASTE + "some\nnonsense\n" + END_PASTE)
        t.expect(r"nonsense.*?\. ")
        t.expect_keys()
        t.interrupt()
        answer, position = say(t, ASK_ERLANG)
        assert ERLANG in answer and position == 76


def test_commands_are_listed_and_slips_get_a_hint(hello_sealed):
    with chat(hello_sealed) as t:
        for line, says in (("/help", r"/reset, /clear +begin a new conversation.*Ctrl-C stops an answer"),
                           ("/?", r"/quit, /bye, /exit +end the program"), ("exit", "/quit or Ctrl-D ends"),
                           ("Quit", "/quit or Ctrl-D ends"), ("help", "/help lists the commands"),
                           ("/rset", r"unknown command '/rset'; did you mean /reset\? /help lists"), ("/undo", "no question to take back"),
                           ("/retry", "no answer yet to take back"), ("/reset now", "unknown command '/reset'")):
            t.expect(PROMPT)
            t.send(line + "\n")
            t.expect(says)
        answer, position = say(t, ASK_ERLANG)
        assert position == 76  # nothing of it went to the model
        answer, again = say(t, "/retry")
        assert ERLANG in answer and again == position
        t.expect(PROMPT)
        t.send("/undo\n")
        t.expect("taken back")
        answer, again = say(t, " /quit")  # after a space it is a text
        assert again != position


@pytest.mark.parametrize("command", ["/reset", "/clear"])
def test_reset_forgets(hello_sealed, command):
    with chat(hello_sealed) as t:
        say(t, "My name is Paul.")
        known, _ = say(t, "What is my name?")
        t.expect(PROMPT)
        t.send(command + "\n")
        unknown, position = say(t, "What is my name?")
        assert "Paul" in known and "Paul" not in unknown and position < 60


def test_system_begins_afresh_with_a_text(hello_sealed):
    with chat(hello_sealed) as t:
        _, plain = say(t, ASK_ERLANG)
        for line, says in (("/system You are terse.", "system text set; a new conversation"),
                           ("/system", "no system text; a new conversation")):
            t.expect(PROMPT)
            t.send(line + "\n")
            t.expect(says)
            _, position = say(t, ASK_ERLANG)
            assert (position > plain) == ("terse" in line)


def test_stats_repeat_the_last_answers(hello_sealed):
    with chat(hello_sealed) as t:
        t.expect(PROMPT)
        t.send("/stats\n")
        t.expect(r"no answer yet")
        say(t, ASK_ERLANG)
        line = re.findall(r"\[cpu \(fp16\);.*?\]", t.output)[-1]
        t.expect(PROMPT)
        t.send("/stats\n")
        assert t.expect(r"\[cpu \(fp16\);.*?\]")[0] == line


def test_ctrl_c_stops_the_answer_and_not_the_program(endless):
    with chat(endless) as t:
        t.expect(PROMPT)
        t.send(ASK_ERLANG + "\n")
        t.expect(r"```erlang")
        t.interrupt()
        t.expect(r"; stopped; position (\d+) of 2048\]")
        # The conversation goes on, the part that came is in it.
        t.expect(PROMPT)
        t.send("/stats\n")
        t.expect("; stopped; position")
        t.expect(PROMPT)
        t.send("hello\n")
        t.expect("PAD2046")
        t.interrupt()
        reused = int(re.search(r"\((\d+) reused\)", t.expect(r"\[reference.*?\]")[0])[1])
        assert reused > 18
        t.expect(PROMPT)
        t.expect_keys()
        t.send(CTRL_D)
        assert t.finish() == 0


def test_ctrl_c_stops_a_long_question(tmp_path):
    # Thousands of tokens take the reference seconds; it stops between two chunks, and nothing of the turn stays.
    with chat(HELLO, "--context", "4000") as t:
        t.expect(PROMPT)
        for _ in range(25):  # a terminal line holds at most 4095 characters
            t.send("a b c d e f g h " * 9 + "\\\n")
            t.expect(MORE)
        t.send("end\n")
        t.expect(r"prefill \d+ of \d+ tokens")
        t.interrupt()
        found = t.expect(r"decode 0 tokens, 0\.0 tok/s; stopped; position (\d+) of 4000\]")
        assert 0 < int(found[1]) < 3600 and int(found[1]) % 64 == 0
        answer, _ = say(t, ASK_ERLANG)
        assert ERLANG in answer


def test_ctrl_c_at_the_prompt_begins_the_line_afresh(hello_sealed):
    with chat(hello_sealed) as t:
        t.expect(PROMPT)
        t.expect_keys()
        t.send("some nonsense")
        t.expect("nonsense")
        t.interrupt()
        answer, position = say(t, ASK_ERLANG)
        assert ERLANG in answer and position == 76
        t.expect(PROMPT)
        t.send("more \\\n")
        t.expect(MORE)
        t.expect_keys()
        t.interrupt()  # the line before it goes too
        answer, _ = say(t, "/reset\n" + ASK_ERLANG)
        assert ERLANG in answer


def test_a_turn_that_is_too_long_is_refused_and_the_conversation_goes_on(tmp_path):
    with chat(HELLO, "--context", "256") as t:
        say(t, "My name is Paul.")
        t.expect(PROMPT)
        t.send("word " * 300 + "\n")
        t.expect(r"\[the conversation is too long: \d+ tokens do not fit into the context of 256; shorten it")
        t.expect(PROMPT)
        t.send("/stats\n")
        t.expect("end of turn")  # of the last that was answered
        answer, _ = say(t, "What is my name?")
        assert "Paul" in answer


def test_a_full_context_ends_the_answer_and_reset_makes_room(endless):
    with chat(endless, "--context", "96") as t:
        answer, position = say(t, ASK_ERLANG)
        assert "; context full;" in answer and position == 96
        t.expect(PROMPT)
        t.send("more\n")
        t.expect("do not fit into the context of 96")
        t.expect(PROMPT)
        t.send("/reset\n")
        answer, _ = say(t, ASK_ERLANG)
        assert ERLANG in answer


def test_an_unsealed_bundle_is_refused_or_named_above_every_answer(hello_sealed, tmp_path):
    path = tmp_path / "bare.lathe"
    shutil.copytree(hello_sealed, path)
    (path / "seal.json").unlink()
    with chat(path) as t:
        assert t.finish() == 5
        assert f"is not sealed: the gates that ran passed, others have not run; prove it: lathe verify {path}" in t.output
    with chat(path, "--unsealed", "--quiet") as t:
        for n in (1, 2):
            t.expect(PROMPT)
            t.send(ASK_ERLANG + "\n")
            t.expect(r"\[NOT PROVED: .*?is not sealed.*?\]\r\n.*?```erlang.*?\[\]\)\.\r\n```")
            assert t.output.count("NOT PROVED") == n


def test_answers_alone_go_to_a_file(hello_sealed, tmp_path):
    with open(tmp_path / "out.txt", "w") as out:
        with Terminal([LATHE, "chat", hello_sealed], stdout=out) as t:
            say(t, ASK_ERLANG)
            t.expect(PROMPT)
            t.send("/quit\n")
            assert t.finish() == 0
    assert (tmp_path / "out.txt").read_text() == ERLANG + "\n"
