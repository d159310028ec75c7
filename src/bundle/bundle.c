#include "bundle/bundle.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "bundle/advice.h"

static const MilFunction *find_function(const Package *p, const ChainFunction *f, Err *err) {
    const MilFunction *found = mil_find_function(p->program, f->name);
    if (!found) err_set(err, ERR_FORMAT, "%s: no function '%.*s'", p->path, STR_ARG(f->name));
    return found;
}

static bool check_port(const Package *p, const MilFunction *f, const ChainPort *port, ValueId v,
                       bool is_state, Err *err) {
    const MilValue *value = mil_value(f, v);
    MilType wanted = port->type;
    wanted.is_state = is_state;
    if (str_eq(value->name, port->name) && mil_type_eq(&value->type, &wanted)) return true;
    return err_set(
        err, ERR_FORMAT,
        "%s: function '%.*s' has '%.*s' where chain.json states '%.*s', or another shape", p->path,
        STR_ARG(f->name), STR_ARG(value->name), STR_ARG(port->name));
}

// The package's function against what the chain says of it: same ports, same order, same types.
static bool check_function(const Package *p, const ChainFunction *stated, Err *err) {
    const MilFunction *f = find_function(p, stated, err);
    if (!f) return false;
    if (f->n_inputs != stated->n_inputs + stated->n_states || f->n_outputs != stated->n_outputs)
        return err_set(
            err, ERR_FORMAT,
            "%s: function '%.*s' has %u inputs and %u outputs; chain.json states %zu and "
            "%zu",
            p->path, STR_ARG(f->name), f->n_inputs, f->n_outputs,
            stated->n_inputs + stated->n_states, stated->n_outputs);
    size_t n_inputs = 0, n_states = 0;
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        bool is_state = mil_value(f, f->inputs[i])->type.is_state;
        size_t at = is_state ? n_states++ : n_inputs++;
        if (at >= (is_state ? stated->n_states : stated->n_inputs))
            return err_set(err, ERR_FORMAT, "%s: function '%.*s' has other states than chain.json",
                           p->path, STR_ARG(f->name));
        const ChainPort *port = is_state ? &stated->states[at] : &stated->inputs[at];
        if (!check_port(p, f, port, f->inputs[i], is_state, err)) return false;
    }
    for (uint32_t i = 0; i < f->n_outputs; i++)
        if (!check_port(p, f, &stated->outputs[i], f->outputs[i], false, err)) return false;
    return true;
}

static bool check_note(const Package *p, const char *key, Str wanted, Err *err) {
    const char *found = package_note(p, key);
    if (found && str_is(wanted, found)) return true;
    return err_set(err, ERR_FORMAT, "%s: %s is %s, but chain.json states %.*s", p->path, key,
                   found ? found : "absent", STR_ARG(wanted));
}

static bool open_package(Bundle *b, Arena *arena, size_t i, Err *err) {
    const ChainShard *shard = &b->chain.shards[i];
    Package *p = &b->packages[i];
    const char *path = path_join(arena, b->dir, arena_cstr(arena, shard->package));
    if (!package_open(p, arena, path, err) ||
        !check_note(p, "lathe.contract", b->chain.contract_digest, err) ||
        !check_note(p, "lathe.source", b->chain.source_sha256, err))
        return false;
    if (p->program->n_functions != shard->n_functions)
        return err_set(err, ERR_FORMAT, "%s: %u functions, chain.json states %zu", path,
                       p->program->n_functions, shard->n_functions);
    for (size_t f = 0; f < shard->n_functions; f++)
        if (!check_function(p, &shard->functions[f], err)) return false;
    return true;
}

static bool open_host(Bundle *b, Arena *arena, Err *err) {
    const Contract *c = &b->chain.contract;
    const char *path = path_join(arena, b->dir, "host.gguf");
    if (!gguf_open(&b->host, arena, path, err)) return false;
    b->embedding = gguf_find_tensor(&b->host, STR("token_embd.weight"));
    if (!b->embedding || b->embedding->dims[0] != c->d_model ||
        b->embedding->dims[1] != c->n_vocab || b->embedding->n_dims != 2 ||
        !b->embedding->type->is_decodable)
        return err_set(err, ERR_FORMAT, "%s: no token_embd.weight of %u rows of %u weights", path,
                       c->n_vocab, c->d_model);
    return true;
}

