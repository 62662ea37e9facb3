/* store_format.h: the bytes of a store (store.h): records, the hash of rows, float16, index.json. Nothing here touches
 * a file; store.c does. Shared with the fuzz target and the benchmark. */
#ifndef FRONTEND_STORE_FORMAT_H
#define FRONTEND_STORE_FORMAT_H
#include "frontend/store.h"

enum { STORE_RECORD = 64 /* bytes */, STORE_ALIGN = 64, STORE_INDEX_MAX = 1 << 20 };

/* On disk, little-endian: key, offset, frames, rows, hash of the 56 bytes before it. All zero: no entry. */
typedef struct store_record {
    store_key key;
    uint64_t offset, frames; /* bytes from the beginning of the shard; > 0 */
    uint64_t rows;           /* store_hash of them */
} store_record;

typedef enum store_record_state { STORE_RECORD_GOOD, STORE_RECORD_NONE, STORE_RECORD_DAMAGED } store_record_state;
void store_record_write(const store_record *r, unsigned char out[STORE_RECORD]);
store_record_state store_record_read(const unsigned char in[STORE_RECORD], store_record *r);
/* The record's rows lie inside a shard of so many bytes; *size gets theirs. row: bytes of one. */
bool store_record_fits(const store_record *r, size_t row, uint64_t shard, size_t *size);

/* 64 bits against accidents, not against forgery: any change within one aligned 8-byte word changes it for certain, any
 * other with probability 1 - 2^-64. As fast as memory, where SHA-256 would be slower than the disk (bench_store). */
uint64_t store_hash(const void *data, size_t n);
/* All of n values are finite. */
bool store_finite(const void *data, size_t n, bool half);

/* float16 to float, exact; in may lie at an odd address. (Infinity and NaN, which no store holds, give large numbers.)
 */
void store_from_half(const void *in, size_t n, float *out);
/* Rounds to nearest even; false: a value is not finite or beyond 65504. */
bool store_to_half(const float *in, size_t n, uint16_t *out);

typedef struct store_index {
    char frontend[65]; /* SHA-256 of the configuration */
    size_t dim;
    bool half;
} store_index;

/* The settings that count, a new reference: where the configuration has the hash of the weights, without their path,
 * where to get them, a calibration of int8 that is not used, and whether a model file would hold them. hash: one to
 * take instead of the one that the configuration has; NULL. */
spoor_status store_settings(const frontend *fe, const char *hash, json_t **out, spoor_error *err);
/* What the index of features with these settings says. */
spoor_status store_index_of(const json_t *settings, size_t dim, bool half, store_index *out, spoor_error *err);
/* The text of index.json, freed with free(); NULL = out of memory. */
char *store_index_write(const store_index *x, const json_t *settings);
/* SPOOR_ERR_INPUT, naming `name`, for anything that is no index; *settings (may be NULL) gets a new reference. */
spoor_status store_index_read(const char *name, const void *text, size_t size, store_index *out, json_t **settings,
                              spoor_error *err);
#endif
