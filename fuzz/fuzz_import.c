/* fuzz_import.c: any bytes as a checkpoint; where it looks like AASIST it is converted, and what was written is opened.
 */
#define _GNU_SOURCE
#include "model/import.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char in[32], folder[] = "/tmp/fuzz-import-XXXXXX", out[64];
    spoor_error err = {0};
    weights *w = NULL;
    spoor_model *m = NULL;
    int fd = target_file(data, size, in);
    spoor_context *ctx = target_context();
    spoor_status status = weights_open(ctx, in, &w, &err);
    target_refused(status, &err);
    if (status == SPOOR_OK && import_knows(w)) {
        CHECK(mkdtemp(folder) != NULL);
        (void)snprintf(out, sizeof out, "%s/m", folder);
        import_options o = {.name = "fuzz", .source = "fuzz", .sha256 = "00", .half = size % 2 == 1};
        status = import_save(ctx, w, out, &o, &err);
        target_refused(status, &err);
        if (status == SPOOR_OK) { /* it may hold what no model may, such as NaN */
            target_refused(model_open(ctx, out, NULL, &m, &err), &err);
            spoor_model_free(m);
            CHECK(unlink(out) == 0);
        }
        CHECK(rmdir(folder) == 0);
    }
    weights_free(w);
    spoor_context_free(ctx);
    close(fd);
    return 0;
}
