/* report_detection.c: the parts of the report on two classes: bona fide or synthetic, known or unknown. */
#include "eval/report_internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What a figure needs beyond scores and labels; without it the figure is left out. */
enum { FULL = 1, LLR = 2, THRESHOLD = 4, OPEN = 8 };

typedef enum figure {
    EER,
    AUROC,
    FPR95,
    EER_OF_ROC,
    EER_OF_SKLEARN,
    FPR95_PERCENTILE,
    AUPR,
    AUPR_OTHER,
    MIN_CLLR,
    MIN_DCF,
    MIN_DCF_RAW,
    CLLR,
    ACT_DCF,
    ACT_DCF_RAW,
    ACCURACY,
    FRR,
    FAR,
    ID_ACCURACY,
    EERC,
    OSCR,
    CCR_FPR1,
    CCR_FPR5,
    CCR_FPR10,
    FIGURES
} figure;
enum { BRIEF = FPR95 + 1 }; /* sources and pages, of which there are many, have these alone */
static const struct {
    const char *name;
    unsigned needs;
} ALL[FIGURES] = {
    [EER] = {"eer", 0},
    [AUROC] = {"auroc", 0},
    [FPR95] = {"fpr95", 0},
    [EER_OF_ROC] = {"eer_roc", FULL},
    [EER_OF_SKLEARN] = {"eer_sklearn", FULL},
    [FPR95_PERCENTILE] = {"fpr95_percentile", FULL},
    [AUPR] = {"aupr", FULL},
    [AUPR_OTHER] = {"aupr_other", FULL},
    [MIN_CLLR] = {"min_cllr", FULL},
    [MIN_DCF] = {"min_dcf", FULL},
    [MIN_DCF_RAW] = {"min_dcf_raw", FULL},
    [CLLR] = {"cllr", FULL | LLR},
    [ACT_DCF] = {"act_dcf", FULL | LLR},
    [ACT_DCF_RAW] = {"act_dcf_raw", FULL | LLR},
    [ACCURACY] = {"accuracy", FULL | THRESHOLD},
    [FRR] = {"frr", FULL | THRESHOLD},
    [FAR] = {"far", FULL | THRESHOLD},
    [ID_ACCURACY] = {"id_accuracy", FULL | OPEN},
    [EERC] = {"eerc", FULL | OPEN},
    [OSCR] = {"oscr", FULL | OPEN},
    [CCR_FPR1] = {"ccr_fpr1", FULL | OPEN},
    [CCR_FPR5] = {"ccr_fpr5", FULL | OPEN},
    [CCR_FPR10] = {"ccr_fpr10", FULL | OPEN},
};

/* Scored and labelled clips of one kind, and which of them a figure takes. */
typedef struct sides {
    const report *r;
    bool known;
    unsigned has;      /* LLR, THRESHOLD, OPEN */
    double threshold;
    double *score;
    signed char *flag; /* DETECTION_..., -1 not scored or not labelled; [set->n] */
    size_t targets, others;
} sides;

/* Some clips against some: one detection problem. */
typedef struct contest {
    detection *d;
    uint32_t *clip; /* [n] indices into the set */
    size_t n, figures;
    figure list[FIGURES];
    const char *names[FIGURES];
    const dcf_profile *dcf;
    double threshold;
} contest;

static void contest_clear(spoor_context *ctx, contest *c) {
    detection_free(c->d);
    ctx_free(ctx, c->clip);
    *c = (contest){0};
}

/* Which clips of a side take part: all, or those of one group. */
typedef struct choice {
    const int32_t *group; /* NULL: all */
    int32_t which;
} choice;

static bool chosen(const choice *c, size_t i) { return c->group == NULL || c->group[i] == c->which; }

static void choose_figures(contest *c, const sides *s, bool full) {
    unsigned has = s->has | (full ? FULL : 0);
    c->dcf = &s->r->options.dcf;
    c->threshold = s->threshold;
    c->figures = 0;
    for (int f = 0; f < FIGURES; f++) {
        if ((ALL[f].needs & ~has) == 0) {
            c->names[c->figures] = ALL[f].name;
            c->list[c->figures++] = (figure)f;
        }
    }
}

