/* table_print.c: the JSON of `spoor table` as text and as a page: rows are made once, from the JSON alone, and then put
 * out in either form. */
#include "cli/cells.h"
#include "cli/table.h"
#include "report/page.h"
#include "report/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 26 };

/* Where rows go: a page, or standard output. */
typedef struct sink {
    spoor_context *ctx;
    page *page;
    bool open; /* a table of the page */
} sink;

static void put_cell(sink *s, const char *text, bool first) {
    char *plain = s->page ? NULL : report_plain_name(s->ctx, text);
    if (s->page) {
        page_put(s->page, first ? "<tr><th>" : "<td>");
        page_text(s->page, text);
        page_put(s->page, first ? "</th>" : "</td>");
    } else {
        printf(first ? "%-*.60s" : " %-*.60s", first ? NAME : CELL_WIDE, plain ? plain : "?");
    }
    ctx_free(s->ctx, plain);
}

static void end_row(sink *s) {
    if (s->page) {
        page_put(s->page, "</tr>\n");
    } else {
        printf("\n");
    }
}

static void heading(sink *s, const char *text) {
    if (s->page) {
        page_put(s->page, s->open ? "</table>\n<h2>" : "<h2>");
        page_text(s->page, text);
        page_put(s->page, "</h2>\n<table>\n");
        s->open = true;
    } else {
        char *plain = report_plain_name(s->ctx, text);
        printf("\n%s\n", plain ? plain : "?");
        ctx_free(s->ctx, plain);
    }
}

static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "";
}

/* The member of a list whose `key` is `value`. */
static const json_t *find(const json_t *list, const char *key, const char *value) {
    size_t i;
    const json_t *o;
    json_array_foreach((json_t *)(uintptr_t)list, i, o) {
        if (strcmp(text_of(o, key), value) == 0) {
            return o;
        }
    }
    return NULL;
}

static const json_t *set_at(const json_t *all, size_t i) { return json_array_get(json_object_get(all, "sets"), i); }
static size_t set_count(const json_t *all) { return json_array_size(json_object_get(all, "sets")); }
static const json_t *report_of(const json_t *set) { return json_object_get(set, "report"); }
/* The list of tasks: of the report, or of guesses. */
static const json_t *tasks_of(const json_t *set) {
    const json_t *r = report_of(set);
    return json_object_get(r != NULL ? r : set, "tasks");
}
/* Where figures over the whole set stand: the first group of a report's part, or, of guesses, the part itself. */
static const json_t *whole(const json_t *part) {
    const json_t *groups = json_object_get(part, "groups");
    return groups != NULL ? json_array_get(groups, 0) : part;
}
static const json_t *detection_of(const json_t *set) {
    const json_t *r = report_of(set);
    return r != NULL ? whole(json_object_get(r, "bonafide")) : set;
}

static void put_count(sink *s, const json_t *n) {
    char cell[CELL] = "-";
    if (json_is_integer(n)) {
        (void)snprintf(cell, sizeof cell, "%lld", (long long)json_integer_value(n));
    }
    put_cell(s, cell, false);
}

/* ---- the table ---- */

static void head(sink *s, const json_t *all) {
    put_cell(s, "", true);
    for (size_t i = 0; i < set_count(all); i++) {
        put_cell(s, text_of(set_at(all, i), "name"), false);
    }
    end_row(s);
}

static void count_row(sink *s, const json_t *all, const char *label, const char *key, bool sides) {
    put_cell(s, label, true);
    for (size_t i = 0; i < set_count(all); i++) {
        const json_t *set = set_at(all, i), *from = sides ? detection_of(set) : set;
        from = strcmp(key, "not_evaluated") == 0 ? report_of(set) : from;
        put_count(s, json_object_get(from, key));
    }
    end_row(s);
}

