/* command.c: see command.h. */
#define _GNU_SOURCE
#include "support/command.h"
#include "support/support.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGS = 64, MAX_WAIT_MS = 300000 };

static char *read_whole(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    size_t have = 0, room = 1 << 16;
    char *text = malloc(room + 1);
    for (size_t got; f != NULL && text != NULL && (got = fread(text + have, 1, room - have, f)) > 0;) {
        have += got;
        if (have == room) {
            room *= 2;
            text = realloc(text, room + 1);
        }
    }
    if (f == NULL || text == NULL) {
        fail_msg("cannot read %s", path);
    }
    fclose(f);
    text[have] = '\0';
    *size = have;
    return text;
}

/* A child that pours a file into a pipe; gives the end to read from. */
static int pour(const char *path, pid_t *feeder) {
    int ends[2];
    if (pipe(ends) != 0 || (*feeder = fork()) < 0) {
        fail_msg("cannot make a pipe");
    }
    if (*feeder > 0) {
        close(ends[1]);
        return ends[0];
    }
    char buffer[4096];
    int fd = open(path, O_RDONLY);
    close(ends[0]);
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
        if (write(ends[1], buffer, (size_t)n) != n) {
            break;
        }
    }
    _exit(0);
}

static void become(const command *c, int in, const char *out, const char *err) {
    char *args[MAX_ARGS + 2] = {(char *)(size_t) "spoor"};
    for (size_t i = 0; c->args[i] != NULL && i < MAX_ARGS; i++) {
        args[i + 1] = (char *)(size_t)c->args[i];
    }
    (void)unsetenv("SPOOR_MODEL");
    for (size_t i = 0; c->env != NULL && c->env[i] != NULL; i++) {
        (void)putenv((char *)(size_t)c->env[i]);
    }
    int out_fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666), err_fd = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (in < 0 || out_fd < 0 || err_fd < 0 || dup2(in, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0 ||
        chdir(c->folder) != 0) {
        _exit(99);
    }
    if (c->out != NULL && c->out[0] == '\0') {
        (void)close(1);
    }
    (void)execv(SPOOR_BINARY_DIR "/spoor", args);
    _exit(99);
}

static void pause_ms(long ms) { (void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

/* Waits for the end; sends SIGINT on the way if asked to; kills what hangs. */
static int await(const command *c, pid_t pid, const char *out, struct rusage *usage) {
    int status = 0;
    bool sent = c->interrupt_at == 0;
    for (long ms = 0; ms < MAX_WAIT_MS; ms += 2) {
        pid_t ended = wait4(pid, &status, sent ? 0 : WNOHANG, usage);
        if (ended == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
        struct stat st;
        if (!sent && stat(out, &st) == 0 && (size_t)st.st_size >= c->interrupt_at) {
            (void)kill(pid, SIGINT);
            sent = true;
        }
        pause_ms(2);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return 1000 + SIGKILL;
}

outcome command_run(const command *c) {
    char out[600], err[600];
    (void)snprintf(out, sizeof out, "%s/.out", c->folder);
    (void)snprintf(err, sizeof err, "%s/.err", c->folder);
    pid_t feeder = 0;
    const char *in_path = c->in == NULL ? "/dev/null" : c->in;
    int in = c->pipe ? pour(in_path, &feeder) : open(in_path, O_RDONLY | O_CLOEXEC);
    pid_t pid = fork();
    if (pid < 0) {
        fail_msg("cannot fork");
    }
    if (pid == 0) {
        become(c, in, c->out == NULL || c->out[0] == '\0' ? out : c->out, err);
    }
    close(in);
    struct rusage usage = {0};
    outcome o = {.status = await(c, pid, out, &usage), .peak_kib = usage.ru_maxrss};
    if (feeder > 0) {
        (void)waitpid(feeder, NULL, 0);
    }
    if (o.status == 99) {
        fail_msg("cannot run %s/spoor", SPOOR_BINARY_DIR);
    }
    size_t n;
    o.out = c->out == NULL ? read_whole(out, &o.out_size) : strdup("");
    o.err = read_whole(err, &n);
    (void)unlink(out);
    (void)unlink(err);
    return o;
}

void outcome_free(outcome *o) {
    free(o->out);
    free(o->err);
    *o = (outcome){0};
}
