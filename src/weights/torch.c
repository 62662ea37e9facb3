/* torch.c: opening a PyTorch checkpoint and reading its tensors; see torch.h. The archive is torch_zip.c, the pickle
 * pickle_read.c, which tensors there are torch_state.c and torch_tensor.c. */
#include "weights/torch.h"
#include "base/checked.h"
#include "weights/torch_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VERSION_BYTES = 8, VERSION_MOST = 10 };

struct torch_file {
    spoor_context *ctx;
    torch_zip *zip;
    torch_views views;
};

/* ---- opening ---- */

/* A small entry of text; absent: "". */
static spoor_status read_note(torch_zip *z, const char *folder, size_t length, const char *name,
                              char out[VERSION_BYTES + 1], spoor_error *err) {
    torch_zip_entry e;
    bool found;
    memset(out, 0, VERSION_BYTES + 1);
    TRY(torch_zip_find(z, folder, length, name, &found, &e, err));
    return found ? torch_zip_read(z, &e, 0, out, e.size < VERSION_BYTES ? (size_t)e.size : VERSION_BYTES, err)
                 : SPOOR_OK;
}

static spoor_status check_archive(torch_zip *z, const char *folder, size_t length, spoor_error *err) {
    const char *name = torch_zip_name(z);
    char note[VERSION_BYTES + 1];
    if (torch_zip_has(z, folder, length, "constants.pkl") || torch_zip_has(z, folder, length, "code/")) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s is a TorchScript program, and no code of a file is run; save its tensors: python3 -c "
                         "\"import torch; torch.save(torch.jit.load('OLD.pt', map_location='cpu').state_dict(), "
                         "'NEW.pt')\"",
                         name);
    }
    TRY(read_note(z, folder, length, "byteorder", note, err));
    if (note[0] != '\0' && strcmp(note, "little") != 0) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s was written on a machine of the other byte order; load and torch.save it again on a "
                         "little-endian one",
                         name);
    }
    TRY(read_note(z, folder, length, "version", note, err));
    unsigned version = 0, digits = 0;
    for (; digits < 4 && note[digits] >= '0' && note[digits] <= '9'; digits++) {
        version = 10 * version + (unsigned)(note[digits] - '0');
    }
    if (note[0] != '\0' && (digits == 0 || version > VERSION_MOST)) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the version %.8s of its archive is not one that is known", name,
                         note);
    }
    return SPOOR_OK;
}

static spoor_status read_pickle(torch_file *f, const torch_zip_entry *e, const char *folder, size_t length,
                                spoor_error *err) {
    if (e->size > TORCH_MAX_PICKLE) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: its data.pkl has %" PRIu64 " bytes, over the limit of %zu",
                         torch_zip_name(f->zip), e->size, TORCH_MAX_PICKLE);
    }
    unsigned char *bytes = ctx_alloc(f->ctx, (size_t)e->size, 1);
    if (bytes == NULL) {
        return error_memory(err, "reading a PyTorch checkpoint");
    }
    pickle *p = NULL;
    spoor_status status = torch_zip_read(f->zip, e, 0, bytes, (size_t)e->size, err);
    if (status == SPOOR_OK) {
        status = pickle_read(f->ctx, bytes, (size_t)e->size, torch_zip_name(f->zip), &p, err);
    }
    if (status == SPOOR_OK) {
        status = torch_state_find(f->ctx, p, f->zip, folder, length, &f->views, err);
    }
    pickle_free(p);
    ctx_free(f->ctx, bytes);
    return status;
}

static spoor_status read_archive(torch_file *f, spoor_error *err) {
    size_t length;
    torch_zip_entry e;
    bool found = false;
    const char *folder = torch_zip_folder(f->zip, "/data.pkl", &length);
    if (folder != NULL) {
        TRY(check_archive(f->zip, folder, length, err));
        TRY(torch_zip_find(f->zip, folder, length, "data.pkl", &found, &e, err));
    }
    if (!found) {
        return error_set(err, SPOOR_ERR_MODEL, "%s is a zip archive, but no PyTorch checkpoint: it has no data.pkl",
                         torch_zip_name(f->zip));
    }
    return read_pickle(f, &e, folder, length, err);
}

spoor_status torch_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, torch_file **out,
                               spoor_error *err) {
    *out = NULL;
    torch_file *f = ctx_calloc(ctx, 1, sizeof *f);
    if (f == NULL) {
        return error_memory(err, "opening a PyTorch checkpoint");
    }
    f->ctx = ctx;
    spoor_status status = torch_zip_open(ctx, name, data, size, &f->zip, err);
    status = status == SPOOR_OK ? read_archive(f, err) : status;
    if (status != SPOOR_OK) {
        torch_free(f);
        return status;
    }
    *out = f;
    return SPOOR_OK;
}

