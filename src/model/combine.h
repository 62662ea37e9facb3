/* combine.h: several model files as one file, whose network is an ensemble of all their members behind one joined front
 * end. Parts of front ends that are the same (settings and weights) are there once. Weights are copied as they are
 * stored: a task that one model answers has the same bits as from that model's own file. */
#ifndef MODEL_COMBINE_H
#define MODEL_COMBINE_H
#include "model/model.h"

typedef struct combine_input {
    const char *path;
    const char *const *tasks; /* which of its tasks it answers in the new model */
    size_t n_tasks;           /* 0: all */
} combine_input;

typedef struct combine_options {
    const char *name;     /* of the new model; NULL: the names of the models with " + " between */
    const char *card;     /* NULL: one line that says so */
    const json_t
        *fusion; /* "fusion" of net.h without "groups", where models answer the same tasks together; NULL: none */
} combine_options;

/* Write the model to `path` (which may be one of the inputs). options may be NULL.
 *
 * Without a fusion every task must be one model's: the models leave each other's tasks alone. The first model whose
 * known score is of a task that it keeps gives the known score with its statistics and threshold, and it alone gives
 * the embedding (where there is none, all do); calibrations go with their tasks; the bona fide calibration where what
 * it judges is unchanged, else it is left out. With one, a task may be several models'; the classes of a task are those
 * of the first model that answers it, then what others know besides; nothing is calibrated, and the heads of a logistic
 * fusion are 0 until they are fitted (model_rewrite). An average needs models that know the same classes (in any
 * order).
 *
 * SPOOR_ERR_USAGE with a sentence: a task that a model does not have, or that two models have without a fusion; a model
 * that is a fusion itself; another window; more members, parts or columns than a model can have. SPOOR_ERR_MODEL,
 * SPOOR_ERR_LIMIT, SPOOR_ERR_IO as opening and writing. */
spoor_status model_combine(spoor_context *ctx, const combine_input *inputs, size_t n, const combine_options *options,
                           const char *path, spoor_error *err);

typedef struct model_tensor {
    const char *name;
    int rank;
    int64_t shape[TENSOR_DIMS];
    const float *data;
    bool half; /* stored as F16 */
} model_tensor;

/* A parameter as one of them. */
model_tensor model_tensor_of(const char *name, const tensor *value);
/* The statistics that the known score o stands on into out[OPENSET_MAX_TENSORS]; returns how many. */
size_t model_tensors_of_known(const openset *o, model_tensor *out);

/* The model file `from` again with other metadata and with these tensors instead of those of the same name (or
 * besides), as the file `to`, which may be the same. */
spoor_status model_rewrite(spoor_context *ctx, const char *from, const char *to, const json_t *meta,
                           const model_tensor *changed, size_t n, spoor_error *err);
#endif
