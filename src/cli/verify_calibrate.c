/* verify_calibrate.c: `spoor verify --calibrate`: statistics of a model's training recordings and maps fitted on dev,
 * written into a copy of the model. */
#include "cli/ui.h"
#include "cli/verify.h"
#include "model/combine.h"
#include "model/compare.h"
#include "openset/verify_fit.h"
#include "trace/trace.h"
#include <stdio.h>
#include <string.h>

enum { SEED = 1 };
#define WHITENED OPENSET_BIT(OPENSET_MAHALANOBIS)

typedef struct work {
    cli_corpus train, dev;
    score_labels *train_labels, *dev_labels;
    int32_t *label;      /* of train clips: class of the known task, or -1 */
    openset_stats *stats; /* NULL: embeddings are compared as they are */
    int32_t *source, *page;
    double *u;
    unsigned char *is_known;
    verify_data data;
    verify fitted;
} work;

static spoor_status read_split(const verify_options *o, spoor_model *m, const char *split, cli_corpus *c,
                               score_labels **l, spoor_error *err) {
    cli_corpus_options how = o->corpus;
    how.split = split;
    how.first_window = strcmp(split, "train") == 0;
    TRY(cli_corpus_read(m->ctx, &how, c, err));
    const json_t *spec = json_object_get(json_object_get(m->meta, "provenance"), "labels");
    TRY(cli_corpus_score(c, m, &how, err));
    return score_labels_new(m->ctx, m, c->manifest, c->rows, c->n, spec, l, err);
}

/* Statistics of the training recordings of known synthetic sources. An embedding too wide for a covariance is compared
 * as it is. */
static spoor_status fit_statistics(const verify_options *o, spoor_model *m, work *w, spoor_error *err) {
    size_t n = w->train.n, width = trace_logits_size(m), dim = (size_t)net_embedding_size(m->net);
    const model_task *t = &m->tasks[m->known_task];
    w->label = ctx_alloc(m->ctx, n, sizeof *w->label);
    float *logits = ctx_alloc(m->ctx, n, t->n_classes * sizeof *logits);
    spoor_status status = w->label && logits ? SPOOR_OK : error_memory(err, "fitting statistics");
    for (size_t i = 0; status == SPOOR_OK && i < n; i++) {
        bool good = w->train.errors[i].status == SPOOR_OK && w->train_labels->clip[i].is_known == 1;
        w->label[i] = good ? w->train_labels->clip[i].label[m->known_task] : -1;
        memcpy(logits + i * t->n_classes, w->train.logits + i * width + model_offset(m, m->known_task),
               t->n_classes * sizeof *logits);
    }
    if (status == SPOOR_OK) {
        openset_train train = {w->train.embedding, logits, w->label, n, dim, t->n_classes};
        openset_fit_options how;
        openset_fit_options_init(&how);
        how.shrinkage = o->shrinkage;
        status = openset_fit(m->ctx, WHITENED, &train, &how, &w->stats, err);
    }
    ctx_free(m->ctx, logits);
    return status;
}

/* Numbers for the names of sources, in the order of their first recordings. */
static int32_t number_of(const char **names, size_t *n, const char *name) {
    size_t i = 0;
    while (i < *n && strcmp(names[i], name) != 0) {
        i++;
    }
    if (i == *n) {
        names[(*n)++] = name;
    }
    return (int32_t)i;
}

static spoor_status gather_dev(spoor_model *m, work *w, spoor_error *err) {
    const score_labels *l = w->dev_labels;
    size_t dim = (size_t)net_embedding_size(m->net), n = 0, groups;
    const openset_stats *space = verify_whitens(w->stats) ? w->stats : NULL;
    const char **names = ctx_alloc(m->ctx, l->n, sizeof *names);
    w->source = ctx_alloc(m->ctx, l->n, sizeof *w->source);
    w->is_known = ctx_alloc(m->ctx, l->n, 1);
    w->u = ctx_alloc(m->ctx, l->n, (dim + 1) * sizeof *w->u);
    spoor_status status =
        names && w->source && w->is_known && w->u ? SPOOR_OK : error_memory(err, "comparing recordings");
    if (status == SPOOR_OK) {
        status = score_page_groups(m->ctx, l, &w->page, &groups, err);
    }
    double *known = w->u == NULL ? NULL : w->u + l->n * dim;
    w->data = (verify_data){w->u, known, w->source, w->page, w->is_known, 0, dim, 0};
    for (size_t i = 0; status == SPOOR_OK && i < l->n; i++) {
        const score_label *c = &l->clip[i];
        if (w->dev.errors[i].status != SPOOR_OK || c->is_known < 0 || c->source == NULL || c->source[0] == '\0') {
            continue; /* human speech, and what is not labelled */
        }
        status = verify_unit(space, w->dev.embedding + i * dim, dim, w->u + n * dim, err);
        known[n] = verify_known(space, w->u + n * dim);
        w->page[n] = w->page[i]; /* n <= i */
        w->is_known[n] = c->is_known == 1;
        w->source[n++] = number_of(names, &w->data.sources, c->source);
    }
    w->data.n = n;
    ctx_free(m->ctx, names);
    return status;
}

