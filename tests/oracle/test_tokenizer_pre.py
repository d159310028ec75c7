"""Every pre-tokenizer of the table against HF tokenizers or tiktoken with the published settings, over a vocabulary that shows every cut.
And SmolLM2, whole, against HF tokenizers."""

import subprocess
import unicodedata

import pytest
import tiktoken
from tokenizer_oracle import (
    ADD_BOS,
    BROKEN,
    CL100K,
    CONTROL,
    GPT2,
    LATHE,
    LONG,
    O200K,
    PARSE_SPECIAL,
    TORTURE,
    compare,
    many,
    pairs_gguf,
    pairs_ranks,
    random_texts,
    read_vocab,
    relabelled,
    smollm2_gguf,
)
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

QWEN2 = CL100K.replace("{1,3}", "")
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SEED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
BAILING = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+"
HAN_HANGUL = "[一-龥ࠀ-一가-퟿]+"
HAN_KANA = "[一-龥぀-ゟ゠-ヿ]+"


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
BYTES_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)

# One name a row of src/tokenizer/pre.c; the settings of the tokenizer.json named.
PUBLISHED = {
    "llama-bpe": [split(CL100K), BYTES],  # meta-llama/Meta-Llama-3-8B
    "dbrx": [split(CL100K), BYTES],
    "qwen2": [split(QWEN2), BYTES],  # Qwen/Qwen2-7B
    "qwen35": [split(QWEN35), BYTES],
    "seed-coder": [split(SEED), BYTES],
    "bailingmoe": [split(BAILING), BYTES],
    "tekken": [split(TEKKEN), BYTES],  # mistralai/Mistral-Nemo-Base-2407
    "gpt-2": [BYTES_GPT2],  # openai-community/gpt2
    "smollm": [
        pre_tokenizers.Digits(individual_digits=True),
        BYTES_GPT2,
    ],  # HuggingFaceTB/SmolLM2-135M
    "falcon": [split(r"[\p{P}$+<=>^~|`]+"), split(GPT2), split("[0-9][0-9][0-9]"), BYTES],
    "default": [
        split(r"[\p{P}$+<=>^~|]+"),
        split(GPT2),
        split(r"\p{N}+"),
        split("[0-9][0-9][0-9]"),
        BYTES,
    ],
    "deepseek-coder": [
        split("[\r\n]"),
        split(r"\s?\p{L}+"),
        split(r"\s?\p{P}+"),
        split(HAN_HANGUL),
        pre_tokenizers.Digits(individual_digits=True),
        BYTES,
    ],
    "deepseek-v3": [
        split(r"\p{N}{1,3}"),
        split(HAN_KANA),
        split(DEEPSEEK3),
        BYTES,
    ],  # deepseek-ai/DeepSeek-V3
    "bloom": [split(BLOOM), BYTES],  # bigscience/bloom
    "viking": [split(BLOOM), pre_tokenizers.Digits(individual_digits=True), BYTES],
}


def hf(tokens, merges, pieces, ignore_merges=False):
    model = models.BPE(
        vocab={t: i for i, t in enumerate(tokens)},
        merges=[tuple(m.split(" ")) for m in merges],
        ignore_merges=ignore_merges,
    )
    t = Tokenizer(model)
    t.pre_tokenizer = pre_tokenizers.Sequence(pieces)
    t.decoder = decoders.ByteLevel()
    return t


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return pairs_gguf(tmp_path_factory.mktemp("pairs") / "pairs.gguf", "gpt-4o")


@pytest.fixture(scope="module")
def hf_pairs(pairs):
    v = read_vocab(pairs)
    return hf(v["tokens"], v["merges"], [BYTES])


@pytest.mark.parametrize("name", PUBLISHED)
def test_cuts_equal_hf(pairs, hf_pairs, name, tmp_path):
    hf_pairs.pre_tokenizer = pre_tokenizers.Sequence(PUBLISHED[name])
    ids = lambda text: hf_pairs.encode(text, add_special_tokens=False).ids
    compare(
        relabelled(pairs, name, tmp_path),
        TORTURE + random_texts(2000),
        ids,
        decoded=lambda text: text,
    )


