/* calibrate.c: `spoor calibrate`: how a pretrained front end is computed in int8, measured on recordings and kept with
 * its weights. */
#include "cli/cli.h"
#include "cli/corpus.h"
#include "cli/files.h"
#include "cli/ui.h"
#include "model/reduce.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MANIFEST = 256,
    KEY_ROOT,
    KEY_SPLIT,
    KEY_WHERE,
    KEY_CLIPS,
    KEY_SHARE,
    KEY_JSON,
    CLIPS_DEFAULT = 64,
    CLIPS_MOST = 4096
};

typedef struct options {
    const char *in, *out;
    cli_corpus_options corpus;
    size_t clips;
    double share; /* NAN: not said */
    char **files;
    size_t n_files;
    bool json;
} options;

static const struct argp_option OPTIONS[] = {
    {"out", 'o', "FILE.safetensors", 0, "the file to write: the same with the calibration in it", 0},
    {"manifest", KEY_MANIFEST, "CSV", 0, "recordings of a list, instead of named ones; may be repeated", 0},
    {"root", KEY_ROOT, "DIR", 0, "where the manifest's paths begin (default: its folder)", 0},
    {"split", KEY_SPLIT, "NAME", 0, "rows of this split (all: every row; default: train)", 0},
    {"where", KEY_WHERE, "COLUMN=VALUE", 0, "only rows with this value; repeated, with one of the values of each "
                                            "column", 0},
    {"clips", KEY_CLIPS, "N", 0, "take at most N recordings, spread over all of them (default: 64)", 0},
    {"share", KEY_SHARE, "S", 0, "up to this share of the multiplications stays bfloat16, 0 to 1 (default: 0.1)", 0},
    {"json", KEY_JSON, NULL, 0, "the calibration as JSON (docs/json.md)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus.how; return 0;
    case 'o': o->out = arg; return 0;
    case KEY_MANIFEST: cli_corpus_manifest(&o->corpus, arg, state); return 0;
    case KEY_ROOT: o->corpus.root = arg; return 0;
    case KEY_SPLIT: o->corpus.split = strcmp(arg, "all") == 0 ? NULL : arg; return 0;
    case KEY_WHERE:
        if (o->corpus.n_where == CORPUS_MAX_WHERE) {
            argp_error(state, "at most %d filters", CORPUS_MAX_WHERE);
        }
        o->corpus.where[o->corpus.n_where++] = arg;
        return 0;
    case KEY_CLIPS: {
        long n = strtol(arg, &end, 10);
        if (end == arg || *end != '\0' || n < 1 || n > CLIPS_MOST) {
            argp_error(state, "--clips must be 1 to %d, not \"%s\"", CLIPS_MOST, arg);
        }
        o->clips = (size_t)n;
        return 0;
    }
    case KEY_SHARE:
        o->share = strtod(arg, &end);
        if (end == arg || *end != '\0' || !(o->share >= 0 && o->share <= 1)) {
            argp_error(state, "--share must be 0 to 1, not \"%s\"", arg);
        }
        return 0;
    case KEY_JSON: o->json = true; return 0;
    case ARGP_KEY_ARG:
        if (o->in == NULL) {
            o->in = arg;
            return 0;
        }
        return ARGP_ERR_UNKNOWN; /* the rest, at once */
    case ARGP_KEY_ARGS:
        o->files = state->argv + state->next;
        o->n_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (o->in == NULL || o->out == NULL || (o->corpus.n_manifests > 0) == (o->n_files > 0)) {
            argp_error(state, "give a model or checkpoint, --out, and recordings or --manifest");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child CHILDREN[] = {{&cli_lists_argp, 0, NULL, 0}, {0}};
static const struct argp ARGP = {OPTIONS,
                                 parse,
                                 "FILE.safetensors RECORDING...\nFILE.safetensors --manifest CSV",
                                 "Measure on recordings how the pretrained front end of a model, or an encoder's "
                                 "checkpoint (as spoor convert writes it), is best "
                                 "computed in int8, and write the file anew with that in it. --precision int8 (in a "
                                 "recipe precision: int8) then uses it; other "
                                 "precisions do not change.",
                                 CHILDREN,
                                 NULL,
                                 NULL};

/* ---- recordings ---- */

typedef struct clips {
    spoor_context *ctx;
    cli_corpus *corpus;
    size_t n; /* that are taken */
    float *samples;
} clips;

/* An int8_clip_fn: the first window. */
static spoor_status open_clip(void *user, size_t i, const float **samples, size_t *n, spoor_error *err) {
    const clips *c = user;
    TRY(cli_corpus_window(c->ctx, c->corpus->paths[i * c->corpus->n / c->n], c->samples, err));
    *samples = c->samples;
    *n = AUDIO_WINDOW;
    return SPOOR_OK;
}

/* ---- what was found ---- */

static void print_row(const char *label, const json_t *list) {
    printf("  %-8s", label);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (json_is_integer(v)) {
            printf(" %9d", (int)json_integer_value(v));
        } else {
            printf(" %9.2e", json_number_value(v));
        }
    }
    printf("\n");
}

static void print_plan(const json_t *plan) {
    const json_t *products = json_object_get(plan, "products");
    const char *name;
    json_t *value;
    size_t kept = 0;
    json_object_foreach((json_t *)(uintptr_t)products, name, value) {
        kept += strcmp(json_string_value(json_object_get(value, "precision")), "bf16") == 0;
    }
    printf("%d recordings: %zu of %zu products stay bfloat16, factors at %zu places\n",
           (int)json_integer_value(json_object_get(plan, "clips")), kept, json_object_size(products),
           json_object_size(json_object_get(plan, "factors")));
    json_object_foreach((json_t *)(uintptr_t)products, name, value) {
        if (strcmp(json_string_value(json_object_get(value, "precision")), "bf16") == 0) {
            printf("  bf16     %-50s %.2f of the squared error\n", name,
                   json_number_value(json_object_get(value, "share")));
        }
    }
    printf("relative error of hidden states in int8:\n");
    print_row("state", json_object_get(plan, "states"));
    print_row("before", json_object_get(plan, "before"));
    print_row("after", json_object_get(plan, "after"));
}

static spoor_status say(const options *o, const json_t *plans, spoor_error *err) {
    const json_t *plan;
    size_t i;
    if (!o->json) {
        json_array_foreach((json_t *)(uintptr_t)plans, i, plan) { print_plan(plan); }
        return ui_flush(err);
    }
    json_t *all = json_pack("{s:s, s:O}", "file", o->out, "encoders", plans);
    spoor_status status = ui_json(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err);
    json_decref(all);
    return status;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    const options *o = user;
    cli_corpus corpus = {0};
    cli_files f;
    json_t *plans = NULL;
    cli_files_init(&f, ctx);
    clips c = {.ctx = ctx, .corpus = &corpus, .samples = ctx_alloc(ctx, AUDIO_WINDOW, sizeof *c.samples)};
    spoor_status status = c.samples == NULL
                              ? error_memory(err, "calibrating int8")
                              : cli_corpus_choose(ctx, &o->corpus, o->files, o->n_files, &f, &corpus, err);
    if (status == SPOOR_OK) {
        int8_options how;
        int8_options_init(&how);
        c.n = corpus.n < o->clips ? corpus.n : o->clips;
        how.clips = c.n;
        how.clip = open_clip;
        how.user = &c;
        how.share = isnan(o->share) ? how.share : o->share;
        status = reduce_calibrate(ctx, o->in, o->out, &how, &plans, err);
    }
    if (status == SPOOR_OK) {
        status = say(o, plans, err);
    }
    json_decref(plans);
    ctx_free(ctx, c.samples);
    cli_corpus_clear(&corpus);
    cli_files_clear(&f);
    return status;
}

int cli_calibrate(int argc, char **argv) {
    options o = {.clips = CLIPS_DEFAULT, .share = NAN, .corpus.split = "train"};
    return ui_command(&ARGP, argc, argv, &o, run);
}
