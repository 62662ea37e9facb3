/* test_safetensors.c: the container of model files: round trip, exact bytes, hostile files, conversions. */
#define _GNU_SOURCE
#include "base/io.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- round trip ---- */

static const float VALUES[6] = {0.0f, -1.5f, 3.25f, 65504.0f, 1e-7f, -0.0f};
static const int64_t WIDE[3] = {INT64_MIN, 7, INT64_MAX};
static const uint8_t BYTES[3] = {0, 1, 255};

static safetensors_writer *filled(spoor_context *ctx) {
    spoor_error err = {0};
    safetensors_writer *w;
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    support_ok(safetensors_writer_meta(w, "format", "pt", &err), &err);
    support_ok(safetensors_writer_meta(w, "spoor", "{\"name\": \"\xc3\xa9\\n\"}", &err), &err);
    support_ok(safetensors_writer_add(w, "flags", SAFETENSORS_U8, 1, (int64_t[]){3}, BYTES, &err), &err);
    support_ok(safetensors_writer_add(w, "half", SAFETENSORS_F16, 2, (int64_t[]){2, 3}, VALUES, &err), &err);
    support_ok(safetensors_writer_add(w, "full", SAFETENSORS_F32, 2, (int64_t[]){3, 2}, VALUES, &err), &err);
    support_ok(safetensors_writer_add(w, "scalar", SAFETENSORS_F32, 0, NULL, VALUES + 1, &err), &err);
    support_ok(safetensors_writer_add(w, "none", SAFETENSORS_F32, 3, (int64_t[]){4, 0, 2}, NULL, &err), &err);
    support_ok(safetensors_writer_add(w, "wide", SAFETENSORS_I64, 1, (int64_t[]){3}, WIDE, &err), &err);
    return w;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    char *folder = support_temporary(), path[4096], again[4096];
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    snprintf(again, sizeof again, "%s/b.safetensors", folder);
    safetensors_writer *w = filled(ctx);
    support_ok(safetensors_writer_save(w, path, &err), &err);
    support_ok(safetensors_writer_save(w, again, &err), &err);
    safetensors_writer_free(w);

    safetensors *f, *g;
    support_ok(safetensors_open(ctx, path, &f, &err), &err);
    support_ok(safetensors_open(ctx, again, &g, &err), &err);
    size_t n, m;
    const void *a = safetensors_bytes(f, &n), *b = safetensors_bytes(g, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);

    assert_int_equal(safetensors_count(f), 6);
    /* Wide elements first, so that all are aligned in the file. */
    const char *order[6] = {"wide", "full", "scalar", "none", "half", "flags"};
    for (size_t i = 0; i < 6; i++) {
        const safetensors_tensor *t = safetensors_at(f, i);
        assert_string_equal(t->name, order[i]);
        assert_int_equal((size_t)(t->data - (const unsigned char *)a) % safetensors_dtype_size(t->dtype), 0);
        assert_ptr_equal(safetensors_find(f, t->name), t);
    }
    const safetensors_tensor *t = safetensors_find(f, "full");
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], 3);
    assert_int_equal(t->shape[1], 2);
    assert_memory_equal(t->data, VALUES, sizeof VALUES);
    t = safetensors_find(f, "half");
    assert_int_equal(t->dtype, SAFETENSORS_F16);
    float half[6];
    safetensors_to_f32(t, half);
    float want[6] = {0.0f, -1.5f, 3.25f, 65504.0f, 0x1p-23f, -0.0f}; /* 1e-7 is 1.68 steps of 2^-24 */
    assert_memory_equal(half, want, sizeof want);
    t = safetensors_find(f, "scalar");
    assert_int_equal(t->rank, 0);
    assert_int_equal(t->count, 1);
    t = safetensors_find(f, "none");
    assert_int_equal(t->count, 0);
    assert_int_equal(t->shape[0], 4);
    assert_memory_equal(safetensors_find(f, "wide")->data, WIDE, sizeof WIDE);
    assert_memory_equal(safetensors_find(f, "flags")->data, BYTES, sizeof BYTES);
    assert_null(safetensors_find(f, "absent"));

    assert_int_equal(safetensors_meta_count(f), 2);
    const char *key, *value;
    safetensors_meta_at(f, 1, &key, &value);
    assert_string_equal(key, "spoor");
    assert_string_equal(value, "{\"name\": \"\xc3\xa9\\n\"}");
    assert_string_equal(safetensors_meta(f, "format"), "pt");
    assert_null(safetensors_meta(f, "absent"));
    safetensors_free(f);
    safetensors_free(g);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

