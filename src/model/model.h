/* model.h: one model file = front end + network + class names + open-set statistics + calibration + provenance, in one
 * .safetensors file: tensors are the network's parameters by name, metadata key "spoor" is the JSON described below.
 * Immutable once opened and shared between threads (forward passes go through net with a tape of the caller's).
 *
 * "spoor": {"format": 1, "name": "...", "card": "one line", "window": 64600,
 *   "frontend": {...}, "network": {...}, "silence": {...},
 *   "tasks": [{"name": "source", "classes": ["bonafide", "adain-vc", ...], "calibration": {...}}, ...],
 *   "known": {"task": "source", "openset": {...}},
 *   "bonafide_score": "product",
 *   "bonafide": {...},
 *   "verify": {...},
 *   "taxonomy": {...},
 *   "provenance": {...}}
 * silence (audio_silence_to_json): it was trained on recordings without their silences, and hears others so too;
 * absent: whole. A task may be derived: "from": {"task": "source", "classes": ["vc", "tts", null, ...]} names its class
 * for each class of the other task; its synthetic classes are then ranked by the sums of the other's probabilities
 * (model_derive).
 * calibration: calibrate_temperature_to_json; openset: openset_to_json; bonafide: calibrate_logistic_to_json of the
 * score of model_bonafide_score, of which bonafide_score names the kind (absent: mean); provenance: anything (recipe,
 * data, dev results). calibration, known and bonafide may be
 * absent: temperature 1, everything known, llr = score. verify: verify_to_json, with "statistics"
 * (openset_stats_to_json) where they are its own ("verify.origin", ...); absent: comparisons are not calibrated. A
 * scorer that stands on the train set has its statistics in tensors whose names begin with "openset.", those that it
 * needs and no other (openset_tensors).
 *
 * taxonomy: taxonomy_json, of how the sources are built; absent: the one that is built in, where a task is one of its
 * attributes. A task's "calibration_unseen" (calibrate_evidence_to_json, or as calibration) is that of sources which
 * the model does not know, "known"."accepted" the shares {"known", "unknown"} of dev's recordings that the threshold
 * accepts, "known"."odds" (calibrate_logistic_to_json) what the known score itself says: see model_attribute.
 *
 * A pretrained front end that is in the file has its tensors under "frontend."; one that is not ("embed": false) is
 * named by the path and the hash of its checkpoint.
 *
 * Names and the card hold no control characters. A class named "bonafide", "human" or "real" is the task's human class:
 * it takes no part in ranking sources (that ranking is given that the speech is synthetic) nor in the known score.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H
#include "audio/audio.h"
#include "data/taxonomy.h"
#include "frontend/frontend.h"
#include "net/net.h"
#include "openset/calibrate.h"
#include "openset/statistics.h"
#include "openset/verify.h"
#include "weights/safetensors.h"

enum { MODEL_META_MAX = 4 << 20 /* bytes of the metadata; jansson makes up to a hundred of two */ };

typedef struct model_task {
    char *name;
    size_t n_classes;
    char **classes;
    int64_t human;      /* index of the class "bonafide", "human" or "real"; -1 if there is none */
    int32_t *parent;    /* derived from another task: the class here for each class there, -1 = none; NULL: not
                         * derived */
    size_t from;        /* that task */
    double temperature; /* calibrated probabilities = softmax(mean logits / temperature) */
    double unseen;      /* the temperature of what is said of sources that the model does not know; 0: not fitted */
    calibrate_evidence *evidence; /* how that was fitted where sources were left out of trainings; NULL: it was not */
} model_task;

/* How the tasks with a human class judge together whether speech is human. With p_k the probability of task k's human
 * class (softmax over all of its classes), z_k its log odds, K such tasks: */
typedef enum model_bonafide_kind {
    MODEL_BONAFIDE_MEAN,         /* mean of z_k */
    MODEL_BONAFIDE_TASK,         /* z_k of the bona fide task alone (model_bonafide_task) */
    MODEL_BONAFIDE_PRODUCT,      /* log odds of P = (prod_k p_k)^(1/K): eq. 2 of "Codec-Based Deepfake Source Tracing
                                  * via Neural Audio Codec Taxonomy" (Interspeech 2025), which rises with P */
    MODEL_BONAFIDE_SPOOF_PRODUCT /* log odds of P = 1 - (prod_k (1 - p_k))^(1/K): the form in that paper's published
                                  * code */
} model_bonafide_kind;
extern const char *const MODEL_BONAFIDE_KINDS[]; /* their names in recipes and model files; NULL behind the last */

