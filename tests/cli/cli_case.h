/* cli_case.h: what the tests of the command line share: a folder with a tiny model and speech-like recordings, and
 * running `spoor` there. */
#ifndef TESTS_CLI_CASE_H
#define TESTS_CLI_CASE_H
#include "base/io.h"
#include "base/rng.h"
#include "model/tiny_model.h"
#include "support/command.h"
#include "support/schema.h"
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL "model.safetensors" /* in the folder */

static char *folder;
static json_t *schema;

static const char *in_folder(const char *name) {
    static char buffers[4][1100];
    static unsigned next;
    char *b = buffers[next++ % 4];
    snprintf(b, 1100, "%.80s/%.1000s", folder, name);
    return b;
}

/* Harmonics of a moving pitch and some noise; the same seed gives the same sound in every file. */
static inline void write_voice(const char *name, double seconds, int rate, int channels, int format, uint64_t seed) {
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    SNDFILE *f = sf_open(in_folder(name), SFM_WRITE, &info);
    assert_non_null(f);
    size_t n = (size_t)llround(seconds * rate);
    float *x = malloc((n + 1) * (size_t)channels * sizeof *x);
    assert_non_null(x);
    rng r = rng_make(seed, 0);
    double phase = 0;
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / rate, v = 0;
        phase += 6.283185307 * (120 + 40 * sin(1.8 * t + (double)seed)) / rate;
        for (int k = 1; k < 30 && 160 * k < rate / 2; k++) {
            v += sin(k * phase) / k;
        }
        float y = (float)(0.1 * v * (0.6 + 0.4 * sin(6 * t)) + 0.003 * rng_normal(&r));
        for (int c = 0; c < channels; c++) {
            x[i * (size_t)channels + (size_t)c] = c == 0 ? y : -0.5f * y + 0.002f * (float)rng_normal(&r);
        }
    }
    assert_int_equal(sf_writef_float(f, x, (sf_count_t)n), (sf_count_t)n);
    assert_int_equal(sf_close(f), 0);
    free(x);
}

static inline void write_wav(const char *name, double seconds, uint64_t seed) {
    write_voice(name, seconds, 16000, 1, SF_FORMAT_WAV | SF_FORMAT_PCM_16, seed);
}

static inline void write_bytes(const char *name, const void *data, size_t n) {
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void write_string(const char *name, const char *text) { write_bytes(name, text, strlen(text)); }

static inline int set_up(void **state) {
    (void)state;
    folder = support_temporary();
    spoor_context *ctx = support_context();
    tiny_model_write(ctx, in_folder(MODEL), false);
    spoor_context_free(ctx);
    schema = json_load_file(support_path("docs/result.schema.json"), 0, NULL);
    return schema == NULL;
}

static inline int tear_down(void **state) {
    (void)state;
    json_decref(schema);
    support_remove(folder);
    free(folder);
    return 0;
}

/* spoor with these arguments, in the folder; outcome_free. */
#define spoor(...) command_run(&(command){.folder = folder, .args = (const char *const[]){__VA_ARGS__, NULL}})
/* spoor trace -m MODEL with these arguments */
#define trace(...) spoor("trace", "-m", MODEL, __VA_ARGS__)

static inline void exits(const outcome *o, int status) {
    if (o->status != status) {
        fail_msg("exit code %d, not %d; stderr: %s", o->status, status, o->err);
    }
}

static inline void fits_schema(const json_t *object) {
    char why[1200];
    if (!schema_valid(schema, object, why, sizeof why)) {
        char *text = json_dumps(object, 0);
        fail_msg("%s in %s", why, text);
    }
}

/* The output as JSON, every answer in it checked against the schema; json_decref. */
static inline json_t *answers(const outcome *o) {
    json_error_t where;
    json_t *j = json_loads(o->out, JSON_REJECT_DUPLICATES, &where);
    if (j == NULL) {
        fail_msg("no valid JSON: %s (line %d) in: %.300s", where.text, where.line, o->out);
    }
    if (json_is_object(j)) {
        fits_schema(j);
    }
    for (size_t i = 0; i < json_array_size(j); i++) {
        fits_schema(json_array_get(j, i));
    }
    return j;
}

static inline const char *text_of(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    if (s == NULL) {
        fail_msg("no text \"%s\"", key);
    }
    return s;
}

/* "" where the answer is no error. */
static inline const char *error_code(const json_t *object) {
    const char *s = json_string_value(json_object_get(json_object_get(object, "error"), "code"));
    return s == NULL ? "" : s;
}
#endif
