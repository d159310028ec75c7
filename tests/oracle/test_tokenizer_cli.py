"""`lathe tokenize` as a user meets it."""

import json
import subprocess

import pytest
from tokenizer_oracle import (
    CONTROL,
    LATHE,
    MODELS,
    NORMAL,
    USER_DEFINED,
    UNKNOWN,
    BYTE,
    write_vocab,
)

HELLO = MODELS / "hello-phi3-q8_0.gguf"


def tokenize(*args, given=b""):
    return subprocess.run([LATHE, "tokenize", *args], input=given, capture_output=True, timeout=60)


def ids(*args, given=b""):
    run = tokenize(*args, given=given)
    assert run.returncode == 0 and run.stderr == b"", run.stderr
    return [int(line) for line in run.stdout.split()]


@pytest.fixture
def spm(tmp_path):
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{b:02X}>" for b in range(256)),
        "▁",
        "a",
        "▁a",
        "<|end|>",
    ]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, NORMAL, NORMAL, NORMAL, CONTROL]
    write_vocab(
        tmp_path / "spm.gguf",
        "llama",
        tokens,
        types,
        scores=[0.0] * 259 + [-3.0, -2.0, -1.0, 0.0],
        bos_token_id=1,
        eos_token_id=2,
        unknown_token_id=0,
    )
    return tmp_path / "spm.gguf"


def test_text_as_argument_and_from_standard_input_give_the_same():
    text = "Print hello world, हिन्दी\n"
    assert ids(HELLO, text) == ids(HELLO, given=text.encode()) != []


def test_standard_input_is_taken_byte_for_byte():
    assert ids(HELLO, given=b"a\0b\r\n\x1a") == [64, 188, 65, 370, 214]
    assert len(ids(HELLO, given=b"\0\0\0")) == 3
    assert ids(HELLO, given=b"\xff") == ids(HELLO, "\ufffd")
    assert ids(HELLO, given=b"") == []


def test_empty_text_as_argument_does_not_read_standard_input():
    assert ids(HELLO, "", given=b"abc") == []


def test_no_special_leaves_marks_as_text():
    assert ids(HELLO, "<|end|>") == [2037]
    assert len(ids(HELLO, "<|end|>", "--no-special")) > 1
    assert ids("--no-special", HELLO, "<|end|>") == ids(HELLO, "<|end|>", "--no-special")


def test_no_bos_leaves_out_the_beginning(spm):
    assert ids(spm, "a") == [1, 261]
    assert ids(spm, "a", "--no-bos") == [261]


def test_after_two_dashes_nothing_is_an_option():
    assert ids(HELLO, "--", "--pieces") == ids(HELLO, given=b"--pieces")


def test_pieces_show_what_each_token_stands_for():
    run = tokenize(HELLO, 'a "\\\n\té\x01', "--pieces", "--no-special")
    rows = [line.split("\t", 1) for line in run.stdout.decode().splitlines()]
    assert [int(i) for i, _ in rows] == ids(HELLO, 'a "\\\n\té\x01')
    joined = "".join(piece[1:-1] for _, piece in rows)
    assert joined in ('a \\"\\\\\\n\\té\\x01', 'a \\"\\\\\\n\\t\\xC3\\xA9\\x01')


def test_hello_oracle_ids():
    """What llama.cpp gave for these texts and chats."""
    oracle = json.loads((MODELS / "hello-oracle.json").read_text())
    chats = [chat for chats in oracle["files"].values() for chat in chats]
    assert len(oracle["tokenizer_texts"]) == 3 and len(chats) > 20
    for text in oracle["tokenizer_texts"]:
        assert ids(HELLO, text["text"]) == text["ids"]
    for chat in chats:
        assert ids(HELLO, chat["rendered"]) == chat["ids"]


def test_help():
    run = tokenize("--help")
    assert run.returncode == 0 and b"usage: lathe tokenize" in run.stdout and run.stderr == b""


@pytest.mark.parametrize("args", [[], [HELLO, "a", "b"], [HELLO, "--piece"], ["--pieces"]])
def test_wrong_use_exits_2(args):
    run = tokenize(*args)
    assert run.returncode == 2 and run.stdout == b"" and b"usage: lathe tokenize" in run.stderr


def test_bad_files_exit_3_and_are_named(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(HELLO.read_bytes()[:5000])
    unknown = tmp_path / "unknown.gguf"
    write_vocab(unknown, "gpt2", ["a"], [NORMAL], "gpt-9", [])
    bert = tmp_path / "bert.gguf"
    write_vocab(bert, "bert", ["a"], [NORMAL])
    for path, says in (
        (broken, "broken.gguf"),
        (unknown, "'gpt-9' is not known; known are: gpt-4o"),
        (bert, "'bert' is not supported"),
    ):
        run = tokenize(path, "a")
        assert run.returncode == 3 and run.stdout == b"", path
        assert says in run.stderr.decode() and path.name in run.stderr.decode()


@pytest.mark.linux("/dev/full")
def test_output_that_cannot_be_written_exits_4():
    with open("/dev/full", "w") as full:
        run = subprocess.run([LATHE, "tokenize", HELLO, "a"], stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 4 and b"standard output" in run.stderr
