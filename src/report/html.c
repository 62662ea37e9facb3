/* html.c: see html.h. All text from outside passes through page_text, which escapes it. */
#include "report/html.h"
#include "report/tree.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 900, WAVE_HEIGHT = 90, SPECTRUM_HEIGHT = 128, LANE_HEIGHT = 22, MAX_LANE_CELLS = 450, MAX_BARS = 10,
      FEW_BARS = 5 };

static const char STYLE[] =
    "body{font:15px/1.5 system-ui,sans-serif;color:#1c2330;background:#f4f5f7;margin:0}"
    "main{max-width:960px;margin:0 auto;padding:24px}"
    "h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:0;overflow-wrap:anywhere}h3{font-size:13px;margin:14px "
    "0 4px;"
    "color:#566;font-weight:600}"
    "section{background:#fff;border:1px solid #dde1e7;border-radius:10px;padding:18px 22px;margin:18px "
    "0;break-inside:avoid}"
    ".badge{display:inline-block;padding:3px 12px;border-radius:999px;color:#fff;font-weight:600;margin:8px 10px 8px 0}"
    ".bonafide{background:#1b7f4d}.known{background:#b3261e}.unknown{background:#9a5b00}.not_assessable,.error{"
    "background:#5b6472}"
    ".note{color:#4a5361}.caution{border-left:4px solid #9a5b00;padding:6px 14px;background:#fff8ec}"
    "table{border-collapse:collapse;width:100%}td{padding:2px 8px 2px 0;vertical-align:middle}"
    "td.n{text-align:right;width:64px;font-variant-numeric:tabular-nums}td.name{width:210px}"
    ".bar{height:13px;background:#3d5a99;border-radius:2px;min-width:1px}.bar.weak{background:#aab4c8}"
    "svg,img{display:block;width:100%;max-width:900px}img{image-rendering:auto;border-radius:3px}"
    ".hash{font:12px ui-monospace,monospace;color:#566;overflow-wrap:anywhere}"
    ".axis{font-size:11px;fill:#667}.cols{display:grid;grid-template-columns:1fr 1fr;gap:0 32px}"
    "@media(max-width:700px){.cols{grid-template-columns:1fr}}"
    "@media print{body{background:#fff}section{border-color:#999}}";

spoor_status report_html_open(spoor_context *ctx, const char *path, const spoor_model *model, report_html **out,
                              spoor_error *err) {
    page *h;
    *out = NULL;
    char *style = ctx_printf(ctx, "%s%s", STYLE, REPORT_TREE_STYLE);
    spoor_status status =
        style == NULL ? error_memory(err, "writing a report") : page_open(ctx, path, "Spoor report", style, &h, err);
    ctx_free(ctx, style);
    TRY(status);
    page_put(h, "<h1>Spoor report</h1><p class=\"note\">Model <b>");
    page_text(h, model->name);
    page_put(h, "</b>: ");
    page_text(h, model->card);
    page_put(h,
        "</p><p class=\"caution\"><b>Read with care.</b> This is the opinion of a statistical model, not proof. It can "
        "be "
        "wrong, above all on recordings unlike those it was trained on: other languages, microphones, telephone "
        "channels, music, edited or re-recorded speech. A probability here holds for recordings like those of the "
        "model's development set. A source is named only among those the model knows; \"unknown\" means that none of "
        "them fits, and a system that resembles a known one can still be given its name.</p>");
    *out = h;
    return SPOOR_OK;
}

/* ---- pictures ----------------------------------------------------------------------------------------- */

static void put_base64(report_html *h, const unsigned char *data, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[4 * 256 + 1];
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)data[i] << 16 | (unsigned)(i + 1 < n ? data[i + 1] : 0) << 8 |
                     (unsigned)(i + 2 < n ? data[i + 2] : 0);
        text[used++] = digits[v >> 18];
        text[used++] = digits[v >> 12 & 63];
        text[used++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        text[used++] = i + 2 < n ? digits[v & 63] : '=';
        if (used == 4 * 256) {
            text[used] = '\0';
            page_put(h, text);
            used = 0;
        }
    }
    text[used] = '\0';
    page_put(h, text);
}

static void put_u32(unsigned char *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(v >> 8 * i);
    }
}

