/* score.h: labelled recordings through a model: forward passes, calibration on dev, and the eval_set of what came out.
 * Used at the end of a training and by `spoor eval`. One recording is computed on one thread, window by window as in
 * tracing, so results do not depend on the number of threads. */
#ifndef TRAIN_SCORE_H
#define TRAIN_SCORE_H
#include "audio/audio.h"
#include "data/manifest.h"
#include "eval/eval_set.h"
#include "model/model.h"

/* ---- labels ---- */

typedef struct score_label {
    const char *id, *split, *page, *setting, *source;
    int is_bonafide, is_known; /* as in eval_clip */
    int32_t *truth;            /* [tasks] class index or -1; the human class counts in the bona fide task alone */
    int32_t *label;            /* [tasks] the same with the human class wherever it stands */
} score_label;

typedef struct score_labels {
    spoor_context *ctx;
    score_label *clip;
    size_t n;
    int32_t *numbers; /* what truth and label point into */
} score_labels;

/* Labels of the manifest's rows for the model's tasks. spec: the "labels" object of a model file's provenance,
 * {"tasks": {NAME: {"column": C or [C..], "except": [..]}}, "page": C, "setting": C, "split": C}; NULL or a missing
 * member: each task's column has the task's name, the others "page", "setting", "split". Strings live as long as the
 * manifest. */
spoor_status score_labels_new(spoor_context *ctx, const spoor_model *m, const manifest *from, const size_t *rows,
                              size_t n, const json_t *spec, score_labels **out, spoor_error *err);
void score_labels_free(score_labels *l);
/* What stands in a row as the label of a task, also where the model has no such class; "" where nothing does. Lives as
 * long as the manifest. */
const char *score_label_text(const spoor_model *m, const manifest *from, size_t row, const json_t *spec, size_t task);

/* ---- forward ---- */

/* Opens recording `clip`; *owned (freed with ctx_free after the audio) may hold its samples. From several threads. */
typedef spoor_status (*score_open)(void *user, size_t clip, spoor_audio **audio, float **owned, spoor_error *err);

/* Mean over windows: logits[trace_logits_size] of all tasks, embedding[E] (NULL: not wanted). hop 0 = one window. */
spoor_status score_recording(spoor_session *s, spoor_audio *audio, size_t hop, float *logits, float *embedding,
                             spoor_error *err);
/* All n recordings on `threads` workers: logits[n, L], embedding[n, E] or NULL. A recording that fails leaves its
 * sentence in errors[i] (status SPOOR_OK otherwise), and its row is zero; the call itself fails for lack of memory and
 * cancelling only. */
spoor_status score_all(spoor_context *ctx, spoor_model *m, unsigned threads, size_t n, score_open open, void *user,
                       size_t hop, float *logits, float *embedding, spoor_error *errors, spoor_error *err);

/* ---- calibration ---- */

/* Fit on dev and write into the model and m->meta: a temperature for each task, the bona fide map at `prior`, the known
 * threshold that accepts `acceptance` of known sources (0: where as many known sources are refused as unknown ones
 * accepted, the EER of the ASVspoof form). embedding[n, E] may be NULL where the known score does not use it. What dev
 * cannot tell (no clips) is logged and left as it is. Of a joint head the rows are joined anew, at the temperature that
 * was fitted (model_join). */
spoor_status score_calibrate(spoor_model *m, const score_labels *l, float *logits, const float *embedding,
                             double acceptance, double prior, spoor_error *err);

/* ---- scores ---- */

typedef struct score_set {
    spoor_context *ctx;
    eval_set set;
    eval_task *tasks;
    eval_clip *clips;
    float *scores;
} score_set;

/* Calibrated scores as tracing gives them: of a task without its human class, probabilities given that the speech is
 * synthetic; of the bona fide task, both. failed (NULL: none): clips with a status other than OK were not evaluated.
 * folds >= 2: the calibration of each clip is fitted on the other folds (pages kept whole) instead of the model's,
 * which is what to report on the set that the model was calibrated on. embedding as in score_calibrate. */
spoor_status score_set_new(spoor_context *ctx, const spoor_model *m, const score_labels *l, const float *logits,
                           const float *embedding, const spoor_error *failed, size_t folds, score_set **out,
                           spoor_error *err);
void score_set_free(score_set *s);

/* Raw known scores (higher = more like a known source) of n rows of logits (and embeddings, NULL as in score_calibrate)
 * into known[n]; NaN where the model has none. Statuses as openset_score. */
spoor_status score_known(const spoor_model *m, size_t n, const float *logits, const float *embedding, double *known,
                         spoor_error *err);
/* The same for labelled clips: a gate, which was fitted on dev, is replaced by gates that were fitted on other folds
 * of pages (folds >= 2), so that the scores of dev are honest. Other scorers learn nothing from dev. */
spoor_status score_known_crossed(const spoor_model *m, const score_labels *l, const float *logits,
                                 const float *embedding, size_t folds, double *known, spoor_error *err);
/* Raw bona fide score of a row of logits; NaN where the model has none. */
double score_bonafide(const spoor_model *m, const float *logits);
/* Pages as numbers 0..*groups-1; a clip without a page is a group of its own. *out[n] is freed with ctx_free. */
spoor_status score_page_groups(spoor_context *ctx, const score_labels *l, int32_t **out, size_t *groups,
                               spoor_error *err);
enum { SCORE_FOLD_SEED = 1 }; /* of calibrate_folds, wherever dev is crossed */
/* Best class of a task, the human class left out but in the bona fide task. */
int32_t score_best(const spoor_model *m, size_t task, const float *logits);
/* Does the human class take part in what this task says? Only in the bona fide task with two classes. */
bool score_with_human(const spoor_model *m, size_t task);
#endif