/* The format to the byte, so that what other tools read cannot change unseen. */
static void bytes_are_those_of_the_format(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    char *folder = support_temporary(), path[4096];
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    safetensors_writer *w;
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    support_ok(safetensors_writer_meta(w, "k", "v", &err), &err);
    support_ok(safetensors_writer_add(w, "x", SAFETENSORS_F32, 1, (int64_t[]){2}, VALUES + 1, &err), &err);
    support_ok(safetensors_writer_save(w, path, &err), &err);
    safetensors_writer_free(w);
    static const char HEADER[] = "{\"__metadata__\":{\"k\":\"v\"},\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} ";
    unsigned char *data;
    size_t size;
    support_ok(io_read_file(ctx, path, 1000, &data, &size, &err), &err);
    assert_int_equal((sizeof HEADER - 1) % 8, 0);
    assert_int_equal(size, 8 + sizeof HEADER - 1 + 8);
    assert_memory_equal(data, "\x50\0\0\0\0\0\0\0", 8);
    assert_memory_equal(data + 8, HEADER, sizeof HEADER - 1);
    assert_memory_equal(data + 8 + sizeof HEADER - 1, "\0\0\xc0\xbf\0\0\x50\x40", 8);
    ctx_free(ctx, data);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

/* ---- hostile files ---- */

typedef struct hostile {
    const char *header; /* JSON text, preceded by its true length */
    size_t data;        /* zero bytes after it */
    const char *why;    /* must be part of the sentence */
} hostile;

#define X "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"
static const hostile HOSTILE[] = {
    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, "no valid JSON"},
    {"{}x", 0, "no valid JSON"},
    {"{}{}", 0, "no valid JSON"},
    {"{\"x\":{" X "}", 8, "no valid JSON"},
    {"{\"x\":{" X "},}", 8, "no valid JSON"},
    {"{\"x\xff\":{" X "}}", 8, "no valid JSON"},
    {"{\"x\\u0000\":{" X "}}", 8, "no valid JSON"},
    {"{\"x\":{" X "},\"x\":{" X "}}", 8, "no valid JSON"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "no valid JSON"},
    {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "no valid JSON"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8, "no valid JSON"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[[2]],\"data_offsets\":[0,8]}}", 8, "nested deeper"},
    {"{\"x\":[[[[[[[[[[]]]]]]]]]]}", 8, "nested deeper"},
    {"{\"x\":7}", 8, "not described by"},
    {"{\"x\":null}", 8, "not described by"},
    {"{\"x\":{}}", 8, "not described by"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "not described by"},
    {"{\"x\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "not described by"},
    {"{\"x\":{" X ",\"scale\":3}}", 8, "not described by"},
    {"{\"x\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "has the dtype F33"},
    {"{\"x\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "has the dtype f32"},
    {"{\"x\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "(no string)"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "no list of at most 8"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2,1,1,1,1,1,1,1,1],\"data_offsets\":[0,8]}}", 8, "no list of at most 8"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "no integer >= 0"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "no integer >= 0"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}", 8, "no integer >= 0"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,8]}}", 8, "larger than any memory"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "larger than any memory"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,2147483648,0],\"data_offsets\":[0,0]}}", 0, "larger than any memory"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":8}}", 8, "no pair of integers"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}", 8, "no pair of integers"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8, "no pair of integers"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8, "no pair of integers"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "cut off or damaged"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "cut off or damaged"},
    {"{\"x\":{" X "}}", 7, "cut off or damaged"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9223372036854775800,9223372036854775807]}}", 8, "cut off or"},
    {"{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "needs 16 bytes"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,8]}}", 8, "needs 4 bytes"},
    {"{\"x\":{" X "}}", 9, "last 1 bytes belong to no tensor"},
    {"{}", 1, "last 1 bytes belong to no tensor"},
    {"{\"x\":{" X "},\"y\":{" X "}}", 8, "tensors overlap"},
    {"{\"x\":{" X "},\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "tensors overlap"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "a hole"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]},\"y\":{" X "}}", 8, "tensors overlap"},
    {"{\"__metadata__\":[]}", 0, "no map of strings"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "the metadata a is no string"},
    {"{\"__metadata__\":{\"a\":null}}", 0, "the metadata a is no string"},
};

static unsigned char *make_file(const char *header, size_t length, size_t data, size_t *size) {
    *size = 8 + length + data;
    unsigned char *bytes = calloc(*size, 1); /* exact, so that a sanitizer sees reads beyond */
    assert_non_null(bytes);
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    }
    memcpy(bytes + 8, header, length);
    return bytes;
}

