/* fuse.h: what the two halves of `spoor fuse` share: models into a model (fuse.c), score files into a score file
 * (fuse_scores.c). */
#ifndef CLI_FUSE_H
#define CLI_FUSE_H
#include "cli/corpus.h"
#include "train/fuse.h"

typedef enum fuse_method { FUSE_LOGISTIC, FUSE_AVERAGE, FUSE_EMBEDDING } fuse_method;

typedef struct fuse_command {
    const char *inputs[FUSE_MAX_MODELS],
        *embeddings[FUSE_MAX_MODELS]; /* models or score files; matrices beside these */
    size_t n_inputs, n_embeddings;
    char *tasks[FUSE_MAX_MODELS]; /* --tasks NAMES=FILE, split at '=' */
    size_t n_tasks;
    const char *train[CORPUS_MAX_MANIFESTS], *dev[CORPUS_MAX_MANIFESTS];
    size_t n_train, n_dev;
    const char *train_split, *dev_split;
    const char *out, *out_embeddings, *name;
    bool scores, json;     /* scores: the inputs are score files */
    int method, form;      /* form: net_scores */
    fuse_options fit;
    double weights[FUSE_MAX_MODELS], acceptance, prior;
    size_t n_weights;
    spoor_model_options open;
    cli_corpus_options corpus;
} fuse_command;

extern const char *const FUSE_METHODS[], *const FUSE_FORMS[]; /* names, NULL-terminated */

spoor_status fuse_score_files(const fuse_command *o, spoor_context *ctx, spoor_error *err);
/* {"l2", "train", "dev", "tries": [{"l2", "nll", "accuracy"}]} of a task; a new reference. */
json_t *fuse_fit_json(const char *task, size_t classes, const fuse_fit *fit);
json_t *fuse_weights_json(const fuse_weights *w);
/* The summary on standard output, as JSON or for reading; takes it over. */
spoor_status fuse_print(const fuse_command *o, json_t *summary, spoor_error *err);
#endif
