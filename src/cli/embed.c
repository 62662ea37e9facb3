/* embed.c: `spoor embed`: one embedding a recording, as a NumPy matrix with the ids beside it. */
#include "cli/cli.h"
#include "cli/corpus.h"
#include "cli/files.h"
#include "cli/ui.h"
#include "eval/npy.h"
#include <string.h>

enum { KEY_PRECISION = 256 };

typedef struct options {
    const char *model, *out;
    spoor_model_options open;
    cli_corpus_options corpus;
    char **files;
    size_t n_files;
} options;

static const struct argp_option OPTIONS[] = {
    {"model", 'm', "FILE", 0, "model file (default: $SPOOR_MODEL, then the installed one)", 0},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     0},
    {"out", 'o', "FILE.npy", 0, "the matrix [recordings, size]; FILE.ids.txt gets the ids, one a line", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus; return 0;
    case 'm': o->model = arg; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case 'o': o->out = arg; return 0;
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

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 0}, {0}};
static const struct argp ARGP = {OPTIONS, parse, "FILE...\n--manifest CSV",
                                 "Write the embedding of each recording. Recordings that fail are left out and named.",
                                 CHILDREN, NULL, NULL};

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

static spoor_status write_out(const options *o, const spoor_model *m, cli_corpus *c, spoor_error *err) {
    size_t size = (size_t)net_embedding_size(m->net), n = keep_good(c, size);
    TRY(npy_write_f32(c->ctx, o->out, c->embedding, n, size, err));
    TRY(npy_write_ids(c->ctx, o->out, c->ids, n, err));
    if (c->failed > 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be embedded", c->failed, c->n);
    }
    return SPOOR_OK;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    const options *o = user;
    spoor_model *m;
    cli_corpus c = {0};
    cli_files f;
    TRY(spoor_model_open_with(ctx, o->model, &o->open, &m, err));
    cli_files_init(&f, ctx);
    spoor_status status = cli_corpus_choose(ctx, &o->corpus, o->files, o->n_files, &f, &c, err);
    if (status == SPOOR_OK) {
        status = cli_corpus_score(&c, m, &o->corpus, err);
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
    return ui_command(&ARGP, argc, argv, &o, run);
}
