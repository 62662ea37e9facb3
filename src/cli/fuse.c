/* fuse.c: `spoor fuse`: several models as one, by a fit on train and dev or by leaving each other's tasks alone. */
#include "cli/fuse.h"
#include "cli/cli.h"
#include "cli/ui.h"
#include "model/combine.h"
#include "openset/statistics.h"
#include "trace/trace.h"
#include "train/known.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_METHOD = 256,
    KEY_FORM,
    KEY_TASKS,
    KEY_TRAIN,
    KEY_DEV,
    KEY_TRAIN_SPLIT,
    KEY_DEV_SPLIT,
    KEY_L2,
    KEY_WEIGHTS,
    KEY_NAME,
    KEY_ACCEPTANCE,
    KEY_PRIOR,
    KEY_JSON,
    KEY_SCORES,
    KEY_EMBEDDINGS,
    KEY_OUT_EMBEDDINGS,
    KEY_PRECISION
};

const char *const FUSE_METHODS[] = {"logistic", "average", "embedding", NULL};
const char *const FUSE_FORMS[] = {"probabilities", "log-probabilities", NULL};

static const struct argp_option OPTIONS[] = {
    {"out", 'o', "FILE", 0, "the model file (with --scores: the score file) to write", 1},
    {"method", KEY_METHOD, "METHOD", 0,
     "logistic: regression on unit embeddings beside scores (default); average: of scores; "
     "embedding: regression on embeddings alone",
     1},
    {"score-form", KEY_FORM, "FORM", 0, "probabilities (default) or log-probabilities", 1},
    {"tasks", KEY_TASKS, "NAMES=FILE", 0,
     "no fit: this model answers these tasks (names with commas between), others the rest; "
     "may be repeated",
     1},
    {"train", KEY_TRAIN, "CSV", 0, "a table for the fit alone (--manifest: for both); may be repeated", 2},
    {"dev", KEY_DEV, "CSV", 0, "a table for choosing and calibrating alone; may be repeated", 2},
    {"train-split", KEY_TRAIN_SPLIT, "NAME", 0, "rows to fit on (default train; all: every row)", 2},
    {"dev-split", KEY_DEV_SPLIT, "NAME", 0, "rows to choose and calibrate on (default dev; all: every row)", 2},
    {"l2", KEY_L2, "L,L,..", 0, "strengths of regularisation that are tried (default 1e-6 to 1e-1 by tens)", 3},
    {"weights", KEY_WEIGHTS, "W,W,..", 0, "of the models in an average (default: chosen on dev)", 3},
    {"acceptance", KEY_ACCEPTANCE, "P", 0,
     "share of known dev sources that the threshold for unknown ones accepts (default 0.95)", 3},
    {"prior", KEY_PRIOR, "P", 0, "probability of bona fide that stated probabilities assume (default 0.5)", 3},
    {"name", KEY_NAME, "NAME", 0, "of the new model (default: the names of all)", 3},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     3},
    {"json", KEY_JSON, NULL, 0, "the summary as JSON (docs/fuse.md)", 3},
    {"scores", KEY_SCORES, "FILE", 0, "fuse score files instead of models; further files may follow", 4},
    {"embeddings", KEY_EMBEDDINGS, "FILE.npy", 0, "embeddings of the same recordings, one file for each score file", 4},
    {"out-embeddings", KEY_OUT_EMBEDDINGS, "FILE.npy", 0, "write the fused embeddings", 4},
    {0}};

/* ---- the command line ---- */

static int choice(const char *const *names, const char *arg, const char *option, struct argp_state *state) {
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], arg) == 0) {
            return i;
        }
    }
    argp_error(state, "%s cannot be \"%s\"; --help lists what it can be", option, arg);
    return 0;
}

static size_t numbers(const char *arg, double *out, size_t most, double low, double high, struct argp_state *state) {
    size_t n = 0;
    for (const char *at = arg; ; at++) {
        char *end;
        double v = strtod(at, &end);
        if (end == at || !(v >= low && v <= high) || (*end != ',' && *end != '\0') || n == most) {
            argp_error(state, "\"%s\" is no list of up to %zu numbers from %g to %g with commas between", arg, most,
                       low, high);
            return 0;
        }
        out[n++] = v;
        at = end;
        if (*end == '\0') {
            return n;
        }
    }
}

