// host.c — runs a bundle without lathe's runtime, as an app would: it computes embedding rows, rotary tables
// and masks, keeps KV states, and joins shards and slices of the head.
//     cc host.c $(pkg-config --cflags --libs lathe jansson) -lm -o host
//     ./host OUT.lathe 20 IDS… [-o LOGITS]     the 20 likeliest ids after IDS (of `lathe tokenize`)
//
// This program uses lathe.h only to execute functions of packages. On a Mac, Core ML does that:
//     lathe_package_open, lathe_function_open   MLModel of the compiled package, functionName set
//     the states inside of LathePackage         one MLState a package, made from `decode`, given to
//                                               `prefill` too; a new one for a new conversation
//     lathe_function_write, _run, _read         predictionFromFeatures:usingState:options:error: with
//                                               MLMultiArrays; mind the strides of what comes back
//
// docs/chain-schema.md describes chain.json and every port. lathe verify has checked the bundle's numbers, so
// this program does not. It supports layers of one kind, and rotary scaling none, linear, llama3 or longrope.
#define _POSIX_C_SOURCE 200809L
#include <jansson.h>
#include <lathe.h>

#include "host_data.h"

typedef struct {
    LathePackage *package;                  // its states: the KV cache of its layers
    LatheFunction *decode, *prefill, *head; // NULL where it has none
    float residual;                         // x and hidden are the stream divided by it
    size_t first_logit;
} Shard;

typedef struct {
    json_t *chain, *contract;
    size_t d_model, n_vocab, n_pairs, window, context, slots, prefill_rows, n_shards;
    size_t ring;    // slots that positions go round; 0: each has one of its own
    bool is_placed; // rows of a call lie one after another (--kv slice)
    Shard *shards;
    Embedding embedding; // [n_vocab, d_model]
    double *frequencies; // [n_pairs], radians a position
    size_t position;     // tokens in the caches
    float *x, *cosines, *sines, *mask, *write_mask;
} Host;

// ---- chain.json

static json_t *member(const json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);
    if (!value) fail("chain.json has no '%s'", name);
    return value;
}

static double number(const json_t *object, const char *name) {
    return json_number_value(member(object, name));
}

static const char *word(const json_t *object, const char *name) {
    return json_string_value(member(object, name));
}

// Writes an input of `f`; one that it does not have is not written: forms of KV caches differ.
static void put(LatheFunction *f, const char *name, const float *values) {
    LatheError err;
    const LathePort *port;
    for (size_t i = 0; (port = lathe_function_port(f, LATHE_INPUT, i)); i++) {
        if (strcmp(port->name, name) != 0) continue;
        void *elements = memory(port->n_bytes);
        for (size_t k = 0; k < port->n_elements; k++)
            if (port->dtype == LATHE_INT32)
                ((int32_t *)elements)[k] = (int32_t)values[k];
            else
                ((uint16_t *)elements)[k] = half_of(values[k]);
        if (!lathe_function_write(f, i, elements, port->n_bytes, &err)) fail("%s", err.text);
        free(elements);
    }
}

// Output `i` of `f`, times `factor`; returns how many numbers.
static size_t get(LatheFunction *f, size_t i, float factor, float *out) {
    LatheError err;
    const LathePort *port = lathe_function_port(f, LATHE_OUTPUT, i);
    uint16_t *elements = memory(port->n_bytes);
    if (!lathe_function_read(f, i, elements, port->n_bytes, &err)) fail("%s", err.text);
    for (size_t k = 0; k < port->n_elements; k++) out[k] = float_of(elements[k]) * factor;
    free(elements);
    return port->n_elements;
}

// Row of `token`, into column `t` of x [d_model, n_rows].
static void embed(const Host *h, uint32_t token, float *x, size_t t, size_t n_rows) {
    float scale = (float)number(h->contract, "embedding_scale");
    for (size_t i = 0; i < h->d_model; i++)
        x[i * n_rows + t] = embedding_at(&h->embedding, token * h->d_model + i) * scale;
}

