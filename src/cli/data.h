/* data.h: the parts of `spoor data`. */
#ifndef CLI_DATA_H
#define CLI_DATA_H
#include "cli/lists.h"

enum { DATA_MAX_LISTS = 64 };

typedef struct data_options {
    const char *lists[DATA_MAX_LISTS];
    size_t n;
    const char *root, *out;
    char *splits; /* "train,dev"; NULL: none named */
    protocol_options how;
    bool audio, json, convert;
} data_options;

/* All lists as one manifest. */
spoor_status data_read(spoor_context *ctx, data_options *o, manifest **out, spoor_error *err);
/* The commands; the first argument is a data_options. */
spoor_status data_check(void *options, spoor_context *ctx, spoor_error *err);
spoor_status data_convert(void *options, spoor_context *ctx, spoor_error *err);
#endif
