/* test_recordings.c: noises and impulse responses from folders and lists: the order of names, any rate and number of channels, the
 * memory limit changes no sample, the identity is that of the bytes, and all that can be wrong is said at once. */
#include "train/synthetic.h"
#include "data/recordings.h"
#include "frontend/store.h"
#include <sndfile.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct fixture {
    spoor_context *ctx;
    char *folder, root[512];
    spoor_error err;
} fixture;

static const char *in(const fixture *f, const char *name) {
    static char path[4][600];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", f->folder, name);
    return path[turn];
}

/* One or two channels: this value, and its negative. */
static void write_sound(const fixture *f, const char *name, int rate, int channels, size_t frames, float value) {
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    SNDFILE *file = sf_open(in(f, name), SFM_WRITE, &info);
    assert_non_null(file);
    for (size_t i = 0; i < frames; i++) {
        assert_int_equal(sf_writef_float(file, (float[]){value, -value}, 1), 1);
    }
    sf_close(file);
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = support_context();
    f->folder = support_temporary();
    snprintf(f->root, sizeof f->root, "%s/", f->folder);
    assert_int_equal(mkdir(in(f, "n"), 0777), 0);
    assert_int_equal(mkdir(in(f, "n/b"), 0777), 0);
    assert_int_equal(mkdir(in(f, "r"), 0777), 0);
    assert_int_equal(mkdir(in(f, "empty"), 0777), 0);
    write_sound(f, "n/c.wav", 16000, 1, 3000, 0.3f); /* made in another order than they are taken */
    write_sound(f, "n/a.wav", 16000, 1, 4000, 0.1f);
    write_sound(f, "n/b/x.wav", 48000, 1, 30000, 0.2f);
    write_sound(f, "r/two.wav", 16000, 2, 500, 0.25f);
    support_ok(io_write_file(f->ctx, in(f, "n/readme.txt"), "no sound", 8, &f->err), &f->err);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    support_remove(f->folder);
    free(f->folder);
    spoor_context_free(f->ctx);
    free(f);
    return 0;
}

typedef struct chain {
    augment *a;
    recordings *r;
} chain;

static spoor_status open_chain(fixture *f, const char *steps, size_t limit, bool name_only, chain *out) {
    json_t *j = json_loads(steps, 0, NULL);
    assert_non_null(j);
    *out = (chain){0};
    support_ok(augment_new(f->ctx, j, &out->a, &f->err), &f->err);
    json_decref(j);
    recordings_options o = {.folder = f->root, .limit = limit, .threads = 2, .name_only = name_only};
    return recordings_open(f->ctx, out->a, &o, &out->r, &f->err);
}

static void close_chain(chain *c) {
    augment_free(c->a);
    recordings_free(c->r);
}

static const char *identity(const chain *c) {
    return json_string_value(json_object_get(json_array_get(augment_config(c->a), 0), "sha256"));
}

static void hash(const chain *c, char hex[65]) {
    spoor_error err;
    support_ok(store_chain_hash(augment_config(c->a), hex, &err), &err);
}

/* out[n]: what the chain does to a clip of ones, with this seed. */
static void apply(fixture *f, const chain *c, uint64_t seed, float *out, size_t n) {
    augment_scratch *s;
    rng r = rng_make(seed, 0);
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(i % 2);
    }
    support_ok(augment_scratch_new(c->a, &s, &f->err), &f->err);
    support_ok(augment_apply(c->a, s, NULL, &r, out, n, &f->err), &f->err);
    augment_scratch_free(s);
}

static void folders_and_lists_give_the_same(void **state) {
    fixture *f = *state;
    static const char csv[] = "path,what\nn/a.wav,x\nn/b/x.wav,y\nn/c.wav,z\n";
    static const char *const steps[] = {"[{\"kind\":\"noise\",\"files\":\"n\",\"count\":[1,3]}]",
                                        "[{\"kind\":\"noise\",\"files\":\"l.csv\",\"count\":[1,3]}]"};
    support_ok(io_write_file(f->ctx, in(f, "l.csv"), csv, strlen(csv), &f->err), &f->err);
    enum { LENGTH = 6000 };
    static float want[LENGTH], got[LENGTH];
    char one[65], other[65];
    for (uint64_t seed = 0; seed < 6; seed++) {
        for (int k = 0; k < 4; k++) { /* with and without memory */
            chain c;
            support_ok(open_chain(f, steps[k % 2], k < 2 ? 1u << 20 : 0, k == 3, &c), &f->err);
            hash(&c, k == 0 ? one : other);
            assert_true(k == 0 || strcmp(one, other) == 0); /* wherever they lie */
            apply(f, &c, seed, k == 0 ? want : got, LENGTH);
            assert_true(k == 0 || memcmp(want, got, sizeof want) == 0);
            close_chain(&c);
        }
    }
}

