/* dialect_sizes.c: the architecture of a checkpoint: its configuration's, else from names and shapes.
 *
 * What shapes do not show, and what is taken instead:
 *   strides          5,2,2,2,2,2,2 where the kernels are 10,3,3,3,3,2,2, which all published models of the family have;
 *                    other kernels are refused
 *   heads            64 columns each, as in every published model, but for the widths 1280 and 1920 of the wav2vec 2.0
 *                    family, which have 16 heads (XLS-R 1B and 2B, HuBERT extra large); WavLM's table and a ggml file's
 *                    header say how many
 *   pre-LN           where every convolution has a layer norm, post-LN where only the first has a (group) norm: so
 *                    it is in every published wav2vec 2.0, XLS-R, HuBERT and WavLM
 *   WavLM's reach    a max_bucket_distance of 800
 * HuBERT and wav2vec 2.0 are one network; they are told apart by a prefix or by what is trained beside them. */
#include "frontend/dialect_internal.h"
#include <stdio.h>
#include <string.h>

enum { SIZES_HEAD = 64, SIZES_REACH = 800 };

static const int64_t KERNELS[] = {10, 3, 3, 3, 3, 2, 2}, STRIDES[] = {5, 2, 2, 2, 2, 2, 2};

/* The tensor of a parameter, which must have this rank. */
static spoor_status need(const dialect *d, const char *name, int rank, const weights_tensor **out, spoor_error *err) {
    *out = dialect_tensor(d, name, NULL);
    if (*out == NULL) {
        return dialect_missing(d, name, err);
    }
    if ((*out)->count == 0) { /* one that cannot be read at all has no shape: reading it says why */
        float nothing;
        TRY(weights_read(d->w, *out, &nothing, err));
    }
    if ((*out)->rank != rank) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %s (parameter %s) has %d dimensions and must have %d",
                         weights_path(d->w), (*out)->name, name, (*out)->rank, rank);
    }
    return SPOOR_OK;
}

/* How many of "BEGIN0REST", "BEGIN1REST", ... there are, at most `most` + 1. */
static int64_t count_of(const dialect *d, const char *begin, const char *rest, int64_t most) {
    int64_t n = 0;
    for (; n <= most; n++) {
        char name[DIALECT_NAME];
        (void)snprintf(name, sizeof name, "%s%d%s", begin, (int)n, rest);
        if (dialect_tensor(d, name, NULL) == NULL) {
            break;
        }
    }
    return n;
}

static spoor_status too_many(const dialect *d, const char *what, int most, spoor_error *err) {
    return error_set(err, SPOOR_ERR_MODEL, "%s has more than %d %s", weights_path(d->w), most, what);
}

/* ---- wav2vec 2.0 family ---- */

static spoor_status find_convs(dialect *d, encoder_sizes *s, spoor_error *err) {
    s->n_convs = count_of(d, "feature_extractor.conv_layers.", ".conv.weight", ENCODER_MAX_CONVS);
    if (s->n_convs > ENCODER_MAX_CONVS) {
        return too_many(d, "convolutions", ENCODER_MAX_CONVS, err);
    }
    bool known = s->n_convs == (int64_t)(sizeof KERNELS / sizeof *KERNELS);
    for (int64_t i = 0; i < s->n_convs; i++) {
        char name[DIALECT_NAME];
        const weights_tensor *t;
        (void)snprintf(name, sizeof name, "feature_extractor.conv_layers.%d.conv.weight", (int)i);
        TRY(need(d, name, 3, &t, err));
        s->conv_dim[i] = t->shape[0];
        s->conv_kernel[i] = t->shape[2];
        known = known && t->shape[2] == KERNELS[i];
        s->conv_stride[i] = known ? STRIDES[i] : 1;
    }
    if (!known) {
        return error_set(err, SPOOR_ERR_MODEL, "%s does not say the strides of its convolutions, whose kernels are not "
                         "10,3,3,3,3,2,2: put it into a folder with the config.json of Hugging Face, which has "
                         "conv_stride", weights_path(d->w));
    }
    s->conv_bias = dialect_tensor(d, "feature_extractor.conv_layers.0.conv.bias", NULL) != NULL;
    return SPOOR_OK;
}

