"""What users of other tools ran into with templates, vocabularies and metadata, rebuilt small: each with the oracle's value, or
with llama.cpp or transformers asked on the spot."""

import json
import re
import subprocess

import numpy
import pytest
from command import HELLO, NATURAL, done, lathe
from gguf_edit import edit
from llama_cpp import LlamaCpp
from template_oracle import differences, lathe_render, transformers_render
from test_tokenizer_pre import RAW
from test_tokenizer_spm import Vocab, llama_cpp
from tokenizer_oracle import ADD_BOS, BYTE, CONTROL, LATHE, NORMAL, TORTURE, byte_alphabet_, compare, many, random_texts, read_vocab, write_vocab

USER = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}]


def template(source, *, env=None, raw=None, **variables):
    """What `lathe template` prints. `raw`: the text of the messages file."""
    given = raw if raw is not None else json.dumps({"messages": USER, **variables})
    run = subprocess.run([LATHE, "template", source, "--messages", "-"], input=given, capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    return run.stdout


def write(path, text):
    path.write_text(text)
    return path


# ---- templates


PEOPLE = {"messages": USER, "people": [{"age": 3}, {"age": 2}, {"age": 3, "n": "B"}, {"age": 1, "n": "a"}, {"n": "b", "age": 1}]}
LINES = {
    "groupby": "{% for g in people|groupby('age') %}{{ g.grouper }}:{{ g.list|length }};{% endfor %}",
    "groupby, default": "{% for g in people|groupby('n', default='b') %}{{ g.grouper }}:{{ g.list|map(attribute='age')|list }};{% endfor %}",
    "groupby, case": "{{ people|groupby('n', default='A', case_sensitive=true) }}{{ (people|groupby('age'))[0]['list'] }}",
    "groupby, pairs": "{% for k, g in people|groupby('age') %}{{ k }}{{ g }}{% endfor %}",
    "else": "{% for x in [1,2] %}{% continue %}{% else %}E{% endfor %}|{% for x in [1] %}{% break %}{% else %}E{% endfor %}",
    "else, filtered": "{% for x in [1,2] if x > 2 %}{{ x }}{% else %}E{% endfor %}",
    "else, outer jump": "{% for x in [1,2] %}{% for y in [] %}{% else %}{% continue %}{% endfor %}{{ x }}{% else %}E{% endfor %}",
    "recursive": "{% for x in [[1,[2]],[]] recursive %}{{ loop.depth }}{% if x is number %}{{ x }}{% else %}{{ loop(x) }}"
    "{% endif %}{% else %}E{% endfor %}",
    "raw": "{% raw %}{% x {% endraw %}",
    "raw, marks": " a {%- raw -%}  {{ ' {%- y {%+ endraw -%} b\n{% raw %} \n  {% endraw +%}\nc",
    "nested target": "{% for (a, b), c in [((1,2),3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "nested targets": "{% set (a, (b, c)) = 1, [2, 3] %}{% with (d, e) = [4, 5], f = a %}{{ a }}{{ b }}{{ c }}{{ d }}{{ e }}{{ f }}{% endwith %}",
    "no target": "{% for a, in [[1]] %}{{ a }}{% endfor %}",
}
RIGHT = {"groupby": "1:2;2:1;3:2;", "else": "E|E", "raw": "{% x ", "nested target": "123"}


@pytest.mark.parametrize("name", LINES)
def test_template_cases(name):
    assert differences([(LINES[name], PEOPLE)]) == []
    assert RIGHT.get(name) in (None, lathe_render([(LINES[name], PEOPLE)])[0])


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "XYZ+11", "UTC"])
def test_now_is_local_time(tmp_path, zone):
    source = write(tmp_path / "now.jinja", "{{ strftime_now('%d %b %Y %H') }}")
    wanted = lambda: subprocess.run(
        ["date", "+%d %b %Y %H"], env={"TZ": zone, "LC_ALL": "C"}, capture_output=True, text=True
    ).stdout.strip()
    before = wanted()
    assert template(source, env={"TZ": zone}) in (before, wanted())


