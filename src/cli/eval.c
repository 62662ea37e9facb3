/* eval.c: `spoor eval`: how good a model is on labelled recordings, or what a score file says. */
#include "cli/cli.h"
#include "cli/conditions.h"
#include "cli/corpus.h"
#include "cli/ui.h"
#include "eval/report_tables.h"
#include "eval/scores.h"
#include "report/eval_html.h"
#include "report/json.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MANIFEST = 'm', KEY_OUT = 'o', KEY_JSON = 256, KEY_SCORES, KEY_REPLICATES, KEY_BY_PAGE, KEY_SEED, KEY_FOLDS,
    KEY_SCORE, KEY_LABEL, KEY_TARGET, KEY_PREDICTED, KEY_KNOWN, KEY_LOWER, KEY_ID, KEY_PAGE, KEY_SETTING,
    KEY_PRECISION, KEY_BY, KEY_DCF, KEY_THRESHOLD, KEY_THRESHOLD_FROM, KEY_OPEN_TASK,
    KEY_SOURCE, KEY_POLARITY, KEY_LLR, KEY_PROBABILITIES, KEY_CLASSES, KEY_HEADER, KEY_KEY, KEY_KEY_ID, KEY_KEY_LABEL,
    KEY_KEY_PAGE, KEY_KEY_SETTING, KEY_KEY_SOURCE, KEY_MERGE, KEY_MERGE_FILE,
    KEY_HTML, KEY_BONAFIDE, KEY_DEGRADE
};

enum { MAX_TARGETS = 256, MAX_MERGES = 256 };

typedef struct options {
    const char *model, *scores, *out, *html, *degrade;
    spoor_model_options open;
    cli_corpus_options corpus;
    eval_options eval;
    score_columns columns;
    const char *merges[MAX_MERGES], *merge_file; /* "FROM=TO" */
    size_t n_merges;
    const char *targets[MAX_TARGETS]; /* after the first */
    bool foreign, json, polarity, llr; /* polarity: it was stated */
    size_t folds;
    const char *threshold, *threshold_from; /* as given */
    const char *bonafide; /* the kind of bona fide score; NULL: the model's */
} options;

