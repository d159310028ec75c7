#include <jansson.h>

#include "base/file.h"
#include "base/json.h"
#include "bundle/chain.h"
#include "bundle/chain_ranges.h"

static json_t *text(Str s) {
    json_t *value = json_stringn(s.at, s.len);
    if (!value)
        die_out_of_memory(s.len); // names and digests are UTF-8: only memory can be the reason
    return value;
}

static json_t *number(uint64_t n) {
    return json_integer((json_int_t)n);
}

static json_t *file_json(const ChainFile *f) {
    return json_pack("{s:o, s:o, s:o, s:o}", "path", text(f->path), "bytes", number(f->n_bytes),
                     "sha256", text(f->sha256), "xxh128", text(f->xxh128));
}

static json_t *ports_json(const ChainPort *ports, size_t n) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *shape = json_array();
        for (int d = 0; d < ports[i].type.rank; d++)
            json_array_append_new(shape, json_integer(ports[i].type.dims[d]));
        json_array_append_new(array,
                              json_pack("{s:o, s:s, s:o}", "name", text(ports[i].name), "dtype",
                                        mil_dtypes[ports[i].type.dtype].name, "shape", shape));
    }
    return array;
}

static json_t *function_json(const ChainFunction *f) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "role", text(f->role), "name", text(f->name),
                     "rows", number(f->n_rows), "inputs", ports_json(f->inputs, f->n_inputs),
                     "outputs", ports_json(f->outputs, f->n_outputs), "states",
                     ports_json(f->states, f->n_states));
}

static json_t *tensor_json(const ChainTensor *t) {
    json_t *parts = json_array();
    for (size_t i = 0; i < t->n_parts; i++) {
        const ChainPart *p = &t->parts[i];
        json_array_append_new(
            parts, json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:f}", "role", text(p->role), "source",
                             text(p->source), "source_first_row", number(p->source_first_row),
                             "first_row", number(p->first_row), "rows", number(p->n_rows),
                             "unrolled", (int)p->is_deinterleaved, "factor", (double)p->factor));
    }
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:f, s:o}", "name", text(t->name), "form", text(t->form),
        "layer", t->layer == CHAIN_NO_LAYER ? json_null() : number(t->layer), "rows",
        number(t->n_rows), "cols", number(t->n_cols), "offset", (double)t->offset, "parts", parts);
}

static json_t *landmark_json(const ChainLandmark *l) {
    return json_pack("{s:s, s:o, s:o, s:o, s:f}", "place", landmark_names[l->place], "layer",
                     number(l->layer), "value", text(l->value), "first_channel",
                     number(l->first_channel), "factor", (double)l->factor);
}

static json_t *shard_json(const ChainShard *s) {
    json_t *files = json_array(), *functions = json_array(), *tensors = json_array();
    json_t *landmarks = json_array();
    for (size_t i = 0; i < s->n_landmarks; i++)
        json_array_append_new(landmarks, landmark_json(&s->landmarks[i]));
    for (size_t i = 0; i < s->n_files; i++) json_array_append_new(files, file_json(&s->files[i]));
    for (size_t i = 0; i < s->n_functions; i++)
        json_array_append_new(functions, function_json(&s->functions[i]));
    for (size_t i = 0; i < s->n_tensors; i++)
        json_array_append_new(tensors, tensor_json(&s->tensors[i]));
    return json_pack("{s:o, s:[o,o], s:[o,o], s:f, s:o, s:o, s:o, s:o, s:o}", "package",
                     text(s->package), "layers", number(s->first_layer), number(s->end_layer),
                     "logits", number(s->first_logit), number(s->end_logit), "residual_factor",
                     (double)s->residual_factor, "bytes", number(s->n_bytes), "files", files,
                     "functions", functions, "tensors", tensors, "landmarks", landmarks);
}

bool chain_write(const Chain *c, const char *dir, Err *err) {
    json_t *shards = json_array();
    for (size_t i = 0; i < c->n_shards; i++)
        json_array_append_new(shards, shard_json(&c->shards[i]));
    json_t *source = json_pack("{s:o, s:o, s:o}", "name", text(c->source_name), "bytes",
                               number(c->source_bytes), "sha256", text(c->source_sha256));
    json_t *options = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "context",
        number(c->context), "state_rows", number(c->state_rows), "ring_slots",
        number(c->ring_slots), "ring_rows", number(c->ring_rows), "prefill_rows",
        number(c->prefill_rows), "head_slice_rows", number(c->head_slice_rows), "weight_files",
        number(c->weight_files), "kv", text(c->kv), "windows", text(c->windows), "weights",
        text(c->weights), "norm", text(c->norm), "target", text(c->target), "sizes", text(c->sizes),
        "package_limit", number(c->package_limit));
    json_t *chain = json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", CHAIN_SCHEMA, "tool",
        text(c->tool_version), "source", source, "settings", gguf_settings_to_json(&c->settings),
        "contract", contract_to_json(&c->contract), "contract_sha256", text(c->contract_digest),
        "use", use_to_json(&c->use), "options", options, "ranges", chain_ranges_json(c->ranges),
        "host", file_json(&c->host), "shards", shards);
    if (!chain) die_out_of_memory(0);

    Arena scratch = {0};
    bool ok = json_write_file(chain, path_join(&scratch, dir, "chain.json"), err);
    arena_free(&scratch);
    json_decref(chain);
    return ok;
}
