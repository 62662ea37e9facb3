/* scores_classes.c: the classes of a foreign score file as its options name them, and where their scores stand; see
 * scores.h. */
#include "eval/scores_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cuts text at its commas in place; the number of parts. A part is found by going on after its end. */
static size_t cut(char *text) {
    size_t n = 1;
    for (; *text != '\0'; text++) {
        if (*text == ',') {
            *text = '\0';
            n++;
        }
    }
    return n;
}

/* "3-6": both ends are numbers. */
static bool range_of(const char *part, size_t *first, size_t *last) {
    size_t n = strspn(part, "0123456789"), m = part[n] == '-' ? strspn(part + n + 1, "0123456789") : 0;
    if (n == 0 || m == 0 || part[n + 1 + m] != '\0' || n > 6 || m > 6) {
        return false;
    }
    *first = strtoul(part, NULL, 10);
    *last = strtoul(part + n + 1, NULL, 10);
    return true;
}

typedef struct chooser {
    const delimited *table;
    const char *path;
    bool header;
    size_t *columns, n, *most; /* columns[DELIMITED_MAX_COLUMNS] */
} chooser;

static spoor_status add(chooser *c, const char *column, spoor_error *err) {
    size_t index = 0;
    TRY(score_column_find(c->table, c->path, c->header, column, &index, c->most, err));
    if (c->n == DELIMITED_MAX_COLUMNS) {
        return error_set(err, SPOOR_ERR_LIMIT, "more than %d columns of class scores are asked for",
                         DELIMITED_MAX_COLUMNS);
    }
    for (size_t k = 0; k < c->n; k++) {
        if (c->columns[k] == index) {
            return error_set(err, SPOOR_ERR_USAGE, "column %zu is named twice among the class scores", index + 1);
        }
    }
    c->columns[c->n++] = index;
    return SPOOR_OK;
}

static spoor_status add_range(chooser *c, const char *part, size_t first, size_t last, spoor_error *err) {
    if (first == 0 || last < first || last > DELIMITED_MAX_COLUMNS) {
        return error_set(err, SPOOR_ERR_USAGE, "columns %.20s: a range goes from 1 to %d at most, upwards", part,
                         DELIMITED_MAX_COLUMNS);
    }
    for (size_t k = first; k <= last; k++) {
        char number[24];
        (void)snprintf(number, sizeof number, "%zu", k);
        TRY(add(c, number, err));
    }
    return SPOOR_OK;
}

static spoor_status choose_columns(chooser *c, const char *parts, size_t n, spoor_error *err) {
    for (size_t i = 0; i < n; i++, parts += strlen(parts) + 1) {
        size_t first, last;
        TRY(range_of(parts, &first, &last) ? add_range(c, parts, first, last, err) : add(c, parts, err));
    }
    return SPOOR_OK;
}

static spoor_status name_classes(score_file *f, const char *given, size_t n, spoor_error *err) {
    f->names = ctx_alloc(f->ctx, n, sizeof *f->names);
    f->tasks = ctx_calloc(f->ctx, 1, sizeof *f->tasks);
    if (f->names == NULL || f->tasks == NULL) {
        return error_memory(err, "reading scores");
    }
    for (size_t k = 0; k < n; k++, given += strlen(given) + 1) {
        f->names[k] = given;
        for (size_t j = 0; j < k; j++) {
            if (strcmp(f->names[j], given) == 0) {
                return error_set(err, SPOOR_ERR_USAGE, "the class \"%.60s\" is named twice", given);
            }
        }
    }
    f->tasks[0] = (eval_task){"source", n, f->names};
    f->set.tasks = f->tasks;
    f->set.task_count = 1;
    return SPOOR_OK;
}

/* The header's names, or the numbers of the columns, one after the other in f->spec. */
static spoor_status name_by_columns(score_file *f, const chooser *c, spoor_error *err) {
    size_t room = 0, at = 0;
    for (int writing = 0; writing <= 1; writing++) {
        for (size_t k = 0; k < c->n; k++) {
            char number[24];
            (void)snprintf(number, sizeof number, "%zu", c->columns[k] + 1);
            const char *name = c->header && f->table.rows > 0 && c->columns[k] < delimited_fields(&f->table, 0)
                                   ? delimited_cell(&f->table, 0, c->columns[k]) : number;
            if (writing) {
                memcpy(f->spec + at, name, strlen(name) + 1);
                at += strlen(name) + 1;
            } else {
                room += strlen(name) + 1;
            }
        }
        if (!writing) {
            ctx_free(f->ctx, f->spec);
            f->spec = ctx_alloc(f->ctx, room, 1);
            if (f->spec == NULL) {
                return error_memory(err, "reading scores");
            }
        }
    }
    return name_classes(f, f->spec, c->n, err);
}

static spoor_status columns_of(score_file *f, const char *path, const char *list, bool header, size_t *columns,
                               size_t *n, size_t *most, spoor_error *err) {
    char *parts = ctx_strdup(f->ctx, list);
    chooser c = {.table = &f->table, .path = path, .header = header, .columns = columns, .most = most};
    spoor_status status =
        parts == NULL ? error_memory(err, "reading scores") : choose_columns(&c, parts, cut(parts), err);
    ctx_free(f->ctx, parts);
    *n = c.n;
    return status;
}

spoor_status score_classes_named(score_file *f, const char *path, const score_columns *c, bool header, size_t **columns,
                                 size_t *most, spoor_error *err) {
    size_t n = 0, names = 0;
    *columns = NULL;
    if (c->probabilities != NULL) {
        *columns = ctx_alloc(f->ctx, DELIMITED_MAX_COLUMNS, sizeof **columns);
        TRY(*columns == NULL ? error_memory(err, "reading scores")
                             : columns_of(f, path, c->probabilities, header, *columns, &n, most, err));
    }
    if (c->classes == NULL) {
        chooser by_column = {
            .table = &f->table, .path = path, .header = header, .columns = *columns, .n = n, .most = most};
        return n > 0 ? name_by_columns(f, &by_column, err) : SPOOR_OK;
    }
    f->spec = ctx_strdup(f->ctx, c->classes);
    if (f->spec == NULL) {
        return error_memory(err, "reading scores");
    }
    names = cut(f->spec);
    if (names > DELIMITED_MAX_COLUMNS || (n > 0 && names != n)) {
        return error_set(err, n > 0 ? SPOOR_ERR_USAGE : SPOOR_ERR_LIMIT,
                         "%zu classes are named for %zu columns of scores", names, n);
    }
    return name_classes(f, f->spec, names, err);
}
