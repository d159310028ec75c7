// template.h — chat templates: the part of Jinja that model files use, rendered as transformers
// renders it (trim_blocks, lstrip_blocks, loop controls; tojson, raise_exception and strftime_now).
//
// Source of the language: jinja.palletsprojects.com, "Template Designer Documentation"; of the
// environment: transformers, utils/chat_template_utils.py. Templates come with models and are not
// trusted: depth, steps and output are limited. Case changes beyond ASCII cover Latin-1, Greek and
// Cyrillic letters; others pass unchanged.
#ifndef LATHE_JINJA_TEMPLATE_H
#define LATHE_JINJA_TEMPLATE_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    TEMPLATE_MAX_DEPTH = 200,        // nested expressions, statements, macro calls
    TEMPLATE_MAX_OUTPUT = 64 << 20,  // bytes, of the text and of any string on the way to it
    TEMPLATE_MAX_STEPS = 20000000,   // default of TemplateLimits.steps
    TEMPLATE_MAX_MEMORY = 512 << 20, // default of TemplateLimits.memory
};

// What one rendering may use before it fails.
typedef struct {
    uint64_t steps; // nodes evaluated, and comparable work
    size_t memory;  // bytes of values
} TemplateLimits;

typedef struct Template Template;

// JSON text as `variables` for template_render, of any kind of value. All numbers keep their value:
// an integer with more digits than always fit into 64 bits becomes a string that JSON cannot
// contain, TEMPLATE_INTEGER_MARK (not UTF-8) followed by the digits. NULL and `err`, with the line,
// when the text is not JSON.
#define TEMPLATE_INTEGER_MARK '\xff'
json_t *template_read_json(Str text, Err *err);

// Parses `source` (UTF-8). Errors name the line. The template keeps a copy.
Template *template_compile(Str source, Err *err);
void template_close(Template *t); // safe on NULL

// Appends the rendering to `out`. `variables` is a JSON object: messages, add_generation_prompt,
// tools, documents, bos_token and whatever else the template reads; what transformers passes to
// every template (no tools, no documents, no generation prompt) is added where it is missing, and a
// message with reasoning_content, thinking or reasoning gets all three names. `now`, seconds since
// 1970 in UTC, is what strftime_now formats, as the local time of the environment's TZ.
// raise_exception() and all errors give ERR_FORMAT with the line. Only one thread at a time may
// render a template.
bool template_render(const Template *t, const json_t *variables, int64_t now, StrBuf *out,
                     Err *err);

// The same with the caller's limits.
bool template_render_within(const Template *t, const json_t *variables, int64_t now,
                            const TemplateLimits *limits, StrBuf *out, Err *err);

#endif
