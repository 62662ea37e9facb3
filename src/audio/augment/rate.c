/* rate.c: steps that resample: down and back, and a change of speed. */
#include "audio/augment/steps.h"
#include <soxr.h>
#include <string.h>

spoor_status rate_convert(const float *x, size_t n, double rate_in, float *y, size_t m, double rate_out,
                          unsigned long quality, spoor_error *err) {
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t q = soxr_quality_spec(quality, 0);
    soxr_runtime_spec_t threads = soxr_runtime_spec(1);
    size_t used = 0, made = 0;
    soxr_error_t problem = soxr_oneshot(rate_in, rate_out, 1, x, n, &used, y, m, &made, &io, &q, &threads);
    if (problem != NULL) {
        return error_set(err, SPOOR_ERR_LIMIT, "resampling from %g to %g Hz failed: %s", rate_in, rate_out, problem);
    }
    memset(y + made, 0, (m - made) * sizeof *y);
    return SPOOR_OK;
}

spoor_status step_resample(const step_run *run, float *x, size_t n, spoor_error *err) {
    static const unsigned long qualities[] = {SOXR_LQ, SOXR_MQ, SOXR_HQ};
    double rate = step_draw(run, 0);
    unsigned long quality = qualities[rng_below(run->rng, 3)];
    size_t m = (size_t)((double)n * rate / AUGMENT_RATE) + 1;
    float *low = step_buffer(run->scratch, 1, m);
    if (low == NULL) {
        return error_memory(err, "resampling a clip");
    }
    TRY(rate_convert(x, n, AUGMENT_RATE, low, m, rate, quality, err));
    return rate_convert(low, m, rate, x, n, AUGMENT_RATE, quality, err);
}

spoor_status step_speed(const step_run *run, float *x, size_t n, spoor_error *err) {
    double factor = step_draw(run, 0);
    size_t m = (size_t)((double)n / factor);
    m = m > 0 ? m : 1;
    float *y = step_buffer(run->scratch, 1, m);
    if (y == NULL) {
        return error_memory(err, "changing a clip's speed");
    }
    TRY(rate_convert(x, n, AUGMENT_RATE * factor, y, m, AUGMENT_RATE, SOXR_HQ, err));
    for (size_t i = 0; i < n; i++) {
        x[i] = y[i % m]; /* a short clip is repeated to length, as the field does */
    }
    return SPOOR_OK;
}
