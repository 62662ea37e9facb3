/* npy.c: see npy.h. The header is a Python dictionary in text; only what NumPy writes for a plain matrix is read. */
#include "eval/npy.h"
#include "base/checked.h"
#include "base/io.h"
#include <stdio.h>
#include <string.h>

enum { MAGIC = 8, MAX_HEADER = 65536 }; /* magic string and version; bytes of the dictionary */

typedef struct header {
    bool wide; /* <f8 */
    bool has_descr, has_order, has_shape;
    size_t dims, shape[2];
} header;

static void put_u32(unsigned char *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(v >> (8 * i));
    }
}

static uint64_t get(const unsigned char *p, int bytes) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static spoor_status put_matrix(io_writer *w, const float *data, size_t n, spoor_error *err) {
    unsigned char buffer[4096];
    for (size_t at = 0; at < n;) {
        size_t take = n - at < sizeof buffer / 4 ? n - at : sizeof buffer / 4;
        for (size_t i = 0; i < take; i++) {
            uint32_t bits;
            memcpy(&bits, &data[at + i], sizeof bits);
            put_u32(buffer + 4 * i, bits);
        }
        TRY(io_writer_put(w, buffer, 4 * take, err));
        at += take;
    }
    return SPOOR_OK;
}

spoor_status npy_write_f32(spoor_context *ctx, const char *path, const float *data, size_t rows, size_t cols,
                           spoor_error *err) {
    size_t n;
    if (!checked_mul(rows, cols, &n) || n > NPY_MAX_BYTES / 4) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: a matrix of %zu x %zu is over the limit", path, rows, cols);
    }
    char text[192];
    int used = snprintf(text + 10, sizeof text - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                        rows, cols);
    size_t total = (10 + (size_t)used + 1 + 63) / 64 * 64; /* the data begin at a multiple of 64 */
    memcpy(text, "\x93NUMPY\x01\x00", MAGIC);
    text[8] = (char)(unsigned char)(total - 10);
    text[9] = 0;
    memset(text + 10 + used, ' ', total - 10 - (size_t)used);
    text[total - 1] = '\n';
    io_writer *w;
    TRY(io_writer_open(ctx, path, &w, err));
    spoor_status status = io_writer_put(w, text, total, err);
    if (status == SPOOR_OK) {
        status = put_matrix(w, data, n, err);
    }
    if (status != SPOOR_OK) {
        (void)io_writer_close(w, false, NULL);
        return status;
    }
    return io_writer_close(w, true, err);
}

static spoor_status put_ids(io_writer *w, const char *const *ids, size_t n, spoor_error *err) {
    for (size_t i = 0; i < n; i++) {
        for (const char *at = ids[i];;) {
            size_t plain = strcspn(at, "\r\n");
            TRY(io_writer_put(w, at, plain, err));
            if (at[plain] == '\0') {
                break;
            }
            TRY(io_writer_put(w, "?", 1, err));
            at += plain + 1;
        }
        TRY(io_writer_put(w, "\n", 1, err));
    }
    return SPOOR_OK;
}

spoor_status npy_write_ids(spoor_context *ctx, const char *npy_path, const char *const *ids, size_t n,
                           spoor_error *err) {
    size_t stem = strlen(npy_path);
    stem -= stem > 4 && strcmp(npy_path + stem - 4, ".npy") == 0 ? 4 : 0;
    char *path = ctx_printf(ctx, "%.*s.ids.txt", (int)stem, npy_path);
    if (path == NULL) {
        return error_memory(err, "writing ids");
    }
    io_writer *w;
    spoor_status status = io_writer_open(ctx, path, &w, err);
    ctx_free(ctx, path);
    if (status != SPOOR_OK) {
        return status;
    }
    status = put_ids(w, ids, n, err);
    if (status != SPOOR_OK) {
        (void)io_writer_close(w, false, NULL);
        return status;
    }
    return io_writer_close(w, true, err);
}

/* ---- reading ------------------------------------------------------------------------------------------ */

typedef struct text {
    const char *at, *end;
} text;

static void skip(text *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) {
        t->at++;
    }
}

static bool accept(text *t, const char *word) {
    skip(t);
    size_t n = strlen(word);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0) {
        return false;
    }
    t->at += n;
    return true;
}

/* A quoted word of at most size - 1 bytes. */
static bool word(text *t, char *out, size_t size) {
    skip(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"')) {
        return false;
    }
    char quote = *t->at++;
    size_t n = 0;
    while (t->at < t->end && *t->at != quote) {
        if (n + 1 >= size) {
            return false;
        }
        out[n++] = *t->at++;
    }
    out[n] = '\0';
    return t->at < t->end && *t->at++ == quote;
}

