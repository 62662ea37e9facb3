/* batch.c: see batch.h. */
#include "train/batch.h"
#include "train/draw.h"
#include <math.h>
#include <string.h>

/* Streams of the recipe's seed; the sampler has a seed of its own derived from it. */
enum { AS_IT_IS = -1, UNLABELLED = -2 };
enum { STREAM_CLIP = 12, STREAM_MIX, STREAM_MATCHED, STREAM_RESYNTH, STREAM_MASK };

typedef struct scratch { /* of one worker */
    float *samples;
    frontend_scratch *frontend;
    augment_scratch *augment;
    spoor_error error;
} scratch;

struct loader {
    spoor_context *ctx;
    const recipe *r;
    const dataset *d;
    const frontend *fe;
    const augment *augment;
    augment_sources sources;
    const stored *stored; /* NULL: features are computed */
    const resynth *generators;         /* NULL: none */
    sampler *sampler;
    matched *matched, *transformed;    /* blocks of content-matched pairs; NULL: none */
    matched_place *block;              /* [largest block] scratch */
    uint32_t *clip;   /* [batch] */
    uint32_t *stretch; /* [batch] place whose random numbers say where in the recording the clip begins: its own, or
                        * that of
                          another clip of the same recording, so that both hold the same stretch */
    int32_t *through; /* [batch] pseudo-generator that the clip is put through, or AS_IT_IS, or UNLABELLED (as it is) */
    float *clean;     /* [batch, frames, dim] or, where waveforms are mixed, [batch, crop]: clips that rows are mixed
                       * from */
    int64_t *one, *other; /* [batch] places of the two clips of a mixed row */
    scratch *scratch;
    unsigned threads;
    batch out;
    uint64_t epoch, step;
};

static void free_targets(spoor_context *ctx, int64_t **v, size_t n) {
    for (size_t i = 0; v && i < n; i++) {
        ctx_free(ctx, v[i]);
    }
    ctx_free(ctx, v);
}

void loader_free(loader *l) {
    if (!l) {
        return;
    }
    for (unsigned i = 0; l->scratch && i < l->threads; i++) {
        ctx_free(l->ctx, l->scratch[i].samples);
        frontend_scratch_free(l->scratch[i].frontend);
        augment_scratch_free(l->scratch[i].augment);
    }
    free_targets(l->ctx, l->out.target, l->d->n_tasks);
    free_targets(l->ctx, l->out.partner, l->d->n_tasks);
    ctx_free(l->ctx, l->scratch);
    ctx_free(l->ctx, l->clip);
    ctx_free(l->ctx, l->stretch);
    ctx_free(l->ctx, l->through);
    ctx_free(l->ctx, l->block);
    ctx_free(l->ctx, l->out.block);
    matched_free(l->matched);
    matched_free(l->transformed);
    ctx_free(l->ctx, l->one);
    ctx_free(l->ctx, l->other);
    ctx_free(l->ctx, l->clean);
    ctx_free(l->ctx, l->out.features);
    ctx_free(l->ctx, l->out.waves);
    ctx_free(l->ctx, l->out.mask);
    ctx_free(l->ctx, l->out.lambda);
    sampler_free(l->sampler);
    ctx_free(l->ctx, l);
}

/* Blocks of rows of the manifests that say from which recording they were made, and of recordings put through the
 * pseudo-generators. */
