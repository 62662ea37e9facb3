/* combine_parts.c: the front ends of several models as the parts of one, and the columns of their members there; see
 * combine_internal.h. */
#define _GNU_SOURCE
#include "model/combine_internal.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- parts ---- */

static const json_t *part_config(const combine_source *s, size_t i) {
    const json_t *parts = json_object_get(s->frontend, "parts");
    return parts == NULL ? s->frontend : json_array_get(parts, i);
}

static void part_prefix(const combine_source *s, size_t i, char out[COMBINE_PREFIX]) {
    (void)snprintf(out, COMBINE_PREFIX, json_object_get(s->frontend, "parts") == NULL ? "frontend." : "frontend.%zu.",
                   i + 1);
}

static bool same_tensor(const safetensors_tensor *a, const safetensors_tensor *b) {
    return b != NULL && a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0 &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

/* Whether all tensors of `a` under one prefix are in `b` under another. Two encoders of the same architecture have the
 * same names. */
static bool same_weights(const safetensors *a, const char *under, const safetensors *b, const char *other) {
    char name[SAFETENSORS_MAX_NAME + COMBINE_PREFIX];
    for (size_t i = 0; i < safetensors_count(a); i++) {
        const safetensors_tensor *t = safetensors_at(a, i);
        if (strncmp(t->name, under, strlen(under)) != 0) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%s%s", other, t->name + strlen(under));
        if (!same_tensor(t, safetensors_find(b, name))) {
            return false;
        }
    }
    return true;
}

/* A checkpoint that stays outside is named by a path relative to its model file; the new file may lie elsewhere. */
static spoor_status absolute_path(const combine_plan *p, const combine_source *s, json_t *config, spoor_error *err) {
    const char *path = json_string_value(json_object_get(config, "weights")), *slash = strrchr(s->in->path, '/');
    char found[PATH_MAX];
    if (path == NULL || *path == '\0' || *path == '/') {
        return SPOOR_OK;
    }
    char *whole = slash == NULL ? ctx_strdup(p->ctx, path)
                                : ctx_printf(p->ctx, "%.*s/%s", (int)(slash - s->in->path), s->in->path, path);
    if (whole == NULL) {
        return error_memory(err, "combining models");
    }
    bool there = realpath(whole, found) != NULL; /* else it is found by $SPOOR_WEIGHTS, as before */
    ctx_free(p->ctx, whole);
    return !there || json_object_set_new(config, "weights", json_string(found)) == 0
               ? SPOOR_OK
               : error_memory(err, "combining models");
}

/* The number of part i of input s among the new ones, where it is added if need be. */
static spoor_status place_part(combine_plan *p, size_t s, size_t i, spoor_error *err) {
    combine_source *from = &p->source[s];
    char prefix[COMBINE_PREFIX];
    size_t first, columns, k = 0;
    json_t *config = json_deep_copy(part_config(from, i));
    spoor_status status = config == NULL ? error_memory(err, "combining models") : absolute_path(p, from, config, err);
    part_prefix(from, i, prefix);
    while (status == SPOOR_OK && k < p->n_parts &&
           !(json_equal(config, p->part[k].config) &&
             same_weights(from->file, prefix, p->source[p->part[k].owner].file, p->part[k].prefix))) {
        k++;
    }
    frontend_part_columns(from->model->frontend, i, &first, &columns);
    if (status == SPOOR_OK && k == p->n_parts) {
        if (p->n_parts == FRONTEND_MAX_PARTS || columns > FRONTEND_MAX_DIM - p->dim) {
            status = error_set(err, SPOOR_ERR_USAGE,
                               "%.200s: the models have more than %d different front ends or %d columns of "
                               "features in all",
                               from->in->path, FRONTEND_MAX_PARTS, FRONTEND_MAX_DIM);
        } else {
            combine_part *part = &p->part[p->n_parts++];
            *part = (combine_part){.config = json_incref(config), .owner = s, .first = p->dim, .columns = columns};
            memcpy(part->prefix, prefix, sizeof prefix);
            p->dim += columns;
        }
    }
    json_decref(config);
    from->part[i] = k;
    return status;
}

spoor_status combine_parts(combine_plan *p, spoor_error *err) {
    for (size_t s = 0; s < p->n; s++) {
        p->source[s].n_parts = frontend_parts(p->source[s].model->frontend);
        for (size_t i = 0; i < p->source[s].n_parts; i++) {
            TRY(place_part(p, s, i, err));
        }
    }
    p->same = true;
    for (size_t s = 0; s < p->n; s++) {
        const combine_source *from = &p->source[s];
        p->same = p->same && from->n_parts == p->n_parts &&
                  frontend_own_rows(from->model->frontend) == frontend_own_rows(p->source[0].model->frontend);
        for (size_t i = 0; i < from->n_parts; i++) {
            p->same = p->same && from->part[i] == i;
        }
    }
    return SPOOR_OK;
}

json_t *combine_frontend(const combine_plan *p) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_parts; i++) {
        (void)json_array_append(list, p->part[i].config);
    }
    if (p->n_parts == 1) {
        json_decref(list);
        return json_incref(p->part[0].config);
    }
    bool own = !p->same || frontend_own_rows(p->source[0].model->frontend);
    return own ? json_pack("{s:s, s:s, s:o}", "kind", "join", "rows", "own", "parts", list)
               : json_pack("{s:s, s:o}", "kind", "join", "parts", list);
}

