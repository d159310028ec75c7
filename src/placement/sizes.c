// sizes.c — bytes of weights that a function reaches, and the length of the weight file, from the
// program's blob references (D26, D27).
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "placement/judge.h"

typedef struct {
    Str file;
    uint64_t offset, n_bytes; // of the record and its data
} Record;

static int compare_records(const void *x, const void *y) {
    const Record *a = x, *b = y;
    int order = str_compare(a->file, b->file);
    return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

// Records are 64 bytes and stand at multiples of 64 (mlpackage/blobs.h).
static size_t collect(Record *out, const MilFunction *f) {
    enum { RECORD_BYTES = 64, ALIGN = 64 };
    size_t n = 0, n_bytes;
    for (uint32_t i = 0; i < f->n_values; i++) {
        const MilValue *v = &f->values[i];
        if (!v->data || !v->data->is_blob || !mil_type_bytes(&v->type, &n_bytes)) continue;
        out[n++] =
            (Record){v->data->file, v->data->offset, RECORD_BYTES + round_up(n_bytes, ALIGN)};
    }
    return n;
}

uint64_t sizes_reached(const MilFunction *f, uint64_t *file_bytes, Arena *arena) {
    Record *records = arena_array(arena, f->n_values + 1, Record);
    size_t n = collect(records, f);
    qsort(records, n, sizeof *records, compare_records);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t end = records[i].offset + records[i].n_bytes;
        if (end > *file_bytes) *file_bytes = end;
        if (i && compare_records(&records[i - 1], &records[i]) == 0) continue;
        sum += records[i].n_bytes;
    }
    return sum;
}

uint32_t sizes_files(const MilProgram *program, Arena *arena) {
    Str *names = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t i = 0; i < program->n_functions; i++)
        for (uint32_t k = 0; k < program->functions[i]->n_values; k++) {
            const MilData *data = program->functions[i]->values[k].data;
            if (!data || !data->is_blob) continue;
            uint32_t at = n; // the last one first: constants of a file follow each other
            while (at > 0 && !str_eq(names[at - 1], data->file)) at--;
            if (at > 0) continue;
            if (n == cap) {
                cap = cap ? 2 * cap : 16;
                Str *bigger = arena_array(arena, cap, Str);
                if (n) memcpy(bigger, names, n * sizeof *bigger);
                names = bigger;
            }
            names[n++] = data->file;
        }
    return n;
}

bool placement_fits_newest(const Placement *placement) {
    int os = placement->target.os;
    uint64_t most = 0;
    for (size_t i = 0; i < placement->n_functions; i++)
        most = max_size(most, placement->functions[i].reach_bytes);
    bool fits_26 = placement->file_bytes < rule_limit(RULE_D26) &&
                   placement->n_files <= rule_limit(RULE_D28),
         fits_27 = most < rule_limit(RULE_D27);
    return os == 0 ? fits_26 && fits_27 : os >= 27 ? fits_27 : fits_26;
}

void judge_sizes(Judge *j, const Placement *placement) {
    if (placement->n_files > rule_limit(RULE_D28))
        judge_find(j, PLACEMENT_NO_OP, RULE_D28, "%u weight files", placement->n_files);
    static const RuleId rules[] = {RULE_D00, RULE_D26, RULE_D27};
    for (size_t r = 0; r < COUNT_OF(rules); r++) {
        // A rule for the unknown system only is for no known one.
        if (rules[r] == RULE_D00 && placement->target.os != 0) continue;
        bool is_by_file = rules[r] == RULE_D26;
        uint64_t newest = is_by_file ? placement->file_bytes : j->out->reach_bytes;
        uint64_t found = placement->target.size_rule == SIZES_NEWEST ? newest : placement->n_bytes;
        if (found < rule_limit(rules[r])) continue;
        judge_find(j, PLACEMENT_NO_OP, rules[r],
                   "%.3f GiB, limit %.3f GiB; %s, which newer measurements count, %.3f GiB",
                   (double)found / (1 << 30), (double)rule_limit(rules[r]) / (1 << 30),
                   is_by_file ? "its largest weight file" : "what this function reaches",
                   (double)newest / (1 << 30));
    }
}
