/* spoor.h: follow a speech recording back to the system that made it.
 *
 * The whole public interface of libspoor: open a model, open audio, trace, read the result, free.
 * A complete program is examples/trace_file.c.
 *
 * Rules that hold everywhere:
 *  - A fallible function returns a spoor_status and, where `err` is not NULL, fills it with one sentence.
 *  - Every x_new / x_open has an x_free that accepts NULL. Pointers returned by getters live as long as
 *    the object they were read from.
 *  - A context and a model may be shared between threads once made. A session, an audio and a result
 *    belong to one thread at a time.
 *  - Scores have one polarity: higher = more like the target that the name states.
 */
#ifndef SPOOR_SPOOR_H
#define SPOOR_SPOOR_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define SPOOR_API __attribute__((visibility("default")))
#else
#define SPOOR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Status codes are also the exit codes of the command line tool. */
typedef enum spoor_status {
    SPOOR_OK = 0,
    SPOOR_ERR_USAGE = 1,      /* an argument, option or recipe is wrong */
    SPOOR_ERR_INPUT = 2,      /* an input file cannot be used */
    SPOOR_ERR_MODEL = 3,      /* a model file is missing or cannot be used */
    SPOOR_ERR_LIMIT = 4,      /* out of memory, or over a named limit */
    SPOOR_ERR_IO = 5,         /* writing failed, or reading what is neither recording nor model */
    SPOOR_ERR_CANCELLED = 130 /* the cancel callback asked to stop */
} spoor_status;

typedef struct spoor_error {
    spoor_status status;
    char message[512]; /* one sentence: what, where, what to do; NUL-terminated UTF-8 */
} spoor_error;

/* A short stable word for a status: "ok", "usage", "input", "model", "limit", "io", "cancelled". */
SPOOR_API const char *spoor_status_name(spoor_status status);

/* "MAJOR.MINOR.PATCH"; static storage. */
SPOOR_API const char *spoor_version(void);

/* ---- context ------------------------------------------------------------------------------------------ */

/* Memory seam. All three are set, or all three are NULL (then malloc, realloc and free). */
typedef struct spoor_allocator {
    void *(*alloc)(void *user, size_t size);
    void *(*realloc)(void *user, void *block, size_t size);
    void (*free)(void *user, void *block);
    void *user;
} spoor_allocator;

typedef enum spoor_log_level { SPOOR_LOG_ERROR, SPOOR_LOG_WARN, SPOOR_LOG_INFO, SPOOR_LOG_DEBUG } spoor_log_level;
typedef void (*spoor_log_fn)(void *user, spoor_log_level level, const char *message);
/* done of total units; total is 0 where it is not known. */
typedef void (*spoor_progress_fn)(void *user, uint64_t done, uint64_t total);
/* Return non-zero to stop: the call in progress returns SPOOR_ERR_CANCELLED. */
typedef int (*spoor_cancel_fn)(void *user);

typedef struct spoor_context_options {
    spoor_allocator allocator;
    spoor_log_fn log;
    spoor_progress_fn progress;
    spoor_cancel_fn cancel;
    void *user; /* handed to log, progress and cancel */
} spoor_context_options;

typedef struct spoor_context spoor_context;

SPOOR_API void spoor_context_options_init(spoor_context_options *options);
/* options may be NULL. */
SPOOR_API spoor_status spoor_context_new(const spoor_context_options *options, spoor_context **out, spoor_error *err);
/* Frees the context; everything made with it must have been freed before. */
SPOOR_API void spoor_context_free(spoor_context *ctx);

/* ---- model -------------------------------------------------------------------------------------------- */

typedef struct spoor_model spoor_model;

/* Open a model file (.safetensors written by `spoor train`). path NULL: the default model, looked for at
 * $SPOOR_MODEL, then where `make install` put it. */
SPOOR_API spoor_status spoor_model_open(spoor_context *ctx, const char *path, spoor_model **out, spoor_error *err);

typedef struct spoor_model_options {
    const char *precision; /* of a pretrained front end's matrix products: "f32", "bf16" or "int8"; NULL: as it was trained */
    const char *taxonomy;  /* file of how sources are built (docs/data.md), for the tree of a result; NULL: the model's own, else the
                            * one that is built in, where the model answers its attributes */
} spoor_model_options;

SPOOR_API void spoor_model_options_init(spoor_model_options *options);
/* options may be NULL. A model whose front end is not in its file looks for the checkpoint beside it and in $SPOOR_WEIGHTS. */
SPOOR_API spoor_status spoor_model_open_with(spoor_context *ctx, const char *path, const spoor_model_options *options,
                                             spoor_model **out, spoor_error *err);
SPOOR_API void spoor_model_free(spoor_model *model);
SPOOR_API const char *spoor_model_name(const spoor_model *model);
SPOOR_API const char *spoor_model_sha256(const spoor_model *model); /* 64 hexadecimal digits */
/* One line: what the model was trained on, how many sources it knows, what it cannot know. */
SPOOR_API const char *spoor_model_card(const spoor_model *model);
SPOOR_API size_t spoor_model_embedding_size(const spoor_model *model);

/* ---- enrolled sources --------------------------------------------------------------------------------- */

/* Sources that a model was not trained on, each known by 1 to 50 recordings (`spoor enroll`); docs/enroll.md. Immutable and
 * shared between threads once open; the model must outlive it. */
typedef struct spoor_gallery spoor_gallery;

/* path NULL: $SPOOR_GALLERY, then MODEL.gallery.safetensors beside MODEL.safetensors; where there is none, *out is NULL and the
 * status SPOOR_OK. SPOOR_ERR_INPUT: no gallery, or that of another model. */
