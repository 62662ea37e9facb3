/* safetensors.c: reading; see safetensors.h. Writing is in safetensors_write.c, conversions in safetensors_convert.c.
 *
 * The header is hostile until checked. Before jansson sees it, its nesting and number of values are bounded, because
 * jansson spends up to a hundred bytes on a value of two. Then every tensor is checked alone, and all together: sorted
 * by offset they must cover the data exactly, without overlap or hole, as the format demands. */
#include "weights/safetensors.h"
#include "base/checked.h"
#include "base/io.h"
#include "weights/json_text.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define METADATA "__metadata__"

struct safetensors {
    spoor_context *ctx;
    unsigned char *owned;        /* the file, when we read it ourselves */
    const unsigned char *mapped; /* the file, when we mapped it ourselves */
    const unsigned char *bytes;
    size_t size;
    json_t *header; /* owns all names and strings */
    safetensors_tensor *tensors;
    size_t n_tensors;
    const char **meta; /* key, value, key, value ... */
    size_t n_meta;
};

/* A tensor on its way to be sorted. */
typedef struct entry {
    safetensors_tensor tensor;
    size_t begin, end, order;
} entry;

static const struct {
    char name[5];
    size_t size;
} DTYPES[SAFETENSORS_DTYPES] = {
    [SAFETENSORS_F32] = {"F32", 4}, [SAFETENSORS_F16] = {"F16", 2}, [SAFETENSORS_BF16] = {"BF16", 2},
    [SAFETENSORS_F64] = {"F64", 8}, [SAFETENSORS_I64] = {"I64", 8}, [SAFETENSORS_I32] = {"I32", 4},
    [SAFETENSORS_I16] = {"I16", 2}, [SAFETENSORS_I8] = {"I8", 1},   [SAFETENSORS_U64] = {"U64", 8},
    [SAFETENSORS_U32] = {"U32", 4}, [SAFETENSORS_U16] = {"U16", 2}, [SAFETENSORS_U8] = {"U8", 1},
    [SAFETENSORS_BOOL] = {"BOOL", 1},
};

const char *safetensors_dtype_name(safetensors_dtype dtype) { return DTYPES[dtype].name; }

size_t safetensors_dtype_size(safetensors_dtype dtype) { return DTYPES[dtype].size; }

/* ---- the header as text ---- */

/* No deeper than {name: {shape: [...]}} and not more values than the largest permitted file has. */
static spoor_status check_text(const char *text, size_t n, const char *name, spoor_error *err) {
    const size_t most = 20 * SAFETENSORS_MAX_TENSORS;
    json_bounds bounds = json_measure(text, n);
    if (bounds.depth > 3) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the header is nested deeper than a safetensors header is", name);
    }
    if (bounds.values > most) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the header has more than %zu values", name, most);
    }
    return SPOOR_OK;
}

static spoor_status parse_header(safetensors *f, const char *name, size_t *data_at, spoor_error *err) {
    if (f->size < 8) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: %zu bytes are too few for a safetensors file", name, f->size);
    }
    uint64_t length = 0;
    for (size_t i = 0; i < 8; i++) {
        length |= (uint64_t)f->bytes[i] << (8 * i);
    }
    if (length > f->size - 8) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s: no safetensors file, or cut off: the header should have %" PRIu64
                         " bytes, but the file has %zu in all",
                         name, length, f->size);
    }
    if (length > SAFETENSORS_MAX_HEADER) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the header has %" PRIu64 " bytes, over the limit of %zu", name,
                         length, SAFETENSORS_MAX_HEADER);
    }
    const char *text = (const char *)f->bytes + 8;
    size_t n = (size_t)length;
    if (n == 0 || text[0] != '{') {
        return error_set(err, SPOOR_ERR_MODEL, "%s: no safetensors file: the header does not begin with '{'", name);
    }
    TRY(check_text(text, n, name, err));
    json_error_t e;
    f->header = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (f->header == NULL) {
        if (json_error_code(&e) == json_error_out_of_memory) {
            return error_memory(err, "reading the header of a safetensors file");
        }
        return error_set(err, SPOOR_ERR_MODEL, "%s: the header is no valid JSON: %s (byte %d)", name, e.text,
                         8 + e.position);
    }
    *data_at = 8 + n;
    return SPOOR_OK;
}

/* ---- one tensor ---- */

static bool find_dtype(const char *name, safetensors_dtype *out) {
    for (int i = 0; i < SAFETENSORS_DTYPES; i++) {
        if (strcmp(DTYPES[i].name, name) == 0) {
            *out = (safetensors_dtype)i;
            return true;
        }
    }
    return false;
}

