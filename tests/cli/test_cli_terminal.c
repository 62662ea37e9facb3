/* test_cli_terminal.c: what the progress lines do to a terminal (here a pseudo-terminal): they fit into its width, are
 * wiped before anything else is written and at the end; files and pipes never see them. */
#define _GNU_SOURCE
#include "train/synthetic.h" /* its functions have a `folder` of their own */
#include "cli/cli_case.h"
#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>

enum { OUTPUT = 1 << 20 };
static const char WIPE[] = "\r\033[K";

/* Runs spoor with a terminal of so many columns; quiet: standard output goes elsewhere. Gives what the terminal got. */
static char *on_terminal(unsigned short columns, bool quiet, const char *const *args) {
    char *argv[16] = {(char *)(size_t) "spoor"};
    for (size_t i = 0; i < 14 && args[i] != NULL; i++) {
        argv[i + 1] = (char *)(size_t)args[i];
    }
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    int master;
    pid_t pid = forkpty(&master, NULL, NULL, &size);
    assert_true(pid >= 0);
    if (pid == 0) {
        if (chdir(folder) == 0 && (!quiet || dup2(open("/dev/null", O_WRONLY), 1) == 1)) {
            (void)execv(SPOOR_BINARY_DIR "/spoor", argv);
        }
        _exit(99);
    }
    char *text = malloc(OUTPUT + 1);
    assert_non_null(text);
    size_t n = 0;
    for (ssize_t got; n < OUTPUT && (got = read(master, text + n, OUTPUT - n)) > 0;) {
        n += (size_t)got;
    }
    text[n] = '\0';
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(master);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("spoor ended with %d and said: %s", status, text);
    }
    return text;
}

/* Every drawn line: begun by a wipe, no wider than the terminal, wiped before the next thing. Returns how many have
 * `words`. What lies between a wipe and the next line's end is either progress or an answer, never both. */
static size_t check_lines(const char *text, size_t columns, const char *label, const char *words) {
    size_t found = 0;
    const char *at = strstr(text, WIPE);
    for (const char *next; at != NULL; at = next) {
        at += strlen(WIPE);
        next = strstr(at, WIPE);
        size_t n = next == NULL ? strlen(at) : (size_t)(next - at);
        if (strncmp(at, label, strlen(label)) != 0) {
            continue;
        }
        char line[512];
        snprintf(line, sizeof line, "%.*s", (int)n, at);
        found += strstr(line, words) != NULL;
        if (next == NULL || n >= columns || strchr(line, '\n') != NULL) {
            fail_msg("%zu columns, but: \"%s\"", columns, line);
        }
    }
    return found;
}

static void make_list(void) {
    write_wav("a.wav", 0.7, 1);
    char list[40 * 6 + 1];
    for (size_t i = 0; i < 40; i++) {
        memcpy(list + 6 * i, "a.wav\n", 7);
    }
    write_string("list", list);
}

static void tracing(void **state) {
    (void)state;
    make_list();
    const char *const args[] = {"trace", "-m", MODEL, "--jsonl", "-j2", "--list", "list", NULL};
    char *text = on_terminal(100, true, args);
    assert_true(check_lines(text, 100, "tracing", "/s  ETA ") > 0);
    const char *last = text + strlen(text) - strlen(WIPE);
    assert_string_equal(last, WIPE);
    free(text);
    text = on_terminal(40, true, args);
    assert_true(check_lines(text, 40, "tracing", "tracing  [") > 0);
    free(text);
    text = on_terminal(80, false, args); /* answers and progress on one terminal: 40 answers, each begins its line */
    assert_true(check_lines(text, 80, "tracing", "/40 files") > 0);
    size_t answers_seen = 0;
    for (const char *at = text; (at = strstr(at, "{\"file\"")) != NULL; at++) {
        answers_seen++;
        assert_true(at == text || at[-1] == '\n' || at[-1] == 'K');
    }
    assert_int_equal(answers_seen, 40);
    free(text);
    outcome o = trace("--jsonl", "--list", "list");
    exits(&o, 0);
    assert_string_equal(o.err, ""); /* no terminal, no progress */
    outcome_free(&o);
}

static void embedding(void **state) {
    (void)state;
    make_list();
    char csv[200 * 6 + 20] = "path\n";
    size_t at = strlen(csv);
    for (size_t i = 0; i < 200; i++) {
        memcpy(csv + at, "a.wav\n", 7);
        at += 6;
    }
    memcpy(csv + at, "no\n", 4);
    write_string("m.csv", csv);
    memcpy(csv + at, "", 1);
    write_string("good.csv", csv);
    const char *const args[] = {"embed", "-m", MODEL, "--out", "e.npy", "--manifest", "good.csv", NULL};
    char *text = on_terminal(100, false, args);
    assert_int_equal(check_lines(text, 100, "computing", " 64/200 recordings  "), 1);
    assert_string_equal(text + strlen(text) - strlen(WIPE), WIPE);
    free(text);
    outcome o = spoor("embed", "-m", MODEL, "--out", "e.npy", "--manifest", "m.csv"); /* a pipe gets the failure alone */
    exits(&o, 2);
    assert_null(strchr(o.err, '\r'));
    assert_non_null(strstr(o.err, "1 of 201 recordings could not be embedded\n"));
    outcome_free(&o);
}

static void extracting(void **state) {
    (void)state;
    char csv[200 * 10 + 20] = "path\n", name[16];
    size_t at = strlen(csv);
    for (size_t i = 0; i < 120; i++) {
        snprintf(name, sizeof name, "x%zu.wav", i);
        write_wav(name, 0.5, i);
        at += (size_t)snprintf(csv + at, sizeof csv - at, "%s\n", name);
    }
    write_string("m.csv", csv);
    const char *const args[] = {"extract", "m.csv", "--frontend", "{kind: log-mel}", "--out", "f", "-j1", NULL};
    char *text = on_terminal(100, false, args);
    assert_true(check_lines(text, 100, "extracting", "/120 recordings  ") > 0);
    assert_non_null(strstr(text, "120 to make"));
    assert_non_null(strstr(text, "about 0:0"));
    assert_non_null(strstr(text, "f: 120 entries (120 new)"));
    free(text);
}

static void training(void **state) {
    (void)state;
    synthetic_make(folder);
    const char *const args[] = {"train", "r.yaml", "--out", "run", "--seed", "3", NULL};
    char *text = on_terminal(100, false, args);
    assert_true(check_lines(text, 100, "epoch 2/12  batch", " clips/s  ETA 0:0") +
                check_lines(text, 100, "epoch 1/12  batch", " clips/s  ETA 0:0") > 0);
    assert_non_null(strstr(text, "epoch 12/12  loss "));
    assert_non_null(strstr(text, "the model is run/model.safetensors\r\n"));
    free(text);
    outcome o = spoor("train", "r.yaml", "--out", "again", "--seed=3");
    exits(&o, 0);
    assert_null(strstr(o.err, "ETA"));
    assert_null(strchr(o.err, '\r'));
    assert_null(strchr(o.out, '\r'));
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tracing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(embedding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extracting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(training, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