# moonshotai/Kimi-K2-Instruct tokenization_kimi.py
UPPER, LOWER = (
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]",
)
ENDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
KIMI = "|".join(
    [
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDS}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDS}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
TIKTOKEN = {"gpt-4o": O200K, "llama-bpe": CL100K, "kimi-k2": KIMI}


@pytest.mark.parametrize("name", TIKTOKEN)
def test_cuts_equal_tiktoken(pairs, name, tmp_path):
    encoding = tiktoken.Encoding(
        name, pat_str=TIKTOKEN[name], mergeable_ranks=pairs_ranks(), special_tokens={}
    )
    compare(
        relabelled(pairs, name, tmp_path),
        TORTURE + random_texts(2000),
        encoding.encode_ordinary,
        decoded=lambda text: text,
    )


def test_every_character_of_unicode_3_2_is_classed_as_by_tiktoken(pairs):
    """Old enough that all tables agree on what is assigned; ideographs and syllables, all alike, are sampled."""
    assigned = [
        c
        for c in range(0x20000)
        if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs")
        and (c % 97 == 0 or not 0x3400 <= c < 0x9FFF and not 0xAC00 <= c < 0xF900)
    ]
    assert len(assigned) > 10_000
    texts = [f"a{c}b {c}Cd1{c} \n{c}x'{c} " for c in map(chr, assigned)]
    encoding = tiktoken.Encoding(
        "gpt-4o", pat_str=O200K, mergeable_ranks=pairs_ranks(), special_tokens={}
    )
    compare(pairs, texts, encoding.encode_ordinary)


def test_long_runs_in_every_pre_tokenizer(pairs, hf_pairs, tmp_path):
    texts = [letter * 200_000 for letter in "a 字\n"]
    for name in [*PUBLISHED, "kimi-k2", "gpt-4o"]:
        found = many(relabelled(pairs, name, tmp_path), texts)
        for text, (_, back) in zip(texts, found):
            assert back == text, name
        if name not in ("qwen2", "smollm", "deepseek-v3"):  # one pattern, two, three
            continue
        hf_pairs.pre_tokenizer = pre_tokenizers.Sequence(PUBLISHED[name])
        for text, (ids, _) in zip(texts, found):
            assert ids == hf_pairs.encode(text, add_special_tokens=False).ids, (name, text[0])


def test_every_name_of_the_table_cuts_as_one_that_is_tested(pairs, tmp_path):
    """The names come from the message that lists them, so that a new row without its published settings here is seen."""
    done = subprocess.run([LATHE, "tokenize", relabelled(pairs, "nosuch", tmp_path), "a"], capture_output=True)
    known = done.stderr.decode().split("known are: ")[1].split()
    assert done.returncode == 3 and len(known) > 50 and len(set(known)) == len(known)
    texts = TORTURE + ["㐀x 𠮷 \r\r ab12345 don'T x\u0301"]
    ids = lambda name: [found for found, _ in many(relabelled(pairs, name, tmp_path), texts)]
    tested = {str(ids(name)): name for name in {**PUBLISHED, **TIKTOKEN}}
    assert set(PUBLISHED) | set(TIKTOKEN) <= set(known)
    assert not [name for name in known if str(ids(name)) not in tested]


@pytest.fixture(scope="module")
def smollm2():
    v = read_vocab(smollm2_gguf())
    t = hf(v["tokens"], v["merges"], PUBLISHED["smollm"])
    return t, [
        AddedToken(text, special=True, normalized=False)
        for text, y in zip(v["tokens"], v["token_type"])
        if y == CONTROL
    ]


def test_smollm2_equals_hf(smollm2):
    t, _ = smollm2
    ids = lambda text: t.encode(text, add_special_tokens=False).ids
    # Its vocabulary lacks 21 bytes, so not every text comes back; HF says what does.
    compare(
        smollm2_gguf(),
        TORTURE + BROKEN + LONG + random_texts(3000),
        ids,
        decoded=lambda text: t.decode(ids(text), skip_special_tokens=False),
    )


def test_smollm2_with_special_tokens_equals_hf(smollm2):
    t, marks = smollm2
    t.add_special_tokens(marks)
    ids = lambda text: t.encode(text, add_special_tokens=False).ids
    compare(smollm2_gguf(), TORTURE + random_texts(1000), ids, PARSE_SPECIAL | ADD_BOS)
