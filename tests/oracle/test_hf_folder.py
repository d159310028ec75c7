"""A folder of Hugging Face as a model: what lathe computes with it, its tokens, and what is refused. Folders that transformers
saved itself, and its logits, are in test_hf_folder_live.py, which needs PyTorch."""

import json
import shutil

import gguf
import numpy
import pytest
from command import HELLO, NATURAL, done, lathe
from family import HERE, IDS, KEPT, gguf_of, logits_of
from hf_folder import NAMES_OF, PERMUTED, PLUS_ONE, folder_of, reference, rewrite, safetensors, tensors_of
from random_models import N_VOCAB, random_ids
from test_export_hf import SPECIALS, export, model_with
from test_reference import BOUND, KINDS, nmse
from test_tokenizer_pre import DIGITS
from test_tokenizer_raw import Vocab as RawVocab
from test_tokenizer_spm import Vocab as SpmVocab
from tokenizer_oracle import ADD_BOS, ADD_EOS, CL100K, GPT2, O200K, PARSE_SPECIAL, TORTURE, many, random_texts, smollm2_gguf
from tokenizers import Tokenizer

TEXTS = TORTURE + SPECIALS + DIGITS + random_texts(200)


def inspected(model, *options):
    return json.loads(done("inspect", model, "--json", *options).stdout)


def contract(model):
    return inspected(model)["contract"]


# ---- what is computed


@pytest.mark.parametrize("name", NAMES_OF)
def test_family_has_the_contract_and_the_logits_of_its_gguf_and_of_transformers(name, tmp_path):
    folder = folder_of(name, tmp_path / "hf")
    found = reference(folder, 256, IDS)
    assert (found == reference(gguf_of(name), 256, IDS)).all(), "the same weights, bit for bit"
    assert nmse(found[KEPT], logits_of(name)) < BOUND["F32"]
    ours, file = contract(folder), contract(gguf_of(name))
    assert ours.pop("vocab_digest") != file.pop("vocab_digest"), "spare tokens have other names"
    assert ours == file


def test_tables_of_the_test_are_needed():
    """A family that is permuted or lacks 1 would pass without, if its folder were made as its file is."""
    assert PERMUTED & set(NAMES_OF) and PLUS_ONE & set(NAMES_OF)
    for name in ("granite", "gemma"):
        published, file = tensors_of(name), {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(gguf_of(name)).tensors}
        other = {"granite": ("self_attn.q_proj", "attn_q"), "gemma": ("input_layernorm", "attn_norm")}[name]
        assert (published[f"model.layers.0.{other[0]}.weight"] != file[f"blk.0.{other[1]}.weight"]).any()


@pytest.mark.parametrize("name", [n for n in KINDS if n != "llama only qkv biases"])
def test_what_export_writes_is_read_back(name, tmp_path):
    """The class of Llama has all four biases or none: one kind comes back with one more, of zeros."""
    model = KINDS[name][0]().write(tmp_path / "m.gguf")
    folder = export(model, tmp_path / "hf", "--dtype", "f32", "--shard-size", 1)
    context, ids = KINDS[name][1], random_ids(150)
    assert nmse(reference(folder, context, ids), reference(model, context, ids)) < 1e-12  # divisors and factors pass through decimals
    ours, file = contract(folder), contract(model)
    assert {k for k in file if ours[k] != file[k]} <= {"vocab_digest", "rope_freq_factors", "attn_factor"}


@pytest.mark.parametrize("model", [HELLO, NATURAL])
def test_bundled_models_come_back_as_they_are(model, tmp_path):
    folder = export(model, tmp_path / "hf", "--dtype", "f32")
    assert inspected(folder)["contract_sha256"] == inspected(model)["contract_sha256"]
    ids = random_ids(100)
    assert (reference(folder, 512, ids) == reference(model, 512, ids)).all()


