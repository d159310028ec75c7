"""config.json of the models that tests are made with: hello-phi3's as bundled, and that of a plain RandomModel."""

import json

import numpy as np
from tokenizer_oracle import MODELS

CONFIG = json.loads((MODELS / "hello-config.json").read_text())
SHORT, LONG = (np.array(CONFIG["rope_scaling"][f"{which}_factor"]) for which in ("short", "long"))

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 96, "intermediate_size": 160,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-3,
    "rope_theta": 500.0, "max_position_embeddings": 256, "vocab_size": 320, "hidden_act": "silu",
    "tie_word_embeddings": True,
}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
