/* weights.c: see weights.h. A checkpoint is one or more parts (the shards of a folder), each open in its own reader;
 * over them lies one list of tensors. What a reader promises about names is checked once more for all parts together:
 * no name exists twice. */
#include "weights/weights.h"
#include "base/io.h"
#include "weights/folder.h"
#include "weights/ggml.h"
#include "weights/torch.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HASH_PIECE ((size_t)1 << 30)

typedef struct part { /* one of the three */
    safetensors *st;
    ggml_file *ggml;
    torch_file *torch;
} part;

typedef struct place {
    size_t part, index;
} place;

struct weights {
    spoor_context *ctx;
    char *path;
    const char *format;
    json_t *config, *metadata;
    part *parts;
    size_t n_parts, parts_capacity;
    weights_tensor *tensors;
    place *places; /* of each tensor */
    size_t n, capacity, places_capacity;
    const weights_tensor **by_name;
};

/* ---- one file ---- */

/* Sentences for what people have instead of weights. */
static spoor_status refuse_others(const char *path, const unsigned char *head, size_t n, spoor_error *err) {
    static const struct {
        const char *begins, *sentence;
    } others[] = {
        {"version https://git-lfs", "is a pointer of Git LFS instead of the file itself; fetch it with git lfs pull"},
        {"GGUF", "is a GGUF file, which Spoor does not read; of Whisper it reads whisper.cpp's ggml-*.bin files"},
        {"\x89HDF", "is an HDF5 file (TensorFlow weights), which Spoor does not read; take the safetensors or PyTorch "
                    "file"},
        {"<!DOCTYPE", "is a web page, not the file itself; download it again"},
        {"<html", "is a web page, not the file itself; download it again"},
        {"{", "is a JSON file, not weights; name the folder that it lies in"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t m = strlen(others[i].begins);
        if (n >= m && memcmp(head, others[i].begins, m) == 0 && !(n > 8 && head[8] == '{')) {
            return error_set(err, SPOOR_ERR_MODEL, "%s %s", path, others[i].sentence);
        }
    }
    return SPOOR_OK;
}

static spoor_status open_torch(weights *w, const char *path, part *p, spoor_error *err) {
    return torch_open(w->ctx, path, &p->torch, err);
}

static bool is_torch(const void *head, size_t n) {
    return torch_begins(head, n);
}

/* Another part. *format gets the name of its kind. */
static spoor_status open_part(weights *w, const char *path, const char **format, spoor_error *err) {
    unsigned char head[WEIGHTS_HEAD];
    size_t n;
    TRY(io_read_head(path, head, sizeof head, &n, err));
    if (!ctx_grow(w->ctx, (void **)&w->parts, &w->parts_capacity, w->n_parts + 1, sizeof *w->parts)) {
        return error_memory(err, "opening weights");
    }
    part *p = &w->parts[w->n_parts];
    *p = (part){0};
    if (ggml_begins(head, n)) {
        *format = "ggml";
        TRY(ggml_file_open(w->ctx, path, &p->ggml, err));
    } else if (is_torch(head, n)) {
        *format = "PyTorch";
        TRY(open_torch(w, path, p, err));
    } else {
        *format = "safetensors";
        TRY(refuse_others(path, head, n, err));
        TRY(safetensors_map(w->ctx, path, &p->st, err));
    }
    w->n_parts++;
    return SPOOR_OK;
}

static size_t part_count(const part *p) {
    size_t n = p->st != NULL ? safetensors_count(p->st) : p->ggml != NULL ? ggml_file_count(p->ggml) : 0;
    n = p->torch != NULL ? torch_count(p->torch) : n;
    return n;
}

/* A tensor of a part whose elements lie in memory as they are stored; NULL for the others. */
static const safetensors_tensor *stored_at(const part *p, size_t i) {
    return p->st != NULL ? safetensors_at(p->st, i) : p->ggml != NULL ? ggml_file_at(p->ggml, i) : NULL;
}

static weights_tensor part_at(const part *p, size_t i) {
    const safetensors_tensor *s = stored_at(p, i);
    if (s == NULL) {
        return *torch_at(p->torch, i);
    }
    weights_tensor t = {.name = s->name, .dtype = s->dtype, .rank = s->rank, .count = s->count};
    memcpy(t.shape, s->shape, sizeof t.shape);
    return t;
}

/* ---- all of them ---- */

static int by_name(const void *a, const void *b) {
    const weights_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int against_name(const void *name, const void *b) {
    const weights_tensor *const *y = b;
    return strcmp(name, (*y)->name);
}

/* Tensors of a shard that the index puts into another one, or does not name, are left out. */
static spoor_status list_part(weights *w, size_t number, const folder_index *index, spoor_error *err) {
    const part *p = &w->parts[number];
    size_t n = part_count(p);
    if (n > SAFETENSORS_MAX_TENSORS - w->n) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s holds more than %zu tensors", w->path, SAFETENSORS_MAX_TENSORS);
    }
    if (!ctx_grow(w->ctx, (void **)&w->tensors, &w->capacity, w->n + n, sizeof *w->tensors) ||
        !ctx_grow(w->ctx, (void **)&w->places, &w->places_capacity, w->n + n, sizeof *w->places)) {
        return error_memory(err, "opening weights");
    }
    for (size_t i = 0; i < n; i++) {
        weights_tensor t = part_at(p, i);
        size_t shard = index == NULL ? number : folder_index_find(index, t.name);
        if (shard == number) {
            w->tensors[w->n] = t;
            w->places[w->n++] = (place){number, i};
        } else if (shard < folder_index_shards(index)) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: %s lies in %s, but the index puts it into %s", w->path, t.name,
                             folder_index_shard(index, number), folder_index_shard(index, shard));
        }
    }
    return SPOOR_OK;
}

