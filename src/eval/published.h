/* published.h: score files as the field's systems write them: one line a recording, its id and one number (a detection
 * score) or one for each class (`utt p0 p1 p2 p3`), without a header. */
#ifndef EVAL_PUBLISHED_H
#define EVAL_PUBLISHED_H
#include "data/delimited.h"

enum { PUBLISHED_MAX_VALUES = 1024 };

typedef struct published_scores {
    spoor_context *ctx;
    delimited table;  /* has the ids */
    size_t n, values; /* lines; numbers of each */
    float *value;     /* [n, values] */
    size_t *order;    /* [n] lines by id */
} published_scores;

/* Reads into *out, to be cleared also on failure. Ids may begin with "./". SPOOR_ERR_INPUT with the line: another
 * number of fields than 1 + values, a value that is no finite number, an id that stands twice with different values. */
spoor_status published_read(spoor_context *ctx, const char *path, size_t values, published_scores *out,
                            spoor_error *err);
void published_clear(published_scores *p);
const char *published_id(const published_scores *p, size_t line);
/* The line of an id; SIZE_MAX: none. */
size_t published_find(const published_scores *p, const char *id);
#endif
