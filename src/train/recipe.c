/* recipe.c: plain settings come from one table; lists and mappings of the data and dev sections are in
 * recipe_lists.c. */
#include "train/recipe.h"
#include "audio/audio.h"
#include "base/config.h"
#include "base/io.h"
#include "tensor/ops.h"
#include "openset/statistics.h"
#include "train/recipe_parts.h"
#include "train/yaml.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum setting_type { INTEGER, NUMBER, FLAG, TEXT, CHOICE } setting_type;

typedef struct setting {
    const char *section; /* "" = top level */
    const char *key;
    setting_type type;
    size_t offset;       /* in struct recipe */
    double fallback, min, max;
    const char *text;    /* default of TEXT; choices of CHOICE, separated by '|' */
} setting;

#define AT(member) offsetof(recipe, member)
#define BIG 9e15

static const setting SETTINGS[] = {
    {"", "name", TEXT, AT(name), 0, 0, 0, "model"},
    {"", "seed", INTEGER, AT(seed), 1, 0, BIG, NULL},
    {"", "batch", INTEGER, AT(batch), 32, 1, 65536, NULL},
    {"", "from", TEXT, AT(from), 0, 0, 0, ""},
    {"", "taxonomy", TEXT, AT(taxonomy), 0, 0, 0, ""},
    {"data", "crop", INTEGER, AT(crop), AUDIO_WINDOW, 1600, AUDIO_WINDOW, NULL},
    {"data", "cache_mb", INTEGER, AT(cache_mb), 4096, 0, 1e6, NULL},
    {"data", "page_column", TEXT, AT(page_column), 0, 0, 0, "page"},
    {"data", "setting_column", TEXT, AT(setting_column), 0, 0, 0, "setting"},
    {"data", "source_task", TEXT, AT(source_task), 0, 0, 0, "source"},
    {"", "task_weights", CHOICE, AT(task_weights), 0, 0, 0, "fixed|softmax|learned"},
    {"", "augment_p", NUMBER, AT(augment_p), 1, 0, 1, NULL},
    {"spec_augment", "time_masks", INTEGER, AT(time_masks), 0, 0, 64, NULL},
    {"spec_augment", "time_width", INTEGER, AT(time_width), 20, 0, 100000, NULL},
    {"spec_augment", "band_masks", INTEGER, AT(band_masks), 0, 0, 64, NULL},
    {"spec_augment", "band_width", INTEGER, AT(band_width), 8, 0, 16384, NULL},
    {"cache", "path", TEXT, AT(cache_path), 0, 0, 0, ""},
    {"cache", "copies", INTEGER, AT(cache_copies), 0, 0, 1000, NULL},
    {"cache", "p", NUMBER, AT(cache_p), 0.5, 0, 1, NULL},
    {"cache", "seed", INTEGER, AT(cache_seed), 1, 0, BIG, NULL},
    {"cache", "type", CHOICE, AT(cache_type), 0, 0, 0, "any|float32|float16"},
    {"mixup", "kind", CHOICE, AT(mixup), 0, 0, 0, "none|mixup|regmixup"},
    {"mixup", "level", CHOICE, AT(mixup_level), 0, 0, 0, "features|input|embedding"},
    {"mixup", "p", NUMBER, AT(mixup_p), 1, 0, 1, NULL},
    {"mixup", "alpha", NUMBER, AT(mixup_alpha), 0.5, 1e-3, 1000, NULL},
    {"mixup", "eta", NUMBER, AT(mixup_eta), 1, 0, 1000, NULL},
    {"npair", "weight", NUMBER, AT(npair_weight), 0, 0, 1e6, NULL},
    {"npair", "l2", NUMBER, AT(npair_l2), 0.02, 0, 1e6, NULL},
    {"npair", "normalise", FLAG, AT(npair_normalise), 0, 0, 1, NULL},
    {"npair", "scale", NUMBER, AT(npair_scale), 10, 1e-6, 1e6, NULL},
    {"oc", "weight", NUMBER, AT(oc.weight), 0, 0, 1e6, NULL},
    {"oc", "task", TEXT, AT(oc.task), 0, 0, 0, "bonafide"},
    {"oc", "r_real", NUMBER, AT(oc.r_real), 0.9, -1, 1, NULL},
    {"oc", "r_fake", NUMBER, AT(oc.r_fake), 0.2, -1, 1, NULL},
    {"oc", "alpha", NUMBER, AT(oc.alpha), 20, 1e-3, 1000, NULL},
    {"oc", "linear", FLAG, AT(oc.linear), 1, 0, 1, NULL},
    {"oc", "judge", CHOICE, AT(oc.linear_judges), 0, 0, 0, "centre|linear"},
    {"ge2e", "weight", NUMBER, AT(ge2e.weight), 0, 0, 1e6, NULL},
    {"ge2e", "task", TEXT, AT(ge2e.task), 0, 0, 0, "source"},
    {"ge2e", "kind", CHOICE, AT(ge2e.contrast), 0, 0, 0, "softmax|contrast"},
    {"joint", "task", TEXT, AT(joint.task), 0, 0, 0, "source"},
    {"unseen", "folds", INTEGER, AT(unseen_folds), 0, 0, 64, NULL},
    {"sampler", "kind", CHOICE, AT(sampler), 0, 0, 0, "shuffled|balanced|taxonomy"},
    {"sampler", "by", TEXT, AT(sampler_by), 0, 0, 0, ""},
    {"sampler", "within", TEXT, AT(sampler_within), 0, 0, 0, "source"},
    {"sampler", "human", NUMBER, AT(sampler_human), 0.5, 0, 1, NULL},
    {"sampler", "clips", INTEGER, AT(sampler_clips), 0, 0, 1e9, NULL},
    {"sampler", "task", TEXT, AT(sampler_task), 0, 0, 0, ""},
    {"sampler", "pairs", INTEGER, AT(pairs), 0, 0, 32768, NULL},
    {"sampler", "per_class", INTEGER, AT(per_class), 2, 2, 32768, NULL},
    {"sampler", "crossed", FLAG, AT(crossed), 1, 0, 1, NULL},
    {"optimiser", "kind", CHOICE, AT(adamw), 1, 0, 0, "adam|adamw"},
    {"optimiser", "lr", NUMBER, AT(lr), 1e-3, 0, 100, NULL},
    {"optimiser", "beta1", NUMBER, AT(beta1), 0.9, 0, 0.999999, NULL},
    {"optimiser", "beta2", NUMBER, AT(beta2), 0.999, 0, 0.999999, NULL},
    {"optimiser", "eps", NUMBER, AT(eps), 1e-8, 1e-30, 1, NULL},
    {"optimiser", "weight_decay", NUMBER, AT(weight_decay), 0.01, 0, 10, NULL},
    {"optimiser", "clip", NUMBER, AT(clip), 1, 0, 1e9, NULL},
    {"schedule", "kind", CHOICE, AT(schedule), 1, 0, 0, "constant|cosine|step"},
    {"schedule", "epochs", INTEGER, AT(epochs), 30, 1, 1e6, NULL},
    {"schedule", "warmup", NUMBER, AT(warmup), 1, 0, 1e6, NULL},
    {"schedule", "floor", NUMBER, AT(floor), 0, 0, 1, NULL},
    {"schedule", "step_epochs", INTEGER, AT(step_epochs), 10, 1, 1e6, NULL},
    {"schedule", "step_factor", NUMBER, AT(step_factor), 0.5, 0, 1, NULL},
    {"average", "kind", CHOICE, AT(average), 0, 0, 0, "none|ema|swa"},
    {"average", "decay", NUMBER, AT(average_decay), 0.999, 0, 0.9999999, NULL},
    {"average", "start", NUMBER, AT(average_start), 0.75, 0, 1, NULL},
    {"finetune", "lr_factor", NUMBER, AT(finetune.lr_factor), 0.1, 0, 1000, NULL},
    {"finetune", "freeze_layers", INTEGER, AT(finetune.freeze_layers), 0, 0, 1000, NULL},
    {"finetune", "warm_epochs", INTEGER, AT(finetune.warm_epochs), 0, 0, 1e6, NULL},
    {"finetune", "accumulate", INTEGER, AT(finetune.accumulate), 1, 1, 65536, NULL},
    {"finetune", "layer_drop", NUMBER, AT(finetune.layer_drop), 0, 0, 0.99, NULL},
    {"finetune", "dropout", NUMBER, AT(finetune.dropout), 0, 0, 0.99, NULL},
    {"finetune", "checkpoint", FLAG, AT(finetune.checkpoint), 0, 0, 1, NULL},
    {"openset", "choose", TEXT, AT(openset.chosen), 0, 0, 0, "dev"},
    {"openset", "k", INTEGER, AT(openset.k), 6, 1, OPENSET_MAX_K, NULL},
    {"openset", "temperature", NUMBER, AT(openset.temperature), 1, 1e-3, 1000, NULL},
    {"openset", "shrinkage", NUMBER, AT(openset.shrinkage), 0.1, 0, 1, NULL},
    {"openset", "vim_dim", INTEGER, AT(openset.vim_dim), 0, 0, OPENSET_MAX_DIM, NULL},
    {"openset", "bank_per_class", INTEGER, AT(openset.bank_per_class), 50, 1, OPENSET_MAX_BANK, NULL},
    {"openset", "threshold", CHOICE, AT(openset.by_eer), 0, 0, 0, "acceptance|eer"},
    {"dev", "every", INTEGER, AT(dev_every), 1, 1, 1e6, NULL},
    {"dev", "patience", INTEGER, AT(patience), 0, 0, 1e6, NULL},
    {"checkpoint", "steps", INTEGER, AT(checkpoint_steps), 0, 0, 1e9, NULL},
    {"checkpoint", "log_steps", INTEGER, AT(log_steps), 20, 1, 1e9, NULL},
    {"model", "card", TEXT, AT(card), 0, 0, 0, ""},
    {"model", "half", FLAG, AT(half), 0, 0, 1, NULL},
    {"model", "acceptance", NUMBER, AT(acceptance), 0.95, 0.01, 1, NULL},
    {"model", "prior", NUMBER, AT(prior), 0.5, 1e-6, 0.999999, NULL},
    {"model", "bonafide_score", CHOICE, AT(bonafide_score), 0, 0, 0, "mean|task|product|spoof-product"},
};
enum { N_SETTINGS = sizeof SETTINGS / sizeof *SETTINGS };

