/* staged.c: trainer_run: the stages of a recipe one after the other, each in a folder of its own; what is left in the
 * run folder is that of the stage that counts, or one model of several stages. A recipe without stages is trained in
 * the run folder itself. */
#include "base/io.h"
#include "model/combine.h"
#include "train/draw.h"
#include "train/recipe_stages.h"
#include "train/trainer_state.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct staged {
    spoor_context *ctx;
    const trainer_options *options;
    recipe_stages *s;
    char *folder;
    char *sub[RECIPE_MAX_STAGES]; /* folder of each stage */
} staged;

static bool there(spoor_context *ctx, const char *folder, const char *name, spoor_error *err) {
    struct stat st;
    char *path = ctx_printf(ctx, "%s/%s", folder, name);
    bool is = path && stat(path, &st) == 0;
    if (!path) {
        (void)error_memory(err, "starting a training");
    }
    ctx_free(ctx, path);
    return is;
}

/* recipe.json of the run folder is the recipe with all its stages: a training goes on with the same alone. */
static spoor_status check_recipe(const staged *g, const char *path, spoor_error *err) {
    unsigned char *text;
    size_t size;
    TRY(io_read_file(g->ctx, path, (size_t)64 << 20, &text, &size, err));
    json_t *before = json_loadb((const char *)text, size, 0, NULL);
    ctx_free(g->ctx, text);
    const char *differs = json_is_object(before) ? recipe_difference(g->s->whole, before) : "recipe.json";
    spoor_status status = !differs ? SPOOR_OK
                                   : error_set(err, SPOOR_ERR_USAGE, "%s belongs to another recipe: %.60s differs; use "
                                               "the recipe and --set options that it was started with, or another "
                                               "--out", g->folder, differs);
    json_decref(before);
    return status;
}

static spoor_status begin(staged *g, spoor_error *err) {
    char *path = ctx_printf(g->ctx, "%s/recipe.json", g->folder), *text = json_dumps(g->s->whole, JSON_INDENT(2));
    struct stat st;
    spoor_status status = path && text ? io_make_folder(g->folder, err) : error_memory(err, "starting a training");
    bool before = status == SPOOR_OK && stat(path, &st) == 0;
    if (before && !g->options->resume && !g->options->stage) { /* a single stage finds out for itself */
        status = error_set(err, SPOOR_ERR_USAGE, "%s already holds a training; add --resume to go on with it, or "
                           "choose another folder with --out", g->folder);
    } else if (before) {
        status = check_recipe(g, path, err);
    } else if (status == SPOOR_OK) {
        status = io_write_file(g->ctx, path, text, strlen(text), err);
    }
    ctx_free(g->ctx, path);
    free(text);
    return status;
}

static bool chosen(const trainer_options *o, const recipe_stage *stage) {
    return !o->stage || (stage->name && strcmp(stage->name, o->stage) == 0);
}

static spoor_status check_stage(const trainer_options *o, const recipe_stages *s, spoor_error *err) {
    bool found = !o->stage;
    for (size_t i = 0; i < s->n; i++) {
        found = found || chosen(o, &s->stage[i]);
    }
    return found ? SPOOR_OK
                 : error_set(err, SPOOR_ERR_USAGE, "%s has no stage named %.80s%s%s", o->recipe, o->stage,
                             s->stage[0].name ? "; the first one is " : "", s->stage[0].name ? s->stage[0].name : "");
}

static spoor_status run_stage(staged *g, size_t i, spoor_error *err) {
    const recipe_stage *stage = &g->s->stage[i];
    /* the last thing that a training writes */
    if (g->options->resume && there(g->ctx, g->sub[i], "model.safetensors", err)) {
        ctx_log(g->ctx, SPOOR_LOG_INFO, "stage %s is done", stage->name);
        return SPOOR_OK;
    }
    ctx_log(g->ctx, SPOOR_LOG_INFO, "stage %s (%zu of %zu)", stage->name, i + 1, g->s->n);
    trainer_place place = {.folder = g->sub[i], .stage = stage->name, .index = i, .stages = g->s->n};
    char *from = stage->from == SIZE_MAX ? NULL : ctx_printf(g->ctx, "%s/model.safetensors", g->sub[stage->from]);
    if (stage->from != SIZE_MAX && !from) {
        return error_memory(err, "starting a training");
    }
    place.from = from;
    spoor_status status = trainer_one(g->ctx, g->options, stage->r, &place, err);
    ctx_free(g->ctx, from);
    return status;
}

static spoor_status copy(staged *g, const char *name, spoor_error *err) {
    const char *stage = g->sub[g->s->final];
    char *from = ctx_printf(g->ctx, "%s/%s", stage, name), *to = ctx_printf(g->ctx, "%s/%s", g->folder, name);
    const unsigned char *data = NULL;
    size_t size = 0;
    io_writer *w = NULL;
    spoor_status status =
        from && to ? io_map_file(from, SIZE_MAX, &data, &size, err) : error_memory(err, "copying a result");
    if (status == SPOOR_OK) {
        status = io_writer_open(g->ctx, to, &w, err);
    }
    if (status == SPOOR_OK) {
        status = io_writer_put(w, data, size, err);
        spoor_status closed = io_writer_close(w, status == SPOOR_OK, status == SPOOR_OK ? err : NULL);
        status = status == SPOOR_OK ? closed : status;
    }
    io_unmap(data, size);
    ctx_free(g->ctx, from);
    ctx_free(g->ctx, to);
    return status;
}

