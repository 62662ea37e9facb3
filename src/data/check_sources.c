/* check_sources.c: which sources each set has, which of them the training set knows, and what that does to figures made
 * on the set. */
#include "data/check_internal.h"
#include "data/labels.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A class is said to dominate from this share on, if it also has this many times its equal part. */
#define DOMINANT_SHARE 0.2
#define DOMINANT_TIMES 3.0
enum { MAX_NAMED = 6 /* in a sentence */ };

typedef struct tally {    /* of one set */
    size_t *rows, *files; /* [n_sources] */
    size_t id_rows, id_files, id_classes, ood_rows, ood_files, ood_classes;
} tally;

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "checking lists"); }

static const char *last_part(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

bool check_near_names(const char *a, const char *b) {
    a = last_part(a);
    b = last_part(b);
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) {
        a++;
        b++;
    }
    return (!*a && !isalnum((unsigned char)*b)) || (!*b && !isalnum((unsigned char)*a));
}

static spoor_status number_sources(check *c, spoor_error *err) {
    size_t label = manifest_column(c->m, "label"), source = manifest_column(c->m, "source");
    const char **names = ctx_alloc(c->ctx, c->n, sizeof *names);
    if (!names) {
        return no_memory(err);
    }
    for (size_t i = 0; i < c->n; i++) {
        const char *name = manifest_cell(c->m, i, source);
        bool human = strcmp(manifest_cell(c->m, i, label), "bonafide") == 0 || strcmp(name, "bonafide") == 0;
        names[i] = human ? "" : name;
    }
    spoor_status status = labels_number(c->ctx, names, c->n, c->source, &c->n_sources, err);
    if (status == SPOOR_OK) {
        c->source_name = ctx_alloc(c->ctx, c->n_sources, sizeof *c->source_name);
        status = c->source_name ? SPOOR_OK : no_memory(err);
    }
    for (size_t i = 0; status == SPOOR_OK && i < c->n; i++) {
        if (c->source[i] >= 0) {
            c->source_name[c->source[i]] = names[i];
        }
    }
    ctx_free(c->ctx, names);
    return status;
}

static bool is_train(const check_set *s) { return strcmp(s->split, "train") == 0; }

static void count(const check *c, size_t set, const size_t *trained, tally *t) {
    for (size_t i = 0; i < c->n; i++) {
        if (c->set[i] == (int32_t)set && c->source[i] >= 0) {
            t->rows[c->source[i]]++;
            t->files[c->source[i]] += c->first[i];
        }
    }
    for (size_t k = 0; k < c->n_sources; k++) {
        bool known = trained[k] > 0;
        *(known ? &t->id_rows : &t->ood_rows) += t->rows[k];
        *(known ? &t->id_files : &t->ood_files) += t->files[k];
        *(known ? &t->id_classes : &t->ood_classes) += t->rows[k] > 0;
    }
}

/* ---- into the report ---- */

static json_t *group_json(size_t rows, size_t files, size_t classes) {
    return json_pack("{s:I,s:I,s:I}", "rows", (json_int_t)rows, "files", (json_int_t)files, "classes",
                     (json_int_t)classes);
}

static spoor_status report(check *c, size_t set, const size_t *trained, bool any_train, const tally *t,
                           spoor_error *err) {
    json_t *sources = json_array(), *json = c->sets[set].json;
    if (!sources || !check_put(json, "sources", sources)) {
        return no_memory(err);
    }
    for (size_t k = 0; k < c->n_sources; k++) {
        json_t *s = t->rows[k] ? json_pack("{s:o,s:I,s:I}", "source", check_text(c, c->source_name[k]), "rows",
                                           (json_int_t)t->rows[k], "files", (json_int_t)t->files[k])
                               : NULL;
        if (t->rows[k] &&
            (!s || !check_put(sources, NULL, s) || (any_train && !check_put(s, "known", json_boolean(trained[k]))))) {
            return no_memory(err);
        }
    }
    if (any_train && !is_train(&c->sets[set]) &&
        (!check_put(json, "id", group_json(t->id_rows, t->id_files, t->id_classes)) ||
         !check_put(json, "ood", group_json(t->ood_rows, t->ood_files, t->ood_classes)))) {
        return no_memory(err);
    }
    return SPOOR_OK;
}

/* ---- warnings ---- */

