/* test_leave.c: which sources are left out together, by hand. */
#include "support/support.h"
#include "train/leave.h"

enum { NONE = -1 };

static void choose(const int32_t *value, const unsigned char *may, size_t n, size_t attributes, size_t folds, const int32_t *want) {
    spoor_context *ctx = support_context();
    spoor_error err;
    int32_t fold[16];
    support_ok(leave_choose(ctx, value, may, n, attributes, folds, fold, &err), &err);
    for (size_t i = 0; i < n; i++) {
        if (fold[i] != want[i]) {
            fail_msg("source %zu is left out of training %d, not %d", i, (int)fold[i], (int)want[i]);
        }
    }
    spoor_context_free(ctx);
}

/* Four of one kind and two of another are dealt out in turn; human speech, the only one with its value, and the only one that has
 * value 2 of the second attribute stay. Sources 4 and 7 are alone of their kinds, but others share each value. */
static void dealt(void **state) {
    (void)state;
    static const int32_t value[9 * 2] = {0, 0,  0, 0,  9, 9,  0, 0,  1, 0,  0, 0,  1, 1,  0, 1,  1, 2};
    static const unsigned char may[9] = {1, 1, 0, 1, 1, 1, 1, 1, 1};
    /* kind 00: 0 1 3 5 to trainings 0 1 2 0; kind 10 (4): the smallest is 1 or 2, the first is 1; kind 11 (6): 2; kind 01 (7): all have
     * two: training 0; and 8 stays */
    static const int32_t want[9] = {0, 1, NONE, 2, 1, 0, 2, 0, NONE};
    choose(value, may, 9, 2, 3, want);
}

/* Two sources of a value go into two trainings; into one alone only one of them goes. */
static void never_all(void **state) {
    (void)state;
    static const int32_t value[4] = {0, 0, 1, 1}, two[4] = {0, 1, 0, 1}, one[4] = {0, NONE, 0, NONE};
    static const unsigned char may[4] = {1, 1, 1, 1};
    choose(value, may, 4, 1, 2, two);
    choose(value, may, 4, 1, 1, one);
}

/* Of what nothing is known any may go; what may not be left out still keeps a value in training. */
static void nothing_known(void **state) {
    (void)state;
    static const int32_t value[4] = {NONE, NONE, 3, 3}, want[4] = {0, 1, NONE, 0};
    static const unsigned char may[4] = {1, 1, 0, 1};
    choose(value, may, 4, 1, 2, want);
}

static void memory_runs_out(void **state) {
    (void)state;
    support_failing failing = {.fail_at = 1};
    spoor_context *ctx = support_failing_context(&failing);
    spoor_error err;
    int32_t value[2] = {0, 0}, fold[2];
    unsigned char may[2] = {1, 1};
    assert_int_equal(leave_choose(ctx, value, may, 2, 1, 2, fold, &err), SPOOR_ERR_LIMIT);
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(dealt), cmocka_unit_test(never_all), cmocka_unit_test(nothing_known),
                                       cmocka_unit_test(memory_runs_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
