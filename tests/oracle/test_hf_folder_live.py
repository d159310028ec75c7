"""Folders that transformers saved itself, read by lathe: the logits of transformers, and the tensors that family/names.txt lists.

Run by ./check --full alone, for PyTorch's sake."""

import json

import pytest
from families import make_model, names_of
from family import IDS, KEPT, logits_of
from hf_folder import NAMES_OF, reference, tokenizer
from test_reference import BOUND, nmse

pytestmark = pytest.mark.full


@pytest.mark.parametrize("name", NAMES_OF)
def test_logits_of_what_transformers_saves(name, tmp_path):
    make_model(name).save_pretrained(tmp_path, max_shard_size="100KB")
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer()))
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert nmse(reference(tmp_path, 256, IDS)[KEPT], logits_of(name)) < BOUND["F32"]


@pytest.mark.parametrize("name", NAMES_OF)
def test_names_are_those_that_transformers_saves(name, tmp_path):
    make_model(name).save_pretrained(tmp_path)
    of_model, of_layer = names_of(tmp_path)
    assert NAMES_OF[name] == of_model + of_layer
