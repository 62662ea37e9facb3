/* Recipes: YAML by the core schema, defaults, --set, and one clear sentence for each mistake. */
#include "support/support.h"
#include "base/io.h"
#include "train/recipe.h"
#include "train/yaml.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINIMAL \
    "data: {manifests: [{path: m.csv}], tasks: {source: {}}}\nfrontend: {kind: log-mel}\nnetwork: {kind: conformer}\n"

static void scalars(void **state) {
    (void)state;
    const char *text = "a: 1\nb: -2.5e3\nc: true\nd: ~\ne: '1'\nf: hello world\ng: [1, x, null]\nh: {i: .5}\n"
                       "j: 99999999999999999999\nk: 1e999\nl: 0x10\n";
    spoor_error err;
    json_t *json;
    support_ok(yaml_parse("t", text, strlen(text), &json, &err), &err);
    char *dump = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(dump, "{\"a\":1,\"b\":-2500.0,\"c\":true,\"d\":null,\"e\":\"1\",\"f\":\"hello world\","
                              "\"g\":[1,\"x\",null],\"h\":{\"i\":0.5},\"j\":1e20,\"k\":\"1e999\",\"l\":\"0x10\"}");
    free(dump);
    json_decref(json);
}

static void bad_yaml(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"", "empty"},
        {"a: 1\na: 2\n", "line 2: the key a stands twice"},
        {"a: &x 1\nb: *x\n", "anchors"},
        {"a: !!int 3\n", "tags"},
        {"a: 1\n---\nb: 2\n", "more than one document"},
        {"a: [1\n", "line 2"},
        {"? [a]\n: 1\n", "plain name"},
        {"{\"\\0\": 1}", "plain name"},
        {"&k a: 1\n", "plain name"},
        {"a: \"\\xff\\0\"\n\tb", "line 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoor_error err;
        json_t *json;
        assert_int_equal(yaml_parse("t.yaml", cases[i].text, strlen(cases[i].text), &json, &err), SPOOR_ERR_USAGE);
        assert_null(json);
        if (!strstr(err.message, cases[i].says)) {
            fail_msg("case %zu says: %s", i, err.message);
        }
    }
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    spoor_error err;
    json_t *json;
    assert_int_equal(yaml_parse("t", deep, sizeof deep, &json, &err), SPOOR_ERR_LIMIT);
    size_t size = 2 * (YAML_MAX_NODES + 10) + 2;
    char *wide = malloc(size);
    wide[0] = '[';
    for (size_t i = 1; i + 1 < size; i += 2) {
        memcpy(wide + i, "1,", 2);
    }
    wide[size - 1] = ']';
    assert_int_equal(yaml_parse("t", wide, size, &json, &err), SPOOR_ERR_LIMIT);
    assert_int_equal(yaml_parse("t", wide, YAML_MAX_BYTES + 1, &json, &err), SPOOR_ERR_LIMIT); /* told by the size alone */
    assert_non_null(strstr(err.message, "over the limit of 1048576"));
    free(wide);
}

static spoor_status parse(spoor_context *ctx, const char *text, const char *const *set, size_t n_set, recipe **out,
                          spoor_error *err) {
    char *folder = support_temporary();
    char *path = ctx_printf(ctx, "%s/r.yaml", folder);
    support_ok(io_write_file(ctx, path, text, strlen(text), err), err);
    spoor_status status = recipe_open(ctx, path, set, n_set, out, err);
    ctx_free(ctx, path);
    support_remove(folder);
    free(folder);
    return status;
}

static void defaults(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err;
    recipe *r;
    const char *const set[] = {"optimiser.lr=0.25", "sampler.kind=balanced", "data.tasks.source.weight=3", "name=abc",
                               "data.manifests.0.root=/r"};
    support_ok(parse(ctx, MINIMAL, set, 5, &r, &err), &err);
    assert_int_equal(r->batch, 32);
    assert_int_equal(r->crop, 64600);
    assert_true(r->adamw);
    assert_int_equal(r->sampler, SAMPLER_BALANCED);
    support_close(r->lr, 0.25, 0, "lr");
    assert_string_equal(r->name, "abc");
    assert_string_equal(r->manifest[0].root, "/r");
    assert_int_equal(r->n_tasks, 1);
    assert_string_equal(r->task[0].column[0], "source");
    support_close(r->task[0].weight, 3, 0, "weight");
    assert_int_equal(r->n_groups, 3);
    assert_string_equal(r->train.item[0].values[0], "train");
    assert_int_equal(r->n_select, 1);
    /* What was resolved is a recipe that resolves to itself. */
    recipe *twice;
    support_ok(recipe_from_json(ctx, r->resolved, "", &twice, &err), &err);
    assert_true(json_equal(r->resolved, twice->resolved));
    assert_true(json_is_real(json_object_get(json_object_get(r->resolved, "optimiser"), "beta2")));
    recipe_free(ctx, twice);
    recipe_free(ctx, r);
    spoor_context_free(ctx);
}

