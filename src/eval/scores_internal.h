/* scores_internal.h: what the two readers of score files share. */
#ifndef EVAL_SCORES_INTERNAL_H
#define EVAL_SCORES_INTERNAL_H
#include "data/delimited.h"
#include "eval/scores.h"
#include <locale.h>

struct score_file {
    spoor_context *ctx;
    delimited table; /* owns the strings */
    eval_set set;
    eval_task *tasks;
    const char **names; /* class names, task after task */
    eval_clip *clips;
    int32_t *truth;
    float *scores;
    char *numbers; /* line numbers as text, where a foreign file has no ids */
};

/* The C locale for this thread while numbers are read or written: a program's own may have a comma for a point. */
typedef struct plain_numbers {
    locale_t plain, before;
} plain_numbers;
spoor_status plain_numbers_begin(plain_numbers *p, spoor_error *err);
void plain_numbers_end(plain_numbers *p);

/* The whole text is one number; "" and NaN are none. Call between plain_numbers_begin and _end. */
bool score_number(const char *text, double *out);
/* A row of `width` scores and `tasks` labels for each of n clips, all unset. false = out of memory or too many. */
bool score_file_allocate(score_file *f, size_t n, size_t tasks, size_t width);
#endif
