/* table.c: `spoor table`: how well a model, or score files, answer several tasks on several sets: EER, weighted and
 * macro F1 over all classes, bona fide speech among them. And what a guess gets there. */
#include "cli/table.h"
#include "cli/cli.h"
#include "cli/ui.h"
#include "data/labels.h"
#include "report/json.h"
#include "trace/trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_SET = 256, KEY_BY, KEY_EACH, KEY_SCORES, KEY_TASK, KEY_RANDOM, KEY_REPETITIONS, KEY_SEED, KEY_REPLICATES,
    KEY_JSON,
    KEY_HTML, KEY_BONAFIDE, KEY_PRECISION
};

static const struct argp_option OPTIONS[] = {
    {"set", KEY_SET, "NAME=LIST", 0, "a list of recordings that is a set of the table; may be repeated", 0},
    {"by", KEY_BY, "COLUMN", 0, "instead: each value of this column is a set, and all rows are one", 0},
    {"each", KEY_EACH, "COLUMN", 0, "break each set down by this column (default: source)", 0},
    {"scores", KEY_SCORES, "TASK=FILE", 0,
     "instead of a model: what a system said, a line `id p0 p1 ...` a recording with a number for each class, or `id "
     "score` for the task bonafide; may be repeated, also for one task",
     1},
    {"random", KEY_RANDOM, "FORM", 0,
     "instead of a model: guesses, simulated: uniform over all classes, synthetic (over those that are no bona fide "
     "speech), prior (as often as the set has them) or majority",
     1},
    {"task", KEY_TASK, "COLUMN", 0, "of --random: a task (default: vq, aux, dec); may be repeated", 1},
    {"repetitions", KEY_REPETITIONS, "N", 0, "of --random (default 200)", 1},
    {"bonafide-score", KEY_BONAFIDE, "KIND", 0,
     "how tasks judge bona fide together: of a model mean, task, product or spoof-product (default: its own), of score "
     "files product, spoof-product or none",
     1},
    {"precision", KEY_PRECISION, UI_PRECISION, 0, "of a pretrained front end's matrix products (default: as trained)",
     1},
    {"replicates", KEY_REPLICATES, "N", 0, "bootstrap resamples for the intervals (default 1000; 0: no intervals)", 2},
    {"seed", KEY_SEED, "S", 0, "of the bootstrap and of guesses", 2},
    {"json", KEY_JSON, NULL, 0, "the table and the reports of all sets as JSON (docs/eval.md)", 2},
    {"html", KEY_HTML, "FILE", 0, "also the table as one HTML page", 2},
    {0}};

static void add_set(table_options *o, char *arg, const struct argp_state *state) {
    char *equals = strchr(arg, '=');
    if (equals == NULL || equals == arg || equals[1] == '\0') {
        argp_error(state, "--set %s: write NAME=LIST", arg);
        return;
    }
    *equals = '\0';
    cli_corpus_manifest(&o->corpus, equals + 1, state);
    o->names[o->corpus.n_manifests - 1] = arg;
}

static void add_text(const char **list, size_t *n, size_t most, const char *arg, const struct argp_state *state) {
    if (*n == most) {
        argp_error(state, "at most %zu of these options", most);
    }
    list[(*n)++] = arg;
}

static void choose_random(table_options *o, const char *arg, const struct argp_state *state) {
    for (int f = 0; chance_form_name((chance_form)f) != NULL; f++) {
        if (strcmp(arg, chance_form_name((chance_form)f)) == 0) {
            o->random = true;
            o->chance.form = (chance_form)f;
            return;
        }
    }
    argp_error(state, "--random is uniform, synthetic, prior or majority, not \"%s\"", arg);
}

