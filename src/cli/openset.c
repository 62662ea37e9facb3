/* openset.c: `spoor openset`: fit the scorers for known and unknown sources of a model that exists, print how well each
 * does on dev, and write the model with one of them. */
#include "cli/cli.h"
#include "cli/corpus.h"
#include "cli/ui.h"
#include "train/known.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_OUT = 'o', KEY_K = 'k', KEY_JSON = 256, KEY_TRAIN, KEY_DEV, KEY_TRAIN_SPLIT, KEY_DEV_SPLIT, KEY_SCORERS,
    KEY_SCORER,
    KEY_THRESHOLD, KEY_TEMPERATURE, KEY_SHRINKAGE, KEY_VIM_DIM, KEY_BANK, KEY_REPLICATES, KEY_PRECISION
};

typedef struct options {
    const char *model, *out;
    spoor_model_options open;
    cli_corpus_options corpus, train, dev; /* what both share; each */
    known_options known;
    double acceptance; /* -1: the rule of the model; 0: EER */
    bool json;
} options;

static const struct argp_option OPTIONS[] = {
    {"train", KEY_TRAIN, "CSV", 0, "table of the training recordings (default: --manifest); may be repeated", 1},
    {"dev", KEY_DEV, "CSV", 0, "table of the dev recordings (default: --manifest); may be repeated", 1},
    {"train-split", KEY_TRAIN_SPLIT, "NAME", 0, "rows of that table to train on (default: train; all: every row)", 1},
    {"dev-split", KEY_DEV_SPLIT, "NAME", 0, "rows of that table to judge by (default: dev; all: every row)", 1},
    {"scorers", KEY_SCORERS, "NAME,...", 0, "which to fit and judge (default: all)", 2},
    {"scorer", KEY_SCORER, "NAME", 0, "the one for the model (default: the best AUROC on dev)", 2},
    {"threshold", KEY_THRESHOLD, "eer|SHARE", 0, "where the error rates of dev are equal, or where this share of known "
                                                 "sources is accepted (default: as the model had it, else 0.95)", 2},
    {"out", KEY_OUT, "FILE", 0, "write the model with that scorer (default: print the table alone)", 2},
    {"neighbours", KEY_K, "K", 0, "nearest clips of kNN and NNGuide (default: 6)", 3},
    {"temperature", KEY_TEMPERATURE, "T", 0, "of energy, MSP, entropy and softmax energy (default: 1)", 3},
    {"shrinkage", KEY_SHRINKAGE, "S", 0, "of the covariance of Mahalanobis, 0 to 1 (default: 0.1)", 3},
    {"vim-dim", KEY_VIM_DIM, "D", 0, "of ViM's principal subspace (default: by the size of the embedding)", 3},
    {"bank", KEY_BANK, "N", 0, "training clips of each class that kNN and NNGuide keep (default: 50)", 3},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     3},
    {"json", KEY_JSON, NULL, 0, "the table as JSON (docs/openset.md)", 4},
    {"replicates", KEY_REPLICATES, "N", 0, "bootstrap resamples of pages for the intervals (default 1000; 0: none)", 4},
    {0}};

static openset_kind scorer(const char *name, const struct argp_state *state) {
    openset_kind kind = OPENSET_ENERGY;
    spoor_error err;
    if (openset_kind_parse(name, &kind, &err) != SPOOR_OK) {
        argp_error(state, "%s", err.message);
    }
    return kind;
}

