/* known.h: the known score of a model: statistics of the train set, the choice among the scorers on dev, the threshold.
 * Used at the end of a training, by `spoor openset` and wherever a model is made (the scorers themselves: openset/). */
#ifndef TRAIN_KNOWN_H
#define TRAIN_KNOWN_H
#include "openset/statistics.h"
#include "train/score.h"

enum { KNOWN_BY_DEV = -1 };

typedef struct known_options {
    openset_kinds scorers;   /* to choose among; those that the gate, if it is one of them, joins */
    int choose;              /* KNOWN_BY_DEV: the greatest AUROC on dev, of equals the first; or an openset_kind */
    double temperature;
    size_t k;
    openset_fit_options fit;
    size_t replicates;       /* of the table's intervals (pages are resampled); 0: none */
} known_options;
void known_options_init(known_options *o); /* all, by dev, 1, 6, the defaults of openset_fit, 1000 */

/* Train clips through the model: logits[n, L] of all tasks, embedding[n, E], label[n] = class of the known task, -1 =
 * none. Human speech is left out. */
typedef struct known_train {
    const float *logits, *embedding;
    const int32_t *label;
    size_t n;
} known_train;
/* Do the options need train clips? */
bool known_needs_train(const known_options *o);

/* Fit statistics (train may be NULL: scorers that need them are left out), score dev by every scorer, choose one and
 * make it m's (statistics included, which the model then owns). The gate is judged by scores that are crossed over
 * pages, and fitted on all of dev if it is chosen. Without known and unknown sources on dev the first of the scorers is
 * taken. The threshold is not fixed here (score_calibrate). Where the model has no known score, nothing happens.
 * dev may be NULL: nothing to judge by. *table (a new reference; NULL where dev cannot judge):
 * {"known": n, "unknown": n, "pages": n, "folds": n, "chosen_by": "dev" or "name", "scorers":
 *   [{"scorer", "auroc", "fpr95", "eer": {"value", "low", "high"}, "chosen"}]}.
 * A named scorer that cannot be had: SPOOR_ERR_USAGE, or SPOOR_ERR_INPUT with the reason. */
spoor_status known_choose(spoor_model *m, const known_train *train, const score_labels *dev, const float *logits,
                          const float *embedding, const known_options *o, json_t **table, spoor_error *err);
/* The table for people; freed with ctx_free; NULL: out of memory. */
char *known_table_text(spoor_context *ctx, const json_t *table);

/* Fix the threshold of m->openset on dev's known scores (score_calibrate says how) and write "known" into m->meta. */
spoor_status known_fix_threshold(spoor_model *m, const score_labels *l, const float *logits, const float *embedding,
                                 double acceptance, spoor_error *err);
/* Write "known" into m->meta as m->openset is. */
spoor_status known_describe(spoor_model *m, spoor_error *err);
#endif
