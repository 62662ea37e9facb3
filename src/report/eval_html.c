/* eval_html.c: see eval_html.h. */
#include "report/eval_html.h"
#include "report/eval_plots.h"
#include "spoor/spoor.h"
#include <stdio.h>
#include <string.h>

static const char STYLE[] =
    ":root{--ink:#1c2330;--soft:#5a6472;--page:#f4f5f7;--card:#fff;--line:#dde1e7;--a:#2f5fb3;--b:#c2412d;--warn:#"
    "9a5b00;"
    "--warnbg:#fff8ec}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e3e7ee;--soft:#98a3b3;--page:#14171c;--card:#1d2128;--line:#343b46;"
    "--a:#7aa7f0;--b:#f08a72;--warn:#e0a850;--warnbg:#2b2417}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0}"
    "main{max-width:1100px;margin:0 auto;padding:24px}"
    "h1{font-size:22px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:18px;margin:0 0 2px}"
    "h3{font-size:13px;margin:18px 0 6px;color:var(--soft);font-weight:600}"
    "section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 22px;margin:18px 0}"
    ".note{color:var(--soft);margin:2px 0;overflow-wrap:anywhere}"
    ".warn{border-left:4px solid var(--warn);padding:6px 14px;background:var(--warnbg);overflow-wrap:anywhere}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}"
    "th,td{padding:3px 14px 3px 0;text-align:left;white-space:nowrap;border-bottom:1px solid var(--line)}"
    "th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right}td.name{max-width:320px;overflow:hidden;"
    "text-overflow:ellipsis}th:not(:first-child):not(.n),td:not(.name):not(.n){padding-left:6px}small{color:var(--soft)"
    ";font-size:12px;margin-left:5px}"
    ".plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:10px 22px;margin-top:12px}"
    "figure{margin:0}figcaption{font-size:13px;color:var(--soft);font-weight:600}svg{display:block;width:100%}"
    ".axis{fill:none;stroke:var(--soft)}.grid{stroke:var(--line);stroke-width:.7}.tick{font-size:10.5px;fill:var(--"
    "soft)}"
    ".label{font-size:12px;fill:var(--ink)}.line{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.even{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:4 "
    "4}"
    ".area{fill-opacity:.5}.area.a,.cell.a{fill:var(--a)}.area.b,.cell.b{fill:var(--b)}"
    ".frame{fill:none;stroke:var(--line)}.confusion{max-width:900px}"
    ".key{display:inline-block;width:11px;height:11px;border-radius:2px;opacity:.6}.key.a{background:var(--a)}"
    ".key.b{background:var(--b)}summary{cursor:pointer;color:var(--soft);font-size:13px;font-weight:600;margin-top:"
    "16px}"
    "@media print{details{display:block}section{break-inside:avoid}}";

typedef struct column {
    const char *key, *title; /* a figure, or a count where `count` */
    bool count;
} column;

static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s == NULL ? "" : s;
}

static void put_figure(page *p, const json_t *figure) {
    const json_t *value = json_object_get(figure, "value"), *low = json_object_get(figure, "low");
    if (!json_is_number(value)) {
        page_put(p, "<td><span title=\"");
        page_text(p, text_of(figure, "reason"));
        page_put(p, "\">-</span></td>");
        return;
    }
    page_putf(p, "<td>%.3f", json_number_value(value));
    if (json_is_number(low)) {
        page_putf(p, "<small>%.3f&ndash;%.3f</small>", json_number_value(low),
                  json_number_value(json_object_get(figure, "high")));
    }
    page_put(p, "</td>");
}

static void put_header(page *p, const char *title, const column *columns, size_t n) {
    page_putf(p, "<div class=\"wide\"><table><tr><th>%s</th>", title);
    for (size_t k = 0; k < n; k++) {
        page_putf(p, "<th%s>%s</th>", columns[k].count ? " class=\"n\"" : "", columns[k].title);
    }
    page_put(p, "</tr>");
}

static void put_row(page *p, const json_t *row, const char *name, const column *columns, size_t n) {
    page_put(p, "<tr><td class=\"name\">");
    page_text(p, text_of(row, name));
    page_put(p, "</td>");
    for (size_t k = 0; k < n; k++) {
        const json_t *cell = json_object_get(row, columns[k].key);
        if (columns[k].count) {
            page_putf(p, "<td class=\"n\">%lld</td>", (long long)json_integer_value(cell));
        } else {
            put_figure(p, cell);
        }
    }
    page_put(p, "</tr>");
}

