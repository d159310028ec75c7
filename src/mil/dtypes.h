// dtypes.h — sets of dtypes that parameters of ops accept. Internal to mil/.
#ifndef LATHE_MIL_DTYPES_H
#define LATHE_MIL_DTYPES_H

#include "mil/mil.h"

#define D_ONE(name) (1u << MIL_##name)
#define D_F         (D_ONE(F16) | D_ONE(F32))
#define D_I         D_ONE(I32)
#define D_B         D_ONE(BOOL)
#define D_S         D_ONE(STRING)
#define D_FI        (D_F | D_I)
#define D_FIB       (D_FI | D_B)
#define D_IX        (D_ONE(I8) | D_ONE(I16) | D_I)
#define D_ALL7      (D_FI | D_ONE(I8) | D_ONE(I16) | D_ONE(U8) | D_ONE(U16))
#define D_ALL8      (D_ALL7 | D_B)
#define D_INDEX     (D_I | D_ONE(I8) | D_ONE(I16) | D_ONE(U8) | D_ONE(U16))
#define D_SUB8      (D_ONE(I4) | D_ONE(U4) | D_ONE(I8) | D_ONE(U8))
#define D_ANY       (D_ALL8 | D_ONE(U32))

#endif
