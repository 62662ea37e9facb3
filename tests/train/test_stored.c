/* test_stored.c: training features from a store: which stretch of which copy, and what is said when something is
 * missing. */
#include "train/synthetic.h" /* first: a variable of it has a name that is a type later */

#include "train/stored.h"
#include <stdlib.h>

enum { DIM = 4, LONG = 30, SHORT = 5, COPIES = 3 };

typedef struct fixture {
    spoor_context *ctx;
    char *folder;
    recipe *r;
    dataset *d;
    frontend *fe;
    augment *chain;
    pool *pool;
    spoor_error err;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = support_context();
    f->folder = support_temporary();
    synthetic_make(f->folder);
    char path[512];
    snprintf(path, sizeof path, "%s/r.yaml", f->folder);
    const char *const set[] = {"cache.path=feats", "cache.copies=3", "cache.p=0.6", "frontend.n_mels=4"};
    support_ok(recipe_open(f->ctx, path, set, 4, &f->r, &f->err), &f->err);
    support_ok(dataset_new(f->ctx, f->r, &f->d, &f->err), &f->err);
    support_ok(frontend_new(f->ctx, f->r->frontend, &f->fe, &f->err), &f->err);
    assert_int_equal(frontend_dim(f->fe), DIM);
    support_ok(augment_new(f->ctx, f->r->augment, &f->chain, &f->err), &f->err);
    support_ok(pool_new(f->ctx, 3, &f->pool, &f->err), &f->err);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    pool_free(f->pool);
    augment_free(f->chain);
    frontend_free(f->fe);
    dataset_free(f->d);
    recipe_free(f->ctx, f->r);
    support_remove(f->folder);
    free(f->folder);
    spoor_context_free(f->ctx);
    free(f);
    return 0;
}

static size_t frames_of(size_t clip) { return clip % 2 == 0 ? LONG : SHORT; }

/* Row t of a copy of a clip: clip, copy, t, 7. */
static void put(fixture *f, store *s, size_t clip, uint64_t copy) {
    float rows[LONG * DIM];
    char hex[65];
    store_copy c = {.seed = 1, .number = copy};
    store_key key;
    for (size_t t = 0; t < frames_of(clip); t++) {
        const float row[DIM] = {(float)clip, (float)copy, (float)t, 7};
        memcpy(rows + t * DIM, row, sizeof row);
    }
    support_ok(io_sha256_file(f->d->paths[clip], hex, &f->err), &f->err);
    support_ok(store_chain_hash(augment_config(f->chain), c.chain, &f->err), &f->err);
    store_key_make(s, hex, copy > 0 ? &c : NULL, &key);
    support_ok(store_add(s, &key, rows, frames_of(clip), &f->err), &f->err);
}

/* All entries but this one copy of this clip. */
static void make_store(fixture *f, size_t clip, uint64_t copy) {
    char path[512];
    store *s;
    snprintf(path, sizeof path, "%s/feats", f->folder);
    support_ok(store_open(f->ctx, path, f->fe, &(store_options){.writable = true, .half = true}, &s, &f->err), &f->err);
    for (size_t i = 0; i < f->d->n_train; i++) {
        for (uint64_t k = 0; k <= COPIES; k++) {
            if (i != clip || k != copy) {
                put(f, s, i, k);
            }
        }
    }
    support_ok(store_flush(s, &f->err), &f->err);
    store_free(s);
}

static stored *open_it(fixture *f) {
    stored *s;
    support_ok(stored_open(f->ctx, f->r, f->d, f->fe, f->chain, "make it", &s, &f->err), &f->err);
    assert_true(stored_is_half(s));
    return s;
}

static void stretches(void **state) {
    fixture *f = *state;
    make_store(f, SIZE_MAX, 0);
    stored *s = open_it(f);
    support_ok(stored_check(s, f->pool, &f->err), &f->err);
    const struct {
        size_t clip;
        double where;
        size_t n, first;
    } cases[] = {{0, 0, 10, 0},    {0, 0.5, 10, 10}, {0, 0.999999, 10, 20}, {2, 0.3, 30, 9},
                 {2, 0.5, 40, 15}, {1, 0.7, 13, 3},  {3, 0, 5, 0}};
    rng r = rng_make(4, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float out[64 * DIM];
        size_t have = frames_of(cases[i].clip);
        support_ok(stored_clip(s, cases[i].clip, cases[i].where, &r, out, cases[i].n, &f->err), &f->err);
        for (size_t t = 0; t < cases[i].n; t++) {
            const float *row = out + t * DIM;
            assert_true(row[0] == (float)cases[i].clip && row[1] == out[1] && row[3] == 7);
            assert_int_equal((size_t)row[2], (cases[i].first + t) % have);
        }
    }
    stored_free(s);
}

/* Shares of the copies; two numbers are drawn whatever is taken. */
static void copies(void **state) {
    fixture *f = *state;
    make_store(f, SIZE_MAX, 0);
    stored *s = open_it(f);
    support_ok(stored_check(s, f->pool, &f->err), &f->err);
    rng r = rng_make(5, 5);
    size_t seen[COPIES + 1] = {0};
    enum { DRAWS = 20000 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        float out[DIM];
        support_ok(stored_clip(s, 4, 0, &r, out, 1, &f->err), &f->err);
        seen[(size_t)out[1]]++;
        assert_int_equal(r.counter, 2 * (i + 1));
    }
    support_close((double)seen[0] / DRAWS, 0.4, 0.02, "share of the recording as it is");
    for (int k = 1; k <= COPIES; k++) {
        support_close((double)seen[k] / DRAWS, 0.2, 0.02, "share of a copy");
    }
    stored_free(s);
}

static void missing(void **state) {
    fixture *f = *state;
    stored *s;
    assert_int_equal(stored_open(f->ctx, f->r, f->d, f->fe, f->chain, "make it", &s, &f->err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(f->err.message, "there are no features in "));
    assert_non_null(strstr(f->err.message, "make them with: make it"));
    make_store(f, 6, 2);
    s = open_it(f);
    char want[200];
    assert_int_equal(stored_check(s, f->pool, &f->err), SPOOR_ERR_INPUT);
    snprintf(want, sizeof want,
             "1 of %zu features of training clips are missing or damaged in feats (1 of %zu clips); make them "
             "with: make it",
             f->d->n_train * (COPIES + 1), f->d->n_train);
    assert_string_equal(f->err.message, want);
    stored_free(s);
    char wav[512];
    snprintf(wav, sizeof wav, "%s/gone", f->folder);
    assert_int_equal(rename(f->d->paths[2], wav), 0);
    s = open_it(f);
    assert_int_equal(stored_check(s, f->pool, &f->err), SPOOR_ERR_IO);
    stored_free(s);
}

static void no_memory(void **state) {
    fixture *f = *state;
    make_store(f, SIZE_MAX, 0);
    for (size_t fail_at = 1, done = 0; !done; fail_at++) {
        support_failing failing = {0};
        spoor_context *c = support_failing_context(&failing);
        failing.fail_at = fail_at;
        stored *s;
        spoor_status status = stored_open(c, f->r, f->d, f->fe, f->chain, "", &s, &f->err);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        done = status == SPOOR_OK;
        stored_free(s);
        failing.fail_at = 0;
        assert_int_equal(failing.live, 0);
        spoor_context_free(c);
        assert_true(fail_at < 200);
    }
}

int main(void) {
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {CASE(stretches), CASE(copies), CASE(missing), CASE(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
