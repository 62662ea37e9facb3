/* folder.c: see folder.h. */
#include "weights/folder.h"
#include "base/io.h"
#include "weights/json_text.h"
#include "weights/safetensors.h"
#include <string.h>
#include <sys/stat.h>

enum { CONFIG_DEPTH = 32, INDEX_DEPTH = 8 };
#define CONFIG_VALUES ((size_t)200000)
#define INDEX_VALUES (4 * SAFETENSORS_MAX_TENSORS)

struct folder_index {
    spoor_context *ctx;
    json_t *json;   /* the whole index, owns the strings */
    json_t *map;    /* its "weight_map", borrowed */
    json_t *number; /* of each shard, by name */
    const char **shards;
    size_t n_shards, capacity;
};

/* ---- JSON from outside ---- */

static spoor_status parse(const void *text, size_t size, const char *name, size_t depth, size_t values, json_t **out,
                          spoor_error *err) {
    *out = NULL;
    json_bounds bounds = json_measure(text, size);
    if (bounds.depth > depth || bounds.values > values) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: more values, or deeper nested, than such a file has", name);
    }
    json_error_t e;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &e);
    if (json == NULL && json_error_code(&e) == json_error_out_of_memory) {
        return error_memory(err, "reading JSON");
    }
    if (json == NULL) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: no valid JSON: %s (line %d)", name, e.text, e.line);
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return error_set(err, SPOOR_ERR_MODEL, "%s: no JSON object", name);
    }
    *out = json;
    return SPOOR_OK;
}

spoor_status folder_config_parse(const void *text, size_t size, const char *name, json_t **out, spoor_error *err) {
    return parse(text, size, name, CONFIG_DEPTH, CONFIG_VALUES, out, err);
}

/* ---- an index ---- */

/* A file of this folder and nothing else: what an index names is opened. */
static bool plain_file_name(const char *s, const char *ending) {
    size_t n = strlen(s), m = strlen(ending);
    if (n <= m || n > FOLDER_MAX_SHARD_NAME || s[0] == '.' || strcmp(s + n - m, ending) != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '/' || s[i] == '\\' || (unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static spoor_status add_shard(folder_index *x, const char *shard, const char *tensor, const char *name,
                              const char *ending, spoor_error *err) {
    if (json_object_get(x->number, shard) != NULL) {
        return SPOOR_OK;
    }
    if (!plain_file_name(shard, ending)) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: %.100s lies in \"%.100s\", which is no name of a %s file in the "
                                               "folder",
                         name, tensor, shard, ending);
    }
    if (x->n_shards >= FOLDER_MAX_SHARDS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s names more than %zu files", name, FOLDER_MAX_SHARDS);
    }
    if (!ctx_grow(x->ctx, (void **)&x->shards, &x->capacity, x->n_shards + 1, sizeof *x->shards) ||
        json_object_set_new(x->number, shard, json_integer((json_int_t)x->n_shards)) != 0) {
        return error_memory(err, "reading an index of weights");
    }
    x->shards[x->n_shards++] = shard;
    return SPOOR_OK;
}

static spoor_status read_map(folder_index *x, const char *name, const char *ending, spoor_error *err) {
    x->map = json_object_get(x->json, "weight_map");
    if (!json_is_object(x->map) || json_object_size(x->map) == 0) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: no index of weights: \"weight_map\" is missing, empty or no map",
                         name);
    }
    if (json_object_size(x->map) > SAFETENSORS_MAX_TENSORS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s names more than %zu tensors", name, SAFETENSORS_MAX_TENSORS);
    }
    const char *tensor;
    json_t *shard;
    json_object_foreach(x->map, tensor, shard) {
        if (!json_is_string(shard) || strlen(tensor) > SAFETENSORS_MAX_NAME) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: the file of %.100s is no string, or the name is too long", name,
                             tensor);
        }
        TRY(add_shard(x, json_string_value(shard), tensor, name, ending, err));
    }
    return SPOOR_OK;
}

spoor_status folder_index_parse(spoor_context *ctx, const void *text, size_t size, const char *name, const char *ending,
                                folder_index **out, spoor_error *err) {
    *out = NULL;
    folder_index *x = ctx_calloc(ctx, 1, sizeof *x);
    if (x == NULL) {
        return error_memory(err, "reading an index of weights");
    }
    x->ctx = ctx;
    x->number = json_object();
    spoor_status status = x->number == NULL ? error_memory(err, "reading an index of weights")
                                            : parse(text, size, name, INDEX_DEPTH, INDEX_VALUES, &x->json, err);
    if (status == SPOOR_OK) {
        status = read_map(x, name, ending, err);
    }
    if (status != SPOOR_OK) {
        folder_index_free(x);
        return status;
    }
    *out = x;
    return SPOOR_OK;
}