static void check(const table_options *o, const struct argp_state *state) {
    if ((o->model != NULL) + (o->n_scores > 0) + o->random != 1) {
        argp_error(state, "give a model, --scores or --random");
    }
    if (o->corpus.n_manifests == 0) {
        argp_error(state, "give --set NAME=LIST, or --manifest");
    }
    if (o->n_tasks > 0 && !o->random) {
        argp_error(state, "--task goes with --random; a model and --scores have their tasks");
    }
    if (o->bonafide != NULL && o->random) {
        argp_error(state, "--bonafide-score is made of answers; it goes with a model or --scores");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    table_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->corpus; return 0;
    case KEY_SET: add_set(o, arg, state); return 0;
    case KEY_BY: o->by = arg; return 0;
    case KEY_EACH: o->each = arg; return 0;
    case KEY_SCORES:
        if (strchr(arg, '=') == NULL || arg[0] == '=') {
            argp_error(state, "--scores %s: write TASK=FILE", arg);
        }
        add_text(o->scores, &o->n_scores, TABLE_MAX_SCORES, arg, state);
        return 0;
    case KEY_TASK: add_text(o->tasks, &o->n_tasks, TABLE_MAX_TASKS, arg, state); return 0;
    case KEY_RANDOM: choose_random(o, arg, state); return 0;
    case KEY_REPETITIONS: o->chance.repetitions = (size_t)ui_whole(state, arg, 1, 1e6); return 0;
    case KEY_SEED: o->eval.seed = o->chance.seed = ui_whole(state, arg, 0, 9e15); return 0;
    case KEY_REPLICATES: o->eval.replicates = (size_t)ui_whole(state, arg, 0, 1e6); return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_HTML: o->html = arg; return 0;
    case KEY_BONAFIDE: o->bonafide = arg; return 0;
    case KEY_PRECISION: ui_precision(state, arg, &o->open); return 0;
    case ARGP_KEY_ARG:
        if (o->model != NULL) {
            argp_error(state, "name one model");
        }
        o->model = arg;
        return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child CHILDREN[] = {{&cli_corpus_argp, 0, NULL, 3}, {0}};
static const struct argp ARGP = {OPTIONS, parse, "MODEL --set NAME=LIST...\n--scores TASK=FILE... --set NAME=LIST...\n"
                                                 "--random FORM --set NAME=LIST...",
                                 "How well a model, or what score files hold, does on several sets, task by task: EER "
                                 "of bona fide speech; weighted and macro F1 over all classes, bona fide speech among "
                                 "them; recordings of each class.",
                                 CHILDREN, NULL, NULL};

/* ---- a model ---- */

/* Recordings of several sets go through the model once: place[i] is where row i is among them. */
static spoor_status score_once(table *t, spoor_model *m, cli_corpus *distinct, size_t *place, spoor_error *err) {
    const char **paths = ctx_alloc(t->ctx, t->c.n, sizeof *paths);
    int32_t *group = ctx_alloc(t->ctx, t->c.n, sizeof *group);
    size_t n = 0;
    spoor_status status = paths && group ? labels_number(t->ctx, t->c.paths, t->c.n, group, &n, err)
                                         : error_memory(err, "scoring recordings");
    for (size_t i = 0; status == SPOOR_OK && i < t->c.n; i++) {
        place[i] = (size_t)group[i]; /* numbered in order of appearance, so that all before it are filled in */
        paths[place[i]] = t->c.paths[i];
    }
    if (status == SPOOR_OK) {
        status = cli_corpus_files(t->ctx, (char *const *)(uintptr_t)paths, n, distinct, err);
    }
    ctx_free(t->ctx, paths);
    ctx_free(t->ctx, group);
    return status == SPOOR_OK ? cli_corpus_score(distinct, m, &t->o->corpus, err) : status;
}

static void fill_row(table *t, const spoor_model *m, const score_label *l, size_t i, const float *logits, bool failed) {
    eval_clip *c = &t->clips[i];
    memcpy(t->truth + i * t->n_tasks, l->label, t->n_tasks * sizeof *l->label);
    c->truth = t->truth + i * t->n_tasks;
    c->is_bonafide = l->is_bonafide >= 0 ? l->is_bonafide : c->is_bonafide;
    if (!failed) {
        c->scores = logits;
        c->bonafide = score_bonafide(m, logits);
    }
}

static spoor_status answer(table *t, spoor_model *m, cli_corpus *distinct, spoor_error *err) {
    size_t *place = ctx_alloc(t->ctx, t->c.n, sizeof *place);
    score_labels *labels = NULL;
    const json_t *spec = json_object_get(json_object_get(m->meta, "provenance"), "labels");
    for (size_t k = 0; k < m->n_tasks; k++) {
        t->tasks[t->n_tasks++] =
            (eval_task){m->tasks[k].name, m->tasks[k].n_classes, (const char *const *)m->tasks[k].classes};
    }
    t->truth = ctx_calloc(t->ctx, t->c.n, (t->n_tasks + 1) * sizeof *t->truth);
    spoor_status status =
        place && t->truth ? score_once(t, m, distinct, place, err) : error_memory(err, "making a table");
    if (status == SPOOR_OK) {
        status = score_labels_new(t->ctx, m, t->c.manifest, t->c.rows, t->c.n, spec, &labels, err);
    }
    for (size_t i = 0; status == SPOOR_OK && i < t->c.n; i++) {
        fill_row(t, m, &labels->clip[i], i, distinct->logits + place[i] * trace_logits_size(m),
                 distinct->errors[place[i]].status != SPOOR_OK);
    }
    status = status == SPOOR_OK ? table_add_lacking(t, m, spec, err) : status;
    score_labels_free(labels);
    ctx_free(t->ctx, place);
    return status;
}

/* ---- reports ---- */

static spoor_status append(json_t *list, json_t *entry, spoor_error *err) {
    return json_array_append_new(list, entry) == 0 ? SPOOR_OK : error_memory(err, "making a table");
}

static spoor_status report_set(table *t, const table_set *s, json_t *list, spoor_error *err) {
    eval_clip *clips = ctx_alloc(t->ctx, s->n, sizeof *clips);
    if (clips == NULL) {
        return error_memory(err, "making a table");
    }
    for (size_t i = 0; i < s->n; i++) {
        clips[i] = t->clips[s->rows[i]];
    }
    eval_set set = {.tasks = t->tasks, .task_count = t->n_tasks, .clips = clips, .n = s->n};
    json_t *report = NULL;
    spoor_status status = eval_report(t->ctx, &set, &t->o->eval, &report, err);
    ctx_free(t->ctx, clips);
    TRY(status);
    return append(
        list, json_pack("{s:o, s:I, s:o}", "name", report_text(s->name), "rows", (json_int_t)s->n, "report", report),
        err);
}

static json_t *chance_json(chance_figure f) {
    return f.mean == f.mean
               ? json_pack("{s:f, s:f, s:f, s:f}", "mean", f.mean, "sd", f.sd, "low", f.low, "high", f.high)
               : json_pack("{s:n}", "mean");
}

/* One task of one set of guesses. */
static spoor_status guess_task(table *t, const table_set *s, size_t task, uint64_t stream, json_t *list,
                               spoor_error *err) {
    const table_task *own = &t->own[task];
    int32_t *truth = ctx_alloc(t->ctx, s->n, sizeof *truth);
    json_t *counts = json_array(), *classes = json_array();
    size_t n = 0;
    chance_figure f[CHANCE_FIGURES];
    for (size_t i = 0; truth && i < s->n; i++) {
        truth[n] = t->truth[s->rows[i] * t->n_tasks + task];
        n += truth[n] >= 0;
    }
    spoor_status status = truth ? chance_f1(t->ctx, truth, n, own->n_classes, own->human, stream, &t->o->chance, f, err)
                                : error_memory(err, "simulating guesses");
    for (size_t k = 0; status == SPOOR_OK && k < own->n_classes; k++) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
            count += truth[i] == (int32_t)k;
        }
        (void)json_array_append_new(counts, json_integer((json_int_t)count));
        (void)json_array_append_new(classes, report_text(own->classes[k]));
    }
    ctx_free(t->ctx, truth);
    if (status != SPOOR_OK) {
        json_decref(counts);
        json_decref(classes);
        return status;
    }
    return append(list,
                  json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "task", own->name, "classes", classes, "counts", counts,
                            "weighted_f1", chance_json(f[CHANCE_WEIGHTED]), "macro_f1", chance_json(f[CHANCE_MACRO]),
                            "accuracy", chance_json(f[CHANCE_ACCURACY])),
                  err);
}

