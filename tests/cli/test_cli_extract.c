/* test_cli_extract.c: `spoor extract` as a user runs it: the features are those that the front end gives; killed at any
 * moment the same command goes on to the same bytes; what changed, failed or was torn is done again; training reads
 * them. */
#define _GNU_SOURCE
#include "audio/audio.h"
#include "audio/augment/augment.h"
#include "cli/cli_case.h"
#include "frontend/store_format.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { CLIPS = 24 };
#define LOG_MEL "{kind: log-mel, n_mels: 20}"
#define EXTRACT(...) spoor("extract", "m.csv", "--frontend", LOG_MEL, "--out", __VA_ARGS__)

static spoor_context *ctx;
static spoor_error err;

static void write_clips(size_t n, double seconds) {
    char csv[40 * 1000], name[32];
    size_t at = (size_t)snprintf(csv, sizeof csv, "path,split\n");
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "c%zu.wav", i);
        write_wav(name, seconds * (0.3 + 0.1 * (double)(i % 8)), i);
        at += (size_t)snprintf(csv + at, sizeof csv - at, "%s,%s\n", name, i % 4 == 3 ? "dev" : "train");
    }
    write_string("m.csv", csv);
}

static int make(void **state) {
    ctx = support_context();
    int status = set_up(state);
    write_clips(CLIPS, 1);
    return status;
}

static int unmake(void **state) {
    spoor_context_free(ctx);
    return tear_down(state);
}

static bool exists(const char *name) {
    struct stat st;
    return stat(in_folder(name), &st) == 0;
}

static long size_of(const char *name) {
    struct stat st;
    return stat(in_folder(name), &st) == 0 ? (long)st.st_size : -1;
}

static bool same(const char *a, const char *b) {
    static const char *const FILES[] = {"0000.bin", "0000.idx"};
    bool all = true;
    for (int i = 0; i < 2; i++) {
        char hex[2][65], path[100];
        snprintf(path, sizeof path, "%s/%s", a, FILES[i]);
        support_ok(io_sha256_file(in_folder(path), hex[0], &err), &err);
        snprintf(path, sizeof path, "%s/%s", b, FILES[i]);
        support_ok(io_sha256_file(in_folder(path), hex[1], &err), &err);
        all = all && strcmp(hex[0], hex[1]) == 0;
    }
    return all;
}

static void says(outcome *o, int status, const char *out, const char *talk) {
    exits(o, status);
    if (strstr(o->out, out) == NULL || strstr(o->err, talk) == NULL) {
        fail_msg("not \"%s\" and \"%s\" in: %s%s", out, talk, o->out, o->err);
    }
    outcome_free(o);
}

static frontend *log_mel(void) {
    json_t *json = json_loads("{\"kind\": \"log-mel\", \"n_mels\": 20}", 0, NULL);
    frontend *fe;
    support_ok(frontend_new(ctx, json, &fe, &err), &err);
    json_decref(json);
    return fe;
}

/* Rows of a clip in a folder of features; the caller frees them. NULL: none. */
static float *stored_rows(const char *name, const frontend *fe, size_t clip, const store_copy *copy, size_t *n) {
    store *s;
    support_ok(store_open(ctx, in_folder(name), fe, &(store_options){0}, &s, &err), &err);
    char wav[32], hex[65];
    store_key key;
    snprintf(wav, sizeof wav, "c%zu.wav", clip);
    support_ok(io_sha256_file(in_folder(wav), hex, &err), &err);
    store_key_make(s, hex, copy, &key);
    *n = store_frames(s, &key);
    float *rows = *n == 0 ? NULL : malloc(*n * frontend_dim(fe) * sizeof *rows);
    if (rows != NULL) {
        support_ok(store_read(s, &key, 0, *n, rows, &err), &err);
    }
    store_free(s);
    return rows;
}

