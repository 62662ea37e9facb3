/* draw.c: see draw.h. */
#include "train/draw.h"
#include "base/rng.h"
#include "model/model.h"
#include <string.h>

enum { STREAM_SAMPLER = 11 }; /* of the recipe's seed; the others are in batch.c */

int64_t draw_matched_rows(const recipe *r) { return recipe_pair_rows(r) - r->per_class * r->pairs; }

/* ---- the sampler ---- */

/* The classes of the taxonomy and what they consist of, a number for each training clip. */
typedef struct numbers {
    int32_t *class, *within;
} numbers;

static void numbers_free(spoor_context *ctx, numbers *n) {
    ctx_free(ctx, n->class);
    ctx_free(ctx, n->within);
}

static spoor_status number_column(spoor_context *ctx, const dataset *d, const char *key, const char *column,
                                  int32_t **out, spoor_error *err) {
    size_t n;
    if (manifest_column(d->manifest, column) == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "sampler.%s names the column %.60s, which no manifest has", key, column);
    }
    *out = ctx_alloc(ctx, d->n_train, sizeof **out);
    return *out ? labels_groups(ctx, d->manifest, d->rows, d->n_train, column, *out, &n, err)
                : error_memory(err, "making a sampler");
}

/* Bona fide is what the column `label` says, or the column of the classes itself. */
static spoor_status number_clips(spoor_context *ctx, const recipe *r, const dataset *d, numbers *n, spoor_error *err) {
    TRY(number_column(ctx, d, "by", r->sampler_by, &n->class, err));
    TRY(number_column(ctx, d, "within", r->sampler_within, &n->within, err));
    size_t label = manifest_column(d->manifest, "label"), by = manifest_column(d->manifest, r->sampler_by);
    for (size_t i = 0; i < d->n_train; i++) {
        bool human = model_is_human(manifest_cell(d->manifest, d->rows[i], label)) ||
                     model_is_human(manifest_cell(d->manifest, d->rows[i], by));
        n->class[i] = human ? NESTED_HUMAN : n->class[i];
    }
    return SPOOR_OK;
}

static spoor_status find_task(const recipe *r, const dataset *d, size_t *task, spoor_error *err) {
    const char *name = *r->sampler_task ? r->sampler_task : r->source_task;
    bool needed = r->pairs > 0 || r->matched.n_content > 0 || r->sampler == SAMPLER_BALANCED;
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < d->n_tasks; i++) {
        found = strcmp(d->task[i].from.name, name) == 0 ? i : found;
    }
    *task = found == SIZE_MAX ? 0 : found;
    return found == SIZE_MAX && (needed || *r->sampler_task)
               ? error_set(err, SPOOR_ERR_USAGE, "sampler.task: there is no task named %.80s", name)
               : SPOOR_OK;
}

spoor_status draw_sampler(spoor_context *ctx, const recipe *r, const dataset *d, sampler **out, size_t *task,
                          spoor_error *err) {
    *out = NULL;
    TRY(find_task(r, d, task, err));
    const int32_t *group[SAMPLER_MAX_GROUPS];
    for (size_t g = 0; g < d->n_groups; g++) {
        group[g] = d->group[g];
    }
    numbers n = {0};
    spoor_status status = r->sampler == SAMPLER_TAXONOMY ? number_clips(ctx, r, d, &n, err) : SPOOR_OK;
    nested_options tree = {
        .class = n.class, .within = n.within, .human = r->sampler_human, .epoch = (size_t)r->sampler_clips};
    rng seed = rng_make((uint64_t)r->seed, STREAM_SAMPLER);
    sampler_options o = {.kind = (sampler_kind)r->sampler, .seed = rng_u64(&seed),
                         .batch = (size_t)(r->batch - draw_matched_rows(r)), .pairs = (size_t)r->pairs,
                         .per_class = (size_t)r->per_class, .n_clips = d->n_train, .label = d->task[*task].label,
                         .n_classes = d->task[*task].n_classes, .n_groups = d->n_groups, .group = group,
                         .nested = &tree};
    if (status == SPOOR_OK) {
        status = sampler_new(ctx, &o, out, err);
    }
    numbers_free(ctx, &n);
    return status;
}

/* ---- what it draws ---- */

/* [n_train] how often each clip is drawn. */
static spoor_status count_draws(spoor_context *ctx, const recipe *r, const dataset *d, uint32_t *times,
                                spoor_error *err) {
    sampler *s;
    size_t task, batch = (size_t)(r->batch - draw_matched_rows(r));
    TRY(draw_sampler(ctx, r, d, &s, &task, err));
    uint32_t *clip = ctx_alloc(ctx, batch, sizeof *clip);
    for (size_t step = 0; clip && step < sampler_steps(s); step++) {
        sampler_batch(s, 0, step, clip);
        for (size_t i = 0; i < batch; i++) {
            times[clip[i]]++;
        }
    }
    sampler_free(s);
    ctx_free(ctx, clip);
    return clip ? SPOOR_OK : error_memory(err, "counting what is drawn");
}