/* "a (154 rows), b (146)" of the sources that `wanted` marks. */
static void list_names(const check *c, const bool *wanted, const size_t *rows, char *out, size_t size) {
    size_t named = 0, all = 0, used = 0;
    out[0] = '\0';
    for (size_t k = 0; k < c->n_sources; k++) {
        all += wanted[k];
    }
    for (size_t k = 0; k < c->n_sources && named < MAX_NAMED; k++) {
        if (wanted[k] && used < size) {
            int n = rows ? snprintf(out + used, size - used, "%s%.80s (%zu rows)", named ? ", " : "", c->source_name[k],
                                    rows[k])
                         : snprintf(out + used, size - used, "%s%.80s", named ? ", " : "", c->source_name[k]);
            used += n > 0 ? (size_t)n : 0;
            named++;
        }
    }
    if (all > named && used < size) {
        (void)snprintf(out + used, size - used, ", and %zu more", all - named);
    }
}

/* One class of `group` (ID or OOD) that stands for much of its rows; among the unknown: which known ones it resembles.
 */
static spoor_status warn_dominant(check *c, size_t set, const size_t *trained, const tally *t, bool known, bool any,
                                  bool *mark, spoor_error *err) {
    size_t rows = known ? t->id_rows : t->ood_rows, classes = known ? t->id_classes : t->ood_classes;
    const char *group = !any || is_train(&c->sets[set]) ? "" : known ? " ID" : " OOD";
    for (size_t k = 0; k < c->n_sources; k++) {
        double share = rows ? (double)t->rows[k] / (double)rows : 0;
        if ((trained[k] > 0) != known || share < DOMINANT_SHARE || share * (double)classes < DOMINANT_TIMES) {
            continue;
        }
        bool near = false;
        for (size_t j = 0; j < c->n_sources; j++) {
            mark[j] = !known && trained[j] > 0 && check_near_names(c->source_name[k], c->source_name[j]);
            near = near || mark[j];
        }
        char name[200], names[560] = "";
        if (near) {
            list_names(c, mark, trained, names, sizeof names);
        }
        TRY(check_warn(
            c, err,
            "%s%s: %.80s alone is %zu of %zu rows (%.0f %%) in %zu classes%s%s%s; print figures by class beside "
            "the pooled ones",
            check_set_name(c, set, name), group, c->source_name[k], t->rows[k], rows, 100 * share, classes,
            near ? ", and by its name it is close to what was trained on as " : "", names,
            near ? ", so that pooled figures mostly measure it against these" : ""));
    }
    return SPOOR_OK;
}

static spoor_status warn_absent(check *c, size_t set, const size_t *trained, size_t n_trained, const tally *t,
                                bool *mark, spoor_error *err) {
    size_t absent = 0;
    for (size_t k = 0; k < c->n_sources; k++) {
        mark[k] = trained[k] > 0 && t->rows[k] == 0;
        absent += mark[k];
    }
    if (absent == 0 || t->id_classes == 0) {
        return SPOOR_OK;
    }
    char name[200], names[560];
    list_names(c, mark, NULL, names, sizeof names);
    return check_warn(
        c, err,
        "%s: %zu of the %zu classes of train do not occur (%s): a macro-average over %zu classes is another "
        "figure than one over %zu",
        check_set_name(c, set, name), absent, n_trained, names, n_trained, t->id_classes);
}

/* Unknown classes by whose name a known one may be meant. */
static spoor_status warn_near(check *c, size_t set, const size_t *trained, const tally *t, spoor_error *err) {
    size_t near = 0;
    json_t *pairs = json_array();
    if (!pairs || !check_put(c->sets[set].json, "near_names", pairs)) {
        return no_memory(err);
    }
    for (size_t k = 0; k < c->n_sources; k++) {
        bool found = false;
        for (size_t j = 0; t->rows[k] > 0 && trained[k] == 0 && j < c->n_sources; j++) {
            if (trained[j] > 0 && check_near_names(c->source_name[k], c->source_name[j])) {
                found = true;
                if (!check_put(
                        pairs, NULL,
                        json_pack("[o,o]", check_text(c, c->source_name[k]), check_text(c, c->source_name[j])))) {
                    return no_memory(err);
                }
            }
        }
        near += found;
    }
    char name[200];
    return near == 0 ? SPOOR_OK
                     : check_warn(c, err,
                                  "%s: the names of %zu of its %zu OOD classes are close to that of a class of train; "
                                  "--json lists them",
                                  check_set_name(c, set, name), near, t->ood_classes);
}