static spoor_status guess_set(table *t, size_t index, json_t *list, spoor_error *err) {
    const table_set *s = &t->sets[index];
    unsigned char *target = ctx_alloc(t->ctx, s->n, 1);
    size_t n = 0, targets = 0;
    chance_figure eer;
    for (size_t i = 0; target && i < s->n; i++) {
        int is = t->clips[s->rows[i]].is_bonafide;
        if (is >= 0) {
            target[n++] = is == 1;
            targets += is == 1;
        }
    }
    spoor_status status = target ? chance_eer(t->ctx, target, n, &t->o->chance, &eer, err)
                                 : error_memory(err, "simulating guesses");
    ctx_free(t->ctx, target);
    TRY(status);
    json_t *tasks = json_array();
    TRY(append(list,
               json_pack("{s:o, s:I, s:I, s:I, s:o, s:o}", "name", report_text(s->name), "rows", (json_int_t)s->n,
                         "targets", (json_int_t)targets, "others", (json_int_t)(n - targets), "eer", chance_json(eer),
                         "tasks", tasks),
               err));
    for (size_t k = 0; k < t->n_own; k++) {
        TRY(guess_task(t, s, k, index * TABLE_MAX_TASKS + k, tasks, err));
    }
    return SPOOR_OK;
}

static spoor_status make_sets(table *t, json_t *list, spoor_error *err) {
    for (size_t i = 0; i < t->n_sets; i++) {
        ctx_progress(t->ctx, i, t->n_sets);
        TRY(t->o->random ? guess_set(t, i, list, err) : report_set(t, &t->sets[i], list, err));
    }
    return SPOOR_OK;
}

