/* corpus.c: see corpus.h. */
#include "cli/corpus.h"
#include "cli/ui.h"
#include "data/labels.h"
#include "trace/trace.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MANIFEST = 1024, KEY_ROOT, KEY_SPLIT, KEY_WHERE, KEY_HOP, KEY_SILENCE, MAX_JOBS = 1024 };

static const struct argp_option OPTIONS[] = {
    {"manifest", KEY_MANIFEST, "CSV", 0, "recordings of a list: a table with the columns path, split and labels; may "
                                         "be repeated", 0},
    {"root", KEY_ROOT, "DIR", 0, "where the manifest's paths begin (default: its folder)", 0},
    {"split", KEY_SPLIT, "NAME", 0, "rows of this split (all: every row; default: dev for eval, all for embed)", 0},
    {"where", KEY_WHERE, "COLUMN=VALUE", 0, "only rows with this value; repeated, with one of the values of each "
                                            "column", 0},
    {"hop", KEY_HOP, "SECONDS", 0, "distance of windows (default: one window)", 0},
    {"silence", KEY_SILENCE, UI_SILENCE, 0,
     "take long silences out of the recordings before, or leave them (default: as the model was trained)", 0},
    {"jobs", 'j', "N", 0, "recordings side by side (default: processors)", 0},
    {"threads", 'j', NULL, OPTION_ALIAS, NULL, 0},
    {0}};

void cli_corpus_manifest(cli_corpus_options *o, const char *csv, const struct argp_state *state) {
    if (o->n_manifests == CORPUS_MAX_MANIFESTS) {
        argp_error(state, "at most %d manifests", CORPUS_MAX_MANIFESTS);
    }
    o->manifests[o->n_manifests++] = csv;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    cli_corpus_options *o = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->how; return 0;
    case KEY_MANIFEST: cli_corpus_manifest(o, arg, state); return 0;
    case KEY_WHERE:
        if (o->n_where == CORPUS_MAX_WHERE) {
            argp_error(state, "at most %d filters", CORPUS_MAX_WHERE);
        }
        o->where[o->n_where++] = arg;
        return 0;
    case KEY_ROOT: o->root = arg; return 0;
    case KEY_SILENCE: o->silence = ui_silence(state, arg); return 0;
    case KEY_SPLIT: o->split = strcmp(arg, "all") == 0 ? NULL : arg; return 0;
    case KEY_HOP:
        o->hop = strtod(arg, &end);
        if (end == arg || *end != '\0' || !(o->hop >= 0.01 && o->hop <= 3600)) {
            argp_error(state, "--hop must be 0.01 to 3600 seconds, not \"%s\"", arg);
        }
        return 0;
    case 'j': {
        long n = strtol(arg, &end, 10);
        if (end == arg || *end != '\0' || n < 1 || n > MAX_JOBS) {
            argp_error(state, "--jobs must be 1 to %d, not \"%s\"", MAX_JOBS, arg);
        }
        o->threads = (unsigned)n;
        return 0;
    }
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child CHILDREN[] = {{&cli_lists_argp, 0, NULL, 0}, {0}};
const struct argp cli_corpus_argp = {OPTIONS, parse, NULL, NULL, CHILDREN, NULL, NULL};

void cli_corpus_clear(cli_corpus *c) {
    if (c->ctx) {
        manifest_free(c->manifest);
        ctx_free(c->ctx, c->rows);
        ctx_free(c->ctx, c->ids);
        ctx_free(c->ctx, c->paths);
        ctx_free(c->ctx, c->logits);
        ctx_free(c->ctx, c->embedding);
        ctx_free(c->ctx, c->errors);
    }
    *c = (cli_corpus){0};
}

/* The filters that --where asks for: of one column one, with all its values. columns[i] is the name in the i-th option,
 * for the caller to free. */
static spoor_status read_where(const cli_corpus_options *o, spoor_context *ctx, char **columns, const char **values,
                               manifest_where *where, size_t *n, spoor_error *err) {
    size_t placed = 0;
    for (size_t i = 0; i < o->n_where; i++) {
        const char *equals = strchr(o->where[i], '=');
        if (!equals) {
            return error_set(err, SPOOR_ERR_USAGE, "--where %.200s: write COLUMN=VALUE", o->where[i]);
        }
        columns[i] = ctx_strndup(ctx, o->where[i], (size_t)(equals - o->where[i]));
        if (!columns[i]) {
            return error_memory(err, "choosing rows");
        }
    }
    for (size_t i = 0; i < o->n_where; i++) {
        size_t before = 0, first = placed;
        while (strcmp(columns[before], columns[i]) != 0) {
            before++;
        }
        for (size_t k = i; before == i && k < o->n_where; k++) {
            if (strcmp(columns[k], columns[i]) == 0) {
                values[placed++] = o->where[k] + strlen(columns[k]) + 1;
            }
        }
        if (placed > first) {
            where[(*n)++] = (manifest_where){columns[i], values + first, placed - first};
        }
    }
    return SPOOR_OK;
}

static spoor_status choose(const cli_corpus_options *o, cli_corpus *c, spoor_error *err) {
    manifest_where where[CORPUS_MAX_WHERE + 1];
    char *columns[CORPUS_MAX_WHERE] = {0};
    const char *values[CORPUS_MAX_WHERE];
    size_t n = 0;
    spoor_status status = read_where(o, c->ctx, columns, values, where, &n, err);
    if (o->split) {
        where[n++] = (manifest_where){"split", &o->split, 1};
    }
    if (status == SPOOR_OK) {
        status = labels_select(c->ctx, c->manifest, where, n, &c->rows, &c->n, err);
    }
    for (size_t i = 0; i < o->n_where; i++) {
        ctx_free(c->ctx, columns[i]);
    }
    if (status == SPOOR_OK && c->n == 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "no row of the manifest passes --split and --where");
    }
    return status;
}

