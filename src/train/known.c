/* known.c: see known.h. */
#include "train/known.h"
#include "eval/metrics.h"
#include "openset/gate.h"
#include "trace/trace.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5 };

/* ---- scores ---- */

/* The scores of `kinds` of n rows into score[n, OPENSET_KINDS]. */
static spoor_status score_rows(const spoor_model *m, openset_kinds kinds, size_t n, const float *logits,
                               const float *embedding, double *score, spoor_error *err) {
    const model_task *t = &m->tasks[m->known_task];
    size_t width = trace_logits_size(m), at = model_offset(m, m->known_task), dim = (size_t)net_embedding_size(m->net);
    float *kept = ctx_alloc(m->ctx, t->n_classes, sizeof *kept);
    spoor_status status = kept ? SPOOR_OK : error_memory(err, "scoring recordings");
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        size_t classes = model_synthetic_logits(t, logits + i * width + at, kept, NULL);
        status = openset_scores(&m->openset, kinds, kept, classes, embedding ? embedding + i * dim : NULL, dim,
                                score + i * OPENSET_KINDS, err);
    }
    ctx_free(m->ctx, kept);
    return status;
}

spoor_status score_known(const spoor_model *m, size_t n, const float *logits, const float *embedding, double *known,
                         spoor_error *err) {
    if (m->known_task == SIZE_MAX) {
        for (size_t i = 0; i < n; i++) {
            known[i] = NAN;
        }
        return SPOOR_OK;
    }
    double *score = ctx_calloc(m->ctx, n, OPENSET_KINDS * sizeof *score);
    spoor_status status = score ? score_rows(m, OPENSET_BIT(m->openset.kind), n, logits, embedding, score, err)
                                : error_memory(err, "scoring recordings");
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        known[i] = score[i * OPENSET_KINDS + m->openset.kind];
    }
    ctx_free(m->ctx, score);
    return status;
}

/* The clips of which it is stated whether their source is known. */
typedef struct stated {
    size_t *clip; /* [n] */
    double *score; /* [n, OPENSET_KINDS] */
    unsigned char *target;
    int32_t *page;
    size_t n, targets, pages;
} stated;

static void stated_clear(spoor_context *ctx, stated *s) {
    ctx_free(ctx, s->clip);
    ctx_free(ctx, s->score);
    ctx_free(ctx, s->target);
    ctx_free(ctx, s->page);
}

/* Pages from 0 on, those without a stated clip left out. */
static spoor_status number_pages(spoor_context *ctx, stated *s, spoor_error *err) {
    int32_t *number = ctx_alloc(ctx, s->pages, sizeof *number), next = 0;
    if (!number) {
        return error_memory(err, "scoring recordings");
    }
    memset(number, 0xff, s->pages * sizeof *number); /* -1 */
    for (size_t i = 0; i < s->n; i++) {
        number[s->page[i]] = number[s->page[i]] < 0 ? next++ : number[s->page[i]];
        s->page[i] = number[s->page[i]];
    }
    s->pages = (size_t)next;
    ctx_free(ctx, number);
    return SPOOR_OK;
}

static spoor_status stated_make(const spoor_model *m, openset_kinds kinds, const score_labels *l, const float *logits,
                                const float *embedding, stated *s, spoor_error *err) {
    *s = (stated){.clip = ctx_alloc(m->ctx, l->n, sizeof *s->clip),
                  .score = ctx_calloc(m->ctx, l->n, OPENSET_KINDS * sizeof *s->score),
                  .target = ctx_alloc(m->ctx, l->n, 1)};
    if (!s->clip || !s->score || !s->target) {
        return error_memory(err, "scoring recordings");
    }
    size_t width = trace_logits_size(m), dim = (size_t)net_embedding_size(m->net);
    TRY(score_page_groups(m->ctx, l, &s->page, &s->pages, err));
    for (size_t i = 0; i < l->n; i++) {
        if (l->clip[i].is_known >= 0) {
            TRY(score_rows(m, kinds, 1, logits + i * width, embedding ? embedding + i * dim : NULL,
                           s->score + s->n * OPENSET_KINDS, err));
            s->clip[s->n] = i;
            s->page[s->n] = s->page[i]; /* n <= i */
            s->target[s->n++] = l->clip[i].is_known == 1;
            s->targets += l->clip[i].is_known == 1;
        }
    }
    return number_pages(m->ctx, s, err);
}