static spoor_status read_shape(safetensors_tensor *t, const json_t *shape, const char *file, spoor_error *err) {
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > SAFETENSORS_MAX_RANK) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the shape of %s is no list of at most %d sizes", file, t->name,
                         SAFETENSORS_MAX_RANK);
    }
    int64_t bytes = (int64_t)DTYPES[t->dtype].size;
    for (size_t i = 0; i < rank; i++) {
        const json_t *size = json_array_get(shape, i);
        t->shape[i] = json_is_integer(size) ? json_integer_value(size) : -1;
        if (t->shape[i] < 0) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: the shape of %s has a size that is no integer >= 0", file,
                             t->name);
        }
        if (!checked_mul_i64(bytes, t->shape[i], &bytes) || (uint64_t)bytes > SIZE_MAX) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: the shape of %s is larger than any memory", file, t->name);
        }
    }
    t->rank = (int)rank;
    t->bytes = (size_t)bytes;
    t->count = t->bytes / DTYPES[t->dtype].size;
    return SPOOR_OK;
}

static spoor_status read_offsets(entry *e, const json_t *offsets, size_t data_size, const char *file,
                                 spoor_error *err) {
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end)) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: data_offsets of %s is no pair of integers", file, e->tensor.name);
    }
    json_int_t b = json_integer_value(begin), n = json_integer_value(end);
    if (b < 0 || n < b || (uint64_t)n > data_size) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s: cut off or damaged: %s lies at bytes %" PRId64 " to %" PRId64 " of %zu", file,
                         e->tensor.name, (int64_t)b, (int64_t)n, data_size);
    }
    e->begin = (size_t)b;
    e->end = (size_t)n;
    if (e->end - e->begin != e->tensor.bytes) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: %s needs %zu bytes by its shape, but has %zu", file, e->tensor.name,
                         e->tensor.bytes, e->end - e->begin);
    }
    return SPOOR_OK;
}

static spoor_status read_tensor(entry *e, const char *name, const json_t *value, size_t data_size, const char *file,
                                spoor_error *err) {
    if (strlen(name) > SAFETENSORS_MAX_NAME) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: a tensor's name is longer than %d bytes", file,
                         SAFETENSORS_MAX_NAME);
    }
    const json_t *dtype = json_object_get(value, "dtype"), *shape = json_object_get(value, "shape");
    const json_t *offsets = json_object_get(value, "data_offsets");
    if (dtype == NULL || shape == NULL || offsets == NULL || json_object_size(value) != 3) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: %s is not described by dtype, shape and data_offsets alone", file,
                         name);
    }
    e->tensor.name = name;
    if (!json_is_string(dtype) || !find_dtype(json_string_value(dtype), &e->tensor.dtype)) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: %s has the dtype %.20s, which Spoor does not know", file, name,
                         json_is_string(dtype) ? json_string_value(dtype) : "(no string)");
    }
    TRY(read_shape(&e->tensor, shape, file, err));
    return read_offsets(e, offsets, data_size, file, err);
}

/* ---- all of them ---- */

/* By place in the data; empty tensors before the one that begins at the same place, else as in the header. */
static int by_offset(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    if (x->end != y->end) {
        return x->end < y->end ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static spoor_status read_metadata(safetensors *f, json_t *map, const char *file, spoor_error *err) {
    if (!json_is_object(map)) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: " METADATA " is no map of strings", file);
    }
    f->meta = ctx_alloc(f->ctx, json_object_size(map), 2 * sizeof *f->meta);
    if (f->meta == NULL) {
        return error_memory(err, "reading the metadata of a safetensors file");
    }
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value) {
        if (!json_is_string(value) || strlen(key) > SAFETENSORS_MAX_NAME) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: the metadata %.100s is no string, or its key is too long", file,
                             key);
        }
        f->meta[2 * f->n_meta] = key;
        f->meta[2 * f->n_meta + 1] = json_string_value(value);
        f->n_meta++;
    }
    return SPOOR_OK;
}

static spoor_status read_entries(safetensors *f, entry *entries, size_t data_size, const char *file, spoor_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(f->header, key, value) {
        if (strcmp(key, METADATA) == 0) {
            TRY(read_metadata(f, value, file, err));
            continue;
        }
        entry *e = &entries[f->n_tensors];
        memset(e, 0, sizeof *e);
        e->order = f->n_tensors++;
        TRY(read_tensor(e, key, value, data_size, file, err));
    }
    if (f->n_tensors > 0) {
        qsort(entries, f->n_tensors, sizeof *entries, by_offset);
    }
    size_t covered = 0;
    for (size_t i = 0; i < f->n_tensors; i++) {
        if (entries[i].begin != covered) {
            return error_set(err, SPOOR_ERR_MODEL, "%s: %s in the data before %s", file,
                             entries[i].begin < covered ? "tensors overlap" : "there is a hole",
                             entries[i].tensor.name);
        }
        covered = entries[i].end;
    }
    if (covered != data_size) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the last %zu bytes belong to no tensor", file, data_size - covered);
    }
    return SPOOR_OK;
}

