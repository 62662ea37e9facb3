/* safetensors_write.c: writing; see safetensors.h. */
#include "base/checked.h"
#include "base/io.h"
#include "weights/safetensors.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct item {
    char *name;
    safetensors_tensor tensor;
    safetensors_read_fn read; /* NULL: the tensor's data */
    void *user;
    size_t number; /* for read */
} item;

struct safetensors_writer {
    spoor_context *ctx;
    json_t *meta;
    json_t *names; /* those of the items, as keys */
    item *items;
    size_t n, capacity;
};

spoor_status safetensors_writer_new(spoor_context *ctx, safetensors_writer **out, spoor_error *err) {
    *out = NULL;
    safetensors_writer *w = ctx_calloc(ctx, 1, sizeof *w);
    if (w == NULL) {
        return error_memory(err, "starting a safetensors file");
    }
    w->ctx = ctx;
    w->meta = json_object();
    w->names = json_object();
    if (w->meta == NULL || w->names == NULL) {
        safetensors_writer_free(w);
        return error_memory(err, "starting a safetensors file");
    }
    *out = w;
    return SPOOR_OK;
}

void safetensors_writer_free(safetensors_writer *w) {
    if (w != NULL) {
        for (size_t i = 0; i < w->n; i++) {
            ctx_free(w->ctx, w->items[i].name);
        }
        ctx_free(w->ctx, w->items);
        json_decref(w->meta);
        json_decref(w->names);
        ctx_free(w->ctx, w);
    }
}

/* A string for the header, which must be UTF-8. */
static spoor_status check_utf8(const char *s, const char *what, spoor_error *err) {
    json_t *checked = json_string(s), *unchecked = json_string_nocheck(s);
    bool good = checked != NULL, memory = unchecked == NULL;
    json_decref(checked);
    json_decref(unchecked);
    if (memory) {
        return error_memory(err, "writing a safetensors file");
    }
    return good ? SPOOR_OK : error_set(err, SPOOR_ERR_USAGE, "%s for a safetensors file is not UTF-8: %.100s", what, s);
}

spoor_status safetensors_writer_meta(safetensors_writer *w, const char *key, const char *value, spoor_error *err) {
    TRY(check_utf8(key, "a metadata key", err));
    TRY(check_utf8(value, "a metadata value", err));
    if (strlen(key) > SAFETENSORS_MAX_NAME || json_object_get(w->meta, key) != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "the metadata key %.100s exists twice, or is longer than %d bytes", key,
                         SAFETENSORS_MAX_NAME);
    }
    if (json_object_set_new(w->meta, key, json_string(value)) != 0) {
        return error_memory(err, "adding metadata to a safetensors file");
    }
    return SPOOR_OK;
}

static spoor_status check_name(const safetensors_writer *w, const char *name, spoor_error *err) {
    TRY(check_utf8(name, "a tensor's name", err));
    if (strlen(name) > SAFETENSORS_MAX_NAME || strcmp(name, "__metadata__") == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "%.100s cannot name a tensor: it is reserved, or longer than %d bytes",
                         name, SAFETENSORS_MAX_NAME);
    }
    if (json_object_get(w->names, name) != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "the tensor %s exists twice", name);
    }
    /* One place is left for the metadata. */
    if (w->n + 1 >= SAFETENSORS_MAX_TENSORS) {
        return error_set(err, SPOOR_ERR_LIMIT, "a safetensors file holds at most %zu tensors",
                         SAFETENSORS_MAX_TENSORS - 1);
    }
    return SPOOR_OK;
}

