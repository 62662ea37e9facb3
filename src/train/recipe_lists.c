/* recipe_lists.c: see recipe_parts.h. Strings point into r->resolved. */
#include "base/config.h"
#include "net/net.h"
#include "train/known.h"
#include "train/recipe_parts.h"
#include <string.h>

static void free_where(spoor_context *ctx, recipe_where *w) {
    for (size_t i = 0; i < w->n; i++) {
        ctx_free(ctx, (void *)(uintptr_t)w->item[i].values);
    }
}

void recipe_free_parts(spoor_context *ctx, recipe *r) {
    for (size_t i = 0; i < r->n_manifests; i++) {
        free_where(ctx, &r->manifest[i].where);
    }
    free_where(ctx, &r->train);
    free_where(ctx, &r->dev);
    free_where(ctx, &r->resynth.where);
    ctx_free(ctx, (void *)(uintptr_t)r->matched.content);
    ctx_free(ctx, (void *)(uintptr_t)r->joint.parents);
    ctx_free(ctx, (void *)(uintptr_t)r->without);
    for (size_t i = 0; i < r->n_tasks; i++) {
        ctx_free(ctx, (void *)(uintptr_t)r->task[i].except);
    }
    for (size_t i = 0; i < r->n_metrics; i++) {
        free_where(ctx, &r->metric[i].where);
    }
    ctx_free(ctx, r->task);
    ctx_free(ctx, r->metric);
    ctx_free(ctx, r->finetune.lr_factors);
    ctx_free(ctx, (void *)(uintptr_t)r->finetune.freeze);
}

spoor_status recipe_read_strings(spoor_context *ctx, const json_t *json, const char *where, const char *const **out,
                                 size_t *n, spoor_error *err) {
    bool list = json_is_array(json);
    size_t count = list ? json_array_size(json) : json && !json_is_null(json);
    const char **v = ctx_calloc(ctx, count, sizeof *v);
    if (!v) {
        return error_memory(err, "reading a recipe");
    }
    for (size_t i = 0; i < count; i++) {
        v[i] = json_string_value(list ? json_array_get(json, i) : json);
        if (!v[i]) {
            ctx_free(ctx, v);
            return error_set(err, SPOOR_ERR_USAGE, "%s must be a text or a list of texts; put numbers in quotes",
                             where);
        }
    }
    *out = v;
    *n = count;
    return SPOOR_OK;
}

spoor_status recipe_read_where(spoor_context *ctx, const json_t *json, const char *where, recipe_where *out,
                               spoor_error *err) {
    if (!json || json_is_null(json)) {
        return SPOOR_OK;
    }
    if (!json_is_object(json)) {
        return error_set(err, SPOOR_ERR_USAGE, "%s must map columns to values", where);
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        if (out->n == RECIPE_MAX_WHERE) {
            return error_set(err, SPOOR_ERR_LIMIT, "%s has more than %d columns", where, RECIPE_MAX_WHERE);
        }
        manifest_where *w = &out->item[out->n];
        TRY(recipe_read_strings(ctx, value, where, &w->values, &w->n_values, err));
        w->column = key;
        out->n++;
    }
    return SPOOR_OK;
}

/* format, split, files and columns: how the list is read (docs/data.md). */
static spoor_status read_format(const json_t *item, protocol_options *how, spoor_error *err) {
    const char *const where = "data.manifests", *column;
    TRY(config_string(item, where, "format", NULL, &how->format, err));
    TRY(config_string(item, where, "split", NULL, &how->split, err));
    TRY(config_string(item, where, "files", NULL, &how->files, err));
    TRY(config_string(item, where, "taxonomy", NULL, &how->taxonomy, err));
    if (how->format) {
        TRY(protocol_check_format(how->format, err));
    }
    json_t *columns = json_object_get(item, "columns"), *from;
    if (columns && !json_is_object(columns)) {
        return error_set(err, SPOOR_ERR_USAGE, "data.manifests.columns must map columns to what the list calls them");
    }
    json_object_foreach(columns, column, from) {
        if (how->n_renames == PROTOCOL_MAX_RENAMES) {
            return error_set(err, SPOOR_ERR_LIMIT, "data.manifests.columns has more than %d entries",
                             PROTOCOL_MAX_RENAMES);
        }
        if (!json_is_string(from)) {
            return error_set(err, SPOOR_ERR_USAGE, "data.manifests.columns.%.60s must be the name of a column", column);
        }
        how->rename[how->n_renames++] = (protocol_rename){column, json_string_value(from)};
    }
    return SPOOR_OK;
}

