/* gallery.h: the file of enrolled sources: for each a name and the embeddings of 1 to 50 recordings, as one model gave
 * them. A .safetensors file: tensor "source.N" [files, E] (F32) for the N-th source, and metadata "spoor.gallery":
 *   {"format": 1, "model": sha256 of the model file, "dim": E,
 *    "sources": [{"name": "...", "files": [sha256 of each recording, ...]}, ...]}
 * What the embeddings say about a recording: verify.h. */
#ifndef OPENSET_GALLERY_H
#define OPENSET_GALLERY_H
#include "openset/verify.h"

enum {
    GALLERY_MAX_SOURCES = 4096,
    GALLERY_MAX_ROWS = 65536,  /* files of all sources */
    GALLERY_MAX_DIM = 1 << 20, /* numbers of an embedding */
    GALLERY_MAX_NAME = 200,    /* bytes */
    GALLERY_MAX_META = 8 << 20 /* bytes of the metadata */
};
#define GALLERY_MAX_BYTES ((size_t)1 << 30)

typedef char gallery_hash[65]; /* SHA-256, 64 hexadecimal digits */

typedef struct gallery_source {
    char *name;
    size_t n;           /* files, 1..VERIFY_MAX_FILES */
    gallery_hash *file; /* [n] */
    float *embedding;   /* [n, dim] */
} gallery_source;

typedef struct gallery {
    spoor_context *ctx;
    gallery_hash model;
    size_t dim;
    gallery_source *source; /* [n], in the order in which they were enrolled */
    size_t n, capacity;
} gallery;

/* An empty one for a model. SPOOR_ERR_USAGE: no hash, or dim outside 1..GALLERY_MAX_DIM. */
spoor_status gallery_new(spoor_context *ctx, const char *model_sha256, size_t dim, gallery **out, spoor_error *err);
/* SPOOR_ERR_INPUT with the reason where the file is no gallery; SPOOR_ERR_IO, SPOOR_ERR_LIMIT. */
spoor_status gallery_open(spoor_context *ctx, const char *path, gallery **out, spoor_error *err);
/* The same from memory, which is needed during the call only; `name` is what sentences call it. */
spoor_status gallery_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, gallery **out,
                                 spoor_error *err);
void gallery_free(gallery *g);
/* Atomically. The same gallery gives the same bytes. */
spoor_status gallery_save(const gallery *g, const char *path, spoor_error *err);

/* SPOOR_ERR_INPUT in one sentence if `path` was made by another model. */
spoor_status gallery_check_model(const gallery *g, const char *path, const char *model_sha256, size_t dim,
                                 spoor_error *err);
/* SPOOR_ERR_USAGE: not 1 to GALLERY_MAX_NAME bytes of UTF-8, control characters, blanks at an end, or a name of human
 * speech. */
spoor_status gallery_check_name(const char *name, spoor_error *err);
/* Index of a source, or SIZE_MAX. */
size_t gallery_find(const gallery *g, const char *name);

/* Add n recordings to the source of this name, which is made if it is not there. Recordings that the source has already
 * (by hash) are skipped; *added (may be NULL) is how many were not. On failure nothing has changed. SPOOR_ERR_USAGE: a
 * bad name;
 * SPOOR_ERR_LIMIT: more than VERIFY_MAX_FILES files, or too many sources; SPOOR_ERR_INPUT: a number that is not
 * finite. */
spoor_status gallery_add(gallery *g, const char *name, const gallery_hash *file, const float *embedding, size_t n,
                         size_t *added, spoor_error *err);
/* SPOOR_ERR_USAGE if there is no such source. */
spoor_status gallery_remove(gallery *g, const char *name, spoor_error *err);
#endif
