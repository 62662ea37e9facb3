/* ggml.c: see ggml.h. The file is one sequence without offsets or a table, so it is walked once from its first byte;
 * what the walk has taken is never more than what the file has. */
#include "weights/ggml.h"
#include "base/checked.h"
#include "base/io.h"
#include <inttypes.h>
#include <string.h>

enum { MAGIC = 0x67676d6c /* "ggml" */, HYPER_PARAMETERS = 11, MAX_TOKEN = 1 << 16 };

static const char *const HYPER[HYPER_PARAMETERS] = {"n_vocab",     "n_audio_ctx",  "n_audio_state", "n_audio_head",
                                                    "n_audio_layer", "n_text_ctx", "n_text_state",  "n_text_head",
                                                    "n_text_layer", "n_mels",      "ftype"};

/* Element types by number; those with a name alone are quantised. */
static const char *const TYPES[] = {"F32",  "F16",  "q4_0", "q4_1", NULL,   NULL,   "q5_0",
                                    "q5_1", "q8_0", "q8_1", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "q8_K"};

struct ggml_file {
    spoor_context *ctx;
    const unsigned char *mapped; /* the file, when we mapped it ourselves */
    const unsigned char *bytes;
    size_t size;
    size_t at; /* how far the walk has come */
    const char *name;
    json_t *config;
    safetensors_tensor *tensors;
    char **names; /* one for each tensor, owned */
    size_t n, capacity, names_capacity;
};

bool ggml_begins(const void *head, size_t size) { return size >= 4 && memcmp(head, "lmgg", 4) == 0; }

/* ---- the walk ---- */

static spoor_status take(ggml_file *f, size_t n, const char *what, const unsigned char **out, spoor_error *err) {
    *out = NULL;
    if (n > f->size - f->at) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: cut off or damaged: it ends inside %s (byte %zu of %zu)", f->name,
                         what, f->at, f->size);
    }
    *out = f->bytes + f->at;
    f->at += n;
    return SPOOR_OK;
}

/* Numbers of four bytes, each within 0 .. most. */
static spoor_status take_numbers(ggml_file *f, int64_t *out, size_t n, int64_t most, const char *what,
                                 spoor_error *err) {
    const unsigned char *p;
    TRY(take(f, 4 * n, what, &p, err));
    for (size_t i = 0; i < n; i++, p += 4) {
        uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        out[i] = (int64_t)(int32_t)bits;
        if (out[i] < 0 || out[i] > most) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: damaged: %s is %" PRId64 ", outside 0 to %" PRId64, f->name,
                             what, out[i], most);
        }
    }
    return SPOOR_OK;
}

static spoor_status read_config(ggml_file *f, spoor_error *err) {
    int64_t magic;
    TRY(take_numbers(f, &magic, 1, INT32_MAX, "its first number", err));
    if (magic != MAGIC) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: no ggml file of whisper.cpp", f->name);
    }
    f->config = json_pack("{s:s}", "format", "ggml");
    if (f->config == NULL) {
        return error_memory(err, "reading a ggml file");
    }
    for (int i = 0; i < HYPER_PARAMETERS; i++) {
        int64_t value;
        TRY(take_numbers(f, &value, 1, GGML_MAX_SIZE, HYPER[i], err));
        if (json_object_set_new(f->config, HYPER[i], json_integer(value)) != 0) {
            return error_memory(err, "reading a ggml file");
        }
    }
    return SPOOR_OK;
}

static spoor_status skip_filters_and_vocabulary(ggml_file *f, spoor_error *err) {
    const unsigned char *passed;
    int64_t filters[2], tokens, length;
    TRY(take_numbers(f, filters, 2, GGML_MAX_FILTER, "the size of the mel filters", err));
    size_t numbers = (size_t)filters[0] * (size_t)filters[1];
    TRY(take(f, numbers > SIZE_MAX / 4 ? SIZE_MAX : 4 * numbers, "the mel filters", &passed, err));
    TRY(take_numbers(f, &tokens, 1, GGML_MAX_SIZE, "the size of the vocabulary", err));
    for (int64_t i = 0; i < tokens; i++) {
        TRY(take_numbers(f, &length, 1, MAX_TOKEN, "the length of a word of the vocabulary", err));
        TRY(take(f, (size_t)length, "the vocabulary", &passed, err));
    }
    return SPOOR_OK;
}

/* ---- one tensor ---- */

static spoor_status check_name(const ggml_file *f, const char *name, size_t length, spoor_error *err) {
    bool plain = length > 0;
    for (size_t i = 0; i < length; i++) {
        plain = plain && (unsigned char)name[i] >= 0x20 && name[i] != 0x7f;
    }
    json_t *checked = plain ? json_stringn(name, length) : NULL, *unchecked = json_stringn_nocheck(name, length);
    bool good = checked != NULL, memory = unchecked == NULL;
    json_decref(checked);
    json_decref(unchecked);
    if (memory) {
        return error_memory(err, "reading a ggml file");
    }
    return good ? SPOOR_OK
                : error_set(err, SPOOR_ERR_MODEL, "%s: damaged: the name of tensor %zu is no text", f->name, f->n + 1);
}

