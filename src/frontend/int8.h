/* int8.h: the plan by which a frozen encoder is multiplied in int8, as int8_measure.h makes it from recordings: factors
 * that move outliers from activations into weights (SmoothQuant, Xiao et al. 2023), and products that stay bfloat16. It
 * belongs to the weights it was made with, and lies in a front end's configuration ("int8") or in a checkpoint's
 * metadata (INT8_KEY).
 *
 * {"clips": 64,
 *  "states": [0, 1], "before": [0.004, 0.022], "after": [0.003, 0.012],
 *  "factors": {"layers.0.self_attn_layer_norm": "?>@?...", ...},
 *  "products": {"layers.0.fc1.weight": {"precision": "int8", "error": 0.011, "share": 0.02}, ...},
 *  "hashes": {"layers.0.fc1.weight": "0123456789abcdef", ...}}
 *
 * factors: for each column j a character, s_j = 2^((character - INT8_ONE) / 4). The outputs of what is named (a layer
 * norm, or the projection of the values) are divided by s_j, and the columns of the products behind it multiplied,
 * which in exact arithmetic changes nothing. products: every one that would be int8; error: of its outputs on the
 * recordings, relative, root mean square, in int8; share: of the squared error of the hidden states that all products
 * have together. hashes: of every parameter that the plan touches, as it is before (store_hash over its floats). clips,
 * states, before (relative error of these hidden states without the plan) and after (with it) are there to be read by
 * people. */
#ifndef FRONTEND_INT8_H
#define FRONTEND_INT8_H
#include "frontend/encoder.h"

#define INT8_KEY "spoor_int8" /* of a checkpoint's metadata */
enum {
    INT8_TEXT_MAX = 4 << 20, /* bytes of a plan there */
    INT8_NAME = 96,
    INT8_ONE = '?',  /* the factor 1 */
    INT8_RANGE = 28, /* quarters of an octave to either side: '#' to '[', which JSON writes as they are */
    INT8_FOLDS = 3   /* in a layer, at most */
};

/* Where factors go: they divide what `source` gives and multiply the columns of the products. */
typedef struct int8_fold {
    char source[INT8_NAME];     /* a layer norm or a linear layer, without ".weight" */
    char product[3][INT8_NAME]; /* linear layers, without ".weight"; all have the same input */
    int products;
} int8_fold;
/* Those of a layer; returns how many. A layer norm whose result also goes elsewhere (into the residual sum, WavLM's
 * gates) has none. */
int int8_folds(const encoder_sizes *s, int64_t layer, int8_fold out[INT8_FOLDS]);

char int8_code(double factor); /* the nearest that there is; 1 for what is no positive number */
double int8_factor(char code);

/* Whether a plan is one for an encoder of these sizes: SPOOR_ERR_USAGE names what is wrong. */
spoor_status int8_check(const json_t *plan, const encoder_sizes *s, spoor_error *err);
/* The same from text. */
spoor_status int8_parse(const char *text, const encoder_sizes *s, json_t **out, spoor_error *err);
/* 16 hexadecimal digits over the values of a parameter. */
void int8_hash(const float *values, int64_t count, char hex[17]);
/* Whether a plan has factors for this parameter. */
bool int8_touches(const json_t *plan, const encoder_sizes *s, const char *name);
/* Puts the factors of a plan that was checked into the values of a parameter (name without prefix; shape: its
 * dimensions). */
void int8_fold_values(const json_t *plan, const encoder_sizes *s, const char *name, const tensor *shape, float *values);
/* The values of a parameter as they were read, to what is multiplied: their hash is compared, the factors put in, and,
 * where it is the matrix of a product that would be int8, *precision set. SPOOR_ERR_MODEL where the plan is of other
 * weights. */
spoor_status int8_apply(const json_t *plan, const encoder_sizes *s, const char *name, bool product, const tensor *shape,
                        float *values, compute_precision *precision, spoor_error *err);
#endif
