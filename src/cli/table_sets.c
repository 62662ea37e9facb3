/* table_sets.c: the rows of `spoor table`: lists divided into sets, tasks and labels; see table.h. */
#include "cli/table.h"
#include "data/labels.h"
#include <math.h>
#include <string.h>

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "making a table"); }

void table_clear(table *t) {
    if (t->ctx == NULL) {
        return;
    }
    for (size_t i = 0; i < t->n_sets; i++) {
        ctx_free(t->ctx, t->sets[i].rows);
    }
    for (size_t i = 0; i < t->n_own; i++) {
        ctx_free(t->ctx, t->own[i].classes);
    }
    for (size_t i = 0; i < t->n_tasks; i++) {
        ctx_free(t->ctx, t->wider[i]);
    }
    ctx_free(t->ctx, t->clips);
    ctx_free(t->ctx, t->truth);
    ctx_free(t->ctx, t->scores);
    ctx_free(t->ctx, t->text);
    taxonomy_free(t->taxonomy);
    cli_corpus_clear(&t->c);
    *t = (table){0};
}

/* ---- sets ---- */

/* The rows for which `column` has `name`, or, without a column, those of list `list` (SIZE_MAX: all). */
static spoor_status add_set(table *t, const char *name, size_t column, size_t list, spoor_error *err) {
    if (t->n_sets == TABLE_MAX_SETS) {
        return error_set(err, SPOOR_ERR_LIMIT, "there would be more than %d sets", TABLE_MAX_SETS);
    }
    for (size_t i = 0; i < t->n_sets; i++) {
        if (strcmp(t->sets[i].name, name) == 0) {
            return error_set(err, SPOOR_ERR_USAGE, "two sets are called %.100s; name them with --set NAME=LIST", name);
        }
    }
    table_set *s = &t->sets[t->n_sets++];
    *s = (table_set){.name = name, .rows = ctx_alloc(t->ctx, t->c.n, sizeof *s->rows)};
    if (s->rows == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->c.n; i++) {
        bool in = column != SIZE_MAX ? strcmp(manifest_cell(t->c.manifest, t->c.rows[i], column), name) == 0
                                     : list == SIZE_MAX || manifest_list(t->c.manifest, t->c.rows[i]) == list;
        if (in) {
            s->rows[s->n++] = i;
        }
    }
    return s->n > 0
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_INPUT, "the set %.100s has no row that passes --split and --where", name);
}

/* "dir/CoSG_ALL.txt": CoSG_ALL, in `text`, which is moved on. */
static const char *file_name(const char *path, char **text) {
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *dot = strrchr(name, '.');
    size_t n = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
    char *out = *text;
    memcpy(out, name, n);
    out[n] = '\0';
    *text += n + 1;
    return out;
}

static spoor_status sets_by_list(table *t, spoor_error *err) {
    const cli_corpus_options *o = &t->o->corpus;
    size_t bytes = 0;
    for (size_t i = 0; i < o->n_manifests; i++) {
        bytes += strlen(o->manifests[i]) + 1;
    }
    t->text = ctx_alloc(t->ctx, bytes, 1);
    if (t->text == NULL) {
        return no_memory(err);
    }
    char *text = t->text;
    for (size_t i = 0; i < o->n_manifests; i++) {
        TRY(add_set(t, t->o->names[i] != NULL ? t->o->names[i] : file_name(o->manifests[i], &text), SIZE_MAX, i, err));
    }
    return SPOOR_OK;
}

static spoor_status sets_by_column(table *t, spoor_error *err) {
    const labels_task by = {.name = t->o->by, .columns = &t->o->by, .n_columns = 1};
    const char **values = NULL;
    size_t n = 0;
    if (manifest_column(t->c.manifest, t->o->by) == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "no list has the column %.100s, by which to make sets", t->o->by);
    }
    TRY(labels_classes(t->ctx, t->c.manifest, t->c.rows, t->c.n, &by, 1, &values, &n, err));
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        status = add_set(t, values[i], manifest_column(t->c.manifest, t->o->by), 0, err);
    }
    ctx_free(t->ctx, values);
    return status == SPOOR_OK ? add_set(t, "all", SIZE_MAX, SIZE_MAX, err) : status;
}

static int is_bonafide(const char *label) {
    const char *known = protocol_label(label);
    return known != NULL ? known[0] == 'b' : model_is_human(label) ? 1 : -1;
}

/* Everything of a clip but its truth and scores. */
static spoor_status fill_clips(table *t, spoor_error *err) {
    const manifest *m = t->c.manifest;
    size_t page = manifest_column(m, "page"), each = manifest_column(m, t->o->each),
           source = manifest_column(m, "source"), label = manifest_column(m, "label"),
           split = manifest_column(m, "split");
    if (each == SIZE_MAX && strcmp(t->o->each, "source") != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "no list has the column %.100s of --each", t->o->each);
    }
    t->clips = ctx_calloc(t->ctx, t->c.n, sizeof *t->clips);
    if (t->clips == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->c.n; i++) {
        size_t row = t->c.rows[i];
        t->clips[i] = (eval_clip){.id = t->c.ids[i], .split = manifest_cell(m, row, split),
                                  .page = manifest_cell(m, row, page),
                                  .setting = manifest_cell(m, row, each), .source = manifest_cell(m, row, source),
                                  .bonafide = NAN, .known = NAN, .is_known = -1,
                                  .is_bonafide = is_bonafide(manifest_cell(m, row, label))};
    }
    return SPOOR_OK;
}

