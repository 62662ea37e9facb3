/* Recordings in memory and labels as numbers: exact samples, crops, limits, failures named; classes and groups. */
#include "train/synthetic.h"
#include "audio/audio.h"
#include "data/cache.h"
#include "data/labels.h"
#include <stdlib.h>

typedef struct fixture {
    spoor_context *ctx;
    char *folder, paths[4][512];
    const char *list[4];
    pool *pool;
    spoor_error err;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = support_context();
    f->folder = support_temporary();
    synthetic_make(f->folder);
    for (int i = 0; i < 4; i++) {
        snprintf(f->paths[i], sizeof f->paths[i], "%s/c%d.wav", f->folder, i);
        f->list[i] = f->paths[i];
    }
    support_ok(pool_new(f->ctx, 2, &f->pool, &f->err), &f->err);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    pool_free(f->pool);
    support_remove(f->folder);
    free(f->folder);
    spoor_context_free(f->ctx);
    free(f);
    return 0;
}

/* The same whether kept or decoded each time. */
static void samples(void **state) {
    fixture *f = *state;
    const size_t limits[] = {1u << 20, 0};
    for (size_t k = 0; k < 2; k++) {
        clip_cache *c;
        support_ok(cache_new(f->ctx, f->list, 4, limits[k], &c, &f->err), &f->err);
        support_ok(cache_fill(c, f->pool, &f->err), &f->err);
        assert_int_equal(cache_kept(c), k == 0 ? 4 : 0);
        assert_int_equal(cache_bytes(c), k == 0 ? 4 * 2 * SYNTHETIC_SAMPLES : 0); /* 16 bits a sample */
        float *whole, *own, part[6000];
        size_t n, m;
        support_ok(audio_load(f->ctx, f->list[1], NULL, &whole, &n, &f->err), &f->err);
        support_ok(cache_whole(c, 1, &own, &m, &f->err), &f->err);
        assert_int_equal(n, SYNTHETIC_SAMPLES);
        assert_int_equal(m, n);
        assert_memory_equal(whole, own, n * sizeof *own);
        support_ok(cache_crop(c, 1, 0, part, 1000, &f->err), &f->err);
        assert_memory_equal(part, whole, 1000 * sizeof *part);
        support_ok(cache_crop(c, 1, 0.999999, part, 1000, &f->err), &f->err); /* the last possible beginning */
        assert_memory_equal(part, whole + n - 1000, 1000 * sizeof *part);
        support_ok(cache_crop(c, 1, 0.25, part, 6000, &f->err), &f->err); /* too short: goes round */
        assert_memory_equal(part, whole + 1000, 3000 * sizeof *part);
        assert_memory_equal(part + 3000, whole, 3000 * sizeof *part);
        support_ok(cache_round(c, 1, 0.5, part, 3000, &f->err), &f->err);
        assert_memory_equal(part, whole + 2000, 2000 * sizeof *part);
        assert_memory_equal(part + 2000, whole, 1000 * sizeof *part);
        ctx_free(f->ctx, whole);
        ctx_free(f->ctx, own);
        cache_free(c);
    }
}

static void failures(void **state) {
    fixture *f = *state;
    clip_cache *c;
    support_ok(io_write_file(f->ctx, f->list[2], "no sound", 8, &f->err), &f->err);
    f->list[0] = "/nowhere.wav";
    support_ok(cache_new(f->ctx, f->list, 4, 1u << 20, &c, &f->err), &f->err);
    assert_int_not_equal(cache_fill(c, f->pool, &f->err), SPOOR_OK);
    assert_non_null(strstr(f->err.message, "2 recordings"));
    assert_non_null(strstr(f->err.message, "/nowhere.wav"));
    float part[10];
    assert_int_not_equal(cache_crop(c, 0, 0, part, 10, &f->err), SPOOR_OK);
    support_ok(cache_crop(c, 1, 0, part, 10, &f->err), &f->err);
    cache_free(c);
}

static void labels(void **state) {
    fixture *f = *state;
    manifest *m;
    char path[600];
    const char *csv = "path,source,vocoder,page\na,s1,,p\nb,s2,v,q\nc,s1,,p\nd,,v,\ne,s3,w,q\n";
    snprintf(path, sizeof path, "%s/l.csv", f->folder);
    support_ok(io_write_file(f->ctx, path, csv, strlen(csv), &f->err), &f->err);
    support_ok(manifest_new(f->ctx, &m, &f->err), &f->err);
    support_ok(manifest_add(m, path, NULL, NULL, 0, &f->err), &f->err);
    const size_t rows[] = {0, 1, 2, 3, 4};
    const char *const columns[] = {"vocoder", "source"}, *const except[] = {"w"};
    const labels_task t = {"maker", columns, 2, except, 1};
    assert_string_equal(labels_text(m, 0, &t), "s1");
    assert_string_equal(labels_text(m, 1, &t), "v");
    assert_string_equal(labels_text(m, 4, &t), "");
    const char **classes;
    size_t n;
    support_ok(labels_classes(f->ctx, m, rows, 5, &t, 1, &classes, &n, &f->err), &f->err);
    assert_int_equal(n, 2);
    assert_string_equal(classes[0], "s1");
    assert_int_equal(labels_find(classes, n, "v"), 1);
    assert_int_equal(labels_find(classes, n, "x"), -1);
    assert_int_equal(labels_find(classes, n, ""), -1);
    ctx_free(f->ctx, classes);
    support_ok(labels_classes(f->ctx, m, rows, 4, &t, 2, &classes, &n, &f->err), &f->err);
    assert_int_equal(n, 2);
    ctx_free(f->ctx, classes);
    assert_int_equal(labels_classes(f->ctx, m, rows, 5, &t, 3, &classes, &n, &f->err), SPOOR_ERR_INPUT);
    int32_t group[5];
    support_ok(labels_groups(f->ctx, m, rows, 5, "page", group, &n, &f->err), &f->err);
    assert_int_equal(n, 2);
    const int32_t want[] = {0, 1, 0, -1, 1};
    assert_memory_equal(group, want, sizeof want);
    support_ok(labels_groups(f->ctx, m, rows, 5, "absent", group, &n, &f->err), &f->err);
    assert_int_equal(n, 0);
    assert_int_equal(group[4], -1);
    manifest_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(samples, setup, teardown),
                                       cmocka_unit_test_setup_teardown(failures, setup, teardown),
                                       cmocka_unit_test_setup_teardown(labels, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
