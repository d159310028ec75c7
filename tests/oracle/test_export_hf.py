"""`lathe export-hf`: the folder as transformers, tokenizers and safetensors read it. What the model computes is compared with the
reference by test_export_hf_live.py, which needs PyTorch."""

import json
import pathlib
import subprocess

import gguf
import numpy
import pytest
from command import HELLO, HELLO_F16, LATHE, done, lathe
from gguf_edit import edit
from random_models import RandomModel
from safetensors.numpy import load_file
from test_reference import KINDS
from test_tokenizer_pre import DIGITS, RAW, known_names
from test_tokenizer_raw import Vocab as RawVocab
from test_tokenizer_spm import Vocab as SpmVocab
from tokenizer_oracle import ADD_BOS, ADD_EOS, PARSE_SPECIAL, TORTURE, many, pairs_gguf, random_texts, smollm2_gguf
from tokenizers import Tokenizer

FILES = ["chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def export(model, folder, *options):
    done("export-hf", model, "-o", folder, *options)
    return folder


def check_agreement(model, folder):
    """lathe's own reading of publishers' files, which shares no code with the writing."""
    template = ["--chat-template", folder / "chat_template.jinja"] if (folder / "chat_template.jinja").exists() else []
    out = done("inspect", model, "--config", folder / "config.json", "--generation-config", folder / "generation_config.json",
               "--tokenizer-config", folder / "tokenizer_config.json", *template).stdout  # fmt: skip
    assert " 0 contradict" in out
    return out


def test_folder_of_the_bundled_model(tmp_path):
    folder = export(HELLO, tmp_path / "hf")
    assert sorted(p.name for p in folder.iterdir()) == FILES
    assert "33 agree, 0 contradict" in check_agreement(HELLO, folder)


@pytest.mark.parametrize("name", KINDS)
def test_config_of_every_kind_agrees_with_its_model(name, tmp_path):
    model = KINDS[name][0]().write(tmp_path / "m.gguf")
    run = lathe("export-hf", model, "-o", tmp_path / "hf")
    assert run.returncode == 0, run.stderr
    if name == "llama only qkv biases":  # the class has all four biases or none: the fourth is zeros
        compared = lathe("inspect", model, "--config", tmp_path / "hf" / "config.json")
        assert "1 contradiction; has_out_bias is false" in compared.stderr
    else:
        check_agreement(model, tmp_path / "hf")


def weights_of(folder):
    index = folder / "model.safetensors.index.json"
    files = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
    return {name: t for file in files for name, t in load_file(folder / file).items()}


def decoded(path):
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1].tolist()) for t in gguf.GGUFReader(path).tensors}


def test_weights_equal_those_of_the_file(tmp_path):
    """phi3 keeps its tensors; llama's q and k go from neighbouring pairs to halves."""
    ours, file = weights_of(export(HELLO, tmp_path / "phi3", "--dtype", "f32")), decoded(HELLO)
    assert len(ours) == 2 + 6 * 4
    for i in range(4):
        assert (ours[f"model.layers.{i}.self_attn.qkv_proj.weight"] == file[f"blk.{i}.attn_qkv.weight"]).all()
        assert (ours[f"model.layers.{i}.mlp.gate_up_proj.weight"] == file[f"blk.{i}.ffn_up.weight"]).all()
    assert (ours["model.embed_tokens.weight"] == file["token_embd.weight"]).all()
    model = RandomModel("llama", head_dim=40, tied=False, biases=("qkv",)).write(tmp_path / "l.gguf")
    ours, file = weights_of(export(model, tmp_path / "llama", "--dtype", "f32")), decoded(model)
    q = file["blk.1.attn_q.weight"].reshape(4, 20, 2, -1).swapaxes(1, 2).reshape(160, -1)
    assert (ours["model.layers.1.self_attn.q_proj.weight"] == q).all()
    k = file["blk.1.attn_k.bias"].reshape(2, 20, 2).swapaxes(1, 2).reshape(-1)
    assert (ours["model.layers.1.self_attn.k_proj.bias"] == k).all()
    assert (ours["model.layers.1.self_attn.v_proj.weight"] == file["blk.1.attn_v.weight"]).all()
    assert (ours["model.layers.1.self_attn.o_proj.bias"] == 0).all() and (ours["lm_head.weight"] == file["output.weight"]).all()


def test_halves_are_rounded_to_nearest(tmp_path):
    ours = weights_of(export(HELLO, tmp_path / "hf", "--dtype", "f16"))["model.embed_tokens.weight"]
    assert ours.dtype == numpy.float16 and (ours == decoded(HELLO)["token_embd.weight"].astype(numpy.float16)).all()
    raw = (export(HELLO, tmp_path / "bf", "--dtype", "bf16") / "model.safetensors").read_bytes()
    n = int.from_bytes(raw[:8], "little")
    row = json.loads(raw[8 : 8 + n])["model.embed_tokens.weight"]
    found = numpy.frombuffer(raw, "<u2", offset=8 + n + row["data_offsets"][0], count=2048 * 128).astype("<u4") << 16
    exact = decoded(HELLO)["token_embd.weight"].reshape(-1).astype(numpy.float64)
    near = numpy.stack([found, found + 0x10000, found - 0x10000]).view("<f4")
    assert row["dtype"] == "BF16" and (abs(near[0] - exact) <= numpy.nanmin(abs(near - exact), axis=0)).all()


