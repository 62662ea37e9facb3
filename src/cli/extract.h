/* extract.h: what extract.c (options, where things come from, what is said) and extract_run.c (the work) share. */
#ifndef CLI_EXTRACT_H
#define CLI_EXTRACT_H
#include "audio/audio.h"
#include "audio/augment/augment.h"
#include "base/pool.h"
#include "frontend/store.h"

enum { EXTRACT_MAX_COPIES = 1000 };

typedef struct extraction {
    spoor_context *ctx;
    const frontend *fe;
    const augment *chain; /* NULL where copies is 0 */
    uint64_t copies, seed;
    const audio_silence *silence; /* recordings are read without theirs; NULL: whole */
    const char *const *paths; /* [n] */
    size_t n;
    pool *pool;
    store *store; /* NULL: nothing is there, and nothing will be stored (--dry-run) */
    void (*stage)(void *user, const char *label, const char *unit); /* what ctx_progress counts from here on */
    void *user;
    /* extract_plan fills: */
    char (*audio)[65];     /* SHA-256 of each recording's file */
    double *seconds;       /* of those with something to do */
    unsigned char *broken; /* cannot be read */
    uint64_t *jobs;        /* what is missing, in order: clip * (copies + 1) + copy */
    size_t n_jobs;
    uint64_t there, frames; /* entries that are there; frames to be computed, by the recordings' headers */
    double todo, length;    /* seconds of sound to go through the front end; of all recordings in n_jobs once */
    /* extract_run fills: */
    uint64_t made;
    char **failures; /* sentences, in order */
    size_t n_failures, failures_capacity;
} extraction;

/* Hash the recordings and find out what is missing. Recordings that cannot be read become failures. */
spoor_status extract_plan(extraction *x, spoor_error *err);
/* Seconds that extract_run will take, measured on a few recordings without storing anything; 0: too few to bother. */
spoor_status extract_measure(extraction *x, double *seconds, spoor_error *err);
/* Compute and store what is missing, in order, whatever the number of threads. Recordings that fail become failures.
 * What was made is on disk when it returns, also where it was cancelled or the disk is full (which are errors). */
spoor_status extract_run(extraction *x, spoor_error *err);
void extract_clear(extraction *x);
#endif
