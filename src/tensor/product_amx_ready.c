/* product_amx_ready.c: whether processor and system have AMX; see product_amx.h. For any processor. */
#define _GNU_SOURCE /* syscall */
#include "tensor/product_amx.h"

const amx_config amx_tiles = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

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

static bool find(void) {
    unsigned a, b, c, d, low, high;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) {
        return false;
    }
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    unsigned need = 1u << 22 | 1u << 24 | 1u << 25; /* bfloat16, tiles, 8 bits */
    return (low & (unsigned)TILE_STATE) == (unsigned)TILE_STATE && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
           (d & need) == need && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

bool amx_ready(void) {
    static _Atomic int known; /* 0: not yet; asking costs a guest a visit to its host */
    if (known == 0) {
        known = find() ? 2 : 1;
    }
    return known == 2 && getenv("SPOOR_ISA") == NULL;
}

#else
bool amx_ready(void) { return false; }
#endif
