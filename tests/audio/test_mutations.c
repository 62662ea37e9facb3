/* test_mutations.c: recordings with random bytes changed, taken out or cut off are read to the end or refused, never
 * more. SPOOR_MUTATIONS=N tries N of each file. */
#include "audio/audio.h"
#include "base/rng.h"
#include "support/hard_files.h"
#include "support/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libsndfile 1.2.0 forgets libvorbis' state when the second or third header of a Vorbis stream is broken. Not ours to
 * free; read by the leak checker of ASan builds. */
SPOOR_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:vorbis_info_init\n"; }

static const char *const names[] = {
    "pcm_24.wav",  "float.wav",   "ima_adpcm.wav", "ms_adpcm.wav", "gsm610.wav",     "g721.wav",   "extensible.wav",
    "rf64.wav",    "pcm_16.w64",  "pcm_16.flac",   "vorbis.ogg",   "opus_16k.opus",  "layer3.mp3", "pcm_16.aiff",
    "float.aifc",  "ulaw.au",     "pcm_16.caf",    "alac.caf",     "pcm_16.voc",     "pcm_16.sph", "pcm_16.svx",
    "pcm_16.paf",  "float.sf",    "pcm_16.htk",
};

/* Mostly in the first bytes, where the headers are. */
static size_t mutate(unsigned char *bytes, size_t n, rng *r) {
    size_t head = n < 256 ? n : 256;
    for (uint64_t k = 1 + rng_below(r, 4); k > 0 && n > 8; k--) {
        size_t at = (size_t)rng_below(r, rng_below(r, 4) > 0 ? head : n);
        size_t length = (size_t)rng_below(r, 8) + 1;
        switch (rng_below(r, 5)) {
        case 0: bytes[at] ^= (unsigned char)(1 << rng_below(r, 8)); break;
        case 1: bytes[at] = (unsigned char)rng_below(r, 256); break;
        case 2: memset(bytes + at, rng_below(r, 2) > 0 ? 0xff : 0, length < n - at ? length : n - at); break;
        case 3:
            length = length < n - at ? length : n - at;
            memmove(bytes + at, bytes + at + length, n - at - length);
            n -= length;
            break;
        default: n = rng_below(r, 4) > 0 ? n : at + 1;
        }
        head = n < head ? n : head;
    }
    return n;
}

static spoor_status read_to_the_end(spoor_context *ctx, const unsigned char *bytes, size_t n, spoor_error *err) {
    spoor_audio *audio;
    TRY(spoor_audio_open_memory(ctx, bytes, n, NULL, &audio, err));
    static float block[4096];
    spoor_status status;
    size_t got;
    do {
        status = audio_read(audio, block, 4096, &got, err);
        for (size_t i = 0; i < got; i++) {
            assert_true(block[i] > -1e7f && block[i] < 1e7f);
        }
    } while (status == SPOOR_OK && got > 0);
    spoor_audio_free(audio);
    return status;
}

static void damage_is_survived(void **state) {
    (void)state;
    const char *wish = getenv("SPOOR_MUTATIONS");
    size_t each = wish == NULL ? 40 : strtoul(wish, NULL, 10), read = 0, refused = 0, room = 1 << 20;
    char *folder = support_temporary();
    spoor_context *ctx = support_context();
    unsigned char *whole = malloc(room), *bytes = malloc(room);
    assert_true(whole != NULL && bytes != NULL);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        char *path = hard_file_make(folder, names[k]);
        FILE *in = fopen(path, "rb");
        assert_non_null(in);
        size_t n = fread(whole, 1, room, in);
        assert_int_equal(fclose(in), 0);
        free(path);
        for (size_t i = 0; i < each; i++) {
            rng r = rng_make(i, k);
            memcpy(bytes, whole, n);
            spoor_error err = {0};
            spoor_status status = read_to_the_end(ctx, bytes, mutate(bytes, n, &r), &err);
            assert_true(status == SPOOR_OK || status == SPOOR_ERR_INPUT || status == SPOOR_ERR_LIMIT);
            assert_true(status == SPOOR_OK || strlen(err.message) > 10);
            read += status == SPOOR_OK;
            refused += status != SPOOR_OK;
        }
    }
    print_message("%zu damaged recordings read to the end, %zu refused\n", read, refused);
    assert_true(read > 0 && refused > 0);
    free(bytes);
    free(whole);
    spoor_context_free(ctx);
    support_remove(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(damage_is_survived)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
