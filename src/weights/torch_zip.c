/* torch_zip.c: see torch_zip.h. libzip's own memory does not come from the context; all of ours does. */
#include "weights/torch_zip.h"
#include "weights/torch.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

enum { SKIP_BYTES = 1 << 16 };
#define DEFLATE_RATIO 1032 /* what deflate can do at most */

struct torch_zip {
    spoor_context *ctx;
    char *name;
    zip_t *zip;
    uint64_t size; /* of the archive */
    zip_uint64_t entries;
    pthread_mutex_t lock; /* libzip's objects belong to one thread at a time */
    bool has_lock;
};

/* ---- opening ---- */

static const char OLD[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"; /* PyTorch 0.1.10 to 1.5 */

static bool begins_zip(const unsigned char *head, size_t size) {
    return size >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0);
}

static bool begins_old(const unsigned char *head, size_t size) {
    return (size >= sizeof OLD - 1 && memcmp(head, OLD, sizeof OLD - 1) == 0) ||
           (size >= 262 && memcmp(head + 257, "ustar", 5) == 0);
}

bool torch_begins(const void *head, size_t size) { return begins_zip(head, size) || begins_old(head, size); }

static spoor_status check_head(const torch_zip *z, const unsigned char *head, size_t size, spoor_error *err) {
    if (begins_old(head, size)) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s is a PyTorch file from before the zip format; write it anew once, with PyTorch 1.6 or "
                         "later: python3 -c \"import torch; torch.save(torch.load('OLD.pt', map_location='cpu'), "
                         "'NEW.pt')\"",
                         z->name);
    }
    return begins_zip(head, size)
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_MODEL, "%s is no PyTorch checkpoint: no zip archive", z->name);
}

static spoor_status zip_refused(const torch_zip *z, zip_error_t *e, spoor_error *err) {
    spoor_status status = zip_error_code_zip(e) == ZIP_ER_MEMORY ? SPOOR_ERR_LIMIT : SPOOR_ERR_MODEL;
    error_set(err, status, "%s: damaged, or cut off: its zip archive cannot be opened: %.100s", z->name,
              zip_error_strerror(e));
    zip_error_fini(e);
    return status;
}

static spoor_status open_source(torch_zip *z, zip_source_t *source, zip_error_t *e, spoor_error *err) {
    z->zip = source != NULL ? zip_open_from_source(source, ZIP_RDONLY, e) : NULL;
    if (z->zip == NULL) {
        zip_source_free(source);
        return zip_refused(z, e, err);
    }
    zip_error_fini(e);
    zip_int64_t n = zip_get_num_entries(z->zip, 0);
    if (n < 0 || (uint64_t)n > TORCH_MAX_ENTRIES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: its archive has more entries than the limit of %zu", z->name,
                         TORCH_MAX_ENTRIES);
    }
    z->entries = (zip_uint64_t)n;
    return SPOOR_OK;
}

static spoor_status open_file(torch_zip *z, spoor_error *err) {
    int fd = open(z->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        int e = errno;
        spoor_status status = fd < 0 ? error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", z->name, strerror(e))
                                     : error_set(err, SPOOR_ERR_IO, "cannot read %s: not a regular file", z->name);
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    unsigned char head[512];
    ssize_t n = pread(fd, head, sizeof head, 0);
    spoor_status status = n < 0 ? error_set(err, SPOOR_ERR_IO, "cannot read %s: %s", z->name, strerror(errno))
                                : check_head(z, head, (size_t)n, err);
    FILE *file = status == SPOOR_OK ? fdopen(fd, "rb") : NULL;
    if (file == NULL) {
        close(fd);
        return status != SPOOR_OK ? status : error_memory(err, "opening a PyTorch checkpoint");
    }
    z->size = (uint64_t)st.st_size;
    zip_error_t e;
    zip_error_init(&e);
    zip_source_t *source = zip_source_filep_create(file, 0, -1, &e);
    if (source == NULL) {
        fclose(file);
    }
    return open_source(z, source, &e, err);
}

static spoor_status open_any(torch_zip *z, const void *data, size_t size, spoor_error *err) {
    if (z->name == NULL || pthread_mutex_init(&z->lock, NULL) != 0) {
        return error_memory(err, "opening a PyTorch checkpoint");
    }
    z->has_lock = true;
    if (data == NULL) {
        return open_file(z, err);
    }
    TRY(check_head(z, data, size, err));
    z->size = size;
    zip_error_t e;
    zip_error_init(&e);
    zip_source_t *source = zip_source_buffer_create(data, size, 0, &e);
    return open_source(z, source, &e, err);
}

spoor_status torch_zip_open(spoor_context *ctx, const char *name, const void *data, size_t size, torch_zip **out,
                            spoor_error *err) {
    *out = NULL;
    torch_zip *z = ctx_calloc(ctx, 1, sizeof *z);
    if (z == NULL) {
        return error_memory(err, "opening a PyTorch checkpoint");
    }
    z->ctx = ctx;
    z->name = ctx_strdup(ctx, name);
    spoor_status status = open_any(z, data, size, err);
    if (status != SPOOR_OK) {
        torch_zip_free(z);
        return status;
    }
    *out = z;
    return SPOOR_OK;
}

void torch_zip_free(torch_zip *z) {
    if (z != NULL) {
        if (z->zip != NULL) {
            zip_discard(z->zip);
        }
        if (z->has_lock) {
            pthread_mutex_destroy(&z->lock);
        }
        ctx_free(z->ctx, z->name);
        ctx_free(z->ctx, z);
    }
}

const char *torch_zip_name(const torch_zip *z) { return z->name; }

/* ---- entries ---- */

const char *torch_zip_folder(torch_zip *z, const char *file, size_t *length) {
    for (zip_uint64_t i = 0; i < z->entries; i++) {
        const char *name = zip_get_name(z->zip, i, ZIP_FL_ENC_RAW);
        const char *slash = name != NULL ? strchr(name, '/') : NULL;
        if (slash != NULL && strcmp(slash, file) == 0) {
            *length = (size_t)(slash - name);
            return name;
        }
    }
    return NULL;
}

bool torch_zip_has(torch_zip *z, const char *folder, size_t length, const char *begin) {
    for (zip_uint64_t i = 0; i < z->entries; i++) {
        const char *name = zip_get_name(z->zip, i, ZIP_FL_ENC_RAW);
        if (name != NULL && strncmp(name, folder, length) == 0 && name[length] == '/' &&
            strncmp(name + length + 1, begin, strlen(begin)) == 0) {
            return true;
        }
    }
    return false;
}

/* What the archive says of an entry, where that is possible at all. */
static spoor_status stat_entry(torch_zip *z, zip_uint64_t index, torch_zip_entry *out, spoor_error *err) {
    zip_stat_t st;
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(z->zip, index, 0, &st) != 0 || (st.valid & needed) != needed) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: damaged: an entry of its archive has no size", z->name);
    }
    if ((st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE) || st.encryption_method != ZIP_EM_NONE) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: an entry of its archive is neither stored nor deflated", z->name);
    }
    bool stored = st.comp_method == ZIP_CM_STORE;
    if (st.comp_size > z->size || (stored && st.size != st.comp_size) || st.size / DEFLATE_RATIO > st.comp_size) {
        return error_set(err, SPOOR_ERR_MODEL,
                         "%s: damaged, or cut off: an entry of its archive claims %" PRIu64 " bytes, of which %" PRIu64
                         " should lie in a file of %" PRIu64,
                         z->name, (uint64_t)st.size, (uint64_t)st.comp_size, z->size);
    }
    if (!stored && st.size > TORCH_MAX_DEFLATED) {
        return error_set(err, SPOOR_ERR_LIMIT,
                         "%s: a compressed entry of %" PRIu64 " bytes is over the limit of %" PRIu64
                         "; write the archive anew without compression",
                         z->name, (uint64_t)st.size, TORCH_MAX_DEFLATED);
    }
    *out = (torch_zip_entry){.index = index, .size = st.size, .stored = stored};
    return SPOOR_OK;
}

