/* room.c: a synthetic room: direct path, early reflections, exponentially decaying late reverberation; and recorded
 * rooms. */
#include "audio/augment/steps.h"
#include <math.h>
#include <string.h>

enum { ROOM_ONSET = 32 /* samples: nothing is reflected within 2 ms */, EARLY_END = 800 /* 50 ms */ };

/* h[m]: direct path 1 at 0; the rest has the energy 10^(-drr/10) and falls by 60 dB in rt60 seconds. */
static void make_response(const step_run *run, double rt60, double drr, float *h, size_t m) {
    double rate = log(1000) / (rt60 * AUGMENT_RATE); /* amplitude falls by 1000 in rt60 */
    memset(h, 0, m * sizeof *h);
    for (size_t i = ROOM_ONSET; i < m; i++) {
        h[i] = (float)(rng_normal(run->rng) * exp(-rate * (double)i));
    }
    size_t reflections = 4 + (size_t)rng_below(run->rng, 9);
    for (size_t j = 0; j < reflections; j++) {
        size_t at = ROOM_ONSET + (size_t)rng_below(run->rng, EARLY_END - ROOM_ONSET);
        double a = rng_range(run->rng, 1, 5) * exp(-rate * (double)at);
        double sign = rng_uniform(run->rng) < 0.5 ? -1 : 1;
        if (at < m) {
            h[at] += (float)(a * sign);
        }
    }
    /* Walls and air take the high frequencies: a one-pole low pass between 2 and 8 kHz. It leaves the decay as it
     * is. */
    double a = exp(-2 * 3.14159265358979323846 * rng_range(run->rng, 2000, 8000) / AUGMENT_RATE), before = 0,
           energy = 0;
    for (size_t i = 0; i < m; i++) {
        before = (1 - a) * (double)h[i] + a * before;
        h[i] = (float)before;
        energy += before * before;
    }
    double gain = energy > 0 ? sqrt(pow(10, -drr / 10) / energy) : 0;
    for (size_t i = 0; i < m; i++) {
        h[i] = (float)(gain * (double)h[i]);
    }
    h[0] = 1;
}

spoor_status step_room(const step_run *run, float *x, size_t n, spoor_error *err) {
    double rt60 = step_draw(run, 0), drr = step_draw(run, 1);
    size_t m = (size_t)(rt60 * AUGMENT_RATE) + 1;
    float *h = step_buffer(run->scratch, 1, m);
    if (h == NULL) {
        return error_memory(err, "making a room");
    }
    make_response(run, rt60, drr, h, m);
    return fir_apply(run->scratch, x, n, h, m, 0, err);
}

/* Energy 1; returns the place of the direct path. A response without any sound becomes the direct path alone. */
static size_t normalise_response(float *h, size_t m) {
    size_t peak = 0;
    double energy = 0;
    for (size_t i = 0; i < m; i++) {
        peak = fabsf(h[i]) > fabsf(h[peak]) ? i : peak;
        energy += (double)h[i] * (double)h[i];
    }
    double gain = 1 / sqrt(energy);
    if (!(energy > 0) || !isfinite(gain)) {
        memset(h, 0, m * sizeof *h);
        h[peak] = 1;
        return peak;
    }
    for (size_t i = 0; i < m; i++) {
        h[i] = (float)(gain * (double)h[i]);
    }
    return peak;
}

spoor_status step_recorded_room(const step_run *run, float *x, size_t n, spoor_error *err) {
    const augment_recordings *rooms = run->recordings;
    float *h;
    size_t m;
    TRY(rooms->whole(rooms->stretch.user, (size_t)rng_below(run->rng, rooms->stretch.count), &h, &m, err));
    spoor_status status = SPOOR_OK;
    if (m == 0 || m > AUGMENT_MAX_RESPONSE) {
        status = error_set(err, SPOOR_ERR_LIMIT, "an impulse response of %zu samples is none of 1 to %u", m,
                           AUGMENT_MAX_RESPONSE);
    } else {
        size_t peak = normalise_response(h, m);
        status = fir_apply(run->scratch, x, n, h, m, peak, err);
    }
    ctx_free(run->scratch->ctx, h);
    return status;
}
