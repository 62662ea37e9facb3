/* product_amx_ready.c: whether processor and system have AMX; see product_amx.h. For any processor. */
#define _GNU_SOURCE /* syscall */
#include "tensor/product_amx.h"

/* Palette 1; bytes of a row from byte 16 on, two bytes for each tile; rows from byte 48 on. */
const unsigned char amx_tiles[64] = {1,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0,
                                     64, 0, 64, 0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 16, 16, 16, 16, 16, 16, 16, 16};

#if defined(SPOOR_X86) && !defined(SPOOR_DOUBLE) && defined(__linux__)
#include <cpuid.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    REQUEST_PERMISSION = 0x1023, /* arch_prctl: a process must ask before it uses tiles */
    TILE_DATA = 18,
    TILE_STATE = 3 << 17 /* configuration and data, in the mask of what the system saves */
};

bool amx_ready(void) {
    unsigned a, b, c, d, low, high;
    if (getenv("SPOOR_ISA") != NULL || __get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) {
        return false;
    }
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    unsigned need = 1u << 22 | 1u << 24 | 1u << 25; /* bfloat16, tiles, 8 bits */
    return (low & (unsigned)TILE_STATE) == (unsigned)TILE_STATE && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
           (d & need) == need && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

#else
bool amx_ready(void) { return false; }
#endif