static const struct argp_option OPTIONS[] = {
    {NULL, KEY_MANIFEST, "CSV", 0, "the same as --manifest", 1},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     1},
    {"folds", KEY_FOLDS, "N", 0,
     "calibrate each recording on the other of N folds of pages instead of with the model's "
     "calibration: for the set that the model was calibrated on",
     1},
    {"bonafide-score", KEY_BONAFIDE, "KIND", 0,
     "how its tasks judge bona fide together, instead of as the model says: mean, task, product or spoof-product; with "
     "--folds calibrated, else as it is",
     1},
    {"out", KEY_OUT, "FILE", 0,
     "write the scores to a file that --scores reads; with --degrade a name with " CONDITIONS_PLACE ", a file for each",
     1},
    {"degrade", KEY_DEGRADE, "LIST", 0,
     "how the figures change where recordings are degraded first: names such as mp3-64, opus-16, telephone, gsm, "
     "noise-20, no-silence, separated by commas, or all (docs/eval.md)",
     1},
    {"scores", KEY_SCORES, "FILE", 0, "evaluate a score file instead of a model", 2},
    {"score-column", KEY_SCORE, "C", 0, "of a foreign score file: the score (a name or a number from 1)", 2},
    {"label-column", KEY_LABEL, "C", 0, "its true label", 2},
    {"target", KEY_TARGET, "LABEL", 0, "the label that is the target; may be repeated", 2},
    {"predicted-column", KEY_PREDICTED, "C", 0, "its predicted label", 2},
    {"id-column", KEY_ID, "C", 0, "its id", 2},
    {"page-column", KEY_PAGE, "C", 0, "its page", 2},
    {"setting-column", KEY_SETTING, "C", 0, "its setting", 2},
    {"known", KEY_KNOWN, NULL, 0, "its score is known against unknown, not bona fide against synthetic", 2},
    {"source-column", KEY_SOURCE, "C", 0, "its source", 2},
    {"polarity", KEY_POLARITY, "higher|lower", 0,
     "which of its scores are the target's; must be stated where the higher ones seem "
     "not to be",
     2},
    {"lower-is-target", KEY_LOWER, NULL, 0, "the same as --polarity lower", 2},
    {"llr", KEY_LLR, NULL, 0,
     "its scores are natural-log likelihood ratios of bona fide speech: Cllr and actDCF are reported", 2},
    {"probability-columns", KEY_PROBABILITIES, "C,C,...", 0, "a score for each class: names or numbers, also 2-5", 2},
    {"classes", KEY_CLASSES, "NAME,NAME,...", 0, "what those classes, or the predicted ones, are called in the labels",
     2},
    {"header", KEY_HEADER, NULL, 0, "its first line is a header although columns are given by number", 2},
    {"key", KEY_KEY, "FILE", 0, "its labels stand in this file, found by id", 2},
    {"key-id", KEY_KEY_ID, "C", 0, "the column of ids there (default: the first)", 2},
    {"key-label", KEY_KEY_LABEL, "C", 0, "the true label there", 2},
    {"key-source", KEY_KEY_SOURCE, "C", 0, "the source there", 2},
    {"key-page", KEY_KEY_PAGE, "C", 0, "the page there", 2},
    {"key-setting", KEY_KEY_SETTING, "C", 0, "the setting there", 2},
    {"json", KEY_JSON, NULL, 0, "the report as JSON (docs/eval.md)", 3},
    {"html", KEY_HTML, "FILE", 0,
     "also the report as one HTML page with ROC, DET, OSCR, histograms, reliability and confusion", 3},
    {"replicates", KEY_REPLICATES, "N", 0, "bootstrap resamples for the intervals (default 1000; 0: no intervals)", 3},
    {"by", KEY_BY, "file|page|class", 0, "what the bootstrap draws: recordings, whole pages or whole sources", 3},
    {"by-page", KEY_BY_PAGE, NULL, 0, "the same as --by page", 3},
    {"seed", KEY_SEED, "S", 0, "of the bootstrap", 3},
    {"dcf", KEY_DCF, "PROFILE", 0,
     "of the detection costs: forensics, intelligence, asvspoof5 (default) or "
     "PRIOR,C_MISS,C_FA with the prior of a target",
     4},
    {"threshold", KEY_THRESHOLD, "T", 0,
     "also accuracy and error rates where a score of T is accepted: a number (of the known "
     "score where there is one), or, of --threshold-from, eer or accept:SHARE",
     4},
    {"threshold-from", KEY_THRESHOLD_FROM, "FILE", 0,
     "the score file that fixes the threshold, dev for example; read as "
     "--scores is, or in Spoor's own form beside a model",
     4},
    {"merge", KEY_MERGE, "FROM=TO", 0, "count the class or source FROM as TO; may be repeated", 4},
    {"merge-file", KEY_MERGE_FILE, "FILE", 0, "the same for each line of a file with the two columns FROM and TO", 4},
    {"open-task", KEY_OPEN_TASK, "TASK", 0, "whose answers count in EERc, OSCR and CCR (default: source)", 4},
    {0}};

static void add_target(options *o, char *arg, const struct argp_state *state) {
    if (o->columns.target_label == NULL) {
        o->columns.target_label = arg;
        return;
    }
    if (o->columns.n_more_targets == MAX_TARGETS) {
        argp_error(state, "at most %d labels can be the target", MAX_TARGETS + 1);
    }
    o->targets[o->columns.n_more_targets++] = arg;
    o->columns.more_targets = o->targets;
}