/* Keys that are no plain settings: {section, key}. */
static const char *const OTHERS[][2] = {
    {"data", "manifests"},      {"data", "train"},      {"data", "dev"},        {"data", "tasks"},
    {"data", "groups"},         {"data", "silence"},    {"data", "without"},    {"dev", "metrics"},     {"dev", "select"},
    {"", "frontend"},           {"", "network"},        {"", "augment"},        {"finetune", "freeze"},
    {"finetune", "lr_factors"}, {"sampler", "matched"}, {"sampler", "resynth"}, {"openset", "scorers"},
    {"joint", "parents"}};
enum { N_OTHERS = sizeof OTHERS / sizeof *OTHERS, MAX_KEYS = N_SETTINGS + N_OTHERS + 16, MAX_CHOICES = 8 };

static bool listed(const char *const *keys, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* Keys of a section, NULL-terminated; for "" also the names of the sections. */
static void section_keys(const char *section, const char **keys) {
    size_t n = 0;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        bool in = strcmp(SETTINGS[i].section, section) == 0;
        const char *name = in ? SETTINGS[i].key : SETTINGS[i].section;
        if ((in || !*section) && !listed(keys, n, name)) {
            keys[n++] = name;
        }
    }
    for (size_t i = 0; i < N_OTHERS; i++) {
        if (strcmp(OTHERS[i][0], section) == 0) {
            keys[n++] = OTHERS[i][1];
        }
    }
    keys[n] = NULL;
}