static spoor_status read_all(safetensors *f, const char *name, spoor_error *err) {
    size_t data_at = 0;
    TRY(parse_header(f, name, &data_at, err));
    size_t n = json_object_size(f->header);
    if (n > SAFETENSORS_MAX_TENSORS) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: %zu tensors are over the limit of %zu", name, n,
                         SAFETENSORS_MAX_TENSORS);
    }
    entry *entries = ctx_alloc(f->ctx, n, sizeof *entries);
    f->tensors = ctx_alloc(f->ctx, n, sizeof *f->tensors);
    spoor_status status = entries == NULL || f->tensors == NULL
                              ? error_memory(err, "reading a safetensors file")
                              : read_entries(f, entries, f->size - data_at, name, err);
    for (size_t i = 0; status == SPOOR_OK && i < f->n_tensors; i++) {
        f->tensors[i] = entries[i].tensor;
        f->tensors[i].data = f->bytes + data_at + entries[i].begin;
    }
    ctx_free(f->ctx, entries);
    return status;
}

/* owned, mapped: given back with the object, also on failure; both NULL when the bytes are the caller's. */
static spoor_status open_bytes(spoor_context *ctx, unsigned char *owned, const unsigned char *mapped, const void *data,
                               size_t size, const char *name, safetensors **out, spoor_error *err) {
    safetensors *f = ctx_calloc(ctx, 1, sizeof *f);
    if (f == NULL) {
        ctx_free(ctx, owned);
        io_unmap(mapped, size);
        return error_memory(err, "opening a safetensors file");
    }
    *f = (safetensors){.ctx = ctx, .owned = owned, .mapped = mapped, .bytes = data, .size = size};
    spoor_status status = read_all(f, name, err);
    if (status != SPOOR_OK) {
        safetensors_free(f);
        return status;
    }
    *out = f;
    return SPOOR_OK;
}

spoor_status safetensors_open(spoor_context *ctx, const char *path, safetensors **out, spoor_error *err) {
    *out = NULL;
    unsigned char *data;
    size_t size;
    TRY(io_read_file(ctx, path, SAFETENSORS_MAX_FILE, &data, &size, err));
    return open_bytes(ctx, data, NULL, data, size, path, out, err);
}

spoor_status safetensors_map(spoor_context *ctx, const char *path, safetensors **out, spoor_error *err) {
    *out = NULL;
    const unsigned char *data;
    size_t size;
    TRY(io_map_file(path, SAFETENSORS_MAX_MAPPED, &data, &size, err));
    return open_bytes(ctx, NULL, data, data, size, path, out, err);
}

spoor_status safetensors_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name,
                                     safetensors **out, spoor_error *err) {
    *out = NULL;
    return open_bytes(ctx, NULL, NULL, data, size, name, out, err);
}

void safetensors_free(safetensors *f) {
    if (f != NULL) {
        json_decref(f->header);
        ctx_free(f->ctx, f->tensors);
        ctx_free(f->ctx, f->meta);
        ctx_free(f->ctx, f->owned);
        io_unmap(f->mapped, f->size);
        ctx_free(f->ctx, f);
    }
}

const void *safetensors_bytes(const safetensors *f, size_t *size) {
    *size = f->size;
    return f->bytes;
}

size_t safetensors_count(const safetensors *f) { return f->n_tensors; }

const safetensors_tensor *safetensors_at(const safetensors *f, size_t i) { return &f->tensors[i]; }

const safetensors_tensor *safetensors_find(const safetensors *f, const char *name) {
    for (size_t i = 0; i < f->n_tensors; i++) {
        if (strcmp(f->tensors[i].name, name) == 0) {
            return &f->tensors[i];
        }
    }
    return NULL;
}

size_t safetensors_meta_count(const safetensors *f) { return f->n_meta; }

void safetensors_meta_at(const safetensors *f, size_t i, const char **key, const char **value) {
    *key = f->meta[2 * i];
    *value = f->meta[2 * i + 1];
}

const char *safetensors_meta(const safetensors *f, const char *key) {
    for (size_t i = 0; i < f->n_meta; i++) {
        if (strcmp(f->meta[2 * i], key) == 0) {
            return f->meta[2 * i + 1];
        }
    }
    return NULL;
}
