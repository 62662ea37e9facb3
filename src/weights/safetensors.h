/* safetensors.h: the container of model files: named tensors and a map of strings, in one file that any tool of the
 * field can open. Layout: 8 bytes little-endian header length, a JSON header, the tensors' bytes back to back.
 * Knows nothing of what a model needs; src/model checks names and shapes against the network. */
#ifndef WEIGHTS_SAFETENSORS_H
#define WEIGHTS_SAFETENSORS_H
#include "base/context.h"

/* Limits of what is read and written. */
#define SAFETENSORS_MAX_HEADER ((size_t)16 << 20)  /* bytes of JSON */
#define SAFETENSORS_MAX_TENSORS ((size_t)65536)
#define SAFETENSORS_MAX_FILE ((size_t)4 << 30)     /* bytes of a file that is read whole into memory */
#define SAFETENSORS_MAX_MAPPED ((size_t)64 << 30)  /* bytes of a file that is mapped, or written */
#define SAFETENSORS_MAX_RANK 8
#define SAFETENSORS_MAX_NAME 1024                  /* bytes of a tensor's name or a metadata key */

typedef enum safetensors_dtype {
    SAFETENSORS_F32,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_F64,
    SAFETENSORS_I64,
    SAFETENSORS_I32,
    SAFETENSORS_I16,
    SAFETENSORS_I8,
    SAFETENSORS_U64,
    SAFETENSORS_U32,
    SAFETENSORS_U16,
    SAFETENSORS_U8,
    SAFETENSORS_BOOL,
    SAFETENSORS_DTYPES /* how many */
} safetensors_dtype;

const char *safetensors_dtype_name(safetensors_dtype dtype);  /* "F32", ... */
size_t safetensors_dtype_size(safetensors_dtype dtype);       /* bytes of one element */

/* One tensor of an open file. Everything in it lives as long as the file. */
typedef struct safetensors_tensor {
    const char *name;
    safetensors_dtype dtype;
    int rank; /* 0 = a scalar, one element */
    int64_t shape[SAFETENSORS_MAX_RANK];
    size_t count;              /* elements */
    size_t bytes;              /* count * size of the dtype */
    const unsigned char *data; /* little-endian, row-major, perhaps not aligned */
} safetensors_tensor;

/* ---- reading ---- */

typedef struct safetensors safetensors; /* immutable once open, may be shared between threads */

/* Read a file whole and check every byte of its header. SPOOR_ERR_MODEL: the file is no valid safetensors file, with
 * the reason; SPOOR_ERR_IO, SPOOR_ERR_LIMIT as io_read_file. */
spoor_status safetensors_open(spoor_context *ctx, const char *path, safetensors **out, spoor_error *err);
/* The same with the file mapped into memory instead of read, for checkpoints that are used once and may be larger than
 * memory. The file must not be cut short meanwhile (io_map_file). */
spoor_status safetensors_map(spoor_context *ctx, const char *path, safetensors **out, spoor_error *err);
/* The same from memory, which must outlive the object; `name` is what sentences call it. */
spoor_status safetensors_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name,
                                     safetensors **out, spoor_error *err);
void safetensors_free(safetensors *f);

/* The bytes of the whole file, for hashing. */
const void *safetensors_bytes(const safetensors *f, size_t *size);

size_t safetensors_count(const safetensors *f);
const safetensors_tensor *safetensors_at(const safetensors *f, size_t i); /* in the order of the data */
const safetensors_tensor *safetensors_find(const safetensors *f, const char *name); /* NULL = none */

size_t safetensors_meta_count(const safetensors *f);
/* in the file's order */
void safetensors_meta_at(const safetensors *f, size_t i, const char **key, const char **value);
const char *safetensors_meta(const safetensors *f, const char *key); /* NULL = none */

/* All elements of t as float into out[t->count]; every dtype is converted, integers and doubles with rounding. */
void safetensors_to_f32(const safetensors_tensor *t, float *out);
/* The same in double: exact but for integers beyond 2^53. */
void safetensors_to_f64(const safetensors_tensor *t, double *out);

/* Half precision, IEEE 754 binary16; to_f16 rounds to nearest even and overflows to infinity. */
float safetensors_f16_to_f32(uint16_t h);
uint16_t safetensors_f32_to_f16(float f);

/* ---- writing ---- */

typedef struct safetensors_writer safetensors_writer;

spoor_status safetensors_writer_new(spoor_context *ctx, safetensors_writer **out, spoor_error *err);
void safetensors_writer_free(safetensors_writer *w);
/* One string of the metadata map (UTF-8; copied). SPOOR_ERR_USAGE: the key is there already, or is not UTF-8. */
spoor_status safetensors_writer_meta(safetensors_writer *w, const char *key, const char *value, spoor_error *err);
/* One tensor. The name is copied; data is borrowed until the save. For F32 and F16 data is `const float *` (F16 is
 * rounded while it is written; a finite value over 65504 is refused); for the other dtypes data holds its elements. */
spoor_status safetensors_writer_add(safetensors_writer *w, const char *name, safetensors_dtype dtype, int rank,
                                    const int64_t *shape, const void *data, spoor_error *err);
/* One tensor whose elements are asked for while the file is saved, so that no more than one of them is in memory:
 * read(user, number, elements) fills in its count * size bytes as they will be stored (F16 as halves); its error ends
 * the save. A file is saved in its own order (below), not in that of the numbers. */
typedef spoor_status (*safetensors_read_fn)(void *user, size_t number, void *elements, spoor_error *err);
spoor_status safetensors_writer_add_later(safetensors_writer *w, const char *name, safetensors_dtype dtype, int rank,
                                          const int64_t *shape, safetensors_read_fn read, void *user, size_t number,
                                          spoor_error *err);
/* Write the file atomically. The same calls give the same bytes: metadata as added; tensors as added, but those of
 * wider elements first, so that every tensor is aligned to its element. Can be called again. */
spoor_status safetensors_writer_save(safetensors_writer *w, const char *path, spoor_error *err);

#endif