static spoor_status cross_gate(const spoor_model *m, openset_kinds members, const stated *s, size_t folds, double *out,
                               spoor_error *err) {
    return openset_gate_cross(m->ctx, members, s->score, s->target, s->page, s->n, folds < s->pages ? folds : s->pages,
                              SCORE_FOLD_SEED, out, err);
}

spoor_status score_known_crossed(const spoor_model *m, const score_labels *l, const float *logits,
                                 const float *embedding, size_t folds, double *known, spoor_error *err) {
    TRY(score_known(m, l->n, logits, embedding, known, err));
    if (m->known_task == SIZE_MAX || m->openset.kind != OPENSET_GATE || folds < 2) {
        return SPOOR_OK;
    }
    stated s;
    spoor_status status = stated_make(m, m->openset.gate.members, l, logits, embedding, &s, err);
    double *crossed = ctx_alloc(m->ctx, l->n, sizeof *crossed);
    if (status == SPOOR_OK && !crossed) {
        status = error_memory(err, "scoring recordings");
    }
    if (status == SPOOR_OK) {
        spoor_error why;
        spoor_status made = cross_gate(m, m->openset.gate.members, &s, folds, crossed, &why);
        if (made == SPOOR_ERR_INPUT) {
            ctx_log(m->ctx, SPOOR_LOG_WARN, "known sources are reported with the model's own gate: %s", why.message);
        } else if (made != SPOOR_OK) {
            status = error_set(err, made, "%s", why.message);
        }
        for (size_t i = 0; made == SPOOR_OK && i < s.n; i++) {
            known[s.clip[i]] = crossed[i];
        }
    }
    ctx_free(m->ctx, crossed);
    stated_clear(m->ctx, &s);
    return status;
}

/* ---- threshold ---- */

spoor_status known_describe(spoor_model *m, spoor_error *err) {
    if (m->known_task == SIZE_MAX) {
        return SPOOR_OK;
    }
    json_t *known =
        json_pack("{s:s,s:o}", "task", m->tasks[m->known_task].name, "openset", openset_to_json(&m->openset));
    json_t *accepted = json_pack("{s:f,s:f}", "known", m->accepted.known, "unknown", m->accepted.unknown);
    if (known && m->accepted.known > 0 && json_object_set(known, "accepted", accepted) != 0) {
        json_decref(known);
        known = NULL;
    }
    json_decref(accepted);
    if (known && m->has_odds && json_object_set_new(known, "odds", calibrate_logistic_to_json(&m->odds)) != 0) {
        json_decref(known);
        known = NULL;
    }
    return known && json_object_set_new(m->meta, "known", known) == 0 ? SPOOR_OK : error_memory(err, "calibrating");
}

/* The threshold at the equal error rate; *done is false where dev lacks one of the classes. */
static spoor_status equal_errors(spoor_model *m, const double *score, const unsigned char *target, size_t n, bool *done,
                                 spoor_error *err) {
    detection *d;
    double threshold;
    TRY(detection_new(m->ctx, score, target, n, &d, err));
    *done = detection_eer(d, NULL, EER_ASVSPOOF, &threshold).reason == NULL;
    if (*done) {
        size_t known = detection_count(d, true), accepted = 0;
        for (size_t i = 0; i < n; i++) {
            accepted += target[i] && score[i] >= threshold;
        }
        m->openset.threshold = threshold;
        m->openset.acceptance = (double)accepted / (double)known;
        m->openset.by_eer = true;
    }
    detection_free(d);
    return SPOOR_OK;
}