static void features(void **state) {
    (void)state;
    outcome o = EXTRACT("f");
    says(&o, 0, "24 entries (24 new)", "24 recordings: 0 entries are there, 24 to make from 0:16 of sound: ");
    frontend *fe = log_mel();
    frontend_scratch *scratch;
    support_ok(frontend_scratch_new(fe, &scratch, &err), &err);
    for (size_t clip = 0; clip < CLIPS; clip += 5) {
        char wav[32];
        float *samples;
        size_t n, frames;
        snprintf(wav, sizeof wav, "c%zu.wav", clip);
        support_ok(audio_load(ctx, in_folder(wav), NULL, &samples, &n, &err), &err);
        float *rows = stored_rows("f", fe, clip, NULL, &frames), *want = malloc(frames * 20 * sizeof *want);
        assert_int_equal(frames, frontend_frames(fe, n));
        support_ok(frontend_compute(fe, scratch, samples, n, want, &err), &err);
        assert_memory_equal(rows, want, frames * 20 * sizeof *want);
        free(rows);
        free(want);
        ctx_free(ctx, samples);
    }
    frontend_scratch_free(scratch);
    frontend_free(fe);
    o = EXTRACT("f");
    says(&o, 0, "24 entries (0 new)", "");
    o = EXTRACT("one", "--threads", "1");
    says(&o, 0, "24 new", "");
    o = EXTRACT("many", "--threads", "7");
    says(&o, 0, "24 new", "");
    assert_true(same("f", "one"));
    assert_true(same("f", "many"));
    o = EXTRACT("half", "--half");
    says(&o, 0, "as float16", "as float16");
    assert_true(size_of("half/0000.bin") < size_of("f/0000.bin") * 52 / 100);
    o = EXTRACT("f", "--half");
    says(&o, 1, "", "float32 features, not float16");
    o = EXTRACT("half");
    says(&o, 1, "", "add --half");
    o = EXTRACT("dev", "--split", "dev");
    says(&o, 0, "6 entries", "");
    o = EXTRACT("dev", "--where", "split=train", "--json");
    exits(&o, 0);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "entries")), 24);
    assert_int_equal(json_integer_value(json_object_get(j, "made")), 18);
    assert_int_equal(json_integer_value(json_object_get(j, "dim")), 20);
    assert_int_equal(json_integer_value(json_object_get(j, "bytes")),
                     size_of("f/0000.idx") + json_integer_value(json_object_get(j, "frames")) * 80);
    json_decref(j);
    outcome_free(&o);
}

static void changes(void **state) {
    (void)state;
    outcome o = EXTRACT("f");
    says(&o, 0, "(24 new)", "");
    write_wav("c3.wav", 0.7, 999); /* another recording under the same name */
    o = EXTRACT("f");
    says(&o, 0, "(1 new)", "23 entries are there, 1 to make");
    int fd = open(in_folder("f/0000.bin"), O_RDWR); /* a flipped byte */
    unsigned char byte;
    assert_int_equal(pread(fd, &byte, 1, 5000), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 5000), 1);
    (void)close(fd);
    o = EXTRACT("f");
    says(&o, 0, "(1 new)", "23 entries are there, 1 to make");
    o = EXTRACT("f");
    says(&o, 0, "(0 new)", "");
    assert_int_equal(truncate(in_folder("f/0000.bin"), 20000), 0);
    o = EXTRACT("f");
    exits(&o, 0);
    assert_null(strstr(o.out, "(0 new)"));
    outcome_free(&o);
    o = EXTRACT("f");
    says(&o, 0, "(0 new)", "");
    write_string("index", "{}");
    assert_int_equal(rename(in_folder("index"), in_folder("f/index.json")), 0);
    o = EXTRACT("f");
    says(&o, 2, "", "--replace");
    o = EXTRACT("f", "--replace");
    says(&o, 0, "24 entries (24 new)", "");
    o = spoor("extract", "m.csv", "--frontend", "{kind: lfcc}", "-o", "f");
    says(&o, 1, "", "kind: \"log-mel\", not \"lfcc\"");
    o = spoor("extract", "m.csv", "--frontend", "{kind: lfcc}", "-o", "f", "--replace");
    says(&o, 0, "frames of 60 values", "");
}

