/* trainer.c: the loop of trainer.h. */
#define _GNU_SOURCE
#include "train/trainer_state.h"
#include "base/io.h"
#include "trace/trace.h"
#include "train/centroids.h"
#include "train/draw.h"
#include "train/fitted.h"
#include "train/heads.h"
#include "train/initial.h"
#include "train/losses.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STREAM_TAPE = 21, STREAM_NET };

char *trainer_path(const trainer *t, const char *name) { return ctx_printf(t->ctx, "%s/%s", t->folder, name); }

/* ---- making ---- */

static spoor_status use_config(json_t *resolved, const char *key, json_t *config, spoor_error *err) {
    return config && json_object_set_new(resolved, key, config) == 0 ? SPOOR_OK
                                                                     : error_memory(err, "resolving a recipe");
}

/* The weights to start from, where the recipe names some. */
static spoor_status start_from(trainer *t, spoor_error *err) {
    if (!t->at->from && !*t->r->from) {
        return SPOOR_OK;
    }
    char *path = t->at->from ? ctx_strdup(t->ctx, t->at->from) : recipe_path(t->ctx, t->r, t->r->from);
    if (!path) {
        return error_memory(err, "starting a training");
    }
    initial_options o = {path, t->d, t->fe, t->finetune != NULL};
    spoor_status status = initial_load(t->ctx, t->params, &o, err);
    ctx_free(t->ctx, path);
    return status;
}

/* What steps of the chain name by "files", where the chain is used at all. Features from a store hold it already: there
 * its identity is enough. */
static spoor_status open_recordings(trainer *t, spoor_error *err) {
    const recipe *r = t->r;
    bool read = *r->cache_path != '\0', fits = net_fits(t->net);
    if (!fits && (read ? r->cache_copies == 0 : r->augment_p <= 0)) {
        return SPOOR_OK;
    }
    recordings_options o = {.folder = r->folder, .limit = recipe_recordings_bytes(r), .threads = t->threads,
                            .name_only = read && !fits};
    return recordings_open(t->ctx, t->augment, &o, &t->recordings, err);
}

static spoor_status make_network(trainer *t, spoor_error *err) {
    net_task tasks[NET_MAX_TASKS];
    for (size_t i = 0; i < t->d->n_tasks; i++) {
        tasks[i] = (net_task){(char *)(uintptr_t)t->d->task[i].from.name, (int64_t)t->d->task[i].n_classes};
    }
    frontend_options from = {.folder = t->r->folder, .trainable = t->r->finetune.on};
    TRY(frontend_new_with(t->ctx, t->r->frontend, &from, &t->fe, err));
    TRY(augment_new(t->ctx, t->r->augment, &t->augment, err));
    TRY(heads_choose(t->r, t->d, err));
    rng seed = rng_make((uint64_t)t->r->seed, STREAM_NET);
    TRY(net_new(t->ctx, t->r->network, (int64_t)frontend_dim(t->fe), tasks, t->d->n_tasks, rng_u64(&seed), &t->net,
                err));
    TRY(net_bind(t->net, t->fe, err));
    TRY(open_recordings(t, err));
    TRY(use_config(t->r->resolved, "frontend", json_deep_copy(frontend_config(t->fe)), err));
    TRY(use_config(t->r->resolved, "augment", json_deep_copy(augment_config(t->augment)), err));
    TRY(use_config(t->r->resolved, "network", net_config(t->net), err));
    t->r->frontend = json_object_get(t->r->resolved, "frontend");
    t->r->augment = json_object_get(t->r->resolved, "augment");
    t->r->network = json_object_get(t->r->resolved, "network");
    t->params = net_params(t->net);
    if (t->r->finetune.on) {
        TRY(finetune_new(t->ctx, t->r, t->fe, net_params(t->net), &t->finetune, err));
        t->params = finetune_params(t->finetune);
    }
    return start_from(t, err);
}

