/* test_int8.c: the calibration of int8: factors move between weights and change nothing in float, errors go down where
 * activations have outliers, products stay bfloat16 where the plan says so, without a plan nothing changes, and a plan
 * of other weights, or a damaged one, is refused. */
#include "frontend/checkpoints.h"
#include "frontend/frontend.h"
#include "frontend/int8.h"
#include "frontend/int8_measure.h"
#include "support/folder.h"
#include <math.h>

enum { CLIPS = 6, SAMPLES = 8000 };

static json_t *json(const char *text) {
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return j;
}

/* Some channels of the norms `times` as large, and the columns behind them in proportion smaller: the same network, with
 * outliers in its activations. */
static void outliers(const char *name, float times, size_t n, float *values) {
    bool norm = strstr(name, "layers.") != NULL && strstr(name, "layer_norm") != NULL && strstr(name, "conv") == NULL;
    bool behind = strstr(name, "q_proj.weight") || strstr(name, "k_proj.weight") || strstr(name, "v_proj.weight") ||
                  strstr(name, "fc1.weight") || strstr(name, "intermediate_dense.weight");
    for (size_t i = 0; i < n && (norm || behind); i++) {
        size_t column = behind ? i % 16 : i;
        values[i] *= column == 3 || column == 10 ? (norm ? times : 1 / times) : 1;
    }
}

/* Two products of the second layer, one behind the other, `times` as large. */
static void overflow(const char *name, float times, size_t n, float *values) {
    for (size_t i = 0; strstr(name, "layers.1.fc") != NULL && strstr(name, "weight") != NULL && i < n; i++) {
        values[i] *= times;
    }
}

/* A copy of a checkpoint whose values are changed. */
static void altered(const char *from, const char *to, void (*change)(const char *, float, size_t, float *), float times) {
    char path[500];
    spoor_error err = {0};
    spoor_context *ctx = support_context();
    safetensors *f;
    safetensors_writer *w;
    float *data[128];
    snprintf(path, sizeof path, "%s/%s/model.safetensors", folder, from);
    support_ok(safetensors_open(ctx, path, &f, &err), &err);
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const safetensors_tensor *t = safetensors_at(f, i);
        data[i] = malloc(t->count * sizeof(float));
        safetensors_to_f32(t, data[i]);
        change(t->name, times, t->count, data[i]);
        support_ok(safetensors_writer_add(w, t->name, SAFETENSORS_F32, t->rank, t->shape, data[i], &err), &err);
    }
    snprintf(path, sizeof path, "%s/%s", folder, to);
    support_ok(io_make_folder(path, &err), &err);
    snprintf(path, sizeof path, "%s/%s/model.safetensors", folder, to);
    support_ok(safetensors_writer_save(w, path, &err), &err);
    safetensors_writer_free(w);
    for (size_t i = 0; i < safetensors_count(f); i++) {
        free(data[i]);
    }
    safetensors_free(f);
    unsigned char *config;
    size_t n;
    snprintf(path, sizeof path, "%s/%s/config.json", folder, from);
    support_ok(io_read_file(ctx, path, 10000, &config, &n, &err), &err);
    snprintf(path, sizeof path, "%s/%s/config.json", folder, to);
    support_ok(io_write_file(ctx, path, config, n, &err), &err);
    ctx_free(ctx, config);
    spoor_context_free(ctx);
}

static int setup(void **state) {
    folder_new(state);
    checkpoint_whisper(folder_path("whisper"), 3);
    checkpoint_wav2vec2(folder_path("wav2vec2"), 4);
    altered("whisper", "whisper-outliers", outliers, 30);
    altered("wav2vec2", "wav2vec2-outliers", outliers, 30);
    altered("whisper", "whisper-overflow", overflow, 1e25F);
    altered("whisper", "whisper-nan", overflow, NAN);
    return 0;
}

/* ---- factors ---- */