// ---- opening

static LatheFunction *open_function(Shard *s, const json_t *shard, const char *role) {
    size_t i;
    json_t *f;
    LatheError err;
    json_array_foreach(member(shard, "functions"), i, f) {
        if (strcmp(word(f, "role"), role) != 0) continue;
        LatheFunction *opened =
            lathe_function_open(s->package, word(f, "name"), LATHE_ARITHMETIC_FP16, &err);
        if (!opened) fail("%s", err.text);
        return opened;
    }
    return NULL;
}

static void open_shards(Host *h, const char *bundle) {
    LatheError err;
    char path[4096];
    json_t *shards = member(h->chain, "shards");
    h->n_shards = json_array_size(shards);
    h->shards = memory(h->n_shards * sizeof *h->shards);
    for (size_t i = 0; i < h->n_shards; i++) {
        const json_t *from = json_array_get(shards, i);
        Shard *s = &h->shards[i];
        snprintf(path, sizeof path, "%s/%s", bundle, word(from, "package"));
        s->package = lathe_package_open(path, 0, &err);
        if (!s->package) fail("%s", err.text);
        s->decode = open_function(s, from, "decode");
        s->prefill = open_function(s, from, "prefill");
        s->head = open_function(s, from, "head");
        s->residual = (float)number(from, "residual_factor");
        s->first_logit = (size_t)json_integer_value(json_array_get(member(from, "logits"), 0));
    }
}

// Radians that each pair turns a position. LongRoPE: one set of divisors for a sequence that stays
// within the original context, another for a longer one; every row of a sequence needs the same set.
static void open_frequencies(Host *h, size_t length) {
    const json_t *c = h->contract, *divisors = NULL;
    const char *scaling = word(c, "rope_scaling");
    const char *set = word(member(member(h->chain, "use"), "rope_factors"), "value");
    double stretch = 1, dim = 2.0 * (double)h->n_pairs;
    bool is_long = strcmp(set, "auto") == 0 ? (double)length > number(c, "original_context")
                                            : strcmp(set, "long") == 0;
    if (strcmp(scaling, "longrope") == 0)
        divisors = member(c, is_long ? "rope_factors_long" : "rope_factors_short");
    else if (strcmp(scaling, "llama3") == 0)
        divisors = member(c, "rope_freq_factors");
    else if (strcmp(scaling, "linear") == 0)
        stretch = number(c, "rope_factor");
    else if (strcmp(scaling, "none") != 0)
        fail("this example does not know rotary scaling '%s'", scaling);
    for (size_t i = 0; i < h->n_pairs; i++) {
        h->frequencies[i] = pow(number(c, "rope_base"), -2.0 * (double)i / dim) / stretch;
        if (divisors)
            h->frequencies[i] /= (double)(float)json_number_value(json_array_get(divisors, i));
    }
}

static Host host_open(const char *bundle, size_t length) {
    char path[4096];
    json_error_t why;
    Host h = {0};
    snprintf(path, sizeof path, "%s/chain.json", bundle);
    h.chain = json_load_file(path, 0, &why);
    if (!h.chain) fail("%s: %s", path, why.text);
    const json_t *c = h.contract = member(h.chain, "contract"),
                 *options = member(h.chain, "options");
    if (json_array_size(member(c, "kind_of_layer"))) fail("this example knows layers of one kind");
    if (strcmp(word(options, "kv"), "rows") == 0) fail("this example knows no --kv rows");
    h.d_model = (size_t)number(c, "d_model");
    h.n_vocab = (size_t)number(c, "n_vocab");
    h.n_pairs = (size_t)number(c, "rope_dim") / 2;
    h.window = (size_t)number(c, "attn_window");
    h.context = (size_t)number(options, "context");
    h.slots = (size_t)number(options, "state_rows");
    h.prefill_rows = (size_t)number(options, "prefill_rows");
    h.is_placed = strcmp(word(options, "kv"), "slice") == 0;
    if (length > h.context) fail("%zu tokens, the context is %zu", length, h.context);
    size_t rows = h.prefill_rows ? h.prefill_rows : 1;
    if (h.window && (double)(h.window + rows) <= number(options, "ring_slots")) {
        h.ring = (size_t)number(options, "ring_slots");
        h.slots = (size_t)number(options, "ring_rows");
    }
    h.x = memory(h.d_model * rows * sizeof(float));
    h.cosines = memory(h.n_pairs * rows * sizeof(float));
    h.sines = memory(h.n_pairs * rows * sizeof(float));
    h.mask = memory(rows * h.slots * sizeof(float));
    h.write_mask = memory(rows * h.slots * sizeof(float));
    h.frequencies = memory(h.n_pairs * sizeof(double));
    snprintf(path, sizeof path, "%s/host.gguf", bundle);
    h.embedding = embedding_open(path);
    open_frequencies(&h, length);
    open_shards(&h, bundle);
    if (h.prefill_rows && h.shards[0].decode && !h.shards[0].prefill)
        fail("this example knows no --functions one");
    return h;
}

