/* report_tables.c: the evaluation as JSON: the frame and what its parts share; see report_tables.h. */
#include "eval/report_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void eval_options_init(eval_options *options) {
    *options = (eval_options){.replicates = 1000, .confusion = true, .dcf = *dcf_profile_named("asvspoof5"),
                              .known = {NAN, NULL}, .bonafide = {NAN, NULL}};
}

const char *eval_by_name(eval_by by) {
    static const char *const names[] = {"file", "page", "class"};
    return names[by];
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

json_t *report_string(const char *s) {
    json_t *json = json_string(s);
    if (json != NULL) {
        return json;
    }
    char text[512];
    size_t n = 0;
    for (; s[n] != '\0' && n + 1 < sizeof text; n++) {
        text[n] = (unsigned char)s[n] < 0x80 ? s[n] : '?';
    }
    return json_stringn(text, n);
}

spoor_status report_put(json_t *object, const char *key, json_t *value, spoor_error *err) {
    return json_object_set_new(object, key, value) == 0 ? SPOOR_OK : error_memory(err, "writing a report");
}

spoor_status report_append(json_t *array, json_t *value, spoor_error *err) {
    return json_array_append_new(array, value) == 0 ? SPOOR_OK : error_memory(err, "writing a report");
}

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *figure(metric_value v, const metric_interval *i) {
    if (!isfinite(v.value)) {
        return json_pack("{s:n, s:s}", "value", "reason", v.reason != NULL ? v.reason : "it is infinite");
    }
    if (i == NULL) {
        return json_pack("{s:f}", "value", v.value);
    }
    return json_pack("{s:f, s:o, s:o}", "value", v.value, "low", number(i->low), "high", number(i->high));
}

/* ---- groups of clips ---------------------------------------------------------------------------------- */

static const char *name_of(const eval_clip *c, group_by by) {
    const char *s = by == GROUP_PAGE ? c->page : by == GROUP_SETTING ? c->setting : c->source;
    return s == NULL ? "" : s;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

spoor_status report_group(spoor_context *ctx, const eval_set *set, group_by by, grouping *out, spoor_error *err) {
    *out = (grouping){ctx_alloc(ctx, set->n, sizeof *out->group), ctx_alloc(ctx, set->n, sizeof *out->names), 0};
    if (out->group == NULL || out->names == NULL) {
        report_group_clear(ctx, out);
        return error_memory(err, "grouping recordings");
    }
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        const char *s = name_of(&set->clips[i], by);
        if (s[0] != '\0') {
            out->names[n++] = s;
        }
    }
    qsort(out->names, n, sizeof *out->names, by_text);
    for (size_t i = 0; i < n; i++) {
        if (out->count == 0 || strcmp(out->names[out->count - 1], out->names[i]) != 0) {
            out->names[out->count++] = out->names[i];
        }
    }
    for (size_t i = 0; i < set->n; i++) {
        const char *s = name_of(&set->clips[i], by);
        const char **found = s[0] == '\0' ? NULL : bsearch(&s, out->names, out->count, sizeof *out->names, by_text);
        out->group[i] = found == NULL ? -1 : (int32_t)(found - out->names);
    }
    return SPOOR_OK;
}

void report_group_clear(spoor_context *ctx, grouping *g) {
    ctx_free(ctx, g->group);
    ctx_free(ctx, g->names);
    *g = (grouping){0};
}

/* ---- figures with intervals --------------------------------------------------------------------------- */

typedef struct measuring {
    report_fn fn;
    void *arg;
    size_t count;
    metric_value *values;      /* scratch of a resample */
    metric_value *point;
    metric_interval *interval;
    int32_t *cluster;
} measuring;

static void one_resample(void *arg, const uint32_t *weight, double *values) {
    measuring *m = arg;
    m->fn(m->arg, weight, m->values);
    for (size_t k = 0; k < m->count; k++) {
        values[k] = m->values[k].value;
    }
}

/* Clusters of these clips renumbered to 0, 1, ... in order of first use, so that only those that are there are drawn.
 */
static spoor_status renumber(const report *r, const uint32_t *clip, size_t n, int32_t *cluster, size_t *count,
                             spoor_error *err) {
    int32_t *fresh = ctx_alloc(r->ctx, r->set->n, sizeof *fresh);
    if (fresh == NULL) {
        return error_memory(err, "resampling");
    }
    for (size_t i = 0; i < r->set->n; i++) {
        fresh[i] = -1;
    }
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t *to = &fresh[r->cluster[clip[i]]];
        if (*to < 0) {
            *to = (int32_t)(*count)++;
        }
        cluster[i] = *to;
    }
    ctx_free(r->ctx, fresh);
    return SPOOR_OK;
}