static void codes(void **state) {
    (void)state;
    assert_int_equal(int8_code(1), INT8_ONE);
    assert_int_equal(int8_code(2), INT8_ONE + 4);
    assert_int_equal(int8_code(0.5), INT8_ONE - 4);
    assert_int_equal(int8_code(1.18), INT8_ONE + 1);
    assert_int_equal(int8_code(1e30), INT8_ONE + INT8_RANGE);
    assert_int_equal(int8_code(1e-30), INT8_ONE - INT8_RANGE);
    assert_int_equal(int8_code(NAN), INT8_ONE);
    assert_int_equal(int8_code(0), INT8_ONE);
    assert_true(int8_factor(INT8_ONE) == 1 && int8_factor(INT8_ONE + 8) == 4 && int8_factor(INT8_ONE - 4) == 0.5);
}

static encoder_sizes sizes_of(const char *text) {
    encoder_sizes s;
    spoor_error err = {0};
    json_t *config = json(text);
    support_ok(encoder_sizes_from_json(config, &s, &err), &err);
    json_decref(config);
    return s;
}

#define TWO_WIDE                                                                                                       \
    "{\"model_type\":\"whisper\",\"d_model\":2,\"encoder_layers\":2,\"encoder_attention_heads\":1,\"encoder_ffn_"      \
    "dim\":3}"

static void fold(const json_t *plan, const encoder_sizes *s, const char *name, int64_t rows, int64_t columns,
                 float *values) {
    tensor shape = {.ndim = columns > 0 ? 2 : 1, .dim = {rows, columns}};
    int8_fold_values(plan, s, name, &shape, values);
}

/* Column 0 of the first norm's outputs halved ('C' is 2), column 1 doubled (';' is 1/2); the values' second halved. */
static void a_case_by_hand(void **state) {
    (void)state;
    encoder_sizes s = sizes_of(TWO_WIDE);
    json_t *plan =
        json("{\"factors\":{\"layers.1.self_attn_layer_norm\":\"C;\",\"layers.1.self_attn.v_proj\":\"?C\"}}");
    float g[2] = {6, 5}, b[2] = {1, -1}, q[4] = {1, 2, 3, 4}, v[4] = {1, 2, 3, 4}, vb[2] = {7, 8},
          out[4] = {1, 2, 3, 4};
    float other[4] = {1, 2, 3, 4}, fc[2] = {1, 2};
    fold(plan, &s, "layers.1.self_attn_layer_norm.weight", 2, 0, g);
    fold(plan, &s, "layers.1.self_attn_layer_norm.bias", 2, 0, b);
    fold(plan, &s, "layers.1.self_attn.q_proj.weight", 2, 2, q);
    fold(plan, &s, "layers.1.self_attn.v_proj.weight", 2, 2, v);
    fold(plan, &s, "layers.1.self_attn.v_proj.bias", 2, 0, vb);
    fold(plan, &s, "layers.1.self_attn.out_proj.weight", 2, 2, out);
    fold(plan, &s, "layers.0.self_attn.q_proj.weight", 2, 2, other); /* another layer */
    fold(plan, &s, "layers.1.self_attn.q_proj.bias", 2, 0, fc);      /* a bias behind the factors */
    assert_true(g[0] == 3 && g[1] == 10 && b[0] == 0.5 && b[1] == -2);
    assert_true(q[0] == 2 && q[1] == 1 && q[2] == 6 && q[3] == 2);
    assert_true(v[0] == 2 && v[1] == 1 && v[2] == 3 && v[3] == 1); /* as q, and its second row halved */
    assert_true(vb[0] == 7 && vb[1] == 4);
    assert_true(out[0] == 1 && out[1] == 4 && out[2] == 3 && out[3] == 8);
    assert_true(other[0] == 1 && other[3] == 4 && fc[0] == 1 && fc[1] == 2);
    json_decref(plan);
}

