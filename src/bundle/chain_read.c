// chain_read.c — chain.json is a file like any other: nothing in it is believed before it is
// checked.
#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "bundle/advice.h"
#include "bundle/chain.h"
#include "bundle/chain_ranges.h"
#include "contract/weights.h"

enum {
    MAX_SHARDS = 4096,
    MAX_FILES = 16,
    MAX_FUNCTIONS = 8,
    MAX_PORTS = 4096,
    MAX_TENSORS = 1 << 16,
    MAX_PARTS = 8,
    MAX_LANDMARKS = 1 << 18,
};

// A path that leads nowhere but into the bundle: relative, no empty, "." or ".." parts.
static bool is_inside(Str path) {
    size_t start = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.at[i] == 0) return false;
        if (i < path.len && path.at[i] != '/') continue;
        Str part = {path.at + start, i - start};
        if (part.len == 0 || str_is(part, ".") || str_is(part, "..")) return false;
        start = i + 1;
    }
    return true;
}

static Str need_path(JsonReader *n, const json_t *object, const char *key) {
    Str path = need_str(n, object, key);
    if (n->failed || is_inside(path)) return path;
    n->failed = true;
    err_set(n->err, ERR_FORMAT, "member \"%s\": '%.*s' does not stay inside the bundle", key,
            STR_ARG(path));
    return path;
}

static ChainFile read_file_entry(JsonReader *n, const json_t *json) {
    return (ChainFile){
        .path = need_path(n, json, "path"),
        .n_bytes = need_u64(n, json, "bytes", INT64_MAX),
        .sha256 = need_str(n, json, "sha256"),
        .xxh128 = need_str(n, json, "xxh128"),
    };
}

static MilType need_type(JsonReader *n, const json_t *json) {
    MilType type = {.dtype = MIL_DTYPE_COUNT};
    Str dtype = need_str(n, json, "dtype");
    for (int i = 0; i < MIL_DTYPE_COUNT; i++)
        if (str_is(dtype, mil_dtypes[i].name)) type.dtype = (MilDtype)i;
    if (!n->failed && type.dtype == MIL_DTYPE_COUNT) {
        n->failed = true;
        err_set(n->err, ERR_FORMAT, "member \"dtype\": '%.*s' is not a data type", STR_ARG(dtype));
    }
    size_t rank;
    const json_t *shape = need_array(n, json, "shape", MIL_MAX_RANK, &rank);
    type.rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(shape, i);
        type.dims[i] = json_integer_value(dim);
        if (n->failed || (json_is_integer(dim) && type.dims[i] > 0 && type.dims[i] <= INT32_MAX))
            continue;
        n->failed = true;
        err_set(n->err, ERR_FORMAT, "member \"shape\": dimension %zu must be a positive integer",
                i);
    }
    return type;
}

static ChainPort *read_ports(JsonReader *n, const json_t *json, const char *key, size_t *count) {
    const json_t *array = need_array(n, json, key, MAX_PORTS, count);
    ChainPort *ports = arena_array(n->arena, *count, ChainPort);
    for (size_t i = 0; i < *count; i++) {
        const json_t *port = json_array_get(array, i);
        ports[i] = (ChainPort){need_str(n, port, "name"), need_type(n, port)};
    }
    return ports;
}

static ChainFunction read_function(JsonReader *n, const json_t *json) {
    ChainFunction f = {
        .role = need_str(n, json, "role"),
        .name = need_str(n, json, "name"),
        .n_rows = need_u32(n, json, "rows"),
    };
    f.inputs = read_ports(n, json, "inputs", &f.n_inputs);
    f.outputs = read_ports(n, json, "outputs", &f.n_outputs);
    f.states = read_ports(n, json, "states", &f.n_states);
    return f;
}

// Norms may hold sqrt(d_model) besides; matrices powers of two only, which change no code.
static bool is_norm(Str role) {
    for (int i = 0; i < WEIGHT_COUNT; i++)
        if (str_is(role, weight_infos[i].name)) return weight_infos[i].kind == WEIGHT_IS_NORM;
    return false;
}

