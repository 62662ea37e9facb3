/* dialect_internal.h: what dialect.c (finding and reading), dialect_names.c (tables of names) and dialect_sizes.c
 * (architecture from shapes) share. Not installed. */
#ifndef FRONTEND_DIALECT_INTERNAL_H
#define FRONTEND_DIALECT_INTERNAL_H
#include "frontend/dialect.h"

enum { DIALECT_NAME = 256 }; /* bytes of a parameter's name without prefix; both languages */

typedef enum dialect_language {
    DIALECT_HF,
    DIALECT_TORCHAUDIO,
    DIALECT_WAVLM,
    DIALECT_FAIRSEQ,
    DIALECT_HF_WHISPER,
    DIALECT_OPENAI
} dialect_language;

typedef struct dialect_entry {
    dialect_param param;
    const weights_tensor *value;
    const weights_tensor *gain; /* of weight norm: the value is then a direction */
} dialect_entry;

struct dialect {
    spoor_context *ctx;
    const weights *w;
    dialect_language language;
    char *prefix; /* in front of every name of the file's encoder */
    encoder_sizes sizes;
    dialect_entry *entry;
    size_t n, capacity;
};

/* ---- dialect_names.c ---- */

/* Which language the names are in, and the prefix: *prefix bytes of *anchor. false: none that is known. */
bool dialect_recognise(const weights *w, dialect_language *language, const char **anchor, size_t *prefix);
/* The file's name (without prefix) of Hugging Face's name; false: it is none of an encoder's. layer_norm: of the
 * convolutions, which fairseq names differently. */
bool dialect_theirs(dialect_language language, bool layer_norm, const char *name, char out[DIALECT_NAME]);
/* Calls fn for every parameter of an encoder of these sizes, by Hugging Face's names. */
typedef spoor_status (*dialect_name_fn)(void *user, const char *name, spoor_error *err);
spoor_status dialect_each_name(const encoder_sizes *s, dialect_name_fn fn, void *user, spoor_error *err);

/* ---- dialect.c ---- */

/* The tensor that holds the parameter, NULL where there is none; *gain (may be NULL) as in dialect_entry. */
const weights_tensor *dialect_tensor(const dialect *d, const char *name, const weights_tensor **gain);
/* "no tensor X for NAME". */
spoor_status dialect_missing(const dialect *d, const char *name, spoor_error *err);

/* ---- dialect_sizes.c ---- */
spoor_status dialect_find_sizes(dialect *d, spoor_error *err);
#endif
