/* test_silence.c: silences taken out of a recording, against hand-worked cases: sounds are tones whose blocks of 512 samples
 * are all equally loud, so that which samples must be left can be counted. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "audio/level.h"
#include "base/rng.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = LEVEL_BLOCK, MOST = 400 * B };
static spoor_context *ctx;
static float x[MOST], y[MOST], z[MOST];

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

/* One character a block: '#' a tone of amplitude 0.5, '+' one 38 dB lower, '-' one 42 dB lower, '.' zeros. Each sample has
 * something of its place in it, so that the right ones can be told from others. */
static size_t make(const char *blocks, float *out) {
    size_t n = strlen(blocks) * B;
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++) {
        char c = blocks[i / B];
        double level = c == '#' ? 0.5 : c == '+' ? 0.5 * pow(10, -38.0 / 20) : c == '-' ? 0.5 * pow(10, -42.0 / 20) : 0;
        out[i] = (float)(level * (sin(2 * M_PI * 8 * (double)i / B) + 1e-3 * sin((double)i)));
    }
    return n;
}

static size_t cut(const float *in, size_t n, const audio_silence *how, size_t step, float *out, double *removed) {
    spoor_audio *audio;
    spoor_error err = {0};
    support_ok(spoor_audio_open_samples(ctx, in, n, AUDIO_RATE, &audio, &err), &err);
    support_ok(audio_set_silence(audio, how, &err), &err);
    size_t have = 0, got;
    do {
        support_ok(audio_read(audio, out + have, step < MOST - have ? step : MOST - have, &got, &err), &err);
        have += got;
    } while (got > 0);
    if (removed != NULL) {
        *removed = audio_silence_removed(audio);
    }
    spoor_audio_free(audio);
    return have;
}

/* Samples [from, to) of x stand at out[*at]. */
static void expect(const float *out, size_t *at, size_t from, size_t to) {
    for (size_t i = from; i < to; i++, (*at)++) {
        if (out[*at] != x[i]) {
            fail_msg("sample %zu is %g, not sample %zu, %g", *at, (double)out[*at], i, (double)x[i]);
        }
    }
}

/* Margin 0.05 s = 800 samples, inner 0.128 s = 4 blocks. */
static const audio_silence HOW = {.below = 40, .inner = 0.128, .margin = 0.05};
enum { MARGIN = 800 };

static void the_ends_are_cut_to_a_margin(void **state) {
    (void)state;
    size_t n = make("..........####............", x), at = 0;
    double removed;
    size_t m = cut(x, n, &HOW, 1000, y, &removed);
    expect(y, &at, 10 * B - MARGIN, 14 * B + MARGIN);
    assert_int_equal(m, at);
    assert_true(removed == (double)(n - m) / AUDIO_RATE);
    /* what is shorter than the margin stays */
    at = 0;
    n = make(".####.", x);
    assert_int_equal(cut(x, n, &HOW, 1000, y, &removed), n);
    expect(y, &at, 0, n);
    assert_true(removed == 0);
    /* and at the end, what is longer than the margin but shorter than `inner` goes all the same */
    n = make("####...", x);
    assert_int_equal(cut(x, n, &HOW, 1000, y, NULL), 4 * B + MARGIN);
}

static void a_silence_between_sounds_is_cut_if_it_is_long(void **state) {
    (void)state;
    size_t n = make("####...####....####", x), at = 0; /* 3 blocks stay, 4 are cut */
    size_t m = cut(x, n, &HOW, 777, y, NULL);
    expect(y, &at, 0, 11 * B + MARGIN);
    expect(y, &at, 15 * B - MARGIN, 19 * B);
    assert_int_equal(m, at);
    n = make("####....................####.########", x);
    m = cut(x, n, &HOW, 777, y, NULL);
    at = 0;
    expect(y, &at, 0, 4 * B + MARGIN);
    expect(y, &at, 24 * B - MARGIN, 37 * B);
    assert_int_equal(m, at);
    /* without a margin the sounds touch */
    audio_silence bare = {.below = 40, .inner = 0.128, .margin = 0};
    assert_int_equal(cut(x, n, &bare, 777, y, NULL), (4 + 4 + 1 + 8) * B);
}

