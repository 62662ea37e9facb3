/* frechet.c: `spoor frechet`: how far apart sets of embeddings lie: two matrices, or the recordings of a manifest
 * through a model, those of train against the others. */
#include "cli/cli.h"
#include "cli/corpus.h"
#include "cli/ui.h"
#include "data/labels.h"
#include "eval/frechet.h"
#include "eval/npy.h"
#include "report/json.h"
#include "report/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 256, KEY_SHRINKAGE, KEY_REFERENCE, KEY_PRECISION, NAME = 40 };

typedef struct options {
    const char *inputs[2], *reference;
    size_t n_inputs;
    spoor_model_options open;
    cli_corpus_options corpus;
    frechet_shrinkage shrinkage;
    const char *shrinkage_name;
    bool json;
} options;

static const struct argp_option OPTIONS[] = {
    {"shrinkage", KEY_SHRINKAGE, "none|ledoit-wolf|S", 0,
     "of the covariances towards a multiple of the unit matrix: estimated, "
     "or a number from 0 to 1 (default: none)",
     0},
    {"reference", KEY_REFERENCE, "SPLIT", 0,
     "with a model: the known sources of this split are what the others are set "
     "against (default: train)",
     0},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     0},
    {"json", KEY_JSON, NULL, 0, "the distances as JSON (docs/eval.md)", 0},
    {0}};