/* Groups of the kinds (NULL at the end); columns whose figure the first of them lacks are left out. */
static void put_groups(page *p, const json_t *groups, const char *const *kinds, const char *title, const column *all,
                       size_t n) {
    column columns[8];
    size_t kept = 0, i;
    const json_t *g, *first = NULL;
    json_array_foreach(groups, i, g) {
        bool wanted = false;
        for (size_t k = 0; kinds[k] != NULL; k++) {
            wanted |= strcmp(kinds[k], text_of(g, "group")) == 0;
        }
        if (!wanted) {
            continue;
        }
        if (first == NULL) {
            first = g;
            for (size_t k = 0; k < n && kept < 8; k++) {
                if (json_object_get(g, all[k].key) != NULL) {
                    columns[kept++] = all[k];
                }
            }
            put_header(p, title, columns, kept);
        }
        put_row(p, g, "name", columns, kept);
    }
    page_put(p, first != NULL ? "</table></div>" : "");
}

static bool has_kind(const json_t *groups, const char *kind) {
    size_t i;
    const json_t *g;
    json_array_foreach(groups, i, g) {
        if (strcmp(text_of(g, "group"), kind) == 0) {
            return true;
        }
    }
    return false;
}

/* A table of one kind that is folded away. */
static void put_folded(page *p, const json_t *groups, const char *kind, const char *title, const column *columns,
                       size_t n) {
    const char *const kinds[] = {kind, NULL};
    if (has_kind(groups, kind)) {
        page_putf(p, "<details><summary>By %s</summary>", kind);
        put_groups(p, groups, kinds, title, columns, n);
        page_put(p, "</details>");
    }
}

static const char *const MAIN[] = {"all", "setting", "class_balanced", NULL};

/* ---- tasks -------------------------------------------------------------------------------------------- */

static void put_classes(page *p, const json_t *list) {
    static const column columns[] = {{"support", "n", true},
                                     {"predicted", "said", true},
                                     {"recall", "recall", false},
                                     {"precision", "precision", false},
                                     {"f1", "F1", false}};
    size_t i;
    const json_t *c;
    page_put(p, "<details><summary>By class</summary>");
    put_header(p, "class", columns, 5);
    json_array_foreach(list, i, c) { put_row(p, c, "class", columns, 5); }
    page_put(p, "</table></div></details>");
}

static void put_task(page *p, const json_t *task) {
    static const column decisions[] = {{"n", "n", true},
                                       {"accuracy", "accuracy", false},
                                       {"top5", "top 5", false},
                                       {"balanced_accuracy", "class-balanced", false}},
                        f1[] = {{"labels", "labels", true},
                                {"macro_f1", "macro F1", false},
                                {"weighted_f1", "weighted F1", false},
                                {"micro_f1", "micro F1", false},
                                {"macro_f1_all", "macro F1, all classes", false}},
                        belief[] = {{"ece", "ECE", false},
                                    {"ece_adaptive", "ECE, equal mass", false},
                                    {"nll", "NLL", false},
                                    {"brier", "Brier", false}};
    const json_t *groups = json_object_get(task, "groups"), *bins = json_object_get(task, "reliability");
    page_put(p, "<section><h2>Task ");
    page_text(p, text_of(task, "task"));
    page_putf(p, "</h2><p class=\"note\">%lld classes; F1 over the labels that have recordings in the group</p>",
              (long long)json_integer_value(json_object_get(task, "classes")));
    put_groups(p, groups, MAIN, "recordings", decisions, 4);
    page_put(p, "<h3>F1</h3>");
    put_groups(p, groups, MAIN, "recordings", f1, 5);
    if (bins != NULL) {
        page_put(p, "<h3>Calibration</h3>");
        put_groups(p, groups, MAIN, "recordings", belief, 4);
        page_put(p, "<div class=\"plots\">");
        eval_plots_reliability(p, bins);
        page_put(p, "</div>");
    }
    eval_plots_confusion(p, json_object_get(task, "confusion"));
    put_classes(p, json_object_get(task, "per_class"));
    put_folded(p, groups, "page", "page", decisions, 3);
    page_put(p, "</section>");
}

/* ---- two classes -------------------------------------------------------------------------------------- */

static void put_fixed(page *p, const json_t *part) {
    const json_t *dcf = json_object_get(part, "dcf"), *threshold = json_object_get(part, "threshold");
    page_put(p, "<p class=\"note\">detection cost, profile ");
    page_text(p, text_of(dcf, "profile"));
    page_putf(p, ": prior of a target %g, c_miss %g, c_fa %g", json_number_value(json_object_get(dcf, "prior")),
              json_number_value(json_object_get(dcf, "c_miss")), json_number_value(json_object_get(dcf, "c_fa")));
    if (threshold != NULL) {
        page_putf(p, "; accuracy, targets rejected and others accepted from the score %.6g on (",
                  json_number_value(json_object_get(threshold, "value")));
        page_text(p, text_of(threshold, "from"));
        page_put(p, ")");
    }
    page_put(p, "</p>");
}