static spoor_status make_optimiser(trainer *t, spoor_error *err) {
    const recipe *r = t->r;
    optimiser_options o = {.decoupled = r->adamw, .beta1 = r->beta1, .beta2 = r->beta2, .eps = r->eps,
                           .weight_decay = r->weight_decay, .clip = r->clip};
    if (t->finetune) {
        o.group = finetune_groups(t->finetune, loader_steps(t->loader), &o.n_groups);
    }
    TRY(optimiser_new(t->ctx, t->params, &o, &t->optimiser, err));
    TRY(average_new(t->ctx, t->params, &t->best, err));
    if (r->average != RECIPE_AVERAGE_NONE) {
        TRY(average_new(t->ctx, t->params, &t->average, err));
    }
    double steps = (double)loader_steps(t->loader);
    t->schedule = (schedule){.kind = r->schedule == RECIPE_COSINE ? SCHEDULE_COSINE
                                     : r->schedule == RECIPE_STEP ? SCHEDULE_STEP
                                                                  : SCHEDULE_CONSTANT,
                             .lr = r->lr, .total = (double)r->epochs * steps, .warmup = r->warmup * steps,
                             .floor = r->floor,
                             .every = (double)r->step_epochs * steps, .factor = r->step_factor};
    rng key = rng_make((uint64_t)r->seed, STREAM_TAPE);
    t->tape_key = rng_u64(&key);
    return SPOOR_OK;
}

/* How much tasks and classes count; where that is learned, it is trained, averaged and saved with the rest. */
static spoor_status weigh_tasks(trainer *t, spoor_error *err) {
    TRY(task_weights_new(t->ctx, t->r, t->d, &t->weights, err));
    if (!task_weights_params(t->weights)) {
        return SPOOR_OK;
    }
    TRY(params_new(t->ctx, 0, &t->all, err));
    TRY(params_adopt(t->all, t->params, err));
    TRY(params_adopt(t->all, task_weights_params(t->weights), err));
    t->params = t->all;
    return SPOOR_OK;
}

/* The class of task k that most training clips of each class of task `from` have. */
static spoor_status derive_task(trainer *t, size_t k, spoor_error *err) {
    const char *name = t->r->task[k].from;
    const dataset_task *own = &t->d->task[k], *other = NULL;
    size_t from = model_find_task(&t->model, name);
    if (from == SIZE_MAX || from == k || t->r->task[from].from != NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "data.tasks.%.60s.from: there is no other task named %.60s that is not "
                                               "derived itself",
                         own->from.name, name);
    }
    other = &t->d->task[from];
    int32_t *parent = ctx_alloc(t->ctx, other->n_classes, sizeof *parent);
    spoor_status status =
        parent ? dataset_majority(t->d, other, own, parent, err) : error_memory(err, "starting a training");
    if (status != SPOOR_OK) {
        ctx_free(t->ctx, parent);
        return status;
    }
    t->model.tasks[k].parent = parent;
    t->model.tasks[k].from = from;
    return SPOOR_OK;
}

/* The recipe's taxonomy, as it is now, into the model. */
static spoor_status keep_taxonomy(trainer *t, spoor_error *err) {
    bool builtin = strcmp(t->r->taxonomy, TAXONOMY_BUILTIN) == 0;
    if (!*t->r->taxonomy) {
        return SPOOR_OK;
    }
    char *path = builtin ? ctx_strdup(t->ctx, t->r->taxonomy) : recipe_path(t->ctx, t->r, t->r->taxonomy);
    spoor_status status = path ? model_take_taxonomy(&t->model, path, err) : error_memory(err, "starting a training");
    ctx_free(t->ctx, path);
    if (status == SPOOR_OK &&
        json_object_set(t->model.meta, "taxonomy", (json_t *)(uintptr_t)taxonomy_json(t->model.taxonomy)) != 0) {
        status = error_memory(err, "starting a training");
    }
    return status;
}

