/* score.c: labels and forward passes of score.h; calibration and score sets are in score_set.c. */
#include "train/score.h"
#include "trace/session.h"
#include <math.h>
#include <string.h>

bool score_with_human(const spoor_model *m, size_t task) {
    return task == m->bonafide_task && m->tasks[task].n_classes == 2;
}

/* ---- labels ---- */

enum { MAX_COLUMNS = 16 };

typedef struct columns { /* of one task */
    size_t column[MAX_COLUMNS], n;
    const json_t *except;
} columns;

static size_t named_column(const manifest *m, const json_t *spec, const char *key) {
    const char *name = json_string_value(json_object_get(spec, key));
    return manifest_column(m, name ? name : key);
}

static void find_columns(const manifest *m, const json_t *spec, const char *task, columns *out) {
    const json_t *t = json_object_get(json_object_get(spec, "tasks"), task), *c = json_object_get(t, "column");
    *out = (columns){.except = json_object_get(t, "except")};
    if (!c) {
        out->column[out->n++] = manifest_column(m, task);
        return;
    }
    size_t n = json_is_array(c) ? json_array_size(c) : 1;
    for (size_t i = 0; i < n && i < MAX_COLUMNS; i++) {
        const char *name = json_string_value(json_is_array(c) ? json_array_get(c, i) : c);
        out->column[out->n++] = name ? manifest_column(m, name) : SIZE_MAX;
    }
}

static const char *label_text(const manifest *m, size_t row, const columns *c) {
    const char *text = "";
    for (size_t i = 0; i < c->n && !*text; i++) {
        text = manifest_cell(m, row, c->column[i]);
    }
    const json_t *e = c->except;
    size_t n = json_is_array(e) ? json_array_size(e) : e != NULL;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_is_array(e) ? json_array_get(e, i) : e);
        if (name && strcmp(name, text) == 0) {
            return "";
        }
    }
    return text;
}

const char *score_label_text(const spoor_model *m, const manifest *from, size_t row, const json_t *spec, size_t task) {
    columns c;
    find_columns(from, spec, m->tasks[task].name, &c);
    return label_text(from, row, &c);
}

