/* What a batch promises: coverage, balance, distinct classes, positives from elsewhere, no state. */
#include "support/support.h"
#include "data/sampler.h"
#include <string.h>

enum { CLIPS = 60, CLASSES = 7, BATCH = 16 };

/* Class c has c clips (class 0 none, class 1 one), the rest belongs to class 6; -1 now and then. */
typedef struct set {
    int32_t label[CLIPS], page[CLIPS], speaker[CLIPS];
    const int32_t *group[2];
    sampler_options o;
} set;

static void make(set *s) {
    memset(s, 0, sizeof *s);
    size_t at = 0;
    for (int32_t c = 1; c < CLASSES; c++) {
        for (int32_t i = 0; i < c && at < CLIPS; i++) {
            s->label[at++] = c;
        }
    }
    while (at < CLIPS) {
        s->label[at] = at % 9 == 0 ? -1 : 6;
        at++;
    }
    for (size_t i = 0; i < CLIPS; i++) {
        s->page[i] = s->label[i] == 6 ? (int32_t)(i % 3) : s->label[i] == 5 ? -1 : 0; /* class 5: page not known */
        s->speaker[i] = s->label[i] == 4 || s->label[i] == 5 ? (int32_t)(i % 2) : 0;
    }
    s->group[0] = s->page;
    s->group[1] = s->speaker;
    s->o = (sampler_options){.kind = SAMPLER_SHUFFLED, .seed = 3, .batch = BATCH, .n_clips = CLIPS, .label = s->label,
                             .n_classes = CLASSES, .n_groups = 2, .group = s->group};
}

static sampler *open_sampler(spoor_context *ctx, const sampler_options *o) {
    sampler *s;
    spoor_error err;
    support_ok(sampler_new(ctx, o, &s, &err), &err);
    return s;
}

static void shuffled(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    set d;
    make(&d);
    sampler *s = open_sampler(ctx, &d.o);
    assert_int_equal(sampler_steps(s), CLIPS / BATCH);
    uint32_t first[BATCH], clip[BATCH];
    int different = 0;
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[CLIPS] = {0};
        for (uint64_t step = 0; step < sampler_steps(s); step++) {
            sampler_batch(s, epoch, step, clip);
            for (size_t i = 0; i < BATCH; i++) {
                assert_true(clip[i] < CLIPS);
                assert_int_equal(seen[clip[i]]++, 0);
            }
            if (step == 0 && epoch == 0) {
                memcpy(first, clip, sizeof first);
            }
            different += step == 0 && epoch > 0 && memcmp(first, clip, sizeof first) != 0;
        }
    }
    assert_int_equal(different, 2);
    sampler_batch(s, 0, 0, clip); /* going back gives the same */
    assert_memory_equal(first, clip, sizeof first);
    sampler_free(s);
    d.o.seed = 4;
    s = open_sampler(ctx, &d.o);
    sampler_batch(s, 0, 0, clip);
    assert_memory_not_equal(first, clip, sizeof first);
    sampler_free(s);
    d.o.batch = 100; /* more than there are: the epoch goes round */
    s = open_sampler(ctx, &d.o);
    uint32_t many[100];
    assert_int_equal(sampler_steps(s), 1);
    sampler_batch(s, 0, 0, many);
    assert_memory_equal(many, many + CLIPS, 40 * sizeof *many);
    sampler_free(s);
    spoor_context_free(ctx);
}

static void balanced(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    set d;
    make(&d);
    d.o.kind = SAMPLER_BALANCED;
    sampler *s = open_sampler(ctx, &d.o);
    int of_class[CLASSES] = {0}, of_clip[CLIPS] = {0};
    uint64_t steps = sampler_steps(s);
    for (uint64_t i = 0; i < 3 * 30; i++) { /* 90 * 16 = 240 rounds of the six classes that have clips */
        uint32_t clip[BATCH];
        sampler_batch(s, i / steps, i % steps, clip);
        for (size_t k = 0; k < BATCH; k++) {
            of_class[d.label[clip[k]]]++;
            of_clip[clip[k]]++;
        }
    }
    assert_int_equal(of_class[0], 0);
    for (int c = 1; c < CLASSES; c++) {
        assert_int_equal(of_class[c], 240);
    }
    for (size_t i = 0; i < CLIPS; i++) { /* classes of 1 .. 5 clips: every clip equally often */
        if (d.label[i] >= 1 && d.label[i] <= 5) {
            assert_int_equal(of_clip[i], 240 / d.label[i]);
        }
        assert_true(d.label[i] >= 0 || of_clip[i] == 0);
    }
    sampler_free(s);
    spoor_context_free(ctx);
}