static void figure_row(sink *s, const json_t *all, const char *task, const char *label, const char *figure) {
    put_cell(s, label, true);
    for (size_t i = 0; i < set_count(all); i++) {
        char cell[CELL];
        const json_t *set = set_at(all, i);
        const json_t *from = task != NULL ? whole(find(tasks_of(set), "task", task)) : detection_of(set);
        put_cell(s, cell_text(json_object_get(from, figure), 100, 2, cell), false);
    }
    end_row(s);
}

/* How many recordings a set has of a class; NULL: none. */
static json_int_t support(const json_t *task, const char *class) {
    const json_t *listed = find(json_object_get(task, "per_class"), "class", class);
    if (listed != NULL) {
        return json_integer_value(json_object_get(listed, "support"));
    }
    const json_t *classes = json_object_get(task, "classes"), *c;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)(json_is_array(classes) ? classes : NULL), i, c) {
        if (strcmp(json_string_value(c), class) == 0) {
            return json_integer_value(json_array_get(json_object_get(task, "counts"), i));
        }
    }
    return 0;
}

static void class_row(sink *s, const json_t *all, const char *task, const char *class) {
    char label[300];
    (void)snprintf(label, sizeof label, "  n %.250s", class);
    put_cell(s, label, true);
    for (size_t i = 0; i < set_count(all); i++) {
        char cell[CELL];
        (void)snprintf(cell, sizeof cell, "%lld",
                       (long long)support(find(tasks_of(set_at(all, i)), "task", task), class));
        put_cell(s, cell, false);
    }
    end_row(s);
}

/* Every class that occurs in some set, once: of set `i` those that no set before it has. */
static void class_rows(sink *s, const json_t *all, const char *task) {
    for (size_t i = 0; i < set_count(all); i++) {
        const json_t *t = find(tasks_of(set_at(all, i)), "task", task), *list = json_object_get(t, "per_class"), *c;
        list = list != NULL ? list : json_object_get(t, "classes");
        size_t k;
        json_array_foreach((json_t *)(uintptr_t)list, k, c) {
            const char *name = json_is_string(c) ? json_string_value(c) : text_of(c, "class");
            bool before = false;
            for (size_t j = 0; j < i; j++) {
                const json_t *other = find(tasks_of(set_at(all, j)), "task", task);
                before = before || find(json_object_get(other, "per_class"), "class", name) != NULL ||
                         json_is_array(json_object_get(other, "classes"));
            }
            if (!before) {
                class_row(s, all, task, name);
            }
        }
    }
}

static void put_tasks(sink *s, const json_t *all) {
    for (size_t i = 0; i < set_count(all); i++) {
        size_t k;
        const json_t *t;
        json_array_foreach((json_t *)(uintptr_t)tasks_of(set_at(all, i)), k, t) {
            const char *task = text_of(t, "task");
            bool before = false;
            for (size_t j = 0; j < i; j++) {
                before = before || find(tasks_of(set_at(all, j)), "task", task) != NULL;
            }
            if (before) {
                continue;
            }
            put_cell(s, task, true);
            for (size_t j = 0; s->page && j < set_count(all); j++) { /* the row's line goes on */
                put_cell(s, "", false);
            }
            end_row(s);
            figure_row(s, all, task, "  weighted F1 %", "weighted_f1");
            figure_row(s, all, task, "  macro F1 %", "macro_f1");
            figure_row(s, all, task, "  accuracy %", "accuracy");
            class_rows(s, all, task);
        }
    }
}

/* ---- each codec, each system ---- */

static const json_t *group_of(const json_t *part, const char *kind, const char *name) {
    size_t i;
    const json_t *g;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(part, "groups"), i, g) {
        if (strcmp(text_of(g, "group"), kind) == 0 && strcmp(text_of(g, "name"), name) == 0) {
            return g;
        }
    }
    return NULL;
}

