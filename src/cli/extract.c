/* extract.c: `spoor extract`: features of recordings, computed once and kept on disk for training. */
#include "cli/extract.h"
#include "base/io.h"
#include "cli/cli.h"
#include "cli/corpus.h"
#include "cli/ui.h"
#include "data/recordings.h"
#include "model/model.h"
#include "train/dataset.h"
#include "train/recipe_stages.h"
#include "train/yaml.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    KEY_FRONTEND = 'f',
    KEY_OUT = 'o',
    KEY_THREADS = 'j',
    KEY_HALF = 256,
    KEY_RECIPE,
    KEY_SET,
    KEY_AUGMENT,
    KEY_COPIES,
    KEY_SEED,
    KEY_ROOT,
    KEY_SPLIT,
    KEY_WHERE,
    KEY_REPLACE,
    KEY_DRY,
    KEY_JSON,
    KEY_SILENCE,
    MAX_SET = 256,
    MAX_THREADS = 1024
};

typedef struct options {
    cli_corpus_options corpus;
    const char *frontend, *out, *recipe, *augment;
    const char *set[MAX_SET];
    size_t n_set;
    int64_t copies, seed; /* -1: not said */
    bool half, replace, dry, json;
    spoor_silence silence;
    ui_progress progress;
} options;

static const struct argp_option OPTIONS[] = {
    {"frontend", KEY_FRONTEND, "WHAT", 0,
     "the front end: settings such as '{kind: log-mel, n_mels: 80}', a recipe (its section "
     "frontend), or a model file",
     0},
    {"out", KEY_OUT, "DIR", 0, "the folder of the features; what it has already is not computed again", 0},
    {"half", KEY_HALF, NULL, 0, "store float16: half the size", 0},
    {"recipe", KEY_RECIPE, "RECIPE", 0,
     "what spoor train needs for this recipe, in every stage: its training clips, front end, chain, copies and folder",
     0},
    {"set", KEY_SET, "KEY=VALUE", 0, "change a setting of --recipe, as for spoor train; may be repeated", 0},
    {"augment", KEY_AUGMENT, "RECIPE", 0, "also store copies through the chain of this recipe (its list augment)", 0},
    {"copies", KEY_COPIES, "N", 0, "how many (default 1)", 0},
    {"seed", KEY_SEED, "S", 0, "of the copies' random numbers (default 1)", 0},
    {"root", KEY_ROOT, "DIR", 0, "where the manifest's paths begin (default: its folder)", 0},
    {"split", KEY_SPLIT, "NAME", 0, "rows of this split (default: all)", 0},
    {"where", KEY_WHERE, "COLUMN=VALUE", 0, "only rows with this value; repeated, with one of the values of each "
                                            "column", 0},
    {"silence", KEY_SILENCE, UI_SILENCE, 0,
     "read recordings without their silences, or whole (default: as the model of --frontend was trained)", 0},
    {"threads", KEY_THREADS, "N", 0, "recordings side by side (default: processors); changes no bit", 0},
    {"jobs", KEY_THREADS, NULL, OPTION_ALIAS, NULL, 0},
    {"replace", KEY_REPLACE, NULL, 0, "remove features that are there, of whatever front end, and start anew", 0},
    {"dry-run", KEY_DRY, NULL, 0, "say what would be done, how large it is and how long it takes", 0},
    {"json", KEY_JSON, NULL, 0, "the summary as JSON", 0},
    {0}};

static int64_t whole_number(const char *text, int64_t min, int64_t max, const char *what, struct argp_state *state) {
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (*text == '\0' || *end != '\0' || errno != 0 || n < min || n > max) {
        argp_error(state, "%s must be %lld to %lld, not \"%s\"", what, (long long)min, (long long)max, text);
    }
    return n;
}

static void add_text(const char **list, size_t *n, size_t most, const char *text, struct argp_state *state) {
    if (*n == most) {
        argp_error(state, "at most %zu of these options", most);
    }
    list[(*n)++] = text;
}

