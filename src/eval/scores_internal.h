/* scores_internal.h: what the two readers of score files share. */
#ifndef EVAL_SCORES_INTERNAL_H
#define EVAL_SCORES_INTERNAL_H
#include "data/delimited.h"
#include "eval/scores.h"
#include <locale.h>

/* Columns that say what is true of a recording; SIZE_MAX = not asked for. */
typedef struct label_columns {
    size_t id, label, page, setting, source;
    size_t most; /* the greatest: a line needs that many fields and one */
    bool header;
} label_columns;

struct score_file {
    spoor_context *ctx;
    delimited table; /* owns the strings */
    delimited key; /* the other file, of labels: its strings, columns, rows by id, and which of those were asked for */
    label_columns key_columns;
    size_t *key_order, key_n;
    bool *key_used;  /* [key_n], by place in key_order */
    char *spec;      /* names of classes and columns as they were given, cut at the commas */
    eval_set set;
    eval_task *tasks;
    const char **names; /* class names, task after task */
    eval_clip *clips;
    int32_t *truth;
    float *scores;
    char *numbers; /* line numbers as text, where a foreign file has no ids */
};

/* The C locale for this thread while numbers are read or written: a program's own may have a comma for a point. */
typedef struct plain_numbers {
    locale_t plain, before;
} plain_numbers;
spoor_status plain_numbers_begin(plain_numbers *p, spoor_error *err);
void plain_numbers_end(plain_numbers *p);

/* The whole text is one number; "" and NaN are none. Call between plain_numbers_begin and _end. */
bool score_number(const char *text, double *out);
/* A row of `width` scores and `tasks` labels for each of n clips, all unset. false = out of memory or too many. */
bool score_file_allocate(score_file *f, size_t n, size_t tasks, size_t width);

/* Where a column stands, "" and SPOOR_ERR_USAGE where there is none; *most becomes the greatest of all chosen. NULL:
 * SIZE_MAX. */
spoor_status score_column_find(const delimited *d, const char *path, bool header, const char *column, size_t *index,
                               size_t *most, spoor_error *err);
bool score_column_is_number(const char *column);
/* The first line that lacks one of the columns up to `most` is an error. */
spoor_status score_check_fields(const delimited *d, const char *path, size_t from, size_t most, spoor_error *err);

/* Reads the key into f and sorts it. */
spoor_status score_key_read(score_file *f, const score_key *key, spoor_error *err);
/* The key's row of an id, marked as used; SIZE_MAX = none. */
size_t score_key_find(score_file *f, const char *id);

/* The classes that a foreign file's options name: f->tasks and f->names, *columns (freed with ctx_free) of the class
 * scores, NULL where the file has decisions; header row 0 of f->table if `header`. Decisions without named classes:
 * none yet. */
spoor_status score_classes_named(score_file *f, const char *path, const score_columns *c, bool header, size_t **columns,
                                 size_t *most, spoor_error *err);
#endif
