// machine.h — the machine that Core ML runs on. A result is valid only for this chip, this build of
// the system and this version of the framework.
#ifndef LATHE_COREML_MACHINE_H
#define LATHE_COREML_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    bool is_apple;   // built for macOS; elsewhere a stand-in takes the framework's place
    bool is_virtual; // a virtual machine; its Neural Engine, if it has one, belongs to the host
    size_t n_ane_cores;
    uint32_t os;        // "macOS 27.0.1": 27; 0: not known
    char chip[64];      // "Apple M4 Pro"
    char model[64];     // "Mac16,11"
    char system[64];    // "macOS 27.0.1"
    char build[32];     // of the system: "26A423"
    char framework[64]; // version of Core ML; empty if the framework states none
} CoremlMachine;

void coreml_machine(CoremlMachine *m);

#endif