static spoor_status add(safetensors_writer *w, const char *name, item it, const int64_t *shape, spoor_error *err) {
    TRY(check_name(w, name, err));
    safetensors_tensor *t = &it.tensor;
    if (t->dtype >= SAFETENSORS_DTYPES || t->rank < 0 || t->rank > SAFETENSORS_MAX_RANK) {
        return error_set(err, SPOOR_ERR_USAGE, "the tensor %s has no known dtype, or more than %d dimensions", name,
                         SAFETENSORS_MAX_RANK);
    }
    int64_t bytes = (int64_t)safetensors_dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++) {
        t->shape[i] = shape[i];
        if (!checked_mul_i64(bytes, shape[i], &bytes)) {
            return error_set(err, SPOOR_ERR_LIMIT, "the tensor %s has a negative size or is too large", name);
        }
    }
    t->bytes = (size_t)bytes;
    t->count = t->bytes / safetensors_dtype_size(t->dtype);
    if (!ctx_grow(w->ctx, (void **)&w->items, &w->capacity, w->n + 1, sizeof *w->items)) {
        return error_memory(err, "adding a tensor to a safetensors file");
    }
    it.name = ctx_strdup(w->ctx, name);
    if (it.name == NULL || json_object_set_new(w->names, name, json_true()) != 0) {
        ctx_free(w->ctx, it.name);
        return error_memory(err, "adding a tensor to a safetensors file");
    }
    w->items[w->n++] = it;
    return SPOOR_OK;
}

spoor_status safetensors_writer_add(safetensors_writer *w, const char *name, safetensors_dtype dtype, int rank,
                                    const int64_t *shape, const void *data, spoor_error *err) {
    item it = {.tensor = {.dtype = dtype, .rank = rank, .data = data}};
    return add(w, name, it, shape, err);
}

spoor_status safetensors_writer_add_later(safetensors_writer *w, const char *name, safetensors_dtype dtype, int rank,
                                          const int64_t *shape, safetensors_read_fn read, void *user, size_t number,
                                          spoor_error *err) {
    item it = {.tensor = {.dtype = dtype, .rank = rank}, .read = read, .user = user, .number = number};
    return add(w, name, it, shape, err);
}

/* ---- saving ---- */

/* The order in the file: for each width from 8 down to 1, the tensors of that width as added. Calls each of them. */
typedef spoor_status (*item_fn)(void *arg, const item *it, spoor_error *err);

static spoor_status in_order(const safetensors_writer *w, item_fn fn, void *arg, spoor_error *err) {
    for (size_t width = 8; width > 0; width /= 2) {
        for (size_t i = 0; i < w->n; i++) {
            if (safetensors_dtype_size(w->items[i].tensor.dtype) == width) {
                TRY(fn(arg, &w->items[i], err));
            }
        }
    }
    return SPOOR_OK;
}

typedef struct header {
    json_t *json;
    size_t at; /* bytes of data so far */
} header;

static spoor_status describe(void *arg, const item *it, spoor_error *err) {
    header *h = arg;
    const safetensors_tensor *t = &it->tensor;
    size_t end;
    if (!checked_add(h->at, t->bytes, &end) || end > SAFETENSORS_MAX_MAPPED) {
        return error_set(err, SPOOR_ERR_LIMIT, "the tensors are larger than %zu bytes", SAFETENSORS_MAX_MAPPED);
    }
    json_t *shape = json_array();
    bool good = shape != NULL;
    for (int i = 0; i < t->rank && good; i++) {
        good = json_array_append_new(shape, json_integer(t->shape[i])) == 0;
    }
    /* "o" takes the shape over, also when it fails. */
    json_t *value = json_pack("{s:s, s:o, s:[I, I]}", "dtype", safetensors_dtype_name(t->dtype), "shape", shape,
                              "data_offsets", (json_int_t)h->at, (json_int_t)end);
    h->at = end;
    if (!good || json_object_set_new(h->json, it->name, value) != 0) {
        if (!good) {
            json_decref(value);
        }
        return error_memory(err, "writing a safetensors file");
    }
    return SPOOR_OK;
}

