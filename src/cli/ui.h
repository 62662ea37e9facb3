/* ui.h: what the commands say to a person: errors, warnings, a progress line with rate and ETA (terminals only), and
 * stopping on Ctrl-C. */
#ifndef CLI_UI_H
#define CLI_UI_H
#include "base/context.h"
#include "base/error.h"
#include <argp.h>
#include <jansson.h>

/* "spoor: SENTENCE" on stderr. */
void ui_error(const spoor_error *err);
/* Fill log and cancel of the options: warnings and errors go to stderr, Ctrl-C and SIGTERM cancel, SIGPIPE is
 * ignored. */
void ui_context_options(spoor_context_options *options);
bool ui_interrupted(void);
/* A whole command: its arguments into `options` (usage errors exit), a context whose progress is shown, `run`, its
 * error said; the exit code. */
int ui_command(const struct argp *argp, int argc, char **argv, void *options,
               spoor_status (*run)(void *options, spoor_context *ctx, spoor_error *err));
/* All n bytes to standard output, past stdio (not to be mixed with printf); a signal does not cut them.
 * SPOOR_ERR_IO. */
spoor_status ui_write(const char *data, size_t n, spoor_error *err);
/* After printf: SPOOR_ERR_IO if anything did not get out. */
spoor_status ui_flush(spoor_error *err);
/* JSON as text (flags of json_dumps) and a line's end, flushed; NULL: out of memory, as is a text that cannot be
 * made. */
spoor_status ui_json(const json_t *object, size_t flags, spoor_error *err);

/* The number that an option is, from `least` to `most`; refuses what is none (exits). */
double ui_number(const struct argp_state *state, const char *arg, double least, double most);
/* The same of a whole number, however it is written ("1000", "1e3"); most: at most 2^53. */
uint64_t ui_whole(const struct argp_state *state, const char *arg, double least, double most);

/* The option --precision: refuses what is none (exits). */
#define UI_PRECISION "f32|bf16|int8"
void ui_precision(struct argp_state *state, const char *arg, spoor_model_options *out);

/* The option --silence: as the model was trained where it is not given. */
#define UI_SILENCE "remove|keep"
spoor_silence ui_silence(const struct argp_state *state, const char *arg);

/* One line on stderr that is redrawn at most ten times a second and cut to the terminal's width. Does nothing unless
 * stderr is a terminal. */
typedef struct ui_progress {
    const char *label, *unit;
    double started, drawn;
    uint64_t from, last; /* how much was done when it started, when it was last shown */
    bool on;
} ui_progress;
void ui_progress_start(ui_progress *p, const char *label, const char *unit);
/* "label  [#####.....]  43/100 unit  12.3/s  ETA 0:05"; wiped when all is done. Where `done` goes back, a new count
 * begins. */
void ui_progress_show(ui_progress *p, uint64_t done, uint64_t total);
/* A line of the caller's own. */
void ui_progress_text(ui_progress *p, const char *format, ...) BASE_PRINTF(2, 3);
/* Wipe the line, so that results can be printed; the next one is drawn at once. */
void ui_progress_clear(ui_progress *p);
/* "0:05", "1:02:03"; returns text. */
enum { UI_TIME = 32 };
const char *ui_time(char text[UI_TIME], double seconds);
#endif