def test_shards_have_an_index_and_the_same_weights(tmp_path):
    whole, parts = export(HELLO, tmp_path / "a"), export(HELLO, tmp_path / "b", "--shard-size", 1)
    index = json.loads((parts / "model.safetensors.index.json").read_text())
    files = sorted(p.name for p in parts.glob("*.safetensors"))
    assert len(files) == 3 and files[0] == "model-00001-of-00003.safetensors" and set(index["weight_map"].values()) == set(files)
    a, b = weights_of(whole), weights_of(parts)
    assert a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in a.values())


# ---- vocabularies: a small model carries each

SPECIALS = ["<|end|>", "x<|user|> hi<|end|>  ", "<|endoftext|>"]


def model_with(path, vocabulary):
    """hello's weights are not asked for: a random model of as many rows as the vocabulary has tokens."""
    keys = {k: f.contents() for k, f in gguf.GGUFReader(vocabulary).fields.items() if k.startswith("tokenizer.")}
    n = len(keys["tokenizer.ggml.tokens"])
    keys |= {key: 0 for key in ("tokenizer.ggml.eos_token_id",) if key not in keys}
    if keys["tokenizer.ggml.token_type"][keys["tokenizer.ggml.eos_token_id"]] == 1:
        keys["tokenizer.ggml.token_type"][keys["tokenizer.ggml.eos_token_id"]] = 3
    source = RandomModel("llama", d_model=8, d_ff=8, n_layers=1, n_heads=1, n_kv_heads=1).write(path.with_suffix(".base"))
    dropped = {k: None for k in gguf.GGUFReader(source).fields if k.startswith("tokenizer.")}
    return edit(source, path, dropped | keys, {"token_embd.weight": numpy.ones((n, 8))})


def check_ids(model, folder, texts):
    t = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for flags in (PARSE_SPECIAL | ADD_BOS | ADD_EOS, PARSE_SPECIAL):
        for text, (ids, back) in zip(texts, many(model, texts, flags)):
            assert t.encode(text, add_special_tokens=bool(flags & ADD_BOS)).ids == ids, text[:60]
    return t


def test_bundled_vocabulary(tmp_path):
    check_ids(HELLO, export(HELLO, tmp_path / "hf"), TORTURE + SPECIALS + random_texts(500))


def test_smollm2(tmp_path):
    folder = export(smollm2_gguf(), tmp_path / "hf")
    check_ids(smollm2_gguf(), folder, TORTURE + SPECIALS + random_texts(500))
    check_agreement(smollm2_gguf(), folder)


@pytest.mark.parametrize("has_prefix", [True, False])
def test_sentencepiece_vocabulary(has_prefix, tmp_path):
    model = model_with(tmp_path / "m.gguf", SpmVocab().write(tmp_path / "v.gguf", add_space_prefix=has_prefix))
    check_ids(model, export(model, tmp_path / "hf"), [t for t in TORTURE + random_texts(500) if t])


def test_vocabulary_of_characters(tmp_path):
    model = model_with(tmp_path / "m.gguf", RawVocab().write(tmp_path / "v.gguf"))
    check_ids(model, export(model, tmp_path / "hf"), [t for t in TORTURE + random_texts(500) if t])


def check_pre_tokenizer(name, tmp_path):
    model = edit(HELLO, tmp_path / "m.gguf", {"tokenizer.ggml.pre": name, "tokenizer.ggml.add_bos_token": False})
    check_ids(model, export(model, tmp_path / name), TORTURE + DIGITS + random_texts(100))


@pytest.mark.parametrize("name", ["kimi-k2", "deepseek-llm", "tiny_aya", "superbpe", "qwen2", "tekken"])
def test_pre_tokenizer_is_written_as_it_cuts(name, tmp_path):
    check_pre_tokenizer(name, tmp_path)


@pytest.mark.full
def test_every_pre_tokenizer_is_written_as_it_cuts(tmp_path):
    for name in known_names(pairs_gguf(tmp_path / "pairs.gguf", "gpt-4o"), tmp_path):
        if name not in RAW:
            check_pre_tokenizer(name, tmp_path)


# ---- refusals; nothing half-written


def refused(*args):
    run = subprocess.run([LATHE, "export-hf", *map(str, args)], capture_output=True, text=True)
    assert run.returncode
    return run.stderr


def test_an_existing_folder_stays(tmp_path):
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "mine").write_text("x")
    assert "exists; remove it, or give another folder after -o" in refused(HELLO, "-o", tmp_path / "hf")
    assert [p.name for p in (tmp_path / "hf").iterdir()] == ["mine"]


def test_what_halves_cannot_hold_is_refused_and_nothing_is_left(tmp_path):
    weights = numpy.array(decoded(HELLO_F16)["output_norm.weight"])
    weights[3] = 70000
    model = edit(HELLO_F16, tmp_path / "m.gguf", tensors={"output_norm.weight": weights})
    said = refused(model, "-o", tmp_path / "hf")
    assert "tensor 'model.norm.weight': weight 70000 is no finite f16; ask for --dtype bf16 or f32" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.gguf"]
    export(model, tmp_path / "hf", "--dtype", "bf16")


def test_what_the_class_cannot_express_is_refused(tmp_path):
    model = edit(HELLO, tmp_path / "m.gguf", {"phi3.attention.scale": 0.5})
    assert "attn_scale is 0.5, expected 1 / sqrt(head_dim) = " in refused(model, "-o", tmp_path / "hf")
    model = RandomModel("llama", tensors={"rope_freqs.weight": numpy.linspace(1, 3, 12)}).write(tmp_path / "r.gguf")
    assert "its divisors are not those of Llama 3's scaling with published settings" in refused(model, "-o", tmp_path / "hf")
    assert "--dtype 'f8': expected f16, bf16 or f32" in refused(HELLO, "-o", tmp_path / "hf", "--dtype", "f8")
    assert not pathlib.Path(tmp_path / "hf").exists()
