/* verify_pairs.c: `spoor verify --pairs LIST`: every pair of a list, its scores as a file and what they are worth. */
#include "base/io.h"
#include "cli/ui.h"
#include "cli/verify.h"
#include "eval/metrics.h"
#include "model/compare.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct pairs {
    spoor_context *ctx;
    cli_corpus list;          /* rows of the list; nothing of it is computed */
    cli_corpus files;         /* every recording once */
    char **joined;            /* [list.n] second paths */
    char **sorted;            /* [files.n] borrowed paths, sorted */
    double *u;                /* [files.n, dim] */
    double *cosine, *llr;     /* [list.n]; NAN: a recording failed */
    size_t failed;
} pairs;

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static size_t file_of(const pairs *p, const char *path) {
    char **found = bsearch(&path, p->sorted, p->files.n, sizeof *p->sorted, by_text);
    return found == NULL ? 0 : (size_t)(found - p->sorted); /* all are there */
}

static spoor_status list_files(const verify_options *o, pairs *p, spoor_error *err) {
    cli_corpus_options how = o->corpus;
    how.how.format = how.how.format ? how.how.format : "pairs";
    TRY(cli_corpus_read(p->ctx, &how, &p->list, err));
    const manifest *m = p->list.manifest;
    size_t second = manifest_column(m, "path_b"), n = 0;
    if (second == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "a list of this format has no pairs");
    }
    p->joined = ctx_calloc(p->ctx, p->list.n, sizeof *p->joined);
    p->sorted = ctx_alloc(p->ctx, p->list.n, 2 * sizeof *p->sorted);
    if (!p->joined || !p->sorted) {
        return error_memory(err, "listing recordings");
    }
    for (size_t i = 0; i < p->list.n; i++) {
        p->joined[i] = manifest_join(m, p->list.rows[i], manifest_cell(m, p->list.rows[i], second));
        if (!p->joined[i]) {
            return error_memory(err, "listing recordings");
        }
        p->sorted[n++] = (char *)(uintptr_t)p->list.paths[i];
        p->sorted[n++] = p->joined[i];
    }
    qsort(p->sorted, n, sizeof *p->sorted, by_text);
    size_t once = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(p->sorted[i], p->sorted[i - 1]) != 0) {
            p->sorted[once++] = p->sorted[i];
        }
    }
    return cli_corpus_files(p->ctx, p->sorted, once, &p->files, err);
}

static spoor_status score(const verify_options *o, spoor_model *m, pairs *p, spoor_error *err) {
    size_t dim = (size_t)net_embedding_size(m->net), n = p->list.n;
    TRY(cli_corpus_score(&p->files, m, &o->corpus, err));
    p->u = ctx_alloc(p->ctx, p->files.n, dim * sizeof *p->u);
    p->cosine = ctx_alloc(p->ctx, n, 2 * sizeof *p->cosine);
    if (!p->u || !p->cosine) {
        return error_memory(err, "comparing recordings");
    }
    p->llr = p->cosine + n;
    for (size_t i = 0; i < p->files.n; i++) {
        TRY(verify_unit(model_space(m), p->files.embedding + i * dim, dim, p->u + i * dim, err));
    }
    for (size_t i = 0; i < n; i++) {
        size_t a = file_of(p, p->list.paths[i]), b = file_of(p, p->joined[i]);
        bool good = p->files.errors[a].status == SPOOR_OK && p->files.errors[b].status == SPOOR_OK;
        p->cosine[i] = good ? verify_dot(p->u + a * dim, p->u + b * dim, dim) : NAN;
        p->llr[i] = good ? verify_pair_llr(&m->verify, p->cosine[i]) : NAN;
        p->failed += !good;
    }
    return SPOOR_OK;
}

/* A cell of the score file: what would end it is replaced. */
static void put_cell(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        fputc((unsigned char)*text < 0x20 || *text == '"' ? '?' : *text, out);
    }
    fputc('\t', out);
}

static spoor_status write_scores(const verify_options *o, const pairs *p, spoor_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const manifest *m = p->list.manifest;
    size_t same = manifest_column(m, "same"), second = manifest_column(m, "path_b");
    if (out != NULL) {
        fprintf(out, "path_a\tpath_b\tsame\tcosine\tllr\n");
    }
    for (size_t i = 0; out != NULL && i < p->list.n; i++) {
        put_cell(out, p->list.ids[i]);
        put_cell(out, manifest_cell(m, p->list.rows[i], second));
        put_cell(out, manifest_cell(m, p->list.rows[i], same));
        if (!isnan(p->cosine[i])) {
            fprintf(out, "%.9g\t", p->cosine[i]);
        } else {
            fputc('\t', out);
        }
        if (!isnan(p->llr[i])) {
            fprintf(out, "%.9g", p->llr[i]);
        }
        fputc('\n', out);
    }
    spoor_status status = out != NULL && fclose(out) == 0 ? io_write_file(p->ctx, o->out, text, size, err)
                                                          : error_memory(err, "writing scores");
    free(text);
    return status;
}