static spoor_status describe(spoor_model *m, const work *w, spoor_error *err) {
    json_t *json = verify_to_json(&w->fitted);
    int bad = json == NULL;
    if (!bad && w->fitted.space == VERIFY_OWN) {
        bad |= json_object_set_new(json, "statistics", openset_stats_to_json(w->stats, WHITENED));
    }
    bad |= json_object_set_new(json, "made",
                               json_pack("{s:s, s:s, s:I, s:I}", "spoor", SPOOR_VERSION, "model_sha256", m->sha256,
                                         "train_clips", (json_int_t)(w->train.n - w->train.failed), "dev_clips",
                                         (json_int_t)w->data.n));
    bad |= json_object_set_new(m->meta, "verify", json);
    return bad ? error_memory(err, "writing a model") : SPOOR_OK;
}

static spoor_status write_model(const verify_options *o, spoor_model *m, const work *w, spoor_error *err) {
    openset_tensor t[OPENSET_MAX_TENSORS];
    size_t n = w->fitted.space == VERIFY_OWN ? openset_tensors(w->stats, WHITENED, t) : 0;
    char names[OPENSET_MAX_TENSORS][MODEL_VERIFY_NAME];
    model_tensor changed[OPENSET_MAX_TENSORS];
    for (size_t i = 0; i < n; i++) {
        model_verify_name(t[i].name, names[i]);
        changed[i] = (model_tensor){.name = names[i], .rank = t[i].rank, .shape = {t[i].shape[0], t[i].shape[1]},
                                    .data = t[i].data};
    }
    TRY(describe(m, w, err));
    return model_rewrite(m->ctx, m->path, o->out, m->meta, changed, n, err);
}

static spoor_status print(const verify_options *o, const work *w, spoor_error *err) {
    const verify *v = &w->fitted;
    if (o->json) {
        return cli_verify_print(verify_to_json(v), err);
    }
    printf("pairs: %zu of one source, %zu of two; llr = %.4g cosine %+.4g%s\n", v->pair.targets, v->pair.others,
           v->pair.scale, v->pair.offset, v->space == VERIFY_OWN ? " (whitened)" : "");
    for (size_t i = 0; i < v->n_shots; i++) {
        const verify_shot *s = &v->shot[i];
        printf("enrolled by %zu file%s: %zu scores of the source, %zu of others; llr = %.4g score %+.4g; alone named "
               "from %.4f on, among 50 from %.4f\n",
               s->files, s->files == 1 ? "" : "s", s->map.targets, s->map.others, s->map.scale, s->map.offset,
               verify_threshold(v, true, s->files, 1), verify_threshold(v, true, s->files, 50));
    }
    printf("at most %.3g %% of known recordings get an enrolled name on dev; written to %s\n",
           100 * v->false_acceptance, o->out);
    return ui_flush(err);
}

static spoor_status fit(const verify_options *o, spoor_model *m, work *w, spoor_error *err) {
    if (m->known_task == SIZE_MAX) {
        return error_set(err, SPOOR_ERR_INPUT, "%.200s has no task of sources, so that none is known", m->path);
    }
    TRY(model_check_folder(m, m->path, o->out, err));
    TRY(read_split(o, m, "train", &w->train, &w->train_labels, err));
    TRY(fit_statistics(o, m, w, err));
    TRY(read_split(o, m, "dev", &w->dev, &w->dev_labels, err));
    TRY(gather_dev(m, w, err));
    w->fitted.space = verify_whitens(w->stats) ? VERIFY_OWN : VERIFY_COSINE;
    TRY(verify_fit(m->ctx, &w->data, o->false_acceptance, o->prior, SEED, &w->fitted, err));
    TRY(write_model(o, m, w, err));
    TRY(print(o, w, err));
    size_t failed = w->train.failed + w->dev.failed;
    return failed == 0 ? SPOOR_OK
                       : error_set(err, SPOOR_ERR_INPUT, "%zu of %zu recordings could not be used", failed,
                                   w->train.n + w->dev.n);
}

spoor_status cli_verify_calibrate(const verify_options *o, spoor_context *ctx, spoor_error *err) {
    spoor_model *m;
    TRY(spoor_model_open_with(ctx, o->model, &o->open, &m, err));
    work *w = ctx_calloc(ctx, 1, sizeof *w);
    if (w == NULL) {
        spoor_model_free(m);
        return error_memory(err, "calibrating a model");
    }
    w->train.ctx = w->dev.ctx = ctx;
    spoor_status status = fit(o, m, w, err);
    score_labels_free(w->train_labels);
    score_labels_free(w->dev_labels);
    openset_stats_free(w->stats);
    ctx_free(ctx, w->label);
    ctx_free(ctx, w->source);
    ctx_free(ctx, w->page);
    ctx_free(ctx, w->is_known);
    ctx_free(ctx, w->u);
    cli_corpus_clear(&w->train);
    cli_corpus_clear(&w->dev);
    ctx_free(ctx, w);
    spoor_model_free(m);
    return status;
}