/* The model that tracing would open, around this training's network, for evaluation on dev. */
static spoor_status make_model(trainer *t, spoor_error *err) {
    spoor_model *m = &t->model;
    *m = (spoor_model){.ctx = t->ctx, .frontend = t->fe, .net = t->net, .window = AUDIO_WINDOW, .known_task = SIZE_MAX};
    m->tasks = ctx_calloc(t->ctx, t->d->n_tasks, sizeof *m->tasks);
    if (!m->tasks) {
        return error_memory(err, "starting a training");
    }
    for (size_t i = 0; i < t->d->n_tasks; i++) {
        const dataset_task *d = &t->d->task[i];
        TRY(model_task_init(t->ctx, &m->tasks[i], d->from.name, d->classes, d->n_classes, err));
        m->n_tasks++;
    }
    for (size_t i = 0; i < m->n_tasks; i++) {
        TRY(t->r->task[i].from == NULL ? SPOOR_OK : derive_task(t, i, err));
    }
    openset_init(&m->openset);
    m->bonafide = (calibrate_logistic){.scale = 1, .prior = t->r->prior, .informative = true};
    m->bonafide_task = model_bonafide_task(m->tasks, m->n_tasks);
    m->bonafide_kind = (model_bonafide_kind)t->r->bonafide_score;
    m->known_task = model_find_task(m, t->r->source_task);
    if (m->known_task != SIZE_MAX && m->tasks[m->known_task].n_classes == (m->tasks[m->known_task].human >= 0)) {
        m->known_task = SIZE_MAX;
    }
    m->meta = trainer_meta(t);
    if (!m->meta) {
        return error_memory(err, "starting a training");
    }
    TRY(keep_taxonomy(t, err));
    t->logits = ctx_alloc(t->ctx, t->d->n_dev, trace_logits_size(m) * sizeof *t->logits);
    if (!t->logits) {
        return error_memory(err, "starting a training");
    }
    const json_t *spec = json_object_get(json_object_get(m->meta, "provenance"), "labels");
    return score_labels_new(t->ctx, m, t->d->manifest, t->d->rows + t->d->n_train, t->d->n_dev, spec, &t->labels, err);
}

/* What no member of the network learns from need not be computed for training. */
static void skip_parts(trainer *t) {
    for (size_t i = 0; i < frontend_parts(t->fe); i++) {
        size_t first, columns;
        frontend_part_columns(t->fe, i, &first, &columns);
        if (!net_trains_on(t->net, (int64_t)first, (int64_t)columns)) {
            loader_skip_part(t->loader, i);
        }
    }
}

/* How balanced the first epoch is; tasks with many classes are left to `spoor train --dry-run`. */
static spoor_status say_balance(const trainer *t, spoor_error *err) {
    json_t *balance;
    TRY(draw_balance(t->ctx, t->r, t->d, &balance, err));
    char *text = draw_text(t->ctx, balance, 8);
    json_decref(balance);
    if (!text) {
        return error_memory(err, "counting what is drawn");
    }
    ctx_log(t->ctx, SPOOR_LOG_INFO, "%s", text);
    ctx_free(t->ctx, text);
    return SPOOR_OK;
}

static void say_pairs(const trainer *t) {
    const sampler *s = loader_sampler(t->loader);
    const matched *m = loader_matched(t->loader);
    if (m) {
        ctx_log(t->ctx, SPOOR_LOG_INFO, "content-matched pairs: %zu recordings are there through at least %lld "
                                        "generators",
                matched_contents(m), (long long)t->r->matched.pairs);
    }
    if (t->r->pairs == 0) {
        return;
    }
    for (size_t g = 0; g < t->d->n_groups; g++) {
        ctx_log(t->ctx, SPOOR_LOG_INFO, "pairs: %zu classes have clips that differ in %s", sampler_paired_classes(s, g),
                t->r->group[g]);
    }
    if (sampler_single_classes(s) > 0) {
        ctx_log(t->ctx, SPOOR_LOG_WARN, "pairs: %zu classes have fewer than %lld clips and are left out of pairs",
                sampler_single_classes(s), (long long)t->r->per_class);
    }
}

