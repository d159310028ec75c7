"""What transformers computes with the folder of `lathe export-hf`, against lathe's reference on the GGUF file: both in fp32.

Run by ./check --full alone, for PyTorch's sake."""

import numpy
import pytest
import torch
from command import HELLO_F16, done, smollm2_gguf
from random_models import random_ids
from test_reference import BOUND, KINDS, assert_near, run_reference
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_grad_enabled(False)


def check(model, folder, context, ids):
    done("export-hf", model, "-o", folder, "--dtype", "f32", "--shard-size", 2)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    expected = theirs(torch.tensor([ids]), use_cache=False).logits[0].numpy()
    found = numpy.frombuffer(run_reference(model, context, "all", ids=ids), "<f4").reshape(len(ids), -1)
    assert_near(found, expected, BOUND["F32"])


@pytest.mark.parametrize("name", [name for name in KINDS if name != "llama rope_freqs"])
def test_logits_of_a_random_model(name, tmp_path):
    """Up to LongRoPE's crossing, where the lengths decide (test_publisher_live.py)."""
    check(KINDS[name][0]().write(tmp_path / "m.gguf"), tmp_path / "hf", str(KINDS[name][1]), random_ids(150))


def test_bundled_model_and_its_tokenizer(tmp_path):
    check(HELLO_F16, tmp_path / "hf", "1024", random_ids(100))
    t = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert t.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True) == "<|user|>Hi<|end|><|assistant|>"


def test_a_real_model(tmp_path):
    check(smollm2_gguf(), tmp_path / "hf", "256", [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365])
    t = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert t("Hello world").input_ids == [int(i) for i in done("tokenize", smollm2_gguf(), "Hello world").stdout.split()]
