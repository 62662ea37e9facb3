/* table.h: what the parts of `spoor table` share: sets of recordings, the tasks, and what is true and was said of each
 * row. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H
#include "cli/corpus.h"
#include "data/taxonomy.h"
#include "eval/chance.h"
#include "eval/report_tables.h"
#include "model/model.h"
#include "net/net.h"

enum { TABLE_MAX_SETS = 256, TABLE_MAX_SCORES = 64, TABLE_MAX_TASKS = 16, TABLE_MAX_CLASSES = 1024 };
_Static_assert((int)TABLE_MAX_TASKS <= (int)NET_MAX_TASKS, "tasks of score files have room where those of a model do");

typedef struct table_options {
    const char *model, *html, *by, *each, *bonafide;
    spoor_model_options open;
    cli_corpus_options corpus;
    const char *names[CORPUS_MAX_MANIFESTS];   /* of the set that a list is; NULL: its file's name */
    const char *scores[TABLE_MAX_SCORES];      /* TASK=FILE */
    size_t n_scores;
    const char *tasks[TABLE_MAX_TASKS];        /* --task */
    size_t n_tasks;
    eval_options eval;
    bool random, json;
    chance_options chance;
} table_options;

typedef struct table_set {
    const char *name;
    size_t *rows; /* [n] of the table */
    size_t n;
} table_set;

typedef struct table_task { /* where no model says what they are */
    const char *name;
    const char **classes;
    size_t n_classes;
    int64_t human; /* -1: none */
    size_t column; /* of the manifest */
} table_task;

typedef struct table {
    spoor_context *ctx;
    const table_options *o;
    cli_corpus c; /* c.n rows of all lists, recordings of several sets more than once */
    char *text;   /* names of sets, cut from the options */
    table_set sets[TABLE_MAX_SETS];
    size_t n_sets;
    taxonomy *taxonomy;
    table_task own[TABLE_MAX_TASKS];
    size_t n_own;
    eval_task tasks[NET_MAX_TASKS]; /* a model's, or own */
    const char **wider[NET_MAX_TASKS]; /* names of a model's classes and of values that it lacks; or NULL */
    size_t n_tasks, width;  /* width: classes in all */
    eval_clip *clips;       /* [c.n] */
    int32_t *truth;         /* [c.n, n_tasks] */
    float *scores;          /* [c.n, width]; NULL: they are the model's as they are */
    const char *system;     /* for the heading */
} table;

/* Read the lists and divide them into sets. */
spoor_status table_read(spoor_context *ctx, const table_options *o, table *t, spoor_error *err);
void table_clear(table *t);
/* The tasks that --task or --scores name (else vq, aux and dec, those that there are), their classes, and what is
 * true. */
spoor_status table_label(table *t, spoor_error *err);
/* What score files say. */
spoor_status table_take_scores(table *t, spoor_error *err);

/* To a model's tasks that are attributes of the taxonomy (that of --taxonomy, else the model's, else the one that is
 * built in), after truth and scores are known: the values that the lists have and the model lacks, as classes that it
 * never answers. spec: as of score_labels_new. */
spoor_status table_add_lacking(table *t, const spoor_model *m, const json_t *spec, spoor_error *err);

/* {"system", "sets": [{"name", "rows", "report"}]}, or with "random" instead of reports; as text, or a page. */
void table_print(spoor_context *ctx, const json_t *all);
spoor_status table_html(spoor_context *ctx, const char *path, const json_t *all, spoor_error *err);
#endif
