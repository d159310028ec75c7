"""The story lathe was born from, replayed as commands.

A port of Phi-4-mini passed every local check and talked nonsense: converter, runtime and reference had all read one
number wrong and agreed with each other. Here the number stands wrongly in the file, so that contract, compiler, host and
reference all read it so. Each test is a chapter that stands alone; what is typed in it and what comes back is kept as
story-CHAPTER.txt in the build folder.

The last chapter is lathe's own: the contract was right and was used wrongly. Converter, host and reference took the long
rotary factors from the first token because the configured context lay beyond the original one, llama.cpp asked for the same
context agreed, and every gate passed.
"""

import pathlib
import shlex
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "oracle"))

from command import ASK_ERLANG, ERLANG, HELLO_F16, MODELS, lathe  # noqa: E402
from configs import LONG, SHORT  # noqa: E402
from gguf_edit import edit  # noqa: E402
from tokenizer_oracle import BUILD  # noqa: E402

# Gates that compare a bundle with a reference that read the same file.
LOCAL = "structure,graph,layer-golden,positions,head,text"


def whole_head(factors):
    """The factors of 12 pairs for 16: the last one goes on."""
    return np.concatenate([factors, np.full(4, factors[-1])])


MISREADINGS = {
    "rope_dim": ("all 32 dims of a head rotate, not 24", {"phi3.rope.dimension_count": 32},
                 {"rope_factors_short.weight": whole_head(SHORT), "rope_factors_long.weight": whole_head(LONG)}),
    "attn_factor": ("the attention factor is 1, not 1.0954", {"phi3.rope.scaling.attn_factor": 1.0}, {}),
}  # fmt: skip


class Story:
    """Commands in one folder, each with its output, as a transcript."""

    def __init__(self, folder):
        self.folder, self.lines = folder, []

    def tell(self, text):
        self.lines.append(f"\n# {text}")

    def run(self, *args):
        run = lathe(*args, cwd=self.folder)
        said = run.stdout + "".join(line + "\n" for line in run.stderr.splitlines() if line.startswith("lathe "))
        self.lines.append(f"$ lathe {shlex.join(args)}\n{said}[exit code {run.returncode}]")
        return run

    def convert(self, model, out):
        return self.run("convert", model, "-o", out, "--context", "256", "--layers-per-shard", "2")


@pytest.fixture
def story(tmp_path, request):
    told = Story(tmp_path)
    (tmp_path / "right.gguf").write_bytes(HELLO_F16.read_bytes())
    (tmp_path / "config.json").write_bytes((MODELS / "hello-config.json").read_bytes())
    yield told
    (BUILD / f"story-{request.node.name.removeprefix('test_')}.txt").write_text("\n".join(told.lines).lstrip() + "\n")


def failed(run):
    return [line for line in run.stdout.splitlines() if line.endswith("FAILED")]


@pytest.mark.parametrize("field", ["rope_dim", pytest.param("attn_factor", marks=pytest.mark.full)])
def test_all_parts_misread(story, field):
    meaning, keys, tensors = MISREADINGS[field]
    wrong, bundle = f"{field}.gguf", f"{field}.lathe"
    edit(HELLO_F16, story.folder / wrong, keys, tensors)
    story.tell(f"{field} is misread by contract, compiler, host and reference: {meaning}")
    assert story.convert(wrong, bundle).returncode == 0

    local = story.run("verify", bundle, "--gates", LOCAL)
    assert local.returncode == 0 and not failed(local)

    # Of all gates the vote alone says no, and says what it is.
    whole = story.run("verify", bundle)
    assert whole.returncode == 1
    assert failed(whole) and all(line.startswith("vote ") for line in failed(whole)), failed(whole)
    assert any(line.split()[1] == field and "this field is suspect" in line for line in failed(whole))
    chat = story.run("chat", bundle, "-p", ASK_ERLANG)
    assert chat.returncode == 1 and "not sealed" in chat.stderr

    story.tell("an engineer who has the file alone need not convert it to know")
    run = story.run("verify", wrong)
    assert run.returncode == 1 and any(line.split()[1] == field for line in failed(run))

    story.tell("beside what the publisher states nothing is made of it")
    for run in (story.run("inspect", wrong, "--config", "config.json"),
                story.run("convert", wrong, "-o", "none.lathe", "--config", "config.json")):  # fmt: skip
        assert run.returncode == 1 and field in run.stderr and "config.json: " in run.stderr
    assert not (story.folder / "none.lathe").exists()
    run = story.run("verify", bundle, "--gates", "contract", "--config", "config.json")
    assert run.returncode == 1 and field in [line.split()[1] for line in failed(run)]
    assert all(line.startswith("contract ") for line in failed(run))

    story.tell("the bundle made under the wrong number, beside the repaired file")
    run = story.run("verify", bundle, "--model", "right.gguf", "--gates", "contract")
    assert run.returncode == 1 and "right.gguf is another file than" in run.stderr, run.stderr
    chat = story.run("chat", bundle, "-p", ASK_ERLANG)
    assert chat.returncode == 1 and "lathe verify" in chat.stderr


