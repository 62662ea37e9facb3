/* command.h: runs the built `spoor` as a user does and keeps what it says. */
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H
#include <stdbool.h>
#include <stddef.h>

typedef struct command {
    const char *folder;      /* working directory; also gets .out and .err, which are removed again */
    const char *const *args; /* after the program's name, NULL at the end */
    const char *in;          /* file for standard input; NULL = /dev/null */
    bool pipe;               /* through a pipe instead of as the file itself */
    const char *out;         /* where standard output goes, NULL = into the outcome, "" = it is closed */
    const char *const *env;  /* "NAME=VALUE" to add, NULL at the end; NULL = none. SPOOR_MODEL is never inherited */
    size_t interrupt_at;     /* SIGINT once so many bytes of output are there; 0 = never */
} command;

typedef struct outcome {
    int status;      /* exit code; 1000 + signal where it died of one */
    char *out, *err; /* NUL-terminated */
    size_t out_size;
    long peak_kib; /* largest resident set */
} outcome;

/* Fails the test where the program cannot be run. */
outcome command_run(const command *c);
void outcome_free(outcome *o);
#endif
