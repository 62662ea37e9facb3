/* fuzz_dialect.c: a tiny encoder's checkpoint in any language, spoilt as the bytes say: tensors left out, renamed, with
 * other shapes and types; and any configuration beside it. Where it is accepted, every parameter is read.
 *   [language] [bits: norm, bias, form of weight norm] [n] n * [tensor, kind of change, dimension, value] configuration
 */
#define _GNU_SOURCE
#include "frontend/dialect_internal.h"
#include "target.h"

enum { MOST_BYTES = 4 << 20, HEADER = 1 << 16, CHANGE = 4 };

typedef struct maker {
    const uint8_t *change; /* [n][CHANGE] */
    size_t n, tensors, bytes, length;
    dialect_language language;
    bool layer_norm, full;
    int form; /* of weight norm: none, _g and _v, parametrizations */
    char header[HEADER];
} maker;

static bool ends(const char *name, const char *with) {
    size_t n = strlen(name), m = strlen(with);
    return n >= m && strcmp(name + n - m, with) == 0;
}

/* PyTorch's shape of a parameter of the tiny encoders. */
static int shape_of(const char *name, int64_t shape[SAFETENSORS_MAX_RANK]) {
    static const int taps[] = {10, 3, 3, 3, 3, 2, 2};
    static const struct {
        const char *end;
        int rank;
        int64_t shape[4];
    } table[] = {
        {"pos_conv_embed.conv.weight", 3, {64, 4, 4}},
        {"pos_conv_embed.conv.bias", 1, {64}},
        {"rel_attn_embed.weight", 2, {32, 2}},
        {"gru_rel_pos_linear.weight", 2, {8, 32}},
        {"gru_rel_pos_linear.bias", 1, {8}},
        {"gru_rel_pos_const", 4, {1, 2, 1, 1}},
        {"feature_projection.projection.weight", 2, {64, 2}},
        {"feature_projection.layer_norm.weight", 1, {2}},
        {"feature_projection.layer_norm.bias", 1, {2}},
        {"intermediate_dense.weight", 2, {8, 64}},
        {"output_dense.weight", 2, {64, 8}},
        {"fc1.weight", 2, {8, 64}},
        {"fc2.weight", 2, {64, 8}},
        {"intermediate_dense.bias", 1, {8}},
        {"fc1.bias", 1, {8}},
        {"conv1.weight", 3, {64, 4, 3}},
        {"conv2.weight", 3, {64, 64, 3}},
        {"embed_positions.weight", 2, {5, 64}},
        {"proj.weight", 2, {64, 64}},
    };
    int conv = 0;
    if (sscanf(name, "feature_extractor.conv_layers.%d.", &conv) == 1) {
        shape[0] = 2;
        shape[1] = conv == 0 ? 1 : 2;
        shape[2] = taps[conv % 7];
        return ends(name, ".conv.weight") ? 3 : 1;
    }
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (ends(name, table[i].end)) {
            memcpy(shape, table[i].shape, sizeof table[i].shape);
            return table[i].rank;
        }
    }
    shape[0] = 64;
    return 1;
}

/* One tensor into the header, with the changes that are meant for it. */
static void put(maker *m, const char *name, const char *rest, int rank, int64_t shape[SAFETENSORS_MAX_RANK]) {
    static const char *const types[] = {"F32", "F16", "BF16", "F64", "I8", "U8", "I32"};
    size_t type = 0, number = m->tensors++;
    char suffix[2] = "";
    for (size_t i = 0; i < m->n; i++) {
        const uint8_t *c = m->change + CHANGE * i;
        if (c[0] != number) {
            continue;
        }
        switch (c[1] % 5) {
        case 0: return;
        case 1: shape[c[2] % SAFETENSORS_MAX_RANK] = c[3]; break;
        case 2: rank = c[3] % 5; break;
        case 3: type = c[3] % 7; break;
        default: suffix[0] = (char)('a' + c[3] % 26); break;
        }
    }
    safetensors_dtype dtype = SAFETENSORS_F32;
    while (strcmp(safetensors_dtype_name(dtype), types[type]) != 0) {
        dtype++;
    }
    size_t count = safetensors_dtype_size(dtype);
    char dims[120] = "";
    int n = 0;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)shape[i];
        n += snprintf(dims + n, sizeof dims - (size_t)n, "%s%d", i == 0 ? "" : ",", (int)shape[i]);
    }
    if (count > MOST_BYTES || m->bytes + count > MOST_BYTES || m->length > HEADER - 1000) {
        m->full = true;
        return;
    }
    m->length += (size_t)snprintf(m->header + m->length, HEADER - m->length,
                                  "%s\"%s%s%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                  m->length == 0 ? "{" : ",", name, rest, suffix, types[type], dims, m->bytes,
                                  m->bytes + count);
    m->bytes += count;
}

