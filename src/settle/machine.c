#include "settle/machine.h"

#include <math.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach/mach.h>
#endif

#include "coreml/device.h"

#ifdef __APPLE__
double machine_wired_bytes(void) {
    vm_statistics64_data_t statistics;
    mach_msg_type_number_t n = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, (host_info64_t)&statistics, &n) !=
        KERN_SUCCESS)
        return (double)NAN;
    return (double)statistics.wire_count * (double)sysconf(_SC_PAGE_SIZE);
}
#else
double machine_wired_bytes(void) {
    return (double)NAN;
}
#endif

void machine_read(SettleMachine *m) {
    *m = (SettleMachine){.has_core_ml = coreml_is_present()};
    coreml_machine(&m->machine);
    m->is_stand_in = m->has_core_ml && !m->machine.is_apple;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    if (pages > 0 && size > 0) m->memory_bytes = (uint64_t)pages * (uint64_t)size;
}
