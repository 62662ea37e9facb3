/* json.c: see json.h. The shape is fixed by docs/json.md and docs/result.schema.json: change all three together. */
#include "report/json.h"
#include "base/text.h"
#include "report/tree.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *report_text(const char *bytes) {
    size_t n = strlen(bytes), used = 0;
    if (n > (SIZE_MAX - 1) / 3) {
        return NULL;
    }
    char *text = malloc(3 * n + 1);
    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < n;) {
        size_t len = text_sequence(bytes + i, n - i);
        if (len > 0) {
            memcpy(text + used, bytes + i, len);
            used += len;
            i += len;
        } else {
            memcpy(text + used, "\xef\xbf\xbd", 3);
            used += 3;
            i++;
        }
    }
    json_t *s = json_stringn(text, used);
    free(text);
    return s;
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

/* {"name", "p", "ranked"}; name and p are null where the verdict does not support naming one. */
static json_t *ranking(const spoor_result *r, const char *task, bool named) {
    size_t n;
    const spoor_class *c = spoor_result_ranked(r, task, &n);
    if (c == NULL || n == 0) {
        return json_null();
    }
    json_t *list = json_array();
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        bad |=
            json_array_append_new(list, json_pack("{s:o, s:o}", "name", report_text(c[i].name), "p", number(c[i].p)));
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:o}", "name", named ? report_text(c[0].name) : json_null(), "p",
                     named ? number(c[0].p) : json_null(), "ranked", list);
}

static json_t *windows(const spoor_result *r) {
    json_t *list = json_array();
    int bad = 0;
    const model_task *task = r->model->known_task == SIZE_MAX ? NULL : &r->model->tasks[r->model->known_task];
    for (size_t i = 0; i < r->n_windows; i++) {
        const trace_window *w = &r->windows[i];
        bool has = task != NULL && w->source >= 0;
        bad |= json_array_append_new(list, json_pack("{s:f, s:f, s:o, s:o, s:o}", "start", w->start, "end", w->end,
                                                     "bonafide", number(w->bonafide), "source",
                                                     has ? report_text(task->classes[w->source]) : json_null(), "known",
                                                     number(w->known)));
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *model_json(const spoor_model *m) {
    return m == NULL ? json_null() : json_pack("{s:o, s:s}", "name", report_text(m->name), "sha256", m->sha256);
}

static json_t *audio_json(const spoor_result *r) {
    const audio_assessment *a = &r->assessment;
    return json_pack("{s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o*}", "format", report_text(r->format), "rate",
                     number(r->rate), "channels", r->channels, "signal_seconds", number(a->active_seconds), "peak_dbfs",
                     number(a->peak_dbfs), "rms_dbfs", number(a->rms_dbfs), "clipped", number(a->clipped), "bandwidth",
                     number(a->bandwidth), "silence_removed",
                     r->silence_removed >= 0 ? number(r->silence_removed) : NULL);
}

/* {"name", "score", "threshold", "llr", "known", "ranked"}; the name where the verdict gives one. */
static json_t *enrolled(const spoor_result *r) {
    json_t *list = json_array();
    int bad = 0;
    for (size_t i = 0; i < r->n_enrolled; i++) {
        const spoor_enrolled *e = &r->enrolled[i];
        bad |= json_array_append_new(list, json_pack("{s:o, s:I, s:o, s:o, s:o}", "name", report_text(e->name), "files",
                                                     (json_int_t)e->files, "score", number(e->score), "threshold",
                                                     number(e->threshold), "llr", number(e->llr)));
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    const spoor_enrolled *best = r->n_enrolled > 0 ? r->enrolled : NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                     r->verdict == SPOOR_ENROLLED ? report_text(best->name) : json_null(), "score",
                     best == NULL ? json_null() : number(best->score), "threshold",
                     best == NULL ? json_null() : number(best->threshold), "llr",
                     best == NULL ? json_null() : number(best->llr), "known", number(r->nearest_known), "ranked", list);
}

json_t *report_result_json(const spoor_result *r) {
    bool assessed = r->verdict != SPOOR_NOT_ASSESSABLE;
    bool known = r->verdict == SPOOR_KNOWN,
         synthetic = known || r->verdict == SPOOR_UNKNOWN || r->verdict == SPOOR_ENROLLED;
    json_t *out = json_object();
    int bad = json_object_set_new(out, "file", report_text(r->name));
    bad |= json_object_set_new(out, "sha256", json_string(r->sha256));
    bad |= json_object_set_new(out, "seconds", number(r->seconds));
    bad |= json_object_set_new(out, "verdict", json_string(spoor_verdict_name(r->verdict)));
    bad |= json_object_set_new(out, "reason", report_text(r->reason));
    bad |= json_object_set_new(
        out, "bonafide",
        assessed ? json_pack("{s:o, s:o}", "p", number(r->bonafide_p), "llr", number(r->bonafide_llr)) : json_null());
    bad |= json_object_set_new(out, "source", ranking(r, "source", known));
    bad |= json_object_set_new(out, "family", ranking(r, "family", synthetic));
    bad |= json_object_set_new(out, "vocoder", ranking(r, "vocoder", synthetic));
    bad |= json_object_set_new(out, "known",
                               assessed ? json_pack("{s:o, s:o, s:o}", "score", number(r->known), "threshold",
                                                    number(r->model->openset.threshold), "scorer",
                                                    r->model->known_task == SIZE_MAX
                                                        ? json_null()
                                                        : json_string(openset_kind_name(r->model->openset.kind)))
                                        : json_null());
    if (r->enrolled != NULL) {
        bad |= json_object_set_new(out, "enrolled", enrolled(r));
    }
    if (r->tree != NULL) {
        bad |= json_object_set_new(out, "tree", report_tree_json(r));
    }
    bad |= json_object_set_new(out, "agreement", assessed ? number(r->agreement) : json_null());
    bad |= json_object_set_new(out, "windows", windows(r));
    bad |= json_object_set_new(out, "audio", audio_json(r));
    bad |= json_object_set_new(out, "model", model_json(r->model));
    bad |= json_object_set_new(out, "version", json_string(spoor_version()));
    if (bad != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *report_error_json(const char *file, const spoor_error *err, const spoor_model *model) {
    return json_pack("{s:o, s:{s:s, s:o}, s:o, s:s}", "file", report_text(file), "error", "code",
                     spoor_status_name(err->status), "message", report_text(err->message), "model", model_json(model),
                     "version", spoor_version());
}

const char *spoor_result_json(spoor_result *r) {
    if (r->json == NULL) {
        json_t *object = report_result_json(r);
        char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
        json_decref(object);
        r->json = text == NULL ? NULL : ctx_strdup(r->ctx, text);
        free(text);
    }
    return r->json;
}
