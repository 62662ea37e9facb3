/* test_trace.c: from audio to verdict and JSON with a model of random weights: the contract, not the opinion. */
#include "base/io.h"
#include "base/rng.h"
#include "model/tiny_model.h"
#include "report/html.h"
#include "report/json.h"
#include "report/text.h"
#include "trace/trace.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;
static spoor_model *model;
static char *folder;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    folder = support_temporary();
    char path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    tiny_model_write(ctx, path, false);
    spoor_error err = {0};
    support_ok(spoor_model_open(ctx, path, &model, &err), &err);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_model_free(model);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

/* Speech-like: a harmonic tone with a moving pitch and some noise. */
static float *voice(size_t n, uint64_t seed) {
    float *x = malloc((n + 1) * sizeof *x);
    rng r = rng_make(seed, 0);
    double phase = 0;
    for (size_t i = 0; i < n; i++) {
        phase += 6.283185307 * (120 + 40 * sin((double)i / 9000 + (double)seed)) / 16000;
        double v = 0;
        for (int k = 1; k < 40; k++) {
            v += sin(k * phase) / k;
        }
        x[i] = (float)(0.1 * v * (0.6 + 0.4 * sin((double)i / 2500)) + 0.003 * rng_normal(&r));
    }
    return x;
}

static spoor_result *trace(spoor_session *s, const float *x, size_t n, double hop) {
    spoor_error err = {0};
    spoor_audio *audio = NULL;
    spoor_result *r = NULL;
    spoor_trace_options o;
    spoor_trace_options_init(&o);
    o.hop_seconds = hop;
    o.name = "a.wav";
    support_ok(spoor_audio_open_samples(ctx, x, n, 16000, &audio, &err), &err);
    support_ok(spoor_trace(s, audio, &o, &r, &err), &err);
    spoor_audio_free(audio);
    return r;
}

static spoor_session *session(void) {
    spoor_session *s = NULL;
    spoor_error err = {0};
    support_ok(spoor_session_new(model, &s, &err), &err);
    return s;
}

static void the_json_holds_what_the_result_says(void **state) {
    (void)state;
    size_t n = 160000;
    float *x = voice(n, 1);
    spoor_session *s = session();
    spoor_result *r = trace(s, x, n, 0);
    json_t *j = json_loads(spoor_result_json(r), 0, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "file")), "a.wav");
    assert_string_equal(json_string_value(json_object_get(j, "verdict")), spoor_verdict_name(spoor_result_verdict(r)));
    support_close(json_number_value(json_object_get(j, "seconds")), 10, 1e-9, "seconds");
    assert_int_equal(json_array_size(json_object_get(j, "windows")), 3);
    json_t *last = json_array_get(json_object_get(j, "windows"), 2);
    support_close(json_number_value(json_object_get(last, "end")), 10, 1e-9, "the last window ends with the recording");
    support_close(json_number_value(json_object_get(last, "start")), 10 - 4.0375, 1e-9, "and is a whole window");
    double llr, p = spoor_result_bonafide(r, &llr), sum = 0, before = 1;
    support_close(json_number_value(json_object_get(json_object_get(j, "bonafide"), "p")), p, 1e-6, "p");
    support_close(p, 1 / (1 + exp(-llr)), 1e-9, "p and llr agree at prior 0.5");
    json_t *ranked = json_object_get(json_object_get(j, "source"), "ranked");
    assert_int_equal(json_array_size(ranked), 3); /* without bonafide */
    for (size_t i = 0; i < 3; i++) {
        double q = json_number_value(json_object_get(json_array_get(ranked, i), "p"));
        assert_true(q <= before);
        before = q;
        sum += q;
    }
    support_close(sum, 1, 1e-6, "ranked probabilities sum to one");
    assert_true(json_is_null(json_object_get(j, "vocoder"))); /* the tiny model has no such task */
    json_decref(j);
    spoor_result_free(r);
    spoor_session_free(s);
    free(x);
}

typedef struct worker {
    float *const *clips;
    const size_t *sizes;
    char *json[6];
    int from;
} worker;

static void *work(void *arg) {
    worker *w = arg;
    spoor_session *s = session();
    for (int i = 0; i < 6; i++) {
        int k = (i + w->from) % 6;
        spoor_result *r = trace(s, w->clips[k], w->sizes[k], 0);
        w->json[k] = strdup(spoor_result_json(r));
        spoor_result_free(r);
    }
    spoor_session_free(s);
    return NULL;
}

