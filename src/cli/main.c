/* main.c: `spoor COMMAND ...`: finds the command, nothing else. */
#include "cli/cli.h"
#include "cli/ui.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} command;

static const command COMMANDS[] = {
    {"trace", cli_trace, "say for each recording: human or synthetic, and which system made it"},
    {"train", cli_train, "train a model as a recipe says"},
    {"eval", cli_eval, "evaluate a model on labelled recordings, or a score file"},
    {"table", cli_table, "a model, score files or guesses on several sets: EER and F1, task by task"},
    {"openset", cli_openset, "fit the scores for known and unknown sources, and choose one for a model"},
    {"enroll", cli_enroll, "add a source to those that trace can name, by some of its recordings"},
    {"verify", cli_verify, "say whether two recordings are from the same source"},
    {"embed", cli_embed, "write the embedding of each recording as .npy"},
    {"frechet", cli_frechet, "say how far apart sets of embeddings lie"},
    {"fuse", cli_fuse, "make one model of several, or one score file of several"},
    {"extract", cli_extract, "compute features once and keep them on disk for training"},
    {"calibrate", cli_calibrate, "measure how a pretrained front end is computed in int8"},
    {"convert", cli_convert, "write any checkpoint as one safetensors file"},
    {"data", cli_data, "say what lists of recordings hold, or write them as a manifest"},
    {"taxonomy", cli_taxonomy, "list and check a table of how sources are built"},
    {"inspect", cli_inspect, "show what a model file or a checkpoint holds"},
};

static void usage(FILE *out) {
    fprintf(out, "Usage: spoor COMMAND [OPTION...]\n\n"
                 "Follow a speech recording back to the system that made it.\n\n");
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        fprintf(out, "  %-9s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    }
    fprintf(out,
            "\nspoor COMMAND --help tells more. Exit codes: 0 ok, 1 usage, 2 some inputs failed, 3 no usable model,\n"
            "4 out of memory or over a limit, 5 input/output, 130 interrupted.\n");
}

static int printed(void) {
    spoor_error err;
    spoor_status status = ui_flush(&err);
    if (status != SPOOR_OK) {
        ui_error(&err);
    }
    return (int)status;
}

/* A standard descriptor that the caller closed would be given to the next file that is opened, a report for example.
 * Now reading from it ends at once and writing to it fails. */
static void hold_descriptors(void) {
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", O_RDONLY);
        }
    }
}

int main(int argc, char **argv) {
    hold_descriptors();
    if (argc < 2) {
        usage(stderr);
        return SPOOR_ERR_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return printed();
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("spoor %s\n", spoor_version());
        return printed();
    }
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (strcmp(argv[1], COMMANDS[i].name) == 0) {
            char name[32]; /* what argp calls the program in --help and in complaints */
            (void)snprintf(name, sizeof name, "spoor %s", COMMANDS[i].name);
            argv[1] = name;
            return COMMANDS[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "spoor: there is no command \"%s\"; spoor --help lists them\n", argv[1]);
    return SPOOR_ERR_USAGE;
}
