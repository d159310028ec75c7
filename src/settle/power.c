#include "settle/power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/size.h"

// The number of milliwatts in a line "NAME: 123 mW".
static bool read_line(Str line, const char *name, double *sum) {
    size_t n = strlen(name);
    char text[64];
    double milliwatts;
    char unit[3];
    if (line.len < n || line.len >= sizeof text || memcmp(line.at, name, n) != 0) return false;
    memcpy(text, line.at, line.len);
    text[line.len] = 0;
    if (sscanf(text + n, " %lf %2s", &milliwatts, unit) != 2 || strcmp(unit, "mW") != 0)
        return false;
    *sum += milliwatts / 1e3;
    return true;
}

static void read_pressure(Power *p, Str line) {
    static const char name[] = "Current pressure level: ";
    if (!str_starts(line, str_of(name))) return;
    Str level = {line.at + sizeof name - 1, line.len - (sizeof name - 1)};
    snprintf(p->pressure, sizeof p->pressure, "%.*s", (int)min_size(level.len, 31), level.at);
}

bool power_read(Power *p, Str text, Err *err) {
    *p = (Power){0};
    size_t n_cpu = 0, n_gpu = 0;
    for (const char *at = text.at, *end = text.at + text.len; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        Str line = {at, (size_t)((stop ? stop : end) - at)};
        n_cpu += read_line(line, "CPU Power:", &p->cpu);
        n_gpu += read_line(line, "GPU Power:", &p->gpu);
        p->n_samples += read_line(line, "ANE Power:", &p->ane);
        read_pressure(p, line);
        at = line.at + line.len + 1;
    }
    if (!p->n_samples || !n_cpu || !n_gpu)
        return err_set(err, ERR_FORMAT,
                       "powermetrics: %zu, %zu and %zu samples of CPU, GPU and Neural Engine, "
                       "expected some of each",
                       n_cpu, n_gpu, p->n_samples);
    p->cpu /= (double)n_cpu;
    p->gpu /= (double)n_gpu;
    p->ane /= (double)p->n_samples;
    return true;
}

bool power_start(ChildProcess *process, const char *out, Err *err) {
    char every[16], samples[16];
    snprintf(every, sizeof every, "%d", POWER_MS);
    snprintf(samples, sizeof samples, "%d", POWER_SAMPLES);
    const char *const arguments[] = {
        "sudo", "-n",  "powermetrics", "--samplers", "cpu_power,gpu_power,ane_power,thermal",
        "-i",   every, "-n",           samples,      NULL};
    Child child = {.arguments = arguments, .log = out, .stage = "powermetrics"};
    return child_start(process, &child, err);
}

bool power_end(Power *p, const ChildEnd *end, const char *out, Err *err) {
    FileMap map = {0};
    if (!map_file(&map, out, err)) return false;
    Str text = {(const char *)map.at, map.len};
    bool ok = end->code == 0 && power_read(p, text, err);
    if (end->code != 0)
        err_set(err, ERR_SYSTEM,
                "sudo -n powermetrics ended with code %d: %.*s; run `sudo -v` first, or leave "
                "--power out",
                end->code, (int)min_size(text.len, 200), text.len ? text.at : "");
    unmap_file(&map);
    return ok;
}