static void state_polarity(options *o, const char *arg, const struct argp_state *state) {
    if (strcmp(arg, "higher") != 0 && strcmp(arg, "lower") != 0) {
        argp_error(state, "--polarity is higher or lower, not \"%s\"", arg);
    }
    o->columns.lower_is_target = arg[0] == 'l';
    o->polarity = true;
}

static bool parse_key(int key, const char *arg, score_key *k) {
    switch (key) {
    case KEY_KEY: k->path = arg; return true;
    case KEY_KEY_ID: k->id = arg; return true;
    case KEY_KEY_LABEL: k->label = arg; return true;
    case KEY_KEY_PAGE: k->page = arg; return true;
    case KEY_KEY_SETTING: k->setting = arg; return true;
    case KEY_KEY_SOURCE: k->source = arg; return true;
    default: return false;
    }
}

static error_t parse_columns(int key, char *arg, options *o, const struct argp_state *state) {
    score_columns *c = &o->columns;
    switch (key) {
    case KEY_SCORE: c->score = arg; break;
    case KEY_LABEL: c->label = arg; break;
    case KEY_TARGET: add_target(o, arg, state); break;
    case KEY_PREDICTED: c->predicted = arg; break;
    case KEY_PROBABILITIES: c->probabilities = arg; break;
    case KEY_CLASSES: c->classes = arg; break;
    case KEY_ID: c->id = arg; break;
    case KEY_PAGE: c->page = arg; break;
    case KEY_SETTING: c->setting = arg; break;
    case KEY_SOURCE: c->source = arg; break;
    case KEY_KNOWN: c->known = true; break;
    case KEY_LOWER: state_polarity(o, "lower", state); break;
    case KEY_POLARITY: state_polarity(o, arg, state); break;
    case KEY_LLR: o->llr = true; break;
    case KEY_HEADER: c->header = 1; break;
    default:
        if (!parse_key(key, arg, &c->key)) {
            return ARGP_ERR_UNKNOWN;
        }
    }
    o->foreign = true;
    return 0;
}

static void parse_by(const char *arg, options *o, const struct argp_state *state) {
    for (int by = EVAL_BY_FILE; by <= EVAL_BY_CLASS; by++) {
        if (strcmp(arg, eval_by_name((eval_by)by)) == 0) {
            o->eval.by = (eval_by)by;
            return;
        }
    }
    argp_error(state, "--by %s: what the bootstrap draws is file, page or class", arg);
}

/* A number at *s, after which *s stands; false if there is none. */
static bool take_number(const char **s, double *out) {
    char *end;
    *out = strtod(*s, &end);
    bool ok = end != *s;
    *s = end;
    return ok;
}

static void parse_dcf(const char *arg, options *o, const struct argp_state *state) {
    const dcf_profile *named = dcf_profile_named(arg);
    dcf_profile *p = &o->eval.dcf;
    const char *at = arg;
    if (named != NULL) {
        *p = *named;
        return;
    }
    *p = (dcf_profile){.name = arg};
    bool ok = take_number(&at, &p->prior) && *at++ == ',' && take_number(&at, &p->c_miss) && *at++ == ',' &&
              take_number(&at, &p->c_fa) && *at == '\0';
    if (!ok || !(p->prior > 0 && p->prior < 1 && p->c_miss > 0 && p->c_miss <= 1e9 && p->c_fa > 0 && p->c_fa <= 1e9)) {
        argp_error(state, "--dcf %s is neither forensics, intelligence or asvspoof5 nor PRIOR,C_MISS,C_FA with a prior "
                          "between 0 and 1 and costs above 0", arg);
    }
}

/* The text is one number and nothing else. */
static bool only_number(const char *s, double *out) { return take_number(&s, out) && *s == '\0' && isfinite(*out); }

static bool acceptance_of(const char *rule, double *share) {
    static const char word[] = "accept:";
    return strncmp(rule, word, strlen(word)) == 0 && only_number(rule + strlen(word), share) && *share > 0 &&
           *share <= 1;
}

