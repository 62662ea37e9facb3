/* encoder_sizes.c: the architecture of an encoder from and to JSON with Hugging Face's keys, and its frames; see
 * encoder.h. */
#include "base/config.h"
#include "frontend/encoder.h"
#include <string.h>

enum {
    SIZES_MAX_WIDTH = 8192,
    SIZES_MAX_FF = 65536,
    SIZES_MAX_HEADS = 256,
    SIZES_MAX_KERNEL = 1024,
    SIZES_MAX_STRIDE = 64,
    SIZES_MAX_HOP = 1 << 20, /* samples from one frame to the next */
    SIZES_MAX_POSITIONS = 100000
};

const char *const ENCODER_KINDS[] = {"wav2vec2", "hubert", "wavlm", "whisper", NULL}; /* encoder_kind */
static const char WHERE[] = "encoder";

static spoor_status read_kind(const json_t *config, encoder_kind *out, spoor_error *err) {
    const char *type = json_string_value(json_object_get(config, "model_type"));
    for (size_t i = 0; type != NULL && ENCODER_KINDS[i] != NULL; i++) {
        if (strcmp(type, ENCODER_KINDS[i]) == 0) {
            *out = (encoder_kind)i;
            return SPOOR_OK;
        }
    }
    if (type == NULL) {
        return error_set(err, SPOOR_ERR_USAGE, "encoder.model_type is missing: it must be wav2vec2, hubert, wavlm or "
                                               "whisper");
    }
    return error_set(err, SPOOR_ERR_USAGE,
                     "encoder.model_type \"%.64s\" is not built in: it must be wav2vec2, hubert, wavlm or whisper",
                     type);
}

/* A list of 1 .. ENCODER_MAX_CONVS numbers, or the default. */
static spoor_status read_list(const json_t *config, const char *key, int64_t max, int64_t *out, int64_t *n,
                              spoor_error *err) {
    const json_t *list = json_object_get(config, key);
    if (list == NULL) {
        return SPOOR_OK;
    }
    size_t size = json_array_size(list);
    if (!json_is_array(list) || size < 1 || size > ENCODER_MAX_CONVS) {
        return error_set(err, SPOOR_ERR_USAGE, "%s.%s must be a list of 1 to %d whole numbers", WHERE, key,
                         ENCODER_MAX_CONVS);
    }
    for (size_t i = 0; i < size; i++) {
        const json_t *v = json_array_get(list, i);
        out[i] = json_integer_value(v);
        if (!json_is_integer(v) || out[i] < 1 || out[i] > max) {
            return error_set(err, SPOOR_ERR_USAGE, "%s.%s must hold whole numbers from 1 to %lld", WHERE, key,
                             (long long)max);
        }
    }
    *n = (int64_t)size;
    return SPOOR_OK;
}

static spoor_status read_convs(const json_t *config, encoder_sizes *s, spoor_error *err) {
    static const int64_t kernel[] = {10, 3, 3, 3, 3, 2, 2}, stride[] = {5, 2, 2, 2, 2, 2, 2};
    int64_t n[3] = {7, 7, 7};
    for (int i = 0; i < 7; i++) {
        s->conv_dim[i] = 512;
        s->conv_kernel[i] = kernel[i];
        s->conv_stride[i] = stride[i];
    }
    TRY(read_list(config, "conv_dim", SIZES_MAX_WIDTH, s->conv_dim, &n[0], err));
    TRY(read_list(config, "conv_kernel", SIZES_MAX_KERNEL, s->conv_kernel, &n[1], err));
    TRY(read_list(config, "conv_stride", SIZES_MAX_STRIDE, s->conv_stride, &n[2], err));
    if (n[0] != n[1] || n[0] != n[2]) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "encoder.conv_dim, conv_kernel and conv_stride must be of one length, not %lld, %lld and %lld",
                         (long long)n[0], (long long)n[1], (long long)n[2]);
    }
    s->n_convs = n[0];
    int64_t hop = 1;
    for (int64_t i = 0; i < s->n_convs; i++) {
        hop *= s->conv_stride[i];
        if (hop > SIZES_MAX_HOP) {
            return error_set(err, SPOOR_ERR_USAGE, "encoder.conv_stride leaves more than %d samples to a frame",
                             SIZES_MAX_HOP);
        }
    }
    return SPOOR_OK;
}