static spoor_status contest_new(const sides *s, choice targets, choice others, contest *out, spoor_error *err) {
    spoor_context *ctx = s->r->ctx;
    size_t n = s->r->set->n;
    *out = (contest){.clip = ctx_alloc(ctx, n, sizeof *out->clip)};
    choose_figures(out, s, false);
    double *score = ctx_alloc(ctx, n, sizeof *score);
    unsigned char *target = ctx_alloc(ctx, n, 1);
    spoor_status status = SPOOR_OK;
    if (out->clip == NULL || score == NULL || target == NULL) {
        status = error_memory(err, "measuring a detection");
    }
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        if (s->flag[i] >= 0 && chosen(s->flag[i] > 0 ? &targets : &others, i)) {
            out->clip[out->n] = (uint32_t)i;
            score[out->n] = s->score[i];
            target[out->n++] = (unsigned char)s->flag[i];
        }
    }
    if (status == SPOOR_OK) {
        status = detection_new(ctx, score, target, out->n, &out->d, err);
    }
    ctx_free(ctx, score);
    ctx_free(ctx, target);
    if (status != SPOOR_OK) {
        contest_clear(ctx, out);
    }
    return status;
}

static metric_value one_figure(const contest *c, const uint32_t *weight, figure f) {
    const detection *d = c->d;
    switch (f) {
    case EER: return detection_eer(d, weight, EER_ASVSPOOF, NULL);
    case AUROC: return detection_auroc(d, weight);
    case FPR95: return detection_fpr_interpolated(d, weight, 0.95);
    case EER_OF_ROC: return detection_eer(d, weight, EER_ROC, NULL);
    case EER_OF_SKLEARN: return detection_eer(d, weight, EER_SKLEARN, NULL);
    case FPR95_PERCENTILE: return detection_fpr_percentile(d, weight, 0.05, NULL);
    case AUPR: return detection_aupr(d, weight, true);
    case AUPR_OTHER: return detection_aupr(d, weight, false);
    case MIN_CLLR: return detection_min_cllr(d, weight);
    case MIN_DCF: return detection_min_dcf(d, weight, c->dcf, true, NULL);
    case MIN_DCF_RAW: return detection_min_dcf(d, weight, c->dcf, false, NULL);
    case CLLR: return detection_cllr(d, weight);
    case ACT_DCF: return detection_act_dcf(d, weight, c->dcf, true);
    case ACT_DCF_RAW: return detection_act_dcf(d, weight, c->dcf, false);
    case ACCURACY: return detection_at(d, weight, c->threshold, DETECTION_ACCURACY);
    case FRR: return detection_at(d, weight, c->threshold, DETECTION_FRR);
    case FAR: return detection_at(d, weight, c->threshold, DETECTION_FAR);
    case ID_ACCURACY: return detection_id_accuracy(d, weight);
    case EERC: return detection_eerc(d, weight, NULL);
    case OSCR: return detection_oscr(d, weight);
    case CCR_FPR1: return detection_ccr_at_fpr(d, weight, 0.01);
    case CCR_FPR5: return detection_ccr_at_fpr(d, weight, 0.05);
    case CCR_FPR10: return detection_ccr_at_fpr(d, weight, 0.10);
    case FIGURES: break;
    }
    return (metric_value){NAN, "there is no such figure"};
}

static void contest_figures(void *arg, const uint32_t *weight, metric_value *out) {
    const contest *c = arg;
    for (size_t k = 0; k < c->figures; k++) {
        out[k] = one_figure(c, weight, c->list[k]);
    }
}