static spoor_status fix(spoor_model *m, const score_labels *l, const double *known, double acceptance, double *score,
                        unsigned char *target, spoor_error *err) {
    bool done = false;
    size_t n = 0, targets = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->clip[i].is_known >= 0) {
            score[n] = known[i];
            target[n++] = l->clip[i].is_known == 1;
        }
    }
    if (acceptance <= 0) {
        TRY(equal_errors(m, score, target, n, &done, err));
        acceptance = 0.95;
        if (!done) {
            ctx_log(m->ctx, SPOOR_LOG_WARN, "dev lacks clips of known or of unknown sources: the threshold accepts %g "
                    "%% of known ones instead of lying at the equal error rate", 100 * acceptance);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (target[i]) {
            score[targets++] = score[i];
        }
    }
    if (targets == 0) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "dev has no clip of a known source: there is no threshold for unknown ones");
        return SPOOR_OK;
    }
    return done ? SPOOR_OK : openset_fix_threshold(m->ctx, &m->openset, score, targets, acceptance, err);
}

/* What the threshold accepts; one more clip of each side is put on either side of it, since dev is small. */
static void measure_accepted(spoor_model *m, const score_labels *l, const double *known) {
    size_t n[2] = {0, 0}, accepted[2] = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        if (l->clip[i].is_known >= 0) {
            n[l->clip[i].is_known]++;
            accepted[l->clip[i].is_known] += known[i] >= m->openset.threshold;
        }
    }
    m->accepted = (model_accepted){0, 0};
    if (n[0] > 0 && n[1] > 0) {
        m->accepted = (model_accepted){(double)(accepted[1] + 1) / (double)(n[1] + 2),
                                       (double)(accepted[0] + 1) / (double)(n[0] + 2)};
    }
}

spoor_status known_fix_threshold(spoor_model *m, const score_labels *l, const float *logits, const float *embedding,
                                 double acceptance, spoor_error *err) {
    if (m->known_task == SIZE_MAX) {
        return SPOOR_OK;
    }
    double *known = ctx_alloc(m->ctx, l->n, 2 * sizeof *known);
    unsigned char *target = ctx_alloc(m->ctx, l->n, 1);
    spoor_status status = known && target ? score_known_crossed(m, l, logits, embedding, FOLDS, known, err)
                                          : error_memory(err, "calibrating");
    if (status == SPOOR_OK) {
        status = fix(m, l, known, acceptance, known + l->n, target, err);
    }
    if (status == SPOOR_OK) {
        measure_accepted(m, l, known);
    }
    ctx_free(m->ctx, known);
    ctx_free(m->ctx, target);
    return status == SPOOR_OK ? known_describe(m, err) : status;
}

/* ---- the choice ---- */

void known_options_init(known_options *o) {
    *o = (known_options){.scorers = OPENSET_ALL, .choose = KNOWN_BY_DEV, .temperature = 1, .k = 6, .replicates = 1000};
    openset_fit_options_init(&o->fit);
}

static openset_kinds candidates(const known_options *o) {
    openset_kinds named = o->choose == KNOWN_BY_DEV ? 0 : OPENSET_BIT(o->choose);
    return (o->scorers | named) & OPENSET_ALL;
}

bool known_needs_train(const known_options *o) { return (candidates(o) & OPENSET_OF_TRAIN) != 0; }

