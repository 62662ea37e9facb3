/* reduce.h: a model file or an encoder's checkpoint with a calibration of int8 (frontend/int8.h) in it. */
#ifndef MODEL_REDUCE_H
#define MODEL_REDUCE_H
#include "frontend/int8_measure.h"

/* `to` is the safetensors file `from` with the plans of its encoders, which o's recordings were measured for: in a
 * model file in the configuration of its front end, in a checkpoint in its metadata; everything else keeps its bytes.
 * The options' `read` is filled in here. *plans (NULL: not wanted) is a list of the encoders' plans, a new reference.
 * SPOOR_ERR_MODEL where from is neither; SPOOR_ERR_USAGE where there is nothing to calibrate. */
spoor_status reduce_calibrate(spoor_context *ctx, const char *from, const char *to, const int8_options *o,
                              json_t **plans, spoor_error *err);
#endif