def test_dtypes_and_shards(tmp_path):
    """Blocks of Q8_0 are exact in neither half: what is compared is the same weights, rounded."""
    whole, parts = folder_of("qwen2", tmp_path / "a"), folder_of("qwen2", tmp_path / "b", n_files=3)
    assert (reference(whole, 256, IDS) == reference(parts, 256, IDS)).all()
    for dtype, bound in (("F16", 1e-5), ("BF16", 1e-3)):  # 2^-12 and 2^-9 of each weight, about
        half = folder_of("qwen2", tmp_path / dtype, dtype)
        assert 0 < nmse(reference(half, 256, IDS), reference(whole, 256, IDS)) < bound
        assert [t["type"] for t in inspected(half)["tensors"]] == [dtype]


def test_odd_places_of_weights(tmp_path):
    """A tensor of an odd number of halves leaves the next one between two floats."""
    folder = folder_of("qwen3", tmp_path / "hf")
    rows = {"model.layers.0.self_attn.rotary_emb.inv_freq": ("F16", numpy.ones(3))}
    rows |= {name: ("F32", t) for name, t in tensors_of("qwen3").items()}
    plain = reference(folder, 256, IDS)
    (folder / "model.safetensors").write_bytes(safetensors(rows))
    assert (reference(folder, 256, IDS) == plain).all()


# ---- tokens


def check_ids(folder, texts=TEXTS):
    t = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for flags in (PARSE_SPECIAL | ADD_BOS | ADD_EOS, PARSE_SPECIAL):
        for text, (ids, _) in zip(texts, many(folder, texts, flags)):
            assert ids == t.encode(text, add_special_tokens=bool(flags & ADD_BOS)).ids, text[:60]


def test_ids_of_the_bundled_vocabulary(tmp_path):
    check_ids(export(HELLO, tmp_path / "hf"))


def test_smollm2_is_the_same_vocabulary(tmp_path):
    folder = export(smollm2_gguf(), tmp_path / "hf")
    check_ids(folder)
    ours, file = contract(folder), contract(smollm2_gguf())
    assert {k for k in file if ours[k] != file[k]} <= {"attn_factor"} and ours["pre_tokenizer"] == "smollm"


@pytest.mark.parametrize("has_prefix", [True, False])
def test_ids_of_a_sentencepiece_vocabulary(has_prefix, tmp_path):
    model = model_with(tmp_path / "m.gguf", SpmVocab().write(tmp_path / "v.gguf", add_space_prefix=has_prefix))
    folder = export(model, tmp_path / "hf")
    check_ids(folder, [t for t in TEXTS if t])
    assert contract(folder)["tokenizer"] == "llama"


def test_ids_of_a_vocabulary_of_characters(tmp_path):
    """Merges that no scores give: kept as a list."""
    folder = export(model_with(tmp_path / "m.gguf", RawVocab().write(tmp_path / "v.gguf")), tmp_path / "hf")
    check_ids(folder, [t for t in TEXTS if t])
    assert contract(folder)["pre_tokenizer"] in ("gemma4", "granite-embed-multi-311m")


def split(pattern, **more):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False} | more


LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
PUBLISHED = {  # as publishers' files have it: steps, normalizer, ignore_merges
    "gpt-4o": ([split(O200K), LEVEL], None, False),
    "llama-bpe": ([split(CL100K), LEVEL], None, True),
    "dbrx": ([split(CL100K, behavior="Removed", invert=True), LEVEL], None, False),
    "qwen2": ([split(CL100K.replace(r"\p{N}{1,3}", r"\p{N}")), LEVEL], {"type": "NFC"}, False),
    "gpt-2": ([LEVEL | {"use_regex": True}], None, False),
    "smollm": ([{"type": "Digits", "individual_digits": True}, LEVEL | {"use_regex": True}], None, False),
    "command-r": ([{"type": "Digits", "individual_digits": True}, LEVEL | {"use_regex": True}], {"type": "NFC"}, False),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_pre_tokenizer_is_known_by_what_publishers_write(name, tmp_path):
    steps, normalizer, ignores = PUBLISHED[name]
    folder = export(HELLO, tmp_path / "hf")
    rewrite(folder / "tokenizer.json", lambda t: t.update(normalizer=normalizer, pre_tokenizer={"type": "Sequence", "pretokenizers": steps}))
    rewrite(folder / "tokenizer.json", lambda t: t["model"].update(ignore_merges=ignores))
    assert contract(folder)["pre_tokenizer"] == name
    check_ids(folder)


def test_text_between_tokens_and_white_space_after_them(tmp_path):
    folder = export(HELLO, tmp_path / "hf")
    end = {"id": "<|end|>", "ids": [2037], "tokens": ["<|end|>"]}
    row = {"SpecialToken": {"id": "<|end|>", "type_id": 0}}

    def change(t):
        single = [row, {"Sequence": {"id": "A", "type_id": 0}}, row]
        t["post_processor"] = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {"<|end|>": end}}
        for added in t["added_tokens"]:
            added["rstrip"] = True

    rewrite(folder / "tokenizer.json", change)
    rewrite(folder / "tokenizer_config.json", lambda t: t.update(add_bos_token=True, add_eos_token=True, bos_token="<|end|>"))
    rewrite(folder / "config.json", lambda t: t.update(bos_token_id=2037))
    rewrite(folder / "generation_config.json", lambda t: t.update(bos_token_id=2037))
    check_ids(folder, ["a", "<|user|>  b", "x<|end|>\n\n y", "<|user|> <|end|> "])
    ours = contract(folder)
    assert (ours["adds_bos"], ours["adds_eos"], ours["bos_id"]) == (True, True, 2037)


