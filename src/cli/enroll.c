/* enroll.c: `spoor enroll NAME FILE...`: a new source without training; `--list` and `--remove`. */
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/ui.h"
#include "report/json.h"
#include "trace/enrolled.h"
#include "trace/session.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_GALLERY = 256, KEY_LIST, KEY_REMOVE, KEY_JSON, KEY_PRECISION };

typedef struct options {
    const char *model, *gallery, *remove, *name;
    bool list, json;
    spoor_model_options open;
    char **files;
    size_t n_files;
} options;

static const struct argp_option OPTIONS[] = {
    {"model", 'm', "FILE", 0, "model file (default: $SPOOR_MODEL, then the installed one)", 0},
    {"gallery", KEY_GALLERY, "FILE", 0,
     "where enrolled sources are kept (default: $SPOOR_GALLERY, then MODEL.gallery.safetensors beside "
     "MODEL.safetensors)", 0},
    {"list", KEY_LIST, NULL, 0, "list the enrolled sources", 0},
    {"remove", KEY_REMOVE, "NAME", 0, "forget a source", 0},
    {"json", KEY_JSON, NULL, 0, "say it as one JSON object (docs/enroll.md)", 0},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case 'm': o->model = arg; return 0;
    case KEY_GALLERY: o->gallery = arg; return 0;
    case KEY_LIST: o->list = true; return 0;
    case KEY_REMOVE: o->remove = arg; return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case ARGP_KEY_ARGS:
        o->name = state->argv[state->next];
        o->files = state->argv + state->next + 1;
        o->n_files = (size_t)(state->argc - state->next - 1);
        return 0;
    case ARGP_KEY_END:
        if ((o->list + (o->remove != NULL) + (o->name != NULL)) != 1) {
            argp_error(state, "give a name and recordings, or --list, or --remove");
        }
        if (o->name != NULL && o->n_files == 0) {
            argp_error(state, "name at least one recording of \"%s\"", o->name);
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {
    OPTIONS, parse, "NAME FILE...\n--list\n--remove NAME",
    "Enroll a source by 1 to 50 of its recordings, without training: spoor trace then names it.\v"
    "FILE is a recording or a folder. A source that is enrolled already gets the new recordings besides. Exit code 2: "
    "some recordings could not be used; the others were enrolled.",
    NULL, NULL, NULL};

/* ---- what is said about a source that was enrolled ---- */

typedef struct summary {
    const char *name;
    size_t added, files;        /* now, and in all */
    double within, least;       /* cosine of a file to the centroid of the others: mean, least; NAN: one file */
    const char *nearest;        /* enrolled source; NULL: there is no other */
    double nearest_cosine;      /* of the centroids */
    size_t taken;               /* files that would be taken for `nearest` */
    const char *known;          /* known source that most of the new files would be taken for; NULL: none */
    size_t known_files, human_files; /* new files for which that is the answer; that are called human speech */
} summary;

static spoor_status within_source(const spoor_gallery *g, const gallery_source *s, const double *u, summary *out,
                                  spoor_error *err) {
    size_t dim = g->file->dim;
    double *others = ctx_alloc(g->ctx, s->n, dim * sizeof *others), *c = ctx_alloc(g->ctx, dim, sizeof *c);
    spoor_status status = others && c ? SPOOR_OK : error_memory(err, "comparing recordings");
    out->within = out->least = NAN;
    for (size_t i = 0; status == SPOOR_OK && s->n > 1 && i < s->n; i++) {
        memcpy(others, u, i * dim * sizeof *u);
        memcpy(others + i * dim, u + (i + 1) * dim, (s->n - 1 - i) * dim * sizeof *u);
        verify_centroid(others, s->n - 1, dim, c);
        double cosine = verify_dot(u + i * dim, c, dim);
        out->within = (i == 0 ? 0 : out->within) + cosine / (double)s->n;
        out->least = i == 0 || cosine < out->least ? cosine : out->least;
    }
    ctx_free(g->ctx, others);
    ctx_free(g->ctx, c);
    return status;
}

static void nearest_enrolled(const spoor_gallery *g, size_t at, const double *u, summary *out) {
    size_t dim = g->file->dim, best = SIZE_MAX;
    for (size_t i = 0; i < g->file->n; i++) {
        double cosine = verify_dot(g->centroid + at * dim, g->centroid + i * dim, dim);
        if (i != at && (best == SIZE_MAX || cosine > out->nearest_cosine)) {
            best = i;
            out->nearest_cosine = cosine;
        }
    }
    for (size_t k = 0; best != SIZE_MAX && k < g->file->source[at].n; k++) {
        const gallery_source *s = &g->file->source[best];
        double cosine = verify_dot(u + k * dim, g->centroid + best * dim, dim);
        double score = verify_enrolled_score(cosine, verify_known(g->space, u + k * dim));
        out->taken += score >= verify_threshold(&g->model->verify, g->space != NULL, s->n, g->file->n);
    }
    out->nearest = best == SIZE_MAX ? NULL : g->file->source[best].name;
}

/* What the model says of the new recordings without enrolment. */
static spoor_status model_opinion(const spoor_model *m, spoor_result *const *result, size_t n, summary *out,
                                  spoor_error *err) {
    size_t classes = m->known_task == SIZE_MAX ? 0 : m->tasks[m->known_task].n_classes;
    size_t *count = ctx_calloc(m->ctx, classes, sizeof *count);
    if (count == NULL) {
        return error_memory(err, "comparing recordings");
    }
    for (size_t i = 0; i < n; i++) {
        out->human_files += result[i]->verdict == SPOOR_BONAFIDE;
        size_t ranked;
        const spoor_class *best = spoor_result_ranked(result[i], "source", &ranked);
        for (size_t c = 0; result[i]->verdict == SPOOR_KNOWN && ranked > 0 && c < classes; c++) {
            if (m->tasks[m->known_task].classes[c] == best->name && 2 * ++count[c] > n) {
                out->known = best->name;
                out->known_files = count[c];
            }
        }
    }
    ctx_free(m->ctx, count);
    return SPOOR_OK;
}

static spoor_status summarise(const spoor_gallery *g, spoor_result *const *result, size_t n, summary *out,
                              spoor_error *err) {
    size_t at = gallery_find(g->file, out->name), dim = g->file->dim;
    const gallery_source *s = &g->file->source[at];
    double *u = ctx_alloc(g->ctx, s->n, dim * sizeof *u);
    spoor_status status = u ? SPOOR_OK : error_memory(err, "comparing recordings");
    out->files = s->n;
    for (size_t i = 0; status == SPOOR_OK && i < s->n; i++) {
        status = verify_unit(g->space, s->embedding + i * dim, dim, u + i * dim, err);
    }
    if (status == SPOOR_OK) {
        status = within_source(g, s, u, out, err);
    }
    if (status == SPOOR_OK) {
        nearest_enrolled(g, at, u, out);
        status = model_opinion(g->model, result, n, out, err);
    }
    ctx_free(g->ctx, u);
    return status;
}

/* ---- saying it ---- */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static spoor_status print_json(json_t *object, spoor_error *err) {
    spoor_status status = ui_json(object, JSON_COMPACT | JSON_REAL_PRECISION(9), err);
    json_decref(object);
    return status;
}

static json_t *summary_json(const summary *s, const spoor_gallery *g) {
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:I, s:I}", "gallery",
                     report_text(g->path), "name", report_text(s->name), "added", (json_int_t)s->added, "files",
                     (json_int_t)s->files, "sources", (json_int_t)g->file->n, "within", number(s->within),
                     "within_least", number(s->least), "nearest", s->nearest ? report_text(s->nearest) : json_null(),
                     "nearest_cosine", s->nearest ? number(s->nearest_cosine) : json_null(), "taken_for_nearest",
                     (json_int_t)s->taken, "known", s->known ? report_text(s->known) : json_null(), "taken_for_known",
                     (json_int_t)s->known_files, "called_human", (json_int_t)s->human_files);
}

