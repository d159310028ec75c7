#include "cli/hub_model.h"

#include <stdio.h>

#include "cli/interrupt.h"
#include "cli/meter.h"
#include "huggingface/folder.h"

static bool is_wanted(void *context) {
    (void)context;
    return !interrupt_is_noted();
}

bool hub_model_pull(Pulled *pulled, const char *name, const char *base, Arena *arena, Err *err) {
    Meter meter;
    meter_start(&meter);
    Progress progress = meter_progress(&meter);
    progress.goes_on = is_wanted;
    interrupt_catch();
    PullJob job = {.name = name, .base = base, .progress = &progress};
    bool ok = hub_pull(pulled, arena, &job, err);
    meter_stop(&meter);
    interrupt_release();
    return ok;
}

bool hub_model_find(StoredModel *model, const char *text, Arena *arena, Err *err) {
    HubName name;
    StoredModels all;
    Err damaged = {0};
    if (!hub_name_read(&name, text, err)) return false;
    if (!store_list(&all, arena, &damaged)) {
        *err = damaged;
        return false;
    }
    const StoredModel *found = store_find(&all, arena, &name, false, err);
    if (found) *model = *found;
    return found != NULL;
}

bool hub_model_path(const char **path, bool is_offline, Arena *arena, Err *err) {
    if (!*path || !hub_is_name(*path)) return true;
    StoredModel model;
    Err why = {0};
    if (!hub_model_find(&model, *path, arena, &why)) {
        Pulled pulled;
        if (is_offline) *err = why;
        if (is_offline || !hub_model_pull(&pulled, *path, NULL, arena, err)) return false;
        model = pulled.model;
    }
    *path = store_path(arena, &model);
    fprintf(stderr, "[%.*s: %s]\n", STR_ARG(model.name), *path);
    return true;
}

void hub_model_files(ConfigFiles *files, const char *model, Arena *arena) {
    StoredModel m;
    hf_companions(files, model, arena);
    if (has_config_files(files) || !store_of_file(&m, arena, model) || !m.base.len) return;
    *files = (ConfigFiles){
        .config = store_companion_path(arena, &m, COMPANION_config),
        .generation = store_companion_path(arena, &m, COMPANION_generation),
        .tokenizer = store_companion_path(arena, &m, COMPANION_tokenizer),
        .chat_template = store_companion_path(arena, &m, COMPANION_chat_template),
    };
    fputs("[the publisher's files that came with the model count as well:", stderr);
    for (CompanionId c = 0; c < COMPANION_COUNT; c++)
        if (m.has[c]) fprintf(stderr, " %s", companion_name(c));
    fprintf(stderr, ", of %.*s, named by %.*s]\n", STR_ARG(m.base), STR_ARG(m.base_from));
}