/* Statistics of the train clips into the model; *kinds loses the scorers that cannot be had. */
static spoor_status fit_statistics(spoor_model *m, const known_train *train, const known_options *o,
                                   openset_kinds *kinds, spoor_error *err) {
    openset_stats_free(m->openset_stats);
    m->openset_stats = NULL;
    m->openset.stats = NULL;
    if (!train || (*kinds & OPENSET_OF_TRAIN) == 0) {
        *kinds &= ~OPENSET_OF_TRAIN;
        return SPOOR_OK;
    }
    const model_task *t = &m->tasks[m->known_task];
    size_t width = trace_logits_size(m), at = model_offset(m, m->known_task), classes = t->n_classes - (t->human >= 0);
    float *logits = ctx_alloc(m->ctx, train->n, (classes + 1) * sizeof *logits);
    int32_t *label = ctx_alloc(m->ctx, train->n, sizeof *label);
    spoor_status status = logits && label ? SPOOR_OK : error_memory(err, "fitting an open-set scorer");
    for (size_t i = 0; status == SPOOR_OK && i < train->n; i++) {
        (void)model_synthetic_logits(t, train->logits + i * width + at, logits + i * classes, NULL);
        int32_t truth = train->label[i];
        label[i] = truth < 0 || truth == t->human ? -1 : truth - (t->human >= 0 && truth > t->human);
    }
    if (status == SPOOR_OK) {
        openset_train set = {train->embedding, logits, label, train->n, (size_t)net_embedding_size(m->net), classes};
        status = openset_fit(m->ctx, *kinds, &set, &o->fit, &m->openset_stats, err);
    }
    ctx_free(m->ctx, logits);
    ctx_free(m->ctx, label);
    if (status == SPOOR_OK) {
        m->openset.stats = m->openset_stats;
        *kinds &= ~OPENSET_OF_TRAIN | m->openset_stats->kinds;
    }
    return status;
}

enum { FIGURES = 3 };
static const char *const figure_names[FIGURES] = {"auroc", "fpr95", "eer"};

typedef struct contest { /* every scorer on the same clips */
    detection *d[OPENSET_KINDS];
    openset_kind kind[OPENSET_KINDS];
    size_t n;
} contest;

static void figures_of(void *arg, const uint32_t *weight, double *out) {
    const contest *c = arg;
    for (size_t i = 0; i < c->n; i++) {
        out[i * FIGURES] = detection_auroc(c->d[i], weight).value;
        out[i * FIGURES + 1] = detection_fpr_interpolated(c->d[i], weight, 0.95).value;
        out[i * FIGURES + 2] = detection_eer(c->d[i], weight, EER_ASVSPOOF, NULL).value;
    }
}

static spoor_status contest_make(const spoor_model *m, openset_kinds kinds, const stated *s, contest *c,
                                 spoor_error *err) {
    double *column = ctx_alloc(m->ctx, s->n, sizeof *column);
    spoor_status status = column ? SPOOR_OK : error_memory(err, "judging open-set scorers");
    for (unsigned k = 0; k < OPENSET_KINDS && status == SPOOR_OK; k++) {
        if (kinds & OPENSET_BIT(k)) {
            for (size_t i = 0; i < s->n; i++) {
                column[i] = s->score[i * OPENSET_KINDS + k];
            }
            status = detection_new(m->ctx, column, s->target, s->n, &c->d[c->n], err);
            c->kind[c->n] = (openset_kind)k;
            c->n += status == SPOOR_OK;
        }
    }
    ctx_free(m->ctx, column);
    return status;
}

static json_t *real_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *table_make(const contest *c, const stated *s, const double *value, const metric_interval *range,
                          int chosen, bool by_dev) {
    json_t *rows = json_array();
    int bad = 0;
    for (size_t i = 0; i < c->n; i++) {
        json_t *row =
            json_pack("{s:s,s:b}", "scorer", openset_kind_name(c->kind[i]), "chosen", (int)c->kind[i] == chosen);
        for (size_t f = 0; f < FIGURES; f++) {
            size_t at = i * FIGURES + f;
            bad |= json_object_set_new(row, figure_names[f],
                                       json_pack("{s:o,s:o,s:o}", "value", real_or_null(value[at]), "low",
                                                 real_or_null(range[at].low), "high", real_or_null(range[at].high)));
        }
        bad |= json_array_append_new(rows, row);
    }
    if (bad) {
        json_decref(rows);
        return NULL;
    }
    return json_pack("{s:I,s:I,s:I,s:i,s:s,s:o}", "known", (json_int_t)s->targets, "unknown",
                     (json_int_t)(s->n - s->targets), "pages", (json_int_t)s->pages, "folds", FOLDS, "chosen_by",
                     by_dev ? "dev" : "name", "scorers", rows);
}

