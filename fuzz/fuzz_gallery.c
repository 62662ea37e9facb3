/* fuzz_gallery.c: any bytes as a gallery of enrolled sources. What is accepted can be compared and changed. */
#define _GNU_SOURCE
#include "openset/gallery.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    gallery *g = NULL;
    spoor_status status = gallery_open_memory(ctx, data, size, "fuzz", &g, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (g != NULL));
    if (g != NULL) {
        double *u = ctx_alloc(ctx, g->dim, 2 * sizeof *u);
        CHECK(u != NULL);
        for (size_t i = 0; i < g->n; i++) {
            CHECK(g->source[i].n >= 1 && g->source[i].n <= VERIFY_MAX_FILES);
            CHECK(verify_unit(NULL, g->source[i].embedding, g->dim, u, &err) == SPOOR_OK);
            verify_centroid(u, 1, g->dim, u + g->dim);
            CHECK(verify_dot(u, u + g->dim, g->dim) <= 1.001);
        }
        ctx_free(ctx, u);
        if (g->n > 0) {
            CHECK(gallery_remove(g, g->source[0].name, &err) == SPOOR_OK);
        }
    }
    gallery_free(g);
    spoor_context_free(ctx);
    return 0;
}
