/* test_combine.c: several models in one file: tasks left to each other, front ends at different rates, weights that are
 * shared, averages and heads by a plain reckoning, what cannot be combined. */
/* clang-format off */
#include "frontend/checkpoints.h"
#include "model/combine.h"
/* clang-format on */
#include "model/small_models.h"
#include <math.h>
#include <sys/stat.h>

static char *folder;
static spoor_context *ctx;
static spoor_error err;

/* FOLDER/NAME in a rotating static buffer. */
static const char *at(const char *name) {
    static char paths[8][400];
    static size_t next;
    char *p = paths[next++ % 8];
    snprintf(p, 400, "%s/%s", folder, name);
    return p;
}

static void combine(const combine_input *in, size_t n, const char *fusion, const char *out) {
    json_t *f = fusion == NULL ? NULL : json_loads(fusion, 0, NULL);
    combine_options o = {.name = "both", .fusion = f};
    support_ok(model_combine(ctx, in, n, &o, out, &err), &err);
    json_decref(f);
}

static const char *const BONAFIDE[] = {"bonafide"}, *const SOURCE[] = {"source"};

#define LATE                                                                                                           \
    "{\"kind\":\"log-mel\",\"n_mels\":4,\"n_fft\":1024,\"win_length\":1024,\"hop_length\":400,\"center\":false}"

/* RE judges bona fide, FD names the source: each task has the bits of the model that answers it. */
static void each_task_has_the_bits_of_its_model(void **state) {
    (void)state;
    static const char *const frontends[3][2] = {
        {SMALL_SLOW, SMALL_FAST},
        {SMALL_FAST, SMALL_FAST},
        /* a member that reads one part, cut to the rows of the other */
        {SMALL_SLOW, "{\"kind\":\"join\",\"parts\":[" SMALL_FAST "," LATE "]}"}};
    for (size_t k = 0; k < 3; k++) {
        small_model(
            ctx, at("re"), NULL, frontends[k][0], "{" SMALL_CONFORMER ",\"embedding\":5}",
            SMALL_BONAFIDE "," SMALL_SOURCE,
            ",\"bonafide\":{\"scale\":2,\"offset\":0.5,\"prior\":0.5,\"informative\":true,\"targets\":3,\"others\":3}",
            1);
        small_model(
            ctx, at("fd"), NULL, frontends[k][1],
            "{\"kind\":\"ensemble\",\"members\":[{" SMALL_CONFORMER ",\"weight\":0.5},{" SMALL_POOLED
            ",\"columns\":3}]}",
            SMALL_BONAFIDE "," SMALL_SOURCE,
            ",\"known\":{\"task\":\"source\",\"openset\":{\"scorer\":\"energy\",\"temperature\":1.5,\"threshold\":-2,"
            "\"acceptance\":0.9}}",
            2);
        combine((combine_input[]){{at("re"), BONAFIDE, 1}, {at("fd"), SOURCE, 1}}, 2, NULL, at("both"));
        spoor_model *re = small_open(ctx, at("re")), *fd = small_open(ctx, at("fd")),
                    *both = small_open(ctx, at("both"));
        assert_int_equal(both->n_tasks, 2);
        assert_string_equal(spoor_model_name(both), "both");
        assert_int_equal(net_members(both->net), 3);
        assert_true(both->openset.temperature == 1.5 && both->openset.threshold == -2);
        assert_true(both->bonafide.scale == 2); /* RE judges alone, by all that it judged by */
        for (uint64_t w = 0; w < 2; w++) {
            small_answer a, b, c;
            small_ask(re, w, &a);
            small_ask(fd, w, &b);
            small_ask(both, w, &c);
            assert_memory_equal(small_logits(both, &c, "bonafide"), small_logits(re, &a, "bonafide"),
                                2 * sizeof(float));
            assert_memory_equal(small_logits(both, &c, "source"), small_logits(fd, &b, "source"), 3 * sizeof(float));
            assert_int_equal(c.n_embedding, b.n_embedding);
            assert_memory_equal(c.embedding, b.embedding, b.n_embedding * sizeof(float));
        }
        spoor_model_free(re);
        spoor_model_free(fd);
        spoor_model_free(both);
    }
}

