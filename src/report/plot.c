/* plot.c: see plot.h. */
#include "report/plot.h"
#include <math.h>

static double place(double v, double low, double high, double from, double to) {
    double share = (v - low) / (high - low);
    return from + (to - from) * (share < 0 ? 0 : share > 1 ? 1 : share);
}

static double at_x(const plot *t, double v) { return place(v, t->x_min, t->x_max, PLOT_LEFT, PLOT_WIDTH - PLOT_RIGHT); }

static double at_y(const plot *t, double v) {
    return place(v, t->y_min, t->y_max, PLOT_HEIGHT - PLOT_BOTTOM, PLOT_TOP);
}

plot plot_begin(page *p, const char *title, const char *x, const char *y, double x_min, double x_max, double y_min,
                double y_max) {
    plot t = {p, x_min, x_max, y_min, y_max};
    const int bottom = PLOT_HEIGHT - PLOT_BOTTOM, right = PLOT_WIDTH - PLOT_RIGHT;
    page_putf(p, "<figure><figcaption>%s</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" "
                 "aria-label=\"%s by %s\">", title, PLOT_WIDTH, PLOT_HEIGHT, y, x);
    page_putf(p, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>", PLOT_LEFT, PLOT_TOP, bottom, right);
    page_putf(p, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>", (PLOT_LEFT + right) / 2,
              PLOT_HEIGHT - 6, x);
    page_putf(p, "<text class=\"label\" transform=\"translate(12 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>",
              (PLOT_TOP + bottom) / 2, y);
    return t;
}

void plot_tick_x(const plot *t, double at, const char *label) {
    double x = at_x(t, at);
    page_putf(t->p,
              "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text class=\"tick\" x=\"%.1f\" y=\"%d\" "
              "text-anchor=\"middle\">%s</text>",
              x, PLOT_TOP, PLOT_HEIGHT - PLOT_BOTTOM, x, PLOT_HEIGHT - PLOT_BOTTOM + 14, label);
}

void plot_tick_y(const plot *t, double at, const char *label) {
    double y = at_y(t, at);
    page_putf(t->p,
              "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\" "
              "text-anchor=\"end\">%s</text>",
              PLOT_LEFT, y, PLOT_WIDTH - PLOT_RIGHT, PLOT_LEFT - 5, y + 3.5, label);
}

void plot_ticks_unit(const plot *t) {
    static const char *const labels[] = {"0", "0.2", "0.4", "0.6", "0.8", "1"};
    for (int i = 0; i <= 5; i++) {
        plot_tick_x(t, 0.2 * i, labels[i]);
        plot_tick_y(t, 0.2 * i, labels[i]);
    }
}

void plot_line(const plot *t, const char *css, const double *x, const double *y, size_t n) {
    bool begun = false;
    page_putf(t->p, "<path class=\"line %s\" d=\"", css);
    for (size_t i = 0; i < n; i++) {
        if (!isnan(x[i]) && !isnan(y[i])) {
            page_putf(t->p, "%c%.1f %.1f", begun ? 'L' : 'M', at_x(t, x[i]), at_y(t, y[i]));
            begun = true;
        }
    }
    page_put(t->p, "\"/>");
}

void plot_bar(const plot *t, const char *css, double from, double to, double y, const char *tip) {
    double left = at_x(t, from), right = at_x(t, to), top = at_y(t, y), bottom = PLOT_HEIGHT - PLOT_BOTTOM;
    page_putf(t->p,
              "<rect class=\"area %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s</title></rect>",
              css, left, top, right - left > 0.5 ? right - left - 0.5 : right - left, bottom - top, tip);
}

void plot_end(const plot *t) { page_put(t->p, "</svg></figure>"); }