/* Fine-tuning is on where its section stands, in the resolved recipe too. */
static void finetune(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err;
    recipe *r, *twice;
    support_ok(parse(ctx, MINIMAL, NULL, 0, &r, &err), &err);
    assert_false(r->finetune.on);
    support_ok(recipe_from_json(ctx, r->resolved, "", &twice, &err), &err);
    assert_false(twice->finetune.on);
    recipe_free(ctx, twice);
    recipe_free(ctx, r);
    support_ok(parse(ctx, MINIMAL "finetune:\n", NULL, 0, &r, &err), &err);
    assert_false(r->finetune.on);
    recipe_free(ctx, r);
    support_ok(parse(ctx, MINIMAL "finetune: {}\n", NULL, 0, &r, &err), &err);
    assert_true(r->finetune.on && !r->finetune.checkpoint);
    support_close(r->finetune.lr_factor, 0.1, 0, "factor");
    assert_int_equal(r->finetune.accumulate, 1);
    recipe_free(ctx, r);
    const char *text = MINIMAL "finetune: {freeze: [a, b.c], lr_factors: {d: 0.5, e.f: 2}, freeze_layers: 3, warm_epochs: 2,\n"
                               "  layer_drop: 0.1, dropout: 0.2, checkpoint: true, accumulate: 4, lr_factor: 1}\n";
    support_ok(parse(ctx, text, NULL, 0, &r, &err), &err);
    support_ok(recipe_from_json(ctx, r->resolved, "", &twice, &err), &err);
    assert_true(json_equal(r->resolved, twice->resolved));
    const recipe_finetune *f = &twice->finetune;
    assert_true(f->on && f->checkpoint && f->n_freeze == 2 && f->n_lr_factors == 2);
    assert_string_equal(f->freeze[1], "b.c");
    assert_string_equal(f->lr_factors[1].name, "e.f");
    support_close(f->lr_factors[1].factor, 2, 0, "factor");
    support_close(f->layer_drop + f->dropout, 0.3, 1e-12, "probabilities");
    assert_int_equal(f->freeze_layers * 100 + f->warm_epochs * 10 + f->accumulate, 324);
    recipe_free(ctx, twice);
    recipe_free(ctx, r);
    spoor_context_free(ctx);
}

static void lists(void **state) {
    (void)state;
    spoor_context *ctx = support_context();
    spoor_error err;
    recipe *r;
    const char *text = "data:\n  manifests: [{path: /a.csv}, {path: b.csv, where: {setting: [same, cross]}, most: {source: 7}},\n"
                       "    {path: m.csv, format: mlaad, split: train, files: 'wav/{id}', columns: {page: language, path: wav}}]\n"
                       "  train: {split: [train, extra]}\n  groups: [page]\n  tasks:\n"
                       "    source: {class_weights: balanced, smoothing: 0.1, except: bonafide}\n"
                       "    vocoder: {column: [vocoder, source], min_clips: 3}\n"
                       "dev:\n  metrics:\n    - {name: cross, task: vocoder, kind: macro_f1, where: {setting: cross}}\n"
                       "    - {name: loss, kind: loss}\n  select: [cross, loss]\n"
                       "frontend: {kind: log-mel}\nnetwork: {kind: conformer}\n";
    support_ok(parse(ctx, text, NULL, 0, &r, &err), &err);
    assert_int_equal(r->n_manifests, 3);
    assert_null(r->manifest[0].how.format);
    assert_string_equal(r->manifest[2].how.format, "mlaad");
    assert_string_equal(r->manifest[2].how.split, "train");
    assert_string_equal(r->manifest[2].how.files, "wav/{id}");
    assert_int_equal(r->manifest[2].how.n_renames, 2);
    assert_string_equal(r->manifest[2].how.rename[0].column, "page");
    assert_string_equal(r->manifest[2].how.rename[0].from, "language");
    assert_int_equal(r->manifest[1].where.item[0].n_values, 2);
    assert_null(r->manifest[0].most_column);
    assert_string_equal(r->manifest[1].most_column, "source");
    assert_int_equal(r->manifest[1].most, 7);
    assert_int_equal(r->train.item[0].n_values, 2);
    assert_int_equal(r->n_groups, 1);
    assert_true(r->task[0].balanced);
    assert_int_equal(r->task[0].n_except, 1);
    assert_int_equal(r->task[1].n_columns, 2);
    assert_string_equal(r->task[1].column[1], "source");
    assert_int_equal(r->task[1].min_clips, 3);
    assert_int_equal(r->metric[0].kind, RECIPE_MACRO_F1);
    assert_string_equal(r->metric[0].where.item[0].values[0], "cross");
    assert_string_equal(r->metric[1].task, "source");
    assert_int_equal(r->n_select, 2);
    char *a = recipe_path(ctx, r, "/a.csv"), *b = recipe_path(ctx, r, "b.csv");
    assert_string_equal(a, "/a.csv");
    assert_non_null(strstr(b, "/b.csv"));
    ctx_free(ctx, a);
    ctx_free(ctx, b);
    recipe_free(ctx, r);
    spoor_context_free(ctx);
}

