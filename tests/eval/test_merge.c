/* test_merge.c: labels that count as one: classes, scores, sources and what becomes known by it. */
#include "eval/merge.h"
#include "eval/report_tables.h"
#include "support/scratch.h"
#include <math.h>
#include <string.h>

static const char *const source_names[] = {"bark", "suno/bark", "vits"}, *const family_names[] = {"tts", "vc"};
static const eval_task tasks[] = {{"source", 3, source_names}, {"family", 2, family_names}};
static const int32_t truth[4][2] = {{0, 0}, {1, 0}, {2, -1}, {-1, 1}};
static const float scores[4][5] = {
    {.3f, .4f, .3f, 1, 0}, {.25f, .25f, .5f, 1, 0}, {.1f, .1f, .8f, NAN, NAN}, {.5f, .5f, 0, 0, 1}};

static eval_set fill(eval_clip clips[5]) {
    static const char *const sources[] = {"bark", "suno/bark", "vits", "bark-small"};
    for (size_t i = 0; i < 4; i++) {
        clips[i] = (eval_clip){.id = "x",
                               .split = "",
                               .page = "",
                               .setting = "",
                               .source = sources[i],
                               .truth = truth[i],
                               .scores = scores[i],
                               .bonafide = NAN,
                               .known = (double)i,
                               .is_bonafide = -1,
                               .is_known = i < 3};
    }
    clips[4] = clips[2]; /* not evaluated */
    clips[4].scores = NULL;
    return (eval_set){.tasks = tasks, .task_count = 2, .clips = clips, .n = 5, .probabilities = true};
}

static void labels_become_one(void **state) {
    (void)state;
    eval_clip clips[5];
    eval_set set = fill(clips);
    const eval_merge_pair pairs[] = {{"suno/bark", "bark"}, {"bark-small", "bark"}};
    eval_merged *m;
    support_ok(eval_merge(ctx, &set, pairs, 2, &m, &err), &err);
    const eval_set *s = eval_merged_set(m);
    assert_true(s->n == 5 && s->tasks[0].classes == 2 && s->tasks[1].classes == 2 && s->probabilities);
    assert_string_equal(s->tasks[0].names[1], "vits");
    assert_true(s->clips[0].truth[0] == 0 && s->clips[1].truth[0] == 0 && s->clips[2].truth[0] == 1);
    assert_true(s->clips[2].truth[1] == -1 && s->clips[3].truth[1] == 1);
    support_close(s->clips[0].scores[0], 0.7, 1e-6, "summed");
    support_close(s->clips[0].scores[1], 0.3, 1e-6, "moved");
    assert_true(s->clips[0].scores[2] == 1 && isnan(s->clips[2].scores[2]) && s->clips[4].scores == NULL);
    assert_string_equal(s->clips[1].source, "bark");
    assert_true(s->clips[3].is_known == 1 && s->clips[3].truth[0] == 0); /* its source is a class now */
    assert_string_equal(s->clips[3].source, "bark");
    eval_merged_free(m);
    set.probabilities = false;
    const eval_merge_pair fresh[] = {{"bark", "any bark"}, {"suno/bark", "any bark"}};
    support_ok(eval_merge(ctx, &set, fresh, 2, &m, &err), &err);
    s = eval_merged_set(m);
    assert_string_equal(s->tasks[0].names[0], "any bark");
    assert_true(s->clips[0].scores[0] == 0.4f && s->clips[3].is_known == 0 && s->clips[3].truth[0] == -1);
    eval_merged_free(m);
    eval_merged_free(NULL);
}

static void what_is_refused(void **state) {
    (void)state;
    eval_clip clips[5];
    eval_set set = fill(clips);
    static const struct {
        eval_merge_pair pairs[2];
        spoor_status status;
        const char *says;
    } cases[] = {
        {{{"bark", "vits"}, {"vits", "x"}}, SPOOR_ERR_USAGE, "name the last at once"},
        {{{"vits", "vits"}, {"bark", "x"}}, SPOOR_ERR_USAGE, "name the last at once"},
        {{{"vits", "a"}, {"vits", "b"}}, SPOOR_ERR_USAGE, "\"vits\" is merged twice"},
        {{{"vits", ""}, {"bark", "b"}}, SPOOR_ERR_USAGE, "have names"},
        {{{"vits", "a"}, {"brak", "b"}}, SPOOR_ERR_INPUT, "is called \"brak\""},
    };
    eval_merged *m;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refused(eval_merge(ctx, &set, cases[i].pairs, 2, &m, &err), cases[i].status, cases[i].says);
        assert_null(m);
    }
    eval_merge_file *file;
    const eval_merge_pair *pairs;
    size_t n;
    write_text("suno/bark,bark\nbark-small,bark\n");
    support_ok(eval_merge_read(ctx, path, &file, &pairs, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_string_equal(pairs[1].from, "bark-small");
    eval_merge_file_free(file);
    write_text("suno/bark,bark\nbark-small\n");
    refused(eval_merge_read(ctx, path, &file, &pairs, &n, &err), SPOOR_ERR_INPUT, "line 2: 1 fields");
    assert_null(file);
}

static void without_memory(void **state) {
    (void)state;
    eval_clip clips[5];
    eval_set set = fill(clips);
    const eval_merge_pair pair = {"suno/bark", "bark"};
    write_text("suno/bark,bark\n");
    spoor_status status = SPOOR_ERR_LIMIT;
    size_t at = 1;
    for (; status != SPOOR_OK && at < 100; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        eval_merged *m = NULL;
        eval_merge_file *file = NULL;
        const eval_merge_pair *pairs;
        size_t n;
        status = eval_merge(weak, &set, &pair, 1, &m, &err);
        if (status == SPOOR_OK) {
            status = eval_merge_read(weak, path, &file, &pairs, &n, &err);
        }
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        eval_merged_free(m);
        eval_merge_file_free(file);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
    assert_true(status == SPOOR_OK && at > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_become_one),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
