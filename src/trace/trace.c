/* trace.c: windows of a recording, their mean, and the verdict; see trace.h. */
#include "trace/trace.h"
#include "trace/enrolled.h"
#include "trace/session.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sums { /* of logits and embeddings over windows, in double so that their order cannot matter much */
    double *logits, *embedding;
    float *window_logits, *window_embedding;
    size_t n_logits, n_embedding, capacity;
} sums;

void spoor_trace_options_init(spoor_trace_options *options) { memset(options, 0, sizeof *options); }

const char *spoor_verdict_name(spoor_verdict verdict) {
    switch (verdict) {
    case SPOOR_BONAFIDE: return "bonafide";
    case SPOOR_KNOWN: return "known";
    case SPOOR_UNKNOWN: return "unknown";
    case SPOOR_NOT_ASSESSABLE: return "not_assessable";
    case SPOOR_ENROLLED: return "enrolled";
    }
    return "not_assessable";
}

/* ---- one window --------------------------------------------------------------------------------------- */

static const float *task_logits(const spoor_model *m, const float *logits, size_t task) {
    for (size_t i = 0; i < task; i++) {
        logits += m->tasks[i].n_classes;
    }
    return logits;
}

static double bonafide_llr(const spoor_model *m, const float *logits) {
    if (m->bonafide_task == SIZE_MAX) {
        return NAN;
    }
    return calibrate_logistic_llr(&m->bonafide, model_bonafide_score(m, logits));
}

static double bonafide_probability(const spoor_model *m, double llr) {
    if (isnan(llr)) {
        return NAN;
    }
    double odds = llr + log(m->bonafide.prior / (1.0 - m->bonafide.prior));
    return 1.0 / (1.0 + exp(-odds));
}

/* Known score over the synthetic classes, and the best of them (-1: none). `synthetic` has room for the task's
 * classes. */
static spoor_status known_score(const spoor_model *m, const float *logits, const float *embedding, float *synthetic,
                                double *score, int32_t *best, spoor_error *err) {
    *score = NAN;
    *best = -1;
    if (m->known_task == SIZE_MAX) {
        return SPOOR_OK;
    }
    const model_task *task = &m->tasks[m->known_task];
    const float *own = task_logits(m, logits, m->known_task);
    size_t n = model_synthetic_logits(task, own, synthetic, NULL);
    for (size_t i = 0; i < task->n_classes; i++) {
        if ((int64_t)i != task->human && (*best < 0 || own[i] > own[*best])) {
            *best = (int32_t)i;
        }
    }
    return openset_score(&m->openset, synthetic, n, embedding, (size_t)net_embedding_size(m->net), score, err);
}

static spoor_status add_window(spoor_session *s, const audio_window *where, sums *sum, spoor_result *r,
                               spoor_error *err) {
    TRY(trace_window_forward(s, s->samples, sum->window_logits, sum->window_embedding, err));
    for (size_t i = 0; i < sum->n_logits; i++) {
        if (!isfinite(sum->window_logits[i])) {
            return error_set(err, SPOOR_ERR_MODEL, "the model gave a score that is not finite; its weights are "
                                                   "unusable");
        }
        sum->logits[i] += (double)sum->window_logits[i];
    }
    for (size_t i = 0; i < sum->n_embedding; i++) {
        sum->embedding[i] += (double)sum->window_embedding[i];
    }
    if (!ctx_grow(s->ctx, (void **)&r->windows, &sum->capacity, r->n_windows + 1, sizeof *r->windows)) {
        return error_memory(err, "tracing a long recording");
    }
    trace_window *w = &r->windows[r->n_windows++];
    *w = (trace_window){.start = where->start, .end = where->end};
    w->bonafide = bonafide_probability(s->model, bonafide_llr(s->model, sum->window_logits));
    return known_score(s->model, sum->window_logits, sum->window_embedding, r->logits, &w->known, &w->source, err);
}

/* ---- the whole recording ------------------------------------------------------------------------------ */

