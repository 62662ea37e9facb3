/* inspect.c: `spoor inspect FILE`: what a model file (or any safetensors file) holds. */
#include "cli/cli.h"
#include "cli/ui.h"
#include "base/io.h"
#include "weights/safetensors.h"
#include <argp.h>
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
    {"json", KEY_JSON, NULL, 0, "the metadata as one JSON object", 0},
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
    char *text = json_dumps(json_object_get(meta, key), JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    printf("%-10s %s\n", key, text == NULL ? "-" : text);
    free(text);
}

static void print_tasks(const json_t *meta) {
    size_t i;
    json_t *task;
    json_array_foreach(json_object_get(meta, "tasks"), i, task) {
        const json_t *classes = json_object_get(task, "classes");
        const char *name = json_string_value(json_object_get(task, "name"));
        printf("task       %s, %zu classes:", name == NULL ? "?" : name, json_array_size(classes));
        for (size_t k = 0; k < json_array_size(classes); k++) {
            const char *c = json_string_value(json_array_get(classes, k));
            printf("%s%s", k == 0 ? " " : ", ", c == NULL ? "?" : c);
        }
        printf("\n");
    }
}

static void print_text(const safetensors *f, const json_t *meta) {
    size_t numbers = 0, size;
    const void *bytes = safetensors_bytes(f, &size);
    char hex[65];
    io_sha256(bytes, size, hex);
    for (size_t i = 0; i < safetensors_count(f); i++) {
        numbers += safetensors_at(f, i)->count;
    }
    printf("sha256     %s\nsize       %zu bytes, %zu tensors, %zu numbers\n", hex, size, safetensors_count(f), numbers);
    if (meta == NULL) {
        printf("no Spoor metadata: not a model file of Spoor\n");
        return;
    }
    static const char *const keys[] = {"name", "card", "frontend", "network", "known", "bonafide", "provenance"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        print_member(meta, keys[i]);
    }
    print_tasks(meta);
}

static void print_tensors(const safetensors *f) {
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const safetensors_tensor *t = safetensors_at(f, i);
        printf("%-4s [", safetensors_dtype_name(t->dtype));
        for (int k = 0; k < t->rank; k++) {
            printf("%s%lld", k == 0 ? "" : ", ", (long long)t->shape[k]);
        }
        printf("] %s\n", t->name);
    }
}

int cli_inspect(int argc, char **argv) {
    options o = {0};
    argp_err_exit_status = SPOOR_ERR_USAGE;
    if (argp_parse(&ARGP, argc, argv, 0, NULL, &o) != 0) {
        return SPOOR_ERR_USAGE;
    }
    spoor_context *ctx = NULL;
    spoor_error err = {0};
    safetensors *f = NULL;
    spoor_status status = spoor_context_new(NULL, &ctx, &err);
    status = status == SPOOR_OK ? safetensors_open(ctx, o.path, &f, &err) : status;
    if (status != SPOOR_OK) {
        ui_error(&err);
        spoor_context_free(ctx);
        return (int)status;
    }
    const char *text = safetensors_meta(f, "spoor");
    json_t *meta = text == NULL ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (o.json) {
        char *out = json_dumps(meta, JSON_INDENT(2) | JSON_ENCODE_ANY);
        printf("%s\n", out == NULL ? "null" : out);
        free(out);
    } else {
        print_text(f, meta);
    }
    if (o.tensors) {
        print_tensors(f);
    }
    json_decref(meta);
    safetensors_free(f);
    spoor_context_free(ctx);
    return SPOOR_OK;
}
