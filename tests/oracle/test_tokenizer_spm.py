"""SentencePiece vocabularies against llama.cpp and HF tokenizers. The vocabulary is trained here, from the test's own texts."""

import ctypes
import importlib.util
import pathlib
import struct

import pytest
from tokenizer_oracle import (
    ADD_BOS,
    ADD_EOS,
    BROKEN,
    BYTE,
    CONTROL,
    LONG,
    NORMAL,
    PARSE_SPECIAL,
    TORTURE,
    UNKNOWN,
    USER_DEFINED,
    compare,
    many,
    random_texts,
    write_vocab,
)
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

MARKS = ["<|user|>", "<|end|>"]  # control
ADDED = ["  ", "<tool>", "<tool>call"]  # user-defined


class Vocab:
    """Tokens with scores, as a SentencePiece model of kind BPE has them: -1, -2, … in the order of joining."""

    def __init__(self, has_bytes=True):
        t = Tokenizer(models.BPE())
        t.normalizer = normalizers.Replace(" ", "▁")
        t.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[^▁]+|▁+"), "isolated")
        # Some characters stay without a token; llama.cpp ends a token's text at a NUL; "<0x41>" must not be learnt.
        seen = [
            text
            for text in TORTURE + random_texts(1500, seed=3)
            if not any(c in text for c in "ह𝄞<\0")
        ]
        t.train_from_iterator(
            seen, trainers.BpeTrainer(vocab_size=1200, show_progress=False, special_tokens=[])
        )
        learnt = sorted(t.get_vocab().items(), key=lambda item: item[1])
        joined = [text for text, _ in learnt if len(text) > 1]
        single = [text for text, _ in learnt if len(text) == 1]
        assert len(joined) > 500
        self.tokens = ["<unk>", "<s>", "</s>"]
        self.types = [UNKNOWN, CONTROL, CONTROL]
        if has_bytes:
            self.tokens += [f"<0x{b:02X}>" for b in range(256)]
            self.types += [BYTE] * 256
        self.scores = [0.0] * len(self.tokens)
        first = len(self.tokens)
        self.tokens += joined + single
        self.types += [NORMAL] * (len(joined) + len(single))
        self.scores += [float(-i) for i in range(len(joined) + len(single))]
        self.joined = {text: first + i for i, text in enumerate(joined)}
        self.tokens += MARKS + ADDED
        self.types += [CONTROL] * len(MARKS) + [USER_DEFINED] * len(ADDED)
        self.scores += [0.0] * len(MARKS + ADDED)

    def write(self, path, **keys):
        write_vocab(
            path,
            "llama",
            self.tokens,
            self.types,
            scores=self.scores,
            bos_token_id=1,
            eos_token_id=2,
            unknown_token_id=0,
            **keys,
        )
        return path

    def hf(self, has_prefix=True, marks=()):
        """As transformers converts it: every split of a token is a merge, in the order of the tokens."""
        ids = {text: i for i, text in enumerate(self.tokens)}
        merges = [
            (text[:k], text[k:])
            for text in self.joined
            for k in range(1, len(text))
            if text[:k] in ids and text[k:] in ids
        ]
        t = Tokenizer(
            models.BPE(
                vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
            )
        )
        steps = [normalizers.Prepend("▁")] if has_prefix else []
        t.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
        t.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
            + ([decoders.Strip(" ", 1, 0)] if has_prefix else [])
        )
        t.add_tokens([AddedToken(text, normalized=False) for text in ADDED])
        t.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in marks])
        return t


@pytest.fixture(scope="module")
def vocab():
    return Vocab()


# llama.cpp keeps it, beyond any one vocabulary.
QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


def llama_cpp(path):
    """encode(text, add_special, parse_special) by llama.cpp, from the wheel xllamacpp."""

    class Params(ctypes.Structure):
        _fields_ = [
            ("bytes", ctypes.c_ubyte * 1024)
        ]  # larger than any llama_model_params; passed in memory

    vocab_only = 72  # its place in llama_model_params of the wheel
    L = ctypes.CDLL(
        str(pathlib.Path(importlib.util.find_spec("xllamacpp").origin).parent / "xllamacpp.abi3.so")
    )
    L.llama_log_set.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    L.llama_log_set(QUIET, None)
    L.llama_model_default_params.restype = Params
    L.llama_model_load_from_file.restype = L.llama_model_get_vocab.restype = ctypes.c_void_p
    L.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Params]
    L.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    L.llama_tokenize.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_bool,
        ctypes.c_bool,
    ]
    L.llama_backend_init()
    params = L.llama_model_default_params()
    params.bytes[vocab_only] = 1
    model = L.llama_model_load_from_file(str(path).encode(), params)
    assert model, f"llama.cpp does not load {path}: has llama_model_params changed?"
    v = L.llama_model_get_vocab(model)

    def encode(text, add_special=False, parse_special=False):
        raw = text.encode()
        out = (ctypes.c_int32 * (4 * len(raw) + 16))()
        n = L.llama_tokenize(v, raw, len(raw), out, len(out), add_special, parse_special)
        assert n >= 0
        return list(out[:n])

    return encode