static int better(const void *a, const void *b) {
    const spoor_class *x = a, *y = b;
    if (x->p != y->p) {
        return x->p < y->p ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

static spoor_status rank_task(spoor_result *r, size_t index, const float *logits, spoor_error *err) {
    const model_task *task = &r->model->tasks[index];
    trace_ranking *ranking = &r->rankings[index];
    float *kept = ctx_alloc(r->ctx, task->n_classes, sizeof *kept);
    double *p = ctx_alloc(r->ctx, task->n_classes, sizeof *p);
    int32_t *map = ctx_alloc(r->ctx, task->n_classes, sizeof *map);
    ranking->classes = ctx_alloc(r->ctx, task->n_classes, sizeof *ranking->classes);
    spoor_status status = SPOOR_OK;
    if (kept == NULL || p == NULL || map == NULL || ranking->classes == NULL) {
        status = error_memory(err, "ranking the sources");
    } else {
        ranking->n = model_synthetic_logits(task, logits, kept, map);
        calibrate_softmax(kept, ranking->n, task->temperature, p);
        for (size_t i = 0; i < ranking->n; i++) {
            ranking->classes[i] = (spoor_class){task->classes[map[i]], p[i]};
        }
        qsort(ranking->classes, ranking->n, sizeof *ranking->classes, better);
    }
    ctx_free(r->ctx, kept);
    ctx_free(r->ctx, p);
    ctx_free(r->ctx, map);
    return status;
}

static void agreement_of_windows(spoor_result *r, int32_t best) {
    size_t agree = 0;
    for (size_t i = 0; i < r->n_windows; i++) {
        agree += r->windows[i].source == best;
    }
    r->agreement = best < 0 ? NAN : (double)agree / (double)r->n_windows;
}

/* An enrolled source that is near enough goes before what the model knows, but not before human speech. */
static spoor_status compare_enrolled(spoor_result *r, const spoor_gallery *g, spoor_error *err) {
    if (g == NULL) {
        return SPOOR_OK;
    }
    if (g->model != r->model) {
        return error_set(err, SPOOR_ERR_USAGE, "the gallery was opened for another model than the session");
    }
    r->enrolled = ctx_alloc(r->ctx, g->file->n, sizeof *r->enrolled);
    if (r->enrolled == NULL) {
        return error_memory(err, "comparing with enrolled sources");
    }
    TRY(enrolled_rank(g, r->embedding, r->enrolled, &r->nearest_known, err));
    r->n_enrolled = g->file->n;
    if (r->n_enrolled > 0 && r->enrolled[0].score >= r->enrolled[0].threshold && r->verdict != SPOOR_BONAFIDE) {
        r->verdict = SPOOR_ENROLLED;
        r->reason[0] = '\0';
    }
    return SPOOR_OK;
}

static spoor_status decide(spoor_result *r, sums *sum, const spoor_gallery *g, spoor_error *err) {
    const spoor_model *m = r->model;
    double n = (double)r->n_windows;
    for (size_t i = 0; i < sum->n_embedding; i++) {
        r->embedding[i] = (float)(sum->embedding[i] / n);
    }
    for (size_t i = 0; i < sum->n_logits; i++) {
        r->logits[i] = (float)(sum->logits[i] / n);
    }
    model_join(m, r->logits);
    r->bonafide_llr = bonafide_llr(m, r->logits);
    r->bonafide_p = bonafide_probability(m, r->bonafide_llr);
    int32_t best;
    TRY(known_score(m, r->logits, r->embedding, sum->window_logits, &r->known, &best, err));
    agreement_of_windows(r, best);
    const float *logits = r->logits;
    for (size_t i = 0; i < m->n_tasks; i++) {
        TRY(rank_task(r, i, logits, err));
        logits += m->tasks[i].n_classes;
    }
    if (r->bonafide_p >= 0.5) {
        r->verdict = SPOOR_BONAFIDE;
    } else if (isnan(r->known) || r->known >= m->openset.threshold) {
        r->verdict = SPOOR_KNOWN;
    } else {
        r->verdict = SPOOR_UNKNOWN;
        (void)snprintf(r->reason, sizeof r->reason,
                       "like none of the %zu known sources: score %.3g, below the threshold %.3g",
                       m->tasks[m->known_task].n_classes - (m->tasks[m->known_task].human >= 0), r->known,
                       m->openset.threshold);
    }
    TRY(tree_new(m, r->logits, r->known, r->bonafide_p, &r->tree, err));
    return compare_enrolled(r, g, err);
}

/* With a hop over a window, the samples between two windows are not at hand. */
static void sink_silence(trace_sink sink, void *user, size_t n) {
    static const float zeros[1024];
    for (size_t piece; n > 0; n -= piece) {
        piece = n < 1024 ? n : 1024;
        sink(user, zeros, piece);
    }
}

static spoor_status run_windows(spoor_session *s, audio_windows *windows, double seconds, trace_sink sink, void *user,
                                sums *sum, spoor_result *r, spoor_error *err) {
    size_t heard = 0; /* samples of the recording that the sink was given */
    for (;;) {
        audio_window where;
        bool more;
        TRY(ctx_check_cancel(s->ctx, err));
        TRY(audio_windows_next(windows, s->samples, &where, &more, err));
        if (!more) {
            return SPOOR_OK;
        }
        TRY(add_window(s, &where, sum, r, err));
        size_t start = (size_t)llround(where.start * AUDIO_RATE), end = (size_t)llround(where.end * AUDIO_RATE);
        if (sink != NULL && heard < start) {
            sink_silence(sink, user, start - heard);
        }
        heard = heard < start ? start : heard;
        if (sink != NULL && end > heard) {
            sink(user, s->samples + (heard - start), end - heard);
        }
        heard = end > heard ? end : heard;
        ctx_progress(s->ctx, heard, seconds > 0 ? (uint64_t)(seconds * AUDIO_RATE) : 0);
    }
}

static spoor_status prepare(spoor_session *s, spoor_audio *audio, const char *name, sums *sum, spoor_result *r,
                            spoor_error *err) {
    audio_info info = audio_get_info(audio);
    r->ctx = s->ctx;
    r->model = s->model;
    r->rate = info.rate;
    r->channels = info.channels;
    (void)snprintf(r->format, sizeof r->format, "%s", info.format);
    sum->n_logits = trace_logits_size(s->model);
    sum->n_embedding = (size_t)net_embedding_size(s->model->net);
    r->name = ctx_strdup(s->ctx, name != NULL ? name : info.name);
    r->rankings = ctx_calloc(s->ctx, s->model->n_tasks, sizeof *r->rankings);
    r->embedding = ctx_alloc(s->ctx, sum->n_embedding, sizeof(float));
    r->logits = ctx_alloc(s->ctx, sum->n_logits, sizeof(float));
    sum->logits = ctx_calloc(s->ctx, sum->n_logits, sizeof(double));
    sum->embedding = ctx_calloc(s->ctx, sum->n_embedding, sizeof(double));
    sum->window_logits = ctx_alloc(s->ctx, sum->n_logits, sizeof(float));
    sum->window_embedding = ctx_alloc(s->ctx, sum->n_embedding, sizeof(float));
    if (r->name == NULL || r->rankings == NULL || r->embedding == NULL || r->logits == NULL || sum->logits == NULL ||
        sum->embedding == NULL || sum->window_logits == NULL || sum->window_embedding == NULL) {
        return error_memory(err, "tracing a recording");
    }
    return audio_sha256(audio, r->sha256, err);
}

static spoor_status trace_into(spoor_session *s, spoor_audio *audio, const spoor_trace_options *o, trace_sink sink,
                               void *user, sums *sum, spoor_result *r, spoor_error *err) {
    if (!(o->hop_seconds >= 0.0 && o->hop_seconds <= 3600.0) || (o->hop_seconds > 0 && o->hop_seconds < 0.01)) {
        return error_set(err, SPOOR_ERR_USAGE, "the hop between windows must be 0.01 to 3600 seconds");
    }
    TRY(prepare(s, audio, o->name, sum, r, err));
    audio_assess *assess = NULL;
    audio_windows *windows = NULL;
    TRY(session_follow(s, audio, err));
    TRY(audio_assess_new(s->ctx, audio, &assess, err));
    spoor_status status =
        audio_windows_new(s->ctx, audio, (size_t)llround(o->hop_seconds * AUDIO_RATE), assess, &windows, err);
    if (status == SPOOR_OK) {
        status = run_windows(s, windows, audio_get_info(audio).seconds, sink, user, sum, r, err);
    }
    if (status == SPOOR_OK) {
        audio_assess_finish(assess, &r->assessment);
        r->seconds = r->assessment.seconds;
        r->silence_removed = audio_silence_removed(audio);
        if (r->assessment.verdict == AUDIO_ASSESSABLE) {
            status = decide(r, sum, o->gallery, err);
        } else {
            r->verdict = SPOOR_NOT_ASSESSABLE;
            (void)snprintf(r->reason, sizeof r->reason, "%s", r->assessment.reason);
            ctx_free(s->ctx, r->embedding);
            r->embedding = NULL;
            r->n_windows = 0;
            r->bonafide_p = r->bonafide_llr = r->known = NAN;
        }
    }
    audio_windows_free(windows);
    audio_assess_free(assess);
    return status;
}

spoor_status trace_run(spoor_session *s, spoor_audio *audio, const spoor_trace_options *options, trace_sink sink,
                       void *user, spoor_result **out, spoor_error *err) {
    *out = NULL;
    spoor_trace_options o;
    spoor_trace_options_init(&o);
    if (options != NULL) {
        o = *options;
    }
    spoor_result *r = ctx_calloc(s->ctx, 1, sizeof *r);
    if (r == NULL) {
        return error_memory(err, "tracing a recording");
    }
    r->ctx = s->ctx;
    sums sum = {0};
    spoor_status status = trace_into(s, audio, &o, sink, user, &sum, r, err);
    ctx_free(s->ctx, sum.logits);
    ctx_free(s->ctx, sum.embedding);
    ctx_free(s->ctx, sum.window_logits);
    ctx_free(s->ctx, sum.window_embedding);
    if (status != SPOOR_OK) {
        spoor_result_free(r);
        return status;
    }
    *out = r;
    return SPOOR_OK;
}

spoor_status spoor_trace(spoor_session *session, spoor_audio *audio, const spoor_trace_options *options,
                         spoor_result **out, spoor_error *err) {
    return trace_run(session, audio, options, NULL, NULL, out, err);
}

/* ---- reading the result ------------------------------------------------------------------------------- */

void spoor_result_free(spoor_result *r) {
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; r->rankings != NULL && i < r->model->n_tasks; i++) {
        ctx_free(r->ctx, r->rankings[i].classes);
    }
    ctx_free(r->ctx, r->rankings);
    ctx_free(r->ctx, r->name);
    tree_free(r->tree);
    ctx_free(r->ctx, r->windows);
    ctx_free(r->ctx, r->enrolled);
    ctx_free(r->ctx, r->embedding);
    ctx_free(r->ctx, r->logits);
    ctx_free(r->ctx, r->json);
    ctx_free(r->ctx, r);
}

spoor_verdict spoor_result_verdict(const spoor_result *r) { return r->verdict; }
const char *spoor_result_reason(const spoor_result *r) { return r->reason; }

double spoor_result_bonafide(const spoor_result *r, double *llr) {
    if (llr != NULL) {
        *llr = r->bonafide_llr;
    }
    return r->bonafide_p;
}

const spoor_class *spoor_result_ranked(const spoor_result *r, const char *task, size_t *n) {
    size_t index = model_find_task(r->model, task);
    bool has = index != SIZE_MAX && r->verdict != SPOOR_NOT_ASSESSABLE;
    *n = has ? r->rankings[index].n : 0;
    return has ? r->rankings[index].classes : NULL;
}

double spoor_result_known(const spoor_result *r, double *threshold) {
    if (threshold != NULL) {
        *threshold = r->model->openset.threshold;
    }
    return r->known;
}

const spoor_enrolled *spoor_result_enrolled(const spoor_result *r, size_t *n) {
    *n = r->n_enrolled;
    return r->n_enrolled > 0 ? r->enrolled : NULL;
}

const float *spoor_result_embedding(const spoor_result *r) { return r->embedding; }
