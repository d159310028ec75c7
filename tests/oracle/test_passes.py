"""The engine's passes (src/engine/pass.h) over converted bundles: whatever they run as one, no number becomes another."""

import json

import pytest
from command import HELLO, NATURAL, done, lathe

SETS = json.loads(done("doctor", "--json").stdout)["kernels_usable"]
TEXT = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April, and the clocks were striking. " * 5


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("passes")
    (folder / "text.txt").write_text(TEXT)
    forms = {"slice": (HELLO, "--kv", "slice"), "overwrite": (HELLO,), "rows": (HELLO, "--kv", "rows"),
             "natural": (NATURAL, "--weights", "fp16", "--layers-per-shard", "2")}  # fmt: skip
    for name, args in forms.items():
        done("convert", args[0], "-o", folder / f"{name}.lathe", "--context", "1024", *args[1:])
    return folder


def both(*args, kernels, **how):
    """The output with all passes, after it was found to be that without any."""
    run, plain = (done(*args, **how, env={"LATHE_KERNELS": kernels, "LATHE_PASSES": passes}).stdout for passes in ("", "none"))
    assert run == plain
    return run


@pytest.mark.parametrize("kernels", SETS)
@pytest.mark.parametrize("arithmetic", ["fp32", "fp16"])
@pytest.mark.parametrize("form", ["slice", "overwrite", "rows", "natural"])
def test_the_same_perplexity(bundles, form, arithmetic, kernels):
    figures = json.loads(both("eval", bundles / f"{form}.lathe", "--text", bundles / "text.txt", "--context", "100",
                              "--unsealed", "--json", "--arithmetic", arithmetic, kernels=kernels))  # fmt: skip
    assert figures["perplexity"] > 1 and figures["scored"] == 98


@pytest.mark.parametrize("kernels", SETS)
@pytest.mark.parametrize("form", ["overwrite", "slice", "rows", "natural"])
def test_the_same_conversation(bundles, form, kernels):
    """Answers of one token at a time, a reset, and a turn on what is cached."""
    given = "Show me hello world in Erlang.\n/reset\nWhat is the capital of France?\nAnd of Spain?\n"
    assert both("chat", bundles / f"{form}.lathe", "--unsealed", "--quiet", "--max-tokens", 40, kernels=kernels, given=given)


def test_a_pass_there_is_not(bundles):
    run = lathe("eval", bundles / "slice.lathe", "--text", bundles / "text.txt", "--unsealed", env={"LATHE_PASSES": "fuse"})
    assert run.returncode == 2 and "unknown pass 'fuse', expected none, attend_written" in run.stderr