/* {COLUMN: rows} */
static spoor_status read_most(const json_t *most, recipe_manifest *m, spoor_error *err) {
    if (!most) {
        return SPOOR_OK;
    }
    if (!json_is_object(most) || json_object_size(most) != 1) {
        return error_set(err, SPOOR_ERR_USAGE, "data.manifests.most must be {COLUMN: rows}, such as {source: 60}");
    }
    m->most_column = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)most));
    return config_int(most, "data.manifests.most", m->most_column, 1, 1, INT32_MAX, &m->most, err);
}

static spoor_status read_manifests(spoor_context *ctx, const json_t *list, recipe *r, spoor_error *err) {
    static const char *const KEYS[] = {"path", "root", "where", "most", "format", "split", "files", "columns",
                                       "taxonomy", NULL};
    if (!json_is_array(list) || json_array_size(list) == 0) {
        return error_set(err, SPOOR_ERR_USAGE, "data.manifests must be a list of {path: FILE.csv}");
    }
    if (json_array_size(list) > RECIPE_MAX_MANIFESTS) {
        return error_set(err, SPOOR_ERR_LIMIT, "data.manifests has more than %d entries", RECIPE_MAX_MANIFESTS);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        recipe_manifest *m = &r->manifest[r->n_manifests++];
        TRY(config_keys(item, "data.manifests", KEYS, err));
        TRY(config_string(item, "data.manifests", "path", NULL, &m->path, err));
        TRY(config_string(item, "data.manifests", "root", NULL, &m->root, err));
        if (!m->path) {
            return error_set(err, SPOOR_ERR_USAGE, "data.manifests: entry %zu has no path", i + 1);
        }
        TRY(read_format(item, &m->how, err));
        TRY(recipe_read_where(ctx, json_object_get(item, "where"), "data.manifests.where", &m->where, err));
        TRY(read_most(json_object_get(item, "most"), m, err));
    }
    return SPOOR_OK;
}

/* {CLASS: weight}; which classes there are is not known yet. */
static spoor_status check_class_weights(const json_t *given, const char *where, spoor_error *err) {
    const char *name;
    json_t *value;
    double most = 0;
    json_object_foreach((json_t *)(uintptr_t)given, name, value) {
        double w = json_is_number(value) ? json_number_value(value) : -1;
        if (!(w >= 0 && w <= 1e6)) {
            return error_set(err, SPOOR_ERR_USAGE, "%s.class_weights.%.60s must be a number from 0 to 1e6", where,
                             name);
        }
        most = w > most ? w : most;
    }
    return most > 0 ? SPOOR_OK
                    : error_set(err, SPOOR_ERR_USAGE, "%s.class_weights must give at least one class a weight above 0",
                                where);
}