static void parse_shrinkage(const char *arg, options *o, const struct argp_state *state) {
    char *end;
    o->shrinkage_name = arg;
    if (strcmp(arg, "none") == 0 || strcmp(arg, "ledoit-wolf") == 0) {
        o->shrinkage.kind = arg[0] == 'n' ? FRECHET_NONE : FRECHET_LEDOIT_WOLF;
        return;
    }
    o->shrinkage = (frechet_shrinkage){FRECHET_FIXED, strtod(arg, &end)};
    if (end == arg || *end != '\0' || !(o->shrinkage.amount >= 0 && o->shrinkage.amount <= 1)) {
        argp_error(state, "--shrinkage is none, ledoit-wolf or a number from 0 to 1, not \"%s\"", arg);
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus; return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_SHRINKAGE: parse_shrinkage(arg, o, state); return 0;
    case KEY_REFERENCE: o->reference = arg; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case ARGP_KEY_ARG:
        if (o->n_inputs == 2) {
            argp_error(state, "name two matrices, or one model");
        }
        o->inputs[o->n_inputs++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->n_inputs != (o->corpus.n_manifests > 0 ? 1u : 2u)) {
            argp_error(state, "give two .npy files, or a model and --manifest");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 1}, {0}};
static const struct argp ARGP = {
    OPTIONS,
    parse,
    "A.npy B.npy\nMODEL --manifest CSV",
    "The Frechet distance of sets of embeddings: of two matrices, or of the known sources that a "
    "model was trained on against those of the other splits, unknown sources and human speech.",
    CHILDREN,
    NULL,
    NULL};

/* ---- the table ---------------------------------------------------------------------------------------- */

typedef struct table {
    spoor_context *ctx;
    const options *o;
    const char *reference_name;
    frechet_fit *reference;
    json_t *root, *pairs, *warnings;
} table;

static spoor_status put(json_t *object, const char *key, json_t *value, spoor_error *err) {
    return json_object_set_new(object, key, value) == 0 ? SPOOR_OK : error_memory(err, "writing distances");
}

static spoor_status warn_if_singular(table *t, const char *name, const frechet_fit *f, spoor_error *err) {
    if (!f->singular) {
        return SPOOR_OK;
    }
    char text[256];
    (void)snprintf(text, sizeof text, "%.120s: %zu recordings do not fill %zu dimensions; use --shrinkage, or read the "
                                      "distance as too great", name, f->n, f->dim);
    return json_array_append_new(t->warnings, report_text(text)) == 0 ? SPOOR_OK
                                                                      : error_memory(err, "writing distances");
}

static spoor_status begin(table *t, const float *x, const size_t *rows, size_t n, size_t dim, spoor_error *err) {
    TRY(frechet_fit_new(t->ctx, x, rows, n, dim, t->o->shrinkage, &t->reference, err));
    t->root = json_object();
    t->warnings = json_array();
    t->pairs = json_array();
    TRY(put(t->root, "warnings", t->warnings, err));
    TRY(put(t->root, "shrinkage", report_text(t->o->shrinkage_name), err));
    TRY(put(t->root, "dim", json_integer((json_int_t)dim), err));
    TRY(put(t->root, "reference",
            json_pack("{s:o, s:I, s:f}", "name", report_text(t->reference_name), "n", (json_int_t)n, "shrinkage",
                      t->reference->shrinkage),
            err));
    TRY(put(t->root, "pairs", t->pairs, err));
    return warn_if_singular(t, t->reference_name, t->reference, err);
}

/* One set against the reference. A single recording has no distance, which is said in its row. */
static spoor_status add(table *t, const char *name, const float *x, const size_t *rows, size_t n, size_t dim,
                        spoor_error *err) {
    frechet_fit *f = NULL;
    double distance = NAN, means = NAN;
    if (n < 2) {
        json_t *row = json_pack("{s:o, s:I, s:n, s:s}", "name", report_text(name), "n", (json_int_t)n, "distance",
                                "reason", "a single recording has no covariance");
        return json_array_append_new(t->pairs, row) == 0 ? SPOOR_OK : error_memory(err, "writing distances");
    }
    TRY(frechet_fit_new(t->ctx, x, rows, n, dim, t->o->shrinkage, &f, err));
    spoor_status status = frechet_distance(t->reference, f, &distance, &means, err);
    if (status == SPOOR_OK) {
        json_t *row = json_pack("{s:o, s:I, s:f, s:f, s:f}", "name", report_text(name), "n", (json_int_t)n, "shrinkage",
                                f->shrinkage, "distance", distance, "of_means", means);
        status = json_array_append_new(t->pairs, row) == 0 ? warn_if_singular(t, name, f, err)
                                                           : error_memory(err, "writing distances");
    }
    frechet_fit_free(f);
    return status;
}

static void print_line(const table *t, const json_t *row) {
    const json_t *distance = json_object_get(row, "distance");
    char *name = report_plain_name(t->ctx, json_string_value(json_object_get(row, "name")));
    printf("%-*s%9lld  %-10.4g", NAME, name != NULL ? name : "?",
           (long long)json_integer_value(json_object_get(row, "n")),
           json_number_value(json_object_get(row, "shrinkage")));
    if (json_is_number(distance)) {
        printf("%13.6g%13.6g", json_number_value(distance), json_number_value(json_object_get(row, "of_means")));
    }
    printf("\n");
    ctx_free(t->ctx, name);
}

static void print_text(const table *t) {
    const json_t *reference = json_object_get(t->root, "reference"), *row;
    size_t i;
    printf("Frechet distance of embeddings of width %lld; shrinkage %s\n",
           (long long)json_integer_value(json_object_get(t->root, "dim")), t->o->shrinkage_name);
    json_array_foreach(t->warnings, i, row) {
        char *plain = report_plain_name(t->ctx, json_string_value(row));
        printf("warning: %s\n", plain != NULL ? plain : "?");
        ctx_free(t->ctx, plain);
    }
    printf("\n%-*s%9s  %-10s%13s%13s\n", NAME, "set", "n", "shrinkage", "distance", "of means");
    print_line(t, reference);
    json_array_foreach(t->pairs, i, row) { print_line(t, row); }
    printf(
        "\nAll distances are to the first row. Small sets seem farther apart than they are, by about as much as 1/n:\n"
        "compare sets of like size.\n");
}

static spoor_status finish(table *t, spoor_error *err) {
    if (t->o->json) {
        return ui_json(t->root, JSON_INDENT(1) | JSON_REAL_PRECISION(9), err);
    }
    print_text(t);
    return ui_flush(err);
}

static void table_clear(table *t) {
    json_decref(t->root);
    frechet_fit_free(t->reference);
}

/* ---- two matrices ------------------------------------------------------------------------------------- */

static spoor_status of_files(const options *o, spoor_context *ctx, spoor_error *err) {
    float *x[2] = {NULL, NULL};
    size_t n[2] = {0, 0}, dim[2] = {0, 0};
    table t = {.ctx = ctx, .o = o, .reference_name = o->inputs[0]};
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; status == SPOOR_OK && i < 2; i++) {
        status = npy_read_f32(ctx, o->inputs[i], NPY_MAX_BYTES, &x[i], &n[i], &dim[i], err);
    }
    if (status == SPOOR_OK && dim[0] != dim[1]) {
        status = error_set(err, SPOOR_ERR_INPUT, "%s has %zu columns, %s %zu: embeddings of one model have the same",
                           o->inputs[0], dim[0], o->inputs[1], dim[1]);
    }
    if (status == SPOOR_OK) {
        status = begin(&t, x[0], NULL, n[0], dim[0], err);
    }
    if (status == SPOOR_OK) {
        status = add(&t, o->inputs[1], x[1], NULL, n[1], dim[1], err);
    }
    if (status == SPOOR_OK) {
        status = finish(&t, err);
    }
    table_clear(&t);
    ctx_free(ctx, x[0]);
    ctx_free(ctx, x[1]);
    return status;
}

