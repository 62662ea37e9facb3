/* augment.c: an augmentation chain: its configuration, its life, and running it. The steps are in the other files. */
#include "audio/augment/augment.h"
#include "audio/augment/steps.h"
#include "base/config.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct range_spec {
    const char *key; /* NULL: none */
    double low, high, min, max;
    bool whole;
} range_spec;

typedef struct kind_spec {
    const char *name;
    step_fn run;
    range_spec ranges[STEP_RANGES];
    const char *list_key; /* names to draw from, NULL: none */
    const char *const *names;
    uint32_t choices; /* the default */
    const char *number_key;
    double number;
} kind_spec;

static const char *const COLOURS[] = {"white", "pink", "brown", NULL};
static const char *const ALGORITHMS[] = {"1", "2", "3", "4", "5", "6", "7", "8", NULL};
static const char *const CODECS[] = {"opus", "vorbis", "mp3", "mulaw", "alaw", "adpcm", "gsm", "g721", NULL};
static const char *const LINES[] = {"mulaw", "alaw", "gsm", "g721", NULL};
static const char *const FFT_SIZES[] = {"256", "512", "1024", "2048", NULL};
static const char *const EXCITATIONS[] = {"pulse", "noise", "mixed", NULL};

enum { KIND_NOISE, KIND_BABBLE, KIND_ROOM, KIND_RAWBOOST, KIND_GAIN, KIND_EQ, KIND_BANDLIMIT, KIND_CODEC,
       KIND_TELEPHONE, KIND_RESAMPLE, KIND_SPEED, KIND_MASK, KIND_GRIFFIN_LIM, KIND_MEL, KIND_SINUSOIDS, KIND_LPC, KIND_CHANNELS,
       KIND_ONE, KIND_NAMES, KIND_RECORDED_NOISE = KIND_NAMES, KIND_RECORDED_ROOM, /* noise and room with "files" */
       KINDS };

#define SNR {"snr", 5, 30, -20, 100, false}
static const kind_spec SPECS[KINDS] = {
    [KIND_NOISE] = {"noise", step_noise, {SNR}, "color", COLOURS, 7, NULL, 0},
    [KIND_BABBLE] = {"babble", step_babble, {SNR, {"talkers", 3, 8, 1, 64, true}}, NULL, NULL, 0, NULL, 0},
    [KIND_ROOM] = {"room", step_room, {{"rt60", 0.1, 0.8, 0.02, 3, false}, {"drr", 0, 15, -20, 60, false}},
                   NULL, NULL, 0, NULL, 0},
    [KIND_RAWBOOST] = {"rawboost", step_rawboost, {{0}}, "algo", ALGORITHMS, 16, NULL, 0},
    [KIND_GAIN] = {"gain", step_gain, {{"db", -12, 6, -60, 60, false}}, NULL, NULL, 0, NULL, 0},
    [KIND_EQ] = {"eq", step_eq, {{"db", -6, 6, -40, 40, false}, {"knots", 3, 8, 2, 32, true}}, NULL, NULL, 0, NULL, 0},
    [KIND_BANDLIMIT] = {"bandlimit", step_bandlimit,
                        {{"low", 0, 300, 0, 2000, false}, {"high", 3000, 8000, 2500, 8000, false}},
                        NULL, NULL, 0, NULL, 0},
    [KIND_CODEC] = {"codec", step_codec, {{"kbps", 8, 64, 6, 160, false}, {"quality", 0, 0.6, 0, 1, false}},
                    "codecs", CODECS, 31, "narrowband", 0.5},
    [KIND_TELEPHONE] = {"telephone", step_telephone,
                        {{"low", 200, 400, 0, 2000, false}, {"high", 3000, 3600, 2500, 3900, false}},
                        "codecs", LINES, 3, NULL, 0},
    [KIND_RESAMPLE] = {"resample", step_resample, {{"rate", 6000, 15000, 2000, 16000, false}}, NULL, NULL, 0, NULL, 0},
    [KIND_SPEED] = {"speed", step_speed, {{"factor", 0.95, 1.05, 0.5, 2, false}}, NULL, NULL, 0, NULL, 0},
    [KIND_MASK] = {"mask", step_mask, {{"count", 1, 3, 0, 100, true}, {"seconds", 0.01, 0.1, 0, 10, false}},
                   NULL, NULL, 0, NULL, 0},
    [KIND_GRIFFIN_LIM] = {"griffin-lim", step_griffin_lim, {{"iterations", 8, 8, 0, 200, true}}, "size", FFT_SIZES, 4,
                          "momentum", 0.99},
    [KIND_MEL] = {"mel", step_mel, {{"iterations", 8, 8, 0, 200, true}, {"bands", 80, 80, 8, 256, true}}, "size",
                  FFT_SIZES,
                  4, "momentum", 0.99},
    [KIND_SINUSOIDS] = {"sinusoids", step_sinusoids, {{"peaks", 30, 30, 1, 200, true}}, "size", FFT_SIZES, 4, NULL, 0},
    [KIND_LPC] = {"lpc", step_lpc, {{"order", 18, 18, 2, 32, true}}, "excitation", EXCITATIONS, 1, NULL, 0},
    [KIND_CHANNELS] = {"channel-vocoder", step_channels, {{"bands", 24, 24, 4, 80, true}}, "excitation", EXCITATIONS, 2,
                       NULL, 0},
    [KIND_ONE] = {"one", NULL, {{0}}, NULL, NULL, 0, NULL, 0}, /* its steps follow it in augment.steps */
    [KIND_RECORDED_NOISE] = {"noise", step_recorded_noise, {SNR, {"count", 1, 1, 1, 64, true}}, NULL, NULL, 0, NULL, 0},
    [KIND_RECORDED_ROOM] = {"room", step_recorded_room, {{0}}, NULL, NULL, 0, NULL, 0},
};