static void same_bits_alone_in_any_order_and_on_8_threads(void **state) {
    (void)state;
    size_t sizes[6] = {64600, 20000, 130000, 64601, 64599, 8001};
    float *clips[6];
    char *alone[6];
    for (int i = 0; i < 6; i++) {
        clips[i] = voice(sizes[i], (uint64_t)i + 1);
        spoor_session *s = session();
        spoor_result *r = trace(s, clips[i], sizes[i], 0);
        alone[i] = strdup(spoor_result_json(r));
        spoor_result_free(r);
        spoor_session_free(s);
    }
    pthread_t threads[8];
    worker workers[8];
    for (int t = 0; t < 8; t++) {
        workers[t] = (worker){.clips = clips, .sizes = sizes, .from = t};
        assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
    }
    for (int t = 0; t < 8; t++) {
        pthread_join(threads[t], NULL);
        for (int i = 0; i < 6; i++) {
            assert_string_equal(workers[t].json[i], alone[i]);
            free(workers[t].json[i]);
        }
    }
    for (int i = 0; i < 6; i++) {
        free(alone[i]);
        free(clips[i]);
    }
}

static void a_hop_gives_overlapping_windows(void **state) {
    (void)state;
    float *x = voice(100000, 3);
    spoor_session *s = session();
    spoor_result *r = trace(s, x, 100000, 1.0);
    assert_int_equal(r->n_windows, 4); /* 0, 1, 2 s, and the one that ends with the recording */
    support_close(r->windows[1].start, 1, 1e-9, "start of the second window");
    spoor_result_free(r);
    spoor_session_free(s);
    free(x);
}

typedef struct listener {
    size_t n, silent;
} listener;

static void listen(void *user, const float *samples, size_t n) {
    listener *l = user;
    l->n += n;
    for (size_t i = 0; i < n; i++) {
        l->silent += samples[i] == 0.0f;
    }
}

static void a_listener_gets_every_sample_once(void **state) {
    (void)state;
    enum { N = 300000 };
    float *x = voice(N, 8);
    const double hops[] = {0, 1.0, 7.0};
    const size_t silent[] = {0, 0, 2 * (112000 - 64600)}; /* between the windows at 0, 7 and 14 s; the last ends at N */
    spoor_session *s = session();
    for (size_t i = 0; i < 3; i++) {
        spoor_error err = {0};
        spoor_audio *audio = NULL;
        spoor_result *r = NULL;
        spoor_trace_options o;
        spoor_trace_options_init(&o);
        o.hop_seconds = hops[i];
        listener l = {0, 0};
        support_ok(spoor_audio_open_samples(ctx, x, N, 16000, &audio, &err), &err);
        support_ok(trace_run(s, audio, &o, listen, &l, &r, &err), &err);
        assert_int_equal(l.n, N);
        assert_int_equal(l.silent, silent[i]);
        spoor_result_free(r);
        spoor_audio_free(audio);
    }
    spoor_session_free(s);
    free(x);
}

static void what_cannot_be_judged_is_not(void **state) {
    (void)state;
    spoor_session *s = session();
    float *x = voice(32000, 4);
    float *silence = calloc(32000, sizeof *silence);
    struct {
        const float *x;
        size_t n;
        const char *word;
    } cases[] = {{silence, 32000, "silen"}, {x, 3000, "0.5"}};
    for (size_t i = 0; i < 2; i++) {
        spoor_result *r = trace(s, cases[i].x, cases[i].n, 0);
        assert_int_equal(spoor_result_verdict(r), SPOOR_NOT_ASSESSABLE);
        assert_null(spoor_result_embedding(r));
        size_t n;
        assert_null(spoor_result_ranked(r, "source", &n));
        json_t *j = json_loads(spoor_result_json(r), 0, NULL);
        assert_true(json_is_null(json_object_get(j, "bonafide")) && json_is_null(json_object_get(j, "source")));
        assert_int_equal(json_array_size(json_object_get(j, "windows")), 0);
        assert_true(json_string_length(json_object_get(j, "reason")) > 5);
        json_decref(j);
        spoor_result_free(r);
    }
    x[100] = NAN;
    spoor_result *r = trace(s, x, 32000, 0);
    assert_int_equal(spoor_result_verdict(r), SPOOR_NOT_ASSESSABLE);
    spoor_result_free(r);
    spoor_session_free(s);
    free(silence);
    free(x);
}

