/* eval_plots.c: see eval_plots.h. */
#include "report/eval_plots.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 400, BINS = 40, MOST_LABELS = 100, MOST_NAMED = 40, CELL_WIDTH = 900 };

/* ---- two classes -------------------------------------------------------------------------------------- */

typedef struct scored {
    double *score;
    unsigned char *flag; /* DETECTION_... */
    size_t n, targets;
} scored;

static size_t task_named(const eval_set *set, const char *name) {
    size_t t = 0;
    while (t < set->task_count && (name == NULL || strcmp(set->tasks[t].name, name) != 0)) {
        t++;
    }
    return t;
}

static bool is_right(const eval_set *set, size_t task, const eval_clip *c) {
    return c->scores != NULL &&
           metric_argmax(c->scores + eval_offset(set, task), set->tasks[task].classes) == c->truth[task];
}

static void collect(const eval_set *set, size_t task, bool known, scored *s) {
    for (size_t i = 0; i < set->n; i++) {
        const eval_clip *c = &set->clips[i];
        int flag = known ? c->is_known : c->is_bonafide;
        double score = known ? c->known : c->bonafide;
        if (isnan(score) || flag < 0) {
            continue;
        }
        bool wrong = flag > 0 && task < set->task_count && !is_right(set, task, c);
        s->score[s->n] = score;
        s->flag[s->n++] = flag == 0 ? DETECTION_OTHER : wrong ? DETECTION_MISCLASSIFIED : DETECTION_TARGET;
        s->targets += flag > 0;
    }
}

/* Quantile of the standard normal distribution, by halving; p within 1e-9..1 - 1e-9. */
static double probit(double p) {
    double low = -6, high = 6;
    p = p < 1e-9 ? 1e-9 : p > 1 - 1e-9 ? 1 - 1e-9 : p;
    for (int i = 0; i < 50; i++) {
        double middle = (low + high) / 2;
        *(0.5 * erfc(-middle / sqrt(2)) < p ? &low : &high) = middle;
    }
    return low;
}

static void put_roc(page *p, const double *fpr, const double *tpr, size_t n) {
    static const double even[] = {0, 1};
    plot t = plot_begin(p, "ROC", "others accepted (FPR)", "targets accepted (TPR)", 0, 1, 0, 1);
    plot_ticks_unit(&t);
    plot_line(&t, "even", even, even, 2);
    plot_line(&t, "a", fpr, tpr, n);
    plot_end(&t);
}

static void put_oscr(page *p, const double *fpr, const double *tpr, const double *ccr, size_t n) {
    plot t = plot_begin(p, "OSCR (dashed: the ROC)", "unknown accepted (FPR)",
                        "known (CCR)", 0, 1, 0, 1);
    plot_ticks_unit(&t);
    plot_line(&t, "even", fpr, tpr, n);
    plot_line(&t, "a", fpr, ccr, n);
    plot_end(&t);
}

static void put_det(page *p, const double *fpr, const double *tpr, size_t n) {
    static const double marks[] = {0.001, 0.01, 0.05, 0.2, 0.5, 0.8};
    static const char *const labels[] = {"0.1", "1", "5", "20", "50", "80"};
    const double low = probit(0.0005), high = probit(0.9), even[] = {low, high};
    double x[POINTS], y[POINTS];
    plot t = plot_begin(p, "DET", "others accepted, %", "targets rejected, %", low, high, low, high);
    for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
        plot_tick_x(&t, probit(marks[k]), labels[k]);
        plot_tick_y(&t, probit(marks[k]), labels[k]);
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = probit(fpr[i]);
        y[i] = probit(1 - tpr[i]);
    }
    plot_line(&t, "even", even, even, 2);
    plot_line(&t, "a", x, y, n);
    plot_end(&t);
}

