/* conv_direct.c: see conv_direct.h.
 *
 * Along a line of the picture the values under one row of the kernel, taps_w * channels of them, lie side by side,
 * those of the next place `channels` further: rows of a matrix that overlap. A line of results is one panel whose
 * segments are the rows of the kernel that lie inside the picture. Places at the left and right edge, where a row of
 * the kernel sticks out, have panels of their own, a column of the picture at a time. */
#include "tensor/ops/conv_direct.h"
#include <string.h>

enum {
    STRIP = KERNELS_STRIP,
    DEPTH_MOST =
        512 /* a strip of the weights, 32 KB, must stay in the first cache; else products in blocks are quicker */
};

bool conv_direct_fits(const conv_shape *s) {
    return s->stride_h == 1 && s->stride_w == 1 && s->dilation == 1 && s->groups == 1 && s->out > 0 &&
           s->out % STRIP == 0 && s->channels > 0 && s->taps_h * s->taps_w > 1 && s->pad_top < s->taps_h &&
           s->pad_left < s->taps_w && s->taps_h * s->taps_w * s->channels <= DEPTH_MOST;
}

static int64_t depth_of(const conv_shape *s) { return s->taps_h * s->taps_w * s->channels; }

void conv_direct_pack(const conv_shape *s, const real *w, real *packed) {
    int64_t depth = depth_of(s);
    for (int64_t o = 0; o < s->out; o++) {
        real *to = packed + o / STRIP * depth * STRIP + o % STRIP;
        for (int64_t i = 0; i < depth; i++) {
            to[i * STRIP] = w[o * depth + i];
        }
    }
}

conv_shape conv_direct_turned(const conv_shape *s) {
    conv_shape t = *s;
    t.height = s->out_height;
    t.width = s->out_width;
    t.channels = s->out;
    t.out_height = s->height;
    t.out_width = s->width;
    t.out = s->channels;
    t.pad_top = s->taps_h - 1 - s->pad_top;
    t.pad_left = s->taps_w - 1 - s->pad_left;
    return t;
}

void conv_direct_pack_turned(const conv_shape *s, const real *w, real *packed) {
    int64_t taps = s->taps_h * s->taps_w, depth = taps * s->out;
    for (int64_t c = 0; c < s->channels; c++) {
        real *to = packed + c / STRIP * depth * STRIP + c % STRIP;
        for (int64_t i = 0; i < depth; i++) {
            int64_t tap = taps - 1 - i / s->out, o = i % s->out;
            to[i * STRIP] = w[(o * taps + tap) * s->channels + c];
        }
    }
}

/* Rows of the kernel that lie inside the picture at line i of the result: [first, end). */
typedef struct span {
    int64_t first, end;
} span;

static span inside(int64_t place, int64_t pad, int64_t taps, int64_t size) {
    int64_t at = place - pad;
    span in = {at < 0 ? -at : 0, size - at < taps ? size - at : taps};
    in.first = in.first > taps ? taps : in.first;
    in.end = in.end < in.first ? in.first : in.end;
    return in;
}

/* The places of a line at which the whole width of the kernel lies inside: [first, end). */
static span whole_places(const conv_shape *s) {
    span in = {s->pad_left < s->out_width ? s->pad_left : s->out_width, s->width - s->taps_w + s->pad_left + 1};
    in.end = in.end > s->out_width ? s->out_width : in.end;
    in.end = in.end < in.first ? in.first : in.end;
    return in;
}

typedef struct direct {
    const kernels *k;
    const conv_shape *s;
    const real *x, *packed, *bias;
    bool add;
    real *y;
} direct;

