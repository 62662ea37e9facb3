/* trace.c: `spoor trace FILE...`. Recordings are traced side by side, one to a worker; answers come out in the order of
 * the files, each as soon as all before it are done. */
#include "base/pool.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/ui.h"
#include "report/html.h"
#include "report/json.h"
#include "report/text.h"
#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_JSON = 256, KEY_JSONL, KEY_HTML, KEY_CHANNEL, KEY_HOP, KEY_LIST, KEY_RAW, KEY_TOP, KEY_PRECISION,
      KEY_GALLERY,
       KEY_SILENCE, KEY_TAXONOMY };
enum { AHEAD = 64, MAX_JOBS = 256, MAX_TOP = 100000 };

typedef enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_JSONL } format;

typedef struct options {
    const char *model, *gallery, *html, *list;
    format format;
    unsigned jobs;
    size_t top;
    spoor_model_options open;
    spoor_audio_options audio;
    spoor_trace_options trace;
    char **files;
    size_t n_files;
} options;

typedef struct answer { /* of one file, until it is printed */
    spoor_result *result;
    overview *overview;
    spoor_error err;
    bool done;
} answer;

typedef struct job {
    const options *o;
    spoor_context *ctx;
    spoor_model *model;
    spoor_gallery *gallery;
    const cli_files *files;
    bool array;               /* --json writes an array */
    spoor_session **sessions; /* one per worker, made when first needed */
    unsigned workers;
    answer *answers; /* of file i in answers[i % room]: a file is begun when the one room before it is printed */
    size_t room;
    size_t next; /* first file that is not printed yet */
    size_t failed;
    spoor_status fatal; /* the answers cannot be written: stop */
    spoor_error fatal_err;
    report_html *html;
    ui_progress progress;
    bool to_terminal; /* where answers go */
    pthread_mutex_t mutex;
    pthread_cond_t printed;
} job;

/* ---- arguments ---------------------------------------------------------------------------------------- */

static const struct argp_option OPTIONS[] = {
    {"model", 'm', "FILE", 0, "model file (default: $SPOOR_MODEL, then the installed one)", 0},
    {"gallery", KEY_GALLERY, "FILE", 0,
     "enrolled sources (default: $SPOOR_GALLERY, then the gallery beside the model; none: do without)", 0},
    {"json", KEY_JSON, NULL, 0, "one JSON object for one file, an array for several, a folder or a list (docs/json.md)",
     0},
    {"jsonl", KEY_JSONL, NULL, 0, "one JSON object a line", 0},
    {"html", KEY_HTML, "FILE", 0, "also write a self-contained report", 0},
    {"jobs", 'j', "N", 0, "recordings traced side by side (default: processors)", 0},
    {"top", KEY_TOP, "N", 0, "sources listed in text (default 5)", 0},
    {"channel", KEY_CHANNEL, "N", 0, "take channel N, counted from 0 (default: mix down)", 0},
    {"hop", KEY_HOP, "SECONDS", 0, "distance of windows (default: one window, 4.0375)", 0},
    {"list", KEY_LIST, "FILE", 0, "also trace the files and folders named in FILE, one a line; - is standard input", 0},
    {"taxonomy", KEY_TAXONOMY, "FILE", 0,
     "how codecs are built, for the tree of the answer (default: the model's, else codecfake_plus; docs/taxonomy.md)",
     0},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     0},
    {"silence", KEY_SILENCE, UI_SILENCE, 0,
     "take long silences out before, or leave them (default: as the model was "
     "trained)",
     0},
    {"raw", KEY_RAW, "RATE[:CHANNELS]", 0, "input is headerless 16-bit little-endian PCM", 0},
    {0}};

static bool parse_number(const char *text, double min, double max, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= min && *out <= max;
}

static bool parse_whole(const char *text, long min, long max, long *out) {
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && *out >= min && *out <= max;
}