static void parse_scorers(char *arg, options *o, const struct argp_state *state) {
    o->known.scorers = 0;
    if (strcmp(arg, "all") == 0) {
        o->known.scorers = OPENSET_ALL;
        return;
    }
    char *save = NULL;
    for (char *name = strtok_r(arg, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
        o->known.scorers |= OPENSET_BIT(scorer(name, state));
    }
    if (o->known.scorers == 0 || o->known.scorers == OPENSET_BIT(OPENSET_GATE)) {
        argp_error(state, "--scorers: name at least one besides the gate");
    }
}

static error_t parse_scoring(int key, char *arg, options *o, const struct argp_state *state) {
    switch (key) {
    case KEY_SCORERS: parse_scorers(arg, o, state); return 0;
    case KEY_SCORER: o->known.choose = (int)scorer(arg, state); return 0;
    case KEY_THRESHOLD: o->acceptance = strcmp(arg, "eer") == 0 ? 0 : ui_number(state, arg, 0.01, 1); return 0;
    case KEY_K: o->known.k = (size_t)ui_whole(state, arg, 1, OPENSET_MAX_K); return 0;
    case KEY_TEMPERATURE: o->known.temperature = ui_number(state, arg, 1e-3, 1000); return 0;
    case KEY_SHRINKAGE: o->known.fit.shrinkage = ui_number(state, arg, 0, 1); return 0;
    case KEY_VIM_DIM: o->known.fit.vim_dim = (size_t)ui_whole(state, arg, 0, OPENSET_MAX_DIM); return 0;
    case KEY_BANK: o->known.fit.bank_per_class = (size_t)ui_whole(state, arg, 1, OPENSET_MAX_BANK); return 0;
    case KEY_REPLICATES: o->known.replicates = (size_t)ui_whole(state, arg, 0, 1e6); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* What both parts share, and --manifest for a part that has no table of its own. */
static void finish_part(cli_corpus_options *part, const cli_corpus_options *shared, bool first_window) {
    const char *split = part->split;
    cli_corpus_options own = *part;
    *part = *shared;
    if (own.n_manifests > 0) {
        memcpy(part->manifests, own.manifests, sizeof own.manifests);
        part->n_manifests = own.n_manifests;
    }
    part->split = split;
    part->first_window = first_window;
}

static void check(options *o, const struct argp_state *state) {
    if (o->model == NULL) {
        argp_error(state, "name a model file");
    }
    if (o->corpus.split != NULL) {
        argp_error(state, "two splits are needed: --train-split and --dev-split");
    }
    finish_part(&o->train, &o->corpus, true);
    finish_part(&o->dev, &o->corpus, false);
    if (o->dev.n_manifests == 0 || (o->train.n_manifests == 0 && known_needs_train(&o->known))) {
        argp_error(state, "give --manifest, or --train and --dev");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus; return 0;
    case KEY_TRAIN: cli_corpus_manifest(&o->train, arg, state); return 0;
    case KEY_DEV: cli_corpus_manifest(&o->dev, arg, state); return 0;
    case KEY_TRAIN_SPLIT: o->train.split = strcmp(arg, "all") == 0 ? NULL : arg; return 0;
    case KEY_DEV_SPLIT: o->dev.split = strcmp(arg, "all") == 0 ? NULL : arg; return 0;
    case KEY_OUT: o->out = arg; return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case ARGP_KEY_ARG:
        if (o->model != NULL) {
            argp_error(state, "name one model");
        }
        o->model = arg;
        return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return parse_scoring(key, arg, o, state);
    }
}

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 1}, {0}};
static const struct argp ARGP = {OPTIONS, parse, "MODEL --manifest CSV\nMODEL --train CSV --dev CSV",
                                 "Fit the scores that tell known sources from unknown ones on the training recordings "
                                 "of a model, judge each on dev, and write the model with the best or a named one.",
                                 CHILDREN, NULL, NULL};

/* ---- recordings --------------------------------------------------------------------------------------- */

static const json_t *label_spec(const spoor_model *m) {
    return json_object_get(json_object_get(m->meta, "provenance"), "labels");
}

/* Only recordings of known synthetic sources are trained on: the others need not be computed. label[n] of those
 * kept. */
static spoor_status keep_labelled(const spoor_model *m, cli_corpus *c, int32_t *label, spoor_error *err) {
    score_labels *l;
    TRY(score_labels_new(c->ctx, m, c->manifest, c->rows, c->n, label_spec(m), &l, err));
    size_t n = 0, all = c->n;
    for (size_t i = 0; i < all; i++) {
        if (l->clip[i].is_known == 1) {
            label[n] = l->clip[i].label[m->known_task];
            c->rows[n] = c->rows[i];
            c->ids[n] = c->ids[i];
            c->paths[n++] = c->paths[i];
        }
    }
    score_labels_free(l);
    c->n = n;
    return n > 0 ? SPOOR_OK
                 : error_set(err, SPOOR_ERR_INPUT, "none of the %zu training recordings is of a source that the model "
                                                   "knows", all);
}

static spoor_status use_train(const options *o, spoor_model *m, cli_corpus *c, int32_t **label, spoor_error *err) {
    TRY(cli_corpus_read(c->ctx, &o->train, c, err));
    *label = ctx_alloc(c->ctx, c->n, sizeof **label);
    if (*label == NULL) {
        return error_memory(err, "labelling recordings");
    }
    TRY(keep_labelled(m, c, *label, err));
    TRY(cli_corpus_score(c, m, &o->train, err));
    for (size_t i = 0; i < c->n; i++) {
        (*label)[i] = c->errors[i].status == SPOOR_OK ? (*label)[i] : -1;
    }
    return SPOOR_OK;
}

static spoor_status use_dev(const options *o, spoor_model *m, cli_corpus *c, score_labels **l, spoor_error *err) {
    TRY(cli_corpus_read(c->ctx, &o->dev, c, err));
    TRY(cli_corpus_score(c, m, &o->dev, err));
    TRY(score_labels_new(c->ctx, m, c->manifest, c->rows, c->n, label_spec(m), l, err));
    for (size_t i = 0; i < c->n; i++) {
        if (c->errors[i].status != SPOOR_OK) {
            (*l)->clip[i].is_known = -1;
        }
    }
    return SPOOR_OK;
}

/* ---- the model ---------------------------------------------------------------------------------------- */

static spoor_status write_model(const options *o, spoor_model *m, const cli_corpus *train, const cli_corpus *dev,
                                json_t *table, spoor_error *err) {
    json_t *provenance = json_object_get(m->meta, "provenance");
    if (!json_is_object(provenance)) {
        provenance = json_object();
        if (provenance == NULL || json_object_set_new(m->meta, "provenance", provenance) != 0) {
            return error_memory(err, "writing a model");
        }
    }
    json_t *made = json_pack("{s:s, s:s, s:I, s:I}", "spoor", SPOOR_VERSION, "model_sha256", m->sha256, "train_clips",
                             (json_int_t)(train->n - train->failed), "dev_clips", (json_int_t)(dev->n - dev->failed));
    int bad = made == NULL || json_object_set_new(provenance, "openset", made) != 0;
    bad |= table != NULL && json_object_set(provenance, "scorers", table) != 0;
    return bad ? error_memory(err, "writing a model") : model_set_known(m->ctx, o->model, o->out, m, err);
}

static spoor_status print(const options *o, const spoor_model *m, json_t *table, spoor_error *err) {
    char *text = NULL;
    if (o->json) {
        json_t *known = json_object_get(m->meta, "known"),
               *all = json_pack("{s:O?, s:O}", "table", table, "known", known);
        spoor_status status = ui_json(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9), err);
        json_decref(all);
        return status;
    }
    if (table != NULL) {
        text = known_table_text(m->ctx, table);
        if (text == NULL) {
            return error_memory(err, "printing a table");
        }
        printf("%s", text);
        ctx_free(m->ctx, text);
    }
    printf("%s: known where the score is at least %.6g (%s, %.1f %% of dev's known recordings)\n",
           openset_kind_name(m->openset.kind), m->openset.threshold,
           m->openset.by_eer ? "equal error rate" : "chosen acceptance", 100 * m->openset.acceptance);
    return ui_flush(err);
}

