/* product_amx_layout.c: what product_amx.h has for any processor: how rows and weights lie in tiles, and whether
 * processor and system have AMX. */
#define _GNU_SOURCE /* syscall */
#include "tensor/product_amx.h"
#include <string.h>

const amx_config amx_tiles = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

/* ---- layout ---- */

static int64_t number_bytes(product_kind kind) { return kind == PRODUCT_BF16 ? 2 : 1; }

size_t amx_weight_bytes(product_kind kind, int64_t n, int64_t k) {
    return (size_t)(amx_up(n, AMX_OUTS) * amx_steps(kind, k) * 2 * AMX_TILE);
}

/* Block of outputs by block, step by step two tiles. */
void amx_weight_lay(product_kind kind, int64_t n, int64_t k, const void *w, void *room) {
    int64_t bytes = number_bytes(kind), steps = amx_steps(kind, k), line = k * bytes;
    memset(room, 0, amx_weight_bytes(kind, n, k));
    for (int64_t o = 0; o < n; o++) {
        const unsigned char *from = (const unsigned char *)w + o * line;
        unsigned char *to =
            (unsigned char *)room + (o / AMX_OUTS * steps * 2 + o % AMX_OUTS / AMX_ROWS) * AMX_TILE + o % AMX_ROWS * 4;
        for (int64_t i = 0; i < line; i += 4) { /* four bytes of a column of the tile */
            memcpy(to + i / AMX_ROW * 2 * AMX_TILE + i % AMX_ROW / 4 * AMX_ROW, from + i,
                   (size_t)(line - i < 4 ? line - i : 4));
        }
    }
}

size_t amx_rows_bytes(product_kind kind, int64_t m, int64_t k) {
    return (size_t)(amx_up(m, AMX_ROWS) * amx_steps(kind, k) * AMX_TILE);
}

void amx_rows_lay(product_kind kind, int64_t m, int64_t k, const void *x, int64_t ldx, void *rows) {
    int64_t bytes = number_bytes(kind), steps = amx_steps(kind, k), line = k * bytes, whole = line / AMX_ROW;
    for (int64_t i = 0; i < amx_up(m, AMX_ROWS) * AMX_ROWS; i++) {
        const unsigned char *from = (const unsigned char *)x + (i < m ? i : 0) * ldx * bytes;
        unsigned char *to = (unsigned char *)rows + i / AMX_ROWS * steps * AMX_TILE + i % AMX_ROWS * AMX_ROW;
        for (int64_t s = 0; s < steps; s++) {
            int64_t size = i >= m ? 0 : s < whole ? AMX_ROW : line - s * AMX_ROW;
            if (size == AMX_ROW) {
                memcpy(to + s * AMX_TILE, from + s * AMX_ROW, AMX_ROW);
            } else {
                memset(to + s * AMX_TILE, 0, AMX_ROW);
                memcpy(to + s * AMX_TILE, from + s * AMX_ROW, (size_t)size);
            }
        }
    }
}

/* ---- whether it is there ---- */

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
