"""The publisher's code itself (publisher.py): its fixtures are still what it computes, and the fp32 reference gives its
logits at every position and for every rotary scaling. Runs with LATHE_FULL=1 only (conftest.py), and then needs torch.

Bound: NMSE 1e-9 over the logits of each position, as between any two fp32 computations of one model (test_reference.py);
the worst measured here is 9.5e-11, on random models whose attention is sharp."""

import numpy
import publisher
import pytest
from configs import CONFIG, LLAMA3, YARN
from publisher_figures import MODELS_OF_FIXTURES, largest_difference
from random_models import RandomModel, random_ids, rope_freqs
from test_publisher import ANSWERS, HELLO, ORIGINAL, POSITIONS, bound, fixture, ids_of
from test_reference import BOUND, llama3, longrope, nmse, run_reference
from tokenizer_oracle import MODELS


def published(path):
    return publisher.published(path, CONFIG if path.parent == MODELS else None)


def reference(path, ids, positions=POSITIONS):
    return numpy.frombuffer(run_reference(path, positions, "all", ids=ids), "<f4").reshape(len(ids), -1)


@pytest.mark.parametrize("name", MODELS_OF_FIXTURES)
def test_fixtures_are_what_the_publisher_computes(name):
    path, lengths = MODELS_OF_FIXTURES[name]
    f, model = fixture(name), published(path)
    for n in lengths:
        off = largest_difference(publisher.last_logits(model, ids_of(f, n)), f["by_length"][str(n)])
        assert off < bound(n), (n, off)
    made = f["generate"]
    new, rows = publisher.generate(model, ids_of(f, made["from"]), len(made["new_ids"]))
    assert new == made["new_ids"]
    for k, (row, figures) in enumerate(zip(rows, made["figures"])):
        assert largest_difference(row, figures) < bound(made["from"] + k)


@pytest.mark.parametrize("file", ANSWERS["files"])
def test_answers_are_what_the_publisher_answers(file):
    model = published(MODELS / file)
    for chat in ANSWERS["chats"]:
        expected = ANSWERS["files"][file]["answers"][chat["name"]]["ids"]
        assert publisher.generate(model, chat["ids"], 200, CONFIG["eos_token_id"])[0] == expected, chat["name"]


@pytest.mark.parametrize("n", [300, ORIGINAL, ORIGINAL + 40])
@pytest.mark.parametrize("name", HELLO)
def test_logits_at_every_position(name, n):
    """Of one pass: all positions have the factor set of its length."""
    path = MODELS_OF_FIXTURES[name][0]
    ids = ids_of(fixture(name), n)
    expected = publisher.all_logits(published(path), ids)
    assert nmse(reference(path, ids), expected) < (4e-9 if n <= 300 else 5e-8)


def test_smollm2_logits_at_every_position():
    path, ids = MODELS_OF_FIXTURES["smollm2-135m-q4_1"][0], ids_of(fixture("smollm2-135m-q4_1"), 300)
    assert nmse(reference(path, ids), publisher.all_logits(published(path), ids)) < BOUND["F32"]


@pytest.mark.parametrize("name", HELLO)
def test_config_from_keys_is_the_published_one(name):
    """The keys of the file say what config.json says: the same logits to the bit."""
    path, ids = MODELS_OF_FIXTURES[name][0], ids_of(fixture(name), ORIGINAL + 1)
    for n in (300, ORIGINAL + 1):
        stated = publisher.last_logits(published(path), ids[:n])
        assert (publisher.last_logits(publisher.published(path), ids[:n]) == stated).all()


# ---- rotary scalings, below the original context, at it and beyond

BASE = {"rope_theta": 500.0}  # of RandomModel
YARN_KEYS = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
BETAS = {"rope.scaling.yarn_beta_fast": 6.0, "rope.scaling.yarn_beta_slow": 0.25}
SCALINGS = {  # name: (model, rope_parameters, attention factor of transformers)
    "none": (lambda: RandomModel("llama"), {"rope_type": "default"}, 1),
    "linear": (
        lambda: RandomModel("llama", keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
        {"rope_type": "linear", "factor": 4.0},
        1,
    ),
    "llama3": (llama3, LLAMA3, 1),
    "yarn": (lambda: RandomModel("llama", keys=YARN_KEYS), YARN, 1 + 0.1 * numpy.log(4)),
    "yarn, other betas": (
        lambda: RandomModel("llama", keys=YARN_KEYS | BETAS),
        YARN | {"beta_fast": 6.0, "beta_slow": 0.25},
        1 + 0.1 * numpy.log(4),
    ),
    "yarn without stretch": (
        lambda: RandomModel("llama", keys=YARN_KEYS | {"rope.scaling.factor": 1.0}),
        YARN | {"factor": 1.0},
        1,
    ),
}


def test_llama3_divisors_are_those_of_the_parameters():
    """The tensor a file keeps, from the parameters that the publisher states (test_reference.llama3 uses both)."""
    given = (24, 500.0, LLAMA3["factor"], LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"], 64)
    assert LLAMA3["original_max_position_embeddings"] == 64
    assert llama3().tensors["rope_freqs.weight"].tolist() == numpy.float32(rope_freqs(*given)).tolist()


@pytest.mark.parametrize("n", [10, 64, 65, 150])
@pytest.mark.parametrize("name", SCALINGS)
def test_scaling_at_length(name, n, tmp_path):
    """linear, yarn and llama3 hold at every length; so does the attention factor."""
    make, rope, factor = SCALINGS[name]
    path, ids = make().write(tmp_path / "m.gguf"), random_ids(n)
    model = publisher.published(path, rope_parameters=rope | BASE)
    assert model.model.rotary_emb.attention_scaling == pytest.approx(factor)
    expected = publisher.all_logits(model, ids)
    assert nmse(reference(path, ids, 256), expected) < BOUND["F32"]
    if name != "none":
        plain = publisher.all_logits(publisher.published(path, rope_parameters={"rope_type": "default"} | BASE), ids)
        assert (nmse(plain, expected) > 1e-3) == (name != "yarn without stretch"), "the scaling must show"


@pytest.mark.parametrize("n", [10, 255, 256, 257, 300])
@pytest.mark.parametrize("context", [256, 1024])
def test_longrope_at_length(context, n, tmp_path):
    """The attention factor holds at every length and is 1 where nothing is stretched; the factor set goes by the length."""
    keys = {"rope.scaling.attn_factor": float(numpy.sqrt(1 + numpy.log(context / 256) / numpy.log(256)))}
    path, ids = longrope(context, **keys).write(tmp_path / "m.gguf"), random_ids(min(n, context))
    model = publisher.published(path)
    assert model.model.rotary_emb.attention_scaling == pytest.approx(keys["rope.scaling.attn_factor"])
    assert nmse(reference(path, ids, context), publisher.all_logits(model, ids)) < BOUND["F32"]