static spoor_status sort_names(weights *w, spoor_error *err) {
    w->by_name = ctx_alloc(w->ctx, w->n, sizeof *w->by_name);
    if (w->by_name == NULL) {
        return error_memory(err, "opening weights");
    }
    for (size_t i = 0; i < w->n; i++) {
        w->by_name[i] = &w->tensors[i];
    }
    if (w->n > 0) {
        qsort(w->by_name, w->n, sizeof *w->by_name, by_name);
    }
    for (size_t i = 1; i < w->n; i++) {
        if (strcmp(w->by_name[i - 1]->name, w->by_name[i]->name) == 0) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %s exists twice", w->path, w->by_name[i]->name);
        }
    }
    return SPOOR_OK;
}

/* ---- configuration ---- */

static spoor_status read_metadata(weights *w, const safetensors *f, spoor_error *err) {
    size_t n = safetensors_meta_count(f);
    w->metadata = n == 0 ? NULL : json_object();
    bool good = n == 0 || w->metadata != NULL;
    for (size_t i = 0; i < n && good; i++) {
        const char *key, *value;
        safetensors_meta_at(f, i, &key, &value);
        good = json_object_set_new(w->metadata, key, json_string(value)) == 0;
    }
    if (!good) {
        return error_memory(err, "reading the metadata of a safetensors file");
    }
    if (w->config != NULL) { /* of a folder */
        return SPOOR_OK;
    }
    const char *text = safetensors_meta(f, "config");
    if (text == NULL || strlen(text) > FOLDER_MAX_CONFIG ||
        folder_config_parse(text, strlen(text), w->path, &w->config, NULL) != SPOOR_OK) {
        w->config = json_incref(w->metadata);
    }
    return SPOOR_OK;
}

/* Of a single file, in a folder or not. */
static spoor_status read_config(weights *w, spoor_error *err) {
    const part *p = &w->parts[0];
    if (p->ggml != NULL && w->config == NULL) {
        w->config = json_incref((json_t *)(uintptr_t)ggml_file_config(p->ggml));
    }
    return p->st != NULL ? read_metadata(w, p->st, err) : SPOOR_OK;
}

/* ---- opening ---- */

typedef struct listed {
    const weights *w;
    const folder_index *index;
} listed;

static spoor_status must_be_there(void *user, const char *name, size_t shard, spoor_error *err) {
    const listed *l = user;
    if (weights_find(l->w, name) != NULL) {
        return SPOOR_OK;
    }
    return error_set(err, SPOOR_ERR_MODEL, "%s: the index puts %.200s into %s, but it is not there; download %s again",
                     l->w->path, name, folder_index_shard(l->index, shard), folder_index_shard(l->index, shard));
}