/* A layer norm whose result also goes into the residual sum, or WavLM's gates, has no factors. */
static void where_factors_go(void **state) {
    (void)state;
    static const struct {
        const char *sizes;
        int n;
        const char *first;
    } cases[] = {{"{\"model_type\":\"whisper\"}", 3, "layers.1.self_attn_layer_norm"},
                 {"{\"model_type\":\"wav2vec2\"}", 1, "encoder.layers.1.attention.v_proj"},
                 {"{\"model_type\":\"hubert\",\"do_stable_layer_norm\":true,\"feat_extract_norm\":\"layer\"}", 3,
                  "encoder.layers.1.layer_norm"},
                 {"{\"model_type\":\"wavlm\"}", 1, "encoder.layers.1.attention.v_proj"},
                 {"{\"model_type\":\"wavlm\",\"do_stable_layer_norm\":true,\"feat_extract_norm\":\"layer\"}", 2,
                  "encoder.layers.1.final_layer_norm"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        encoder_sizes s = sizes_of(cases[i].sizes);
        int8_fold f[INT8_FOLDS];
        assert_int_equal(int8_folds(&s, 1, f), cases[i].n);
        assert_string_equal(f[0].source, cases[i].first);
    }
}

/* ---- the whole encoder in float ---- */

typedef struct reading {
    encoder *from; /* random */
    const json_t *plan;
    const encoder_sizes *sizes;
} reading;

static spoor_status read_folded(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                                spoor_error *err) {
    const reading *r = user;
    const param *p = params_find(encoder_params(r->from), name);
    tensor shape = {.ndim = ndim};
    (void)err;
    memcpy(shape.dim, dim, (size_t)ndim * sizeof *dim);
    memcpy(out, p->value.data, (size_t)tensor_count(&p->value) * sizeof *out);
    if (r->plan != NULL) {
        int8_fold_values(r->plan, r->sizes, name, &shape, out);
    }
    return SPOOR_OK;
}

static float *last_state(spoor_context *ctx, encoder *e, int64_t *count) {
    spoor_error err = {0};
    compute *c;
    tape *t;
    const encoder_sizes *s = encoder_get_sizes(e);
    tensor *hidden[ENCODER_MAX_LAYERS + 1];
    support_ok(compute_new(ctx, 1, &c, &err), &err);
    support_ok(tape_new(ctx, c, &t, &err), &err);
    tape_begin(t, false, false, 0);
    bool whisper = s->kind == ENCODER_WHISPER;
    tensor *x = whisper ? tape_tensor(t, 3, (int64_t[]){1, 60, s->mels}) : tape_tensor(t, 2, (int64_t[]){1, 4000});
    rng r = rng_make(1, 2);
    for (int64_t i = 0; i < tensor_count(x); i++) {
        x->data[i] = (real)rng_normal(&r);
    }
    encoder_forward(e, t, x, 0, NULL, hidden);
    support_ok(tape_status(t, &err), &err);
    *count = tensor_count(hidden[encoder_last(e)]);
    float *out = malloc((size_t)*count * sizeof *out);
    memcpy(out, hidden[encoder_last(e)]->data, (size_t)*count * sizeof *out);
    tape_free(t);
    compute_free(c);
    return out;
}

/* Random factors at every place. */
static json_t *random_factors(const encoder_sizes *s) {
    json_t *factors = json_object();
    rng r = rng_make(4, 4);
    for (int64_t l = 0; l < s->layers; l++) {
        int8_fold f[INT8_FOLDS];
        int n = int8_folds(s, l, f);
        for (int i = 0; i < n; i++) {
            char text[64] = "";
            for (int64_t j = 0; j < s->width; j++) {
                text[j] = (char)(INT8_ONE - 12 + (int)rng_below(&r, 25));
            }
            json_object_set_new(factors, f[i].source, json_string(text));
        }
    }
    return json_pack("{s:o}", "factors", factors);
}

static void factors_change_nothing_in_float(void **state) {
    (void)state;
#define SMALL                                                                                                          \
    "\"conv_dim\":[8,8,8],\"conv_kernel\":[10,4,4],\"conv_stride\":[10,2,2],\"num_conv_pos_embeddings\":8,"            \
    "\"num_conv_pos_embedding_groups\":4,\"hidden_size\":16,\"num_hidden_layers\":3,\"num_attention_heads\":2,"        \
    "\"intermediate_size\":24"
    static const char *const cases[] = {
        ("{\"model_type\":\"whisper\",\"d_model\":16,\"encoder_layers\":3,\"encoder_attention_heads\":2,\"encoder_ffn_"
         "dim\":24,"
         "\"num_mel_bins\":8,\"max_source_positions\":100}"),
        "{\"model_type\":\"wav2vec2\"," SMALL "}",
        "{\"model_type\":\"wav2vec2\",\"do_stable_layer_norm\":true,\"feat_extract_norm\":\"layer\"," SMALL "}",
        "{\"model_type\":\"wavlm\",\"num_buckets\":16,\"max_bucket_distance\":40," SMALL "}",
        "{\"model_type\":\"wavlm\",\"do_stable_layer_norm\":true,\"feat_extract_norm\":\"layer\",\"num_buckets\":16,"
        "\"max_bucket_distance\":40," SMALL "}"};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        spoor_context *ctx = support_context();
        spoor_error err = {0};
        encoder_sizes s = sizes_of(cases[k]);
        encoder *from, *plain, *folded;
        support_ok(encoder_new(ctx, &s, 3, "", true, 7, &from, &err), &err);
        rng r = rng_make(5, k);
        for (size_t i = 0; i < params_count(encoder_params(from)); i++) { /* norms that are not 1 and 0 */
            param *p = params_at(encoder_params(from), i);
            for (int64_t j = 0; strstr(p->name, "norm") != NULL && j < tensor_count(&p->value); j++) {
                p->value.data[j] += (real)(0.3 * rng_normal(&r));
            }
        }
        json_t *plan = random_factors(&s);
        support_ok(encoder_new(ctx, &s, 3, "", false, 0, &plain, &err), &err);
        support_ok(encoder_new(ctx, &s, 3, "", false, 0, &folded, &err), &err);
        support_ok(encoder_load_from(plain, read_folded, &(reading){from, NULL, &s}, COMPUTE_F32, &err), &err);
        support_ok(encoder_load_from(folded, read_folded, &(reading){from, plan, &s}, COMPUTE_F32, &err), &err);
        int64_t n, m;
        float *a = last_state(ctx, plain, &n), *b = last_state(ctx, folded, &m);
        double worst = 0, top = 0;
        bool same = true;
        assert_int_equal(n, m);
        for (int64_t i = 0; i < n; i++) {
            worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
            top = fmax(top, fabs((double)a[i]));
            same &= a[i] == b[i];
        }
        if (!(worst <= 1e-5 * top) || same) {
            fail_msg("case %zu: error %g of %g%s", k, worst, top, same ? ": nothing was folded" : "");
        }
        free(a);
        free(b);
        json_decref(plan);
        encoder_free(from);
        encoder_free(plain);
        encoder_free(folded);
        spoor_context_free(ctx);
    }
}