static spoor_status make_matched(loader *l, const dataset_task *task, spoor_error *err) {
    const recipe *r = l->r;
    const int32_t *group[SAMPLER_MAX_GROUPS];
    for (size_t g = 0; g < l->d->n_groups; g++) {
        group[g] = l->d->group[g];
    }
    rng seeds[2] = {rng_make((uint64_t)r->seed, STREAM_MATCHED), rng_make((uint64_t)r->seed, STREAM_RESYNTH)};
    matched_options o = {.seed = rng_u64(&seeds[0]), .n_clips = l->d->n_train, .content = l->d->content,
                         .label = task->label, .generators = task->n_classes, .n_groups = l->d->n_groups,
                         .group = group,
                         .pairs = (size_t)r->matched.pairs, .crossed = r->crossed};
    spoor_error inner = {SPOOR_OK, ""};
    if (r->matched.n_content > 0 && matched_new(l->ctx, &o, &l->matched, &inner) != SPOOR_OK) {
        return error_set(err, inner.status, "sampler.matched: %s", inner.message);
    }
    if (l->generators) {
        o.seed = rng_u64(&seeds[1]);
        o.content = l->generators->content;
        o.label = NULL;
        o.generators = l->generators->n;
        o.pairs = (size_t)r->resynth.pairs;
        if (matched_new(l->ctx, &o, &l->transformed, &inner) != SPOOR_OK) {
            return error_set(err, inner.status, "sampler.resynth: %s", inner.message);
        }
    }
    return SPOOR_OK;
}

static spoor_status make_sampler(loader *l, spoor_error *err) {
    size_t task;
    TRY(draw_sampler(l->ctx, l->r, l->d, &l->sampler, &task, err));
    return make_matched(l, &l->d->task[task], err);
}

static bool masks(const recipe *r) { return r->time_masks + r->band_masks > 0; }

/* Where the front end is trained: waveforms, and what is done to features afterwards, instead of features. */
static bool make_waves(loader *l, size_t inputs) {
    batch *b = &l->out;
    size_t row = (size_t)(b->frames * b->dim);
    b->samples = l->r->crop;
    b->waves = ctx_alloc(l->ctx, inputs, (size_t)b->samples * sizeof *b->waves);
    b->mask = masks(l->r) ? ctx_alloc(l->ctx, inputs, row * sizeof *b->mask) : NULL;
    return b->waves && (b->mask || !masks(l->r));
}

/* Rows that go into the front end (where it is trained) or the network, at most. */
static size_t most_inputs(const loader *l, size_t rows) {
    bool later = l->out.level == RECIPE_MIX_EMBEDDING || (l->out.level == RECIPE_MIX_FEATURES && l->r->finetune.on);
    return later ? (size_t)l->r->batch : rows;
}

static bool make_buffers(loader *l) {
    size_t batch_rows = (size_t)l->r->batch, row = (size_t)(l->out.frames * l->out.dim);
    size_t rows = batch_rows * (l->r->mixup == RECIPE_REGMIXUP ? 2 : 1), tasks = l->d->n_tasks;
    l->clip = ctx_alloc(l->ctx, batch_rows, sizeof *l->clip);
    l->stretch = ctx_alloc(l->ctx, batch_rows, sizeof *l->stretch);
    l->through = ctx_alloc(l->ctx, batch_rows, sizeof *l->through);
    l->block = ctx_alloc(l->ctx, (size_t)draw_matched_rows(l->r), sizeof *l->block);
    l->out.block = ctx_alloc(l->ctx, (size_t)draw_matched_rows(l->r), sizeof *l->out.block);
    l->one = ctx_alloc(l->ctx, batch_rows, sizeof *l->one);
    l->other = ctx_alloc(l->ctx, batch_rows, sizeof *l->other);
    bool waves = l->r->finetune.on, mixes = l->r->mixup != RECIPE_MIXUP_NONE;
    size_t inputs = most_inputs(l, rows);
    l->out.features = waves ? NULL : ctx_alloc(l->ctx, inputs, row * sizeof *l->out.features);
    l->out.lambda = ctx_alloc(l->ctx, batch_rows, sizeof *l->out.lambda);
    l->out.target = ctx_calloc(l->ctx, tasks, sizeof *l->out.target);
    l->out.partner = ctx_calloc(l->ctx, tasks, sizeof *l->out.partner);
    size_t clean = l->out.level == RECIPE_MIX_INPUT                ? (size_t)l->r->crop
                   : l->out.level == RECIPE_MIX_FEATURES && !waves ? row
                                                                   : 0;
    l->clean = ctx_alloc(l->ctx, mixes ? batch_rows : 0, clean * sizeof *l->clean);
    l->scratch = ctx_calloc(l->ctx, l->threads, sizeof *l->scratch);
    bool ok = l->clip && l->stretch && l->through && l->block && l->out.block && l->one && l->other &&
              (waves ? make_waves(l, inputs) : l->out.features != NULL) && l->out.lambda && l->out.target &&
              l->out.partner && l->clean && l->scratch;
    for (size_t i = 0; ok && i < tasks; i++) {
        l->out.target[i] = ctx_alloc(l->ctx, rows, sizeof **l->out.target);
        l->out.partner[i] = ctx_alloc(l->ctx, batch_rows, sizeof **l->out.partner);
        ok = l->out.target[i] && l->out.partner[i];
    }
    return ok;
}