/* Figures of every scorer of the contest, the choice by them, the table. */
static spoor_status judge(const spoor_model *m, const contest *c, const stated *s, const known_options *o, int *chosen,
                          json_t **table, spoor_error *err) {
    double value[OPENSET_KINDS * FIGURES];
    metric_interval range[OPENSET_KINDS * FIGURES];
    figures_of((void *)(uintptr_t)c, NULL, value);
    for (size_t i = 0; i < c->n * FIGURES; i++) {
        range[i] = (metric_interval){NAN, NAN, 0, NULL};
    }
    if (o->replicates > 0) {
        bootstrap_options b;
        bootstrap_options_init(&b);
        b.replicates = o->replicates;
        b.cluster = s->page;
        b.clusters = s->pages;
        TRY(bootstrap_intervals(m->ctx, s->n, &b, figures_of, (void *)(uintptr_t)c, c->n * FIGURES, range, err));
    }
    if (o->choose == KNOWN_BY_DEV) {
        double best = -INFINITY;
        for (size_t i = 0; i < c->n; i++) {
            if (value[i * FIGURES] > best) {
                best = value[i * FIGURES];
                *chosen = (int)c->kind[i];
            }
        }
    }
    *table = table_make(c, s, value, range, *chosen, o->choose == KNOWN_BY_DEV);
    return *table ? SPOOR_OK : error_memory(err, "judging open-set scorers");
}

/* The gate's crossed scores into its column of s->score; without enough data *kinds loses it, unless it was asked
 * for. */
static spoor_status try_gate(const spoor_model *m, const stated *s, const known_options *o, openset_kinds *kinds,
                             spoor_error *err) {
    openset_kinds members = *kinds & ~OPENSET_BIT(OPENSET_GATE);
    double *crossed = ctx_alloc(m->ctx, s->n, sizeof *crossed);
    spoor_error why;
    spoor_status status =
        crossed ? cross_gate(m, members, s, FOLDS, crossed, &why) : error_memory(&why, "judging a gate");
    for (size_t i = 0; status == SPOOR_OK && i < s->n; i++) {
        s->score[i * OPENSET_KINDS + OPENSET_GATE] = crossed[i];
    }
    ctx_free(m->ctx, crossed);
    if (status == SPOOR_ERR_INPUT && o->choose != OPENSET_GATE) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "the gate is left out: %s", why.message);
        *kinds = members;
        return SPOOR_OK;
    }
    return status == SPOOR_OK ? status : error_set(err, status, "%s", why.message);
}

static spoor_status choose_on_dev(spoor_model *m, openset_kinds kinds, const stated *s, const known_options *o,
                                  int *chosen, json_t **table, spoor_error *err) {
    contest c = {0};
    if (kinds & OPENSET_BIT(OPENSET_GATE)) {
        TRY(try_gate(m, s, o, &kinds, err));
    }
    spoor_status status = contest_make(m, kinds, s, &c, err);
    if (status == SPOOR_OK) {
        status = judge(m, &c, s, o, chosen, table, err);
    }
    for (size_t i = 0; i < c.n; i++) {
        detection_free(c.d[i]);
    }
    if (status == SPOOR_OK && *chosen == OPENSET_GATE) {
        status = openset_gate_fit(kinds & ~OPENSET_BIT(OPENSET_GATE), s->score, s->target, s->n, &m->openset.gate, err);
    }
    return status;
}