static void silence_is_relative_to_the_loudest(void **state) {
    (void)state;
    size_t n = make("########++++++++--------########", x), at = 0;
    for (int quiet = 0; quiet < 2; quiet++) { /* the same 50 dB lower */
        size_t m = cut(x, n, &HOW, 500, y, NULL);
        at = 0;
        expect(y, &at, 0, 16 * B + MARGIN);
        expect(y, &at, 24 * B - MARGIN, 32 * B);
        assert_int_equal(m, at);
        for (size_t i = 0; i < n; i++) {
            x[i] *= 0.00316f;
        }
    }
    make("########++++++++--------########", x);
    audio_silence wide = HOW, narrow = HOW;
    wide.below = 46;
    narrow.below = 34;
    assert_int_equal(cut(x, n, &wide, 500, y, NULL), n);
    assert_int_equal(cut(x, n, &narrow, 500, y, NULL), 16 * B + 2 * MARGIN);
    /* a click of one block, 20 dB louder, does not make silence of the rest: under 0.1 s it does not count */
    for (size_t i = 4 * B; i < 5 * B; i++) {
        x[i] *= 10;
    }
    assert_int_equal(cut(x, n, &HOW, 500, y, NULL), 24 * B + 2 * MARGIN);
}

static void all_silence_and_all_sound_stay(void **state) {
    (void)state;
    size_t n = make("................", x), at = 0;
    assert_int_equal(cut(x, n, &HOW, 500, y, NULL), n);
    for (size_t i = 0; i < n; i++) { /* under -90 dBFS */
        x[i] = (float)(1e-5 * sin((double)i));
    }
    assert_int_equal(cut(x, n, &HOW, 500, y, NULL), n);
    expect(y, &at, 0, n);
    n = make("################", x) - 100; /* ends inside a block */
    at = 0;
    assert_int_equal(cut(x, n, &HOW, 500, y, NULL), n);
    expect(y, &at, 0, n);
    n = make("##", x); /* too short to have a loudest level */
    assert_int_equal(cut(x, n, &HOW, 500, y, NULL), n);
    assert_int_equal(cut(x, 1, &HOW, 500, y, NULL), 1);
}

static void a_constant_offset_is_silence(void **state) {
    (void)state;
    size_t n = make("..........########..........", x);
    for (size_t i = 0; i < n; i++) {
        x[i] += 0.25f;
    }
    assert_int_equal(cut(x, n, &HOW, 500, y, NULL), 8 * B + 2 * MARGIN);
}

static char *random_blocks(rng *r, char *text, size_t n) {
    static const char kinds[] = "#+-.";
    for (size_t i = 0; i < n;) {
        char c = kinds[rng_below(r, 4)];
        for (size_t run = 1 + (size_t)rng_below(r, 9); run > 0 && i < n; run--) {
            text[i++] = c;
        }
    }
    text[n] = '\0';
    return text;
}

/* The rule once more, over a list of all blocks. */
static size_t plainly(const float *in, const char *text, size_t n, double margin_seconds, size_t inner, float *out) {
    size_t margin = (size_t)(margin_seconds * AUDIO_RATE), m = 0, blocks = strlen(text), first = blocks, last = 0;
    bool *keep = calloc(n, 1);
    for (size_t b = 0; b < blocks; b++) {
        if (text[b] == '#' || text[b] == '+') {
            first = first < b ? first : b;
            last = b;
        }
    }
    for (size_t b = 0; b < blocks;) {
        size_t end = b;
        bool silent = text[b] == '-' || text[b] == '.';
        while (end < blocks && (text[end] == '-' || text[end] == '.') == silent) {
            end++;
        }
        size_t from = b * B, to = end * B;
        bool ends = b < first || b > last;
        for (size_t i = from; i < to && i < n; i++) {
            bool near_before = b > first && i < from + margin, near_after = b < last && i + margin >= to;
            keep[i] = !silent || near_before || near_after || (!ends && to - from < inner);
        }
        b = end;
    }
    for (size_t i = 0; i < n; i++) {
        if (keep[i]) {
            out[m++] = in[i];
        }
    }
    free(keep);
    return m;
}

static void any_recording_equals_the_rule_over_all_of_it_in_any_pieces(void **state) {
    (void)state;
    rng r = rng_make(5, 0);
    char text[401];
    static const double margins[] = {0, 0.02, 0.05, 0.064};
    for (int round = 0; round < 200; round++) {
        memcpy(random_blocks(&r, text, 20 + (size_t)rng_below(&r, 380)), "#", 1);
        char *spot = text + rng_below(&r, strlen(text) - 5);
        memcpy(spot, "#####", 5); /* 0.16 s at least of the loudest */
        size_t n = make(text, x);
        audio_silence how = {.below = 40, .inner = 0.128 + 0.032 * (double)rng_below(&r, 6), .margin = margins[rng_below(&r, 4)]};
        size_t want = plainly(x, text, n, how.margin, (size_t)llround(how.inner * AUDIO_RATE), z);
        size_t m = cut(x, n, &how, 1 + (size_t)rng_below(&r, 5000), y, NULL);
        assert_int_equal(m, want);
        assert_memory_equal(y, z, m * sizeof *y);
    }
}