static spoor_status put_curves(spoor_context *ctx, page *p, const scored *s, bool open, spoor_error *err) {
    detection *d;
    detection_point point[POINTS];
    double fpr[POINTS], tpr[POINTS], ccr[POINTS];
    TRY(detection_new(ctx, s->score, s->flag, s->n, &d, err));
    size_t n = detection_curve(d, POINTS, point);
    detection_free(d);
    for (size_t i = 0; i < n; i++) {
        fpr[i] = point[i].fpr;
        tpr[i] = point[i].tpr;
        ccr[i] = point[i].ccr;
    }
    if (n > 0) {
        put_roc(p, fpr, tpr, n);
        put_det(p, fpr, tpr, n);
    }
    if (n > 0 && open) {
        put_oscr(p, fpr, tpr, ccr, n);
    }
    return SPOOR_OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The axis leaves out the outer half percent at each end, which is counted in the outermost bins. */
static spoor_status histogram_range(spoor_context *ctx, const scored *s, double *low, double *high, spoor_error *err) {
    double *sorted = ctx_alloc(ctx, s->n, sizeof *sorted);
    if (sorted == NULL) {
        return error_memory(err, "drawing a histogram");
    }
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (isfinite(s->score[i])) {
            sorted[n++] = s->score[i];
        }
    }
    qsort(sorted, n, sizeof *sorted, by_value);
    *low = n > 0 ? metric_quantile(sorted, n, 0.005) : 0;
    *high = n > 0 ? metric_quantile(sorted, n, 0.995) : 1;
    ctx_free(ctx, sorted);
    if (!(*high > *low) || !isfinite(*high - *low)) {
        *high = *low + 1;
    }
    return SPOOR_OK;
}

static void put_threshold(const plot *t, const json_t *part, double top) {
    const json_t *threshold = json_object_get(json_object_get(part, "threshold"), "value");
    if (json_is_number(threshold)) {
        const double x[] = {json_number_value(threshold), json_number_value(threshold)}, y[] = {0, top};
        plot_line(t, "even", x, y, 2);
    }
}

static void put_scale(const plot *t, double low, double high, double top) {
    char text[32];
    for (int i = 0; i <= 4; i++) {
        (void)snprintf(text, sizeof text, "%.3g", low + (high - low) * i / 4);
        plot_tick_x(t, low + (high - low) * i / 4, text);
        (void)snprintf(text, sizeof text, "%.2g", 100 * top * i / 4);
        plot_tick_y(t, top * i / 4, text);
    }
}

static spoor_status put_histogram(spoor_context *ctx, page *p, const scored *s, const json_t *part, bool known,
                                  spoor_error *err) {
    double low = 0, high = 1, share[2][BINS] = {{0}}, top = 0;
    TRY(histogram_range(ctx, s, &low, &high, err));
    const double count[2] = {(double)(s->n - s->targets), (double)s->targets};
    for (size_t i = 0; i < s->n; i++) {
        double place = (s->score[i] - low) / (high - low) * BINS;
        size_t bin = place < 0 ? 0 : place >= BINS ? BINS - 1 : (size_t)place;
        size_t side = s->flag[i] != DETECTION_OTHER;
        share[side][bin] += 1 / count[side];
        top = share[side][bin] > top ? share[side][bin] : top;
    }
    plot t = plot_begin(p, known ? "Scores: known <i class=\"key a\"></i> unknown <i class=\"key b\"></i>"
                                 : "Scores: bona fide <i class=\"key a\"></i> synthetic <i class=\"key b\"></i>",
                        "score", "share of the side, %", low, high, 0, top > 0 ? top : 1);
    put_scale(&t, low, high, top > 0 ? top : 1);
    for (int side = 0; side < 2; side++) {
        for (size_t k = 0; k < BINS; k++) {
            char tip[96];
            double from = low + (high - low) * (double)k / BINS, to = low + (high - low) * (double)(k + 1) / BINS;
            (void)snprintf(tip, sizeof tip, "%.3g to %.3g: %.1f %%", from, to, 100 * share[side][k]);
            if (share[side][k] > 0) {
                plot_bar(&t, side == 1 ? "a" : "b", from, to, share[side][k], tip);
            }
        }
    }
    put_threshold(&t, part, top > 0 ? top : 1);
    plot_end(&t);
    return SPOOR_OK;
}

spoor_status eval_plots_detection(spoor_context *ctx, page *p, const eval_set *set, const json_t *part, bool known,
                                  spoor_error *err) {
    size_t task = task_named(set, json_string_value(json_object_get(part, "task")));
    scored s = {.score = ctx_alloc(ctx, set->n, sizeof *s.score), .flag = ctx_alloc(ctx, set->n, 1)};
    spoor_status status = s.score == NULL || s.flag == NULL ? error_memory(err, "drawing scores") : SPOOR_OK;
    page_put(p, "<div class=\"plots\">");
    if (status == SPOOR_OK) {
        collect(set, task, known, &s);
        status = put_curves(ctx, p, &s, task < set->task_count, err);
    }
    if (status == SPOOR_OK) {
        status = put_histogram(ctx, p, &s, part, known, err);
    }
    page_put(p, "</div>");
    ctx_free(ctx, s.score);
    ctx_free(ctx, s.flag);
    return status;
}

