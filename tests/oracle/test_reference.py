"""The fp32 reference against llama.cpp: logits at every position, and greedy answers.

Bounds (normalised mean square error over a position's logits, the worst position): F32 files 1e-9, since both compute in
fp32 and differ by the order of sums only (measured below 1e-11); F16 1e-5 and Q8_0 5e-3, since llama.cpp rounds
activations to the weights' kind while lathe does not."""

import json
import subprocess

import gguf
import numpy
import numpy_model
import pytest
from llama_cpp import LlamaCpp
from random_models import RandomModel, random_ids, rope_freqs
from tokenizer_oracle import BUILD, MODELS, smollm2_gguf

LOGITS = BUILD / "tests/reference/reference_logits"
BOUND = {"F32": 1e-9, "F16": 1e-5, "Q8_0": 5e-3}


def run_reference(path, context, *mode, ids):
    given = " ".join(map(str, ids)).encode()
    run = subprocess.run([LOGITS, path, str(context), *mode], input=given, capture_output=True, timeout=300)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def as_llama(path, context):
    """llama.cpp takes LongRoPE's long factors at every length when the context it is given exceeds the original one. The
    publisher's code goes by the running length (test_publisher.py, docs/differences.md), and so does the reference: it is
    told to do as llama.cpp does where the two are compared."""
    keys = gguf.GGUFReader(path).fields
    originals = [int(f.contents()) for name, f in keys.items() if name.endswith(".rope.scaling.original_context_length")]
    is_longrope = any(t.name == "rope_factors_long.weight" for t in gguf.GGUFReader(path).tensors)
    return f"{context}:long" if is_longrope and originals and context > originals[0] else str(context)


def reference(path, context, ids):
    positions = as_llama(path, context)
    return numpy.frombuffer(run_reference(path, positions, "all", ids=ids), "<f4").reshape(len(ids), -1)


def greedy(path, context, ids, n):
    return [int(i) for i in run_reference(path, as_llama(path, context), "greedy", str(n), ids=ids).split()]


def llama(path, context, ids, **options):
    with LlamaCpp(path, context, **options) as model:
        return model.feed(ids)


def nmse(found, expected):
    """The worst position's mean square error over its mean square."""
    found, expected = found.astype(float), expected.astype(float)
    return (((found - expected) ** 2).mean(-1) / (expected**2).mean(-1)).max()


def assert_near(found, expected, bound):
    assert found.shape == expected.shape and numpy.isfinite(expected).all()
    assert expected.std() > 0.1, "logits without variety prove nothing"
    error = nmse(found, expected)
    assert error < bound, f"NMSE {error:.3g}, bound {bound:g}"


# ---- random models of every kind

LONGROPE = {"rope.scaling.original_context_length": 256}
SHORT = 1 + numpy.linspace(0, 0.5, 9)
LONG = 1 + numpy.linspace(0, 9, 9) ** 1.5


def longrope(context, **keys):
    """Partial rotary and LongRoPE, as Phi-4-mini: 18 of 24 dims."""
    return RandomModel("phi3", rope_dim=18, context=context, keys=LONGROPE | keys,
                       tensors={"rope_factors_short.weight": SHORT, "rope_factors_long.weight": LONG})  # fmt: skip


def llama3():
    factors = rope_freqs(24, 500.0, 8.0, 1.0, 4.0, 64)
    assert 1 in factors and 8 in factors and any(1 < f < 8 for f in factors), "all three branches"
    return RandomModel("llama", tensors={"rope_freqs.weight": factors})


KINDS = {  # name: (model, context)
    "llama": (lambda: RandomModel("llama"), 256),
    "llama mha, no head_count_kv": (lambda: RandomModel("llama", n_kv_heads=None), 256),
    "llama mqa": (lambda: RandomModel("llama", n_kv_heads=1), 256),
    "llama head_dim 40": (lambda: RandomModel("llama", head_dim=40), 256),
    "llama head_dim 16": (lambda: RandomModel("llama", head_dim=16), 256),
    "llama untied": (lambda: RandomModel("llama", tied=False), 256),
    "llama biases": (lambda: RandomModel("llama", biases=("qkv", "out")), 256),
    "llama only qkv biases": (lambda: RandomModel("llama", biases=("qkv",)), 256),
    "llama rope_freqs": (llama3, 256),
    "llama linear": (lambda: RandomModel("llama", keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}), 256),
    "llama linear, old key": (lambda: RandomModel("llama", keys={"rope.scale_linear": 2.5}), 256),
    "llama yarn": (
        lambda: RandomModel(
            "llama",
            keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64},
        ),
        256,
    ),
    "llama eps 0.01, base 10": (lambda: RandomModel("llama", eps=0.01, base=10.0), 256),
    "phi3": (lambda: RandomModel("phi3"), 256),
    "phi3 partial rope": (lambda: RandomModel("phi3", rope_dim=18), 256),
    "phi3 separate q, k, v": (lambda: RandomModel("phi3", fused="ffn"), 256),
    "phi3 untied, mha": (lambda: RandomModel("phi3", tied=False, n_kv_heads=None), 256),
    "phi3 longrope, short": (lambda: longrope(1024, **{"rope.scaling.attn_factor": 1.25}), 256),
    "phi3 longrope, long": (lambda: longrope(1024, **{"rope.scaling.attn_factor": 1.25}), 512),
}