/* ---- the recordings of a model ------------------------------------------------------------------------ */

typedef enum kind { ALL_KNOWN, SETTING_KNOWN, UNKNOWN, HUMAN } kind;

typedef struct run_of_model {
    const options *o;
    const cli_corpus *c;
    const score_labels *labels;
    int32_t *split, *setting; /* [n] numbers in order of appearance, -1 = none */
    size_t splits, settings;
    size_t *rows;             /* [n] scratch */
    size_t dim;
    table t;
} run_of_model;

static bool belongs(const run_of_model *r, size_t i, int32_t split, kind k, int32_t setting) {
    const score_label *l = &r->labels->clip[i];
    if (r->c->errors[i].status != SPOOR_OK || r->split[i] != split) {
        return false;
    }
    switch (k) {
    case ALL_KNOWN: return l->is_known == 1;
    case SETTING_KNOWN: return l->is_known == 1 && r->setting[i] == setting;
    case UNKNOWN: return l->is_known == 0;
    case HUMAN: return l->is_bonafide == 1;
    }
    return false;
}

/* Fills r->rows; *name is one of those of the rows. */
static size_t collect(run_of_model *r, int32_t split, kind k, int32_t setting) {
    size_t n = 0;
    for (size_t i = 0; i < r->labels->n; i++) {
        if (belongs(r, i, split, k, setting)) {
            r->rows[n++] = i;
        }
    }
    return n;
}

static spoor_status add_kind(run_of_model *r, int32_t split, kind k, int32_t setting, spoor_error *err) {
    static const char *const words[] = {"known", "known, ", "unknown", "human"};
    size_t n = collect(r, split, k, setting);
    if (n == 0) {
        return SPOOR_OK;
    }
    const score_label *first = &r->labels->clip[r->rows[0]];
    char *name = ctx_printf(r->c->ctx, "%s %s%s", first->split, words[k], k == SETTING_KNOWN ? first->setting : "");
    spoor_status status = name == NULL ? error_memory(err, "naming a set")
                                       : add(&r->t, name, r->c->embedding, r->rows, n, r->dim, err);
    ctx_free(r->c->ctx, name);
    return status;
}

static spoor_status add_split(run_of_model *r, int32_t split, bool is_reference, spoor_error *err) {
    if (!is_reference) {
        TRY(add_kind(r, split, ALL_KNOWN, -1, err));
        for (size_t s = 0; s < r->settings; s++) {
            TRY(add_kind(r, split, SETTING_KNOWN, (int32_t)s, err));
        }
    }
    TRY(add_kind(r, split, UNKNOWN, -1, err));
    return add_kind(r, split, HUMAN, -1, err);
}