SPOOR_API spoor_status spoor_gallery_open(const spoor_model *model, const char *path, spoor_gallery **out, spoor_error *err);
SPOOR_API void spoor_gallery_free(spoor_gallery *gallery);
SPOOR_API size_t spoor_gallery_size(const spoor_gallery *gallery); /* enrolled sources */
SPOOR_API const char *spoor_gallery_name(const spoor_gallery *gallery, size_t index); /* NULL past the last */

/* ---- audio -------------------------------------------------------------------------------------------- */

typedef struct spoor_audio spoor_audio;

/* Silences at the beginning and the end of a recording, and long ones in it: docs/silence.md has the rule. */
typedef enum spoor_silence {
    SPOOR_SILENCE_AS_TRAINED, /* taken out where the model was trained without them */
    SPOOR_SILENCE_KEEP,
    SPOOR_SILENCE_REMOVE
} spoor_silence;

typedef struct spoor_audio_options {
    int channel;          /* -1: mix all channels down; >= 0: take this channel, counted from 0 */
    double raw_rate;      /* > 0: the input is headerless 16-bit little-endian PCM of this rate in hertz */
    int raw_channels;     /* channels of headerless input */
    spoor_silence silence;
} spoor_audio_options;

SPOOR_API void spoor_audio_options_init(spoor_audio_options *options);
/* path "-" is standard input. options may be NULL. */
SPOOR_API spoor_status spoor_audio_open(spoor_context *ctx, const char *path, const spoor_audio_options *options,
                                        spoor_audio **out, spoor_error *err);
/* A whole file in memory; data must outlive the audio. */
SPOOR_API spoor_status spoor_audio_open_memory(spoor_context *ctx, const void *data, size_t size,
                                               const spoor_audio_options *options, spoor_audio **out, spoor_error *err);
/* n mono samples in [-1, 1] at `rate` hertz (4,000 to 192,000); samples must outlive the audio. */
SPOOR_API spoor_status spoor_audio_open_samples(spoor_context *ctx, const float *samples, size_t n, double rate,
                                                spoor_audio **out, spoor_error *err);
SPOOR_API void spoor_audio_free(spoor_audio *audio);

/* ---- session and result ------------------------------------------------------------------------------- */

typedef struct spoor_session spoor_session;
typedef struct spoor_result spoor_result;

typedef struct spoor_trace_options {
    double hop_seconds;   /* distance between windows; 0 = one window length (4.0375 s) */
    const char *name;     /* what to call the input in reports; NULL = the path it was opened from */
    const spoor_gallery *gallery; /* enrolled sources beside the known ones; NULL = none. Must outlive the result */
} spoor_trace_options;

typedef enum spoor_verdict {
    SPOOR_BONAFIDE,      /* human speech */
    SPOOR_KNOWN,         /* synthetic, from a source that the model knows */
    SPOOR_UNKNOWN,       /* synthetic, from no source that the model knows */
    SPOOR_NOT_ASSESSABLE, /* see spoor_result_reason */
    SPOOR_ENROLLED       /* synthetic, from an enrolled source; only with a gallery */
} spoor_verdict;

/* One class of a task with its calibrated probability. */
typedef struct spoor_class {
    const char *name;
    double p;
} spoor_class;

/* One enrolled source. score: how much the recording is like it, and unlike known sources (higher = more); from `threshold` on
 * it is named. llr: the score as natural-log likelihood ratio, NAN where the model was not calibrated for that. */
typedef struct spoor_enrolled {
    const char *name;
    size_t files; /* that were enrolled */
    double score, threshold, llr;
} spoor_enrolled;

SPOOR_API void spoor_trace_options_init(spoor_trace_options *options);
SPOOR_API spoor_status spoor_session_new(spoor_model *model, spoor_session **out, spoor_error *err);
SPOOR_API void spoor_session_free(spoor_session *session);

/* Trace one recording. options may be NULL. A recording that is too short, silent, ... is no error: its
 * verdict is SPOOR_NOT_ASSESSABLE. */
SPOOR_API spoor_status spoor_trace(spoor_session *session, spoor_audio *audio, const spoor_trace_options *options,
                                   spoor_result **out, spoor_error *err);
SPOOR_API void spoor_result_free(spoor_result *result);
SPOOR_API spoor_verdict spoor_result_verdict(const spoor_result *result);
SPOOR_API const char *spoor_verdict_name(spoor_verdict verdict); /* "bonafide", "known", "unknown", "not_assessable", "enrolled" */
SPOOR_API const char *spoor_result_reason(const spoor_result *result); /* "" where the verdict needs none */
/* Calibrated probability that the speech is human, and its natural-log likelihood ratio. */
SPOOR_API double spoor_result_bonafide(const spoor_result *result, double *llr);
/* All classes of a task ("source", "family", "vocoder"), best first; NULL and *n = 0 where the model lacks it. */
SPOOR_API const spoor_class *spoor_result_ranked(const spoor_result *result, const char *task, size_t *n);
/* How much the recording is like any known source (higher = more), and the threshold under which it is unknown. */
SPOOR_API double spoor_result_known(const spoor_result *result, double *threshold);
/* All enrolled sources, best first; NULL and *n = 0 without a gallery or where the recording is not assessable. */
SPOOR_API const spoor_enrolled *spoor_result_enrolled(const spoor_result *result, size_t *n);
/* The embedding of the whole recording: spoor_model_embedding_size() values; NULL if not assessable. */
SPOOR_API const float *spoor_result_embedding(const spoor_result *result);
/* The documented JSON of one file (docs/json.md) without a trailing newline, made on the first call; lives as long as the
 * result. NULL when out of memory. */
SPOOR_API const char *spoor_result_json(spoor_result *result);

#ifdef __cplusplus
}
#endif
#endif
