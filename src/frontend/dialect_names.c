/* dialect_names.c: what each kind of checkpoint calls the parameters of an encoder. */
#include "frontend/dialect_internal.h"
#include <stdio.h>
#include <string.h>

/* ---- which language ---- */

/* A file speaks a language where both names are there behind one prefix. In this order: WavLM's files are fairseq's
 * with something added. */
static const struct {
    dialect_language language;
    const char *anchor, *second;
} LANGUAGES[] = {
    {DIALECT_HF, "feature_extractor.conv_layers.0.conv.weight", "feature_projection.projection.weight"},
    {DIALECT_TORCHAUDIO, "feature_extractor.conv_layers.0.conv.weight", "encoder.feature_projection.projection.weight"},
    {DIALECT_WAVLM, "feature_extractor.conv_layers.0.0.weight",
     "encoder.layers.0.self_attn.relative_attention_bias.weight"},
    {DIALECT_FAIRSEQ, "feature_extractor.conv_layers.0.0.weight", "post_extract_proj.weight"},
    {DIALECT_HF_WHISPER, "conv1.weight", "layers.0.self_attn.q_proj.weight"},
    {DIALECT_OPENAI, "encoder.conv1.weight", "encoder.blocks.0.attn.query.weight"},
};

static bool has(const weights *w, const char *prefix, size_t n, const char *rest) {
    char name[SAFETENSORS_MAX_NAME + DIALECT_NAME];
    int length = snprintf(name, sizeof name, "%.*s%s", (int)n, prefix, rest);
    return length > 0 && (size_t)length < sizeof name && weights_find(w, name) != NULL;
}

/* Of several encoders in one file the one with the shortest prefix, of equals the first. */
bool dialect_recognise(const weights *w, dialect_language *language, const char **anchor, size_t *prefix) {
    bool found = false;
    for (size_t k = 0; k < sizeof LANGUAGES / sizeof *LANGUAGES; k++) {
        size_t tail = strlen(LANGUAGES[k].anchor);
        for (size_t i = 0; i < weights_count(w); i++) {
            const char *name = weights_at(w, i)->name;
            size_t length = strlen(name), before = length - tail;
            if (length < tail || length > SAFETENSORS_MAX_NAME || strcmp(name + before, LANGUAGES[k].anchor) != 0 ||
                (before > 0 && name[before - 1] != '.') || (found && before >= *prefix) ||
                !has(w, name, before, LANGUAGES[k].second)) {
                continue;
            }
            found = true;
            *language = LANGUAGES[k].language;
            *anchor = name;
            *prefix = before;
        }
    }
    return found;
}

/* ---- names in two languages ---- */

/* Beginnings of names: '#' stands for a number; what follows is the same in both. The first that fits counts. */
typedef struct rule {
    const char *ours, *theirs;
} rule;

#define CONV "feature_extractor.conv_layers.#"
#define LAYER "encoder.layers.#"

static const rule TORCHAUDIO[] = {
    {"feature_extractor.", "feature_extractor."},
    {"feature_projection.", "encoder.feature_projection."},
    {"encoder.", "encoder.transformer."},
    {NULL, NULL},
};

/* Microsoft's WavLM adds three names to fairseq's. */
static const rule FAIRSEQ[] = {
    {CONV ".conv.", CONV ".0."},
    {CONV ".layer_norm.", CONV ".2."},
    {"feature_projection.layer_norm.", "layer_norm."},
    {"feature_projection.projection.", "post_extract_proj."},
    {"encoder.pos_conv_embed.conv.", "encoder.pos_conv.0."},
    {"encoder.layer_norm.", "encoder.layer_norm."},
    {LAYER ".attention.rel_attn_embed.", LAYER ".self_attn.relative_attention_bias."},
    {LAYER ".attention.gru_rel_pos_linear.", LAYER ".self_attn.grep_linear."},
    {LAYER ".attention.gru_rel_pos_const", LAYER ".self_attn.grep_a"},
    {LAYER ".attention.", LAYER ".self_attn."},
    {LAYER ".layer_norm.", LAYER ".self_attn_layer_norm."},
    {LAYER ".feed_forward.intermediate_dense.", LAYER ".fc1."},
    {LAYER ".feed_forward.output_dense.", LAYER ".fc2."},
    {LAYER ".final_layer_norm.", LAYER ".final_layer_norm."},
    {NULL, NULL},
};
static const rule FAIRSEQ_LAYER_NORM[] = {{CONV ".layer_norm.", CONV ".2.1."}, {NULL, NULL}};

static const rule OPENAI[] = {
    {"conv", "encoder.conv"},
    {"embed_positions.weight", "encoder.positional_embedding"},
    {"layers.#.self_attn_layer_norm.", "encoder.blocks.#.attn_ln."},
    {"layers.#.self_attn.q_proj.", "encoder.blocks.#.attn.query."},
    {"layers.#.self_attn.k_proj.", "encoder.blocks.#.attn.key."},
    {"layers.#.self_attn.v_proj.", "encoder.blocks.#.attn.value."},
    {"layers.#.self_attn.out_proj.", "encoder.blocks.#.attn.out."},
    {"layers.#.final_layer_norm.", "encoder.blocks.#.mlp_ln."},
    {"layers.#.fc1.", "encoder.blocks.#.mlp.0."},
    {"layers.#.fc2.", "encoder.blocks.#.mlp.2."},
    {"layer_norm.", "encoder.ln_post."},
    {NULL, NULL},
};

static const rule SAME[] = {{"", ""}, {NULL, NULL}};

