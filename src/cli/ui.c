/* ui.c: see ui.h. */
#include "cli/ui.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static atomic_int interrupted; /* set in a signal handler, read by all workers */

static void on_signal(int number) {
    (void)number;
    if (interrupted) {
        _exit(SPOOR_ERR_CANCELLED); /* the second Ctrl-C does not wait */
    }
    interrupted = 1;
}

spoor_status ui_write(const char *data, size_t n, spoor_error *err) {
    while (n > 0) {
        ssize_t put = write(STDOUT_FILENO, data, n);
        if (put < 0 && errno == EINTR) {
            continue; /* Ctrl-C asks for an orderly end, not for half an answer */
        }
        if (put < 0) {
            return error_set(err, SPOOR_ERR_IO, "cannot write the answers to standard output: %s", strerror(errno));
        }
        data += put;
        n -= (size_t)put;
    }
    return SPOOR_OK;
}

spoor_status ui_flush(spoor_error *err) {
    bool bad = ferror(stdout) != 0;
    if (fflush(stdout) != 0 || bad) {
        return error_set(err, SPOOR_ERR_IO, "cannot write to standard output");
    }
    return SPOOR_OK;
}

bool ui_interrupted(void) { return interrupted != 0; }

void ui_error(const spoor_error *err) { fprintf(stderr, "spoor: %s\n", err->message); }

static void log_line(void *user, spoor_log_level level, const char *message) {
    (void)user;
    if (level <= SPOOR_LOG_WARN) {
        fprintf(stderr, "spoor: %s\n", message);
    }
}

static int cancel(void *user) {
    (void)user;
    return interrupted != 0;
}

void ui_context_options(spoor_context_options *options) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler =
        SIG_IGN; /* a reader that went away is a failed write, after which temporary files are removed */
    (void)sigaction(SIGPIPE, &action, NULL);
    options->log = log_line;
    options->cancel = cancel;
}

static void log_over(void *user, spoor_log_level level, const char *message) {
    if (level <= SPOOR_LOG_WARN) {
        ui_progress_clear(user);
        log_line(NULL, level, message);
    }
}

static void show(void *user, uint64_t done, uint64_t total) { ui_progress_show(user, done, total); }

int ui_command(const struct argp *argp, int argc, char **argv, void *options,
               spoor_status (*run)(void *options, spoor_context *ctx, spoor_error *err)) {
    argp_err_exit_status = SPOOR_ERR_USAGE;
    if (argp_parse(argp, argc, argv, 0, NULL, options) != 0) {
        return SPOOR_ERR_USAGE;
    }
    spoor_context_options co;
    spoor_context_options_init(&co);
    ui_context_options(&co);
    ui_progress progress;
    ui_progress_start(&progress, "computing", "recordings");
    co.log = log_over;
    co.progress = show;
    co.user = &progress;
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    spoor_status status = spoor_context_new(&co, &ctx, &err);
    if (status == SPOOR_OK) {
        status = run(options, ctx, &err);
    }
    ui_progress_clear(&progress);
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    spoor_context_free(ctx);
    return (int)status;
}

static double seconds(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ui_progress_start(ui_progress *p, const char *label, const char *unit) {
    *p = (ui_progress){.label = label, .unit = unit, .started = seconds(), .on = isatty(STDERR_FILENO) == 1};
}

void ui_progress_text(ui_progress *p, const char *format, ...) {
    double now = seconds();
    if (!p->on || now - p->drawn < 0.1) {
        return;
    }
    p->drawn = now;
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct winsize size; /* a line that wraps would not be wiped whole */
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    fprintf(stderr, "\r\033[K%.*s", known ? size.ws_col - 1 : 79, text);
    (void)fflush(stderr);
}

const char *ui_time(char text[UI_TIME], double s) {
    long t = s > 0 && s < 1e8 ? (long)(s + 0.5) : 0;
    if (t >= 3600) {
        snprintf(text, UI_TIME, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    } else {
        snprintf(text, UI_TIME, "%ld:%02ld", t / 60, t % 60);
    }
    return text;
}

void ui_progress_show(ui_progress *p, uint64_t done, uint64_t total) {
    enum { WIDTH = 24 };
    if (done < p->last) {
        p->started = seconds();
        p->from = done;
    }
    p->last = done;
    if (done >= total) {
        ui_progress_clear(p);
        return;
    }
    double passed = seconds() - p->started, rate = passed > 0 ? (double)(done - p->from) / passed : 0;
    char bar[WIDTH + 1], left[UI_TIME];
    memset(bar, '.', WIDTH);
    memset(bar, '#', (size_t)(WIDTH * (double)done / (double)total));
    bar[WIDTH] = '\0';
    ui_progress_text(p, "%s  [%s]  %llu/%llu %s  %.1f/s  ETA %s", p->label, bar, (unsigned long long)done,
                     (unsigned long long)total, p->unit, rate,
                     ui_time(left, rate > 0 ? (double)(total - done) / rate : 0));
}

void ui_progress_clear(ui_progress *p) {
    if (p->on && p->drawn > 0) {
        fprintf(stderr, "\r\033[K");
        (void)fflush(stderr);
        p->drawn = 0;
    }
}

void ui_precision(struct argp_state *state, const char *arg, spoor_model_options *out) {
    if (strcmp(arg, "f32") != 0 && strcmp(arg, "bf16") != 0 && strcmp(arg, "int8") != 0) {
        argp_error(state, "--precision is f32, bf16 or int8, not %s", arg);
    }
    out->precision = arg;
}

spoor_silence ui_silence(const struct argp_state *state, const char *arg) {
    if (strcmp(arg, "remove") != 0 && strcmp(arg, "keep") != 0) {
        argp_error(state, "--silence is remove or keep, not \"%s\"", arg);
    }
    return arg[0] == 'r' ? SPOOR_SILENCE_REMOVE : SPOOR_SILENCE_KEEP;
}

spoor_status ui_json(const json_t *object, size_t flags, spoor_error *err) {
    char *text = object == NULL ? NULL : json_dumps(object, flags);
    if (text == NULL) {
        return error_memory(err, "writing JSON");
    }
    printf("%s\n", text);
    free(text);
    return ui_flush(err);
}

static bool number_between(const char *arg, double least, double most, double *out) {
    char *end;
    *out = strtod(arg, &end);
    return end != arg && *end == '\0' && *out >= least && *out <= most;
}

double ui_number(const struct argp_state *state, const char *arg, double least, double most) {
    double x;
    if (!number_between(arg, least, most, &x)) {
        argp_error(state, "%s is not a number from %g to %g", arg, least, most);
    }
    return x;
}

uint64_t ui_whole(const struct argp_state *state, const char *arg, double least, double most) {
    double x;
    if (!number_between(arg, least, most, &x) || x != floor(x)) {
        argp_error(state, "%s is not a whole number from %g to %g", arg, least, most);
    }
    return (uint64_t)x;
}
