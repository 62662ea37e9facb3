/* params.h: the parameters and buffers of a network by name, in the order in which they were added. */
#ifndef NN_PARAMS_H
#define NN_PARAMS_H
#include "base/context.h"
#include "base/rng.h"
#include "tensor/compute.h"
#include "tensor/tensor.h"

typedef struct param {
    char *name;     /* "blocks.0.ff1.linear1.weight" */
    tensor value;   /* data and (trainable) grad owned by the set, 64-byte aligned; value.parameter is true */
    const struct params *owner;
    bool trainable; /* false: a buffer (running statistics), saved with the weights but not optimised */
    bool fixed;     /* stays what it was read as: no gradient, no copy in averages and checkpoints */
    bool product;   /* a matrix [n,k] or kernel [n,taps,channels] that op_linear or op_conv1d multiplies with */
    int64_t groups; /* of that kernel; 0: none */
    bool decay;     /* weight decay applies: true for matrices and kernels, false for biases, norms and tokens */
} param;

typedef struct params params;

typedef enum param_init {
    PARAM_ZEROS,
    PARAM_ONES,
    PARAM_UNIFORM_FAN_IN, /* U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as torch initialises Linear and Conv */
    PARAM_UNIFORM01,      /* U[0,1): class token */
    PARAM_STANDARD_NORMAL, /* N(0, 1): positions and master nodes of graphs */
    PARAM_NORMAL          /* N(0, 1/sqrt(last dimension)): relative position tables */
} param_init;

spoor_status params_new(spoor_context *ctx, uint64_t seed, params **out, spoor_error *err);
/* The same for weights that come from a file: values start at 0, nothing gets a gradient, and asking for more than
 * max_numel numbers in all is SPOOR_ERR_USAGE (a hostile description cannot claim more than the file holds). */
spoor_status params_new_for_weights(spoor_context *ctx, int64_t max_numel, params **out, spoor_error *err);
/* Frozen weights: entries have a shape and no data until params_give or params_pack. */
spoor_status params_new_frozen(spoor_context *ctx, int64_t max_numel, params **out, spoor_error *err);
void params_free(params *p);
/* fan_in: for PARAM_UNIFORM_FAN_IN. The returned tensor lives as long as the set and never moves. The initial values
 * depend on the seed and the name alone. */
spoor_status params_add(params *p, const char *name, int ndim, const int64_t *dim, param_init init, int64_t fan_in,
                        bool trainable, bool decay, tensor **out, spoor_error *err);
/* Frozen sets: copy the values of an entry, or lay them out for products in a precision (entries with `product`
 * only). */
spoor_status params_give(params *p, param *item, const real *data, spoor_error *err);
spoor_status params_pack(params *p, param *item, const real *data, compute_precision precision, spoor_error *err);
size_t params_bytes(const params *p); /* that the values take up, packed ones too */
/* List the entries of `from` in `to` as well, so that one optimiser, one checkpoint and one average see both. They stay
 * owned by `from`, which must outlive `to`. */
spoor_status params_adopt(params *to, params *from, spoor_error *err);
/* From now on not trained. */
void params_fix(param *item);
size_t params_count(const params *p);              /* entries */
param *params_at(params *p, size_t i);             /* lives as long as the set */
param *params_find(params *p, const char *name);   /* NULL if there is none */
/* Whether a name is the prefix or begins with it and a dot: "a.b.1" has "a.b.10.w" not under it. "" has all. */
bool params_under(const char *name, const char *prefix);
int64_t params_numel(const params *p);             /* trainable numbers */
void params_zero_grad(params *p);
#endif