/* A second task with a human class changes the bona fide score: its calibration does not hold any more. */
static void a_calibration_goes_where_its_score_changed(void **state) {
    (void)state;
    small_model(
        ctx, at("re"), NULL, SMALL_SLOW, "{" SMALL_CONFORMER "}", SMALL_BONAFIDE,
        ",\"bonafide\":{\"scale\":2,\"offset\":0.5,\"prior\":0.5,\"informative\":true,\"targets\":3,\"others\":3}", 1);
    small_model(ctx, at("fd"), NULL, SMALL_FAST, "{" SMALL_POOLED "}",
                "{\"name\":\"source\",\"classes\":[\"a\",\"human\"]}", "", 2);
    combine((combine_input[]){{.path = at("re")}, {.path = at("fd")}}, 2, NULL, at("both"));
    spoor_model *m = small_open(ctx, at("both"));
    assert_true(m->bonafide.scale == 1);
    spoor_model_free(m);
}

/* Back ends of tasks belong together: all of a model's or none; its bona fide score goes with what it judges by. */
static void back_ends_stay_together(void **state) {
    (void)state;
    static const char *const bonafide[] = {"bonafide"}, *const vq[] = {"bonafide", "vq"};
    const char *network = "{\"kind\":\"aasist\",\"backends\":\"task\",\"channels\":[2,3],\"graph\":[3,2],\"attention\":2,\"project\":4}";
    small_model(ctx, at("d"), NULL, SMALL_SLOW, network, SMALL_BONAFIDE ",{\"name\":\"vq\",\"classes\":[\"MVQ\",\"real\"]}",
                ",\"bonafide_score\":\"product\"", 1);
    small_model(ctx, at("fd"), NULL, SMALL_FAST, "{" SMALL_POOLED "}", SMALL_SOURCE, "", 2);
    combine_options o = {0};
    assert_int_equal(model_combine(ctx, (combine_input[]){{at("d"), bonafide, 1}, {at("fd"), SOURCE, 1}}, 2, &o, at("both"), &err),
                     SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "name all of its tasks"));
    for (size_t i = 0; i < 2; i++) {
        combine((combine_input[]){{at("d"), vq, i == 0 ? 2 : 0}, {at("fd"), SOURCE, 1}}, 2, NULL, at("both"));
        spoor_model *d = small_open(ctx, at("d")), *both = small_open(ctx, at("both"));
        small_answer a, b;
        small_ask(d, 3, &a);
        small_ask(both, 3, &b);
        assert_memory_equal(small_logits(both, &b, "vq"), small_logits(d, &a, "vq"), 2 * sizeof(float));
        assert_memory_equal(small_logits(both, &b, "bonafide"), small_logits(d, &a, "bonafide"), 2 * sizeof(float));
        assert_int_equal(both->bonafide_kind, MODEL_BONAFIDE_PRODUCT);
        spoor_model_free(d);
        spoor_model_free(both);
    }
}

/* What is written is written alike on every call, over one of the inputs too. */
static void a_combined_model_can_replace_an_input(void **state) {
    (void)state;
    char hex[2][65];
    small_model(
        ctx, at("re"), NULL, SMALL_SLOW, "{" SMALL_CONFORMER "}", SMALL_BONAFIDE,
        ",\"bonafide\":{\"scale\":2,\"offset\":0.5,\"prior\":0.5,\"informative\":true,\"targets\":3,\"others\":3}", 1);
    small_model(ctx, at("fd"), NULL, SMALL_FAST, "{" SMALL_POOLED "}", SMALL_SOURCE, "", 2);
    combine((combine_input[]){{.path = at("re")}, {.path = at("fd")}}, 2, NULL, at("both"));
    support_ok(io_sha256_file(at("both"), hex[0], &err), &err);
    combine((combine_input[]){{.path = at("re")}, {.path = at("fd")}}, 2, NULL, at("re"));
    support_ok(io_sha256_file(at("re"), hex[1], &err), &err);
    assert_string_equal(hex[0], hex[1]);
    spoor_model *m = small_open(ctx, at("re"));
    assert_true(m->bonafide.scale == 2); /* it judges as it did */
    spoor_model_free(m);
}

