/* test_scorers.c: open-set scorers that stand on a train set: against numpy and scikit-learn (tests/torch/make_openset.py),
 * small cases by hand, degenerate sets, and what a model file may say of them. */
#include "base/rng.h"
#include "openset/calibrate.h"
#include "openset/gate.h"
#include "openset/statistics.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;
static spoor_error err;

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

static void refused(spoor_status got, spoor_status want, const char *words) {
    assert_int_equal(got, want);
    if (strstr(err.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
}

/* ---- against the oracle ---- */

static const safetensors_tensor *vector(const safetensors *f, size_t set, const char *part) {
    char key[100];
    snprintf(key, sizeof key, "%zu.%s", set, part);
    const safetensors_tensor *t = safetensors_find(f, key);
    if (t == NULL) {
        fail_msg("vector %s is missing", key);
    }
    return t;
}

static float *floats(const safetensors_tensor *t) {
    float *x = calloc(t->count + 1, sizeof *x);
    assert_non_null(x);
    safetensors_to_f32(t, x);
    return x;
}

typedef struct oracle {
    float *embedding, *logits, *points, *point_logits;
    int32_t *label;
    size_t count; /* points */
    openset_train train;
    openset_fit_options fit;
    openset o;
} oracle;

static void oracle_open(const safetensors *f, size_t set, oracle *q) {
    json_t *meta = json_loads(safetensors_meta(f, "test"), 0, NULL);
    const json_t *m = json_array_get(json_object_get(meta, "sets"), set);
    const safetensors_tensor *e = vector(f, set, "embedding"), *z = vector(f, set, "logits"), *y = vector(f, set, "label");
    *q = (oracle){.embedding = floats(e), .logits = floats(z), .points = floats(vector(f, set, "points")),
                  .point_logits = floats(vector(f, set, "point_logits")), .label = calloc(y->count, sizeof(int32_t)),
                  .count = (size_t)vector(f, set, "points")->shape[0]};
    float *labels = floats(y);
    for (size_t i = 0; i < y->count; i++) {
        q->label[i] = (int32_t)labels[i];
    }
    free(labels);
    q->train = (openset_train){q->embedding, q->logits, q->label, (size_t)e->shape[0], (size_t)e->shape[1], (size_t)z->shape[1]};
    q->fit = (openset_fit_options){json_number_value(json_object_get(m, "shrinkage")),
                                   (size_t)json_integer_value(json_object_get(m, "vim_dim")),
                                   (size_t)json_integer_value(json_object_get(m, "bank"))};
    openset_init(&q->o);
    q->o.temperature = json_number_value(json_object_get(m, "temperature"));
    q->o.k = (size_t)json_integer_value(json_object_get(m, "k"));
    json_decref(meta);
}

static void oracle_close(oracle *q) {
    free(q->embedding);
    free(q->logits);
    free(q->points);
    free(q->point_logits);
    free(q->label);
}

static void scorers_equal_the_oracle(void **state) {
    (void)state;
    safetensors *f;
    support_ok(safetensors_open(ctx, support_path("tests/torch/openset.safetensors"), &f, &err), &err);
    for (size_t set = 0; set < 6; set++) {
        oracle q;
        openset_stats *stats;
        oracle_open(f, set, &q);
        support_ok(openset_fit(ctx, OPENSET_ALL, &q.train, &q.fit, &stats, &err), &err);
        q.o.stats = stats;
        assert_int_equal(stats->kinds, OPENSET_OF_TRAIN);
        for (unsigned k = 0; k < OPENSET_GATE; k++) {
            float *want = floats(vector(f, set, openset_kind_name((openset_kind)k)));
            q.o.kind = (openset_kind)k;
            for (size_t i = 0; i < q.count; i++) {
                double got, scale = k == OPENSET_MAHALANOBIS && q.fit.shrinkage == 0 ? 1e-4 : 2e-6;
                support_ok(openset_score(&q.o, q.point_logits + i * q.train.classes, q.train.classes,
                                         q.points + i * q.train.dim, q.train.dim, &got, &err), &err);
                if (!(fabs(got - (double)want[i]) <= scale * fmax(1, fabs((double)want[i])))) {
                    fail_msg("set %zu, %s, point %zu: %.9g instead of %.9g", set, openset_kind_name(q.o.kind), i, got,
                             (double)want[i]);
                }
            }
            free(want);
        }
        openset_stats_free(stats);
        oracle_close(&q);
    }
    safetensors_free(f);
}

/* ---- NSD ---- */

/* The bank collapsed to one vector is the mean over the bank, clip by clip, in double. */
static void nsd_of_one_vector_equals_the_bank(void **state) {
    (void)state;
    enum { N = 200, E = 24, C = 5 };
    static float f[N * E], z[N * C];
    static int32_t y[N];
    rng r = rng_make(3, 0);
    for (size_t i = 0; i < N; i++) {
        y[i] = (int32_t)(i % C);
        for (size_t k = 0; k < E; k++) {
            f[i * E + k] = (float)(rng_normal(&r) + (k == i % C ? 3 : 0));
        }
        for (size_t k = 0; k < C; k++) {
            z[i * C + k] = (float)(3 * rng_normal(&r) + 4);
        }
    }
    openset_train t = {f, z, y, N, E, C};
    openset_fit_options fit;
    openset_fit_options_init(&fit);
    openset_stats *stats;
    support_ok(openset_fit(ctx, OPENSET_BIT(OPENSET_NSD), &t, &fit, &stats, &err), &err);
    assert_true(stats->confidence_offset == 0 && stats->bank == 0 && stats->factor == NULL);
    openset o;
    openset_init(&o);
    o.kind = OPENSET_NSD;
    o.stats = stats;
    double unit[N][E], c[N];
    for (size_t i = 0; i < N; i++) {
        double square = 0;
        c[i] = 0;
        for (size_t k = 0; k < E; k++) {
            square += (double)f[i * E + k] * (double)f[i * E + k];
        }
        for (size_t k = 0; k < E; k++) {
            unit[i][k] = (double)f[i * E + k] / sqrt(square);
        }
        for (size_t k = 0; k < C; k++) {
            c[i] += exp((double)z[i * C + k]);
        }
        c[i] = log(c[i]);
    }
    for (size_t x = 0; x < N; x += 7) {
        double sum = 0, got;
        for (size_t i = 0; i < N; i++) {
            for (size_t k = 0; k < E; k++) {
                sum += unit[x][k] * unit[i][k] * c[i];
            }
        }
        support_ok(openset_score(&o, z + x * C, C, f + x * E, E, &got, &err), &err);
        support_close(got, c[x] * sum / N, 1e-6, "NSD");
    }
    openset_stats_free(stats);
}

/* ---- by hand ---- */

static double score(const openset_stats *s, openset_kind kind, size_t k, const float *z, size_t classes, const float *f) {
    openset o;
    openset_init(&o);
    o.kind = kind;
    o.k = k;
    o.stats = s;
    double got;
    support_ok(openset_score(&o, z, classes, f, s->dim, &got, &err), &err);
    return got;
}

static void scores_by_hand(void **state) {
    (void)state;
    /* two classes on the axes, two clips each; logits (ln 2, 0) and (0, ln 2): every confidence is ln 3 */
    const float f[] = {2, 0, 4, 0, 0, 1, 0, 3}, l2 = 0.69314718f, z[] = {l2, 0, l2, 0, 0, l2, 0, l2}, at[] = {3, 4}, none[] = {0, 0};
    const int32_t y[] = {0, 0, 1, 1};
    openset_train t = {f, z, y, 4, 2, 2};
    openset_fit_options fit = {0.5, 1, 50};
    openset_stats *s;
    support_ok(openset_fit(ctx, OPENSET_ALL, &t, &fit, &s, &err), &err);
    double c = log(3);
    /* mean of u c = (c / 2, c / 2); u = (0.6, 0.8) */
    support_close(score(s, OPENSET_NSD, 1, z, 2, at), c * c * 0.7, 1e-6, "NSD");
    support_close(score(s, OPENSET_NSD, 1, z, 2, none), 0, 0, "NSD of nothing");
    support_close(score(s, OPENSET_KNN_COSINE, 1, z, 2, at), 0.8, 1e-6, "nearest cosine");
    support_close(score(s, OPENSET_KNN_COSINE, 2, z, 2, at), 0.8, 1e-6, "a tie is two neighbours");
    support_close(score(s, OPENSET_KNN_COSINE, 3, z, 2, at), 0.6, 1e-6, "third cosine");
    support_close(score(s, OPENSET_KNN_COSINE, 99, z, 2, at), 0.6, 1e-6, "more than the bank has");
    support_close(score(s, OPENSET_KNN_COSINE, 1, z, 2, none), 0, 0, "cosine of nothing");
    support_close(score(s, OPENSET_KNN_EUCLIDEAN, 1, z, 2, at), -sqrt(10), 1e-6, "nearest is (0, 3)");
    support_close(score(s, OPENSET_KNN_EUCLIDEAN, 1, z, 2, f), 0, 0, "a clip of the bank");
    support_close(score(s, OPENSET_NNGUIDE, 3, z, 2, at), c * c * (0.8 + 0.8 + 0.6) / 3, 1e-6, "NNGuide");
    /* within: variances 1/2 and 1/2; shrunk by any amount the same. Means (3, 0), (0, 2): squares 16 and 9 + 4 */
    support_close(score(s, OPENSET_MAHALANOBIS, 1, z, 2, at), -26, 1e-5, "Mahalanobis");
    openset_stats_free(s);
}

static void entropy_and_energy_of_probabilities(void **state) {
    (void)state;
    const float z[] = {0, 1.0986123f, 0}, flat[] = {5, 5, 5, 5}, one[] = {7}, sharp[] = {1000, 0, 0};
    openset o;
    openset_init(&o);
    double s[OPENSET_KINDS];
    const openset_kinds both = OPENSET_BIT(OPENSET_ENTROPY) | OPENSET_BIT(OPENSET_SOFTMAX_ENERGY);
    support_ok(openset_scores(&o, both, z, 3, NULL, 0, s, &err), &err);
    support_close(s[OPENSET_ENTROPY], 0.6 * log(0.6) + 0.4 * log(0.2), 1e-7, "entropy");
    support_close(s[OPENSET_SOFTMAX_ENERGY], log(exp(0.6) + 2 * exp(0.2)), 1e-7, "energy of probabilities");
    support_ok(openset_scores(&o, both, flat, 4, NULL, 0, s, &err), &err);
    support_close(s[OPENSET_ENTROPY], -log(4), 1e-12, "the least entropy score");
    support_close(s[OPENSET_SOFTMAX_ENERGY], 0.25 + log(4), 1e-12, "the least energy score");
    support_ok(openset_scores(&o, both, sharp, 3, NULL, 0, s, &err), &err);
    support_close(s[OPENSET_ENTROPY], 0, 0, "no doubt");
    support_close(s[OPENSET_SOFTMAX_ENERGY], log(exp(1) + 2), 1e-12, "no doubt");
    support_ok(openset_scores(&o, both, one, 1, NULL, 0, s, &err), &err);
    support_close(s[OPENSET_ENTROPY], 0, 0, "one class");
    support_close(s[OPENSET_SOFTMAX_ENERGY], 1, 1e-12, "one class");
    o.temperature = 1e-4; /* exp(p / T) alone would overflow */
    support_ok(openset_scores(&o, both, z, 3, NULL, 0, s, &err), &err);
    support_close(s[OPENSET_SOFTMAX_ENERGY], 0.6, 1e-7, "the greatest probability");
}

/* Every scorer ranks a clip like those of train above one that is far from all of them and undecided. */
static void polarity_is_known_above_unknown(void **state) {
    (void)state;
    enum { N = 80, E = 10, C = 4 };
    for (int logs = 0; logs < 2; logs++) {
        float f[N * E], z[N * C], near[E] = {0}, far[E] = {0}, sure[C], unsure[C];
        int32_t y[N];
        rng r = rng_make(5, (uint64_t)logs);
        for (size_t i = 0; i < N; i++) {
            y[i] = (int32_t)(i % C);
            for (size_t k = 0; k < E; k++) {
                f[i * E + k] = (float)(0.3 * rng_normal(&r) * (k < 6) + (k == i % C ? 4 : 0)); /* nothing in columns 6 to 9 */
            }
            for (size_t k = 0; k < C; k++) { /* log probabilities are below 0 */
                z[i * C + k] = (float)(0.3 * rng_normal(&r) + (k == i % C ? 8 : 0) - (logs ? 9 : 0));
            }
        }
        near[1] = 4;
        far[8] = far[9] = -4;
        for (size_t k = 0; k < C; k++) {
            sure[k] = (float)((k == 1 ? 8 : 0) - (logs ? 9 : 0));
            unsure[k] = (float)(0.5 - (logs ? 9 : 0));
        }
        openset_train t = {f, z, y, N, E, C};
        openset_fit_options fit = {0.1, 5, 50};
        openset_stats *s;
        support_ok(openset_fit(ctx, OPENSET_ALL, &t, &fit, &s, &err), &err);
        assert_true(logs == (s->confidence_offset < 0) && s->vim_alpha > 0);
        for (unsigned k = 0; k < OPENSET_GATE; k++) {
            if (!(score(s, (openset_kind)k, 6, sure, C, near) > score(s, (openset_kind)k, 6, unsure, C, far))) {
                fail_msg("%s has the wrong polarity (log probabilities: %d)", openset_kind_name((openset_kind)k), logs);
            }
        }
        openset_stats_free(s);
    }
}

/* ---- degenerate sets ---- */

static void finite_on(const openset_train *t, const openset_fit_options *fit) {
    openset_stats *s;
    support_ok(openset_fit(ctx, OPENSET_ALL, t, fit, &s, &err), &err);
    float *x = calloc(t->dim, sizeof *x);
    for (int round = 0; round < 3; round++) {
        for (unsigned k = 0; k < OPENSET_GATE; k++) {
            if (s->kinds & OPENSET_BIT(k)) {
                assert_true(isfinite(score(s, (openset_kind)k, 3, t->logits, t->classes, x)));
            }
        }
        for (size_t i = 0; i < t->dim; i++) {
            x[i] = round == 0 ? 1e3f : t->embedding[i];
        }
    }
    free(x);
    openset_stats_free(s);
}

static void degenerate_sets_give_finite_scores(void **state) {
    (void)state;
    const float same[] = {1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}, zero[12] = {0}, z[] = {1, 0, 1, 0, 0, 1, 0, 1};
    const float thin[] = {1, 0, 0, 2, 0, 0, 3, 0, 0, 4, 0, 0}; /* rank one */
    const int32_t y[] = {0, 0, 1, 1}, one[] = {0, 0, 0, 0}, single[] = {-1, 1, -1, -1};
    openset_fit_options fit = {0, 2, 1};
    finite_on(&(openset_train){same, z, y, 4, 3, 2}, &fit);
    finite_on(&(openset_train){zero, z, y, 4, 3, 2}, &fit);
    finite_on(&(openset_train){thin, z, y, 4, 3, 2}, &fit);
    finite_on(&(openset_train){thin, z, one, 4, 3, 1}, &fit);
    finite_on(&(openset_train){thin, z, single, 4, 3, 2}, &fit);
    fit.vim_dim = 100; /* more than there are */
    finite_on(&(openset_train){thin, z, y, 4, 3, 2}, &fit);
    /* an embedding of one number has no subspace: those two scorers are left out */
    openset_stats *s;
    openset_fit_options_init(&fit);
    support_ok(openset_fit(ctx, OPENSET_ALL, &(openset_train){thin, z, y, 4, 1, 2}, &fit, &s, &err), &err);
    assert_int_equal(s->kinds & (OPENSET_BIT(OPENSET_VIM) | OPENSET_BIT(OPENSET_MAHALANOBIS)), 0);
    assert_int_equal(s->kinds & OPENSET_BIT(OPENSET_NSD), OPENSET_BIT(OPENSET_NSD));
    openset_stats_free(s);
    finite_on(&(openset_train){thin, z, y, 4, 1, 2}, &fit);
}

static void what_cannot_be_fitted_is_refused(void **state) {
    (void)state;
    float f[] = {1, 2, 3, 4}, z[] = {1, 0, 0, 1};
    int32_t y[] = {0, 1}, none[] = {-1, -1}, high[] = {0, 2};
    openset_fit_options fit;
    openset_fit_options_init(&fit);
    openset_stats *s;
    refused(openset_fit(ctx, OPENSET_ALL, &(openset_train){f, z, none, 2, 2, 2}, &fit, &s, &err), SPOOR_ERR_INPUT, "known class");
    refused(openset_fit(ctx, OPENSET_ALL, &(openset_train){f, z, y, 0, 2, 2}, &fit, &s, &err), SPOOR_ERR_INPUT, "known class");
    refused(openset_fit(ctx, OPENSET_ALL, &(openset_train){f, z, high, 2, 2, 2}, &fit, &s, &err), SPOOR_ERR_INPUT, "clip 2 has label 2");
    fit.shrinkage = NAN;
    refused(openset_fit(ctx, OPENSET_ALL, &(openset_train){f, z, y, 2, 2, 2}, &fit, &s, &err), SPOOR_ERR_USAGE, "shrinkage");
    openset_fit_options_init(&fit);
    f[2] = NAN;
    refused(openset_fit(ctx, OPENSET_ALL, &(openset_train){f, z, y, 2, 2, 2}, &fit, &s, &err), SPOOR_ERR_INPUT, "embedding of train clip 2");
    f[2] = 3;
    z[1] = INFINITY;
    refused(openset_fit(ctx, OPENSET_ALL, &(openset_train){f, z, y, 2, 2, 2}, &fit, &s, &err), SPOOR_ERR_INPUT, "logits of train clip 1");
    z[1] = 0;
    support_ok(openset_fit(ctx, OPENSET_BIT(OPENSET_NSD), &(openset_train){f, z, y, 2, 2, 2}, &fit, &s, &err), &err);
    openset o;
    openset_init(&o);
    double got;
    o.kind = OPENSET_NSD;
    refused(openset_score(&o, z, 2, f, 2, &got, &err), SPOOR_ERR_MODEL, "no statistics");
    o.stats = s;
    refused(openset_score(&o, z, 2, NULL, 2, &got, &err), SPOOR_ERR_INPUT, "needs the embedding");
    refused(openset_score(&o, z, 2, f, 3, &got, &err), SPOOR_ERR_MODEL, "no statistics");
    f[1] = INFINITY;
    refused(openset_score(&o, z, 2, f, 2, &got, &err), SPOOR_ERR_INPUT, "number 2 of the 2");
    o.kind = OPENSET_VIM;
    refused(openset_score(&o, z, 2, f + 2, 2, &got, &err), SPOOR_ERR_MODEL, "no statistics");
    o.kind = OPENSET_KINDS;
    refused(openset_score(&o, z, 2, f + 2, 2, &got, &err), SPOOR_ERR_MODEL, "not one that");
    openset_stats_free(s);
}

/* ---- the gate ---- */

static void gate_equals_scikit_learn(void **state) {
    (void)state;
    safetensors *f;
    support_ok(safetensors_open(ctx, support_path("tests/torch/openset.safetensors"), &f, &err), &err);
    const openset_kind member[] = {OPENSET_ENERGY, OPENSET_NSD, OPENSET_VIM};
    float *raw = floats(safetensors_find(f, "gate.score")), *flag = floats(safetensors_find(f, "gate.target")),
          *want = floats(safetensors_find(f, "gate.llr"));
    enum { N = 40 };
    double s[N * OPENSET_KINDS] = {0}, crossed[N], again[N];
    unsigned char target[N];
    openset_kinds members = 0;
    for (size_t k = 0; k < 3; k++) {
        members |= OPENSET_BIT(member[k]);
        for (size_t i = 0; i < N; i++) {
            s[i * OPENSET_KINDS + member[k]] = (double)raw[i * 3 + k];
            target[i] = flag[i] > 0;
        }
    }
    openset_gate g;
    support_ok(openset_gate_fit(members, s, target, N, &g, &err), &err);
    for (size_t i = 0; i < N; i++) {
        support_close(openset_gate_score(&g, s + i * OPENSET_KINDS), (double)want[i], 1e-5, "gate");
    }
    /* an item's own label changes nothing for its fold, and something for the others */
    uint32_t fold[N];
    support_ok(calibrate_folds(ctx, NULL, N, 4, 1, fold, &err), &err);
    support_ok(openset_gate_cross(ctx, members, s, target, NULL, N, 4, 1, crossed, &err), &err);
    target[7] = !target[7];
    support_ok(openset_gate_cross(ctx, members, s, target, NULL, N, 4, 1, again, &err), &err);
    for (size_t i = 0; i < N; i++) {
        assert_true((fold[i] == fold[7]) == (crossed[i] == again[i]));
    }
    /* a member that does not vary says nothing; one class, or no member, is refused */
    for (size_t i = 0; i < N; i++) {
        s[i * OPENSET_KINDS + OPENSET_MSP] = 3;
    }
    support_ok(openset_gate_fit(members | OPENSET_BIT(OPENSET_MSP), s, target, N, &g, &err), &err);
    assert_true(g.weight[OPENSET_MSP] == 0 && g.deviation[OPENSET_MSP] == 1 && (g.members & OPENSET_BIT(OPENSET_MSP)));
    refused(openset_gate_fit(0, s, target, N, &g, &err), SPOOR_ERR_INPUT, "at least one scorer");
    refused(openset_gate_fit(OPENSET_ALL, s, target, N, &g, &err), SPOOR_ERR_INPUT, "not itself");
    s[3 * OPENSET_KINDS + OPENSET_VIM] = NAN;
    refused(openset_gate_fit(members, s, target, N, &g, &err), SPOOR_ERR_INPUT, "vim of recording 4");
    memset(target, 1, N);
    refused(openset_gate_fit(OPENSET_BIT(OPENSET_NSD), s, target, N, &g, &err), SPOOR_ERR_INPUT, "known and unknown");
    free(raw);
    free(flag);
    free(want);
    safetensors_free(f);
}

/* ---- in a file ---- */

static json_t *through_text(json_t *json) {
    assert_non_null(json);
    char *text = json_dumps(json, 0);
    json_decref(json);
    json = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

/* Reads from the tensors of statistics in memory. */
typedef struct shelf {
    openset_tensor tensor[OPENSET_MAX_TENSORS];
    size_t n, read;
} shelf;

static spoor_status take(void *user, const char *name, int rank, const int64_t *shape, float *out, spoor_error *e) {
    shelf *s = user;
    for (size_t i = 0; i < s->n; i++) {
        const openset_tensor *t = &s->tensor[i];
        if (strcmp(t->name, name) == 0 && t->rank == rank && t->shape[0] == shape[0] && (rank < 2 || t->shape[1] == shape[1])) {
            memcpy(out, t->data, (size_t)(shape[0] * (rank < 2 ? 1 : shape[1])) * sizeof *out);
            s->read++;
            return SPOOR_OK;
        }
    }
    return error_set(e, SPOOR_ERR_MODEL, "no tensor %s of that shape", name);
}

static void statistics_there_and_back(void **state) {
    (void)state;
    safetensors *f;
    oracle q;
    openset_stats *stats;
    support_ok(safetensors_open(ctx, support_path("tests/torch/openset.safetensors"), &f, &err), &err);
    oracle_open(f, 0, &q);
    support_ok(openset_fit(ctx, OPENSET_ALL, &q.train, &q.fit, &stats, &err), &err);
    for (unsigned k = OPENSET_NSD; k <= OPENSET_GATE; k++) {
        openset o = q.o, back;
        o.kind = (openset_kind)k;
        o.stats = stats;
        if (k == OPENSET_GATE) {
            o.gate = (openset_gate){.members = OPENSET_ALL & ~OPENSET_BIT(OPENSET_GATE), .offset = 0.25};
            for (unsigned j = 0; j < OPENSET_GATE; j++) {
                o.gate.mean[j] = j;
                o.gate.deviation[j] = 2 + j;
                o.gate.weight[j] = 1.0 / (1 + j);
            }
        }
        json_t *json = through_text(openset_to_json(&o));
        support_ok(openset_from_json(json, &back, &err), &err);
        assert_int_equal(openset_needs(&back), openset_needs(&o));
        shelf s = {0};
        openset_stats *read;
        s.n = openset_tensors(stats, openset_needs(&o), s.tensor);
        support_ok(openset_stats_read(ctx, json_object_get(json, "statistics"), openset_needs(&back), q.train.dim, 10000, take,
                                      &s, &read, &err), &err);
        assert_int_equal(s.read, s.n);
        back.stats = read;
        for (size_t i = 0; i < q.count; i++) {
            double a, b;
            const float *z = q.point_logits + i * q.train.classes, *x = q.points + i * q.train.dim;
            support_ok(openset_score(&o, z, q.train.classes, x, q.train.dim, &a, &err), &err);
            support_ok(openset_score(&back, z, q.train.classes, x, q.train.dim, &b, &err), &err);
            assert_true(a == b);
        }
        openset_stats_free(read);
        for (size_t at = 1; at <= 4; at++) { /* memory that ends */
            support_failing failing = {.fail_at = at};
            spoor_context *weak = support_failing_context(&failing);
            if (openset_stats_read(weak, json_object_get(json, "statistics"), openset_needs(&back), q.train.dim, 10000, take, &s,
                                   &read, &err) == SPOOR_OK) {
                openset_stats_free(read);
            } else {
                assert_int_equal(err.status, SPOOR_ERR_LIMIT);
            }
            assert_int_equal(failing.live, 0);
            failing.fail_at = 0;
            spoor_context_free(weak);
        }
        json_decref(json);
    }
    openset_stats_free(stats);
    oracle_close(&q);
    safetensors_free(f);
}

static void wrong_descriptions_are_refused(void **state) {
    (void)state;
    static const char *const open[][2] = {
        {"{\"scorer\":\"knn_cosine\",\"temperature\":1,\"threshold\":1,\"acceptance\":1}", "\"k\""},
        {"{\"scorer\":\"nnguide\",\"temperature\":1,\"threshold\":1,\"acceptance\":1,\"k\":257}", "\"k\""},
        {"{\"scorer\":\"energy\",\"temperature\":1,\"threshold\":1,\"acceptance\":1,\"rule\":\"best\"}", "\"rule\""},
        {"{\"scorer\":\"energy\",\"temperature\":1,\"threshold\":1,\"acceptance\":1,\"rule\":1}", "\"rule\""},
        {"{\"scorer\":\"gate\",\"temperature\":1,\"threshold\":1,\"acceptance\":1}", "\"offset\""},
        {"{\"scorer\":\"gate\",\"temperature\":1,\"threshold\":1,\"acceptance\":1,\"gate\":{\"offset\":1}}", "\"members\""},
        {"{\"scorer\":\"gate\",\"temperature\":1,\"threshold\":1,\"acceptance\":1,\"gate\":{\"offset\":1,\"members\":[{\"scorer\":\"gate\"}]}}", "member 1"},
        {"{\"scorer\":\"gate\",\"temperature\":1,\"threshold\":1,\"acceptance\":1,\"gate\":{\"offset\":1,\"members\":[{\"scorer\":\"msp\",\"mean\":0,\"deviation\":0,\"weight\":1}]}}", "not above 0"},
        {"{\"scorer\":\"gate\",\"temperature\":1,\"threshold\":1,\"acceptance\":1,\"gate\":{\"offset\":1,\"members\":[{\"scorer\":\"msp\",\"mean\":0,\"deviation\":1,\"weight\":1},{\"scorer\":\"msp\"}]}}", "member 2"},
    };
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        json_t *json = json_loads(open[i][0], 0, NULL);
        openset o;
        assert_non_null(json);
        refused(openset_from_json(json, &o, &err), SPOOR_ERR_MODEL, open[i][1]);
        json_decref(json);
    }
    static const char *const statistics[][2] = {
        {"null", "dim"},
        {"{\"dim\":4}", "of embeddings of 4"},
        {"{\"dim\":3}", "confidence_offset"},
        {"{\"dim\":3,\"confidence_offset\":0}", "bank"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":0}", "bank"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":-1}", "bank"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":34}", "bank"}, /* 102 numbers of a file that has 100 */
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":9000000000000000000}", "bank"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":3}", "means"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":3,\"means\":40}", "means"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":3,\"means\":2}", "vim_dim"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":3,\"means\":2,\"vim_dim\":3}", "vim_dim"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":3,\"means\":2,\"vim_dim\":2}", "vim_alpha"},
        {"{\"dim\":3,\"confidence_offset\":0,\"bank\":3,\"means\":2,\"vim_dim\":2,\"vim_alpha\":1}", "openset.nsd"},
    };
    for (size_t i = 0; i < sizeof statistics / sizeof *statistics; i++) {
        json_t *json = json_loads(statistics[i][0], JSON_DECODE_ANY, NULL);
        shelf empty = {0};
        openset_stats *s;
        refused(openset_stats_read(ctx, json, OPENSET_ALL, 3, 100, take, &empty, &s, &err), SPOOR_ERR_MODEL, statistics[i][1]);
        assert_null(s);
        json_decref(json);
    }
}

static void failing_memory_leaves_nothing(void **state) {
    (void)state;
    const float f[] = {1, 0, 2, 0, 0, 1, 0, 3}, z[] = {1, 0, 1, 0, 0, 1, 0, 1};
    const int32_t y[] = {0, 0, 1, 1};
    openset_train t = {f, z, y, 4, 2, 2};
    openset_fit_options fit;
    openset_fit_options_init(&fit);
    bool done = false;
    for (size_t n = 1; n < 100 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *weak = support_failing_context(&failing);
        openset_stats *s;
        spoor_status status = openset_fit(weak, OPENSET_ALL, &t, &fit, &s, &err);
        done = status == SPOOR_OK;
        if (done) {
            openset o;
            openset_init(&o);
            o.stats = s;
            o.kind = OPENSET_VIM;
            double got;
            failing.fail_at = failing.count + 1;
            refused(openset_score(&o, z, 2, f, 2, &got, &err), SPOOR_ERR_LIMIT, "memory");
            failing.fail_at = failing.count + 1;
            o.kind = OPENSET_NNGUIDE;
            refused(openset_score(&o, z, 2, f, 2, &got, &err), SPOOR_ERR_LIMIT, "memory");
        } else {
            assert_int_equal(status, SPOOR_ERR_LIMIT);
        }
        openset_stats_free(s);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scorers_equal_the_oracle),
        cmocka_unit_test(nsd_of_one_vector_equals_the_bank),
        cmocka_unit_test(scores_by_hand),
        cmocka_unit_test(entropy_and_energy_of_probabilities),
        cmocka_unit_test(polarity_is_known_above_unknown),
        cmocka_unit_test(degenerate_sets_give_finite_scores),
        cmocka_unit_test(what_cannot_be_fitted_is_refused),
        cmocka_unit_test(gate_equals_scikit_learn),
        cmocka_unit_test(statistics_there_and_back),
        cmocka_unit_test(wrong_descriptions_are_refused),
        cmocka_unit_test(failing_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
