/* enrolled.c: see enrolled.h. */
#include "trace/enrolled.h"
#include "model/compare.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENDING ".safetensors"
#define GALLERY_ENDING ".gallery.safetensors"

char *enrolled_default_path(const spoor_model *m) {
    const char *set = getenv("SPOOR_GALLERY"), *path = m->path == NULL ? "" : m->path;
    if (set != NULL && set[0] != '\0') {
        return ctx_strdup(m->ctx, set);
    }
    size_t n = strlen(path), ending = strlen(ENDING);
    bool ends = n > ending && strcmp(path + n - ending, ENDING) == 0;
    return ctx_printf(m->ctx, "%.*s%s", (int)(ends ? n - ending : n), path, GALLERY_ENDING);
}

static spoor_status take_centroids(spoor_gallery *g, spoor_error *err) {
    size_t dim = g->file->dim;
    double *u = ctx_alloc(g->ctx, VERIFY_MAX_FILES, dim * sizeof *u);
    g->centroid = ctx_alloc(g->ctx, g->file->n, dim * sizeof *g->centroid);
    spoor_status status = u == NULL || g->centroid == NULL ? error_memory(err, "opening a gallery") : SPOOR_OK;
    for (size_t i = 0; i < g->file->n && status == SPOOR_OK; i++) {
        const gallery_source *s = &g->file->source[i];
        for (size_t k = 0; k < s->n && status == SPOOR_OK; k++) {
            status = verify_unit(g->space, s->embedding + k * dim, dim, u + k * dim, err);
        }
        if (status == SPOOR_OK) {
            verify_centroid(u, s->n, dim, g->centroid + i * dim);
        }
    }
    ctx_free(g->ctx, u);
    return status;
}

/* A source that the model knows needs no enrolment, and two sources of one name could not be told apart in an
 * answer. */
static spoor_status check_names(const spoor_gallery *g, spoor_error *err) {
    const spoor_model *m = g->model;
    size_t task = model_find_task(m, "source");
    for (size_t c = 0; task != SIZE_MAX && c < m->tasks[task].n_classes; c++) {
        if (gallery_find(g->file, m->tasks[task].classes[c]) != SIZE_MAX) {
            return error_set(err, SPOOR_ERR_INPUT, "the gallery %.200s: the model knows a source called %.200s "
                                                   "already", g->path,
                             m->tasks[task].classes[c]);
        }
    }
    return SPOOR_OK;
}

spoor_status enrolled_new(const spoor_model *m, gallery *file, const char *path, spoor_gallery **out,
                          spoor_error *err) {
    *out = NULL;
    spoor_gallery *g = ctx_calloc(m->ctx, 1, sizeof *g);
    if (g == NULL) {
        gallery_free(file);
        return error_memory(err, "opening a gallery");
    }
    *g = (spoor_gallery){
        .ctx = m->ctx, .model = m, .space = model_space(m), .file = file, .path = ctx_strdup(m->ctx, path)};
    spoor_status status = g->path == NULL ? error_memory(err, "opening a gallery") : SPOOR_OK;
    if (status == SPOOR_OK) {
        status = gallery_check_model(file, path, m->sha256, (size_t)net_embedding_size(m->net), err);
    }
    if (status == SPOOR_OK) {
        status = check_names(g, err);
    }
    if (status == SPOOR_OK) {
        status = take_centroids(g, err);
    }
    if (status != SPOOR_OK) {
        spoor_gallery_free(g);
        return status;
    }
    *out = g;
    return SPOOR_OK;
}

spoor_status spoor_gallery_open(const spoor_model *m, const char *path, spoor_gallery **out, spoor_error *err) {
    *out = NULL;
    const char *set = getenv("SPOOR_GALLERY");
    char *own = path == NULL ? enrolled_default_path(m) : NULL;
    if (path == NULL && own == NULL) {
        return error_memory(err, "opening a gallery");
    }
    if (path == NULL && (set == NULL || set[0] == '\0') && access(own, F_OK) != 0) {
        ctx_free(m->ctx, own); /* nothing is enrolled */
        return SPOOR_OK;
    }
    gallery *file;
    spoor_status status = gallery_open(m->ctx, path == NULL ? own : path, &file, err);
    if (status == SPOOR_OK) {
        status = enrolled_new(m, file, path == NULL ? own : path, out, err);
    }
    ctx_free(m->ctx, own);
    return status;
}

void spoor_gallery_free(spoor_gallery *g) {
    if (g != NULL) {
        gallery_free(g->file);
        ctx_free(g->ctx, g->centroid);
        ctx_free(g->ctx, g->path);
        ctx_free(g->ctx, g);
    }
}

size_t spoor_gallery_size(const spoor_gallery *g) { return g->file->n; }
const char *spoor_gallery_name(const spoor_gallery *g, size_t i) {
    return i < g->file->n ? g->file->source[i].name : NULL;
}

static int better(const void *a, const void *b) {
    const spoor_enrolled *x = a, *y = b;
    if (!isnan(x->llr) && !isnan(y->llr) && x->llr != y->llr) {
        return x->llr < y->llr ? 1 : -1;
    }
    if (x->score != y->score) {
        return x->score < y->score ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

spoor_status enrolled_rank(const spoor_gallery *g, const float *embedding, spoor_enrolled *out, double *known,
                           spoor_error *err) {
    const verify *v = &g->model->verify;
    size_t dim = g->file->dim;
    double *u = ctx_alloc(g->ctx, dim, sizeof *u);
    spoor_status status = u == NULL ? error_memory(err, "comparing with enrolled sources")
                                    : verify_unit(g->space, embedding, dim, u, err);
    if (status == SPOOR_OK) {
        *known = verify_known(g->space, u);
        for (size_t i = 0; i < g->file->n; i++) {
            const gallery_source *s = &g->file->source[i];
            double score = verify_enrolled_score(verify_dot(u, g->centroid + i * dim, dim), *known);
            out[i] = (spoor_enrolled){.name = s->name, .files = s->n, .score = score,
                                      .threshold = verify_threshold(v, g->space != NULL, s->n, g->file->n),
                                      .llr = verify_enrolled_llr(v, s->n, score)};
        }
        qsort(out, g->file->n, sizeof *out, better);
    }
    ctx_free(g->ctx, u);
    return status;
}
