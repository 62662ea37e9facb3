/* test_taxonomy.c: the table that is built in against what was published, a user's own, and what is no taxonomy. */
#include "data/taxonomy.h"
#include "support/scratch.h"

static taxonomy *open_it(const char *file) {
    taxonomy *t;
    support_ok(taxonomy_open(ctx, file, &t, &err), &err);
    return t;
}

static const char *is(const taxonomy *t, size_t source, const char *attribute) {
    size_t a = taxonomy_attribute(t, attribute), v = taxonomy_of(t, source, a);
    return v == SIZE_MAX ? "" : taxonomy_value_name(t, a, v);
}

static size_t count(const taxonomy *t, const char *kind, const char *attribute, const char *value) {
    size_t n = 0;
    for (size_t s = 0; s < taxonomy_sources(t); s++) {
        n += strcmp(taxonomy_source_kind(t, s), kind) == 0 && (!attribute || strcmp(is(t, s, attribute), value) == 0);
    }
    return n;
}

static void what_is_built_in(void **state) {
    (void)state;
    taxonomy *t = open_it(NULL);
    assert_string_equal(taxonomy_name(t), "codecfake_plus");
    assert_int_equal(count(t, "codec", NULL, NULL), 31);
    assert_int_equal(count(t, "system", NULL, NULL), 17);
    static const struct {
        const char *attribute, *values[4];
        size_t codecs[4], systems[4];
    } WANT[] = {{"vq", {"real", "MVQ", "SVQ", "SQ"}, {0, 25, 4, 2}, {0, 13, 2, 2}},
                {"aux", {"real", "none", "semantic", "disentangle"}, {0, 18, 8, 5}, {0, 13, 1, 3}},
                {"dec", {"real", "time", "freq"}, {0, 19, 12}, {0, 14, 3}}};
    for (size_t i = 0; i < 3; i++) {
        size_t a = taxonomy_attribute(t, WANT[i].attribute);
        assert_int_equal(a, i);
        assert_int_equal(taxonomy_values(t, a), i == 2 ? 3 : 4);
        for (size_t v = 0; v < taxonomy_values(t, a); v++) { /* numbered as the published classes are */
            assert_string_equal(taxonomy_value_name(t, a, v), WANT[i].values[v]);
            assert_int_equal(count(t, "codec", WANT[i].attribute, WANT[i].values[v]), WANT[i].codecs[v]);
            assert_int_equal(count(t, "system", WANT[i].attribute, WANT[i].values[v]), WANT[i].systems[v]);
        }
    }
    static const char *const SPELLED[][3] = {
        {"vq", "Scq", "SQ"},     {"vq", "SQ", "SQ"},      {"vq", "Mvq", "MVQ"},       {"vq", "REAL", "real"},
        {"aux", "Trad", "none"}, {"aux", "None", "none"}, {"aux", "SEM", "semantic"}, {"aux", "Disent", "disentangle"},
        {"dec", "TIME", "time"}, {"dec", "FREQ", "freq"}};
    for (size_t i = 0; i < sizeof SPELLED / sizeof *SPELLED; i++) {
        size_t a = taxonomy_attribute(t, SPELLED[i][0]), v = taxonomy_value(t, a, SPELLED[i][1]);
        assert_true(v != SIZE_MAX);
        assert_string_equal(taxonomy_value_name(t, a, v), SPELLED[i][2]);
    }
    assert_int_equal(taxonomy_value(t, 0, "Trad"), SIZE_MAX);
    assert_int_equal(taxonomy_attribute(t, "none"), SIZE_MAX);
    taxonomy_free(t);
}

