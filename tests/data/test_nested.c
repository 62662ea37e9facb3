/* What drawing by a taxonomy promises: half bona fide speech, classes and then codecs in equal parts, every clip of a codec
 * before any comes again, no state. */
#include "data/nested.h"
#include "support/support.h"
#include <math.h>
#include <string.h>

enum { CLIPS = 400, CLASSES = 3, CODECS = 7, HUMANS = 60 };

/* 60 bona fide clips; class 0 has five codecs, class 1 one, class 2 two, of which one is not known; 20 clips have no class. */
typedef struct pool {
    int32_t class[CLIPS], within[CLIPS];
    nested_options o;
} pool;

static void make(pool *p) {
    for (int32_t i = 0; i < CLIPS; i++) {
        int32_t k = i - HUMANS - 20;
        p->class[i] = i < HUMANS ? NESTED_HUMAN : i < HUMANS + 20 ? NESTED_NONE : k < 250 ? 0 : k < 261 ? 1 : 2;
        p->within[i] = k < 250 ? (k * k + 3) % 5 % CODECS : k < 261 ? 5 : k % 3 == 0 ? -1 : 6;
    }
    p->o = (nested_options){.seed = 3, .n_clips = CLIPS, .class = p->class, .within = p->within, .human = 0.5};
}

static nested *open_nested(spoor_context *ctx, const nested_options *o) {
    nested *n;
    spoor_error err;
    support_ok(nested_new(ctx, o, &n, &err), &err);
    return n;
}

static void equal_parts(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    pool p;
    make(&p);
    nested *n = open_nested(ctx, &p.o);
    assert_int_equal(nested_epoch(n), 2 * HUMANS);
    size_t human = 0, class[CLASSES] = {0}, codec[CLASSES][CODECS + 1] = {{0}}, times[CLIPS] = {0};
    for (uint64_t i = 0; i < 6000; i++) {
        uint32_t clip = nested_clip(n, i);
        assert_true(clip < CLIPS && p.class[clip] != NESTED_NONE);
        times[clip]++;
        if (p.class[clip] == NESTED_HUMAN) {
            human++;
        } else {
            class[p.class[clip]]++;
            codec[p.class[clip]][p.within[clip] + 1]++;
        }
        assert_int_equal(human, (i + 1) / 2); /* at every moment */
        if (i == nested_epoch(n) - 1) {
            for (int k = 0; k < HUMANS; k++) {
                assert_int_equal(times[k], 1);
            }
        }
    }
    for (int c = 0; c < CLASSES; c++) {
        assert_int_equal(class[c], 1000);
        size_t codecs = 0, least = SIZE_MAX, most = 0;
        for (int k = 0; k <= CODECS; k++) {
            codecs += codec[c][k] > 0;
            least = codec[c][k] > 0 && codec[c][k] < least ? codec[c][k] : least;
            most = codec[c][k] > most ? codec[c][k] : most;
        }
        assert_int_equal(codecs, c == 0 ? 3 : c == 1 ? 1 : 2); /* squares leave 0, 1 and 4 when divided by 5 */
        assert_true(most - least <= 1);
    }
    for (int a = 0; a < CLIPS; a++) { /* within a codec each clip as often as another */
        for (int b = 0; b < CLIPS; b++) {
            if (p.class[a] == p.class[b] && (p.class[a] < 0 || p.within[a] == p.within[b])) {
                assert_true(times[a] <= times[b] + 1);
            }
        }
        assert_true(p.class[a] == NESTED_NONE ? times[a] == 0 : times[a] > 0);
    }
    nested_free(n);
    spoor_context_free(ctx);
}

