/* trace.c: `spoor trace FILE...`. Recordings are traced side by side, one to a worker; answers come out in the order of
 * the files, each as soon as all before it are done. */
#include "cli/cli.h"
#include "base/pool.h"
#include "cli/files.h"
#include "cli/ui.h"
#include "report/html.h"
#include "report/json.h"
#include "report/text.h"
#include <argp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_JSON = 256, KEY_JSONL, KEY_HTML, KEY_CHANNEL, KEY_HOP, KEY_LIST, KEY_RAW, KEY_TOP };

typedef enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_JSONL } format;

typedef struct options {
    const char *model, *html, *list;
    format format;
    unsigned jobs;
    size_t top;
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
    const cli_files *files;
    spoor_session **sessions; /* one per worker, made when first needed */
    answer *answers;
    size_t next; /* first file that is not printed yet */
    size_t failed;
    spoor_status fatal; /* the answers cannot be written: stop */
    spoor_error fatal_err;
    report_html *html;
    ui_progress progress;
    pthread_mutex_t mutex;
} job;

/* ---- arguments ---------------------------------------------------------------------------------------- */

static const struct argp_option OPTIONS[] = {
    {"model", 'm', "FILE", 0, "model file (default: $SPOOR_MODEL, then the installed one)", 0},
    {"json", KEY_JSON, NULL, 0, "one JSON object for one file, an array for several (docs/json.md)", 0},
    {"jsonl", KEY_JSONL, NULL, 0, "one JSON object a line", 0},
    {"html", KEY_HTML, "FILE", 0, "also write a self-contained report", 0},
    {"jobs", 'j', "N", 0, "recordings traced side by side (default: processors)", 0},
    {"top", KEY_TOP, "N", 0, "sources listed in text (default 5)", 0},
    {"channel", KEY_CHANNEL, "N", 0, "take channel N, counted from 0 (default: mix down)", 0},
    {"hop", KEY_HOP, "SECONDS", 0, "distance of windows (default: one window, 4.0375)", 0},
    {"list", KEY_LIST, "FILE", 0, "also trace the files named in FILE, one a line; - is standard input", 0},
    {"raw", KEY_RAW, "RATE[:CHANNELS]", 0, "input is headerless 16-bit little-endian PCM", 0},
    {0}};

