/* recipe.h: everything that a training depends on, read from YAML, checked, defaults filled in. docs/recipe.md
 * describes each setting. Sections that belong to a module (frontend, network, augment) are passed on as JSON; it
 * checks them. */
#ifndef TRAIN_RECIPE_H
#define TRAIN_RECIPE_H
#include "audio/audio.h"
#include "data/manifest.h"
#include "data/sampler.h"
#include <jansson.h>

enum {
    RECIPE_MAX_MANIFESTS = 64,
    RECIPE_MAX_WHERE = 16,   /* filters of one mapping */
    RECIPE_MAX_COLUMNS = 8,  /* columns that a task may take its label from */
    RECIPE_MAX_METRICS = 64
};

typedef struct recipe_where { /* {column: value, column: [value, value]} */
    manifest_where item[RECIPE_MAX_WHERE];
    size_t n;
} recipe_where;

typedef struct recipe_manifest {
    const char *path; /* as written; a relative path counts from the recipe's folder */
    const char *root; /* NULL = the manifest's folder */
    protocol_options how; /* format, split, files, columns */
    recipe_where where;
    const char *most_column; /* of its training rows at most so many for each value of this column; NULL: all */
    int64_t most;
} recipe_manifest;

typedef struct recipe_task {
    const char *name;
    const char *column[RECIPE_MAX_COLUMNS]; /* the first that is not empty gives the label */
    size_t n_columns;
    const char *const *except; /* labels that count as missing */
    size_t n_except;
    const char *from;          /* the task that this one's answers are derived from; NULL: none */
    double weight;
    double smoothing;
    int64_t min_clips;         /* classes with fewer train clips count as missing */
    bool balanced;             /* class_weights: balanced (n / (classes * n_class)) or none */
    const json_t *class_weights; /* {CLASS: weight}, as they are; NULL: not given */
} recipe_task;

typedef enum recipe_metric_kind {
    RECIPE_ACCURACY, RECIPE_TOP5, RECIPE_MACRO_F1, RECIPE_LOSS, RECIPE_AUROC, RECIPE_EER, RECIPE_KNOWN_AUROC
} recipe_metric_kind;

typedef struct recipe_metric {
    const char *name;
    const char *task;
    recipe_metric_kind kind;
    recipe_where where; /* of the dev rows */
} recipe_metric;

typedef enum recipe_cache_type { RECIPE_CACHE_ANY, RECIPE_CACHE_FLOAT32, RECIPE_CACHE_FLOAT16 } recipe_cache_type;
typedef enum recipe_mixup_kind { RECIPE_MIXUP_NONE, RECIPE_MIXUP, RECIPE_REGMIXUP } recipe_mixup_kind;
/* What is mixed: waveforms, features, or embeddings (between the network's body and its heads). */
typedef enum recipe_mixup_level { RECIPE_MIX_FEATURES, RECIPE_MIX_INPUT, RECIPE_MIX_EMBEDDING } recipe_mixup_level;
typedef enum recipe_average_kind { RECIPE_AVERAGE_NONE, RECIPE_AVERAGE_EMA, RECIPE_AVERAGE_SWA } recipe_average_kind;
/* What the weights of the tasks become: themselves, their softmax, or the softmax of parameters that begin with
 * them. */
typedef enum recipe_weights_kind { RECIPE_WEIGHTS_FIXED, RECIPE_WEIGHTS_SOFTMAX,
                                  RECIPE_WEIGHTS_LEARNED } recipe_weights_kind;
typedef enum recipe_schedule_kind { RECIPE_CONSTANT, RECIPE_COSINE, RECIPE_STEP } recipe_schedule_kind;

typedef struct recipe_factor {
    const char *name; /* of parameters, as params_under has it, without "frontend." */
    double factor;
} recipe_factor;

typedef struct recipe_finetune {
    bool on;                   /* the front end's encoders are trained with the network */
    double lr_factor;          /* their learning rate, as a share of the network's */
    recipe_factor *lr_factors; /* times that, for some of them */
    size_t n_lr_factors;
    const char *const *freeze; /* names, as params_under has them, without "frontend." */
    size_t n_freeze;
    int64_t freeze_layers;     /* what lies below that transformer layer is frozen */
    int64_t warm_epochs;       /* all of them are, at first */
    int64_t accumulate;        /* pieces in which a batch goes through the encoders */
    double layer_drop, dropout;
    bool checkpoint;           /* activation checkpointing */
} recipe_finetune;

typedef struct recipe_oc {
    double weight;     /* 0: no One-Class Softmax */
    const char *task;
    double r_real, r_fake, alpha;
    bool linear;       /* a linear layer and its cross-entropy besides */
    int linear_judges; /* which of the two says what is bona fide */
} recipe_oc;

/* Content-matched pairs (data/matched.h): of rows that say from which recording they were made ... */
typedef struct recipe_matched {
    const char *const *content; /* columns that together name a recording; NULL: no such pairs */
    size_t n_content;
    int64_t pairs, blocks;
    bool labels;                /* their clips count in the losses of tasks too */
} recipe_matched;

/* ... and of any recordings, put through chains of augmentation steps as if these were generators. */
typedef struct recipe_resynth {
    json_t *generators;         /* list of {steps: [...], labels: {TASK: CLASS}}; NULL: none. Belongs to resolved */
    recipe_where where;         /* training clips that are put through them */
    int64_t pairs, blocks;
} recipe_resynth;