/* One model file of several stages'. */
static spoor_status combine(staged *g, spoor_error *err) {
    combine_input inputs[RECIPE_MAX_STAGES];
    const char *tasks[RECIPE_MAX_STAGES][NET_MAX_TASKS];
    char *paths[RECIPE_MAX_STAGES], *to = ctx_printf(g->ctx, "%s/model.safetensors", g->folder);
    size_t n = 0;
    spoor_status status = to ? SPOOR_OK : error_memory(err, "combining stages");
    for (size_t i = 0; i < g->s->n && status == SPOOR_OK; i++) {
        size_t count = 0;
        for (size_t k = 0; k < g->s->n_shared; k++) {
            if (g->s->shared[k].stage == i) {
                tasks[n][count++] = g->s->shared[k].task;
            }
        }
        if (count > 0) {
            paths[n] = ctx_printf(g->ctx, "%s/model.safetensors", g->sub[i]);
            status = paths[n] ? SPOOR_OK : error_memory(err, "combining stages");
            inputs[n] = (combine_input){paths[n], tasks[n], count};
            n++;
        }
    }
    if (status == SPOOR_OK) {
        combine_options o = {.name = g->s->stage[0].r->name};
        status = model_combine(g->ctx, inputs, n, &o, to, err);
    }
    if (status == SPOOR_OK) {
        ctx_log(g->ctx, SPOOR_LOG_INFO, "%s is the model of %zu stages, which share its tasks", to, n);
    }
    for (size_t i = 0; i < n; i++) {
        ctx_free(g->ctx, paths[i]);
    }
    ctx_free(g->ctx, to);
    return status;
}

static spoor_status finish(staged *g, spoor_error *err) {
    static const char *const dev[] = {"dev-scores.tsv", "dev-report.txt", "dev-report.json"};
    for (size_t i = 0; i < sizeof dev / sizeof *dev; i++) {
        if (there(g->ctx, g->sub[g->s->final], dev[i], err)) { /* without dev clips there are none */
            TRY(copy(g, dev[i], err));
        }
    }
    TRY(copy(g, "model.safetensors", err));
    ctx_log(g->ctx, SPOOR_LOG_INFO, "%s/model.safetensors is the model of stage %s", g->folder,
            g->s->stage[g->s->final].name);
    return SPOOR_OK;
}

static spoor_status run(staged *g, spoor_error *err) {
    if (g->s->stage[0].name == NULL) {
        trainer_place place = {.folder = g->folder, .stages = 1};
        return trainer_one(g->ctx, g->options, g->s->stage[0].r, &place, err);
    }
    TRY(begin(g, err));
    for (size_t i = 0; i < g->s->n; i++) {
        g->sub[i] = ctx_printf(g->ctx, "%s/%s", g->folder, g->s->stage[i].name);
        if (!g->sub[i]) {
            return error_memory(err, "starting a training");
        }
        TRY(chosen(g->options, &g->s->stage[i]) ? run_stage(g, i, err) : SPOOR_OK);
    }
    if (g->options->stage) {
        return SPOOR_OK;
    }
    return g->s->n_shared > 0 ? combine(g, err) : finish(g, err);
}

spoor_status trainer_run(spoor_context *ctx, const trainer_options *options, spoor_error *err) {
    staged g = {.ctx = ctx, .options = options};
    TRY(recipe_stages_open(ctx, options->recipe, options->set, options->n_set, &g.s, err));
    g.folder = options->out ? ctx_strdup(ctx, options->out) : ctx_printf(ctx, "runs/%s", g.s->stage[0].r->name);
    spoor_status status = g.folder ? check_stage(options, g.s, err) : error_memory(err, "starting a training");
    if (status == SPOOR_OK) {
        status = run(&g, err);
    }
    for (size_t i = 0; i < RECIPE_MAX_STAGES; i++) {
        ctx_free(ctx, g.sub[i]);
    }
    ctx_free(ctx, g.folder);
    recipe_stages_free(g.s);
    return status;
}

static spoor_status draw_stage(spoor_context *ctx, const recipe *r, json_t **out, spoor_error *err) {
    dataset *d;
    TRY(dataset_new_listed(ctx, r, &d, err));
    spoor_status status = draw_balance(ctx, r, d, out, err);
    dataset_free(d);
    return status;
}

spoor_status trainer_draw(spoor_context *ctx, const trainer_options *options, trainer_drawn drawn, spoor_error *err) {
    recipe_stages *s;
    TRY(recipe_stages_open(ctx, options->recipe, options->set, options->n_set, &s, err));
    spoor_status status = check_stage(options, s, err);
    for (size_t i = 0; i < s->n && status == SPOOR_OK; i++) {
        json_t *balance = NULL;
        if (chosen(options, &s->stage[i])) {
            status = draw_stage(ctx, s->stage[i].r, &balance, err);
        }
        if (balance) {
            drawn(options->user, s->stage[i].name, balance);
        }
        json_decref(balance);
    }
    recipe_stages_free(s);
    return status;
}
