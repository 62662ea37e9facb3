/* fuzz_model.c: any text as the metadata of a model whose tensors are those of a small network, or, where it has the word
 * "fusion", of a fusion of two, or, where it has the word "backends", of one with a back end for each task, or, where it has the
 * word "statistics", of the small network with statistics of a train set, or, where it has the word "neighbours", of pooling
 * with correlations beside a member with a gate (the
 * container itself is fuzz_safetensors' part). One accepted model in sixteen traces a sound. */
#define _GNU_SOURCE
#include "model/model.h"
#include "target.h"
#include <math.h>

static const char NETWORK[] =
    "{\"kind\":\"conformer\",\"dim\":8,\"depth\":1,\"heads\":2,\"kernel\":3,\"pooling\":\"stats\",\"embedding\":4}";

static const char FUSED[] = "{\"kind\":\"ensemble\",\"members\":[{\"kind\":\"pooled\",\"columns\":8},"
                            "{\"kind\":\"pooled\",\"first\":8,\"columns\":4,\"tasks\":[\"source\"]}],"
                            "\"fusion\":{\"method\":\"logistic\"}}";

static const char SPLIT[] = "{\"kind\":\"aasist\",\"backends\":\"task\",\"project\":4,\"channels\":[2,3],\"graph\":[3,2],"
                            "\"attention\":2}";

static const char CORRELATED[] = "{\"kind\":\"ensemble\",\"members\":[{\"kind\":\"pooled\",\"neighbours\":3,\"pool_norm\":true},"
                                 "{\"kind\":\"pooled\",\"pool_norm\":true,\"logistic\":0.5,\"gate\":true}]}";

typedef struct made { /* of the plain network, of the fusion, of the plain network with statistics, of back ends for each task,
                       * of correlations and a gate */
    json_t *tensors;       /* the header without metadata */
    unsigned char *values; /* all tensors, back to back */
    size_t size;
} made;
static made networks[5];

static void add_tensor(made *to, const char *name, int rank, const int64_t *dim, const float *data) {
    json_t *shape = json_array();
    size_t count = 1;
    for (int k = 0; k < rank; k++) {
        count *= (size_t)dim[k];
        (void)json_array_append_new(shape, json_integer(dim[k]));
    }
    size_t end = to->size + count * sizeof(float);
    to->values = realloc(to->values, end);
    CHECK(to->values != NULL);
    memcpy(to->values + to->size, data, count * sizeof(float));
    (void)json_object_set_new(to->tensors, name, json_pack("{s:s, s:o, s:[I,I]}", "dtype", "F32", "shape", shape, "data_offsets",
                                                           (json_int_t)to->size, (json_int_t)end));
    to->size = end;
}

/* For a model whose gate has every scorer: 3 clips in the bank, 2 classes, embeddings of 4 numbers. */
static void add_statistics(made *to) {
    static const struct {
        const char *name;
        int rank;
        int64_t dim[2];
    } all[] = {{"nsd", 1, {4, 0}},    {"bank", 2, {3, 4}},    {"bank.length", 1, {3, 0}}, {"bank.confidence", 1, {3, 0}},
               {"origin", 1, {4, 0}}, {"factor", 1, {10, 0}}, {"means", 2, {2, 4}},       {"basis", 2, {2, 4}}};
    const float data[12] = {0.5F, 0.5F, 0.5F, 0.5F, -0.5F, 0.5F, 0.5F, -0.5F, 1, 0, 0, 0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "openset.%s", all[i].name);
        add_tensor(to, name, all[i].rank, all[i].dim, data);
    }
}

