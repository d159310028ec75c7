// fuzz_package — any bytes as a package: u32 length of model.mlmodel, the model, then weight.bin.
// Each file that the program names has the same bytes. What is accepted has all constants in memory, prints, parses and encodes to the same program, and
// the engine plans or refuses it and runs what is small.
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "engine/engine.h"
#include "mlpackage/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void expect(bool is_so, const char *what) {
    if (is_so) return;
    fprintf(stderr, "fuzz_package: not so: %s\n", what);
    abort();
}

static void expect_ok(bool ok, const Err *err) {
    if (!ok) expect(false, err->text);
}

static unsigned sum_of(const void *bytes, size_t n) {
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((const uint8_t *)bytes)[i];
    return sum;
}

static unsigned read_constants(const Package *p) {
    unsigned sum = 0;
    for (uint32_t i = 0; i < p->program->n_functions; i++) {
        const MilFunction *f = p->program->functions[i];
        for (uint32_t k = 0; k < f->n_values; k++) {
            const MilValue *v = &f->values[k];
            if (!v->data) continue;
            size_t n = 0;
            const void *data = package_data(p, v, &n);
            sum += sum_of(data, n);
            mil_type_count(&v->type, &n);
            for (size_t s = 0; v->data->strings && s < n; s++)
                sum += sum_of(v->data->strings[s].at, v->data->strings[s].len);
        }
    }
    return sum;
}

static void print(const MilProgram *p, StrBuf *text) {
    text->len = 0;
    mil_print(p, text);
}

static bool give_weights(void *context, WeightFile *file, Err *err) {
    const FileMap *weights = context;
    if (!weights->at) return err_set(err, ERR_FORMAT, "no weights");
    file->map = *weights;
    return true;
}

// The program in text and in bytes, and back.
static void round_trips(const Package *p, FileMap *weights, Arena *arena) {
    StrBuf text = {0}, again = {0}, bytes = {0};
    Err err = {0};
    print(p->program, &text);
    MilProgram *parsed = mil_parse(arena, strbuf_str(&text), &err);
    expect_ok(parsed != NULL, &err);
    print(parsed, &again);
    expect(str_eq(strbuf_str(&text), strbuf_str(&again)), "text round trip");

    StrBuf second = {0};
    model_encode(&(PackageSource){.program = p->program}, &bytes);
    Package read = {.model = {(const uint8_t *)bytes.at, bytes.len}};
    expect_ok(package_decode(&read, arena, give_weights, weights, &err), &err);
    model_encode(&(PackageSource){.program = read.program}, &second);
    expect(bytes.len == second.len, "encoding is stable"); // functions may change places
    strbuf_free(&bytes);
    strbuf_free(&second);
    strbuf_free(&text);
    strbuf_free(&again);
}

// Work a run may take here, in elements of all values.
static bool is_small(const MilFunction *f) {
    enum { MOST = 1 << 16 };
    size_t total = 0;
    for (uint32_t k = 0; k < f->n_values; k++) {
        size_t count = 0;
        if (!mil_type_count(&f->values[k].type, &count) || count > MOST) return false;
        total += count;
    }
    return total <= MOST;
}

static void run(const Package *p, const MilFunction *f) {
    Err err = {0};
    EngineState *state = engine_state_open(p, &err);
    expect_ok(state != NULL, &err);
    Engine *e = engine_open(p, f->name, ARITHMETIC_FP16, NULL, &err);
    if (e) {
        if (!engine_run(e, state, &err)) expect(err.text[0], "a failed run says why");
    } else {
        expect(err.text[0], "a refusal says why");
    }
    engine_close(e);
    engine_state_close(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    Reader r = reader_over(bytes, n);
    size_t n_model = read_u32(&r);
    if (n_model > reader_left(&r)) n_model = reader_left(&r);
    Package p = {.path = (char[]){"fuzz"}};
    p.model = (FileMap){read_bytes(&r, n_model), n_model};
    FileMap weights = {.len = reader_left(&r)};
    if (weights.len) weights.at = read_bytes(&r, weights.len);

    Arena arena = {0};
    Err err = {0};
    if (package_decode(&p, &arena, give_weights, &weights, &err)) {
        volatile unsigned keep = read_constants(&p); // or the reads could be left out
        (void)keep;
        round_trips(&p, &weights, &arena);
        bool small = true;
        for (uint32_t i = 0; i < p.program->n_functions; i++)
            small = small && is_small(p.program->functions[i]);
        for (uint32_t i = 0; small && i < p.program->n_functions; i++)
            run(&p, p.program->functions[i]);
    } else {
        expect(err.kind == ERR_FORMAT && err.text[0], "a refusal says why");
    }
    arena_free(&arena);
    return 0;
}