static size_t file_size(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

/* An encoder that two models have in common is there once; of two that differ in their weights both are there. */
static void equal_parts_are_there_once(void **state) {
    (void)state;
    static const char *const join =
        "{\"kind\":\"join\",\"parts\":[" SMALL_SLOW ",{\"kind\":\"whisper\",\"weights\":\"%s\",\"layer\":1},"
        "{\"kind\":\"log-mel\",\"n_mels\":4,\"n_fft\":512,\"win_length\":512,\"hop_length\":320}]}";
    char text[2][1000];
    checkpoint_whisper(at("w1"), 3);
    checkpoint_whisper(at("w2"), 4);
    snprintf(text[0], sizeof text[0], "%s", "{\"kind\":\"whisper\",\"weights\":\"w1\",\"layer\":1}");
    for (size_t k = 0; k < 2; k++) {
        snprintf(text[1], sizeof text[1], join, k == 0 ? "w1" : "w2");
        char *parts = strstr(text[1], SMALL_SLOW ",");
        memmove(parts, parts + strlen(SMALL_SLOW ","), strlen(parts + strlen(SMALL_SLOW ",")) + 1);
        small_model(ctx, at("a"), folder, text[0], "{" SMALL_POOLED "}", SMALL_BONAFIDE, "", 1);
        small_model(ctx, at("b"), folder, text[1], "{" SMALL_POOLED "}", SMALL_SOURCE, "", 2);
        combine((combine_input[]){{.path = at("a")}, {.path = at("b")}}, 2, NULL, at("both"));
        spoor_model *a = small_open(ctx, at("a")), *b = small_open(ctx, at("b")), *both = small_open(ctx, at("both"));
        assert_int_equal(frontend_parts(both->frontend), k == 0 ? 2 : 3);
        assert_int_equal(frontend_dim(both->frontend), k == 0 ? 20 : 36);
        small_answer x, y, z;
        small_ask(a, 5, &x);
        small_ask(b, 5, &y);
        small_ask(both, 5, &z);
        assert_memory_equal(small_logits(both, &z, "bonafide"), x.logits, 2 * sizeof(float));
        assert_memory_equal(small_logits(both, &z, "source"), y.logits, 3 * sizeof(float));
        size_t sum = file_size(at("a")) + file_size(at("b"));
        assert_true(k == 0 ? file_size(at("both")) < sum * 2 / 3 : file_size(at("both")) > sum * 9 / 10);
        spoor_model_free(a);
        spoor_model_free(b);
        spoor_model_free(both);
    }
}

/* A checkpoint that stays outside is found from the new file's folder too. */
static void checkpoints_outside_are_found(void **state) {
    (void)state;
    small_answer x, y;
    checkpoint_whisper(at("w1"), 3);
    support_ok(io_make_folder(at("sub"), &err), &err);
    small_model(ctx, at("a"), folder, "{\"kind\":\"whisper\",\"weights\":\"w1\",\"layer\":1,\"embed\":false}", "{" SMALL_POOLED "}",
                SMALL_SOURCE, "", 1);
    combine((combine_input[]){{.path = at("a")}}, 1, NULL, at("sub/both"));
    assert_true(file_size(at("sub/both")) < file_size(at("w1/model.safetensors")));
    small_ask_file(ctx, at("a"), 5, &x);
    small_ask_file(ctx, at("sub/both"), 5, &y);
    assert_memory_equal(x.logits, y.logits, 3 * sizeof(float));
}

/* ---- fusions ---- */

static void log_softmax(const float *x, size_t n, double *out) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)x[i]);
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (double)x[i] - log(sum);
    }
}