/* Dark blue over magenta to pale yellow, by piecewise linear interpolation; BMP order blue, green, red, 0. */
static void palette(unsigned char *p) {
    static const int stops[5][3] = {{6, 6, 28}, {70, 20, 110}, {175, 45, 95}, {240, 125, 40}, {252, 250, 190}};
    for (int i = 0; i < 256; i++) {
        int k = i * 4 / 256, f = i * 4 % 256;
        for (int c = 0; c < 3; c++) {
            p[4 * i + 2 - c] = (unsigned char)(stops[k][c] + (stops[k + 1][c] - stops[k][c]) * f / 256);
        }
        p[4 * i + 3] = 0;
    }
}

/* The spectrogram as an 8-bit BMP in a data URI: every browser reads it and it needs no compressor. */
static void put_spectrogram(report_html *h, const overview *o) {
    size_t row = (o->n + 3) / 4 * 4, offset = 54 + 1024, size = offset + row * OVERVIEW_BANDS;
    unsigned char *bmp = ctx_calloc(page_context(h), size, 1);
    if (bmp == NULL || o->n == 0) {
        ctx_free(page_context(h), bmp);
        return;
    }
    memcpy(bmp, "BM", 2);
    put_u32(bmp + 2, (uint32_t)size);
    put_u32(bmp + 10, (uint32_t)offset);
    put_u32(bmp + 14, 40);
    put_u32(bmp + 18, (uint32_t)o->n);
    put_u32(bmp + 22, OVERVIEW_BANDS);
    bmp[26] = 1;
    bmp[28] = 8;
    put_u32(bmp + 34, (uint32_t)(row * OVERVIEW_BANDS));
    put_u32(bmp + 46, 256);
    palette(bmp + 54);
    float top = -1e30f;
    for (size_t i = 0; i < o->n; i++) {
        for (size_t k = 0; k < OVERVIEW_BANDS; k++) {
            top = o->band[i][k] > top ? o->band[i][k] : top;
        }
    }
    const float range = 18.4f;                    /* 80 dB in natural log of power */
    for (size_t k = 0; k < OVERVIEW_BANDS; k++) { /* BMP rows go upwards, as frequency does */
        for (size_t i = 0; i < o->n; i++) {
            float v = 1.0f + (o->band[i][k] - top) / range;
            bmp[offset + k * row + i] = (unsigned char)(v <= 0 ? 0 : v >= 1 ? 255 : 255.0f * v);
        }
    }
    page_putf(h, "<img alt=\"spectrogram\" style=\"height:%dpx\" src=\"data:image/bmp;base64,", SPECTRUM_HEIGHT);
    put_base64(h, bmp, size);
    page_put(h, "\">");
    ctx_free(page_context(h), bmp);
}

static void put_waveform(report_html *h, const overview *o) {
    float top = 1e-6f;
    for (size_t i = 0; i < o->n; i++) {
        top = fmaxf(top, fmaxf(fabsf(o->low[i]), fabsf(o->high[i])));
    }
    page_putf(
        h, "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" style=\"height:%dpx\"><path fill=\"#3d5a99\" d=\"",
        WIDTH, WAVE_HEIGHT, WAVE_HEIGHT);
    double middle = WAVE_HEIGHT / 2.0, scale = (middle - 2) / (double)top,
           step = (double)WIDTH / (double)(o->n > 0 ? o->n : 1);
    for (size_t i = 0; i < o->n; i++) {
        page_putf(h, "%c%.1f %.1f", i == 0 ? 'M' : 'L', ((double)i + 0.5) * step,
                  middle - scale * (double)o->high[i] - 0.4);
    }
    for (size_t i = o->n; i-- > 0;) {
        page_putf(h, "L%.1f %.1f", ((double)i + 0.5) * step, middle - scale * (double)o->low[i] + 0.4);
    }
    page_put(h, "Z\"/></svg>");
}

