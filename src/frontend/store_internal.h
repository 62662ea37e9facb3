/* store_internal.h: what store.c (looking up and reading), store_open.c (files into memory) and store_write.c (adding)
 * share. */
#ifndef FRONTEND_STORE_INTERNAL_H
#define FRONTEND_STORE_INTERNAL_H
#include "frontend/store_format.h"
#include <pthread.h>

typedef enum store_state { STORE_UNKNOWN, STORE_WHOLE, STORE_DAMAGED } store_state;

typedef struct store_entry {
    store_record record;
    uint32_t shard;
    unsigned char state; /* store_state; UNKNOWN until its rows were hashed */
} store_entry;

typedef struct store_shard {
    const unsigned char *map; /* NULL: nothing */
    size_t mapped;
} store_shard;

struct store {
    spoor_context *ctx;
    char *folder;
    json_t *settings;
    store_index index;
    size_t row;            /* bytes */
    pthread_mutex_t mutex; /* of everything below */
    store_shard *shards;   /* [n_shards], by number */
    size_t n_shards;
    store_entry *entries;
    size_t n_entries, capacity;
    uint32_t *slots;        /* open addressing: index + 1 of an entry, 0 = free */
    size_t n_slots;         /* a power of two */
    unsigned char salt[16]; /* keys of a hostile folder cannot know where they will lie */
    uint64_t torn;          /* records that were damaged or pointed outside their shard */
    /* the writer's: the last shard */
    bool writable;
    int lock, bin, idx;   /* -1 = not open */
    uint64_t shard_bytes; /* STORE_SHARD_BYTES; less in tests */
    uint64_t end;         /* of the rows that have a record, written or pending */
    uint64_t idx_size, reserved;
    unsigned char *pending; /* records that store_flush writes */
    size_t n_pending, pending_capacity;
};

/* The entry of a key, or NULL. With the mutex held, as the rest of these. */
store_entry *store_find(const store *s, const store_key *key);
/* Add an entry, or give the key's entry this record: a later record is a newer one. */
spoor_status store_insert(store *s, const store_record *r, uint32_t shard, store_state state, spoor_error *err);
/* "FOLDER/NNNN.END", freed with ctx_free; NULL = out of memory. */
char *store_shard_path(const store *s, uint32_t number, const char *end);
/* Read the records of all shards and map their rows. Writable: cut off what a kill left behind, void damaged records,
 * open the last shard for adding. */
spoor_status store_read_shards(store *s, spoor_error *err);
/* Sentence for a failed write; a full disk has one of its own. */
spoor_status store_write_failed(const store *s, int reason, spoor_error *err);
void store_close_writer(store *s);
#endif