/* What makes the features that are missing: the same recipe with the same settings. */
static char *extract_command(const trainer *t) {
    char *command = ctx_printf(t->ctx, "spoor extract --recipe %s", t->options->recipe);
    for (size_t i = 0; command && i < t->options->n_set; i++) {
        char *longer = ctx_printf(t->ctx, "%s --set %s", command, t->options->set[i]);
        ctx_free(t->ctx, command);
        command = longer;
    }
    return command;
}

/* The type goes into the resolved recipe, so that a resumed training cannot go on with features of the other one. */
static spoor_status use_store(trainer *t, spoor_error *err) {
    if (!*t->r->cache_path) {
        return SPOOR_OK;
    }
    t->extract = extract_command(t);
    if (!t->extract) {
        return error_memory(err, "starting a training");
    }
    TRY(stored_open(t->ctx, t->r, t->d, t->fe, t->augment, t->extract, &t->stored, err));
    loader_use_store(t->loader, t->stored);
    return use_config(json_object_get(t->r->resolved, "cache"), "type",
                      json_string(stored_is_half(t->stored) ? "float16" : "float32"), err);
}

static spoor_status make(trainer *t, spoor_error *err) {
    t->plain = t->r->unseen_folds > 0 ? json_deep_copy(t->r->resolved) : NULL;
    if (t->r->unseen_folds > 0 && !t->plain) {
        return error_memory(err, "starting a training");
    }
    TRY(compute_new(t->ctx, t->threads, &t->compute, err));
    TRY(tape_new(t->ctx, t->compute, &t->tape, err));
    TRY(dataset_new(t->ctx, t->r, &t->d, err));
    TRY(make_network(t, err));
    TRY(resynth_new(t->ctx, t->r, t->d, &t->generators, err));
    TRY(loader_new(t->ctx, t->r, t->d, t->fe, t->augment, t->generators, t->threads, &t->loader, err));
    TRY(use_store(t, err));
    TRY(weigh_tasks(t, err));
    TRY(make_optimiser(t, err));
    TRY(make_model(t, err));
    TRY(trainer_plan_unseen(t, err));
    say_pairs(t);
    TRY(say_balance(t, err));
    skip_parts(t);
    return SPOOR_OK;
}

static void unmake(trainer *t) {
    if (t->log >= 0) {
        close(t->log);
    }
    score_labels_free(t->labels);
    for (size_t i = 0; t->model.tasks && i < t->model.n_tasks; i++) {
        model_task_clear(t->ctx, &t->model.tasks[i]);
    }
    ctx_free(t->ctx, t->model.tasks);
    json_decref(t->model.meta);
    taxonomy_free(t->model.taxonomy);
    openset_stats_free(t->model.openset_stats);
    ctx_free(t->ctx, t->logits);
    json_decref(t->plain);
    ctx_free(t->ctx, t->left_out);
    average_free(t->average);
    average_free(t->best);
    optimiser_free(t->optimiser);
    loader_free(t->loader);
    stored_free(t->stored);
    ctx_free(t->ctx, t->extract);
    params_free(t->all);
    task_weights_free(t->weights);
    finetune_free(t->finetune);
    net_free(t->net);
    resynth_free(t->generators);
    augment_free(t->augment);
    recordings_free(t->recordings);
    frontend_free(t->fe);
    dataset_free(t->d);
    tape_free(t->tape);
    compute_free(t->compute);
}

/* ---- log and checkpoint ---- */

static checkpoint state_of(trainer *t) {
    return (checkpoint){t->params, t->optimiser, t->average, t->best, &t->place, t->r->resolved};
}

static spoor_status save(trainer *t, spoor_error *err) {
    char *path = trainer_path(t, "checkpoint.safetensors");
    checkpoint c = state_of(t);
    spoor_status status = path ? checkpoint_save(t->ctx, path, &c, err) : error_memory(err, "writing a checkpoint");
    ctx_free(t->ctx, path);
    return status;
}