static spoor_status make_scratch(loader *l, spoor_error *err) {
    for (unsigned i = 0; i < l->threads; i++) {
        scratch *s = &l->scratch[i];
        s->samples = ctx_alloc(l->ctx, (size_t)l->r->crop, sizeof *s->samples);
        if (!s->samples) {
            return error_memory(err, "making a loader");
        }
        TRY(frontend_scratch_new(l->fe, &s->frontend, err));
        TRY(augment_scratch_new(l->augment, &s->augment, err));
    }
    return SPOOR_OK;
}

spoor_status loader_new(spoor_context *ctx, const recipe *r, const dataset *d, const frontend *fe, const augment *a,
                        const resynth *generators, unsigned threads, loader **out, spoor_error *err) {
    *out = NULL;
    loader *l = ctx_calloc(ctx, 1, sizeof *l);
    if (!l) {
        return error_memory(err, "making a loader");
    }
    *l = (loader){.ctx = ctx, .r = r, .d = d, .fe = fe, .augment = a, .generators = generators, .threads = threads};
    l->sources = (augment_sources){d->n_train, d->cache, cache_round};
    l->out.level = (recipe_mixup_level)r->mixup_level;
    l->out.frames = (int64_t)frontend_frames(fe, (size_t)r->crop);
    l->out.dim = (int64_t)frontend_dim(fe);
    spoor_status status = make_sampler(l, err);
    if (status == SPOOR_OK) {
        status = make_buffers(l) ? make_scratch(l, err) : error_memory(err, "making a loader");
    }
    if (status != SPOOR_OK) {
        loader_free(l);
        return status;
    }
    *out = l;
    return SPOOR_OK;
}

void loader_use_store(loader *l, const stored *s) { l->stored = s; }

void loader_skip_part(loader *l, size_t part) {
    for (unsigned i = 0; i < l->threads; i++) {
        frontend_scratch_skip(l->scratch[i].frontend, part);
    }
}

size_t loader_steps(const loader *l) { return sampler_steps(l->sampler); }
const sampler *loader_sampler(const loader *l) { return l->sampler; }
const matched *loader_matched(const loader *l) { return l->matched; }

/* ---- features ---- */

/* Random stretches of frames and of columns become `value` (SpecAugment, Park et al. 2019). */
static void mask_stretches(const recipe *r, rng *random, float *x, int64_t frames, int64_t dim, float value) {
    for (int64_t m = 0; m < r->time_masks + r->band_masks; m++) {
        bool time = m < r->time_masks;
        int64_t length = time ? frames : dim, most = time ? r->time_width : r->band_width;
        int64_t width = (int64_t)rng_below(random, (uint64_t)(most < length ? most : length) + 1);
        int64_t start = (int64_t)rng_below(random, (uint64_t)(length - width) + 1);
        for (int64_t t = time ? start : 0; t < (time ? start + width : frames); t++) {
            for (int64_t b = time ? 0 : start; b < (time ? dim : start + width); b++) {
                x[t * dim + b] = value;
            }
        }
    }
}