def test_whole_numbers_of_tools_keep_their_digits(tmp_path):
    source = write(tmp_path / "tools.jinja", "{{ tools|tojson }}")
    for n in (2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**63) - 1, 10**60):
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"n": {"maximum": n}}}}}]
        text = template(source, tools=tools)
        assert text == transformers_render("{{ tools|tojson }}", {"messages": USER, "tools": tools}) and str(n) in text


def test_no_text_passes_for_a_number(tmp_path):
    """What stands for a long number inside is spelt by no text."""
    texts = ["18446744073709551615", "\\u00ff18446744073709551615", "ÿ18446744073709551615"]
    source = write(tmp_path / "t.jinja", "{% for t in texts %}{{ t is string }}{% endfor %}")
    raw = '{"messages": [], "texts": [%s]}' % ", ".join(f'"{t}"' for t in texts)
    assert template(source, raw=raw) == "TrueTrueTrue"


@pytest.mark.parametrize("raw", ['{"messages": [1,]}', '{"messages": []} x', '{"messages" []}', '{"messages": [01]}', "{'a': 1}",
                                 '{"messages": [], "a": tru}', '{"messages": ["\\x"]}', '{"a\\u0000b": 1}', "[" * 3000, '{"messages": [-]}',
                                 '{"messages": ["a'])
def test_what_is_no_json_is_refused(tmp_path, raw):
    run = lathe("template", write(tmp_path / "t.jinja", "x"), "--messages", "-", given=raw)
    assert run.returncode == 3 and run.stdout == "" and "-: line 1: " in run.stderr


def test_looking_back_at_every_message(tmp_path):
    """Eight slices a message: copies would be 600 MB."""
    before = "{% set before = (messages[:loop.index0]|list)[0:] %}{% set after = messages[loop.index:][:-1] %}"
    text = (
        "{% for m in messages %}" + 2 * before + "{% set users = before|selectattr('role', 'eq', 'user')|list %}"
        "{% if loop.last %}{{ before|length }} {{ users|length }} {{ after }}{% endif %}{% endfor %}"
    )
    messages = [{"role": "user" if i % 2 else "assistant", "content": "x" * 40} for i in range(1500)]
    given = json.dumps({"messages": messages})
    assert template(write(tmp_path / "t.jinja", text), raw=given) == "1499 749 []"


# ---- a model's templates, and how a model is known


def test_the_template_for_tools(tmp_path):
    key = "tokenizer.chat_template"
    path = edit(HELLO, tmp_path / "m.gguf", {key: "main {{ tools }}", key + ".tool_use": "use {{ tools|length }}",
                                             key + ".rag": "no"})
    assert template(path) == "main None" and template(path, tools=None) == "main None"
    assert template(path, tools=TOOLS) == "use 1"
    assert template(path, tools=[]) == "use 0"  # transformers: tools is not None
    alone = edit(path, tmp_path / "alone.gguf", {key: None})
    assert template(alone, tools=TOOLS) == "use 1"
    run = lathe("template", alone, "--messages", "-", given=json.dumps(USER))
    assert run.returncode == 3 and f"{key}.tool_use" in run.stderr and "alone.gguf" in run.stderr
    plain = edit(HELLO, tmp_path / "plain.gguf", {key: "main"})
    assert template(plain, tools=TOOLS) == "main"