TEXTS = (
    TORTURE
    + random_texts(2500)
    + ["a  b", "<tool>call me", "<tool> call", "x<|user|> hi<|end|>  ", "▁▁ x", "<0x41>"]
)


def test_equals_llama_cpp(vocab, tmp_path):
    path = vocab.write(tmp_path / "v.gguf", add_space_prefix=True)
    encode = llama_cpp(path)
    compare(path, TEXTS, lambda text: encode(text, True), ADD_BOS | ADD_EOS)
    compare(path, TEXTS, lambda text: encode(text, True, True), ADD_BOS | PARSE_SPECIAL)


def test_without_space_prefix_equals_llama_cpp(vocab, tmp_path):
    path = vocab.write(
        tmp_path / "v.gguf", add_space_prefix=False, add_bos_token=False, add_eos_token=True
    )
    encode = llama_cpp(path)
    compare(path, TEXTS, lambda text: encode(text, True), ADD_BOS | ADD_EOS)


def test_equals_hf(vocab, tmp_path):
    t = vocab.hf()
    ids = lambda text: t.encode(text, add_special_tokens=False).ids
    compare(vocab.write(tmp_path / "v.gguf"), TEXTS + BROKEN, ids)


def test_with_special_tokens_equals_hf(vocab, tmp_path):
    t = vocab.hf(marks=["<s>", "</s>", *MARKS])
    ids = lambda text: t.encode(text, add_special_tokens=False).ids
    compare(vocab.write(tmp_path / "v.gguf"), TEXTS, ids, PARSE_SPECIAL)


def test_text_comes_back(vocab, tmp_path):
    # What U+2581 stands for cannot be told from a space afterwards.
    texts = [text for text in TEXTS if "▁" not in text]
    for keys in {"add_space_prefix": True}, {"add_space_prefix": False}:
        path = vocab.write(tmp_path / "v.gguf", **keys)
        for text, (_, back) in zip(texts, many(path, texts)):
            if not any(mark in text for mark in ADDED):  # text after a token gets a space too
                assert back == text


def test_long_runs_equal_hf(vocab, tmp_path):
    t = vocab.hf()
    ids = lambda text: t.encode(text, add_special_tokens=False).ids
    compare(
        vocab.write(tmp_path / "v.gguf"),
        LONG,
        ids,
        decoded=lambda text: text if text[0] != " " else t.decode(ids(text)),
    )


def test_unknown_without_byte_tokens_equals_hf(tmp_path):
    vocab = Vocab(has_bytes=False)
    t = vocab.hf()
    ids = lambda text: t.encode(text, add_special_tokens=False).ids
    compare(vocab.write(tmp_path / "v.gguf"), TEXTS + ["𝄞𝄞𝄞 𝄞x𝄞"], ids)


def test_phi3_strips_white_space_after_marks(vocab, tmp_path):
    v = Vocab()
    v.tokens += ["<|placeholder1|>", "<|assistant|>", "<|endoftext|>"]
    v.types += [CONTROL] * 3
    v.scores += [0.0] * 3
    path = v.write(tmp_path / "phi3.gguf", add_bos_token=False)
    t = v.hf()
    strips = [
        AddedToken(
            text, normalized=False, special=True, rstrip=text not in ("<s>", "<|endoftext|>")
        )
        for text, y in zip(v.tokens, v.types)
        if y == CONTROL
    ]
    t.add_special_tokens(strips)
    texts = [
        "<|user|>\nhello<|end|>\n<|assistant|>\n",
        "<s> x",
        "<|endoftext|>\n a",
        "<|end|> \u3000\u0085\u200b x",
        "<|end|>\n<|end|>\n",
    ]
    compare(path, texts, lambda text: t.encode(text, add_special_tokens=False).ids, PARSE_SPECIAL)
