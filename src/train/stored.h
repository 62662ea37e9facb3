/* stored.h: features of training clips from a store (frontend/store.h) instead of from their samples: recipe section
 * cache. */
#ifndef TRAIN_STORED_H
#define TRAIN_STORED_H
#include "audio/augment/augment.h"
#include "base/pool.h"
#include "base/rng.h"
#include "frontend/store.h"
#include "train/dataset.h"

typedef struct stored stored;

/* Open the recipe's store (r->cache_path is not ""). All arguments must outlive it; `command` makes what is missing.
 * SPOOR_ERR_USAGE: it holds features of another front end or another type than cache.type; SPOOR_ERR_INPUT: nothing is
 * there. */
spoor_status stored_open(spoor_context *ctx, const recipe *r, const dataset *d, const frontend *fe, const augment *a,
                         const char *command, stored **out, spoor_error *err);
void stored_free(stored *s);
bool stored_is_half(const stored *s);
/* Hash the recordings of all training clips and check that their features are there and whole, on the pool's workers;
 * before stored_clip. SPOOR_ERR_INPUT: how many are not, and the command that makes them. */
spoor_status stored_check(stored *s, pool *p, spoor_error *err);

/* A stretch of n frames of training clip `clip` into out[n, dim]. where as in cache_crop: of longer features a stretch
 * that begins at this share of the possible beginnings, shorter ones begin at this share and go round. Where the recipe
 * has copies, two numbers are drawn from r: with probability cache.p one of the copies is taken, any as likely as
 * another. Called from several threads. */
spoor_status stored_clip(const stored *s, size_t clip, double where, rng *r, float *out, size_t n, spoor_error *err);
#endif