static void print_summary(const summary *s, const spoor_gallery *g, size_t used) {
    printf("%s: %zu recording%s added, %zu in all; %zu source%s in %s\n", s->name, s->added, s->added == 1 ? "" : "s",
           s->files, g->file->n, g->file->n == 1 ? "" : "s", g->path);
    if (isfinite(s->within)) {
        printf("  similarity within: %.3f, least %.3f (cosine of a recording to the centre of the others%s)\n",
               s->within, s->least, g->space ? ", whitened" : "");
    }
    if (s->nearest) {
        printf("  nearest enrolled source: %s, cosine %.3f\n", s->nearest, s->nearest_cosine);
    }
    if (s->taken > 0) {
        printf("  warning: %zu of %zu recordings would be taken for %s; the two cannot be told apart well\n", s->taken,
               s->files, s->nearest);
    }
    if (s->known) {
        printf("  warning: without enrolment the model takes %zu of %zu for the known source %s\n", s->known_files,
               used, s->known);
    }
    if (s->human_files > 0) {
        printf("  warning: the model calls %zu of %zu human speech; trace says so of such recordings and names no "
               "source\n",
               s->human_files, used);
    }
}

static spoor_status list(const spoor_gallery *g, bool json, spoor_error *err) {
    json_t *sources = json ? json_array() : NULL;
    for (size_t i = 0; i < g->file->n; i++) {
        const gallery_source *s = &g->file->source[i];
        if (json) {
            (void)json_array_append_new(
                sources, json_pack("{s:o, s:I}", "name", report_text(s->name), "files", (json_int_t)s->n));
        } else {
            printf("%s  %zu recording%s\n", s->name, s->n, s->n == 1 ? "" : "s");
        }
    }
    if (json) {
        return print_json(
            json_pack("{s:o, s:s, s:o}", "gallery", report_text(g->path), "model", g->file->model, "sources", sources),
            err);
    }
    if (g->file->n == 0) {
        printf("nothing is enrolled in %s\n", g->path);
    }
    return ui_flush(err);
}