/* The first bytes of the file, up to the data: freed with ctx_free. */
static spoor_status make_header(const safetensors_writer *w, header *h, unsigned char **out, size_t *size,
                                spoor_error *err) {
    if (json_object_size(w->meta) > 0 && json_object_set(h->json, "__metadata__", w->meta) != 0) {
        return error_memory(err, "writing a safetensors file");
    }
    TRY(in_order(w, describe, h, err));
    size_t n = json_dumpb(h->json, NULL, 0, JSON_COMPACT);
    if (n == 0) {
        return error_memory(err, "writing a safetensors file");
    }
    size_t padded = (n + 7) / 8 * 8;
    if (padded > SAFETENSORS_MAX_HEADER || h->at > SAFETENSORS_MAX_MAPPED - 8 - padded) {
        return error_set(err, SPOOR_ERR_LIMIT, "the file would have a header over %zu bytes, or be over %zu in all",
                         SAFETENSORS_MAX_HEADER, SAFETENSORS_MAX_MAPPED);
    }
    unsigned char *bytes = ctx_alloc(w->ctx, 8 + padded, 1);
    if (bytes == NULL) {
        return error_memory(err, "writing a safetensors file");
    }
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    }
    memset(bytes + 8, ' ', padded);
    (void)json_dumpb(h->json, (char *)bytes + 8, n, JSON_COMPACT);
    *out = bytes;
    *size = 8 + padded;
    return SPOOR_OK;
}

static spoor_status write_f16(io_writer *io, const item *it, spoor_error *err) {
    const float *values = (const float *)(const void *)it->tensor.data;
    uint16_t part[4096];
    for (size_t i = 0; i < it->tensor.count;) {
        size_t n = 0;
        for (; n < sizeof part / sizeof *part && i < it->tensor.count; n++, i++) {
            part[n] = safetensors_f32_to_f16(values[i]);
            if ((part[n] & 0x7fffu) == 0x7c00u && !isinf(values[i])) {
                return error_set(err, SPOOR_ERR_USAGE, "%s holds %g, which is too large for F16; write it as F32",
                                 it->name, (double)values[i]);
            }
        }
        TRY(io_writer_put(io, part, n * sizeof *part, err));
    }
    return SPOOR_OK;
}

typedef struct saving {
    spoor_context *ctx;
    io_writer *io;
} saving;

/* The elements of a tensor that comes only now, and are gone again afterwards. */
static spoor_status write_later(const saving *s, const item *it, spoor_error *err) {
    void *elements = ctx_alloc(s->ctx, it->tensor.bytes, 1);
    if (elements == NULL) {
        return error_memory(err, "writing a tensor");
    }
    spoor_status status = it->read(it->user, it->number, elements, err);
    if (status == SPOOR_OK) {
        status = io_writer_put(s->io, elements, it->tensor.bytes, err);
    }
    ctx_free(s->ctx, elements);
    return status;
}

static spoor_status write_item(void *arg, const item *it, spoor_error *err) {
    const saving *s = arg;
    if (it->read != NULL) {
        return write_later(s, it, err);
    }
    if (it->tensor.dtype == SAFETENSORS_F16) {
        return write_f16(s->io, it, err);
    }
    return io_writer_put(s->io, it->tensor.data, it->tensor.bytes, err);
}

spoor_status safetensors_writer_save(safetensors_writer *w, const char *path, spoor_error *err) {
    header h = {.json = json_object()};
    if (h.json == NULL) {
        return error_memory(err, "writing a safetensors file");
    }
    unsigned char *first = NULL;
    size_t size = 0;
    spoor_status status = make_header(w, &h, &first, &size, err);
    io_writer *io = NULL;
    if (status == SPOOR_OK) {
        status = io_writer_open(w->ctx, path, &io, err);
    }
    if (status == SPOOR_OK) {
        status = io_writer_put(io, first, size, err);
    }
    if (status == SPOOR_OK) {
        status = in_order(w, write_item, &(saving){w->ctx, io}, err);
    }
    ctx_free(w->ctx, first);
    json_decref(h.json);
    spoor_status closed = io_writer_close(io, status == SPOOR_OK, err);
    return status != SPOOR_OK ? status : closed;
}
