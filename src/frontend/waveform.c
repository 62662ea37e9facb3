/* waveform.c: see waveform.h. */
#include "frontend/waveform.h"
#include "base/config.h"
#include "frontend/frontend.h"
#include <math.h>

spoor_status waveform_new(spoor_context *ctx, const json_t *config, waveform **out, spoor_error *err) {
    static const char *const keys[] = {"kind", "hop", NULL};
    int64_t hop;
    *out = NULL;
    TRY(config_keys(config, "front end", keys, err));
    TRY(config_int(config, "front end", "hop", 200, 16, FRONTEND_MAX_DIM, &hop, err));
    waveform *fe = ctx_calloc(ctx, 1, sizeof *fe);
    if (fe == NULL) {
        return error_memory(err, "making a front end");
    }
    *fe = (waveform){
        .ctx = ctx, .hop = (size_t)hop, .config = json_pack("{s:s, s:I}", "kind", "waveform", "hop", (json_int_t)hop)};
    if (fe->config == NULL) {
        waveform_free(fe);
        return error_memory(err, "making a front end");
    }
    *out = fe;
    return SPOOR_OK;
}

void waveform_free(waveform *fe) {
    if (fe != NULL) {
        json_decref(fe->config);
        ctx_free(fe->ctx, fe);
    }
}

size_t waveform_frames(const waveform *fe, size_t n_samples) {
    return n_samples == 0 ? 0 : n_samples < fe->hop ? 1 : n_samples / fe->hop;
}

void waveform_compute(const waveform *fe, const float *samples, size_t n, float *out) {
    size_t values = waveform_frames(fe, n) * fe->hop;
    for (size_t i = 0; i < values; i++) {
        float v = i < n && isfinite(samples[i]) ? samples[i] : 0;
        out[i] = v > 1e6f ? 1e6f : v < -1e6f ? -1e6f : v;
    }
}
