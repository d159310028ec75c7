// usage.h — time and memory that the process has used.
#ifndef LATHE_BASE_USAGE_H
#define LATHE_BASE_USAGE_H

double now_seconds(void); // a clock that only goes forward
double peak_bytes(void);  // the most memory this process had resident, mapped files included
double own_bytes(void);   // resident now, without mapped files: memory that the system cannot drop
double process_bytes(long process); // own_bytes() of another process of this user; 0: not known
double machine_bytes(void);         // of memory that the machine has; 0: not known

#endif