def test_the_repaired_contract_passes(story):
    story.tell("the same weights with what they were trained under")
    assert story.convert("right.gguf", "right.lathe").returncode == 0
    run = story.run("verify", "right.lathe", "--config", "config.json", "--verbose")
    assert "fields agree, 0 contradict" in run.stdout
    assert run.returncode == 0 and not failed(run) and "all gates passed, sealed" in run.stdout
    chat = story.run("chat", "right.lathe", "-p", ASK_ERLANG)
    assert chat.returncode == 0 and chat.stdout.strip() == ERLANG.strip()


# ---- a right contract, used wrongly

ANSWERS = {
    "write hello world in Erlang": ERLANG,
    "Count from 7 to 19": "7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19",
}


def test_a_right_contract_used_wrongly(story):
    story.tell("nothing is misread, but the long factors are taken from the first token, since the context (4096)")
    story.tell("lies beyond the original one (1024). The option makes the use that was once the default")
    made = story.run("convert", "right.gguf", "-o", "long.lathe", "--rope-factors", "long")
    assert made.returncode == 0 and "choices other than the publisher's: rope_factors long (the publisher's: auto)" in made.stdout

    # Gates that compare the bundle with a reference used likewise see nothing, as then.
    local = story.run("verify", "long.lathe", "--gates", "structure,graph,layer-golden,positions,head")
    assert local.returncode == 0 and not failed(local)
    wrong = 0
    for question, right in ANSWERS.items():
        chat = story.run("chat", "long.lathe", "--unsealed", "--quiet", "-p", question)
        assert "choices other than the publisher's" in chat.stderr
        wrong += chat.stdout.strip() != right.strip()
    assert wrong, "the fault must show, or this chapter proves nothing"

    # The weights know how they were used.
    vote = story.run("verify", "long.lathe", "--gates", "vote", "--verbose")
    line = next(line for line in vote.stdout.splitlines() if line.startswith("vote          rope_factors "))
    assert "factors_by_running_length predicts better" in line and line.endswith("unproved")


def test_used_as_the_publisher_does(story):
    story.tell("all defaults: the short factors up to the original context, the long ones beyond it, everything read again there")
    assert story.run("convert", "right.gguf", "-o", "used.lathe").returncode == 0
    run = story.run("verify", "used.lathe", "--verbose")
    assert run.returncode == 0 and not failed(run)
    assert any(line.startswith("text          crossing ") and line.endswith("ok") for line in run.stdout.splitlines())
    for question, right in ANSWERS.items():
        for asked in ("used.lathe", "right.gguf"):
            chat = story.run("chat", asked, "--quiet", "-p", question)
            assert chat.returncode == 0 and chat.stdout.strip() == right.strip()

    story.tell("a host that goes by the configured context, crosses elsewhere, or keeps the cache at the crossing")
    run = story.run("verify", "used.lathe", "--gates", "positions,text", "--mutants",
                    "factors_by_configured_context,crossing_early,crossing_late,no_recompute_at_crossing")  # fmt: skip
    assert run.returncode == 0 and "4 mutants, 4 killed, 0 survived" in run.stdout
