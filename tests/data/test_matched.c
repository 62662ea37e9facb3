/* What content-matched blocks promise: two recordings, distinct generators, positives through the same generator, every
 * recording of a block through other generators as negatives, partners from elsewhere, no state. */
#include "support/support.h"
#include "data/matched.h"
#include <string.h>

enum { CONTENTS = 9, GENERATORS = 6, CLIPS = CONTENTS * GENERATORS + 8 };

/* Content c through the generators 0 .. 5 but for some that are missing; the last clips have no content or no label. */
typedef struct set {
    int32_t content[CLIPS], label[CLIPS], page[CLIPS], speaker[CLIPS];
    const int32_t *group[2];
    matched_options o;
} set;

static bool missing(int32_t c, int32_t g) { return (c == 7 && g > 2) || (c == 8 && g > 0) || (c == 2 && g == 1); }

static void make(set *s) {
    memset(s, 0, sizeof *s);
    size_t at = 0;
    for (int32_t c = 0; c < CONTENTS; c++) {
        for (int32_t g = 0; g < GENERATORS; g++) {
            s->content[at] = missing(c, g) ? -1 : c;
            s->label[at] = g;
            s->page[at] = g;            /* goes with the generator: no group of a recording */
            s->speaker[at++] = c / 3;   /* three recordings of a speaker */
        }
    }
    for (; at < CLIPS; at++) { /* a second clip of content 0 through 0, clips without a label, without a content */
        s->content[at] = at % 3 == 0 ? -1 : 0;
        s->label[at] = at % 3 == 1 ? 0 : -1;
        s->page[at] = 0;
        s->speaker[at] = 0;
    }
    s->group[0] = s->page;
    s->group[1] = s->speaker;
    s->o = (matched_options){.seed = 3, .n_clips = CLIPS, .content = s->content, .label = s->label, .generators = GENERATORS,
                             .n_groups = 2, .group = s->group, .pairs = 4, .crossed = true};
}

static matched *open_matched(spoor_context *ctx, const matched_options *o) {
    matched *m;
    spoor_error err;
    support_ok(matched_new(ctx, o, &m, &err), &err);
    return m;
}

static void blocks(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    for (int crossed = 0; crossed < 2; crossed++) {
        set d;
        make(&d);
        d.o.crossed = crossed == 1;
        matched *m = open_matched(ctx, &d.o);
        assert_int_equal(matched_contents(m), 7); /* 7 has three generators, 8 one */
        int content_seen[CONTENTS] = {0}, generator_seen[GENERATORS] = {0}, second = 0;
        for (uint64_t k = 0; k < 600; k++) {
            matched_place p[8];
            matched_draw(m, k / 50, k % 50 / 2, k % 2, p);
            int seen[GENERATORS] = {0};
            int32_t side[2] = {d.content[p[0].clip], d.content[p[4].clip]};
            assert_true(side[0] != side[1]);
            assert_true(d.speaker[p[0].clip] != d.speaker[p[4].clip]); /* the page differs within a recording: not counted */
            for (int i = 0; i < 4; i++) {
                assert_int_equal(d.label[p[i].clip], p[i].generator);
                assert_int_equal(d.label[p[4 + i].clip], p[i].generator);
                assert_int_equal(p[4 + i].generator, p[i].generator);
                assert_int_equal(seen[p[i].generator]++, 0);
                generator_seen[p[i].generator]++;
                int turned = crossed && i % 2 == 1;
                assert_int_equal(p[i].side, turned);
                assert_int_equal(p[4 + i].side, !turned);
                assert_int_equal(d.content[p[i].clip], side[turned]);
                assert_int_equal(d.content[p[4 + i].clip], side[!turned]);
                second += p[i].clip >= CONTENTS * GENERATORS;
            }
            content_seen[side[0]]++;
        }
        for (int c = 0; c < 7; c++) {
            assert_true(content_seen[c] > 40);
        }
        assert_true(content_seen[7] == 0 && content_seen[8] == 0 && second > 3);
        for (int g = 0; g < GENERATORS; g++) {
            assert_true(generator_seen[g] > 200);
        }
        matched_free(m);
    }
    spoor_context_free(ctx);
}