/* ---- the command ---- */

typedef struct recordings {
    cli_files files;
    spoor_result *result[VERIFY_MAX_FILES]; /* [n] of those that can be used */
    gallery_hash hash[VERIFY_MAX_FILES];
    float *embedding; /* [n, E] */
    size_t n;
} recordings;

static void clear(recordings *r) {
    for (size_t i = 0; i < r->n; i++) {
        spoor_result_free(r->result[i]);
    }
    ctx_free(r->files.ctx, r->embedding);
    cli_files_clear(&r->files);
}

/* One recording through the model, without a gallery; *out is NULL where it cannot be used, which is said. */
static spoor_status trace_one(spoor_session *s, const char *path, spoor_result **out, spoor_error *err) {
    spoor_audio *audio = NULL;
    spoor_error why = {0};
    *out = NULL;
    TRY(ctx_check_cancel(s->ctx, err));
    spoor_status status = spoor_audio_open(s->ctx, path, NULL, &audio, &why);
    if (status != SPOOR_OK) {
        cli_files_explain(path, &why);
    } else {
        status = spoor_trace(s, audio, NULL, out, &why);
    }
    spoor_audio_free(audio);
    if (status == SPOOR_OK && (*out)->verdict == SPOOR_NOT_ASSESSABLE) {
        status = error_set(&why, SPOOR_ERR_INPUT, "%.300s: not assessable: %s", path, (*out)->reason);
        spoor_result_free(*out);
        *out = NULL;
    }
    if (status == SPOOR_ERR_INPUT || status == SPOOR_ERR_IO) {
        ui_error(&why);
        return SPOOR_OK;
    }
    return status == SPOOR_OK ? SPOOR_OK : error_set(err, status, "%s", why.message);
}