static ChainTensor read_tensor(JsonReader *n, const json_t *json) {
    bool is_of_layer = !json_is_null(json_object_get(json, "layer"));
    ChainTensor t = {
        .name = need_str(n, json, "name"),
        .form = need_str(n, json, "form"),
        .layer = is_of_layer ? need_u32(n, json, "layer") : CHAIN_NO_LAYER,
        .n_rows = need_u32(n, json, "rows"),
        .n_cols = need_u32(n, json, "cols"),
        .offset = (float)need_number(n, json, "offset"),
    };
    const json_t *parts = need_array(n, json, "parts", MAX_PARTS, &t.n_parts);
    t.parts = arena_array(n->arena, t.n_parts, ChainPart);
    uint64_t next_row = 0;
    for (size_t i = 0; i < t.n_parts; i++) {
        const json_t *part = json_array_get(parts, i);
        t.parts[i] = (ChainPart){
            .role = need_str(n, part, "role"),
            .source = need_str(n, part, "source"),
            .source_first_row = need_u64(n, part, "source_first_row", INT64_MAX),
            .first_row = need_u32(n, part, "first_row"),
            .n_rows = need_u32(n, part, "rows"),
            .is_deinterleaved = need_bool(n, part, "unrolled"),
        };
        t.parts[i].factor = is_norm(t.parts[i].role) ? chain_need_norm_factor(n, part, "factor")
                                                     : chain_need_factor(n, part, "factor");
        if (!n->failed && t.parts[i].first_row != next_row) {
            n->failed = true;
            err_set(n->err, ERR_FORMAT, "tensor '%.*s': its parts leave gaps or overlap",
                    STR_ARG(t.name));
        }
        next_row += t.parts[i].n_rows;
    }
    if (!n->failed && next_row != t.n_rows) {
        n->failed = true;
        err_set(n->err, ERR_FORMAT, "tensor '%.*s': parts of %llu rows in all, expected %u",
                STR_ARG(t.name), (unsigned long long)next_row, t.n_rows);
    }
    return t;
}

static void need_range(JsonReader *n, const json_t *json, const char *key, uint32_t *first,
                       uint32_t *end) {
    size_t count;
    const json_t *pair = need_array(n, json, key, 2, &count);
    const json_t *low = json_array_get(pair, 0), *high = json_array_get(pair, 1);
    json_int_t a = json_integer_value(low), b = json_integer_value(high);
    bool is_pair = count == 2 && json_is_integer(low) && json_is_integer(high);
    if (!n->failed && (!is_pair || a < 0 || b < a || b > UINT32_MAX)) {
        n->failed = true;
        err_set(n->err, ERR_FORMAT, "member \"%s\": expected [first, end]", key);
    }
    *first = (uint32_t)a;
    *end = (uint32_t)b;
}

bool layer_has_landmark(const LayerKind *k, LandmarkPlace place) {
    switch (place) {
    case LANDMARK_attn_normed: return has_attn_norm(k);
    case LANDMARK_ffn_normed: return has_ffn_norm(k);
    case LANDMARK_attn_out_normed:
    case LANDMARK_ffn_out_normed: return has_post_norms(k);
    case LANDMARK_gate: return k->is_gated;
    default: return place < LANDMARK_COUNT;
    }
}

static void read_landmarks(JsonReader *n, const json_t *json, ChainShard *s) {
    const json_t *marks = need_array(n, json, "landmarks", MAX_LANDMARKS, &s->n_landmarks);
    s->landmarks = arena_array(n->arena, s->n_landmarks, ChainLandmark);
    for (size_t i = 0; i < s->n_landmarks; i++) {
        const json_t *mark = json_array_get(marks, i);
        s->landmarks[i] = (ChainLandmark){
            .place = landmark_named(need_str(n, mark, "place")),
            .layer = need_u32(n, mark, "layer"),
            .value = need_str(n, mark, "value"),
            .first_channel = need_u32(n, mark, "first_channel"),
            .factor = chain_need_factor(n, mark, "factor"),
        };
    }
}

// All places of all layers of the shard, in the order of the graph: those that layers of a kind have.
static bool check_landmarks(const ChainShard *s, const Contract *c, Err *err) {
    size_t at = 0;
    for (uint32_t layer = s->first_layer; layer < s->end_layer; layer++)
        for (int place = 0; place < LANDMARK_COUNT; place++) {
            if (!layer_has_landmark(contract_layer(c, layer), (LandmarkPlace)place)) continue;
            const ChainLandmark *mark = at < s->n_landmarks ? &s->landmarks[at] : NULL;
            if (!mark || (int)mark->place != place || mark->layer != layer)
                return err_set(err, ERR_FORMAT,
                               "member \"landmarks\": item %zu, expected '%s' of layer %u there",
                               at, landmark_names[place], layer);
            at++;
        }
    if (at == s->n_landmarks) return true;
    return err_set(err, ERR_FORMAT, "member \"landmarks\": %zu items, expected %zu", s->n_landmarks,
                   at);
}