/* Whatever was asked before; another seed gives other clips. */
static void without_state(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    pool p;
    make(&p);
    nested *n = open_nested(ctx, &p.o);
    uint32_t forward[500];
    for (uint64_t i = 0; i < 500; i++) {
        forward[i] = nested_clip(n, i);
    }
    for (uint64_t i = 500; i-- > 0;) {
        assert_int_equal(nested_clip(n, i), forward[i]);
    }
    nested_free(n);
    n = open_nested(ctx, &p.o);
    assert_int_equal(nested_clip(n, 321), forward[321]);
    nested_free(n);
    p.o.seed = 4;
    n = open_nested(ctx, &p.o);
    int same = 0;
    for (uint64_t i = 0; i < 500; i++) {
        same += nested_clip(n, i) == forward[i];
    }
    assert_true(same < 100);
    nested_free(n);
    spoor_context_free(ctx);
}

static double share_of_humans(spoor_context *ctx, pool *p, size_t draws) {
    nested *n = open_nested(ctx, &p->o);
    size_t human = 0;
    for (uint64_t i = 0; i < draws; i++) {
        human += p->class[nested_clip(n, i)] == NESTED_HUMAN;
    }
    nested_free(n);
    return (double)human / (double)draws;
}

static void other_shares_and_one_kind_alone(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    pool p;
    make(&p);
    static const double shares[] = {0, 0.25, 0.7, 1};
    for (int i = 0; i < 4; i++) {
        p.o.human = shares[i];
        support_close(share_of_humans(ctx, &p, 1000), shares[i], 0.0011, "share of bona fide clips");
    }
    p.o.human = 0.25;
    nested *n = open_nested(ctx, &p.o);
    assert_int_equal(nested_epoch(n), 4 * HUMANS);
    nested_free(n);
    p.o.epoch = 77;
    n = open_nested(ctx, &p.o);
    assert_int_equal(nested_epoch(n), 77);
    nested_free(n);
    p.o.epoch = 0;
    p.o.class += HUMANS + 20; /* no bona fide speech */
    p.o.within += HUMANS + 20;
    p.o.n_clips -= HUMANS + 20;
    n = open_nested(ctx, &p.o);
    assert_int_equal(nested_epoch(n), CLIPS - HUMANS - 20);
    assert_true(p.o.class[nested_clip(n, 1)] >= 0);
    nested_free(n);
    make(&p);
    p.o.n_clips = HUMANS + 5; /* nothing else */
    assert_true(share_of_humans(ctx, &p, 100) == 1);
    spoor_context_free(ctx);
}

static void refusals(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    pool p;
    nested *n;
    spoor_error err;
    make(&p);
    for (int i = 0; i < CLIPS; i++) {
        p.class[i] = NESTED_NONE;
    }
    assert_int_equal(nested_new(ctx, &p.o, &n, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "none of 400 clips"));
    assert_null(n);
    static const double bad[] = {-0.1, 1.5, NAN};
    for (int i = 0; i < 3; i++) {
        make(&p);
        p.o.human = bad[i];
        assert_int_equal(nested_new(ctx, &p.o, &n, &err), SPOOR_ERR_USAGE);
    }
    make(&p); /* so small a share that no epoch ends */
    p.o.human = 1e-300;
    p.o.epoch = 0;
    assert_int_equal(nested_new(ctx, &p.o, &n, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "sampler.human"));
    assert_null(n);
    spoor_context_free(ctx);
}

static void failing_memory(void **state) {
    (void)state;
    pool p;
    make(&p);
    bool done = false;
    for (size_t i = 1; !done; i++) {
        support_failing fail = {.fail_at = i};
        spoor_context *ctx = support_failing_context(&fail);
        spoor_error err;
        nested *n;
        spoor_status status = nested_new(ctx, &p.o, &n, &err);
        done = status == SPOOR_OK;
        assert_true(done || status == SPOOR_ERR_LIMIT);
        nested_free(n);
        assert_int_equal(fail.live, 0);
        spoor_context_free(ctx);
        assert_true(i < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_parts), cmocka_unit_test(without_state),
                                       cmocka_unit_test(other_shares_and_one_kind_alone), cmocka_unit_test(refusals),
                                       cmocka_unit_test(failing_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