/* What of `name` follows the pattern, NULL where it does not fit; *number is that of '#'. */
static const char *fit(const char *pattern, const char *name, int *number) {
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '#') {
            if (*name++ != *pattern) {
                return NULL;
            }
            continue;
        }
        const char *start = name;
        *number = 0;
        for (; *name >= '0' && *name <= '9' && name - start < 4; name++) {
            *number = 10 * *number + (*name - '0');
        }
        if (name == start) {
            return NULL;
        }
    }
    return name;
}

static bool translate(const rule *rules, const char *name, char out[DIALECT_NAME]) {
    for (; rules->ours != NULL; rules++) {
        int number = 0;
        const char *rest = fit(rules->ours, name, &number), *mark = strchr(rules->theirs, '#');
        if (rest == NULL) {
            continue;
        }
        int n = mark == NULL ? snprintf(out, DIALECT_NAME, "%s%s", rules->theirs, rest)
                             : snprintf(out, DIALECT_NAME, "%.*s%d%s%s", (int)(mark - rules->theirs), rules->theirs,
                                        number, mark + 1, rest);
        return n > 0 && n < DIALECT_NAME;
    }
    return false;
}

bool dialect_theirs(dialect_language language, bool layer_norm, const char *name, char out[DIALECT_NAME]) {
    switch (language) {
    case DIALECT_TORCHAUDIO: return translate(TORCHAUDIO, name, out);
    case DIALECT_WAVLM:
    case DIALECT_FAIRSEQ:
        return (layer_norm && translate(FAIRSEQ_LAYER_NORM, name, out)) || translate(FAIRSEQ, name, out);
    case DIALECT_OPENAI: return translate(OPENAI, name, out);
    case DIALECT_HF:
    case DIALECT_HF_WHISPER: break;
    }
    return translate(SAME, name, out);
}

/* ---- all names of an encoder ---- */

typedef struct listing {
    dialect_name_fn fn;
    void *user;
    spoor_error *err;
    spoor_status status; /* of the first call that failed */
} listing;

/* begin, number (if not negative), rest. */
static void list_one(listing *l, const char *begin, int64_t number, const char *rest) {
    char name[DIALECT_NAME];
    if (l->status == SPOOR_OK) {
        if (number < 0) {
            (void)snprintf(name, sizeof name, "%s%s", begin, rest);
        } else {
            (void)snprintf(name, sizeof name, "%s%d.%s", begin, (int)number, rest);
        }
        l->status = l->fn(l->user, name, l->err);
    }
}

static void list_both(listing *l, const char *begin, int64_t number, const char *part) {
    char rest[DIALECT_NAME / 2];
    (void)snprintf(rest, sizeof rest, "%s.weight", part);
    list_one(l, begin, number, rest);
    (void)snprintf(rest, sizeof rest, "%s.bias", part);
    list_one(l, begin, number, rest);
}

static void list_wav2vec2_layer(listing *l, const encoder_sizes *s, int64_t i) {
    static const char *const parts[] = {"attention.q_proj",   "attention.k_proj",
                                        "attention.v_proj",   "attention.out_proj",
                                        "layer_norm",         "feed_forward.intermediate_dense",
                                        "feed_forward.output_dense", "final_layer_norm"};
    const char *layers = "encoder.layers.";
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        list_both(l, layers, i, parts[k]);
    }
    if (s->kind == ENCODER_WAVLM) {
        list_both(l, layers, i, "attention.gru_rel_pos_linear");
        list_one(l, layers, i, "attention.gru_rel_pos_const");
        if (i == 0) {
            list_one(l, layers, i, "attention.rel_attn_embed.weight");
        }
    }
}

static void list_wav2vec2(listing *l, const encoder_sizes *s) {
    const char *convs = "feature_extractor.conv_layers.";
    for (int64_t i = 0; i < s->n_convs; i++) {
        list_one(l, convs, i, "conv.weight");
        if (s->conv_bias) {
            list_one(l, convs, i, "conv.bias");
        }
        if (s->conv_layer_norm || i == 0) {
            list_both(l, convs, i, "layer_norm");
        }
    }
    list_both(l, "feature_projection.", -1, "layer_norm");
    list_both(l, "feature_projection.", -1, "projection");
    list_both(l, "encoder.", -1, "pos_conv_embed.conv");
    list_both(l, "encoder.", -1, "layer_norm");
    for (int64_t i = 0; i < s->layers; i++) {
        list_wav2vec2_layer(l, s, i);
    }
}

static void list_whisper(listing *l, const encoder_sizes *s) {
    static const char *const parts[] = {"self_attn_layer_norm", "self_attn.q_proj", "self_attn.v_proj",
                                        "self_attn.out_proj",   "final_layer_norm", "fc1", "fc2"};
    list_both(l, "", -1, "conv1");
    list_both(l, "", -1, "conv2");
    list_one(l, "", -1, "embed_positions.weight");
    for (int64_t i = 0; i < s->layers; i++) {
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            list_both(l, "layers.", i, parts[k]);
        }
        list_one(l, "layers.", i, "self_attn.k_proj.weight");
    }
    list_both(l, "", -1, "layer_norm");
}

spoor_status dialect_each_name(const encoder_sizes *s, dialect_name_fn fn, void *user, spoor_error *err) {
    listing l = {fn, user, err, SPOOR_OK};
    if (s->kind == ENCODER_WHISPER) {
        list_whisper(&l, s);
    } else {
        list_wav2vec2(&l, s);
    }
    return l.status;
}