static spoor_status put_contest(const sides *s, const char *kind, const char *name, const char *against, choice targets,
                                choice others, json_t *groups, spoor_error *err) {
    contest c;
    TRY(contest_new(s, targets, others, &c, err));
    choose_figures(&c, s, strcmp(kind, "source") != 0 && strcmp(kind, "page") != 0);
    json_t *g = json_pack("{s:s, s:o, s:s, s:I, s:I}", "group", kind, "name", report_string(name), "against", against,
                          "targets", (json_int_t)detection_count(c.d, true), "others",
                          (json_int_t)detection_count(c.d, false));
    spoor_status status = report_append(groups, g, err);
    if (status == SPOOR_OK) {
        status = report_measure(s->r, c.clip, c.n, contest_figures, &c, c.figures, c.names, g, err);
    }
    contest_clear(s->r->ctx, &c);
    return status;
}

/* Clips of the group on each side. */
static void count_sides(const sides *s, const int32_t *group, int32_t which, size_t *targets, size_t *others) {
    *targets = *others = 0;
    for (size_t i = 0; i < s->r->set->n; i++) {
        if (group[i] == which && s->flag[i] >= 0) {
            *(s->flag[i] > 0 ? targets : others) += 1;
        }
    }
}

/* Every page or setting. One that has a single side is set against all of the other side. */
static spoor_status put_groups(const sides *s, group_by by, const char *kind, json_t *groups, spoor_error *err) {
    grouping g;
    TRY(report_group(s->r->ctx, s->r->set, by, &g, err));
    spoor_status status = SPOOR_OK;
    const choice all = {0};
    for (size_t k = 0; status == SPOOR_OK && k < g.count; k++) {
        size_t targets, others;
        count_sides(s, g.group, (int32_t)k, &targets, &others);
        if (targets + others == 0) {
            continue;
        }
        choice mine = {g.group, (int32_t)k};
        status = put_contest(s, kind, g.names[k], targets == 0 ? "all targets" : others == 0 ? "all others" : "own",
                             targets == 0 ? all : mine, others == 0 ? all : mine, groups, err);
    }
    report_group_clear(s->r->ctx, &g);
    return status;
}

/* Mean over the sources of the other side of the figures of (all targets, that source). */
typedef struct balance {
    contest *parts;
    size_t count;
    uint32_t *place;   /* [set->n] clip -> place in the whole contest */
    uint32_t *scratch; /* weights of one part */
} balance;

static void balanced_figures(void *arg, const uint32_t *weight, metric_value *out) {
    balance *b = arg;
    double sum[BRIEF] = {0};
    size_t defined = 0;
    for (size_t k = 0; k < b->count; k++) {
        contest *c = &b->parts[k];
        metric_value v[BRIEF];
        for (size_t i = 0; weight != NULL && i < c->n; i++) {
            b->scratch[i] = weight[b->place[c->clip[i]]];
        }
        contest_figures(c, weight == NULL ? NULL : b->scratch, v);
        if (v[0].reason == NULL) { /* a source of which nothing was drawn is left out */
            defined++;
            for (size_t f = 0; f < BRIEF; f++) {
                sum[f] += v[f].value;
            }
        }
    }
    for (size_t f = 0; f < BRIEF; f++) {
        out[f] = defined > 0 ? (metric_value){sum[f] / (double)defined, NULL}
                             : (metric_value){NAN, "no source has both sides"};
    }
}

static spoor_status measure_balance(const sides *s, const contest *whole, const grouping *g, balance *b, json_t *groups,
                                    spoor_error *err) {
    for (size_t i = 0; i < whole->n; i++) {
        b->place[whole->clip[i]] = (uint32_t)i;
    }
    for (size_t k = 0; k < g->count; k++) {
        size_t targets, others;
        count_sides(s, g->group, (int32_t)k, &targets, &others);
        if (others > 0) {
            TRY(contest_new(s, (choice){0}, (choice){g->group, (int32_t)k}, &b->parts[b->count], err));
            b->count++;
        }
    }
    if (b->count == 0) {
        return SPOOR_OK; /* no recording of the other side names its source */
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "group", "class_balanced", "name",
                          "mean over sources", "against", "all targets", "targets", (json_int_t)s->targets, "others",
                          (json_int_t)s->others, "sources", (json_int_t)b->count);
    TRY(report_append(groups, o, err));
    return report_measure(s->r, whole->clip, whole->n, balanced_figures, b, BRIEF, whole->names, o, err);
}

