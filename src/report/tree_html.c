/* tree_html.c: the tree of a verdict as a picture and the sources that fit as a table; see tree.h. */
#include "report/tree.h"
#include "trace/tree.h"
#include <math.h>
#include <string.h>

enum { WIDTH = 900, ROW = 58, BOX = 34, MOST_VALUES = 3, NAME_BYTES = 20 };

const char REPORT_TREE_STYLE[] =
    ".tree text{font:13px system-ui,sans-serif;fill:#1c2330}.tree .title{font-size:12px;fill:#566}.tree "
    ".light{fill:#fff;font-weight:600}.tree "
    "path{fill:none;stroke:#b9c2d3}.chip{display:inline-block;border-radius:999px;padding:0 9px;margin:1px 4px 1px "
    "0;font-size:12px;background:#e8edf6;color:#2a3a5c;white-space:nowrap}.chip.open{background:none;border:1px dashed "
    "#9aa3b2;color:#667}td.fits{width:310px;overflow-wrap:anywhere}.new{color:#667;font-size:12px}";

/* A name of at most NAME_BYTES, cut between characters. */
static void put_name(page *h, const char *name) {
    char text[NAME_BYTES + 8];
    size_t n = strlen(name);
    if (n > NAME_BYTES) {
        for (n = NAME_BYTES; n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80; n--) {
        }
        memcpy(text, name, n);
        memcpy(text + n, "\xe2\x80\xa6", 4); /* an ellipsis */
        name = text;
    }
    page_text(h, name);
}

/* A box with a name and a probability, the deeper coloured the more likely; colour as "r g b". */
static void put_box(page *h, double x, double y, double width, const char *name, double p, const char *colour,
                    bool bold) {
    double depth = isnan(p) ? 0.25 : 0.08 + 0.92 * p;
    page_putf(h, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"7\" fill=\"rgb(%s / %.2f)\" "
                 "stroke=\"rgb(%s)\" stroke-width=\"%s\"/>",
              x, y, width, BOX, colour, depth, colour, bold ? "2" : "0.6");
    page_putf(h, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", depth > 0.75 ? "light" : "",
              x + width / 2, y + 22);
    put_name(h, name);
    if (!isnan(p)) {
        page_putf(h, " %.0f %%", 100 * p);
    }
    page_put(h, "</text>");
}

/* From the right of one box to the left of another. */
static void put_edge(page *h, double x, double y, double to_x, double to_y, double p) {
    double middle = (x + to_x) / 2;
    page_putf(h, "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\" stroke-width=\"%.1f\"/>", x, y, middle, y,
              middle, to_y, to_x, to_y, 1 + 5 * (isnan(p) ? 0.5 : p));
}

static void put_attribute(page *h, const tree_attribute *a, double x, double y) {
    page_putf(h, "<text class=\"title\" x=\"%.1f\" y=\"%.1f\">", x, y - 5);
    page_text(h, a->title);
    page_put(h, "</text>");
    size_t shown = a->n < MOST_VALUES ? a->n : MOST_VALUES;
    double gap = 8, width = (WIDTH - 2 - x - gap * (MOST_VALUES - 1)) / MOST_VALUES;
    for (size_t v = 0; v < shown; v++) {
        put_box(h, x + (double)v * (width + gap), y, width, a->value[v].name, a->value[v].p, "61 90 153", v == 0);
    }
    if (a->n > shown) {
        page_putf(h, "<text class=\"title\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">and %zu others</text>", WIDTH - 2,
                  y - 5, a->n - shown);
    }
}

static void put_picture(page *h, const trace_tree *t) {
    double height = ROW * (double)(t->n_attributes < 2 ? 2 : t->n_attributes) + 8, left = 96, middle = 190, right = 392;
    double root = height / 2, codec = height * 0.62, human = height * 0.18, p = 1 - t->bonafide;
    page_putf(h, "<svg class=\"tree\" role=\"img\" aria-label=\"tree of the verdict\" viewBox=\"0 0 %d %.0f\">", WIDTH,
              height);
    put_edge(h, left, root, middle - 52, human + BOX / 2.0, t->bonafide);
    put_edge(h, left, root, middle - 52, codec + BOX / 2.0, p);
    for (size_t i = 0; i < t->n_attributes; i++) {
        put_edge(h, middle + 100, codec + BOX / 2.0, right, 20 + ROW * (double)i + BOX / 2.0, p);
    }
    put_box(h, 2, root - BOX / 2.0, left - 2, "speech", NAN, "120 130 148", false);
    put_box(h, middle - 52, human, 152, "bona fide", t->bonafide, "27 127 77", t->bonafide >= 0.5);
    put_box(h, middle - 52, codec, 152, "codec speech", p, "179 38 30", t->bonafide < 0.5);
    for (size_t i = 0; i < t->n_attributes; i++) {
        put_attribute(h, &t->attribute[i], right, 20 + ROW * (double)i);
    }
    page_put(h, "</svg>");
}

static void put_source(page *h, const trace_tree *t, const tree_source *s, double best) {
    page_put(h, "<tr><td class=\"fits\">");
    page_text(h, s->name);
    page_putf(h, "</td><td class=\"n\">%.1f %%</td><td style=\"width:150px\"><div class=\"bar%s\" "
                 "style=\"width:%.1f%%\"></div></td><td>", 100 * s->p,
              s->known ? "" : " weak", best > 0 ? 100 * s->p / best : 0);
    for (size_t i = 0; i < t->n_attributes; i++) {
        page_putf(h, "<span class=\"chip%s\">", s->value[i] != NULL ? "" : " open");
        page_text(h, s->value[i] != NULL ? s->value[i] : t->attribute[i].name);
        page_put(h, s->value[i] != NULL ? "</span>" : " not known</span>");
    }
    page_put(h, s->known ? "" : "<span class=\"new\">not in training</span>");
    page_put(h, "</td></tr>");
}

void report_tree_html(page *h, const spoor_result *r, size_t top) {
    const trace_tree *t = r->tree;
    if (t == NULL) {
        return;
    }
    page_put(h, "<h3>How it was made, if by a codec</h3>");
    put_picture(h, t);
    page_put(h, "<h3>What fits of the taxonomy ");
    page_text(h, taxonomy_name(t->taxonomy));
    page_put(h, ", by joint likelihood</h3><table>");
    for (size_t s = 0; s < report_tree_sources(t, top); s++) {
        put_source(h, t, &t->source[s], t->source[0].p);
    }
    page_put(h, "</table><p class=\"note\">");
    if (t->measured) {
        page_putf(h, "From a source that the model knows: %.0f %%. ", 100 * t->known);
    }
    if (!isnan(t->other) && t->other >= 0.005) {
        page_putf(h, "Synthetic, but without a codec: %.0f %%. ", 100 * t->other);
    }
    page_put(h, "Attributes of a source that are not known count for every value alike.</p>");
}
