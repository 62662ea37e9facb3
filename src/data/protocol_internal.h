/* protocol_internal.h: what the readers of the formats share. */
#ifndef DATA_PROTOCOL_INTERNAL_H
#define DATA_PROTOCOL_INTERNAL_H
#include "data/protocol.h"
#include "data/taxonomy.h"

/* Columns that a manifest may have, by their names in the table (protocol.c). */
typedef enum protocol_column {
    P_PATH,
    P_ID,
    P_LABEL,
    P_SOURCE,
    P_FAMILY,
    P_ACOUSTIC,
    P_VOCODER,
    P_CODEC,
    P_VQ,
    P_AUX,
    P_DEC,
    P_SPEAKER,
    P_GENDER,
    P_LANGUAGE,
    P_TEXT,
    P_SECONDS,
    P_SUBSET,
    P_CORPUS,
    P_CHANNEL,
    P_TRIM,
    P_ORIGINAL,
    P_TRAINING,
    P_PATH_B,
    P_SOURCE_B,
    P_SAME,
    P_SAME_ACOUSTIC,
    P_SAME_VOCODER,
    P_TRIAL,
    P_CLAIM,
    P_RANK,
    P_PAGE,
    P_SPLIT,
    P_COUNT
} protocol_column;
#define P_BIT(c) (1ull << (c))

typedef const char *protocol_cells[P_COUNT];

/* One line of a delimited list on its way to a row. */
typedef struct protocol_line {
    protocol_table *table;
    size_t number; /* in the file, from 1 */
    const char *const *field;
    size_t n;
    const taxonomy *taxonomy; /* of codecfake */
    const size_t *at;         /* where the header has each column of format->header; NULL without a header */
    protocol_cells cell;      /* to fill; "" at the beginning */
    bool skip;                /* no row comes of it */
} protocol_line;

struct protocol_format {
    const char *name, *summary;
    uint64_t columns; /* P_BITs of its rows; 0: the file names its columns */
    char separator;   /* of a delimited list; 0: read() does all */
    bool unquoted;
    bool taxonomy;             /* its lines need one */
    size_t min, max;           /* fields of a line; 0, 0: as the header has */
    const char *const *header; /* columns that the first line must name, NULL-terminated; NULL: no header */
    const char *form;          /* what a line looks like, for sentences */
    const char *split;         /* where neither option nor name says one; NULL: none */
    spoor_status (*line)(protocol_line *l, spoor_error *err);
    spoor_status (*read)(protocol_table *t, const protocol_options *o, spoor_error *err);
};

extern const protocol_format PROTOCOL_CSV, PROTOCOL_TSV, PROTOCOL_JSONL, PROTOCOL_MLAAD, PROTOCOL_MLAAD_META,
    PROTOCOL_ASV19, PROTOCOL_ASV21, PROTOCOL_ASV5, PROTOCOL_ADD23, PROTOCOL_ST_CODECFAKE, PROTOCOL_TADA, PROTOCOL_STOPA,
    PROTOCOL_PAIRS, PROTOCOL_CLAIMS, PROTOCOL_IN_THE_WILD, PROTOCOL_WAVEFAKE, PROTOCOL_DFADD, PROTOCOL_FOLDER,
    PROTOCOL_KALDI, PROTOCOL_LHOTSE, PROTOCOL_CODECFAKE;

/* SPOOR_ERR_INPUT: "FILE, line N: ..." */
spoor_status protocol_refuse(const protocol_table *t, size_t line, spoor_error *err, const char *format, ...)
    BASE_PRINTF(4, 5);
/* printf into a string that lives as long as the table; NULL when out of memory. */
const char *protocol_text(protocol_table *t, const char *format, ...) BASE_PRINTF(2, 3);
/* Names the columns of the rows to come: copies. */
spoor_status protocol_name(protocol_table *t, const char *name, spoor_error *err);
/* The columns of t->format, in the order of protocol_column. */
spoor_status protocol_columns(protocol_table *t, spoor_error *err);
/* Room for one more row; *cells is its columns, all "". */
spoor_status protocol_row(protocol_table *t, size_t line, const char ***cells, spoor_error *err);
/* A row of the format's own columns. */
spoor_status protocol_add(protocol_table *t, size_t line, const protocol_cells cell, spoor_error *err);
/* Sets label and source from what the list calls them; a bona fide recording's source is "bonafide". */
spoor_status protocol_set_label(protocol_line *l, const char *label, const char *source, spoor_error *err);
/* Index of a column by its name, or SIZE_MAX. */
size_t protocol_find(const protocol_table *t, const char *name);
/* The split that a word of the name says ("ASVspoof2019.LA.cm.dev.trl.txt": dev), or NULL. */
const char *protocol_split_word(const char *name);
/* Without leading "./". */
const char *protocol_plain_path(const char *path);
/* Equal but for the case of letters. */
bool protocol_same_word(const char *a, const char *b);
#endif
