/* report_text.c: the JSON of eval_report as aligned text of at most 100 columns; see report_tables.h. */
#include "eval/report_tables.h"
#include "eval/scores_internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 100, FIGURE = 20, SMALL_MATRIX = 12, WORST = 20 };

typedef struct buffer {
    spoor_context *ctx;
    char *text;
    size_t n, capacity;
    bool failed;
} buffer;

static void put(buffer *b, const char *s, size_t n) {
    if (!b->failed && ctx_grow(b->ctx, (void **)&b->text, &b->capacity, b->n + n + 1, 1)) {
        memcpy(b->text + b->n, s, n);
        b->n += n;
        b->text[b->n] = '\0';
    } else {
        b->failed = true;
    }
}

static void print(buffer *b, const char *format, ...) BASE_PRINTF(2, 3);
static void print(buffer *b, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    put(b, line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* A name in exactly `width` columns, one a code point: cut with a '~' where longer, control characters as '?'. */
static void print_name(buffer *b, const char *s, size_t width) {
    size_t points = 0, at = 0;
    for (const char *p = s; *p != '\0'; p++) {
        points += ((unsigned char)*p & 0xc0) != 0x80;
    }
    size_t keep = points > width ? width - 1 : points;
    for (size_t seen = 0; s[at] != '\0'; at++) {
        unsigned char c = (unsigned char)s[at];
        seen += (c & 0xc0) != 0x80;
        if (seen > keep) {
            break;
        }
        bool bad = c < 0x20 || c == 0x7f;
        put(b, bad ? "?" : &s[at], 1);
    }
    if (points > width) {
        put(b, "~", 1);
    }
    for (size_t pad = points > width ? width : points; pad < width; pad++) {
        put(b, " ", 1);
    }
}

static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static json_int_t integer_of(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }

/* "0.534 [0.490 0.580]", without the interval where there is none, "-" where undefined. */
static void print_figure(buffer *b, const json_t *figure) {
    const json_t *value = json_object_get(figure, "value"), *low = json_object_get(figure, "low"),
                 *high = json_object_get(figure, "high");
    char cell[64] = "-";
    if (json_is_number(value) && json_is_number(low) && json_is_number(high)) {
        (void)snprintf(cell, sizeof cell, "%.3f [%.3f %.3f]", json_number_value(value), json_number_value(low),
                       json_number_value(high));
    } else if (json_is_number(value)) {
        (void)snprintf(cell, sizeof cell, "%.3f", json_number_value(value));
    }
    print(b, " %-*s", FIGURE - 1, cell);
}

static void end_line(buffer *b) {
    while (!b->failed && b->n > 0 && b->text[b->n - 1] == ' ') {
        b->n--;
    }
    put(b, "\n", 1);
}

/* A column: a figure, or a count where `width` is given. */
typedef struct column {
    const char *key, *title;
    int width;
} column;

static void print_header(buffer *b, const char *title, size_t name_width, const column *columns, size_t n) {
    print_name(b, title, name_width);
    for (size_t k = 0; k < n; k++) {
        if (columns[k].width > 0) {
            print(b, "%*s", columns[k].width, columns[k].title);
        } else {
            print(b, " %-*s", FIGURE - 1, columns[k].title);
        }
    }
    end_line(b);
}

static void print_row(buffer *b, const json_t *row, const char *name_key, size_t name_width, const column *columns,
                      size_t n) {
    print_name(b, text_of(row, name_key), name_width);
    for (size_t k = 0; k < n; k++) {
        if (columns[k].width > 0) {
            print(b, "%*lld", columns[k].width, (long long)integer_of(row, columns[k].key));
        } else {
            print_figure(b, json_object_get(row, columns[k].key));
        }
    }
    end_line(b);
}

/* The groups of the kinds in `kinds` (NULL at the end), in the report's order; nothing where there are none. */
static void print_groups(buffer *b, const json_t *groups, const char *const *kinds, const char *title,
                         size_t name_width, const column *columns, size_t n) {
    bool begun = false;
    size_t i;
    const json_t *g;
    json_array_foreach(groups, i, g) {
        bool wanted = false;
        for (size_t k = 0; kinds[k] != NULL; k++) {
            wanted |= strcmp(kinds[k], text_of(g, "group")) == 0;
        }
        if (wanted && !begun) {
            print(b, "\n");
            print_header(b, title, name_width, columns, n);
            begun = true;
        }
        if (wanted) {
            print_row(b, g, "name", name_width, columns, n);
        }
    }
}

/* ---- tasks -------------------------------------------------------------------------------------------- */

static void print_classes(buffer *b, const json_t *list) {
    static const column columns[] = {{"support", "n", 6},         {"predicted", "said", 6}, {"recall", "recall", 0},
                                     {"precision", "precision", 0}, {"f1", "F1", 0}};
    size_t i;
    const json_t *c;
    print(b, "\n");
    print_header(b, "class", 27, columns, 5);
    json_array_foreach(list, i, c) {
        print_row(b, c, "class", 27, columns, 5);
    }
}

static long long count_at(const json_t *counts, size_t i, size_t j) {
    return (long long)json_integer_value(json_array_get(json_array_get(counts, i), j));
}

static void print_matrix(buffer *b, const json_t *labels, const json_t *counts, size_t n) {
    print(b, "\nconfusion matrix: a row is the truth, a column the answer\n%24s", "");
    for (size_t j = 0; j < n; j++) {
        print(b, "%6zu", j + 1);
    }
    print(b, "\n");
    for (size_t i = 0; i < n; i++) {
        print(b, "%3zu ", i + 1);
        print_name(b, json_string_value(json_array_get(labels, i)), 20);
        for (size_t j = 0; j < n; j++) {
            print(b, "%6lld", count_at(counts, i, j));
        }
        print(b, "\n");
    }
}

typedef struct mistake {
    long long count;
    size_t truth, said;
} mistake;

/* Keep the WORST most frequent mistakes, most first, ties in class order. */
static size_t find_mistakes(const json_t *counts, size_t n, mistake *worst) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            long long count = i == j ? 0 : count_at(counts, i, j);
            if (count == 0 || (kept == WORST && count <= worst[kept - 1].count)) {
                continue;
            }
            size_t at = kept < WORST ? kept++ : kept - 1;
            for (; at > 0 && worst[at - 1].count < count; at--) {
                worst[at] = worst[at - 1];
            }
            worst[at] = (mistake){count, i, j};
        }
    }
    return kept;
}