static spoor_status add(void *user, const char *name, spoor_error *err) {
    maker *m = user;
    (void)err;
    char theirs[DIALECT_NAME];
    CHECK(dialect_theirs(m->language, m->layer_norm, name, theirs));
    int64_t shape[SAFETENSORS_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1}, gain[SAFETENSORS_MAX_RANK] = {1, 1, 4};
    int rank = shape_of(name, shape);
    if (m->form == 0 || !ends(name, "pos_conv_embed.conv.weight")) {
        put(m, theirs, "", rank, shape);
        return SPOOR_OK;
    }
    if (m->form == 2) {
        theirs[strlen(theirs) - strlen("weight")] = '\0';
    }
    put(m, theirs, m->form == 1 ? "_g" : "parametrizations.weight.original0", 3, gain);
    put(m, theirs, m->form == 1 ? "_v" : "parametrizations.weight.original1", 3, shape);
    return SPOOR_OK;
}

/* The metadata's "config": the bytes as a JSON string. */
static void add_config(maker *m, const uint8_t *text, size_t size) {
    json_t *s = size == 0 || size > 8000 ? NULL : json_stringn((const char *)text, size);
    char *quoted = s == NULL ? NULL : json_dumps(s, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (quoted != NULL && strlen(quoted) < HEADER - 1000 - m->length) {
        m->length += (size_t)snprintf(m->header + m->length, HEADER - m->length, "%s\"__metadata__\":{\"config\":%s}",
                                      m->length == 0 ? "{" : ",", quoted);
    }
    free(quoted);
    json_decref(s);
}

static void read_everything(const dialect *d) {
    CHECK(dialect_count(d) > 0 && dialect_name(d)[0] != '\0');
    json_t *description = encoder_describe(dialect_sizes(d));
    CHECK(description != NULL);
    json_decref(description);
    for (size_t i = 0; i < dialect_count(d); i++) {
        const dialect_param *p = dialect_at(d, i);
        spoor_error err = {0};
        int64_t ours[SAFETENSORS_MAX_RANK];
        size_t count = 1;
        for (int k = 0; k < p->rank; k++) {
            ours[k] = p->shape[p->rank == 3 && k > 0 ? 3 - k : k];
            count *= (size_t)ours[k];
        }
        CHECK(count > 0 && count <= MOST_BYTES);
        float *values = malloc(count * sizeof *values);
        CHECK(values != NULL);
        spoor_status status = dialect_read_at(d, i, values, &err);
        target_refused(status, &err);
        status = dialect_read(d, p->name, p->rank, ours, values, &err);
        target_refused(status, &err);
        free(values);
    }
}

static void open_and_read(spoor_context *ctx, const char *path) {
    spoor_error err = {0};
    weights *w = NULL;
    dialect *d = NULL;
    spoor_status status = weights_open(ctx, path, &w, &err);
    target_refused(status, &err);
    if (status == SPOOR_OK) {
        status = dialect_find(ctx, w, &d, &err);
        target_refused(status, &err);
        CHECK((status == SPOOR_OK) == (d != NULL));
    }
    if (d != NULL) {
        read_everything(d);
    }
    dialect_free(d);
    weights_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3 || size < 3 + (size_t)(data[2] % 16) * CHANGE) {
        return 0;
    }
    maker *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    m->change = data + 3;
    m->n = data[2] % 16;
    m->language = (dialect_language)(data[0] % (DIALECT_OPENAI + 1));
    m->layer_norm = (data[1] & 1) != 0;
    m->form = data[1] / 4 % 3;
    bool whisper = m->language == DIALECT_HF_WHISPER || m->language == DIALECT_OPENAI;
    encoder_kind other = m->language == DIALECT_WAVLM ? ENCODER_WAVLM : ENCODER_WAV2VEC2;
    encoder_sizes s = {.kind = whisper ? ENCODER_WHISPER : other, .layers = 1, .n_convs = 7,
                       .conv_bias = (data[1] & 2) != 0, .conv_layer_norm = m->layer_norm};
    CHECK(dialect_each_name(&s, add, m, NULL) == SPOOR_OK);
    add_config(m, data + 3 + m->n * CHANGE, size - 3 - m->n * CHANGE);
    if (!m->full && m->length > 0) {
        m->header[m->length++] = '}';
        size_t all = 8 + m->length + m->bytes;
        uint8_t *file = malloc(all);
        CHECK(file != NULL);
        memset(file, 0x3c, all); /* every element is a small number */
        for (int i = 0; i < 8; i++) {
            file[i] = (uint8_t)((uint64_t)m->length >> (8 * i));
        }
        memcpy(file + 8, m->header, m->length);
        char path[32];
        int fd = target_file(file, all, path);
        free(file);
        spoor_context *ctx = target_context();
        open_and_read(ctx, path);
        spoor_context_free(ctx);
        close(fd);
    }
    free(m);
    return 0;
}
