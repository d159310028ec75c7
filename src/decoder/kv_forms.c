#include "decoder/kv_forms.h"

#include "base/arena.h"

static const char *const names[] = {
#define KV_FORM(id, name, doc) [KV_##id] = name,
#include "decoder/kv_forms.def"
};

const char *kv_form_name(KvForm form) {
    return names[form];
}

bool kv_form_named(Str name, KvForm *form, Err *err) {
    StrBuf known = {0};
    bool is_known = false;
    for (int i = 0; i < KV_FORM_COUNT; i++) {
        if (str_is(name, names[i])) {
            *form = (KvForm)i;
            is_known = true;
        }
        strbuf_printf(&known, "%s%s",
                      i == 0                  ? ""
                      : i + 1 < KV_FORM_COUNT ? ", "
                                              : " or ",
                      names[i]);
    }
    if (!is_known) err_set(err, ERR_USAGE, "kv form '%.*s': expected %s", STR_ARG(name), known.at);
    strbuf_free(&known);
    return is_known;
}
