// infer_stdin — for tests/oracle/test_mil_ops.py, and to look at inference by hand.
//
//     infer_stdin < PROGRAMS    programs in text form, each followed by a line "%%"; for each prints
//                               the values of its ops as "name: type", or "error: why", and "%%"
//     infer_stdin --rows        the op table: "op NAME SINCE UNTIL FLAGS", then
//                               "param NAME GROUP FLAGS DTYPES DEFAULT"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mil/mil.h"

static void print_rows(void) {
    for (int i = 0; i < MIL_OP_COUNT; i++) {
        const MilOpInfo *op = mil_op((MilOpcode)i);
        printf("op %s %d %d %u\n", op->name, op->since, op->until, op->flags);
        for (uint32_t p = 0; p < op->n_params; p++) {
            const MilParam *param = &op->params[p];
            printf("param %s %c %u ", param->name, param->group ? param->group : '_', param->flags);
            for (int d = 0; d < MIL_DTYPE_COUNT; d++)
                if (param->dtypes >> d & 1) printf("%s,", mil_dtypes[d].name);
            printf(" %d %.17g %s\n", (int)param->fallback.kind, param->fallback.number,
                   param->fallback.text ? param->fallback.text : "-");
        }
    }
}

static void infer(Str text) {
    Arena arena = {0};
    Err err = {0};
    MilProgram *p = mil_parse(&arena, text, &err);
    if (!p) printf("error: %s\n", err.text);
    for (uint32_t i = 0; p && i < p->n_functions; i++) {
        const MilFunction *f = p->functions[i];
        for (uint32_t v = 0; v < f->n_values; v++) {
            StrBuf type = {0};
            mil_type_print(&f->values[v].type, &type);
            if (f->values[v].op != MIL_NO_OP)
                printf("%.*s: %s\n", STR_ARG(f->values[v].name), type.at);
            strbuf_free(&type);
        }
    }
    puts("%%");
    arena_free(&arena);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--rows") == 0) {
        print_rows();
        return 0;
    }
    StrBuf text = {0};
    char line[65536];
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "%%\n") != 0) {
            strbuf_add(&text, str_of(line));
            continue;
        }
        infer(strbuf_str(&text));
        text.len = 0;
    }
    strbuf_free(&text);
    return 0;
}