static void check(const options *o, struct argp_state *state) {
    bool wanted = o->corpus.n_manifests > 0;
    if (o->recipe) {
        if (wanted || o->frontend || o->augment || o->copies >= 0 || o->seed >= 0 || o->corpus.root ||
            o->corpus.split || o->corpus.n_where > 0 || o->silence != SPOOR_SILENCE_AS_TRAINED) {
            argp_error(state, "--recipe says all but --out, --half and --threads: leave the other options out");
        }
    } else if (!wanted || !o->frontend || !o->out || o->n_set > 0) {
        argp_error(state,
                   o->n_set > 0 ? "--set changes a --recipe" : "give a manifest, --frontend and --out; or --recipe");
    } else if (!o->augment && (o->copies >= 0 || o->seed >= 0)) {
        argp_error(state, "--copies and --seed belong to --augment");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus.how; return 0;
    case KEY_FRONTEND: o->frontend = arg; return 0;
    case KEY_OUT: o->out = arg; return 0;
    case KEY_HALF: o->half = true; return 0;
    case KEY_RECIPE: o->recipe = arg; return 0;
    case KEY_SET: add_text(o->set, &o->n_set, MAX_SET, arg, state); return 0;
    case KEY_AUGMENT: o->augment = arg; return 0;
    case KEY_COPIES: o->copies = whole_number(arg, 1, EXTRACT_MAX_COPIES, "--copies", state); return 0;
    case KEY_SEED: o->seed = whole_number(arg, 0, INT64_MAX, "--seed", state); return 0;
    case KEY_ROOT: o->corpus.root = arg; return 0;
    case KEY_SPLIT: o->corpus.split = strcmp(arg, "all") == 0 ? NULL : arg; return 0;
    case KEY_WHERE: add_text(o->corpus.where, &o->corpus.n_where, CORPUS_MAX_WHERE, arg, state); return 0;
    case KEY_THREADS: o->corpus.threads = (unsigned)whole_number(arg, 1, MAX_THREADS, "--threads", state); return 0;
    case KEY_SILENCE: o->silence = ui_silence(state, arg); return 0;
    case KEY_REPLACE: o->replace = true; return 0;
    case KEY_DRY: o->dry = true; return 0;
    case KEY_JSON: o->json = true; return 0;
    case ARGP_KEY_ARG: cli_corpus_manifest(&o->corpus, arg, state); return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child CHILDREN[] = {{&cli_lists_argp, 0, NULL, 0}, {0}};
static const struct argp ARGP = {
    OPTIONS,
    parse,
    "MANIFEST.csv... --frontend WHAT --out DIR\n--recipe RECIPE.yaml",
    "Compute the features of recordings once and keep them for training (recipe: cache: {path: DIR}). Interrupted at "
    "any moment, "
    "the same command goes on; entries that are torn, and recordings that changed, are done again.",
    CHILDREN,
    NULL,
    NULL};

/* ---- where things come from ---- */

typedef struct sources {
    spoor_context *ctx;
    cli_corpus corpus;
    const recipe *recipe; /* a stage of it; NULL: --frontend */
    dataset *dataset;
    spoor_model *model;
    frontend *own; /* NULL: the model's */
    audio_silence silence;
    augment *chain;
    recordings *recordings; /* of its steps; NULL: none */
    char *out;
    bool half;
    extraction x;
} sources;

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static spoor_status read_yaml(spoor_context *ctx, const char *path, json_t **out, spoor_error *err) {
    unsigned char *text;
    size_t size;
    *out = NULL;
    TRY(io_read_file(ctx, path, YAML_MAX_BYTES, &text, &size, err));
    spoor_status status = yaml_parse(path, text, size, out, err);
    ctx_free(ctx, text);
    return status;
}

/* folder: where paths of weights begin; NULL: the working folder. */
static spoor_status frontend_of_json(sources *s, const char *name, const json_t *json, const char *folder,
                                     spoor_error *err) {
    const json_t *section = json_object_get(json, "frontend");
    section = section ? section : json;
    if (!json_is_object(section)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s has no section frontend", name);
    }
    return frontend_new_with(s->ctx, section, &(frontend_options){.folder = folder}, &s->own, err);
}

static spoor_status frontend_of_file(sources *s, const char *path, spoor_error *err) {
    const char *slash = strrchr(path, '/');
    char *folder = ctx_strndup(s->ctx, path, slash ? (size_t)(slash - path) + 1 : 0);
    json_t *json = NULL;
    spoor_status status = folder ? read_yaml(s->ctx, path, &json, err) : error_memory(err, "reading a front end");
    if (status == SPOOR_OK) {
        status = frontend_of_json(s, path, json, folder, err);
    }
    json_decref(json);
    ctx_free(s->ctx, folder);
    return status;
}

static spoor_status make_frontend(sources *s, const char *what, spoor_error *err) {
    if (what[strspn(what, " \t\r\n")] == '{') {
        json_t *json;
        TRY(yaml_parse("--frontend", what, strlen(what), &json, err));
        spoor_status status = frontend_of_json(s, what, json, NULL, err);
        json_decref(json);
        TRY(status);
    } else if (ends_in(what, ".yaml") || ends_in(what, ".yml") || ends_in(what, ".json")) {
        TRY(frontend_of_file(s, what, err));
    } else {
        TRY(spoor_model_open(s->ctx, what, &s->model, err));
    }
    s->x.fe = s->own ? s->own : s->model->frontend;
    return SPOOR_OK;
}

/* babble would make a copy depend on which other recordings there are. */
static spoor_status use_chain(sources *s, const json_t *steps, const recordings_options *own, spoor_error *err) {
    TRY(augment_new(s->ctx, steps, &s->chain, err));
    if (augment_needs_sources(s->chain)) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "a stored copy depends on its recording alone, so its chain cannot have a babble step; "
                         "recordings of talkers will do: {kind: noise, files: PATH, count: [3, 8]}");
    }
    if (augment_set_at(s->chain, 0)) {
        s->x.stage(s->x.user, "reading noises", "recordings");
    }
    TRY(recordings_open(s->ctx, s->chain, own, &s->recordings, err));
    s->x.chain = s->chain;
    return SPOOR_OK;
}

