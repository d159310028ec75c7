"""`lathe` as a user meets it: one call, its output as text, and the bundles that several tests share."""

import functools
import json
import os
import pathlib
import subprocess

from report_schema import check_report
from tokenizer_oracle import LATHE, MODELS, smollm2_gguf

HELLO = MODELS / "hello-phi3-q8_0.gguf"
HELLO_F16 = MODELS / "hello-phi3-f16.gguf"
NATURAL = MODELS / "hello-natural-f16.gguf"
ROOT = MODELS.parent
CLI = ROOT / "src" / "cli"

ERLANG = """```erlang
-module(hello).
-export([start/0]).

start() ->
    io:format("Hello, World!~n", []).
```"""
ASK_ERLANG = "Show me hello world in Erlang."


def lathe(*args, given="", cwd=None, timeout=300, env=None):
    """`env` is added to the environment. A report that the call writes must follow its schema."""
    report = pathlib.Path(cwd or ".", args[1], "verify/report.json") if args[:1] == ("verify",) and len(args) > 1 else None
    before = os.stat(report).st_mtime_ns if report and report.exists() else None
    run = subprocess.run([LATHE, *map(str, args)], input=given, capture_output=True, text=True, cwd=cwd,
                         timeout=timeout, env={**os.environ, **(env or {})})  # fmt: skip
    if report and report.exists() and os.stat(report).st_mtime_ns != before:
        check_report(report)
    return run


def done(*args, **how):
    """The same, for what must succeed."""
    run = lathe(*args, **how)
    assert run.returncode == 0, f"{args}: exit code {run.returncode}\n{run.stdout}{run.stderr}"
    return run


@functools.cache
def table(name):
    """The rows of one of the program's tables, as tests/tables.c compiles them in."""
    run = subprocess.run([os.path.join(os.environ["LATHE_BUILD"], "tests", "tables")], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)[name]


@functools.cache
def described():
    """Command -> what the program states of it: summary, usage, doc, options."""
    return {row["name"]: row for row in json.loads(done("--describe").stdout)["commands"]}


def commands():
    return list(described())


def options_of(command):
    return {option["name"] for option in described()[command]["options"]}


__all__ = ["ASK_ERLANG", "CLI", "ERLANG", "HELLO", "HELLO_F16", "LATHE", "MODELS", "NATURAL", "ROOT", "commands", "described",
           "done", "lathe", "options_of", "smollm2_gguf", "table"]
