/* eval_set.h: evaluated clips in memory: what is true of each and what a system said of it. The one table between the
 * commands, score files (scores.h) and the report (report_tables.h). */
#ifndef EVAL_EVAL_SET_H
#define EVAL_EVAL_SET_H
#include "base/context.h"

typedef struct eval_task {
    const char *name;         /* "source", "family", "vocoder", ... */
    size_t classes;
    const char *const *names; /* [classes] */
} eval_task;

typedef struct eval_clip {
    const char *id;       /* path or name */
    const char *split;    /* "" where not given, as the next three */
    const char *page;     /* origin: demo page, corpus, ...: the cluster of the bootstrap by page */
    const char *setting;  /* "same", "cross", "unknown", ... */
    const char *source;   /* name of the true source, also where no class of a task has that name */
    const int32_t *truth; /* [tasks] class index, -1 = no label or no class of the task */
    const float *scores;  /* [sum of classes], task after task: calibrated probabilities, or any score of rising
                             belief; NaN in a task's first place: the system says nothing about that task. NULL: it
                             says nothing of any task. A clip with no score at all counts as not evaluated */
    double bonafide;      /* higher = more like a person; the natural-log LLR where calibrated; NaN = none */
    double known;         /* higher = more like a known source; NaN = none */
    int is_bonafide;      /* 1, 0, -1 = not stated */
    int is_known;         /* 1, 0, -1 = not stated (a bona fide clip is neither known nor unknown: -1) */
} eval_clip;

typedef struct eval_set {
    const eval_task *tasks;
    size_t task_count;
    const eval_clip *clips;
    size_t n;
    bool probabilities;   /* scores are probabilities: ECE, NLL and Brier are reported */
    bool decisions;       /* scores are 1 for the class that was decided for, else 0: no top-5 */
    bool bonafide_is_llr; /* bonafide is a natural-log LLR: Cllr is reported */
    bool has_threshold;   /* known_threshold is the system's own: known where known >= known_threshold */
    double known_threshold;
} eval_set;

/* Where a task's scores begin in eval_clip.scores; of task = task_count: how many there are in all. */
static inline size_t eval_offset(const eval_set *set, size_t task) {
    size_t at = 0;
    for (size_t t = 0; t < task; t++) {
        at += set->tasks[t].classes;
    }
    return at;
}
#endif
