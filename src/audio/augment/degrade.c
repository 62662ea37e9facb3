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

/* keys: the settings of the first step that are the strengths, of which each lies in [min, max]; NULL: there is
 * none. */
enum { STRENGTHS = 2 };
static const struct kind {
    const char *name, *steps, *keys[STRENGTHS];
    double min[STRENGTHS], max[STRENGTHS];
    int silence;
} KINDS[] = {
    {"clean", "[]", {NULL}, {0}, {0}, -1},
    {"no-silence", "[]", {NULL}, {0}, {0}, 1},
    {"with-silence", "[]", {NULL}, {0}, {0}, 0},
    {"mp3", "[{\"kind\": \"codec\", \"codecs\": [\"mp3\"]}]", {"kbps"}, {8}, {160}, -1},
    {"opus", "[{\"kind\": \"codec\", \"codecs\": [\"opus\"]}]", {"kbps"}, {6}, {160}, -1},
    {"vorbis", "[{\"kind\": \"codec\", \"codecs\": [\"vorbis\"]}]", {"quality"}, {0}, {1}, -1},
    {"telephone",
     "[{\"kind\": \"bandlimit\", \"low\": [300, 300], \"high\": [3400, 3400]},"
     " {\"kind\": \"codec\", \"codecs\": [\"mulaw\"], \"narrowband\": 1}]",
     {NULL}, {0}, {0}, -1},
    {"gsm", "[{\"kind\": \"codec\", \"codecs\": [\"gsm\"]}]", {NULL}, {0}, {0}, -1},
    {"noise", "[{\"kind\": \"noise\", \"color\": [\"white\"]}]", {"snr"}, {-20}, {60}, -1},
    {"pink", "[{\"kind\": \"noise\", \"color\": [\"pink\"]}]", {"snr"}, {-20}, {60}, -1},
    {"reverb", "[{\"kind\": \"room\", \"drr\": [0, 0]}]", {"rt60"}, {0.1}, {3}, -1},
    {"band", "[{\"kind\": \"bandlimit\"}]", {"low", "high"}, {0, 2500}, {2000, 8000}, -1},
};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

/* Length of the plain decimal number that text begins with ("20", "-5", "0.25"); 0: there is none. */
static size_t decimal(const char *text) {
    static const char digits[] = "0123456789";
    size_t sign = *text == '-', whole = strspn(text + sign, digits), at = sign + whole;
    size_t fraction = whole > 0 && text[at] == '.' ? strspn(text + at + 1, digits) : 0;
    return whole == 0 ? 0 : fraction == 0 ? at : at + 1 + fraction;
}

/* Reads "-N" for each strength of the kind; false: the text has others, or more. */
static bool read_strengths(const struct kind *k, const char *text, double strength[STRENGTHS]) {
    for (size_t i = 0; i < STRENGTHS && k->keys[i] != NULL; i++) {
        if (*text != '-') {
            return false;
        }
        char *end;
        size_t length = decimal(++text);
        strength[i] = strtod(text, &end);
        if (length == 0 || end != text + length || !(strength[i] >= k->min[i] && strength[i] <= k->max[i])) {
            return false;
        }
        text = end;
    }
    return *text == '\0';
}

/* The kind of a name and its strengths; NULL: there is none. */
static const struct kind *find(const char *name, double strength[STRENGTHS]) {
    for (size_t i = 0; i < N_KINDS; i++) {
        size_t n = strlen(KINDS[i].name);
        if (strncmp(name, KINDS[i].name, n) == 0 && read_strengths(&KINDS[i], name + n, strength)) {
            return &KINDS[i];
        }
    }
    return NULL;
}

static spoor_status make_chain(degrade *d, const struct kind *k, const double strength[STRENGTHS], spoor_error *err) {
    json_t *steps = json_loads(k->steps, 0, NULL), *first = json_array_get(steps, 0);
    bool good = steps != NULL;
    for (size_t i = 0; good && i < STRENGTHS && k->keys[i] != NULL; i++) {
        good = json_object_set_new(first, k->keys[i], json_pack("[f, f]", strength[i], strength[i])) == 0;
    }
    spoor_status status = good ? augment_new(d->ctx, steps, &d->chain, err) : error_memory(err, "making a degradation");
    json_decref(steps);
    return status;
}

spoor_status degrade_new(spoor_context *ctx, const char *name, uint64_t seed, degrade **out, spoor_error *err) {
    double strength[STRENGTHS] = {0};
    const struct kind *k = find(name, strength);
    *out = NULL;
    if (k == NULL) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "\"%.60s\" is no degradation: there are clean, no-silence, with-silence, telephone, gsm, "
                         "mp3-8 to mp3-160, opus-6 to opus-160, vorbis-0 to vorbis-1, noise-N and pink-N with N of -20 "
                         "to 60 dB, reverb-N with N of 0.1 to 3 s, band-LOW-HIGH with LOW of 0 to 2000 and HIGH of "
                         "2500 to 8000 Hz",
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