static int32_t class_index(const model_task *t, const char *name) {
    for (size_t i = 0; i < t->n_classes; i++) {
        if (strcmp(t->classes[i], name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

static void label_clip(const spoor_model *m, const manifest *from, size_t row, const columns *task, score_label *l) {
    l->is_bonafide = l->is_known = -1;
    l->source = "";
    for (size_t i = 0; i < m->n_tasks; i++) {
        const char *text = label_text(from, row, &task[i]);
        l->label[i] = *text ? class_index(&m->tasks[i], text) : -1;
        bool human = m->tasks[i].human >= 0 && l->label[i] == m->tasks[i].human;
        l->truth[i] = human && !score_with_human(m, i) ? -1 : l->label[i];
        if (i == m->bonafide_task && *text) {
            l->is_bonafide = model_is_human(text);
        }
        if (i == m->known_task) {
            l->source = text;
            l->is_known = *text && !model_is_human(text) ? l->label[i] >= 0 : -1;
        }
    }
}

spoor_status score_labels_new(spoor_context *ctx, const spoor_model *m, const manifest *from, const size_t *rows,
                              size_t n, const json_t *spec, score_labels **out, spoor_error *err) {
    *out = NULL;
    score_labels *l = ctx_calloc(ctx, 1, sizeof *l);
    columns *task = ctx_calloc(ctx, m->n_tasks, sizeof *task);
    if (l) {
        *l = (score_labels){.ctx = ctx, .n = n, .clip = ctx_calloc(ctx, n, sizeof *l->clip),
                            .numbers = ctx_calloc(ctx, n, 2 * m->n_tasks * sizeof *l->numbers)};
    }
    if (!l || !task || !l->clip || !l->numbers) {
        ctx_free(ctx, task);
        score_labels_free(l);
        return error_memory(err, "labelling recordings");
    }
    for (size_t i = 0; i < m->n_tasks; i++) {
        find_columns(from, spec, m->tasks[i].name, &task[i]);
    }
    size_t page = named_column(from, spec, "page"), setting = named_column(from, spec, "setting"),
           split = named_column(from, spec, "split");
    for (size_t i = 0; i < n; i++) {
        score_label *c = &l->clip[i];
        *c = (score_label){.id = manifest_id(from, rows[i]), .split = manifest_cell(from, rows[i], split),
                           .page = manifest_cell(from, rows[i], page), .setting = manifest_cell(from, rows[i], setting),
                           .truth = l->numbers + 2 * i * m->n_tasks, .label = l->numbers + (2 * i + 1) * m->n_tasks};
        label_clip(m, from, rows[i], task, c);
    }
    ctx_free(ctx, task);
    *out = l;
    return SPOOR_OK;
}

void score_labels_free(score_labels *l) {
    if (l) {
        ctx_free(l->ctx, l->clip);
        ctx_free(l->ctx, l->numbers);
        ctx_free(l->ctx, l);
    }
}

/* ---- forward ---- */

typedef struct sums { /* one window and the sum over windows */
    float *logits, *embedding;
    double *logits_sum, *embedding_sum;
    size_t windows;
} sums;

static spoor_status add_windows(spoor_session *s, audio_windows *w, size_t n_logits, size_t n_embedding, sums *sum,
                                spoor_error *err) {
    for (;;) {
        audio_window where;
        bool more;
        TRY(audio_windows_next(w, s->samples, &where, &more, err));
        if (!more) {
            return SPOOR_OK;
        }
        TRY(trace_window_forward(s, s->samples, sum->logits, sum->embedding, err));
        for (size_t i = 0; i < n_logits; i++) {
            sum->logits_sum[i] += (double)sum->logits[i];
        }
        for (size_t i = 0; i < n_embedding; i++) {
            sum->embedding_sum[i] += (double)sum->embedding[i];
        }
        sum->windows++;
    }
}

spoor_status score_recording(spoor_session *s, spoor_audio *audio, size_t hop, float *logits, float *embedding,
                             spoor_error *err) {
    size_t n_logits = trace_logits_size(s->model), n_embedding = (size_t)net_embedding_size(s->model->net);
    sums sum = {ctx_alloc(s->ctx, n_logits, sizeof(float)), ctx_alloc(s->ctx, n_embedding, sizeof(float)),
                ctx_calloc(s->ctx, n_logits, sizeof(double)), ctx_calloc(s->ctx, n_embedding, sizeof(double)), 0};
    audio_windows *w = NULL;
    spoor_status status = sum.logits && sum.embedding && sum.logits_sum && sum.embedding_sum
                              ? session_follow(s, audio, err)
                              : error_memory(err, "scoring a recording");
    if (status == SPOOR_OK) {
        status = audio_windows_new(s->ctx, audio, hop, NULL, &w, err);
    }
    if (status == SPOOR_OK) {
        status = add_windows(s, w, n_logits, n_embedding, &sum, err);
    }
    for (size_t i = 0; status == SPOOR_OK && i < n_logits; i++) {
        logits[i] = (float)(sum.logits_sum[i] / (double)sum.windows);
        if (!isfinite(logits[i])) {
            status = error_set(err, SPOOR_ERR_MODEL, "the model gave a score that is not finite; its weights are "
                                                     "unusable");
        }
    }
    if (status == SPOOR_OK) {
        model_join(s->model, logits);
    }
    for (size_t i = 0; status == SPOOR_OK && embedding && i < n_embedding; i++) {
        embedding[i] = (float)(sum.embedding_sum[i] / (double)sum.windows);
    }
    audio_windows_free(w);
    ctx_free(s->ctx, sum.logits);
    ctx_free(s->ctx, sum.embedding);
    ctx_free(s->ctx, sum.logits_sum);
    ctx_free(s->ctx, sum.embedding_sum);
    return status;
}

typedef struct job {
    spoor_context *ctx;
    spoor_session **sessions;
    score_open open;
    void *user;
    size_t hop, n_logits, n_embedding, first;
    float *logits, *embedding;
    spoor_error *errors;
} job;

static void score_one(void *arg, int64_t item, unsigned worker) {
    job *j = arg;
    size_t i = j->first + (size_t)item;
    spoor_error *err = &j->errors[i];
    float *logits = j->logits + i * j->n_logits, *embedding = j->embedding ? j->embedding + i * j->n_embedding : NULL;
    spoor_audio *audio = NULL;
    float *owned = NULL;
    spoor_status status = j->open(j->user, i, &audio, &owned, err);
    if (status == SPOOR_OK) {
        status = score_recording(j->sessions[worker], audio, j->hop, logits, embedding, err);
    }
    if (status != SPOOR_OK) {
        memset(logits, 0, j->n_logits * sizeof *logits);
        if (embedding) {
            memset(embedding, 0, j->n_embedding * sizeof *embedding);
        }
    }
    err->status = status;
    spoor_audio_free(audio);
    ctx_free(j->ctx, owned);
}

spoor_status score_all(spoor_context *ctx, spoor_model *m, unsigned threads, size_t n, score_open open, void *user,
                       size_t hop, float *logits, float *embedding, spoor_error *errors, spoor_error *err) {
    enum { BLOCK = 64 }; /* recordings between two looks at the cancel callback */
    pool *p = NULL;
    job j = {.ctx = ctx, .open = open, .user = user, .hop = hop, .logits = logits, .embedding = embedding,
             .errors = errors, .n_logits = trace_logits_size(m), .n_embedding = (size_t)net_embedding_size(m->net),
             .sessions = ctx_calloc(ctx, threads, sizeof *j.sessions)};
    spoor_status status = j.sessions ? pool_new(ctx, threads, &p, err) : error_memory(err, "scoring recordings");
    for (unsigned i = 0; i < threads && status == SPOOR_OK; i++) {
        status = spoor_session_new(m, &j.sessions[i], err);
    }
    for (; j.first < n && status == SPOOR_OK; j.first += BLOCK) {
        status = ctx_check_cancel(ctx, err);
        if (status == SPOOR_OK) {
            size_t block = n - j.first < BLOCK ? n - j.first : BLOCK;
            pool_run(p, (int64_t)block, score_one, &j);
            ctx_progress(ctx, j.first + block, n);
        }
    }
    for (unsigned i = 0; j.sessions && i < threads; i++) {
        spoor_session_free(j.sessions[i]);
    }
    pool_free(p);
    ctx_free(ctx, j.sessions);
    return status;
}