@pytest.mark.parametrize("name", KINDS)
def test_random_model(name, tmp_path):
    make, context = KINDS[name]
    path, ids = make().write(tmp_path / "m.gguf"), random_ids(150)
    assert_near(reference(path, context, ids), llama(path, context, ids), BOUND["F32"])


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
@pytest.mark.parametrize("arch", ["llama", "phi3"])
def test_random_model_of_other_weights(arch, kind, tmp_path):
    path = RandomModel(arch, d_model=128, d_ff=192).write(tmp_path / "m.gguf", kind)
    assert_near(reference(path, 256, ids := random_ids(150)), llama(path, 256, ids), BOUND[kind])


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_blocks_in_a_model(kind, tmp_path):
    """lathe on a file of blocks, llama.cpp on an F32 file of what gguf decodes them to: the F32 bound holds."""
    model = RandomModel("phi3", d_model=256, d_ff=512, n_layers=1, rope_dim=48)
    blocks, plain = model.write(tmp_path / "b.gguf", kind), model.write(tmp_path / "f.gguf", kind, decode=True)
    ids = random_ids(40)
    assert_near(reference(blocks, 256, ids), llama(plain, 256, ids), BOUND["F32"])


@pytest.mark.parametrize("ext_factor", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("betas", [(32.0, 1.0), (6.0, 0.25)])
def test_yarn_parameters(ext_factor, betas, tmp_path):
    """llama.cpp reads these keys for a few architectures only; as options it takes them for all."""
    keys = {
        "rope.scaling.type": "yarn", "rope.scaling.factor": 8.0, "rope.scaling.original_context_length": 128,
        "rope.scaling.attn_factor": 0.9, "rope.scaling.yarn_ext_factor": ext_factor,
        "rope.scaling.yarn_beta_fast": betas[0], "rope.scaling.yarn_beta_slow": betas[1],
    }  # fmt: skip
    path, ids = RandomModel("llama", context=1024, keys=keys).write(tmp_path / "m.gguf"), random_ids(150)
    yarn = {"ext_factor": ext_factor, "beta_fast": betas[0], "beta_slow": betas[1]}
    assert_near(reference(path, 256, ids), llama(path, 256, ids, yarn=yarn), BOUND["F32"])


@pytest.mark.parametrize("context", [256, 512])
def test_attention_factor_is_computed_when_the_key_is_absent(context, tmp_path):
    """llama.cpp takes 1 then; it gets the key with what the LongRoPE paper's formula gives for 1024 over 256."""
    absent = longrope(1024).write(tmp_path / "absent.gguf")
    factor = float(numpy.sqrt(1 + numpy.log(1024 / 256) / numpy.log(256)))
    stated = longrope(1024, **{"rope.scaling.attn_factor": factor}).write(tmp_path / "stated.gguf")
    ids = random_ids(150)
    expected = llama(stated, context, ids)
    assert_near(reference(absent, context, ids), expected, BOUND["F32"])
    assert nmse(llama(absent, context, ids), expected) > 1e-3, "a missing factor must show"


def test_numpy_model_is_llama_cpps(tmp_path):
    """What computes the sliding window below is right about all else."""
    for model in (RandomModel("llama", head_dim=40, biases=("qkv", "out")), RandomModel("phi3", rope_dim=18, tied=False)):
        path, ids = model.write(tmp_path / "m.gguf"), random_ids(100)
        assert_near(llama(path, 256, ids), numpy_model.logits(model, ids), BOUND["F32"])


@pytest.mark.parametrize("arch", ["llama", "phi3"])
@pytest.mark.parametrize("window", [1, 2, 37, 64, 99, 100])
def test_sliding_window(arch, window, tmp_path):
    model = RandomModel(arch, keys={"attention.sliding_window": window})
    path, ids = model.write(tmp_path / "m.gguf"), random_ids(100)
    expected = numpy_model.logits(model, ids, window)
    assert_near(reference(path, 256, ids), expected, BOUND["F32"])
    assert window == 100 or nmse(numpy_model.logits(model, ids), expected) > 1e-6, "the window must show"


def test_biases_of_fused_qkv(tmp_path):
    """phi3 files of fine-tunes may have them; llama.cpp's phi3 graph reads none, so numpy computes."""
    model = RandomModel("phi3", rope_dim=18, biases=("qkv", "out"))
    stored = model.stored

    def fused_biases():
        out = stored()
        for i in range(model.n_layers):
            out[f"blk.{i}.attn_qkv.bias"] = numpy.concatenate([out.pop(f"blk.{i}.attn_{x}.bias") for x in "qkv"])
        return out

    model.stored = fused_biases
    path, ids = model.write(tmp_path / "m.gguf"), random_ids(100)
    assert_near(reference(path, 256, ids), numpy_model.logits(model, ids), BOUND["F32"])


# ---- real models

TEXT = "Hello! My name is Ada. Which is the third word of: bus car moon bus tree moon? Count from 3 to 9, then say it backwards."
HELLO = ["hello-phi3-q8_0.gguf", "hello-phi3-f16.gguf", "hello-natural-f16.gguf"]
PROMPTS = [
    "<|user|>Write hello world in Haskell.<|end|><|assistant|>",
    "<|system|>You write short programs.<|end|><|user|>Show me hello world in Java.<|end|><|assistant|>",
    "<|user|>Reverse this list: tree moon car tree bus moon<|end|><|assistant|>",
]


@pytest.mark.parametrize("context", [256, 4096])  # short factors, long factors
@pytest.mark.parametrize("name", HELLO)
def test_hello_logits(name, context):
    with LlamaCpp(MODELS / name, context) as model:
        ids = model.tokenize(PROMPTS[1] + TEXT)
        expected = model.feed(ids)
    assert len(ids) > 64, "more than one batch of the reference"
    assert_near(reference(MODELS / name, context, ids), expected, BOUND["Q8_0" if "q8_0" in name else "F16"])


def rows_of_answer(path, context, ids, answer):
    """llama.cpp's logits before each id of `answer`: when each row's best is that id, its greedy answer is the same."""
    return llama(path, context, ids + answer[:-1])[len(ids) - 1 :]


@pytest.mark.parametrize("prompt", range(len(PROMPTS)))
@pytest.mark.parametrize("name", HELLO[:2])
def test_hello_greedy(name, prompt, tmp_path):
    """64 ids, on beyond the answer's end. llama.cpp computes with the same weights in F32, where every id must be the
    same, and with the file itself, where it may differ only below the noise of 8-bit activations (models/README.md)."""
    with LlamaCpp(MODELS / name, 256) as model:
        ids = model.tokenize(PROMPTS[prompt])
    answer = greedy(MODELS / name, 256, ids, 64)
    exact = rows_of_answer(decoded_copy(MODELS / name, tmp_path / "f32.gguf"), 256, ids, answer)
    assert exact.argmax(-1).tolist() == answer
    rows = rows_of_answer(MODELS / name, 256, ids, answer)
    lead = rows.max(-1) - rows[range(64), answer]
    assert lead.max() < (0.35 if "q8_0" in name else 0.02)
    assert (lead > 0).sum() <= 2


def test_hello_oracle():
    """What llama.cpp gave on another machine (hello-oracle.json), the two runs with its own choice of factors included."""
    oracle = json.loads((MODELS / "hello-oracle.json").read_text())
    n = 0
    for name, chats in oracle["files"].items():
        for chat in chats:
            row = reference(MODELS / name, chat["n_ctx"], chat["ids"])[-1]
            top = [i for i, _ in chat["first_top10"]]
            # Logits of one chat span 33 to 67; two roundings of activations differ by 0.34 at most (models/README.md).
            bound = 0.35 if "q8_0" in name else 0.02
            assert numpy.abs(row[top] - [x for _, x in chat["first_top10"]]).max() < bound, (name, chat["name"])
            if chat["least_margin"] > 2 * bound:
                assert greedy(MODELS / name, chat["n_ctx"], chat["ids"], len(chat["new_ids"])) == chat["new_ids"]
                n += 1
    assert n >= 20


def decoded_copy(path, out):
    """The same model with every tensor in F32, decoded by gguf."""
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        writer.add_key_value(key, field.contents(), kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    for t in reader.tensors:
        writer.add_tensor(t.name, gguf.quants.dequantize(t.data, t.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@pytest.fixture(scope="module")
def smollm2_f32(tmp_path_factory):
    return decoded_copy(smollm2_gguf(), tmp_path_factory.mktemp("smollm2") / "f32.gguf")


SMOLLM2_PROMPTS = [
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nName three planets and say one thing about each.<|im_end|>\n<|im_start|>assistant\n",
]


def test_smollm2_logits(smollm2_f32):
    """Q4_1 blocks here, what gguf decodes them to there."""
    with LlamaCpp(smollm2_f32, 512) as model:
        ids = model.tokenize(SMOLLM2_PROMPTS[1] + TEXT)
        expected = model.feed(ids)
    assert_near(reference(smollm2_gguf(), 512, ids), expected, BOUND["F32"])


@pytest.mark.parametrize("prompt", [0, *(pytest.param(i, marks=pytest.mark.full) for i in range(1, len(SMOLLM2_PROMPTS)))])
def test_smollm2_greedy(prompt, smollm2_f32):
    with LlamaCpp(smollm2_gguf(), 512) as model:
        ids = model.tokenize(SMOLLM2_PROMPTS[prompt])
    answer = greedy(smollm2_gguf(), 512, ids, 64)
    assert rows_of_answer(smollm2_f32, 512, ids, answer).argmax(-1).tolist() == answer