static void sources_by_their_names(void **state) {
    (void)state;
    taxonomy *t = open_it(TAXONOMY_BUILTIN);
    static const struct {
        const char *id, *source;
        size_t prefix;
    } IDS[] = {{"p227_260_vocos_encodec_6", "vocos_encodec_6", 8},
               {"s5_400_xocdec_hubert_general_audio", "xcodec_hubert_general_audio", 6},
               {"p260_075_Encodec_6b24k", "Encodec_6b24k", 8},
               {"s5_1_mini", "mimi", 4},
               {"x_ticodec_1g1r", "ticodec_1g1r", 1},
               {"p_1_SpeechTokenizer_hubert_avg", "SpeechTokenizer_hubert_avg", 3}};
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++) {
        size_t prefix = 0, s = taxonomy_find_suffix(t, IDS[i].id, &prefix);
        assert_true(s != SIZE_MAX);
        assert_string_equal(taxonomy_source_name(t, s), IDS[i].source);
        assert_int_equal(prefix, IDS[i].prefix);
    }
    size_t prefix;
    assert_int_equal(taxonomy_find_suffix(t, "p227_260", &prefix), SIZE_MAX);
    assert_int_equal(taxonomy_find_suffix(t, "_mini", &prefix), SIZE_MAX); /* nothing before it */
    assert_int_equal(taxonomy_find_suffix(t, "xmini", &prefix), SIZE_MAX);
    assert_int_equal(taxonomy_find_suffix(t, "", &prefix), SIZE_MAX);
    assert_int_equal(taxonomy_find(t, "mini"), taxonomy_find(t, "mimi"));
    assert_int_equal(taxonomy_find(t, "BigCodec"), taxonomy_find(t, "bigcodec"));
    assert_int_equal(taxonomy_find(t, "bigcode"), SIZE_MAX);
    size_t clam = taxonomy_find(t, "CLAMTTS");
    assert_string_equal(is(t, clam, "dec"), "freq");
    assert_non_null(strstr(taxonomy_source_note(t, clam), "340 time, 590 freq"));
    taxonomy_free(t);
}

static void a_table_of_ones_own(void **state) {
    (void)state;
    taxonomy *t = open_it(support_path("tests/data/protocols/taxonomy_more.json"));
    assert_string_equal(taxonomy_name(t), "more");
    assert_int_equal(taxonomy_sources(t), 49);
    size_t mine = taxonomy_find(t, "Mars5"), clam = taxonomy_find(t, "CLAMTTS");
    assert_string_equal(taxonomy_source_name(t, mine), "newcodec");
    assert_string_equal(is(t, mine, "vq"), "SQ");
    assert_string_equal(is(t, mine, "dec"), ""); /* not known */
    assert_string_equal(is(t, clam, "dec"), "time");
    assert_string_equal(is(t, clam, "aux"), "");
    taxonomy_free(t);
    write_text("{\"attributes\": {\"voc\": {\"values\": [\"gan\", \"flow\"]}}, \"sources\": {\"a\": {\"voc\": "
               "\"GAN\"}, \"b\": {\"voc\": null}}}");
    t = open_it(path);
    assert_string_equal(taxonomy_name(t), path);
    assert_string_equal(is(t, 0, "voc"), "gan");
    assert_string_equal(is(t, 1, "voc"), "");
    taxonomy_free(t);
    write_text("{\"attributes\": {\"v\": {\"values\": [\"x\"]}}, \"sources\": {\"a_codec_6\": {}, \"codec_6\": {}, "
               "\"6\": {}}}");
    t = open_it(path);
    size_t prefix = 0, longest = taxonomy_find_suffix(t, "p1_2_a_codec_6", &prefix);
    assert_string_equal(taxonomy_source_name(t, longest), "a_codec_6");
    assert_int_equal(prefix, 4);
    longest = taxonomy_find_suffix(t, "p1_2_b_codec_6", &prefix);
    assert_string_equal(taxonomy_source_name(t, longest), "codec_6");
    assert_int_equal(prefix, 6);
    taxonomy_free(t);
}

