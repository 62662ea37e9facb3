/* dataset.c: see dataset.h. */
#include "train/dataset.h"
#include "data/taxonomy.h"
#include <string.h>

void dataset_free(dataset *d) {
    if (!d) {
        return;
    }
    for (size_t i = 0; i < d->n_tasks; i++) {
        ctx_free(d->ctx, d->task[i].classes);
        ctx_free(d->ctx, d->task[i].label);
        ctx_free(d->ctx, d->task[i].count);
    }
    for (size_t g = 0; g < SAMPLER_MAX_GROUPS; g++) {
        ctx_free(d->ctx, d->group[g]);
    }
    ctx_free(d->ctx, d->content);
    cache_free(d->cache);
    ctx_free(d->ctx, d->task);
    ctx_free(d->ctx, d->paths);
    ctx_free(d->ctx, d->rows);
    manifest_free(d->manifest);
    ctx_free(d->ctx, d);
}

/* A path of the recipe, or NULL where there is none; *lost: out of memory. */
static char *path_of(dataset *d, const recipe *r, const char *path, bool *lost) {
    char *whole = path ? recipe_path(d->ctx, r, path) : NULL;
    *lost = *lost || (path && !whole);
    return whole;
}

static spoor_status read_manifests(dataset *d, const recipe *r, spoor_error *err) {
    TRY(manifest_new(d->ctx, &d->manifest, err));
    for (size_t i = 0; i < r->n_manifests; i++) {
        const recipe_manifest *m = &r->manifest[i];
        protocol_options how = m->how;
        bool lost = false, builtin = how.taxonomy && strcmp(how.taxonomy, TAXONOMY_BUILTIN) == 0;
        char *list = path_of(d, r, m->path, &lost), *root = path_of(d, r, m->root, &lost);
        char *tree = path_of(d, r, builtin ? NULL : how.taxonomy, &lost);
        how.taxonomy = tree ? tree : how.taxonomy;
        spoor_status status = lost ? error_memory(err, "reading a manifest")
                                   : manifest_add_list(d->manifest, list, root, &how, m->where.item, m->where.n, err);
        ctx_free(d->ctx, list);
        ctx_free(d->ctx, root);
        ctx_free(d->ctx, tree);
        TRY(status);
    }
    return SPOOR_OK;
}

/* Both lists rise. A model must not be judged by what it was trained on. */
static spoor_status check_disjoint(const dataset *d, const size_t *train, size_t n_train, const size_t *dev,
                                   size_t n_dev, spoor_error *err) {
    size_t both = 0, first = 0;
    for (size_t i = 0, k = 0; i < n_train && k < n_dev;) {
        if (train[i] == dev[k]) {
            first = both++ == 0 ? train[i] : first;
        }
        size_t row = train[i] < dev[k] ? train[i] : dev[k];
        i += train[i] == row;
        k += dev[k] == row;
    }
    return both == 0 ? SPOOR_OK
                     : error_set(err, SPOOR_ERR_INPUT, "%zu rows pass both data.train and data.dev (first: %.200s), "
                                 "and a model must not be judged by what it has heard; a condition without split takes "
                                 "rows of every split: add split: train",
                                 both, manifest_path(d->manifest, first));
}

/* Of the k-th of n rows, whether it is among `most` that are spread evenly over them. */
static bool kept(size_t k, size_t n, size_t most) {
    return n <= most || (k + 1) * most / n != k * most / n;
}

