/* hard_files.h: a table of recordings that are hard to read, each with the outcome that it must have, and the code that
 * writes them. tools/make-hard-files puts them into a folder to look at. */
#ifndef TESTS_HARD_FILES_H
#define TESTS_HARD_FILES_H
#include <stdbool.h>
#include <stddef.h>

typedef enum hard_outcome {
    HARD_OK,      /* read to the end and assessable */
    HARD_INVALID, /* not assessable: the audio_verdict of this name */
    HARD_SILENT,
    HARD_SHORT,
    HARD_NARROW,
    HARD_ERROR    /* SPOOR_ERR_INPUT and a sentence */
} hard_outcome;

typedef struct hard_file {
    const char *name;     /* of the file; see hard_file_path */
    hard_outcome outcome;
    const char *sentence; /* HARD_ERROR: this stands in the sentence */
    int channel;          /* spoor_audio_options.channel + 1, so that 0 is "all" */
    double raw_rate;
    int raw_channels;
    /* how it is made: sound through libsndfile, then an edit of the bytes */
    int sound, format, rate, channels;
    double seconds; /* 0: 1.2 s */
    int edit;
    long at;
    unsigned long long value;
} hard_file;

const hard_file *hard_files(size_t *n);
/* Writes all into `folder`; fails the test if one cannot be written. */
void hard_files_make(const char *folder);
/* Writes the one of this name and gives its path, freed with free(). */
char *hard_file_make(const char *folder, const char *name);
/* Where the file lies; freed with free(). */
char *hard_file_path(const char *folder, const hard_file *f);
const char *hard_outcome_name(hard_outcome outcome);
/* Whether this file is as hard as it is meant to be here (an unreadable file is not, for the superuser). */
bool hard_file_applies(const hard_file *f);
#endif
