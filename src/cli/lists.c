/* lists.c: see lists.h. */
#include "cli/lists.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FORMAT = 1280, KEY_COLUMN, KEY_FILES, KEY_TAXONOMY };

static const struct argp_option OPTIONS[] = {
    {"format", KEY_FORMAT, "NAME", 0, "what kind of list it is (default csv; --format=help lists them)", 0},
    {"column", KEY_COLUMN, "COLUMN=NAME", 0, "take this column from the one that the list calls NAME; may be repeated",
     0},
    {"files", KEY_FILES, "PATTERN", 0, "where a row's audio is, by its columns: \"flac/{id}.flac\"", 0},
    {"taxonomy", KEY_TAXONOMY, "FILE", 0, "fill attributes of sources from a taxonomy (codecfake_plus is built in)", 0},
    {0}};

static void list_formats(void) {
    for (size_t i = 0; protocol_format_name(i); i++) {
        printf("%-16s %s\n", protocol_format_name(i), protocol_format_summary(i));
    }
    exit(fflush(stdout) == 0 ? SPOOR_OK : SPOOR_ERR_IO);
}

static void add_column(protocol_options *o, char *arg, const struct argp_state *state) {
    char *equals = strchr(arg, '=');
    if (!equals || equals == arg || !equals[1]) {
        argp_error(state, "--column %s: write COLUMN=NAME", arg);
        return;
    }
    if (o->n_renames == PROTOCOL_MAX_RENAMES) {
        argp_error(state, "at most %d times --column", PROTOCOL_MAX_RENAMES);
        return;
    }
    *equals = '\0';
    o->rename[o->n_renames++] = (protocol_rename){arg, equals + 1};
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    protocol_options *o = state->input;
    spoor_error err;
    switch (key) {
    case KEY_FORMAT:
        if (strcmp(arg, "help") == 0) {
            list_formats();
        }
        if (protocol_check_format(arg, &err) != SPOOR_OK) {
            argp_error(state, "%s", err.message);
        }
        o->format = arg;
        return 0;
    case KEY_COLUMN: add_column(o, arg, state); return 0;
    case KEY_FILES: o->files = arg; return 0;
    case KEY_TAXONOMY: o->taxonomy = arg; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_lists_argp = {OPTIONS, parse, NULL, NULL, NULL, NULL, NULL};