/* Unknown classes of a set that an earlier set has as well: a threshold that was chosen there has seen them. */
static spoor_status warn_seen(check *c, size_t set, const size_t *trained, const tally *t, const tally *earlier,
                              size_t other, bool *mark, spoor_error *err) {
    size_t seen = 0;
    for (size_t k = 0; k < c->n_sources; k++) {
        mark[k] = trained[k] == 0 && t->rows[k] > 0 && earlier->rows[k] > 0;
        seen += mark[k];
    }
    if (seen == 0 || strcmp(c->sets[set].split, c->sets[other].split) == 0) {
        return SPOOR_OK;
    }
    char one[200], two[200], names[560];
    list_names(c, mark, NULL, names, sizeof names);
    return check_warn(c, err, "%s and %s have %zu OOD classes in common (%s): a threshold chosen on one has seen them",
                      check_set_name(c, other, one), check_set_name(c, set, two), seen, names);
}

static spoor_status warn(check *c, const size_t *trained, const tally *t, bool *mark, spoor_error *err) {
    size_t n_trained = 0;
    for (size_t k = 0; k < c->n_sources; k++) {
        n_trained += trained[k] > 0;
    }
    for (size_t s = 0; s < c->n_sets; s++) {
        if (n_trained > 0 && c->sets[s].bonafide == 0 && is_train(&c->sets[s])) {
            char name[200];
            TRY(check_warn(c, err,
                           "%s: no bona fide speech: with this alone nothing learns to tell human from synthetic",
                           check_set_name(c, s, name)));
        }
        TRY(warn_dominant(c, s, trained, &t[s], true, n_trained > 0, mark, err));
        TRY(warn_dominant(c, s, trained, &t[s], false, n_trained > 0, mark, err));
        if (n_trained == 0 || is_train(&c->sets[s])) {
            continue;
        }
        TRY(warn_absent(c, s, trained, n_trained, &t[s], mark, err));
        TRY(warn_near(c, s, trained, &t[s], err));
        for (size_t o = 0; o < s; o++) {
            if (!is_train(&c->sets[o])) {
                TRY(warn_seen(c, s, trained, &t[s], &t[o], o, mark, err));
            }
        }
    }
    return SPOOR_OK;
}

/* ---- together ---- */

static spoor_status tally_all(check *c, tally *t, size_t *trained, bool *mark, spoor_error *err) {
    bool any = false;
    for (size_t s = 0; s < c->n_sets; s++) {
        any = any || is_train(&c->sets[s]);
        for (size_t i = 0; is_train(&c->sets[s]) && i < c->n; i++) {
            if (c->set[i] == (int32_t)s && c->source[i] >= 0) {
                trained[c->source[i]]++;
            }
        }
    }
    for (size_t s = 0; s < c->n_sets; s++) {
        t[s].rows = ctx_calloc(c->ctx, c->n_sources, sizeof *t[s].rows);
        t[s].files = ctx_calloc(c->ctx, c->n_sources, sizeof *t[s].files);
        if (!t[s].rows || !t[s].files) {
            return no_memory(err);
        }
        count(c, s, trained, &t[s]);
        TRY(report(c, s, trained, any, &t[s], err));
    }
    return warn(c, trained, t, mark, err);
}

spoor_status check_sources(check *c, spoor_error *err) {
    TRY(number_sources(c, err));
    if (c->n_sources == 0) {
        return SPOOR_OK;
    }
    tally *t = ctx_calloc(c->ctx, c->n_sets, sizeof *t);
    size_t *trained = ctx_calloc(c->ctx, c->n_sources, sizeof *trained); /* rows of train */
    bool *mark = ctx_calloc(c->ctx, c->n_sources, sizeof *mark);
    spoor_status status = t && trained && mark ? tally_all(c, t, trained, mark, err) : no_memory(err);
    for (size_t s = 0; t && s < c->n_sets; s++) {
        ctx_free(c->ctx, t[s].rows);
        ctx_free(c->ctx, t[s].files);
    }
    ctx_free(c->ctx, t);
    ctx_free(c->ctx, trained);
    ctx_free(c->ctx, mark);
    return status;
}