/* A model of other questions (how a codec is built, say): no source task, no human class. */
static void a_model_without_sources_names_none(void **state) {
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/other.safetensors", folder);
    spoor_error err = {0};
    json_t *meta = tiny_meta();
    net_task tasks[] = {{(char *)(size_t) "vq", 3}};
    net *n = NULL;
    json_object_set_new(meta, "tasks",
                        json_pack("[{s:s, s:[s,s,s]}]", "name", "vq", "classes", "single", "multi", "none"));
    support_ok(net_new(ctx, json_object_get(meta, "network"), 80, tasks, 1, 3, &n, &err), &err);
    support_ok(model_save(ctx, path, n, NULL, NULL, meta, false, &err), &err);
    spoor_model *m = NULL;
    spoor_session *s = NULL;
    support_ok(spoor_model_open(ctx, path, &m, &err), &err);
    support_ok(spoor_session_new(m, &s, &err), &err);
    float *x = voice(80000, 2);
    spoor_result *r = trace(s, x, 80000, 0);
    json_t *j = json_loads(spoor_result_json(r), 0, NULL);
    assert_true(json_is_null(json_object_get(j, "source")) && json_is_null(json_object_get(j, "agreement")));
    assert_true(json_is_null(json_object_get(json_object_get(j, "bonafide"), "p")));
    size_t size;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    report_text_result(out, r, 5);
    fclose(out);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    snprintf(path, sizeof path, "%s/other.html", folder);
    report_html *h = NULL;
    unsigned char *data;
    support_ok(report_html_open(ctx, path, m, &h, &err), &err);
    support_ok(report_html_add(h, r, NULL, &err), &err);
    support_ok(report_html_close(h, true, &err), &err);
    support_ok(io_read_file(ctx, path, 1 << 20, &data, &size, &err), &err);
    assert_null(strstr((char *)data, "nan"));
    assert_null(strstr((char *)data, "inf"));
    ctx_free(ctx, data);
    free(text);
    json_decref(j);
    spoor_result_free(r);
    spoor_session_free(s);
    spoor_model_free(m);
    net_free(n);
    json_decref(meta);
    free(x);
}

