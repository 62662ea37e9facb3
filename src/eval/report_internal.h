/* report_internal.h: what the parts of the report share: measuring a figure with its interval, grouping clips, JSON. */
#ifndef EVAL_REPORT_INTERNAL_H
#define EVAL_REPORT_INTERNAL_H
#include "eval/report_tables.h"

typedef struct report {
    spoor_context *ctx;
    const eval_set *set;
    eval_options options;
    const int32_t *cluster; /* [set->n] of each clip where whole pages or sources are drawn, else NULL */
    size_t open_task;       /* task_count: there is none */
    json_t *warnings;
} report;

/* Clips by one of their names: group[i] of clip i, -1 where the name is empty. Names are in byte order. */
typedef struct grouping {
    int32_t *group;
    const char **names;
    size_t count;
} grouping;
typedef enum group_by { GROUP_PAGE, GROUP_SETTING, GROUP_SOURCE } group_by;
spoor_status report_group(spoor_context *ctx, const eval_set *set, group_by by, grouping *out, spoor_error *err);
void report_group_clear(spoor_context *ctx, grouping *g);

/* Fills `count` figures of a resample (weight NULL: of the set itself). */
typedef void (*report_fn)(void *arg, const uint32_t *weight, metric_value *out);

/* Measure `count` figures over the n clips in `clip` (indices into the set), with intervals where asked for, and put
 * {"value", "low", "high"} or {"value": null, "reason"} under names[k] into `into`. names of NULL are left out. */
spoor_status report_measure(const report *r, const uint32_t *clip, size_t n, report_fn fn, void *arg, size_t count,
                            const char *const *names, json_t *into, spoor_error *err);
/* The same, the figures as an array of objects in order instead of by name. */
spoor_status report_measure_list(const report *r, const uint32_t *clip, size_t n, report_fn fn, void *arg, size_t count,
                                 json_t *list, spoor_error *err);

/* json_string of any bytes: what is not UTF-8 becomes '?'. */
json_t *report_string(const char *s);
/* json_object_set_new and json_array_append_new that report failure as out of memory. */
spoor_status report_put(json_t *object, const char *key, json_t *value, spoor_error *err);
spoor_status report_append(json_t *array, json_t *value, spoor_error *err);

/* Is the clip's best class of the task the true one? -1: no label or no answer. */
int report_answer(const eval_set *set, size_t task, const eval_clip *c);
spoor_status report_task(const report *r, size_t task, json_t *tasks, spoor_error *err);
/* Two-class part: known false = bona fide. Nothing is added where no clip has a score and a label. */
spoor_status report_detection(const report *r, bool known, json_t *root, spoor_error *err);
#endif
