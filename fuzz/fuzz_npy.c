/* fuzz_npy.c: any bytes as a NumPy file. */
#define _GNU_SOURCE
#include "eval/npy.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    float *values = NULL;
    size_t rows = 0, cols = 0;
    char path[32];
    int fd = target_file(data, size, path);
    spoor_status status = npy_read_f32(ctx, path, 1 << 20, &values, &rows, &cols, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (values != NULL));
    unsigned char any = 0;
    for (size_t i = 0; status == SPOOR_OK && i < rows * cols * sizeof *values; i++) {
        any |= ((const unsigned char *)values)[i];
    }
    CHECK(status != SPOOR_OK || any == 0 || rows * cols <= size / sizeof *values);
    ctx_free(ctx, values);
    (void)close(fd);
    spoor_context_free(ctx);
    return 0;
}