/* The models' unit embeddings and scores one after the other, in double. */
static size_t naive_vector(const small_answer *a, size_t models, const size_t *classes, int scores, double *z) {
    size_t n = 0;
    for (size_t m = 0; m < models; m++) {
        double length = 0;
        for (size_t i = 0; i < a[m].n_embedding; i++) {
            length += (double)a[m].embedding[i] * (double)a[m].embedding[i];
        }
        for (size_t i = 0; i < a[m].n_embedding; i++) {
            z[n++] = (double)a[m].embedding[i] / sqrt(length);
        }
    }
    for (size_t m = 0; scores < 2 && m < models; m++) {
        log_softmax(a[m].logits, classes[m], z + n);
        for (size_t c = 0; c < classes[m]; c++, n++) {
            z[n] = scores == 0 ? exp(z[n]) : z[n];
        }
    }
    return n;
}

/* Three models with classes in different order and number; the third is an ensemble. */
static void make_three(bool same_classes) {
    small_model(ctx, at("m1"), NULL, SMALL_SLOW, "{" SMALL_CONFORMER ",\"embedding\":5}", SMALL_SOURCE, "", 1);
    small_model(ctx, at("m2"), NULL, SMALL_FAST, "{" SMALL_POOLED "}",
                same_classes ? "{\"name\":\"source\",\"classes\":[\"c\",\"a\",\"b\"]}"
                             : "{\"name\":\"source\",\"classes\":[\"d\",\"a\"]}",
                "", 2);
    small_model(ctx, at("m3"), NULL, SMALL_SLOW,
                "{\"kind\":\"ensemble\",\"members\":[{" SMALL_POOLED ",\"columns\":4},{" SMALL_CONFORMER
                ",\"weight\":2}]}",
                SMALL_SOURCE, "", 3);
}

static void ask_three(uint64_t window, small_answer *a) {
    small_ask_file(ctx, at("m1"), window, &a[0]);
    small_ask_file(ctx, at("m2"), window, &a[1]);
    small_ask_file(ctx, at("m3"), window, &a[2]);
}

static combine_input three[3];

static void averages_are_those_by_hand(void **state) {
    (void)state;
    static const char *const fusions[2] = {
        "{\"method\":\"average\",\"scores\":\"probabilities\",\"weights\":[0.5,0.2,0.3]}",
        "{\"method\":\"average\",\"scores\":\"log-probabilities\",\"weights\":[1,3,4]}"};
    static const double share[2][3] = {{0.5, 0.2, 0.3}, {0.125, 0.375, 0.5}};
    static const size_t order[3][3] = {{0, 1, 2}, {1, 2, 0}, {0, 1, 2}}; /* of a, b, c in each model */
    make_three(true);
    for (size_t k = 0; k < 2; k++) {
        combine(three, 3, fusions[k], at("fused"));
        for (uint64_t w = 0; w < 3; w++) {
            small_answer a[3], got;
            double z[256], p[3], want;
            ask_three(w, a);
            small_ask_file(ctx, at("fused"), w, &got);
            for (size_t c = 0; c < 3; c++) {
                want = 0;
                for (size_t m = 0; m < 3; m++) {
                    log_softmax(a[m].logits, 3, p);
                    want += share[k][m] * (k == 0 ? exp(p[order[m][c]]) : p[order[m][c]]);
                }
                support_close((double)got.logits[c], k == 0 ? log(want) : want, 1e-5, "average");
            }
            size_t n = naive_vector(a, 3, (size_t[]){3, 3, 3}, 2, z);
            assert_int_equal(n, got.n_embedding);
            for (size_t i = 0; i < n; i++) {
                support_close((double)got.embedding[i], z[i], 1e-5, "unit embeddings");
            }
        }
    }
}