/* A model or score file; among score files a matrix tells itself by its name. */
static void add_file(fuse_command *o, bool npy, char *arg, struct argp_state *state) {
    size_t length = strlen(arg);
    npy = npy || (o->scores && length > 4 && strcmp(arg + length - 4, ".npy") == 0);
    size_t *n = npy ? &o->n_embeddings : &o->n_inputs;
    if (*n == FUSE_MAX_MODELS) {
        argp_error(state, "at most %d files", FUSE_MAX_MODELS);
    }
    (npy ? o->embeddings : o->inputs)[(*n)++] = arg;
}

static void add_manifest(const char **list, size_t *n, const char *csv, struct argp_state *state) {
    if (*n == CORPUS_MAX_MANIFESTS) {
        argp_error(state, "at most %d manifests", CORPUS_MAX_MANIFESTS);
    }
    list[(*n)++] = csv;
}

static void check(fuse_command *o, struct argp_state *state) {
    size_t data = o->corpus.n_manifests + o->n_train;
    if (o->out == NULL) {
        argp_error(state, "give --out");
    }
    if (o->corpus.split != NULL) {
        argp_error(state, "say --train-split and --dev-split instead of --split");
    }
    if (o->n_tasks > 0 ? o->n_inputs > 0 || o->scores : o->n_inputs < 2) {
        argp_error(state, "name at least two models, or two score files with --scores, or models with --tasks alone");
    }
    if (o->scores && data + o->n_dev > 0) {
        argp_error(state, "score files hold their own labels and splits: no manifest goes with --scores");
    }
    if (!o->scores && (o->n_embeddings > 0 || o->out_embeddings != NULL)) {
        argp_error(state, "--embeddings and --out-embeddings go with --scores");
    }
    if (o->scores && o->n_embeddings > 0 && o->n_embeddings != o->n_inputs) {
        argp_error(state, "give as many --embeddings as score files, or none");
    }
    if (o->n_weights > 0 && (o->method != FUSE_AVERAGE || o->n_weights != o->n_inputs)) {
        argp_error(state, "--weights goes with --method average, a number for each model");
    }
    if (!o->scores && o->n_tasks == 0 && o->method != FUSE_AVERAGE && data == 0) {
        argp_error(state, "give --manifest or --train to fit on");
    }
}

static error_t parse_fit(int key, char *arg, fuse_command *o, struct argp_state *state) {
    switch (key) {
    case KEY_METHOD: o->method = choice(FUSE_METHODS, arg, "--method", state); return 0;
    case KEY_FORM: o->form = choice(FUSE_FORMS, arg, "--score-form", state); return 0;
    case KEY_L2: o->fit.n_l2 = numbers(arg, o->fit.l2, FUSE_MAX_STRENGTHS, 1e-12, 1e6, state); return 0;
    case KEY_WEIGHTS: o->n_weights = numbers(arg, o->weights, FUSE_MAX_MODELS, 0, 1e6, state); return 0;
    case KEY_ACCEPTANCE: (void)numbers(arg, &o->acceptance, 1, 1e-6, 1, state); return 0;
    case KEY_PRIOR: (void)numbers(arg, &o->prior, 1, 1e-6, 1 - 1e-6, state); return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    fuse_command *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus; return 0;
    case 'o': o->out = arg; return 0;
    case KEY_TASKS:
        if (o->n_tasks == FUSE_MAX_MODELS || strchr(arg, '=') == NULL) {
            argp_error(state, "--tasks %s: write NAMES=FILE, at most %d times", arg, FUSE_MAX_MODELS);
        }
        o->tasks[o->n_tasks++] = arg;
        return 0;
    case KEY_TRAIN: add_manifest(o->train, &o->n_train, arg, state); return 0;
    case KEY_DEV: add_manifest(o->dev, &o->n_dev, arg, state); return 0;
    case KEY_TRAIN_SPLIT: o->train_split = strcmp(arg, "all") == 0 ? NULL : arg; return 0;
    case KEY_DEV_SPLIT: o->dev_split = strcmp(arg, "all") == 0 ? NULL : arg; return 0;
    case KEY_NAME: o->name = arg; return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_SCORES: o->scores = true; add_file(o, false, arg, state); return 0;
    case KEY_EMBEDDINGS: add_file(o, true, arg, state); return 0;
    case KEY_OUT_EMBEDDINGS: o->out_embeddings = arg; return 0;
    case ARGP_KEY_ARG: add_file(o, false, arg, state); return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return parse_fit(key, arg, o, state);
    }
}

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 2}, {0}};
static const struct argp ARGP = {
    OPTIONS,
    parse,
    "MODEL MODEL... --manifest CSV -o OUT\n--tasks NAMES=MODEL... -o OUT\n--scores FILE FILE... -o OUT",
    "Make one model of several: by a regression on their embeddings and scores or an average of scores, "
    "fitted on train and chosen on dev, or by giving each its tasks. docs/fuse.md has the equations.",
    CHILDREN,
    NULL,
    NULL};

