/* protocol.h: the lists of files and labels that data sets come with, each read into one form: named columns of text, a
 * row for each recording. docs/data.md describes the formats. manifest.h joins such tables; nobody else needs this. */
#ifndef DATA_PROTOCOL_H
#define DATA_PROTOCOL_H
#include "base/arena.h"
#include "data/delimited.h"

enum {
    PROTOCOL_MAX_COLUMNS = 256,
    PROTOCOL_MAX_RENAMES = 32,
    PROTOCOL_MAX_PATH = 4096 /* bytes of a path in a list */
};

typedef struct protocol_rename { /* --column COLUMN=FROM */
    const char *column, *from;
} protocol_rename;

typedef struct protocol_options {
    const char *format; /* NULL: csv */
    const char *split;  /* of every row; NULL: as a column or the name of the file says */
    const char *files;  /* where the audio of a row is, from its columns: "flac/{id}.flac"; NULL: as it is published */
    protocol_rename rename[PROTOCOL_MAX_RENAMES];
    size_t n_renames;
    const char
        *taxonomy; /* a file, or TAXONOMY_BUILTIN: fills attributes of sources that the list leaves open; NULL: none */
} protocol_options;

typedef struct protocol_format protocol_format;

typedef struct protocol_table {
    spoor_context *ctx;
    const char *path; /* of the list, for sentences; borrowed while it is read */
    const protocol_format *format;
    const char *split;  /* of every row, "" = not known */
    char *root;         /* where its paths begin; NULL: the folder of the list */
    delimited text;     /* cells may point into it */
    arena *strings;     /* or here */
    const char **names; /* [columns] */
    size_t columns, name_capacity, path_column;
    const char *const *cells; /* [rows, columns]: of text or own */
    const char **own;
    size_t own_capacity, line_capacity;
    const size_t *lines; /* [rows] line numbers: of text or own_lines; 0 = none (a folder) */
    size_t *own_lines;
    size_t rows;
    bool noted; /* a reader has said what it repairs */
} protocol_table;

/* Reads the list into *out, to be cleared also on failure. SPOOR_ERR_INPUT with file and line for what is no line of
 * the format; SPOOR_ERR_USAGE for an unknown format or column; SPOOR_ERR_LIMIT, SPOOR_ERR_IO. */
spoor_status protocol_read(spoor_context *ctx, const char *path, const protocol_options *options, protocol_table *out,
                           spoor_error *err);
void protocol_clear(protocol_table *t);

/* Names and one line about each format, in order, NULL after the last. */
const char *protocol_format_name(size_t i);
const char *protocol_format_summary(size_t i);
/* SPOOR_ERR_USAGE with the nearest name if there is no such format. */
spoor_status protocol_check_format(const char *name, spoor_error *err);
/* "bonafide" or "spoof" for the words that lists use for them (genuine, real, fake, spoofs, ...), else NULL. */
const char *protocol_label(const char *text);
#endif