/* Features: the stretches take the clip's mean. */
static void mask_features(const recipe *r, rng *random, float *x, int64_t frames, int64_t dim) {
    if (!masks(r)) {
        return;
    }
    double sum = 0;
    for (int64_t i = 0; i < frames * dim; i++) {
        sum += (double)x[i];
    }
    mask_stretches(r, random, x, frames, dim, (float)(sum / (double)(frames * dim)));
}

/* The random numbers of a clip. */
static rng clip_rng(const loader *l, int64_t place) {
    rng random = rng_make((uint64_t)l->r->seed, STREAM_CLIP);
    random = rng_make(rng_u64(&random), l->epoch);
    return rng_make(rng_u64(&random), l->step * (uint64_t)l->r->batch + (uint64_t)place);
}

/* Where in its recording a clip begins: the first of its random numbers, or of those of the clip it goes with. */
static double clip_where(const loader *l, int64_t place, rng *random) {
    double own = rng_uniform(random);
    rng other = clip_rng(l, l->stretch[place]);
    return l->stretch[place] == (uint32_t)place ? own : rng_uniform(&other);
}

static spoor_status clip_samples(loader *l, scratch *s, int64_t place, double where, rng *random, float *out,
                                 spoor_error *err) {
    size_t n = (size_t)l->r->crop;
    TRY(cache_crop(l->d->cache, l->clip[place], where, out, n, err));
    if (l->through[place] >= 0) {
        const augment *chain = l->generators->generator[l->through[place]].chain;
        TRY(augment_apply(chain, s->augment, &l->sources, random, out, n, err));
    }
    return rng_uniform(random) < l->r->augment_p
               ? augment_apply(l->augment, s->augment, &l->sources, random, out, n, err)
               : SPOOR_OK;
}

/* What of the features of an input is left, where they are made over the tape. */
static void fill_mask(loader *l, int64_t input, rng *random) {
    int64_t row = l->out.frames * l->out.dim;
    float *mask = l->out.mask ? l->out.mask + input * row : NULL;
    for (int64_t i = 0; mask && i < row; i++) {
        mask[i] = 1;
    }
    if (mask) {
        mask_stretches(l->r, random, mask, l->out.frames, l->out.dim, 0);
    }
}

static spoor_status clip_wave(loader *l, scratch *s, int64_t place, spoor_error *err) {
    rng random = clip_rng(l, place);
    double where = clip_where(l, place, &random);
    TRY(clip_samples(l, s, place, where, &random, l->out.waves + place * l->out.samples, err));
    fill_mask(l, place, &random);
    return SPOOR_OK;
}

/* ---- mixed waveforms ---- */

static bool mixes_waves(const loader *l) { return l->out.level == RECIPE_MIX_INPUT && l->out.mixed > 0; }

static spoor_status clean_wave(loader *l, scratch *s, int64_t place, spoor_error *err) {
    rng random = clip_rng(l, place);
    double where = clip_where(l, place, &random);
    return clip_samples(l, s, place, where, &random, l->clean + place * l->r->crop, err);
}

/* A row of such a batch, of one clean waveform or of two. */
static spoor_status wave_row(loader *l, scratch *s, int64_t row, spoor_error *err) {
    size_t n = (size_t)l->r->crop, bytes = n * sizeof(float);
    int64_t mixed = row - l->out.plain, size = l->out.frames * l->out.dim;
    const float *a = l->clean + (size_t)(mixed < 0 ? row : l->one[mixed]) * n;
    float *to = l->out.waves ? l->out.waves + (size_t)row * n : s->samples;
    memcpy(to, a, bytes);
    if (mixed >= 0) {
        const float *b = l->clean + (size_t)l->other[mixed] * n, share = l->out.lambda[mixed];
        for (size_t i = 0; i < n; i++) {
            to[i] = share * a[i] + (1.0f - share) * b[i];
        }
    }
    rng random = rng_make((uint64_t)l->r->seed, STREAM_MASK);
    random = rng_make(rng_u64(&random), l->epoch);
    random = rng_make(rng_u64(&random), 2 * l->step * (uint64_t)l->r->batch + (uint64_t)row);
    if (l->out.waves) {
        fill_mask(l, row, &random);
        return SPOOR_OK;
    }
    TRY(frontend_compute(l->fe, s->frontend, to, n, l->out.features + row * size, err));
    mask_features(l->r, &random, l->out.features + row * size, l->out.frames, l->out.dim);
    return SPOOR_OK;
}