static bool parse_number(const char *text, double min, double max, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= min && *out <= max;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    double x;
    switch (key) {
    case 'm': o->model = arg; return 0;
    case KEY_JSON: o->format = FORMAT_JSON; return 0;
    case KEY_JSONL: o->format = FORMAT_JSONL; return 0;
    case KEY_HTML: o->html = arg; return 0;
    case KEY_LIST: o->list = arg; return 0;
    case 'j':
        if (!parse_number(arg, 1, 256, &x)) {
            argp_error(state, "--jobs must be 1 to 256, not \"%s\"", arg);
        }
        o->jobs = (unsigned)x;
        return 0;
    case KEY_TOP:
        if (!parse_number(arg, 0, 100000, &x)) {
            argp_error(state, "--top must be a number of sources, not \"%s\"", arg);
        }
        o->top = (size_t)x;
        return 0;
    case KEY_CHANNEL:
        if (!parse_number(arg, 0, 1023, &x) || x != (int)x) {
            argp_error(state, "--channel must be 0 to 1023, not \"%s\"", arg);
        }
        o->audio.channel = (int)x;
        return 0;
    case KEY_HOP:
        if (!parse_number(arg, 0.01, 3600, &o->trace.hop_seconds)) {
            argp_error(state, "--hop must be 0.01 to 3600 seconds, not \"%s\"", arg);
        }
        return 0;
    case KEY_RAW: {
        char *colon = strchr(arg, ':');
        if (colon != NULL) {
            *colon = '\0';
        }
        o->audio.raw_channels = colon == NULL ? 1 : atoi(colon + 1);
        if (!parse_number(arg, 4000, 192000, &o->audio.raw_rate) || o->audio.raw_channels < 1) {
            argp_error(state, "--raw must be RATE or RATE:CHANNELS, with a rate of 4000 to 192000");
        }
        return 0;
    }
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
    OPTIONS, parse, "FILE...",
    "Say for each recording whether it is human or synthetic, and which system made it.\v"
    "FILE is anything libsndfile opens, a folder that is searched for audio, or - for standard input. Answers go to "
    "standard output in the order of the files. Exit code 2: some files could not be traced; the others were.",
    NULL, NULL, NULL};

/* ---- tracing ------------------------------------------------------------------------------------------ */

static spoor_status trace_one(job *j, size_t index, unsigned worker, answer *a) {
    const char *path = j->files->paths[index];
    TRY(ctx_check_cancel(j->ctx, &a->err));
    if (j->sessions[worker] == NULL) {
        TRY(spoor_session_new(j->model, &j->sessions[worker], &a->err));
    }
    spoor_audio *audio = NULL;
    TRY(spoor_audio_open(j->ctx, path, &j->o->audio, &audio, &a->err));
    spoor_status status = j->html != NULL ? overview_new(j->ctx, &a->overview, &a->err) : SPOOR_OK;
    if (status == SPOOR_OK) {
        spoor_trace_options o = j->o->trace;
        o.name = path;
        status = trace_run(j->sessions[worker], audio, &o, j->html != NULL ? overview_add : NULL, a->overview, &a->result,
                           &a->err);
    }
    spoor_audio_free(audio);
    return status;
}

/* ---- printing, under the mutex ------------------------------------------------------------------------ */

static bool print_json(job *j, size_t index, const answer *a) {
    bool array = j->o->format == FORMAT_JSON && j->files->n != 1;
    json_t *object = NULL;
    const char *text = a->result != NULL ? spoor_result_json(a->result) : NULL;
    char *made = NULL;
    if (a->result == NULL) {
        object = report_error_json(j->files->paths[index], &a->err, j->model);
        text = made = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    }
    bool good = text != NULL;
    if (good) {
        good = printf("%s%s%s", array ? (index == 0 ? "[\n" : ",\n") : "", text, array ? "" : "\n") >= 0;
    }
    free(made);
    json_decref(object);
    return good;
}

static bool print_answer(job *j, size_t index, answer *a) {
    if (a->result == NULL) {
        j->failed++;
        ui_progress_clear(&j->progress);
        if (a->err.status != SPOOR_ERR_CANCELLED) {
            ui_error(&a->err);
        }
    }
    bool good = true;
    if (j->o->format != FORMAT_TEXT) {
        good = print_json(j, index, a);
    } else if (a->result != NULL) {
        ui_progress_clear(&j->progress);
        report_text_result(stdout, a->result, j->o->top);
    }
    good = good && fflush(stdout) == 0;
    if (!good) {
        j->fatal = error_set(&j->fatal_err, SPOOR_ERR_IO, "cannot write the answers to standard output");
    } else if (j->html != NULL && a->err.status != SPOOR_ERR_CANCELLED) {
        j->fatal = a->result != NULL ? report_html_add(j->html, a->result, a->overview, &j->fatal_err)
                                     : report_html_add_error(j->html, j->files->paths[index], &a->err, &j->fatal_err);
    }
    spoor_result_free(a->result);
    overview_free(a->overview);
    a->result = NULL;
    a->overview = NULL;
    return j->fatal == SPOOR_OK;
}

static void run_item(void *arg, int64_t item, unsigned worker) {
    job *j = arg;
    size_t index = (size_t)item;
    answer *a = &j->answers[index];
    pthread_mutex_lock(&j->mutex);
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
    while (j->fatal == SPOOR_OK && j->next < j->files->n && j->answers[j->next].done) {
        (void)print_answer(j, j->next, &j->answers[j->next]);
        j->next++;
        if (j->files->n > 1) {
            ui_progress_show(&j->progress, j->next, j->files->n);
        }
    }
    pthread_mutex_unlock(&j->mutex);
}

/* Progress within one long recording. */
static void within_file(void *user, uint64_t done, uint64_t total) {
    job *j = user;
    if (j->files != NULL && j->files->n == 1 && total > 60u * AUDIO_RATE) {
        ui_progress_show(&j->progress, done / AUDIO_RATE, total / AUDIO_RATE);
    }
}

static spoor_status run(job *j) {
    spoor_error *err = &j->fatal_err;
    unsigned workers = j->o->jobs < j->files->n ? j->o->jobs : (unsigned)(j->files->n > 0 ? j->files->n : 1);
    TRY(spoor_model_open(j->ctx, j->o->model, &j->model, err));
    if (j->o->html != NULL) {
        TRY(report_html_open(j->ctx, j->o->html, j->model, &j->html, err));
    }
    j->sessions = ctx_calloc(j->ctx, workers, sizeof *j->sessions);
    j->answers = ctx_calloc(j->ctx, j->files->n, sizeof *j->answers);
    if (j->sessions == NULL || j->answers == NULL) {
        return error_memory(err, "listing files");
    }
    pool *p;
    TRY(pool_new(j->ctx, workers, &p, err));
    ui_progress_start(&j->progress, "tracing", j->files->n > 1 ? "files" : "s");
    pool_run(p, (int64_t)j->files->n, run_item, j);
    ui_progress_clear(&j->progress);
    pool_free(p);
    if (j->o->format == FORMAT_JSON && j->files->n != 1 && j->fatal == SPOOR_OK) {
        (void)printf("%s]\n", j->files->n == 0 ? "[" : "\n");
    }
    if (j->fatal == SPOOR_OK && j->o->format == FORMAT_TEXT && j->files->n > j->failed) {
        (void)printf("model %s (%.12s): %s\n", j->model->name, j->model->sha256, j->model->card);
    }
    if (j->fatal == SPOOR_OK && fflush(stdout) != 0) {
        j->fatal = error_set(err, SPOOR_ERR_IO, "cannot write the answers to standard output");
    }
    return j->fatal;
}

static void clear(job *j, size_t workers) {
    for (size_t i = 0; j->sessions != NULL && i < workers; i++) {
        spoor_session_free(j->sessions[i]);
    }
    for (size_t i = 0; j->answers != NULL && i < j->files->n; i++) {
        spoor_result_free(j->answers[i].result);
        overview_free(j->answers[i].overview);
    }
    ctx_free(j->ctx, j->sessions);
    ctx_free(j->ctx, j->answers);
    spoor_model_free(j->model);
}

int cli_trace(int argc, char **argv) {
    options o = {.top = 5, .jobs = pool_processors()};
    spoor_audio_options_init(&o.audio);
    spoor_trace_options_init(&o.trace);
    argp_err_exit_status = SPOOR_ERR_USAGE;
    if (argp_parse(&ARGP, argc, argv, 0, NULL, &o) != 0) {
        return SPOOR_ERR_USAGE;
    }
    job j = {.o = &o, .mutex = PTHREAD_MUTEX_INITIALIZER};
    spoor_context_options co;
    spoor_context_options_init(&co);
    ui_context_options(&co);
    co.progress = within_file;
    co.user = &j;
    spoor_error err = {0};
    spoor_status status = spoor_context_new(&co, &j.ctx, &err);
    cli_files files;
    cli_files_init(&files, j.ctx);
    for (size_t i = 0; status == SPOOR_OK && i < o.n_files; i++) {
        status = cli_files_add(&files, o.files[i], &err);
    }
    if (status == SPOOR_OK && o.list != NULL) {
        status = cli_files_add_list(&files, o.list, &err);
    }
    if (status == SPOOR_OK) {
        j.files = &files;
        status = run(&j);
        err = j.fatal_err;
    }
    if (j.html != NULL) {
        spoor_status closed = report_html_close(j.html, status == SPOOR_OK, status == SPOOR_OK ? &err : NULL);
        status = status == SPOOR_OK ? closed : status;
    }
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    if (j.files != NULL) {
        clear(&j, o.jobs < files.n ? o.jobs : files.n);
    }
    cli_files_clear(&files);
    spoor_context_free(j.ctx);
    if (ui_interrupted()) {
        return SPOOR_ERR_CANCELLED;
    }
    return status != SPOOR_OK ? (int)status : j.failed > 0 ? SPOOR_ERR_INPUT : SPOOR_OK;
}