typedef struct recipe_openset {
    unsigned scorers;     /* openset_kinds */
    int choose;           /* KNOWN_BY_DEV or an openset_kind */
    const char *chosen;   /* the same as text: "dev" or a name */
    int64_t k, vim_dim, bank_per_class;
    double temperature, shrinkage;
    int by_eer;           /* threshold: eer instead of acceptance */
} recipe_openset;

typedef struct recipe_joint { /* a head of which other tasks are attributes (net/joint.h) */
    const char *task;
    const char *const *parents; /* NULL or none: there is no such head */
    size_t n_parents;
} recipe_joint;

typedef struct recipe_ge2e {
    double weight; /* 0: no GE2E */
    const char *task;
    int contrast;  /* else softmax */
} recipe_ge2e;

typedef struct recipe {
    json_t *resolved; /* the whole recipe with every default filled in; owns all strings here */
    char *folder;     /* of the recipe file, "" or ending in '/' */
    const char *name;
    const char *from; /* the model file, or earlier stage, whose weights it starts with; "": none */
    int64_t seed, batch, epochs;

    recipe_manifest manifest[RECIPE_MAX_MANIFESTS];
    size_t n_manifests;
    recipe_where train, dev;
    const char *const *without; /* classes of source_task whose training rows are left out; NULL or none */
    size_t n_without;
    recipe_task *task;
    size_t n_tasks;
    const char *group[SAMPLER_MAX_GROUPS];
    size_t n_groups;
    int64_t crop;          /* samples of training clips, at most a window of the model */
    int64_t cache_mb;
    bool cut; /* data.silence: recordings are read without their silences: */
    audio_silence silence;
    const char *page_column, *setting_column;
    const char *source_task;                    /* whose logits tell known from unknown */

    const json_t *frontend, *network, *augment; /* borrowed from resolved */
    double augment_p;                           /* share of training clips that go through the chain */
    int64_t time_masks, time_width, band_masks, band_width;
    const char *cache_path; /* of the store that training features come from; "": they are computed */
    int64_t cache_copies, cache_seed;
    double cache_p;         /* share of clips for which a copy is taken */
    int cache_type;         /* recipe_cache_type */
    int mixup;
    int mixup_level;
    double mixup_p, mixup_alpha, mixup_eta;
    double npair_weight, npair_l2, npair_scale;
    bool npair_normalise;
    recipe_oc oc;
    recipe_ge2e ge2e;
    int task_weights;       /* recipe_weights_kind */
    recipe_joint joint;
    const char *taxonomy; /* file that is kept in the model; "": none */
    int64_t unseen_folds; /* trainings that leave sources out, to learn what is said of unseen ones; 0: none */
    int sampler;
    const char *sampler_task;
    const char *sampler_by, *sampler_within; /* columns of the taxonomy's classes, and of what a class consists of */
    double sampler_human;   /* share of bona fide clips */
    int64_t sampler_clips;  /* of an epoch; 0: until each bona fide clip was drawn once */
    int64_t pairs, per_class;
    bool crossed;           /* content-matched pairs are turned round in turn */
    recipe_matched matched;
    recipe_resynth resynth;

    bool adamw;
    double lr, beta1, beta2, eps, weight_decay, clip;
    int schedule;
    double warmup, floor, step_factor;
    int64_t step_epochs;
    int average;
    double average_decay, average_start;

    recipe_finetune finetune;
    recipe_openset openset;

    int64_t dev_every, patience, checkpoint_steps, log_steps;
    recipe_metric *metric;
    size_t n_metrics;
    const char *select[RECIPE_MAX_METRICS]; /* names of metrics: their mean is what best means */
    size_t n_select;
    const char *card;        /* one line; "": made from the data */
    bool half;               /* weights of the model file as F16 */
    double acceptance;       /* of known sources, for the threshold */
    double prior;            /* of bona fide, for probabilities */
    int bonafide_score;      /* model_bonafide_kind */
} recipe;

/* set: "key.key=value" (value as in YAML, without lists) applied before checking. SPOOR_ERR_USAGE names file and key;
 * an unknown key comes with the nearest known one. A recipe with stages is refused (recipe_stages.h reads those). */
spoor_status recipe_open(spoor_context *ctx, const char *path, const char *const *set, size_t n_set, recipe **out,
                         spoor_error *err);
/* From a JSON object (borrowed); folder as in struct recipe. */
spoor_status recipe_from_json(spoor_context *ctx, const json_t *json, const char *folder, recipe **out,
                              spoor_error *err);
void recipe_free(spoor_context *ctx, recipe *r);
/* Rows of a batch that are in pairs; they come first. */
int64_t recipe_pair_rows(const recipe *r);
/* The first section in which two resolved recipes differ, which lives as long as they; NULL: none. */
const char *recipe_difference(const json_t *a, const json_t *b);
/* Bytes of memory for recordings that augmentation steps name: a quarter of data.cache_mb, beside it. */
size_t recipe_recordings_bytes(const recipe *r);
/* Path of a file named in the recipe; freed with ctx_free, NULL = out of memory. */
char *recipe_path(spoor_context *ctx, const recipe *r, const char *path);
#endif