/* Refuse by name what would change the numbers and is not built in. */
static spoor_status refuse_others(const json_t *config, spoor_error *err) {
    static const char *const acts[] = {"hidden_act", "feat_extract_activation", "activation_function"};
    static const char *const off[] = {"add_adapter", "conv_pos_batch_norm"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        const char *act = json_string_value(json_object_get(config, acts[i]));
        if (act != NULL && strcmp(act, "gelu") != 0) {
            return error_set(err, SPOOR_ERR_USAGE, "encoder.%s is \"%.64s\": only \"gelu\" is built in", acts[i], act);
        }
    }
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        if (json_is_true(json_object_get(config, off[i]))) {
            return error_set(err, SPOOR_ERR_USAGE, "encoder.%s is true: that is not built in", off[i]);
        }
    }
    if (json_is_false(json_object_get(config, "feat_proj_layer_norm"))) {
        return error_set(err, SPOOR_ERR_USAGE, "encoder.feat_proj_layer_norm is false: that is not built in");
    }
    if (json_is_integer(json_object_get(config, "adapter_attn_dim"))) {
        return error_set(err, SPOOR_ERR_USAGE, "encoder.adapter_attn_dim is set: attention adapters are not built in");
    }
    return SPOOR_OK;
}

static spoor_status read_wav2vec2(const json_t *config, encoder_sizes *s, spoor_error *err) {
    static const char *const norms[] = {"group", "layer", NULL};
    int norm;
    TRY(config_int(config, WHERE, "hidden_size", 768, 1, SIZES_MAX_WIDTH, &s->width, err));
    TRY(config_int(config, WHERE, "num_hidden_layers", 12, 0, ENCODER_MAX_LAYERS, &s->layers, err));
    TRY(config_int(config, WHERE, "num_attention_heads", 12, 1, SIZES_MAX_HEADS, &s->heads, err));
    TRY(config_int(config, WHERE, "intermediate_size", 3072, 1, SIZES_MAX_FF, &s->ff, err));
    TRY(read_convs(config, s, err));
    TRY(config_bool(config, WHERE, "conv_bias", false, &s->conv_bias, err));
    TRY(config_choice(config, WHERE, "feat_extract_norm", norms, 0, &norm, err));
    s->conv_layer_norm = norm == 1;
    TRY(config_bool(config, WHERE, "do_stable_layer_norm", false, &s->pre_norm, err));
    TRY(config_int(config, WHERE, "num_conv_pos_embeddings", 128, 1, SIZES_MAX_KERNEL, &s->pos_kernel, err));
    TRY(config_int(config, WHERE, "num_conv_pos_embedding_groups", 16, 1, SIZES_MAX_WIDTH, &s->pos_groups, err));
    if (s->width % s->pos_groups != 0) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "encoder.hidden_size (%lld) must be a multiple of num_conv_pos_embedding_groups (%lld)",
                         (long long)s->width, (long long)s->pos_groups);
    }
    if (s->kind == ENCODER_WAVLM) {
        TRY(config_int(config, WHERE, "num_buckets", 320, 4, SIZES_MAX_POSITIONS, &s->buckets, err));
        TRY(config_int(config, WHERE, "max_bucket_distance", 800, 2, SIZES_MAX_POSITIONS, &s->max_distance, err));
        if (s->max_distance <= s->buckets / 4) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "encoder.max_bucket_distance (%lld) must be more than a fourth of num_buckets (%lld)",
                             (long long)s->max_distance, (long long)s->buckets);
        }
    }
    return config_number(config, WHERE, "layer_norm_eps", 1e-5, 0, 1, &s->eps, err);
}