static spoor_status trace_files(const options *o, spoor_model *m, recordings *r, spoor_error *err) {
    size_t dim = (size_t)net_embedding_size(m->net);
    spoor_session *s;
    for (size_t i = 0; i < o->n_files; i++) {
        if (strcmp(o->files[i], "-") == 0) {
            return error_set(err, SPOOR_ERR_USAGE, "recordings to enroll must be files, not standard input");
        }
        TRY(cli_files_add(&r->files, o->files[i], err));
    }
    if (r->files.n > VERIFY_MAX_FILES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%zu recordings of %.100s; a source has 1 to %d", r->files.n, o->name,
                         VERIFY_MAX_FILES);
    }
    r->embedding = ctx_alloc(m->ctx, r->files.n, dim * sizeof *r->embedding);
    if (r->embedding == NULL) {
        return error_memory(err, "enrolling a source");
    }
    TRY(spoor_session_new(m, &s, err));
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; i < r->files.n && status == SPOOR_OK; i++) {
        spoor_result *result;
        status = trace_one(s, r->files.paths[i], &result, err);
        if (status == SPOOR_OK && result != NULL) {
            memcpy(r->embedding + r->n * dim, result->embedding, dim * sizeof *r->embedding);
            memcpy(r->hash[r->n], result->sha256, sizeof *r->hash);
            r->result[r->n++] = result;
        }
        ctx_progress(m->ctx, i + 1, r->files.n);
    }
    spoor_session_free(s);
    if (status == SPOOR_OK && r->n == 0) {
        return error_set(err, SPOOR_ERR_INPUT, "none of the recordings could be used; nothing was enrolled");
    }
    return status;
}

/* `file`, which this owns, with the new recordings; said only once it is written. */
static spoor_status add(const options *o, spoor_model *m, gallery *file, const char *path, recordings *r,
                        spoor_gallery **g, spoor_error *err) {
    summary s = {.name = o->name};
    spoor_status status = trace_files(o, m, r, err);
    if (status == SPOOR_OK) {
        status = gallery_add(file, o->name, (const gallery_hash *)r->hash, r->embedding, r->n, &s.added, err);
    }
    if (status != SPOOR_OK) {
        gallery_free(file);
        return status;
    }
    TRY(enrolled_new(m, file, path, g, err));
    TRY(summarise(*g, r->result, r->n, &s, err));
    TRY(gallery_save((*g)->file, path, err));
    if (o->json) {
        TRY(print_json(summary_json(&s, *g), err));
    } else {
        print_summary(&s, *g, r->n);
        TRY(ui_flush(err));
    }
    return r->n == r->files.n ? SPOOR_OK
                              : error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be used; the others "
                                                                "were enrolled",
                                          r->files.n - r->n, r->files.n);
}

static spoor_status change(const options *o, spoor_model *m, const char *path, spoor_gallery **g, spoor_error *err) {
    gallery *file;
    TRY(o->name == NULL ? SPOOR_OK : gallery_check_name(o->name, err));
    bool there = access(path, F_OK) == 0;
    if (!there && o->gallery != NULL && o->name == NULL) {
        return error_set(err, SPOOR_ERR_IO, "there is no gallery %.300s", path);
    }
    TRY(there ? gallery_open(m->ctx, path, &file, err)
              : gallery_new(m->ctx, m->sha256, (size_t)net_embedding_size(m->net), &file, err));
    spoor_status status = gallery_check_model(file, path, m->sha256, (size_t)net_embedding_size(m->net), err);
    if (status == SPOOR_OK && o->remove != NULL) {
        status = gallery_remove(file, o->remove, err);
    }
    if (status != SPOOR_OK) {
        gallery_free(file);
        return status;
    }
    if (o->name != NULL) {
        recordings *r = ctx_calloc(m->ctx, 1, sizeof *r);
        if (r == NULL) {
            gallery_free(file);
            return error_memory(err, "enrolling a source");
        }
        cli_files_init(&r->files, m->ctx);
        status = add(o, m, file, path, r, g, err);
        clear(r);
        ctx_free(m->ctx, r);
        return status;
    }
    TRY(enrolled_new(m, file, path, g, err));
    if (o->remove != NULL) {
        TRY(gallery_save((*g)->file, path, err));
    }
    return list(*g, o->json, err);
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    const options *o = user;
    spoor_model *m;
    spoor_gallery *g = NULL;
    TRY(spoor_model_open_with(ctx, o->model, &o->open, &m, err));
    char *path = o->gallery ? ctx_strdup(ctx, o->gallery) : enrolled_default_path(m);
    spoor_status status = path ? change(o, m, path, &g, err) : error_memory(err, "opening a gallery");
    spoor_gallery_free(g);
    ctx_free(ctx, path);
    spoor_model_free(m);
    return status;
}

int cli_enroll(int argc, char **argv) {
    options o = {0};
    spoor_model_options_init(&o.open);
    return ui_command(&ARGP, argc, argv, &o, run);
}
