/* train.c: `spoor train RECIPE`: a recipe becomes a run folder with a model. */
#include "cli/cli.h"
#include "cli/ui.h"
#include "train/trainer.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_OUT = 'o', KEY_THREADS = 't', KEY_SEED = 256, KEY_RESUME, KEY_SET, MAX_SET = 256, MAX_THREADS = 1024, STAGE_TEXT = 128 };

typedef struct options {
    trainer_options train;
    const char *set[MAX_SET];
    char seed[64];
    ui_progress progress;
} options;

static const struct argp_option OPTIONS[] = {
    {"out", KEY_OUT, "DIR", 0, "the run folder (default: runs/NAME, the recipe's name)", 0},
    {"resume", KEY_RESUME, NULL, 0, "go on from the folder's checkpoint; start where there is none", 0},
    {"threads", KEY_THREADS, "N", 0, "worker threads (default: one for each processor); changes no bit of the weights", 0},
    {"seed", KEY_SEED, "S", 0, "the same as --set seed=S", 0},
    {"set", KEY_SET, "KEY=VALUE", 0, "change a setting of the recipe, as in --set optimiser.lr=0.001; may be repeated", 0},
    {0}};

static void add_set(options *o, const char *text, struct argp_state *state) {
    if (o->train.n_set == MAX_SET) {
        argp_error(state, "at most %d --set options", MAX_SET);
    }
    o->set[o->train.n_set++] = text;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case KEY_OUT: o->train.out = arg; return 0;
    case KEY_RESUME: o->train.resume = true; return 0;
    case KEY_SET: add_set(o, arg, state); return 0;
    case KEY_SEED:
        snprintf(o->seed, sizeof o->seed, "seed=%s", arg);
        add_set(o, o->seed, state);
        return 0;
    case KEY_THREADS: {
        char *end;
        long n = strtol(arg, &end, 10);
        if (*arg == '\0' || *end != '\0' || n < 1 || n > MAX_THREADS) {
            argp_error(state, "--threads must be 1 to %d", MAX_THREADS);
        }
        o->train.threads = (unsigned)n;
        return 0;
    }
    case ARGP_KEY_ARG:
        if (o->train.recipe != NULL) {
            argp_error(state, "name one recipe");
        }
        o->train.recipe = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->train.recipe == NULL) {
            argp_error(state, "name a recipe");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {OPTIONS, parse, "RECIPE.yaml",
                                 "Train a model as a recipe says (docs/recipe.md). The run folder gets the resolved recipe, "
                                 "log.jsonl, a checkpoint, model.safetensors, and scores and a report on dev. A recipe with stages "
                                 "is trained stage by stage, each in a folder of its name in the run folder.",
                                 NULL, NULL, NULL};

static void log_line(void *user, spoor_log_level level, const char *message) {
    options *o = user;
    if (level <= SPOOR_LOG_INFO) {
        ui_progress_clear(&o->progress);
        fprintf(stderr, "%s\n", message);
    }
}

/* Recordings that are decoded before the first epoch, or that dev is measured on. */
static void progress(void *user, uint64_t done, uint64_t total) {
    options *o = user;
    ui_progress_show(&o->progress, done, total);
}

/* "fd (2/2)  ", or nothing where the recipe has no stages */
static const char *stage_text(char text[STAGE_TEXT], const trainer_news *n) {
    text[0] = '\0';
    if (n->stage != NULL) {
        snprintf(text, STAGE_TEXT, "%s (%zu/%zu)  ", n->stage, n->stage_index + 1, n->stages);
    }
    return text;
}

static void print_epoch(const trainer_news *n) {
    const char *key;
    json_t *value;
    char stage[STAGE_TEXT];
    printf("%sepoch %llu/%llu  loss %.4f", stage_text(stage, n), (unsigned long long)n->epoch + 1, (unsigned long long)n->epochs,
           n->loss);
    json_object_foreach(json_object_get(n->line, "dev"), key, value) {
        printf("  %s %.4f", key, json_number_value(value));
    }
    printf("  %.0f clips/s%s\n", n->clips_per_second, json_is_true(json_object_get(n->line, "best")) ? "  *" : "");
    fflush(stdout);
}

static void news(void *user, const trainer_news *n) {
    options *o = user;
    char left[UI_TIME], stage[STAGE_TEXT];
    if (n->line != NULL) {
        ui_progress_clear(&o->progress);
        print_epoch(n);
    } else {
        ui_progress_text(&o->progress, "%sepoch %llu/%llu  batch %llu/%llu  loss %.4f  %.0f clips/s  ETA %s", stage_text(stage, n),
                         (unsigned long long)n->epoch + 1, (unsigned long long)n->epochs, (unsigned long long)n->step,
                         (unsigned long long)n->steps, n->loss, n->clips_per_second, ui_time(left, n->seconds_left));
    }
}

int cli_train(int argc, char **argv) {
    options o = {0};
    ui_progress_start(&o.progress, "computing", "recordings");
    argp_err_exit_status = SPOOR_ERR_USAGE;
    if (argp_parse(&ARGP, argc, argv, 0, NULL, &o) != 0) {
        return SPOOR_ERR_USAGE;
    }
    o.train.set = o.set;
    o.train.news = news;
    o.train.user = &o;
    spoor_context_options c;
    spoor_context_options_init(&c);
    ui_context_options(&c);
    c.log = log_line;
    c.progress = progress;
    c.user = &o;
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    spoor_status status = spoor_context_new(&c, &ctx, &err);
    if (status == SPOOR_OK) {
        status = trainer_run(ctx, &o.train, &err);
    }
    ui_progress_clear(&o.progress);
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    spoor_context_free(ctx);
    return (int)status;
}
