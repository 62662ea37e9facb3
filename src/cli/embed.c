/* embed.c: `spoor embed`: one embedding a recording, as a NumPy matrix with the ids beside it. */
#include "cli/cli.h"
#include "cli/corpus.h"
#include "cli/files.h"
#include "cli/ui.h"
#include "eval/npy.h"
#include <argp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ROOT = 256, KEY_SPLIT, KEY_WHERE, KEY_MANIFEST, KEY_HOP };

typedef struct options {
    const char *model, *out;
    cli_corpus_options corpus;
    char **files;
    size_t n_files;
} options;

static const struct argp_option OPTIONS[] = {
    {"model", 'm', "FILE", 0, "model file (default: $SPOOR_MODEL, then the installed one)", 0},
    {"out", 'o', "FILE.npy", 0, "the matrix [recordings, size]; FILE.ids.txt gets the ids, one a line", 0},
    {"manifest", KEY_MANIFEST, "CSV", 0, "recordings of a manifest instead of files; may be repeated", 0},
    {"root", KEY_ROOT, "DIR", 0, "where the manifest's paths begin (default: its folder)", 0},
    {"split", KEY_SPLIT, "NAME", 0, "rows of this split (default: all)", 0},
    {"where", KEY_WHERE, "COLUMN=VALUE", 0, "only rows with this value; may be repeated", 0},
    {"jobs", 'j', "N", 0, "recordings side by side (default: processors)", 0},
    {"hop", KEY_HOP, "SECONDS", 0, "distance of windows (default: one window)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    char *end;
    switch (key) {
    case 'm': o->model = arg; return 0;
    case 'o': o->out = arg; return 0;
    case KEY_MANIFEST:
        if (o->corpus.n_manifests == CORPUS_MAX_MANIFESTS) {
            argp_error(state, "at most %d manifests", CORPUS_MAX_MANIFESTS);
        }
        o->corpus.manifests[o->corpus.n_manifests++] = arg;
        return 0;
    case KEY_WHERE:
        if (o->corpus.n_where == CORPUS_MAX_WHERE) {
            argp_error(state, "at most %d filters", CORPUS_MAX_WHERE);
        }
        o->corpus.where[o->corpus.n_where++] = arg;
        return 0;
    case KEY_ROOT: o->corpus.root = arg; return 0;
    case KEY_SPLIT: o->corpus.split = arg; return 0;
    case 'j':
        o->corpus.threads = (unsigned)cli_count(arg, 1024);
        if (o->corpus.threads == 0) {
            argp_error(state, "--jobs must be 1 to 1024");
        }
        return 0;
    case KEY_HOP:
        o->corpus.hop = strtod(arg, &end);
        if (end == arg || *end != '\0' || !(o->corpus.hop >= 0.01 && o->corpus.hop <= 3600)) {
            argp_error(state, "--hop must be 0.01 to 3600 seconds");
        }
        return 0;
    case ARGP_KEY_ARGS:
        o->files = state->argv + state->next;
        o->n_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (o->out == NULL || (o->corpus.n_manifests > 0) == (o->n_files > 0)) {
            argp_error(state, "give --out, and recordings or --manifest");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {OPTIONS, parse, "FILE...\n--manifest CSV",
                                 "Write the embedding of each recording. Recordings that fail are left out and named.", NULL,
                                 NULL, NULL};

/* Drop the rows of recordings that failed. */
static size_t keep_good(cli_corpus *c, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->errors[i].status == SPOOR_OK) {
            memmove(c->embedding + n * size, c->embedding + i * size, size * sizeof *c->embedding);
            c->ids[n++] = c->ids[i];
        }
    }
    return n;
}

static spoor_status open_file(void *user, size_t clip, spoor_audio **audio, float **owned, spoor_error *err) {
    const cli_files *f = user;
    *owned = NULL;
    return spoor_audio_open(f->ctx, f->paths[clip], NULL, audio, err);
}

static spoor_status embed_files(const options *o, spoor_model *m, cli_files *f, cli_corpus *c, spoor_error *err) {
    for (size_t i = 0; i < o->n_files; i++) {
        TRY(cli_files_add(f, o->files[i], err));
    }
    size_t logits = 0;
    for (size_t i = 0; i < m->n_tasks; i++) {
        logits += m->tasks[i].n_classes;
    }
    c->n = f->n;
    c->ids = ctx_alloc(c->ctx, c->n, sizeof *c->ids);
    c->logits = ctx_calloc(c->ctx, c->n, logits * sizeof *c->logits);
    c->embedding = ctx_calloc(c->ctx, c->n, (size_t)net_embedding_size(m->net) * sizeof *c->embedding);
    c->errors = ctx_calloc(c->ctx, c->n, sizeof *c->errors);
    if (!c->ids || !c->logits || !c->embedding || !c->errors) {
        return error_memory(err, "embedding recordings");
    }
    memcpy(c->ids, f->paths, c->n * sizeof *c->ids);
    unsigned threads = o->corpus.threads ? o->corpus.threads : pool_processors();
    TRY(score_all(c->ctx, m, threads, c->n, open_file, f, (size_t)llround(o->corpus.hop * AUDIO_RATE), c->logits,
                  c->embedding, c->errors, err));
    for (size_t i = 0; i < c->n; i++) {
        if (c->errors[i].status != SPOOR_OK) {
            c->failed++;
            ui_error(&c->errors[i]);
        }
    }
    return SPOOR_OK;
}

static spoor_status write_out(const options *o, const spoor_model *m, cli_corpus *c, spoor_error *err) {
    size_t size = (size_t)net_embedding_size(m->net), n = keep_good(c, size);
    TRY(npy_write_f32(c->ctx, o->out, c->embedding, n, size, err));
    TRY(npy_write_ids(c->ctx, o->out, c->ids, n, err));
    if (c->failed > 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be embedded", c->failed, c->n);
    }
    return SPOOR_OK;
}

static spoor_status run(const options *o, spoor_context *ctx, spoor_error *err) {
    spoor_model *m;
    cli_corpus c = {.ctx = ctx};
    cli_files f;
    TRY(spoor_model_open(ctx, o->model, &m, err));
    cli_files_init(&f, ctx);
    spoor_status status;
    if (o->corpus.n_manifests > 0) {
        status = cli_corpus_read(ctx, &o->corpus, &c, err);
        status = status == SPOOR_OK ? cli_corpus_score(&c, m, &o->corpus, err) : status;
    } else {
        status = embed_files(o, m, &f, &c, err);
    }
    if (status == SPOOR_OK) {
        status = write_out(o, m, &c, err);
    }
    cli_corpus_clear(&c);
    cli_files_clear(&f);
    spoor_model_free(m);
    return status;
}

int cli_embed(int argc, char **argv) {
    options o = {0};
    argp_err_exit_status = SPOOR_ERR_USAGE;
    if (argp_parse(&ARGP, argc, argv, 0, NULL, &o) != 0) {
        return SPOOR_ERR_USAGE;
    }
    spoor_context_options c;
    spoor_context_options_init(&c);
    ui_context_options(&c);
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    spoor_status status = spoor_context_new(&c, &ctx, &err);
    if (status == SPOOR_OK) {
        status = run(&o, ctx, &err);
    }
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    spoor_context_free(ctx);
    return (int)status;
}