/* The chain of the file --augment. */
static spoor_status use_chain_of(sources *s, const options *o, const json_t *json, spoor_error *err) {
    const json_t *steps = json_is_array(json) ? json : json_object_get(json, "augment");
    if (json_array_size(steps) == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "%s has no list augment", o->augment);
    }
    const char *slash = strrchr(o->augment, '/');
    char *folder = ctx_strndup(s->ctx, o->augment, slash ? (size_t)(slash - o->augment) + 1 : 0);
    if (!folder) {
        return error_memory(err, "reading a chain");
    }
    recordings_options own = {folder, (size_t)RECORDINGS_DEFAULT_MB << 20, o->corpus.threads, false};
    spoor_status status = use_chain(s, steps, &own, err);
    ctx_free(s->ctx, folder);
    return status;
}

static spoor_status from_options(sources *s, const options *o, spoor_error *err) {
    TRY(make_frontend(s, o->frontend, err));
    audio_silence_init(&s->silence);
    if (o->silence != SPOOR_SILENCE_AS_TRAINED) {
        s->x.silence = o->silence == SPOOR_SILENCE_REMOVE ? &s->silence : NULL;
    } else {
        s->x.silence = s->model ? model_silence(s->model) : NULL;
    }
    if (o->augment) {
        json_t *json;
        TRY(read_yaml(s->ctx, o->augment, &json, err));
        spoor_status status = use_chain_of(s, o, json, err);
        json_decref(json);
        TRY(status);
        s->x.copies = o->copies < 0 ? 1 : (uint64_t)o->copies;
        s->x.seed = o->seed < 0 ? 1 : (uint64_t)o->seed;
    }
    TRY(cli_corpus_read(s->ctx, &o->corpus, &s->corpus, err));
    s->x.paths = s->corpus.paths;
    s->x.n = s->corpus.n;
    return SPOOR_OK;
}

static spoor_status from_recipe(sources *s, const options *o, spoor_error *err) {
    const recipe *r = s->recipe;
    TRY(dataset_new(s->ctx, r, &s->dataset, err));
    TRY(frontend_new_with(s->ctx, r->frontend, &(frontend_options){.folder = r->folder}, &s->own, err));
    s->x.fe = s->own;
    s->x.silence = r->cut ? &r->silence : NULL;
    if (r->cache_copies > 0) {
        recordings_options own = {r->folder, recipe_recordings_bytes(r), o->corpus.threads, false};
        TRY(use_chain(s, r->augment, &own, err));
        s->x.copies = (uint64_t)r->cache_copies;
        s->x.seed = (uint64_t)r->cache_seed;
    }
    s->half = o->half || r->cache_type == RECIPE_CACHE_FLOAT16;
    s->x.paths = s->dataset->paths;
    s->x.n = s->dataset->n_train;
    s->out = o->out ? NULL : recipe_path(s->ctx, r, r->cache_path);
    return o->out || s->out ? SPOOR_OK : error_memory(err, "reading a recipe");
}

static void close_sources(sources *s) {
    extract_clear(&s->x);
    store_free(s->x.store);
    pool_free(s->x.pool);
    augment_free(s->chain);
    recordings_free(s->recordings);
    frontend_free(s->own);
    spoor_model_free(s->model);
    dataset_free(s->dataset);
    cli_corpus_clear(&s->corpus);
    ctx_free(s->ctx, s->out);
}

/* ---- what is said ---- */