/* ---- data ---- */

typedef struct fusing {
    const fuse_command *o;
    spoor_context *ctx;
    combine_input in[FUSE_MAX_MODELS];
    char *names[NET_MAX_TASKS * FUSE_MAX_MODELS]; /* of tasks, cut out of --tasks */
    size_t n_names, n;
    char *temporary; /* the combined model before it is fitted */
    spoor_model *m;
    cli_corpus train, dev;
    score_labels *train_labels, *dev_labels;
    json_t *summary;
} fusing;

/* Recordings that could not be read count for nothing. */
static void forget_failed(const cli_corpus *c, score_labels *labels, size_t tasks) {
    for (size_t i = 0; i < c->n; i++) {
        score_label *l = &labels->clip[i];
        if (c->errors[i].status != SPOOR_OK) {
            l->is_bonafide = l->is_known = -1;
            for (size_t k = 0; k < tasks; k++) {
                l->truth[k] = l->label[k] = -1;
            }
        }
    }
}

/* The manifests of one half, its split and its recordings through the model. */
static spoor_status read_half(fusing *f, const char *const *more, size_t n, const char *split, cli_corpus *c,
                              score_labels **labels, spoor_error *err) {
    cli_corpus_options o = f->o->corpus;
    o.split = split;
    for (size_t i = 0; i < n && o.n_manifests < CORPUS_MAX_MANIFESTS; i++) {
        o.manifests[o.n_manifests++] = more[i];
    }
    if (o.n_manifests == 0) {
        return SPOOR_OK;
    }
    TRY(cli_corpus_read(f->ctx, &o, c, err));
    const json_t *spec = json_object_get(json_object_get(f->m->meta, "provenance"), "labels");
    TRY(score_labels_new(f->ctx, f->m, c->manifest, c->rows, c->n, spec, labels, err));
    TRY(cli_corpus_score(c, f->m, &o, err));
    forget_failed(c, *labels, f->m->n_tasks);
    return SPOOR_OK;
}

static spoor_status read_dev(fusing *f, spoor_error *err) {
    return read_half(f, f->o->dev, f->o->n_dev, f->o->dev_split, &f->dev, &f->dev_labels, err);
}

static fuse_clips clips_of(const cli_corpus *c, const score_labels *l) {
    static const score_labels none = {0};
    return (fuse_clips){l == NULL ? &none : l, c->embedding, c->errors};
}

/* ---- what is written ---- */

/* Choose the known score of m, where there are train clips with the statistics that some scorers need; each half's
 * logits are in its corpus, its embeddings [n, dim] are given. */
