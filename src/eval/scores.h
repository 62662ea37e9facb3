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
 * `# spoor scores 1 probabilities=1 decisions=0 llr=1` states what the scores are (without it: all 0). Columns may stand
 * in any order, those of one task together; all but `id` may be left out, so that any system's scores can be put in this
 * form. Floats are written so that they read back to the same bits; an empty cell is no score. A name with a tab, quote or
 * line break is quoted as in CSV (RFC 4180). */
spoor_status score_file_write(spoor_context *ctx, const char *path, const eval_set *set, spoor_error *err);
spoor_status score_file_read(spoor_context *ctx, const char *path, score_file **out, spoor_error *err);

/* A foreign file. A column is a name of the header or a number counted from 1; NULL = the file has none. */
typedef struct score_columns {
    const char *id;          /* default: the line number */
    const char *score;        /* the detection score; with `label` and `target_label` */
    const char *label;        /* the true label */
    const char *target_label; /* the value of `label` that is the target ("bonafide"); all others are not */
    bool lower_is_target;     /* the file's polarity is inverted: scores are negated on reading */
    bool known;               /* the score is known-versus-unknown instead of bona fide */
    const char *predicted;    /* many classes: the predicted label, compared with `label` */
    const char *page, *setting, *source;
    char separator;           /* as delimited_read */
    int header;               /* 1, 0, or -1: there is one if a column is given by name */
} score_columns;
void score_columns_init(score_columns *columns);
/* Either form or both: detection (score + label + target_label), decisions (predicted + label; the classes are the names
 * that occur, in byte order). A line with too few fields or a score that is no finite number, and a target_label that no
 * line has: SPOOR_ERR_INPUT with the line number. */
spoor_status score_file_read_columns(spoor_context *ctx, const char *path, const score_columns *columns,
                                     score_file **out, spoor_error *err);
#endif