static spoor_status make_lists(cli_corpus *c, spoor_error *err) {
    c->ids = ctx_alloc(c->ctx, c->n, sizeof *c->ids);
    c->paths = ctx_alloc(c->ctx, c->n, sizeof *c->paths);
    return c->ids && c->paths ? SPOOR_OK : error_memory(err, "choosing recordings");
}

spoor_status cli_corpus_files(spoor_context *ctx, char *const *paths, size_t n, cli_corpus *c, spoor_error *err) {
    *c = (cli_corpus){.ctx = ctx, .n = n};
    TRY(make_lists(c, err));
    memcpy(c->ids, paths, n * sizeof *paths);
    memcpy(c->paths, paths, n * sizeof *paths);
    return SPOOR_OK;
}

spoor_status cli_corpus_read(spoor_context *ctx, const cli_corpus_options *o, cli_corpus *c, spoor_error *err) {
    *c = (cli_corpus){.ctx = ctx};
    TRY(manifest_new(ctx, &c->manifest, err));
    for (size_t i = 0; i < o->n_manifests; i++) {
        TRY(manifest_add_list(c->manifest, o->manifests[i], o->root, &o->how, NULL, 0, err));
    }
    TRY(choose(o, c, err));
    TRY(make_lists(c, err));
    for (size_t i = 0; i < c->n; i++) {
        c->paths[i] = manifest_path(c->manifest, c->rows[i]);
        c->ids[i] = manifest_id(c->manifest, c->rows[i]);
    }
    return SPOOR_OK;
}

spoor_status cli_corpus_choose(spoor_context *ctx, const cli_corpus_options *o, char *const *files, size_t n,
                               cli_files *f, cli_corpus *c, spoor_error *err) {
    if (o->n_manifests > 0) {
        return cli_corpus_read(ctx, o, c, err);
    }
    for (size_t i = 0; i < n; i++) {
        TRY(cli_files_add(f, files[i], err));
    }
    return cli_corpus_files(ctx, f->paths, f->n, c, err);
}

/* With or without silences as the options say, else as the model does. */
static spoor_status open_whole(const cli_corpus *c, size_t clip, spoor_audio **audio, spoor_error *err) {
    spoor_audio_options o;
    spoor_audio_options_init(&o);
    o.silence = c->how->silence;
    if (c->how->degrade && degrade_silence(c->how->degrade) >= 0) {
        o.silence = degrade_silence(c->how->degrade) ? SPOOR_SILENCE_REMOVE : SPOOR_SILENCE_KEEP;
    }
    TRY(spoor_audio_open(c->ctx, c->paths[clip], &o, audio, err));
    return audio_follow_silence(*audio, model_silence(c->model), err);
}