static ChainShard read_shard(JsonReader *n, const json_t *json) {
    ChainShard s = {
        .package = need_path(n, json, "package"),
        .residual_factor = chain_need_factor(n, json, "residual_factor"),
        .n_bytes = need_u64(n, json, "bytes", INT64_MAX),
    };
    need_range(n, json, "layers", &s.first_layer, &s.end_layer);
    need_range(n, json, "logits", &s.first_logit, &s.end_logit);
    const json_t *files = need_array(n, json, "files", MAX_FILES, &s.n_files);
    s.files = arena_array(n->arena, s.n_files, ChainFile);
    for (size_t i = 0; i < s.n_files; i++)
        s.files[i] = read_file_entry(n, json_array_get(files, i));
    const json_t *functions = need_array(n, json, "functions", MAX_FUNCTIONS, &s.n_functions);
    s.functions = arena_array(n->arena, s.n_functions, ChainFunction);
    for (size_t i = 0; i < s.n_functions; i++)
        s.functions[i] = read_function(n, json_array_get(functions, i));
    const json_t *tensors = need_array(n, json, "tensors", MAX_TENSORS, &s.n_tensors);
    s.tensors = arena_array(n->arena, s.n_tensors, ChainTensor);
    for (size_t i = 0; i < s.n_tensors; i++)
        s.tensors[i] = read_tensor(n, json_array_get(tensors, i));
    read_landmarks(n, json, &s);
    return s;
}

// A step of one row goes through decode of each shard alike; of a wider decode it fills all rows, and
// forms of KV caches that store them all need room behind the last position.
static bool check_rows(const Chain *c, const ChainShard *s, Err *err) {
    uint32_t decode = chain_decode_rows(c);
    for (size_t i = 0; i < s->n_functions; i++) {
        const ChainFunction *f = &s->functions[i];
        uint32_t expected = str_is(f->role, "decode")    ? decode
                            : str_is(f->role, "prefill") ? c->prefill_rows
                                                         : 1;
        if (f->n_rows != expected)
            return err_set(err, ERR_FORMAT, "%.*s takes %u rows, expected %u", STR_ARG(f->role),
                           f->n_rows, expected);
    }
    if (decode != 1 && decode != c->prefill_rows)
        return err_set(err, ERR_FORMAT, "decode takes %u rows, expected 1 or the %u of prefill",
                       decode, c->prefill_rows);
    uint64_t stored = str_is(c->kv, "overwrite") ? 1 : decode;
    if (c->context - 1 + stored > c->state_rows)
        return err_set(err, ERR_FORMAT,
                       "decode stores %u rows, which at position %u do not fit into state_rows %u",
                       decode, c->context - 1, c->state_rows);
    return true;
}

// A ring has room for what a call stores behind its last slot, where rows are put in place by one index
// (decoder/rings.h), and is no longer than what it saves. One that no layer uses would not be there.
static bool check_ring(const Chain *c, Err *err) {
    uint64_t behind = str_is(c->kv, "overwrite") ? 0 : chain_most_rows(c);
    bool is_used = false;
    for (uint32_t i = 0; i < contract_n_kinds(&c->contract); i++)
        is_used = is_used || chain_has_ring(c, &c->contract.kinds[i]);
    bool is_right = c->ring_slots == 0 ? c->ring_rows == 0
                                       : is_used && str_is(c->windows, "ring") &&
                                             c->ring_slots + behind <= c->ring_rows &&
                                             c->ring_rows < c->state_rows;
    return is_right ||
           err_set(err, ERR_FORMAT,
                   "ring_slots %u, ring_rows %u, state_rows %u, windows %.*s and the contract's "
                   "windows contradict",
                   c->ring_slots, c->ring_rows, c->state_rows, STR_ARG(c->windows));
}

// Shards cover the layers and the vocabulary once, in order, and have the functions for it.
static bool check_cover(const Chain *c, Err *err) {
    uint32_t layer = 0, logit = 0;
    for (size_t i = 0; i < c->n_shards; i++) {
        const ChainShard *s = &c->shards[i];
        bool has_layers = s->end_layer > s->first_layer, has_head = s->end_logit > s->first_logit;
        if (has_layers && s->first_layer != layer)
            return err_set(err, ERR_FORMAT, "shard %zu begins at layer %u, expected %u", i,
                           s->first_layer, layer);
        if (has_head && s->first_logit != logit)
            return err_set(err, ERR_FORMAT, "shard %zu begins at vocabulary row %u, expected %u", i,
                           s->first_logit, logit);
        if (has_layers) layer = s->end_layer;
        if (has_head) logit = s->end_logit;
        if (has_layers && !chain_function(s, "decode"))
            return err_set(err, ERR_FORMAT, "shard %zu has layers but no decode function", i);
        bool needs_prefill = c->prefill_rows && chain_decode_rows(c) == 1;
        if (has_layers && needs_prefill && !chain_function(s, "prefill"))
            return err_set(err, ERR_FORMAT, "shard %zu has layers but no prefill function", i);
        if (!check_rows(c, s, err)) return err_prefix(err, "shard %zu", i);
        if (has_head && !chain_function(s, "head"))
            return err_set(err, ERR_FORMAT, "shard %zu has vocabulary rows but no head function",
                           i);
    }
    if (layer != c->contract.n_layers || logit != c->contract.n_vocab)
        return err_set(err, ERR_FORMAT,
                       "shards end at layer %u and vocabulary row %u, expected %u and %u", layer,
                       logit, c->contract.n_layers, c->contract.n_vocab);
    return true;
}

