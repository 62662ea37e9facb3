/* trace.h: one recording in, one verdict out. Windows are computed one by one on the calling thread in a fixed order,
 * so that a recording gives the same bits alone, among others and on any number of workers. */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H
#include "audio/audio.h"
#include "model/model.h"
#include "trace/tree.h"

typedef struct trace_window {
    double start, end;   /* seconds */
    double bonafide;     /* calibrated probability of this window alone */
    int32_t source;      /* class index of the best source of this window; -1 where the model has no source task */
    double known;        /* known score of this window */
} trace_window;

/* Ranked classes of one task, human class left out. */
typedef struct trace_ranking {
    spoor_class *classes;
    size_t n;
} trace_ranking;

struct spoor_result {
    spoor_context *ctx;
    const spoor_model *model; /* must outlive the result */
    char *name;
    char sha256[65];
    char format[96];
    double seconds, rate;
    double silence_removed; /* seconds, which `seconds` does not count; negative: heard whole */
    int channels;
    audio_assessment assessment;
    spoor_verdict verdict;
    char reason[256];
    double bonafide_p, bonafide_llr;
    double known;
    trace_ranking *rankings; /* one per task of the model */
    spoor_enrolled *enrolled; /* [n_enrolled] best first; NULL: traced without a gallery */
    size_t n_enrolled;
    double nearest_known;     /* cosine to the nearest class that the model knows; NAN where that cannot be said */
    trace_tree *tree;        /* how a codec that made it is built; NULL: not assessable, or the model does not say */
    trace_window *windows;
    size_t n_windows;
    double agreement;        /* share of windows whose best source is the recording's best source; NaN without a source
                              * task */
    float *embedding;        /* mean over windows; NULL if not assessable */
    float *logits;           /* all tasks one after the other, mean over windows */
    char *json;              /* made on demand (report/json.c) */
};

/* A listener that gets every 16 kHz sample once, in order (the report's picture); zeros for those that no window
 * holds. */
typedef void (*trace_sink)(void *user, const float *samples, size_t n);

/* spoor_trace with a listener; sink may be NULL. */
spoor_status trace_run(spoor_session *session, spoor_audio *audio, const spoor_trace_options *options, trace_sink sink,
                       void *user, spoor_result **out, spoor_error *err);

/* Logits (model_row_size values) and embedding of one window of model->window samples. */
size_t trace_logits_size(const spoor_model *m);
spoor_status trace_window_forward(spoor_session *session, const float *samples, float *logits, float *embedding,
                                  spoor_error *err);
#endif
