/* session.h: what a spoor_session holds. */
#ifndef TRACE_SESSION_H
#define TRACE_SESSION_H
#include "trace/trace.h"

struct spoor_session {
    spoor_context *ctx;
    spoor_model *model;
    compute *compute;
    tape *tape;
    frontend_scratch *scratch;
    size_t frames;
    float *samples;  /* [window] */
    float *features; /* [frames, dim] */
};
#endif