void folder_index_free(folder_index *x) {
    if (x != NULL) {
        ctx_free(x->ctx, x->shards);
        json_decref(x->number);
        json_decref(x->json);
        ctx_free(x->ctx, x);
    }
}

size_t folder_index_shards(const folder_index *x) { return x->n_shards; }

const char *folder_index_shard(const folder_index *x, size_t i) { return x->shards[i]; }

size_t folder_index_count(const folder_index *x) { return json_object_size(x->map); }

static size_t number_of(const folder_index *x, const json_t *shard) {
    return (size_t)json_integer_value(json_object_get(x->number, json_string_value(shard)));
}

size_t folder_index_find(const folder_index *x, const char *name) {
    const json_t *shard = json_object_get(x->map, name);
    return shard == NULL ? x->n_shards : number_of(x, shard);
}

spoor_status folder_index_each(const folder_index *x,
                               spoor_status (*fn)(void *user, const char *name, size_t shard, spoor_error *err),
                               void *user, spoor_error *err) {
    const char *tensor;
    json_t *shard;
    json_object_foreach(x->map, tensor, shard) {
        TRY(fn(user, tensor, number_of(x, shard), err));
    }
    return SPOOR_OK;
}

/* ---- the folder ---- */

static bool exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

static spoor_status read_config(folder *f, const char *path, spoor_error *err) {
    char *file = ctx_printf(f->ctx, "%s/config.json", path);
    if (file == NULL) {
        return error_memory(err, "opening a folder of weights");
    }
    spoor_status status = SPOOR_OK;
    unsigned char *text = NULL;
    size_t size = 0;
    if (exists(file)) {
        status = io_read_file(f->ctx, file, FOLDER_MAX_CONFIG, &text, &size, err);
        if (status == SPOOR_OK) {
            status = folder_config_parse(text, size, file, &f->config, err);
        }
    }
    ctx_free(f->ctx, text);
    ctx_free(f->ctx, file);
    return status;
}

static spoor_status read_index(folder *f, const char *file, const char *ending, spoor_error *err) {
    unsigned char *text;
    size_t size;
    TRY(io_read_file(f->ctx, file, FOLDER_MAX_INDEX, &text, &size, err));
    spoor_status status = folder_index_parse(f->ctx, text, size, file, ending, &f->index, err);
    ctx_free(f->ctx, text);
    return status;
}

static spoor_status find_weights(folder *f, const char *path, spoor_error *err) {
    static const struct {
        const char *file, *ending; /* ending: of the shards, where the file is an index */
    } known[] = {{"model.safetensors", NULL},
                 {"model.safetensors.index.json", ".safetensors"},
                 {"pytorch_model.bin", NULL},
                 {"pytorch_model.bin.index.json", ".bin"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char *file = ctx_printf(f->ctx, "%s/%s", path, known[i].file);
        if (file == NULL) {
            return error_memory(err, "opening a folder of weights");
        }
        if (!exists(file)) {
            ctx_free(f->ctx, file);
            continue;
        }
        if (known[i].ending == NULL) {
            f->single = file;
            return SPOOR_OK;
        }
        spoor_status status = read_index(f, file, known[i].ending, err);
        ctx_free(f->ctx, file);
        return status;
    }
    return error_set(err, SPOOR_ERR_MODEL,
                     "the folder %s holds no weights: neither model.safetensors nor pytorch_model.bin, nor an index of "
                     "either; download one, or name the file itself",
                     path);
}

spoor_status folder_open(spoor_context *ctx, const char *path, folder *out, spoor_error *err) {
    *out = (folder){.ctx = ctx};
    spoor_status status = find_weights(out, path, err);
    if (status == SPOOR_OK) {
        status = read_config(out, path, err);
    }
    if (status != SPOOR_OK) {
        folder_clear(out);
    }
    return status;
}

void folder_clear(folder *f) {
    json_decref(f->config);
    ctx_free(f->ctx, f->single);
    folder_index_free(f->index);
    *f = (folder){.ctx = f->ctx};
}