static spoor_status measure(const report *r, const uint32_t *clip, size_t n, measuring *m, spoor_error *err) {
    m->fn(m->arg, NULL, m->point);
    if (r->options.replicates == 0) {
        return SPOOR_OK;
    }
    bootstrap_options o;
    bootstrap_options_init(&o);
    o.seed = r->options.seed;
    o.replicates = r->options.replicates;
    if (r->cluster != NULL) {
        TRY(renumber(r, clip, n, m->cluster, &o.clusters, err));
        o.cluster = m->cluster;
    }
    return bootstrap_intervals(r->ctx, n, &o, one_resample, m, m->count, m->interval, err);
}

/* Everything measured goes to `into` by name, or, without names, to `list`. */
static spoor_status measure_into(const report *r, const uint32_t *clip, size_t n, report_fn fn, void *arg, size_t count,
                                 const char *const *names, json_t *into, spoor_error *err) {
    spoor_context *ctx = r->ctx;
    measuring m = {fn, arg, count, ctx_alloc(ctx, count, sizeof *m.values), ctx_alloc(ctx, count, sizeof *m.point),
                   ctx_alloc(ctx, count, sizeof *m.interval), ctx_alloc(ctx, n, sizeof *m.cluster)};
    spoor_status status = m.values == NULL || m.point == NULL || m.interval == NULL || m.cluster == NULL
                              ? error_memory(err, "measuring")
                              : measure(r, clip, n, &m, err);
    for (size_t k = 0; status == SPOOR_OK && k < count; k++) {
        const metric_interval *interval = r->options.replicates > 0 ? &m.interval[k] : NULL;
        if (names == NULL) {
            status = report_append(into, figure(m.point[k], interval), err);
        } else if (names[k] != NULL) {
            status = report_put(into, names[k], figure(m.point[k], interval), err);
        }
    }
    ctx_free(ctx, m.values);
    ctx_free(ctx, m.point);
    ctx_free(ctx, m.interval);
    ctx_free(ctx, m.cluster);
    return status;
}

spoor_status report_measure(const report *r, const uint32_t *clip, size_t n, report_fn fn, void *arg, size_t count,
                            const char *const *names, json_t *into, spoor_error *err) {
    return measure_into(r, clip, n, fn, arg, count, names, into, err);
}

spoor_status report_measure_list(const report *r, const uint32_t *clip, size_t n, report_fn fn, void *arg, size_t count,
                                 json_t *list, spoor_error *err) {
    return measure_into(r, clip, n, fn, arg, count, NULL, list, err);
}

/* ---- the frame ---------------------------------------------------------------------------------------- */

static spoor_status check(const eval_set *set, const eval_options *o, spoor_error *err) {
    if (set->n > INT32_MAX || o->replicates > 1000000) {
        return error_set(err, SPOOR_ERR_LIMIT, "%zu recordings with %zu resamples are over the limit", set->n,
                         o->replicates);
    }
    if (!(o->dcf.prior > 0 && o->dcf.prior < 1 && o->dcf.c_miss > 0 && o->dcf.c_fa > 0) ||
        !isfinite(o->dcf.c_miss) || !isfinite(o->dcf.c_fa)) {
        return error_set(err, SPOOR_ERR_USAGE, "a detection cost needs a prior between 0 and 1 and costs above 0");
    }
    for (size_t i = 0; i < set->n; i++) {
        for (size_t t = 0; t < set->task_count; t++) {
            int32_t truth = set->clips[i].truth[t];
            if (truth < -1 || (truth >= 0 && (size_t)truth >= set->tasks[t].classes)) {
                return error_set(err, SPOOR_ERR_INPUT, "%s: label %d of task %s is outside its %zu classes",
                                 set->clips[i].id, (int)truth, set->tasks[t].name, set->tasks[t].classes);
            }
        }
    }
    return SPOOR_OK;
}