static void mistakes(void **state) {
    (void)state;
    static const struct {
        const char *set, *says;
    } cases[] = {
        {"optimiser.lrr=1", "did you mean \"lr\""},
        {"optimizer.lr=1", "did you mean \"optimiser\""},
        {"optimiser.lr=fast", "lr"},
        {"optimiser.lr=-1", "lr"},
        {"optimiser.kind=sgd", "adamw"},
        {"batch=0", "batch"},
        {"batch=2.5", "batch"},
        {"data.tasks.source.wieght=1", "did you mean \"weight\""},
        {"data.tasks=3", "data.tasks"},
        {"data.manifests=3", "data.manifests"},
        {"data.manifests.0.path=3", "path"},
        {"data.manifests.1.path=x", "there is no 1"},
        {"data.manifests.0.format=mlaat", "did you mean \"mlaad\""},
        {"data.manifests.0.fromat=mlaad", "did you mean \"format\""},
        {"data.manifests.0.columns=x", "must map columns"},
        {"data.manifests.0.columns.path=3", "columns.path must be the name"},
        {"data.groups=3", "data.groups"},
        {"data.train=3", "data.train"},
        {"sampler.pairs=17", "do not fit"},
        {"npair.weight=1", "needs sampler.pairs"},
        {"dev.select=x", "no metric named x"},
        {"dev.metrics=x", "dev.metrics"},
        {"frontend=x", "frontend"},
        {"augment=x", "augment"},
        {"name", "write key.key=value"},
        {"=1", "write key.key=value"},
        {"a..b=1", "write key.key=value"},
        {"name.x=1", "name must be a text"},
        {"frontend.kind.x=1", "there is no x"},
    };
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoor_error err;
        recipe *r;
        assert_int_equal(parse(ctx, MINIMAL, &cases[i].set, 1, &r, &err), SPOOR_ERR_USAGE);
        assert_null(r);
        if (!strstr(err.message, cases[i].says)) {
            fail_msg("--set %s says: %s", cases[i].set, err.message);
        }
    }
    spoor_context_free(ctx);
}

/* `text` n times, joined by commas. Freed by the caller. */
static char *repeated(const char *before, const char *text, size_t n, const char *after) {
    char *out = malloc(strlen(before) + n * (strlen(text) + 8) + strlen(after) + 1);
    assert_non_null(out);
    size_t at = (size_t)sprintf(out, "%s", before);
    for (size_t i = 0; i < n; i++) { /* # in text is the number, so that keys differ */
        size_t size = strlen(text) + 8;
        const char *hash = strchr(text, '#');
        at += hash ? (size_t)snprintf(out + at, size, "%.*s%zu%s,", (int)(hash - text), text, i, hash + 1)
                   : (size_t)snprintf(out + at, size, "%s,", text);
    }
    sprintf(out + at, "%s", after);
    return out;
}

