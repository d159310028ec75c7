// run.c — `lathe run`: runs a function of any .mlpackage on the CPU engine, through the public API.
#include <jansson.h>
#include <lathe.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "base/usage.h"
#include "cli/api_error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/run_input.h"

enum { SHOWN_NUMBERS = 8 };

typedef struct {
    const char *path, *function, *arithmetic, *fill;
    TextList inputs, outputs;
    uint32_t n_steps, n_threads;
    bool lists, lists_ops, as_json;
} Arguments;

static const Option option_rows[] = {
    {"--function", OPTION_TEXT, offsetof(Arguments, function), "NAME",
     "which function to run; default: the package's default one"},
    {"--input", OPTION_TEXTS, offsetof(Arguments, inputs), "NAME=VALUE",
     "values of an input: numbers separated by commas (a single one fills every element), zeros, "
     "ones, random:SEED (floats from -1 to 1, integers 0 or 1), or a file with the elements "
     "packed, little-endian, row-major; at most once per input"},
    {"--fill", OPTION_TEXT, offsetof(Arguments, fill), "VALUE",
     "VALUE for every input that has no --input"},
    {"--output", OPTION_TEXTS, offsetof(Arguments, outputs), "NAME=FILE",
     "write an output of the last step to FILE, packed like an input file"},
    {"--steps", OPTION_COUNT, offsetof(Arguments, n_steps), "N",
     "run N times with the same inputs; states keep what a step wrote; default 1"},
    {"--arithmetic", OPTION_TEXT, offsetof(Arguments, arithmetic), "NAME",
     "fp16: round as declared (default); fp32: without rounding; ane: as a model of the Neural "
     "Engine"},
    THREADS_OPTION(Arguments, n_threads),
    {"--list", OPTION_FLAG, offsetof(Arguments, lists), NULL,
     "list functions, inputs, outputs and states with dtype and shape; run nothing"},
    {"--ops", OPTION_FLAG, offsetof(Arguments, lists_ops), NULL,
     "list the ops that the engine can run, one per line; run nothing"},
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL,
     "print the same as JSON, for programs"},
};

const CommandLine run_line = {
    .usage = "lathe run PACKAGE.mlpackage [OPTIONS]",
    .doc = "Runs a function of a Core ML package on the CPU. The package must hold an ML Program; "
           "any converter\nmay have made it. Prints shape, minimum, maximum, mean and first "
           "numbers of each output and state.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"PACKAGE.mlpackage", offsetof(Arguments, path)}},
    .n_positional = 1,
};

// ---- lists

static void print_type(const LathePort *port, StrBuf *out) {
    strbuf_printf(out, "%s", lathe_dtype_name(port->dtype));
    for (size_t i = 0; i < port->rank; i++)
        strbuf_printf(out, "%s%zu", i ? ", " : "[", port->shape[i]);
    if (port->rank) strbuf_add_char(out, ']');
}

static json_t *port_json(const LathePort *port) {
    json_t *shape = json_array();
    for (size_t i = 0; i < port->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)port->shape[i]));
    return json_pack("{s:s, s:s, s:o}", "name", port->name, "dtype", lathe_dtype_name(port->dtype),
                     "shape", shape);
}

static const struct {
    LathePortKind kind;
    const char *one, *many;
} kinds[] = {{LATHE_INPUT, "input", "inputs"},
             {LATHE_OUTPUT, "output", "outputs"},
             {LATHE_STATE, "state", "states"}};

static void print_json(json_t *value) {
    char *text = json_dumps(value, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    puts(text);
    free(text);
    json_decref(value);
}

static json_t *function_json(const LathePackage *p, const char *function) {
    json_t *all = json_pack("{s:s}", "name", function);
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        json_t *ports = json_array();
        const LathePort *port;
        for (size_t i = 0; (port = lathe_package_port(p, function, kinds[k].kind, i)); i++)
            json_array_append_new(ports, port_json(port));
        json_object_set_new(all, kinds[k].many, ports);
    }
    return all;
}

static void list_json(const LathePackage *p) {
    json_t *functions = json_array();
    for (size_t i = 0; lathe_package_function(p, i); i++)
        json_array_append_new(functions, function_json(p, lathe_package_function(p, i)));
    print_json(
        json_pack("{s:s, s:o}", "default", lathe_package_default(p), "functions", functions));
}

static void list_text(const LathePackage *p) {
    const char *function;
    for (size_t i = 0; (function = lathe_package_function(p, i)); i++) {
        bool is_default = strcmp(function, lathe_package_default(p)) == 0;
        printf("function %s%s\n", function, is_default ? " (default)" : "");
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            const LathePort *port;
            for (size_t n = 0; (port = lathe_package_port(p, function, kinds[k].kind, n)); n++) {
                StrBuf type = {0};
                print_type(port, &type);
                printf("  %-7s %s: %s\n", kinds[k].one, port->name, type.at);
                strbuf_free(&type);
            }
        }
    }
}

