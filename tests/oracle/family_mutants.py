"""Which mutants of which made models are the misreadings of docs/wrong-contracts.md, and the families whose kill matrix the
full tier computes (test_family_mutants.py)."""

# One of each kind of model that the families' rows make.
FAMILIES = ["gemma2", "gemma3", "granite", "cohere2", "smollm3", "olmo2", "olmo3", "hunyuan-dense", "glm4", "qwen3", "starcoder2", "stablelm", "phi2", "nemotron",
            "apertus"]

# Number of the page's row -> (family, mutants that must be killed).
MUTANTS = {
    38: [("gemma3", "norm_offset_1"), ("gemma2", "norm_offset_1"), ("gemma2", "norm_offset_minus_1")],
    39: [("gemma3", "output_norm_lacks_1")],
    40: [("nemotron", "norm_offset_1"), ("nemotron", "norm_offset_minus_1")],
    41: [("smollm3", "rope_base_10000")],
    42: [("gemma2", "attn_scale_over_root_2")],
    43: [("gemma2", "attn_softcap_0"), ("gemma2", "final_softcap_0")],
    44: [("gemma2", "attn_window_off"), ("gemma2", "kinds_exchanged")],
    45: [("gemma3", "rope_scaling_none"), ("gemma3", "rope_linear_8"), ("olmo3", "rope_scaling_everywhere")],
    46: [("gemma2", "attn_window_one_more"), ("gemma3", "attn_window_one_more"), ("gemma3", "window_one_longer")],
    50: [("smollm3", "rope_everywhere")],
    51: [("smollm3", "kinds_exchanged")],
    52: [("smollm3", "rope_style_other"), ("smollm3", "q_unrolled_wrongly")],
    53: [("granite", "logit_scale_inverse"), ("granite", "logit_scale_1"), ("granite", "embedding_scale_1"), ("granite", "residual_scale_1")],
    54: [("granite", "attn_scale_beside_head_dim"), ("granite", "attn_scale_head_dim")],
    56: [("olmo2", "qk_norm_per_head")],
    58: [("glm4", "rope_dim_full")],
    60: [("glm4", "rope_style_other"), ("glm4", "qkv_bias_dropped"), ("glm4", "post_norm_left_out")],
    61: [("cohere2", "rope_everywhere"), ("cohere2", "rope_style_other")],
    63: [("cohere2", "rope_style_other")],
    64: [("qwen3", "kv_heads_tiled_in_graph")],
}  # fmt: skip
