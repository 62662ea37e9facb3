/* fuzz_recipe.c: any bytes as a recipe: YAML, then every setting checked, of every stage where it has stages; what was resolved is
 * read again the same. */
#define _GNU_SOURCE
#include "target.h"
#include "train/recipe_stages.h"
#include "train/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    json_t *json = NULL;
    recipe *r = NULL, *again = NULL;
    recipe_stages *stages = NULL;
    spoor_status status = yaml_parse("fuzz.yaml", data, size, &json, &err);
    if (status == SPOOR_OK) {
        status = recipe_from_json(ctx, json, "", &r, &err);
    } else {
        CHECK(json == NULL);
    }
    target_refused(status, &err);
    if (status == SPOOR_OK) {
        CHECK(recipe_from_json(ctx, r->resolved, "", &again, &err) == SPOOR_OK);
        CHECK(json_equal(r->resolved, again->resolved));
    } else {
        CHECK(r == NULL);
    }
    if (json) {
        status = recipe_stages_from_json(ctx, json, "", &stages, &err);
        target_refused(status, &err);
        CHECK((status == SPOOR_OK) == (stages != NULL && stages->n > 0 && stages->final < stages->n));
    }
    recipe_stages_free(stages);
    recipe_free(ctx, again);
    recipe_free(ctx, r);
    json_decref(json);
    spoor_context_free(ctx);
    return 0;
}
