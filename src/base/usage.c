// usage.c — clock and memory of this process, by getrusage(), /proc or Mach.
#include "base/usage.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <libproc.h>
#include <mach/mach.h>
#endif

double now_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double peak_bytes(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    return (double)usage.ru_maxrss; // bytes
#else
    return (double)usage.ru_maxrss * 1024;
#endif
}

double machine_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (double)pages * (double)size : 0;
}

#ifndef __APPLE__
// "RssAnon:     1234 kB", proc(5)
static double read_status(const char *path) {
    FILE *f = fopen(path, "r");
    char line[128];
    double kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %lf", &kib) == 1) break;
    if (f) fclose(f);
    return kib * 1024;
}
#endif

double process_bytes(long process) {
#ifdef __APPLE__
    struct rusage_info_v2 usage;
    int status = proc_pid_rusage((int)process, RUSAGE_INFO_V2, (rusage_info_t *)&usage);
    return status == 0 ? (double)usage.ri_phys_footprint : 0;
#else
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/status", process);
    return read_status(path);
#endif
}

double own_bytes(void) {
#ifdef __APPLE__
    task_vm_info_data_t info;
    mach_msg_type_number_t n = TASK_VM_INFO_COUNT;
    if (task_info(mach_task_self(), TASK_VM_INFO, (task_info_t)&info, &n) != KERN_SUCCESS) return 0;
    return (double)info.phys_footprint;
#else
    return read_status("/proc/self/status");
#endif
}