static spoor_status start_or_resume(trainer *t, spoor_error *err) {
    char *path = trainer_path(t, "checkpoint.safetensors"), *recipe_out = trainer_path(t, "recipe.json");
    char *text = json_dumps(t->r->resolved, JSON_INDENT(2));
    struct stat st;
    spoor_status status =
        path && recipe_out && text ? io_make_folder(t->folder, err) : error_memory(err, "starting a training");
    bool there = status == SPOOR_OK && stat(path, &st) == 0;
    if (there && !t->options->resume) {
        status = error_set(err, SPOOR_ERR_USAGE, "%s already holds a training; add --resume to go on with it, or "
                           "choose another folder with --out", t->folder);
    } else if (there) {
        checkpoint c = state_of(t);
        status = checkpoint_load(t->ctx, path, &c, err);
    }
    if (status == SPOOR_OK) {
        status = io_write_file(t->ctx, recipe_out, text, strlen(text), err);
    }
    ctx_free(t->ctx, path);
    ctx_free(t->ctx, recipe_out);
    free(text);
    return status == SPOOR_OK ? trainer_open_log(t, err) : status;
}

/* ---- one batch ---- */

static tensor *batch_loss(trainer *t, const batch *b, losses_parts *parts) {
    losses_task tasks[NET_MAX_TASKS];
    const recipe_oc *oc = &t->r->oc;
    for (size_t i = 0; i < t->d->n_tasks; i++) {
        tasks[i] = (losses_task){(real)task_weights_of(t->weights, i), (real)t->r->task[i].smoothing,
                                 task_weights_classes(t->weights, i), b->target[i], (real)oc->weight,
                                 {(real)oc->r_real, (real)oc->r_fake, (real)oc->alpha},
                                 t->model.tasks[i].human};
    }
    losses_options o = {.plain = b->plain, .mixed = b->mixed, .task = tasks,
                        .learned = task_weights_learned(t->weights),
                        .partner = (const int64_t *const *)b->partner, .lambda = b->lambda,
                        .plain_weight = 1, .mixed_weight = (real)t->r->mixup_eta,
                        .pairs = t->r->pairs, .n_blocks = b->n_blocks, .block = b->block,
                        .pair_weight = (real)t->r->npair_weight, .pair_l2 = (real)t->r->npair_l2,
                        .ge2e = {t->r->pairs, t->r->per_class, t->r->ge2e.contrast != 0},
                        .ge2e_weight = (real)t->r->ge2e.weight,
                        .pair_normalise = t->r->npair_normalise, .pair_scale = (real)t->r->npair_scale};
    if (t->r->mixup == RECIPE_MIXUP) { /* every clip of the batch counts the same */
        o.plain_weight = (real)b->plain / (real)b->rows;
        o.mixed_weight = (real)b->mixed / (real)b->rows;
    }
    net_output out;
    tensor *x = t->finetune ? finetune_features(t->finetune, t->tape, b, t->optimiser)
                            : tape_view(t->tape, 3, (int64_t[]){b->inputs, b->frames, b->dim}, b->features);
    int64_t rows[FRONTEND_MAX_PARTS];
    frontend_part_rows(t->fe, (size_t)t->r->crop, rows);
    net_step step = {rows, b->mixed > 0 && b->level == RECIPE_MIX_EMBEDDING ? &b->mix : NULL};
    net_forward_step(t->net, t->tape, x, &step, &out);
    return losses_build(t->tape, t->net, &out, &o, parts);
}

