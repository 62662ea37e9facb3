/* degrade.c: see degrade.h. */
#include "audio/augment/degrade.h"
#include "base/io.h"
#include <stdlib.h>
#include <string.h>

enum { STREAM = 0x64656772 }; /* "degr": random numbers of its own */

struct degrade {
    spoor_context *ctx;
    char *name;
    augment *chain;
    int silence;
    uint64_t seed;
};

/* key: the setting of the step that is the strength, which lies in [min, max]; NULL: there is none. */
static const struct kind {
    const char *name, *steps, *key;
    double min, max;
    int silence;
} KINDS[] = {
    {"clean", "[]", NULL, 0, 0, -1},
    {"no-silence", "[]", NULL, 0, 0, 1},
    {"with-silence", "[]", NULL, 0, 0, 0},
    {"mp3", "[{\"kind\": \"codec\", \"codecs\": [\"mp3\"]}]", "kbps", 8, 160, -1},
    {"opus", "[{\"kind\": \"codec\", \"codecs\": [\"opus\"]}]", "kbps", 6, 160, -1},
    {"vorbis", "[{\"kind\": \"codec\", \"codecs\": [\"vorbis\"]}]", "quality", 0, 1, -1},
    {"telephone",
     "[{\"kind\": \"bandlimit\", \"low\": [300, 300], \"high\": [3400, 3400]},"
     " {\"kind\": \"codec\", \"codecs\": [\"mulaw\"], \"narrowband\": 1}]",
     NULL, 0, 0, -1},
    {"gsm", "[{\"kind\": \"codec\", \"codecs\": [\"gsm\"]}]", NULL, 0, 0, -1},
    {"noise", "[{\"kind\": \"noise\", \"color\": [\"white\"]}]", "snr", -20, 60, -1},
    {"pink", "[{\"kind\": \"noise\", \"color\": [\"pink\"]}]", "snr", -20, 60, -1},
};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

/* The kind of a name and its strength; NULL: there is none. */
static const struct kind *find(const char *name, double *strength) {
    *strength = 0;
    for (size_t i = 0; i < N_KINDS; i++) {
        size_t n = strlen(KINDS[i].name);
        if (KINDS[i].key == NULL && strcmp(name, KINDS[i].name) == 0) {
            return &KINDS[i];
        }
        if (KINDS[i].key != NULL && strncmp(name, KINDS[i].name, n) == 0 && name[n] == '-') {
            char *end;
            *strength = strtod(name + n + 1, &end);
            bool good = end != name + n + 1 && *end == '\0' && *strength >= KINDS[i].min && *strength <= KINDS[i].max;
            return good ? &KINDS[i] : NULL;
        }
    }
    return NULL;
}

static spoor_status make_chain(degrade *d, const struct kind *k, double strength, spoor_error *err) {
    json_t *steps = json_loads(k->steps, 0, NULL);
    bool good = steps != NULL && (k->key == NULL || json_object_set_new(json_array_get(steps, 0), k->key,
                                                                        json_pack("[f, f]", strength, strength)) == 0);
    spoor_status status = good ? augment_new(d->ctx, steps, &d->chain, err) : error_memory(err, "making a degradation");
    json_decref(steps);
    return status;
}

spoor_status degrade_new(spoor_context *ctx, const char *name, uint64_t seed, degrade **out, spoor_error *err) {
    double strength;
    const struct kind *k = find(name, &strength);
    *out = NULL;
    if (k == NULL) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "\"%.60s\" is no degradation: there are clean, no-silence, with-silence, telephone, gsm, mp3-8 to mp3-160, "
                         "opus-6 to opus-160, vorbis-0 to vorbis-1, noise-N and pink-N with N of -20 to 60 dB",
                         name);
    }
    degrade *d = ctx_calloc(ctx, 1, sizeof *d);
    if (d == NULL) {
        return error_memory(err, "making a degradation");
    }
    *d = (degrade){.ctx = ctx, .name = ctx_strdup(ctx, name), .silence = k->silence, .seed = seed};
    spoor_status status = d->name == NULL ? error_memory(err, "making a degradation") : make_chain(d, k, strength, err);
    if (status != SPOOR_OK) {
        degrade_free(d);
        return status;
    }
    *out = d;
    return SPOOR_OK;
}

void degrade_free(degrade *d) {
    if (d != NULL) {
        augment_free(d->chain);
        ctx_free(d->ctx, d->name);
        ctx_free(d->ctx, d);
    }
}

const char *degrade_name(const degrade *d) { return d->name; }
const json_t *degrade_steps(const degrade *d) { return augment_config(d->chain); }
bool degrade_changes(const degrade *d) { return json_array_size(augment_config(d->chain)) > 0; }
int degrade_silence(const degrade *d) { return d->silence; }

static rng numbers_of(const degrade *d, const char *id) {
    char hex[65];
    io_sha256(id, strlen(id), hex);
    rng r = rng_make(d->seed, STREAM);
    return rng_make(rng_u64(&r), io_sha256_number(hex));
}

spoor_status degrade_apply(const degrade *d, const char *id, float *x, size_t n, spoor_error *err) {
    augment_scratch *s;
    TRY(augment_scratch_new(d->chain, &s, err));
    rng r = numbers_of(d, id);
    size_t pieces = n / AUGMENT_MAX_SAMPLES + 1;
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; status == SPOOR_OK && i < pieces; i++) {
        size_t from = n * i / pieces, to = n * (i + 1) / pieces;
        status = augment_apply(d->chain, s, NULL, &r, x + from, to - from, err);
    }
    augment_scratch_free(s);
    return status;
}