static bool whole(text *t, size_t *out) {
    skip(t);
    const char *first = t->at;
    *out = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
        if (!checked_mul(*out, 10, out) || !checked_add(*out, (size_t)(*t->at - '0'), out)) {
            return false;
        }
    }
    return t->at > first;
}

static bool shape(text *t, header *h) {
    if (!accept(t, "(")) {
        return false;
    }
    while (!accept(t, ")")) {
        if (h->dims == 2 || !whole(t, &h->shape[h->dims])) {
            return false;
        }
        h->dims++;
        if (!accept(t, ",")) {
            if (!accept(t, ")")) {
                return false;
            }
            break;
        }
    }
    h->has_shape = h->dims > 0;
    return h->has_shape;
}

static bool entry(text *t, header *h) {
    char key[32], value[16];
    if (!word(t, key, sizeof key) || !accept(t, ":")) {
        return false;
    }
    if (strcmp(key, "descr") == 0) {
        if (h->has_descr || !word(t, value, sizeof value)) {
            return false;
        }
        h->wide = strcmp(value, "<f8") == 0;
        h->has_descr = h->wide || strcmp(value, "<f4") == 0;
        return h->has_descr;
    }
    if (strcmp(key, "fortran_order") == 0) {
        h->has_order = accept(t, "False");
        return h->has_order;
    }
    return strcmp(key, "shape") == 0 && !h->has_shape && shape(t, h);
}

static bool dictionary(text t, header *h) {
    *h = (header){0};
    if (!accept(&t, "{")) {
        return false;
    }
    while (!accept(&t, "}")) {
        if (!entry(&t, h)) {
            return false;
        }
        if (!accept(&t, ",")) {
            if (!accept(&t, "}")) {
                return false;
            }
            break;
        }
    }
    skip(&t);
    return t.at == t.end && h->has_descr && h->has_order && h->has_shape;
}

static spoor_status parse(const char *path, const unsigned char *bytes, size_t size, header *h, size_t *data,
                          spoor_error *err) {
    if (size < MAGIC + 4 || memcmp(bytes, "\x93NUMPY", 6) != 0 || bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0) {
        return error_set(err, SPOOR_ERR_INPUT, "%s is no .npy file of version 1.0, 2.0 or 3.0", path);
    }
    int width = bytes[6] == 1 ? 2 : 4;
    size_t length = (size_t)get(bytes + MAGIC, width), start = MAGIC + (size_t)width;
    if (length > MAX_HEADER || length > size - start) {
        return error_set(err, SPOOR_ERR_INPUT, "%s: the .npy header says that it has %zu bytes, but the file has %zu",
                         path, length, size);
    }
    const char *first = (const char *)bytes + start;
    if (!dictionary((text){first, first + length}, h)) {
        return error_set(err, SPOOR_ERR_INPUT,
                         "%s: the .npy header is none of a float32 or float64 matrix in C order with one or two "
                         "dimensions",
                         path);
    }
    *data = start + length;
    return SPOOR_OK;
}

static spoor_status convert(spoor_context *ctx, const char *path, const unsigned char *bytes, size_t size, float **data,
                            size_t *rows, size_t *cols, spoor_error *err) {
    header h = {0};
    size_t start = 0, n = 0, need = 0;
    TRY(parse(path, bytes, size, &h, &start, err));
    size_t item = h.wide ? 8 : 4;
    *rows = h.shape[0];
    *cols = h.dims == 2 ? h.shape[1] : 1;
    if (!checked_mul(*rows, *cols, &n) || !checked_mul(n, item, &need) || need != size - start) {
        return error_set(err, SPOOR_ERR_INPUT, "%s: the .npy header says %zu x %zu numbers of %zu bytes, but %zu bytes "
                                               "follow",
                         path, *rows, *cols, item, size - start);
    }
    *data = ctx_alloc(ctx, n, sizeof **data);
    if (*data == NULL) {
        return error_memory(err, "reading a matrix");
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = get(bytes + start + i * item, (int)item);
        if (h.wide) {
            double v;
            memcpy(&v, &bits, sizeof v);
            (*data)[i] = (float)v;
        } else {
            uint32_t narrow = (uint32_t)bits;
            memcpy(&(*data)[i], &narrow, sizeof narrow);
        }
    }
    return SPOOR_OK;
}

spoor_status npy_read_f32(spoor_context *ctx, const char *path, size_t limit, float **data, size_t *rows, size_t *cols,
                          spoor_error *err) {
    *data = NULL;
    unsigned char *bytes;
    size_t size;
    TRY(io_read_file(ctx, path, limit, &bytes, &size, err));
    spoor_status status = convert(ctx, path, bytes, size, data, rows, cols, err);
    ctx_free(ctx, bytes);
    return status;
}
