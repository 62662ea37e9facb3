/* published.c: see published.h. */
#define _GNU_SOURCE /* qsort_r */
#include "eval/published.h"
#include "eval/scores_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *bare(const char *id) { return strncmp(id, "./", 2) == 0 ? id + 2 : id; }

const char *published_id(const published_scores *p, size_t line) { return bare(delimited_cell(&p->table, line, 0)); }

static int by_id(const void *a, const void *b, void *user) {
    const published_scores *p = user;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = strcmp(published_id(p, x), published_id(p, y));
    return order != 0 ? order : (x > y) - (x < y);
}

static spoor_status read_line(published_scores *p, const char *path, size_t line, spoor_error *err) {
    const delimited *d = &p->table;
    size_t fields = delimited_fields(d, line);
    if (fields != 1 + p->values) {
        return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: %zu fields; a line here is an id and %zu number%s", path,
                         d->line[line], fields, p->values, p->values == 1 ? "" : "s");
    }
    for (size_t k = 0; k < p->values; k++) {
        double x;
        const char *text = delimited_cell(d, line, 1 + k);
        if (!score_number(text, &x) || !isfinite((float)x)) {
            return error_set(err, SPOOR_ERR_INPUT, "%s, line %zu: \"%.40s\" is no finite number", path, d->line[line],
                             text);
        }
        p->value[line * p->values + k] = (float)x;
    }
    return SPOOR_OK;
}

static spoor_status read_lines(published_scores *p, const char *path, spoor_error *err) {
    plain_numbers numbers;
    TRY(plain_numbers_begin(&numbers, err));
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; status == SPOOR_OK && i < p->n; i++) {
        status = read_line(p, path, i, err);
        p->order[i] = i;
    }
    plain_numbers_end(&numbers);
    return status;
}

spoor_status published_read(spoor_context *ctx, const char *path, size_t values, published_scores *p,
                            spoor_error *err) {
    *p = (published_scores){.ctx = ctx, .values = values};
    TRY(delimited_read(ctx, path, 0, &p->table, err));
    p->n = p->table.rows;
    p->value = ctx_alloc(ctx, p->n, values * sizeof *p->value);
    p->order = ctx_alloc(ctx, p->n, sizeof *p->order);
    if (p->value == NULL || p->order == NULL) {
        return error_memory(err, "reading scores");
    }
    TRY(read_lines(p, path, err));
    qsort_r(p->order, p->n, sizeof *p->order, by_id, p);
    for (size_t i = 1; i < p->n; i++) {
        size_t a = p->order[i - 1], b = p->order[i];
        if (strcmp(published_id(p, a), published_id(p, b)) == 0 &&
            memcmp(p->value + a * values, p->value + b * values, values * sizeof *p->value) != 0) {
            return error_set(err, SPOOR_ERR_INPUT, "%s, lines %zu and %zu: %.100s has two scores", path,
                             p->table.line[a], p->table.line[b], published_id(p, a));
        }
    }
    return SPOOR_OK;
}

void published_clear(published_scores *p) {
    if (p->ctx != NULL) {
        ctx_free(p->ctx, p->value);
        ctx_free(p->ctx, p->order);
        delimited_clear(&p->table);
    }
    *p = (published_scores){0};
}

size_t published_find(const published_scores *p, const char *id) {
    size_t low = 0, high = p->n;
    id = bare(id);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(published_id(p, p->order[middle]), id);
        if (order == 0) {
            return p->order[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return SIZE_MAX;
}
