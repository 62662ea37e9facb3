/* recipe_matched.c: sampler.matched and sampler.resynth of a recipe. Strings point into r->resolved. */
#include "base/config.h"
#include "train/recipe_parts.h"
#include <string.h>

enum { MAX_GENERATORS = 256, MAX_BLOCKS = 1024 };

int64_t recipe_pair_rows(const recipe *r) {
    return r->per_class * r->pairs + 2 * (r->matched.pairs * r->matched.blocks + r->resynth.pairs * r->resynth.blocks);
}

/* `pairs` and `blocks` of a section, written back into it. */
static spoor_status read_counts(json_t *object, const char *where, int64_t pairs, int64_t max, int64_t *out_pairs,
                                int64_t *out_blocks, spoor_error *err) {
    TRY(config_int(object, where, "pairs", pairs, 2, max, out_pairs, err));
    TRY(config_int(object, where, "blocks", 1, 1, MAX_BLOCKS, out_blocks, err));
    int failed = json_object_set_new(object, "pairs", json_integer(*out_pairs)) |
                 json_object_set_new(object, "blocks", json_integer(*out_blocks));
    return failed ? error_memory(err, "reading a recipe") : SPOOR_OK;
}

static spoor_status read_corpus(spoor_context *ctx, json_t *object, recipe_matched *m, spoor_error *err) {
    static const char *const KEYS[] = {"content", "pairs", "blocks", "labels", NULL};
    const char *where = "sampler.matched";
    TRY(config_keys(object, where, KEYS, err));
    TRY(recipe_read_strings(ctx, json_object_get(object, "content"), "sampler.matched.content", &m->content,
                            &m->n_content, err));
    if (m->n_content == 0 || m->n_content > RECIPE_MAX_COLUMNS) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler.matched.content must name 1 to %d columns", RECIPE_MAX_COLUMNS);
    }
    TRY(config_bool(object, where, "labels", true, &m->labels, err));
    if (json_object_set_new(object, "labels", json_boolean(m->labels)) != 0) {
        return error_memory(err, "reading a recipe");
    }
    return read_counts(object, where, 4, 4096, &m->pairs, &m->blocks, err);
}

/* "original", the kind of a step, a step with its settings, or {steps: [...]}; any mapping may have labels. As
 * {steps: [...], labels: {...}}, a new reference; NULL when out of memory or (then *wrong) of another form. */
static json_t *whole_entry(const json_t *entry, bool *wrong) {
    const char *kind = json_string_value(entry);
    const json_t *list = json_object_get(entry, "steps"), *labels = json_object_get(entry, "labels");
    *wrong = (!kind && !json_is_object(entry)) || (list && json_object_size(entry) > (labels ? 2u : 1u)) ||
             (labels && !json_is_object(labels));
    if (*wrong) {
        return NULL;
    }
    json_t *steps = list ? json_deep_copy(list) : json_array();
    if (kind && strcmp(kind, "original") != 0) {
        json_array_append_new(steps, json_pack("{s:s}", "kind", kind));
    } else if (!kind && !list) {
        json_t *step = json_deep_copy(entry);
        json_object_del(step, "labels");
        json_array_append_new(steps, step);
    }
    json_t *own = labels ? json_deep_copy(labels) : json_object();
    bool whole = steps && (list || json_array_size(steps) == (kind && strcmp(kind, "original") == 0 ? 0u : 1u));
    if (!whole || !own) {
        json_decref(steps);
        json_decref(own);
        return NULL;
    }
    return json_pack("{s:o,s:o}", "steps", steps, "labels", own);
}

static spoor_status read_generators(json_t *list, spoor_error *err) {
    size_t n = json_array_size(list);
    if (n < 2 || n > MAX_GENERATORS) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler.resynth.generators must be a list of 2 to %d entries",
                         MAX_GENERATORS);
    }
    for (size_t i = 0; i < n; i++) {
        bool wrong;
        json_t *entry = whole_entry(json_array_get(list, i), &wrong);
        if (wrong) {
            return error_set(err, SPOOR_ERR_USAGE, "sampler.resynth.generators[%zu] must be the kind of a step, a step "
                             "with its settings, original, or {steps: [...], labels: {...}}", i);
        }
        if (!entry || json_array_set_new(list, i, entry) != 0) {
            return error_memory(err, "reading a recipe");
        }
    }
    return SPOOR_OK;
}

static spoor_status read_transformed(spoor_context *ctx, json_t *object, recipe *r, spoor_error *err) {
    static const char *const KEYS[] = {"generators", "where", "pairs", "blocks", NULL};
    recipe_resynth *s = &r->resynth;
    const char *where = "sampler.resynth";
    TRY(config_keys(object, where, KEYS, err));
    json_t *list = json_object_get(object, "generators");
    TRY(read_generators(list, err));
    TRY(recipe_read_where(ctx, json_object_get(object, "where"), "sampler.resynth.where", &s->where, err));
    int64_t n = (int64_t)json_array_size(list);
    TRY(read_counts(object, where, n, n, &s->pairs, &s->blocks, err));
    s->generators = list;
    if (*r->cache_path) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler.resynth makes clips from waveforms, which features from a "
                         "cache no longer are; leave out cache, or sampler.resynth");
    }
    return SPOOR_OK;
}

spoor_status recipe_read_matched(spoor_context *ctx, recipe *r, spoor_error *err) {
    const json_t *section = json_object_get(r->resolved, "sampler");
    json_t *matched = json_object_get(section, "matched"), *resynth = json_object_get(section, "resynth");
    if (matched && !json_is_null(matched)) {
        TRY(read_corpus(ctx, matched, &r->matched, err));
    }
    if (resynth && !json_is_null(resynth)) {
        TRY(read_transformed(ctx, resynth, r, err));
    }
    return SPOOR_OK;
}
