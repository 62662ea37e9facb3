/* level.c: see level.h. */
#include "audio/level.h"
#include <math.h>

#define LOUD_SAMPLES (AUDIO_RATE / 10)

size_t level_of(const float *samples, size_t n, double *mean_out, double *energy_out) {
    double mean = 0, energy = 0;
    for (size_t i = 0; i < n; i++) {
        mean += (double)samples[i];
    }
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = (double)samples[i] - mean;
        energy += d * d;
    }
    if (mean_out != NULL) {
        *mean_out = mean;
    }
    if (energy_out != NULL) {
        *energy_out = energy;
    }
    double dbfs = 10 * log10(energy / (double)n + 1e-30);
    double place = floor((dbfs - LEVEL_LOW) / LEVEL_STEP);
    return place <= 0 ? 0 : place >= LEVELS - 1 ? LEVELS - 1 : (size_t)place;
}

size_t level_loudest(const uint64_t samples_at[LEVELS]) {
    uint64_t seen = 0;
    size_t top = LEVELS;
    while (top > 0 && (seen += samples_at[top - 1]) < LOUD_SAMPLES) {
        top--;
    }
    return top;
}

bool level_is_silence(size_t loudest) { return (double)loudest * LEVEL_STEP + LEVEL_LOW <= LEVEL_SILENCE; }
