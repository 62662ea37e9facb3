/* recordings.h: noises and impulse responses of the user's own for the steps of an augmentation chain that name them by
 * "files": a folder (every sound file below it, folder by folder in the order of the names) or a CSV list with a column
 * "path". */
#ifndef DATA_RECORDINGS_H
#define DATA_RECORDINGS_H
#include "audio/augment/augment.h"

enum {
    RECORDINGS_MAX = 1000000,    /* of one set */
    RECORDINGS_DEFAULT_MB = 1024 /* of decoded samples in memory, where nothing else is said */
};

typedef struct recordings recordings;

typedef struct recordings_options {
    const char *folder; /* where paths of the chain begin, ending in '/'; "" or NULL: the working folder */
    size_t limit;       /* bytes of decoded samples that may be kept, of all sets together; others are decoded each
                         * time */
    unsigned threads;   /* 0: processors */
    bool name_only;     /* the chain will not be applied: only find out what the recordings are */
} recordings_options;

/* Reads what the chain needs and gives it to the chain (*out: NULL where it needs nothing); *out must outlive the
 * chain's use. All that can be wrong is found here: SPOOR_ERR_INPUT where a folder or list is not there or empty, a
 * recording cannot be decoded, is silent (noise: nothing above -90 dBFS; impulse response: all 0), or an impulse
 * response is longer than AUGMENT_MAX_RESPONSE; SPOOR_ERR_LIMIT, SPOOR_ERR_CANCELLED. With name_only, files are read
 * but not decoded. */
spoor_status recordings_open(spoor_context *ctx, augment *chain, const recordings_options *options, recordings **out,
                             spoor_error *err);
void recordings_free(recordings *r);
#endif
