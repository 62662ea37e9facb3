/* store.h: features on disk, computed once: a folder with an index and shards that are memory mapped when read.
 *   index.json     what the features are: front end configuration, hash of its weights, width, type, version
 *   NNNN.bin       shards: rows of recordings one after the other, 64-byte aligned
 *   NNNN.idx       one fixed record for each recording: key, place, frames, hash of the rows
 * An entry's key is a hash of the recording's bytes, of the weights and of the settings. A torn or stale entry (a kill in
 * the middle, other weights, a changed recording) is noticed and made again. */
#ifndef FRONTEND_STORE_H
#define FRONTEND_STORE_H
#include "frontend/frontend.h"

typedef struct store store;

typedef struct store_key {
    unsigned char bytes[32];
} store_key;

/* Open a folder for features of fe, making it if need be. half: float16 instead of float32 (must be the folder's own where
 * there is one). SPOOR_ERR_USAGE: the folder holds features of another front end: says which. writable: only one at a time
 * (a lock file); readers may come and go. */
spoor_status store_open(spoor_context *ctx, const char *folder, const frontend *fe, bool half, bool writable, store **out,
                        spoor_error *err);
void store_free(store *s);

/* The key of a recording's samples (mono, 16 kHz, as they are computed from). */
void store_key_make(const store *s, const float *samples, size_t n, store_key *out);
/* How many frames are stored for the key; 0: none (or none that is whole). Safe from several threads. */
size_t store_frames(const store *s, const store_key *key);
/* Rows [first, first + n) as float into out[n, dim]. */
spoor_status store_read(const store *s, const store_key *key, size_t first, size_t n, float *out, spoor_error *err);
/* Add one recording's features [frames, dim]; safe from several threads; on disk when store_flush returns. */
spoor_status store_add(store *s, const store_key *key, const float *rows, size_t frames, spoor_error *err);
spoor_status store_flush(store *s, spoor_error *err);

typedef struct store_totals {
    uint64_t recordings, frames, bytes, damaged; /* damaged: entries that were found torn and left out */
} store_totals;
void store_get_totals(const store *s, store_totals *out);
/* Bytes that `frames` frames take up on disk: said before an extraction starts. */
uint64_t store_bytes(const store *s, uint64_t recordings, uint64_t frames);
#endif