static void what_is_none(void **state) {
    (void)state;
#define A "\"attributes\": {\"voc\": {\"values\": [\"gan\", {\"name\": \"flow\", \"aliases\": [\"nf\"]}]}}"
    static const char *const CASES[][2] = {
        {"", "line 1"},
        {"[]", "is an object"},
        {"{\"attribute\": {}}", "did you mean \"attributes\""},
        {"{\"sources\": {\"a\": {}}}", "\"attributes\" must map"},
        {"{\"attributes\": [], \"sources\": {}}", "\"attributes\" must map"},
        {"{\"attributes\": {\"v\": {}}, \"sources\": {}}", "must have a name and 1 to"},
        {"{\"attributes\": {\"v\": {\"values\": [3]}}, \"sources\": {}}", "a value must be"},
        {"{\"attributes\": {\"v\": {\"values\": [\"\"]}}, \"sources\": {}}", "has no name"},
        {"{\"attributes\": {\"v\": {\"values\": [\"a\", \"A\"]}}, \"sources\": {}}", "two values called A"},
        {"{\"attributes\": {\"v\": {\"values\": [\"a\", {\"name\": \"b\", \"aliases\": [\"a\"]}]}}, \"sources\": {}}",
         "two values called a"},
        {"{\"attributes\": {\"v\": {\"values\": [{\"name\": \"b\", \"aliases\": \"a\"}]}}, \"sources\": {}}",
         "must be a list of names"},
        {"{" A "}", "\"sources\" must map"},
        {"{" A ", \"sources\": {}}", "\"sources\" must map"},
        {"{" A ", \"sources\": {\"\": {}}}", "a source has no name"},
        {"{" A ", \"sources\": {\"s\": {\"voc\": \"diffusion\"}}}",
         "has no value \"diffusion\"; leave out what is not known"},
        {"{" A ", \"sources\": {\"s\": {\"voc\": 3}}}", "has no value \"(no text)\""},
        {"{" A ", \"sources\": {\"s\": {\"vok\": \"gan\"}}}", "did you mean \"voc\""},
        {"{" A ", \"sources\": {\"s\": {\"aliases\": [3]}}}", "the aliases of s must be names"},
        {"{" A ", \"sources\": {\"s\": {\"aliases\": [\"t\"]}, \"t\": {}}}",
         "t is the name or an alias of two sources"},
        {"{" A ", \"sources\": {\"s\": {}, \"s\": {}}}", "duplicate"},
        {"{" A ", \"sources\": {\"s\\u001b[2J\": {}}}", "control characters"},
        {"{" A ", \"sources\": {\"s\": {\"aliases\": [\"t\\u0085\"]}}}", "control characters"},
        {"{\"extends\": 3}", "\"extends\" must name"},
        {"{\"extends\": \"scores.tsv\"}", "extend each other"},
        {"{\"extends\": \"codecfake_plus\", \"sources\": []}", "\"sources\" must be an object"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        taxonomy *t = NULL;
        write_text(CASES[i][0]);
        spoor_status status = taxonomy_open(ctx, path, &t, &err);
        if (status != SPOOR_ERR_INPUT || !strstr(err.message, CASES[i][1])) {
            fail_msg("case %zu: %d, %s", i, (int)status, status ? err.message : "");
        }
        assert_null(t);
    }
    taxonomy *t;
    write_text("{\"extends\": \"gone.json\"}");
    refused(taxonomy_open(ctx, path, &t, &err), SPOOR_ERR_IO, "gone.json");
}

static void failing_memory(void **state) {
    (void)state;
    spoor_status status = SPOOR_ERR_LIMIT;
    for (size_t n = 1; status != SPOOR_OK; n++) {
        assert_true(n < 100);
        support_failing fail = {.fail_at = n};
        spoor_context *failing = support_failing_context(&fail);
        taxonomy *t = NULL;
        status = taxonomy_open(failing, support_path("tests/data/protocols/taxonomy_more.json"), &t, &err);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        taxonomy_free(t);
        assert_int_equal(fail.live, 0);
        spoor_context_free(failing);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_in),    cmocka_unit_test(sources_by_their_names),
        cmocka_unit_test(a_table_of_ones_own), cmocka_unit_test(what_is_none),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
