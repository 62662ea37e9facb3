/* draw.h: the sampler that a recipe asks for, and what it draws in an epoch. */
#ifndef TRAIN_DRAW_H
#define TRAIN_DRAW_H
#include "train/dataset.h"

/* *task: whose classes pairs and balance use. The sampler copies what it needs. */
spoor_status draw_sampler(spoor_context *ctx, const recipe *r, const dataset *d, sampler **out, size_t *task,
                          spoor_error *err);
/* Rows of a batch that are in content-matched pairs: behind the pairs of distinct classes, before the rest; not the
 * sampler's. */
int64_t draw_matched_rows(const recipe *r);
/* What the sampler draws in the first epoch, beside content-matched pairs:
 *   {"clips": n, "different": n,                       draws, and how many clips are among them
 *    "tasks": {TASK: {CLASS: n, ...}},                 a clip without a label counts nowhere
 *    "within": {"column": "source", "values": {...}}}  of kind taxonomy: bona fide speech and what its classes consist
 * of A new reference. */
spoor_status draw_balance(spoor_context *ctx, const recipe *r, const dataset *d, json_t **out, spoor_error *err);
/* The same as lines of text, freed with ctx_free; NULL: out of memory. most: tasks with more classes are left to a
 * count (0: none). */
char *draw_text(spoor_context *ctx, const json_t *balance, size_t most);
#endif
