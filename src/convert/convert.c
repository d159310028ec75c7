#include "convert/convert.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/lock.h"
#include "base/size.h"
#include "base/utf8.h"
#include "bundle/advice.h"
#include "bundle/source.h"
#include "compile/compile.h"
#include "contract/evidence.h"
#include "gguf/writer.h"
#include "huggingface/folder.h"
#include "mlpackage/package.h"
#include "range/measure.h"
#include "tokenizer/tokenizer.h"

typedef struct {
    const ConvertJob *job;
    const ConvertSteps *steps;
    Arena *arena;    // of the chain
    const char *out; // job->out_path without a slash at its end
    const char *dir; // being written
    Gguf gguf;
    Model model;
    Use use;
    ShardPlan plan;
    Chain *chain;
    uint64_t done_bytes, total_bytes; // source bytes of weights packed so far, and in all
} Conversion;

// ---- describing what was compiled

static ChainPort port_of(const MilFunction *f, ValueId v) {
    const MilValue *value = mil_value(f, v);
    return (ChainPort){value->name, value->type};
}

static ChainFunction describe_function(Conversion *c, const MilFunction *f, const char *role,
                                       uint32_t n_rows) {
    ChainFunction out = {.role = str_of(role), .name = f->name, .n_rows = n_rows};
    out.inputs = arena_array(c->arena, f->n_inputs, ChainPort);
    out.states = arena_array(c->arena, f->n_inputs, ChainPort);
    out.outputs = arena_array(c->arena, f->n_outputs, ChainPort);
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        ChainPort port = port_of(f, f->inputs[i]);
        if (port.type.is_state)
            out.states[out.n_states++] = port;
        else
            out.inputs[out.n_inputs++] = port;
    }
    for (uint32_t i = 0; i < f->n_outputs; i++)
        out.outputs[out.n_outputs++] = port_of(f, f->outputs[i]);
    return out;
}

// The rows that part and piece share, as a part of the piece; n_rows is 0 when there are none.
static ChainPart describe_part(const PackedPart *p, const PackedPiece *piece) {
    uint32_t part_end = p->first_row + (uint32_t)p->rows.n_rows;
    uint32_t first = (uint32_t)max_size(p->first_row, piece->first_row);
    uint32_t end = (uint32_t)min_size(part_end, piece->first_row + piece->n_rows);
    if (end <= first) return (ChainPart){0};
    return (ChainPart){
        .role = str_of(p->role),
        .source = p->rows.tensor->name,
        .source_first_row = p->rows.first_row + first - p->first_row,
        .first_row = first - piece->first_row,
        .n_rows = end - first,
        .is_deinterleaved = p->is_deinterleaved,
        .factor = p->factor,
    };
}

static ChainTensor describe_piece(Conversion *c, const PackedTensor *t, const PackedPiece *piece) {
    ChainTensor out = {
        .name = piece->name,
        .form = str_of(weight_form_name(t->form)),
        .layer = t->layer,
        .n_rows = piece->n_rows,
        .n_cols = t->n_cols,
        .offset = t->offset,
        .parts = arena_array(c->arena, t->n_parts, ChainPart),
    };
    for (size_t i = 0; i < t->n_parts; i++) {
        ChainPart part = describe_part(&t->parts[i], piece);
        if (part.n_rows) out.parts[out.n_parts++] = part;
    }
    return out;
}

static void describe_tensors(Conversion *c, ChainShard *out, const CompiledShard *shard) {
    size_t n = 0;
    for (size_t i = 0; i < shard->n_tensors; i++) n += shard->tensors[i].n_pieces;
    out->tensors = arena_array(c->arena, n, ChainTensor);
    for (size_t i = 0; i < shard->n_tensors; i++)
        for (size_t k = 0; k < shard->tensors[i].n_pieces; k++)
            out->tensors[out->n_tensors++] =
                describe_piece(c, &shard->tensors[i], &shard->tensors[i].pieces[k]);
}