/* ---- front ends ---- */

typedef struct sound {
    float samples[SAMPLES];
    size_t asked;
} sound;

static void make_sound(size_t clip, float *out) {
    rng r = rng_make(11, clip);
    for (size_t i = 0; i < SAMPLES; i++) {
        out[i] = (float)(0.05 * rng_normal(&r) + 0.2 * sin((0.02 + 0.01 * (double)clip) * (double)i));
    }
}

static spoor_status open_clip(void *user, size_t clip, const float **samples, size_t *n, spoor_error *err) {
    sound *s = user;
    (void)err;
    make_sound(clip, s->samples);
    s->asked++;
    *samples = s->samples;
    *n = SAMPLES;
    return SPOOR_OK;
}

/* A front end of hidden states 1 and 2; plan NULL: none. */
static spoor_status new_frontend(spoor_context *ctx, const char *kind, const char *from, const char *precision,
                                 json_t *plan, frontend **out, spoor_error *err) {
    json_t *config =
        json_pack("{s:s, s:s, s:[i,i], s:s}", "kind", kind, "weights", from, "layers", 1, 2, "precision", precision);
    if (plan != NULL) {
        json_object_set(config, "int8", plan);
    }
    spoor_status status = frontend_new_with(ctx, config, &(frontend_options){.folder = folder}, out, err);
    json_decref(config);
    return status;
}