static spoor_status print_all(table *t, const json_t *all, spoor_error *err) {
    TRY(t->o->html ? table_html(t->ctx, t->o->html, all, err) : SPOOR_OK);
    if (t->o->json) {
        return ui_json(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9), err);
    }
    table_print(t->ctx, all);
    return ui_flush(err);
}

static spoor_status report_all(table *t, spoor_error *err) {
    const chance_options *g = &t->o->chance;
    json_t *all = t->o->random
                      ? json_pack("{s:{s:s, s:I, s:I}, s:[]}", "random", "form", chance_form_name(g->form),
                                  "repetitions", (json_int_t)g->repetitions, "seed", (json_int_t)g->seed, "sets")
                      : json_pack("{s:o, s:[]}", "system", report_text(t->system), "sets");
    spoor_status status = all ? make_sets(t, json_object_get(all, "sets"), err) : error_memory(err, "making a table");
    if (status == SPOOR_OK) {
        status = print_all(t, all, err);
    }
    json_decref(all);
    return status;
}

static spoor_status table_of_model(table *t, spoor_error *err) {
    spoor_model *m;
    cli_corpus distinct = {0};
    TRY(spoor_model_open_with(t->ctx, t->o->model, &t->o->open, &m, err));
    t->system = spoor_model_name(m);
    spoor_status status = model_judge_as(m, t->o->bonafide, err);
    if (status == SPOOR_OK) {
        status = answer(t, m, &distinct, err);
    }
    if (status == SPOOR_OK) {
        status = report_all(t, err);
    }
    if (status == SPOOR_OK && distinct.failed > 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be evaluated", distinct.failed,
                           distinct.n);
    }
    cli_corpus_clear(&distinct);
    spoor_model_free(m);
    return status;
}

static spoor_status run(void *user, spoor_context *ctx, spoor_error *err) {
    const table_options *o = user;
    table t;
    spoor_status status = table_read(ctx, o, &t, err);
    if (status == SPOOR_OK && o->model) {
        status = table_of_model(&t, err);
    } else if (status == SPOOR_OK) {
        t.system = "score files";
        status = table_label(&t, err);
        if (status == SPOOR_OK && !o->random) {
            status = table_take_scores(&t, err);
        }
        status = status == SPOOR_OK ? report_all(&t, err) : status;
    }
    table_clear(&t);
    return status;
}

int cli_table(int argc, char **argv) {
    table_options o = {.each = "source", .chance = {.repetitions = 200}};
    eval_options_init(&o.eval);
    return ui_command(&ARGP, argc, argv, &o, run);
}