spoor_status table_read(spoor_context *ctx, const table_options *o, table *t, spoor_error *err) {
    *t = (table){.ctx = ctx, .o = o};
    TRY(cli_corpus_read(ctx, &o->corpus, &t->c, err));
    TRY(o->by != NULL ? sets_by_column(t, err) : sets_by_list(t, err));
    return fill_clips(t, err);
}

/* ---- tasks ---- */

/* Classes by the taxonomy, in the published order. */
static spoor_status classes_of_attribute(table *t, table_task *task, size_t attribute, spoor_error *err) {
    task->n_classes = taxonomy_values(t->taxonomy, attribute);
    task->classes = ctx_alloc(t->ctx, task->n_classes, sizeof *task->classes);
    if (task->classes == NULL) {
        return no_memory(err);
    }
    for (size_t k = 0; k < task->n_classes; k++) {
        task->classes[k] = taxonomy_value_name(t->taxonomy, attribute, k);
    }
    return SPOOR_OK;
}

static spoor_status add_task(table *t, const char *name, spoor_error *err) {
    if (t->n_own == TABLE_MAX_TASKS) {
        return error_set(err, SPOOR_ERR_USAGE, "there are more than %d tasks", TABLE_MAX_TASKS);
    }
    table_task *task = &t->own[t->n_own++];
    *task = (table_task){.name = name, .human = -1, .column = manifest_column(t->c.manifest, name)};
    if (task->column == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "no list has the column %.100s, which would say what is true of that "
                                               "task", name);
    }
    size_t attribute = taxonomy_attribute(t->taxonomy, name);
    if (attribute != SIZE_MAX) {
        TRY(classes_of_attribute(t, task, attribute, err));
    } else {
        const labels_task by = {.name = name, .columns = &name, .n_columns = 1};
        TRY(labels_classes(t->ctx, t->c.manifest, t->c.rows, t->c.n, &by, 1, &task->classes, &task->n_classes, err));
    }
    if (task->n_classes > TABLE_MAX_CLASSES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%.100s has %zu classes, more than the limit of %d", name,
                         task->n_classes, TABLE_MAX_CLASSES);
    }
    for (size_t k = 0; k < task->n_classes; k++) {
        task->human = model_is_human(task->classes[k]) ? (int64_t)k : task->human;
    }
    return SPOOR_OK;
}

static spoor_status choose_tasks(table *t, spoor_error *err) {
    const table_options *o = t->o;
    for (size_t i = 0; i < o->n_scores; i++) {
        size_t n = strcspn(o->scores[i], "=");
        bool there = strncmp(o->scores[i], "bonafide=", 9) == 0;
        for (size_t k = 0; k < t->n_own; k++) {
            there = there || (strlen(t->own[k].name) == n && strncmp(t->own[k].name, o->scores[i], n) == 0);
        }
        /* the manifest's own copy of the name */
        for (size_t k = 0; !there && k < manifest_columns(t->c.manifest); k++) {
            const char *column = manifest_column_name(t->c.manifest, k);
            if (strlen(column) == n && strncmp(column, o->scores[i], n) == 0) {
                TRY(add_task(t, column, err));
                there = true;
            }
        }
        if (!there) {
            return error_set(err, SPOOR_ERR_USAGE, "--scores %.200s: no list has a column of that name", o->scores[i]);
        }
    }
    for (size_t i = 0; i < o->n_tasks; i++) {
        TRY(add_task(t, o->tasks[i], err));
    }
    static const char *const attributes[] = {"vq", "aux", "dec"};
    for (size_t i = 0; o->n_scores + o->n_tasks == 0 && i < 3; i++) {
        if (manifest_column(t->c.manifest, attributes[i]) != SIZE_MAX) {
            TRY(add_task(t, attributes[i], err));
        }
    }
    return SPOOR_OK;
}

/* Bona fide speech whose cell is empty is the human class. */
static int32_t label_of(const table *t, const table_task *task, size_t i) {
    const char *text = manifest_cell(t->c.manifest, t->c.rows[i], task->column);
    if (text[0] == '\0') {
        return t->clips[i].is_bonafide == 1 ? (int32_t)task->human : -1;
    }
    size_t attribute = taxonomy_attribute(t->taxonomy, task->name);
    if (attribute != SIZE_MAX) {
        size_t value = taxonomy_value(t->taxonomy, attribute, text);
        return value == SIZE_MAX ? -1 : (int32_t)value;
    }
    return labels_find(task->classes, task->n_classes, text);
}

spoor_status table_label(table *t, spoor_error *err) {
    TRY(taxonomy_open(t->ctx, t->o->corpus.how.taxonomy, &t->taxonomy, err));
    TRY(choose_tasks(t, err));
    for (size_t k = 0; k < t->n_own; k++) {
        t->tasks[k] = (eval_task){t->own[k].name, t->own[k].n_classes, t->own[k].classes};
        t->width += t->own[k].n_classes;
    }
    t->n_tasks = t->n_own;
    t->truth = ctx_calloc(t->ctx, t->c.n, (t->n_tasks + 1) * sizeof *t->truth);
    if (t->truth == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < t->c.n; i++) {
        int32_t *truth = t->truth + i * t->n_tasks;
        for (size_t k = 0; k < t->n_tasks; k++) {
            truth[k] = label_of(t, &t->own[k], i);
        }
        t->clips[i].truth = truth;
    }
    return SPOOR_OK;
}