static json_t *measured(spoor_context *ctx, const char *kind, const char *from, double share) {
    spoor_error err = {0};
    frontend *fe = NULL;
    sound s = {.asked = 0};
    int8_options o;
    json_t *config;
    int8_options_init(&o);
    o.clips = CLIPS;
    o.clip = open_clip;
    o.user = &s;
    o.share = share;
    support_ok(new_frontend(ctx, kind, from, "f32", NULL, &fe, &err), &err);
    support_ok(int8_measure(fe, &o, &config, &err), &err);
    assert_int_equal(s.asked, CLIPS);
    json_t *plan = json_incref(json_object_get(config, "int8"));
    assert_non_null(plan);
    json_decref(config);
    frontend_free(fe);
    return plan;
}

static float *features(spoor_context *ctx, const char *kind, const char *from, const char *precision, json_t *plan,
                       size_t *n) {
    frontend *fe = NULL;
    frontend_scratch *s;
    spoor_error err = {0};
    float samples[SAMPLES];
    make_sound(100, samples); /* none of those that were measured */
    support_ok(new_frontend(ctx, kind, from, precision, plan, &fe, &err), &err);
    support_ok(frontend_scratch_new(fe, &s, &err), &err);
    *n = frontend_frames(fe, SAMPLES) * frontend_dim(fe);
    float *out = malloc(*n * sizeof *out);
    support_ok(frontend_compute(fe, s, samples, SAMPLES, out, &err), &err);
    frontend_scratch_free(s);
    frontend_free(fe);
    return out;
}

static double error_of(spoor_context *ctx, const char *kind, const char *from, const char *precision, json_t *plan) {
    size_t n, m;
    float *exact = features(ctx, kind, from, "f32", NULL, &n), *got = features(ctx, kind, from, precision, plan, &m);
    double noise = 0, signal = 0;
    for (size_t i = 0; i < n; i++) {
        noise += ((double)got[i] - (double)exact[i]) * ((double)got[i] - (double)exact[i]);
        signal += (double)exact[i] * (double)exact[i];
    }
    free(exact);
    free(got);
    return sqrt(noise / signal);
}

static bool same_bits(spoor_context *ctx, const char *kind, const char *from, const char *a, json_t *plan_a,
                      const char *b, json_t *plan_b) {
    size_t n, m;
    float *x = features(ctx, kind, from, a, plan_a, &n), *y = features(ctx, kind, from, b, plan_b, &m);
    bool same = n == m && memcmp(x, y, n * sizeof *x) == 0;
    free(x);
    free(y);
    return same;
}

static const char *const KINDS[2][2] = {{"whisper", "whisper-outliers"}, {"wav2vec2", "wav2vec2-outliers"}};

static void outliers_do_less_harm(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    for (int k = 0; k < 2; k++) {
        json_t *plan = measured(ctx, KINDS[k][0], KINDS[k][1], 0), *again = measured(ctx, KINDS[k][0], KINDS[k][1], 0);
        assert_true(json_equal(plan, again));
        double before = error_of(ctx, KINDS[k][0], KINDS[k][1], "int8", NULL),
               after = error_of(ctx, KINDS[k][0], KINDS[k][1], "int8", plan);
        if (!(after < 0.6 * before)) {
            fail_msg("%s: error %g before, %g after", KINDS[k][1], before, after);
        }
        assert_true(same_bits(ctx, KINDS[k][0], KINDS[k][1], "f32", NULL, "f32", plan)); /* the plan is int8's alone */
        assert_true(same_bits(ctx, KINDS[k][0], KINDS[k][1], "bf16", NULL, "bf16", plan));
        json_decref(plan);
        json_decref(again);
    }
    spoor_context_free(ctx);
}