// Functions stand in the program in the order compile_shard() makes them.
static void describe_shard(Conversion *c, ChainShard *out, const CompiledShard *shard) {
    const ShardRange *r = &shard->range;
    out->first_layer = r->first_layer;
    out->end_layer = r->end_layer;
    out->first_logit = r->first_logit;
    out->end_logit = r->end_logit;
    out->residual_factor = ldexpf(1.0f, r->residual_exp2);
    out->functions = arena_array(c->arena, shard->program->n_functions, ChainFunction);
    const CompileOptions *o = &c->plan.options;
    uint32_t decode = o->is_one_function ? o->prefill_rows : 1, n = 0;
    MilFunction **functions = shard->program->functions;
    if (r->end_layer > r->first_layer) {
        out->functions[n] = describe_function(c, functions[n], FUNCTION_DECODE, decode), n++;
        if (o->prefill_rows && !o->is_one_function)
            out->functions[n] =
                describe_function(c, functions[n], FUNCTION_PREFILL, o->prefill_rows),
            n++;
    }
    if (r->end_logit > r->first_logit)
        out->functions[n] = describe_function(c, functions[n], FUNCTION_HEAD, 1), n++;
    out->n_functions = n;
    describe_tensors(c, out, shard);
    out->n_landmarks = shard->n_landmarks;
    out->landmarks = arena_array(c->arena, shard->n_landmarks, ChainLandmark);
    for (size_t i = 0; i < shard->n_landmarks; i++) {
        const Landmark *l = &shard->landmarks[i];
        out->landmarks[i] =
            (ChainLandmark){l->place, l->layer, l->value, l->first_channel, l->factor};
    }
}

static bool describe_file(Conversion *c, ChainFile *out, const char *path, Err *err) {
    FileMap map;
    const char *full = path_join(c->arena, c->dir, path);
    if (!map_file(&map, full, err)) return false;
    Sha256 sha = sha256_bytes(map.at, map.len);
    Xxh128 xxh = xxh128_bytes(map.at, map.len);
    *out = (ChainFile){
        .path = str_of(path),
        .n_bytes = map.len,
        .sha256 = arena_str(c->arena, str_of(sha.hex)),
        .xxh128 = arena_str(c->arena, str_of(xxh.hex)),
    };
    unmap_file(&map);
    return true;
}

// ---- writing

static bool put_bytes(void *sink, MilPlace place, uint64_t at, const void *bytes, size_t n,
                      Err *err) {
    return blob_sink_put(sink, place, at, bytes, n, err);
}

static bool check_wanted(const Progress *progress, Err *err) {
    return progress_goes_on(progress) || err_set(err, ERR_STOPPED, "stopped");
}

static bool fill_weights(void *context, BlobSink *sink, Err *err) {
    const ShardWriting *w = context;
    PackJob job = w->pack;
    job.put = put_bytes;
    job.put_context = sink;
    for (size_t i = 0; i < w->shard->n_tensors; i++)
        if (!check_wanted(job.progress, err) || !pack_weights(&w->shard->tensors[i], &job, err))
            return false;
    return true;
}

static bool compile(const ConvertSteps *steps, CompiledShard *shard, const Model *model,
                    const ShardPlan *plan, const ShardRange *range, Arena *arena, Err *err) {
    (void)steps;
    return compile_shard(shard, model, plan, range, arena, err);
}

static bool write_package(const ConvertSteps *steps, const ShardWriting *w, Arena *arena,
                          Err *err) {
    (void)steps, (void)arena;
    ShardWriting writing = *w;
    PackageSource source = {
        .program = w->shard->program,
        .blobs = &w->shard->blobs,
        .description = "One shard of a language model for the Apple Neural Engine, made by lathe",
        .notes = w->notes,
        .n_notes = w->n_notes,
        .fill = fill_weights,
        .context = &writing,
    };
    return package_write(w->path, &source, err);
}

static bool write_host_file(const ConvertSteps *steps, const HostWriting *w, Arena *arena,
                            Err *err) {
    (void)steps, (void)arena;
    return gguf_write(w->path, w->alignment, w->keys, w->n_keys, w->tensors, w->n_tensors, err);
}

const ConvertSteps convert_steps = {compile, write_package, write_host_file};

static const char *shard_path(Conversion *c, size_t i, const ShardRange *r) {
    Str head = r->end_logit == r->first_logit ? STR("")
               : r->end_layer > r->first_layer
                   ? STR("-head")
                   : arena_printf(c->arena, "head-%06u-%06u", r->first_logit, r->end_logit - 1);
    Str layers = r->end_layer == r->first_layer
                     ? STR("")
                     : arena_printf(c->arena, "layers-%02u-%02u", r->first_layer, r->end_layer - 1);
    return arena_printf(c->arena, "shards/%02zu-%.*s%.*s.mlpackage", i, STR_ARG(layers),
                        STR_ARG(head))
        .at;
}