/* Heads of other kinds move with their classes: the human class of a one-class head, the centroids of others. */
static void heads_of_all_kinds_are_averaged(void **state) {
    (void)state;
    static const char *const networks[2] = {
        "{" SMALL_POOLED ",\"task_heads\":{\"t\":{\"kind\":\"one-class\",\"human\":%d,\"linear\":true}}}",
        "{" SMALL_POOLED ",\"task_heads\":{\"t\":{\"kind\":\"centroids\"}}}"};
    static const char *const orders[2] = {"{\"name\":\"t\",\"classes\":[\"human\",\"spoof\"]}",
                                          "{\"name\":\"t\",\"classes\":[\"spoof\",\"human\"]}"};
    for (size_t k = 0; k < 2; k++) {
        for (int i = 0; i < 2; i++) {
            char text[400];
            snprintf(text, sizeof text, networks[k], i);
            small_model(ctx, at(i == 0 ? "m1" : "m2"), NULL, SMALL_FAST, text, orders[i], "", (uint64_t)i + 1);
        }
        combine(three, 2, "{\"method\":\"average\"}", at("fused"));
        small_answer a[2], got;
        double p[2], q[2];
        small_ask_file(ctx, at("m1"), 1, &a[0]);
        small_ask_file(ctx, at("m2"), 1, &a[1]);
        small_ask_file(ctx, at("fused"), 1, &got);
        log_softmax(a[0].logits, 2, p);
        log_softmax(a[1].logits, 2, q);
        for (size_t c = 0; c < 2; c++) {
            support_close((double)got.logits[c], log(0.5 * exp(p[c]) + 0.5 * exp(q[1 - c])), 1e-5, "mean of both");
        }
        assert_true(fabs(q[0] - q[1]) > 1e-3);
    }
}

/* Further kinds of human speech have rows behind those of the classes, and stay there when the classes move. */
static void kinds_of_human_speech_go_along(void **state) {
    (void)state;
    static const char *const tasks[2] = {"{\"name\":\"t\",\"classes\":[\"human\",\"a\",\"b\"]}",
                                         "{\"name\":\"t\",\"classes\":[\"b\",\"a\",\"human\"]}"};
    small_answer a[2], got;
    double p[2][3];
    for (int i = 0; i < 2; i++) {
        char text[400];
        snprintf(text, sizeof text, "{" SMALL_POOLED ",\"task_heads\":{\"t\":{\"kind\":\"linear\",\"human\":%d,\"kinds\":3}}}", 2 * i);
        small_model(ctx, at(i == 0 ? "m1" : "m2"), NULL, SMALL_FAST, text, tasks[i], "", (uint64_t)i + 1);
        small_ask_file(ctx, at(i == 0 ? "m1" : "m2"), 1, &a[i]);
        assert_int_equal(a[i].n_logits, 3);
        log_softmax(a[i].logits, 3, p[i]);
    }
    combine(three, 2, "{\"method\":\"average\"}", at("fused"));
    small_ask_file(ctx, at("fused"), 1, &got);
    for (size_t c = 0; c < 3; c++) {
        support_close((double)got.logits[c], log(0.5 * exp(p[0][c]) + 0.5 * exp(p[1][2 - c])), 1e-5, "mean of both");
    }
    assert_true(fabs(p[1][0] - p[1][2]) > 1e-3 && fabs(p[1][0] - p[1][1]) > 1e-3);
}

/* A joint head moves with its classes and with those of its parents, in an average; side by side with another model's task it
 * stays one, and its evidence is there. Without its parents it cannot be kept. */
