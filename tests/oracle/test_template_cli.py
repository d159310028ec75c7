"""`lathe template` as a user meets it."""

import json
import subprocess

import pytest
from template_oracle import transformers_render
from tokenizer_oracle import LATHE, MODELS, NORMAL, smollm2_gguf, write_vocab

HELLO = MODELS / "hello-phi3-q8_0.gguf"
USER = [{"role": "user", "content": "Hi, é\u2028!"}]


def run(*args, given=b""):
    return subprocess.run([LATHE, "template", *args], input=given, capture_output=True, timeout=60)


@pytest.fixture
def messages(tmp_path):
    path = tmp_path / "messages.json"
    path.write_text(json.dumps(USER))
    return path


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def test_a_models_own_template(messages):
    done = run(HELLO, "--messages", messages)
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.decode() == "<|user|>Hi, é\u2028!<|end|><|end|>"


def test_the_text_ends_where_the_template_ends(messages):
    done = run(HELLO, "--messages", messages, "--add-generation-prompt")
    assert done.stdout.decode() == "<|user|>Hi, é\u2028!<|end|><|assistant|>"


def test_bos_and_eos_come_from_the_vocabulary_unless_given(tmp_path, messages):
    source = write(tmp_path, "t.jinja", "[{{ bos_token }}|{{ eos_token }}]")
    assert run(source, "--messages", messages).stdout == b"[|]"
    model = smollm2_with_template(tmp_path, "[{{ bos_token }}|{{ eos_token }}]")
    given = write(tmp_path, "given.json", json.dumps({"messages": USER, "bos_token": "<mine>"}))
    for path, text in (messages, b"[<|im_start|>|<|im_end|>]"), (given, b"[<mine>|<|im_end|>]"):
        done = run(model, "--messages", path)
        assert done.stdout == text, done.stderr


def smollm2_with_template(folder, text):
    """SmolLM2 with another template: same length, so that nothing else moves."""
    content = smollm2_gguf().read_bytes()
    key = b"tokenizer.chat_template" + (8).to_bytes(4, "little")
    at = content.index(key) + len(key) + 8
    length = int.from_bytes(content[at - 8 : at], "little")
    padded = text + "{#" + " " * (length - len(text) - 4) + "#}"
    path = folder / "other.gguf"
    path.write_bytes(content[:at] + padded.encode() + content[at + length :])
    return path


def test_everything_else_is_a_variable(tmp_path):
    source = write(tmp_path, "t.jinja", "{{ tools|length }}{{ mood }}{{ add_generation_prompt }}{{ messages|length }}")
    given = {"messages": USER, "tools": [{}], "mood": "é", "add_generation_prompt": True}
    assert run(source, "--messages", write(tmp_path, "v.json", json.dumps(given))).stdout.decode() == "1éTrue1"


def test_what_is_not_given_is_as_transformers_has_it(tmp_path, messages):
    text = "{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ mood is defined }}{{ mood }}"
    done = run(write(tmp_path, "t.jinja", text), "--messages", messages)
    assert done.stdout.decode() == transformers_render(text, {"messages": USER}) == "NoneNoneFalseFalse"


def test_messages_from_standard_input(tmp_path):
    source = write(tmp_path, "t.jinja", "{{ messages[0].content }}")
    done = run(source, "--messages", "-", given=json.dumps([{"role": "user", "content": "a\0b"}]).encode())
    assert done.returncode == 0 and done.stdout == b"a\0b"


def test_help():
    done = run("--help")
    assert done.returncode == 0 and b"usage: lathe template" in done.stdout and done.stderr == b""


@pytest.mark.parametrize("args", [[], [HELLO], [HELLO, "--messages"], [HELLO, "--nosuch"], [HELLO, "x", "--messages", "-"]])
def test_wrong_use_exits_2(args):
    done = run(*args)
    assert done.returncode == 2 and done.stdout == b"" and done.stderr.startswith(b"lathe template: ")


def test_bad_messages_exit_3(tmp_path):
    source = write(tmp_path, "t.jinja", "x")
    cases = {
        "[": "line 1",
        "": "line 1",
        '[{"role": "user",\n "content": }]': "line 2",
        "{}": '"messages"',
        '{"messages": "hi"}': '"messages"',
        "17": "expected a list of messages",
        '[{"role": 1e999}]': "line 1",
        '["\\ud800"]': "line 1",
    }
    for content, says in cases.items():
        path = write(tmp_path, "bad.json", content)
        done = run(source, "--messages", path)
        assert done.returncode == 3 and done.stdout == b"", content
        assert says in done.stderr.decode() and "bad.json" in done.stderr.decode(), (content, done.stderr)


def test_bad_templates_exit_3_and_name_file_and_line(tmp_path, messages):
    cases = {
        "a\n{{ b": "line 2: tag {{ is not closed",
        "a\n\n{% nosuch %}": "line 3: unknown tag 'nosuch'",
        "{{ raise_exception('no system role') }}": "line 1: the template refuses: no system role",
        "\n{{ mood.swing }}": "line 2: 'mood' is undefined",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}": "more than",
    }
    for text, says in cases.items():
        done = run(write(tmp_path, "bad.jinja", text), "--messages", messages)
        assert done.returncode == 3 and done.stdout == b"", text
        assert says in done.stderr.decode() and "bad.jinja" in done.stderr.decode(), (text, done.stderr)


def test_a_template_that_is_no_utf8_exits_3(tmp_path, messages):
    path = tmp_path / "bad.jinja"
    path.write_bytes(b"a\xff{{ 1 }}")
    done = run(path, "--messages", messages)
    assert done.returncode == 3 and b"UTF-8" in done.stderr and b"bad.jinja" in done.stderr


def test_models_without_a_template_exit_3(tmp_path, messages):
    path = tmp_path / "none.gguf"
    write_vocab(path, "gpt2", ["a"], [NORMAL], "gpt-2", [])
    done = run(path, "--messages", messages)
    assert done.returncode == 3 and b"no chat template" in done.stderr and b"none.gguf" in done.stderr


def test_files_that_are_not_there_exit_4(tmp_path, messages):
    for args in ([tmp_path / "no.jinja", "--messages", messages], [HELLO, "--messages", tmp_path / "no.json"]):
        done = run(*args)
        assert done.returncode == 4 and b"No such file" in done.stderr, (args, done.returncode, done.stderr)


@pytest.mark.linux("/dev/full")
def test_output_that_cannot_be_written_exits_4(messages):
    with open("/dev/full", "w") as full:
        done = subprocess.run([LATHE, "template", HELLO, "--messages", messages], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4 and b"standard output" in done.stderr
