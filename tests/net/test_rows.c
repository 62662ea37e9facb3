/* test_rows.c: parts of a front end that have rows of their own, and the members of a network that see these alone. */
#include "net/net.h"
#include "frontend/store.h"
#include "support/support.h"
#include <stdlib.h>
#include <string.h>

#define SLOW "{\"kind\":\"log-mel\",\"n_mels\":5,\"n_fft\":1024,\"win_length\":1024,\"hop_length\":640}"
#define FAST "{\"kind\":\"log-mel\",\"n_mels\":3,\"n_fft\":256,\"win_length\":256,\"hop_length\":160}"
#define LATE "{\"kind\":\"log-mel\",\"n_mels\":4,\"n_fft\":256,\"win_length\":256,\"hop_length\":160,\"center\":false}"
#define OWN "{\"kind\":\"join\",\"rows\":\"own\",\"parts\":[" SLOW "," FAST "," LATE "]}"
#define SMALL                                                                                                          \
    "\"kind\":\"conformer\",\"dim\":8,\"depth\":1,\"heads\":2,\"kernel\":3,\"ff_mult\":1,\"max_distance\":4,"          \
    "\"pooling\":\"stats\""

static spoor_context *ctx;
static spoor_error err;

static json_t *parse(const char *text) {
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static frontend *make(const char *text) {
    json_t *config = parse(text);
    frontend *fe = NULL;
    support_ok(frontend_new(ctx, config, &fe, &err), &err);
    json_decref(config);
    return fe;
}

static net *make_net(const char *text, int64_t dim) {
    static const net_task tasks[] = {{(char *)(uintptr_t) "a", 3}};
    json_t *config = parse(text);
    net *n = NULL;
    support_ok(net_new(ctx, config, dim, tasks, 1, 7, &n, &err), &err);
    json_decref(config);
    return n;
}

static float *features(const frontend *fe, const float *x, size_t n) {
    frontend_scratch *s = NULL;
    support_ok(frontend_scratch_new(fe, &s, &err), &err);
    float *rows = calloc(frontend_frames(fe, n) * frontend_dim(fe), sizeof *rows);
    assert_non_null(rows);
    for (size_t i = 0; i < frontend_frames(fe, n) * frontend_dim(fe); i++) {
        rows[i] = 1e9f; /* what is not written shows */
    }
    support_ok(frontend_compute(fe, s, x, n, rows, &err), &err);
    frontend_scratch_free(s);
    return rows;
}

static float *noise(size_t n) {
    rng r = rng_make(4, 4);
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(0.1 * rng_normal(&r));
    }
    return x;
}

static const size_t LENGTHS[] = {1, 700, 3200, 6401, 64600};
enum { N_LENGTHS = 5 };

/* Each part's rows stand in its columns as it makes them alone, zeros follow; recording a tape changes nothing. */
static void each_part_has_its_rows(void **state) {
    (void)state;
    frontend *all = make(OWN);
    assert_true(frontend_own_rows(all));
    json_t *config = json_deep_copy(frontend_config(all));
    frontend *again = NULL;
    support_ok(frontend_new(ctx, config, &again, &err), &err);
    assert_true(json_equal(config, frontend_config(again)));
    json_decref(config);
    frontend_free(again);
    static const char *const parts[3] = {SLOW, FAST, LATE};
    for (size_t k = 0; k < N_LENGTHS; k++) {
        size_t n = LENGTHS[k], dim = frontend_dim(all), frames = frontend_frames(all, n), most = 0;
        float *x = noise(n), *rows = features(all, x, n);
        int64_t own[FRONTEND_MAX_PARTS];
        frontend_part_rows(all, n, own);
        for (size_t p = 0; p < 3; p++) {
            frontend *one = make(parts[p]);
            size_t first, columns, have = frontend_frames(one, n);
            frontend_part_columns(all, p, &first, &columns);
            assert_int_equal(own[p], have);
            most = have > most ? have : most;
            float *alone = features(one, x, n);
            for (size_t t = 0; t < frames; t++) {
                static const float zeros[8];
                assert_memory_equal(rows + t * dim + first, t < have ? alone + t * columns : zeros,
                                    columns * sizeof *rows);
            }
            free(alone);
            frontend_free(one);
        }
        assert_int_equal(most, frames);
        compute *c = NULL;
        tape *t = NULL;
        frontend_scratch *s = NULL;
        support_ok(compute_new(ctx, 1, &c, &err), &err);
        support_ok(tape_new(ctx, c, &t, &err), &err);
        support_ok(frontend_scratch_new(all, &s, &err), &err);
        tape_begin(t, true, true, 1);
        tensor *y = frontend_forward(all, s, t, tape_view(t, 2, (int64_t[]){1, (int64_t)n}, x), NULL);
        support_ok(tape_status(t, &err), &err);
        assert_int_equal(tensor_count(y), frames * dim);
        assert_memory_equal(y->data, rows, frames * dim * sizeof *rows);
        frontend_scratch_free(s);
        tape_free(t);
        compute_free(c);
        free(rows);
        free(x);
    }
    frontend_free(all);
}