static spoor_status put_balanced(const sides *s, const grouping *g, json_t *groups, spoor_error *err) {
    spoor_context *ctx = s->r->ctx;
    size_t n = s->r->set->n;
    contest whole;
    TRY(contest_new(s, (choice){0}, (choice){0}, &whole, err));
    balance b = {.parts = ctx_calloc(ctx, g->count, sizeof *b.parts),
                 .place = ctx_alloc(ctx, n, sizeof *b.place),
                 .scratch = ctx_alloc(ctx, n, sizeof *b.scratch)};
    spoor_status status = b.parts == NULL || b.place == NULL || b.scratch == NULL
                              ? error_memory(err, "measuring a detection")
                              : measure_balance(s, &whole, g, &b, groups, err);
    for (size_t k = 0; k < b.count; k++) {
        contest_clear(ctx, &b.parts[k]);
    }
    ctx_free(ctx, b.parts);
    ctx_free(ctx, b.place);
    ctx_free(ctx, b.scratch);
    contest_clear(ctx, &whole);
    return status;
}

/* Every source of a side against all of the other side, where the side has more than one. */
static spoor_status put_sources(const sides *s, const grouping *g, bool target_side, json_t *groups, spoor_error *err) {
    size_t sources = 0, t, o;
    for (size_t k = 0; k < g->count; k++) {
        count_sides(s, g->group, (int32_t)k, &t, &o);
        sources += (target_side ? t : o) > 0;
    }
    const choice all = {0};
    for (size_t k = 0; sources > 1 && k < g->count; k++) {
        count_sides(s, g->group, (int32_t)k, &t, &o);
        choice mine = {g->group, (int32_t)k};
        if ((target_side ? t : o) > 0) {
            TRY(put_contest(s, "source", g->names[k], target_side ? "all others" : "all targets",
                            target_side ? mine : all, target_side ? all : mine, groups, err));
        }
    }
    return SPOOR_OK;
}

static spoor_status put_by_source(const sides *s, json_t *groups, spoor_error *err) {
    grouping g;
    TRY(report_group(s->r->ctx, s->r->set, GROUP_SOURCE, &g, err));
    spoor_status status = put_balanced(s, &g, groups, err);
    if (status == SPOOR_OK) {
        status = put_sources(s, &g, false, groups, err);
    }
    if (status == SPOOR_OK) {
        status = put_sources(s, &g, true, groups, err);
    }
    report_group_clear(s->r->ctx, &g);
    return status;
}

/* An area below one half says more often that the polarity is inverted than that the system is that bad. */
static spoor_status warn_of_polarity(const sides *s, const char *key, json_t *groups, spoor_error *err) {
    json_t *auroc = json_object_get(json_object_get(json_array_get(groups, 0), "auroc"), "value");
    if (!json_is_number(auroc) || json_number_value(auroc) >= 0.5) {
        return SPOOR_OK;
    }
    char text[200];
    (void)snprintf(text, sizeof text,
                   "%s: the AUROC is below 0.5; scores must be higher for the target. Is their polarity inverted?",
                   key);
    return report_append(s->r->warnings, json_string(text), err);
}

static json_t *dcf_json(const sides *s) {
    const dcf_profile *p = &s->r->options.dcf;
    return json_pack("{s:o, s:f, s:f, s:f, s:f}", "profile", report_string(p->name != NULL ? p->name : "given"),
                     "prior", p->prior, "c_miss", p->c_miss, "c_fa", p->c_fa, "bayes_threshold",
                     dcf_bayes_threshold(p));
}

