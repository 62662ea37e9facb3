/* tree.c: see tree.h; the picture is in tree_html.c. */
#include "report/tree.h"
#include "report/json.h"
#include "trace/tree.h"
#include <math.h>

/* ---- JSON ---- */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *attribute_json(const tree_attribute *a, bool named) {
    json_t *values = json_array();
    int bad = 0;
    for (size_t v = 0; v < a->n; v++) {
        bad |= json_array_append_new(values,
                                     json_pack("{s:o,s:f}", "name", report_text(a->value[v].name), "p", a->value[v].p));
    }
    if (bad != 0) {
        json_decref(values);
        return NULL;
    }
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "attribute", report_text(a->name), "title", report_text(a->title), "name",
                     named ? report_text(a->value[0].name) : json_null(), "p",
                     named ? json_real(a->value[0].p) : json_null(), "values", values);
}

static json_t *source_json(const trace_tree *t, const tree_source *s) {
    json_t *values = json_object(), *unknown = json_array();
    int bad = 0;
    for (size_t i = 0; i < t->n_attributes; i++) {
        const char *name = t->attribute[i].name;
        bad |= s->value[i] != NULL ? json_object_set_new(values, name, report_text(s->value[i]))
                                   : json_array_append_new(unknown, report_text(name));
    }
    if (bad != 0) {
        json_decref(values);
        json_decref(unknown);
        return NULL;
    }
    return json_pack("{s:o,s:o,s:f,s:f,s:b,s:o,s:o}", "name", report_text(s->name), "kind", report_text(s->kind), "p",
                     s->p, "likelihood", s->likelihood, "known", s->known, "values", values, "unknown", unknown);
}

json_t *report_tree_json(const spoor_result *r) {
    const trace_tree *t = r->tree;
    bool named = r->verdict != SPOOR_BONAFIDE;
    json_t *attributes = json_array(), *sources = json_array();
    int bad = 0;
    for (size_t i = 0; i < t->n_attributes; i++) {
        bad |= json_array_append_new(attributes, attribute_json(&t->attribute[i], named));
    }
    for (size_t s = 0; s < t->n_sources; s++) {
        bad |= json_array_append_new(sources, source_json(t, &t->source[s]));
    }
    if (bad != 0) {
        json_decref(attributes);
        json_decref(sources);
        return NULL;
    }
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "taxonomy", report_text(taxonomy_name(t->taxonomy)), "bonafide",
                     number(t->bonafide), "codec", number(1 - t->bonafide), "other", number(t->other), "known",
                     t->measured ? number(t->known) : json_null(), "attributes", attributes, "sources", sources);
}

/* ---- text ---- */

size_t report_tree_sources(const trace_tree *t, size_t top) {
    size_t n = 0;
    while (n < t->n_sources && n < top && (n == 0 || t->source[n].p >= 0.0005)) { /* what is not shown as 0.0 % */
        n++;
    }
    return n;
}

static void put_values(FILE *out, const trace_tree *t, const tree_source *s) {
    for (size_t i = 0; i < t->n_attributes; i++) {
        const char *value = s->value[i];
        fprintf(out, "%s%s%s", i == 0 ? "" : ", ", value != NULL ? value : t->attribute[i].name,
                value != NULL ? "" : " not known");
    }
}

void report_tree_text(FILE *out, const spoor_result *r, size_t top) {
    const trace_tree *t = r->tree;
    if (t == NULL) {
        return;
    }
    if (isnan(t->bonafide)) {
        fputs("  if codec speech:\n", out);
    } else {
        fprintf(out, "  bona fide %.0f %%, codec speech %.0f %%; if codec speech:\n", 100 * t->bonafide,
                100 * (1 - t->bonafide));
    }
    for (size_t i = 0; i < t->n_attributes; i++) {
        const tree_attribute *a = &t->attribute[i];
        fprintf(out, "    %-20s", a->title);
        for (size_t v = 0; v < a->n && v < 4; v++) {
            fprintf(out, "%s%s %.0f %%", v == 0 ? " " : ", ", a->value[v].name, 100 * a->value[v].p);
        }
        fputc('\n', out);
    }
    for (size_t s = 0; s < report_tree_sources(t, top); s++) {
        fprintf(out, "    %s%-36s %5.1f %%  ", s == 0 ? "fits " : "     ", t->source[s].name, 100 * t->source[s].p);
        put_values(out, t, &t->source[s]);
        fputs(t->source[s].known ? "\n" : "; not in training\n", out);
    }
    if (t->measured) {
        fprintf(out, "    from a source that the model knows: %.0f %%\n", 100 * t->known);
    }
    if (!isnan(t->other) && t->other >= 0.005) {
        fprintf(out, "    synthetic, but without a codec: %.0f %%\n", 100 * t->other);
    }
}