/* "46.8 MB" */
static const char *size_text(char text[32], double bytes) {
    static const char *const UNITS[] = {"kB", "MB", "GB", "TB"};
    int unit = 0;
    for (bytes /= 1000; bytes >= 1000 && unit < 3; bytes /= 1000) {
        unit++;
    }
    (void)snprintf(text, 32, "%.*f %s", bytes < 10 ? 1 : 0, bytes, UNITS[unit]);
    return text;
}

/* How much there is to do; SPOOR_ERR_IO where the disk has no room for it. */
static spoor_status say_plan(const sources *s, const char *folder, spoor_error *err) {
    const extraction *x = &s->x;
    char size[32], room[32], length[UI_TIME];
    const char *copies = x->copies > 0 ? ", with augmented copies" : "",
               *bad = x->n_failures > 0 ? " (some cannot be read)" : "";
    if (x->n_jobs == 0) {
        fprintf(stderr, "%zu recordings%s%s: %llu entries are there, nothing to make\n", x->n, copies, bad,
                (unsigned long long)x->there);
        return SPOOR_OK;
    }
    double bytes = (double)store_bytes(frontend_dim(x->fe), s->half, x->n_jobs, x->frames), free_bytes = INFINITY;
    struct statvfs disk;
    if (statvfs(folder, &disk) == 0) {
        free_bytes = (double)disk.f_bavail * (double)disk.f_frsize;
    }
    fprintf(stderr, "%zu recordings%s%s: %llu entries are there, %zu to make from %s of sound: %s on disk as %s", x->n,
            copies, bad, (unsigned long long)x->there, x->n_jobs, ui_time(length, x->length), size_text(size, bytes),
            s->half ? "float16" : "float32");
    if (isfinite(free_bytes)) {
        fprintf(stderr, ", %s free", size_text(room, free_bytes));
    }
    fprintf(stderr, "\n");
    if (bytes > free_bytes) {
        return error_set(err, SPOOR_ERR_IO,
                         "the disk of %s has %s free, and the features need about %s; free some space, choose "
                         "another folder%s",
                         folder, room, size, s->half ? "" : ", or add --half");
    }
    return SPOOR_OK;
}

static spoor_status say_time(sources *s, options *o, spoor_error *err) {
    double seconds;
    char text[UI_TIME];
    TRY(extract_measure(&s->x, &seconds, err));
    ui_progress_clear(&o->progress);
    if (seconds > 0) {
        unsigned n = pool_threads(s->x.pool);
        fprintf(stderr, "about %s on %u thread%s\n", ui_time(text, seconds), n, n == 1 ? "" : "s");
    }
    return SPOOR_OK;
}

static spoor_status print_json(const sources *s, const char *folder, double seconds, const store_totals *t,
                               spoor_error *err) {
    const extraction *x = &s->x;
    json_t *failed = json_array();
    for (size_t i = 0; i < x->n_failures; i++) {
        (void)json_array_append_new(failed, json_string(x->failures[i]));
    }
    json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "folder", folder, "type",
                          s->half ? "float16" : "float32", "dim", (json_int_t)frontend_dim(x->fe), "entries",
                          (json_int_t)t->recordings, "frames", (json_int_t)t->frames, "bytes", (json_int_t)t->bytes,
                          "there", (json_int_t)x->there, "to_make", (json_int_t)x->n_jobs, "made", (json_int_t)x->made,
                          "seconds", seconds, "failed", failed);
    spoor_status status = ui_json(j, JSON_INDENT(2), err);
    json_decref(j);
    return status;
}

static spoor_status say_end(const sources *s, const options *o, const char *folder, double seconds, spoor_error *err) {
    const extraction *x = &s->x;
    store_totals t = {0};
    if (x->store) {
        store_get_totals(x->store, &t);
    }
    for (size_t i = 0; i < x->n_failures; i++) {
        fprintf(stderr, "spoor: %s\n", x->failures[i]);
    }
    if (o->json) {
        TRY(print_json(s, folder, seconds, &t, err));
    } else if (!o->dry) {
        char size[32];
        printf("%s: %llu entries (%llu new), %llu frames of %zu values, %s as %s\n", folder,
               (unsigned long long)t.recordings, (unsigned long long)x->made, (unsigned long long)t.frames,
               frontend_dim(x->fe), size_text(size, (double)t.bytes), s->half ? "float16" : "float32");
        TRY(ui_flush(err));
    }
    if (x->n_failures > 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be extracted", x->n_failures,
                         x->n * ((size_t)x->copies + 1));
    }
    return SPOOR_OK;
}

/* ---- the command ---- */

static void stage(void *user, const char *label, const char *unit) {
    options *o = user;
    ui_progress_clear(&o->progress);
    ui_progress_start(&o->progress, label, unit);
}