static json_t *figure(metric_value v) { return cli_verify_number(v.reason == NULL ? v.value : NAN); }

static spoor_status print(const verify_options *o, const spoor_model *m, const pairs *p, const detection *d,
                          spoor_error *err) {
    const dcf_profile *profile = dcf_profile_named("asvspoof5");
    metric_value eer = detection_eer(d, NULL, EER_ASVSPOOF, NULL), roc = detection_auroc(d, NULL);
    metric_value dcf = detection_min_dcf(d, NULL, profile, true, NULL), cllr = detection_cllr(d, NULL);
    metric_value least = detection_min_cllr(d, NULL);
    bool llr = m->verify.calibrated;
    size_t same = detection_count(d, true), different = detection_count(d, false);
    if (o->json) {
        return cli_verify_print(json_pack("{s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:s, s:o, s:o}", "recordings",
                                          (json_int_t)p->files.n, "same", (json_int_t)same, "different",
                                          (json_int_t)different, "not_evaluated", (json_int_t)p->failed, "calibrated",
                                          llr, "eer", figure(eer), "auroc", figure(roc), "min_dcf", figure(dcf), "dcf",
                                          profile->name, "min_cllr", figure(least), "cllr",
                                          llr ? figure(cllr) : json_null()),
                                err);
    }
    printf("%zu pairs of one source and %zu of two, of %zu recordings\n", same, different, p->files.n);
    if (eer.reason == NULL) {
        printf("  EER %.4f  AUROC %.4f  min DCF %.4f (%s: prior %.2g, costs %g and %g)  min Cllr %.4f\n", eer.value,
               roc.value, dcf.value, profile->name, profile->prior, profile->c_miss, profile->c_fa, least.value);
    } else {
        printf("  no figures: %s\n", eer.reason);
    }
    if (llr && cllr.reason == NULL) {
        printf("  Cllr %.4f bits (log-likelihood ratios as calibrated; 1 = no information)\n", cllr.value);
    } else if (!llr) {
        printf("  not calibrated: scores are cosines, not log-likelihood ratios\n");
    }
    return ui_flush(err);
}

static spoor_status report(const verify_options *o, const spoor_model *m, const pairs *p, spoor_error *err) {
    size_t column = manifest_column(p->list.manifest, "same"), n = 0;
    double *s = ctx_alloc(p->ctx, p->list.n, sizeof *s);
    unsigned char *target = ctx_alloc(p->ctx, p->list.n, 1);
    detection *d = NULL;
    spoor_status status = s && target ? SPOOR_OK : error_memory(err, "evaluating pairs");
    for (size_t i = 0; status == SPOOR_OK && i < p->list.n; i++) {
        const char *same = manifest_cell(p->list.manifest, p->list.rows[i], column);
        if (!isnan(p->cosine[i]) && same[0] != '\0') {
            s[n] = m->verify.calibrated ? p->llr[i] : p->cosine[i];
            target[n++] = same[0] == '1';
        }
    }
    if (status == SPOOR_OK) {
        status = detection_new(p->ctx, s, target, n, &d, err);
    }
    if (status == SPOOR_OK) {
        status = print(o, m, p, d, err);
    }
    detection_free(d);
    ctx_free(p->ctx, s);
    ctx_free(p->ctx, target);
    return status;
}

spoor_status cli_verify_pairs(const verify_options *o, spoor_model *m, spoor_error *err) {
    pairs p = {.ctx = m->ctx};
    spoor_status status = list_files(o, &p, err);
    if (status == SPOOR_OK) {
        status = score(o, m, &p, err);
    }
    if (status == SPOOR_OK && o->out != NULL) {
        status = write_scores(o, &p, err);
    }
    if (status == SPOOR_OK) {
        status = report(o, m, &p, err);
    }
    if (status == SPOOR_OK && p.failed > 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "%zu of %zu pairs could not be compared", p.failed, p.list.n);
    }
    for (size_t i = 0; p.joined && i < p.list.n; i++) {
        ctx_free(p.ctx, p.joined[i]);
    }
    ctx_free(p.ctx, p.joined);
    cli_corpus_clear(&p.files);
    ctx_free(p.ctx, p.sorted);
    ctx_free(p.ctx, p.u);
    ctx_free(p.ctx, p.cosine);
    cli_corpus_clear(&p.list);
    return status;
}
