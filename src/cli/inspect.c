/* inspect.c: `spoor inspect FILE`: what a model file (or any safetensors file) holds. The file need not come from us:
 * nothing of it reaches the terminal with control characters in it. */
#include "base/io.h"
#include "cli/cli.h"
#include "cli/ui.h"
#include "model/model.h"
#include "report/text.h"
#include "weights/safetensors.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 256, KEY_TENSORS };

typedef struct options {
    const char *path;
    bool json, tensors;
} options;

static const struct argp_option OPTIONS[] = {
    {"json", KEY_JSON, NULL, 0, "all of it as one JSON object (docs/json.md)", 0},
    {"tensors", KEY_TENSORS, NULL, 0, "also list every tensor", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case KEY_JSON: o->json = true; return 0;
    case KEY_TENSORS: o->tensors = true; return 0;
    case ARGP_KEY_ARG:
        if (o->path != NULL) {
            argp_error(state, "name one file");
        }
        o->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->path == NULL) {
            argp_error(state, "name a model file");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {OPTIONS, parse, "FILE", "Show what a model file holds.", NULL, NULL, NULL};

static void print_member(const json_t *meta, const char *key) {
    char *text = json_dumps(json_object_get(meta, key),
                            JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6));
    printf("%-10s %s\n", key, text == NULL ? "-" : text);
    free(text);
}

static void print_name(spoor_context *ctx, const char *before, const char *name) {
    char *plain = report_plain_name(ctx, name == NULL ? "?" : name);
    printf("%s%s", before, plain == NULL ? "?" : plain);
    ctx_free(ctx, plain);
}

static void print_tasks(spoor_context *ctx, const json_t *meta) {
    size_t i;
    json_t *task;
    json_array_foreach(json_object_get(meta, "tasks"), i, task) {
        const json_t *classes = json_object_get(task, "classes");
        print_name(ctx, "task       ", json_string_value(json_object_get(task, "name")));
        printf(", %zu classes:", json_array_size(classes));
        for (size_t k = 0; k < json_array_size(classes); k++) {
            print_name(ctx, k == 0 ? " " : ", ", json_string_value(json_array_get(classes, k)));
        }
        printf("\n");
    }
}

typedef struct summary {
    char sha256[65];
    size_t size, numbers;
} summary;

static summary summarise(const safetensors *f) {
    summary s = {0};
    const void *bytes = safetensors_bytes(f, &s.size);
    io_sha256(bytes, s.size, s.sha256);
    for (size_t i = 0; i < safetensors_count(f); i++) {
        s.numbers += safetensors_at(f, i)->count; /* all lie in one file: no overflow */
    }
    return s;
}

static void print_text(spoor_context *ctx, const safetensors *f, const json_t *meta, bool tensors) {
    static const char *const keys[] = {"name", "card", "frontend", "network", "known", "bonafide", "provenance"};
    summary s = summarise(f);
    printf("sha256     %s\nsize       %zu bytes, %zu tensors, %zu numbers\n", s.sha256, s.size, safetensors_count(f),
           s.numbers);
    if (meta == NULL) {
        printf("no Spoor metadata: not a model file of Spoor\n");
    } else {
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            print_member(meta, keys[i]);
        }
        print_tasks(ctx, meta);
    }
    for (size_t i = 0; tensors && i < safetensors_count(f); i++) {
        const safetensors_tensor *t = safetensors_at(f, i);
        printf("%-4s [", safetensors_dtype_name(t->dtype));
        for (int k = 0; k < t->rank; k++) {
            printf("%s%lld", k == 0 ? "" : ", ", (long long)t->shape[k]);
        }
        print_name(ctx, "] ", t->name);
        printf("\n");
    }
}

static json_t *tensor_json(const safetensors_tensor *t) {
    json_t *shape = json_array();
    for (int k = 0; k < t->rank; k++) {
        (void)json_array_append_new(shape, json_integer(t->shape[k]));
    }
    return json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype", safetensors_dtype_name(t->dtype), "shape", shape);
}

static spoor_status print_json(const safetensors *f, json_t *meta, bool tensors, spoor_error *err) {
    summary s = summarise(f);
    json_t *list = tensors ? json_array() : NULL;
    for (size_t i = 0; tensors && i < safetensors_count(f); i++) {
        (void)json_array_append_new(list, tensor_json(safetensors_at(f, i)));
    }
    json_t *all = json_pack("{s:s, s:I, s:I, s:I, s:O?, s:o*}", "sha256", s.sha256, "bytes", (json_int_t)s.size,
                            "tensors", (json_int_t)safetensors_count(f), "numbers", (json_int_t)s.numbers, "spoor",
                            meta, "tensor_list", list);
    char *text = all == NULL ? NULL : json_dumps(all, JSON_INDENT(2));
    json_decref(all);
    if (text == NULL) {
        return error_memory(err, "writing JSON");
    }
    printf("%s\n", text);
    free(text);
    return SPOOR_OK;
}

static spoor_status inspect(void *user, spoor_context *ctx, spoor_error *err) {
    const options *o = user;
    safetensors *f = NULL;
    spoor_status status = safetensors_open(ctx, o->path, &f, err);
    if (status != SPOOR_OK) {
        return status == SPOOR_ERR_IO ? SPOOR_ERR_MODEL : status; /* as when it is opened as a model */
    }
    const char *text = safetensors_meta(f, "spoor");
    bool usable = text != NULL && strlen(text) <= MODEL_META_MAX;
    json_t *meta = usable ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (o->json) {
        status = print_json(f, meta, o->tensors, err);
    } else {
        print_text(ctx, f, meta, o->tensors);
    }
    json_decref(meta);
    safetensors_free(f);
    return status == SPOOR_OK ? ui_flush(err) : status;
}

int cli_inspect(int argc, char **argv) {
    options o = {0};
    return ui_command(&ARGP, argc, argv, &o, inspect);
}