bool bundle_open(Bundle *b, Arena *arena, const char *dir, Err *err) {
    *b = (Bundle){.dir = arena_cstr(arena, str_of(dir))};
    if (!chain_read(&b->chain, arena, dir, err)) return false;
    Err why = {0};
    bool ok = open_host(b, arena, &why);
    b->packages = arena_array(arena, b->chain.n_shards, Package);
    for (size_t i = 0; ok && i < b->chain.n_shards; i++) ok = open_package(b, arena, i, &why);
    if (ok) return true;
    chain_refuse(&b->chain, dir, &why, err);
    bundle_close(b);
    return false;
}

void bundle_close(Bundle *b) {
    if (b->packages)
        for (size_t i = 0; i < b->chain.n_shards; i++) package_close(&b->packages[i]);
    gguf_close(&b->host);
    *b = (Bundle){0};
}

static bool check_file(const char *dir, const Chain *chain, const ChainFile *file, bool is_thorough,
                       Arena *scratch, Err *err) {
    const char *path = path_join(scratch, dir, arena_cstr(scratch, file->path));
    FileMap map;
    if (!path_exists(path))
        return err_set(err, ERR_GATE, "%s is missing; convert the model again: %s", path,
                       convert_command(scratch, dir, chain, NULL));
    if (!map_file(&map, path, err)) return false;
    bool same = map.len == file->n_bytes;
    if (same && is_thorough) {
        Sha256 found = sha256_bytes(map.at, map.len);
        same = str_is(file->sha256, found.hex);
    } else if (same) {
        Xxh128 found = xxh128_bytes(map.at, map.len);
        same = str_is(file->xxh128, found.hex);
    }
    uint64_t n_bytes = map.len;
    unmap_file(&map);
    if (same) return true;
    return err_set(err, ERR_GATE,
                   "%s (%" PRIu64 " bytes) is not the file that chain.json describes (%" PRIu64
                   " bytes, another digest); convert the model again: %s",
                   path, n_bytes, file->n_bytes, convert_command(scratch, dir, chain, NULL));
}

