/* scores.h: score files out and in: our own (every label and score of an eval_set) and foreign ones (columns named by
 * the user). TSV or CSV, one line a recording. */
#ifndef EVAL_SCORES_H
#define EVAL_SCORES_H
#include "eval/eval_set.h"

/* A score file in memory: `set` and everything that it points at. */
typedef struct score_file score_file;
const eval_set *score_file_set(const score_file *f);
void score_file_free(score_file *f);

/* Our own form, tab-separated with a header (docs/eval.md): id split page setting source is_bonafide bonafide is_known
 * known, then for each task `true/TASK` (class name, empty = none) and `score/TASK/CLASS`. A first line
 * `# spoor scores 1 probabilities=1 decisions=0 llr=1 known_threshold=-5.2` states what the scores are (without it: all
 * 0, no threshold). Columns may stand
 * in any order, those of one task together; all but `id` may be left out, so that any system's scores can be put in
 * this form. Floats are written so that they read back to the same bits; an empty cell is no score. A name with a tab,
 * quote or line break is quoted as in CSV (RFC 4180). */
spoor_status score_file_write(spoor_context *ctx, const char *path, const eval_set *set, spoor_error *err);
spoor_status score_file_read(spoor_context *ctx, const char *path, score_file **out, spoor_error *err);

/* Labels that stand in a file of their own (a key, a protocol), found by id. An id may begin with "./" in either file.
 */
typedef struct score_key {
    const char *path;                      /* NULL: there is none */
    const char *id;                        /* default: the first column */
    const char *label;
    const char *page, *setting, *source;
} score_key;

/* A foreign file. A column is a name of the header or a number counted from 1; NULL = the file has none. */
typedef struct score_columns {
    const char *id;          /* default: the line number; with a key, the first column */
    const char *score;        /* the detection score; with `label` and `target_label` */
    const char *label;        /* the true label */
    const char *target_label; /* the value of `label` that is the target ("bonafide"); all others are not */
    bool lower_is_target;     /* the file's polarity is inverted: scores are negated on reading */
    bool known;               /* the score is known-versus-unknown instead of bona fide */
    const char *predicted;    /* many classes: the predicted label, compared with `label` */
    const char *page, *setting, *source;
    char separator;           /* as delimited_read */
    int header;               /* 1, 0, or -1: there is one if a column is given by name */
    const char *const *more_targets; /* other values of `label` that are the target as well */
    size_t n_more_targets;
    const char *probabilities; /* many classes: a column of scores for each, "2-5" or "real,fake" or "2,4-6" */
    const char *classes; /* names of the classes, "REAL,MVQ,SVQ,SQ"; NULL: of probabilities the header's or the column
                            numbers, of predictions the labels that occur */
    score_key key;             /* then label, page, setting and source are NULL here */
} score_columns;
void score_columns_init(score_columns *columns);
/* Any of: detection (score + label + target_label), decisions (predicted + label) or scores of classes (probabilities +
 * label). The class names are in the order given, else in byte order; a label that is none is no label of the task. The
 * scores count as probabilities where each line's are in 0..1 and sum to 1 (within 1e-3). With `known` and no
 * target_label, the labels that are classes are known; without a score column, the known score is the greatest of the
 * class scores. Where there is no source column, the source is the label if there are classes or the score is a known
 * score. Entries of the key without a line are recordings that were not evaluated. SPOOR_ERR_INPUT with the line
 * number: too few fields, a score that is no finite number, a predicted label that is no class, a target_label that no
 * line has, an id that the key lacks or labels in two ways. */
spoor_status score_file_read_columns(spoor_context *ctx, const char *path, const score_columns *columns,
                                     score_file **out, spoor_error *err);
#endif