typedef struct model_accepted { /* shares of dev's recordings of known and of unknown sources; both 0: not measured */
    double known, unknown;
} model_accepted;

struct spoor_model {
    spoor_context *ctx;
    frontend *frontend;
    net *net;
    model_task *tasks;
    size_t n_tasks;
    int64_t window; /* samples at 16 kHz */
    bool cut;       /* recordings are heard without their silences: */
    audio_silence silence;
    char *name, *card;
    char sha256[65]; /* of the file */
    size_t known_task;    /* which task's logits give the known score; SIZE_MAX: none */
    openset openset;
    model_accepted accepted;   /* what its threshold accepts */
    bool has_odds;             /* what the known score says of P(known) was fitted: */
    calibrate_logistic odds;
    openset_stats *openset_stats; /* what openset.stats points to; NULL: none */
    size_t bonafide_task; /* the task whose labels say what is bona fide; SIZE_MAX: none, no bona fide score */
    model_bonafide_kind bonafide_kind;
    calibrate_logistic bonafide;
    verify verify;               /* how recordings are compared; by which statistics: model_space (compare.h) */
    openset_stats *verify_stats; /* its own; NULL: none */
    taxonomy *taxonomy;          /* of the sources; NULL: no task is an attribute of one */
    char *path;                  /* the file it was opened from */
    json_t *meta; /* the whole "spoor" object */
};

/* Open and check everything: every parameter of the network present with dtype F32 or F16 and the right shape, no
 * parameter left over. SPOOR_ERR_MODEL with a sentence otherwise, also where the file cannot be read; SPOOR_ERR_LIMIT.
 * (spoor_model_open is the public name.) */
spoor_status model_open(spoor_context *ctx, const char *path, const spoor_model_options *options, spoor_model **out,
                        spoor_error *err);
/* The same from the bytes of a file, which are needed during the call only; `name` is what sentences call it. */
spoor_status model_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, spoor_model **out,
                               spoor_error *err);
/* An open model file on its way into front end and network. */
typedef struct model_source {
    const char *path; /* for sentences */
    const safetensors *file;
} model_source;
/* An encoder_read_fn (encoder.h) over the file's tensors: F32 or F16, finite. user: a model_source. */
spoor_status model_read_tensor(void *user, const char *name, int ndim, const int64_t *dim, float *out,
                               spoor_error *err);
/* The folder that a model's relative paths count from; freed with ctx_free; NULL: out of memory. */
char *model_folder(spoor_context *ctx, const char *path);
/* The silences that the model does without, for audio_follow_silence; NULL: none. */
const audio_silence *model_silence(const spoor_model *m);
/* Whether a class of this name is human speech: "bonafide", "human" or "real". */
bool model_is_human(const char *name);
/* Index of a task by name, or SIZE_MAX. */
size_t model_find_task(const spoor_model *m, const char *name);
/* Where a task's logits begin in a row of logits of all tasks; of n_tasks: where they end. */
size_t model_offset(const spoor_model *m, size_t task);
/* The task "bonafide" if the model has it (classes "bonafide" and "spoof"), else any task with a human class;
 * SIZE_MAX. */
size_t model_bonafide_task(const model_task *tasks, size_t n);
/* Log odds of human speech by one task's logits: logit of the human class minus logsumexp of the others. */
double model_human_log_odds(const model_task *task, const float *logits);
/* Uncalibrated bona fide score from all logits (tasks one after the other), of the model's kind, over the tasks with a
 * human class and another one. (Heads that were trained on other questions err on other clips.) NAN if no task has
 * one. */
double model_bonafide_score(const spoor_model *m, const float *logits);
/* Judge by another kind of bona fide score, to which the model's calibration does not apply; kind NULL: leave it. An
 * open model that nobody else uses yet. SPOOR_ERR_USAGE for a name that is none. */
spoor_status model_judge_as(spoor_model *m, const char *kind, spoor_error *err);
/* The kind by its name; NULL: the mean. SPOOR_ERR_USAGE: another value. */
spoor_status model_bonafide_kind_from_json(const json_t *json, model_bonafide_kind *out, spoor_error *err);
/* The logits without the human class, into out[n_classes]; returns how many there are. map (may be NULL) gets the
 * class index of each. */