typedef struct used_set {
    augment_set set;
    augment_recordings from; /* count 0: not given yet */
} used_set;

struct augment {
    spoor_context *ctx;
    json_t *config;
    size_t count;
    augment_step steps[AUGMENT_MAX_STEPS];
    json_t *own[AUGMENT_MAX_STEPS]; /* the step in config */
    size_t n_sets;
    used_set sets[AUGMENT_MAX_STEPS];
};

/* ---- configuration -------------------------------------------------------------------------------------- */

static spoor_status read_range(const json_t *object, const char *where, const range_spec *spec, double out[2],
                               spoor_error *err) {
    const json_t *v = json_object_get(object, spec->key);
    out[0] = spec->low;
    out[1] = spec->high;
    if (v == NULL) {
        return SPOOR_OK;
    }
    const json_t *a = json_is_number(v) ? v : json_array_get(v, 0), *b = json_is_number(v) ? v : json_array_get(v, 1);
    bool right = json_is_number(v) || json_array_size(v) == 2;
    right = right && json_is_number(a) && json_is_number(b);
    out[0] = json_number_value(a);
    out[1] = json_number_value(b);
    right = right && out[0] >= spec->min && out[0] <= out[1] && out[1] <= spec->max;
    right = right && (!spec->whole || (out[0] == floor(out[0]) && out[1] == floor(out[1])));
    if (!right) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be a %s or a list [low, high] within %g to %g", where,
                         spec->key, spec->whole ? "whole number" : "number", spec->min, spec->max);
    }
    return SPOOR_OK;
}

/* The bit of a name in the list, 0 if it is none. A whole number counts as its digits (rawboost's "algo"). */
static uint32_t choice_bit(const json_t *v, const char *const *names) {
    char digits[24];
    const char *text = json_string_value(v);
    if (json_is_integer(v)) {
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(v));
        text = digits;
    }
    for (uint32_t i = 0; text != NULL && names[i] != NULL; i++) {
        if (strcmp(text, names[i]) == 0) {
            return UINT32_C(1) << i;
        }
    }
    return 0;
}

