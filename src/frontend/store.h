/* store.h: features on disk, computed once: a folder with an index and shards that are memory mapped when read.
 *   index.json     what the features are: front end configuration and its hash, width, type, version of the format
 *   NNNN.bin       shards: rows of recordings one after the other, 64-byte aligned
 *   NNNN.idx       one fixed record for each recording: key, place, frames, hash of the rows, hash of the record
 *   lock           held by the one process that writes
 * A folder holds features of one front end. An entry's key is a hash of the recording's file, of the front end
 * (settings and hash of its weights, not their path) and, for an augmented copy, of the chain. So a changed recording,
 * other weights or other settings are never taken for the ones that are there. The hash is of the file and not of its
 * samples, because then neither the second run of an extraction nor the start of a training has to decode what is there
 * already.
 *
 * Rows are on disk before their record is written, and nothing that has a record is ever changed: after a kill at any
 * moment the folder holds what was flushed, and the next writer cuts off the rest. An entry whose record or rows are
 * not what they were (hashes tell) counts as not there. Readers may come and go while one writes; they see what was
 * there when they opened. A shard that something else than Spoor makes shorter while it is mapped kills the reader
 * (SIGBUS). */
#ifndef FRONTEND_STORE_H
#define FRONTEND_STORE_H
#include "frontend/frontend.h"

enum { STORE_MAX_SHARDS = 10000, STORE_SHARD_RECORDS = 1 << 20 };
#define STORE_SHARD_BYTES ((uint64_t)1 << 30) /* a shard is full when it has as many; one recording may be longer */

typedef struct store store;

typedef struct store_key {
    unsigned char bytes[32];
} store_key;

typedef struct store_copy { /* which augmented copy of a recording */
    char chain[65];         /* SHA-256 of the chain with all its settings: store_chain_hash */
    uint64_t seed, number;  /* number counts from 1 */
} store_copy;

typedef struct store_options {
    bool writable; /* the folder is made if need be; only one process at a time may write */
    bool half;     /* writable: float16 instead of float32 (must be the folder's own where there is one). A reader takes
                    * what is there */
    const char *weights; /* where fe came from a model file, which may hold trained weights: SHA-256 of that file, which
                          * then counts instead of the hash of the checkpoint that they were once; else NULL */
} store_options;

/* Open a folder for features of fe. SPOOR_ERR_USAGE: the folder holds features of another front end or type (the
 * sentence says which), is being written by another process, or (not writable) is no such folder; fe is a join whose
 * parts have rows of their own; SPOOR_ERR_INPUT:
 * index.json is damaged. */
spoor_status store_open(spoor_context *ctx, const char *folder, const frontend *fe, const store_options *options,
                        store **out, spoor_error *err);
/* What was added and not flushed is lost. */
void store_free(store *s);
/* Remove all features of a folder (nothing else in it), so that others can go there. Nothing there: does nothing. */
spoor_status store_clear(spoor_context *ctx, const char *folder, spoor_error *err);

bool store_is_half(const store *s);
/* SHA-256 of an augmentation's full configuration; of recordings that its steps name ("files", "sha256") the identity
 * alone. */
spoor_status store_chain_hash(const json_t *chain, char hex[65], spoor_error *err);
/* The key of a recording; audio is the SHA-256 of its file (io_sha256_file). copy NULL: the recording as it is. */
void store_key_make(const store *s, const char audio[65], const store_copy *copy, store_key *out);

/* How many frames are stored for the key; 0: none, or none that is whole. The first call for a key reads and hashes its
 * rows, later ones look it up. Safe from several threads, as are the next two. */
size_t store_frames(store *s, const store_key *key);
/* Rows [first, first + n) as float into out[n, dim]. SPOOR_ERR_INPUT: there is no whole entry with these rows. */
spoor_status store_read(store *s, const store_key *key, size_t first, size_t n, float *out, spoor_error *err);
/* Add one recording's features [frames, dim], all finite; on disk when store_flush returns. What is there already
 * stays. SPOOR_ERR_INPUT: a value does not fit into float16 (nothing else gives that status). On any error nothing was
 * added. */
spoor_status store_add(store *s, const store_key *key, const float *rows, size_t frames, spoor_error *err);
spoor_status store_flush(store *s, spoor_error *err);

typedef struct store_totals {
    uint64_t recordings, frames, bytes, damaged; /* damaged: entries that were found torn and left out */
} store_totals;
void store_get_totals(const store *s, store_totals *out);
/* Bytes that `frames` frames of `recordings` recordings take up on disk at most: said before an extraction starts. */
uint64_t store_bytes(size_t dim, bool half, uint64_t recordings, uint64_t frames);
#endif
