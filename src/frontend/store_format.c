/* store_format.c: see store_format.h. */
#include "frontend/store_format.h"
#include "base/checked.h"
#include "base/io.h"
#include "weights/safetensors.h"
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "store_format.c: the files are little-endian and read as they are"
#endif

enum { FORMAT = 1, LANES = 8, BLOCK = LANES * 8, MAX_PARTS_DEPTH = 8 };
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

/* ---- hash ---- */

/* Every step is a bijection of the lane for a given word, and of the word for a given lane. */
static uint64_t step(uint64_t lane, uint64_t word) {
    lane ^= word;
    return (lane << 27 | lane >> 37) * MULTIPLIER;
}

static void add_block(uint64_t lane[LANES], const unsigned char *block) {
    uint64_t word[LANES];
    memcpy(word, block, sizeof word);
    for (int i = 0; i < LANES; i++) { /* eight chains at once: one multiplication takes three cycles */
        lane[i] = step(lane[i], word[i]);
    }
}

uint64_t store_hash(const void *data, size_t n) {
    const unsigned char *p = data;
    uint64_t lane[LANES] = {1, 2, 3, 4, 5, 6, 7, 8};
    size_t whole = n / BLOCK * BLOCK;
    for (size_t at = 0; at < whole; at += BLOCK) {
        add_block(lane, p + at);
    }
    if (n > whole) {
        unsigned char last[BLOCK] = {0};
        memcpy(last, p + whole, n - whole);
        add_block(lane, last);
    }
    uint64_t hash = n;
    for (int i = 0; i < LANES; i++) {
        hash = step(hash, lane[i]);
    }
    hash = (hash ^ hash >> 32) * MULTIPLIER; /* the high bits are the best mixed ones */
    return hash ^ hash >> 29;
}

/* ---- records ---- */

void store_record_write(const store_record *r, unsigned char out[STORE_RECORD]) {
    memcpy(out, r->key.bytes, 32);
    memcpy(out + 32, &r->offset, 8);
    memcpy(out + 40, &r->frames, 8);
    memcpy(out + 48, &r->rows, 8);
    uint64_t own = store_hash(out, 56);
    memcpy(out + 56, &own, 8);
}

store_record_state store_record_read(const unsigned char in[STORE_RECORD], store_record *r) {
    static const unsigned char NONE[STORE_RECORD];
    uint64_t own;
    memcpy(r->key.bytes, in, 32);
    memcpy(&r->offset, in + 32, 8);
    memcpy(&r->frames, in + 40, 8);
    memcpy(&r->rows, in + 48, 8);
    memcpy(&own, in + 56, 8);
    if (memcmp(in, NONE, STORE_RECORD) == 0) {
        return STORE_RECORD_NONE;
    }
    return own == store_hash(in, 56) ? STORE_RECORD_GOOD : STORE_RECORD_DAMAGED;
}

bool store_record_fits(const store_record *r, size_t row, uint64_t shard, size_t *size) {
    size_t end;
    return r->frames > 0 && r->frames <= SIZE_MAX && r->offset <= SIZE_MAX && r->offset % STORE_ALIGN == 0 &&
           checked_mul((size_t)r->frames, row, size) && checked_add((size_t)r->offset, *size, &end) && end <= shard;
}

/* ---- values ---- */

bool store_finite(const void *data, size_t n, bool half) {
    const unsigned char *p = data;
    unsigned bad = 0;
    if (half) {
        for (size_t i = 0; i < n; i++) {
            uint16_t v;
            memcpy(&v, p + 2 * i, sizeof v);
            bad |= (v & 0x7c00u) == 0x7c00u;
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            uint32_t v;
            memcpy(&v, p + 4 * i, sizeof v);
            bad |= (v & 0x7f800000u) == 0x7f800000u;
        }
    }
    return bad == 0;
}

/* Exponent and fraction move to where float has them; the product puts the bias right, and subnormals with it. */
void store_from_half(const void *in, size_t n, float *out) {
    const unsigned char *p = in;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        uint32_t bits = (uint32_t)(h & 0x7fffu) << 13, sign = (uint32_t)(h & 0x8000u) << 16;
        float v;
        memcpy(&v, &bits, sizeof v);
        v *= 0x1p112f;
        memcpy(&bits, &v, sizeof v);
        bits |= sign;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

bool store_to_half(const float *in, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = safetensors_f32_to_f16(in[i]);
    }
    return store_finite(out, n, true);
}

/* ---- index.json ---- */