static spoor_status open_shard(weights *w, const char *shard, spoor_error *err) {
    char *file = ctx_printf(w->ctx, "%s/%s", w->path, shard);
    const char *format;
    if (file == NULL) {
        return error_memory(err, "opening weights");
    }
    struct stat st;
    spoor_status status = stat(file, &st) == 0 ? open_part(w, file, &format, err)
                                               : error_set(err, SPOOR_ERR_MODEL,
                                                           "%s: %s, which the index names, is missing; download it too",
                                                           w->path, shard);
    ctx_free(w->ctx, file);
    return status;
}

static spoor_status open_shards(weights *w, const folder_index *index, spoor_error *err) {
    for (size_t i = 0; i < folder_index_shards(index); i++) {
        TRY(open_shard(w, folder_index_shard(index, i), err));
        TRY(list_part(w, i, index, err));
    }
    TRY(sort_names(w, err));
    return folder_index_each(index, must_be_there, &(listed){w, index}, err);
}

static spoor_status open_folder(weights *w, spoor_error *err) {
    folder f;
    TRY(folder_open(w->ctx, w->path, &f, err));
    const char *format;
    w->format = "Hugging Face folder";
    w->config = json_incref(f.config);
    spoor_status status;
    if (f.index != NULL) {
        status = open_shards(w, f.index, err);
    } else {
        status = open_part(w, f.single, &format, err);
        if (status == SPOOR_OK) {
            status = list_part(w, 0, NULL, err);
        }
        if (status == SPOOR_OK) {
            status = read_config(w, err);
        }
        if (status == SPOOR_OK) {
            status = sort_names(w, err);
        }
    }
    folder_clear(&f);
    return status;
}

static spoor_status open_all(weights *w, spoor_error *err) {
    struct stat st;
    if (stat(w->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return open_folder(w, err);
    }
    TRY(open_part(w, w->path, &w->format, err));
    TRY(list_part(w, 0, NULL, err));
    TRY(read_config(w, err));
    return sort_names(w, err);
}

spoor_status weights_open(spoor_context *ctx, const char *path, weights **out, spoor_error *err) {
    *out = NULL;
    weights *w = ctx_calloc(ctx, 1, sizeof *w);
    if (w == NULL) {
        return error_memory(err, "opening weights");
    }
    w->ctx = ctx;
    w->path = ctx_strdup(ctx, path);
    spoor_status status = w->path == NULL ? error_memory(err, "opening weights") : open_all(w, err);
    if (status != SPOOR_OK) {
        weights_free(w);
        return status;
    }
    *out = w;
    return SPOOR_OK;
}

void weights_free(weights *w) {
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < w->n_parts; i++) {
        safetensors_free(w->parts[i].st);
        ggml_file_free(w->parts[i].ggml);
        torch_free(w->parts[i].torch);
    }
    ctx_free(w->ctx, w->parts);
    ctx_free(w->ctx, w->tensors);
    ctx_free(w->ctx, w->places);
    ctx_free(w->ctx, w->by_name);
    ctx_free(w->ctx, w->path);
    json_decref(w->config);
    json_decref(w->metadata);
    ctx_free(w->ctx, w);
}

/* ---- what there is ---- */

const char *weights_format(const weights *w) { return w->format; }

const char *weights_path(const weights *w) { return w->path; }

size_t weights_count(const weights *w) { return w->n; }

const weights_tensor *weights_at(const weights *w, size_t i) { return &w->tensors[i]; }

const weights_tensor *weights_find(const weights *w, const char *name) {
    const weights_tensor *const *found =
        w->n == 0 ? NULL : bsearch(name, w->by_name, w->n, sizeof *w->by_name, against_name);
    return found == NULL ? NULL : *found;
}

const json_t *weights_config(const weights *w) { return w->config; }

const json_t *weights_metadata(const weights *w) { return w->metadata; }

static const part *part_of(const weights *w, const weights_tensor *t, size_t *index) {
    const place *p = &w->places[t - w->tensors];
    *index = p->index;
    return &w->parts[p->part];
}

