/* recipe_parts.h: what the sources of recipes share: the lists and mappings (recipe_lists.c), the file (recipe.c). */
#ifndef TRAIN_RECIPE_PARTS_H
#define TRAIN_RECIPE_PARTS_H
#include "train/recipe.h"

/* data.manifests, data.train, data.dev, data.tasks, data.groups of r->resolved. */
spoor_status recipe_read_data(spoor_context *ctx, recipe *r, spoor_error *err);
/* dev.metrics, dev.select */
spoor_status recipe_read_dev(spoor_context *ctx, recipe *r, spoor_error *err);
/* finetune.freeze, finetune.lr_factors, where there is such a section */
spoor_status recipe_read_finetune(spoor_context *ctx, recipe *r, spoor_error *err);
/* sampler.matched, sampler.resynth (recipe_matched.c) */
spoor_status recipe_read_matched(spoor_context *ctx, recipe *r, spoor_error *err);
/* A string or a list of strings (null: none) as an array of pointers into the JSON; freed with ctx_free. */
spoor_status recipe_read_strings(spoor_context *ctx, const json_t *json, const char *where, const char *const **out,
                                 size_t *n, spoor_error *err);
/* {column: value, ...}; null: no filter. `where` says for errors what it is. */
spoor_status recipe_read_where(spoor_context *ctx, const json_t *json, const char *where, recipe_where *out,
                               spoor_error *err);
/* openset.scorers, openset.choose */
spoor_status recipe_read_openset(recipe *r, spoor_error *err);
void recipe_free_parts(spoor_context *ctx, recipe *r);
/* The file with --set applied: a new JSON object, and its folder ("" or ending in '/', freed with ctx_free). */
spoor_status recipe_read_file(spoor_context *ctx, const char *path, const char *const *set, size_t n_set, json_t **out,
                              char **folder, spoor_error *err);
#endif
