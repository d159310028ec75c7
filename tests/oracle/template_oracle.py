"""What the template oracles share: transformers' render_jinja_template at a fixed time, and the bridge to render_many."""

import json
import subprocess
from datetime import datetime

import transformers.utils.chat_template_utils as chat_template_utils
from tokenizer_oracle import BUILD

NOW = 1_790_000_000  # 2026-09-21 14:13:20 UTC


class FixedTime(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.fromtimestamp(NOW)  # local, as datetime.now() is


chat_template_utils.datetime = FixedTime


def transformers_render(template, variables):
    """The text, or the exception."""
    rest = dict(variables)
    try:
        return chat_template_utils.render_jinja_template(
            [rest.pop("messages", [])], chat_template=template, **rest
        )[0][0]
    except Exception as why:  # whatever a template can raise
        return why


def lathe_render(jobs):
    """[(template, variables)] -> [text, or {"error": …}] of lathe, in one process."""
    given = "\n".join(json.dumps({"template": t, "variables": v, "now": NOW}) for t, v in jobs)
    run = subprocess.run(
        [BUILD / "tests/jinja/render_many"], input=given.encode(), capture_output=True, timeout=600
    )
    assert run.returncode == 0, run.stderr.decode()
    lines = [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]
    assert len(lines) == len(jobs)
    return [line.get("text", line) for line in lines]


def differences(jobs):
    """What lathe renders otherwise than transformers, or refuses where that renders, or the other way round:
    [(job, wanted, found)]."""
    wrong = []
    for job, found in zip(jobs, lathe_render(jobs)):
        wanted = transformers_render(*job)
        both_refuse = isinstance(wanted, Exception) and isinstance(found, dict)
        if found != wanted and not both_refuse:
            wrong.append((job, wanted, found))
    return wrong