static void check_threshold(const options *o, const struct argp_state *state) {
    double x;
    bool rule = o->threshold != NULL && (strcmp(o->threshold, "eer") == 0 || acceptance_of(o->threshold, &x));
    if (o->threshold != NULL && !rule && !only_number(o->threshold, &x)) {
        argp_error(state,
                   "--threshold %s is no number, eer or accept:SHARE with a share of the targets above 0 and at most 1",
                   o->threshold);
    }
    if (rule && o->threshold_from == NULL) {
        argp_error(state, "--threshold %s needs --threshold-from FILE", o->threshold);
    }
    if (o->threshold != NULL && !rule && o->threshold_from != NULL) {
        argp_error(state, "--threshold is a number already; --threshold-from has nothing to fix");
    }
}

static void check(const options *o, struct argp_state *state) {
    check_threshold(o, state);
    if (o->scores != NULL && (o->model != NULL || o->corpus.n_manifests > 0)) {
        argp_error(state, "give a model and manifests, or --scores, not both");
    }
    if (o->scores == NULL && (o->model == NULL || o->corpus.n_manifests == 0)) {
        argp_error(state, "give a model and --manifest, or --scores");
    }
    if (o->degrade != NULL && (o->scores != NULL || o->html != NULL)) {
        argp_error(state, "--degrade needs a model and recordings, and does not go with --html");
    }
    if (o->degrade != NULL && o->out != NULL && strstr(o->out, CONDITIONS_PLACE) == NULL) {
        argp_error(state, "with --degrade, --out needs " CONDITIONS_PLACE " in its name: a file for each");
    }
    if (o->scores == NULL && o->foreign) {
        argp_error(state, "the options of columns go with --scores");
    }
    if (o->scores != NULL && o->bonafide != NULL) {
        argp_error(state, "--bonafide-score is made of a model's answers; it goes with MODEL and --manifest");
    }
    if (o->columns.key.path == NULL && (o->columns.key.id != NULL || o->columns.key.label != NULL)) {
        argp_error(state, "the columns of a key need --key FILE");
    }
    if (o->llr && o->columns.known) {
        argp_error(state, "--llr is of bona fide speech; a known score is no likelihood ratio of it");
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
    case KEY_HTML: o->html = arg; return 0;
    case KEY_DEGRADE: o->degrade = arg; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case KEY_BY: parse_by(arg, o, state); return 0;
    case KEY_DCF: parse_dcf(arg, o, state); return 0;
    case KEY_THRESHOLD: o->threshold = arg; return 0;
    case KEY_THRESHOLD_FROM: o->threshold_from = arg; return 0;
    case KEY_MERGE:
        if (o->n_merges == MAX_MERGES || strchr(arg, '=') == NULL) {
            argp_error(state, "--merge takes FROM=TO, at most %d times; --merge-file takes any number", MAX_MERGES);
        }
        o->merges[o->n_merges++] = arg;
        return 0;
    case KEY_MERGE_FILE: o->merge_file = arg; return 0;
    case KEY_OPEN_TASK: o->eval.open_task = arg; return 0;
    case KEY_BONAFIDE: o->bonafide = arg; return 0;
    case KEY_BY_PAGE: o->eval.by = EVAL_BY_PAGE; return 0;
    case KEY_REPLICATES: o->eval.replicates = (size_t)ui_whole(state, arg, 0, 1e6); return 0;
    case KEY_SEED: o->eval.seed = ui_whole(state, arg, 0, 1e9); return 0;
    case KEY_FOLDS: o->folds = (size_t)ui_whole(state, arg, 2, 1000); return 0;
    case ARGP_KEY_ARG:
        if (o->model != NULL) {
            argp_error(state, "name one model");
        }
        o->model = arg;
        return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return parse_columns(key, arg, o, state);
    }
}

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 1}, {0}};
static const struct argp ARGP = {OPTIONS, parse, "MODEL --manifest CSV\n--scores FILE",
                                 "Evaluate a model on labelled recordings, or a score file: accuracy, F1, confusion, "
                                 "EER, AUROC, FPR95, calibration, each with a 95 % interval.",
                                 CHILDREN, NULL, NULL};

