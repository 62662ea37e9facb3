/* Fine-tuning where memory runs out: a training that ends there says so and keeps no memory, whichever allocation it is. A
 * program of its own: it is as long as all other tests of fine-tuning. */
#include "train/finetune_runs.h"

static void failing_memory(void **state) {
    (void)state;
    const char *const set[] = {"schedule.epochs=1", "mixup.kind=regmixup", "finetune.checkpoint=true", "finetune.accumulate=2",
                               "spec_augment.time_masks=1"};
    failing_memory_is_refused(set, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(failing_memory)};
    return cmocka_run_group_tests(tests, finetune_setup, folder_remove);
}
