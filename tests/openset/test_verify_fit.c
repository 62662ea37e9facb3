/* test_verify_fit.c: the calibration of comparisons on made-up dev sets: which pairs count, how many scores there are, that thresholds
 * hold what they promise, what is refused, no memory. */
#include "base/rng.h"
#include "openset/verify_fit.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 12, MAX = 400 };

static spoor_context *ctx;
static spoor_error err;
static double u[MAX * DIM], known[MAX];
static int32_t source[MAX], page[MAX];
static unsigned char is_known[MAX];
static verify_data d;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

/* `each` recordings of each of n_known + n_unknown sources: a direction of the source and noise, over two pages. */
static void make(size_t n_known, size_t n_unknown, size_t each, double noise, uint64_t seed) {
    rng r = rng_make(seed, 0);
    size_t n = 0;
    for (size_t s = 0; s < n_known + n_unknown; s++) {
        double centre[DIM];
        for (size_t k = 0; k < DIM; k++) {
            centre[k] = rng_normal(&r);
        }
        for (size_t i = 0; i < each; i++, n++) {
            double length = 0;
            for (size_t k = 0; k < DIM; k++) {
                u[n * DIM + k] = centre[k] + noise * rng_normal(&r);
                length += u[n * DIM + k] * u[n * DIM + k];
            }
            for (size_t k = 0; k < DIM; k++) {
                u[n * DIM + k] /= sqrt(length);
            }
            known[n] = NAN;
            source[n] = (int32_t)s;
            page[n] = (int32_t)(i % 2);
            is_known[n] = s < n_known;
        }
    }
    d = (verify_data){u, known, source, page, is_known, n, DIM, n_known + n_unknown};
}

static spoor_status fit(verify *v) {
    verify_init(v);
    memset(&err, 0, sizeof err);
    return verify_fit(ctx, &d, 0.05, 0.5, 1, v, &err);
}

static void refused(spoor_status got, const char *words) {
    if (got != SPOOR_ERR_INPUT || strstr(err.message, words) == NULL) {
        fail_msg("status %d \"%s\" does not say \"%s\"", got, err.message, words);
    }
}

/* Source 0 (known): pages 0, 0, 1: the pairs across are two. Source 1 (unknown): one page, one pair. Others: 3 x 2. */
static void pairs_across_pages_where_there_are_two(void **state) {
    (void)state;
    make(1, 1, 3, 0.5, 1);
    d.n = 5;
    page[0] = page[1] = 0;
    page[2] = 1;
    page[3] = page[4] = 7;
    verify v;
    support_ok(fit(&v), &err);
    assert_true(v.calibrated);
    assert_int_equal(v.pair.targets, 3);
    assert_int_equal(v.pair.others, 6);
    assert_int_equal(v.n_shots, 1); /* by one file alone: then one is left; five draws of that */
    assert_int_equal(v.shot[0].map.targets, 5);
    assert_int_equal(v.shot[0].map.others, 15);
    page[4] = 8; /* two pages: the same pair */
    page[1] = 1; /* now 0-1 and 0-2 are across, 1-2 is not */
    support_ok(fit(&v), &err);
    assert_int_equal(v.pair.targets, 3);
}

static void every_number_of_files_that_leaves_one(void **state) {
    (void)state;
    make(10, 6, 7, 0.5, 2);
    verify v;
    support_ok(fit(&v), &err);
    const size_t files[] = {1, 2, 3, 5};
    assert_int_equal(v.n_shots, 4);
    for (size_t i = 0; i < 4; i++) {
        const verify_shot *s = &v.shot[i];
        assert_int_equal(s->files, files[i]);
        assert_int_equal(s->map.targets, 5 * 6 * (7 - files[i]));
        assert_int_equal(s->map.others, 5 * 6 * 15 * 7);
        assert_true(s->map.informative && s->map.scale > 0);
        for (size_t k = 1; k < v.n_rates; k++) {
            assert_true(s->threshold[k] >= s->threshold[k - 1] && v.rate[k] < v.rate[k - 1]);
        }
    }
    assert_true(v.shot[3].map.scale * 0.9 + v.shot[3].map.offset > 0 && v.shot[3].map.offset < 0);
    json_t *j = verify_to_json(&v), *again; /* what is fitted can be kept */
    verify back;
    support_ok(verify_from_json(j, &back, &err), &err);
    support_ok(fit(&v), &err); /* and is fitted again to the same bits */
    again = verify_to_json(&v);
    assert_true(json_equal(j, again));
    json_decref(j);
    json_decref(again);
}

/* Thresholds are of known recordings alone: with one enrolled source, 5 % of them are at or above it (the draws that it was fitted
 * on are not these: an average over fresh ones). */
static void thresholds_hold_their_rate(void **state) {
    (void)state;
    make(30, 10, 8, 1.0, 3);
    verify v;
    support_ok(fit(&v), &err);
    for (size_t shot = 0; shot < 4; shot++) {
        size_t files = v.shot[shot].files, taken = 0, all = 0;
        for (size_t s = 30; s < 40; s++) {
            for (size_t from = 0; from + files <= 8; from++) {
                double c[DIM];
                verify_centroid(u + (s * 8 + from) * DIM, files, DIM, c);
                for (size_t i = 0; i < 240; i++, all++) {
                    taken += verify_dot(u + i * DIM, c, DIM) >= verify_threshold(&v, false, files, 1);
                }
            }
        }
        support_close((double)taken / (double)all, 0.05, 0.012, "share of known recordings at the threshold");
    }
}

static void what_dev_lacks_is_said(void **state) {
    (void)state;
    verify v;
    make(2, 0, 3, 0.5, 4);
    refused(fit(&v), "no source that the model does not know with two recordings");
    assert_false(v.calibrated);
    make(0, 2, 3, 0.5, 4);
    refused(fit(&v), "no recording of a source that the model knows");
    make(1, 0, 3, 0.5, 4);
    refused(fit(&v), "no two synthetic recordings of different sources");
    make(2, 2, 1, 0.5, 4);
    refused(fit(&v), "no two synthetic recordings of one source");
    d.n = 0;
    refused(fit(&v), "of one source");
    make(2, 2, 3, 0.5, 4);
    assert_int_equal(verify_fit(ctx, &d, 1, 0.5, 1, &v, &err), SPOOR_ERR_USAGE);
    refused(verify_fit(ctx, &d, 0.05, 1, 1, &v, &err), "prior");
}

static void no_memory_at_any_point(void **state) {
    (void)state;
    make(3, 2, 4, 0.5, 5);
    for (size_t at = 1;; at++) {
        support_failing f = {.fail_at = at};
        spoor_context *c = support_failing_context(&f);
        verify v;
        verify_init(&v);
        spoor_status status = verify_fit(c, &d, 0.05, 0.5, 1, &v, &err);
        assert_int_equal(f.live, 0);
        assert_true(v.calibrated == (status == SPOOR_OK));
        spoor_context_free(c);
        if (status == SPOOR_OK) {
            assert_true(at > 8);
            break;
        }
        assert_int_equal(status, SPOOR_ERR_LIMIT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_across_pages_where_there_are_two), cmocka_unit_test(every_number_of_files_that_leaves_one),
        cmocka_unit_test(thresholds_hold_their_rate),             cmocka_unit_test(what_dev_lacks_is_said),
        cmocka_unit_test(no_memory_at_any_point),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