static spoor_status find_positions(dialect *d, encoder_sizes *s, spoor_error *err) {
    const weights_tensor *t;
    TRY(need(d, "encoder.pos_conv_embed.conv.weight", 3, &t, err));
    s->pos_kernel = t->shape[2];
    if (t->shape[1] < 1 || s->width % t->shape[1] != 0) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: the tensor %s (the positional convolution) has %lld channels in a "
                         "group, which must divide the width %lld", weights_path(d->w), t->name, (long long)t->shape[1],
                         (long long)s->width);
    }
    s->pos_groups = s->width / t->shape[1];
    return SPOOR_OK;
}

static bool prefix_says(const dialect *d, const char *word) {
    const char *at = strstr(d->prefix, word);
    return at != NULL && (at == d->prefix || at[-1] == '.');
}

/* final_proj without a quantiser, or embeddings of the clusters: what HuBERT is trained with. */
static bool is_hubert(const dialect *d) {
    bool quantiser = false, projection = false, labels = false;
    for (size_t i = 0; i < weights_count(d->w); i++) {
        const char *name = weights_at(d->w, i)->name;
        quantiser = quantiser || strstr(name, "quantizer.") != NULL;
        projection = projection || strstr(name, "final_proj.") != NULL;
        labels = labels || strstr(name, "label_embs_concat") != NULL;
    }
    return prefix_says(d, "hubert.") || labels || (projection && !quantiser);
}

static spoor_status find_wavlm(dialect *d, encoder_sizes *s, spoor_error *err) {
    const weights_tensor *t;
    TRY(need(d, "encoder.layers.0.attention.rel_attn_embed.weight", 2, &t, err));
    s->kind = ENCODER_WAVLM;
    s->buckets = t->shape[0];
    s->heads = t->shape[1];
    s->max_distance = SIZES_REACH;
    return SPOOR_OK;
}

static spoor_status find_wav2vec2(dialect *d, encoder_sizes *s, spoor_error *err) {
    const weights_tensor *t;
    TRY(find_convs(d, s, err));
    TRY(need(d, "feature_projection.projection.weight", 2, &t, err));
    s->width = t->shape[0];
    s->layers = count_of(d, "encoder.layers.", ".attention.q_proj.weight", ENCODER_MAX_LAYERS);
    if (s->layers > ENCODER_MAX_LAYERS) {
        return too_many(d, "layers", ENCODER_MAX_LAYERS, err);
    }
    TRY(need(d, "encoder.layers.0.feed_forward.intermediate_dense.weight", 2, &t, err));
    s->ff = t->shape[0];
    TRY(find_positions(d, s, err));
    s->pre_norm = s->conv_layer_norm;
    s->heads = s->width == 1280 || s->width == 1920 ? 16 : s->width / SIZES_HEAD;
    s->eps = 1e-5;
    s->kind = is_hubert(d) ? ENCODER_HUBERT : ENCODER_WAV2VEC2;
    bool table = dialect_tensor(d, "encoder.layers.0.attention.rel_attn_embed.weight", NULL) != NULL;
    return table ? find_wavlm(d, s, err) : SPOOR_OK;
}

/* ---- Whisper ---- */

/* Of a ggml file's header, or of the "dims" beside OpenAI's weights; 0 where there is none. */
static int64_t heads_of(const dialect *d) {
    const json_t *config = weights_config(d->w), *dims = json_object_get(config, "dims");
    return json_integer_value(json_object_get(dims != NULL ? dims : config, "n_audio_head"));
}