static void refused(const void *bytes, size_t size, const char *why) {
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    safetensors *f;
    spoor_status status = safetensors_open_memory(ctx, bytes, size, "bad.safetensors", &f, &err);
    if (status != SPOOR_ERR_MODEL || f != NULL || strstr(err.message, why) == NULL ||
        strstr(err.message, "bad.safetensors: ") != err.message) {
        fail_msg("want a refusal with \"%s\", got %s: %s", why, spoor_status_name(status), err.message);
    }
    spoor_context_free(ctx);
}

static void hostile_headers_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof HOSTILE / sizeof *HOSTILE; i++) {
        size_t size;
        unsigned char *bytes = make_file(HOSTILE[i].header, strlen(HOSTILE[i].header), HOSTILE[i].data, &size);
        refused(bytes, size, HOSTILE[i].why);
        free(bytes);
    }
}

static void lying_lengths_are_refused(void **state) {
    (void)state;
    refused("", 0, "too few");
    refused("\2\0\0\0\0\0\0", 7, "too few");
    refused("\2\0\0\0\0\0\0\0{", 9, "no safetensors file, or cut off");
    refused("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "no safetensors file, or cut off");
    refused("\xfa\xff\xff\xff\xff\xff\xff\x7f{}", 10, "no safetensors file, or cut off");
    refused("PK\3\4\24\0\0\0\10\0\0\0", 12, "no safetensors file, or cut off");
    size_t size, big = SAFETENSORS_MAX_HEADER + 1;
    char *text = malloc(big);
    memset(text, ' ', big);
    text[0] = '{';
    text[1] = '}';
    unsigned char *bytes = make_file(text, big, 0, &size);
    refused(bytes, size, "over the limit");
    free(bytes);
    /* Many small values in a header of permitted length would take gigabytes once parsed. */
    for (size_t i = 0; i + 8 < big; i++) {
        text[i] = i % 2 == 0 ? ',' : '0';
    }
    memcpy(text, "{\"x\":[0", 7);
    bytes = make_file(text, SAFETENSORS_MAX_HEADER, 0, &size);
    refused(bytes, size, "values");
    free(bytes);
    /* A name of 1,025 bytes. */
    memset(text, 'n', 1027);
    memcpy(text, "{\"", 2);
    strcpy(text + 1027, "\":{" X "}}");
    bytes = make_file(text, strlen(text), 8, &size);
    refused(bytes, size, "longer than 1024 bytes");
    free(bytes);
    /* 65,537 tensors of no size. */
    size_t at = 0;
    text[at++] = '{';
    for (size_t i = 0; i <= SAFETENSORS_MAX_TENSORS; i++) {
        at += (size_t)sprintf(text + at, "%s\"%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i == 0 ? "" : ",", i);
    }
    text[at++] = '}';
    bytes = make_file(text, at, 0, &size);
    refused(bytes, size, "over the limit of 65536");
    free(bytes);
    free(text);
}

/* Each prefix of a good file is refused; so is none of its bit flips fatal. */
static void damaged_files_do_no_harm(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    static const char HEADER[] = "{\"__metadata__\":{\"k\":\"v\"},\"x\":{" X "},\"y\":{\"dtype\":\"F16\",\"shape\":[1,3],"
                                 "\"data_offsets\":[8,14]}}  ";
    size_t size, opened = 0;
    unsigned char *bytes = make_file(HEADER, sizeof HEADER - 1, 14, &size);
    for (size_t n = 0; n < size; n++) {
        unsigned char *prefix = malloc(n + 1);
        memcpy(prefix, bytes, n);
        refused(prefix, n, "");
        free(prefix);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        spoor_error err = {0};
        safetensors *f;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        spoor_status status = safetensors_open_memory(ctx, bytes, size, "flipped", &f, &err);
        assert_true(status == SPOOR_OK || (status == SPOOR_ERR_MODEL && f == NULL && err.message[0] != '\0'));
        if (status == SPOOR_OK) {
            opened++;
            float out[4];
            for (size_t i = 0; i < safetensors_count(f); i++) {
                assert_true(safetensors_at(f, i)->count <= 4);
                safetensors_to_f32(safetensors_at(f, i), out);
            }
        }
        safetensors_free(f);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(opened >= 8 * 14); /* flips in the data are not the container's affair */
    free(bytes);
    spoor_context_free(ctx);
}

static void files_that_are_none_are_refused(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    safetensors *f;
    char *folder = support_temporary(), path[4096];
    assert_int_equal(safetensors_open(ctx, folder, &f, &err), SPOOR_ERR_IO);
    assert_null(f);
    snprintf(path, sizeof path, "%s/absent", folder);
    assert_int_equal(safetensors_open(ctx, path, &f, &err), SPOOR_ERR_IO);
    snprintf(path, sizeof path, "%s/sparse", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)SAFETENSORS_MAX_FILE + 1), 0);
    fclose(file);
    assert_int_equal(safetensors_open(ctx, path, &f, &err), SPOOR_ERR_LIMIT);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

/* ---- memory ---- */

static void every_failed_allocation_is_survived(void **state) {
    (void)state;
    char *folder = support_temporary(), path[4096];
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    bool done = false;
    for (size_t n = 1; !done; n++) {
        assert_true(n < 100);
        support_failing s = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&s);
        spoor_error err = {0};
        safetensors_writer *w = NULL;
        safetensors *f = NULL;
        spoor_status status = safetensors_writer_new(ctx, &w, &err);
        status = status == SPOOR_OK ? safetensors_writer_meta(w, "a", "b", &err) : status;
        for (int i = 0; status == SPOOR_OK && i < 12; i++) {
            char name[16];
            snprintf(name, sizeof name, "t%d", i);
            status = safetensors_writer_add(w, name, SAFETENSORS_F32, 1, (int64_t[]){2}, VALUES, &err);
        }
        status = status == SPOOR_OK ? safetensors_writer_save(w, path, &err) : status;
        status = status == SPOOR_OK ? safetensors_open(ctx, path, &f, &err) : status;
        safetensors_free(f);
        safetensors_writer_free(w);
        assert_true(status == SPOOR_OK || (status == SPOOR_ERR_LIMIT && f == NULL));
        done = status == SPOOR_OK;
        assert_int_equal(s.live, 0);
        s.fail_at = 0;
        spoor_context_free(ctx);
    }
    support_remove(folder);
    free(folder);
}

/* ---- the writer's refusals ---- */

static void the_writer_refuses_what_no_reader_would_take(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    char *folder = support_temporary(), path[4096], name[SAFETENSORS_MAX_NAME + 2];
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    safetensors_writer *w = filled(ctx);
    int64_t two[1] = {2}, minus[1] = {-1}, huge[2] = {INT64_MAX, 2}, many[9] = {0};
    assert_int_equal(safetensors_writer_meta(w, "format", "x", &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_meta(w, "\xff", "x", &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_meta(w, "x", "\xc3", &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_meta(w, name, "x", &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_add(w, "full", SAFETENSORS_F32, 1, two, VALUES, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "full exists twice"));
    assert_int_equal(safetensors_writer_add(w, "__metadata__", SAFETENSORS_F32, 1, two, VALUES, &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_add(w, name, SAFETENSORS_F32, 1, two, VALUES, &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_add(w, "\xff", SAFETENSORS_F32, 1, two, VALUES, &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_add(w, "d", SAFETENSORS_DTYPES, 1, two, VALUES, &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_add(w, "r", SAFETENSORS_F32, 9, many, VALUES, &err), SPOOR_ERR_USAGE);
    assert_int_equal(safetensors_writer_add(w, "m", SAFETENSORS_F32, 1, minus, VALUES, &err), SPOOR_ERR_LIMIT);
    assert_int_equal(safetensors_writer_add(w, "h", SAFETENSORS_F32, 2, huge, VALUES, &err), SPOOR_ERR_LIMIT);
    support_ok(safetensors_writer_save(w, path, &err), &err);

    /* A value that F16 cannot hold: nothing is written, the old file stays. */
    float over[2] = {1.0f, 65520.0f}, inf[2] = {1.0f, INFINITY};
    char before[65], after[65];
    support_ok(io_sha256_file(path, before, &err), &err);
    support_ok(safetensors_writer_add(w, "inf", SAFETENSORS_F16, 1, two, inf, &err), &err);
    support_ok(safetensors_writer_add(w, "over", SAFETENSORS_F16, 1, two, over, &err), &err);
    assert_int_equal(safetensors_writer_save(w, path, &err), SPOOR_ERR_USAGE);
    assert_non_null(strstr(err.message, "over holds 65520"));
    support_ok(io_sha256_file(path, after, &err), &err);
    assert_string_equal(before, after);
    snprintf(path, sizeof path, "%s/no/such/folder", folder);
    assert_int_equal(safetensors_writer_save(w, path, &err), SPOOR_ERR_IO);
    safetensors_writer_free(w);

    /* More data than a reader accepts: refused before a byte of it is read. */
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    int64_t large[1] = {(int64_t)(SAFETENSORS_MAX_MAPPED / 4)};
    support_ok(safetensors_writer_add(w, "large", SAFETENSORS_F32, 1, large, VALUES, &err), &err);
    assert_int_equal(safetensors_writer_save(w, path, &err), SPOOR_ERR_LIMIT);
    safetensors_writer_free(w);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

/* ---- conversions ---- */

/* Against the definition of binary16: (-1)^s * 2^(e-15) * (1 + f/1024), and 2^-14 * f/1024 where e = 0. */
static void half_precision_is_exact(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        double sign = (h & 0x8000) != 0 ? -1 : 1;
        float got = safetensors_f16_to_f32((uint16_t)h);
        if (exponent == 31 && fraction != 0) {
            assert_true(isnan(got) && isnan(safetensors_f16_to_f32(safetensors_f32_to_f16(got))));
            continue;
        }
        double want = exponent == 31  ? (double)INFINITY
                      : exponent == 0 ? ldexp(fraction, -24)
                                      : ldexp(1024 + fraction, exponent - 25);
        assert_true((double)got == sign * want && (signbit(got) != 0) == (sign < 0));
        assert_int_equal(safetensors_f32_to_f16(got), h);
        if (exponent == 31) {
            continue;
        }
        /* Half way to the next one: to the even of the two; a hair to either side: to the nearer one. */
        double next = exponent == 30 && fraction == 1023 ? 65536 : (double)safetensors_f16_to_f32((uint16_t)((h & 0x7fff) + 1));
        float middle = (float)((want + next) / 2);
        uint32_t s = h & 0x8000, low = h & 0x7fff, even = low % 2 == 0 ? low : low + 1;
        assert_int_equal(safetensors_f32_to_f16((float)sign * middle), s | even);
        assert_int_equal(safetensors_f32_to_f16((float)sign * nextafterf(middle, 0)), s | low);
        assert_int_equal(safetensors_f32_to_f16((float)sign * nextafterf(middle, INFINITY)), s | (low + 1));
    }
    assert_int_equal(safetensors_f32_to_f16(FLT_MAX), 0x7c00);
    assert_int_equal(safetensors_f32_to_f16(-FLT_MIN), 0x8000);
    assert_true(isnan(safetensors_f16_to_f32(safetensors_f32_to_f16(NAN))));
}

static void every_dtype_becomes_a_number(void **state) {
    (void)state;
    static const struct {
        safetensors_dtype dtype;
        unsigned char bytes[8]; /* little-endian */
        double want;
    } CASES[] = {
        {SAFETENSORS_F32, {0, 0, 0xc0, 0xbf}, -1.5},
        {SAFETENSORS_F16, {0, 0x3e}, 1.5},
        {SAFETENSORS_BF16, {0x20, 0xc0}, -2.5},
        {SAFETENSORS_F64, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, 1.5},
        {SAFETENSORS_I64, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, -2},
        {SAFETENSORS_I32, {0xfe, 0xff, 0xff, 0xff}, -2},
        {SAFETENSORS_I16, {0xfe, 0xff}, -2},
        {SAFETENSORS_I8, {0xfe}, -2},
        {SAFETENSORS_U64, {0, 0, 0, 0, 0, 0, 0, 0x80}, 9223372036854775808.0},
        {SAFETENSORS_U32, {0xff, 0xff, 0xff, 0xff}, 4294967295.0},
        {SAFETENSORS_U16, {0xff, 0xff}, 65535},
        {SAFETENSORS_U8, {0xff}, 255},
        {SAFETENSORS_BOOL, {2}, 1},
    };
    assert_int_equal(sizeof CASES / sizeof *CASES, SAFETENSORS_DTYPES);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        size_t size = safetensors_dtype_size(CASES[i].dtype);
        unsigned char odd[1 + 8]; /* not aligned, as a file may have it */
        memcpy(odd + 1, CASES[i].bytes, size);
        safetensors_tensor t = {.dtype = CASES[i].dtype, .count = 1, .bytes = size, .data = odd + 1};
        float f;
        double d;
        safetensors_to_f32(&t, &f);
        safetensors_to_f64(&t, &d);
        if (d != CASES[i].want || f != (float)CASES[i].want) {
            fail_msg("%s: got %g and %g, want %g", safetensors_dtype_name(CASES[i].dtype), d, (double)f, CASES[i].want);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(bytes_are_those_of_the_format),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(lying_lengths_are_refused),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(files_that_are_none_are_refused),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(the_writer_refuses_what_no_reader_would_take),
        cmocka_unit_test(half_precision_is_exact),
        cmocka_unit_test(every_dtype_becomes_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