static spoor_status read_choices(const json_t *object, const char *where, const kind_spec *spec, uint32_t *out,
                                 spoor_error *err) {
    const json_t *v = json_object_get(object, spec->list_key);
    *out = spec->choices;
    if (v == NULL) {
        return SPOOR_OK;
    }
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    bool right = n > 0;
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bit = choice_bit(json_is_array(v) ? json_array_get(v, i) : v, spec->names);
        right = right && bit != 0;
        *out |= bit;
    }
    if (!right) {
        char list[160] = "";
        for (size_t i = 0; spec->names[i] != NULL; i++) {
            strcat(strcat(list, i == 0 ? "" : ", "), spec->names[i]); /* our own short names: they fit */
        }
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be a list of: %s", where, spec->list_key, list);
    }
    return SPOOR_OK;
}

static bool of_recordings(const augment_step *step) { return step->kind >= KIND_NAMES; }

static spoor_status read_step(const json_t *object, size_t index, augment_step *step, spoor_error *err) {
    char where[48];
    snprintf(where, sizeof where, "augment[%zu]", index);
    const char *names[KIND_NAMES + 1] = {NULL};
    for (int k = 0; k < KIND_NAMES; k++) {
        names[k] = SPECS[k].name;
    }
    if (!json_is_object(object) || json_object_get(object, "kind") == NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "%s must be a mapping with at least a \"kind\"", where);
    }
    TRY(config_choice(object, where, "kind", names, 0, &step->kind, err));
    if (json_object_get(object, "files") != NULL) {
        step->kind = step->kind == KIND_NOISE  ? KIND_RECORDED_NOISE
                     : step->kind == KIND_ROOM ? KIND_RECORDED_ROOM
                                               : step->kind;
    }
    const kind_spec *spec = &SPECS[step->kind];
    snprintf(where, sizeof where, "augment[%zu] (%s)", index, spec->name);
    const char *keys[STEP_RANGES + 7] = {"kind", "p"};
    size_t n = 2;
    if (step->kind == KIND_ONE) {
        keys[n++] = "of";
    }
    if (of_recordings(step)) {
        keys[n++] = "files";
        keys[n++] = "sha256";
    }
    for (int i = 0; i < STEP_RANGES && spec->ranges[i].key != NULL; i++) {
        keys[n++] = spec->ranges[i].key;
    }
    keys[n] = spec->list_key;
    n += spec->list_key != NULL;
    keys[n] = spec->number_key;
    TRY(config_keys(object, where, keys, err));
    TRY(config_number(object, where, "p", 1, 0, 1, &step->p, err));
    for (int i = 0; i < STEP_RANGES && spec->ranges[i].key != NULL; i++) {
        TRY(read_range(object, where, &spec->ranges[i], step->range[i], err));
    }
    if (spec->list_key != NULL) {
        TRY(read_choices(object, where, spec, &step->choices, err));
    }
    return spec->number_key == NULL
               ? SPOOR_OK
               : config_number(object, where, spec->number_key, spec->number, 0, 1, &step->number, err);
}

