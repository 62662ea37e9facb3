/* text.c: see text.h. */
#include "report/text.h"
#include "report/tree.h"
#include <math.h>
#include <string.h>

char *report_plain_name(spoor_context *ctx, const char *name) {
    char *copy = ctx_strdup(ctx, name);
    for (unsigned char *c = (unsigned char *)copy; c != NULL && *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f) {
            *c = '?';
        } else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) { /* C1, which terminals obey too */
            c[0] = c[1] = '?';
        }
    }
    return copy;
}

static void task_line(FILE *out, const spoor_result *r, const char *task, const char *title) {
    size_t n;
    const spoor_class *c = spoor_result_ranked(r, task, &n);
    if (n > 0) {
        fprintf(out, "  %s: %s %.0f %%", title, c[0].name, 100.0 * c[0].p);
        if (n > 1) {
            fprintf(out, ", then %s %.0f %%", c[1].name, 100.0 * c[1].p);
        }
        fputc('\n', out);
    }
}

/* "enrolled source x (log-likelihood ratio +3.10)" */
static void put_enrolled(FILE *out, const spoor_enrolled *e) {
    fprintf(out, "enrolled source %s", e->name);
    if (!isnan(e->llr)) {
        fprintf(out, " (log-likelihood ratio %+.2f)", e->llr);
    }
}

static void verdict_line(FILE *out, const spoor_result *r) {
    size_t n;
    const spoor_class *source = spoor_result_ranked(r, "source", &n);
    double other = 1.0 - r->bonafide_p;
    if (isnan(other) && r->verdict != SPOOR_NOT_ASSESSABLE) { /* a model that knows no human speech */
        if (r->verdict == SPOOR_ENROLLED) {
            fputs("  if synthetic, from the ", out);
            put_enrolled(out, r->enrolled);
            fputc('\n', out);
        } else {
            fprintf(out, "  %s\n",
                    r->verdict == SPOOR_KNOWN ? "if synthetic, from a known source" : "if synthetic, from an unknown "
                                                                                      "source");
        }
        return;
    }
    switch (r->verdict) {
    case SPOOR_BONAFIDE: fprintf(out, "  human speech, probability %.0f %%", 100.0 * r->bonafide_p); break;
    case SPOOR_KNOWN:
        fprintf(out, "  synthetic, probability %.0f %%", 100.0 * other);
        if (n > 0) {
            fprintf(out, "; most like %s (%.0f %%)", source[0].name, 100.0 * source[0].p);
        }
        break;
    case SPOOR_UNKNOWN: fprintf(out, "  synthetic, probability %.0f %%; unknown source", 100.0 * other); break;
    case SPOOR_ENROLLED:
        fprintf(out, "  synthetic, probability %.0f %%; ", 100.0 * other);
        put_enrolled(out, r->enrolled);
        break;
    case SPOOR_NOT_ASSESSABLE: fprintf(out, "  not assessable: %s\n", r->reason); return;
    }
    fprintf(out, "  (log-likelihood ratio for human %+.2f)\n", r->bonafide_llr);
}

void report_text_result(FILE *out, const spoor_result *r, size_t top) {
    char *name = report_plain_name(r->ctx, r->name);
    fprintf(out, "%s  %.2f s", name == NULL ? "?" : name, r->seconds);
    if (r->silence_removed >= 0) {
        fprintf(out, " without %.2f s of silence", r->silence_removed);
    }
    fprintf(out, "\n");
    ctx_free(r->ctx, name);
    verdict_line(out, r);
    if (r->verdict == SPOOR_NOT_ASSESSABLE) {
        return;
    }
    size_t n;
    const spoor_class *source = spoor_result_ranked(r, "source", &n);
    if (r->verdict != SPOOR_BONAFIDE) {
        for (size_t i = 0; i < n && i < top; i++) {
            int bar = (int)lround(30.0 * source[i].p);
            fprintf(out, "  %2zu. %-22s %5.1f %%%.*s\n", i + 1, source[i].name, 100.0 * source[i].p, bar > 0 ? bar + 1 : 0,
                    " ##############################");
        }
        task_line(out, r, "vocoder", "waveform maker");
        task_line(out, r, "family", "family");
        if (isfinite(r->known) && isfinite(r->model->openset.threshold)) {
            fprintf(out, "  known-source score %.2f by %s, threshold %.2f (higher = more like a known source)\n",
                    r->known, openset_kind_name(r->model->openset.kind), r->model->openset.threshold);
        }
    }
    report_tree_text(out, r, top);
    if (r->n_enrolled > 0) {
        const spoor_enrolled *e = r->enrolled;
        fprintf(out, "  nearest enrolled source %s: score %.3f, threshold %.3f (higher = more like it)\n", e->name,
                e->score, e->threshold);
    }
    fprintf(out, "  %zu window%s", r->n_windows, r->n_windows == 1 ? "" : "s");
    if (!isnan(r->agreement)) {
        fprintf(out, "; %.0f %% agree on the best source", 100.0 * r->agreement);
    }
    fputc('\n', out);
}
