/* gallery.c: see gallery.h. */
#include "openset/gallery.h"
#include "base/io.h"
#include "base/text.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, TENSOR_NAME = 32 };

static bool is_hash(const char *s) {
    return s != NULL && strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

spoor_status gallery_new(spoor_context *ctx, const char *model_sha256, size_t dim, gallery **out, spoor_error *err) {
    *out = NULL;
    if (!is_hash(model_sha256) || dim < 1 || dim > GALLERY_MAX_DIM) {
        return error_set(err, SPOOR_ERR_USAGE, "a gallery needs the hash of a model and embeddings of 1 to %d numbers",
                         GALLERY_MAX_DIM);
    }
    gallery *g = ctx_calloc(ctx, 1, sizeof *g);
    if (g == NULL) {
        return error_memory(err, "making a gallery");
    }
    g->ctx = ctx;
    g->dim = dim;
    memcpy(g->model, model_sha256, sizeof g->model);
    *out = g;
    return SPOOR_OK;
}

static void clear_source(spoor_context *ctx, gallery_source *s) {
    ctx_free(ctx, s->name);
    ctx_free(ctx, s->file);
    ctx_free(ctx, s->embedding);
    *s = (gallery_source){0};
}

void gallery_free(gallery *g) {
    if (g != NULL) {
        for (size_t i = 0; i < g->n; i++) {
            clear_source(g->ctx, &g->source[i]);
        }
        ctx_free(g->ctx, g->source);
        ctx_free(g->ctx, g);
    }
}

/* ---- changing ---- */

spoor_status gallery_check_name(const char *name, spoor_error *err) {
    size_t n = strlen(name);
    if (n < 1 || n > GALLERY_MAX_NAME || !text_is_plain(name) || name[0] == ' ' || name[n - 1] == ' ') {
        return error_set(err, SPOOR_ERR_USAGE,
                         "the name of a source must be 1 to %d bytes of UTF-8 without control characters and without "
                         "blanks at its ends",
                         GALLERY_MAX_NAME);
    }
    if (strcmp(name, "bonafide") == 0 || strcmp(name, "human") == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "a source cannot be called \"%s\", which is what human speech is "
                                               "called", name);
    }
    return SPOOR_OK;
}

size_t gallery_find(const gallery *g, const char *name) {
    size_t i = 0;
    while (i < g->n && strcmp(g->source[i].name, name) != 0) {
        i++;
    }
    return i < g->n ? i : SIZE_MAX;
}

static bool has_file(const gallery_source *s, const char *hash) {
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->file[i], hash) == 0) {
            return true;
        }
    }
    return false;
}

static size_t rows_of(const gallery *g) {
    size_t rows = 0;
    for (size_t i = 0; i < g->n; i++) {
        rows += g->source[i].n;
    }
    return rows;
}

/* s becomes old (NULL: nothing) and those of the n recordings that are not in it yet. */
static spoor_status join(const gallery *g, const gallery_source *old, const char *name, const gallery_hash *file,
                         const float *embedding, size_t n, gallery_source *s, spoor_error *err) {
    size_t before = old == NULL ? 0 : old->n, room = before + n, row = g->dim * sizeof *embedding;
    *s = (gallery_source){.name = ctx_strdup(g->ctx, name), .file = ctx_alloc(g->ctx, room, sizeof *s->file),
                          .embedding = ctx_alloc(g->ctx, room, row)};
    if (s->name == NULL || s->file == NULL || s->embedding == NULL) {
        return error_memory(err, "enrolling a source");
    }
    if (before > 0) {
        memcpy(s->file, old->file, before * sizeof *s->file);
        memcpy(s->embedding, old->embedding, before * row);
        s->n = before;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_hash(file[i])) {
            return error_set(err, SPOOR_ERR_USAGE, "recording %zu has no hash", i + 1);
        }
        for (size_t k = 0; k < g->dim; k++) {
            if (!isfinite(embedding[i * g->dim + k])) {
                return error_set(err, SPOOR_ERR_INPUT, "the embedding of recording %zu is not finite", i + 1);
            }
        }
        if (!has_file(s, file[i])) {
            memcpy(s->file[s->n], file[i], sizeof *s->file);
            memcpy(s->embedding + s->n++ * g->dim, embedding + i * g->dim, row);
        }
    }
    return SPOOR_OK;
}

static spoor_status check_room(const gallery *g, const gallery_source *s, size_t before, bool is_new,
                               spoor_error *err) {
    if (s->n > VERIFY_MAX_FILES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%.100s would have %zu recordings; a source has at most %d", s->name,
                         s->n, VERIFY_MAX_FILES);
    }
    if ((is_new && g->n >= GALLERY_MAX_SOURCES) || rows_of(g) - before + s->n > GALLERY_MAX_ROWS) {
        return error_set(err, SPOOR_ERR_LIMIT, "a gallery holds at most %d sources and %d recordings",
                         GALLERY_MAX_SOURCES, GALLERY_MAX_ROWS);
    }
    return SPOOR_OK;
}