/* NULL: out of memory */
static json_t *count_task(spoor_context *ctx, const dataset_task *t, size_t n, const uint32_t *times) {
    uint64_t *count = ctx_calloc(ctx, t->n_classes, sizeof *count);
    json_t *out = count ? json_object() : NULL;
    for (size_t i = 0; out && i < n; i++) {
        if (t->label[i] >= 0) {
            count[t->label[i]] += times[i];
        }
    }
    for (size_t c = 0; out && c < t->n_classes; c++) {
        (void)json_object_set_new(out, t->classes[c], json_integer((json_int_t)count[c]));
    }
    ctx_free(ctx, count);
    return out;
}

/* Cells that are empty count under "". */
static json_t *count_column(const dataset *d, const char *column, const uint32_t *times) {
    json_t *out = json_object();
    size_t at = manifest_column(d->manifest, column);
    for (size_t i = 0; out && i < d->n_train; i++) {
        const char *cell = manifest_cell(d->manifest, d->rows[i], at);
        json_int_t before = json_integer_value(json_object_get(out, cell));
        if (times[i] > 0) {
            (void)json_object_set_new(out, cell, json_integer(before + times[i]));
        }
    }
    return out;
}

spoor_status draw_balance(spoor_context *ctx, const recipe *r, const dataset *d, json_t **out, spoor_error *err) {
    *out = NULL;
    uint32_t *times = ctx_calloc(ctx, d->n_train, sizeof *times);
    spoor_status status = times ? count_draws(ctx, r, d, times, err) : error_memory(err, "counting what is drawn");
    if (status == SPOOR_OK) {
        json_int_t clips = 0, different = 0;
        for (size_t i = 0; i < d->n_train; i++) {
            clips += times[i];
            different += times[i] > 0;
        }
        json_t *tasks = json_object(), *within = NULL;
        bool good = tasks != NULL;
        for (size_t k = 0; good && k < d->n_tasks; k++) {
            good =
                json_object_set_new(tasks, d->task[k].from.name, count_task(ctx, &d->task[k], d->n_train, times)) == 0;
        }
        *out = json_pack("{s:I,s:I,s:o}", "clips", clips, "different", different, "tasks", tasks);
        if (r->sampler == SAMPLER_TAXONOMY) {
            within = json_pack("{s:s,s:o}", "column", r->sampler_within, "values",
                               count_column(d, r->sampler_within, times));
            good = good && json_object_set_new(*out, "within", within) == 0;
        }
        if (!good || !*out) {
            json_decref(*out);
            *out = NULL;
            status = error_memory(err, "counting what is drawn");
        }
    }
    ctx_free(ctx, times);
    return status;
}

static char *append(spoor_context *ctx, char *text, char *more) {
    char *both = text && more ? ctx_printf(ctx, "%s%s", text, more) : NULL;
    ctx_free(ctx, text);
    ctx_free(ctx, more);
    return both;
}

/* "\n  vq: MVQ 12, SQ 12" */
static char *add_counts(spoor_context *ctx, char *text, const char *name, const json_t *counts, size_t most) {
    const char *key, *between = " ";
    json_t *value;
    if (most > 0 && json_object_size(counts) > most) {
        return append(ctx, text, ctx_printf(ctx, "\n  %s: %zu classes", name, json_object_size(counts)));
    }
    text = append(ctx, text, ctx_printf(ctx, "\n  %s:", name));
    json_object_foreach((json_t *)(uintptr_t)counts, key, value) {
        text =
            append(ctx, text,
                   ctx_printf(ctx, "%s%s %lld", between, *key ? key : "(none)", (long long)json_integer_value(value)));
        between = ", ";
    }
    return text;
}

char *draw_text(spoor_context *ctx, const json_t *balance, size_t most) {
    const char *name;
    json_t *counts;
    const json_t *within = json_object_get(balance, "within");
    char *text = ctx_printf(ctx, "the first epoch draws %lld clips, %lld different ones",
                            (long long)json_integer_value(json_object_get(balance, "clips")),
                            (long long)json_integer_value(json_object_get(balance, "different")));
    json_object_foreach(json_object_get(balance, "tasks"), name, counts) {
        text = add_counts(ctx, text, name, counts, most);
    }
    if (within) {
        text = add_counts(ctx, text, json_string_value(json_object_get(within, "column")),
                          json_object_get(within, "values"), most);
    }
    return text;
}