static bool pack_shard(Conversion *c, CompiledShard *shard, const char *path, Err *err) {
    Chain *chain = c->chain;
    const PackageNote notes[] = {
        {"lathe.contract", arena_cstr(c->arena, chain->contract_digest)},
        {"lathe.source", arena_cstr(c->arena, chain->source_sha256)},
        {"lathe.version", c->job->tool_version},
    };
    ShardWriting writing = {
        .shard = shard,
        .path = path,
        .pack = {.pool = c->job->pool,
                 .progress = c->job->progress,
                 .done_bytes = &c->done_bytes,
                 .total_bytes = c->total_bytes,
                 .head_dim = c->model.contract.head_dim,
                 .is_conditioned = c->plan.options.ranges != NULL},
        .notes = notes,
        .n_notes = COUNT_OF(notes),
    };
    return c->steps->write_package(c->steps, &writing, c->arena, err);
}

static bool add_file(Conversion *c, ChainShard *out, const char *path, Err *err) {
    ChainFile *file = &out->files[out->n_files++];
    if (!describe_file(c, file, path, err)) return false;
    out->n_bytes += file->n_bytes;
    return true;
}

// Digests and sizes of what was written.
static bool describe_files(Conversion *c, ChainShard *out, const char *package, uint32_t n_weights,
                           Err *err) {
    const char *data = path_join(c->arena, package, "Data/com.apple.CoreML");
    const char *weights = path_join(c->arena, data, "weights");
    out->files = arena_array(c->arena, 2 + n_weights, ChainFile);
    out->n_files = 0;
    out->n_bytes = 0;
    if (!add_file(c, out, path_join(c->arena, package, "Manifest.json"), err) ||
        !add_file(c, out, path_join(c->arena, data, "model.mlmodel"), err))
        return false;
    for (uint32_t i = 0; i < n_weights; i++)
        if (!add_file(c, out, path_join(c->arena, weights, mil_weight_name(i, c->arena)), err))
            return false;
    return true;
}

static bool write_shard(Conversion *c, size_t i, Err *err) {
    const ShardRange *range = &c->plan.shards[i];
    ChainShard *out = &c->chain->shards[i];
    const char *package = shard_path(c, i, range);
    out->package = str_of(package);

    CompiledShard shard;
    if (!check_wanted(c->job->progress, err)) return false;
    if (!c->steps->compile(c->steps, &shard, &c->model, &c->plan, range, c->arena, err))
        return false;
    describe_shard(c, out, &shard);
    if (!pack_shard(c, &shard, path_join(c->arena, c->dir, package), err)) return false;

    if (!describe_files(c, out, package, blob_plan_files(&shard.blobs), err)) return false;
    uint64_t limit = plan_package_limit(&c->plan.options);
    if (out->n_bytes >= limit)
        return err_set(err, ERR_FORMAT,
                       "%s has %" PRIu64 " bytes, planned %" PRIu64 ", limit of %s %" PRIu64
                       "; use --layers-per-shard to make packages smaller",
                       package, out->n_bytes, range->n_bytes, c->plan.options.target->name, limit);
    return true;
}

// What the host needs: the metadata as it stands, the embedding table, the rotary factors.
static bool write_host(Conversion *c, Err *err) {
    const Gguf *g = &c->gguf;
    const GgufKey **keys = arena_array(c->arena, g->n_keys, const GgufKey *);
    size_t n_keys = 0, n_tensors = 0;
    for (size_t i = 0; i < g->n_keys; i++)
        // A split's bookkeeping would make host.gguf look like the first of several files.
        if (!str_starts(g->keys[i].name, STR("split."))) keys[n_keys++] = &g->keys[i];
    static const char *const wanted[] = {"token_embd.weight", "rope_factors_short.weight",
                                         "rope_factors_long.weight", "rope_freqs.weight"};
    const TensorInfo *tensors[COUNT_OF(wanted)];
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const TensorInfo *t = gguf_find_tensor(g, str_of(wanted[i]));
        if (t) tensors[n_tensors++] = t;
    }
    HostWriting writing = {
        path_join(c->arena, c->dir, "host.gguf"), g->alignment, keys, n_keys, tensors, n_tensors};
    return c->steps->write_host(c->steps, &writing, c->arena, err) &&
           describe_file(c, &c->chain->host, "host.gguf", err);
}

static const char *without_slash(Arena *arena, const char *path) {
    Str s = str_of(path);
    while (s.len > 1 && s.at[s.len - 1] == '/') s.len--;
    return arena_cstr(arena, s);
}

static Str file_name(const char *path) {
    return str_of(path_file_name(path));
}

static uint64_t weight_bytes(const Conversion *c) {
    uint64_t total = 0;
    for (size_t i = 0; i < c->gguf.n_tensors; i++) {
        const TensorInfo *t = &c->gguf.tensors[i];
        bool is_head = t == c->model.weights.head.tensor;
        if (t->n_dims > 1 && (is_head || t != c->model.weights.embedding.tensor))
            total += t->n_bytes;
    }
    return total;
}