static void joint_heads_go_along(void **state) {
    (void)state;
    static const char *const networks[2] = {"[0, 1, 2, -1]", "[-1, 1, 0, 2]"};
    static const char *const tasks[2] = {
        "{\"name\":\"t\",\"classes\":[\"human\",\"a\",\"b\",\"c\"]},{\"name\":\"vq\",\"classes\":[\"real\",\"M\",\"S\"]}",
        "{\"name\":\"t\",\"classes\":[\"c\",\"b\",\"a\",\"human\"]},{\"name\":\"vq\",\"classes\":[\"M\",\"S\",\"real\"]}"};
    static const size_t class_at[4] = {3, 2, 1, 0}, value_at[3] = {2, 0, 1};
    small_answer a[2], got;
    for (int i = 0; i < 2; i++) {
        char text[400];
        snprintf(text, sizeof text, "{" SMALL_POOLED ",\"task_heads\":{\"t\":{\"kind\":\"joint\",\"human\":%d,\"parents\":{\"vq\":%s}}}}",
                 i == 0 ? 0 : 3, networks[i]);
        small_model(ctx, at(i == 0 ? "m1" : "m2"), NULL, SMALL_FAST, text, tasks[i], "", (uint64_t)i + 1);
        small_ask_file(ctx, at(i == 0 ? "m1" : "m2"), 1, &a[i]);
        assert_int_equal(a[i].n_logits, 4 + 3 + 3);
    }
    combine(three, 2, "{\"method\":\"average\"}", at("fused"));
    small_ask_file(ctx, at("fused"), 1, &got);
    assert_int_equal(got.n_logits, 4 + 3);
    double p[2][4], q[2][4];
    for (int i = 0; i < 2; i++) {
        log_softmax(a[i].logits, 4, p[i]);
        log_softmax(a[i].logits + 4, 3, q[i]);
    }
    for (size_t c = 0; c < 4; c++) {
        support_close((double)got.logits[c], log(0.5 * exp(p[0][c]) + 0.5 * exp(p[1][class_at[c]])), 1e-5, "codec");
    }
    for (size_t v = 0; v < 3; v++) {
        support_close((double)got.logits[4 + v], log(0.5 * exp(q[0][v]) + 0.5 * exp(q[1][value_at[v]])), 1e-5, "value");
    }
    small_model(ctx, at("m3"), NULL, SMALL_FAST, "{" SMALL_POOLED "}", SMALL_BONAFIDE, "", 9);
    combine_input two[2] = {three[0], three[2]};
    combine(two, 2, NULL, at("both"));
    small_ask_file(ctx, at("both"), 1, &got);
    assert_int_equal(got.n_logits, 4 + 3 + 2 + 3);
    assert_memory_equal(got.logits, a[0].logits, 7 * sizeof(float));
    assert_memory_equal(got.logits + 9, a[0].logits + 7, 3 * sizeof(float));
    const char *const alone[] = {"t"};
    combine_input without[2] = {three[0], three[2]};
    without[0].tasks = alone;
    without[0].n_tasks = 1;
    assert_int_equal(model_combine(ctx, without, 2, NULL, at("both"), &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "answered with it"));
}

/* Random heads, written into the file. */
static void fill_heads(const char *path, double *w, size_t n, size_t classes, double *b) {
    spoor_model *m = small_open(ctx, path);
    tensor *weight, *bias;
    assert_true(net_fusion_head(m->net, 0, &weight, &bias));
    assert_int_equal(weight->dim[0], classes);
    assert_int_equal(weight->dim[1], n);
    rng r = rng_make(8, 8);
    for (size_t i = 0; i < n * classes; i++) {
        weight->data[i] = (float)rng_normal(&r);
        w[i] = (double)weight->data[i];
    }
    for (size_t c = 0; c < classes; c++) {
        bias->data[c] = (float)rng_normal(&r);
        b[c] = (double)bias->data[c];
    }
    model_tensor changed[2] = {model_tensor_of("fusion.heads.source.weight", weight),
                               model_tensor_of("fusion.heads.source.bias", bias)};
    support_ok(model_rewrite(ctx, path, path, m->meta, changed, 2, &err), &err);
    spoor_model_free(m);
}

static void heads_are_those_by_hand(void **state) {
    (void)state;
    static const char *const names[3] = {"probabilities", "log-probabilities", "none"};
    make_three(false);
    for (int k = 0; k < 3; k++) {
        char fusion[100];
        double z[256], w[1024], b[4];
        small_answer a[3], got;
        snprintf(fusion, sizeof fusion, "{\"method\":\"logistic\",\"scores\":\"%s\"}", names[k]);
        combine(three, 3, fusion, at("fused"));
        ask_three(1, a);
        size_t n = naive_vector(a, 3, (size_t[]){3, 2, 3}, k, z);
        fill_heads(at("fused"), w, n, 4, b);
        spoor_model *m = small_open(ctx, at("fused"));
        assert_string_equal(m->tasks[0].classes[3], "d");
        small_ask(m, 1, &got);
        spoor_model_free(m);
        assert_int_equal(got.n_logits, 4);
        assert_int_equal(got.n_embedding, n);
        for (size_t i = 0; i < n; i++) {
            support_close((double)got.embedding[i], z[i], 1e-5, "what the head sees");
        }
        for (size_t c = 0; c < 4; c++) {
            double want = b[c];
            for (size_t i = 0; i < n; i++) {
                want += w[c * n + i] * z[i];
            }
            support_close((double)got.logits[c], want, 2e-5, "fused logits");
        }
    }
}

