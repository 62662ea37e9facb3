/* corpus.h: the recordings of manifests (or named files) through a model, for `spoor eval` and `spoor embed`. */
#ifndef CLI_CORPUS_H
#define CLI_CORPUS_H
#include "audio/augment/degrade.h"
#include "cli/files.h"
#include "cli/lists.h"
#include "train/score.h"
#include <argp.h>

enum { CORPUS_MAX_MANIFESTS = 64, CORPUS_MAX_WHERE = 16 };

typedef struct cli_corpus_options {
    const char *manifests[CORPUS_MAX_MANIFESTS];
    size_t n_manifests;
    protocol_options how; /* in which format they are */
    const char *root, *split; /* NULL: the manifest's folder; all splits */
    const char *where[CORPUS_MAX_WHERE]; /* "column=value" */
    size_t n_where;
    unsigned threads; /* 0 = processors */
    double hop;       /* seconds; 0 = one window */
    bool first_window; /* of each recording that alone */
    spoor_silence silence;
    const degrade *degrade; /* what happens to each recording first; NULL: nothing */
} cli_corpus_options;

/* --manifest, --root, --split, --where, --hop, --silence, --jobs and those of lists.h: a child parser whose input is a
 * cli_corpus_options. */
extern const struct argp cli_corpus_argp;
/* What --manifest does, for a command that has a short option for it. */
void cli_corpus_manifest(cli_corpus_options *o, const char *csv, const struct argp_state *state);

typedef struct cli_corpus {
    spoor_context *ctx;
    const spoor_model *model; /* while they are scored */
    const cli_corpus_options *how;
    manifest *manifest;
    size_t *rows, n;      /* of the manifest; NULL for named files */
    const char **ids;     /* [n] */
    const char **paths;   /* [n] to open */
    float *logits;        /* [n, L] */
    float *embedding;     /* [n, E] */
    spoor_error *errors;  /* [n] */
    size_t failed;
} cli_corpus;

/* Read manifests and choose rows. "column=value" without '=' is a usage error. */
spoor_status cli_corpus_read(spoor_context *ctx, const cli_corpus_options *o, cli_corpus *out, spoor_error *err);
/* Named files, which are their own ids; `paths` must live as long. */
spoor_status cli_corpus_files(spoor_context *ctx, char *const *paths, size_t n, cli_corpus *out, spoor_error *err);
/* The rows of --manifest where there is one, else the recordings of files and folders, whose paths f keeps. */
spoor_status cli_corpus_choose(spoor_context *ctx, const cli_corpus_options *o, char *const *files, size_t n,
                               cli_files *f, cli_corpus *out, spoor_error *err);
/* The first window of a recording into samples[AUDIO_WINDOW]. */
spoor_status cli_corpus_window(spoor_context *ctx, const char *path, float *samples, spoor_error *err);
/* The recordings through the model, in place of what an earlier call made. Those that fail are named on stderr and
 * counted; the others go on. */
spoor_status cli_corpus_score(cli_corpus *c, spoor_model *m, const cli_corpus_options *o, spoor_error *err);
void cli_corpus_clear(cli_corpus *c);
#endif