/* m results from place (line, col) on, `column`: below one another, else side by side. */
static void places(const direct *d, int64_t line, int64_t col, int64_t m, bool column) {
    const conv_shape *s = d->s;
    span h = inside(line, s->pad_top, s->taps_h, s->height), w = inside(col, s->pad_left, s->taps_w, s->width);
    int64_t wide = s->width * s->channels, row = s->taps_w * s->channels;
    int64_t at = ((line - s->pad_top + h.first) * s->width + col - s->pad_left + w.first) * s->channels;
    bool none = h.first == h.end || w.first == w.end;
    kernels_panel p = {.m = m,
                       .n = s->out,
                       .k = (w.end - w.first) * s->channels,
                       .segments = none ? 0 : h.end - h.first,
                       .a = none ? d->x : d->x + at,
                       .a_row = column ? wide : s->channels,
                       .a_step = 1,
                       .a_segment = wide,
                       .b = d->packed + (h.first * row + w.first * s->channels) * STRIP,
                       .b_step = STRIP,
                       .b_segment = row * STRIP,
                       .b_strip = depth_of(s) * STRIP,
                       .bias = d->bias,
                       .add = d->add,
                       .y = d->y + (line * s->out_width + col) * s->out,
                       .ldy = (column ? s->out_width : 1) * s->out};
    d->k->panel(&p);
}

void conv_direct_lines(const kernels *k, const conv_shape *s, const real *x, const real *packed, const real *bias,
                       bool add, int64_t first, int64_t end, real *y) {
    direct d = {k, s, x, packed, bias, add, y};
    span whole = whole_places(s);
    for (int64_t line = first; whole.end > whole.first && line < end; line++) {
        places(&d, line, whole.first, whole.end - whole.first, false);
    }
    for (int64_t col = 0; col < s->out_width; col++) {
        if (col >= whole.first && col < whole.end) {
            col = whole.end - 1;
            continue;
        }
        for (int64_t line = first, run; line < end;
             line += run) { /* lines that see the same rows of the kernel together */
            span h = inside(line, s->pad_top, s->taps_h, s->height);
            run = 1;
            while (line + run < end && h.first == 0 && h.end == s->taps_h &&
                   inside(line + run, s->pad_top, s->taps_h, s->height).end == s->taps_h) {
                run++;
            }
            places(&d, line, col, run, true);
        }
    }
}

/* ---- the gradient of the weights ---- */

/* dw of one row of the kernel, taps [w.first, w.end), from k places whose x and dy begin at these. */
static void weights_panel(const direct *d, int64_t h, span w, const real *x, int64_t x_step, const real *dy,
                          int64_t dy_step, int64_t n, real *dw) {
    const conv_shape *s = d->s;
    kernels_panel p = {.m = (w.end - w.first) * s->channels,
                       .n = s->out,
                       .k = n,
                       .segments = 1,
                       .a = x,
                       .a_row = 1,
                       .a_step = x_step,
                       .b = dy,
                       .b_step = dy_step,
                       .b_strip = STRIP,
                       .add = true,
                       .y = dw + (h * s->taps_w + w.first) * s->channels * s->out,
                       .ldy = s->out};
    d->k->panel(&p);
}

void conv_direct_weights(const kernels *k, const conv_shape *s, const real *x, const real *dy, real *dw) {
    direct d = {.k = k, .s = s};
    span whole = whole_places(s), all = {0, s->taps_w};
    int64_t wide = s->width * s->channels, out_wide = s->out_width * s->out;
    for (int64_t line = 0; whole.end > whole.first && line < s->out_height; line++) {
        span h = inside(line, s->pad_top, s->taps_h, s->height);
        for (int64_t i = h.first; i < h.end; i++) {
            weights_panel(&d, i, all, x + (line - s->pad_top + i) * wide + (whole.first - s->pad_left) * s->channels,
                          s->channels, dy + line * out_wide + whole.first * s->out, s->out, whole.end - whole.first,
                          dw);
        }
    }
    for (int64_t col = 0; col < s->out_width; col++) {
        if (col >= whole.first && col < whole.end) {
            col = whole.end - 1;
            continue;
        }
        span w = inside(col, s->pad_left, s->taps_w, s->width);
        for (int64_t i = 0; w.end > w.first && i < s->taps_h; i++) { /* all lines at which row i lies inside */
            span lines = {s->pad_top > i ? s->pad_top - i : 0, s->height + s->pad_top - i};
            lines.end = lines.end > s->out_height ? s->out_height : lines.end;
            if (lines.end > lines.first) {
                weights_panel(&d, i, w,
                              x + (lines.first - s->pad_top + i) * wide + (col - s->pad_left + w.first) * s->channels,
                              wide, dy + lines.first * out_wide + col * s->out, out_wide, lines.end - lines.first, dw);
            }
        }
    }
}
