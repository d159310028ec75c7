// graph.c — changes one line of a program's text.
//
// The text form prints and parses back to the same program (mil.h), so a row names a line, a text
// in it and the text to put there. The parser infers and checks the types of the result.
#include <string.h>

#include "base/size.h"
#include "decoder/ports.h"
#include "mutants/bundle_mutants.h"

typedef struct {
    const BundleMutant *mutant;
    const Contract *contract;
    Arena *arena;
    const CompiledShard *shard;
    const MilFunction *function; // the one at hand, as it was compiled; NULL before the first
    uint32_t n_rows;             // of it
} Editing;

static const MilOp *op_of(const MilFunction *f, Str name) {
    ValueId v = f ? mil_find_value(f, name) : MIL_NO_VALUE;
    uint32_t op = value_is_none(v) ? MIL_NO_OP : mil_value(f, v)->op;
    return op == MIL_NO_OP ? NULL : &f->ops[op];
}

// <value.x>: the operand x of the op that makes the value. Where there is none, it stays as it is and
// is found nowhere.
static Str operand(const Editing *e, Str text) {
    size_t dot = 1;
    while (dot + 2 < text.len && text.at[dot] != '.') dot++;
    const MilOp *op = op_of(e->function, (Str){text.at + 1, dot - 1});
    if (!op) return text;
    const char *name = arena_cstr(e->arena, (Str){text.at + dot + 1, text.len - dot - 2});
    int param = mil_param(op->info, name);
    ValueId v = param < 0 ? MIL_NO_VALUE : mil_operand(e->function, op, param);
    return value_is_none(v) ? text : mil_value(e->function, v)->name;
}

static Str with_operands(const Editing *e, Str text) {
    StrBuf out = {0};
    while (text.len) {
        const char *end = *text.at == '<' ? memchr(text.at, '>', text.len) : NULL;
        Str part = {text.at, end ? (size_t)(end - text.at) + 1 : 1};
        strbuf_add(&out, end ? operand(e, part) : part);
        text = (Str){text.at + part.len, text.len - part.len};
    }
    Str expanded = arena_str(e->arena, strbuf_str(&out));
    strbuf_free(&out);
    return expanded;
}

// `text` with the table's signs replaced.
static Str expand(const Editing *e, const char *text) {
    const Contract *c = e->contract;
    static const char *const first_of[] = {[ACTIVATION_SILU] = "silu",
                                           [ACTIVATION_GELU_TANH] = "gelu",
                                           [ACTIVATION_RELU_SQUARED] = "relu",
                                           [ACTIVATION_XIELU] = "xielu_relu"};
    static const char *const last_of[] = {[ACTIVATION_SILU] = "silu",
                                          [ACTIVATION_GELU_TANH] = "gelu",
                                          [ACTIVATION_RELU_SQUARED] = "relu_squared",
                                          [ACTIVATION_XIELU] = "xielu"};
    const LayerKind *k = contract_layer(c, MUTANT_LAYER < c->n_layers ? MUTANT_LAYER : 0);
    bool is_plain = c->logit_scale == 1 && c->final_softcap == 0;
    const char *of_heads = e->n_rows == 1                ? "attended"
                           : c->n_heads == c->n_kv_heads ? "by_channel"
                                                         : "by_head";
    const char *of_scaled = e->n_rows == 1 ? "q_stacked" : "q";
    const char *stacked = e->n_rows == 1 ? "q_scaled" : "q";
    bool is_first = MUTANT_LAYER == e->shard->range.first_layer;
    const struct {
        char sign[3];
        Str value;
    } signs[] = {
        {"%", arena_printf(e->arena, "layer_%02u_", MUTANT_LAYER)},
        {"^", is_first ? STR("x") : arena_printf(e->arena, "layer_%02u_out", MUTANT_LAYER - 1)},
        {"$L", is_plain ? STR("logits_0") : STR("raw_0")},
        {"$A", str_of(first_of[k->activation])},
        {"$E", str_of(last_of[k->activation])},
        {"$U", k->is_gated ? STR("gated") : STR("down_y")},
        {"$S", k->has_norm_bias ? STR("scaled") : STR("y")},
        {"$K", arena_printf(e->arena, "%u", c->n_kv_heads)},
        {"$G", arena_printf(e->arena, "%u", c->n_heads / c->n_kv_heads)},
        {"$H", arena_printf(e->arena, "%u", c->n_heads)},
        {"$D", arena_printf(e->arena, "%u", c->head_dim)},
        {"$T", arena_printf(e->arena, "%u", e->n_rows)},
        {"$B", arena_printf(e->arena, "layer_%02u_%s", MUTANT_LAYER, of_heads)},
        {"$P", arena_printf(e->arena, "layer_%02u_%s", MUTANT_LAYER, of_scaled)},
        {"$Q", arena_printf(e->arena, "layer_%02u_%s", MUTANT_LAYER, stacked)},
    };
    StrBuf out = {0};
    while (*text) {
        size_t i = 0, n = 0;
        for (; i < COUNT_OF(signs); i++) {
            n = strlen(signs[i].sign);
            if (strncmp(text, signs[i].sign, n) == 0) break;
        }
        if (i < COUNT_OF(signs)) {
            strbuf_add(&out, signs[i].value);
            text += n;
        } else {
            strbuf_add_char(&out, *text++);
        }
    }
    Str expanded = with_operands(e, strbuf_str(&out));
    strbuf_free(&out);
    return expanded;
}