static void rates_and_channels(void **state) {
    fixture *f = *state;
    chain c;
    float out[2000];
    /* the first channel: the mean of the two would be silent, and is refused as noise */
    support_ok(open_chain(f, "[{\"kind\":\"room\",\"files\":\"r\"}]", 1u << 20, false, &c), &f->err);
    apply(f, &c, 1, out, 2000);
    support_close(out[1999], 250 / sqrt(500), 1e-4, "a response of 500 equal samples");
    close_chain(&c);
    assert_int_equal(open_chain(f, "[{\"kind\":\"noise\",\"files\":\"r\"}]", 1u << 20, false, &c), SPOOR_ERR_INPUT);
    assert_non_null(strstr(f->err.message, "two.wav is silent, so it is no noise"));
    close_chain(&c);
}

static void the_identity_is_that_of_the_bytes(void **state) {
    fixture *f = *state;
    static const char steps[] = "[{\"kind\":\"noise\",\"files\":\"n\"},{\"kind\":\"gain\"}]";
    chain c, d;
    char hex[2][65];
    support_ok(open_chain(f, steps, 0, false, &c), &f->err);
    support_ok(open_chain(f, steps, 0, true, &d), &f->err); /* without decoding, too */
    assert_string_equal(identity(&c), identity(&d));
    close_chain(&d);
    write_sound(f, "n/c.wav", 16000, 1, 3000, 0.31f);
    support_ok(open_chain(f, steps, 0, true, &d), &f->err);
    assert_string_not_equal(identity(&c), identity(&d));
    hash(&c, hex[0]);
    hash(&d, hex[1]);
    assert_string_not_equal(hex[0], hex[1]);
    close_chain(&d);
    char *resolved = json_dumps(augment_config(c.a), 0); /* what was trained with them says that they are others */
    assert_int_equal(open_chain(f, resolved, 0, false, &d), SPOOR_ERR_INPUT);
    assert_non_null(strstr(f->err.message, "not those that"));
    free(resolved);
    close_chain(&c);
    close_chain(&d);
}

static void what_is_wrong_is_said_at_once(void **state) {
    fixture *f = *state;
    static const char noise[] = "[{\"kind\":\"noise\",\"files\":\"%s\"}]", room[] = "[{\"kind\":\"room\",\"files\":\"%s\"}]";
    assert_int_equal(mkdir(in(f, "bad"), 0777), 0);
    assert_int_equal(mkdir(in(f, "silent"), 0777), 0);
    assert_int_equal(mkdir(in(f, "long"), 0777), 0);
    support_ok(io_write_file(f->ctx, in(f, "bad/b.wav"), "no sound", 8, &f->err), &f->err);
    support_ok(io_write_file(f->ctx, in(f, "none.csv"), "path\n", 5, &f->err), &f->err);
    support_ok(io_write_file(f->ctx, in(f, "gone.csv"), "path\ngone.wav\n", 14, &f->err), &f->err);
    write_sound(f, "silent/s.wav", 16000, 1, 100, 0);
    write_sound(f, "long/l.wav", 4000, 1, 81000, 0.5f);
    const struct {
        const char *steps, *path, *says;
    } cases[] = {
        {noise, "nowhere", "nowhere, the recordings of a step noise (No such file or directory); put a folder"},
        {room, "nowhere", "to have rooms simulated"},
        {noise, "empty", "there is no recording in"},
        {noise, "none.csv", "none.csv"},
        {noise, "gone.csv", "gone.wav"},
        {noise, "bad", "bad/b.wav"},
        {noise, "silent", "silent/s.wav is silent, so it is no noise"},
        {room, "silent", "silent/s.wav is silent, so it is no impulse response"},
        {room, "long", "20.2 s, and an impulse response may last 20 s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t limit = 0; limit < 2; limit++) { /* also where nothing is kept in memory */
            char steps[100];
            chain c;
            snprintf(steps, sizeof steps, cases[i].steps, cases[i].path);
            assert_int_equal(open_chain(f, steps, limit << 20, false, &c), SPOOR_ERR_INPUT);
            assert_null(c.r);
            if (strstr(f->err.message, cases[i].says) == NULL) {
                fail_msg("%s: \"%s\" does not say %s", steps, f->err.message, cases[i].says);
            }
            close_chain(&c);
        }
    }
}

static void every_failing_allocation_is_reported(void **state) {
    fixture *f = *state;
    spoor_status status = SPOOR_ERR_LIMIT;
    size_t at;
    json_t *j = json_loads("[{\"kind\":\"noise\",\"files\":\"n\"},{\"kind\":\"room\",\"files\":\"r\"}]", 0, NULL);
    for (at = 1; status != SPOOR_OK && at < 300; at++) {
        support_failing failing = {.fail_at = at};
        spoor_context *c = support_failing_context(&failing);
        spoor_error err = {0};
        augment *a = NULL;
        recordings *r = NULL;
        recordings_options o = {.folder = f->root, .limit = 1u << 20, .threads = 1};
        status = augment_new(c, j, &a, &err);
        if (status == SPOOR_OK) {
            status = recordings_open(c, a, &o, &r, &err);
        }
        augment_free(a);
        recordings_free(r);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(c);
    }
    json_decref(j);
    assert_true(at > 20 && status == SPOOR_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folders_and_lists_give_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(rates_and_channels, setup, teardown),
        cmocka_unit_test_setup_teardown(the_identity_is_that_of_the_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(every_failing_allocation_is_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
