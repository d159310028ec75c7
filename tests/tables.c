// tables.c — prints the program's tables as JSON, for tests that compare documents and files with
// them: table -> rows, each a list of its name and what else a test asks for.
#include <stdio.h>

#include <jansson.h>

typedef struct {
    const char *table, *name, *second, *third, *fourth;
} Row;

static const Row rows[] = {
#define FIELD(name, type, unit, place, key, bounds, comparison, shape, doc)                        \
    {"fields", #name, #type, doc},
#define LAYER_FIELD(name, type, unit, place, key, bounds, comparison, shape, doc)                  \
    {"fields", #name, #type, doc, "of a kind of layer"},
#include "contract/fields.def"
#undef LAYER_FIELD
#undef FIELD
#define FIGURE(name, doc) {"figures", #name, doc},
#include "range/ranges.def"
#undef FIGURE
#define LANDMARK(name, doc) {"landmarks", #name},
#include "decoder/landmarks.def"
#undef LANDMARK
#define USE(name, type, option, argument, doc) {"use", #name, option},
#include "contract/use.def"
#undef USE
#define FAMILY(...) // only forms are asked for
#define FORM(family, needs, user, user_end, assistant, assistant_end, prompt, system, system_end,  \
             model)                                                                                \
    {"template_forms", model},
#include "gates/template_forms.def"
#undef FORM
#undef FAMILY
#define MUTANT(name, ...)       {"mutants", #name, "contract"},
#define LAYER_MUTANT(name, ...) {"mutants", #name, "contract"},
#include "contract/mutants.def"
#undef LAYER_MUTANT
#undef MUTANT
#define GRAPH(name, ...)    {"mutants", #name, "graph"},
#define GRAPH_KV(name, ...) {"mutants", #name, "graph"},
#define ROWS(name, ...)     {"mutants", #name, "rows"},
#define BYTES(name, ...)    {"mutants", #name, "bytes"},
#define HOST(name, ...)     {"mutants", #name, "host"},
#define HOST_FAR(name, ...) {"mutants", #name, "host"},
#define KEYS(name, ...)     {"mutants", #name, "keys"},
#include "mutants/bundle_mutants.def"
#undef KEYS
#undef HOST_FAR
#undef HOST
#undef BYTES
#undef ROWS
#undef GRAPH_KV
#undef GRAPH
#define COREML_ERROR(id, text, is_silent, means, advice) {"coreml_errors", text, means, advice},
#include "coreml/errors.def"
#undef COREML_ERROR
};

int main(void) {
    json_t *tables = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *table = json_object_get(tables, rows[i].table);
        if (!table) json_object_set_new(tables, rows[i].table, table = json_array());
        json_array_append_new(table, json_pack("[s, s?, s?, s?]", rows[i].name, rows[i].second,
                                               rows[i].third, rows[i].fourth));
    }
    json_dumpf(tables, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(tables);
    return 0;
}
