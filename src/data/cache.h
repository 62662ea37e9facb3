/* cache.h: the training and dev recordings in memory, decoded once. Recordings over the limit are decoded again each
 * time they are asked for. Samples are exact: 16 bits where the recording has no more, else float. */
#ifndef DATA_CACHE_H
#define DATA_CACHE_H
#include "audio/audio.h"
#include "base/pool.h"

typedef struct clip_cache clip_cache;

/* paths[n] must outlive the cache. limit: bytes of samples that may be kept. */
spoor_status cache_new(spoor_context *ctx, const char *const *paths, size_t n, size_t limit, clip_cache **out,
                       spoor_error *err);
void cache_free(clip_cache *c);
/* The first n recordings are not decoded by cache_fill: nobody will ask for them. */
void cache_skip(clip_cache *c, size_t n);
/* Of a recording with several channels take the first instead of their mean. */
void cache_first_channel(clip_cache *c);
/* Recordings are decoded without their silences. */
void cache_without_silence(clip_cache *c, const audio_silence *how);
/* Decode on the workers of the pool until the limit is reached, in order, some at a time. SPOOR_ERR_INPUT if recordings
 * cannot be read or are empty: how many, and what is wrong with the first; all (up to 100) go to the log.
 * SPOOR_ERR_CANCELLED between. */
spoor_status cache_fill(clip_cache *c, pool *p, spoor_error *err);
size_t cache_kept(const clip_cache *c);  /* recordings in memory */
size_t cache_bytes(const clip_cache *c);

/* The calls below may come from several threads at once (not during cache_fill). */

/* n samples from a recording. 0 <= where < 1 says from where: of a longer recording a stretch that begins at this share
 * of the possible beginnings; a shorter one begins at this share of its length and goes round. */
spoor_status cache_crop(const clip_cache *c, size_t clip, double where, float *out, size_t n, spoor_error *err);
/* n samples beginning at this share of its length, going round at its end (talkers of augment.h; user is the cache). */
spoor_status cache_round(void *user, size_t clip, double where, float *out, size_t n, spoor_error *err);
/* All samples; *out is freed with ctx_free. */
spoor_status cache_whole(const clip_cache *c, size_t clip, float **out, size_t *n, spoor_error *err);
#endif