static void detail_row(sink *s, const json_t *set, const char *name, const json_t *group, bool pages) {
    char cell[CELL];
    size_t k;
    const json_t *t, *bonafide = json_object_get(report_of(set), "bonafide"), *tasks = tasks_of(set);
    const char *kind = pages ? "page" : "setting";
    put_cell(s, name, true);
    put_count(s, json_object_get(group, "n"));
    json_array_foreach((json_t *)(uintptr_t)tasks, k, t) {
        put_cell(s, cell_text(json_object_get(group_of(t, kind, name), "accuracy"), 100, 1, cell), false);
    }
    put_cell(s, cell_text(json_object_get(group_of(bonafide, kind, name), "eer"), 100, 1, cell), false);
    end_row(s);
}

static void put_details(sink *s, const json_t *set, bool pages) {
    char title[400];
    const json_t *tasks = tasks_of(set), *first = json_array_get(tasks, 0), *g, *t;
    size_t i, k, n = 0;
    const char *kind = pages ? "page" : "setting";
    json_array_foreach((json_t *)(uintptr_t)json_object_get(first, "groups"), i, g) {
        n += strcmp(text_of(g, "group"), kind) == 0;
    }
    if (n == 0) {
        return;
    }
    (void)snprintf(title, sizeof title, "%.300s, %s: accuracy %% and EER %%", text_of(set, "name"),
                   pages ? "page by page" : "one by one");
    heading(s, title);
    put_cell(s, "", true);
    put_cell(s, "n", false);
    json_array_foreach((json_t *)(uintptr_t)tasks, k, t) {
        put_cell(s, text_of(t, "task"), false);
    }
    put_cell(s, "EER", false);
    end_row(s);
    json_array_foreach((json_t *)(uintptr_t)json_object_get(first, "groups"), i, g) {
        if (strcmp(text_of(g, "group"), kind) == 0) {
            detail_row(s, set, text_of(g, "name"), g, pages);
        }
    }
}

static void put_all(sink *s, const json_t *all) {
    const json_t *random = json_object_get(all, "random");
    char title[400];
    if (random != NULL) {
        (void)snprintf(title, sizeof title, "guesses (%s), %lld repetitions, seed %lld: mean +- standard deviation",
                       text_of(random, "form"), (long long)json_integer_value(json_object_get(random, "repetitions")),
                       (long long)json_integer_value(json_object_get(random, "seed")));
    } else {
        (void)snprintf(title, sizeof title, "%.300s, with 95 %% intervals", text_of(all, "system"));
    }
    heading(s, title);
    head(s, all);
    count_row(s, all, "recordings", "rows", false);
    if (random == NULL) {
        count_row(s, all, "  not evaluated", "not_evaluated", false);
    }
    count_row(s, all, "  bona fide", "targets", true);
    count_row(s, all, "  synthetic", "others", true);
    figure_row(s, all, NULL, "EER %", "eer");
    put_tasks(s, all);
    for (size_t i = 0; random == NULL && i < set_count(all); i++) {
        put_details(s, set_at(all, i), false);
        put_details(s, set_at(all, i), true);
    }
}

void table_print(spoor_context *ctx, const json_t *all) { put_all(&(sink){.ctx = ctx}, all); }

spoor_status table_html(spoor_context *ctx, const char *path, const json_t *all, spoor_error *err) {
    static const char style[] = "body{font:15px/1.5 system-ui,sans-serif;margin:24px;color:#1c2330;background:#fff}"
                                "h2{font-size:17px;margin:28px 0 6px}table{border-collapse:collapse;font-size:14px;"
                                "font-variant-numeric:tabular-nums}th,td{padding:3px 14px 3px "
                                "0;text-align:left;white-space:pre;border-bottom:1px solid "
                                "#dde1e7}th{font-weight:600;color:#5a6472}";
    sink s = {.ctx = ctx};
    TRY(page_open(ctx, path, "Spoor: table", style, &s.page, err));
    put_all(&s, all);
    page_put(s.page, s.open ? "</table>\n" : "");
    spoor_status status = page_status(s.page, err);
    spoor_status closed = page_close(s.page, status == SPOOR_OK, err);
    return status != SPOOR_OK ? status : closed;
}