static bool read_chain(Chain *c, Arena *arena, const json_t *json, Err *err) {
    JsonReader n = {.arena = arena, .err = err};
    uint32_t schema = need_u32(&n, json, "schema");
    if (!n.failed && schema != CHAIN_SCHEMA)
        return err_set(err, ERR_FORMAT, "schema %u, expected %d, which this version of lathe reads",
                       schema, CHAIN_SCHEMA);
    c->tool_version = need_str(&n, json, "tool");
    const json_t *source = need_object(&n, json, "source");
    c->source_name = need_path(&n, source, "name");
    c->source_bytes = need_u64(&n, source, "bytes", INT64_MAX);
    c->source_sha256 = need_str(&n, source, "sha256");
    const json_t *settings = need_object(&n, json, "settings");
    const json_t *contract = need_object(&n, json, "contract");
    c->contract_digest = need_str(&n, json, "contract_sha256");
    const json_t *options = need_object(&n, json, "options");
    c->context = need_u32(&n, options, "context");
    c->state_rows = need_u32(&n, options, "state_rows");
    c->ring_slots = need_u32(&n, options, "ring_slots");
    c->ring_rows = need_u32(&n, options, "ring_rows");
    c->prefill_rows = need_u32(&n, options, "prefill_rows");
    c->head_slice_rows = need_u32(&n, options, "head_slice_rows");
    c->weight_files = need_u32(&n, options, "weight_files");
    c->kv = need_str(&n, options, "kv");
    c->windows = need_str(&n, options, "windows");
    c->weights = need_str(&n, options, "weights");
    c->norm = need_str(&n, options, "norm");
    c->target = need_str(&n, options, "target");
    c->sizes = need_str(&n, options, "sizes");
    c->package_limit = need_u64(&n, options, "package_limit", INT64_MAX);
    c->host = read_file_entry(&n, need_object(&n, json, "host"));
    const json_t *shards = need_array(&n, json, "shards", MAX_SHARDS, &c->n_shards);
    c->shards = arena_array(arena, c->n_shards, ChainShard);
    for (size_t i = 0; i < c->n_shards; i++)
        c->shards[i] = read_shard(&n, json_array_get(shards, i));
    const json_t *use = need_object(&n, json, "use");
    if (n.failed) return false;

    if (!gguf_settings_from_json(&c->settings, settings, arena, err) ||
        !use_from_json(&c->use, use, arena, err))
        return false;
    if (c->use.context != c->context)
        return err_set(err, ERR_FORMAT, "use.context %u and options.context %u contradict",
                       c->use.context, c->context);
    if (!contract_from_json(&c->contract, contract, arena, err)) return false;
    c->ranges = chain_need_ranges(&n, json, c->contract.n_layers);
    if (n.failed) return false;
    Sha256 digest = contract_digest(&c->contract);
    if (!str_is(c->contract_digest, digest.hex))
        return err_set(err, ERR_FORMAT,
                       "the contract's digest is %s, but chain.json states %.*s: it was altered",
                       digest.hex, STR_ARG(c->contract_digest));
    if (!contract_check(&c->contract, err)) return false;
    for (size_t i = 0; i < c->n_shards; i++)
        if (!check_landmarks(&c->shards[i], &c->contract, err)) return false;
    if (c->context == 0 || c->context > c->state_rows || c->prefill_rows > c->context)
        return err_set(err, ERR_FORMAT, "context %u, state_rows %u, prefill_rows %u contradict",
                       c->context, c->state_rows, c->prefill_rows);
    return check_ring(c, err) && check_cover(c, err);
}

bool chain_read(Chain *chain, Arena *arena, const char *dir, Err *err) {
    *chain = (Chain){0};
    const char *path = path_join(arena, dir, "chain.json");
    if (!path_exists(dir)) return err_errno(err, "%s", dir);
    if (!path_exists(path))
        return err_set(err, ERR_FORMAT, "%s: no chain.json in it: not a lathe bundle", dir);
    Err why = {0};
    json_t *json = json_read_digest(path, &chain->sha256, &why);
    bool ok = json && (read_chain(chain, arena, json, &why) || err_prefix(&why, "%s", path));
    json_decref(json);
    return ok || chain_refuse(chain, dir, &why, err);
}

bool chain_refuse(const Chain *chain, const char *dir, const Err *why, Err *err) {
    Arena scratch = {0};
    err_set(err, why->kind, "%s; convert the model again: %s", why->text,
            convert_command(&scratch, dir, chain, NULL));
    arena_free(&scratch);
    return false;
}