static void failures(void **state) {
    (void)state;
    write_string("c5.wav", "no sound");
    assert_int_equal(unlink(in_folder("c9.wav")), 0);
    write_wav("c11.wav", 0, 1);
    outcome o = EXTRACT("f", "--json");
    exits(&o, 2);
    json_t *j = json_loads(o.out, 0, NULL);
    const json_t *failed = json_object_get(j, "failed");
    assert_int_equal(json_integer_value(json_object_get(j, "made")), 21);
    assert_int_equal(json_array_size(failed), 3);
    json_decref(j);
    assert_non_null(strstr(o.err, "c5.wav"));
    assert_non_null(strstr(o.err, "c9.wav"));
    assert_non_null(strstr(o.err, "c11.wav"));
    assert_non_null(strstr(o.err, "3 of 24 recordings could not be extracted"));
    outcome_free(&o);
    write_clips(CLIPS, 1);
    o = EXTRACT("f");
    says(&o, 0, "24 entries (3 new)", "");
    o = EXTRACT("dry", "--dry-run");
    says(&o, 0, "", "24 to make");
    assert_false(exists("dry"));
    o = EXTRACT("f", "--dry-run");
    says(&o, 0, "", "24 entries are there");
    const struct {
        int status;
        const char *words, *args[8];
    } wrong[] = {
        {1, "give a manifest", {"m.csv", "--out", "x"}},
        {1, "give a manifest", {"m.csv", "--frontend", LOG_MEL}},
        {1, "give a manifest", {"--frontend", LOG_MEL, "--out", "x"}},
        {1, "--copies", {"m.csv", "-f", LOG_MEL, "-o", "x", "--copies", "2"}},
        {1, "--threads must be", {"m.csv", "-f", LOG_MEL, "-o", "x", "-j", "0"}},
        {1, "did you mean", {"m.csv", "-f", "{kind: log-mel, n_mel: 3}", "-o", "x"}},
        {1, "--frontend, line", {"m.csv", "-f", "{kind: [", "-o", "x"}},
        {3, "none.safetensors", {"m.csv", "-f", "none.safetensors", "-o", "x"}},
        {5, "none.yaml", {"m.csv", "-f", "none.yaml", "-o", "x"}},
        {5, "none.csv", {"none.csv", "-f", LOG_MEL, "-o", "x"}},
        {2, "no row", {"m.csv", "-f", LOG_MEL, "-o", "x", "--split", "y"}},
        {5, "m.csv", {"m.csv", "-f", LOG_MEL, "-o", "m.csv/x"}},
        {1, "--recipe says all", {"m.csv", "--recipe", "r.yaml"}},
        {1, "--set changes", {"m.csv", "-f", LOG_MEL, "-o", "x", "--set", "a=b"}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *args[10] = {"extract"};
        memcpy(args + 1, wrong[i].args, sizeof wrong[i].args);
        o = command_run(&(command){.folder = folder, .args = args});
        says(&o, wrong[i].status, "", wrong[i].words);
        assert_false(exists("x"));
    }
}

static void sources(void **state) {
    (void)state;
    write_string("r.yaml", "frontend: " LOG_MEL "\naugment: [{kind: gain}, {kind: noise}]\n");
    write_string("fe.yaml", LOG_MEL);
    write_string("none.yaml", "- 1\n");
    outcome o = EXTRACT("f");
    says(&o, 0, "24 new", "");
    o = spoor("extract", "m.csv", "--frontend", "r.yaml", "--out", "f");
    says(&o, 0, "(0 new)", "");
    o = spoor("extract", "m.csv", "--frontend", "fe.yaml", "--out", "f");
    says(&o, 0, "(0 new)", "");
    o = spoor("extract", "m.csv", "--frontend", "none.yaml", "--out", "f");
    says(&o, 1, "", "has no section frontend");
    o = spoor("extract", "m.csv", "--frontend", MODEL, "--out", "g"); /* the front end of the tiny model */
    says(&o, 0, "(24 new)", "");
}

/* A copy depends on seed, recording and number alone. */
static void copies(void **state) {
    (void)state;
    write_string("r.yaml", "augment: [{kind: gain, p: 0.9}, {kind: noise}]\n");
    write_string("babble.yaml", "augment: [{kind: babble}]\n");
    write_string("few.csv", "path\nc7.wav\nc2.wav\n");
    outcome o = EXTRACT("f", "--augment", "r.yaml", "--copies", "3");
    says(&o, 0, "96 entries (96 new)", "with augmented copies");
    o = EXTRACT("one", "--augment", "r.yaml", "--copies", "3", "-j", "1");
    says(&o, 0, "(96 new)", "");
    assert_true(same("f", "one"));
    o = EXTRACT("f", "--augment", "r.yaml", "--copies", "3", "--seed", "2");
    says(&o, 0, "(72 new)", "24 entries are there");
    o = EXTRACT("f", "--augment", "r.yaml", "--copies", "4");
    says(&o, 0, "(24 new)", "96 entries are there");
    o = spoor("extract", "few.csv", "--frontend", LOG_MEL, "--out", "few", "--augment", "r.yaml", "--copies", "2");
    says(&o, 0, "(6 new)", "");
    o = EXTRACT("b", "--augment", "babble.yaml");
    says(&o, 1, "", "babble");
    frontend *fe = log_mel();
    store_copy copy = {.seed = 1};
    json_t *steps = json_loads("[{\"kind\": \"gain\", \"p\": 0.9}, {\"kind\": \"noise\"}]", 0, NULL);
    augment *chain;
    support_ok(augment_new(ctx, steps, &chain, &err), &err);
    support_ok(store_chain_hash(augment_config(chain), copy.chain, &err), &err);
    augment_free(chain);
    json_decref(steps);
    size_t n[5];
    float *plain = stored_rows("f", fe, 7, NULL, &n[0]);
    copy.number = 1;
    float *a = stored_rows("f", fe, 7, &copy, &n[1]), *b = stored_rows("few", fe, 7, &copy, &n[2]);
    copy.number = 2;
    float *c = stored_rows("f", fe, 7, &copy, &n[3]);
    copy.seed = 2;
    float *d = stored_rows("f", fe, 7, &copy, &n[4]);
    size_t bytes = n[0] * 20 * sizeof *a;
    for (int i = 1; i < 5; i++) {
        assert_int_equal(n[i], n[0]);
    }
    assert_memory_equal(a, b, bytes);
    assert_memory_not_equal(a, plain, bytes);
    assert_memory_not_equal(a, c, bytes);
    assert_memory_not_equal(c, d, bytes);
    free(plain);
    free(a);
    free(b);
    free(c);
    free(d);
    frontend_free(fe);
}

/* ---- stopped on the way ---- */

static pid_t start(const char *out, bool small_files) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int log = open(in_folder("log"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (small_files) {
            (void)signal(SIGXFSZ, SIG_IGN);
            (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){200000, 200000});
        }
        if (chdir(folder) == 0 && log >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0) {
            (void)execl(SPOOR_BINARY_DIR "/spoor", "spoor", "extract", "m.csv", "--frontend", LOG_MEL, "--out", out,
                        "-j2", (char *)NULL);
        }
        _exit(99);
    }
    return pid;
}