static void host_close(Host *h) {
    for (size_t i = 0; i < h->n_shards; i++) {
        lathe_function_close(h->shards[i].decode);
        lathe_function_close(h->shards[i].prefill);
        lathe_function_close(h->shards[i].head);
        lathe_package_close(h->shards[i].package);
    }
    float *const tables[] = {h->x, h->cosines, h->sines, h->mask, h->write_mask};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) free(tables[i]);
    free(h->frequencies);
    free(h->shards);
    json_decref(h->chain);
}

// ---- a step

// Where the row of position `p` lies while rows [position, position + n_rows) are computed. In a ring each
// slot serves many positions; rows of a call that are placed by one index go on behind its last slot.
static size_t slot_of(const Host *h, size_t p, size_t n_rows) {
    bool is_new = p >= h->position && p < h->position + n_rows;
    if (h->ring == 0) return p;
    return is_new && h->is_placed ? h->position % h->ring + p - h->position : p % h->ring;
}

// Tables of rows [position, position + n_rows): cos and sin [n_pairs, n_rows], mask [n_rows, slots] with 0
// where a row sees a slot, write_mask [slots, n_rows] with 1 where a slot takes a row.
static void fill_tables(Host *h, size_t n_rows) {
    double gain = (double)(float)number(h->contract, "attn_factor");
    memset(h->write_mask, 0, h->slots * n_rows * sizeof(float));
    for (size_t t = 0; t < n_rows; t++) {
        size_t self = h->position + t;
        for (size_t i = 0; i < h->n_pairs; i++) {
            h->cosines[i * n_rows + t] = (float)(cos(h->frequencies[i] * (double)self) * gain);
            h->sines[i * n_rows + t] = (float)(sin(h->frequencies[i] * (double)self) * gain);
        }
        for (size_t s = 0; s < h->slots; s++) h->mask[t * h->slots + s] = -1e4f;
        for (size_t p = h->window && self >= h->window ? self + 1 - h->window : 0; p <= self; p++)
            h->mask[t * h->slots + slot_of(h, p, n_rows)] = 0;
        h->write_mask[slot_of(h, self, n_rows) * n_rows + t] = 1;
    }
}

static void run(LatheFunction *f, const float *x, size_t n, float residual) {
    LatheError err;
    float *scaled = memory(n * sizeof(float));
    for (size_t i = 0; i < n; i++) scaled[i] = x[i] / residual;
    put(f, "x", scaled);
    free(scaled);
    if (!lathe_function_run(f, &err)) fail("%s", err.text);
}

// The slice form: where the rows of each layer begin and end in the state of the package.
static void put_indices(const Host *h, LatheFunction *f, float at, float end) {
    float heads = (float)number(h->contract, "n_kv_heads"),
          dims = (float)number(h->contract, "head_dim");
    char name[32];
    for (int l = 0; l < (int)number(h->contract, "n_layers"); l++) {
        snprintf(name, sizeof name, "kv_begin_%02d", l);
        put(f, name, (float[]){2 * (float)l, 0, at, 0});
        snprintf(name, sizeof name, "kv_end_%02d", l);
        put(f, name, (float[]){2 * (float)l + 2, heads, end, dims});
    }
}

