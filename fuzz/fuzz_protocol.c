/* fuzz_protocol.c: a list after one byte that says its format (and whether columns are renamed, files placed by a
 * pattern): read, every cell looked at, and reported on. */
#define _GNU_SOURCE
#include "data/check.h"
#include "target.h"

static size_t look(const manifest *m) {
    size_t sum = 0;
    for (size_t i = 0; i < manifest_rows(m); i++) {
        CHECK(strlen(manifest_id(m, i)) > 0 && strlen(manifest_path(m, i)) <= MANIFEST_MAX_PATH);
        for (size_t k = 0; k < manifest_columns(m); k++) {
            sum += strlen(manifest_cell(m, i, k));
        }
    }
    for (size_t k = 0; k < manifest_columns(m); k++) {
        CHECK(manifest_column(m, manifest_column_name(m, k)) == k);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    size_t formats = 0;
    while (protocol_format_name(formats)) {
        formats++;
    }
    const char *name = protocol_format_name(data[0] % 64 % formats);
    protocol_options how = {.format = name};
    if ((data[0] & 64) != 0) {
        how.files = "x/{id}/{path}.wav";
    }
    if ((data[0] & 128) != 0) {
        how.rename[how.n_renames++] = (protocol_rename){"path", "file"};
        how.split = "dev";
    }
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    manifest *m = NULL;
    char path[32];
    int fd = target_file(data + 1, size - 1, path);
    CHECK(manifest_new(ctx, &m, &err) == SPOOR_OK);
    spoor_status status = manifest_add_list(m, path, "root", &how, NULL, 0, &err);
    target_refused(status, &err);
    CHECK(status == SPOOR_OK || manifest_rows(m) == 0);
    CHECK(look(m) < SIZE_MAX);
    if (manifest_rows(m) > 0) {
        const char *lists[] = {path};
        json_t *report = NULL;
        size_t faults;
        status = check_lists(ctx, m, lists, &(check_options){0}, &report, &faults, &err);
        target_refused(status, &err);
        json_decref(report);
    }
    manifest_free(m);
    spoor_context_free(ctx);
    (void)close(fd);
    return 0;
}
