/* test_base.c: arena, RNG, pool, files. */
#include "base/arena.h"
#include "base/checked.h"
#include "base/io.h"
#include "base/logsum.h"
#include "base/pool.h"
#include "base/rng.h"
#include "support/support.h"
#include <math.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void arena_pieces_are_aligned_and_apart(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    arena *a;
    support_ok(arena_new(ctx, &a, &err), &err);
    for (int round = 0; round < 3; round++) {
        unsigned char *last = NULL;
        for (size_t i = 0; i < 100; i++) {
            unsigned char *p = arena_alloc(a, i * 1000, 7);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            memset(p, (int)i, i * 7000);
            if (last != NULL && i > 1) {
                assert_int_equal(*last, i - 1);
            }
            last = p;
        }
        size_t bytes = arena_bytes(a);
        arena_reset(a);
        assert_true(round == 0 || arena_bytes(a) == bytes);
    }
    assert_null(arena_alloc(a, SIZE_MAX / 2, 4));
    arena_free(a);
    spoor_context_free(ctx);
}

static void rng_has_the_right_moments_and_repeats(void **state) {
    (void)state;
    rng r = rng_make(1, 2), s = rng_make(1, 2), other = rng_make(1, 3);
    assert_true(rng_u64(&r) == rng_u64(&s));
    assert_true(rng_u64(&r) != rng_u64(&other));
    double mean = 0, square = 0, beta = 0, uniform = 0;
    enum { N = 200000 };
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&r);
        mean += x / N;
        square += x * x / N;
        uniform += rng_uniform(&r) / N;
        beta += rng_beta(&r, 0.5, 1.5) / N;
        assert_true(rng_below(&r, 7) < 7);
    }
    support_close(mean, 0, 0.01, "mean of N(0,1)");
    support_close(square, 1, 0.02, "variance of N(0,1)");
    support_close(uniform, 0.5, 0.01, "mean of U(0,1)");
    support_close(beta, 0.25, 0.01, "mean of Beta(.5,1.5)");
    assert_int_equal(rng_below(&r, 0), 0);
}

static void add_item(void *arg, int64_t i, unsigned worker) {
    (void)worker;
    ((int64_t *)arg)[i] += i;
}

static void pool_does_every_item_once(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    for (unsigned threads = 1; threads <= 8; threads++) {
        pool *p;
        support_ok(pool_new(ctx, threads, &p, &err), &err);
        int64_t *sums = calloc(1000, sizeof *sums);
        for (int round = 0; round < 50; round++) {
            pool_run(p, 1000, add_item, sums);
        }
        for (int64_t i = 0; i < 1000; i++) {
            assert_int_equal(sums[i], 50 * i);
        }
        free(sums);
        pool_free(p);
    }
    pool *p;
    assert_int_equal(pool_new(ctx, 0, &p, &err), SPOOR_ERR_USAGE);
    spoor_context_free(ctx);
}

static void files_are_written_whole_and_read_within_limits(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    char *folder = support_temporary(), path[300], deep[400];
    snprintf(path, sizeof path, "%s/x", folder);
    snprintf(deep, sizeof deep, "%s/a/b/c", folder);
    support_ok(io_write_file(ctx, path, "abc", 3, &err), &err);
    unsigned char *data;
    size_t size;
    support_ok(io_read_file(ctx, path, 3, &data, &size, &err), &err);
    assert_int_equal(size, 3);
    assert_string_equal((char *)data, "abc");
    ctx_free(ctx, data);
    assert_int_equal(io_read_file(ctx, path, 2, &data, &size, &err), SPOOR_ERR_LIMIT);
    assert_int_equal(io_read_file(ctx, folder, 9, &data, &size, &err), SPOOR_ERR_IO);
    assert_non_null(strstr(err.message, "a folder"));
    char hex[65];
    support_ok(io_sha256_file(path, hex, &err), &err);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    support_ok(io_make_folder(deep, &err), &err);
    support_ok(io_make_folder(deep, &err), &err);
    assert_int_equal(io_make_folder(path, &err), SPOOR_ERR_IO);
    assert_int_equal(io_make_folder("", &err), SPOOR_ERR_IO);
    assert_non_null(strstr(err.message, "empty or too long"));
    io_writer *w;
    support_ok(io_writer_open(ctx, path, &w, &err), &err);
    support_ok(io_writer_put(w, "zzz", 3, &err), &err);
    support_ok(io_writer_close(w, false, &err), &err);
    support_ok(io_read_file(ctx, path, 3, &data, &size, &err), &err);
    assert_string_equal((char *)data, "abc");
    ctx_free(ctx, data);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

/* A disk that is full, played by a limit on file sizes: a sentence, the old file as it was, nothing left beside it. */
static void a_write_that_fails_leaves_the_old_file(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err = {0};
    char *folder = support_temporary(), path[300], inside[300];
    snprintf(path, sizeof path, "%s/x", folder);
    snprintf(inside, sizeof inside, "%s/sub", folder);
    support_ok(io_write_file(ctx, path, "abc", 3, &err), &err);
    char *big = calloc(1, 1 << 20);
    assert_non_null(big);
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1 << 16;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    spoor_status status = io_write_file(ctx, path, big, 1 << 20, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, handler);
    free(big);
    assert_int_equal(status, SPOOR_ERR_IO);
    assert_non_null(strstr(err.message, path));
    support_ok(io_make_folder(inside, &err), &err);
    assert_int_equal(io_write_file(ctx, inside, "abc", 3, &err), SPOOR_ERR_IO); /* a folder stands in the way */
    assert_int_equal(io_write_file(ctx, "/nowhere/x", "abc", 3, &err), SPOOR_ERR_IO);
    unsigned char *data;
    size_t size, entries = 0;
    support_ok(io_read_file(ctx, path, 9, &data, &size, &err), &err);
    assert_string_equal((char *)data, "abc");
    ctx_free(ctx, data);
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        entries += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    }
    closedir(d);
    assert_int_equal(entries, 2);
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
}