static void put_time_axis(report_html *h, double seconds) {
    page_putf(h, "<svg viewBox=\"0 0 %d 16\">", WIDTH);
    for (int i = 0; i <= 4; i++) {
        double t = seconds * i / 4;
        const char *anchor = i == 0 ? "start" : i == 4 ? "end" : "middle";
        if (seconds < 100) {
            page_putf(h, "<text class=\"axis\" x=\"%d\" y=\"12\" text-anchor=\"%s\">%.1f s</text>", WIDTH * i / 4,
                      anchor, t);
        } else {
            long s = lround(t);
            page_putf(h, "<text class=\"axis\" x=\"%d\" y=\"12\" text-anchor=\"%s\">%ld:%02ld:%02ld</text>",
                      WIDTH * i / 4, anchor, s / 3600, s / 60 % 60, s % 60);
        }
    }
    page_put(h, "</svg>");
}

/* Windows as cells: green = human, red = synthetic. Many windows share a cell (their mean). */
static void put_windows(report_html *h, const spoor_result *r) {
    size_t cells = r->n_windows < MAX_LANE_CELLS ? r->n_windows : MAX_LANE_CELLS;
    page_put(h, "<h3>Windows: probability of human speech</h3>");
    page_putf(h, "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" style=\"height:%dpx\">", WIDTH, LANE_HEIGHT,
         LANE_HEIGHT);
    for (size_t i = 0; i < cells; i++) {
        size_t from = i * r->n_windows / cells, to = (i + 1) * r->n_windows / cells;
        double p = 0;
        for (size_t k = from; k < to; k++) {
            p += isnan(r->windows[k].bonafide) ? 0.5 : r->windows[k].bonafide;
        }
        p /= (double)(to - from);
        const trace_window *w = &r->windows[from];
        double x = WIDTH * (double)i / (double)cells;
        page_putf(h,
             "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%d\" fill=\"hsl(%.0f 60%% 42%%)\" stroke=\"#fff\" "
             "stroke-width=\"%s\"><title>%.2f-%.2f s: human %.0f %%, best source ",
             x, (double)WIDTH / (double)cells, LANE_HEIGHT, 140.0 * p, cells > 200 ? "0" : "1", w->start,
             r->windows[to - 1].end, 100.0 * p);
        page_text(h, w->source >= 0 ? r->model->tasks[r->model->known_task].classes[w->source] : "-");
        page_put(h, "</title></rect>");
    }
    page_put(h, "</svg>");
}

/* ---- sections ----------------------------------------------------------------------------------------- */

static void put_bars(report_html *h, const spoor_result *r, const char *task, const char *title, size_t most) {
    size_t n;
    const spoor_class *c = spoor_result_ranked(r, task, &n);
    if (n == 0) {
        return;
    }
    page_putf(h, "<div><h3>%s</h3><table>", title);
    for (size_t i = 0; i < n && i < most; i++) {
        page_put(h, "<tr><td class=\"name\">");
        page_text(h, c[i].name);
        page_putf(h,
                  "</td><td class=\"n\">%.1f %%</td><td><div class=\"bar%s\" style=\"width:%.1f%%\"></div></td></tr>",
                  100.0 * c[i].p, r->verdict == SPOOR_KNOWN ? "" : " weak", 100.0 * c[i].p);
    }
    page_put(h, "</table></div>");
}

static void put_verdict(report_html *h, const spoor_result *r) {
    static const char *const words[] = {"Human speech", "Synthetic, known source", "Synthetic, unknown source",
                                        "Not assessable", "Synthetic, enrolled source"};
    size_t n;
    const spoor_class *best = spoor_result_ranked(r, "source", &n);
    const char *class = spoor_verdict_name(r->verdict == SPOOR_ENROLLED ? SPOOR_KNOWN : r->verdict);
    page_putf(h, "<span class=\"badge %s\">%s</span>", class, words[r->verdict]);
    switch (r->verdict) {
    case SPOOR_BONAFIDE: page_putf(h, "probability of human speech %.0f %%", 100.0 * r->bonafide_p); break;
    case SPOOR_KNOWN:
        if (n > 0) {
            page_put(h, "most like <b>");
            page_text(h, best[0].name);
            page_putf(h, "</b> (%.0f %% among the known sources)", 100.0 * best[0].p);
        }
        break;
    case SPOOR_ENROLLED:
        page_put(h, "enrolled as <b>");
        page_text(h, r->enrolled[0].name);
        page_put(h, "</b>");
        break;
    case SPOOR_UNKNOWN:
    case SPOOR_NOT_ASSESSABLE: page_text(h, r->reason); break;
    }
}