/* The table, if dev has both kinds of clips; *chosen stays as it is where dev does not decide. */
static spoor_status use_dev(spoor_model *m, openset_kinds kinds, const score_labels *dev, const float *logits,
                            const float *embedding, const known_options *o, int *chosen, json_t **table,
                            spoor_error *err) {
    stated s = {0};
    spoor_status status = stated_make(m, kinds & ~OPENSET_BIT(OPENSET_GATE), dev, logits, embedding, &s, err);
    if (status == SPOOR_OK && s.targets > 0 && s.targets < s.n) {
        status = choose_on_dev(m, kinds, &s, o, chosen, table, err);
    } else if (status == SPOOR_OK) {
        ctx_log(m->ctx, SPOOR_LOG_WARN, "dev has %zu clips of known and %zu of unknown sources: it cannot judge "
                                        "open-set scorers",
                s.targets, s.n - s.targets);
    }
    stated_clear(m->ctx, &s);
    return status;
}

spoor_status known_choose(spoor_model *m, const known_train *train, const score_labels *dev, const float *logits,
                          const float *embedding, const known_options *o, json_t **table, spoor_error *err) {
    *table = NULL;
    if (m->known_task == SIZE_MAX) {
        return SPOOR_OK;
    }
    openset_kinds kinds = candidates(o);
    openset_init(&m->openset);
    m->has_odds = false; /* of another score */
    m->openset.temperature = o->temperature;
    m->openset.k = o->k;
    TRY(fit_statistics(m, train, o, &kinds, err));
    int chosen = o->choose;
    if (chosen != KNOWN_BY_DEV && !(kinds & OPENSET_BIT(chosen))) {
        return error_set(err, SPOOR_ERR_USAGE, "the open-set scorer %s cannot be had: it needs training clips, and an "
                         "embedding of 2 to %d numbers", openset_kind_name((openset_kind)chosen), OPENSET_MAX_DIM);
    }
    if (dev) {
        TRY(use_dev(m, kinds, dev, logits, embedding, o, &chosen, table, err));
    }
    for (unsigned k = 0; chosen == KNOWN_BY_DEV && k < OPENSET_GATE; k++) {
        chosen = kinds & OPENSET_BIT(k) ? (int)k : chosen;
    }
    if (chosen == KNOWN_BY_DEV || (chosen == OPENSET_GATE && m->openset.gate.members == 0)) {
        return error_set(err, SPOOR_ERR_INPUT, "a gate is fitted on known and unknown sources of dev; there are none");
    }
    m->openset.kind = (openset_kind)chosen;
    return SPOOR_OK;
}

/* ---- the table ---- */

static void print_figure(FILE *out, const json_t *row, const char *name) {
    const json_t *f = json_object_get(row, name), *low = json_object_get(f, "low"),
                 *value = json_object_get(f, "value");
    fprintf(out, json_is_number(value) ? "  %5.3f" : "      -", json_number_value(value));
    if (json_is_number(low)) {
        fprintf(out, " [%5.3f, %5.3f]", json_number_value(low), json_number_value(json_object_get(f, "high")));
    }
}

char *known_table_text(spoor_context *ctx, const json_t *table) {
    char *text = NULL;
    size_t size, i;
    json_t *row;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return NULL;
    }
    fprintf(out, "Known against unknown by scorer: %lld clips of known, %lld of unknown sources, %lld pages; 95 %% "
                 "intervals by page\n",
            (long long)json_integer_value(json_object_get(table, "known")),
            (long long)json_integer_value(json_object_get(table, "unknown")),
            (long long)json_integer_value(json_object_get(table, "pages")));
    fprintf(out, "  %-14s  AUROC                  FPR95                  EER\n", "");
    json_array_foreach(json_object_get(table, "scorers"), i, row) {
        fprintf(out, "  %-14s", json_string_value(json_object_get(row, "scorer")));
        for (size_t f = 0; f < FIGURES; f++) {
            print_figure(out, row, figure_names[f]);
        }
        fprintf(out, "%s\n", json_is_true(json_object_get(row, "chosen")) ? "  chosen" : "");
    }
    bool good = fclose(out) == 0 && text != NULL;
    char *copy = good ? ctx_strdup(ctx, text) : NULL;
    free(text);
    return copy;
}