static void errors_are_one_clean_sentence(void **state) {
    (void)state;
    static const struct {
        spoor_status status;
        const char *name;
    } names[] = {{SPOOR_OK, "ok"},       {SPOOR_ERR_USAGE, "usage"}, {SPOOR_ERR_INPUT, "input"},
                 {SPOOR_ERR_MODEL, "model"}, {SPOOR_ERR_LIMIT, "limit"}, {SPOOR_ERR_IO, "io"},
                 {SPOOR_ERR_CANCELLED, "cancelled"}, {(spoor_status)77, "unknown"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_string_equal(spoor_status_name(names[i].status), names[i].name);
    }
    spoor_error err = {0};
    assert_int_equal(error_set(&err, SPOOR_ERR_INPUT, "a\n%s", "b\x1b[31m"), SPOOR_ERR_INPUT);
    assert_string_equal(err.message, "a?b?[31m");
    (void)error_set(&err, SPOOR_ERR_INPUT, "%s", "\xc2\x9b" "1m\xc2\xa0\xc3\xa9\xc2"); /* C1; then two letters; cut off */
    assert_string_equal(err.message, "??1m\xc2\xa0\xc3\xa9\xc2");
    assert_int_equal(error_set(NULL, SPOOR_ERR_IO, "%s", "nobody listens"), SPOOR_ERR_IO);
}

static void every_failed_allocation_is_survived(void **state) {
    (void)state;
    for (size_t n = 1; n < 20; n++) {
        support_failing failing = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&failing);
        spoor_error err = {0};
        pool *p = NULL;
        arena *a = NULL;
        io_writer *w = NULL;
        spoor_status s1 = pool_new(ctx, 2, &p, &err);
        spoor_status s2 = arena_new(ctx, &a, &err);
        spoor_status s3 = io_writer_open(ctx, "/tmp/spoor-never-written", &w, &err);
        assert_true((s1 == SPOOR_OK) == (p != NULL) && (s2 == SPOOR_OK) == (a != NULL) && (s3 == SPOOR_OK) == (w != NULL));
        pool_free(p);
        arena_free(a);
        (void)io_writer_close(w, false, NULL);
        assert_int_equal(failing.live, 0);
        free(ctx);
    }
}

static void checked_arithmetic(void **state) {
    (void)state;
    size_t out;
    int64_t big;
    assert_false(checked_add(SIZE_MAX, 1, &out));
    assert_false(checked_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(checked_mul(0, SIZE_MAX, &out) && out == 0);
    assert_false(checked_mul_i64(INT64_MAX, 2, &big));
    assert_false(checked_mul_i64(-1, 2, &big));
}

static void sums_of_exponentials(void **state) {
    (void)state;
    const float row[] = {1000, -3, 1000, 998}, quarters[] = {0, 1, 0}, least[] = {-INFINITY, 2}, bad[] = {1, NAN};
    support_close(log_sum_exp(row, 1, -1, 1), 1000, 0, "one number");
    support_close(log_sum_exp(row, 3, 1, 1), 1000 + log(2), 1e-15, "without the second");
    support_close(log_sum_exp(row, 4, 0, 1), 1000 + log(1 + exp(-2)), 1e-15, "without the first, which is as great");
    support_close(log_sum_exp(quarters, 3, -1, 0.5), 0.5 * log(2 + exp(2)), 1e-15, "at half the temperature");
    support_close(log_sum_exp(least, 2, -1, 1), 2, 0, "beside a chance of zero");
    assert_true(log_sum_exp(row, 0, -1, 1) == -INFINITY && log_sum_exp(row, 1, 0, 1) == -INFINITY);
    assert_true(isnan(log_sum_exp(bad, 2, -1, 1)) && isnan(log_sum_exp(least, 1, -1, 1)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_pieces_are_aligned_and_apart),
        cmocka_unit_test(rng_has_the_right_moments_and_repeats),
        cmocka_unit_test(pool_does_every_item_once),
        cmocka_unit_test(files_are_written_whole_and_read_within_limits),
        cmocka_unit_test(a_write_that_fails_leaves_the_old_file),
        cmocka_unit_test(errors_are_one_clean_sentence),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(checked_arithmetic),
        cmocka_unit_test(sums_of_exponentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
