/* body.h: the part of a network between features and the vector that its heads read. One interface over all kinds, so
 * that net.c need not know them: a new kind is a file of its own and a row of the table in body.c. */
#ifndef NET_BODY_H
#define NET_BODY_H
#include "net/aasist.h"
#include "net/conformer.h"
#include "net/pooled.h"

/* The names of the kinds in a recipe or model file, in the order of body_kind. */
#define BODY_NAMES "conformer", "pooled", "aasist"
typedef enum body_kind { BODY_CONFORMER, BODY_POOLED, BODY_AASIST, BODY_KINDS } body_kind;

/* Plain data: pointers to parameters and sizes; owns nothing. */
typedef struct body {
    body_kind kind;
    union {
        conformer conformer;
        pooled pooled;
        aasist aasist;
    } as;
} body;

/* The keys of the "network" object that belong to this kind alone; NULL-terminated. */
const char *const *body_keys(body_kind kind);
/* Read the sizes from the "network" object; keys of other parts of the network are left alone. */
spoor_status body_configure(body *b, body_kind kind, const json_t *config, int64_t input_dim, spoor_error *err);
/* Add the parameters, named prefix... (after body_configure). */
spoor_status body_init(body *b, params *p, const char *prefix, spoor_error *err);
/* features [B,T,D] -> [B, body_pooled(b)] */
tensor *body_forward(const body *b, tape *t, tensor *features);
int64_t body_pooled(const body *b);
/* Whether each task has a back end of its own behind what is shared (aasist, "backends": "task"). Then body_init adds
 * what is shared, body_init_back the parameters of task k, and body_forward_each takes the place of body_forward:
 * out[n], each [B, body_pooled(b)], NULL of tasks that are not wanted. */
bool body_splits(const body *b);
spoor_status body_init_back(body *b, size_t k, params *p, const char *prefix, spoor_error *err);
void body_forward_each(const body *b, tape *t, tensor *features, const bool *wanted, size_t n, tensor **out);
/* Write "kind" and the resolved sizes into a JSON object; false when out of memory. */
bool body_describe(const body *b, json_t *out);
#endif
