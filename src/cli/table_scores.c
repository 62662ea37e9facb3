/* table_scores.c: score files as they are published, found by the ids of the lists; see table.h. */
#include "cli/table.h"
#include "eval/published.h"
#include <math.h>
#include <string.h>

/* The line of a row's scores: by its path, its id, or SYSTEM/ID where the list has pages (CoSG). An id that several
 * recordings have, without the system, stands for none of them. */
static size_t find_line(const table *t, const published_scores *p, size_t i, spoor_context *ctx, spoor_status *status,
                        spoor_error *err) {
    const manifest *m = t->c.manifest;
    size_t row = t->c.rows[i], line = published_find(p, t->c.ids[i]);
    const char *id = manifest_cell(m, row, manifest_column(m, "id")),
               *page = manifest_cell(m, row, manifest_column(m, "page"));
    if (line == SIZE_MAX && id[0] != '\0' && page[0] != '\0') {
        char *both = ctx_printf(ctx, "%s/%s", page, id);
        if (both == NULL) {
            *status = error_memory(err, "reading scores");
            return SIZE_MAX;
        }
        line = published_find(p, both);
        ctx_free(ctx, both);
    } else if (line == SIZE_MAX && id[0] != '\0') {
        line = published_find(p, id);
    }
    return line;
}

/* The values of a task's file (bona fide: task = n_own) into the rows that it has. */
static spoor_status take_file(table *t, const char *path, size_t task, spoor_error *err) {
    bool bonafide = task == t->n_own;
    size_t values = bonafide ? 1 : t->own[task].n_classes, offset = 0, found = 0;
    for (size_t k = 0; k < task && !bonafide; k++) {
        offset += t->own[k].n_classes;
    }
    published_scores p;
    spoor_status status = published_read(t->ctx, path, values, &p, err);
    for (size_t i = 0; status == SPOOR_OK && i < t->c.n; i++) {
        size_t line = find_line(t, &p, i, t->ctx, &status, err);
        if (status != SPOOR_OK || line == SIZE_MAX) {
            continue;
        }
        found++;
        const float *value = p.value + line * values;
        float *to = t->scores + i * t->width + offset;
        bool before = bonafide ? !isnan(t->clips[i].bonafide) : !isnan(to[0]);
        if (before &&
            (bonafide ? t->clips[i].bonafide != (double)value[0] : memcmp(to, value, values * sizeof *to) != 0)) {
            status = error_set(err, SPOOR_ERR_INPUT, "%s: %.200s has other scores in a file before", path, t->c.ids[i]);
        } else if (bonafide) {
            t->clips[i].bonafide = (double)value[0];
        } else {
            memcpy(to, value, values * sizeof *to);
            t->clips[i].scores = t->scores + i * t->width;
        }
    }
    if (status == SPOOR_OK && found == 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "%s: none of its %zu ids is in the lists (%.100s, for example)", path,
                           p.n, p.n > 0 ? published_id(&p, 0) : "it is empty");
    }
    published_clear(&p);
    return status;
}

/* Without a file of its own, the bona fide score of the tasks' probabilities of their human classes: the K-th root of
 * their product, or 1 less the K-th root of the product of the others' (docs/eval.md). */
static void derive_bonafide(table *t, bool of_spoof) {
    for (size_t i = 0; i < t->c.n; i++) {
        double sum = 0;
        size_t tasks = 0, at = 0;
        for (size_t k = 0; k < t->n_own; at += t->own[k++].n_classes) {
            if (t->own[k].human >= 0) {
                double p = (double)t->scores[i * t->width + at + (size_t)t->own[k].human];
                sum += log(of_spoof ? fmax(1 - p, 0) : fmax(p, 0));
                tasks++;
            }
        }
        double root = exp(sum / (double)tasks);
        t->clips[i].bonafide = tasks == 0 || isnan(sum) ? NAN : of_spoof ? 1 - root : root;
    }
}

/* Probabilities of the human classes are what derive_bonafide multiplies. */
static spoor_status check_probabilities(const table *t, spoor_error *err) {
    for (size_t i = 0; i < t->c.n * t->width; i++) {
        if (t->scores[i] < 0 || t->scores[i] > 1) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "the scores are no probabilities (%g), of which a bona fide score "
                             "could be made; give one with --scores bonafide=FILE, or --bonafide-score none",
                             (double)t->scores[i]);
        }
    }
    return SPOOR_OK;
}

spoor_status table_take_scores(table *t, spoor_error *err) {
    const table_options *o = t->o;
    bool own = false;
    t->scores = ctx_alloc(t->ctx, t->c.n, (t->width + 1) * sizeof *t->scores);
    if (t->scores == NULL) {
        return error_memory(err, "reading scores");
    }
    for (size_t i = 0; i < t->c.n * t->width; i++) {
        t->scores[i] = NAN;
    }
    for (size_t i = 0; i < o->n_scores; i++) {
        size_t n = strcspn(o->scores[i], "="), task = 0;
        while (task < t->n_own &&
               !(strlen(t->own[task].name) == n && strncmp(t->own[task].name, o->scores[i], n) == 0)) {
            task++; /* bonafide: n_own */
        }
        own = own || task == t->n_own;
        TRY(take_file(t, o->scores[i] + n + 1, task, err));
    }
    const char *kind = o->bonafide != NULL ? o->bonafide : "product";
    if (own || strcmp(kind, "none") == 0) {
        return SPOOR_OK;
    }
    if (strcmp(kind, "product") != 0 && strcmp(kind, "spoof-product") != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "--bonafide-score %.60s: of score files it is product, spoof-product or "
                                               "none", kind);
    }
    TRY(check_probabilities(t, err));
    derive_bonafide(t, kind[0] == 's');
    return SPOOR_OK;
}
