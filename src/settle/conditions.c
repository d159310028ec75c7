#include "settle/conditions.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"

static void ask_pmset(Run *run, json_t *found, const char *name, const char *what) {
    const char *const arguments[] = {"pmset", "-g", what, NULL};
    const char *out = path_join(&run->arena, run->logs, "conditions.partial");
    Child child = {.arguments = arguments, .log = out, .most_seconds = 10, .stage = "pmset"};
    ChildEnd end;
    FileMap map = {0};
    if (child_run(&child, &end, NULL) && end.code == 0 && map_file(&map, out, NULL))
        json_object_set_new(found, name, json_of_str((Str){(const char *)map.at, map.len}));
    unmap_file(&map);
    unlink(out);
}

json_t *conditions_now(Run *run) {
    json_t *found = json_object();
    double load;
    if (getloadavg(&load, 1) == 1) json_object_set_new(found, "load", json_real(load));
    ask_pmset(run, found, "thermal", "therm");
    ask_pmset(run, found, "supply", "batt");
    return found;
}