const char *weights_refused(const weights *w, const weights_tensor *t) {
    size_t i;
    const part *p = part_of(w, t, &i);
    return p->torch != NULL ? torch_refused(p->torch, i) : NULL;
}

/* ---- elements ---- */

spoor_status weights_read(const weights *w, const weights_tensor *t, float *out, spoor_error *err) {
    size_t i;
    const part *p = part_of(w, t, &i);
    const safetensors_tensor *s = stored_at(p, i);
    if (s != NULL) {
        safetensors_to_f32(s, out);
        io_map_forget(s->data, s->bytes); /* or a checkpoint would be in memory once more beside what is made of it */
        return SPOOR_OK;
    }
    return torch_read(p->torch, i, out, err);
}

spoor_status weights_read_raw(const weights *w, const weights_tensor *t, void *out, spoor_error *err) {
    size_t i;
    const part *p = part_of(w, t, &i);
    const safetensors_tensor *s = stored_at(p, i);
    if (s != NULL) {
        memcpy(out, s->data, s->bytes);
        io_map_forget(s->data, s->bytes);
        return SPOOR_OK;
    }
    return torch_read_raw(p->torch, i, out, err);
}

const float *weights_mapped(const weights *w, const weights_tensor *t) {
    size_t i;
    const part *p = part_of(w, t, &i);
    const safetensors_tensor *s = stored_at(p, i);
    if (s == NULL || s->dtype != SAFETENSORS_F32 || (uintptr_t)s->data % sizeof(float) != 0) {
        return NULL;
    }
    return (const float *)(const void *)s->data;
}

/* ---- hash ---- */

static void hash_bytes(crypto_hash_sha256_state *h, const void *data, size_t n) {
    for (const unsigned char *p = data; n > 0;) {
        size_t piece = n < HASH_PIECE ? n : HASH_PIECE;
        (void)crypto_hash_sha256_update(h, p, piece);
        p += piece;
        n -= piece;
    }
}

static void hash_number(crypto_hash_sha256_state *h, uint64_t value) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
    hash_bytes(h, bytes, sizeof bytes);
}

/* Name and dtype with their NUL, rank, sizes, elements: no two checkpoints run together to the same bytes. */
static spoor_status hash_tensor(const weights *w, const weights_tensor *t, crypto_hash_sha256_state *h,
                                spoor_error *err) {
    bool refused = weights_refused(w, t) != NULL;
    const char *dtype = refused ? "" : safetensors_dtype_name(t->dtype);
    hash_bytes(h, t->name, strlen(t->name) + 1);
    hash_bytes(h, dtype, strlen(dtype) + 1);
    if (refused) {
        return SPOOR_OK;
    }
    hash_number(h, (uint64_t)t->rank);
    for (int i = 0; i < t->rank; i++) {
        hash_number(h, (uint64_t)t->shape[i]);
    }
    size_t i, bytes = t->count * safetensors_dtype_size(t->dtype); /* the reader has checked that it fits */
    const part *p = part_of(w, t, &i);
    const safetensors_tensor *s = stored_at(p, i);
    if (s != NULL) {
        hash_bytes(h, s->data, s->bytes);
        io_map_forget(s->data, s->bytes);
        return SPOOR_OK;
    }
    void *elements = ctx_alloc(w->ctx, bytes, 1);
    if (elements == NULL) {
        return error_memory(err, "hashing weights");
    }
    spoor_status status = weights_read_raw(w, t, elements, err);
    if (status == SPOOR_OK) {
        hash_bytes(h, elements, bytes);
    }
    ctx_free(w->ctx, elements);
    return status;
}

spoor_status weights_sha256(const weights *w, char hex[65], spoor_error *err) {
    crypto_hash_sha256_state h;
    (void)crypto_hash_sha256_init(&h);
    for (size_t i = 0; i < w->n; i++) {
        TRY(ctx_check_cancel(w->ctx, err));
        TRY(hash_tensor(w, w->by_name[i], &h, err));
    }
    unsigned char hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256_final(&h, hash);
    (void)sodium_bin2hex(hex, 65, hash, sizeof hash);
    return SPOOR_OK;
}