static spoor_status run_batch(trainer *t, double *rate, double *norm, losses_parts *parts, spoor_error *err) {
    const batch *b;
    TRY(loader_batch(t->loader, t->compute, t->place.epoch, t->place.step, &b, err));
    uint64_t update = optimiser_steps(t->optimiser);
    rng seed = rng_make(t->tape_key, update);
    tape_begin(t->tape, true, true, rng_u64(&seed));
    tensor *loss = batch_loss(t, b, parts);
    TRY(tape_status(t->tape, err));
    params_zero_grad(t->params);
    TRY(tape_backward(t->tape, loss, err));
    *rate = schedule_rate(&t->schedule, update);
    TRY(optimiser_step(t->optimiser, t->compute, *rate, norm, err));
    if (t->r->average == RECIPE_AVERAGE_EMA) { /* from the first update on, faster at first: min(decay, (1+n)/(10+n)) */
        double decay = (1 + (double)update) / (10 + (double)update);
        average_update(t->average, t->compute, 1 - (decay < t->r->average_decay ? decay : t->r->average_decay));
    }
    return SPOOR_OK;
}

static void add_sums(trainer *t, const losses_parts *parts, double norm) {
    double *sums = t->place.sums;
    for (size_t i = 0; i < t->d->n_tasks; i++) {
        sums[SUM_TASKS + i] += (double)parts->task[i];
    }
    sums[SUM_PAIR] += (double)parts->pair;
    sums[SUM_OC] += (double)parts->oc;
    sums[SUM_TOTAL] += (double)parts->total;
    sums[SUM_NORM] += norm;
    sums[SUM_BATCHES] += 1;
}

static void take_average(trainer *t) {
    uint64_t start = (uint64_t)floor(t->r->average_start * (double)t->r->epochs);
    if (t->r->average == RECIPE_AVERAGE_SWA && t->place.epoch >= start) {
        t->place.averaged++;
        average_update(t->average, t->compute, 1 / (double)t->place.averaged);
    }
}

/* Cancelled: nothing that was done is lost. */
static spoor_status put_aside(trainer *t, spoor_error *err) {
    TRY(save(t, err));
    return error_set(err, SPOOR_ERR_CANCELLED, "interrupted in epoch %llu%s%s; go on with --resume",
                     (unsigned long long)t->place.epoch + 1, t->at->stage ? " of stage " : "",
                     t->at->stage ? t->at->stage : "");
}

/* The batches of an epoch that are still to run, and the average that follows the last of them. */
static spoor_status run_epoch(trainer *t, spoor_error *err) {
    for (uint64_t steps = loader_steps(t->loader); t->place.step < steps;) {
        if (ctx_check_cancel(t->ctx, err) != SPOOR_OK) {
            return put_aside(t, err);
        }
        double rate, norm;
        losses_parts parts;
        TRY(run_batch(t, &rate, &norm, &parts, err));
        t->batches++;
        add_sums(t, &parts, norm);
        if (++t->place.step == steps) {
            take_average(t);
        }
        TRY(trainer_batch_line(t, rate, norm, &parts, err));
        trainer_tell(t, NULL);
        if (t->r->checkpoint_steps > 0 && t->place.step % (uint64_t)t->r->checkpoint_steps == 0 &&
            t->place.step < steps) {
            TRY(save(t, err));
        }
    }
    return SPOOR_OK;
}

/* ---- after an epoch ---- */

/* The weights to evaluate: the average once there is one. */
static bool use_average(const trainer *t) {
    return t->r->average == RECIPE_AVERAGE_EMA || (t->r->average == RECIPE_AVERAGE_SWA && t->place.averaged > 0);
}

static void keep_best(trainer *t, double select) {
    bool better = !t->place.has_best || select > t->place.best;
    t->place.waiting = better ? 0 : t->place.waiting + 1;
    if (better) {
        average_update(t->best, t->compute, 1);
        t->place.has_best = true;
        t->place.best = select > -1e300 ? select : -1e300;
        t->place.best_epoch = t->place.epoch;
    }
    t->place.stopped = t->r->patience > 0 && t->place.waiting >= (uint64_t)t->r->patience;
}

static json_t *finite_number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

