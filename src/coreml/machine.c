#include "coreml/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include "coreml/device.h"

#ifdef __APPLE__
static void read_text(const char *name, char *out, size_t size) {
    size_t n = size - 1;
    memset(out, 0, size);
    if (sysctlbyname(name, out, &n, NULL, 0) != 0) out[0] = 0;
}

static void read_system(CoremlMachine *m) {
    char release[48];
    int is_guest = 0;
    size_t n = sizeof is_guest;
    read_text("kern.osproductversion", release, sizeof release);
    snprintf(m->system, sizeof m->system, "macOS %s", release);
    m->os = (uint32_t)strtoul(release, NULL, 10);
    read_text("kern.osversion", m->build, sizeof m->build);
    read_text("machdep.cpu.brand_string", m->chip, sizeof m->chip);
    read_text("hw.model", m->model, sizeof m->model);
    m->is_virtual = sysctlbyname("kern.hv_vmm_present", &is_guest, &n, NULL, 0) == 0 && is_guest;
    m->is_apple = true;
}
#else
static void read_system(CoremlMachine *m) {
    struct utsname u;
    if (uname(&u) != 0) memset(&u, 0, sizeof u);
    snprintf(m->system, sizeof m->system, "%.20s %.40s", u.sysname, u.release);
    snprintf(m->chip, sizeof m->chip, "%.60s", u.machine);
}
#endif

void coreml_machine(CoremlMachine *m) {
    *m = (CoremlMachine){.n_ane_cores = coreml_n_ane_cores()};
    read_system(m);
    coreml_framework_version(m->framework, sizeof m->framework);
}
