/* test_chance.c: figures of guesses against their expectation in closed form, and those that have no spread by hand. */
#include "eval/chance.h"
#include "support/support.h"
#include <math.h>

static spoor_context *ctx;
enum { N = 2000 };
static int32_t truth[N];

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

/* Classes 0..3 with 200, 1200, 500 and 100 items. */
static const double SHARE[4] = {0.1, 0.6, 0.25, 0.05};

static void fill(void) {
    for (size_t i = 0; i < N; i++) {
        truth[i] = i < 200 ? 0 : i < 1400 ? 1 : i < 1900 ? 2 : 3;
    }
}

static void guess(chance_form form, size_t repetitions, uint64_t seed, int64_t human, chance_figure out[CHANCE_FIGURES]) {
    spoor_error err = {0};
    chance_options o = {form, repetitions, seed};
    support_ok(chance_f1(ctx, truth, N, 4, human, 0, &o, out, &err), &err);
}

/* Of guesses with probability q of class k: precision is the class's share s, recall q, F1 = 2 s q / (s + q). */
static void guesses_have_the_expected_f1(void **state) {
    (void)state;
    fill();
    double uniform = 0, macro = 0, prior = 0, synthetic = 0;
    for (size_t k = 0; k < 4; k++) {
        uniform += SHARE[k] * 2 * SHARE[k] * 0.25 / (SHARE[k] + 0.25);
        macro += 0.25 * 2 * SHARE[k] * 0.25 / (SHARE[k] + 0.25);
        prior += SHARE[k] * SHARE[k];
        synthetic += k == 0 ? 0 : SHARE[k] * 2 * SHARE[k] / 3 / (SHARE[k] + 1.0 / 3);
    }
    chance_figure f[CHANCE_FIGURES];
    guess(CHANCE_UNIFORM, 400, 7, 0, f);
    assert_true(fabs(f[CHANCE_WEIGHTED].mean - uniform) < 0.002 && fabs(f[CHANCE_MACRO].mean - macro) < 0.002);
    assert_true(fabs(f[CHANCE_ACCURACY].mean - 0.25) < 0.002);
    /* the accuracy is binomial */
    assert_true(fabs(f[CHANCE_ACCURACY].sd - sqrt(0.25 * 0.75 / N)) < 0.001);
    assert_true(fabs(f[CHANCE_ACCURACY].high - 0.25 - 1.96 * f[CHANCE_ACCURACY].sd) < 0.003);
    assert_true(f[CHANCE_ACCURACY].low < 0.25 - 1.5 * f[CHANCE_ACCURACY].sd);
    guess(CHANCE_SYNTHETIC, 400, 7, 0, f);
    assert_true(fabs(f[CHANCE_WEIGHTED].mean - synthetic) < 0.002);
    assert_true(fabs(f[CHANCE_ACCURACY].mean - 0.9 / 3) < 0.002);
    guess(CHANCE_SYNTHETIC, 400, 7, -1, f); /* no human class: as uniform */
    assert_true(fabs(f[CHANCE_WEIGHTED].mean - uniform) < 0.002);
    guess(CHANCE_PRIOR, 400, 7, 0, f);
    assert_true(fabs(f[CHANCE_WEIGHTED].mean - prior) < 0.002 && fabs(f[CHANCE_ACCURACY].mean - prior) < 0.002);
}

/* Always class 1: its precision is 0.6, its recall 1. */
static void the_majority_by_hand(void **state) {
    (void)state;
    fill();
    chance_figure f[CHANCE_FIGURES];
    guess(CHANCE_MAJORITY, 3, 1, 0, f);
    support_close(f[CHANCE_WEIGHTED].mean, 0.6 * (2 * 0.6 / 1.6), 1e-12, "weighted F1");
    support_close(f[CHANCE_MACRO].mean, 2 * 0.6 / 1.6 / 4, 1e-12, "macro F1");
    support_close(f[CHANCE_ACCURACY].mean, 0.6, 1e-12, "accuracy");
    assert_true(f[CHANCE_WEIGHTED].sd < 1e-12 && f[CHANCE_WEIGHTED].low == f[CHANCE_WEIGHTED].high);
}

static void seeds_and_streams_decide(void **state) {
    (void)state;
    fill();
    chance_figure a[CHANCE_FIGURES], b[CHANCE_FIGURES];
    guess(CHANCE_UNIFORM, 20, 7, 0, a);
    guess(CHANCE_UNIFORM, 20, 7, 0, b);
    assert_memory_equal(a, b, sizeof a);
    guess(CHANCE_UNIFORM, 20, 8, 0, b);
    assert_true(a[0].mean != b[0].mean);
    chance_options o = {CHANCE_UNIFORM, 20, 7};
    spoor_error err = {0};
    support_ok(chance_f1(ctx, truth, N, 4, 0, 1, &o, b, &err), &err);
    assert_true(a[0].mean != b[0].mean);
}

static void eer_of_guesses(void **state) {
    (void)state;
    static unsigned char target[N];
    chance_options o = {CHANCE_UNIFORM, 300, 3};
    chance_figure f;
    spoor_error err = {0};
    for (size_t i = 0; i < N; i++) {
        target[i] = i % 4 == 0;
    }
    support_ok(chance_eer(ctx, target, N, &o, &f, &err), &err);
    assert_true(fabs(f.mean - 0.5) < 0.003 && f.sd > 0.005 && f.sd < 0.03 && f.low < f.mean && f.mean < f.high);
    for (size_t i = 0; i < N; i++) {
        target[i] = 1; /* one side alone has none */
    }
    support_ok(chance_eer(ctx, target, N, &o, &f, &err), &err);
    assert_true(isnan(f.mean) && isnan(f.sd));
    chance_figure g[CHANCE_FIGURES];
    support_ok(chance_f1(ctx, truth, 0, 4, 0, 0, &o, g, &err), &err);
    assert_true(isnan(g[0].mean) && isnan(g[2].high));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_have_the_expected_f1),
        cmocka_unit_test(the_majority_by_hand),
        cmocka_unit_test(seeds_and_streams_decide),
        cmocka_unit_test(eer_of_guesses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
