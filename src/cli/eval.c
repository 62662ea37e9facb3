/* eval.c: `spoor eval`: how good a model is on labelled recordings, or what a score file says. */
#include "cli/cli.h"
#include "cli/corpus.h"
#include "cli/ui.h"
#include "eval/report_tables.h"
#include "eval/scores.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MANIFEST = 'm', KEY_OUT = 'o', KEY_JSON = 256, KEY_SCORES, KEY_REPLICATES, KEY_BY_PAGE, KEY_SEED, KEY_FOLDS,
    KEY_SCORE, KEY_LABEL, KEY_TARGET, KEY_PREDICTED, KEY_KNOWN, KEY_LOWER, KEY_ID, KEY_PAGE, KEY_SETTING,
    KEY_PRECISION
};

typedef struct options {
    const char *model, *scores, *out;
    spoor_model_options open;
    cli_corpus_options corpus;
    eval_options eval;
    score_columns columns;
    bool foreign, json;
    size_t folds;
} options;

static const struct argp_option OPTIONS[] = {
    {NULL, KEY_MANIFEST, "CSV", 0, "the same as --manifest", 1},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)", 1},
    {"folds", KEY_FOLDS, "N", 0, "calibrate each recording on the other of N folds of pages instead of with the model's "
                                 "calibration: for the set that the model was calibrated on", 1},
    {"out", KEY_OUT, "FILE", 0, "write the scores to a file that --scores reads", 1},
    {"scores", KEY_SCORES, "FILE", 0, "evaluate a score file instead of a model", 2},
    {"score-column", KEY_SCORE, "C", 0, "of a foreign score file: the score (a name or a number from 1)", 2},
    {"label-column", KEY_LABEL, "C", 0, "its true label", 2},
    {"target", KEY_TARGET, "LABEL", 0, "the label that is the target", 2},
    {"predicted-column", KEY_PREDICTED, "C", 0, "its predicted label", 2},
    {"id-column", KEY_ID, "C", 0, "its id", 2},
    {"page-column", KEY_PAGE, "C", 0, "its page", 2},
    {"setting-column", KEY_SETTING, "C", 0, "its setting", 2},
    {"known", KEY_KNOWN, NULL, 0, "its score is known against unknown, not bona fide against synthetic", 2},
    {"lower-is-target", KEY_LOWER, NULL, 0, "its scores are low for the target", 2},
    {"json", KEY_JSON, NULL, 0, "the report as JSON (docs/eval.md)", 3},
    {"replicates", KEY_REPLICATES, "N", 0, "bootstrap resamples for the intervals (default 1000; 0: no intervals)", 3},
    {"by-page", KEY_BY_PAGE, NULL, 0, "resample whole pages instead of recordings", 3},
    {"seed", KEY_SEED, "S", 0, "of the bootstrap", 3},
    {0}};

static error_t parse_columns(int key, char *arg, options *o) {
    switch (key) {
    case KEY_SCORE: o->columns.score = arg; break;
    case KEY_LABEL: o->columns.label = arg; break;
    case KEY_TARGET: o->columns.target_label = arg; break;
    case KEY_PREDICTED: o->columns.predicted = arg; break;
    case KEY_ID: o->columns.id = arg; break;
    case KEY_PAGE: o->columns.page = arg; break;
    case KEY_SETTING: o->columns.setting = arg; break;
    case KEY_KNOWN: o->columns.known = true; break;
    case KEY_LOWER: o->columns.lower_is_target = true; break;
    default: return ARGP_ERR_UNKNOWN;
    }
    o->foreign = true;
    return 0;
}

static void parse_number(int key, const char *arg, options *o, struct argp_state *state) {
    char *end;
    double x = strtod(arg, &end);
    bool ok = end != arg && *end == '\0' && x >= 0 && x <= 1e9;
    if (!ok || (key == KEY_REPLICATES && x > 1e6) || (key == KEY_FOLDS && (x < 2 || x > 1000))) {
        argp_error(state, "%s is not a number that this option can take", arg);
    }
    switch (key) {
    case KEY_REPLICATES: o->eval.replicates = (size_t)x; break;
    case KEY_SEED: o->eval.seed = (uint64_t)x; break;
    default: o->folds = (size_t)x; break;
    }
}

