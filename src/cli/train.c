/* train.c: `spoor train RECIPE`: a recipe becomes a run folder with a model. */
#include "cli/cli.h"
#include "cli/ui.h"
#include "base/context.h"
#include "train/draw.h"
#include "train/trainer.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_OUT = 'o', KEY_THREADS = 't', KEY_SEED = 256, KEY_RESUME, KEY_SET, KEY_STAGE, KEY_DRY, KEY_JSON,
      MAX_SET = 256, MAX_THREADS = 1024, STAGE_TEXT = 128 };

typedef struct options {
    trainer_options train;
    const char *set[MAX_SET];
    char seed[64];
    ui_progress progress;
    bool dry, json;
    spoor_context *ctx;
    json_t *drawn; /* {"stages": [..]} of --json */
} options;

static const struct argp_option OPTIONS[] = {
    {"out", KEY_OUT, "DIR", 0, "the run folder (default: runs/NAME, the recipe's name)", 0},
    {"resume", KEY_RESUME, NULL, 0, "go on from the folder's checkpoint; start where there is none", 0},
    {"threads", KEY_THREADS, "N", 0, "worker threads (default: one for each processor); changes no bit of the weights",
     0},
    {"seed", KEY_SEED, "S", 0, "the same as --set seed=S", 0},
    {"stage", KEY_STAGE, "NAME", 0, "of a recipe with stages: train this one alone", 0},
    {"dry-run", KEY_DRY, NULL, 0, "only say what the first epoch draws, class by class; no recording and no weights "
                                  "are needed", 0},
    {"json", KEY_JSON, NULL, 0, "of --dry-run: as JSON (docs/recipe.md)", 0},
    {"set", KEY_SET, "KEY=VALUE", 0, "change a setting of the recipe, as in --set optimiser.lr=0.001; may be repeated",
     0},
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
    case KEY_STAGE: o->train.stage = arg; return 0;
    case KEY_DRY: o->dry = true; return 0;
    case KEY_JSON: o->json = true; return 0;
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
        if (o->json && !o->dry) {
            argp_error(state, "--json goes with --dry-run");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {OPTIONS, parse, "RECIPE.yaml",
                                 "Train a model as a recipe says (docs/recipe.md). The run folder gets the resolved "
                                 "recipe, log.jsonl, a checkpoint, model.safetensors, and scores and a report on dev. "
                                 "A recipe with stages is trained stage by stage, each in a folder of its name in the "
                                 "run folder.",
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
    printf("%sepoch %llu/%llu  loss %.4f", stage_text(stage, n), (unsigned long long)n->epoch + 1,
           (unsigned long long)n->epochs, n->loss);
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
        ui_progress_text(&o->progress, "%sepoch %llu/%llu  batch %llu/%llu  loss %.4f  %.0f clips/s  ETA %s",
                         stage_text(stage, n), (unsigned long long)n->epoch + 1, (unsigned long long)n->epochs,
                         (unsigned long long)n->step, (unsigned long long)n->steps, n->loss, n->clips_per_second,
                         ui_time(left, n->seconds_left));
    }
}

/* A trainer_drawn. */
static void drawn(void *user, const char *stage, const json_t *balance) {
    options *o = user;
    if (o->json) {
        json_t *one = json_deep_copy(balance);
        if (json_object_set_new(one, "stage", stage != NULL ? json_string(stage) : json_null()) != 0 ||
            json_array_append(json_object_get(o->drawn, "stages"), one) != 0) {
            json_decref(o->drawn); /* a list with gaps is none: out of memory */
            o->drawn = NULL;
        }
        json_decref(one);
        return;
    }
    char *text = draw_text(o->ctx, balance, 0);
    printf("%s%s%s\n", stage != NULL ? stage : "", stage != NULL ? ": " : "", text != NULL ? text : "?");
    ctx_free(o->ctx, text);
}

static spoor_status dry_run(options *o, spoor_error *err) {
    o->drawn = json_pack("{s:[]}", "stages");
    spoor_status status = trainer_draw(o->ctx, &o->train, drawn, err);
    if (status == SPOOR_OK) {
        status = o->json ? ui_json(o->drawn, JSON_INDENT(1), err) : ui_flush(err);
    }
    json_decref(o->drawn);
    return status;
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
    spoor_error err = {0};
    spoor_status status = spoor_context_new(&c, &o.ctx, &err);
    if (status == SPOOR_OK) {
        status = o.dry ? dry_run(&o, &err) : trainer_run(o.ctx, &o.train, &err);
    }
    ui_progress_clear(&o.progress);
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    spoor_context_free(o.ctx);
    return (int)status;
}
