// doctor.c — `lathe doctor`: what this machine can do for lathe.
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"

bool command_doctor(int argc, char **argv, Err *err) {
    (void)argv;
    if (argc > 1) return err_set(err, ERR_USAGE, "takes no arguments");
    printf("processors  %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    printf("memory      %.1f GiB\n",
           (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1 << 30));
    return true;
}
