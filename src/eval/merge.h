/* merge.h: labels that count as one, in a set that is evaluated already: two names of the same generator, for example.
 */
#ifndef EVAL_MERGE_H
#define EVAL_MERGE_H
#include "eval/eval_set.h"

typedef struct eval_merge_pair {
    const char *from, *to;
} eval_merge_pair;

typedef struct eval_merged eval_merged; /* a set with merged labels; what it does not change is the other set's */
const eval_set *eval_merged_set(const eval_merged *m);
void eval_merged_free(eval_merged *m);

/* Classes and sources called `from` become `to`, each once: `to` must not be a `from` itself (SPOOR_ERR_USAGE). The
 * scores of merged classes are summed where they are probabilities, else the greatest stands for them. An unknown
 * recording whose source becomes the name of a class is known from then on. A `from` that is no class and no source:
 * SPOOR_ERR_INPUT. `set` and the names must live as long as *out. */
spoor_status eval_merge(spoor_context *ctx, const eval_set *set, const eval_merge_pair *pairs, size_t n,
                        eval_merged **out, spoor_error *err);

/* Pairs from a file with the two columns from and to, without a header. *pairs lives as long as *file. */
typedef struct eval_merge_file eval_merge_file;
spoor_status eval_merge_read(spoor_context *ctx, const char *path, eval_merge_file **file,
                             const eval_merge_pair **pairs, size_t *n, spoor_error *err);
void eval_merge_file_free(eval_merge_file *file);
#endif