// Feeds `n` tokens; the rows after them, of a prefill that is wider, repeat the last one: padding has to
// be real rows. What they write into the caches lies beyond the position and is written again, or behind a
// ring, where no later call looks.
static void feed(Host *h, const uint32_t *tokens, size_t n) {
    size_t n_rows = n == 1 ? 1 : h->prefill_rows;
    for (size_t t = 0; t < n_rows; t++) embed(h, tokens[t < n ? t : n - 1], h->x, t, n_rows);
    fill_tables(h, n_rows);
    for (size_t i = 0; i < h->n_shards; i++) {
        LatheFunction *f = n_rows == 1 ? h->shards[i].decode : h->shards[i].prefill;
        if (!f) continue; // it holds a part of the head alone
        put(f, "cos", h->cosines);
        put(f, "sin", h->sines);
        put(f, "mask", h->mask);
        put(f, "write_mask", h->write_mask);
        put(f, "write_mask_ring", h->write_mask);
        float at = (float)slot_of(h, h->position, n_rows);
        put_indices(h, f, at, at + (float)n_rows);
        run(f, h->x, h->d_model * n_rows, h->shards[i].residual);
        get(f, 0, h->shards[i].residual, h->x);
    }
    for (size_t i = 0; i < h->d_model; i++) h->x[i] = h->x[i * n_rows + n - 1]; // the last token's
    h->position += n;
}

// Logits after the last token: the head's slices one after the other, of whichever packages have one.
static void head(Host *h, float *logits) {
    for (size_t i = 0; i < h->n_shards; i++) {
        Shard *s = &h->shards[i];
        if (!s->head) continue;
        run(s->head, h->x, h->d_model, s->residual);
        size_t at = s->first_logit;
        for (size_t k = 0; lathe_function_port(s->head, LATHE_OUTPUT, k); k++)
            at += get(s->head, k, 1, logits + at);
    }
}

int main(int argc, char **argv) {
    FILE *out = NULL;
    if (argc > 4 && strcmp(argv[argc - 2], "-o") == 0) {
        out = fopen(argv[argc - 1], "wb");
        if (!out) fail("%s cannot be written", argv[argc - 1]);
        argc -= 2;
    }
    if (argc < 4) fail("usage: host OUT.lathe COUNT IDS… [-o LOGITS]");
    size_t n = (size_t)argc - 3, count = strtoul(argv[2], NULL, 10), done = 0;
    Host h = host_open(argv[1], n + count);
    uint32_t *tokens = memory((n + count) * sizeof *tokens);
    float *logits = memory(h.n_vocab * sizeof *logits);
    for (size_t i = 0; i < n; i++) tokens[i] = (uint32_t)strtoul(argv[3 + i], NULL, 10);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] >= h.n_vocab) fail("token %u of %zu", tokens[i], h.n_vocab);
    for (; count; count--) {
        while (done < n) { // a wide call where it fits and is worth it
            size_t now = n - done, width = h.prefill_rows;
            size_t room = h.ring && h.is_placed ? h.ring - h.position % h.ring : width;
            if (now > width) now = width;
            if (now > room) now = room; // later calls look for rows before the end of a ring
            if (now < 4 || h.position + width > h.context) now = 1;
            feed(&h, tokens + done, now);
            done += now;
        }
        head(&h, logits);
        size_t best = 0;
        for (size_t i = 1; i < h.n_vocab; i++)
            if (logits[i] > logits[best]) best = i;
        if (out) fwrite(logits, sizeof *logits, h.n_vocab, out);
        printf("%zu\n", best);
        tokens[n++] = (uint32_t)best;
    }
    if (out && fclose(out) != 0) fail("the logits cannot be written");
    free(tokens);
    free(logits);
    host_close(&h);
    return 0;
}
