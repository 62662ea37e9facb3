/* folder.h: what a Hugging Face folder holds: which file or shards its weights are in, and its config.json. Opening the
 * files is weights.c's business; the index is parsed from memory. */
#ifndef WEIGHTS_FOLDER_H
#define WEIGHTS_FOLDER_H
#include "base/context.h"
#include <jansson.h>

/* Limits. */
#define FOLDER_MAX_CONFIG ((size_t)1 << 20)  /* bytes of config.json */
#define FOLDER_MAX_INDEX ((size_t)16 << 20)  /* bytes of an index */
#define FOLDER_MAX_SHARDS ((size_t)1024)
#define FOLDER_MAX_SHARD_NAME 255            /* bytes */

/* ---- an index: model.safetensors.index.json, pytorch_model.bin.index.json ---- */

typedef struct folder_index folder_index; /* immutable once made */

/* The text of an index, which need not outlive the result; `name` is what sentences call it. Every shard must be a
 * plain file name that ends in `ending` (".safetensors"): no folder, nothing hidden. SPOOR_ERR_MODEL with the
 * reason. */
spoor_status folder_index_parse(spoor_context *ctx, const void *text, size_t size, const char *name, const char *ending,
                                folder_index **out, spoor_error *err);
void folder_index_free(folder_index *x);
size_t folder_index_shards(const folder_index *x);
const char *folder_index_shard(const folder_index *x, size_t i); /* in the order of the index; lives as long as x */
size_t folder_index_count(const folder_index *x);                /* tensors that it names */
/* The shard that tensor `name` lies in; folder_index_shards(x) where the index does not name it. */
size_t folder_index_find(const folder_index *x, const char *name);
/* Calls fn for every tensor of the index, until it fails. */
spoor_status folder_index_each(const folder_index *x,
                               spoor_status (*fn)(void *user, const char *name, size_t shard, spoor_error *err),
                               void *user, spoor_error *err);

/* ---- the folder ---- */

typedef struct folder {
    spoor_context *ctx;
    json_t *config;     /* of config.json; NULL: there is none */
    char *single;       /* path of the one file with the weights, or NULL: */
    folder_index *index; /* its shards are in the folder */
} folder;

/* Of several weights the first of model.safetensors, model.safetensors.index.json, pytorch_model.bin and
 * pytorch_model.bin.index.json. SPOOR_ERR_MODEL where there are none, or where config.json or the index is no such
 * thing. */
spoor_status folder_open(spoor_context *ctx, const char *path, folder *out, spoor_error *err);
void folder_clear(folder *f);
/* The text of a config.json. SPOOR_ERR_MODEL. */
spoor_status folder_config_parse(const void *text, size_t size, const char *name, json_t **out, spoor_error *err);
#endif
