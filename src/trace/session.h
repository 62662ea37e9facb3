/* session.h: what a spoor_session holds. */
#ifndef TRACE_SESSION_H
#define TRACE_SESSION_H
#include "trace/trace.h"

/* Whether the recording is heard with its silences: as the model was trained, where its options do not say. */
spoor_status session_follow(const spoor_session *s, spoor_audio *audio, spoor_error *err);

struct spoor_session {
    spoor_context *ctx;
    spoor_model *model;
    compute *compute;
    tape *tape;
    frontend_scratch *scratch;
    size_t frames;
    int64_t rows[FRONTEND_MAX_PARTS]; /* of each part of the front end */
    float *samples;  /* [window] */
    float *features; /* [frames, dim] */
};
#endif
