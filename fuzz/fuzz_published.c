/* fuzz_published.c: a score file of an id and numbers, after one byte that says how many numbers a line has. */
#define _GNU_SOURCE
#include "eval/published.h"
#include "target.h"
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    published_scores p;
    char path[32];
    int fd = target_file(data + 1, size - 1, path);
    spoor_status status = published_read(ctx, path, 1 + data[0] % 6, &p, &err);
    target_refused(status, &err);
    for (size_t i = 0; status == SPOOR_OK && i < p.n; i++) {
        size_t found = published_find(&p, published_id(&p, i));
        CHECK(found < p.n && strcmp(published_id(&p, found), published_id(&p, i)) == 0);
        for (size_t k = 0; k < p.values; k++) {
            CHECK(isfinite(p.value[i * p.values + k]) && p.value[i * p.values + k] == p.value[found * p.values + k]);
        }
    }
    published_clear(&p);
    (void)close(fd);
    spoor_context_free(ctx);
    return 0;
}
