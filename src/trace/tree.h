/* tree.h: the verdict as a tree: human or synthetic; if a codec made it, how that is built (its attributes in a
 * taxonomy), and which sources of the taxonomy fit. */
#ifndef TRACE_TREE_H
#define TRACE_TREE_H
#include "model/model.h"

typedef struct tree_value {
    const char *name;
    double p; /* given that a codec made the speech */
} tree_value;

typedef struct tree_attribute {
    size_t attribute;        /* of the taxonomy */
    size_t task;             /* of the model */
    const char *name, *title;
    tree_value *value;       /* [n] best first, that of human speech left out */
    size_t n;
    double p[TAXONOMY_MAX_VALUES];      /* of each value of the taxonomy */
    double unseen[TAXONOMY_MAX_VALUES]; /* the same if the model does not know the source */
} tree_attribute;

typedef struct tree_source {
    const char *name, *kind;
    const char *value[TAXONOMY_MAX_ATTRIBUTES]; /* of each attribute of the tree; NULL: not known */
    double likelihood; /* see tree_new */
    double p;          /* its share of the sum of all */
    bool known;        /* the model has a class of its own for it */
} tree_source;

typedef struct trace_tree {
    spoor_context *ctx;
    const taxonomy *taxonomy; /* the model's */
    double bonafide;          /* probability of human speech; NAN: the model does not judge it */
    double other;             /* of synthetic speech that no codec made, of all synthetic speech; NAN: the model does
                               * not say */
    double known;             /* that the model knows the source (model_known_probability) */
    bool measured;            /* it stands on shares that were measured on dev, and is no mere yes or no */
    tree_attribute *attribute;
    size_t n_attributes;
    tree_source *source; /* best first */
    size_t n_sources;
} trace_tree;

/* The tree of a row of logits (model_row_size, joined) whose known score and probability of human speech are given.
 * *out is NULL where the model has no taxonomy or answers none of its attributes.
 *
 * The likelihood of a source is the product over the attributes of the probability of its value; one that is not known
 * counts as the mean over the values, 1/n. Where a task says which source it is, times the probability of the source
 * itself: w p_c of class c with w = P(known), and of the N sources that are no class (1 - w)/N; without w, p_c and the
 * mean over the classes. With a joint head the attributes are in p_c already: w p_c of its classes, and 1 - w is shared
 * out to the others by the product of their evidence. */
spoor_status tree_new(const spoor_model *m, const float *row, double known, double bonafide, trace_tree **out,
                      spoor_error *err);
void tree_free(trace_tree *t);
#endif