static json_t *number(double value, bool whole) {
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

/* The step with all defaults filled in; NULL when out of memory. */
static json_t *write_step(const augment_step *step) {
    const kind_spec *spec = &SPECS[step->kind];
    json_t *object = json_pack("{s:s, s:f}", "kind", spec->name, "p", step->p);
    bool failed = object == NULL;
    for (int i = 0; i < STEP_RANGES && spec->ranges[i].key != NULL; i++) {
        bool whole = spec->ranges[i].whole;
        json_t *pair = json_pack("[o, o]", number(step->range[i][0], whole), number(step->range[i][1], whole));
        failed |= json_object_set_new(object, spec->ranges[i].key, pair) != 0;
    }
    if (spec->list_key != NULL) {
        json_t *list = json_array();
        for (int i = 0; spec->names[i] != NULL; i++) {
            if ((step->choices >> i & 1) != 0) {
                const char *name = spec->names[i]; /* a number is written as one */
                json_t *item = *name >= '0' && *name <= '9' ? json_integer(atoi(name)) : json_string(name);
                failed |= json_array_append_new(list, item) != 0;
            }
        }
        failed |= json_object_set_new(object, spec->list_key, list) != 0;
    }
    if (spec->number_key != NULL) {
        failed |= json_object_set_new(object, spec->number_key, json_real(step->number)) != 0;
    }
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* Try each codec of the step once: a libsndfile without it is found here and not in the middle of a training, and what
 * the codecs' libraries set up on first use is set up before threads start. */
static spoor_status try_codecs(const augment *a, const augment_step *step, spoor_error *err) {
    augment_scratch *s;
    TRY(augment_scratch_new(a, &s, err));
    float x[640] = {0};
    spoor_status status = SPOOR_OK;
    const char *const *names = SPECS[step->kind].names;
    for (unsigned i = 0; names[i] != NULL && status == SPOOR_OK; i++) {
        if ((step->choices >> i & 1) != 0) {
            int codec = step->kind == KIND_TELEPHONE ? telephone_codec(i) : (int)i;
            double quality = codec == CODEC_VORBIS ? step->range[1][0] : step->range[0][0];
            status = codec_round_trip(s, codec, quality, x, 640, err);
        }
    }
    augment_scratch_free(s);
    return status;
}

static spoor_status too_many(size_t n, spoor_error *err) {
    return error_set(err, SPOOR_ERR_USAGE, "augment has %zu steps, more than the limit of %d", n, AUGMENT_MAX_STEPS);
}

/* The set that a step's "files" name: one for all steps with the same path and use. */
static spoor_status add_set(augment *a, const json_t *object, json_t *config, augment_step *step, spoor_error *err) {
    const char *path = json_string_value(json_object_get(object, "files")), *wanted = NULL;
    if (path == NULL || *path == '\0') {
        return error_set(err, SPOOR_ERR_USAGE, "augment[%zu] (%s).files must be the path of a folder or a list",
                         a->count - 1, SPECS[step->kind].name);
    }
    TRY(config_string(object, "augment", "sha256", NULL, &wanted, err));
    if (json_object_set_new(config, "files", json_string(path)) != 0 ||
        (wanted != NULL && json_object_set_new(config, "sha256", json_string(wanted)) != 0)) {
        return error_memory(err, "making an augmentation");
    }
    if (!(step->p > 0)) {
        return SPOOR_OK; /* it never happens */
    }
    bool room = step->kind == KIND_RECORDED_ROOM;
    size_t i = 0;
    while (i < a->n_sets && (a->sets[i].set.room != room || strcmp(a->sets[i].set.path, path) != 0)) {
        i++;
    }
    if (i == a->n_sets) {
        a->sets[a->n_sets++].set = (augment_set){json_string_value(json_object_get(config, "files")), room};
    }
    step->set = i + 1;
    return SPOOR_OK;
}

/* The next step of a->steps, and in *out what it is with all defaults. */
static spoor_status add_step(augment *a, const json_t *object, json_t **out, spoor_error *err) {
    if (a->count == AUGMENT_MAX_STEPS) {
        return too_many(a->count + 1, err);
    }
    augment_step *step = &a->steps[a->count];
    TRY(read_step(object, a->count, step, err));
    a->count++;
    *out = write_step(step);
    if (*out == NULL) {
        return error_memory(err, "making an augmentation");
    }
    a->own[a->count - 1] = *out;
    if (of_recordings(step)) {
        return add_set(a, object, *out, step, err);
    }
    return step->kind == KIND_CODEC || step->kind == KIND_TELEPHONE ? try_codecs(a, step, err) : SPOOR_OK;
}

/* The steps of which a step "one" (the last that was added) takes one. */
static spoor_status add_choices(augment *a, const json_t *object, json_t *config, spoor_error *err) {
    augment_step *head = &a->steps[a->count - 1];
    const json_t *of = json_object_get(object, "of");
    json_t *list = json_array();
    if (json_object_set_new(config, "of", list) != 0) {
        return error_memory(err, "making an augmentation");
    }
    head->of = json_array_size(of);
    if (head->of == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "augment: a step one needs a list of steps in \"of\"");
    }
    for (size_t i = 0; i < head->of; i++) {
        json_t *one = NULL;
        spoor_status status = add_step(a, json_array_get(of, i), &one, err);
        bool good = one == NULL || json_array_append_new(list, one) == 0;
        TRY(status);
        if (!good) {
            return error_memory(err, "making an augmentation");
        }
        if (a->steps[a->count - 1].kind == KIND_ONE) {
            return error_set(err, SPOOR_ERR_USAGE, "augment: a step one cannot hold another");
        }
    }
    return SPOOR_OK;
}

static spoor_status build(augment *a, const json_t *steps, spoor_error *err) {
    if (steps != NULL && !json_is_array(steps)) {
        return error_set(err, SPOOR_ERR_USAGE, "augment must be a list of steps");
    }
    if (json_array_size(steps) > AUGMENT_MAX_STEPS) {
        return too_many(json_array_size(steps), err);
    }
    a->config = json_array();
    for (size_t i = 0; i < json_array_size(steps); i++) {
        json_t *one = NULL;
        const json_t *object = json_array_get(steps, i);
        spoor_status status = add_step(a, object, &one, err);
        bool good = one == NULL || json_array_append_new(a->config, one) == 0;
        TRY(status);
        if (!good) {
            return error_memory(err, "making an augmentation");
        }
        if (a->steps[a->count - 1].kind == KIND_ONE) {
            TRY(add_choices(a, object, one, err));
        }
    }
    return a->config == NULL ? error_memory(err, "making an augmentation") : SPOOR_OK;
}

/* ---- life ----------------------------------------------------------------------------------------------- */

spoor_status augment_new(spoor_context *ctx, const json_t *steps, augment **out, spoor_error *err) {
    *out = NULL;
    augment *a = ctx_calloc(ctx, 1, sizeof *a);
    if (a == NULL) {
        return error_memory(err, "making an augmentation");
    }
    a->ctx = ctx;
    spoor_status status = build(a, steps, err);
    if (status != SPOOR_OK) {
        augment_free(a);
        return status;
    }
    *out = a;
    return SPOOR_OK;
}

void augment_free(augment *a) {
    if (a != NULL) {
        json_decref(a->config);
        ctx_free(a->ctx, a);
    }
}

const json_t *augment_config(const augment *a) { return a->config; }

bool augment_needs_sources(const augment *a) {
    bool needs = false;
    for (size_t i = 0; i < a->count; i++) {
        needs |= a->steps[i].kind == KIND_BABBLE && a->steps[i].p > 0;
    }
    return needs;
}

const augment_set *augment_set_at(const augment *a, size_t i) { return i < a->n_sets ? &a->sets[i].set : NULL; }

spoor_status augment_use_recordings(augment *a, size_t i, const augment_recordings *recordings, const char *sha256,
                                    spoor_error *err) {
    for (size_t k = 0; k < a->count; k++) {
        const char *wanted = json_string_value(json_object_get(a->own[k], "sha256"));
        if (a->steps[k].set == i + 1 && wanted != NULL && strcmp(wanted, sha256) != 0) {
            return error_set(err, SPOOR_ERR_INPUT,
                             "augment: the recordings of %s are not those that the step's sha256 stands for; bring "
                             "those back, or leave sha256 out", a->sets[i].set.path);
        }
    }
    for (size_t k = 0; k < a->count; k++) {
        if (a->steps[k].set == i + 1 && json_object_set_new(a->own[k], "sha256", json_string(sha256)) != 0) {
            return error_memory(err, "reading recordings");
        }
    }
    a->sets[i].from = *recordings;
    return SPOOR_OK;
}

spoor_status augment_scratch_new(const augment *a, augment_scratch **out, spoor_error *err) {
    *out = ctx_calloc(a->ctx, 1, sizeof **out);
    if (*out == NULL) {
        return error_memory(err, "making an augmentation's scratch");
    }
    (*out)->ctx = a->ctx;
    return SPOOR_OK;
}

void augment_scratch_free(augment_scratch *s) {
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < STEP_BUFFERS; i++) {
        ctx_free(s->ctx, s->buffer[i]);
    }
    for (int i = 0; i < STEP_FFT_SIZES; i++) {
        ctx_free(s->ctx, s->fft[0][i]);
        ctx_free(s->ctx, s->fft[1][i]);
    }
    ctx_free(s->ctx, s->fft_time);
    ctx_free(s->ctx, s->fft_bins);
    ctx_free(s->ctx, s->fft_filter);
    ctx_free(s->ctx, s->bytes);
    ctx_free(s->ctx, s);
}