static double rule(const options *o, const openset *before) {
    if (o->acceptance >= 0) {
        return o->acceptance;
    }
    return before->by_eer ? 0 : before->acceptance > 0 ? before->acceptance : 0.95;
}

/* ---- run ---------------------------------------------------------------------------------------------- */

typedef struct work {
    cli_corpus train, dev;
    int32_t *label;
    score_labels *labels;
    json_t *table;
} work;

static spoor_status fit(const options *o, spoor_model *m, work *w, spoor_error *err) {
    bool wanted = known_needs_train(&o->known);
    double acceptance = rule(o, &m->openset);
    if (m->known_task == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%.200s has no task of sources, so that none is known", o->model);
    }
    if (o->out != NULL) {
        TRY(model_check_folder(m, o->model, o->out, err));
    }
    TRY(wanted ? use_train(o, m, &w->train, &w->label, err) : SPOOR_OK);
    TRY(use_dev(o, m, &w->dev, &w->labels, err));
    known_train train = {w->train.logits, w->train.embedding, w->label, w->train.n};
    TRY(known_choose(m, wanted ? &train : NULL, w->labels, w->dev.logits, w->dev.embedding, &o->known, &w->table, err));
    TRY(known_fix_threshold(m, w->labels, w->dev.logits, w->dev.embedding, acceptance, err));
    if (o->out != NULL) {
        TRY(write_model(o, m, &w->train, &w->dev, w->table, err));
    }
    TRY(print(o, m, w->table, err));
    size_t failed = w->train.failed + w->dev.failed;
    return failed == 0 ? SPOOR_OK
                       : error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be used", failed,
                                   w->train.n + w->dev.n);
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    const options *o = user;
    spoor_model *m;
    work w = {.train.ctx = ctx, .dev.ctx = ctx};
    TRY(model_open(ctx, o->model, &o->open, &m, err));
    spoor_status status = fit(o, m, &w, err);
    json_decref(w.table);
    score_labels_free(w.labels);
    ctx_free(ctx, w.label);
    cli_corpus_clear(&w.train);
    cli_corpus_clear(&w.dev);
    spoor_model_free(m);
    return status;
}

int cli_openset(int argc, char **argv) {
    options o = {.train.split = "train", .dev.split = "dev", .acceptance = -1};
    known_options_init(&o.known);
    return ui_command(&ARGP, argc, argv, &o, run);
}