static spoor_status find_open_task(report *r, spoor_error *err) {
    const eval_set *set = r->set;
    const char *name = r->options.open_task != NULL ? r->options.open_task : "source";
    for (r->open_task = 0; r->open_task < set->task_count; r->open_task++) {
        if (strcmp(set->tasks[r->open_task].name, name) == 0) {
            return SPOOR_OK;
        }
    }
    if (r->options.open_task != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "there is no task called \"%.60s\" to measure the open set with", name);
    }
    r->open_task = 0;
    return SPOOR_OK;
}

static size_t not_evaluated(const eval_set *set) {
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        const eval_clip *c = &set->clips[i];
        n += c->scores == NULL && isnan(c->bonafide) && isnan(c->known) ? 1 : 0;
    }
    return n;
}

static spoor_status put_merged(const eval_options *o, json_t *root, spoor_error *err) {
    json_t *list = json_array();
    TRY(report_put(root, "merged", list, err));
    for (size_t k = 0; k < o->n_merged; k++) {
        TRY(report_append(list,
                          json_pack("{s:o, s:o}", "from", report_string(o->merged[k].from), "to",
                                    report_string(o->merged[k].to)),
                          err));
    }
    return SPOOR_OK;
}

static spoor_status frame(const report *r, json_t *root, spoor_error *err) {
    const eval_options *o = &r->options;
    if (o->system != NULL) {
        TRY(report_put(root, "system", report_string(o->system), err));
    }
    TRY(report_put(root, "clips", json_integer((json_int_t)r->set->n), err));
    TRY(report_put(root, "not_evaluated", json_integer((json_int_t)not_evaluated(r->set)), err));
    if (o->n_merged > 0) {
        TRY(put_merged(o, root, err));
    }
    return report_put(root, "bootstrap",
                      json_pack("{s:I, s:I, s:s, s:f}", "replicates", (json_int_t)o->replicates, "seed",
                                (json_int_t)o->seed, "by", eval_by_name(o->by), "level", 0.95),
                      err);
}

static spoor_status parts(const report *r, json_t *root, spoor_error *err) {
    json_t *tasks = json_array();
    TRY(report_put(root, "tasks", tasks, err));
    for (size_t t = 0; t < r->set->task_count; t++) {
        TRY(report_task(r, t, tasks, err));
    }
    TRY(report_detection(r, false, root, err));
    return report_detection(r, true, root, err);
}

/* A clip without a page, or source, is a cluster of its own. */
static spoor_status number_clusters(report *r, int32_t **cluster, spoor_error *err) {
    grouping g;
    TRY(report_group(r->ctx, r->set, r->options.by == EVAL_BY_PAGE ? GROUP_PAGE : GROUP_SOURCE, &g, err));
    int32_t next = (int32_t)g.count; /* stays below n: each name stands for at least one clip */
    for (size_t i = 0; i < r->set->n; i++) {
        g.group[i] = g.group[i] < 0 ? next++ : g.group[i];
    }
    *cluster = g.group;
    r->cluster = g.group;
    g.group = NULL;
    report_group_clear(r->ctx, &g);
    return SPOOR_OK;
}

spoor_status eval_report(spoor_context *ctx, const eval_set *set, const eval_options *options, json_t **out,
                         spoor_error *err) {
    *out = NULL;
    report r = {.ctx = ctx, .set = set};
    eval_options_init(&r.options);
    if (options != NULL) {
        r.options = *options;
    }
    TRY(check(set, &r.options, err));
    TRY(find_open_task(&r, err));
    json_t *root = json_object();
    int32_t *cluster = NULL;
    r.warnings = json_array(); /* root's */
    spoor_status status = report_put(root, "warnings", r.warnings, err);
    if (status == SPOOR_OK && r.options.by != EVAL_BY_FILE) {
        status = number_clusters(&r, &cluster, err);
    }
    if (status == SPOOR_OK) {
        status = frame(&r, root, err);
    }
    if (status == SPOOR_OK) {
        status = parts(&r, root, err);
    }
    ctx_free(ctx, cluster);
    if (status != SPOOR_OK) {
        json_decref(root);
        return status;
    }
    *out = root;
    return SPOOR_OK;
}