static spoor_status read_choice(const json_t *object, const setting *s, const char *where, int *out, spoor_error *err) {
    char text[128];
    const char *choices[MAX_CHOICES + 1] = {text};
    strncpy(text, s->text, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    size_t n = 1;
    for (char *bar = strchr(text, '|'); bar && n < MAX_CHOICES; bar = strchr(bar + 1, '|')) {
        *bar = '\0';
        choices[n++] = bar + 1;
    }
    return config_choice(object, where, s->key, choices, (int)s->fallback, out, err);
}

static json_t *choice_name(const setting *s, int index) {
    const char *at = s->text;
    for (; index > 0; index--) {
        at = strchr(at, '|') + 1;
    }
    return json_stringn(at, strcspn(at, "|"));
}

/* Reads one setting and writes it back, so that `resolved` has it. */
static spoor_status read_setting(const setting *s, json_t *object, const char *where, recipe *r, spoor_error *err) {
    void *to = (char *)r + s->offset;
    json_t *value = NULL;
    switch (s->type) {
    case INTEGER:
        TRY(config_int(object, where, s->key, (int64_t)s->fallback, (int64_t)s->min, (int64_t)s->max, to, err));
        value = json_integer(*(int64_t *)to);
        break;
    case NUMBER:
        TRY(config_number(object, where, s->key, s->fallback, s->min, s->max, to, err));
        value = json_real(*(double *)to);
        break;
    case FLAG:
        TRY(config_bool(object, where, s->key, s->fallback != 0, to, err));
        value = json_boolean(*(bool *)to);
        break;
    case TEXT: {
        const char *string;
        TRY(config_string(object, where, s->key, s->text, &string, err));
        value = json_string(string);
        break;
    }
    case CHOICE: {
        int index = 0;
        TRY(read_choice(object, s, where, &index, err));
        value = choice_name(s, index);
        if (s->offset == AT(adamw)) {
            r->adamw = index == 1;
        } else {
            *(int *)to = index;
        }
        break;
    }
    }
    if (!value || json_object_set_new(object, s->key, value) != 0) {
        return error_memory(err, "reading a recipe");
    }
    if (s->type == TEXT) {
        *(const char **)to = json_string_value(json_object_get(object, s->key));
    }
    return SPOOR_OK;
}

static spoor_status read_section(const char *section, recipe *r, spoor_error *err) {
    json_t *object = *section ? json_object_get(r->resolved, section) : r->resolved;
    const char *where = *section ? section : "the recipe";
    const char *keys[MAX_KEYS];
    section_keys(section, keys);
    if (!object || json_is_null(object)) {
        object = json_object();
        if (!object || json_object_set_new(r->resolved, section, object) != 0) {
            return error_memory(err, "reading a recipe");
        }
    }
    TRY(config_keys(object, where, keys, err));
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(SETTINGS[i].section, section) == 0) {
            TRY(read_setting(&SETTINGS[i], object, where, r, err));
        }
    }
    return SPOOR_OK;
}

