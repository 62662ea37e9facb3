/* conditions.c: see conditions.h. */
#include "cli/conditions.h"
#include "cli/cells.h"
#include "report/text.h"
#include <stdio.h>
#include <string.h>

static spoor_status add(conditions *c, const char *name, uint64_t seed, spoor_error *err) {
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(degrade_name(c->each[i]), name) == 0) {
            if (strcmp(name, "clean") == 0) {
                return SPOOR_OK;
            }
            return error_set(err, SPOOR_ERR_USAGE, "--degrade names %.60s twice", name);
        }
    }
    if (c->n == CONDITIONS_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "--degrade takes at most %d conditions", CONDITIONS_MAX - 1);
    }
    TRY(degrade_new(c->ctx, name, seed, &c->each[c->n], err));
    c->n++;
    return SPOOR_OK;
}

spoor_status conditions_parse(spoor_context *ctx, const char *list, uint64_t seed, conditions *out, spoor_error *err) {
    *out = (conditions){.ctx = ctx};
    char *copy = ctx_strdup(ctx, strcmp(list, "all") == 0 ? DEGRADE_ALL : list);
    spoor_status status = copy != NULL ? add(out, "clean", seed, err) : error_memory(err, "reading --degrade");
    for (char *name = copy; status == SPOOR_OK && name != NULL;) {
        char *comma = strchr(name, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        status = add(out, name, seed, err);
        name = comma;
    }
    ctx_free(ctx, copy);
    return status;
}

void conditions_clear(conditions *c) {
    for (size_t i = 0; i < c->n; i++) {
        degrade_free(c->each[i]);
    }
    c->n = 0;
}

json_t *conditions_entry(const degrade *d, size_t failed, json_t *report) {
    static const char *const silence[] = {"as trained", "kept", "removed"};
    return json_pack("{s:s, s:s, s:O, s:I, s:o}", "name", degrade_name(d), "silence", silence[degrade_silence(d) + 1],
                     "steps", degrade_steps(d), "failed", (json_int_t)failed, "report", report);
}

spoor_status conditions_path(spoor_context *ctx, const char *pattern, const degrade *d, char **path, spoor_error *err) {
    const char *at = strstr(pattern, CONDITIONS_PLACE), *name = degrade_name(d);
    size_t size = strlen(pattern) + strlen(name) + 1;
    *path = ctx_alloc(ctx, size, 1);
    if (*path == NULL) {
        return error_memory(err, "naming a score file");
    }
    snprintf(*path, size, "%.*s%s%s", (int)(at - pattern), pattern, name, at + strlen(CONDITIONS_PLACE));
    return SPOOR_OK;
}

/* ---- the table ---- */

enum { NAME = 34 };

/* What the table has of each part; the whole reports are in the JSON. */
static const char *const OF_TASKS[] = {"accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", NULL};
static const char *const OF_DETECTION[] = {"eer", "auroc", "min_dcf", NULL};

static void print_cell(const json_t *figure) {
    char cell[CELL];
    printf(" %-*s", CELL_WIDE, cell_text(figure, 1, 3, cell));
}

/* The group of the same kind and name in another condition's list. */
static const json_t *same_group(const json_t *groups, const json_t *of) {
    size_t i;
    const json_t *g;
    json_array_foreach((json_t *)(uintptr_t)groups, i, g) {
        if (json_equal(json_object_get(g, "group"), json_object_get(of, "group")) &&
            json_equal(json_object_get(g, "name"), json_object_get(of, "name"))) {
            return g;
        }
    }
    return NULL;
}

static const json_t *part_of(const json_t *condition, const char *part, size_t task) {
    const json_t *p = json_object_get(json_object_get(condition, "report"), part);
    return json_object_get(json_is_array(p) ? json_array_get(p, task) : p, "groups");
}

static void print_row(const json_t *list, const char *part, size_t task, const json_t *of, const char *figure,
                      const char *label) {
    printf("%-*s", NAME, label);
    size_t i;
    const json_t *c;
    json_array_foreach((json_t *)(uintptr_t)list, i, c) {
        print_cell(json_object_get(same_group(part_of(c, part, task), of), figure));
    }
    printf("\n");
}

static void print_part(spoor_context *ctx, const json_t *list, const char *part, size_t task, const char *title,
                       const char *const *figures) {
    size_t i;
    const json_t *g;
    json_array_foreach((json_t *)(uintptr_t)part_of(json_array_get(list, 0), part, task), i, g) {
        const char *kind = json_string_value(json_object_get(g, "group"));
        if (strcmp(kind, "all") != 0 && strcmp(kind, "setting") != 0) {
            continue;
        }
        char *name = report_plain_name(ctx, json_string_value(json_object_get(g, "name")));
        const json_t *n = json_object_get(g, "n");
        if (n != NULL) {
            printf("\n%s, %s: n %lld\n", title, name ? name : "?", (long long)json_integer_value(n));
        } else {
            printf("\n%s, %s: n %lld and %lld\n", title, name ? name : "?",
                   (long long)json_integer_value(json_object_get(g, "targets")),
                   (long long)json_integer_value(json_object_get(g, "others")));
        }
        ctx_free(ctx, name);
        for (size_t f = 0; figures[f] != NULL; f++) {
            char label[NAME + 1];
            (void)snprintf(label, sizeof label, "  %s", figures[f]);
            if (json_object_get(g, figures[f]) != NULL) {
                print_row(list, part, task, g, figures[f], label);
            }
        }
    }
}

void conditions_print(spoor_context *ctx, const json_t *all) {
    const json_t *list = json_object_get(all, "conditions"), *c;
    char *system = report_plain_name(ctx, json_string_value(json_object_get(all, "system")));
    size_t i;
    printf("%s under %zu conditions; figures with 95 %% intervals\n\n%-*s", system ? system : "?",
           json_array_size(list), NAME, "");
    ctx_free(ctx, system);
    json_array_foreach((json_t *)(uintptr_t)list, i, c) {
        printf(" %-*s", CELL_WIDE, json_string_value(json_object_get(c, "name")));
    }
    printf("\n%-*s", NAME, "recordings that failed");
    json_array_foreach((json_t *)(uintptr_t)list, i, c) {
        printf(" %-*lld", CELL_WIDE, (long long)json_integer_value(json_object_get(c, "failed")));
    }
    printf("\n");
    const json_t *first = json_object_get(json_array_get(list, 0), "report");
    for (size_t t = 0; t < json_array_size(json_object_get(first, "tasks")); t++) {
        const json_t *task = json_array_get(json_object_get(first, "tasks"), t);
        char *name = report_plain_name(ctx, json_string_value(json_object_get(task, "task")));
        print_part(ctx, list, "tasks", t, name ? name : "?", OF_TASKS);
        ctx_free(ctx, name);
    }
    print_part(ctx, list, "bonafide", 0, "bona fide against synthetic", OF_DETECTION);
    print_part(ctx, list, "known", 0, "known against unknown", OF_DETECTION);
}
