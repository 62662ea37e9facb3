/* test_derive.c: an answer that follows from another task's: worked by hand, from and to JSON, and what is refused. */
#include "model/model.h"
#include "support/support.h"
#include <math.h>
#include <string.h>

/* source: bonafide, a, b, c; family: human, x, y with a, b -> x and c -> y. */
static void make(spoor_context *ctx, spoor_model *m) {
    static const char *const source[] = {"bonafide", "a", "b", "c"}, *const family[] = {"human", "x", "y"};
    spoor_error err = {0};
    *m = (spoor_model){.ctx = ctx, .n_tasks = 2};
    m->tasks = ctx_calloc(ctx, 2, sizeof *m->tasks);
    support_ok(model_task_init(ctx, &m->tasks[0], "source", source, 4, &err), &err);
    support_ok(model_task_init(ctx, &m->tasks[1], "family", family, 3, &err), &err);
}

static void clear(spoor_model *m) {
    model_task_clear(m->ctx, &m->tasks[0]);
    model_task_clear(m->ctx, &m->tasks[1]);
    ctx_free(m->ctx, m->tasks);
}

static spoor_status set(spoor_model *m, const char *text, spoor_error *err) {
    json_t *from = json_loads(text, 0, NULL);
    assert_non_null(from);
    spoor_status status = model_parent_from_json(m, 1, from, err);
    if (status == SPOOR_OK) {
        json_t *again = model_parent_to_json(m->tasks, 1);
        assert_true(json_equal(from, again));
        json_decref(again);
        status = model_parents_check(m, err);
    }
    json_decref(from);
    return status;
}

static void shares_are_summed(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    spoor_model m;
    make(ctx, &m);
    support_ok(set(&m, "{\"task\":\"source\",\"classes\":[\"human\",\"x\",\"x\",\"y\"]}", &err), &err);
    /* given synthetic: a 1/8, b 2/8, c 5/8; the family's own head: human 2, synthetic log(e^0 + e^1) */
    float logits[] = {9, 0, logf(2), logf(5), 2, 0, 1};
    double own = log(1 + exp(1));
    support_ok(model_derive(&m, logits, &err), &err);
    assert_true(logits[0] == 9 && logits[1] == 0);
    assert_true(logits[4] == 2);
    support_close((double)logits[5], own + log(3.0 / 8), 1e-6, "x");
    support_close((double)logits[6], own + log(5.0 / 8), 1e-6, "y");
    support_close(model_human_log_odds(&m.tasks[1], logits + 4), 2 - own, 1e-6, "human against synthetic stays");
    /* a source without a family takes its share with it; an impossible class stays finite */
    support_ok(set(&m, "{\"task\":\"source\",\"classes\":[null,\"x\",\"x\",null]}", &err), &err);
    float more[] = {9, 0, logf(2), logf(5), 2, 0, 1};
    support_ok(model_derive(&m, more, &err), &err);
    support_close((double)more[5], own + log(3.0 / 8), 1e-6, "x");
    assert_true(isfinite(more[6]) && more[6] < more[5] - 15);
    clear(&m);
    spoor_context_free(ctx);
}

static void wrong_descriptions_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{}", "{\"task\":\"gone\",\"classes\":[]}", "{\"task\":\"family\",\"classes\":[null,null,null]}",
        "{\"task\":\"source\",\"classes\":[\"x\"]}", "{\"task\":\"source\",\"classes\":[\"human\",\"x\",\"x\",\"z\"]}",
        "{\"task\":\"source\",\"classes\":[\"human\",\"x\",3,\"y\"]}", "[]"};
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        spoor_error err = {0};
        spoor_model m;
        make(ctx, &m);
        assert_int_equal(set(&m, texts[i], &err), SPOOR_ERR_USAGE);
        assert_non_null(strstr(err.message, "family"));
        clear(&m);
    }
    spoor_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shares_are_summed), cmocka_unit_test(wrong_descriptions_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