/* What is printed for people of a result. */
static char *text_of(const spoor_result *r) {
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    report_text_result(out, r, 5);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void expect_verdict(const spoor_result *r, spoor_verdict verdict, const char *json_source, const char *words) {
    json_t *j = report_result_json(r);
    assert_int_equal(spoor_result_verdict(r), verdict);
    assert_string_equal(json_string_value(json_object_get(j, "verdict")), spoor_verdict_name(verdict));
    const json_t *name = json_object_get(json_object_get(j, "source"), "name");
    if (json_source == NULL) {
        assert_true(json_is_null(name));
    } else {
        assert_string_equal(json_string_value(name), json_source);
    }
    assert_string_equal(json_string_value(json_object_get(j, "reason")), spoor_result_reason(r));
    double threshold, known = spoor_result_known(r, &threshold);
    const json_t *k = json_object_get(j, "known");
    support_close(json_number_value(json_object_get(k, "score")), known, 1e-6, "known score");
    support_close(json_number_value(json_object_get(k, "threshold")), threshold, 1e-6, "threshold");
    char *text = text_of(r);
    if (strstr(text, words) == NULL) {
        fail_msg("\"%s\" is not said in: %s", words, text);
    }
    free(text);
    json_decref(j);
}

/* The same recording under other thresholds and another calibration: the verdict follows, and at the threshold itself a
 * source is known. */
static void verdicts_follow_threshold_and_calibration(void **state) {
    (void)state;
    float *x = voice(40000, 3);
    spoor_session *s = session();
    const openset kept = model->openset;
    const calibrate_logistic map = model->bonafide;
    model->bonafide = (calibrate_logistic){.scale = 0, .offset = -2, .prior = 0.5, .informative = true};
    spoor_result *r = trace(s, x, 40000, 0);
    double score = spoor_result_known(r, NULL);
    size_t n;
    const char *best = spoor_result_ranked(r, "source", &n)[0].name;
    assert_int_equal(spoor_result_verdict(r), SPOOR_KNOWN); /* the model has no threshold */
    spoor_result_free(r);
    model->openset.threshold = score;
    r = trace(s, x, 40000, 0);
    expect_verdict(r, SPOOR_KNOWN, best, "  synthetic, probability 88 %; most like ");
    assert_string_equal(spoor_result_reason(r), "");
    spoor_result_free(r);
    model->openset.threshold = nextafter(score, INFINITY);
    r = trace(s, x, 40000, 0);
    expect_verdict(r, SPOOR_UNKNOWN, NULL, "  synthetic, probability 88 %; unknown source");
    assert_non_null(strstr(spoor_result_reason(r), "none of the 3 known sources"));
    spoor_result_free(r);
    model->bonafide.offset = 0; /* at even odds the benefit of the doubt is the speaker's */
    r = trace(s, x, 40000, 0);
    expect_verdict(r, SPOOR_BONAFIDE, NULL, "  human speech, probability 50 %");
    spoor_result_free(r);
    model->bonafide.prior = 0.1; /* rarer humans: 0.1 = p at llr 0 */
    r = trace(s, x, 40000, 0);
    double llr;
    support_close(spoor_result_bonafide(r, &llr), 0.1, 1e-9, "p at the prior");
    support_close(llr, 0, 1e-12, "llr does not depend on the prior");
    assert_int_equal(spoor_result_verdict(r), SPOOR_UNKNOWN);
    spoor_result_free(r);
    model->openset = kept;
    model->bonafide = map;
    spoor_session_free(s);
    free(x);
}

static void wrong_hops_and_broken_weights_are_refused(void **state) {
    (void)state;
    float *x = voice(20000, 4);
    spoor_session *s = session();
    spoor_error err = {0};
    spoor_audio *audio = NULL;
    spoor_result *r = NULL;
    spoor_trace_options o;
    spoor_trace_options_init(&o);
    support_ok(spoor_audio_open_samples(ctx, x, 20000, 16000, &audio, &err), &err);
    const double hops[] = {-1, 0.009, 3601, NAN, INFINITY};
    for (size_t i = 0; i < sizeof hops / sizeof *hops; i++) {
        o.hop_seconds = hops[i];
        assert_int_equal(spoor_trace(s, audio, &o, &r, &err), SPOOR_ERR_USAGE);
        assert_null(r);
    }
    params *all = net_params(model->net);
    real *last = params_at(all, params_count(all) - 1)->value.data, kept = last[0];
    last[0] = NAN;
    assert_int_equal(spoor_trace(s, audio, NULL, &r, &err), SPOOR_ERR_MODEL);
    assert_non_null(strstr(err.message, "not finite"));
    assert_null(r);
    last[0] = kept;
    support_ok(spoor_trace(s, audio, NULL, &r, &err), &err);
    spoor_result_free(r);
    spoor_audio_free(audio);
    spoor_session_free(s);
    free(x);
}

static void names_of_any_bytes_become_valid_text(void **state) {
    (void)state;
    const char *names[] = {"plain",
                           ("a\xff\xfe" /* apart: b would be a digit */
                            "b"),
                           "\xc3\xa9",
                           "\xed\xa0\x80",
                           "\xf0\x9f\x98\x80",
                           "\xc0\xaf",
                           "\xe2\x82",
                           "tab\there"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        spoor_error err = {.status = SPOOR_ERR_INPUT};
        snprintf(err.message, sizeof err.message, "cannot read %s", names[i]);
        json_t *j = report_error_json(names[i], &err, model);
        char *text = j == NULL ? NULL : json_dumps(j, 0);
        assert_non_null(text);
        json_t *back = json_loads(text, 0, NULL);
        assert_non_null(back);
        assert_string_equal(json_string_value(json_object_get(json_object_get(back, "error"), "code")), "input");
        json_decref(back);
        json_decref(j);
        free(text);
    }
}

static void the_report_escapes_and_is_written_whole(void **state) {
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/r.html", folder);
    spoor_error err = {0};
    spoor_session *s = session();
    float *x = voice(300000, 5);
    spoor_audio *audio = NULL;
    spoor_result *r = NULL;
    overview *o = NULL;
    spoor_trace_options options;
    spoor_trace_options_init(&options);
    options.name = "<script>alert(1)</script>\xff.wav";
    support_ok(overview_new(ctx, &o, &err), &err);
    support_ok(spoor_audio_open_samples(ctx, x, 300000, 16000, &audio, &err), &err);
    support_ok(trace_run(s, audio, &options, overview_add, o, &r, &err), &err);
    assert_int_equal(o->position + o->n_chunk, 300000); /* every sample once */
    assert_true(o->n > OVERVIEW_COLUMNS / 2 && o->n <= OVERVIEW_COLUMNS);
    report_html *h = NULL;
    support_ok(report_html_open(ctx, path, model, &h, &err), &err);
    support_ok(report_html_add(h, r, o, &err), &err);
    spoor_error what = {SPOOR_ERR_INPUT, "cannot read <b>"};
    support_ok(report_html_add_error(h, "<img src=x>", &what, &err), &err);
    unsigned char *data;
    size_t size;
    assert_int_equal(io_read_file(ctx, path, 1 << 24, &data, &size, &err), SPOOR_ERR_IO); /* not there yet */
    support_ok(report_html_close(h, true, &err), &err);
    support_ok(io_read_file(ctx, path, 1 << 24, &data, &size, &err), &err);
    assert_null(strstr((char *)data, "<script"));
    assert_null(strstr((char *)data, "<img src=x>"));
    assert_non_null(strstr((char *)data, "&lt;script&gt;"));
    assert_non_null(strstr((char *)data, "data:image/bmp;base64,Qk"));
    assert_non_null(strstr((char *)data, "</html>"));
    ctx_free(ctx, data);
    FILE *text = fopen("/dev/null", "w");
    report_text_result(text, r, 5);
    fclose(text);
    spoor_result_free(r);
    spoor_audio_free(audio);
    overview_free(o);
    spoor_session_free(s);
    free(x);
}

static void a_report_survives_failing_memory(void **state) {
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/memory.html", folder);
    spoor_session *s = session();
    float *x = voice(20000, 6);
    spoor_result *r = trace(s, x, 20000, 0);
    bool done = false;
    for (size_t n = 1; n < 200 && !done; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *own = support_failing_context(&failing);
        spoor_error err = {0};
        overview *o = NULL;
        report_html *h = NULL;
        spoor_status status = overview_new(own, &o, &err);
        if (status == SPOOR_OK) {
            overview_add(o, x, 20000);
            status = report_html_open(own, path, model, &h, &err);
        }
        if (status == SPOOR_OK) {
            status = report_html_add(h, r, o, &err); /* without memory for it the picture is left out, no more */
            status = status == SPOOR_OK ? report_html_close(h, true, &err) : status;
            h = NULL;
        }
        done = status == SPOOR_OK && failing.count < n;
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        (void)report_html_close(h, false, NULL);
        overview_free(o);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(own);
    }
    assert_true(done);
    spoor_result_free(r);
    spoor_session_free(s);
    free(x);
}

static void failing_memory_is_reported(void **state) {
    (void)state;
    float *x = voice(20000, 6);
    char path[300];
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    bool done = false;
    for (size_t n = 1; n < 600 && !done; n += n < 150 ? 1 : 7) {
        support_failing failing = {0};
        spoor_context *own = support_failing_context(&failing);
        spoor_error err = {0};
        spoor_model *m = NULL;
        support_ok(spoor_model_open(own, path, &m, &err), &err);
        failing.fail_at = failing.count + n;
        spoor_session *s = NULL;
        spoor_audio *audio = NULL;
        spoor_result *r = NULL;
        spoor_status status = spoor_session_new(m, &s, &err);
        status = status == SPOOR_OK ? spoor_audio_open_samples(own, x, 20000, 16000, &audio, &err) : status;
        status = status == SPOOR_OK ? spoor_trace(s, audio, NULL, &r, &err) : status;
        done = status == SPOOR_OK;
        assert_true(done || (status == SPOOR_ERR_LIMIT && r == NULL));
        spoor_result_free(r);
        spoor_audio_free(audio);
        spoor_session_free(s);
        spoor_model_free(m);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(own);
    }
    assert_true(done);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_holds_what_the_result_says),
        cmocka_unit_test(same_bits_alone_in_any_order_and_on_8_threads),
        cmocka_unit_test(a_hop_gives_overlapping_windows),
        cmocka_unit_test(a_listener_gets_every_sample_once),
        cmocka_unit_test(what_cannot_be_judged_is_not),
        cmocka_unit_test(a_model_without_sources_names_none),
        cmocka_unit_test(verdicts_follow_threshold_and_calibration),
        cmocka_unit_test(wrong_hops_and_broken_weights_are_refused),
        cmocka_unit_test(names_of_any_bytes_become_valid_text),
        cmocka_unit_test(the_report_escapes_and_is_written_whole),
        cmocka_unit_test(a_report_survives_failing_memory),
        cmocka_unit_test(failing_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