/* ---- refusals ---- */

static void refuse(const combine_input *in, size_t n, const char *fusion, const char *word) {
    json_t *f = fusion == NULL ? NULL : json_loads(fusion, 0, NULL);
    combine_options o = {.fusion = f};
    spoor_status status = model_combine(ctx, in, n, &o, at("never"), &err);
    if (status != SPOOR_ERR_USAGE || strstr(err.message, word) == NULL) {
        fail_msg("status %d \"%s\", want \"%s\"", (int)status, err.message, word);
    }
    struct stat st;
    assert_int_not_equal(stat(at("never"), &st), 0);
    json_decref(f);
}

static void what_does_not_go_together_is_named(void **state) {
    (void)state;
    static const char *const VOCODER[] = {"vocoder"};
    make_three(false);
    refuse(three, 3, NULL, "both answer the task source");
    refuse(three, 3, "{\"method\":\"average\"}", "does not know the class d of the task source");
    refuse(three, 3, "{\"method\":\"magic\"}", "magic");
    make_three(true);
    refuse(three, 3, "{\"method\":\"average\",\"weights\":[1,2]}", "weights");
    refuse(three, 3, "{\"method\":\"average\",\"weights\":[0,0,0]}", "weights");
    refuse(three, 3, "{\"method\":\"average\",\"scores\":\"none\"}", "scores");
    refuse(three, 0, NULL, "1 to 16");
    make_three(false);
    refuse((combine_input[]){{at("m1"), VOCODER, 1}}, 1, NULL, "no task vocoder");
    combine(three, 3, "{\"method\":\"logistic\"}", at("fused"));
    refuse((combine_input[]){{.path = at("fused")}}, 1, NULL, "a fusion itself");
    combine_input many[16];
    for (size_t i = 0; i < 16; i++) {
        many[i] = three[2];
    }
    refuse(many, 16, "{\"method\":\"logistic\"}", "members");
    small_model(ctx, at("m1"), NULL, SMALL_SLOW, "{" SMALL_POOLED "}",
                "{\"name\":\"source\",\"classes\":[\"a\",\"a\",\"b\"]}", "", 1);
    small_model(ctx, at("m2"), NULL, SMALL_SLOW, "{" SMALL_POOLED "}",
                "{\"name\":\"source\",\"classes\":[\"a\",\"b\"]}", "", 1);
    refuse(three, 2, "{\"method\":\"average\"}", "twice");
    refuse((combine_input[]){three[1], three[0]}, 2, "{\"method\":\"average\"}", "twice");
    assert_int_equal(model_combine(ctx, &(combine_input){.path = at("missing")}, 1, NULL, at("never"), &err),
                     SPOOR_ERR_MODEL);
}

/* Changes the network or front end of a combined file, which must then be refused with a word. */
static void hostile(const char *key, const char *change, const char *word) {
    spoor_model *m = small_open(ctx, at("fused"));
    json_t *meta = json_deep_copy(m->meta), *edit = json_loads(change, JSON_DECODE_ANY, NULL);
    spoor_model_free(m);
    assert_non_null(edit);
    json_t *member = json_array_get(json_object_get(json_object_get(meta, "network"), "members"), 0);
    json_t *object = strcmp(key, "member") == 0   ? member
                     : strcmp(key, "fusion") == 0 ? json_object_get(json_object_get(meta, "network"), "fusion")
                                                  : json_object_get(meta, key);
    assert_int_equal(json_object_update(object, edit), 0);
    support_ok(model_rewrite(ctx, at("fused"), at("bad"), meta, NULL, 0, &err), &err);
    spoor_status status = spoor_model_open(ctx, at("bad"), &m, &err);
    if (status != SPOOR_ERR_MODEL || strstr(err.message, word) == NULL) {
        fail_msg("%s: status %d \"%s\"", change, (int)status, err.message);
    }
    json_decref(meta);
    json_decref(edit);
}

