"""Waiting as a person at a terminal meets it: convert and verify of a real model show what is done, how
fast and how long it will take; a run of less than a minute writes nothing of that into a file."""

import re

import pytest
from command import lathe
from terminal import Terminal
from tokenizer_oracle import LATHE, smollm2_gguf

STEP = re.compile(r"\r[a-z ]+ (\d+)(?: %| of (\d+) [a-z]+), [\d.]+(?:(?: MB)?/s| s each), about \d+ (?:s|min) left")
SILENCE = 5  # seconds; the meter ticks every second, and this machine may be busy


@pytest.fixture(scope="module")
def waits(tmp_path_factory):
    """A conversion that measures ranges, and a gate of its proof, each at a terminal. Seconds each."""
    bundle, runs = tmp_path_factory.mktemp("progress") / "m.lathe", {}
    for name, args in {"convert": ["convert", smollm2_gguf(), "-o", bundle, "--context", "256"],
                       "verify": ["verify", bundle, "--model", smollm2_gguf(), "--gates", "positions"]}.items():
        with Terminal([LATHE, *map(str, args)]) as terminal:
            code = terminal.finish()
            assert code == 0, terminal.output
        runs[name] = terminal
    return runs


@pytest.mark.parametrize("command", ["convert", "verify"])
def test_steps_with_rate_and_time_to_go(waits, command):
    steps = STEP.findall(waits[command].output)
    assert len(steps) >= 2, waits[command].output
    shares = [100 * int(done) / int(total or 100) for done, total in steps]
    assert all(0 <= s <= 100 for s in shares) and len(set(shares)) > 1


@pytest.mark.parametrize("command", ["convert", "verify"])
def test_no_long_silence(waits, command):
    seconds, before = waits[command].longest_silence()
    assert seconds < SILENCE, (seconds, before)


@pytest.mark.parametrize("command, words", [
    ("convert", r"converted in [\d.]+ s, peak memory \d+ MiB \(with mapped files \d+ MiB resident\)"),
    ("verify", r"ran \d+ gates? in [\d.]+ s: all passed; peak memory \d+ MiB resident")])
def test_the_end_says_time_and_memory(waits, command, words):
    last = [line for line in waits[command].screen() if line][-1]
    assert re.fullmatch(words, last), last
    assert not any(" left" in line for line in waits[command].screen())  # the meter leaves nothing behind


def test_nothing_of_it_in_a_file(tmp_path):
    run = lathe("convert", smollm2_gguf(), "-o", tmp_path / "m.lathe", "--range", "off")
    assert run.returncode == 0 and "\r" not in run.stderr + run.stdout and " left" not in run.stderr + run.stdout
    assert len(run.stderr.splitlines()) == 1, run.stderr
