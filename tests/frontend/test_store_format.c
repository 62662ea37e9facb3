/* test_store_format.c: the bytes of stored features: the hash, float16, records, and which settings of a front end
 * count. */
#include "base/io.h"
#include "frontend/store_format.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <string.h>

static spoor_context *ctx;
static spoor_error err;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

/* What neither changes a number nor is a number does not count; the hash of the weights does, in parts of a join as
 * well. */
static void settings(void **state) {
    (void)state;
    const char *const texts[] = {
        "{\"kind\": \"join\", \"parts\": [{\"kind\": \"log-mel\", \"n_mels\": 4}, {\"kind\": \"lfcc\"}]}",
        "{\"kind\": \"log-mel\", \"n_mels\": 10}"};
    for (int i = 0; i < 2; i++) {
        json_t *json = json_loads(texts[i], 0, NULL);
        frontend *f;
        support_ok(frontend_new(ctx, json, &f, &err), &err);
        json_decref(json);
        json_t *plain, *same, *other;
        json_t *part = (json_t *)(uintptr_t)frontend_config(f); /* as if it had weights */
        part = i == 0 ? json_array_get(json_object_get(part, "parts"), 1) : part;
        support_ok(store_settings(f, NULL, &plain, &err), &err);
        assert_true(json_equal(plain, frontend_config(f)));
        json_decref(plain);
        assert_int_equal(json_object_set_new(part, "weights_sha256", json_string("abc")), 0);
        support_ok(store_settings(f, NULL, &plain, &err), &err);
        assert_int_equal(json_object_set_new(part, "weights", json_string("somewhere")), 0);
        assert_int_equal(json_object_set_new(part, "from", json_string("there")), 0);
        assert_int_equal(json_object_set_new(part, "embed", json_true()), 0);
        support_ok(store_settings(f, NULL, &same, &err), &err);
        assert_true(json_equal(plain, same));
        support_ok(store_settings(f, "def", &other, &err), &err);
        assert_false(json_equal(plain, other));
        store_index a, b;
        support_ok(store_index_of(plain, 10, false, &a, &err), &err);
        support_ok(store_index_of(other, 10, false, &b, &err), &err);
        assert_string_not_equal(a.frontend, b.frontend);
        json_decref(plain);
        json_decref(same);
        json_decref(other);
        frontend_free(f);
    }
}

static void records(void **state) {
    (void)state;
    unsigned char bytes[STORE_RECORD] = {0};
    store_record r = {.offset = 128, .frames = 3, .rows = 77}, back;
    assert_int_equal(store_record_read(bytes, &back), STORE_RECORD_NONE);
    memset(r.key.bytes, 9, sizeof r.key.bytes);
    store_record_write(&r, bytes);
    assert_int_equal(store_record_read(bytes, &back), STORE_RECORD_GOOD);
    assert_memory_equal(&r, &back, sizeof r);
    for (size_t bit = 0; bit < 8 * STORE_RECORD; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_equal(store_record_read(bytes, &back), STORE_RECORD_DAMAGED);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    const struct {
        uint64_t offset, frames;
        size_t row;
        uint64_t shard;
        bool fits;
    } cases[] = {{0, 1, 4, 4, true},
                 {0, 1, 4, 3, false},
                 {64, 2, 4, 72, true},
                 {64, 2, 4, 71, false},
                 {63, 1, 4, 1000, false},
                 {0, 0, 4, 1000, false},
                 {0, UINT64_MAX / 2, 4, UINT64_MAX, false},
                 {UINT64_MAX - 63, 64, 1, UINT64_MAX, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        r.offset = cases[i].offset;
        r.frames = cases[i].frames;
        assert_int_equal(store_record_fits(&r, cases[i].row, cases[i].shard, &size), cases[i].fits);
    }
}

static void halves(void **state) {
    (void)state;
    uint16_t in[65536], back;
    float out[65536];
    for (size_t i = 0; i < 65536; i++) {
        in[i] = (uint16_t)i;
    }
    store_from_half(in, 65536, out);
    for (size_t i = 0; i < 65536; i++) {
        bool finite = (i & 0x7c00) != 0x7c00;
        float want = safetensors_f16_to_f32((uint16_t)i);
        assert_true(!finite || memcmp(&want, &out[i], sizeof want) == 0);
        assert_true(isfinite(out[i]));
        assert_int_equal(store_finite(&in[i], 1, true), finite);
        assert_int_equal(store_finite(&want, 1, false), finite);
        if (finite) {
            assert_true(store_to_half(&out[i], 1, &back));
            assert_int_equal(back, i);
        }
    }
    assert_true(store_to_half((const float[]){65519.9f}, 1, &back));
    assert_false(store_to_half((const float[]){1, -65520.0f}, 1 + 1, in));
    assert_false(store_to_half((const float[]){-INFINITY}, 1, &back));
    assert_false(store_to_half((const float[]){NAN}, 1, &back));
}

static void hashes(void **state) {
    (void)state;
    unsigned char x[200] = {0};
    assert_true(store_hash(x, 0) == UINT64_C(0x9d9f80c0c4718aae));
    for (size_t n = 0; n < 200; n++) {
        x[n] = (unsigned char)(n * 37 + 5);
    }
    assert_true(store_hash(x, 200) == UINT64_C(0x2c23f0b8a8eb7f19));
    for (size_t n = 1; n <= 200; n++) {
        uint64_t was = store_hash(x, n);
        assert_true(was != store_hash(x, n - 1));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            x[bit / 8] ^= (unsigned char)(1u << bit % 8);
            assert_true(was != store_hash(x, n));
            x[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
    unsigned char y[201]; /* wherever it lies */
    memcpy(y + 1, x, 200);
    assert_true(store_hash(y + 1, 200) == store_hash(x, 200));
    for (size_t a = 0; a < 192; a += 8) { /* two words that change places */
        for (size_t b = 0; b < a; b += 8) {
            memcpy(y, x, 200);
            memcpy(y + a, x + b, 8);
            memcpy(y + b, x + a, 8);
            assert_true(store_hash(y, 200) != store_hash(x, 200));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(settings), cmocka_unit_test(records), cmocka_unit_test(halves),
                                       cmocka_unit_test(hashes)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