/* Every clip through every transformation. */
static void transformations(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    set d;
    make(&d);
    for (int32_t i = 0; i < CLIPS; i++) {
        d.content[i] = i % 5 == 0 ? -1 : i;
    }
    d.o.label = NULL;
    d.o.generators = 3;
    d.o.pairs = 3;
    d.o.n_groups = 1;
    d.group[0] = d.speaker;
    matched *m = open_matched(ctx, &d.o);
    for (uint64_t k = 0; k < 200; k++) {
        matched_place p[6];
        matched_draw(m, 0, k, 0, p);
        int seen[3] = {0};
        for (int i = 0; i < 3; i++) {
            seen[p[i].generator]++;
            assert_int_equal(p[i].generator, p[3 + i].generator);
            assert_int_equal(p[i].clip, p[i % 2 == 0 ? 0 : 3].clip);
            assert_int_equal(p[3 + i].clip, p[i % 2 == 0 ? 3 : 0].clip);
        }
        assert_true(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
        assert_true(p[0].clip % 5 != 0 && p[3].clip % 5 != 0 && d.speaker[p[0].clip] != d.speaker[p[3].clip]);
    }
    matched_free(m);
    spoor_context_free(ctx);
}

static void no_state(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    set d;
    make(&d);
    matched *m = open_matched(ctx, &d.o);
    matched_place a[8], b[8], c[8];
    matched_draw(m, 3, 5, 1, a);
    for (uint64_t k = 0; k < 20; k++) {
        matched_draw(m, 0, k, 0, b);
    }
    matched_draw(m, 3, 5, 1, b);
    assert_memory_equal(a, b, sizeof a);
    int same = 0;
    const uint64_t other[][3] = {{3, 5, 0}, {3, 6, 1}, {4, 5, 1}};
    for (int k = 0; k < 3; k++) {
        matched_draw(m, other[k][0], other[k][1], other[k][2], c);
        same += memcmp(a, c, sizeof a) == 0;
    }
    matched_free(m);
    d.o.seed++;
    m = open_matched(ctx, &d.o);
    matched_draw(m, 3, 5, 1, c);
    same += memcmp(a, c, sizeof a) == 0;
    assert_int_equal(same, 0);
    matched_free(m);
    spoor_context_free(ctx);
}

static void refusals(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err;
    matched *m;
    set d;
    make(&d);
    d.o.pairs = 1;
    assert_int_equal(matched_new(ctx, &d.o, &m, &err), SPOOR_ERR_USAGE);
    d.o.pairs = 7;
    assert_int_equal(matched_new(ctx, &d.o, &m, &err), SPOOR_ERR_USAGE);
    d.o.pairs = 4; /* one recording alone has enough */
    for (size_t i = 0; i < CLIPS; i++) {
        d.content[i] = d.content[i] == 1 || d.content[i] >= 7 ? d.content[i] : -1;
    }
    assert_int_equal(matched_new(ctx, &d.o, &m, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "of 3 recordings 1"));
    for (size_t i = 0; i < CLIPS; i++) {
        d.content[i] = -1;
    }
    assert_int_equal(matched_new(ctx, &d.o, &m, &err), SPOOR_ERR_USAGE);
    assert_null(m);
    spoor_context_free(ctx);
}

/* Some recording without a partner does not matter. */
static void a_recording_alone_is_passed_over(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    set d;
    make(&d);
    d.o.pairs = 2;
    for (size_t i = 0; i < CLIPS; i++) { /* 0 and 1 through 0 1 2, 2 through 3 4 5 */
        int32_t c = d.content[i];
        d.content[i] = (c == 0 || c == 1) && d.label[i] < 3 ? c : c == 2 && d.label[i] >= 3 ? c : -1;
    }
    matched *m = open_matched(ctx, &d.o);
    assert_int_equal(matched_contents(m), 3);
    for (uint64_t k = 0; k < 50; k++) {
        matched_place p[4];
        matched_draw(m, 0, k, 0, p);
        assert_true(d.content[p[0].clip] + d.content[p[2].clip] == 1);
    }
    matched_free(m);
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
        matched *m = NULL;
        status = matched_new(ctx, &d.o, &m, &err);
        matched_free(m);
        assert_int_equal(fail.live, 0);
        spoor_context_free(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks),   cmocka_unit_test(transformations), cmocka_unit_test(no_state),
        cmocka_unit_test(refusals), cmocka_unit_test(a_recording_alone_is_passed_over), cmocka_unit_test(failing_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