static void list_ops(bool as_json) {
    json_t *names = json_array();
    for (size_t i = 0; lathe_engine_op(i); i++)
        if (as_json)
            json_array_append_new(names, json_string(lathe_engine_op(i)));
        else
            puts(lathe_engine_op(i));
    if (as_json)
        print_json(json_pack("{s:o}", "ops", names));
    else
        json_decref(names);
}

// ---- inputs

// The value of `NAME=VALUE` for port `name` in `list`, or NULL.
static const char *value_for(const TextList *list, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->at[i], name, n) == 0 && list->at[i][n] == '=') return list->at[i] + n + 1;
    return NULL;
}

// The port that NAME=… names, or NULL.
static const LathePort *named_port(const LatheFunction *f, LathePortKind kind, const char *text) {
    const LathePort *port;
    for (size_t i = 0; (port = lathe_function_port(f, kind, i)); i++) {
        size_t n = strlen(port->name);
        if (strncmp(text, port->name, n) == 0 && text[n] == '=') return port;
    }
    return NULL;
}

// Every NAME=… must name a port of the function, and each another one.
static bool check_names(const LatheFunction *f, LathePortKind kind, const char *option,
                        const TextList *list, Err *err) {
    for (size_t i = 0; i < list->count; i++) {
        const LathePort *port = named_port(f, kind, list->at[i]);
        for (size_t k = 0; port && k < i; k++)
            if (named_port(f, kind, list->at[k]) == port)
                return err_set(err, ERR_USAGE, "%s %s: '%s' is given twice", option, list->at[i],
                               port->name);
        if (port) continue;
        StrBuf names = {0};
        for (size_t k = 0; (port = lathe_function_port(f, kind, k)); k++)
            strbuf_printf(&names, "%s%s", k ? ", " : "", port->name);
        err_set(err, ERR_USAGE, "%s %s: expected NAME=%s with NAME one of: %s", option, list->at[i],
                kind == LATHE_INPUT ? "VALUE" : "FILE", names.len ? names.at : "(none)");
        strbuf_free(&names);
        return false;
    }
    return true;
}

static bool write_inputs(LatheFunction *f, const Arguments *a, Err *err) {
    const LathePort *port;
    for (size_t i = 0; (port = lathe_function_port(f, LATHE_INPUT, i)); i++) {
        const char *value = value_for(&a->inputs, port->name);
        if (!value) value = a->fill;
        if (!value)
            return err_set(err, ERR_USAGE,
                           "input '%s' has no value; give --input %s=VALUE, or --fill zeros for "
                           "all inputs (--list lists them)",
                           port->name, port->name);
        if (!run_write_input(f, i, value, err)) return false;
    }
    return true;
}

// ---- results

typedef struct {
    double least, greatest, mean; // of the finite ones; NaN without any
    size_t n_not_finite;
} Summary;

static Summary summarize(const double *numbers, size_t n) {
    Summary s = {NAN, NAN, NAN, 0};
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(numbers[i])) {
            s.n_not_finite++;
            continue;
        }
        s.least = fmin(s.least, numbers[i]);
        s.greatest = fmax(s.greatest, numbers[i]);
        sum += numbers[i];
    }
    if (n > s.n_not_finite) s.mean = sum / (double)(n - s.n_not_finite);
    return s;
}

