/* verify.c: `spoor verify A B`: are two recordings from one source? Lists of pairs: verify_pairs.c; the calibration of
 * a
 * model: verify_calibrate.c. */
#include "cli/verify.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/ui.h"
#include "model/compare.h"
#include "report/json.h"
#include "report/text.h"
#include "trace/trace.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_PAIRS = 256, KEY_CALIBRATE, KEY_JSON, KEY_PRECISION, KEY_RATE, KEY_PRIOR, KEY_SHRINKAGE };

static const struct argp_option OPTIONS[] = {
    {"model", 'm', "FILE", 0, "model file (default: $SPOOR_MODEL, then the installed one)", 1},
    {"json", KEY_JSON, NULL, 0, "say it as one JSON object (docs/enroll.md)", 1},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     1},
    {"pairs", KEY_PAIRS, "LIST", 0, "every pair of a list: path_A,model_name_A,path_B,model_name_B,same_model", 2},
    {"out", 'o', "FILE", 0, "with --pairs: scores, one pair a line; with --calibrate: the new model", 2},
    {"calibrate", KEY_CALIBRATE, NULL, 0, "fit on the splits train and dev of --manifest, and write the model", 3},
    {"false-acceptance", KEY_RATE, "SHARE", 0, "of known recordings that may get an enrolled name (default: 0.05)", 3},
    {"prior", KEY_PRIOR, "P", 0, "of the same source, at which probabilities are stated (default: 0.5)", 3},
    {"shrinkage", KEY_SHRINKAGE, "S", 0, "of the covariance within sources, 0 to 1 (default: 0.6)", 3},
    {0}};

static double share(const char *arg, bool closed, const struct argp_state *state) {
    char *end;
    double x = strtod(arg, &end);
    if (end == arg || *end != '\0' || !(closed ? x >= 0 && x <= 1 : x > 0 && x < 1)) {
        argp_error(state, "%s is not a number between 0 and 1", arg);
    }
    return x;
}

static void check(const verify_options *o, const struct argp_state *state) {
    if ((o->a != NULL) + o->pairs + o->calibrate != 1) {
        argp_error(state, "name two recordings, or give --pairs, or --calibrate");
    }
    if (o->a != NULL && (o->b == NULL || o->corpus.n_manifests > 0)) {
        argp_error(state, "name two recordings");
    }
    if (o->calibrate && (o->corpus.n_manifests == 0 || o->out == NULL || o->corpus.split != NULL)) {
        argp_error(state, "--calibrate needs --manifest with the splits train and dev, and --out");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    verify_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus; return 0;
    case 'm': o->model = arg; return 0;
    case 'o': o->out = arg; return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case KEY_PAIRS:
        o->pairs = true;
        cli_corpus_manifest(&o->corpus, arg, state);
        return 0;
    case KEY_CALIBRATE: o->calibrate = true; return 0;
    case KEY_RATE: o->false_acceptance = share(arg, false, state); return 0;
    case KEY_PRIOR: o->prior = share(arg, false, state); return 0;
    case KEY_SHRINKAGE: o->shrinkage = share(arg, true, state); return 0;
    case ARGP_KEY_ARG:
        if (o->b != NULL) {
            argp_error(state, "name two recordings");
        }
        *(o->a == NULL ? &o->a : &o->b) = arg;
        return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 4}, {0}};
static const struct argp ARGP = {
    OPTIONS, parse, "A B\n--pairs LIST\n--calibrate --manifest CSV --out MODEL",
    "Say whether two recordings are from the same source, as a log-likelihood ratio.\v"
    "A model that is not calibrated for that gives the cosine of the two embeddings alone.",
    CHILDREN, NULL, NULL};

json_t *cli_verify_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

spoor_status cli_verify_print(json_t *object, spoor_error *err) {
    spoor_status status = ui_json(object, JSON_COMPACT | JSON_REAL_PRECISION(9), err);
    json_decref(object);
    return status;
}

/* ---- two recordings ---- */