static spoor_status add_all(run_of_model *r, spoor_error *err) {
    int32_t reference = -1;
    for (size_t i = 0; i < r->labels->n; i++) {
        if (strcmp(r->labels->clip[i].split, r->o->reference) == 0) {
            reference = r->split[i];
        }
    }
    size_t n = reference < 0 ? 0 : collect(r, reference, ALL_KNOWN, -1);
    if (n < 2) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "split %s has %zu recordings of known sources; --reference names the split that "
                         "the others are set against",
                         r->o->reference, n);
    }
    TRY(begin(&r->t, r->c->embedding, r->rows, n, r->dim, err));
    for (size_t s = 0; s < r->splits; s++) {
        TRY(add_split(r, (int32_t)s, (int32_t)s == reference, err));
    }
    return finish(&r->t, err);
}

static spoor_status number(run_of_model *r, const char **text, spoor_error *err) {
    for (size_t i = 0; i < r->labels->n; i++) {
        text[i] = r->labels->clip[i].split;
    }
    TRY(labels_number(r->c->ctx, text, r->labels->n, r->split, &r->splits, err));
    for (size_t i = 0; i < r->labels->n; i++) {
        text[i] = r->labels->clip[i].setting;
    }
    return labels_number(r->c->ctx, text, r->labels->n, r->setting, &r->settings, err);
}

static spoor_status of_rows(const options *o, const cli_corpus *c, const spoor_model *m, const score_labels *labels,
                            spoor_error *err) {
    spoor_context *ctx = c->ctx;
    char *name = ctx_printf(ctx, "%s known", o->reference);
    const char **text = ctx_alloc(ctx, c->n, sizeof *text);
    run_of_model r = {.o = o, .c = c, .labels = labels, .split = ctx_alloc(ctx, c->n, sizeof *r.split),
                      .setting = ctx_alloc(ctx, c->n, sizeof *r.setting), .rows = ctx_alloc(ctx, c->n, sizeof *r.rows),
                      .dim = (size_t)net_embedding_size(m->net), .t = {.ctx = ctx, .o = o, .reference_name = name}};
    spoor_status status = name == NULL || text == NULL || r.split == NULL || r.setting == NULL || r.rows == NULL
                              ? error_memory(err, "sorting recordings")
                              : number(&r, text, err);
    if (status == SPOOR_OK) {
        status = add_all(&r, err);
    }
    table_clear(&r.t);
    ctx_free(ctx, r.split);
    ctx_free(ctx, r.setting);
    ctx_free(ctx, r.rows);
    ctx_free(ctx, text);
    ctx_free(ctx, name);
    return status;
}

static spoor_status of_corpus(const options *o, spoor_context *ctx, spoor_model *m, cli_corpus *c, spoor_error *err) {
    score_labels *labels = NULL;
    const json_t *spec = json_object_get(json_object_get(m->meta, "provenance"), "labels");
    TRY(cli_corpus_read(ctx, &o->corpus, c, err));
    TRY(cli_corpus_score(c, m, &o->corpus, err));
    TRY(score_labels_new(ctx, m, c->manifest, c->rows, c->n, spec, &labels, err));
    spoor_status status = of_rows(o, c, m, labels, err);
    score_labels_free(labels);
    if (status == SPOOR_OK && c->failed > 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be embedded", c->failed, c->n);
    }
    return status;
}

static spoor_status of_model(const options *o, spoor_context *ctx, spoor_error *err) {
    spoor_model *m;
    cli_corpus c = {0};
    TRY(spoor_model_open_with(ctx, o->inputs[0], &o->open, &m, err));
    spoor_status status = of_corpus(o, ctx, m, &c, err);
    cli_corpus_clear(&c);
    spoor_model_free(m);
    return status;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    const options *o = user;
    return o->corpus.n_manifests > 0 ? of_model(o, ctx, err) : of_files(o, ctx, err);
}

int cli_frechet(int argc, char **argv) {
    options o = {.reference = "train", .shrinkage_name = "none"};
    return ui_command(&ARGP, argc, argv, &o, run);
}