/* Pairs of labels from the options and the file, and the set with them merged. */
typedef struct merges {
    eval_merge_file *file;
    eval_merge_pair *pairs; /* [n] */
    size_t n;
    char *text;             /* copies of the options, cut at their '=' */
    eval_merged *merged;
} merges;

static void merges_clear(spoor_context *ctx, merges *m) {
    eval_merged_free(m->merged);
    eval_merge_file_free(m->file);
    ctx_free(ctx, m->pairs);
    ctx_free(ctx, m->text);
}

static spoor_status list_merges(spoor_context *ctx, const options *o, merges *m, spoor_error *err) {
    const eval_merge_pair *of_file = NULL;
    size_t n = 0, bytes = 0;
    if (o->merge_file != NULL) {
        TRY(eval_merge_read(ctx, o->merge_file, &m->file, &of_file, &n, err));
    }
    for (size_t i = 0; i < o->n_merges; i++) {
        bytes += strlen(o->merges[i]) + 1;
    }
    m->pairs = ctx_alloc(ctx, n + o->n_merges, sizeof *m->pairs);
    m->text = ctx_alloc(ctx, bytes, 1);
    if (m->pairs == NULL || m->text == NULL) {
        return error_memory(err, "merging labels");
    }
    char *at = m->text;
    for (size_t i = 0; i < o->n_merges; i++, at += strlen(at) + 1) {
        const char *from = at;
        memcpy(at, o->merges[i], strlen(o->merges[i]) + 1);
        at = strchr(at, '=');
        *at++ = '\0';
        m->pairs[m->n++] = (eval_merge_pair){from, at};
    }
    for (size_t i = 0; i < n; i++) {
        m->pairs[m->n++] = of_file[i];
    }
    return SPOOR_OK;
}

/* *set becomes the merged one, which lives as long as m. */
static spoor_status merge_set(spoor_context *ctx, options *o, const eval_set **set, merges *m, spoor_error *err) {
    *m = (merges){0};
    if (o->n_merges == 0 && o->merge_file == NULL) {
        return SPOOR_OK;
    }
    TRY(list_merges(ctx, o, m, err));
    TRY(eval_merge(ctx, *set, m->pairs, m->n, &m->merged, err));
    *set = eval_merged_set(m->merged);
    o->eval.merged = m->pairs;
    o->eval.n_merged = m->n;
    return SPOOR_OK;
}

static bool has_scores(const eval_set *set, bool known) {
    for (size_t i = 0; i < set->n; i++) {
        const eval_clip *c = &set->clips[i];
        if (!isnan(known ? c->known : c->bonafide) && (known ? c->is_known : c->is_bonafide) >= 0) {
            return true;
        }
    }
    return false;
}

static spoor_status fix_threshold(spoor_context *ctx, options *o, const eval_set *dev, bool known, const char *from,
                                  spoor_error *err) {
    double share = 0;
    eval_threshold *t = known ? &o->eval.known : &o->eval.bonafide;
    if (o->threshold != NULL) {
        (void)acceptance_of(o->threshold, &share);
    }
    t->from = from;
    return has_scores(dev, known) ? eval_fix_threshold(ctx, dev, known, share, &t->value, err) : SPOOR_OK;
}