static void pairs(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    set d;
    make(&d);
    d.o.pairs = 5;
    sampler *s = open_sampler(ctx, &d.o);
    assert_int_equal(sampler_single_classes(s), 1);
    assert_int_equal(sampler_paired_classes(s, 0), 1); /* class 6 has three pages */
    assert_int_equal(sampler_paired_classes(s, 1), 2); /* classes 4 and 5 two speakers */
    assert_int_equal(sampler_paired_classes(s, 2), 2); /* classes 2 and 3 nothing */
    uint32_t again[BATCH], clip[BATCH];
    for (uint64_t step = 0; step < 200; step++) {
        sampler_batch(s, step / 3, step % 3, clip);
        if (step == 7) {
            memcpy(again, clip, sizeof again);
        }
        int seen[CLASSES] = {0};
        for (size_t i = 0; i < 5; i++) {
            uint32_t a = clip[i], p = clip[5 + i];
            int32_t c = d.label[a];
            assert_int_equal(c, d.label[p]);
            assert_true(c >= 2 && seen[c]++ == 0);
            assert_int_not_equal(a, p);
            assert_true(c != 6 || d.page[a] != d.page[p]);
            assert_true((c != 4 && c != 5) || d.speaker[a] != d.speaker[p]);
        }
    }
    sampler_batch(s, 2, 1, clip); /* step 7 again */
    assert_memory_equal(again, clip, sizeof again);
    sampler_free(s);
    spoor_context_free(ctx);
}

/* M clips of each of N classes: distinct, those that differ from the first where there are any. */
static void more_than_pairs(void **state) {
    (void)state;
    enum { N = 3, M = 4 };
    spoor_context *ctx = support_context();
    set d;
    make(&d);
    d.o.pairs = N;
    d.o.per_class = M; /* classes 4, 5 and 6 have as many */
    sampler *s = open_sampler(ctx, &d.o);
    assert_int_equal(sampler_single_classes(s), 3);
    for (uint64_t step = 0; step < 100; step++) {
        uint32_t clip[BATCH];
        sampler_batch(s, step / 3, step % 3, clip);
        int seen[CLASSES] = {0};
        for (size_t i = 0; i < N; i++) {
            assert_true(seen[d.label[clip[i]]]++ == 0 && d.label[clip[i]] >= 4);
            for (size_t k = 1; k < M; k++) {
                assert_int_equal(d.label[clip[k * N + i]], d.label[clip[i]]);
                for (size_t j = 0; j < k; j++) {
                    assert_int_not_equal(clip[k * N + i], clip[j * N + i]);
                }
            }
            assert_true(d.label[clip[i]] != 6 || d.page[clip[i]] != d.page[clip[N + i]]);
        }
    }
    sampler_free(s);
    spoor_error err;
    d.o.pairs = 4;
    assert_int_equal(sampler_new(ctx, &d.o, &s, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "3 classes have 4 clips"));
    d.o.pairs = BATCH / M + 1;
    assert_int_equal(sampler_new(ctx, &d.o, &s, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "do not fit"));
    spoor_context_free(ctx);
}

static void refusals(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err;
    sampler *s;
    set d;
    make(&d);
    d.o.pairs = 6; /* five classes have two clips */
    assert_int_equal(sampler_new(ctx, &d.o, &s, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "5 classes"));
    d.o.pairs = 9;
    assert_int_equal(sampler_new(ctx, &d.o, &s, &err), SPOOR_ERR_USAGE);
    d.o.pairs = 0;
    d.o.n_clips = 0;
    assert_int_equal(sampler_new(ctx, &d.o, &s, &err), SPOOR_ERR_USAGE);
    make(&d);
    d.o.batch = 0;
    assert_int_equal(sampler_new(ctx, &d.o, &s, &err), SPOOR_ERR_USAGE);
    assert_null(s);
    spoor_context_free(ctx);
}

static void failing_memory(void **state) {
    (void)state;
    set d;
    make(&d);
    spoor_status status = SPOOR_ERR_LIMIT;
    for (size_t n = 1; status != SPOOR_OK; n++) {
        assert_true(n < 40);
        support_failing fail = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&fail);
        spoor_error err;
        sampler *s = NULL;
        status = sampler_new(ctx, &d.o, &s, &err);
        sampler_free(s);
        assert_int_equal(fail.live, 0);
        spoor_context_free(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shuffled), cmocka_unit_test(balanced), cmocka_unit_test(pairs), cmocka_unit_test(more_than_pairs),
                                       cmocka_unit_test(refusals), cmocka_unit_test(failing_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
