// leftovers.c — what was not read: harmless for a stated reason, or an error.
#include "base/size.h"
#include "contract/read.h"

typedef struct {
    const char *name; // a '*' at the end stands for anything; "ARCH" for the architecture
    const char *reason;
} HarmlessRow;

static const HarmlessRow harmless_keys[] = {
    {"general.*", "describes the file"},
    {"quantize.*", "how the file was made"},
    {"imatrix.*", "how the file was made"},
    {"split.*", "bookkeeping of split files, read with the tensors"},
    {"mradermacher.quantize_version", "how the file was made"},
    {"mradermacher.quantized_by", "how the file was made"},
    {"mradermacher.quantized_at", "how the file was made"},
    {"mradermacher.quantized_on", "how the file was made"},
    {"mradermacher.convert_type", "how the file was made"},
    {"ARCH.rope.scaling.finetuned", "a statement about training"},
    {"ARCH.use_parallel_residual",
     "no runtime reads it: branches are parallel if a layer has one norm"},
    {"ARCH.tensor_data_layout", "names the row order that the architecture has anyway"},
    {"tokenizer.ggml.unknown_token_id", "read by the tokenizer"},
    {"tokenizer.lathe.strips_right", "read by the tokenizer"},
    {"tokenizer.ggml.padding_token_id", "lathe never pads with tokens"},
    {"tokenizer.ggml.add_padding_token", "lathe never pads with tokens"},
    {"tokenizer.ggml.add_unknown_token", "no text begins or ends with it, in any runtime"},
    {"tokenizer.ggml.add_mask_token", "no prompt of a decoder uses it"},
    {"tokenizer.ggml.separator_token_id", "no prompt of a decoder uses it"},
    {"tokenizer.ggml.cls_token_id", "no prompt of a decoder uses it"},
    {"tokenizer.ggml.seperator_token_id", "no prompt of a decoder uses it"},
    {"tokenizer.ggml.mask_token_id", "no prompt of a decoder uses it"},
    {"tokenizer.ggml.add_sep_token", "no prompt of a decoder uses it"},
    {"tokenizer.ggml.token_type_count", "no decoder has token types"},
    {"tokenizer.ggml.added_tokens", "a second copy of what token_type says"},
    {"tokenizer.ggml.fim_pre_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.fim_suf_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.fim_mid_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.fim_pad_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.fim_rep_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.fim_sep_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.prefix_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.suffix_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.ggml.middle_token_id", "for infilling, which lathe does not do"},
    {"tokenizer.chat_template.*", "named templates for other uses; chat passes no tools"},
    {"tokenizer.chat_templates", "the names of the other templates"},
    {"tokenizer.huggingface.json", "a second copy of the vocabulary"},
    {"tokenizer.rwkv.world", "a second copy of the vocabulary"},
};

// Rotary tables that old converters stored; the angles follow from the contract.
static bool is_old_rope_table(Str name) {
    return str_starts(name, STR("blk.")) &&
           (str_ends(name, STR(".attn_rot_embd")) || str_ends(name, STR(".attn_rot_embd.weight")));
}

static bool matches(ContractReader *r, const char *pattern, Str name) {
    Str p = str_of(pattern);
    if (str_starts(p, STR("ARCH."))) p = arena_printf(r->arena, "%s%s", r->arch->name, pattern + 4);
    if (p.at[p.len - 1] == '*') return str_starts(name, (Str){p.at, p.len - 1});
    return str_eq(p, name);
}

// Keys of mixture models, harmless when they say that there is no mixture.
static bool is_zero_expert_key(ContractReader *r, const GgufKey *k) {
    uint64_t value;
    return (matches(r, "ARCH.expert_count", k->name) ||
            matches(r, "ARCH.expert_used_count", k->name)) &&
           gguf_u64(k, 0, &value) && value == 0;
}

// Queries times 1 + 0 ln(…).
static bool is_no_temperature(ContractReader *r, const GgufKey *k) {
    double value;
    return matches(r, "ARCH.attention.temperature_scale", k->name) && gguf_f64(k, 0, &value) &&
           value == 0;
}

// A statement about training, but where it is the switch of all rotation.
static bool is_rope_switched_off(ContractReader *r, const GgufKey *k) {
    bool is_on = true;
    return r->arch->finetuned_is_rope && matches(r, "ARCH.rope.scaling.finetuned", k->name) &&
           gguf_bool(k, 0, &is_on) && !is_on;
}

// Why a key that was not read changes nothing, or NULL where nobody knows.
static const char *find_reason(ContractReader *r, const GgufKey *k) {
    if (is_rope_switched_off(r, k)) return NULL;
    for (size_t i = 0; i < COUNT_OF(harmless_keys); i++)
        if (matches(r, harmless_keys[i].name, k->name)) return harmless_keys[i].reason;
    if (is_no_temperature(r, k)) return "0: queries are as they are at every position";
    return is_zero_expert_key(r, k) ? "0: every layer has one feed-forward block" : NULL;
}

static void judge_key(ContractReader *r, const GgufKey *k) {
    const char *reason = find_reason(r, k);
    if (k->is_ignored && reason)
        reader_fail(r,
                    "--ignore-key %.*s: lathe knows already that this key changes nothing (%s); "
                    "leave the option out",
                    STR_ARG(k->name), reason);
    else if (reason)
        reader_harmless(r, k->name, reason);
    else if (k->is_ignored)
        reader_harmless(r, k->name, "--ignore-key: the user says that it changes nothing");
    else if (k->is_set)
        reader_fail(r, "--set %.*s: lathe does not read this key for architecture %s",
                    STR_ARG(k->name), r->arch->name);
    else
        reader_fail(r,
                    "key '%.*s': lathe does not know it for architecture %s, so the model may mean "
                    "something that lathe does not compute; if you know that it changes nothing: "
                    "--ignore-key %.*s",
                    STR_ARG(k->name), r->arch->name, STR_ARG(k->name));
}

// What is read has a meaning, so nobody can call it harmless.
static void judge_used_key(ContractReader *r, const GgufKey *k) {
    if (k->is_ignored)
        reader_fail(r,
                    "--ignore-key %.*s: lathe reads that key; to give it another value: --set "
                    "%.*s=VALUE",
                    STR_ARG(k->name), STR_ARG(k->name));
}

void read_leftovers(ContractReader *r) {
    for (size_t i = 0; i < r->g->n_keys && !r->failed; i++)
        (r->is_key_used[i] ? judge_used_key : judge_key)(r, &r->g->keys[i]);
    for (size_t i = 0; i < r->g->n_tensors && !r->failed; i++) {
        const TensorInfo *t = &r->g->tensors[i];
        if (r->is_tensor_used[i]) continue;
        if (is_old_rope_table(t->name))
            reader_harmless(r, t->name, "a rotary table; angles follow from the contract");
        else
            reader_fail(r, "tensor '%.*s': lathe knows no such tensor for architecture %s",
                        STR_ARG(t->name), r->arch->name);
    }
}
