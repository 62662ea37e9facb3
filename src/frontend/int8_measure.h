/* int8_measure.h: making the plan of int8.h for an encoder from recordings. */
#ifndef FRONTEND_INT8_MEASURE_H
#define FRONTEND_INT8_MEASURE_H
#include "frontend/frontend.h"

/* Samples of a recording, valid until the next call. */
typedef spoor_status (*int8_clip_fn)(void *user, size_t clip, const float **samples, size_t *n, spoor_error *err);

typedef struct int8_options {
    size_t clips; /* >= 1 */
    int8_clip_fn clip;
    void *user;
    double share;         /* of the multiplications that would be int8: as many may stay bfloat16; 0 .. 1 */
    bool every_state;     /* errors are those of every hidden state, not only of those that the front end hands on */
    encoder_read_fn read; /* the values of a front end that was made from a model file; NULL: it has a checkpoint */
    void *read_user;
} int8_options;
void int8_options_init(int8_options *o); /* share 0.1 */

/* Measures each encoder of a front end that was made with precision "f32", and *out (a new reference) is the front
 * end's configuration with the plans in it, "int8" of each encoder. fe cannot be used afterwards. SPOOR_ERR_USAGE where
 * it has no encoder, or where o is wrong; SPOOR_ERR_MODEL where the encoder gives numbers that are not finite. Progress
 * in runs of an encoder. The same recordings give the same plan. */
spoor_status int8_measure(frontend *fe, const int8_options *o, json_t **out, spoor_error *err);
#endif
