/* recipe_stages.h: a recipe that is trained in stages: each is the recipe with the stage's settings laid over it. */
#ifndef TRAIN_RECIPE_STAGES_H
#define TRAIN_RECIPE_STAGES_H
#include "net/net.h"
#include "train/recipe.h"

enum { RECIPE_MAX_STAGES = 16, RECIPE_STAGE_NAME = 64 /* most bytes of a name */ };

typedef struct recipe_stage {
    const char *name; /* NULL: the recipe has no stages, and this is all of it */
    size_t from;      /* the earlier stage that `from` of its recipe names; SIZE_MAX: none, or a model file */
    recipe *r;
} recipe_stage;

typedef struct recipe_stages {
    spoor_context *ctx;
    json_t *whole;    /* as read, with --set; owns the names */
    recipe_stage stage[RECIPE_MAX_STAGES];
    size_t n;         /* at least one */
    size_t final;     /* the stage whose model is the training's; where tasks are shared out: n */
    struct {          /* which stage answers which task in one model of several; none: n_shared = 0 */
        const char *task;
        size_t stage;
    } shared[NET_MAX_TASKS];
    size_t n_shared;
} recipe_stages;

/* As recipe_open; of all stages, so that a mistake in the last is found before the first is trained. In the file:
 *   stages: [{name: re, ...settings...}, {name: fd, from: re, ...}]
 *   final: fd            which stage's model is the result; default: the last. Or {combine: {bonafide: re, source:
 *   fd}}: one
 *                        model of several, in which each answers the tasks that are named (model/combine.h)
 * Settings of a stage are laid over those of the recipe as JSON Merge Patch (RFC 7396) says: mappings are joined key by
 * key, all else takes the place of what was there, null takes a key away. */
spoor_status recipe_stages_open(spoor_context *ctx, const char *path, const char *const *set, size_t n_set,
                                recipe_stages **out, spoor_error *err);
/* From a JSON object (borrowed); folder as in struct recipe. */
spoor_status recipe_stages_from_json(spoor_context *ctx, const json_t *json, const char *folder, recipe_stages **out,
                                     spoor_error *err);
void recipe_stages_free(recipe_stages *s);
#endif
