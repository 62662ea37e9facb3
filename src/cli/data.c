/* data.c: `spoor data`: what lists of recordings hold, and writing any of them as a plain manifest. */
#include "cli/data.h"
#include "cli/cli.h"
#include "cli/ui.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ROOT = 256, KEY_SPLIT, KEY_AUDIO, KEY_JSON, KEY_OUT = 'o' };

static const struct argp_option CHECK_OPTIONS[] = {
    {"root", KEY_ROOT, "DIR", 0, "look whether the files are there; paths begin in DIR", 0},
    {"audio", KEY_AUDIO, NULL, 0, "also decode them: unreadable or shorter than 0.5 s?", 0},
    {"split", KEY_SPLIT, "NAME,...", 0, "the splits of the lists, in order (default: as a column or their names say)",
     0},
    {"json", KEY_JSON, NULL, 0, "the report as JSON (docs/data.md)", 0},
    {0}};
static const struct argp_option CONVERT_OPTIONS[] = {
    {"out", KEY_OUT, "FILE", 0, "the manifest to write (CSV)", 0},
    {"root", KEY_ROOT, "DIR", 0, "where the paths of the lists begin: they are written in full", 0},
    {"split", KEY_SPLIT, "NAME,...", 0, "the splits of the lists, in order (default: as a column or their names say)",
     0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    data_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->how; return 0;
    case KEY_ROOT: o->root = arg; return 0;
    case KEY_SPLIT: o->splits = arg; return 0;
    case KEY_AUDIO: o->audio = true; return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_OUT: o->out = arg; return 0;
    case ARGP_KEY_ARG:
        if (o->n == DATA_MAX_LISTS) {
            argp_error(state, "at most %d lists", DATA_MAX_LISTS);
        }
        o->lists[o->n++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->n == 0 || (o->convert && !o->out)) {
            argp_error(state, "%s", o->convert ? "name lists and --out" : "name a list");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child CHILDREN[] = {{&cli_lists_argp, 0, NULL, 0}, {0}};
static const struct argp CHECK = {
    CHECK_OPTIONS,
    parse,
    "LIST...",
    "Say what lists of recordings hold: rows, classes, what the training set knows, files that "
    "stand twice or in two splits, and what to beware of.",
    CHILDREN,
    NULL,
    NULL};
static const struct argp CONVERT = {CONVERT_OPTIONS,
                                    parse,
                                    "LIST... --out FILE",
                                    "Write lists of recordings in any format as one manifest.",
                                    CHILDREN,
                                    NULL,
                                    NULL};

/* The split of each list: splits[n], "" where --split names none; `text` is cut up. */
static spoor_status cut_splits(char *text, const char **splits, size_t n, spoor_error *err) {
    size_t named = 0;
    for (char *p = text; p; named++) {
        char *comma = strchr(p, ',');
        if (comma) {
            *comma = '\0';
        }
        if (named < n) {
            splits[named] = p;
        }
        p = comma ? comma + 1 : NULL;
    }
    return named == 1 || named == n
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE, "--split names %zu splits for %zu lists", named, n);
}

spoor_status data_read(spoor_context *ctx, data_options *o, manifest **out, spoor_error *err) {
    const char *splits[DATA_MAX_LISTS] = {0};
    if (o->splits) {
        TRY(cut_splits(o->splits, splits, o->n, err));
    }
    TRY(manifest_new(ctx, out, err));
    for (size_t i = 0; i < o->n; i++) {
        protocol_options how = o->how;
        how.split = o->splits ? splits[splits[i] ? i : 0] : NULL;
        spoor_status status = manifest_add_list(*out, o->lists[i], o->root, &how, NULL, 0, err);
        if (status != SPOOR_OK) {
            manifest_free(*out);
            *out = NULL;
            return status;
        }
    }
    return SPOOR_OK;
}

int cli_data(int argc, char **argv) {
    data_options o = {0};
    const char *name = argc > 1 ? argv[1] : "";
    o.convert = strcmp(name, "convert") == 0;
    if (!o.convert && strcmp(name, "check") != 0) {
        bool help = strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0;
        fprintf(help ? stdout : stderr,
                "Usage: spoor data check [OPTION...] LIST...\n"
                "  or:  spoor data convert [OPTION...] LIST... --out FILE\n\n"
                "Say what lists of recordings hold, or write them as one manifest. Each explains its\n"
                "options with --help; --format=help lists the formats.\n");
        return help && fflush(stdout) == 0 ? SPOOR_OK : SPOOR_ERR_USAGE;
    }
    char title[32];
    (void)snprintf(title, sizeof title, "spoor data %s", name);
    argv[1] = title;
    return ui_command(o.convert ? &CONVERT : &CHECK, argc - 1, argv + 1, &o, o.convert ? data_convert : data_check);
}
