// impl.h — what the files of the double share.
#ifndef LATHE_TESTS_APPLE_IMPL_H
#define LATHE_TESTS_APPLE_IMPL_H

#include "double.h"

bool double_shows(DoubleFault fault); // counts a call; whether the fault shows in it
void double_born(void);               // an object of the double
void double_died(void);

#define shows double_shows
#define born  double_born
#define died  double_died

#endif