static spoor_status read_task(spoor_context *ctx, const char *name, json_t *json, recipe_task *t, spoor_error *err) {
    static const char *const KEYS[] = {"column", "except", "weight", "smoothing", "min_clips", "class_weights", "from",
                                       NULL};
    static const char *const WEIGHTS[] = {"none", "balanced", NULL};
    char where[160];
    snprintf(where, sizeof where, "data.tasks.%.100s", name);
    t->name = name;
    TRY(config_keys(json, where, KEYS, err));
    if (!json_object_get(json, "column") && json_object_set_new(json, "column", json_string(name)) != 0) {
        return error_memory(err, "reading a recipe");
    }
    const char *const *columns;
    TRY(recipe_read_strings(ctx, json_object_get(json, "column"), where, &columns, &t->n_columns, err));
    bool fits = t->n_columns > 0 && t->n_columns <= RECIPE_MAX_COLUMNS;
    for (size_t i = 0; fits && i < t->n_columns; i++) {
        t->column[i] = columns[i];
    }
    ctx_free(ctx, (void *)(uintptr_t)columns);
    if (!fits) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.column must name 1 to %d columns", where, RECIPE_MAX_COLUMNS);
    }
    TRY(recipe_read_strings(ctx, json_object_get(json, "except"), where, &t->except, &t->n_except, err));
    TRY(config_string(json, where, "from", NULL, &t->from, err));
    TRY(config_number(json, where, "weight", 1, 0, 1e6, &t->weight, err));
    TRY(config_number(json, where, "smoothing", 0, 0, 0.99, &t->smoothing, err));
    TRY(config_int(json, where, "min_clips", 1, 1, 1000000, &t->min_clips, err));
    int balanced = 0;
    t->class_weights =
        json_is_object(json_object_get(json, "class_weights")) ? json_object_get(json, "class_weights") : NULL;
    TRY(t->class_weights ? check_class_weights(t->class_weights, where, err)
                         : config_choice(json, where, "class_weights", WEIGHTS, 0, &balanced, err));
    t->balanced = balanced == 1;
    int failed = json_object_set_new(json, "weight", json_real(t->weight)) |
                 json_object_set_new(json, "smoothing", json_real(t->smoothing)) |
                 json_object_set_new(json, "min_clips", json_integer(t->min_clips)) |
                 (t->class_weights ? 0 : json_object_set_new(json, "class_weights", json_string(WEIGHTS[balanced])));
    return failed ? error_memory(err, "reading a recipe") : SPOOR_OK;
}

static spoor_status read_tasks(spoor_context *ctx, json_t *tasks, recipe *r, spoor_error *err) {
    size_t n = json_object_size(tasks);
    if (!json_is_object(tasks) || n == 0 || n > NET_MAX_TASKS) {
        return error_set(err, SPOOR_ERR_USAGE, "data.tasks must map 1 to %d names to {column: NAME, ...}",
                         NET_MAX_TASKS);
    }
    r->task = ctx_calloc(ctx, n, sizeof *r->task);
    if (!r->task) {
        return error_memory(err, "reading a recipe");
    }
    const char *name;
    json_t *value;
    json_object_foreach(tasks, name, value) {
        TRY(read_task(ctx, name, value, &r->task[r->n_tasks++], err));
    }
    return SPOOR_OK;
}

static spoor_status split_default(json_t *data, const char *key, spoor_error *err) {
    if (json_object_get(data, key)) {
        return SPOOR_OK;
    }
    json_t *where = json_object();
    if (!where || json_object_set_new(where, "split", json_string(key)) != 0 ||
        json_object_set_new(data, key, where) != 0) {
        return error_memory(err, "reading a recipe");
    }
    return SPOOR_OK;
}

static spoor_status read_groups(spoor_context *ctx, json_t *data, recipe *r, spoor_error *err) {
    json_t *groups = json_object_get(data, "groups");
    if (!groups) {
        groups = json_pack("[s,s,s]", "page", "speaker", "text");
        if (!groups || json_object_set_new(data, "groups", groups) != 0) {
            return error_memory(err, "reading a recipe");
        }
    }
    const char *const *names;
    size_t n;
    TRY(recipe_read_strings(ctx, groups, "data.groups", &names, &n, err));
    for (size_t i = 0; i < n && i < SAMPLER_MAX_GROUPS; i++) {
        r->group[r->n_groups++] = names[i];
    }
    ctx_free(ctx, (void *)(uintptr_t)names);
    return n <= SAMPLER_MAX_GROUPS
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_LIMIT, "data.groups has more than %d columns", SAMPLER_MAX_GROUPS);
}

