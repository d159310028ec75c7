// export_hf.c — `lathe export-hf MODEL.gguf -o DIR`: a model as a folder that transformers loads.
#include <stddef.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/meter.h"
#include "cli/options.h"
#include "cli/settings.h"
#include "huggingface/export.h"

typedef struct {
    const char *path, *out, *dtype;
    uint32_t shard_megabytes;
    SettingOptions settings;
} Arguments;

static const Option option_rows[] = {
    {"-o", OPTION_TEXT, offsetof(Arguments, out), "DIR", "the folder to write; it must not exist"},
    {"--dtype", OPTION_TEXT, offsetof(Arguments, dtype), "f16|bf16|f32",
     "number format of the weights (default: f16); f32 holds exactly what every block type decodes "
     "to"},
    {"--shard-size", OPTION_COUNT, offsetof(Arguments, shard_megabytes), "MB",
     "at most MB million bytes of weights per file (default: 5000)"},
#define SETTING(name, member, argument, doc)                                                       \
    {name, OPTION_TEXTS, offsetof(Arguments, settings.member), argument, doc},
#include "cli/settings.def"
#undef SETTING
};

const CommandLine export_hf_line = {
    .usage = "lathe export-hf MODEL.gguf -o DIR [OPTIONS]",
    .doc = "Writes the model as a folder that transformers loads, and programs that use its files: "
           "config.json,\ngeneration_config.json, tokenizer.json, tokenizer_config.json, "
           "chat_template.jinja, safetensors.\nRefuses by name what the class of transformers "
           "cannot express.",
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"MODEL.gguf", offsetof(Arguments, path)}},
    .n_positional = 1,
    .n_required = 1,
};

bool command_export_hf(int argc, char **argv, Err *err) {
    Arguments a = {.dtype = "f16", .shard_megabytes = 5000};
    bool is_done;
    if (!options_read(&export_hf_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    HfExportJob job = {.model_path = a.path,
                       .out_path = a.out,
                       .shard_bytes = (uint64_t)a.shard_megabytes * 1000000,
                       .settings = settings_given(&a.settings)};
    if (!a.out) return err_set(err, ERR_USAGE, "missing -o DIR");
    if (!hf_float_named(a.dtype, &job.number))
        return err_set(err, ERR_USAGE, "--dtype '%s': expected f16, bf16 or f32", a.dtype);
    Arena arena = {0};
    if (!hub_model_path(&job.model_path, false, &arena, err)) {
        arena_free(&arena);
        return false;
    }
    Meter meter;
    meter_start(&meter);
    Progress progress = meter_progress(&meter);
    bool ok = hf_export(&job, &progress, err);
    meter_stop(&meter);
    arena_free(&arena);
    if (!ok) return false;
    printf("%s\n", a.out);
    return true;
}