/* The threshold that the options ask for. *from (freed with ctx_free) says where it is from. */
static spoor_status choose_threshold(spoor_context *ctx, options *o, const eval_set *set, char **from,
                                     spoor_error *err) {
    *from = NULL;
    if (o->threshold_from == NULL) {
        double x;
        if (o->threshold != NULL && only_number(o->threshold, &x)) {
            *(has_scores(set, true) ? &o->eval.known : &o->eval.bonafide) = (eval_threshold){x, "given"};
        }
        return SPOOR_OK;
    }
    score_file *f;
    TRY(o->foreign ? score_file_read_columns(ctx, o->threshold_from, &o->columns, &f, err)
                   : score_file_read(ctx, o->threshold_from, &f, err));
    *from = ctx_printf(ctx, "%s of %s", o->threshold != NULL ? o->threshold : "eer", o->threshold_from);
    spoor_status status = *from == NULL ? error_memory(err, "fixing a threshold") : SPOOR_OK;
    for (int known = 0; status == SPOOR_OK && known <= 1; known++) {
        status = fix_threshold(ctx, o, score_file_set(f), known == 1, *from, err);
    }
    score_file_free(f);
    return status;
}

/* Scores whose polarity nobody stated are taken as higher = target only as long as that is plausible. */
static spoor_status check_polarity(spoor_context *ctx, const options *o, const eval_set *set, spoor_error *err) {
    double auroc;
    if (o->polarity || (o->columns.score == NULL && !o->columns.known)) {
        return SPOOR_OK;
    }
    TRY(eval_set_auroc(ctx, set, o->columns.known, &auroc, err));
    if (auroc < 0.5) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "%s: if higher scores are those of the target, the AUROC is only %.3f; say which they are, "
                         "--polarity lower or, if it is so, --polarity higher",
                         o->scores, auroc);
    }
    return SPOOR_OK;
}

static spoor_status make_report(spoor_context *ctx, options *o, const eval_set *set, json_t **report,
                                spoor_error *err) {
    char *from = NULL;
    merges m;
    *report = NULL;
    spoor_status status = merge_set(ctx, o, &set, &m, err);
    if (status == SPOOR_OK) {
        status = choose_threshold(ctx, o, set, &from, err);
    }
    if (status == SPOOR_OK && set->has_threshold && o->threshold == NULL && o->threshold_from == NULL) {
        o->eval.known = (eval_threshold){set->known_threshold, "the model's own"};
    }
    if (status == SPOOR_OK) {
        status = eval_report(ctx, set, &o->eval, report, err);
    }
    if (status == SPOOR_OK && o->html != NULL) {
        status = report_eval_html(ctx, o->html, set, *report, err);
    }
    merges_clear(ctx, &m);
    ctx_free(ctx, from);
    return status;
}

static spoor_status print_report(spoor_context *ctx, options *o, const eval_set *set, spoor_error *err) {
    json_t *report = NULL;
    char *text = NULL;
    spoor_status status = make_report(ctx, o, set, &report, err);
    if (status == SPOOR_OK && o->json) {
        status = ui_json(report, JSON_INDENT(1) | JSON_REAL_PRECISION(9), err);
    } else if (status == SPOOR_OK) {
        status = eval_report_text(ctx, report, &text, err);
        printf("%s", text ? text : "");
        ctx_free(ctx, text);
        status = status == SPOOR_OK ? ui_flush(err) : status;
    }
    json_decref(report);
    return status;
}

static spoor_status eval_scores(options *o, spoor_context *ctx, spoor_error *err) {
    score_file *f;
    o->eval.system = o->scores;
    TRY(o->foreign ? score_file_read_columns(ctx, o->scores, &o->columns, &f, err)
                   : score_file_read(ctx, o->scores, &f, err));
    eval_set set = *score_file_set(f);
    set.bonafide_is_llr |= o->llr;
    spoor_status status = o->foreign ? check_polarity(ctx, o, &set, err) : SPOOR_OK;
    if (status == SPOOR_OK) {
        status = print_report(ctx, o, &set, err);
    }
    score_file_free(f);
    return status;
}

/* The recordings through the model, as o->corpus says: their scores to a file (out NULL: none), the report on them
 * (NULL: print it). */
