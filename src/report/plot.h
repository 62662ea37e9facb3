/* plot.h: small SVG diagrams in a page: two axes, lines, bars. Colours come from the page's style by class:
 * axis, grid, even, a, b (lines and areas). */
#ifndef REPORT_PLOT_H
#define REPORT_PLOT_H
#include "report/page.h"

enum { PLOT_WIDTH = 340, PLOT_HEIGHT = 300, PLOT_LEFT = 50, PLOT_RIGHT = 12, PLOT_TOP = 10, PLOT_BOTTOM = 42 };

typedef struct plot {
    page *p;
    double x_min, x_max, y_min, y_max;
} plot;

/* A <figure> with its title; x and y are names of the axes. All trusted text. */
plot plot_begin(page *p, const char *title, const char *x, const char *y, double x_min, double x_max, double y_min,
                double y_max);
void plot_tick_x(const plot *t, double at, const char *label);
void plot_tick_y(const plot *t, double at, const char *label);
/* Ticks of both axes at 0, 0.2, ... 1. */
void plot_ticks_unit(const plot *t);
/* Values outside the axes are drawn at their edge; NaN is left out. */
void plot_line(const plot *t, const char *css, const double *x, const double *y, size_t n);
/* A bar from y_min to y over [from, to] with a tooltip (trusted text). */
void plot_bar(const plot *t, const char *css, double from, double to, double y, const char *tip);
void plot_end(const plot *t);
#endif