static spoor_status read_sections(recipe *r, spoor_error *err) {
    TRY(read_section("", r, err));
    const char *last = "";
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(SETTINGS[i].section, last) != 0) {
            last = SETTINGS[i].section;
            if (strcmp(last, "finetune") == 0) { /* without the section it is not done */
                const json_t *section = json_object_get(r->resolved, last);
                r->finetune.on = section && !json_is_null(section);
            }
            if (*last && (strcmp(last, "finetune") != 0 || r->finetune.on)) {
                TRY(read_section(last, r, err));
            }
        }
    }
    return SPOOR_OK;
}

/* What a batch is made of, and the losses that ask for it. */
static spoor_status check_batch(const recipe *r, spoor_error *err) {
    if (r->npair_weight > 0 && r->pairs > 0 && r->per_class != 2) {
        return error_set(err, SPOOR_ERR_USAGE, "npair.weight: pairs are of two clips; sampler.per_class: %lld is for "
                                               "ge2e",
                         (long long)r->per_class);
    }
    if (r->per_class != 2 && recipe_pair_rows(r) > r->batch) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler: %lld classes of %lld clips do not fit into a batch of %lld",
                         (long long)r->pairs, (long long)r->per_class, (long long)r->batch);
    }
    if (recipe_pair_rows(r) > r->batch) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler: %lld pairs do not fit into a batch of %lld",
                         (long long)recipe_pair_rows(r) / 2, (long long)r->batch);
    }
    if (recipe_pair_rows(r) == r->batch && r->pairs == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler: content-matched pairs fill the whole batch of %lld; other "
                                               "clips need room",
                         (long long)r->batch);
    }
    if (r->ge2e.weight > 0 && (r->pairs < 2 || r->pairs > OP_GE2E_CLASSES)) {
        return error_set(err, SPOOR_ERR_USAGE, "ge2e.weight needs sampler.pairs of 2 to %d classes, with "
                                               "sampler.per_class clips each",
                         OP_GE2E_CLASSES);
    }
    if (r->sampler == SAMPLER_TAXONOMY ? !*r->sampler_by : *r->sampler_by != '\0' || r->sampler_clips > 0) {
        return error_set(err, SPOOR_ERR_USAGE, "sampler: kind: taxonomy needs by, the column of the classes; by and "
                         "clips go with it alone");
    }
    if (r->oc.linear_judges && !r->oc.linear) {
        return error_set(err, SPOOR_ERR_USAGE, "oc.judge: linear needs oc.linear: true");
    }
    if (r->npair_weight > 0 && (r->pairs == 1 || recipe_pair_rows(r) == 0)) {
        return error_set(err, SPOOR_ERR_USAGE, "npair.weight needs sampler.pairs of at least 2, or sampler.matched or "
                         "sampler.resynth");
    }
    return SPOOR_OK;
}