/* Samples that are heard as they are. */
static spoor_status open_samples(const cli_corpus *c, const float *samples, size_t n, spoor_audio **audio,
                                 spoor_error *err) {
    TRY(spoor_audio_open_samples(c->ctx, samples, n, AUDIO_RATE, audio, err));
    return audio_set_silence(*audio, NULL, err);
}

static spoor_status degraded(const cli_corpus *c, size_t clip, spoor_audio *from, float **owned, size_t *n,
                             spoor_error *err) {
    TRY(audio_load_open(from, owned, n, err));
    return degrade_apply(c->how->degrade, c->ids[clip], *owned, *n, err);
}

static spoor_status open_path(void *user, size_t clip, spoor_audio **audio, float **owned, spoor_error *err) {
    const cli_corpus *c = user;
    spoor_audio *whole = NULL;
    size_t n = 0;
    *owned = NULL;
    if (!c->how->degrade || !degrade_changes(c->how->degrade)) {
        return open_whole(c, clip, audio, err);
    }
    spoor_status status = open_whole(c, clip, &whole, err);
    if (status == SPOOR_OK) {
        status = degraded(c, clip, whole, owned, &n, err);
    }
    spoor_audio_free(whole);
    return status == SPOOR_OK ? open_samples(c, *owned, n, audio, err) : status;
}

static spoor_status first_window(spoor_context *ctx, spoor_audio *from, float *samples, spoor_error *err) {
    audio_windows *w;
    audio_window where;
    bool more;
    TRY(audio_windows_new(ctx, from, 0, NULL, &w, err));
    spoor_status status = audio_windows_next(w, samples, &where, &more, err);
    if (status == SPOOR_OK && !more) {
        status = error_set(err, SPOOR_ERR_INPUT, "the recording is empty");
    }
    audio_windows_free(w);
    return status;
}

spoor_status cli_corpus_window(spoor_context *ctx, const char *path, float *samples, spoor_error *err) {
    spoor_audio *whole;
    TRY(spoor_audio_open(ctx, path, NULL, &whole, err));
    spoor_status status = first_window(ctx, whole, samples, err);
    spoor_audio_free(whole);
    return status;
}

static spoor_status open_first_window(void *user, size_t clip, spoor_audio **audio, float **owned, spoor_error *err) {
    const cli_corpus *c = user;
    spoor_audio *whole = NULL;
    spoor_status status = open_whole(c, clip, &whole, err);
    *owned = ctx_alloc(c->ctx, AUDIO_WINDOW, sizeof **owned);
    if (status == SPOOR_OK) {
        status = *owned ? first_window(c->ctx, whole, *owned, err) : error_memory(err, "opening a recording");
    }
    spoor_audio_free(whole);
    return status == SPOOR_OK ? open_samples(c, *owned, AUDIO_WINDOW, audio, err) : status;
}

spoor_status cli_corpus_score(cli_corpus *c, spoor_model *m, const cli_corpus_options *o, spoor_error *err) {
    unsigned threads = o->threads ? o->threads : pool_processors();
    ctx_free(c->ctx, c->logits);
    ctx_free(c->ctx, c->embedding);
    ctx_free(c->ctx, c->errors);
    c->model = m;
    c->how = o;
    c->failed = 0;
    c->logits = ctx_calloc(c->ctx, c->n, trace_logits_size(m) * sizeof *c->logits);
    c->embedding = ctx_calloc(c->ctx, c->n, (size_t)net_embedding_size(m->net) * sizeof *c->embedding);
    c->errors = ctx_calloc(c->ctx, c->n, sizeof *c->errors);
    if (!c->logits || !c->embedding || !c->errors) {
        return error_memory(err, "scoring recordings");
    }
    TRY(score_all(c->ctx, m, threads, c->n, o->first_window ? open_first_window : open_path, c,
                  (size_t)llround(o->hop * AUDIO_RATE), c->logits, c->embedding, c->errors, err));
    for (size_t i = 0; i < c->n; i++) {
        if (c->errors[i].status != SPOOR_OK) {
            c->failed++;
            ui_error(&c->errors[i]);
        }
    }
    return SPOOR_OK;
}
