/* check.c: see check.h: sets, their labels, repeated files. check_sources.c has the sources, check_files.c the files.
 */
#include "data/check_internal.h"
#include "data/labels.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "checking lists"); }

bool check_put(json_t *object, const char *key, json_t *value) {
    return (key ? json_object_set_new(object, key, value) : json_array_append_new(object, value)) == 0;
}

/* jansson takes UTF-8 alone; a name in another coding is shown with '?' for what does not fit. */
json_t *check_text(check *c, const char *s) {
    json_t *j = json_string(s);
    if (j) {
        return j;
    }
    char *copy = ctx_strdup(c->ctx, s);
    for (char *p = copy; p && *p; p++) {
        *p = *p & (char)0x80 ? '?' : *p;
    }
    j = copy ? json_string(copy) : NULL;
    ctx_free(c->ctx, copy);
    return j;
}

spoor_status check_warn(check *c, spoor_error *err, const char *format, ...) {
    char sentence[1200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return check_put(c->warnings, NULL, check_text(c, sentence)) ? SPOOR_OK : no_memory(err);
}

const char *check_set_name(const check *c, size_t set, char name[200]) {
    const check_set *s = &c->sets[set];
    const char *list = c->lists[s->list], *slash = strrchr(list, '/');
    list = slash && slash[1] ? slash + 1 : list;
    size_t n = 0;
    for (size_t i = 0; i < c->n_sets; i++) {
        n += c->sets[i].list == s->list;
    }
    if (n > 1) {
        (void)snprintf(name, 200, "%.140s (%.50s)", list, *s->split ? s->split : "no split");
    } else {
        (void)snprintf(name, 200, "%.190s", list);
    }
    return name;
}

/* ---- sets ---- */

static spoor_status find_set(check *c, size_t list, const char *split, int32_t *set, spoor_error *err) {
    for (size_t i = 0; i < c->n_sets; i++) {
        if (c->sets[i].list == list && strcmp(c->sets[i].split, split) == 0) {
            *set = (int32_t)i;
            return SPOOR_OK;
        }
    }
    if (c->n_sets == CHECK_MAX_SETS) {
        return error_set(err, SPOOR_ERR_LIMIT, "more than %d pairs of a list and a split; is the column split right?",
                         CHECK_MAX_SETS);
    }
    *set = (int32_t)c->n_sets;
    c->sets[c->n_sets++] = (check_set){.list = list, .split = split};
    return SPOOR_OK;
}

static spoor_status make_sets(check *c, spoor_error *err) {
    size_t split = manifest_column(c->m, "split"), label = manifest_column(c->m, "label");
    for (size_t i = 0; i < c->n; i++) {
        if (i > 0 && manifest_list(c->m, i) == c->sets[c->set[i - 1]].list &&
            strcmp(manifest_cell(c->m, i, split), c->sets[c->set[i - 1]].split) == 0) {
            c->set[i] = c->set[i - 1];
        } else {
            TRY(find_set(c, manifest_list(c->m, i), manifest_cell(c->m, i, split), &c->set[i], err));
        }
        check_set *s = &c->sets[c->set[i]];
        s->rows++;
        s->bonafide += strcmp(manifest_cell(c->m, i, label), "bonafide") == 0;
    }
    return SPOOR_OK;
}

/* What makes a row another one: its path, or its trial where a list has those. */
static spoor_status make_keys(check *c, const char **keys, arena *strings, spoor_error *err) {
    size_t other = manifest_column(c->m, "path_b"), claim = manifest_column(c->m, "claim");
    for (size_t i = 0; i < c->n; i++) {
        const char *path = manifest_path(c->m, i), *b = manifest_cell(c->m, i, other),
                   *who = manifest_cell(c->m, i, claim);
        size_t size = strlen(path) + strlen(b) + strlen(who) + 3;
        char *key = *b || *who ? arena_alloc(strings, size, 1) : NULL;
        if (!key && (*b || *who)) {
            return no_memory(err);
        }
        if (key) {
            (void)snprintf(key, size, "%s\n%s\n%s", path, b, who);
        }
        keys[i] = key ? key : path;
    }
    return labels_number(c->ctx, keys, c->n, c->path, &c->n_paths, err);
}

static spoor_status number_paths(check *c, spoor_error *err) {
    arena *strings = NULL;
    TRY(arena_new(c->ctx, &strings, err));
    const char **keys = ctx_alloc(c->ctx, c->n, sizeof *keys);
    size_t *start = NULL;
    spoor_status status = keys ? make_keys(c, keys, strings, err) : no_memory(err);
    if (status == SPOOR_OK) {
        start = ctx_calloc(c->ctx, c->n_paths + 1, sizeof *start);
        status = start ? SPOOR_OK : no_memory(err);
    }
    for (size_t i = 0; status == SPOOR_OK && i < c->n; i++) {
        start[c->path[i] + 1]++;
    }
    for (size_t i = 0; status == SPOOR_OK && i < c->n_paths; i++) {
        start[i + 1] += start[i];
    }
    for (size_t i = 0; status == SPOOR_OK && i < c->n; i++) {
        c->order[start[c->path[i]]++] = i;
    }
    ctx_free(c->ctx, start);
    ctx_free(c->ctx, keys);
    arena_free(strings);
    return status;
}

/* ---- files that stand more than once ---- */

static bool same_row(const manifest *m, size_t a, size_t b) {
    for (size_t k = 0; k < manifest_columns(m); k++) {
        if (strcmp(manifest_cell(m, a, k), manifest_cell(m, b, k)) != 0) {
            return false;
        }
    }
    return true;
}

static spoor_status name_row(check *c, json_t *list, size_t row, spoor_error *err) {
    if (json_array_size(list) >= CHECK_MAX_NAMED) {
        return SPOOR_OK;
    }
    return check_put(list, NULL, check_text(c, manifest_id(c->m, row))) ? SPOOR_OK : no_memory(err);
}

static json_t *list_of(json_t *object, const char *key) {
    json_t *list = json_object_get(object, key);
    if (!list) {
        list = json_array();
        if (!list || !check_put(object, key, list)) {
            return NULL;
        }
    }
    return list;
}

/* Rows order[at .. end) have one path: those that repeat another of their set, and pairs of sets that share it. */
static spoor_status look_at_path(check *c, size_t at, size_t end, size_t *shared, spoor_error *err) {
    bool has[CHECK_MAX_SETS] = {false};
    size_t lead[CHECK_MAX_SETS], sets[CHECK_MAX_SETS], n = 0;
    for (size_t i = at; i < end; i++) {
        size_t row = c->order[i], set = (size_t)c->set[row];
        check_set *s = &c->sets[set];
        if (!has[set]) {
            has[set] = true;
            lead[set] = row;
            sets[n++] = set;
            c->first[row] = true;
            s->files++;
            continue;
        }
        bool same = same_row(c->m, lead[set], row);
        s->duplicates += same;
        s->conflicts += !same;
        json_t *list = list_of(s->json, same ? "duplicates" : "conflicts");
        TRY(list ? name_row(c, list, row, err) : no_memory(err));
    }
    for (size_t a = 0; a < n; a++) {
        for (size_t b = a + 1; b < n; b++) {
            size_t low = sets[a] < sets[b] ? sets[a] : sets[b], high = sets[a] < sets[b] ? sets[b] : sets[a];
            shared[low * c->n_sets + high]++;
        }
    }
    return SPOOR_OK;
}

static spoor_status report_overlap(check *c, size_t a, size_t b, size_t files, spoor_error *err) {
    json_t *o = json_object(), *named = json_array();
    if (!o || !named || !check_put(json_object_get(c->report, "overlaps"), NULL, o) ||
        !check_put(o, "files", json_integer((json_int_t)files)) ||
        !check_put(o, "sets", json_pack("[i,i]", (int)a, (int)b)) || !check_put(o, "named", named)) {
        return no_memory(err);
    }
    for (size_t i = 0; i < c->n;) { /* a path in both: its rows lie side by side in `order` */
        size_t end = i, in_a = SIZE_MAX, in_b = SIZE_MAX;
        for (; end < c->n && c->path[c->order[end]] == c->path[c->order[i]]; end++) {
            in_a = c->set[c->order[end]] == (int32_t)a ? c->order[end] : in_a;
            in_b = c->set[c->order[end]] == (int32_t)b ? c->order[end] : in_b;
        }
        if (in_a != SIZE_MAX && in_b != SIZE_MAX) {
            TRY(name_row(c, named, in_a, err));
        }
        i = end;
    }
    char one[200], two[200];
    bool leak = strcmp(c->sets[a].split, c->sets[b].split) != 0;
    return check_warn(c, err, "%s and %s share %zu files%s", check_set_name(c, a, one), check_set_name(c, b, two),
                      files, leak ? ": what is measured on one of them was seen in the other" : "");
}

static spoor_status find_repeats(check *c, spoor_error *err) {
    size_t *shared = ctx_calloc(c->ctx, c->n_sets * c->n_sets, sizeof *shared);
    spoor_status status = shared ? SPOOR_OK : no_memory(err);
    for (size_t i = 0, end; status == SPOOR_OK && i < c->n; i = end) {
        for (end = i + 1; end < c->n && c->path[c->order[end]] == c->path[c->order[i]]; end++) {
        }
        status = look_at_path(c, i, end, shared, err);
    }
    for (size_t s = 0; status == SPOOR_OK && s < c->n_sets; s++) {
        char name[200];
        const check_set *set = &c->sets[s];
        if (set->duplicates > 0) {
            status = check_warn(c, err, "%s: %zu rows repeat an earlier one word for word (%zu rows, %zu files)",
                                check_set_name(c, s, name), set->duplicates, set->rows, set->files);
        }
        if (status == SPOOR_OK && set->conflicts > 0) {
            c->faults += set->conflicts;
            status = check_warn(c, err, "%s: %zu rows describe a file again and otherwise", check_set_name(c, s, name),
                                set->conflicts);
        }
    }
    for (size_t a = 0; status == SPOOR_OK && a < c->n_sets; a++) {
        for (size_t b = a + 1; status == SPOOR_OK && b < c->n_sets; b++) {
            size_t files = shared[a * c->n_sets + b];
            status = files > 0 ? report_overlap(c, a, b, files, err) : SPOOR_OK;
        }
    }
    ctx_free(c->ctx, shared);
    return status;
}

/* ---- labels ---- */

enum { FEW = 100 /* values of a column that are counted */ };

/* The values of a column in one set, the most frequent first. */
static spoor_status put_counts(check *c, size_t set, const char *column, size_t count[FEW], const char *const name[FEW],
                               spoor_error *err) {
    json_t *counts = json_object();
    if (!counts || !check_put(json_object_get(c->sets[set].json, "labels"), column, counts)) {
        return no_memory(err);
    }
    for (;;) {
        size_t best = 0;
        for (size_t v = 1; v < FEW; v++) {
            bool before = count[v] > 0 && count[v] == count[best] && strcmp(name[v], name[best]) < 0;
            best = count[v] > count[best] || before ? v : best;
        }
        if (count[best] == 0) {
            return SPOOR_OK;
        }
        json_t *key = check_text(c, name[best]);
        bool put = key && check_put(counts, json_string_value(key), json_integer((json_int_t)count[best]));
        json_decref(key);
        if (!put) {
            return no_memory(err);
        }
        count[best] = 0;
    }
}

/* How often each value of a column stands in each set, where there are few of them. */
static spoor_status count_column(check *c, const char *column, spoor_error *err) {
    size_t index = manifest_column(c->m, column), values;
    int32_t *number = index == SIZE_MAX ? NULL : ctx_alloc(c->ctx, c->n, sizeof *number);
    if (!number) {
        return index == SIZE_MAX ? SPOOR_OK : no_memory(err);
    }
    spoor_status status = labels_groups(c->ctx, c->m, NULL, c->n, column, number, &values, err);
    const char *name[FEW] = {0};
    for (size_t s = 0; status == SPOOR_OK && values > 0 && values <= FEW && s < c->n_sets; s++) {
        size_t count[FEW] = {0};
        bool any = false;
        for (size_t i = 0; i < c->n; i++) {
            if (c->set[i] == (int32_t)s && number[i] >= 0) {
                count[number[i]]++;
                any = true;
                name[number[i]] = manifest_cell(c->m, i, index);
            }
        }
        status = any ? put_counts(c, s, column, count, name, err) : SPOOR_OK;
    }
    ctx_free(c->ctx, number);
    return status;
}

static spoor_status count_labels(check *c, spoor_error *err) {
    static const char *const COLUMNS[] = {"label",   "family", "acoustic",      "vocoder",     "codec",  "vq",
                                          "aux",     "dec",    "language",      "gender",      "subset", "corpus",
                                          "setting", "same",   "same_acoustic", "same_vocoder"};
    for (size_t i = 0; i < sizeof COLUMNS / sizeof *COLUMNS; i++) {
        TRY(count_column(c, COLUMNS[i], err));
    }
    return SPOOR_OK;
}

/* ---- the report ---- */

static spoor_status begin_report(check *c, spoor_error *err) {
    json_t *sets = json_array();
    c->report = json_object();
    c->warnings = json_array();
    if (!c->report || !check_put(c->report, "rows", json_integer((json_int_t)c->n)) ||
        !check_put(c->report, "files", json_integer((json_int_t)c->n_paths)) || !check_put(c->report, "sets", sets) ||
        !check_put(c->report, "overlaps", json_array()) || !check_put(c->report, "warnings", c->warnings)) {
        return no_memory(err);
    }
    for (size_t i = 0; i < c->n_sets; i++) {
        check_set *s = &c->sets[i];
        s->json = json_object();
        if (!s->json || !check_put(sets, NULL, s->json) ||
            !check_put(s->json, "list", check_text(c, c->lists[s->list])) ||
            !check_put(s->json, "split", check_text(c, s->split)) ||
            !check_put(s->json, "rows", json_integer((json_int_t)s->rows)) ||
            !check_put(s->json, "files", json_integer(0)) || !check_put(s->json, "labels", json_object())) {
            return no_memory(err);
        }
    }
    return SPOOR_OK;
}

static spoor_status fill(check *c, const check_options *o, spoor_error *err) {
    TRY(make_sets(c, err));
    TRY(number_paths(c, err));
    TRY(begin_report(c, err));
    TRY(find_repeats(c, err));
    for (size_t i = 0; i < c->n_sets; i++) {
        if (!check_put(c->sets[i].json, "files", json_integer((json_int_t)c->sets[i].files))) {
            return no_memory(err);
        }
    }
    TRY(count_labels(c, err));
    TRY(check_sources(c, err));
    return o->files || o->audio ? check_files(c, o->audio, err) : SPOOR_OK;
}

spoor_status check_lists(spoor_context *ctx, const manifest *m, const char *const *lists, const check_options *options,
                         json_t **out, size_t *faults, spoor_error *err) {
    *out = NULL;
    *faults = 0;
    size_t n = manifest_rows(m);
    if (n == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s holds no row", lists[0]);
    }
    check c = {.ctx = ctx, .m = m, .lists = lists, .n = n};
    c.sets = ctx_calloc(ctx, CHECK_MAX_SETS, sizeof *c.sets);
    c.set = ctx_alloc(ctx, n, sizeof *c.set);
    c.path = ctx_alloc(ctx, n, sizeof *c.path);
    c.order = ctx_alloc(ctx, n, sizeof *c.order);
    c.first = ctx_calloc(ctx, n, sizeof *c.first);
    c.source = ctx_alloc(ctx, n, sizeof *c.source);
    spoor_status status =
        c.sets && c.set && c.path && c.order && c.first && c.source ? fill(&c, options, err) : no_memory(err);
    ctx_free(ctx, c.sets);
    ctx_free(ctx, c.set);
    ctx_free(ctx, c.path);
    ctx_free(ctx, c.order);
    ctx_free(ctx, c.first);
    ctx_free(ctx, c.source);
    ctx_free(ctx, c.source_name);
    if (status != SPOOR_OK) {
        json_decref(c.report);
        return status;
    }
    *out = c.report;
    *faults = c.faults;
    return SPOOR_OK;
}
