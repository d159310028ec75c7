// fuzz_jinja.c — any text as a chat template: it is refused with a message, or renders to UTF-8
// within the limits.
#include <jansson.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "jinja/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

// A conversation with a bit of everything that templates read.
static json_t *variables(void) {
    static json_t *made; // the same for every run
    if (made) return made;
    made = json_loads("{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"},"
                      " {\"role\": \"user\", \"content\": \"Hi \\u00e9\\u2028 <b>\"},"
                      " {\"role\": \"assistant\", \"content\": null, \"reasoning\": \"hm\","
                      "  \"tool_calls\": [{\"type\": \"function\", \"id\": \"a1\", \"function\":"
                      "  {\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5, true, null]}}}]},"
                      " {\"role\": \"tool\", \"content\": \"ok\", \"tool_call_id\": \"a1\"}],"
                      " \"tools\": [{\"function\": {\"name\": \"f\", \"parameters\": {}}}],"
                      " \"bos_token\": \"<s>\", \"add_generation_prompt\": true, \"n\": -7}",
                      0, NULL);
    check(made != NULL);
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Err err = {0};
    Template *t = template_compile((Str){(const char *)data, size}, &err);
    if (!t) {
        check(err.kind == ERR_FORMAT && err.text[0]);
        return 0;
    }
    StrBuf out = {0};
    if (!template_render(t, variables(), 1790000000, &out, &err))
        check(err.kind == ERR_FORMAT && err.text[0]);
    check(utf8_is_valid(strbuf_str(&out)));
    strbuf_free(&out);
    template_close(t);
    return 0;
}