static spoor_status read_whisper(const json_t *config, encoder_sizes *s, spoor_error *err) {
    TRY(config_int(config, WHERE, "d_model", 384, 2, SIZES_MAX_WIDTH, &s->width, err));
    TRY(config_int(config, WHERE, "encoder_layers", 4, 0, ENCODER_MAX_LAYERS, &s->layers, err));
    TRY(config_int(config, WHERE, "encoder_attention_heads", 6, 1, SIZES_MAX_HEADS, &s->heads, err));
    TRY(config_int(config, WHERE, "encoder_ffn_dim", 1536, 1, SIZES_MAX_FF, &s->ff, err));
    TRY(config_int(config, WHERE, "num_mel_bins", 80, 1, 1024, &s->mels, err));
    s->eps = 1e-5;
    s->pre_norm = true;
    return config_int(config, WHERE, "max_source_positions", 1500, 1, SIZES_MAX_POSITIONS, &s->positions, err);
}

spoor_status encoder_sizes_from_json(const json_t *config, encoder_sizes *out, spoor_error *err) {
    encoder_sizes s = {0};
    *out = s;
    if (!json_is_object(config)) {
        return error_set(err, SPOOR_ERR_USAGE, "the description of an encoder must be a mapping of names to values");
    }
    TRY(read_kind(config, &s.kind, err));
    TRY(refuse_others(config, err));
    TRY(s.kind == ENCODER_WHISPER ? read_whisper(config, &s, err) : read_wav2vec2(config, &s, err));
    if (s.width % s.heads != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "the encoder's width (%lld) must be a multiple of its attention heads "
                                               "(%lld)",
                         (long long)s.width, (long long)s.heads);
    }
    *out = s;
    return SPOOR_OK;
}

static json_t *list_of(const int64_t *values, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; list != NULL && i < n; i++) {
        if (json_array_append_new(list, json_integer(values[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *encoder_describe(const encoder_sizes *s) {
    const char *type = ENCODER_KINDS[s->kind];
    if (s->kind == ENCODER_WHISPER) {
        return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "model_type", type, "d_model", (json_int_t)s->width,
                         "encoder_layers", (json_int_t)s->layers, "encoder_attention_heads", (json_int_t)s->heads,
                         "encoder_ffn_dim", (json_int_t)s->ff, "num_mel_bins", (json_int_t)s->mels,
                         "max_source_positions", (json_int_t)s->positions);
    }
    json_t *d = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:b, s:s, s:b, s:I, s:I, s:f}", "model_type", type, "hidden_size",
        (json_int_t)s->width, "num_hidden_layers", (json_int_t)s->layers, "num_attention_heads", (json_int_t)s->heads,
        "intermediate_size", (json_int_t)s->ff, "conv_dim", list_of(s->conv_dim, s->n_convs), "conv_kernel",
        list_of(s->conv_kernel, s->n_convs), "conv_stride", list_of(s->conv_stride, s->n_convs), "conv_bias",
        (int)s->conv_bias, "feat_extract_norm", s->conv_layer_norm ? "layer" : "group", "do_stable_layer_norm",
        (int)s->pre_norm, "num_conv_pos_embeddings", (json_int_t)s->pos_kernel, "num_conv_pos_embedding_groups",
        (json_int_t)s->pos_groups, "layer_norm_eps", s->eps);
    if (d != NULL && s->kind == ENCODER_WAVLM &&
        (json_object_set_new(d, "num_buckets", json_integer(s->buckets)) != 0 ||
         json_object_set_new(d, "max_bucket_distance", json_integer(s->max_distance)) != 0)) {
        json_decref(d);
        return NULL;
    }
    return d;
}

/* ---- frames ---- */

int64_t encoder_frames(const encoder_sizes *s, int64_t in) {
    if (s->kind == ENCODER_WHISPER) { /* kernel 3, padding 1, stride 1 and then 2 */
        return in < 1 ? 0 : (in - 1) / 2 + 1;
    }
    for (int64_t i = 0; i < s->n_convs; i++) {
        in = in < s->conv_kernel[i] ? 0 : (in - s->conv_kernel[i]) / s->conv_stride[i] + 1;
    }
    return in;
}

int64_t encoder_least(const encoder_sizes *s) {
    int64_t n = 1;
    for (int64_t i = s->kind == ENCODER_WHISPER ? 0 : s->n_convs; i-- > 0;) {
        n = (n - 1) * s->conv_stride[i] + s->conv_kernel[i];
    }
    return n;
}