static tensor *run(net *n, const frontend *fe, tape *t, float *x, size_t samples, net_output *out) {
    int64_t rows[FRONTEND_MAX_PARTS];
    float *f = features(fe, x, samples);
    int64_t dim[3] = {1, (int64_t)frontend_frames(fe, samples), (int64_t)frontend_dim(fe)};
    tensor *y = tape_tensor(t, 3, dim);
    assert_non_null(y);
    memcpy(y->data, f, (size_t)tensor_count(y) * sizeof *f);
    free(f);
    frontend_part_rows(fe, samples, rows);
    net_forward_rows(n, t, y, rows, out);
    support_ok(tape_status(t, &err), &err);
    return y;
}

/* A member of a joined front end gives the bits of the same network on its own front end, whatever stands beside it. */
static void members_see_their_rows(void **state) {
    (void)state;
    static const char *const alone[3] = {SLOW, "{\"kind\":\"join\",\"parts\":[" FAST "," LATE "]}", FAST};
    static const char *const nets[3] = {"{" SMALL "}", "{" SMALL "}", "{\"kind\":\"pooled\"}"};
    frontend *all = make(OWN);
    net *n = make_net("{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"columns\":5},{" SMALL
                      ",\"spans\":[[5,3],[8,4]],\"rows\":[1,2]},"
                      "{\"kind\":\"pooled\",\"first\":5,\"columns\":3}]}",
                      12);
    support_ok(net_bind(n, all, &err), &err);
    compute *c = NULL;
    tape *t = NULL;
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    for (size_t m = 0; m < 3; m++) {
        frontend *fe = make(alone[m]);
        net *one = make_net(nets[m], (int64_t)frontend_dim(fe));
        support_ok(net_bind(one, fe, &err), &err);
        params *p = net_params(one);
        for (size_t i = 0; i < params_count(p); i++) { /* the member's weights */
            char name[200];
            snprintf(name, sizeof name, "members.%zu.%s", m, params_at(p, i)->name);
            tensor *to = &params_at(p, i)->value, *from = &params_find(net_params(n), name)->value;
            assert_int_equal(tensor_count(to), tensor_count(from));
            memcpy(to->data, from->data, (size_t)tensor_count(to) * sizeof(real));
        }
        for (size_t k = 0; k < N_LENGTHS; k++) {
            float *x = noise(LENGTHS[k]);
            net_output joined, own;
            tape_begin(t, false, false, 0);
            run(n, all, t, x, LENGTHS[k], &joined);
            run(one, fe, t, x, LENGTHS[k], &own);
            assert_memory_equal(joined.members[m].embedding->data, own.embedding->data,
                                (size_t)tensor_count(own.embedding) * sizeof(real));
            assert_memory_equal(joined.members[m].logits[0]->data, own.logits[0]->data, 3 * sizeof(real));
            free(x);
        }
        net_free(one);
        frontend_free(fe);
    }
    tape_free(t);
    compute_free(c);
    net_free(n);
    frontend_free(all);
}

static void refused(const char *fe_text, const char *net_text, const char *word) {
    frontend *fe = make(fe_text);
    net *n = make_net(net_text, (int64_t)frontend_dim(fe));
    spoor_status status = net_bind(n, fe, &err);
    if (status != SPOOR_ERR_USAGE || strstr(err.message, word) == NULL) {
        fail_msg("%s: %d \"%s\"", net_text, (int)status, err.message);
    }
    net_free(n);
    frontend_free(fe);
}

static void other_rates_are_refused(void **state) {
    (void)state;
    refused(OWN, "{" SMALL "}", "parts 1 and 2");
    refused(OWN, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"first\":4,\"columns\":2}]}", "parts 1 and 2");
    refused(OWN, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"columns\":5,\"rows\":[1]}]}", "parts 1 and 2");
    refused(OWN, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"columns\":5,\"rows\":[0,3]}]}", "does not have");
    refused(FAST, "{\"kind\":\"ensemble\",\"members\":[{" SMALL ",\"rows\":[1]}]}", "does not have");
    json_t *config = parse("{\"kind\":\"join\",\"parts\":[" SLOW "," FAST "]}");
    frontend *fe = NULL;
    assert_int_equal(frontend_new(ctx, config, &fe, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "rows: own"));
    json_decref(config);
    fe = make(OWN);
    store *s = NULL;
    assert_int_equal(store_open(ctx, "/nonexistent/folder", fe, &(store_options){.writable = true}, &s, &err),
                     SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "rows: own"));
    frontend_free(fe);
}

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_has_its_rows),
        cmocka_unit_test(members_see_their_rows),
        cmocka_unit_test(other_rates_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