static spoor_status find_type(const ggml_file *f, safetensors_tensor *t, int64_t type, spoor_error *err) {
    const char *name = type < (int64_t)(sizeof TYPES / sizeof *TYPES) ? TYPES[type] : NULL;
    if (type > 1) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s: %s is quantised or of an unknown type (%s, number %" PRId64
                         "), which Spoor does not read; take the file that is not quantised",
                         f->name, t->name, name == NULL ? "?" : name, type);
    }
    t->dtype = type == 0 ? SAFETENSORS_F32 : SAFETENSORS_F16;
    return SPOOR_OK;
}

static spoor_status read_shape(const ggml_file *f, safetensors_tensor *t, const int64_t *size, spoor_error *err) {
    int64_t bytes = (int64_t)safetensors_dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++) {
        t->shape[i] = size[t->rank - 1 - i]; /* the innermost comes first in the file */
        if (!checked_mul_i64(bytes, t->shape[i], &bytes) || (uint64_t)bytes > SIZE_MAX) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: damaged: %s is larger than any memory", f->name, t->name);
        }
    }
    t->bytes = (size_t)bytes;
    t->count = t->bytes / safetensors_dtype_size(t->dtype);
    return SPOOR_OK;
}

static spoor_status read_tensor(ggml_file *f, spoor_error *err) {
    int64_t rank, length, type, size[GGML_MAX_RANK];
    const unsigned char *name;
    if (f->n >= GGML_MAX_TENSORS) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %zu tensors", f->name, GGML_MAX_TENSORS);
    }
    TRY(take_numbers(f, &rank, 1, GGML_MAX_RANK, "a tensor's number of dimensions", err));
    TRY(take_numbers(f, &length, 1, SAFETENSORS_MAX_NAME, "the length of a tensor's name", err));
    TRY(take_numbers(f, &type, 1, INT32_MAX, "the type of a tensor", err));
    TRY(take_numbers(f, size, (size_t)rank, GGML_MAX_SIZE, "a tensor's size", err));
    TRY(take(f, (size_t)length, "a tensor's name", &name, err));
    TRY(check_name(f, (const char *)name, (size_t)length, err));
    if (!ctx_grow(f->ctx, (void **)&f->tensors, &f->capacity, f->n + 1, sizeof *f->tensors) ||
        !ctx_grow(f->ctx, (void **)&f->names, &f->names_capacity, f->n + 1, sizeof *f->names)) {
        return error_memory(err, "reading a ggml file");
    }
    f->names[f->n] = ctx_strndup(f->ctx, (const char *)name, (size_t)length);
    if (f->names[f->n] == NULL) {
        return error_memory(err, "reading a ggml file");
    }
    safetensors_tensor *t = &f->tensors[f->n];
    *t = (safetensors_tensor){.name = f->names[f->n], .rank = (int)rank};
    f->n++;
    TRY(find_type(f, t, type, err));
    TRY(read_shape(f, t, size, err));
    return take(f, t->bytes, t->name, &t->data, err);
}

/* ---- the file ---- */

static spoor_status open_bytes(spoor_context *ctx, const unsigned char *mapped, const void *data, size_t size,
                               const char *name, ggml_file **out, spoor_error *err) {
    ggml_file *f = ctx_calloc(ctx, 1, sizeof *f);
    if (f == NULL) {
        io_unmap(mapped, size);
        return error_memory(err, "opening a ggml file");
    }
    *f = (ggml_file){.ctx = ctx, .mapped = mapped, .bytes = data, .size = size, .name = name};
    spoor_status status = read_config(f, err);
    if (status == SPOOR_OK) {
        status = skip_filters_and_vocabulary(f, err);
    }
    while (status == SPOOR_OK && f->at < f->size) {
        status = read_tensor(f, err);
    }
    if (status == SPOOR_OK && f->n == 0) {
        status = error_set(err, SPOOR_ERR_MODEL, "%s: cut off: it holds no tensors", name);
    }
    f->name = NULL; /* the caller's, for the walk alone */
    if (status != SPOOR_OK) {
        ggml_file_free(f);
        return status;
    }
    *out = f;
    return SPOOR_OK;
}

spoor_status ggml_file_open(spoor_context *ctx, const char *path, ggml_file **out, spoor_error *err) {
    *out = NULL;
    const unsigned char *data;
    size_t size;
    TRY(io_map_file(path, GGML_MAX_FILE, &data, &size, err));
    return open_bytes(ctx, data, data, size, path, out, err);
}

spoor_status ggml_file_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, ggml_file **out,
                                   spoor_error *err) {
    *out = NULL;
    return open_bytes(ctx, NULL, data, size, name, out, err);
}

void ggml_file_free(ggml_file *f) {
    if (f != NULL) {
        for (size_t i = 0; i < f->n; i++) {
            ctx_free(f->ctx, f->names[i]);
        }
        ctx_free(f->ctx, f->names);
        ctx_free(f->ctx, f->tensors);
        json_decref(f->config);
        io_unmap(f->mapped, f->size);
        ctx_free(f->ctx, f);
    }
}

size_t ggml_file_count(const ggml_file *f) { return f->n; }

const safetensors_tensor *ggml_file_at(const ggml_file *f, size_t i) { return &f->tensors[i]; }

const json_t *ggml_file_config(const ggml_file *f) { return f->config; }