spoor_status recipe_read_data(spoor_context *ctx, recipe *r, spoor_error *err) {
    json_t *data = json_object_get(r->resolved, "data");
    TRY(read_manifests(ctx, json_object_get(data, "manifests"), r, err));
    TRY(split_default(data, "train", err));
    TRY(split_default(data, "dev", err));
    TRY(recipe_read_where(ctx, json_object_get(data, "train"), "data.train", &r->train, err));
    TRY(recipe_read_where(ctx, json_object_get(data, "dev"), "data.dev", &r->dev, err));
    TRY(read_tasks(ctx, json_object_get(data, "tasks"), r, err));
    TRY(recipe_read_strings(ctx, json_object_get(data, "without"), "data.without", &r->without, &r->n_without, err));
    return read_groups(ctx, data, r, err);
}

/* ---- dev ---- */

static const recipe_task *find_task(const recipe *r, const char *name) {
    for (size_t i = 0; i < r->n_tasks; i++) {
        if (strcmp(r->task[i].name, name) == 0) {
            return &r->task[i];
        }
    }
    return NULL;
}

static spoor_status read_metric(spoor_context *ctx, json_t *json, recipe *r, recipe_metric *m, spoor_error *err) {
    static const char *const KEYS[] = {"name", "task", "kind", "where", NULL};
    static const char *const KINDS[] = {"accuracy", "top5", "macro_f1", "loss", "auroc", "eer", "known_auroc", NULL};
    TRY(config_keys(json, "dev.metrics", KEYS, err));
    TRY(config_string(json, "dev.metrics", "name", NULL, &m->name, err));
    TRY(config_string(json, "dev.metrics", "task", r->task[0].name, &m->task, err));
    int kind;
    TRY(config_choice(json, "dev.metrics", "kind", KINDS, RECIPE_ACCURACY, &kind, err));
    m->kind = (recipe_metric_kind)kind;
    if (!m->name) {
        return error_set(err, SPOOR_ERR_USAGE, "dev.metrics: every entry needs a name");
    }
    if (!find_task(r, m->task)) {
        return error_set(err, SPOOR_ERR_USAGE, "dev.metrics: %.60s speaks of the task %.60s, which data.tasks lacks",
                         m->name, m->task);
    }
    return recipe_read_where(ctx, json_object_get(json, "where"), "dev.metrics.where", &m->where, err);
}

static spoor_status read_metrics(spoor_context *ctx, json_t *dev, recipe *r, spoor_error *err) {
    json_t *list = json_object_get(dev, "metrics");
    if (!list) {
        list = json_pack("[{s:s,s:s,s:s}]", "name", "accuracy", "task", r->task[0].name, "kind", "accuracy");
        if (!list || json_object_set_new(dev, "metrics", list) != 0) {
            return error_memory(err, "reading a recipe");
        }
    }
    size_t n = json_array_size(list);
    if (n == 0 || n > RECIPE_MAX_METRICS) {
        return error_set(err, SPOOR_ERR_USAGE, "dev.metrics must be a list of 1 to %d entries", RECIPE_MAX_METRICS);
    }
    r->metric = ctx_calloc(ctx, n, sizeof *r->metric);
    if (!r->metric) {
        return error_memory(err, "reading a recipe");
    }
    for (size_t i = 0; i < n; i++) {
        TRY(read_metric(ctx, json_array_get(list, i), r, &r->metric[r->n_metrics++], err));
    }
    return SPOOR_OK;
}