// Files that systems leave beside others and that nothing reads. macOS: .DS_Store in every folder that
// the Finder shows, ._NAME with NAME's attributes on file systems without attributes (exFAT, SMB
// shares, tar). Windows, which may see a bundle on a share: Thumbs.db, desktop.ini.
static bool is_of_system(const char *name) {
    static const char *const names[] = {".DS_Store", "Thumbs.db", "desktop.ini"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return strncmp(name, "._", 2) == 0;
}

static bool is_listed(const Chain *chain, Str path) {
    const char *slash = strrchr(path.at, '/');
    if (is_of_system(slash ? slash + 1 : path.at)) return true;
    for (size_t s = 0; s < chain->n_shards; s++)
        for (size_t f = 0; f < chain->shards[s].n_files; f++)
            if (str_eq(chain->shards[s].files[f].path, path)) return true;
    return false;
}

// Nothing may lie among the packages that no digest covers. `path` is within the bundle.
static bool check_strangers(const char *dir, const char *path, const Chain *chain, int depth,
                            Arena *scratch, Err *err) {
    enum { MAX_DEPTH = 8 }; // shards/, the package, Data/, com.apple.CoreML/, weights/
    const char *full = path_join(scratch, dir, path);
    if (!path_exists(full)) return true; // what is missing is missed file by file
    DirList list;
    if (!path_is_dir(full) || depth == MAX_DEPTH)
        return is_listed(chain, str_of(path)) ||
               err_set(err, ERR_GATE, "%s is not part of the bundle; remove it", full);
    if (!dir_list(&list, scratch, full, err)) return false;
    for (size_t i = 0; i < list.count; i++)
        if (!check_strangers(dir, path_join(scratch, path, list.names[i]), chain, depth + 1,
                             scratch, err))
            return false;
    return true;
}

// Beside chain.json and the packages; verify/ is for people, who may keep notes in it.
static bool check_root(const char *dir, Arena *scratch, Err *err) {
    static const char *const known[] = {"chain.json", "seal.json", "host.gguf", "shards", "verify"};
    DirList list;
    if (!dir_list(&list, scratch, dir, err)) return false;
    for (size_t i = 0; i < list.count; i++) {
        bool is_known = is_of_system(list.names[i]);
        for (size_t k = 0; k < COUNT_OF(known); k++)
            is_known = is_known || strcmp(list.names[i], known[k]) == 0;
        if (!is_known)
            return err_set(err, ERR_GATE, "%s/%s is not part of the bundle; remove it", dir,
                           list.names[i]);
    }
    return true;
}

bool bundle_check_files(const char *dir, const Chain *chain, bool is_thorough,
                        const Progress *progress, Err *err) {
    uint64_t total = chain->host.n_bytes, done = 0;
    for (size_t s = 0; s < chain->n_shards; s++) total += chain->shards[s].n_bytes;
    Arena scratch = {0};
    bool ok = check_root(dir, &scratch, err) &&
              check_strangers(dir, "shards", chain, 0, &scratch, err) &&
              check_file(dir, chain, &chain->host, is_thorough, &scratch, err);
    done += chain->host.n_bytes;
    for (size_t s = 0; ok && s < chain->n_shards; s++) {
        const ChainShard *shard = &chain->shards[s];
        for (size_t f = 0; ok && f < shard->n_files; f++) {
            ok = check_file(dir, chain, &shard->files[f], is_thorough, &scratch, err);
            done += shard->files[f].n_bytes;
            progress_report(progress, "digests", done, total);
        }
    }
    arena_free(&scratch);
    return ok;
}

// ---- what was mapped

static const FileMap *host_map(const Bundle *b) {
    return &b->host.parts[0].map;
}

// Visits every file that `b` maps; false when `visit` says so.
typedef bool VisitMapped(const Bundle *b, const FileMap *map, const char *path, void *context,
                         Err *err);

static bool visit_mapped(const Bundle *b, VisitMapped *visit, void *context, Err *err) {
    Arena scratch = {0};
    bool ok = visit(b, host_map(b), path_join(&scratch, b->dir, "host.gguf"), context, err);
    for (size_t i = 0; ok && i < b->chain.n_shards; i++) {
        const Package *p = &b->packages[i];
        const char *data = path_join(&scratch, p->path, "Data/com.apple.CoreML");
        const char *weights = path_join(&scratch, data, "weights");
        ok = visit(b, &p->model, path_join(&scratch, data, "model.mlmodel"), context, err);
        for (size_t f = 0; ok && f < p->n_weights; f++) {
            const char *name = arena_cstr(&scratch, p->weights[f].name);
            ok = visit(b, &p->weights[f].map, path_join(&scratch, weights, name), context, err);
        }
    }
    arena_free(&scratch);
    return ok;
}

static bool visit_stamp(const Bundle *b, const FileMap *map, const char *path, void *context,
                        Err *err) {
    (void)b, (void)context;
    return stamp_holds(&map->stamp, path, err);
}

static const ChainFile *find_listed(const Bundle *b, const char *path) {
    Str within = str_of(path + strlen(b->dir) + 1);
    const Chain *c = &b->chain;
    if (str_eq(c->host.path, within)) return &c->host;
    for (size_t s = 0; s < c->n_shards; s++)
        for (size_t f = 0; f < c->shards[s].n_files; f++)
            if (str_eq(c->shards[s].files[f].path, within)) return &c->shards[s].files[f];
    return NULL;
}

typedef struct {
    const Progress *progress;
    uint64_t done, total;
} Hashing;

static bool visit_bytes(const Bundle *b, const FileMap *map, const char *path, void *context,
                        Err *err) {
    Hashing *h = context;
    const ChainFile *stated = find_listed(b, path);
    Sha256 found = sha256_bytes(map->at, map->len);
    h->done += map->len;
    progress_report(h->progress, "digests", h->done, h->total);
    if (stated && str_is(stated->sha256, found.hex)) return true;
    return err_set(err, ERR_GATE, "%s: what was read is not the file that chain.json describes",
                   path);
}

bool bundle_holds(const Bundle *b, Err *err) {
    Arena scratch = {0};
    Sha256 now;
    const char *path = path_join(&scratch, b->dir, "chain.json");
    bool ok = sha256_file(&now, path, err) &&
              (strcmp(now.hex, b->chain.sha256.hex) == 0 ||
               err_set(err, ERR_GATE, "%s: it was changed", path)) &&
              visit_mapped(b, visit_stamp, NULL, err);
    arena_free(&scratch);
    return ok;
}

bool bundle_check_mapped(const Bundle *b, const Progress *progress, Err *err) {
    Hashing hashing = {.progress = progress, .total = b->chain.host.n_bytes};
    for (size_t s = 0; s < b->chain.n_shards; s++) hashing.total += b->chain.shards[s].n_bytes;
    return visit_mapped(b, visit_bytes, &hashing, err) && bundle_holds(b, err);
}