static spoor_status choose_known(fusing *f, spoor_model *m, const float *train, const float *dev, spoor_error *err) {
    known_options o;
    known_options_init(&o);
    json_t *table = NULL;
    int32_t *label = ctx_alloc(f->ctx, f->train.n, sizeof *label);
    if (label == NULL) {
        return error_memory(err, "choosing the known score");
    }
    for (size_t i = 0; i < f->train.n; i++) {
        label[i] = m->known_task == SIZE_MAX ? -1 : f->train_labels->clip[i].label[m->known_task];
    }
    known_train clips = {f->train.logits, train, label, f->train.n};
    spoor_status status =
        known_choose(m, f->train.n > 0 ? &clips : NULL, f->dev_labels, f->dev.logits, dev, &o, &table, err);
    if (status == SPOOR_OK && table != NULL) {
        bool good = json_object_set(f->summary, "scorers", table) == 0 &&
                    json_object_set(json_object_get(m->meta, "provenance"), "scorers", table) == 0;
        status = good ? SPOOR_OK : error_memory(err, "choosing the known score");
    }
    json_decref(table);
    ctx_free(f->ctx, label);
    return status;
}

/* The known score, then what dev calibrates. */
static spoor_status calibrate(fusing *f, spoor_model *m, const float *train, const float *dev, spoor_error *err) {
    if (f->dev_labels == NULL) {
        ctx_log(f->ctx, SPOOR_LOG_WARN, "there are no dev clips: the model is not calibrated");
        return SPOOR_OK;
    }
    TRY(choose_known(f, m, train, dev, err));
    return score_calibrate(m, f->dev_labels, f->dev.logits, dev, f->o->acceptance, f->o->prior, err);
}

/* What was fitted, into the metadata and the summary. */
static spoor_status note(fusing *f, spoor_model *m, const char *key, json_t *value, spoor_error *err) {
    json_t *provenance = json_object_get(m->meta, "provenance"), *fusion = json_object_get(provenance, "fusion");
    if (fusion == NULL) {
        fusion = json_object();
        (void)json_object_set_new(provenance, "fusion", fusion);
    }
    bool good =
        value != NULL && json_object_set(fusion, key, value) == 0 && json_object_set(f->summary, key, value) == 0;
    json_decref(value);
    return good ? SPOOR_OK : error_memory(err, "describing a fusion");
}

static spoor_status describe(fusing *f, spoor_model *m, spoor_error *err) {
    TRY(note(f, m, "train_clips", json_integer((json_int_t)f->train.n), err));
    TRY(note(f, m, "dev_clips", json_integer((json_int_t)f->dev.n), err));
    (void)json_object_set_new(f->summary, "failed", json_integer((json_int_t)(f->train.failed + f->dev.failed)));
    (void)json_object_set_new(f->summary, "embedding", json_integer((json_int_t)net_embedding_size(m->net)));
    return SPOOR_OK;
}

static spoor_status combine(fusing *f, json_t *fusion, spoor_error *err) {
    combine_options o = {.name = f->o->name, .fusion = fusion};
    spoor_status status = model_combine(f->ctx, f->in, f->n, &o, f->temporary, err);
    json_decref(fusion);
    TRY(status);
    spoor_model_free(f->m);
    f->m = NULL;
    return spoor_model_open_with(f->ctx, f->temporary, &f->o->open, &f->m, err);
}

/* ---- methods ---- */

/* The combined file with its heads and the statistics of its known score. */
static spoor_status write_model(fusing *f, spoor_error *err) {
    model_tensor changed[2 * NET_MAX_TASKS + OPENSET_MAX_TENSORS];
    params *p = net_params(f->m->net);
    size_t n = f->o->n_tasks > 0 ? 0 : model_tensors_of_known(&f->m->openset, changed);
    for (size_t i = 0; i < params_count(p); i++) {
        const param *item = params_at(p, i);
        if (strncmp(item->name, "fusion.", 7) == 0 && n < 2 * NET_MAX_TASKS + OPENSET_MAX_TENSORS) {
            changed[n++] = model_tensor_of(item->name, &item->value);
        }
    }
    return model_rewrite(f->ctx, f->temporary, f->o->out, f->m->meta, changed, n, err);
}