spoor_status gallery_add(gallery *g, const char *name, const gallery_hash *file, const float *embedding, size_t n,
                         size_t *added, spoor_error *err) {
    TRY(gallery_check_name(name, err));
    if (n < 1 || n > VERIFY_MAX_FILES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%zu recordings of %.100s; a source has 1 to %d", n, name,
                         VERIFY_MAX_FILES);
    }
    size_t at = gallery_find(g, name), before = at == SIZE_MAX ? 0 : g->source[at].n;
    gallery_source s;
    spoor_status status = join(g, at == SIZE_MAX ? NULL : &g->source[at], name, file, embedding, n, &s, err);
    if (status == SPOOR_OK) {
        status = check_room(g, &s, before, at == SIZE_MAX, err);
    }
    if (status == SPOOR_OK && at == SIZE_MAX &&
        !ctx_grow(g->ctx, (void **)&g->source, &g->capacity, g->n + 1, sizeof *g->source)) {
        status = error_memory(err, "enrolling a source");
    }
    if (status != SPOOR_OK) {
        clear_source(g->ctx, &s);
        return status;
    }
    if (at == SIZE_MAX) {
        g->source[g->n++] = s;
    } else {
        clear_source(g->ctx, &g->source[at]);
        g->source[at] = s;
    }
    if (added != NULL) {
        *added = s.n - before;
    }
    return SPOOR_OK;
}

spoor_status gallery_remove(gallery *g, const char *name, spoor_error *err) {
    size_t at = gallery_find(g, name);
    if (at == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_USAGE, "the gallery has no source \"%.200s\"; spoor enroll --list names them",
                         name);
    }
    clear_source(g->ctx, &g->source[at]);
    g->n--;
    memmove(g->source + at, g->source + at + 1, (g->n - at) * sizeof *g->source);
    return SPOOR_OK;
}

spoor_status gallery_check_model(const gallery *g, const char *path, const char *model_sha256, size_t dim,
                                 spoor_error *err) {
    if (strcmp(g->model, model_sha256) == 0 && g->dim == dim) {
        return SPOOR_OK;
    }
    return error_set(err, SPOOR_ERR_INPUT,
                     "the gallery %.200s was made by another model (sha256 %.12s..., this one is %.12s...); enroll its "
                     "sources again with this model, or name the other",
                     path, g->model, model_sha256);
}

/* ---- reading ---- */

static spoor_status bad(const char *path, spoor_error *err, const char *why) {
    return error_set(err, SPOOR_ERR_INPUT, "%.200s is no usable gallery: %s", path, why);
}

static void tensor_name(size_t i, char name[TENSOR_NAME]) { (void)snprintf(name, TENSOR_NAME, "source.%zu", i); }

static spoor_status read_source(gallery *g, const safetensors *f, const char *path, const json_t *item,
                                spoor_error *err) {
    const char *name = json_string_value(json_object_get(item, "name"));
    const json_t *files = json_object_get(item, "files");
    size_t n = json_array_size(files);
    char tensor[TENSOR_NAME];
    tensor_name(g->n, tensor);
    const safetensors_tensor *t = safetensors_find(f, tensor);
    if (name == NULL || gallery_check_name(name, NULL) != SPOOR_OK || n < 1 || n > VERIFY_MAX_FILES) {
        return bad(path, err, "a source lacks a plain name or its 1 to 50 files");
    }
    if (gallery_find(g, name) != SIZE_MAX) {
        return bad(path, err, "two sources have the same name");
    }
    if (t == NULL || t->dtype != SAFETENSORS_F32 || t->rank != 2 || t->shape[0] != (int64_t)n ||
        t->shape[1] != (int64_t)g->dim) {
        return bad(path, err, "the embeddings of a source are missing or have another shape");
    }
    gallery_hash *hash = ctx_calloc(g->ctx, n, sizeof *hash);
    float *values = ctx_alloc(g->ctx, t->count, sizeof *values);
    size_t added = 0;
    spoor_status status = hash == NULL || values == NULL ? error_memory(err, "opening a gallery") : SPOOR_OK;
    for (size_t i = 0; i < n && status == SPOOR_OK; i++) {
        const char *s = json_string_value(json_array_get(files, i));
        if (is_hash(s)) {
            memcpy(hash[i], s, sizeof *hash);
        } else {
            status = bad(path, err, "the hash of a recording is none");
        }
    }
    if (status == SPOOR_OK) {
        safetensors_to_f32(t, values);
        status = gallery_add(g, name, (const gallery_hash *)hash, values, n, &added, err);
    }
    if (status == SPOOR_OK && added != n) {
        status = bad(path, err, "a source has a recording twice");
    }
    ctx_free(g->ctx, hash);
    ctx_free(g->ctx, values);
    return status;
}

