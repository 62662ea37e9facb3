/* weights.h: the tensors of a checkpoint by name, whatever kind of file people have it in:
 *   - a safetensors file (memory mapped),
 *   - a Hugging Face folder: config.json and model.safetensors, model.safetensors.index.json with its shards,
 *     pytorch_model.bin, or pytorch_model.bin.index.json with its shards,
 *   - a PyTorch zip checkpoint (.pt, .pth, .bin: torch.h), state dict or checkpoint with one inside,
 *   - a ggml Whisper file (ggml.h).
 * Names are those of the file. What a name means to a model is src/frontend/dialect.h's business. Nothing in a file is
 * ever run; every number of it is checked before it is used. */
#ifndef WEIGHTS_WEIGHTS_H
#define WEIGHTS_WEIGHTS_H
#include "weights/safetensors.h"
#include <jansson.h>

#define WEIGHTS_HEAD 512 /* bytes by which the kind of a file is told */

typedef struct weights weights; /* immutable once open, may be shared between threads */

typedef struct weights_tensor {
    const char *name;
    safetensors_dtype dtype;
    int rank; /* 0 = a scalar, one element */
    int64_t shape[SAFETENSORS_MAX_RANK]; /* row-major, as PyTorch prints it */
    size_t count;
} weights_tensor;

/* A file or a folder. safetensors and ggml files are mapped into memory and must not be cut short while w is open
 * (io_map_file). SPOOR_ERR_MODEL with the reason where the file is no checkpoint that is known (an old PyTorch file
 * from before the zip format: what to do about it), SPOOR_ERR_IO, SPOOR_ERR_LIMIT. */
spoor_status weights_open(spoor_context *ctx, const char *path, weights **out, spoor_error *err);
void weights_free(weights *w);

/* "safetensors", "Hugging Face folder", "PyTorch", "ggml": for sentences and spoor inspect. */
const char *weights_format(const weights *w);
const char *weights_path(const weights *w);
size_t weights_count(const weights *w);
const weights_tensor *weights_at(const weights *w, size_t i); /* in the file's order; lives as long as w */
const weights_tensor *weights_find(const weights *w, const char *name); /* NULL = none */
/* config.json of a folder (without one, as if its file were named), the hyper-parameters of a ggml file
 * ({"format":"ggml", "n_mels":80, ...}), the metadata of a safetensors file (or, where that has the text of a JSON
 * object under "config", as spoor convert writes it, that object); NULL where there is none. Borrowed. */
const json_t *weights_config(const weights *w);
/* The map of strings in a single safetensors file, also in that of a folder; NULL: none, or another kind. Borrowed. */
const json_t *weights_metadata(const weights *w);

/* All elements as float into out[count], row-major. SPOOR_ERR_MODEL where the tensor cannot be had (one that depends on
 * an object that is never called; a shard that ends early), SPOOR_ERR_IO. From several threads at once: allowed. */
spoor_status weights_read(const weights *w, const weights_tensor *t, float *out, spoor_error *err);
/* The same as they are stored: count elements of t's dtype, little-endian, row-major. */
spoor_status weights_read_raw(const weights *w, const weights_tensor *t, void *out, spoor_error *err);
/* Why t cannot be read ("it is quantised"), which is the fate of some tensors of PyTorch files; NULL where it can. Its
 * dtype and shape then mean nothing. */
const char *weights_refused(const weights *w, const weights_tensor *t);
/* The elements where they lie, if they are F32, aligned and mapped; else NULL. Lives as long as w. */
const float *weights_mapped(const weights *w, const weights_tensor *t);
/* SHA-256 over names, shapes and values of all tensors in the order of their names, with the values as they are stored:
 * the same for a checkpoint and a copy of it in another container of the same precision. A tensor that cannot be read
 * counts by its name. */
spoor_status weights_sha256(const weights *w, char hex[65], spoor_error *err);
#endif