static void hostile_files_are_refused(void **state) {
    (void)state;
    make_three(false);
    combine(three, 3, "{\"method\":\"logistic\"}", at("fused"));
    hostile("member", "{\"tasks\":[\"other\"]}", "no task of the model");
    hostile("member", "{\"rows\":[9]}", "does not have");
    hostile("member", "{\"rows\":[1]}", "rows a second");
    hostile("member", "{\"columns\":11}", "columns");
    hostile("member", "{\"classes\":{\"source\":70000}}", "classes");
    hostile("member", "{\"classes\":{\"source\":4}}", "than the file has numbers");
    hostile("member", "{\"classes\":{\"other\":2}}", "classes");
    hostile("fusion", "{\"groups\":[1,1,1]}", "groups");
    hostile("fusion", "{\"groups\":[2,1,1]}", "different numbers of classes");
    hostile("fusion", "{\"scores\":\"none\"}", "another shape");
    hostile("fusion", "{\"method\":\"average\"}", "classes");
    hostile("frontend", "{\"rows\":\"shortest\"}", "rows");
    hostile("network", "{\"fusion\":null}", "mapping");
    safetensors *f;
    safetensors_writer *w;
    spoor_model *m;
    support_ok(safetensors_open(ctx, at("fused"), &f, &err), &err);
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    support_ok(safetensors_writer_meta(w, "spoor", safetensors_meta(f, "spoor"), &err), &err);
    for (size_t i = 0; i < safetensors_count(f); i++) { /* one head is missing */
        const safetensors_tensor *t = safetensors_at(f, i);
        if (strcmp(t->name, "fusion.heads.source.bias") != 0) {
            support_ok(safetensors_writer_add(w, t->name, t->dtype, t->rank, t->shape, t->data, &err), &err);
        }
    }
    support_ok(safetensors_writer_save(w, at("bad"), &err), &err);
    assert_int_equal(spoor_model_open(ctx, at("bad"), &m, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "fusion.heads.source.bias"));
    safetensors_writer_free(w);
    safetensors_free(f);
}

static void failing_memory_leaves_nothing(void **state) {
    (void)state;
    make_three(true);
    json_t *fusion = json_loads("{\"method\":\"average\"}", 0, NULL);
    combine_options o = {.fusion = fusion};
    bool done = false;
    for (size_t n = 1; n < 3000 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *c = support_failing_context(&failing);
        spoor_status status = model_combine(c, three, 3, &o, at("fused"), &err);
        done = status == SPOOR_OK;
        assert_true(done || status == SPOOR_ERR_LIMIT);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(c);
    }
    assert_true(done);
    json_decref(fusion);
}

static int set_up(void **state) {
    static char paths[3][400];
    (void)state;
    ctx = support_context();
    folder = support_temporary();
    for (size_t i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/m%zu", folder, i + 1);
        three[i] = (combine_input){.path = paths[i]};
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_has_the_bits_of_its_model), cmocka_unit_test(back_ends_stay_together),
        cmocka_unit_test(a_combined_model_can_replace_an_input),
        cmocka_unit_test(a_calibration_goes_where_its_score_changed),
        cmocka_unit_test(equal_parts_are_there_once),          cmocka_unit_test(checkpoints_outside_are_found),
        cmocka_unit_test(averages_are_those_by_hand),
        cmocka_unit_test(heads_of_all_kinds_are_averaged),     cmocka_unit_test(joint_heads_go_along), cmocka_unit_test(kinds_of_human_speech_go_along),
        cmocka_unit_test(heads_are_those_by_hand),             cmocka_unit_test(what_does_not_go_together_is_named),
        cmocka_unit_test(hostile_files_are_refused),           cmocka_unit_test(failing_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
