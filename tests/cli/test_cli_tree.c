/* test_cli_tree.c: `spoor trace` of a model that answers attributes: the tree in text, JSON and HTML, with the taxonomy that is built in
 * and with one of the user's own. */
#include "cli/cli_case.h"
#include "model/small_models.h"
#include "support/html.h"

static const char MINE[] = "{\"name\":\"<mine>\",\"extends\":\"codecfake_plus\",\"sources\":{\"my codec\":{\"kind\":\"codec\",\"vq\":\"SVQ\",\"dec\":\"time\"}}}";

static int make(void **state) {
    int status = set_up(state);
    spoor_context *ctx = support_context();
    small_model(ctx, in_folder(MODEL), NULL, SMALL_FAST, "{" SMALL_POOLED "}",
                "{\"name\":\"source\",\"classes\":[\"bonafide\",\"DAC24\",\"bigcodec\"]},{\"name\":\"bonafide\",\"classes\":[\"bonafide\",\"spoof\"]},"
                "{\"name\":\"vq\",\"classes\":[\"MVQ\",\"SQ\",\"SVQ\",\"real\"]},{\"name\":\"aux\",\"classes\":[\"none\",\"semantic\",\"disentangle\"]},"
                "{\"name\":\"dec\",\"classes\":[\"freq\",\"time\"]}",
                "", 5);
    spoor_context_free(ctx);
    write_wav("a.wav", 5.0, 1);
    write_string("mine.json", MINE);
    write_string("bad.json", "{\"attributes\": {}}");
    return status;
}

static const json_t *source_named(const json_t *tree, const char *name) {
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(tree, "sources"), i, s) {
        if (strcmp(text_of(s, "name"), name) == 0) {
            return s;
        }
    }
    return NULL;
}

static void json_has_the_tree(void **state) {
    (void)state;
    outcome o = trace("--json", "a.wav");
    exits(&o, 0);
    json_t *j = answers(&o);
    const json_t *tree = json_object_get(j, "tree"), *attributes = json_object_get(tree, "attributes");
    assert_string_equal(text_of(tree, "taxonomy"), "codecfake_plus");
    assert_int_equal(json_array_size(attributes), 3);
    assert_string_equal(text_of(json_array_get(attributes, 0), "title"), "quantiser");
    for (size_t a = 0; a < 3; a++) {
        double sum = 0, last = 1;
        size_t v;
        json_t *value;
        json_array_foreach(json_object_get(json_array_get(attributes, a), "values"), v, value) {
            double p = json_number_value(json_object_get(value, "p"));
            assert_true(p <= last);
            last = p;
            sum += p;
        }
        assert_int_equal(v, a == 2 ? 2 : 3);
        support_close(sum, 1, 1e-6, "values");
    }
    double share = 0, last = 1;
    size_t s;
    json_t *source;
    json_array_foreach(json_object_get(tree, "sources"), s, source) {
        double p = json_number_value(json_object_get(source, "p"));
        assert_true(p <= last);
        last = p;
        share += p;
    }
    assert_int_equal(s, 48);
    support_close(share, 1, 1e-6, "sources");
    assert_true(json_is_true(json_object_get(source_named(tree, "DAC24"), "known")));
    assert_true(json_is_false(json_object_get(source_named(tree, "VALLE"), "known")));
    assert_null(source_named(tree, "my codec"));
    json_decref(j);
    outcome_free(&o);
}

static void a_taxonomy_can_be_given(void **state) {
    (void)state;
    outcome o = trace("--json", "--taxonomy", "mine.json", "a.wav");
    exits(&o, 0);
    json_t *j = answers(&o);
    const json_t *tree = json_object_get(j, "tree"), *mine = source_named(tree, "my codec");
    assert_non_null(mine);
    assert_string_equal(text_of(json_object_get(mine, "values"), "vq"), "SVQ");
    assert_int_equal(json_array_size(json_object_get(mine, "unknown")), 1);
    json_decref(j);
    outcome_free(&o);
    o = trace("--taxonomy", "bad.json", "a.wav");
    exits(&o, 2);
    assert_string_equal(o.out, "");
    assert_non_null(strstr(o.err, "bad.json"));
    outcome_free(&o);
    o = trace("--taxonomy", "missing.json", "a.wav");
    assert_true(o.status != 0 && strstr(o.err, "missing.json") != NULL);
    outcome_free(&o);
}

static void text_and_report_have_the_tree(void **state) {
    (void)state;
    outcome o = trace("--taxonomy", "mine.json", "--top", "48", "--html", "report.html", "a.wav");
    exits(&o, 0);
    assert_non_null(strstr(o.out, "if codec speech:"));
    assert_non_null(strstr(o.out, "    quantiser "));
    assert_non_null(strstr(o.out, "    auxiliary objective "));
    assert_non_null(strstr(o.out, "    fits "));
    assert_non_null(strstr(o.out, "MVQ, none, time\n"));
    assert_null(strstr(o.out, " 0.0 %  ")); /* the others are not worth a line */
    unsigned char *html;
    size_t size;
    spoor_error err = {0};
    spoor_context *ctx = support_context();
    support_ok(io_read_file(ctx, in_folder("report.html"), 1 << 24, &html, &size, &err), &err);
    const char *text = (const char *)html;
    html_is_balanced(text);
    assert_non_null(strstr(text, "tree of the verdict"));
    assert_non_null(strstr(text, "&lt;mine&gt;"));
    assert_non_null(strstr(text, ">decoder</text>"));
    assert_null(strstr(text, "nan"));
    ctx_free(ctx, html);
    spoor_context_free(ctx);
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(json_has_the_tree), cmocka_unit_test(a_taxonomy_can_be_given),
                                       cmocka_unit_test(text_and_report_have_the_tree)};
    return cmocka_run_group_tests(tests, make, tear_down);
}