static const char *find_text(Str text, Str wanted) {
    for (size_t i = 0; i + wanted.len <= text.len; i++)
        if (memcmp(text.at + i, wanted.at, wanted.len) == 0) return text.at + i;
    return NULL;
}

// Where `wanted` is in a line; "=*" is all from the equals sign on.
static const char *find(Str text, Str *wanted) {
    bool is_rest = str_is(*wanted, "=*");
    if (is_rest) *wanted = STR("= ");
    const char *at = find_text(text, *wanted);
    if (at && is_rest) *wanted = (Str){at, (size_t)(text.at + text.len - at) - 1};
    return at;
}

// Whether `line` defines the value `name`, or is a statement that begins with it.
static bool is_line_of(Str line, Str name) {
    while (line.len && *line.at == ' ') line = (Str){line.at + 1, line.len - 1};
    return str_starts(line, name) && line.len > name.len &&
           (line.at[name.len] == ':' || line.at[name.len] == '(');
}

// A package's only function is called main; one of layers that takes several rows is prefill, too.
static bool is_wanted(Editing *e, Str function) {
    const MilFunction *f = e->function = mil_find_function(e->shard->program, function);
    ValueId x = mil_find_value(f, STR(INPUT_X));
    bool has_layers = e->shard->range.end_layer > e->shard->range.first_layer;
    unsigned is = has_layers ? IN_DECODE : IN_HEAD;
    e->n_rows = (uint32_t)mil_value(f, x)->type.dims[3];
    if (str_is(function, FUNCTION_HEAD)) is = IN_HEAD;
    if (is == IN_DECODE && e->n_rows > 1)
        is = str_is(function, FUNCTION_PREFILL) ? IN_PREFILL : IN_DECODE | IN_PREFILL;
    return (e->mutant->functions & is) != 0;
}

// One edit in the text of the whole program. `n_found`: lines changed.
static Str apply(Editing *e, Str text, const GraphEdit *edit, size_t *n_found) {
    StrBuf out = {0};
    bool is_in = false;
    while (text.len) {
        const char *newline = memchr(text.at, '\n', text.len);
        Str line = {text.at, newline ? (size_t)(newline - text.at) + 1 : text.len};
        text = (Str){text.at + line.len, text.len - line.len};
        if (str_starts(line, STR("func "))) {
            size_t n = 0;
            while (line.at[5 + n] != '(') n++;
            is_in = is_wanted(e, (Str){line.at + 5, n});
        }
        Str from = expand(e, edit->from), to = expand(e, edit->to);
        // An operand that nothing has stands there as it is in the table.
        bool is_known = to.len == 0 || !memchr(to.at, '<', to.len);
        const char *at =
            is_in && is_known && is_line_of(line, expand(e, edit->line)) ? find(line, &from) : NULL;
        if (!at) {
            strbuf_add(&out, line);
            continue;
        }
        (*n_found)++;
        strbuf_add(&out, (Str){line.at, (size_t)(at - line.at)});
        strbuf_add(&out, to);
        strbuf_add(&out, (Str){at + from.len, (size_t)(line.at + line.len - at) - from.len});
    }
    Str edited = arena_str(e->arena, strbuf_str(&out));
    strbuf_free(&out);
    return edited;
}

// In a package whose caches have this form.
static const GraphEdit *edits_of(const BundleMutant *mutant, KvForm kv) {
    return mutant->edits[0].line ? mutant->edits : mutant->edits_of[kv];
}

static bool has_place(const CompiledShard *shard, const BundleMutant *mutant) {
    const ShardRange *r = &shard->range;
    if (mutant->functions & IN_HEAD) return r->end_logit > r->first_logit && r->first_logit == 0;
    return r->first_layer <= MUTANT_LAYER && MUTANT_LAYER < r->end_layer;
}

bool graph_edit(CompiledShard *shard, const BundleMutant *mutant, const Contract *c, bool *is_put,
                Arena *arena, Err *err) {
    if (!has_place(shard, mutant)) return true;
    *is_put = true;
    Editing e = {.mutant = mutant, .contract = c, .arena = arena, .shard = shard};
    StrBuf printed = {0};
    mil_print(shard->program, &printed);
    Str text = arena_str(arena, strbuf_str(&printed));
    strbuf_free(&printed);
    const GraphEdit *edits = edits_of(mutant, shard->kv);
    for (size_t i = 0; i < MAX_EDITS && edits[i].line; i++) {
        size_t n_found = 0;
        text = apply(&e, text, &edits[i], &n_found);
        if (n_found == 0)
            return err_set(err, ERR_USAGE, "no line '%.*s' with '%s' in the program",
                           STR_ARG(expand(&e, edits[i].line)), edits[i].from);
    }
    MilProgram *program = mil_parse(arena, text, err);
    if (program) shard->program = program;
    return program && mil_validate(program, "mutated shard", err);
}
