/* corpus.c: see corpus.h. */
#include "cli/corpus.h"
#include "cli/ui.h"
#include "data/labels.h"
#include "trace/trace.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

unsigned long cli_count(const char *text, unsigned long max) {
    char *end;
    long n = strtol(text, &end, 10);
    return *text == '\0' || *end != '\0' || n < 1 || (unsigned long)n > max ? 0 : (unsigned long)n;
}

void cli_corpus_clear(cli_corpus *c) {
    if (c->ctx) {
        manifest_free(c->manifest);
        ctx_free(c->ctx, c->rows);
        ctx_free(c->ctx, c->ids);
        ctx_free(c->ctx, c->logits);
        ctx_free(c->ctx, c->embedding);
        ctx_free(c->ctx, c->errors);
    }
    *c = (cli_corpus){0};
}

static spoor_status choose(const cli_corpus_options *o, cli_corpus *c, spoor_error *err) {
    manifest_where where[CORPUS_MAX_WHERE + 1];
    char *columns[CORPUS_MAX_WHERE] = {0};
    const char *values[CORPUS_MAX_WHERE];
    size_t n = 0;
    spoor_status status = SPOOR_OK;
    for (; n < o->n_where && status == SPOOR_OK; n++) {
        const char *equals = strchr(o->where[n], '=');
        columns[n] = equals ? ctx_strndup(c->ctx, o->where[n], (size_t)(equals - o->where[n])) : NULL;
        values[n] = equals ? equals + 1 : "";
        where[n] = (manifest_where){columns[n], &values[n], 1};
        if (!equals) {
            status = error_set(err, SPOOR_ERR_USAGE, "--where %.200s: write COLUMN=VALUE", o->where[n]);
        } else if (!columns[n]) {
            status = error_memory(err, "choosing rows");
        }
    }
    if (o->split) {
        where[n] = (manifest_where){"split", &o->split, 1};
    }
    if (status == SPOOR_OK) {
        status = labels_select(c->ctx, c->manifest, where, n + (o->split != NULL), &c->rows, &c->n, err);
    }
    for (size_t i = 0; i < o->n_where; i++) {
        ctx_free(c->ctx, columns[i]);
    }
    if (status == SPOOR_OK && c->n == 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "no row of the manifest passes --split and --where");
    }
    return status;
}

spoor_status cli_corpus_read(spoor_context *ctx, const cli_corpus_options *o, cli_corpus *c, spoor_error *err) {
    *c = (cli_corpus){.ctx = ctx};
    TRY(manifest_new(ctx, &c->manifest, err));
    for (size_t i = 0; i < o->n_manifests; i++) {
        TRY(manifest_add(c->manifest, o->manifests[i], o->root, NULL, 0, err));
    }
    TRY(choose(o, c, err));
    c->ids = ctx_alloc(ctx, c->n, sizeof *c->ids);
    if (!c->ids) {
        return error_memory(err, "choosing rows");
    }
    for (size_t i = 0; i < c->n; i++) {
        c->ids[i] = manifest_id(c->manifest, c->rows[i]);
    }
    return SPOOR_OK;
}

static spoor_status open_row(void *user, size_t clip, spoor_audio **audio, float **owned, spoor_error *err) {
    const cli_corpus *c = user;
    *owned = NULL;
    return spoor_audio_open(c->ctx, manifest_path(c->manifest, c->rows[clip]), NULL, audio, err);
}

spoor_status cli_corpus_score(cli_corpus *c, spoor_model *m, const cli_corpus_options *o, spoor_error *err) {
    unsigned threads = o->threads ? o->threads : pool_processors();
    c->logits = ctx_calloc(c->ctx, c->n, trace_logits_size(m) * sizeof *c->logits);
    c->embedding = ctx_calloc(c->ctx, c->n, (size_t)net_embedding_size(m->net) * sizeof *c->embedding);
    c->errors = ctx_calloc(c->ctx, c->n, sizeof *c->errors);
    if (!c->logits || !c->embedding || !c->errors) {
        return error_memory(err, "scoring recordings");
    }
    TRY(score_all(c->ctx, m, threads, c->n, open_row, c, (size_t)llround(o->hop * AUDIO_RATE), c->logits, c->embedding,
                  c->errors, err));
    for (size_t i = 0; i < c->n; i++) {
        if (c->errors[i].status != SPOOR_OK) {
            c->failed++;
            ui_error(&c->errors[i]);
        }
    }
    return SPOOR_OK;
}
