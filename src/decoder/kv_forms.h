// kv_forms.h — the forms of a decoder's KV caches: how new rows are written to them (kv_forms.def).
//
// A cache holds keys or values of one layer, [kv heads, S, dims]: one row per slot, one slot per
// position.
#ifndef LATHE_DECODER_KV_FORMS_H
#define LATHE_DECODER_KV_FORMS_H

#include "base/err.h"
#include "base/str.h"

typedef enum {
#define KV_FORM(id, name, doc) KV_##id,
#include "decoder/kv_forms.def"
    KV_FORM_COUNT
} KvForm; // 0: the default

const char *kv_form_name(KvForm form); // "overwrite"
// The form called `name`; false and `err`, with the known names, when there is none.
bool kv_form_named(Str name, KvForm *form, Err *err);

#endif
