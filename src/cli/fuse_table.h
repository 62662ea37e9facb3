/* fuse_table.h: score files of several systems about the same recordings, and their embeddings, as one table of
 * numbers: row by row unit embeddings, then scores, matched by id. */
#ifndef CLI_FUSE_TABLE_H
#define CLI_FUSE_TABLE_H
#include "eval/scores.h"
#include "train/fuse.h"

typedef struct fuse_table_task {
    const char *name;
    const char *
        *names; /* [classes] of all files, in the order of the first file that has the task, then of the others */
    size_t classes, capacity;
    bool in[FUSE_MAX_MODELS];      /* which files have it */
    size_t index[FUSE_MAX_MODELS]; /* its number there */
    size_t first[FUSE_MAX_MODELS]; /* where its scores begin in x */
} fuse_table_task;

typedef struct fuse_table {
    spoor_context *ctx;
    score_file *file[FUSE_MAX_MODELS];
    size_t n_files, n, d, width; /* rows, columns of x, classes of all tasks */
    size_t *row[FUSE_MAX_MODELS]; /* [n] the line of each recording in each file */
    const eval_clip **clip;      /* [n] as the first file has it; its ids, pages ... */
    const char **split;          /* [n] */
    unsigned char *usable;       /* [n] all files say something of it */
    fuse_table_task task[NET_MAX_TASKS];
    size_t n_tasks;
    int32_t *truth[NET_MAX_TASKS + 1]; /* [n] class or -1; the last: 1 bona fide, 0 synthetic, -1 not stated */
    bool judges; /* all files have a bona fide score of every usable row, and the truth is stated of some */
    double *bonafide[FUSE_MAX_MODELS]; /* [n] that score */
    float *x;                    /* [n, d] */
} fuse_table;

typedef struct fuse_table_options {
    const char *const *scores, *const *embeddings;
    size_t n, n_embeddings; /* 0, or as many as score files */
    net_scores form;        /* of the scores in x */
    bool same_classes;      /* all files must know the same classes of each task that they have (averages) */
} fuse_table_options;

/* t->ctx is set. Files whose recordings are not the same, that disagree about a truth or a split, a matrix with other
 * rows than its ids or other recordings: SPOOR_ERR_INPUT with the file and the first id. Also on failure:
 * fuse_table_clear. */
spoor_status fuse_table_read(fuse_table *t, const fuse_table_options *o, spoor_error *err);
void fuse_table_clear(fuse_table *t);
/* Where each task's scores lie, for averages; x must have log probabilities, and same_classes was asked for. */
spoor_status fuse_table_scores(const fuse_table *t, fuse_scores *task, spoor_error *err);
#endif