/* Windows, the assessment and a second pass hear the same; another model's wish is followed only where nobody said. */
static void reading_again_gives_the_same_and_options_win(void **state) {
    (void)state;
    spoor_error err = {0};
    size_t n = make("..........########............########", x), got, m = cut(x, n, &HOW, 9999, y, NULL);
    spoor_audio *audio;
    support_ok(spoor_audio_open_samples(ctx, x, n, AUDIO_RATE, &audio, &err), &err);
    assert_true(audio_silence_removed(audio) < 0);
    support_ok(audio_follow_silence(audio, &HOW, &err), &err);
    for (int pass = 0; pass < 3; pass++) {
        support_ok(audio_read(audio, z, MOST, &got, &err), &err);
        assert_int_equal(got, m);
        assert_memory_equal(z, y, m * sizeof *y);
        assert_int_equal(audio_get_levels(audio).samples, n);
        support_ok(audio_rewind(audio, &err), &err);
        support_ok(audio_read(audio, z, 300, &got, &err), &err);
        support_ok(audio_rewind(audio, &err), &err);
    }
    support_ok(audio_follow_silence(audio, NULL, &err), &err); /* another model */
    support_ok(audio_read(audio, z, MOST, &got, &err), &err);
    assert_int_equal(got, n);
    support_ok(audio_set_silence(audio, NULL, &err), &err);
    support_ok(audio_follow_silence(audio, &HOW, &err), &err);
    support_ok(audio_read(audio, z, MOST, &got, &err), &err);
    assert_int_equal(got, n);
    spoor_audio_free(audio);
}

static void settings_out_of_range_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *says;
    } bad[] = {{"{\"below\": 3}", "below must be 6 to 100"},
               {"{\"inner\": 0.1}", "twice the margin"},
               {"{\"inner\": 11}", "up to 10 s"},
               {"{\"margin\": -1}", "0 to 5 s"},
               {"{\"below\": \"x\"}", "below"},
               {"{\"belov\": 40}", "below"},
               {"[]", "mapping"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        audio_silence how;
        spoor_error err = {0};
        json_t *json = json_loads(bad[i].json, 0, NULL);
        assert_int_equal(audio_silence_from_json(json, "data.silence", &how, &err), SPOOR_ERR_USAGE);
        assert_non_null(strstr(err.message, bad[i].says));
        json_decref(json);
    }
    audio_silence how;
    spoor_error err = {0};
    json_t *json = json_pack("{s:f}", "margin", 0.05), *back;
    support_ok(audio_silence_from_json(json, "data.silence", &how, &err), &err);
    assert_true(how.below == 40 && how.inner == 0.3 && how.margin == 0.05);
    back = audio_silence_to_json(&how);
    assert_true(json_real_value(json_object_get(back, "inner")) == 0.3);
    json_decref(json);
    json_decref(back);
    char a[65] = "aa", b[65] = "aa", c[65] = "aa";
    audio_silence other = how;
    other.margin = 0.06;
    audio_silence_identity(&how, a);
    audio_silence_identity(&how, b);
    audio_silence_identity(&other, c);
    assert_true(strlen(a) == 64 && strcmp(a, b) == 0 && strcmp(a, c) != 0);
}

static void out_of_memory_is_said(void **state) {
    (void)state;
    size_t n = make("..........########..........", x);
    for (size_t k = 1;; k++) {
        support_failing alloc = {.fail_at = 0};
        spoor_context *small = support_failing_context(&alloc);
        alloc.fail_at = alloc.count + k;
        spoor_audio *audio = NULL;
        spoor_error err = {0};
        spoor_status status = spoor_audio_open_samples(small, x, n, AUDIO_RATE, &audio, &err);
        if (status == SPOOR_OK) {
            status = audio_set_silence(audio, &HOW, &err);
        }
        spoor_audio_free(audio);
        assert_int_equal(alloc.live, 0);
        spoor_context_free(small);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        if (status == SPOOR_OK) {
            assert_true(k > 3);
            return;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ends_are_cut_to_a_margin),
        cmocka_unit_test(a_silence_between_sounds_is_cut_if_it_is_long),
        cmocka_unit_test(silence_is_relative_to_the_loudest),
        cmocka_unit_test(all_silence_and_all_sound_stay),
        cmocka_unit_test(a_constant_offset_is_silence),
        cmocka_unit_test(any_recording_equals_the_rule_over_all_of_it_in_any_pieces),
        cmocka_unit_test(reading_again_gives_the_same_and_options_win),
        cmocka_unit_test(settings_out_of_range_are_refused),
        cmocka_unit_test(out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