static spoor_status unit_of(spoor_session *s, const spoor_model *m, const char *path, double *u, spoor_error *err) {
    spoor_audio *audio = NULL;
    spoor_result *r = NULL;
    spoor_status status = spoor_audio_open(m->ctx, path, NULL, &audio, err);
    if (status != SPOOR_OK) {
        cli_files_explain(path, err);
        return status;
    }
    status = spoor_trace(s, audio, NULL, &r, err);
    if (status == SPOOR_OK && r->verdict == SPOOR_NOT_ASSESSABLE) {
        status = error_set(err, SPOOR_ERR_INPUT, "%.300s: not assessable: %s", path, r->reason);
    }
    if (status == SPOOR_OK) {
        status = verify_unit(model_space(m), r->embedding, (size_t)net_embedding_size(m->net), u, err);
    }
    spoor_result_free(r);
    spoor_audio_free(audio);
    return status;
}

static void print_text(const verify_options *o, const spoor_model *m, double cosine, double llr) {
    char *a = report_plain_name(m->ctx, o->a), *b = report_plain_name(m->ctx, o->b);
    printf("%s and %s\n", a ? a : "?", b ? b : "?");
    ctx_free(m->ctx, a);
    ctx_free(m->ctx, b);
    if (isnan(llr)) {
        printf("  not calibrated: this model gives no log-likelihood ratio (spoor verify --calibrate makes one that "
               "does)\n");
    } else {
        printf("  same source: log-likelihood ratio %+.2f (natural log, higher = more like one source), probability "
               "%.0f %% at a prior of %.2g\n",
               llr, 100 * calibrate_logistic_p(&m->verify.pair, cosine), m->verify.pair.prior);
    }
    printf("  cosine %.3f%s\n", cosine, model_space(m) ? " (whitened)" : "");
}

static spoor_status compare(const verify_options *o, spoor_model *m, spoor_error *err) {
    size_t dim = (size_t)net_embedding_size(m->net);
    double *u = ctx_alloc(m->ctx, dim, 2 * sizeof *u);
    spoor_session *s = NULL;
    spoor_status status = u ? spoor_session_new(m, &s, err) : error_memory(err, "comparing recordings");
    if (status == SPOOR_OK) {
        status = unit_of(s, m, o->a, u, err);
    }
    if (status == SPOOR_OK) {
        status = unit_of(s, m, o->b, u + dim, err);
    }
    if (status == SPOOR_OK) {
        double cosine = verify_dot(u, u + dim, dim), llr = verify_pair_llr(&m->verify, cosine);
        double p = isnan(llr) ? NAN : calibrate_logistic_p(&m->verify.pair, cosine);
        if (o->json) {
            status = cli_verify_print(
                json_pack("{s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:{s:o, s:s}}", "a", report_text(o->a), "b",
                          report_text(o->b), "cosine", cli_verify_number(cosine), "whitened", model_space(m) != NULL,
                          "calibrated", m->verify.calibrated, "llr", cli_verify_number(llr), "p", cli_verify_number(p),
                          "prior", isnan(llr) ? json_null() : json_real(m->verify.pair.prior), "model", "name",
                          report_text(m->name), "sha256", m->sha256),
                err);
        } else {
            print_text(o, m, cosine, llr);
            status = ui_flush(err);
        }
    }
    spoor_session_free(s);
    ctx_free(m->ctx, u);
    return status;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    const verify_options *o = user;
    if (o->calibrate) {
        return cli_verify_calibrate(o, ctx, err);
    }
    spoor_model *m;
    TRY(spoor_model_open_with(ctx, o->model, &o->open, &m, err));
    spoor_status status = o->pairs ? cli_verify_pairs(o, m, err) : compare(o, m, err);
    spoor_model_free(m);
    return status;
}

int cli_verify(int argc, char **argv) {
    verify_options o = {.false_acceptance = 0.05, .prior = 0.5, .shrinkage = 0.6};
    spoor_model_options_init(&o.open);
    return ui_command(&ARGP, argc, argv, &o, run);
}
