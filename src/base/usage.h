// usage.h — what the process has used: time and memory.
#ifndef LATHE_BASE_USAGE_H
#define LATHE_BASE_USAGE_H

double now_seconds(void);           // a clock that only goes forward
double peak_bytes(void);            // of memory this process had resident, mapped files included
double own_bytes(void);             // of it now, mapped files left out: what the system cannot drop
double process_bytes(long process); // the same of another process of this user; 0: not known
double machine_bytes(void);         // of memory that the machine has; 0: not known

#endif