static spoor_status put_all(const sides *s, json_t *root, spoor_error *err) {
    const char *key = s->known ? "known" : "bonafide";
    const eval_threshold *threshold = s->known ? &s->r->options.known : &s->r->options.bonafide;
    json_t *groups = json_array();
    json_t *part = json_pack("{s:s, s:s, s:s, s:o}", "target", s->known ? "known source" : "bona fide", "other",
                             s->known ? "unknown source" : "synthetic", "polarity", "higher = target", "dcf",
                             dcf_json(s));
    TRY(report_put(root, key, part, err));
    if (s->has & THRESHOLD) {
        TRY(report_put(part, "threshold",
                       json_pack("{s:f, s:o}", "value", threshold->value, "from",
                                 report_string(threshold->from == NULL ? "given" : threshold->from)),
                       err));
    }
    if (s->has & OPEN) {
        TRY(report_put(part, "task", report_string(s->r->set->tasks[s->r->open_task].name), err));
    }
    TRY(report_put(part, "groups", groups, err));
    TRY(put_contest(s, "all", "all", "own", (choice){0}, (choice){0}, groups, err));
    TRY(warn_of_polarity(s, key, groups, err));
    if (s->targets == 0 || s->others == 0) {
        return SPOOR_OK; /* nothing further is defined */
    }
    TRY(put_groups(s, GROUP_SETTING, "setting", groups, err));
    TRY(put_by_source(s, groups, err));
    return put_groups(s, GROUP_PAGE, "page", groups, err);
}

/* Which known sources are named rightly. Without an answer and a label for each of them the open set is not measured.
 */
static spoor_status mark_right(sides *s, spoor_error *err) {
    const report *r = s->r;
    size_t unanswered = 0;
    if (!s->known || s->targets == 0 || r->open_task >= r->set->task_count) {
        return SPOOR_OK;
    }
    for (size_t i = 0; i < r->set->n; i++) {
        if (s->flag[i] > 0) {
            int answer = report_answer(r->set, r->open_task, &r->set->clips[i]);
            unanswered += answer < 0;
            s->flag[i] = answer == 0 ? DETECTION_MISCLASSIFIED : DETECTION_TARGET;
        }
    }
    if (unanswered == 0) {
        s->has |= OPEN;
    } else if (unanswered < s->targets) {
        char text[256];
        (void)snprintf(
            text, sizeof text,
            "known: %zu of %zu known recordings lack a label or an answer of task %.60s, so that EERc, OSCR and CCR "
            "are left out",
            unanswered, s->targets, r->set->tasks[r->open_task].name);
        return report_append(r->warnings, report_string(text), err);
    }
    return SPOOR_OK;
}

spoor_status report_detection(const report *r, bool known, json_t *root, spoor_error *err) {
    spoor_context *ctx = r->ctx;
    size_t n = r->set->n;
    const double threshold = known ? r->options.known.value : r->options.bonafide.value;
    sides s = {.r = r, .known = known, .score = ctx_alloc(ctx, n, sizeof *s.score), .flag = ctx_alloc(ctx, n, 1),
               .has = (!known && r->set->bonafide_is_llr ? LLR : 0) | (isfinite(threshold) ? THRESHOLD : 0),
               .threshold = threshold};
    if (s.score == NULL || s.flag == NULL) {
        ctx_free(ctx, s.score);
        ctx_free(ctx, s.flag);
        return error_memory(err, "measuring a detection");
    }
    for (size_t i = 0; i < n; i++) {
        const eval_clip *c = &r->set->clips[i];
        int flag = known ? c->is_known : c->is_bonafide;
        s.score[i] = known ? c->known : c->bonafide;
        s.flag[i] = isnan(s.score[i]) || flag < 0 ? -1 : flag > 0;
        s.targets += s.flag[i] > 0;
        s.others += s.flag[i] == 0;
    }
    spoor_status status = mark_right(&s, err);
    if (status == SPOOR_OK && s.targets + s.others > 0) {
        status = put_all(&s, root, err);
    }
    ctx_free(ctx, s.score);
    ctx_free(ctx, s.flag);
    return status;
}