/* Written back with every default, as the rest of `resolved` is. */
static spoor_status read_silence(recipe *r, spoor_error *err) {
    json_t *data = json_object_get(r->resolved, "data"), *silence = json_object_get(data, "silence");
    r->cut = silence && !json_is_null(silence);
    if (!r->cut) {
        return SPOOR_OK;
    }
    TRY(audio_silence_from_json(silence, "data.silence", &r->silence, err));
    return json_object_set_new(data, "silence", audio_silence_to_json(&r->silence)) == 0
               ? SPOOR_OK
               : error_memory(err, "reading a recipe");
}

static spoor_status read_all(spoor_context *ctx, recipe *r, spoor_error *err) {
    TRY(read_sections(r, err));
    TRY(recipe_read_data(ctx, r, err));
    TRY(read_silence(r, err));
    TRY(recipe_read_dev(ctx, r, err));
    TRY(recipe_read_finetune(ctx, r, err));
    TRY(recipe_read_matched(ctx, r, err));
    TRY(recipe_read_openset(r, err));
    TRY(recipe_read_strings(ctx, json_object_get(json_object_get(r->resolved, "joint"), "parents"), "joint.parents",
                            &r->joint.parents, &r->joint.n_parents, err));
    r->frontend = json_object_get(r->resolved, "frontend");
    r->network = json_object_get(r->resolved, "network");
    r->augment = json_object_get(r->resolved, "augment");
    if (!json_is_object(r->frontend) || !json_is_object(r->network)) {
        return error_set(err, SPOOR_ERR_USAGE, "the recipe must have the sections frontend and network, each with a "
                                               "kind");
    }
    if (r->augment && !json_is_array(r->augment) && !json_is_null(r->augment)) {
        return error_set(err, SPOOR_ERR_USAGE, "augment must be a list of steps");
    }
    if (*r->cache_path && r->cache_copies == 0 && r->augment_p > 0 && json_array_size(r->augment) > 0) {
        return error_set(err, SPOOR_ERR_USAGE, "features from a cache cannot be augmented as waveforms: store "
                         "augmented copies and say how many in cache.copies, or set augment_p: 0");
    }
    if (r->cache_copies > 0 && json_array_size(r->augment) == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "cache.copies needs a list of steps in augment");
    }
    if (r->mixup != RECIPE_MIXUP_NONE && r->mixup_level == RECIPE_MIX_INPUT && *r->cache_path) {
        return error_set(err, SPOOR_ERR_USAGE, "mixup.level: features from a cache are no waveforms any more; mix "
                         "features or embeddings, or leave out cache");
    }
    if (r->finetune.on && *r->cache_path) {
        return error_set(err, SPOOR_ERR_USAGE, "cache.path: features of a front end that is trained change and cannot "
                         "come from a cache; leave out cache or finetune");
    }
    if (r->finetune.on && r->finetune.accumulate > r->batch) {
        return error_set(err, SPOOR_ERR_USAGE, "finetune.accumulate: a batch of %lld clips cannot be cut into %lld "
                                               "pieces",
                         (long long)r->batch, (long long)r->finetune.accumulate);
    }
    return check_batch(r, err);
}

spoor_status recipe_from_json(spoor_context *ctx, const json_t *json, const char *folder, recipe **out,
                              spoor_error *err) {
    *out = NULL;
    if (!json_is_object(json)) {
        return error_set(err, SPOOR_ERR_USAGE, "a recipe must be a mapping of sections");
    }
    if (json_object_get(json, "stages")) {
        return error_set(err, SPOOR_ERR_USAGE, "a recipe of one stage is needed here, but this has several");
    }
    recipe *r = ctx_calloc(ctx, 1, sizeof *r);
    if (!r) {
        return error_memory(err, "reading a recipe");
    }
    r->resolved = json_deep_copy(json);
    r->folder = ctx_strdup(ctx, folder);
    spoor_status status = r->resolved && r->folder ? read_all(ctx, r, err) : error_memory(err, "reading a recipe");
    if (status != SPOOR_OK) {
        recipe_free(ctx, r);
        return status;
    }
    *out = r;
    return SPOOR_OK;
}

