/* data_check.c: `spoor data check`: the report of data/check.h as text or JSON. */
#include "cli/data.h"
#include "cli/ui.h"
#include "data/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 16 /* of a column in a line */, MAX_FILES = 200 /* of a list of files in text */ };

static json_int_t number(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

/* The report has no control characters of its own; names from a list may. */
static void print_plain(const char *text) {
    for (; *text; text++) {
        putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
    }
}

static void print_labels(const json_t *labels) {
    const char *column, *value;
    json_t *counts, *count;
    json_object_foreach((json_t *)(uintptr_t)labels, column, counts) {
        size_t n = 0;
        printf("  %-14s ", column);
        if (json_object_size(counts) > MAX_VALUES / 2) {
            printf("%zu: ", json_object_size(counts));
        }
        json_object_foreach(counts, value, count) {
            if (n == MAX_VALUES) {
                printf(", ...");
                break;
            }
            printf("%s", n++ ? ", " : "");
            print_plain(value);
            printf(" %lld", (long long)json_integer_value(count));
        }
        printf("\n");
    }
}

/* The largest classes and the smallest, so that an imbalance shows. */
static void print_sizes(const json_t *sources) {
    enum { LARGEST = 3 };
    const json_t *named[LARGEST] = {NULL};
    size_t n = json_array_size(sources);
    json_int_t least = n > 0 ? number(json_array_get(sources, 0), "rows") : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(sources, i);
        json_int_t rows = number(s, "rows");
        least = rows < least ? rows : least;
        for (size_t k = 0; k < LARGEST; k++) {
            if (!named[k] || rows > number(named[k], "rows")) {
                const json_t *pushed = named[k];
                named[k] = s;
                s = pushed;
                rows = s ? number(s, "rows") : 0;
                if (!s) {
                    break;
                }
            }
        }
    }
    if (n == 0) {
        return;
    }
    printf("  %-14s %lld to %lld rows; largest: ", "class sizes", (long long)least,
           (long long)number(named[0], "rows"));
    for (size_t k = 0; k < LARGEST && named[k]; k++) {
        printf("%s", k ? ", " : "");
        print_plain(json_string_value(json_object_get(named[k], "source")));
        printf(" %lld", (long long)number(named[k], "rows"));
    }
    printf("\n");
}

static void print_group(const char *name, const json_t *group) {
    if (group) {
        printf("  %-14s %lld rows, %lld files, %lld classes\n", name, (long long)number(group, "rows"),
               (long long)number(group, "files"), (long long)number(group, "classes"));
    }
}

static void print_set(const json_t *set) {
    const char *split = json_string_value(json_object_get(set, "split"));
    print_plain(json_string_value(json_object_get(set, "list")));
    printf("%s", *split ? " (" : "");
    print_plain(split);
    printf("%s\n  %-14s %lld rows, %lld files", *split ? ")" : "", "holds", (long long)number(set, "rows"),
           (long long)number(set, "files"));
    size_t sources = json_array_size(json_object_get(set, "sources"));
    if (sources > 0) {
        printf(", %zu classes", sources);
    }
    printf("\n");
    print_group("ID", json_object_get(set, "id"));
    print_group("OOD", json_object_get(set, "ood"));
    print_sizes(json_object_get(set, "sources"));
    print_labels(json_object_get(set, "labels"));
}

static void print_names(const json_t *list) {
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < MAX_FILES; i++) {
        printf("  ");
        print_plain(json_string_value(json_array_get(list, i)));
        printf("\n");
    }
    if (n > MAX_FILES) {
        printf("  and %zu more; --json has them\n", n - MAX_FILES);
    }
}

static void print_files(const json_t *set, const char *key, const char *what) {
    const json_t *list = json_object_get(set, key);
    size_t n = json_array_size(list);
    if (n == 0) {
        return;
    }
    printf("\n%s of ", what);
    print_plain(json_string_value(json_object_get(set, "list")));
    printf(" (%zu):\n", n);
    print_names(list);
}

static void print_overlap(const json_t *overlap, const json_t *sets) {
    const json_t *pair = json_object_get(overlap, "sets"), *named = json_object_get(overlap, "named");
    printf("\nfiles shared by");
    for (size_t i = 0; i < 2; i++) {
        const json_t *set = json_array_get(sets, (size_t)json_integer_value(json_array_get(pair, i)));
        const char *split = json_string_value(json_object_get(set, "split"));
        printf("%s ", i ? " and" : "");
        print_plain(json_string_value(json_object_get(set, "list")));
        printf("%s", *split ? " (" : "");
        print_plain(split);
        printf("%s", *split ? ")" : "");
    }
    printf(" (%lld):\n", (long long)number(overlap, "files"));
    print_names(named);
}

static void print_report(const json_t *report) {
    const json_t *sets = json_object_get(report, "sets"), *warnings = json_object_get(report, "warnings");
    for (size_t i = 0; i < json_array_size(sets); i++) {
        print_set(json_array_get(sets, i));
    }
    for (size_t i = 0; i < json_array_size(sets); i++) {
        const json_t *set = json_array_get(sets, i);
        print_files(set, "duplicates", "rows repeated");
        print_files(set, "conflicts", "files described twice and differently");
        print_files(set, "missing", "files missing");
        print_files(set, "unreadable", "files that cannot be decoded");
        print_files(set, "short", "files under 0.5 s");
    }
    const json_t *overlaps = json_object_get(report, "overlaps");
    for (size_t i = 0; i < json_array_size(overlaps); i++) {
        print_overlap(json_array_get(overlaps, i), sets);
    }
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        printf("%s- ", i == 0 ? "\nto beware of:\n" : "");
        print_plain(json_string_value(json_array_get(warnings, i)));
        printf("\n");
    }
}

spoor_status data_check(void *options, spoor_context *ctx, spoor_error *err) {
    data_options *o = options;
    manifest *m;
    json_t *report = NULL;
    size_t faults = 0;
    const check_options what = {.files = o->root != NULL || o->audio, .audio = o->audio};
    TRY(data_read(ctx, o, &m, err));
    spoor_status status = check_lists(ctx, m, o->lists, &what, &report, &faults, err);
    if (status == SPOOR_OK && o->json) {
        status = ui_json(report, JSON_INDENT(1), err);
    } else if (status == SPOOR_OK) {
        print_report(report);
    }
    json_decref(report);
    manifest_free(m);
    if (status == SPOOR_OK) {
        status = ui_flush(err);
    }
    if (status == SPOOR_OK && faults > 0) {
        status = error_set(err, SPOOR_ERR_INPUT,
                           "%zu faults: files that are missing, unusable or described in two ways", faults);
    }
    return status;
}
