"""BPE over characters, as Gemma 4 has it, against HF tokenizers and llama.cpp. The vocabulary is trained here, from the test's own texts."""

import pytest
from test_tokenizer_spm import llama_cpp
from tokenizer_oracle import (
    ADD_BOS,
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
    random_texts,
    write_vocab,
)
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
MARKS = ["<|turn>", "<turn|>"]  # control
ADDED = ["  ", "    ", "<tool>", "a b"]  # user-defined, with literal spaces in the file


class Vocab:
    """Tokens and merges as Gemma 4's converter writes them: special ones, bytes, learnt ones, added ones."""

    def __init__(self):
        t = Tokenizer(models.BPE())
        t.normalizer = normalizers.Replace(" ", "▁")
        t.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[^▁\n]+|▁+|\n+"), "isolated")
        seen = [text for text in TORTURE + random_texts(1500, seed=3) if not any(c in text for c in "ह𝄞<\0")]
        t.train_from_iterator(seen, trainers.BpeTrainer(vocab_size=1400, show_progress=False, special_tokens=[]))
        import json

        model = json.loads(t.to_str())["model"]
        learnt = sorted(model["vocab"], key=model["vocab"].get)
        self.merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
        assert len(self.merges) > 500 and ("\n", "\n") in self.merges
        self.tokens = SPECIAL + [f"<0x{b:02X}>" for b in range(256)] + learnt + MARKS + ADDED
        self.types = [CONTROL] * 3 + [UNKNOWN] + [BYTE] * 256 + [NORMAL] * len(learnt)
        self.types += [CONTROL] * len(MARKS) + [USER_DEFINED] * len(ADDED)

    def write(self, path, model="gemma4", pre=None, **keys):
        write_vocab(path, model, self.tokens, self.types, pre, [" ".join(m) for m in self.merges], scores=[0.0] * len(self.tokens),
                    bos_token_id=2, eos_token_id=1, unknown_token_id=3, **keys)  # fmt: skip
        return path

    def hf(self, marks=()):
        """The settings of Gemma 4's tokenizer.json: its Split at spaces finds none after the normalizer."""
        model = models.BPE(vocab={t: i for i, t in enumerate(self.tokens)}, merges=self.merges, unk_token="<unk>", fuse_unk=True,
                           byte_fallback=True)  # fmt: skip
        t = Tokenizer(model)
        t.normalizer = normalizers.Replace(" ", "▁")
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        t.add_tokens([AddedToken(text, normalized=False) for text in ADDED])
        t.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in marks])
        return t


TEXTS = TORTURE + random_texts(2500) + ["a  b", "x a b  c", "   x     y", "<tool> call", "x<|turn> hi<turn|>  ", "▁▁ x", "<0x41>", "\n\n\n x"]


@pytest.fixture(scope="module")
def vocab():
    return Vocab()


def test_equals_hf(vocab, tmp_path):
    t = vocab.hf()
    ids = lambda text: t.encode(text, add_special_tokens=False).ids
    compare(vocab.write(tmp_path / "v.gguf"), TEXTS + BROKEN, ids, decoded=lambda text: text.replace("▁", " "))


def test_long_runs_equal_hf(vocab, tmp_path):
    t = vocab.hf()
    compare(vocab.write(tmp_path / "v.gguf"), LONG, lambda text: t.encode(text, add_special_tokens=False).ids)


def test_with_special_tokens_equals_hf(vocab, tmp_path):
    t = vocab.hf(marks=[*SPECIAL, *MARKS])
    compare(vocab.write(tmp_path / "v.gguf"), TEXTS, lambda text: t.encode(text, add_special_tokens=False).ids, PARSE_SPECIAL)


@pytest.mark.parametrize("model, pre", [("gemma4", None), ("gpt2", "gemma4")])
def test_equals_llama_cpp(vocab, tmp_path, model, pre):
    """But for one thing: llama.cpp takes a run of newlines that is a token whole, even where the merges join it otherwise."""
    path = vocab.write(tmp_path / "v.gguf", model, pre)
    encode = llama_cpp(path)
    compare(path, [text for text in TEXTS if "\n\n" not in text], lambda text: encode(text, True), ADD_BOS)


def test_bos_whatever_the_file_says(vocab, tmp_path):
    path = vocab.write(tmp_path / "v.gguf", add_bos_token=False)
    encode = llama_cpp(path)
    assert encode("a", True)[0] == 2
    compare(path, ["a", "b c"], lambda text: encode(text, True), ADD_BOS)