void recipe_free(spoor_context *ctx, recipe *r) {
    if (!r) {
        return;
    }
    recipe_free_parts(ctx, r);
    json_decref(r->resolved);
    ctx_free(ctx, r->folder);
    ctx_free(ctx, r);
}

char *recipe_path(spoor_context *ctx, const recipe *r, const char *path) {
    return path[0] == '/' ? ctx_strdup(ctx, path) : ctx_printf(ctx, "%s%s", r->folder, path);
}

size_t recipe_recordings_bytes(const recipe *r) { return ((size_t)r->cache_mb << 20) / 4; }

/* ---- file and --set ---- */

static spoor_status apply_set(json_t *root, const char *text, spoor_error *err) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) {
        return error_set(err, SPOOR_ERR_USAGE, "--set %.200s: write key.key=value", text);
    }
    json_t *at = root;
    const char *part = text;
    for (;;) {
        size_t n = strcspn(part, ".=");
        bool last = part + n == equals;
        char key[128];
        if (n == 0 || n >= sizeof key) {
            return error_set(err, SPOOR_ERR_USAGE, "--set %.200s: write key.key=value", text);
        }
        memcpy(key, part, n);
        key[n] = '\0';
        bool list = json_is_array(at);
        size_t index = list ? (size_t)strtoull(key, NULL, 10) : 0;
        if ((list && (strspn(key, "0123456789") != n || index >= json_array_size(at))) ||
            (!list && !json_is_object(at))) {
            return error_set(err, SPOOR_ERR_USAGE, "--set %.200s: there is no %s", text, key);
        }
        if (last) {
            json_t *value = yaml_scalar(equals + 1, strlen(equals + 1));
            if (!value || (list ? json_array_set_new(at, index, value) : json_object_set_new(at, key, value)) != 0) {
                return error_set(err, SPOOR_ERR_USAGE, "--set %.200s: the value must be UTF-8 text", text);
            }
            return SPOOR_OK;
        }
        json_t *next = list ? json_array_get(at, index) : json_object_get(at, key);
        if (!next || json_is_null(next)) { /* a section that the file leaves to its defaults */
            next = json_object();
            if (!next || json_object_set_new(at, key, next) != 0) {
                return error_memory(err, "reading a recipe");
            }
        }
        at = next;
        part += n + 1;
    }
}

static spoor_status parse(const char *path, const void *text, size_t size, const char *const *set, size_t n_set,
                          json_t **out, spoor_error *err) {
    json_t *json = NULL;
    spoor_status status = yaml_parse(path, text, size, &json, err);
    for (size_t i = 0; status == SPOOR_OK && i < n_set; i++) {
        status = apply_set(json, set[i], err);
    }
    if (status != SPOOR_OK) {
        json_decref(json);
        return status;
    }
    *out = json;
    return SPOOR_OK;
}

spoor_status recipe_read_file(spoor_context *ctx, const char *path, const char *const *set, size_t n_set, json_t **out,
                              char **folder, spoor_error *err) {
    unsigned char *text;
    size_t size;
    const char *slash = strrchr(path, '/');
    TRY(io_read_file(ctx, path, YAML_MAX_BYTES, &text, &size, err));
    spoor_status status = parse(path, text, size, set, n_set, out, err);
    ctx_free(ctx, text);
    TRY(status);
    *folder = ctx_strndup(ctx, path, slash ? (size_t)(slash - path) + 1 : 0);
    if (!*folder) {
        json_decref(*out);
        return error_memory(err, "reading a recipe");
    }
    return SPOOR_OK;
}

spoor_status recipe_open(spoor_context *ctx, const char *path, const char *const *set, size_t n_set, recipe **out,
                         spoor_error *err) {
    *out = NULL;
    json_t *json;
    char *folder;
    TRY(recipe_read_file(ctx, path, set, n_set, &json, &folder, err));
    spoor_error inner = {SPOOR_OK, ""};
    spoor_status status = recipe_from_json(ctx, json, folder, out, &inner);
    json_decref(json);
    ctx_free(ctx, folder);
    return status == SPOOR_OK ? SPOOR_OK : error_set(err, status, "%s: %s", path, inner.message);
}

const char *recipe_difference(const json_t *a, const json_t *b) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)a, key, value) {
        if (!json_equal(value, json_object_get(b, key))) {
            return key;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)b, key, value) { /* a section that is no longer there */
        if (!json_object_get(a, key)) {
            return key;
        }
    }
    return NULL;
}