static spoor_status put_detection(spoor_context *ctx, page *p, const eval_set *set, const json_t *part, bool known,
                                  spoor_error *err) {
    static const column brief[] = {{"targets", "targets", true},
                                   {"others", "others", true},
                                   {"eer", "EER", false},
                                   {"auroc", "AUROC", false},
                                   {"fpr95", "FPR95", false}},
                        forms[] = {{"eer_roc", "EER, ROC form", false},
                                   {"eer_sklearn", "EER, sklearn form", false},
                                   {"fpr95_percentile", "FPR95, percentile", false},
                                   {"aupr", "AUPR of targets", false},
                                   {"aupr_other", "AUPR of others", false}},
                        costs[] = {{"min_dcf", "minDCF, normalised", false}, {"act_dcf", "actDCF, normalised", false},
                                   {"cllr", "Cllr (bits)", false},           {"min_cllr", "min Cllr (bits)", false},
                                   {"accuracy", "accuracy", false},          {"frr", "targets rejected", false},
                                   {"far", "others accepted", false}},
                        open[] = {{"id_accuracy", "ID accuracy", false},
                                  {"eerc", "EERc", false},
                                  {"oscr", "OSCR", false},
                                  {"ccr_fpr1", "CCR at FPR 1 %", false},
                                  {"ccr_fpr5", "at 5 %", false},
                                  {"ccr_fpr10", "at 10 %", false}};
    static const char *const whole[] = {"all", "setting", NULL};
    const json_t *groups = json_object_get(part, "groups");
    if (part == NULL) {
        return SPOOR_OK;
    }
    page_putf(p, "<section><h2>%s</h2><p class=\"note\">target: %s; other: %s; higher scores = target</p>",
              known ? "Known or unknown source" : "Bona fide or synthetic", text_of(part, "target"),
              text_of(part, "other"));
    put_groups(p, groups, MAIN, "recordings", brief, 5);
    TRY(eval_plots_detection(ctx, p, set, part, known, err));
    if (json_object_get(part, "task") != NULL) {
        page_put(p, "<h3>Accepted and named rightly, by task ");
        page_text(p, text_of(part, "task"));
        page_put(p, "</h3>");
        put_groups(p, groups, whole, "recordings", open, 6);
    }
    page_put(p, "<h3>Costs and operating point</h3>");
    put_groups(p, groups, whole, "recordings", costs, 7);
    put_fixed(p, part);
    page_put(p, "<h3>Other forms</h3>");
    put_groups(p, groups, whole, "recordings", forms, 5);
    put_folded(p, groups, "source", "source", brief, 5);
    put_folded(p, groups, "page", "page", brief, 5);
    page_put(p, "</section>");
    return SPOOR_OK;
}

/* ---- the page ----------------------------------------------------------------------------------------- */

static void put_heading(page *p, const json_t *report) {
    const json_t *bootstrap = json_object_get(report, "bootstrap"), *w;
    long long replicates = (long long)json_integer_value(json_object_get(bootstrap, "replicates"));
    size_t i;
    page_put(p, "<h1>Evaluation");
    if (json_object_get(report, "system") != NULL) {
        page_put(p, " of ");
        page_text(p, text_of(report, "system"));
    }
    page_putf(p, "</h1><p class=\"note\">%lld recordings, %lld not evaluated; ",
              (long long)json_integer_value(json_object_get(report, "clips")),
              (long long)json_integer_value(json_object_get(report, "not_evaluated")));
    if (replicates > 0) {
        page_putf(p, "95 %% intervals from %lld resamples by %s, seed %lld; ", replicates, text_of(bootstrap, "by"),
                  (long long)json_integer_value(json_object_get(bootstrap, "seed")));
    }
    page_putf(p, "spoor %s</p>", spoor_version());
    json_array_foreach(json_object_get(report, "merged"), i, w) {
        page_put(p, i == 0 ? "<p class=\"note\">Merged: " : ", ");
        page_text(p, text_of(w, "from"));
        page_put(p, " as ");
        page_text(p, text_of(w, "to"));
    }
    page_put(p, json_object_get(report, "merged") != NULL ? "</p>" : "");
    json_array_foreach(json_object_get(report, "warnings"), i, w) {
        page_put(p, "<p class=\"warn\">");
        page_text(p, json_string_value(w));
        page_put(p, "</p>");
    }
}

static spoor_status put_all(spoor_context *ctx, page *p, const eval_set *set, const json_t *report, spoor_error *err) {
    size_t i;
    const json_t *task;
    put_heading(p, report);
    json_array_foreach(json_object_get(report, "tasks"), i, task) { put_task(p, task); }
    TRY(put_detection(ctx, p, set, json_object_get(report, "known"), true, err));
    TRY(put_detection(ctx, p, set, json_object_get(report, "bonafide"), false, err));
    return page_status(p, err);
}

spoor_status report_eval_html(spoor_context *ctx, const char *path, const eval_set *set, const json_t *report,
                              spoor_error *err) {
    page *p;
    TRY(page_open(ctx, path, "Spoor evaluation", STYLE, &p, err));
    spoor_status status = put_all(ctx, p, set, report, err);
    spoor_status closed = page_close(p, status == SPOOR_OK, status == SPOOR_OK ? err : NULL);
    return status != SPOOR_OK ? status : closed;
}