/* Thins the training rows of list `list` to its `most`; the others stay, in their order. */
static spoor_status thin_list(dataset *d, const recipe_manifest *m, size_t list, size_t *train, size_t *n_train,
                              spoor_error *err) {
    size_t groups = 0, left = 0;
    if (manifest_column(d->manifest, m->most_column) == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "data.manifests.most names the column %.60s, which no manifest has",
                         m->most_column);
    }
    int32_t *group = ctx_alloc(d->ctx, *n_train, sizeof *group);
    spoor_status status = group
                              ? labels_groups(d->ctx, d->manifest, train, *n_train, m->most_column, group, &groups, err)
                              : error_memory(err, "choosing rows");
    size_t *seen = status == SPOOR_OK ? ctx_calloc(d->ctx, 2 * groups + 2, sizeof *seen) : NULL;
    status = status == SPOOR_OK && !seen ? error_memory(err, "choosing rows") : status;
    for (size_t i = 0; status == SPOOR_OK && i < *n_train; i++) {
        group[i] = manifest_list(d->manifest, train[i]) == list ? group[i] : -1;
        seen[2 * (size_t)(group[i] + 1)]++;
    }
    for (size_t i = 0; status == SPOOR_OK && i < *n_train; i++) {
        size_t *of = seen + 2 * (size_t)(group[i] + 1);
        if (group[i] < 0 || kept(of[1]++, of[0], (size_t)m->most)) {
            train[left++] = train[i];
        }
    }
    *n_train = status == SPOOR_OK ? left : *n_train;
    ctx_free(d->ctx, seen);
    ctx_free(d->ctx, group);
    return status;
}

static spoor_status thin(dataset *d, const recipe *r, size_t *train, size_t *n_train, spoor_error *err) {
    for (size_t i = 0; i < r->n_manifests; i++) {
        TRY(r->manifest[i].most_column ? thin_list(d, &r->manifest[i], i, train, n_train, err) : SPOOR_OK);
    }
    return SPOOR_OK;
}

/* Leaves out the training rows of one source; the others stay, in their order. */
static spoor_status drop_source(dataset *d, const recipe *r, const char *source, size_t *train, size_t *n_train,
                                spoor_error *err) {
    size_t left = 0;
    labels_task t = {0};
    for (size_t i = 0; i < r->n_tasks; i++) {
        if (strcmp(r->task[i].name, r->source_task) == 0) {
            t = (labels_task){r->task[i].name, r->task[i].column, r->task[i].n_columns, r->task[i].except,
                              r->task[i].n_except};
        }
    }
    for (size_t i = 0; i < *n_train; i++) {
        if (strcmp(labels_text(d->manifest, train[i], &t), source) != 0) {
            train[left++] = train[i];
        }
    }
    if (left == *n_train) {
        return error_set(err, SPOOR_ERR_INPUT, "data.without names %.80s, which no training row has in the task %.60s",
                         source, r->source_task);
    }
    *n_train = left;
    return SPOOR_OK;
}

static spoor_status choose_rows(dataset *d, const recipe *r, spoor_error *err) {
    size_t *train = NULL, *dev = NULL, n_train = 0, n_dev = 0;
    spoor_status status = labels_select(d->ctx, d->manifest, r->train.item, r->train.n, &train, &n_train, err);
    if (status == SPOOR_OK) {
        status = labels_select(d->ctx, d->manifest, r->dev.item, r->dev.n, &dev, &n_dev, err);
    }
    status = status == SPOOR_OK ? check_disjoint(d, train, n_train, dev, n_dev, err) : status;
    status = status == SPOOR_OK ? thin(d, r, train, &n_train, err) : status;
    for (size_t i = 0; i < r->n_without && status == SPOOR_OK; i++) {
        status = drop_source(d, r, r->without[i], train, &n_train, err);
    }
    if (status == SPOOR_OK && n_train == 0) {
        status = error_set(err, SPOOR_ERR_INPUT, "no row of the manifests passes data.train, so there is nothing to "
                                                 "train on");
    }
    if (status == SPOOR_OK) {
        d->rows = ctx_alloc(d->ctx, n_train + n_dev, sizeof *d->rows);
        d->paths = ctx_alloc(d->ctx, n_train + n_dev, sizeof *d->paths);
        status = d->rows && d->paths ? SPOOR_OK : error_memory(err, "choosing rows");
    }
    if (status == SPOOR_OK) {
        memcpy(d->rows, train, n_train * sizeof *train);
        memcpy(d->rows + n_train, dev, n_dev * sizeof *dev);
        d->n_train = n_train;
        d->n_dev = n_dev;
        d->n = n_train + n_dev;
        for (size_t i = 0; i < d->n; i++) {
            d->paths[i] = manifest_path(d->manifest, d->rows[i]);
        }
    }
    ctx_free(d->ctx, train);
    ctx_free(d->ctx, dev);
    return status;
}