static void print_confusion(buffer *b, const json_t *confusion) {
    const json_t *labels = json_object_get(confusion, "labels"), *counts = json_object_get(confusion, "counts");
    size_t n = json_array_size(labels);
    if (n > 0 && n <= SMALL_MATRIX) {
        print_matrix(b, labels, counts, n);
        return;
    }
    mistake worst[WORST];
    size_t kept = find_mistakes(counts, n, worst);
    if (kept > 0) {
        print(b, "\nmost frequent mistakes (the whole %zu x %zu matrix is in the JSON)\n", n, n);
        print(b, "%6s  %-45s %s\n", "n", "truth", "answer");
    }
    for (size_t k = 0; k < kept; k++) {
        print(b, "%6lld  ", worst[k].count);
        print_name(b, json_string_value(json_array_get(labels, worst[k].truth)), 45);
        print(b, " ");
        print_name(b, json_string_value(json_array_get(labels, worst[k].said)), 45);
        end_line(b);
    }
}

static size_t points_of(const char *s) {
    size_t points = 0;
    for (; *s != '\0'; s++) {
        points += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return points;
}

/* "title (n): a, b, c", over as many lines as it takes. */
static void print_list(buffer *b, const char *title, const json_t *list) {
    size_t i, used = (size_t)snprintf(NULL, 0, "%s (%zu):", title, json_array_size(list));
    const json_t *name;
    print(b, "\n%s (%zu):", title, json_array_size(list));
    json_array_foreach(list, i, name) {
        size_t width = points_of(json_string_value(name));
        width = width > WIDE - 4 ? WIDE - 4 : width;
        if (used + width + 2 > WIDE) {
            print(b, "\n ");
            used = 1;
        }
        print(b, " ");
        print_name(b, json_string_value(name), width);
        print(b, i + 1 < json_array_size(list) ? "," : "");
        used += width + 2;
    }
    print(b, "\n");
}

/* A bar for the share of right answers in each bin that has recordings; '|' stands at the mean confidence. */
static void print_reliability(buffer *b, const json_t *bins) {
    enum { BAR = 50 };
    size_t k;
    const json_t *bin;
    if (bins == NULL) {
        return;
    }
    print(b, "\nreliability: share of right answers (=) by confidence (|)\n%-14s%7s%8s%8s\n", "confidence", "n", "mean",
          "right");
    json_array_foreach(bins, k, bin) {
        const json_t *confidence = json_object_get(bin, "confidence"), *accuracy = json_object_get(bin, "accuracy");
        if (!json_is_number(confidence)) {
            continue;
        }
        char bar[BAR + 2];
        int end = (int)(json_number_value(accuracy) * BAR + 0.5),
            mark = (int)(json_number_value(confidence) * BAR + 0.5);
        for (int i = 0; i <= BAR; i++) {
            bar[i] = i == mark ? '|' : i < end ? '=' : ' ';
        }
        bar[BAR + 1] = '\0';
        print(b, "%.2f to %.2f  %7lld%8.3f%8.3f  %s", json_number_value(json_object_get(bin, "low")),
              json_number_value(json_object_get(bin, "high")), (long long)integer_of(bin, "n"),
              json_number_value(confidence), json_number_value(accuracy), bar);
        end_line(b);
    }
}

static void print_task(buffer *b, const json_t *task) {
    static const column decisions[] = {{"n", "n", 6}, {"accuracy", "accuracy", 0}, {"top5", "top 5", 0},
                                       {"balanced_accuracy", "class-balanced", 0}};
    static const column f1[] = {{"labels", "labels", 8}, {"macro_f1", "macro F1", 0}, {"weighted_f1", "weighted F1", 0},
                                {"micro_f1", "micro F1", 0}};
    static const column f1_all[] = {{"macro_f1_all", "macro F1", 0}, {"weighted_f1_all", "weighted F1", 0},
                                    {"micro_f1_all", "micro F1", 0}};
    static const column belief[] = {{"ece", "ECE", 0}, {"ece_adaptive", "ECE, equal mass", 0}, {"nll", "NLL", 0},
                                    {"brier", "Brier", 0}};
    static const char *const main_kinds[] = {"all", "setting", NULL}, *const pages[] = {"page", NULL};
    const json_t *groups = json_object_get(task, "groups");
    print(b, "\nTask ");
    print_name(b, text_of(task, "task"), 40);
    end_line(b);
    print(b, "%lld classes\n", (long long)integer_of(task, "classes"));
    print_groups(b, groups, main_kinds, "recordings", 24, decisions, 4);
    print_groups(b, groups, main_kinds, "F1, labels of the group", 24, f1, 4);
    print_groups(b, groups, main_kinds, "F1, all classes", 24, f1_all, 3);
    print_list(b, "labels of the recordings", json_object_get(task, "label_set"));
    if (strcmp(text_of(task, "scores"), "probabilities") == 0) {
        print_groups(b, groups, main_kinds, "recordings", 20, belief, 4);
    }
    print_reliability(b, json_object_get(task, "reliability"));
    print_classes(b, json_object_get(task, "per_class"));
    print_confusion(b, json_object_get(task, "confusion"));
    print_groups(b, groups, pages, "page", 52, decisions, 3);
}

/* ---- two classes -------------------------------------------------------------------------------------- */

static const char *const ALL_AND_SETTINGS[] = {"all", "setting", NULL};

static void print_forms(buffer *b, const json_t *part, const json_t *groups) {
    static const column forms[] = {{"eer_roc", "EER, ROC form", 0}, {"eer_sklearn", "EER, sklearn form", 0},
                                   {"fpr95_percentile", "FPR95, percentile", 0}},
                        areas[] = {{"aupr", "AUPR of targets", 0}, {"aupr_other", "AUPR of others", 0},
                                   {"min_cllr", "min Cllr (bits)", 0}, {"cllr", "Cllr (bits)", 0}},
                        costs[] = {{"min_dcf", "minDCF, normalised", 0}, {"min_dcf_raw", "minDCF", 0},
                                   {"act_dcf", "actDCF, normalised", 0}, {"act_dcf_raw", "actDCF", 0}},
                        fixed[] = {{"accuracy", "accuracy", 0}, {"frr", "targets rejected", 0},
                                   {"far", "others accepted", 0}};
    const json_t *dcf = json_object_get(part, "dcf"), *threshold = json_object_get(part, "threshold");
    const json_t *first = json_array_get(groups, 0);
    print_groups(b, groups, ALL_AND_SETTINGS, "recordings", 24, forms, 3);
    print_groups(b, groups, ALL_AND_SETTINGS, "recordings", 20, areas, json_object_get(first, "cllr") != NULL ? 4 : 3);
    print(b, "\ndetection cost, profile ");
    print_name(b, text_of(dcf, "profile"), points_of(text_of(dcf, "profile")));
    print(b, ": prior of a target %g, c_miss %g, c_fa %g", json_number_value(json_object_get(dcf, "prior")),
          json_number_value(json_object_get(dcf, "c_miss")), json_number_value(json_object_get(dcf, "c_fa")));
    print_groups(b, groups, ALL_AND_SETTINGS, "recordings", 20, costs,
                 json_object_get(first, "act_dcf") != NULL ? 4 : 2);
    if (threshold != NULL) {
        print(b, "\naccepted from the score %.6g on (", json_number_value(json_object_get(threshold, "value")));
        print_name(b, text_of(threshold, "from"), points_of(text_of(threshold, "from")) > 60
                                                      ? 60 : points_of(text_of(threshold, "from")));
        print(b, ")");
        print_groups(b, groups, ALL_AND_SETTINGS, "recordings", 24, fixed, 3);
    }
}

static void print_open_set(buffer *b, const json_t *part, const json_t *groups) {
    static const column whole[] = {{"id_accuracy", "ID accuracy", 0}, {"eerc", "EERc", 0}, {"oscr", "OSCR", 0}},
                        points[] = {{"ccr_fpr1", "CCR at FPR 1 %", 0}, {"ccr_fpr5", "CCR at FPR 5 %", 0},
                                    {"ccr_fpr10", "CCR at FPR 10 %", 0}};
    if (json_object_get(part, "task") == NULL) {
        return;
    }
    print(b, "\naccepted and named rightly, by task ");
    print_name(b, text_of(part, "task"), 40);
    end_line(b);
    b->n -= b->n > 0 ? 1 : 0; /* print_groups begins with a line break */
    print_groups(b, groups, ALL_AND_SETTINGS, "recordings", 24, whole, 3);
    print_groups(b, groups, ALL_AND_SETTINGS, "recordings", 24, points, 3);
}

static void print_detection(buffer *b, const json_t *part, const char *title) {
    if (part == NULL) {
        return;
    }
    static const column main_columns[] = {{"targets", "targets", 8}, {"others", "others", 8}, {"eer", "EER", 0},
                                          {"auroc", "AUROC", 0}, {"fpr95", "FPR95", 0}};
    static const char *const main_kinds[] = {"all", "setting", "class_balanced", NULL},
                             *const sources[] = {"source", NULL}, *const pages[] = {"page", NULL};
    const json_t *groups = json_object_get(part, "groups");
    print(b, "\n%s\ntarget: %s; other: %s; higher scores = target\n", title, text_of(part, "target"),
          text_of(part, "other"));
    print_groups(b, groups, main_kinds, "recordings", 24, main_columns, 5);
    print_forms(b, part, groups);
    print_open_set(b, part, groups);
    print_groups(b, groups, sources, "source", 24, main_columns, 5);
    print_groups(b, groups, pages, "page", 24, main_columns, 5);
}

static void print_heading(buffer *b, const json_t *report) {
    const json_t *bootstrap = json_object_get(report, "bootstrap"), *warnings = json_object_get(report, "warnings");
    long long replicates = (long long)integer_of(bootstrap, "replicates");
    if (json_object_get(report, "system") != NULL) {
        print_name(b, text_of(report, "system"), WIDE);
        end_line(b);
    }
    print(b, "%lld recordings, %lld not evaluated; ", (long long)integer_of(report, "clips"),
          (long long)integer_of(report, "not_evaluated"));
    if (replicates > 0) {
        print(b, "[95 %% intervals: %lld resamples by %s, seed %lld]\n", replicates, text_of(bootstrap, "by"),
              (long long)integer_of(bootstrap, "seed"));
    } else {
        print(b, "no intervals\n");
    }
    size_t i;
    const json_t *w;
    json_array_foreach(json_object_get(report, "merged"), i, w) {
        print(b, "%s ", i == 0 ? "merged: " : "        ");
        print_name(b, text_of(w, "from"), 40);
        print(b, " as ");
        print_name(b, text_of(w, "to"), 40);
        end_line(b);
    }
    json_array_foreach(warnings, i, w) {
        print(b, "warning: %s\n", json_string_value(w));
    }
}

spoor_status eval_report_text(spoor_context *ctx, const json_t *report, char **out, spoor_error *err) {
    *out = NULL;
    buffer b = {.ctx = ctx};
    plain_numbers plain = {0};
    TRY(plain_numbers_begin(&plain, err));
    print_heading(&b, report);
    size_t i;
    const json_t *task;
    json_array_foreach(json_object_get(report, "tasks"), i, task) {
        print_task(&b, task);
    }
    print_detection(&b, json_object_get(report, "bonafide"), "Bona fide or synthetic");
    print_detection(&b, json_object_get(report, "known"), "Known or unknown source");
    plain_numbers_end(&plain);
    if (b.failed) {
        ctx_free(ctx, b.text);
        return error_memory(err, "writing a report");
    }
    *out = b.text;
    return SPOOR_OK;
}