// Where the source lies, so that verify finds it.
static bool remember_source(Conversion *c, Err *err) {
    return !source_holds(&c->gguf, NULL) || source_remember(c->dir, c->chain, &c->gguf, err);
}

static bool write_all(Conversion *c, Err *err) {
    const CompileOptions *o = &c->plan.options;
    Chain *chain = c->chain;
    Sha256 contract = contract_digest(&c->model.contract);
    Sha256 source = gguf_digest(&c->gguf, c->job->progress);
    *chain = (Chain){
        .tool_version = str_of(c->job->tool_version),
        .contract = c->model.contract,
        .contract_digest = arena_str(c->arena, str_of(contract.hex)),
        .source_name = arena_str(c->arena, file_name(without_slash(c->arena, c->job->model_path))),
        .source_sha256 = arena_str(c->arena, str_of(source.hex)),
        .source_bytes = c->gguf.n_bytes,
        .settings = c->job->settings,
        .context = c->use.context,
        .state_rows = c->plan.state_rows,
        .ring_slots = c->plan.ring_slots,
        .ring_rows = c->plan.ring_rows,
        .windows = str_of(o->keeps_windows_whole ? "whole" : "ring"),
        .prefill_rows = o->prefill_rows,
        .head_slice_rows = o->head_slice_rows,
        .weight_files = o->weight_files,
        .use = c->use,
        .kv = str_of(kv_form_name(o->kv)),
        .weights = str_of(weight_form_name(o->weights)),
        .norm = str_of(norm_form_name(o->norm)),
        .target = target_text(o->target, o->chip, c->arena),
        .sizes = str_of(size_count_name(o->sizes)),
        .package_limit = plan_package_limit(o),
        .ranges = c->plan.options.ranges,
        .shards = arena_array(c->arena, c->plan.n_shards, ChainShard),
        .n_shards = c->plan.n_shards,
    };
    c->total_bytes = weight_bytes(c);
    for (size_t i = 0; i < c->plan.n_shards; i++)
        if (!write_shard(c, i, err)) return false;
    return write_host(c, err) && chain_write(chain, c->dir, err) && remember_source(c, err);
}

// ---- taking the place of an older bundle

static bool check_place(Conversion *c, Err *err) {
    if (!dir_recover(c->dir, c->out, err)) return false;
    if (!path_exists(c->out)) return true;
    // One whose chain.json was lost is still known by its seal.
    if (!path_exists(path_join(c->arena, c->out, "chain.json")) &&
        !path_exists(path_join(c->arena, c->out, "seal.json")))
        return err_set(err, ERR_USAGE,
                       "%s exists and is not a lathe bundle; choose another name for the result",
                       c->out);
    if (!c->job->replaces) return err_set(err, ERR_USAGE, "%s exists; --force replaces it", c->out);
    return true;
}

// Nobody reads the older bundle gate by gate while it is taken away, and two conversions do not
// write one name.
static bool lock_dir(DirLock *lock, const char *path, Err *err) {
    Err why = {0};
    if (!path_is_dir(path) || dir_lock(lock, path, &why)) return true;
    return err_set(err, why.kind,
                   "%s (lathe verify or convert); nothing was converted: wait for it or stop it, "
                   "then convert again",
                   why.text);
}

// What was learned about the older bundle is kept: its journal goes on in the new one.
static bool keep_journal(Conversion *c, Err *err) {
    static const char *const names[] = {"journal.md", "journal.jsonl"};
    const char *old = path_join(c->arena, c->out, "verify"),
               *dir = path_join(c->arena, c->dir, "verify");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *from = path_join(c->arena, old, names[i]);
        FileMap map;
        if (!path_exists(from)) continue;
        if (!map_file(&map, from, err)) return false;
        bool ok = dir_make(dir, err) &&
                  file_write(path_join(c->arena, dir, names[i]), map.at, map.len, err) &&
                  dir_sync(dir, err);
        unmap_file(&map);
        if (!ok) return false;
    }
    return true;
}

static bool sync_parent(Conversion *c, Err *err) {
    const char *out = c->out, *slash = strrchr(out, '/');
    const char *parent = slash == out ? "/"
                         : slash      ? arena_printf(c->arena, "%.*s", (int)(slash - out), out).at
                                      : ".";
    return dir_sync(parent, err);
}

// ---- measuring, before anything is planned