spoor_status torch_open(spoor_context *ctx, const char *path, torch_file **out, spoor_error *err) {
    return torch_open_memory(ctx, NULL, 0, path, out, err);
}

void torch_free(torch_file *f) {
    if (f != NULL) {
        for (size_t i = 0; i < f->views.n; i++) {
            ctx_free(f->ctx, (void *)(uintptr_t)f->views.v[i].info.name);
            ctx_free(f->ctx, f->views.v[i].refused);
        }
        ctx_free(f->ctx, f->views.v);
        torch_zip_free(f->zip);
        ctx_free(f->ctx, f);
    }
}

size_t torch_count(const torch_file *f) { return f->views.n; }

const weights_tensor *torch_at(const torch_file *f, size_t i) { return &f->views.v[i].info; }

const char *torch_refused(const torch_file *f, size_t i) { return f->views.v[i].refused; }

/* ---- reading ---- */

static bool is_row_major(const torch_view *v) {
    uint64_t next = 1;
    for (int d = v->info.rank; d-- > 0;) {
        if (v->info.shape[d] != 1 && v->stride[d] != next) {
            return false;
        }
        next *= (uint64_t)v->info.shape[d]; /* fits: the number of elements does */
    }
    return true;
}

/* The elements of a view of any strides, one after another. `from` holds its span. torch_tensor.c saw to it that the
 * largest index is inside the span. */
static void gather(const torch_view *v, const unsigned char *from, size_t element, unsigned char *out) {
    int64_t at[SAFETENSORS_MAX_RANK] = {0};
    uint64_t place = 0;
    for (size_t i = 0; i < v->info.count; i++) {
        memcpy(out + i * element, from + place * element, element);
        for (int d = v->info.rank; d-- > 0;) { /* the next index, as an odometer counts */
            place += v->stride[d];
            if (++at[d] < v->info.shape[d]) {
                break;
            }
            place -= v->stride[d] * (uint64_t)v->info.shape[d];
            at[d] = 0;
        }
    }
}

static spoor_status check_readable(const torch_file *f, const torch_view *v, spoor_error *err) {
    return v->refused == NULL ? SPOOR_OK
                              : error_set(err, SPOOR_ERR_MODEL, "%s: %.200s cannot be read: %s", torch_zip_name(f->zip),
                                          v->info.name, v->refused);
}

static spoor_status read_raw(const torch_file *f, const torch_view *v, unsigned char *out, spoor_error *err) {
    size_t element = safetensors_dtype_size(v->info.dtype), bytes = (size_t)v->span * element;
    if (v->info.count == 0) {
        return SPOOR_OK;
    }
    if (is_row_major(v)) {
        return torch_zip_read(f->zip, &v->storage, v->offset * element, out, bytes, err);
    }
    unsigned char *span = ctx_alloc(f->ctx, bytes, 1);
    if (span == NULL) {
        return error_memory(err, "reading a tensor of a PyTorch checkpoint");
    }
    spoor_status status = torch_zip_read(f->zip, &v->storage, v->offset * element, span, bytes, err);
    if (status == SPOOR_OK) {
        gather(v, span, element, out);
    }
    ctx_free(f->ctx, span);
    return status;
}

spoor_status torch_read_raw(const torch_file *f, size_t i, void *out, spoor_error *err) {
    TRY(check_readable(f, &f->views.v[i], err));
    return read_raw(f, &f->views.v[i], out, err);
}

spoor_status torch_read(const torch_file *f, size_t i, float *out, spoor_error *err) {
    const torch_view *v = &f->views.v[i];
    TRY(check_readable(f, v, err));
    if (v->info.dtype == SAFETENSORS_F32) {
        return read_raw(f, v, (unsigned char *)out, err);
    }
    size_t element = safetensors_dtype_size(v->info.dtype), bytes;
    if (!checked_mul(v->info.count, element, &bytes)) {
        return error_memory(err, "reading a tensor of a PyTorch checkpoint");
    }
    unsigned char *raw = ctx_alloc(f->ctx, bytes, 1);
    if (raw == NULL) {
        return error_memory(err, "reading a tensor of a PyTorch checkpoint");
    }
    spoor_status status = read_raw(f, v, raw, err);
    if (status == SPOOR_OK) {
        safetensors_tensor t = {
            .name = v->info.name, .dtype = v->info.dtype, .count = v->info.count, .bytes = bytes, .data = raw};
        safetensors_to_f32(&t, out);
    }
    ctx_free(f->ctx, raw);
    return status;
}