static spoor_status number_task(dataset *d, const recipe_task *r, dataset_task *t, spoor_error *err) {
    t->from = (labels_task){r->name, r->column, r->n_columns, r->except, r->n_except};
    for (size_t i = 0; i < r->n_columns; i++) {
        if (manifest_column(d->manifest, r->column[i]) == SIZE_MAX) {
            return error_set(err, SPOOR_ERR_INPUT, "the task %.60s takes its label from the column %.60s, which no "
                                                   "manifest has",
                             r->name, r->column[i]);
        }
    }
    TRY(labels_classes(d->ctx, d->manifest, d->rows, d->n_train, &t->from, (size_t)r->min_clips, &t->classes,
                       &t->n_classes, err));
    t->label = ctx_alloc(d->ctx, d->n, sizeof *t->label);
    t->count = ctx_calloc(d->ctx, t->n_classes, sizeof *t->count);
    if (!t->label || !t->count) {
        return error_memory(err, "numbering labels");
    }
    for (size_t i = 0; i < d->n; i++) {
        t->label[i] = labels_find(t->classes, t->n_classes, labels_text(d->manifest, d->rows[i], &t->from));
        if (i < d->n_train && t->label[i] >= 0) {
            t->count[t->label[i]]++;
        }
    }
    return SPOOR_OK;
}

static spoor_status number_groups(dataset *d, const recipe *r, spoor_error *err) {
    for (size_t g = 0; g < r->n_groups; g++) {
        size_t n;
        d->group[g] = ctx_alloc(d->ctx, d->n, sizeof **d->group);
        if (!d->group[g]) {
            return error_memory(err, "numbering groups");
        }
        TRY(labels_groups(d->ctx, d->manifest, d->rows, d->n, r->group[g], d->group[g], &n, err));
        d->n_groups++;
    }
    return SPOOR_OK;
}

/* The cells of a row in these columns as one text, "" where one of them is empty; NULL when out of memory. */
static char *joined(const dataset *d, size_t row, const char *const *column, size_t n) {
    char *text = ctx_strdup(d->ctx, "");
    for (size_t i = 0; text && i < n; i++) {
        const char *cell = manifest_cell(d->manifest, row, manifest_column(d->manifest, column[i]));
        char *longer = *cell ? ctx_printf(d->ctx, "%s%zu:%s", text, strlen(cell), cell) : ctx_strdup(d->ctx, "");
        ctx_free(d->ctx, text);
        text = longer;
        n = *cell ? n : 0;
    }
    return text;
}

static spoor_status number_content(dataset *d, const recipe *r, spoor_error *err) {
    const recipe_matched *m = &r->matched;
    size_t n, made = 0;
    for (size_t i = 0; i < m->n_content; i++) {
        if (manifest_column(d->manifest, m->content[i]) == SIZE_MAX) {
            return error_set(err, SPOOR_ERR_INPUT, "sampler.matched.content names the column %.60s, which no manifest "
                                                   "has",
                             m->content[i]);
        }
    }
    d->content = ctx_alloc(d->ctx, d->n, sizeof *d->content);
    char **text = ctx_calloc(d->ctx, d->n, sizeof *text);
    while (d->content && text && made < d->n && (text[made] = joined(d, d->rows[made], m->content, m->n_content))) {
        made++;
    }
    spoor_status status = made == d->n && d->content && text
                              ? labels_number(d->ctx, (const char *const *)text, d->n, d->content, &n, err)
                              : error_memory(err, "numbering recordings");
    for (size_t i = 0; i < made; i++) {
        ctx_free(d->ctx, text[i]);
    }
    ctx_free(d->ctx, text);
    return status;
}