static bool known_metric(const recipe *r, const char *name) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        if (strcmp(r->metric[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

spoor_status recipe_read_dev(spoor_context *ctx, recipe *r, spoor_error *err) {
    json_t *dev = json_object_get(r->resolved, "dev");
    TRY(read_metrics(ctx, dev, r, err));
    json_t *select = json_object_get(dev, "select");
    if (!select) {
        select = json_pack("[s]", r->metric[0].name);
        if (!select || json_object_set_new(dev, "select", select) != 0) {
            return error_memory(err, "reading a recipe");
        }
    }
    const char *const *names;
    size_t n;
    TRY(recipe_read_strings(ctx, select, "dev.select", &names, &n, err));
    spoor_status status = SPOOR_OK;
    for (size_t i = 0; i < n && status == SPOOR_OK; i++) {
        if (i == RECIPE_MAX_METRICS) {
            status = error_set(err, SPOOR_ERR_LIMIT, "dev.select has more than %d names", RECIPE_MAX_METRICS);
        } else if (!known_metric(r, names[i])) {
            status = error_set(err, SPOOR_ERR_USAGE, "dev.select: there is no metric named %.80s", names[i]);
        } else {
            r->select[r->n_select++] = names[i];
        }
    }
    ctx_free(ctx, (void *)(uintptr_t)names);
    if (status == SPOOR_OK && r->n_select == 0) {
        status = error_set(err, SPOOR_ERR_USAGE, "dev.select must name at least one metric");
    }
    return status;
}

/* ---- open set ---- */

static spoor_status read_scorer(const char *where, const char *name, openset_kind *out, spoor_error *err) {
    spoor_error inner = {SPOOR_OK, ""};
    if (!name) {
        return error_set(err, SPOOR_ERR_USAGE, "%s must be \"all\" or a list of names of open-set scorers", where);
    }
    spoor_status status = openset_kind_parse(name, out, &inner);
    return status == SPOOR_OK ? SPOOR_OK : error_set(err, status, "%s: %s", where, inner.message);
}

spoor_status recipe_read_openset(recipe *r, spoor_error *err) {
    json_t *section = json_object_get(r->resolved, "openset"), *list = json_object_get(section, "scorers"), *item;
    const char *one = json_string_value(list);
    openset_kind kind;
    if (!list || (one && strcmp(one, "all") == 0)) {
        r->openset.scorers = OPENSET_ALL;
        if (!list && json_object_set_new(section, "scorers", json_string("all")) != 0) {
            return error_memory(err, "reading a recipe");
        }
    } else if (one) {
        TRY(read_scorer("openset.scorers", one, &kind, err));
        r->openset.scorers = OPENSET_BIT(kind);
    } else {
        size_t i;
        json_array_foreach(list, i, item) {
            TRY(read_scorer("openset.scorers", json_string_value(item), &kind, err));
            r->openset.scorers |= OPENSET_BIT(kind);
        }
    }
    if (r->openset.scorers == 0 || r->openset.scorers == OPENSET_BIT(OPENSET_GATE)) {
        return error_set(err, SPOOR_ERR_USAGE, "openset.scorers must be \"all\" or a list of at least one open-set "
                                               "scorer besides the gate");
    }
    r->openset.choose = KNOWN_BY_DEV;
    if (strcmp(r->openset.chosen, "dev") != 0) {
        TRY(read_scorer("openset.choose", r->openset.chosen, &kind, err));
        r->openset.choose = (int)kind;
    }
    return SPOOR_OK;
}

/* ---- fine-tuning ---- */

spoor_status recipe_read_finetune(spoor_context *ctx, recipe *r, spoor_error *err) {
    recipe_finetune *f = &r->finetune;
    if (!f->on) {
        return SPOOR_OK;
    }
    json_t *section = json_object_get(r->resolved, "finetune"), *factors = json_object_get(section, "lr_factors");
    TRY(recipe_read_strings(ctx, json_object_get(section, "freeze"), "finetune.freeze", &f->freeze, &f->n_freeze, err));
    if (!factors || json_is_null(factors)) {
        return SPOOR_OK;
    }
    if (!json_is_object(factors)) {
        return error_set(err, SPOOR_ERR_USAGE, "finetune.lr_factors must map names of parameters to factors");
    }
    f->lr_factors = ctx_calloc(ctx, json_object_size(factors), sizeof *f->lr_factors);
    if (!f->lr_factors) {
        return error_memory(err, "reading a recipe");
    }
    const char *name;
    json_t *value;
    json_object_foreach(factors, name, value) {
        recipe_factor *to = &f->lr_factors[f->n_lr_factors++];
        to->name = name;
        TRY(config_number(factors, "finetune.lr_factors", name, 1, 0, 1000, &to->factor, err));
    }
    return SPOOR_OK;
}
