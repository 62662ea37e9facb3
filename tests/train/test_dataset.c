/* test_dataset.c: which class of one task most training clips of each class of another have. */
#include "support/support.h"
#include "train/dataset.h"
#include <stdlib.h>

enum { CLIPS = 12, CLASSES = 5 };

/* Classes 0 .. 4 of `from`: two against one; a tie, of which class 2 has its two first; clips without a label of `own`; one
 * clip; none. Behind the training clips stands a dev clip. */
static int32_t from_label[CLIPS + 1] = {0, 1, 0, 1, -1, 1, 2, 1, 0, 2, 3, -1, 4},
               own_label[CLIPS + 1] = {1, 0, 0, 2, 1, 2, -1, 0, 1, -1, 2, 2, 0};

static void majority(void **state) {
    (void)state;
    static const int32_t want[CLASSES] = {1, 2, -1, 2, -1};
    spoor_error err = {0};
    dataset d = {.ctx = support_context(), .n_train = CLIPS, .n = CLIPS + 1};
    dataset_task from = {.n_classes = CLASSES, .label = from_label}, own = {.n_classes = 3, .label = own_label};
    int32_t of[CLASSES];
    support_ok(dataset_majority(&d, &from, &own, of, &err), &err);
    assert_memory_equal(of, want, sizeof want);
    spoor_context_free(d.ctx);
}

static void memory_runs_out(void **state) {
    (void)state;
    for (size_t at = 1; at <= 3; at++) {
        support_failing failing = {.fail_at = at};
        spoor_error err = {0};
        dataset d = {.ctx = support_failing_context(&failing), .n_train = CLIPS};
        dataset_task from = {.n_classes = CLASSES, .label = from_label}, own = {.n_classes = 3, .label = own_label};
        int32_t of[CLASSES];
        assert_int_equal(dataset_majority(&d, &from, &own, of, &err), SPOOR_ERR_LIMIT);
        assert_int_equal(failing.live, 0);
        free(d.ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(majority), cmocka_unit_test(memory_runs_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