static json_t *real_or_null(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *numbers_json(const LathePort *port, const double *numbers) {
    Summary s = summarize(numbers, port->n_elements);
    json_t *all = port_json(port), *first = json_array();
    for (size_t i = 0; i < min_size(SHOWN_NUMBERS, port->n_elements); i++)
        json_array_append_new(first, real_or_null(numbers[i]));
    json_object_set_new(all, "min", real_or_null(s.least));
    json_object_set_new(all, "max", real_or_null(s.greatest));
    json_object_set_new(all, "mean", real_or_null(s.mean));
    json_object_set_new(all, "not_finite", json_integer((json_int_t)s.n_not_finite));
    json_object_set_new(all, "first", first);
    return all;
}

static void print_numbers(const char *what, const LathePort *port, const double *numbers) {
    Summary s = summarize(numbers, port->n_elements);
    StrBuf type = {0};
    print_type(port, &type);
    printf("%-7s %s: %s\n        min %.6g  max %.6g  mean %.6g", what, port->name, type.at, s.least,
           s.greatest, s.mean);
    if (s.n_not_finite) printf("  not finite %zu", s.n_not_finite);
    printf("\n        ");
    for (size_t i = 0; i < min_size(SHOWN_NUMBERS, port->n_elements); i++)
        printf("%s%.6g", i ? " " : "", numbers[i]);
    printf("%s\n", port->n_elements > SHOWN_NUMBERS ? " …" : "");
    strbuf_free(&type);
}

// Outputs and states to standard output, or into `json`.
static bool show_results(const LatheFunction *f, json_t *json, Err *err) {
    for (size_t k = 1; k < COUNT_OF(kinds); k++) { // no inputs
        json_t *list = json_array();
        const LathePort *port;
        for (size_t i = 0; (port = lathe_function_port(f, kinds[k].kind, i)); i++) {
            double *numbers = big_alloc(port->n_elements * sizeof *numbers, port->name, err);
            if (!numbers) {
                json_decref(list);
                return false;
            }
            lathe_function_numbers(f, kinds[k].kind, i, numbers);
            if (json)
                json_array_append_new(list, numbers_json(port, numbers));
            else
                print_numbers(kinds[k].one, port, numbers);
            free(numbers);
        }
        if (json) json_object_set(json, kinds[k].many, list);
        json_decref(list);
    }
    return true;
}

static bool write_outputs(const LatheFunction *f, const Arguments *a, Err *err) {
    const LathePort *port;
    for (size_t i = 0; (port = lathe_function_port(f, LATHE_OUTPUT, i)); i++) {
        const char *path = value_for(&a->outputs, port->name);
        if (!path) continue;
        LatheError error;
        void *bytes = big_alloc(port->n_bytes, port->name, err);
        if (!bytes) return false;
        bool ok =
            lathe_function_read(f, i, bytes, port->n_bytes, &error) || err_of_lathe(&error, err);
        ok = ok && file_write(path, bytes, port->n_bytes, err);
        free(bytes);
        if (!ok) return false;
    }
    return true;
}

static bool run_steps(LatheFunction *f, uint32_t n, double *seconds, Err *err) {
    LatheError error;
    double start = now_seconds();
    for (uint32_t i = 0; i < n; i++)
        if (!lathe_function_run(f, &error)) {
            err_of_lathe(&error, err);
            return err_prefix(err, "step %u of %u", i + 1, n);
        }
    *seconds = now_seconds() - start;
    return true;
}

static bool run_function(LatheFunction *f, const char *name, const Arguments *a, Err *err) {
    double seconds = 0;
    if (!check_names(f, LATHE_INPUT, "--input", &a->inputs, err) ||
        !check_names(f, LATHE_OUTPUT, "--output", &a->outputs, err) || !write_inputs(f, a, err) ||
        !run_steps(f, a->n_steps, &seconds, err) || !write_outputs(f, a, err))
        return false;
    double ms = seconds * 1e3 / a->n_steps;
    if (!a->as_json) {
        printf("function %s, %s arithmetic, %u step%s of %.3g ms on the CPU\n", name, a->arithmetic,
               a->n_steps, a->n_steps == 1 ? "" : "s", ms);
        return show_results(f, NULL, err);
    }
    json_t *all = json_pack("{s:s, s:s, s:I, s:f}", "function", name, "arithmetic", a->arithmetic,
                            "steps", (json_int_t)a->n_steps, "ms_a_step", ms);
    bool ok = show_results(f, all, err);
    if (ok)
        print_json(all);
    else
        json_decref(all);
    return ok;
}

static bool read_arithmetic(const char *name, LatheArithmetic *out, Err *err) {
    static const char *const names[] = {[LATHE_ARITHMETIC_FP16] = "fp16",
                                        [LATHE_ARITHMETIC_FP32] = "fp32",
                                        [LATHE_ARITHMETIC_ANE] = "ane"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (LatheArithmetic)i;
            return true;
        }
    return err_set(err, ERR_USAGE, "--arithmetic %s: expected fp16, fp32 or ane", name);
}

static bool open_and_run(LathePackage *p, const Arguments *a, Err *err) {
    LatheArithmetic arithmetic = LATHE_ARITHMETIC_FP16;
    LatheError error;
    if (!read_arithmetic(a->arithmetic, &arithmetic, err)) return false;
    const char *name = a->function ? a->function : lathe_package_default(p);
    LatheFunction *f = lathe_function_open(p, name, arithmetic, &error);
    bool ok = f ? run_function(f, name, a, err) : err_of_lathe(&error, err);
    lathe_function_close(f);
    return ok;
}

bool command_run(int argc, char **argv, Err *err) {
    Arguments a = {.arithmetic = "fp16", .n_steps = 1};
    bool is_done;
    if (!options_read(&run_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    if (a.lists_ops) {
        list_ops(a.as_json);
        return true;
    }
    if (!a.path)
        return err_set(err, ERR_USAGE, "missing PACKAGE.mlpackage\nusage: %s", run_line.usage);
    LatheError error;
    LathePackage *p = lathe_package_open(a.path, a.n_threads, &error);
    if (!p) return err_of_lathe(&error, err);
    bool ok = true;
    if (!a.lists)
        ok = open_and_run(p, &a, err);
    else if (a.as_json)
        list_json(p);
    else
        list_text(p);
    lathe_package_close(p);
    return ok;
}