size_t model_synthetic_logits(const model_task *task, const float *logits, float *out, int32_t *map);
/* Replace the logits of derived tasks: what the task's own head says of human against synthetic stays, and the
 * synthetic part is shared out by the other task's probabilities (given that the speech is synthetic). logits: of all
 * tasks. */
spoor_status model_derive(const spoor_model *m, float *logits, spoor_error *err);
/* ---- attributes (attributes.c) ----
 * A row of logits has the classes of all tasks one after the other, then the evidence of each parent of the joint head
 * (net/joint.h), in the order of the parents. */
size_t model_row_size(const spoor_model *m);
/* Of a row whose joint task's logits are final (means over windows): the parents' logits become T log sum_c M exp(z_c /
 * T) with the joint task's temperature T, which is the parents' too, so that their probabilities are the sums of its.
 * No joint head: nothing. */
void model_join(const spoor_model *m, float *row);
bool model_is_parent(const spoor_model *m, size_t task); /* of the joint head */
/* Whether a task is an attribute of sources: a parent of the joint head, or named by the taxonomy; not the known task,
 * nor one that tells human from synthetic alone. */
bool model_is_attribute(const spoor_model *m, size_t task);
/* The logits that speak of sources outside of the list: the evidence of a parent of the joint head, else the task's
 * own. */
const float *model_evidence(const spoor_model *m, const float *row, size_t task);
/* P(the model knows the source), before the recording as likely as not, given its known score: by its odds, or, where
 * they were not fitted, by the side of the threshold, a / (a + b) with the shares a of known and b of unknown sources
 * that are there too. 1 or 0 where those were not measured; NAN: it has no score. */
double model_known_probability(const spoor_model *m, double known);
/* What is said of an attribute of a source. p[n_classes], given that the speech is synthetic (the class of human speech
 * has 0): w s + (1 - w) r with w = P(known), s = softmax(logits / temperature), r = what the evidence is worth where a
 * source is unseen: calibrate_evidence_p, or softmax(evidence / temperature). s alone where that was not fitted or w is
 * NAN. */
void model_attribute(const spoor_model *m, size_t task, const float *row, double w, double *p);
/* Another taxonomy (path NULL or "": the model's own or the one that is built in, where they fit). SPOOR_ERR_INPUT. */
spoor_status model_take_taxonomy(spoor_model *m, const char *path, spoor_error *err);
json_t *model_parent_to_json(const model_task *tasks, size_t index); /* a new reference; NULL: out of memory */
spoor_status model_parent_from_json(spoor_model *m, size_t index, const json_t *json, spoor_error *err);
spoor_status model_parents_check(const spoor_model *m, spoor_error *err);
/* Fill name, classes, n_classes and human of a task; names are copied. */
spoor_status model_task_init(spoor_context *ctx, model_task *task, const char *name, const char *const *classes,
                             size_t n, spoor_error *err);
void model_task_clear(spoor_context *ctx, model_task *task);
/* Write a model file: the network's parameters (half: matrices and kernels as F16), the front end's that belong into it
 * (fe may be NULL; those of a frozen one as F16 only where that loses nothing), the statistics that the known score
 * needs (known may be NULL: none; its description is in meta) and the metadata object above. */
spoor_status model_save(spoor_context *ctx, const char *path, net *n, const frontend *fe, const openset *known,
                        const json_t *meta, bool half, spoor_error *err);
/* The model file `from` with the metadata and the open-set statistics of m, which was opened from it; everything else
 * keeps its bytes. `to` may be `from`. */
spoor_status model_set_known(spoor_context *ctx, const char *from, const char *to, const spoor_model *m,
                             spoor_error *err);
/* The open file `old` written as `to` with another text under one key of its metadata; everything else keeps its
 * bytes. */
spoor_status model_set_text(spoor_context *ctx, safetensors *old, const char *to, const char *key, const char *text,
                            spoor_error *err);
/* SPOOR_ERR_USAGE where the model of the file `from` cannot be written as `to`, since it names its front end's weights
 * by a path beside it and `to` is in another folder. */
spoor_status model_check_folder(const spoor_model *m, const char *from, const char *to, spoor_error *err);
/* The statistics that the known score needs, as tensors of a file that is being written; they are borrowed until it is
 * saved. */
spoor_status model_add_statistics(safetensors_writer *w, const openset *known, spoor_error *err);
#endif
