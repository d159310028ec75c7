// export.c — the steps that turn a model file into a folder.
#include "huggingface/export.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "huggingface/folder.h"
#include "huggingface/impl.h"
#include "prompt/template_key.h"

typedef struct {
    const HfExportJob *job;
    Arena arena;
    Gguf gguf;
    Model model;
    const HfForm *form;
    const char *out, *dir; // the folder's place, and where it is built
} Export;

static bool open_model(Export *e, Err *err) {
    if (!model_open(&e->gguf, &e->arena, e->job->model_path, err)) return false;
    if (!gguf_apply_settings(&e->gguf, &e->arena, &e->job->settings, err) ||
        !model_read(&e->model, &e->gguf, &e->arena, err))
        return false;
    e->form = hf_form(e->model.contract.architecture);
    return (e->form && e->form->is_written) ||
           err_set(err, ERR_FORMAT,
                   "lathe does not know how config.json states a model of this "
                   "architecture");
}

static bool write_json(const Export *e, json_t *value, const char *name, Err *err) {
    bool ok = value && json_write_file(value, path_join((Arena *)&e->arena, e->dir, name), err);
    json_decref(value);
    return ok;
}

static bool write_tokenizer(Export *e, Err *err) {
    Tokenizer *t = tokenizer_open(&e->gguf, err);
    const Contract *c = &e->model.contract;
    bool ok = t && write_json(e, hf_tokenizer(t, &e->gguf, c, err), "tokenizer.json", err) &&
              write_json(e, hf_tokenizer_config(t, c), "tokenizer_config.json", err);
    tokenizer_close(t);
    return ok;
}

static bool write_template(Export *e, Err *err) {
    Str text;
    Err absent = {0};
    if (!template_find(&e->gguf, false, &text, &absent)) return true; // a model without one
    return file_write(path_join(&e->arena, e->dir, "chat_template.jinja"), text.at, text.len, err);
}

static bool write_folder(Export *e, const Progress *progress, Err *err) {
    const Contract *c = &e->model.contract;
    HfTensors tensors;
    return write_json(e, hf_config(c, e->form, e->job->number, &e->arena, err), "config.json",
                      err) &&
           write_json(e, hf_generation_config(c), "generation_config.json", err) &&
           write_tokenizer(e, err) && write_template(e, err) &&
           hf_list_tensors(&tensors, &e->model, e->form, &e->arena, err) &&
           hf_write_weights(e->dir, &tensors, e->job->number, e->job->shard_bytes, progress,
                            &e->arena, err) &&
           dir_sync(e->dir, err);
}

bool hf_export(const HfExportJob *job, const Progress *progress, Err *err) {
    Export e = {.job = job};
    Str out = str_of(job->out_path);
    while (out.len > 1 && out.at[out.len - 1] == '/') out.len--;
    e.out = arena_cstr(&e.arena, out);
    e.dir = arena_printf(&e.arena, "%s.partial", e.out).at;
    bool ok =
        !path_exists(e.out) ||
        err_set(err, ERR_USAGE, "%s exists; remove it, or give another folder after -o", e.out);
    if (ok && !open_model(&e, err)) ok = err_prefix(err, "%s", job->model_path);
    if (ok) {
        ok = dir_remove_tree(e.dir, err) && dir_make(e.dir, err) &&
             write_folder(&e, progress, err) && dir_replace(e.dir, e.out, err);
        Err ignored = {0};
        if (!ok) dir_remove_tree(e.dir, &ignored);
    }
    gguf_close(&e.gguf);
    arena_free(&e.arena);
    return ok;
}
