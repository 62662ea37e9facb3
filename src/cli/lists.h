/* lists.h: the options that say how lists of recordings are read, for every command that takes some. */
#ifndef CLI_LISTS_H
#define CLI_LISTS_H
#include "data/manifest.h"
#include <argp.h>

/* --format, --column, --files, --taxonomy: a child parser whose input is a protocol_options. */
extern const struct argp cli_lists_argp;
#endif
