/* chance.h: what figures come out where a system guesses: simulated, since F1 of a guess depends on the classes' shares
 * and has a spread that a small set makes wide. */
#ifndef EVAL_CHANCE_H
#define EVAL_CHANCE_H
#include "base/context.h"

typedef enum chance_form {
    CHANCE_UNIFORM,   /* each class of the task as likely as another, the human class too */
    CHANCE_SYNTHETIC, /* the same over the synthetic classes alone */
    CHANCE_PRIOR,     /* each class as likely as the set has it */
    CHANCE_MAJORITY   /* always the class that the set has most of, the first of equals */
} chance_form;
const char *chance_form_name(chance_form form); /* "uniform", "synthetic", "prior", "majority"; NULL past the last */

typedef struct chance_figure { /* over the repetitions */
    double mean, sd, low, high; /* low, high: quantiles 0.025 and 0.975. NaN where the figure is undefined */
} chance_figure;

enum { CHANCE_WEIGHTED, CHANCE_MACRO, CHANCE_ACCURACY, CHANCE_FIGURES };

typedef struct chance_options {
    chance_form form;
    size_t repetitions; /* 1 or more */
    uint64_t seed;
} chance_options;

/* EER (ASVspoof form) of uniformly random scores; target[n] 1 or 0. */
spoor_status chance_eer(spoor_context *ctx, const unsigned char *target, size_t n, const chance_options *o,
                        chance_figure *out, spoor_error *err);
/* Weighted F1, macro F1 (both over the classes that truth has) and accuracy of guesses; truth[n] in 0..classes-1,
 * human: the index of the human class or -1; stream: another one for each task and set. */
spoor_status chance_f1(spoor_context *ctx, const int32_t *truth, size_t n, size_t classes, int64_t human,
                       uint64_t stream, const chance_options *o, chance_figure out[CHANCE_FIGURES], spoor_error *err);
#endif