static spoor_status eval_once(spoor_context *ctx, options *o, spoor_model *m, cli_corpus *c, const char *out,
                              json_t **report, spoor_error *err) {
    TRY(cli_corpus_score(c, m, &o->corpus, err));
    score_labels *labels = NULL;
    score_set *set = NULL;
    const json_t *spec = json_object_get(json_object_get(m->meta, "provenance"), "labels");
    TRY(score_labels_new(ctx, m, c->manifest, c->rows, c->n, spec, &labels, err));
    spoor_status status = score_set_new(ctx, m, labels, c->logits, c->embedding, c->errors, o->folds, &set, err);
    if (status == SPOOR_OK && out) {
        status = score_file_write(ctx, out, &set->set, err);
    }
    if (status == SPOOR_OK) {
        o->eval.system = spoor_model_name(m);
        status = report ? make_report(ctx, o, &set->set, report, err) : print_report(ctx, o, &set->set, err);
    }
    score_set_free(set);
    score_labels_free(labels);
    return status;
}

/* One condition after the other; *failed: recordings that failed in any. */
static spoor_status eval_each(spoor_context *ctx, options *o, spoor_model *m, cli_corpus *c, const conditions *all,
                              json_t *list, size_t *failed, spoor_error *err) {
    for (size_t i = 0; i < all->n; i++) {
        json_t *report = NULL;
        char *out = NULL;
        o->corpus.degrade = all->each[i];
        spoor_status status = o->out ? conditions_path(ctx, o->out, all->each[i], &out, err) : SPOOR_OK;
        if (status == SPOOR_OK) {
            status = eval_once(ctx, o, m, c, out, &report, err);
        }
        ctx_free(ctx, out);
        *failed = c->failed > *failed ? c->failed : *failed;
        if (status != SPOOR_OK) {
            json_decref(report);
            return status;
        }
        if (json_array_append_new(list, conditions_entry(all->each[i], c->failed, report)) != 0) {
            return error_memory(err, "evaluating under conditions");
        }
    }
    return SPOOR_OK;
}

static spoor_status eval_conditions(spoor_context *ctx, options *o, spoor_model *m, cli_corpus *c, size_t *failed,
                                    spoor_error *err) {
    conditions all;
    json_t *root = json_pack("{s:o?, s:[]}", "system", report_text(spoor_model_name(m)), "conditions");
    spoor_status status = root ? conditions_parse(ctx, o->degrade, o->eval.seed, &all, err)
                               : error_memory(err, "evaluating under conditions");
    if (root && status == SPOOR_OK) {
        status = eval_each(ctx, o, m, c, &all, json_object_get(root, "conditions"), failed, err);
    }
    if (status == SPOOR_OK && o->json) {
        status = ui_json(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9), err);
    } else if (status == SPOOR_OK) {
        conditions_print(ctx, root);
        status = ui_flush(err);
    }
    if (root) {
        conditions_clear(&all);
    }
    json_decref(root);
    return status;
}

static spoor_status eval_rows(spoor_context *ctx, options *o, spoor_model *m, cli_corpus *c, spoor_error *err) {
    size_t failed = 0;
    TRY(cli_corpus_read(ctx, &o->corpus, c, err));
    if (o->degrade) {
        TRY(eval_conditions(ctx, o, m, c, &failed, err));
    } else {
        TRY(eval_once(ctx, o, m, c, o->out, NULL, err));
        failed = c->failed;
    }
    return failed == 0 ? SPOOR_OK
                       : error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be evaluated", failed, c->n);
}

static spoor_status eval_model(options *o, spoor_context *ctx, spoor_error *err) {
    spoor_model *m;
    cli_corpus c = {0};
    TRY(spoor_model_open_with(ctx, o->model, &o->open, &m, err));
    spoor_status status = model_judge_as(m, o->bonafide, err);
    if (status == SPOOR_OK) {
        status = eval_rows(ctx, o, m, &c, err);
    }
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