static spoor_status fill(dataset *d, const recipe *r, bool listed, spoor_error *err) {
    TRY(read_manifests(d, r, err));
    TRY(choose_rows(d, r, err));
    d->task = ctx_calloc(d->ctx, r->n_tasks, sizeof *d->task);
    if (!d->task) {
        return error_memory(err, "numbering labels");
    }
    for (size_t i = 0; i < r->n_tasks; i++) {
        d->n_tasks++;
        TRY(number_task(d, &r->task[i], &d->task[i], err));
    }
    TRY(number_groups(d, r, err));
    TRY(r->matched.n_content > 0 ? number_content(d, r, err) : SPOOR_OK);
    if (listed) {
        return SPOOR_OK;
    }
    TRY(manifest_check_files(d->manifest, d->rows, d->n, err));
    TRY(cache_new(d->ctx, d->paths, d->n, (size_t)r->cache_mb << 20, &d->cache, err));
    if (r->cut) {
        cache_without_silence(d->cache, &r->silence);
    }
    return SPOOR_OK;
}

static spoor_status make(spoor_context *ctx, const recipe *r, bool listed, dataset **out, spoor_error *err) {
    *out = NULL;
    dataset *d = ctx_calloc(ctx, 1, sizeof *d);
    if (!d) {
        return error_memory(err, "reading the data");
    }
    d->ctx = ctx;
    spoor_status status = fill(d, r, listed, err);
    if (status != SPOOR_OK) {
        dataset_free(d);
        return status;
    }
    *out = d;
    return SPOOR_OK;
}

spoor_status dataset_new(spoor_context *ctx, const recipe *r, dataset **out, spoor_error *err) {
    return make(ctx, r, false, out, err);
}

spoor_status dataset_new_listed(spoor_context *ctx, const recipe *r, dataset **out, spoor_error *err) {
    return make(ctx, r, true, out, err);
}

/* The training clips that have a label of both, by their class of `from`, in their order: those of class s end before
 * end[s] in clip. end[classes of `from`, and one] is all 0 before. */
static void sort_by_class(const dataset *d, const dataset_task *from, const dataset_task *own, size_t *end,
                          size_t *clip) {
    for (size_t i = 0; i < d->n_train; i++) {
        end[from->label[i] + 1] += from->label[i] >= 0 && own->label[i] >= 0;
    }
    for (size_t s = 0; s < from->n_classes; s++) {
        end[s + 1] += end[s];
    }
    for (size_t i = 0; i < d->n_train; i++) { /* from where each class begins to where it ends */
        if (from->label[i] >= 0 && own->label[i] >= 0) {
            clip[end[from->label[i]]++] = i;
        }
    }
}

spoor_status dataset_majority(const dataset *d, const dataset_task *from, const dataset_task *own, int32_t *of,
                              spoor_error *err) {
    size_t *votes = ctx_calloc(d->ctx, own->n_classes, sizeof *votes);
    size_t *end = ctx_calloc(d->ctx, from->n_classes + 1, sizeof *end),
           *clip = ctx_alloc(d->ctx, d->n_train, sizeof *clip);
    bool good = votes && end && clip;
    if (good) {
        sort_by_class(d, from, own, end, clip);
    }
    for (size_t s = 0, i = 0; good && s < from->n_classes; s++) {
        size_t begin = i;
        of[s] = -1;
        for (; i < end[s]; i++) {
            int32_t c = own->label[clip[i]];
            votes[c]++;
            of[s] = of[s] < 0 || votes[c] > votes[of[s]] ? c : of[s];
        }
        for (size_t k = begin; k < i; k++) {
            votes[own->label[clip[k]]] = 0;
        }
    }
    ctx_free(d->ctx, votes);
    ctx_free(d->ctx, end);
    ctx_free(d->ctx, clip);
    return good ? SPOOR_OK : error_memory(err, "starting a training");
}

spoor_status dataset_load(dataset *d, const recipe *r, pool *p, spoor_error *err) {
    size_t skip = *r->cache_path ? d->n_train : 0; /* their features come from a store */
    cache_skip(d->cache, skip);
    TRY(cache_fill(d->cache, p, err));
    if (cache_kept(d->cache) < d->n - skip) {
        ctx_log(d->ctx, SPOOR_LOG_WARN, "%zu of %zu recordings fit into data.cache_mb = %lld; the others are decoded "
                                        "each time",
                cache_kept(d->cache), d->n - skip, (long long)r->cache_mb);
    }
    return SPOOR_OK;
}