static void set_all(json_t *plan, const char *precision) {
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(plan, "products"), name, value) {
        json_object_set_new(value, "precision", json_string(precision));
    }
}

/* Without factors: all products in bfloat16 is that precision, none is int8 as it is without a plan, one is neither. */
static void products_stay_bfloat16_where_told(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    for (int k = 0; k < 2; k++) {
        const char *kind = KINDS[k][0], *from = KINDS[k][1];
        json_t *plan = measured(ctx, kind, from, 0);
        json_object_clear(json_object_get(plan, "factors"));
        assert_true(json_object_size(json_object_get(plan, "products")) >= 12);
        assert_true(same_bits(ctx, kind, from, "int8", plan, "int8", NULL));
        set_all(plan, "bf16");
        assert_true(same_bits(ctx, kind, from, "int8", plan, "bf16", NULL));
        set_all(plan, "int8");
        json_t *one = json_object_iter_value(json_object_iter(json_object_get(plan, "products")));
        json_object_set_new(one, "precision", json_string("bf16"));
        assert_false(same_bits(ctx, kind, from, "int8", plan, "int8", NULL));
        assert_false(same_bits(ctx, kind, from, "int8", plan, "bf16", NULL));
        json_decref(plan);
    }
    spoor_context_free(ctx);
}

static size_t kept(const json_t *plan) {
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach(json_object_get(plan, "products"), name, value) {
        n += strcmp(json_string_value(json_object_get(value, "precision")), "bf16") == 0;
    }
    return n;
}

/* More may stay, more does, and the errors on recordings that were not measured go down. */
static void the_share_decides_how_many_stay(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    json_t *plan[3];
    double error[3];
    for (int i = 0; i < 3; i++) {
        plan[i] = measured(ctx, "whisper", "whisper", i / 2.0);
        error[i] = error_of(ctx, "whisper", "whisper", "int8", plan[i]);
    }
    assert_int_equal(kept(plan[0]), 0);
    assert_true(kept(plan[1]) > 0 && kept(plan[1]) < kept(plan[2]));
    assert_int_equal(kept(plan[2]), json_object_size(json_object_get(plan[2], "products")));
    assert_true(error[1] < error[0] && error[2] < error[1]);
    for (int i = 0; i < 3; i++) {
        json_decref(plan[i]);
    }
    spoor_context_free(ctx);
}

/* What a model file stores are the weights without the factors, and the plan beside them. */
static void weights_are_stored_as_they_were(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    json_t *plan = measured(ctx, "whisper", "whisper-outliers", 0.2);
    frontend *fe = NULL, *plain = NULL;
    support_ok(new_frontend(ctx, "whisper", "whisper-outliers", "int8", plan, &fe, &err), &err);
    support_ok(new_frontend(ctx, "whisper", "whisper-outliers", "f32", NULL, &plain, &err), &err);
    assert_true(json_equal(json_object_get(frontend_config(fe), "int8"), plan));
    assert_null(json_object_get(frontend_config(plain), "int8"));
    for (size_t i = 0; i < params_count(frontend_params(fe)); i++) {
        const param *p = params_at(frontend_params(fe), i), *q = params_at(frontend_params(plain), i);
        size_t n = (size_t)tensor_count(&p->value);
        float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
        support_ok(frontend_read_param(fe, p, a, &err), &err);
        support_ok(frontend_read_param(plain, q, b, &err), &err);
        assert_memory_equal(a, b, n * sizeof *a);
        free(a);
        free(b);
    }
    frontend_free(fe);
    frontend_free(plain);
    json_decref(plan);
    spoor_context_free(ctx);
}