static void put_numbers(report_html *h, const spoor_result *r) {
    page_put(h, "<h3>Numbers</h3><table><tr><td>");
    if (r->verdict != SPOOR_NOT_ASSESSABLE) {
        if (!isnan(r->bonafide_p)) {
            page_putf(h, "human speech: p = %.3f, log-likelihood ratio %+.2f (natural log, higher = more human)<br>",
                 r->bonafide_p, r->bonafide_llr);
        }
        if (isfinite(r->known) && isfinite(r->model->openset.threshold)) {
            page_putf(h, "known-source score %.2f by %s, threshold %.2f (higher = more like a known source)<br>",
                      r->known, openset_kind_name(r->model->openset.kind), r->model->openset.threshold);
        }
        if (r->n_enrolled > 0) {
            const spoor_enrolled *e = r->enrolled;
            page_put(h, "nearest enrolled source ");
            page_text(h, e->name);
            page_putf(h, ": score %.3f, threshold %.3f (higher = more like it)", e->score, e->threshold);
            if (!isnan(e->llr)) {
                page_putf(h, ", log-likelihood ratio %+.2f", e->llr);
            }
            page_put(h, "<br>");
        }
        page_putf(h, "%zu window%s", r->n_windows, r->n_windows == 1 ? "" : "s");
        if (!isnan(r->agreement)) {
            page_putf(h, ", %.0f %% agree on the best source", 100.0 * r->agreement);
        }
        page_put(h, "<br>");
    }
    page_putf(
        h, "%.2f s, of which %.2f s signal; level %.1f dBFS, peak %.1f dBFS, bandwidth %.1f kHz, clipped %.2f %%<br>",
        r->seconds, r->assessment.active_seconds, r->assessment.rms_dbfs, r->assessment.peak_dbfs,
        r->assessment.bandwidth / 1000.0, 100.0 * r->assessment.clipped);
    if (r->silence_removed >= 0) {
        page_putf(h, "%.2f s of silence were taken out before<br>", r->silence_removed);
    }
    page_text(h, r->format);
    page_putf(h, ", %.0f Hz, %d channel%s</td></tr></table>", r->rate, r->channels, r->channels == 1 ? "" : "s");
    page_putf(h, "<p class=\"hash\">file sha256 %s<br>model sha256 %s<br>spoor %s</p>", r->sha256, r->model->sha256,
         spoor_version());
}

spoor_status report_html_add(report_html *h, const spoor_result *r, const overview *o, spoor_error *err) {
    page_put(h, "<section><h2>");
    page_text(h, r->name);
    page_put(h, "</h2>");
    put_verdict(h, r);
    if (o != NULL && o->n > 0) {
        page_put(h, "<h3>Waveform and spectrogram (0 to 8 kHz, mel scale, 80 dB)</h3>");
        put_waveform(h, o);
        put_spectrogram(h, o);
        put_time_axis(h, r->seconds);
    }
    if (r->verdict != SPOOR_NOT_ASSESSABLE) {
        put_windows(h, r);
    }
    if (r->verdict == SPOOR_KNOWN || r->verdict == SPOOR_UNKNOWN) {
        page_put(h, "<div class=\"cols\">");
        put_bars(h, r, "source", r->verdict == SPOOR_KNOWN ? "Sources" : "Nearest known sources (not an answer)",
                 MAX_BARS);
        page_put(h, "<div>");
        put_bars(h, r, "vocoder", "Waveform maker", FEW_BARS);
        put_bars(h, r, "family", "Family", FEW_BARS);
        page_put(h, "</div></div>");
    }
    report_tree_html(h, r, MAX_BARS);
    put_numbers(h, r);
    page_put(h, "</section>");
    return page_status(h, err);
}

spoor_status report_html_add_error(report_html *h, const char *file, const spoor_error *what, spoor_error *err) {
    page_put(h, "<section><h2>");
    page_text(h, file);
    page_put(h, "</h2><span class=\"badge error\">Not traced</span>");
    page_text(h, what->message);
    page_put(h, "</section>");
    return page_status(h, err);
}

spoor_status report_html_close(report_html *h, bool commit, spoor_error *err) { return page_close(h, commit, err); }