@pytest.mark.parametrize("name", ["sha256-0123abcd", "MODEL.GGUF", "model"])
def test_a_model_is_known_by_its_first_bytes(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(HELLO.read_bytes())
    assert template(path) == template(HELLO) != ""
    for args in (["inspect"], ["tokenize"], ["chat", "-p", "Hi", "--max-tokens", "2"], ["eval", "--context", "16", "--text"]):
        rest = [write(tmp_path / "text", "Hello. " * 20)] if args[0] == "eval" else ["Hi"] if args[0] == "tokenize" else []
        outputs = {done(args[0], p, *args[1:], *rest).stdout.replace(str(p), "") for p in (path, HELLO)}
        if args[0] != "eval":  # which tells its time
            assert len(outputs) == 1, args


def test_a_template_is_no_model_whatever_its_name(tmp_path):
    assert template(write(tmp_path / "t.gguf", "GGUF {{ 1 }}")) == "GGUF 1"


# ---- vocabularies


TEXTS = [t for t in TORTURE + random_texts(800) if "\0" not in t] + ["a\nb\tc 😀", "\n", "😀"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def small_spm(path, byte_tokens, kinds):
    """<unk> <s> </s>, the byte tokens, then U+2581, a, b: so a byte's id is 3 more than the byte."""
    tokens = ["<unk>", "<s>", "</s>", *byte_tokens, "▁", "a", "b"]
    write_vocab(path, "llama", tokens, [2, 3, 3, *kinds, 1, 1, 1], scores=[0.0] * len(tokens), bos_token_id=1, eos_token_id=2,
                unknown_token_id=0)
    return path


def equals_llama_cpp(path):
    encode = llama_cpp(path)
    compare(path, TEXTS, lambda text: encode(text, True), ADD_BOS)


def test_byte_tokens_typed_as_text(tmp_path):
    """llama.cpp finds them by text. It shows them as text, too, where Hugging Face's ByteFallback and lathe show the byte: what is
    encoded must come back."""
    path = small_spm(tmp_path / "v.gguf", BYTES, [NORMAL] * 256)
    equals_llama_cpp(path)
    (ids, text), = many(path, ["a\n𝄞"])
    assert ids == [259, 260, 13, *(b + 3 for b in "𝄞".encode())] and text.lstrip() == "a\n𝄞"
    equals_llama_cpp(small_spm(tmp_path / "mixed.gguf", BYTES, [NORMAL if b % 3 else BYTE for b in range(256)]))


def test_a_trained_vocabulary_with_byte_tokens_typed_as_text(tmp_path):
    spm = Vocab()
    spm.types = [NORMAL if t == BYTE else t for t in spm.types]
    equals_llama_cpp(spm.write(tmp_path / "v.gguf", add_space_prefix=True))


@pytest.mark.parametrize("kind", [NORMAL, BYTE])
def test_a_character_in_place_of_its_byte_token(tmp_path, kind):
    path = small_spm(tmp_path / "v.gguf", [b if b != "<0x0A>" else "\n" for b in BYTES], [kind] * 10 + [NORMAL] + [kind] * 245)
    equals_llama_cpp(path)
    assert many(path, ["\n"])[0] == ([259, 13], "\n")


def test_a_missing_byte_is_refused(tmp_path):
    for text in ("<gone>", "é"):
        path = small_spm(tmp_path / "v.gguf", [b if b != "<0xF0>" else text for b in BYTES], [NORMAL] * 256)
        run = lathe("tokenize", path, "a")
        assert run.returncode == 3 and "byte token <0xF0> is missing" in run.stderr


def known_pre_tokenizers(folder):
    write_vocab(folder / "none.gguf", "gpt2", ["a"], [NORMAL], "nosuch", [])
    return re.search("known are: (.*)", lathe("tokenize", folder / "none.gguf", "a").stderr).group(1).split()


def test_bos_where_the_file_does_not_say(tmp_path):
    """llama.cpp asked about every pre-tokenizer that lathe knows; one it does not know it refuses to load."""
    names, asked, adds = known_pre_tokenizers(tmp_path), 0, set()
    tokens = [byte_alphabet_[b] for b in range(256)] + ["he", "<s>"]
    for name in names:
        if name in RAW:  # spelt otherwise: test_tokenizer_raw.py
            continue
        path = tmp_path / f"{name}.gguf"
        write_vocab(path, "gpt2", tokens, [NORMAL] * 257 + [3], name, ["h e"], bos_token_id=257, eos_token_id=257)
        try:
            wanted = llama_cpp(path)("hello", True)
        except AssertionError:
            continue
        asked += 1
        (found, _), = many(path, ["hello"], ADD_BOS)
        assert (found[0] == 257) == (wanted[0] == 257), name
        if found[0] == 257:
            adds.add(name)
    assert asked > 40 and {"tekken", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2", "llama-bpe"} <= adds


def contract(path):
    seen = json.loads(done("inspect", path, "--json").stdout)
    return seen["contract"], {row["name"]: row["reason"] for row in seen["unread"]}


@pytest.mark.parametrize("pre", ["tekken", "llama3", "lfm2", "falcon3", "gpt-4o", "qwen2"])
def test_contract_and_tokenizer_read_one_policy(tmp_path, pre):
    path = edit(HELLO, tmp_path / "m.gguf", {"tokenizer.ggml.pre": pre, "tokenizer.ggml.add_bos_token": None})
    (found, _), = many(path, ["a"], ADD_BOS)
    assert contract(path)[0]["adds_bos"] == (found[0] == 2016) == (pre not in ("gpt-4o", "qwen2"))


TURN_ENDS = [  # texts of a vocabulary, and which of them end a turn
    (["<|return|>", "<|call|>", "<|end|>"], ["<|return|>", "<|call|>"]),
    (["<|end|>", "<|user|>"], ["<|end|>"]),
    (["<turn|>", "<|tool_response>", "</s>"], ["<turn|>", "<|tool_response>"]),
    (["</s>", "<end_of_turn>"], ["</s>", "<end_of_turn>"]),
    (["[gMASK]", "<|user|>", "<|observation|>", "<|assistant|>"], ["<|user|>", "<|observation|>"]),
    (["<|user|>", "<|observation|>"], []),
    (["[|endofturn|]", "<|END_OF_TURN_TOKEN|>", "<|assistant_end|>", "<seed:eos>", "<｜end▁of▁sentence｜>"],) * 2,
    (["<|end_of_role|>", "<|fim_pad|>", "<|im_start|>", "<bos>"], []),
]


@pytest.mark.parametrize("texts, ends", TURN_ENDS)
def test_turn_ends_by_family(tmp_path, texts, ends):
    """hello's vocabulary with marks in place of its own; its eos (2037) and <|endoftext|> (2016) end answers besides."""
    v = read_vocab(HELLO)
    types = v["token_type"]
    tokens = [f"<|spare{i}|>" if y == CONTROL and i != 2016 else t for i, (t, y) in enumerate(zip(v["tokens"], types))]
    places = range(2017, 2017 + len(texts))
    for i, text in zip(places, texts):
        tokens[i], types[i] = text, CONTROL
    path = edit(HELLO, tmp_path / "m.gguf", {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types})
    assert contract(path)[0]["stop_ids"] == sorted([2016, 2037] + [i for i, text in zip(places, texts) if text in ends])


# ---- metadata


MADE = {f"mradermacher.{k}": "x" for k in ("quantize_version", "quantized_by", "quantized_at", "quantized_on", "convert_type")}


def test_bookkeeping_of_others_is_read(tmp_path):
    keys = {**MADE, "tokenizer.ggml.add_padding_token": False, "tokenizer.ggml.add_unknown_token": False,
            "tokenizer.ggml.eos_token_ids": [2016, 2018], "phi3.attention.head_dim": 32, "phi3.attention.layer_norm_epsilon": 1e-5}
    seen, unread = contract(edit(HELLO, tmp_path / "m.gguf", keys))
    plain, _ = contract(HELLO)
    assert seen["stop_ids"] == sorted({*plain["stop_ids"], 2016, 2018})
    assert {**seen, "stop_ids": 0} == {**plain, "stop_ids": 0}
    assert set(keys) - {"tokenizer.ggml.eos_token_ids"} <= set(unread)


@pytest.mark.parametrize("key, value, says", [
    ("phi3.attention.head_dim", 64, "head_dim is 32"),
    ("phi3.attention.layer_norm_epsilon", 1e-6, "norm_eps is 1e-05"),
    ("prism.hadamard.block", 64, "lathe does not know it"),
    ("comfy.gguf.orig_shape.token_embd.weight", [2048, 128], "lathe does not know it"),
    ("mradermacher.other", "x", "lathe does not know it"),
    ("tokenizer.ggml.eos_token_ids", [5000], "is not a token id below"),
    ("phi3.attention.head_count_kv", [2, 2, 2, 1], "layer 0 has 2 and layer 3 has 1"),
    ("phi3.attention.head_count_kv", [2, 2, 2], "a list of 3 values"),
    ("phi3.block_count", [4, 4, 4, 4], "a list of 4 values"),
])
def test_what_may_mean_something_stays_refused(tmp_path, key, value, says):
    run = lathe("inspect", edit(HELLO, tmp_path / "m.gguf", {key: value}))
    assert run.returncode == 3 and key in run.stderr and says in run.stderr


def logits(path):
    with LlamaCpp(path, 32) as model:
        return model.feed(list(range(5, 30)))


def test_lists_of_equal_values_and_dims_of_1(tmp_path):
    import gguf

    norm = next(t.data for t in gguf.GGUFReader(NATURAL).tensors if t.name == "output_norm.weight")
    lists = {"phi3.attention.head_count_kv": [2] * 4, "phi3.attention.head_count": [4] * 4, "phi3.feed_forward_length": [384] * 4}
    path = edit(NATURAL, tmp_path / "m.gguf", lists, {"output_norm.weight": numpy.asarray(norm).reshape(1, 1, -1)})
    assert numpy.array_equal(logits(path), logits(NATURAL))  # llama.cpp reads the same model
    assert contract(path)[0] == contract(NATURAL)[0]
    bundle = tmp_path / "m.lathe"
    done("convert", path, "-o", bundle)
    done("verify", bundle, "--model", path, "--gates", "graph,head")


YARN = {"phi3.rope.scaling.yarn_attn_factor": 1.7, "phi3.rope.scaling.yarn_log_multiplier": 0.3, "phi3.rope.scaling.yarn_ext_factor": -1.0,
        "phi3.rope.scaling.yarn_beta_fast": 3.0, "phi3.rope.scaling.yarn_beta_slow": 0.5}


def test_yarn_keys_of_files_without_yarn(tmp_path):
    path = edit(NATURAL, tmp_path / "m.gguf", YARN)
    assert numpy.array_equal(logits(path), logits(NATURAL))  # llama.cpp reads none of them
    seen, unread = contract(path)
    assert seen == contract(NATURAL)[0] and set(YARN) <= set(unread)


def test_yarn_attn_factor_of_files_with_yarn(tmp_path):
    """llama.cpp reads it for neither architecture, so it changes nothing here either, and inspect says so."""
    base = {"phi3.rope.scaling.type": "yarn", "phi3.rope.scaling.factor": 4.0, "phi3.rope.scaling.original_context_length": 1024}
    drop = {"rope_factors_long.weight": None, "rope_factors_short.weight": None}
    plain = edit(NATURAL, tmp_path / "a.gguf", base, drop)
    key = "phi3.rope.scaling.yarn_attn_factor"
    stated = edit(NATURAL, tmp_path / "b.gguf", {**base, key: 1.7}, drop)
    assert numpy.array_equal(logits(plain), logits(stated))
    seen, unread = contract(stated)
    assert seen == contract(plain)[0] and "1.7; no runtime reads it" in unread[key]
