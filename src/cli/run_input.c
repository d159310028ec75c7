// run_input.c — an input's elements from a command line or a file.
#include "cli/run_input.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/half.h"
#include "base/map.h"
#include "cli/api_error.h"

static bool is_whole(LatheDtype dtype) {
    return dtype == LATHE_INT8 || dtype == LATHE_INT32;
}

static void put_element(LatheDtype dtype, double x, uint8_t *at) {
    uint16_t half = half_from_f32((float)x);
    float single = (float)x;
    int32_t whole = is_whole(dtype) ? (int32_t)x : 0;
    switch (dtype) {
    case LATHE_FP16: memcpy(at, &half, sizeof half); break;
    case LATHE_FP32: memcpy(at, &single, sizeof single); break;
    case LATHE_INT8: *at = (uint8_t)whole; break;
    case LATHE_INT32: memcpy(at, &whole, sizeof whole); break;
    }
}

// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static bool fill_random(const LathePort *port, const char *text, uint8_t *bytes, Err *err) {
    char *end;
    errno = 0;
    uint64_t seed = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return err_set(err, ERR_USAGE, "input '%s': random:%s: expected a whole number as the seed",
                       port->name, text);
    for (const char *c = port->name; *c; c++) seed = seed * 31 + (uint8_t)*c; // inputs differ
    for (size_t i = 0; i < port->n_elements; i++) {
        uint64_t bits = next_random(&seed);
        double x =
            is_whole(port->dtype) ? (double)(bits >> 63) : (double)(bits >> 11) * 0x1p-52 - 1;
        put_element(port->dtype, x, bytes + i * lathe_dtype_bytes(port->dtype));
    }
    return true;
}

// Whether `text` is numbers with commas between; counts them.
static bool count_numbers(const char *text, size_t *count) {
    for (*count = 0;; text++) {
        char *end;
        strtod(text, &end);
        if (end == text || (*end && *end != ',')) return false;
        ++*count;
        text = end;
        if (!*text) return true;
    }
}

static bool fill_numbers(const LathePort *port, const char *text, size_t count, uint8_t *bytes,
                         Err *err) {
    if (count != 1 && count != port->n_elements)
        return err_set(err, ERR_USAGE, "input '%s': %zu numbers, expected 1 or %zu", port->name,
                       count, port->n_elements);
    double least = port->dtype == LATHE_INT8 ? INT8_MIN : INT32_MIN, x = 0;
    for (size_t i = 0; i < port->n_elements; i++) {
        if (i < count) {
            char *end;
            x = strtod(text, &end);
            text = end + (*end == ',');
        }
        if (is_whole(port->dtype) && !(x == trunc(x) && x >= least && x <= -least - 1))
            return err_set(err, ERR_USAGE, "input '%s': %g is not a number of %s", port->name, x,
                           lathe_dtype_name(port->dtype));
        put_element(port->dtype, x, bytes + i * lathe_dtype_bytes(port->dtype));
    }
    return true;
}

static bool write_file_to(LatheFunction *f, size_t i, const char *path, Err *err) {
    FileMap map;
    LatheError error;
    if (!map_file(&map, path, err))
        return err_prefix(err, "input '%s'", lathe_function_port(f, LATHE_INPUT, i)->name);
    bool ok = lathe_function_write(f, i, map.at, map.len, &error) || err_of_lathe(&error, err);
    if (!ok) err_prefix(err, "%s", path);
    unmap_file(&map);
    return ok;
}

// The elements in `bytes`, unless `value` names a file: then `*is_file`.
static bool fill(const LathePort *port, const char *value, uint8_t *bytes, bool *is_file,
                 Err *err) {
    static const char random[] = "random:";
    size_t count;
    *is_file = false;
    if (strcmp(value, "zeros") == 0) return true; // as allocated
    if (strcmp(value, "ones") == 0) value = "1";
    if (count_numbers(value, &count)) return fill_numbers(port, value, count, bytes, err);
    if (strncmp(value, random, strlen(random)) == 0)
        return fill_random(port, value + strlen(random), bytes, err);
    *is_file = true;
    return true;
}

bool run_write_input(LatheFunction *f, size_t i, const char *value, Err *err) {
    const LathePort *port = lathe_function_port(f, LATHE_INPUT, i);
    LatheError error;
    bool is_file;
    uint8_t *bytes = big_alloc(port->n_bytes, port->name, err);
    if (!bytes) return false;
    bool ok = fill(port, value, bytes, &is_file, err);
    if (ok && is_file)
        ok = write_file_to(f, i, value, err);
    else if (ok)
        ok = lathe_function_write(f, i, bytes, port->n_bytes, &error) || err_of_lathe(&error, err);
    free(bytes);
    return ok;
}