static spoor_status hash_json(const json_t *json, char hex[65], spoor_error *err) {
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (!text) {
        return error_memory(err, "hashing a configuration");
    }
    io_sha256(text, strlen(text), hex);
    free(text);
    return SPOOR_OK;
}

/* Recordings of a chain's steps count by what they are and not by where they lie. */
static void strip_files(json_t *steps, int depth) {
    for (size_t i = 0; i < json_array_size(steps); i++) {
        json_t *step = json_array_get(steps, i);
        if (json_object_get(step, "sha256")) {
            (void)json_object_del(step, "files");
        }
        if (depth < MAX_PARTS_DEPTH) {
            strip_files(json_object_get(step, "of"), depth + 1);
        }
    }
}

spoor_status store_chain_hash(const json_t *chain, char hex[65], spoor_error *err) {
    json_t *copy = json_deep_copy(chain);
    if (!copy) {
        return error_memory(err, "hashing a configuration");
    }
    strip_files(copy, 0);
    spoor_status status = hash_json(copy, hex, err);
    json_decref(copy);
    return status;
}

/* Parts of a join, too. */
static int strip(json_t *config, const char *hash, int depth) {
    int failed = 0;
    if (json_object_get(config, "weights_sha256")) {
        (void)json_object_del(config, "weights");
        (void)json_object_del(config, "from");
        (void)json_object_del(config, "embed");
        failed = hash ? json_object_set_new(config, "weights_sha256", json_string(hash)) : 0;
    }
    const char *precision = json_string_value(json_object_get(config, "precision"));
    if (precision == NULL || strcmp(precision, "int8") != 0) {
        (void)json_object_del(config, "int8"); /* how it would be computed, and is not */
    }
    const json_t *parts = json_object_get(config, "parts");
    for (size_t i = 0; depth < MAX_PARTS_DEPTH && i < json_array_size(parts); i++) {
        failed |= strip(json_array_get(parts, i), hash, depth + 1);
    }
    return failed;
}

spoor_status store_settings(const frontend *fe, const char *hash, json_t **out, spoor_error *err) {
    *out = json_deep_copy(frontend_config(fe)); /* other threads read the front end's own */
    if (!*out || strip(*out, hash, 0) != 0) {
        json_decref(*out);
        *out = NULL;
        return error_memory(err, "hashing a configuration");
    }
    return SPOOR_OK;
}

spoor_status store_index_of(const json_t *settings, size_t dim, bool half, store_index *out, spoor_error *err) {
    *out = (store_index){.dim = dim, .half = half};
    return hash_json(settings, out->frontend, err);
}

char *store_index_write(const store_index *x, const json_t *settings) {
    json_t *json = json_pack("{s:s, s:i, s:o, s:s, s:I, s:s}", "holds", "features of spoor extract", "format", FORMAT,
                             "frontend", json_deep_copy(settings), "frontend_sha256", x->frontend, "dim",
                             (json_int_t)x->dim, "type", x->half ? "float16" : "float32");
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    return text;
}

/* jansson's own limit on nesting (2048) and STORE_INDEX_MAX bound what a hostile file can cost. */
spoor_status store_index_read(const char *name, const void *text, size_t size, store_index *out, json_t **settings,
                              spoor_error *err) {
    if (settings) {
        *settings = NULL;
    }
    json_t *json = size <= STORE_INDEX_MAX ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *hash = json_string_value(json_object_get(json, "frontend_sha256"));
    const char *type = json_string_value(json_object_get(json, "type"));
    json_int_t dim = json_integer_value(json_object_get(json, "dim"));
    json_int_t format = json_integer_value(json_object_get(json, "format"));
    bool half = type && strcmp(type, "float16") == 0;
    bool right = hash && strlen(hash) == 64 && strspn(hash, "0123456789abcdef") == 64 && dim >= 1 &&
                 dim <= FRONTEND_MAX_DIM && type && (half || strcmp(type, "float32") == 0);
    spoor_status status = SPOOR_OK;
    if (format > FORMAT) {
        status =
            error_set(err, SPOOR_ERR_INPUT, "%s is of format %lld, which a later Spoor wrote; this one reads format %d",
                      name, (long long)format, FORMAT);
    } else if (!right || format != FORMAT) {
        status = error_set(err, SPOOR_ERR_INPUT,
                           "%s is damaged or not the index of extracted features; extract anew with "
                           "--replace, or into another folder",
                           name);
    } else {
        *out = (store_index){.dim = (size_t)dim, .half = half};
        memcpy(out->frontend, hash, sizeof out->frontend);
        if (settings) {
            *settings = json_incref(json_object_get(json, "frontend"));
        }
    }
    json_decref(json);
    return status;
}