static void make_tensors(spoor_context *ctx, const char *network, int64_t dim, made *out) {
    net_task tasks[] = {{(char *)(size_t) "source", 3}, {(char *)(size_t) "bonafide", 2}};
    json_t *config = json_loads(network, 0, NULL);
    net *n = NULL;
    CHECK(net_new_for_weights(ctx, config, dim, tasks, 2, 1 << 20, &n, NULL) == SPOOR_OK);
    out->tensors = json_object();
    for (size_t i = 0; i < params_count(net_params(n)); i++) {
        const param *p = params_at(net_params(n), i);
        size_t count = (size_t)tensor_count(&p->value);
        for (size_t k = 0; k < count; k++) {
            p->value.data[k] = 0.3F * (float)sin((double)(31 * i + k)) + (strstr(p->name, "norm") ? 1.0F : 0.0F);
        }
        add_tensor(out, p->name, p->value.ndim, p->value.dim, p->value.data);
    }
    json_decref(config);
    net_free(n);
}

/* The file with this metadata; NULL where the bytes are no text. */
static unsigned char *make_file(const uint8_t *data, size_t size, size_t *n) {
    const made *from = &networks[memmem(data, size, "fusion", 6) != NULL        ? 1
                                 : memmem(data, size, "backends", 8) != NULL    ? 3
                                 : memmem(data, size, "statistics", 10) != NULL ? 2
                                 : memmem(data, size, "neighbours", 10) != NULL ? 4
                                                                                : 0];
    json_t *text = json_stringn((const char *)data, size), *header = json_copy(from->tensors);
    if (text == NULL) {
        json_decref(header);
        return NULL;
    }
    (void)json_object_set_new(header, "__metadata__", json_pack("{s:o}", "spoor", text));
    char *json = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    CHECK(json != NULL);
    size_t length = strlen(json);
    unsigned char *file = malloc(8 + length + from->size);
    CHECK(file != NULL);
    for (int i = 0; i < 8; i++) {
        file[i] = (unsigned char)((uint64_t)length >> 8 * i);
    }
    memcpy(file + 8, json, length);
    memcpy(file + 8 + length, from->values, from->size);
    free(json);
    *n = 8 + length + from->size;
    return file;
}

static void trace(spoor_context *ctx, spoor_model *m) {
    static float samples[12000];
    for (size_t i = 0; i < 12000; i++) {
        samples[i] = (float)(0.3 * sin(0.05 * (double)i) + 0.1 * sin(1.9 * (double)i));
    }
    spoor_error err = {0};
    spoor_session *s = NULL;
    spoor_audio *audio = NULL;
    spoor_result *r = NULL;
    spoor_status status = spoor_session_new(m, &s, &err);
    if (status == SPOOR_OK) {
        CHECK(spoor_audio_open_samples(ctx, samples, 12000, 16000, &audio, &err) == SPOOR_OK);
        status = spoor_trace(s, audio, NULL, &r, &err);
    }
    target_refused(status, &err);
    if (status == SPOOR_OK) {
        const char *json = spoor_result_json(r);
        CHECK(json != NULL);
        json_t *back = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
        CHECK(back != NULL);
        json_decref(back);
    }
    spoor_result_free(r);
    spoor_audio_free(audio);
    spoor_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    spoor_model *m = NULL;
    size_t n = 0;
    if (networks[0].tensors == NULL) {
        make_tensors(ctx, NETWORK, 40, &networks[0]);
        make_tensors(ctx, FUSED, 12, &networks[1]);
        make_tensors(ctx, NETWORK, 40, &networks[2]);
        add_statistics(&networks[2]);
        make_tensors(ctx, SPLIT, 40, &networks[3]);
        make_tensors(ctx, CORRELATED, 40, &networks[4]);
    }
    unsigned char *file = make_file(data, size, &n);
    if (file != NULL) {
        spoor_status status = model_open_memory(ctx, file, n, "fuzz", &m, &err);
        target_refused(status, &err);
        CHECK((status == SPOOR_OK) == (m != NULL));
        unsigned mark = 0;
        for (size_t i = 0; i < size; i++) {
            mark = mark * 31 + data[i];
        }
        if (m != NULL && mark % 16 == 0) {
            trace(ctx, m);
        }
    }
    free(file);
    spoor_model_free(m);
    spoor_context_free(ctx);
    return 0;
}