static void check(const options *o, struct argp_state *state) {
    if (o->scores != NULL && (o->model != NULL || o->corpus.n_manifests > 0)) {
        argp_error(state, "give a model and manifests, or --scores, not both");
    }
    if (o->scores == NULL && (o->model == NULL || o->corpus.n_manifests == 0)) {
        argp_error(state, "give a model and --manifest, or --scores");
    }
    if (o->scores == NULL && o->foreign) {
        argp_error(state, "the options of columns go with --scores");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus; return 0;
    case KEY_MANIFEST: cli_corpus_manifest(&o->corpus, arg, state); return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_SCORES: o->scores = arg; return 0;
    case KEY_OUT: o->out = arg; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case KEY_BY_PAGE: o->eval.by_page = true; return 0;
    case KEY_REPLICATES:
    case KEY_SEED:
    case KEY_FOLDS: parse_number(key, arg, o, state); return 0;
    case ARGP_KEY_ARG:
        if (o->model != NULL) {
            argp_error(state, "name one model");
        }
        o->model = arg;
        return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return parse_columns(key, arg, o);
    }
}

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 1}, {0}};
static const struct argp ARGP = {OPTIONS, parse, "MODEL --manifest CSV\n--scores FILE",
                                 "Evaluate a model on labelled recordings, or a score file: accuracy, F1, confusion, EER, "
                                 "AUROC, FPR95, calibration, each with a 95 % interval.",
                                 CHILDREN, NULL, NULL};

static spoor_status print_report(spoor_context *ctx, const options *o, const eval_set *set, spoor_error *err) {
    json_t *report;
    char *text = NULL;
    TRY(eval_report(ctx, set, &o->eval, &report, err));
    spoor_status status = SPOOR_OK;
    if (o->json) {
        char *json = json_dumps(report, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        status = json ? SPOOR_OK : error_memory(err, "printing a report");
        printf("%s\n", json ? json : "");
        free(json);
    } else {
        status = eval_report_text(ctx, report, &text, err);
        printf("%s", text ? text : "");
        ctx_free(ctx, text);
    }
    json_decref(report);
    return status == SPOOR_OK ? ui_flush(err) : status;
}

static spoor_status eval_scores(options *o, spoor_context *ctx, spoor_error *err) {
    score_file *f;
    o->eval.system = o->scores;
    TRY(o->foreign ? score_file_read_columns(ctx, o->scores, &o->columns, &f, err)
                   : score_file_read(ctx, o->scores, &f, err));
    spoor_status status = print_report(ctx, o, score_file_set(f), err);
    score_file_free(f);
    return status;
}

static spoor_status eval_rows(spoor_context *ctx, options *o, spoor_model *m, cli_corpus *c, spoor_error *err) {
    TRY(cli_corpus_read(ctx, &o->corpus, c, err));
    TRY(cli_corpus_score(c, m, &o->corpus, err));
    score_labels *labels = NULL;
    score_set *set = NULL;
    const json_t *spec = json_object_get(json_object_get(m->meta, "provenance"), "labels");
    TRY(score_labels_new(ctx, m, c->manifest, c->rows, c->n, spec, &labels, err));
    spoor_status status = score_set_new(ctx, m, labels, c->logits, c->embedding, c->errors, o->folds, &set, err);
    if (status == SPOOR_OK && o->out) {
        status = score_file_write(ctx, o->out, &set->set, err);
    }
    if (status == SPOOR_OK) {
        o->eval.system = spoor_model_name(m);
        status = print_report(ctx, o, &set->set, err);
    }
    score_set_free(set);
    score_labels_free(labels);
    if (status == SPOOR_OK && c->failed > 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be evaluated", c->failed, c->n);
    }
    return status;
}

static spoor_status eval_model(options *o, spoor_context *ctx, spoor_error *err) {
    spoor_model *m;
    cli_corpus c = {0};
    TRY(spoor_model_open_with(ctx, o->model, &o->open, &m, err));
    spoor_status status = eval_rows(ctx, o, m, &c, err);
    cli_corpus_clear(&c);
    spoor_model_free(m);
    return status;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    options *o = user;
    return o->scores ? eval_scores(o, ctx, err) : eval_model(o, ctx, err);
}

int cli_eval(int argc, char **argv) {
    options o = {.corpus.split = "dev"};
    eval_options_init(&o.eval);
    score_columns_init(&o.columns);
    return ui_command(&ARGP, argc, argv, &o, run);
}