/* Dev metrics into the log line; the best weights are kept. Without dev clips the latest weights are the best. */
static spoor_status evaluate(trainer *t, json_t *line, spoor_error *err) {
    bool last = t->place.epoch + 1 == (uint64_t)t->r->epochs;
    if (!last && (t->place.epoch + 1) % (uint64_t)t->r->dev_every != 0) {
        return SPOOR_OK;
    }
    if (use_average(t)) {
        average_swap(t->average);
    }
    double value[RECIPE_MAX_METRICS], select = (double)t->place.epoch;
    spoor_status status = centroids_fit(t->ctx, &t->model, t->d, t->threads, err);
    if (status == SPOOR_OK && t->d->n_dev > 0) {
        status = dev_forward(t->d, &t->model, t->threads, t->logits, NULL, err);
        if (status == SPOOR_OK) {
            status = dev_metrics(t->r, t->d, &t->model, t->labels, t->logits, NULL, value, &select, err);
        }
    }
    if (status == SPOOR_OK) {
        keep_best(t, select);
    }
    if (use_average(t)) {
        average_swap(t->average);
    }
    TRY(status);
    json_t *dev = json_object();
    for (size_t i = 0; t->d->n_dev > 0 && i < t->r->n_metrics; i++) {
        (void)json_object_set_new(dev, t->r->metric[i].name, finite_number(value[i]));
    }
    (void)json_object_set_new(line, "dev", dev);
    (void)json_object_set_new(line, "select", finite_number(select));
    (void)json_object_set_new(line, "best", json_boolean(t->place.waiting == 0));
    return SPOOR_OK;
}

static spoor_status end_epoch(trainer *t, double began, spoor_error *err) {
    json_t *line = trainer_epoch_line(t, trainer_now() - began);
    spoor_status status = line ? evaluate(t, line, err) : error_memory(err, "writing the log");
    if (status == SPOOR_OK) {
        status = trainer_write_line(t, line, err);
    }
    if (status == SPOOR_OK) {
        trainer_tell(t, line);
        memset(t->place.sums, 0, sizeof t->place.sums);
        t->place.epoch++;
        t->place.step = 0;
        status = save(t, err);
    }
    json_decref(line);
    return status == SPOOR_ERR_CANCELLED ? put_aside(t, err) : status;
}

static spoor_status run(trainer *t, spoor_error *err) {
    TRY(make(t, err));
    TRY(start_or_resume(t, err));
    pool *p;
    TRY(pool_new(t->ctx, t->threads, &p, err));
    spoor_status status = t->stored ? stored_check(t->stored, p, err) : SPOOR_OK;
    if (status == SPOOR_OK) {
        status = dataset_load(t->d, t->r, p, err);
    }
    pool_free(p);
    TRY(status);
    ctx_log(t->ctx, SPOOR_LOG_INFO, "%zu training clips, %zu dev clips, %lld weights, %zu batches an epoch",
            t->d->n_train, t->d->n_dev, (long long)params_numel(t->params), loader_steps(t->loader));
    if (t->finetune && net_fits(t->net)) {
        return error_set(err, SPOOR_ERR_USAGE, "a front end that is trained along changes its features: "
                         "network.logistic cannot be fitted before");
    }
    fitted_options fitted = {t->fe, t->d, t->augment, (uint64_t)t->r->seed, AUDIO_WINDOW, t->threads};
    TRY(fitted_run(t->ctx, t->net, &fitted, err));
    t->started = trainer_now();
    while (t->place.epoch < (uint64_t)t->r->epochs && !t->place.stopped) {
        double began = trainer_now();
        TRY(run_epoch(t, err));
        TRY(end_epoch(t, began, err));
    }
    return trainer_finish(t, err);
}

spoor_status trainer_one(spoor_context *ctx, const trainer_options *options, recipe *r, const trainer_place *place,
                         spoor_error *err) {
    trainer t = {.ctx = ctx, .options = options, .at = place, .r = r, .folder = place->folder, .log = -1};
    t.threads = options->threads > 0 ? options->threads : pool_processors();
    spoor_status status = run(&t, err);
    unmake(&t);
    return status;
}
