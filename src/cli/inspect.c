/* inspect.c: `spoor inspect FILE`: what a model file, or any checkpoint that Spoor reads, holds. It need not come from
 * us: nothing of it reaches the terminal with control characters in it. */
#include "base/io.h"
#include "cli/cli.h"
#include "cli/ui.h"
#include "frontend/dialect.h"
#include "frontend/int8.h"
#include "model/model.h"
#include "report/text.h"
#include "weights/weights.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
            argp_error(state, "name a model file or a checkpoint");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp ARGP = {OPTIONS, parse, "FILE\nFOLDER",
                                 "Show what a model file or a checkpoint (safetensors, a Hugging Face folder, PyTorch, "
                                 "ggml Whisper) holds.",
                                 NULL, NULL, NULL};

static void print_member(const json_t *meta, const char *key) {
    char *text = json_dumps(json_object_get(meta, key),
                            JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6));
    printf("%-10s %s\n", key, text == NULL ? "-" : text);
    free(text);
}

/* Of a calibration of int8 what people read; the rest is as long as the encoder is wide. */
static void shorten(json_t *plan) {
    static const char *const longer[] = {"factors", "products", "hashes"};
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
        (void)json_object_del(plan, longer[i]);
    }
}

static void print_frontend(const json_t *meta) {
    json_t *short_one = json_pack("{s:o*}", "frontend", json_deep_copy(json_object_get(meta, "frontend"))), *part;
    size_t i;
    shorten(json_object_get(json_object_get(short_one, "frontend"), "int8"));
    json_array_foreach(json_object_get(json_object_get(short_one, "frontend"), "parts"), i, part) {
        shorten(json_object_get(part, "int8"));
    }
    print_member(short_one, "frontend");
    json_decref(short_one);
}

static void print_calibration(const weights *w) {
    const char *text = json_string_value(json_object_get(weights_metadata(w), INT8_KEY));
    json_t *plan = text == NULL || strlen(text) > INT8_TEXT_MAX ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *all = plan == NULL ? NULL : json_pack("{s:O}", "int8", plan);
    shorten(plan);
    if (all != NULL) {
        print_member(all, "int8");
    }
    json_decref(all);
    json_decref(plan);
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

/* ---- what there is ---- */

typedef struct summary {
    const weights *w;
    json_t *meta;       /* of a model file of Spoor; NULL: it is none */
    dialect *d;         /* of a known encoder; NULL: it is none, */
    spoor_error none;   /* and why */
    char sha256[65];    /* of the file; "": a folder */
    char contents[65];  /* of the tensors */
    size_t size, numbers, refused;
    size_t dtypes[SAFETENSORS_DTYPES]; /* tensors of each */
} summary;

static spoor_status hash(summary *s, const char *path, spoor_error *err) {
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        s->size = (size_t)st.st_size;
        TRY(io_sha256_file(path, s->sha256, err));
    }
    return weights_sha256(s->w, s->contents, err);
}

static void count(summary *s) {
    for (size_t i = 0; i < weights_count(s->w); i++) {
        const weights_tensor *t = weights_at(s->w, i);
        bool refused = weights_refused(s->w, t) != NULL;
        s->refused += refused;
        s->numbers += refused ? 0 : t->count;
        s->dtypes[t->dtype] += !refused;
    }
}

static spoor_status summarise(spoor_context *ctx, const char *path, const weights *w, summary *s, spoor_error *err) {
    *s = (summary){.w = w};
    const char *text = json_string_value(json_object_get(weights_metadata(w), "spoor"));
    bool usable = text != NULL && strlen(text) <= MODEL_META_MAX;
    s->meta = usable ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    count(s);
    if (s->meta == NULL) {
        spoor_status status = dialect_find(ctx, w, &s->d, &s->none);
        if (status != SPOOR_OK && status != SPOOR_ERR_MODEL) {
            *err = s->none;
            return status;
        }
    }
    return hash(s, path, err);
}

static void summary_clear(summary *s) {
    json_decref(s->meta);
    dialect_free(s->d);
}

/* ---- text ---- */

static void print_model(spoor_context *ctx, const json_t *meta) {
    static const char *const keys[] = {"name", "card", "network", "known", "bonafide", "provenance"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        print_member(meta, keys[i]);
        if (strcmp(keys[i], "card") == 0) {
            print_frontend(meta);
        }
    }
    if (json_object_get(meta, "bonafide_score") != NULL) { /* absent: the mean of log odds */
        print_member(meta, "bonafide_score");
    }
    print_tasks(ctx, meta);
}