static void wrong_lists(void **state) {
    (void)state;
    static const char TASK[] = "tasks: {source: {}}}\n", KINDS[] = "frontend: {kind: log-mel}\nnetwork: {kind: conformer}\n";
    static const char DATA[] = "data: {manifests: [{path: m.csv}], ";
    static const struct { /* before, something n times, after: then what remains of a recipe */
        const char *before, *part;
        size_t n;
        const char *after;
        spoor_status status;
        const char *says;
    } cases[] = {
        {"data: {manifests: [", "{path: m.csv}", RECIPE_MAX_MANIFESTS + 1, "], tasks: {source: {}}}\n", SPOOR_ERR_LIMIT,
         "data.manifests has more than 64 entries"},
        {"data: {manifests: [{path: m.csv}, {root: x}], ", "", 0, TASK, SPOOR_ERR_USAGE, "entry 2 has no path"},
        {"data: {manifests: [], ", "", 0, TASK, SPOOR_ERR_USAGE, "data.manifests must be a list"},
        {"data: {manifests: [{path: m.csv}], dev: {", "c#: x", RECIPE_MAX_WHERE + 1, "}, tasks: {source: {}}}\n",
         SPOOR_ERR_LIMIT, "more than 16 columns"},
        {"data: {manifests: [{path: m.csv}], dev: {split: [1, x]}, ", "", 0, TASK, SPOOR_ERR_USAGE, "data.dev"},
        {DATA, "", 0, "tasks: {}}\n", SPOOR_ERR_USAGE, "data.tasks"},
        {DATA, "", 0, "tasks: {source: {column: []}}}\n", SPOOR_ERR_USAGE, "source.column must name 1 to 8 columns"},
        {"data: {manifests: [{path: m.csv}], tasks: {source: {column: [", "c#", RECIPE_MAX_COLUMNS + 1, "]}}}\n",
         SPOOR_ERR_USAGE, "must name 1 to 8 columns"},
        {"dev: {metrics: [{kind: loss}]}\ndata: {manifests: [{path: m.csv}], ", "", 0, TASK, SPOOR_ERR_USAGE,
         "every entry needs a name"},
        {"dev: {metrics: [{name: a, task: vocoder}]}\ndata: {manifests: [{path: m.csv}], ", "", 0, TASK, SPOOR_ERR_USAGE,
         "the task vocoder, which data.tasks lacks"},
        {"dev: {metrics: [{name: a}], select: []}\ndata: {manifests: [{path: m.csv}], ", "", 0, TASK, SPOOR_ERR_USAGE,
         "at least one metric"},
        {"dev: {metrics: [{name: a}], select: [", "a", RECIPE_MAX_METRICS + 1,
         "]}\ndata: {manifests: [{path: m.csv}], tasks: {source: {}}}\n", SPOOR_ERR_LIMIT, "more than 64 names"},
        {"[1, 2]\n# ", "", 0, "", SPOOR_ERR_USAGE, "must be a mapping"},
        {"model: {half: 1}\ndata: {manifests: [{path: m.csv}], ", "", 0, TASK, SPOOR_ERR_USAGE,
         "model.half must be true or false"},
    };
    spoor_context *ctx = support_context();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *head = repeated(cases[i].before, cases[i].part, cases[i].n, cases[i].after);
        char *text = ctx_printf(ctx, "%s%s", head, cases[i].before[0] == '[' ? "" : KINDS);
        spoor_error err = {0};
        recipe *r = NULL;
        spoor_status status = parse(ctx, text, NULL, 0, &r, &err);
        if (status != cases[i].status || r != NULL || !strstr(err.message, cases[i].says)) {
            fail_msg("case %zu: status %d says: %s", i, (int)status, err.message);
        }
        ctx_free(ctx, text);
        free(head);
    }
    spoor_context_free(ctx);
}

static void failing_memory(void **state) {
    (void)state;
    json_error_t e;
    json_t *json = json_loads("{\"data\":{\"manifests\":[{\"path\":\"m\",\"where\":{\"a\":[\"b\"]}}],\"tasks\":{\"source\":{}}},"
                              "\"frontend\":{},\"network\":{}}", 0, &e);
    spoor_status status = SPOOR_ERR_LIMIT;
    for (size_t n = 1; status != SPOOR_OK; n++) {
        assert_true(n < 100);
        support_failing fail = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&fail);
        spoor_error err;
        recipe *r = NULL;
        status = recipe_from_json(ctx, json, "", &r, &err);
        recipe_free(ctx, r);
        assert_int_equal(fail.live, 0);
        spoor_context_free(ctx);
    }
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalars), cmocka_unit_test(bad_yaml), cmocka_unit_test(defaults),
                                       cmocka_unit_test(finetune), cmocka_unit_test(lists), cmocka_unit_test(mistakes),
                                       cmocka_unit_test(wrong_lists),
                                       cmocka_unit_test(failing_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