static bool is_measured(const Conversion *c) {
    uint64_t n_weights = 0, most = c->job->most_weights_measured;
    for (size_t i = 0; i < c->gguf.n_tensors; i++) n_weights += c->gguf.tensors[i].n_weights;
    return c->job->measures_ranges && (most == 0 || n_weights <= most);
}

static bool measure(Conversion *c, Err *err) {
    const ConvertJob *job = c->job;
    if (!is_measured(c)) return true;
    Ranges *ranges = arena_new(c->arena, Ranges);
    Calibration text;
    return calibration_make(&text, &c->model.contract, &c->gguf, job->calibration_text,
                            c->use.context, c->arena, err) &&
           measure_ranges(ranges, &c->model, &text, c->use.rope_factors, job->pool, job->progress,
                          c->arena, err) &&
           plan_take_ranges(&c->plan, &c->model, ranges, c->arena, err);
}

// Nothing is made of a model that its publisher says is another. A window that reaches over all
// positions the bundle will hold hides none of them.
static bool agrees(Conversion *c, Err *err) {
    Evidence e;
    if (!evidence_gather(&e, &c->job->second, &c->model, &c->gguf, c->use.context, c->arena, err))
        return false;
    if (evidence_contradictions(&e))
        evidence_error(
            &e, vote_command(c->arena, c->job->model_path, &c->job->second, &c->job->settings),
            err);
    return evidence_contradictions(&e) == 0;
}

// A model whose text cannot be read could never be proved or talked with.
static bool read_model(Conversion *c, Err *err) {
    if (!gguf_apply_settings(&c->gguf, c->arena, &c->job->settings, err) ||
        !model_read(&c->model, &c->gguf, c->arena, err) ||
        !use_of_model(&c->use, &c->model, &c->gguf, c->job->second.generation, c->arena, err) ||
        !use_choose_all(&c->use, c->job->chosen, &c->model.contract, c->arena, err) ||
        !agrees(c, err))
        return false;
    Tokenizer *t = tokenizer_open(&c->gguf, err);
    tokenizer_close(t);
    return t != NULL;
}

// chain.json and messages are text.
static bool check_names(const Conversion *c, Err *err) {
    const char *const names[] = {c->job->model_path, c->out};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (!utf8_is_valid(file_name(names[i])))
            return err_set(
                err, ERR_USAGE,
                "%s: the file name is not UTF-8, so chain.json cannot state it; rename the file",
                names[i]);
    return true;
}

bool bundle_convert(Chain *chain, Arena *arena, const ConvertJob *job, Err *err) {
    Conversion c = {.job = job,
                    .steps = job->steps ? job->steps : &convert_steps,
                    .arena = arena,
                    .chain = chain};
    c.out = without_slash(arena, job->out_path);
    c.dir = arena_printf(arena, "%s.partial", c.out).at;
    if (!check_names(&c, err) || !check_place(&c, err)) return false;
    DirLock older = {0}, fresh = {0};
    bool ok = lock_dir(&older, c.out, err) && lock_dir(&fresh, c.dir, err) &&
              model_open(&c.gguf, arena, job->model_path, err);

    CompileOptions options = job->options;
    // Planned before it is measured: what cannot be converted is refused at once.
    ok = ok && (read_model(&c, err) || err_prefix(err, "%s", job->model_path));
    options.context = c.use.context;
    ok = ok && plan_shards(&c.plan, &c.model, &options, arena, err) && measure(&c, err);
    ok = ok && plan_keeps_eps(&c.plan, &c.model.contract, err);
    if (ok) {
        // A name that is taken was left by a conversion that was killed.
        dir_unlock(&fresh);
        ok = dir_remove_tree(c.dir, err) && dir_make(c.dir, err) && lock_dir(&fresh, c.dir, err) &&
             dir_make(path_join(arena, c.dir, "shards"), err) && write_all(&c, err) &&
             dir_sync(path_join(arena, c.dir, "shards"), err) && dir_sync(c.dir, err) &&
             // What was written is what is handed out: the caller's chain must not look into the
             // source's mapping.
             chain_read(chain, arena, c.dir, err) && keep_journal(&c, err) &&
             dir_replace(c.dir, c.out, err) && sync_parent(&c, err);
        if (!ok && fresh.is_held) dir_remove_tree(c.dir, NULL);
    }
    if (!ok && err && err->kind == ERR_STOPPED)
        err_set(err, ERR_STOPPED, "stopped; nothing was written to %s", c.out);
    gguf_close(&c.gguf);
    dir_unlock(&fresh);
    dir_unlock(&older);
    return ok;
}