/* RATE[:CHANNELS] */
static bool parse_raw(const char *text, spoor_audio_options *out) {
    char rate[32];
    long channels = 1;
    size_t n = strcspn(text, ":");
    if (n >= sizeof rate || (text[n] == ':' && !parse_whole(text + n + 1, 1, AUDIO_CHANNELS_MAX, &channels))) {
        return false;
    }
    memcpy(rate, text, n);
    rate[n] = '\0';
    out->raw_channels = (int)channels;
    return parse_number(rate, AUDIO_RATE_MIN, AUDIO_RATE_MAX, &out->raw_rate);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    long x;
    switch (key) {
    case 'm': o->model = arg; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case KEY_SILENCE: o->audio.silence = ui_silence(state, arg); return 0;
    case KEY_TAXONOMY: o->open.taxonomy = arg; return 0;
    case KEY_GALLERY: o->gallery = arg; return 0;
    case KEY_JSON: o->format = FORMAT_JSON; return 0;
    case KEY_JSONL: o->format = FORMAT_JSONL; return 0;
    case KEY_HTML: o->html = arg; return 0;
    case KEY_LIST: o->list = arg; return 0;
    case 'j':
        if (!parse_whole(arg, 1, MAX_JOBS, &x)) {
            argp_error(state, "--jobs must be 1 to %d, not \"%s\"", MAX_JOBS, arg);
        }
        o->jobs = (unsigned)x;
        return 0;
    case KEY_TOP:
        if (!parse_whole(arg, 0, MAX_TOP, &x)) {
            argp_error(state, "--top must be a number of sources, not \"%s\"", arg);
        }
        o->top = (size_t)x;
        return 0;
    case KEY_CHANNEL:
        if (!parse_whole(arg, 0, AUDIO_CHANNELS_MAX - 1, &x)) {
            argp_error(state, "--channel must be 0 to %d, not \"%s\"", AUDIO_CHANNELS_MAX - 1, arg);
        }
        o->audio.channel = (int)x;
        return 0;
    case KEY_HOP:
        if (!parse_number(arg, 0.01, 3600, &o->trace.hop_seconds)) {
            argp_error(state, "--hop must be 0.01 to 3600 seconds, not \"%s\"", arg);
        }
        return 0;
    case KEY_RAW:
        if (!parse_raw(arg, &o->audio)) {
            argp_error(
                state,
                "--raw must be RATE or RATE:CHANNELS, with a rate of %.0f to %.0f and 1 to %d channels, not \"%s\"",
                AUDIO_RATE_MIN, AUDIO_RATE_MAX, AUDIO_CHANNELS_MAX, arg);
        }
        return 0;
    case ARGP_KEY_ARGS:
        o->files = state->argv + state->next;
        o->n_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (o->n_files == 0 && o->list == NULL) {
            argp_error(state, "name at least one recording, folder or --list");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {
    OPTIONS,
    parse,
    "FILE...",
    "Say for each recording whether it is human or synthetic, and which system made it.\v"
    "FILE is anything libsndfile opens, a folder that is searched for audio, or - for standard input. Answers go to "
    "standard output in the order of the files. Exit code 2: some files could not be traced; the others were.",
    NULL,
    NULL,
    NULL};

/* ---- tracing ------------------------------------------------------------------------------------------ */

static spoor_status trace_one(job *j, size_t index, unsigned worker, answer *a) {
    const char *path = j->files->paths[index];
    TRY(ctx_check_cancel(j->ctx, &a->err));
    if (j->sessions[worker] == NULL) {
        TRY(spoor_session_new(j->model, &j->sessions[worker], &a->err));
    }
    spoor_audio *audio = NULL;
    spoor_status status = spoor_audio_open(j->ctx, path, &j->o->audio, &audio, &a->err);
    if (status != SPOOR_OK) {
        cli_files_explain(path, &a->err);
        return status;
    }
    status = j->html != NULL ? overview_new(j->ctx, &a->overview, &a->err) : SPOOR_OK;
    if (status == SPOOR_OK) {
        spoor_trace_options o = j->o->trace;
        o.name = path;
        o.gallery = j->gallery;
        status = trace_run(j->sessions[worker], audio, &o, j->html != NULL ? overview_add : NULL, a->overview,
                           &a->result, &a->err);
    }
    spoor_audio_free(audio);
    return status;
}

/* ---- printing, under the mutex ------------------------------------------------------------------------ */

static void write_out(job *j, const char *text, size_t n) {
    if (j->fatal == SPOOR_OK) {
        j->fatal = ui_write(text, n, &j->fatal_err);
    }
}

static void print_json(job *j, size_t index, answer *a) {
    json_t *object = a->result != NULL ? NULL : report_error_json(j->files->paths[index], &a->err, j->model);
    char *made = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    const char *text = a->result != NULL ? spoor_result_json(a->result) : made;
    if (text == NULL) {
        j->fatal = error_memory(&j->fatal_err, "writing an answer as JSON");
    } else {
        const char *before = !j->array ? "" : index == 0 ? "[\n" : ",\n";
        write_out(j, before, strlen(before));
        write_out(j, text, strlen(text));
        write_out(j, "\n", j->array ? 0 : 1);
    }
    free(made);
    json_decref(object);
}

static void print_text(job *j, const answer *a) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out != NULL) {
        report_text_result(out, a->result, j->o->top);
    }
    if (out == NULL || fclose(out) != 0) {
        j->fatal = error_memory(&j->fatal_err, "writing an answer");
    } else {
        write_out(j, text, n);
    }
    free(text);
}

static void print_answer(job *j, size_t index, answer *a) {
    bool cancelled = a->result == NULL && a->err.status == SPOOR_ERR_CANCELLED;
    if (a->result == NULL || j->to_terminal) {
        ui_progress_clear(&j->progress);
    }
    if (a->result == NULL) {
        j->failed++;
        if (!cancelled) {
            ui_error(&a->err);
        }
    }
    if (j->o->format != FORMAT_TEXT) {
        print_json(j, index, a);
    } else if (a->result != NULL) {
        print_text(j, a);
    }
    /* A report that cannot be written does not spoil the answers: report_html_close says what was wrong. */
    if (j->html != NULL && a->result != NULL) {
        (void)report_html_add(j->html, a->result, a->overview, NULL);
    } else if (j->html != NULL && !cancelled) {
        (void)report_html_add_error(j->html, j->files->paths[index], &a->err, NULL);
    }
    spoor_result_free(a->result);
    overview_free(a->overview);
    *a = (answer){0};
}

static void run_item(void *arg, int64_t item, unsigned worker) {
    job *j = arg;
    size_t index = (size_t)item;
    answer *a = &j->answers[index % j->room];
    pthread_mutex_lock(&j->mutex);
    while (j->fatal == SPOOR_OK &&
           index - j->next >= j->room) { /* items are begun in order, so that `next` never waits */
        pthread_cond_wait(&j->printed, &j->mutex);
    }
    bool stop = j->fatal != SPOOR_OK;
    pthread_mutex_unlock(&j->mutex);
    if (stop) {
        return;
    }
    spoor_status status = trace_one(j, index, worker, a);
    if (status != SPOOR_OK && a->err.status == SPOOR_OK) {
        a->err.status = status;
    }
    pthread_mutex_lock(&j->mutex);
    a->done = true;
    while (j->fatal == SPOOR_OK && j->next < j->files->n && j->answers[j->next % j->room].done) {
        print_answer(j, j->next, &j->answers[j->next % j->room]);
        j->next++;
        if (j->files->n > 1) {
            ui_progress_show(&j->progress, j->next, j->files->n);
        }
    }
    pthread_cond_broadcast(&j->printed);
    pthread_mutex_unlock(&j->mutex);
}

/* Progress within one long recording. */
static void within_file(void *user, uint64_t done, uint64_t total) {
    job *j = user;
    if (j->files != NULL && j->files->n == 1 && total > 60u * AUDIO_RATE) {
        ui_progress_show(&j->progress, done / AUDIO_RATE, total / AUDIO_RATE);
    }
}

static void finish_output(job *j) {
    if (j->array) {
        const char *end = j->files->n == 0 ? "[]\n" : "\n]\n";
        write_out(j, end, strlen(end));
    }
    if (j->o->format == FORMAT_TEXT && j->files->n > j->failed) {
        char *line = ctx_printf(j->ctx, "model %s (%.12s): %s\n", j->model->name, j->model->sha256, j->model->card);
        if (line != NULL) {
            write_out(j, line, strlen(line));
        }
        ctx_free(j->ctx, line);
    }
}

static spoor_status run(job *j) {
    spoor_error *err = &j->fatal_err;
    j->workers = j->o->jobs < j->files->n ? j->o->jobs : (unsigned)(j->files->n > 0 ? j->files->n : 1);
    j->room = AHEAD + j->workers;
    TRY(spoor_model_open_with(j->ctx, j->o->model, &j->o->open, &j->model, err));
    if (j->o->gallery == NULL || strcmp(j->o->gallery, "none") != 0) {
        TRY(spoor_gallery_open(j->model, j->o->gallery, &j->gallery, err));
    }
    if (j->o->html != NULL) {
        TRY(report_html_open(j->ctx, j->o->html, j->model, &j->html, err));
    }
    j->sessions = ctx_calloc(j->ctx, j->workers, sizeof *j->sessions);
    j->answers = ctx_calloc(j->ctx, j->room, sizeof *j->answers);
    if (j->sessions == NULL || j->answers == NULL) {
        return error_memory(err, "listing files");
    }
    pool *p;
    TRY(pool_new(j->ctx, j->workers, &p, err));
    j->to_terminal = isatty(STDOUT_FILENO) == 1;
    ui_progress_start(&j->progress, "tracing", j->files->n > 1 ? "files" : "s");
    pool_run(p, (int64_t)j->files->n, run_item, j);
    ui_progress_clear(&j->progress);
    pool_free(p);
    finish_output(j);
    return j->fatal;
}

static void clear(job *j) {
    for (size_t i = 0; j->sessions != NULL && i < j->workers; i++) {
        spoor_session_free(j->sessions[i]);
    }
    for (size_t i = 0; j->answers != NULL && i < j->room; i++) {
        spoor_result_free(j->answers[i].result);
        overview_free(j->answers[i].overview);
    }
    ctx_free(j->ctx, j->sessions);
    ctx_free(j->ctx, j->answers);
    spoor_gallery_free(j->gallery);
    spoor_model_free(j->model);
}

static spoor_status collect(cli_files *files, const options *o, spoor_error *err) {
    for (size_t i = 0; i < o->n_files; i++) {
        TRY(cli_files_add(files, o->files[i], err));
    }
    if (o->list != NULL) {
        TRY(cli_files_add_list(files, o->list, err));
    }
    size_t readers = o->list != NULL && strcmp(o->list, "-") == 0;
    for (size_t i = 0; i < files->n; i++) {
        readers += strcmp(files->paths[i], "-") == 0;
    }
    return readers < 2
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE, "standard input can be read once, but - is named %zu times", readers);
}