/* ---- refusals ---- */

static void refused(spoor_context *ctx, const char *from, json_t *plan, const char *precision, spoor_status status,
                    const char *words) {
    frontend *fe = NULL;
    spoor_error err = {0};
    assert_int_equal(new_frontend(ctx, "whisper", from, precision, plan, &fe, &err), status);
    if (strstr(err.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
    frontend_free(fe);
}

static void plans_of_other_weights_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    json_t *plan = measured(ctx, "whisper", "whisper-outliers", 0);
    refused(ctx, "whisper", plan, "int8", SPOOR_ERR_MODEL, "made with other weights");
    json_t *less = json_deep_copy(plan);
    json_object_del(json_object_get(less, "products"), "layers.1.fc2.weight");
    refused(ctx, "whisper-outliers", less, "int8", SPOOR_ERR_MODEL, "layers.1.fc2.weight");
    json_decref(less);
    less = json_deep_copy(plan);
    json_object_del(json_object_get(less, "hashes"), "layers.0.self_attn.v_proj.bias");
    refused(ctx, "whisper-outliers", less, "int8", SPOOR_ERR_MODEL, "layers.0.self_attn.v_proj.bias");
    json_decref(less);
    json_decref(plan);
    spoor_context_free(ctx);
}

static void damaged_plans_are_refused(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"[]", "no object"},
        {"{\"factors\":{},\"products\":{},\"hashes\":{},\"extra\":1}", "extra"},
        {"{\"clips\":-1,\"factors\":{},\"products\":{},\"hashes\":{}}", "clips"},
        {"{\"products\":{},\"hashes\":{}}", "factors"},
        {"{\"factors\":{},\"hashes\":{}}", "products"},
        {"{\"factors\":{},\"products\":{}}", "hashes"},
        {"{\"factors\":{\"layers.0.fc1\":\"????????????????\"},\"products\":{},\"hashes\":{}}", "layers.0.fc1"},
        {"{\"factors\":{\"layers.2.final_layer_norm\":\"????????????????\"},\"products\":{},\"hashes\":{}}",
         "layers.2"},
        {"{\"factors\":{\"layers.-1.final_layer_norm\":\"????????????????\"},\"products\":{},\"hashes\":{}}",
         "layers.-1"},
        {"{\"factors\":{\"layers.0.final_layer_norm\":\"???????????????\"},\"products\":{},\"hashes\":{}}",
         "final_layer_norm"},
        {"{\"factors\":{\"layers.0.final_layer_norm\":\"???????????????~\"},\"products\":{},\"hashes\":{}}",
         "final_layer_norm"},
        {"{\"factors\":{\"layers.0.final_layer_norm\":[1]},\"products\":{},\"hashes\":{}}", "final_layer_norm"},
        {"{\"factors\":{},\"products\":{\"a\":{\"precision\":\"int4\"}},\"hashes\":{}}", "the product a"},
        {"{\"factors\":{},\"products\":{\"a\":{}},\"hashes\":{}}", "the product a"},
        {"{\"factors\":{},\"products\":{\"a\":{\"precision\":\"int8\",\"share\":2}},\"hashes\":{}}", "the product a"},
        {"{\"factors\":{},\"products\":{\"a\\n\":1},\"hashes\":{}}", "the product a?"},
        {"{\"factors\":{},\"products\":{},\"hashes\":{\"a\":\"0123\"}}", "the hash of a"},
        {"{\"factors\":{},\"products\":{},\"hashes\":{\"a\":\"0123456789abcdeg\"}}", "the hash of a"},
        {"{\"states\":[],\"factors\":{},\"products\":{},\"hashes\":{}}", "states"},
    };
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *plan = json(bad[i][0]);
        refused(ctx, "whisper", plan, "f32", SPOOR_ERR_USAGE, bad[i][1]);
        json_decref(plan);
    }
    encoder_sizes s = sizes_of(TWO_WIDE);
    json_t *out;
    spoor_error err = {0};
    assert_int_equal(int8_parse("{\"factors\":{", &s, &out, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "damaged"));
    spoor_context_free(ctx);
}

