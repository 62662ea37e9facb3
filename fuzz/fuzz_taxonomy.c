/* fuzz_taxonomy.c: any bytes as a taxonomy: opened, and everything in it asked for by every name. */
#define _GNU_SOURCE
#include "data/taxonomy.h"
#include "target.h"

static void look(const taxonomy *t) {
    CHECK(taxonomy_name(t) && taxonomy_about(t));
    for (size_t s = 0; s < taxonomy_sources(t); s++) {
        const char *name = taxonomy_source_name(t, s);
        CHECK(taxonomy_find(t, name) == s && taxonomy_source_kind(t, s) && taxonomy_source_note(t, s));
        for (size_t i = 0; i < taxonomy_aliases(t, s); i++) {
            CHECK(taxonomy_find(t, taxonomy_alias(t, s, i)) == s);
        }
        char id[300];
        size_t prefix = 0;
        if (snprintf(id, sizeof id, "s_%s", name) < (int)sizeof id) {
            CHECK(taxonomy_find_suffix(t, id, &prefix) != SIZE_MAX && prefix < strlen(id));
        }
        for (size_t a = 0; a < taxonomy_attributes(t); a++) {
            size_t v = taxonomy_of(t, s, a);
            CHECK(v == SIZE_MAX || v < taxonomy_values(t, a));
        }
    }
    for (size_t a = 0; a < taxonomy_attributes(t); a++) {
        CHECK(taxonomy_attribute(t, taxonomy_attribute_name(t, a)) == a && taxonomy_attribute_title(t, a));
        for (size_t v = 0; v < taxonomy_values(t, a); v++) {
            CHECK(taxonomy_value(t, a, taxonomy_value_name(t, a, v)) == v);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    taxonomy *t = NULL;
    char path[32];
    int fd = target_file(data, size, path);
    spoor_status status = taxonomy_open(ctx, path, &t, &err);
    target_refused(status, &err);
    if (status == SPOOR_OK) {
        look(t);
    }
    taxonomy_free(t);
    spoor_context_free(ctx);
    (void)close(fd);
    return 0;
}