# ---- commands


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    return export(HELLO, tmp_path_factory.mktemp("hello") / "hf", "--dtype", "f32")


def test_commands_take_a_folder(hello, tmp_path):
    assert done("tokenize", hello, "Hello").stdout == done("tokenize", HELLO, "Hello").stdout
    messages = tmp_path / "m.json"
    messages.write_text('[{"role": "user", "content": "Hi"}]')
    assert done("template", hello, "--messages", messages).stdout == done("template", HELLO, "--messages", messages).stdout
    ask = ("-p", "Show me hello world in Erlang.", "--max-tokens", "20")
    assert done("chat", hello, *ask).stdout == done("chat", HELLO, *ask).stdout != ""
    text = tmp_path / "t.txt"
    text.write_text("Count from 3 to 9. " * 40)
    assert done("eval", hello, "--text", text, "--context", "128").stdout.split("perplexity")[1:] == done("eval", HELLO, "--text", text, "--context", "128").stdout.split("perplexity")[1:]
    done("export-hf", hello, "-o", tmp_path / "again", "--dtype", "f32")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (hello / "model.safetensors").read_bytes()
    assert " 0 contradict" in done("inspect", hello).stdout, "config.json of the folder is compared without being asked for"
    done("verify", hello, "--gates", "contract")


def test_bundle_of_a_folder_knows_its_source(hello, tmp_path):
    folder, bundle = tmp_path / "model", tmp_path / "m.lathe"
    shutil.copytree(hello, folder)
    done("convert", f"{folder}/", "-o", bundle, "--layers-per-shard", "2", "--context", "128")
    chain = json.loads((bundle / "chain.json").read_text())
    assert chain["source"]["name"] == "model" and chain["contract_sha256"] == inspected(HELLO)["contract_sha256"]
    run = done("verify", bundle, "--gates", "contract,structure,layer golden", cwd=tmp_path).stdout
    assert "failed" not in run.lower()
    # One byte of any of its files, and it is another model's folder.
    for name, change in (("tokenizer.json", lambda t: t.update(truncation=None, more=1)), ("config.json", lambda t: t.update(initializer_range=1))):
        kept = (folder / name).read_bytes()
        rewrite(folder / name, change)
        run = lathe("verify", bundle, "--gates", "contract", cwd=tmp_path)
        assert run.returncode == 1 and "model is another file than" in run.stderr, run.stderr
        (folder / name).write_bytes(kept)
    done("verify", bundle, "--gates", "contract", cwd=tmp_path)


# ---- what is refused


def refused(folder, text, *command):
    run = lathe(*(command or ("inspect",)), folder)
    assert run.returncode == 3, run.stdout + run.stderr
    assert text in run.stderr and len(run.stderr) < 1500, run.stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return folder_of("qwen3", tmp_path_factory.mktemp("small") / "hf")


def spoiled(small, tmp_path, file=None, change=None):
    folder = tmp_path / "hf"
    shutil.copytree(small, folder)
    if file:
        rewrite(folder / file, change)
    return folder