/* Not a plan with the scales that would come of them. */
static void numbers_that_are_not_finite_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    frontend *fe = NULL;
    json_t *out;
    sound s;
    int8_options o;
    int8_options_init(&o);
    o.clips = 2;
    o.clip = open_clip;
    o.user = &s;
    support_ok(new_frontend(ctx, "whisper", "whisper-overflow", "f32", NULL, &fe, &err), &err);
    assert_int_equal(int8_measure(fe, &o, &out, &err), SPOOR_ERR_MODEL);
    assert_null(out);
    assert_non_null(strstr(err.message, "recording 1 of 2"));
    assert_non_null(strstr(err.message, "hidden state 2, in float32,"));
    frontend_free(fe);
    refused(ctx, "whisper-nan", NULL, "f32", SPOOR_ERR_MODEL, ".weight hold a value that is not a finite number");
    spoor_context_free(ctx);
}

static void wrong_questions_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    frontend *fe = NULL;
    json_t *config = json("{\"kind\":\"log-mel\"}"), *out;
    sound s;
    int8_options o;
    int8_options_init(&o);
    o.clips = 1;
    o.clip = open_clip;
    o.user = &s;
    support_ok(frontend_new(ctx, config, &fe, &err), &err);
    assert_int_equal(int8_measure(fe, &o, &out, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "encoder"));
    frontend_free(fe);
    support_ok(new_frontend(ctx, "whisper", "whisper", "f32", NULL, &fe, &err), &err);
    o.clips = 0;
    assert_int_equal(int8_measure(fe, &o, &out, &err), SPOOR_ERR_USAGE);
    o.clips = 1;
    o.share = 1.5;
    assert_int_equal(int8_measure(fe, &o, &out, &err), SPOOR_ERR_USAGE);
    frontend_free(fe);
    json_decref(config);
    spoor_context_free(ctx);
}

/* Whichever allocation fails, it is said and nothing is left behind. (jansson's own memory is not counted.) */
static void memory_that_runs_out(void **state) {
    (void)state;
    for (size_t at = 1, step = 1;; at += step++) {
        support_failing f = {.fail_at = at};
        spoor_context *ctx = support_failing_context(&f);
        spoor_error err = {0};
        frontend *fe = NULL;
        sound s = {.asked = 0};
        int8_options o;
        json_t *out = NULL;
        int8_options_init(&o);
        o.clips = 1;
        o.clip = open_clip;
        o.user = &s;
        spoor_status status = new_frontend(ctx, "whisper", "whisper", "f32", NULL, &fe, &err);
        if (status == SPOOR_OK) {
            status = int8_measure(fe, &o, &out, &err);
        }
        bool failed = f.count >= at;
        assert_int_equal(status, failed ? SPOOR_ERR_LIMIT : SPOOR_OK);
        json_decref(out);
        frontend_free(fe);
        assert_int_equal(f.live, 0);
        spoor_context_free(ctx);
        if (!failed) {
            return;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes),
        cmocka_unit_test(a_case_by_hand),
        cmocka_unit_test(where_factors_go),
        cmocka_unit_test(factors_change_nothing_in_float),
        cmocka_unit_test(outliers_do_less_harm),
        cmocka_unit_test(products_stay_bfloat16_where_told),
        cmocka_unit_test(the_share_decides_how_many_stay),
        cmocka_unit_test(weights_are_stored_as_they_were),
        cmocka_unit_test(plans_of_other_weights_are_refused),
        cmocka_unit_test(damaged_plans_are_refused),
        cmocka_unit_test(numbers_that_are_not_finite_are_refused),
        cmocka_unit_test(wrong_questions_are_refused),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
