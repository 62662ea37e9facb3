/* overview.c: see overview.h. A chunk of 10 ms gives one spectrum; a column is per_column = 160 * 2^k samples. */
#include "report/overview.h"
#include <string.h>

spoor_status overview_new(spoor_context *ctx, overview **out, spoor_error *err) {
    *out = NULL;
    overview *o = ctx_calloc(ctx, 1, sizeof *o);
    if (o == NULL) {
        return error_memory(err, "drawing a recording");
    }
    o->ctx = ctx;
    o->per_column = OVERVIEW_CHUNK;
    json_t *config =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "kind", "log-mel", "n_fft", 512, "win_length", 512,
                  "hop_length", OVERVIEW_CHUNK, "n_mels", OVERVIEW_BANDS, "f_min", 0, "f_max", 8000, "center", 0);
    spoor_status status = config == NULL ? error_memory(err, "drawing a recording")
                                                               : frontend_new(ctx, config, &o->frontend, err);
    json_decref(config);
    if (status == SPOOR_OK) {
        status = frontend_scratch_new(o->frontend, &o->scratch, err);
    }
    if (status != SPOOR_OK) {
        overview_free(o);
        return status;
    }
    *out = o;
    return SPOOR_OK;
}

void overview_free(overview *o) {
    if (o == NULL) {
        return;
    }
    frontend_scratch_free(o->scratch);
    frontend_free(o->frontend);
    ctx_free(o->ctx, o);
}

static void merge_columns(overview *o) {
    for (size_t i = 0; i < OVERVIEW_COLUMNS / 2; i++) {
        size_t a = 2 * i, b = a + 1;
        o->low[i] = o->low[a] < o->low[b] ? o->low[a] : o->low[b];
        o->high[i] = o->high[a] > o->high[b] ? o->high[a] : o->high[b];
        for (size_t k = 0; k < OVERVIEW_BANDS; k++) {
            o->band[i][k] = 0.5f * (o->band[a][k] + o->band[b][k]);
        }
    }
    o->n = OVERVIEW_COLUMNS / 2;
    o->per_column *= 2;
}

/* Add a full chunk (its spectrum from the 512-sample frame that ends with it) to the column it belongs to. */
static void add_chunk(overview *o) {
    float row[OVERVIEW_BANDS];
    memmove(o->history, o->history + OVERVIEW_CHUNK, (512 - OVERVIEW_CHUNK) * sizeof *o->history);
    memcpy(o->history + 512 - OVERVIEW_CHUNK, o->chunk, sizeof o->chunk);
    size_t position = o->position;
    o->position += OVERVIEW_CHUNK;
    if (frontend_compute(o->frontend, o->scratch, o->history, 512, row, NULL) != SPOOR_OK) {
        return; /* a picture is not worth failing for */
    }
    if (position / o->per_column >= OVERVIEW_COLUMNS) {
        merge_columns(o);
    }
    size_t column = position / o->per_column, within = position % o->per_column / OVERVIEW_CHUNK;
    if (within == 0) {
        o->n = column + 1;
        o->low[column] = o->high[column] = o->chunk[0];
        memset(o->band[column], 0, sizeof o->band[column]);
    }
    for (size_t i = 0; i < OVERVIEW_CHUNK; i++) {
        o->low[column] = o->chunk[i] < o->low[column] ? o->chunk[i] : o->low[column];
        o->high[column] = o->chunk[i] > o->high[column] ? o->chunk[i] : o->high[column];
    }
    for (size_t k = 0; k < OVERVIEW_BANDS; k++) {
        o->band[column][k] += (row[k] - o->band[column][k]) / (float)(within + 1);
    }
}

void overview_add(void *user, const float *samples, size_t n) {
    overview *o = user;
    for (size_t i = 0; i < n; i++) {
        o->chunk[o->n_chunk++] = samples[i];
        if (o->n_chunk == OVERVIEW_CHUNK) {
            add_chunk(o);
            o->n_chunk = 0;
        }
    }
}