static void print_checkpoint(const summary *s) {
    printf("no Spoor metadata: not a model file of Spoor\n");
    printf("format     %s\nweights    sha256 %s\n", weights_format(s->w), s->contents);
    if (s->d == NULL) {
        printf("encoder    none that is known: %s\n", s->none.message);
    } else {
        json_t *sizes = encoder_describe(dialect_sizes(s->d));
        char *text = json_dumps(sizes, JSON_COMPACT | JSON_REAL_PRECISION(6));
        printf("encoder    %s names, %zu parameters\n           %s\n", dialect_name(s->d), dialect_count(s->d),
               text == NULL ? "?" : text);
        free(text);
        json_decref(sizes);
    }
    print_calibration(s->w);
    printf("dtypes    ");
    for (int i = 0; i < SAFETENSORS_DTYPES; i++) {
        if (s->dtypes[i] > 0) {
            printf(" %s %zu", safetensors_dtype_name((safetensors_dtype)i), s->dtypes[i]);
        }
    }
    printf("%s\n", weights_count(s->w) == s->refused ? " none" : "");
    if (s->refused > 0) {
        printf("refused    %zu tensors cannot be read (--tensors says why)\n", s->refused);
    }
}

static void print_tensor(spoor_context *ctx, const weights *w, const weights_tensor *t) {
    const char *refused = weights_refused(w, t);
    if (refused != NULL) {
        print_name(ctx, "?    ", t->name);
        print_name(ctx, ": ", refused);
        printf("\n");
        return;
    }
    printf("%-4s [", safetensors_dtype_name(t->dtype));
    for (int k = 0; k < t->rank; k++) {
        printf("%s%lld", k == 0 ? "" : ", ", (long long)t->shape[k]);
    }
    print_name(ctx, "] ", t->name);
    printf("\n");
}

static void print_text(spoor_context *ctx, const summary *s, bool tensors) {
    if (s->sha256[0] != '\0') {
        printf("sha256     %s\nsize       %zu bytes, ", s->sha256, s->size);
    } else {
        printf("size       ");
    }
    printf("%zu tensors, %zu numbers\n", weights_count(s->w), s->numbers);
    if (s->meta != NULL) {
        print_model(ctx, s->meta);
    } else {
        print_checkpoint(s);
    }
    for (size_t i = 0; tensors && i < weights_count(s->w); i++) {
        print_tensor(ctx, s->w, weights_at(s->w, i));
    }
}

/* ---- JSON ---- */

static json_t *tensor_json(const weights *w, const weights_tensor *t) {
    const char *refused = weights_refused(w, t);
    if (refused != NULL) {
        return json_pack("{s:s, s:n, s:n, s:s}", "name", t->name, "dtype", "shape", "refused", refused);
    }
    json_t *shape = json_array();
    for (int k = 0; k < t->rank; k++) {
        (void)json_array_append_new(shape, json_integer(t->shape[k]));
    }
    return json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype", safetensors_dtype_name(t->dtype), "shape", shape);
}

static json_t *dtypes_json(const summary *s) {
    json_t *all = json_object();
    for (int i = 0; i < SAFETENSORS_DTYPES; i++) {
        if (s->dtypes[i] > 0) {
            (void)json_object_set_new(all, safetensors_dtype_name((safetensors_dtype)i),
                                      json_integer((json_int_t)s->dtypes[i]));
        }
    }
    return all;
}

static spoor_status print_json(const summary *s, bool tensors, spoor_error *err) {
    const weights *w = s->w;
    bool file = s->sha256[0] != '\0';
    json_t *list = tensors ? json_array() : NULL;
    for (size_t i = 0; tensors && i < weights_count(w); i++) {
        (void)json_array_append_new(list, tensor_json(w, weights_at(w, i)));
    }
    json_t *all = json_pack(
        "{s:s?, s:o, s:I, s:I, s:O?, s:s, s:s, s:o, s:s?, s:o?, s:o*}", "sha256", file ? s->sha256 : NULL, "bytes",
        file ? json_integer((json_int_t)s->size) : json_null(), "tensors", (json_int_t)weights_count(w), "numbers",
        (json_int_t)s->numbers, "spoor", s->meta, "format", weights_format(w), "weights_sha256", s->contents, "dtypes",
        dtypes_json(s), "dialect", s->d == NULL ? NULL : dialect_name(s->d), "encoder",
        s->d == NULL ? NULL : encoder_describe(dialect_sizes(s->d)), "tensor_list", list);
    spoor_status status = ui_json(all, JSON_INDENT(2), err);
    json_decref(all);
    return status;
}

static spoor_status inspect(void *user, spoor_context *ctx, spoor_error *err) {
    const options *o = user;
    weights *w = NULL;
    spoor_status status = weights_open(ctx, o->path, &w, err);
    if (status != SPOOR_OK) {
        return status == SPOOR_ERR_IO ? SPOOR_ERR_MODEL : status; /* as when it is opened as a model */
    }
    summary s;
    status = summarise(ctx, o->path, w, &s, err);
    if (status == SPOOR_OK && o->json) {
        status = print_json(&s, o->tensors, err);
    } else if (status == SPOOR_OK) {
        print_text(ctx, &s, o->tensors);
    }
    summary_clear(&s);
    weights_free(w);
    return status == SPOOR_OK ? ui_flush(err) : status;
}

int cli_inspect(int argc, char **argv) {
    options o = {0};
    return ui_command(&ARGP, argc, argv, &o, inspect);
}