static int finish(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Whether the program has its handler for Ctrl-C, or is at its end already: before that, Ctrl-C ends it as it ends any. */
static bool listens(pid_t pid) {
    siginfo_t end = {0};
    if (waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == pid) {
        return true;
    }
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) {
        fclose(f);
    }
    text[n] = '\0';
    const char *caught = strstr(text, "SigCgt:");
    return caught && (strtoull(caught + strlen("SigCgt:"), NULL, 16) >> (SIGINT - 1) & 1) != 0;
}

static void kills(void **state) {
    (void)state;
    write_clips(300, 1.5);
    outcome o = EXTRACT("whole");
    says(&o, 0, "(300 new)", "about ");
    int killed = 0;
    for (int k = 0; k < 12; k++) {
        char name[32], bin[64];
        snprintf(name, sizeof name, "k%d", k % 4); /* three times each: what is there already is killed again */
        snprintf(bin, sizeof bin, "%s/0000.bin", name);
        long before = size_of(bin);
        pid_t pid = start(name, false);
        for (int ms = 0; ms < 2000 && size_of(bin) <= before && before < 300000; ms++) {
            (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
        }
        (void)nanosleep(&(struct timespec){0, k * 6000000}, NULL);
        while (k % 3 == 2 && !listens(pid)) {
            (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
        }
        (void)kill(pid, k % 3 == 2 ? SIGINT : SIGKILL);
        int status = finish(pid);
        assert_true(status == 1000 + SIGKILL || status == 130 || status == 0);
        killed += status != 0;
    }
    assert_true(killed > 3);
    for (int k = 0; k < 4; k++) {
        char name[32];
        snprintf(name, sizeof name, "k%d", k);
        o = EXTRACT(name);
        says(&o, 0, "300 entries", "");
        assert_true(same("whole", name));
    }
}

/* Ctrl-C loses nothing that was made. */
static void interrupted(void **state) {
    (void)state;
    write_clips(300, 1.5);
    pid_t pid = start("f", false);
    while (size_of("f/0000.bin") < 100000) {
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    long at_least = size_of("f/0000.bin");
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(finish(pid), 130);
    assert_true(size_of("f/0000.bin") >= at_least && size_of("f/0000.idx") >= 64);
    outcome o = EXTRACT("f", "--dry-run");
    exits(&o, 0);
    assert_null(strstr(o.err, " 0 entries are there"));
    outcome_free(&o);
    o = EXTRACT("f");
    says(&o, 0, "300 entries", "");
}

/* No room: one sentence, and what fitted is kept. (A limit on file size; test_extract_full.sh fills a disk.) */
static void no_room(void **state) {
    (void)state;
    write_clips(60, 2);
    assert_int_equal(finish(start("f", true)), 5);
    size_t n;
    unsigned char *text;
    support_ok(io_read_file(ctx, in_folder("log"), 1 << 20, &text, &n, &err), &err);
    assert_non_null(strstr((char *)text, "spoor: cannot write features to f: "));
    ctx_free(ctx, text);
    long kept = size_of("f/0000.idx") / 64;
    assert_true(kept > 5 && kept < 60);
    outcome o = EXTRACT("f");
    char want[64];
    snprintf(want, sizeof want, "60 entries (%ld new)", 60 - kept);
    says(&o, 0, want, "");
    o = EXTRACT("whole");
    says(&o, 0, "", "");
    assert_true(same("f", "whole"));
}

static void two_at_once(void **state) {
    (void)state;
    write_clips(300, 1.5);
    pid_t pid = start("f", false);
    while (size_of("f/0000.bin") < 1000) {
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    outcome o = EXTRACT("f");
    says(&o, 1, "", "another process is writing");
    assert_int_equal(finish(pid), 0);
}

int main(void) {
#define CASE(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {CASE(features), CASE(changes), CASE(failures),    CASE(sources),    CASE(copies),
                                       CASE(kills),    CASE(no_room), CASE(two_at_once), CASE(interrupted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