int cli_trace(int argc, char **argv) {
    options o = {.top = 5, .jobs = pool_processors()};
    spoor_audio_options_init(&o.audio);
    spoor_trace_options_init(&o.trace);
    argp_err_exit_status = SPOOR_ERR_USAGE;
    if (argp_parse(&ARGP, argc, argv, 0, NULL, &o) != 0) {
        return SPOOR_ERR_USAGE;
    }
    o.jobs = o.jobs < MAX_JOBS ? o.jobs : MAX_JOBS;
    job j = {.o = &o, .mutex = PTHREAD_MUTEX_INITIALIZER, .printed = PTHREAD_COND_INITIALIZER};
    spoor_context_options co;
    spoor_context_options_init(&co);
    ui_context_options(&co);
    co.progress = within_file;
    co.user = &j;
    spoor_error err = {0};
    spoor_status status = spoor_context_new(&co, &j.ctx, &err);
    cli_files files;
    cli_files_init(&files, j.ctx);
    status = status == SPOOR_OK ? collect(&files, &o, &err) : status;
    if (status == SPOOR_OK) {
        j.files = &files;
        j.array = o.format == FORMAT_JSON && (files.n != 1 || files.searched);
        status = run(&j);
        err = j.fatal_err;
    }
    if (j.html != NULL) {
        bool good = status == SPOOR_OK && !ui_interrupted();
        spoor_status closed = report_html_close(j.html, good, good ? &err : NULL);
        status = good ? closed : status;
    }
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    if (j.files != NULL) {
        clear(&j);
    }
    cli_files_clear(&files);
    spoor_context_free(j.ctx);
    if (ui_interrupted()) {
        return SPOOR_ERR_CANCELLED;
    }
    return status != SPOOR_OK ? (int)status : j.failed > 0 ? SPOOR_ERR_INPUT : SPOOR_OK;
}