static void make_wave_row(void *arg, int64_t row, unsigned worker) {
    loader *l = arg;
    scratch *s = &l->scratch[worker];
    if (s->error.status == SPOOR_OK) {
        s->error.status = wave_row(l, s, row, &s->error);
    }
}

/* ---- rows ---- */

static spoor_status clip_features(loader *l, scratch *s, int64_t place, float *out, spoor_error *err) {
    rng random = clip_rng(l, place);
    double where = clip_where(l, place, &random);
    if (l->stored) {
        TRY(stored_clip(l->stored, l->clip[place], where, &random, out, (size_t)l->out.frames, err));
    } else {
        TRY(clip_samples(l, s, place, where, &random, s->samples, err));
        TRY(frontend_compute(l->fe, s->frontend, s->samples, (size_t)l->r->crop, out, err));
    }
    mask_features(l->r, &random, out, l->out.frames, l->out.dim);
    return SPOOR_OK;
}

static float *clean_row(loader *l, int64_t place) {
    int64_t row = l->out.frames * l->out.dim;
    bool straight = place < l->out.plain || l->out.level == RECIPE_MIX_EMBEDDING;
    return straight ? l->out.features + place * row : l->clean + place * row;
}

static void make_row(void *arg, int64_t place, unsigned worker) {
    loader *l = arg;
    scratch *s = &l->scratch[worker];
    if (s->error.status == SPOOR_OK) {
        s->error.status = mixes_waves(l)  ? clean_wave(l, s, place, &s->error)
                          : l->out.waves ? clip_wave(l, s, place, &s->error)
                                         : clip_features(l, s, place, clean_row(l, place), &s->error);
    }
}

static void mix_row(void *arg, int64_t i, unsigned worker) {
    (void)worker;
    loader *l = arg;
    int64_t row = l->out.frames * l->out.dim;
    const float *a = clean_row(l, l->one[i]), *b = clean_row(l, l->other[i]);
    float *to = l->out.features + (l->out.plain + i) * row, share = l->out.lambda[i];
    for (int64_t k = 0; k < row; k++) {
        to[k] = share * a[k] + (1.0f - share) * b[k];
    }
}

/* ---- a batch ---- */

/* Which rows are mixed, with whom and how much: one decision for each batch, from its own random stream. */
static void plan(loader *l) {
    batch *b = &l->out;
    int64_t size = l->r->batch;
    rng random = rng_make((uint64_t)l->r->seed, STREAM_MIX);
    random = rng_make(rng_u64(&random), l->epoch);
    random = rng_make(rng_u64(&random), l->step);
    bool mix = l->r->mixup != RECIPE_MIXUP_NONE && rng_uniform(&random) < l->r->mixup_p;
    b->plain = mix && l->r->mixup == RECIPE_MIXUP ? recipe_pair_rows(l->r) : size;
    b->mixed = !mix ? 0 : l->r->mixup == RECIPE_MIXUP ? size - b->plain : size;
    b->rows = b->plain + b->mixed;
    b->inputs = b->mixed == 0 ? size : (int64_t)most_inputs(l, (size_t)b->rows);
    b->mix = (op_row_mix){b->plain, b->mixed, l->one, l->other, b->lambda};
    for (int64_t i = 0; i < b->mixed; i++) {
        b->lambda[i] = (real)rng_beta(&random, l->r->mixup_alpha, l->r->mixup_alpha);
        l->one[i] = l->other[i] = size - b->mixed + i;
    }
    for (int64_t i = b->mixed; i > 1; i--) {
        int64_t j = (int64_t)rng_below(&random, (uint64_t)i);
        int64_t swap = l->other[i - 1];
        l->other[i - 1] = l->other[j];
        l->other[j] = swap;
    }
}