static spoor_status read_sources(gallery *g, const safetensors *f, const char *path, const json_t *sources,
                                 spoor_error *err) {
    if (!json_is_array(sources) || json_array_size(sources) > GALLERY_MAX_SOURCES) {
        return bad(path, err, "its list of sources is missing or too long");
    }
    if (safetensors_count(f) != json_array_size(sources)) {
        return bad(path, err, "it has not one tensor for each source");
    }
    for (size_t i = 0; i < json_array_size(sources); i++) {
        TRY(read_source(g, f, path, json_array_get(sources, i), err));
    }
    return SPOOR_OK;
}

static spoor_status read_file(spoor_context *ctx, const safetensors *f, const char *path, gallery **out,
                              spoor_error *err) {
    const char *text = safetensors_meta(f, "spoor.gallery");
    if (text == NULL || strlen(text) > GALLERY_MAX_META) {
        return bad(path, err, "it has no metadata of a gallery; spoor enroll makes one");
    }
    json_t *meta = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *format = json_object_get(meta, "format");
    json_int_t dim = json_integer_value(json_object_get(meta, "dim"));
    const char *model = json_string_value(json_object_get(meta, "model"));
    spoor_status status = SPOOR_OK;
    gallery *g = NULL;
    if (!json_is_object(meta)) {
        status = bad(path, err, "its metadata is no JSON object");
    } else if (!json_is_integer(format) || json_integer_value(format) != FORMAT) {
        status = bad(path, err, "its format is not 1; it was written by another version of Spoor");
    } else if (!is_hash(model) || dim < 1 || dim > GALLERY_MAX_DIM) {
        status = bad(path, err, "the hash of its model or the width of its embeddings is missing");
    } else {
        status = gallery_new(ctx, model, (size_t)dim, &g, err);
    }
    if (status == SPOOR_OK) {
        status = read_sources(g, f, path, json_object_get(meta, "sources"), err);
    }
    json_decref(meta);
    if (status != SPOOR_OK) {
        gallery_free(g);
        return status;
    }
    *out = g;
    return SPOOR_OK;
}

/* A sentence of the container is one about an input here. */
static spoor_status as_input(spoor_status status, spoor_error *err) {
    if (status == SPOOR_ERR_MODEL) {
        status = SPOOR_ERR_INPUT;
        if (err != NULL) {
            err->status = status;
        }
    }
    return status;
}

spoor_status gallery_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, gallery **out,
                                 spoor_error *err) {
    *out = NULL;
    safetensors *f;
    TRY(as_input(safetensors_open_memory(ctx, data, size, name, &f, err), err));
    spoor_status status = read_file(ctx, f, name, out, err);
    safetensors_free(f);
    return status;
}

spoor_status gallery_open(spoor_context *ctx, const char *path, gallery **out, spoor_error *err) {
    *out = NULL;
    unsigned char *data;
    size_t size;
    TRY(io_read_file(ctx, path, GALLERY_MAX_BYTES, &data, &size, err));
    spoor_status status = gallery_open_memory(ctx, data, size, path, out, err);
    ctx_free(ctx, data);
    return status;
}

/* ---- writing ---- */

static json_t *describe(const gallery *g) {
    json_t *sources = json_array();
    int bad_json = sources == NULL;
    for (size_t i = 0; i < g->n; i++) {
        json_t *files = json_array();
        for (size_t k = 0; k < g->source[i].n; k++) {
            bad_json |= json_array_append_new(files, json_string(g->source[i].file[k]));
        }
        bad_json |= json_array_append_new(sources, json_pack("{s:s, s:o}", "name", g->source[i].name, "files", files));
    }
    if (bad_json != 0) {
        json_decref(sources);
        return NULL;
    }
    return json_pack("{s:i, s:s, s:I, s:o}", "format", FORMAT, "model", g->model, "dim", (json_int_t)g->dim, "sources",
                     sources);
}

spoor_status gallery_save(const gallery *g, const char *path, spoor_error *err) {
    json_t *meta = describe(g);
    char *text = meta == NULL ? NULL : json_dumps(meta, JSON_COMPACT | JSON_PRESERVE_ORDER);
    safetensors_writer *w = NULL;
    spoor_status status =
        text == NULL ? error_memory(err, "writing a gallery") : safetensors_writer_new(g->ctx, &w, err);
    if (status == SPOOR_OK) {
        status = safetensors_writer_meta(w, "spoor.gallery", text, err);
    }
    for (size_t i = 0; i < g->n && status == SPOOR_OK; i++) {
        char name[TENSOR_NAME];
        tensor_name(i, name);
        const int64_t shape[2] = {(int64_t)g->source[i].n, (int64_t)g->dim};
        status = safetensors_writer_add(w, name, SAFETENSORS_F32, 2, shape, g->source[i].embedding, err);
    }
    if (status == SPOOR_OK) {
        status = safetensors_writer_save(w, path, err);
    }
    safetensors_writer_free(w);
    json_decref(meta);
    free(text);
    return status;
}