void combine_part_name(const combine_plan *p, size_t s, const char *name, char *out, size_t size) {
    char prefix[COMBINE_PREFIX];
    const combine_source *from = &p->source[s];
    out[0] = '\0';
    for (size_t i = 0; i < from->n_parts; i++) {
        part_prefix(from, i, prefix);
        if (strncmp(name, prefix, strlen(prefix)) == 0 && p->part[from->part[i]].owner == s) {
            if (p->n_parts == 1) {
                (void)snprintf(out, size, "frontend.%s", name + strlen(prefix));
            } else {
                (void)snprintf(out, size, "frontend.%zu.%s", from->part[i] + 1, name + strlen(prefix));
            }
            return;
        }
    }
}

/* ---- columns ---- */

typedef struct spans {
    int64_t first[2 * FRONTEND_MAX_PARTS], columns[2 * FRONTEND_MAX_PARTS];
    size_t n;
} spans;

static bool add_span(spans *to, int64_t first, int64_t columns) {
    if (to->n > 0 && to->first[to->n - 1] + to->columns[to->n - 1] == first) {
        to->columns[to->n - 1] += columns;
        return true;
    }
    if (to->n == 2 * FRONTEND_MAX_PARTS) {
        return false;
    }
    to->first[to->n] = first;
    to->columns[to->n++] = columns;
    return true;
}

/* The columns [first, first + columns) of input s in the new features. */
static bool move_span(const combine_plan *p, const combine_source *s, int64_t first, int64_t columns, spans *to) {
    bool good = true;
    for (size_t i = 0; i < s->n_parts; i++) {
        size_t from, width;
        frontend_part_columns(s->model->frontend, i, &from, &width);
        int64_t low = (int64_t)from > first ? (int64_t)from : first;
        int64_t high = (int64_t)(from + width) < first + columns ? (int64_t)(from + width) : first + columns;
        if (low < high) {
            good = add_span(to, (int64_t)p->part[s->part[i]].first + low - (int64_t)from, high - low) && good;
        }
    }
    return good;
}

static bool read_spans(const combine_plan *p, const combine_source *s, const json_t *member, spans *to) {
    const json_t *list = json_object_get(member, "spans"), *columns = json_object_get(member, "columns");
    int64_t first = json_integer_value(json_object_get(member, "first"));
    bool good = true;
    if (list == NULL) {
        int64_t all = (int64_t)frontend_dim(s->model->frontend) - first;
        return move_span(p, s, first, columns == NULL ? all : json_integer_value(columns), to);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        good = move_span(p, s, json_integer_value(json_array_get(pair, 0)), json_integer_value(json_array_get(pair, 1)),
                         to) &&
               good;
    }
    return good;
}

/* Parts whose shortest says how many rows the member sees: where its own front end cut all parts to the shortest, all
 * of those; else the ones that it names. */
static bool set_rows(const combine_source *s, json_t *member) {
    json_t *own = json_object_get(member, "rows"), *list = json_array();
    bool cut = s->n_parts > 1 && !frontend_own_rows(s->model->frontend), good = list != NULL;
    for (size_t i = 0; i < (cut ? s->n_parts : json_array_size(own)); i++) {
        size_t old = cut ? i : (size_t)json_integer_value(json_array_get(own, i));
        good = json_array_append_new(list, json_integer((json_int_t)s->part[old])) == 0 && good;
    }
    good = good && (json_array_size(list) == 0 || json_object_set(member, "rows", list) == 0);
    json_decref(list);
    return good;
}

spoor_status combine_columns(const combine_plan *p, size_t s, json_t *member, spoor_error *err) {
    spans to = {.n = 0};
    if (p->same) {
        return SPOOR_OK;
    }
    if (!read_spans(p, &p->source[s], member, &to)) {
        return error_set(err, SPOOR_ERR_USAGE, "%.200s: a member reads more stretches of columns than a network can",
                         p->source[s].in->path);
    }
    bool good = set_rows(&p->source[s], member);
    (void)json_object_del(member, "spans");
    (void)json_object_del(member, "first");
    (void)json_object_del(member, "columns");
    if (to.n == 1) {
        good = json_object_set_new(member, "first", json_integer((json_int_t)to.first[0])) == 0 &&
               json_object_set_new(member, "columns", json_integer((json_int_t)to.columns[0])) == 0 && good;
    } else {
        json_t *list = json_array();
        for (size_t i = 0; i < to.n; i++) {
            json_t *pair = json_pack("[I,I]", (json_int_t)to.first[i], (json_int_t)to.columns[i]);
            good = json_array_append_new(list, pair) == 0 && good;
        }
        good = json_object_set_new(member, "spans", list) == 0 && good;
    }
    return good ? SPOOR_OK : error_memory(err, "combining models");
}