/* A dry run leaves no folder behind. */
static spoor_status open_store(sources *s, const options *o, const char *folder, spoor_error *err) {
    char *index = ctx_printf(s->ctx, "%s/index.json", folder);
    if (!index) {
        return error_memory(err, "opening a folder of features");
    }
    bool there = access(index, F_OK) == 0;
    ctx_free(s->ctx, index);
    if (o->dry && (!there || o->replace)) {
        return SPOOR_OK;
    }
    if (o->replace) {
        TRY(store_clear(s->ctx, folder, err));
    }
    store_options how = {.writable = !o->dry, .half = s->half, .weights = s->model ? s->model->sha256 : NULL};
    TRY(store_open(s->ctx, folder, s->x.fe, &how, &s->x.store, err));
    s->half = store_is_half(s->x.store);
    return SPOOR_OK;
}

static spoor_status extract(sources *s, options *o, const char *folder, spoor_error *err) {
    extraction *x = &s->x;
    TRY(pool_new(s->ctx, o->corpus.threads ? o->corpus.threads : pool_processors(), &x->pool, err));
    TRY(open_store(s, o, folder, err));
    TRY(extract_plan(x, err));
    ui_progress_clear(&o->progress);
    TRY(say_plan(s, folder, err));
    double seconds = 0;
    if (x->n_jobs > 0) {
        TRY(say_time(s, o, err));
    }
    if (!o->dry) {
        struct timespec a, b;
        (void)clock_gettime(CLOCK_MONOTONIC, &a);
        TRY(extract_run(x, err));
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    }
    ui_progress_clear(&o->progress);
    return say_end(s, o, folder, seconds, err);
}

static spoor_status run_one(options *o, spoor_context *ctx, const recipe *r, spoor_error *err) {
    sources s = {.ctx = ctx, .recipe = r, .half = o->half, .corpus = {.ctx = ctx},
                 .x = {.ctx = ctx, .stage = stage, .user = o}};
    spoor_status status = r ? from_recipe(&s, o, err) : from_options(&s, o, err);
    if (status == SPOOR_OK) {
        status = extract(&s, o, s.out ? s.out : o->out, err);
    }
    close_sources(&s);
    return status;
}

/* Each stage of a recipe that reads features; a folder that several share is emptied (--replace) once at most. */
static spoor_status run_stages(options *o, spoor_context *ctx, const recipe_stages *stages, spoor_error *err) {
    const char *last = NULL;
    for (size_t i = 0; i < stages->n; i++) {
        const recipe *r = stages->stage[i].r;
        if (!*r->cache_path && !o->out) {
            continue;
        }
        const char *folder = o->out ? o->out : r->cache_path;
        o->replace = o->replace && (!last || strcmp(last, folder) != 0);
        last = folder;
        TRY(run_one(o, ctx, r, err));
    }
    return last ? SPOOR_OK : error_set(err, SPOOR_ERR_USAGE, "%s has no cache.path; add it, or --out", o->recipe);
}

static spoor_status run(options *o, spoor_context *ctx, spoor_error *err) {
    if (!o->recipe) {
        return run_one(o, ctx, NULL, err);
    }
    recipe_stages *stages;
    TRY(recipe_stages_open(ctx, o->recipe, o->set, o->n_set, &stages, err));
    spoor_status status = run_stages(o, ctx, stages, err);
    recipe_stages_free(stages);
    return status;
}

static void log_over(void *user, spoor_log_level level, const char *message) {
    options *o = user;
    if (level <= SPOOR_LOG_WARN) {
        ui_progress_clear(&o->progress);
        fprintf(stderr, "spoor: %s\n", message);
    }
}

static void show(void *user, uint64_t done, uint64_t total) {
    options *o = user;
    ui_progress_show(&o->progress, done, total);
}

int cli_extract(int argc, char **argv) {
    options o = {.copies = -1, .seed = -1};
    argp_err_exit_status = SPOOR_ERR_USAGE;
    if (argp_parse(&ARGP, argc, argv, 0, NULL, &o) != 0) {
        return SPOOR_ERR_USAGE;
    }
    spoor_context_options c;
    spoor_context_options_init(&c);
    ui_context_options(&c);
    c.log = log_over;
    c.progress = show;
    c.user = &o;
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    spoor_status status = spoor_context_new(&c, &ctx, &err);
    if (status == SPOOR_OK) {
        status = run(&o, ctx, &err);
    }
    ui_progress_clear(&o.progress);
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    spoor_context_free(ctx);
    return (int)status;
}
