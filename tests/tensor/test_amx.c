/* test_amx.c: products by tiles (product_amx.h) with the instructions replaced by what the processor's manual says they
 * do, so that every machine tests layout and loops; test_weight.c tests the instructions where there are any. */
#include "support/support.h"
#include "tensor/product_amx.h"
#include <string.h>
#if defined(SPOOR_X86)
#include <immintrin.h>

static unsigned char tiles[8][AMX_ROWS][AMX_ROW];

static void emulate_load(int t, const void *base, size_t stride) {
    for (size_t r = 0; r < AMX_ROWS; r++) {
        memcpy(tiles[t][r], (const unsigned char *)base + r * stride, AMX_ROW);
    }
}

static void emulate_store(int t, void *base, size_t stride) {
    for (size_t r = 0; r < AMX_ROWS; r++) {
        memcpy((unsigned char *)base + r * stride, tiles[t][r], AMX_ROW);
    }
}

static float from_bf16(const unsigned char *two) {
    uint32_t bits = (uint32_t)two[0] << 16 | (uint32_t)two[1] << 24;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* sum += the products of four bytes of a row and four of a column */
static void add_bf16(unsigned char *sum, const unsigned char *x, const unsigned char *w) {
    float f;
    memcpy(&f, sum, sizeof f);
    for (int e = 0; e < 4; e += 2) {
        f += from_bf16(x + e) * from_bf16(w + e);
    }
    memcpy(sum, &f, sizeof f);
}

static void add_int8(unsigned char *sum, const unsigned char *x, const unsigned char *w) {
    int32_t v;
    memcpy(&v, sum, sizeof v);
    for (int e = 0; e < 4; e++) {
        v += x[e] * (int8_t)w[e];
    }
    memcpy(sum, &v, sizeof v);
}

static void emulate(int c, int a, int b, void (*add)(unsigned char *, const unsigned char *, const unsigned char *)) {
    for (int i = 0; i < AMX_ROWS; i++) {
        for (int q = 0; q < AMX_ROWS; q++) {
            for (int j = 0; j < AMX_ROWS; j++) {
                add(&tiles[c][i][4 * j], &tiles[a][i][4 * q], &tiles[b][q][4 * j]);
            }
        }
    }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbusd
#define _tile_loadconfig(config) assert_ptr_equal(config, &amx_tiles)
#define _tile_release() (void)0
#define _tile_zero(t) memset(tiles[t], 0, sizeof tiles[t])
#define _tile_loadd(t, base, stride) emulate_load(t, base, (size_t)(stride))
#define _tile_stored(t, base, stride) emulate_store(t, base, (size_t)(stride))
#define _tile_dpbf16ps(c, a, b) emulate(c, a, b, add_bf16)
#define _tile_dpbusd(c, a, b) emulate(c, a, b, add_int8)
#define amx_product emulated_product
void emulated_product(product_kind kind, int64_t first, int64_t m, int64_t n, int64_t k, const void *rows,
                      const void *w, bool add, void *y, int64_t ldy);
#include "tensor/product_amx.c"

static uint32_t next_bits(uint32_t *state) { return *state = *state * 1664525u + 1013904223u; }

/* A number of the kind at `to`: small integers, so that every sum is exact in float. */
static int draw(product_kind kind, bool weight, uint32_t *state, unsigned char *to) {
    int v = (int)(next_bits(state) >> 24) % 15 - (kind == PRODUCT_INT8 && !weight ? 0 : 7);
    if (kind == PRODUCT_INT8) {
        *to = (unsigned char)v;
        return v;
    }
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    to[0] = (unsigned char)(bits >> 16);
    to[1] = (unsigned char)(bits >> 24);
    return v;
}

static void check(product_kind kind, int64_t first, int64_t m, int64_t n, int64_t k, int64_t ldx, int64_t ldy,
                  bool add) {
    size_t bytes = kind == PRODUCT_BF16 ? 2 : 1, count = (size_t)((first + m - 1) * ldx + k);
    uint32_t state = (uint32_t)(m * 31 + n * 7 + k);
    unsigned char *x = malloc(count * bytes), *w = malloc((size_t)(n * k) * bytes);
    int *xi = malloc(count * sizeof *xi), *wi = malloc((size_t)(n * k) * sizeof *wi);
    size_t rows_bytes = amx_rows_bytes(kind, first + m, k), w_bytes = amx_weight_bytes(kind, n, k);
    void *rows = aligned_alloc(AMX_ALIGN, rows_bytes), *laid = aligned_alloc(AMX_ALIGN, w_bytes);
    float *y = malloc((size_t)(m * ldy) * sizeof *y);
    assert_true(x != NULL && w != NULL && xi != NULL && wi != NULL && rows != NULL && laid != NULL && y != NULL);
    for (size_t i = 0; i < count; i++) {
        xi[i] = draw(kind, false, &state, x + i * bytes);
    }
    for (int64_t i = 0; i < n * k; i++) {
        wi[i] = draw(kind, true, &state, w + (size_t)i * bytes);
    }
    for (int64_t i = 0; i < m * ldy; i++) {
        y[i] = 77;
    }
    memset(rows, 0x7f, rows_bytes);
    amx_weight_lay(kind, n, k, w, laid);
    amx_rows_lay(kind, first + m, k, x, ldx, rows);
    emulated_product(kind, first, m, n, k, rows, laid, add, y, ldy);
    for (int64_t i = 0; i < m * ldy; i++) {
        double want = add || i % ldy >= n ? 77 : 0, got = y[i];
        for (int64_t j = 0; i % ldy < n && j < k; j++) {
            want += (double)xi[(first + i / ldy) * ldx + j] * wi[i % ldy * k + j];
        }
        if (kind == PRODUCT_INT8 && i % ldy < n) {
            int32_t sum;
            memcpy(&sum, &y[i], sizeof sum);
            got = sum;
        }
        if (got != want) {
            fail_msg("kind %d, %lld x %lld x %lld: %g instead of %g at row %lld, output %lld", (int)kind, (long long)m,
                     (long long)n, (long long)k, got, want, (long long)(i / ldy), (long long)(i % ldy));
        }
    }
    free(x);
    free(w);
    free(xi);
    free(wi);
    free(rows);
    free(laid);
    free(y);
}

static void test_products(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},   {16, 16, 32},  {17, 33, 65},   {32, 32, 64},   {48, 40, 30},
                                       {31, 64, 7}, {33, 96, 513}, {64, 31, 1030}, {199, 70, 600}, {256, 32, 1100}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        for (int kind = PRODUCT_BF16; kind <= PRODUCT_INT8; kind++) {
            check((product_kind)kind, 0, m, n, k, k, n, false);
            check((product_kind)kind, AMX_ROWS, m, n, k, (k * 2 + 2) / 3, n + 5,
                  false); /* overlapping rows, a gap behind each of y */
        }
        check(PRODUCT_BF16, 3 * AMX_ROWS, m, n, k, k, n, true);
    }
}

#else
static void test_products(void **state) {
    (void)state;
    skip();
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