/* ---- many classes ------------------------------------------------------------------------------------- */

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

void eval_plots_reliability(page *p, const json_t *bins) {
    static const double even[] = {0, 1};
    double x[METRIC_MAX_BINS], y[METRIC_MAX_BINS];
    size_t k, n = 0;
    const json_t *bin;
    plot t = plot_begin(p, "Reliability: right answers by confidence", "confidence", "share that is right", 0, 1, 0, 1);
    plot_ticks_unit(&t);
    json_array_foreach(bins, k, bin) {
        char tip[128];
        if (!json_is_number(json_object_get(bin, "accuracy")) || n == METRIC_MAX_BINS) {
            continue;
        }
        (void)snprintf(tip, sizeof tip, "%lld recordings: confidence %.3f, right %.3f",
                       (long long)json_integer_value(json_object_get(bin, "n")), number(bin, "confidence"),
                       number(bin, "accuracy"));
        plot_bar(&t, "a", number(bin, "low"), number(bin, "high"), number(bin, "accuracy"), tip);
        x[n] = number(bin, "confidence");
        y[n++] = number(bin, "accuracy");
    }
    plot_line(&t, "even", even, even, 2);
    plot_line(&t, "b", x, y, n);
    plot_end(&t);
}

static long long count_at(const json_t *counts, size_t i, size_t j) {
    return (long long)json_integer_value(json_array_get(json_array_get(counts, i), j));
}

static void put_row(page *p, const json_t *labels, const json_t *counts, size_t i, size_t n, double left, double cell) {
    long long all = 0;
    for (size_t j = 0; j < n; j++) {
        all += count_at(counts, i, j);
    }
    for (size_t j = 0; j < n; j++) {
        long long count = count_at(counts, i, j);
        if (count == 0) {
            continue;
        }
        page_putf(p,
                  "<rect class=\"cell %s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                  "fill-opacity=\"%.3f\"><title>",
                  i == j ? "a" : "b", left + cell * (double)j, cell * (double)i, cell - 0.4, cell - 0.4,
                  0.12 + 0.88 * (double)count / (double)all);
        page_text(p, json_string_value(json_array_get(labels, i)));
        page_put(p, " taken for ");
        page_text(p, json_string_value(json_array_get(labels, j)));
        page_putf(p, ": %lld of %lld</title></rect>", count, all);
    }
}

void eval_plots_confusion(page *p, const json_t *confusion) {
    const json_t *labels = json_object_get(confusion, "labels"), *counts = json_object_get(confusion, "counts");
    size_t n = json_array_size(labels);
    if (n == 0 || n > MOST_LABELS) {
        return;
    }
    const bool named = n <= MOST_NAMED;
    const double left = named ? 220 : 0, below = named ? 110 : 0;
    double cell = (CELL_WIDTH - left) / (double)n;
    cell = cell > 34 ? 34 : cell;
    const double side = cell * (double)n;
    page_put(
        p,
        "<h3>Confusion: a row is the truth, a column the answer; the stronger, the greater the share of the row</h3>");
    page_putf(
        p,
        "<svg class=\"confusion\" viewBox=\"0 0 %d %.0f\"><rect class=\"frame\" x=\"%.1f\" y=\"0\" width=\"%.1f\" "
        "height=\"%.1f\"/>",
        CELL_WIDTH, side + below, left, side, side);
    for (size_t i = 0; i < n; i++) {
        put_row(p, labels, counts, i, n, left, cell);
        if (named) {
            double at = cell * ((double)i + 0.5), size = cell < 12 ? cell * 0.9 : 11;
            page_putf(p, "<text class=\"tick\" style=\"font-size:%.1fpx\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                      size, left - 6, at + 4);
            page_text(p, json_string_value(json_array_get(labels, i)));
            page_putf(
                p,
                "</text><text class=\"tick\" style=\"font-size:%.1fpx\" text-anchor=\"end\" transform=\"translate(%.1f "
                "%.1f) rotate(-60)\">",
                size, left + at + 4, side + 10);
            page_text(p, json_string_value(json_array_get(labels, i)));
            page_put(p, "</text>");
        }
    }
    page_put(p, "</svg>");
}
