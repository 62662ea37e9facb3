/* fuzz_manifest.c: any bytes as a manifest CSV: read, with and without a filter, and every cell looked at. */
#define _GNU_SOURCE
#include "data/manifest.h"
#include "target.h"

static size_t read_rows(const char *path, const manifest_where *where, size_t n_where) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    manifest *m = NULL;
    CHECK(manifest_new(ctx, &m, &err) == SPOOR_OK);
    spoor_status status = manifest_add(m, path, "root", where, n_where, &err);
    target_refused(status, &err);
    size_t rows = manifest_rows(m), columns = manifest_columns(m), sum = 0;
    CHECK(status == SPOOR_OK || rows == 0);
    for (size_t i = 0; i < rows; i++) {
        CHECK(strlen(manifest_id(m, i)) > 0 && strlen(manifest_path(m, i)) <= MANIFEST_MAX_PATH);
        CHECK(manifest_match(m, i, where, n_where));
        for (size_t k = 0; k < columns; k++) {
            sum += strlen(manifest_cell(m, i, k));
        }
        CHECK(manifest_cell(m, i, SIZE_MAX)[0] == '\0');
    }
    for (size_t k = 0; k < columns; k++) {
        CHECK(manifest_column(m, manifest_column_name(m, k)) == k);
    }
    manifest_free(m);
    spoor_context_free(ctx);
    return sum > 0 ? rows : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const values[] = {"dev", ""};
    const manifest_where where = {"split", values, 2};
    char path[32];
    int fd = target_file(data, size, path);
    size_t all = read_rows(path, NULL, 0);
    CHECK(read_rows(path, &where, 1) <= all || all == 0);
    (void)close(fd);
    return 0;
}