spoor_status torch_zip_find(torch_zip *z, const char *folder, size_t length, const char *file, bool *found,
                            torch_zip_entry *out, spoor_error *err) {
    *found = false;
    char *path = ctx_printf(z->ctx, "%.*s/%s", (int)length, folder, file);
    if (path == NULL) {
        return error_memory(err, "reading a PyTorch checkpoint");
    }
    pthread_mutex_lock(&z->lock);
    zip_int64_t index = zip_name_locate(z->zip, path, ZIP_FL_ENC_RAW);
    spoor_status status = SPOOR_OK;
    if (index >= 0) {
        *found = true;
        status = stat_entry(z, (zip_uint64_t)index, out, err);
    }
    pthread_mutex_unlock(&z->lock);
    ctx_free(z->ctx, path);
    return status;
}

/* ---- reading ---- */

static bool read_exactly(zip_file_t *file, unsigned char *out, uint64_t n) {
    while (n > 0) {
        zip_int64_t got = zip_fread(file, out, n < (1u << 30) ? n : (1u << 30));
        if (got <= 0) {
            return false;
        }
        out += got;
        n -= (uint64_t)got;
    }
    return true;
}

/* Stored entries can be sought in; of others the beginning is inflated and thrown away. */
static bool skip_to(zip_file_t *file, bool stored, uint64_t offset) {
    if (stored && offset > 0) {
        return offset <= INT64_MAX && zip_fseek(file, (zip_int64_t)offset, SEEK_SET) == 0;
    }
    unsigned char rest[SKIP_BYTES];
    while (offset > 0) {
        uint64_t n = offset < sizeof rest ? offset : sizeof rest;
        if (!read_exactly(file, rest, n)) {
            return false;
        }
        offset -= n;
    }
    return true;
}

/* At the end of an entry, one more byte is asked for: that is when libzip compares the checksum. */
static bool read_part(zip_file_t *file, const torch_zip_entry *e, uint64_t offset, unsigned char *out, size_t n) {
    unsigned char beyond;
    return skip_to(file, e->stored, offset) && read_exactly(file, out, n) &&
           (offset + n < e->size || zip_fread(file, &beyond, 1) == 0);
}

spoor_status torch_zip_read(torch_zip *z, const torch_zip_entry *e, uint64_t offset, void *out, size_t n,
                            spoor_error *err) {
    if (offset > e->size || n > e->size - offset) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: damaged: an entry of its archive ends too early", z->name);
    }
    spoor_status status = SPOOR_OK;
    pthread_mutex_lock(&z->lock);
    zip_file_t *file = zip_fopen_index(z->zip, e->index, 0);
    if (file == NULL || !read_part(file, e, offset, out, n)) {
        zip_error_t *why = file == NULL ? zip_get_error(z->zip) : zip_file_get_error(file);
        status = zip_error_code_zip(why) == ZIP_ER_MEMORY ? SPOOR_ERR_LIMIT : SPOOR_ERR_MODEL;
        error_set(err, status, "%s: damaged, or cut off: an entry of its archive cannot be read: %.100s", z->name,
                  zip_error_code_zip(why) == ZIP_ER_OK ? "it ends too early" : zip_error_strerror(why));
    }
    if (file != NULL) {
        zip_fclose(file);
    }
    pthread_mutex_unlock(&z->lock);
    return status;
}