static spoor_status find_whisper(dialect *d, encoder_sizes *s, spoor_error *err) {
    const weights_tensor *t;
    s->kind = ENCODER_WHISPER;
    TRY(need(d, "conv1.weight", 3, &t, err));
    s->width = t->shape[0];
    s->mels = t->shape[1];
    TRY(need(d, "embed_positions.weight", 2, &t, err));
    s->positions = t->shape[0];
    s->layers = count_of(d, "layers.", ".self_attn.q_proj.weight", ENCODER_MAX_LAYERS);
    if (s->layers > ENCODER_MAX_LAYERS) {
        return too_many(d, "layers", ENCODER_MAX_LAYERS, err);
    }
    TRY(need(d, "layers.0.fc1.weight", 2, &t, err));
    s->ff = t->shape[0];
    s->heads = heads_of(d) > 0 ? heads_of(d) : s->width / SIZES_HEAD;
    return SPOOR_OK;
}

/* ---- both ---- */

/* encoder_sizes_from_json, with the file's name in the sentence. */
static spoor_status parse(dialect *d, const json_t *config, encoder_sizes *s, spoor_error *err) {
    spoor_error inner = {0};
    spoor_status status = encoder_sizes_from_json(config, s, &inner);
    if (status == SPOOR_ERR_USAGE) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: %s", weights_path(d->w), inner.message);
    }
    if (status != SPOOR_OK && err != NULL) {
        *err = inner;
    }
    return status;
}

/* Sizes that shapes gave, held to the same limits as those of a config.json. */
static spoor_status check(dialect *d, encoder_sizes *s, spoor_error *err) {
    if (s->heads < 1 || s->width % s->heads != 0) {
        return error_set(err, SPOOR_ERR_MODEL, "%s does not say how many attention heads it has, and its width %lld is "
                         "no multiple of %d: put it into a folder with the config.json of Hugging Face",
                         weights_path(d->w), (long long)s->width, SIZES_HEAD);
    }
    json_t *description = encoder_describe(s);
    if (description == NULL) {
        return error_memory(err, "describing an encoder");
    }
    spoor_status status = parse(d, description, s, err);
    json_decref(description);
    return status;
}

static bool speaks_whisper(const dialect *d) {
    return d->language == DIALECT_HF_WHISPER || d->language == DIALECT_OPENAI;
}

/* A configuration that is not about these tensors would give other numbers without a word. */
static spoor_status check_kind(const dialect *d, spoor_error *err) {
    bool table = dialect_tensor(d, "encoder.layers.0.attention.rel_attn_embed.weight", NULL) != NULL;
    if (speaks_whisper(d) != (d->sizes.kind == ENCODER_WHISPER)) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: its configuration and its tensors are not of one kind of encoder "
                         "(model_type)", weights_path(d->w));
    }
    if (table && d->sizes.kind != ENCODER_WAVLM) {
        return error_set(err, SPOOR_ERR_MODEL, "%s holds WavLM's relative positions, but its model_type is not "
                         "\"wavlm\"", weights_path(d->w));
    }
    return SPOOR_OK;
}

static bool describes(const json_t *config) { return json_is_string(json_object_get(config, "model_type")); }

spoor_status dialect_find_sizes(dialect *d, spoor_error *err) {
    const json_t *config = weights_config(d->w);
    encoder_sizes *s = &d->sizes;
    /* config.json, or the same as a string in the metadata of a safetensors file. */
    const char *text = json_string_value(json_object_get(config, "config"));
    json_t *inside = text == NULL ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (describes(config) || describes(inside)) {
        spoor_status status = parse(d, describes(config) ? config : inside, s, err);
        json_decref(inside);
        TRY(status);
        return check_kind(d, err);
    }
    json_decref(inside);
    if (!speaks_whisper(d)) {
        /* fairseq names the norms differently in the two: asked for before dialect_tensor is. */
        s->conv_layer_norm = true;
        s->conv_layer_norm = dialect_tensor(d, "feature_extractor.conv_layers.1.layer_norm.weight", NULL) != NULL;
    }
    TRY(speaks_whisper(d) ? find_whisper(d, s, err) : find_wav2vec2(d, s, err));
    return check(d, s, err);
}