/* The class of the clip in a place, -1 = none. */
static int64_t place_target(const loader *l, size_t task, int64_t place) {
    int64_t own = l->d->task[task].label[l->clip[place]];
    if (l->through[place] < 0) {
        return l->through[place] == UNLABELLED ? -1 : own;
    }
    return resynth_target(l->generators, (size_t)l->through[place], task, own);
}

static void fill_targets(loader *l) {
    batch *b = &l->out;
    for (size_t task = 0; task < l->d->n_tasks; task++) {
        for (int64_t i = 0; i < b->plain; i++) {
            b->target[task][i] = place_target(l, task, i);
        }
        for (int64_t i = 0; i < b->mixed; i++) {
            b->target[task][b->plain + i] = place_target(l, task, l->one[i]);
            b->partner[task][i] = place_target(l, task, l->other[i]);
        }
    }
}

/* The next blocks of m into the places from `at` on; the place behind them. */
static int64_t draw_blocks(loader *l, matched *m, int64_t at, int64_t pairs, int64_t blocks) {
    int32_t untouched = l->r->matched.labels ? AS_IT_IS : UNLABELLED;
    for (int64_t k = 0; m && k < blocks; k++) {
        matched_draw(m, l->epoch, l->step, (uint64_t)k, l->block);
        for (int64_t i = 0; i < 2 * pairs; i++) {
            const matched_place *p = &l->block[i];
            l->clip[at + i] = p->clip;
            l->stretch[at + i] = (uint32_t)(at + (p->side == 0 ? 0 : pairs)); /* the first place of each recording */
            l->through[at + i] = m == l->transformed ? p->generator : untouched;
        }
        l->out.block[l->out.n_blocks++] = (losses_block){at, pairs};
        at += 2 * pairs;
    }
    return at;
}

/* Places: pairs of distinct classes, content-matched blocks, the rest. */
static void choose_clips(loader *l) {
    const recipe *r = l->r;
    int64_t at = r->per_class * r->pairs, behind = recipe_pair_rows(r);
    sampler_batch(l->sampler, l->epoch, l->step, l->clip);
    memmove(l->clip + behind, l->clip + at, (size_t)(r->batch - behind) * sizeof *l->clip);
    for (int64_t i = 0; i < r->batch; i++) {
        l->stretch[i] = (uint32_t)i;
        l->through[i] = AS_IT_IS;
    }
    l->out.n_blocks = 0;
    at = draw_blocks(l, l->matched, at, r->matched.pairs, r->matched.blocks);
    (void)draw_blocks(l, l->transformed, at, r->resynth.pairs, r->resynth.blocks);
}

spoor_status loader_batch(loader *l, compute *c, uint64_t epoch, uint64_t step, const batch **out, spoor_error *err) {
    l->epoch = epoch;
    l->step = step;
    choose_clips(l);
    plan(l);
    fill_targets(l);
    for (unsigned i = 0; i < l->threads; i++) {
        l->scratch[i].error.status = SPOOR_OK;
    }
    compute_for(c, l->r->batch, make_row, l);
    compute_for(c, mixes_waves(l) ? l->out.rows : 0, make_wave_row, l);
    for (unsigned i = 0; i < l->threads; i++) {
        if (l->scratch[i].error.status != SPOOR_OK) {
            return error_set(err, l->scratch[i].error.status, "%s", l->scratch[i].error.message);
        }
    }
    compute_for(c, l->out.waves || l->out.level != RECIPE_MIX_FEATURES ? 0 : l->out.mixed, mix_row, l);
    *out = &l->out;
    return SPOOR_OK;
}