static spoor_status fuse_logistic(fusing *f, spoor_error *err) {
    const fuse_command *o = f->o;
    const char *form = o->method == FUSE_EMBEDDING ? "none" : FUSE_FORMS[o->form];
    TRY(combine(f, json_pack("{s:s, s:s}", "method", "logistic", "scores", form), err));
    TRY(read_half(f, o->train, o->n_train, o->train_split, &f->train, &f->train_labels, err));
    TRY(read_dev(f, err));
    fuse_clips train = clips_of(&f->train, f->train_labels), dev = clips_of(&f->dev, f->dev_labels);
    fuse_fit *fit = ctx_calloc(f->ctx, f->m->n_tasks, sizeof *fit);
    spoor_status status =
        fit == NULL ? error_memory(err, "fitting a fusion") : fuse_fit_model(f->m, &train, &dev, &o->fit, fit, err);
    json_t *tasks = json_array();
    for (size_t k = 0; k < f->m->n_tasks && status == SPOOR_OK; k++) {
        (void)json_array_append_new(tasks, fuse_fit_json(f->m->tasks[k].name, f->m->tasks[k].n_classes, &fit[k]));
    }
    ctx_free(f->ctx, fit);
    if (status != SPOOR_OK) {
        json_decref(tasks);
        return status;
    }
    TRY(note(f, f->m, "tasks", tasks, err));
    TRY(fuse_logits(f->m, f->train.n, f->train.embedding, f->train.logits, err));
    TRY(fuse_logits(f->m, f->dev.n, f->dev.embedding, f->dev.logits, err));
    TRY(calibrate(f, f->m, f->train.embedding, f->dev.embedding, err));
    TRY(describe(f, f->m, err));
    return write_model(f, err);
}

static json_t *average_json(const fuse_command *o, const double *weight) {
    json_t *list = json_array();
    for (size_t i = 0; i < o->n_inputs; i++) {
        (void)json_array_append_new(list, json_real(weight[i]));
    }
    return json_pack("{s:s, s:s, s:o}", "method", "average", "scores", FUSE_FORMS[o->form], "weights", list);
}

/* The first `kept` of each row's `size` numbers, in place: of the vector that weights were chosen on the unit
 * embeddings. */
static void narrow(cli_corpus *c, size_t size, size_t kept) {
    for (size_t i = 0; i < c->n; i++) {
        memmove(c->embedding + i * kept, c->embedding + i * size, kept * sizeof *c->embedding);
    }
}

static spoor_status fuse_averages(fusing *f, spoor_error *err) {
    const fuse_command *o = f->o;
    bool probabilities = o->form == NET_SCORES_PROBABILITIES, chosen = o->n_weights == 0;
    fuse_weights w = {.n = f->n};
    memcpy(w.weight, o->weights, sizeof w.weight);
    fuse_scores where[NET_MAX_TASKS];
    TRY(combine(f, json_pack("{s:s, s:s}", "method", "logistic", "scores", "log-probabilities"), err));
    TRY(fuse_find_scores(f->m, where, err)); /* before anything is computed */
    TRY(read_half(f, o->train, o->n_train, o->train_split, &f->train, &f->train_labels, err));
    TRY(read_dev(f, err));
    if (chosen && f->dev_labels == NULL) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "give --manifest or --dev to choose the weights of the average on, or --weights");
    }
    if (f->dev_labels != NULL) {
        fuse_clips dev = clips_of(&f->dev, f->dev_labels);
        TRY(fuse_average_model(f->m, &dev, probabilities, chosen ? NULL : o->weights, &w, f->dev.logits, err));
    }
    if (f->train_labels != NULL) {
        fuse_clips train = clips_of(&f->train, f->train_labels);
        TRY(fuse_average_model(f->m, &train, probabilities, w.weight, &w, f->train.logits, err));
    }
    size_t size = (size_t)net_embedding_size(f->m->net);
    TRY(combine(f, average_json(o, w.weight), err));
    narrow(&f->train, size, (size_t)net_embedding_size(f->m->net));
    narrow(&f->dev, size, (size_t)net_embedding_size(f->m->net));
    TRY(note(f, f->m, chosen ? "chosen" : "given", fuse_weights_json(&w), err));
    TRY(calibrate(f, f->m, f->train.embedding, f->dev.embedding, err));
    TRY(describe(f, f->m, err));
    return write_model(f, err);
}