CONFIGS = {
    "another family": (dict(model_type="mamba", architectures=["MambaForCausalLM"]), "lathe cannot compare other families"),
    "no family": (dict(model_type=None, architectures=None), "neither model_type nor architectures"),
    "a key that nobody knows": (dict(residual_gate=2), "key 'residual_gate': lathe does not know it"),
    "a window that is used": (dict(use_sliding_window=True, sliding_window=40, max_window_layers=1, layer_types=None),
                              "its config files mean what a GGUF file has no place for"),
    "fewer layers": (dict(num_hidden_layers=1, layer_types=["full_attention"]), "config.json (num_hidden_layers) has fewer layers"),
    "more layers": (dict(num_hidden_layers=3, layer_types=None), "'blk.2.attn_norm.weight' is missing"),
    "more rows": (dict(vocab_size=N_VOCAB + 1), "tensor 'token_embd.weight' has 320 rows, but 'tokenizer.ggml.tokens' lists 321"),
    "other heads": (dict(num_attention_heads=3), "3 query heads (attention.head_count) cannot share 2"),
    "another activation": (dict(hidden_act="gelu"), "key 'hidden_act': 'gelu'"),
    "gelu": (dict(hidden_act="gelu_pytorch_tanh"), "activation is silu"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_that_lathe_does_not_compute(name, small, tmp_path):
    change, text = CONFIGS[name]
    refused(spoiled(small, tmp_path, "config.json", lambda c: c.update(change)), text)


TOKENIZERS = {
    "WordPiece": (lambda t: t["model"].update(type="WordPiece"), "model.type 'WordPiece', expected BPE"),
    "Unigram": (lambda t: t["model"].update(type="Unigram"), "model.type 'Unigram', expected BPE"),
    "cuts of its own": (lambda t: t.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [split("x+"), LEVEL]}), "cutting by 'x+' is not supported"),
    "NFC before cuts that are known without": (lambda t: t.update(normalizer={"type": "NFC"}, pre_tokenizer={"type": "Sequence", "pretokenizers": [split(O200K), LEVEL]}), "after NFC, cutting by"),
    "another normalizer": (lambda t: t.update(normalizer={"type": "Lowercase"}), "normalizer 'Lowercase' is not supported"),
    "another pre-tokenizer": (lambda t: t.update(pre_tokenizer={"type": "Whitespace"}), "pre-tokenizer 'Whitespace' is not supported"),
    "no bytes": (lambda t: t.update(pre_tokenizer=None), "BPE without ByteLevel and 'without U+2581 for spaces'"),
    "a space before": (lambda t: t["pre_tokenizer"].update(add_prefix_space=True), "ByteLevel with add_prefix_space"),
    "Bert's processor": (lambda t: t.update(post_processor={"type": "BertProcessing"}), "post_processor: expected TemplateProcessing"),
    "lstrip": (lambda t: t["added_tokens"][0].update(lstrip=True), "lstrip is true, which lathe does not do"),
    "single words": (lambda t: t["added_tokens"][0].update(single_word=True), "single_word is true"),
    "a suffix": (lambda t: t["model"].update(end_of_word_suffix="</w>"), "a prefix or suffix of words"),
    "dropout": (lambda t: t["model"].update(dropout=0.1), "merges left out at random"),
    "an id twice": (lambda t: t["model"]["vocab"].update(zzz=3), "token 3 is"),
    "an id that is none": (lambda t: t["model"]["vocab"].update(zzz=-1), "an id that is none"),
    "an id far away": (lambda t: t["model"]["vocab"].update(zzz=4000000), "ids far beyond the number of tokens"),
    "a merge of one": (lambda t: t["model"].update(merges=["ab"]), "merge 0: expected two texts"),
    "a merge of nothing known": (lambda t: t["model"].update(merges=[["b", "a"]]), "the vocabulary lacks 'ba'"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers_that_lathe_does_not_read(name, small, tmp_path):
    change, text = TOKENIZERS[name]
    refused(spoiled(small, tmp_path, "tokenizer.json", change), text)


def test_files_that_are_missing_or_broken(small, tmp_path):
    for file, text in (("model.safetensors", "neither model.safetensors nor"), ("tokenizer.json", "no tokenizer.json")):
        folder = spoiled(small, tmp_path / file)
        (folder / file).unlink()
        refused(folder, text)
    for file in ("config.json", "tokenizer.json"):
        folder = spoiled(small, tmp_path / f"broken-{file}")
        (folder / file).write_text('{"a": 1, "a": 2}')
        refused(folder, "duplicate object key")
        (folder / file).write_text("")
        refused(folder, f"{file}: an empty file")
    run = lathe("inspect", tmp_path)
    assert run.returncode != 0 and "chain.json" in run.stderr  # neither a folder of a model nor a bundle


def test_weights_that_are_not_the_config_s(small, tmp_path):
    rows = {name: ("F32", t) for name, t in tensors_of("qwen3").items()}
    table, head = "model.embed_tokens.weight", "lm_head.weight"
    cases = [
        ({**rows, "model.layers.0.mlp.extra.weight": rows[table]}, "tensor 'model.layers.0.mlp.extra.weight': lathe knows no such weight"),
        ({**rows, "model.layers.7.mlp.up_proj.weight": rows[table]}, "has fewer layers"),
        ({n: t for n, t in rows.items() if "layers.1.mlp.up" not in n}, "'blk.1.ffn_up.weight' is missing"),
        ({n: t for n, t in rows.items() if n != head}, "is_head_tied is true"),
    ]
    for i, (changed, text) in enumerate(cases):
        folder = spoiled(small, tmp_path / str(i))
        (folder / "model.safetensors").write_bytes(safetensors(changed))
        refused(folder, text)
    # A tied model may hold the table twice, and no other one.
    folder = folder_of("qwen2", tmp_path / "tied")
    rows = {name: ("F32", t) for name, t in tensors_of("qwen2").items()}
    (folder / "model.safetensors").write_bytes(safetensors({**rows, head: rows[table]}))
    assert contract(folder)["is_head_tied"]
    (folder / "model.safetensors").write_bytes(safetensors({**rows, head: ("F32", rows[table][1] + 1)}))
    refused(folder, "tensor 'lm_head.weight': differs from the embedding table")


def test_a_family_whose_rows_nobody_looked_up_is_refused(small, tmp_path):
    config = json.loads((HERE / "apertus.json").read_text())
    folder = spoiled(small, tmp_path)
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, "lathe does not know how folders hold the weights of apertus; use a GGUF file")


def test_index_says_where_every_tensor_is(tmp_path):
    whole = folder_of("qwen3", tmp_path / "whole", n_files=2)
    index = "model.safetensors.index.json"
    name = "model.layers.1.self_attn.v_proj.weight"
    cases = [
        (lambda t: t["weight_map"].pop(name), f"tensor '{name}' is not where"),
        (lambda t: t["weight_map"].update({name: t["weight_map"]["model.embed_tokens.weight"]}), f"tensor '{name}' is not where"),
        (lambda t: t["weight_map"].update({name: "../m.safetensors"}), "expected names of at most 999 *.safetensors files of the folder"),
        (lambda t: t["weight_map"].update(more="model-00001-of-00002.safetensors"), "but its files hold"),
        (lambda t: t.update(weight_map={}), "no weight_map"),
        (lambda t: t["weight_map"].update(more="none.safetensors"), "none.safetensors"),
    ]
    for i, (change, text) in enumerate(cases):
        run = lathe("inspect", spoiled(whole, tmp_path / str(i), index, change))
        assert run.returncode in (3, 4) and text in run.stderr, run.stderr


def test_what_has_no_place_is_found_by_the_second_reading(tmp_path):
    """The keys made of config.json are read by another reader; where the two differ the folder is refused, as here, where
    the class has a window on some layers, which the architecture's files cannot say."""
    folder = folder_of("qwen2", tmp_path / "hf")
    window = dict(use_sliding_window=True, sliding_window=33, layer_types=None)
    rewrite(folder / "config.json", lambda c: c.update(window, max_window_layers=0))
    assert contract(folder)["attn_window"] == 33
    rewrite(folder / "config.json", lambda c: c.update(window, max_window_layers=1))
    refused(folder, "2 contradictions; kind_of_layer is")