float *step_buffer(augment_scratch *s, int slot, size_t n) {
    return ctx_grow(s->ctx, (void **)&s->buffer[slot], &s->capacity[slot], n, sizeof(float)) ? s->buffer[slot] : NULL;
}

/* ---- running -------------------------------------------------------------------------------------------- */

double step_draw(const step_run *run, int i) {
    return rng_range(run->rng, run->step->range[i][0], run->step->range[i][1]);
}

size_t step_draw_whole(const step_run *run, int i) {
    size_t low = (size_t)run->step->range[i][0], high = (size_t)run->step->range[i][1];
    return low + (size_t)rng_below(run->rng, high - low + 1);
}

unsigned step_choose(const step_run *run) {
    unsigned list[32], n = 0;
    for (unsigned i = 0; i < 32; i++) {
        if ((run->step->choices >> i & 1) != 0) {
            list[n++] = i;
        }
    }
    return list[rng_below(run->rng, n)];
}

/* Steps multiply loud clips by themselves: nothing may leave the range in which that is finite. */
static void keep_finite(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = isfinite(x[i]) ? x[i] : 0;
        x[i] = v > 1e6f ? 1e6f : v < -1e6f ? -1e6f : v;
    }
}

spoor_status augment_apply(const augment *a, augment_scratch *s, const augment_sources *sources, rng *r, float *x,
                           size_t n, spoor_error *err) {
    uint64_t seed = rng_u64(r);
    if (n > AUGMENT_MAX_SAMPLES) {
        return error_set(err, SPOOR_ERR_LIMIT, "a clip of %zu samples is over the limit of %u for augmentation", n,
                         AUGMENT_MAX_SAMPLES);
    }
    if (augment_needs_sources(a) && (sources == NULL || sources->count == 0)) {
        return error_set(err, SPOOR_ERR_USAGE, "augment: babble needs other clips to take talkers from");
    }
    for (size_t i = 0; i < a->n_sets; i++) {
        if (a->sets[i].from.stretch.count == 0) {
            return error_set(err, SPOOR_ERR_USAGE, "augment: the recordings of %s were not read", a->sets[i].set.path);
        }
    }
    keep_finite(x, n);
    for (size_t i = 0; i < a->count && n > 0; i += 1 + a->steps[i].of) {
        rng own = rng_make(seed, i); /* a change in one step leaves the draws of the others alone */
        step_run run = {.step = &a->steps[i], .scratch = s, .sources = sources, .rng = &own};
        bool wanted = rng_uniform(&own) < run.step->p;
        if (wanted && run.step->of > 0) { /* one of those that follow it */
            size_t k = i + 1 + (size_t)rng_below(&own, run.step->of);
            run.step = &a->steps[k];
            own = rng_make(seed, k);
            wanted = rng_uniform(&own) < run.step->p;
        }
        if (wanted) {
            run.recordings = run.step->set > 0 ? &a->sets[run.step->set - 1].from : NULL;
            TRY(SPECS[run.step->kind].run(&run, x, n, err));
            keep_finite(x, n);
        }
    }
    return SPOOR_OK;
}