/* Each model answers its tasks. With dev clips they are calibrated together. */
static spoor_status fuse_tasks(fusing *f, spoor_error *err) {
    TRY(combine(f, NULL, err));
    TRY(read_dev(f, err));
    if (f->dev_labels != NULL) {
        TRY(score_calibrate(f->m, f->dev_labels, f->dev.logits, f->dev.embedding, f->o->acceptance, f->o->prior, err));
    }
    TRY(describe(f, f->m, err));
    return write_model(f, err);
}

/* "bonafide,source=FILE" as an input. */
static void split_tasks(fusing *f, char *text) {
    char *equals = strchr(text, '=');
    combine_input *in = &f->in[f->n++];
    in->path = equals + 1;
    in->tasks = (const char *const *)&f->names[f->n_names];
    *equals = '\0';
    for (char *name = text, *comma; name != NULL && f->n_names < NET_MAX_TASKS * FUSE_MAX_MODELS; name = comma) {
        comma = strchr(name, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        f->names[f->n_names++] = name;
        in->n_tasks++;
    }
}

static spoor_status start(fusing *f, spoor_error *err) {
    const fuse_command *o = f->o;
    json_t *models = json_array();
    for (size_t i = 0; i < o->n_tasks; i++) {
        split_tasks(f, o->tasks[i]);
    }
    for (size_t i = 0; i < o->n_inputs; i++) {
        f->in[f->n++] = (combine_input){.path = o->inputs[i]};
    }
    for (size_t i = 0; i < f->n; i++) {
        (void)json_array_append_new(models, json_string(f->in[i].path));
    }
    f->temporary = ctx_printf(f->ctx, "%s.members", o->out);
    f->summary = json_pack("{s:s, s:s, s:o}", "out", o->out, "method",
                           o->n_tasks > 0 ? "tasks" : FUSE_METHODS[o->method], "models", models);
    return f->temporary != NULL && f->summary != NULL ? SPOOR_OK : error_memory(err, "fusing models");
}

static spoor_status fuse_them(fusing *f, spoor_error *err) {
    TRY(start(f, err));
    return f->o->n_tasks > 0                 ? fuse_tasks(f, err)
           : f->o->method == FUSE_AVERAGE ? fuse_averages(f, err)
                                          : fuse_logistic(f, err);
}

static spoor_status fuse_model_files(const fuse_command *o, spoor_context *ctx, spoor_error *err) {
    fusing f = {.o = o, .ctx = ctx};
    spoor_status status = fuse_them(&f, err);
    size_t failed = f.train.failed + f.dev.failed, all = f.train.n + f.dev.n;
    if (status == SPOOR_OK) {
        status = fuse_print(o, json_incref(f.summary), err);
    }
    if (f.temporary != NULL) {
        (void)unlink(f.temporary);
    }
    score_labels_free(f.train_labels);
    score_labels_free(f.dev_labels);
    cli_corpus_clear(&f.train);
    cli_corpus_clear(&f.dev);
    spoor_model_free(f.m);
    ctx_free(ctx, f.temporary);
    json_decref(f.summary);
    if (status == SPOOR_OK && failed > 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be used for the fusion", failed, all);
    }
    return status;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    fuse_command *o = user;
    o->fit.threads = o->corpus.threads ? o->corpus.threads : pool_processors();
    return o->scores ? fuse_score_files(o, ctx, err) : fuse_model_files(o, ctx, err);
}

int cli_fuse(int argc, char **argv) {
    fuse_command o = {.train_split = "train", .dev_split = "dev", .acceptance = 0.95, .prior = 0.5};
    fuse_options_init(&o.fit);
    return ui_command(&ARGP, argc, argv, &o, run);
}
