/* verify.h: the parts of `spoor verify`. */
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H
#include "cli/corpus.h"

typedef struct verify_options {
    const char *model, *out;
    bool calibrate, pairs, json;
    double false_acceptance, prior, shrinkage;
    spoor_model_options open;
    cli_corpus_options corpus;
    const char *a, *b;
} verify_options;

/* A copy of the model, o->out, that is calibrated to compare recordings. */
spoor_status cli_verify_calibrate(const verify_options *o, spoor_context *ctx, spoor_error *err);
/* Every pair of a list. */
spoor_status cli_verify_pairs(const verify_options *o, spoor_model *m, spoor_error *err);
json_t *cli_verify_number(double x); /* null where it is not finite */
spoor_status cli_verify_print(json_t *object, spoor_error *err); /* one line of JSON; the object is given up */
#endif
