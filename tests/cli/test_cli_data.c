/* test_cli_data.c: `spoor data`: text, JSON, exit codes, and a manifest made of other lists. */
#include "cli/cli_case.h"

static const char *protocols(const char *name) {
    static char whole[2][1100];
    static unsigned next;
    char *b = whole[next++ % 2];
    char relative[300];
    snprintf(relative, sizeof relative, "tests/data/protocols/%.200s", name);
    snprintf(b, 1100, "%s", support_path(relative));
    return b;
}

static void says(const outcome *o, const char *words) {
    if (strstr(o->out, words) == NULL) {
        fail_msg("\"%s\" is not in:\n%s%s", words, o->out, o->err);
    }
}

static void check_as_text_and_json(void **state) {
    (void)state;
    outcome o = spoor("data", "check", "--format", "mlaad", protocols("mlaad_train.csv"), protocols("mlaad_dev.csv"));
    exits(&o, 0);
    says(&o, "mlaad_train.csv (train)\n  holds          4 rows, 4 files, 2 classes\n");
    says(&o, "  holds          4 rows, 3 files, 3 classes\n  ID             1 rows, 1 files, 1 classes\n"
             "  OOD            3 rows, 2 files, 2 classes\n");
    says(&o, "  class sizes    1 to 2 rows; largest: tts_models/multi/bark 2, ");
    says(&o, "  language       fr 3, en 1\n");
    says(&o, "(1):\n  fake/fr/tts_models_multi_bark/c_03.wav\n");
    outcome_free(&o);
    o = spoor("data", "check", "--json", "--split", "train,dev", "--format=mlaad", protocols("mlaad_train.csv"),
              protocols("mlaad_dev.csv"));
    exits(&o, 0);
    json_t *j = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_int_equal(json_array_size(json_object_get(j, "sets")), 2);
    json_decref(j);
    outcome_free(&o);
    write_string("some.csv", "path,split\na.wav,train\nb.wav,train\nb.wav,dev\nc.wav,dev\n");
    o = spoor("data", "check", "some.csv");
    exits(&o, 0);
    says(&o, "files shared by some.csv (train) and some.csv (dev) (1):\n  b.wav\n");
    outcome_free(&o);
    o = spoor("data", "check", "--root", "nowhere", "--format=mlaad", protocols("mlaad_dev.csv"));
    exits(&o, 2);
    says(&o, "nowhere/fake/fr/Mars5/c_02.wav");
    outcome_free(&o);
}

static void convert_writes_a_manifest(void **state) {
    (void)state;
    outcome o = spoor("data", "convert", "--format", "mlaad", protocols("mlaad_train.csv"), protocols("mlaad_dev.csv"),
                      "-o", "all.csv");
    exits(&o, 0);
    outcome_free(&o);
    FILE *f = fopen(in_folder("all.csv"), "r");
    assert_non_null(f);
    char text[2000];
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    assert_string_equal(text,
                        "path,label,source,language,split,known\n"
                        "fake/en/suno_bark/a_01.wav,spoof,suno/bark,en,train,id\n"
                        "fake/en/suno_bark/a_02.wav,spoof,suno/bark,en,train,id\n"
                        "fake/de/tts_models_de_thorsten_vits/b_01.wav,spoof,tts_models/de/thorsten/vits,de,train,id\n"
                        "fake/de/tts_models_de_thorsten_vits/b_02.wav,spoof,tts_models/de/thorsten/vits,de,train,id\n"
                        "fake/en/suno_bark/c_01.wav,spoof,suno/bark,en,dev,id\n"
                        "fake/fr/Mars5/c_02.wav,spoof,Mars5,fr,dev,ood\n"
                        "fake/fr/tts_models_multi_bark/c_03.wav,spoof,tts_models/multi/bark,fr,dev,ood\n"
                        "fake/fr/tts_models_multi_bark/c_03.wav,spoof,tts_models/multi/bark,fr,dev,ood\n");
    write_string("odd.tsv", "wav\tsource\na \"b\",c.wav\tx\n");
    o = spoor("data", "convert", "--format", "tsv", "--column", "path=wav", "--root", "/r", "odd.tsv", "-o", "odd.csv");
    exits(&o, 0);
    outcome_free(&o);
    o = spoor("data", "convert", "odd.csv", "-o", "again.csv");
    exits(&o, 0);
    outcome_free(&o);
    f = fopen(in_folder("again.csv"), "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    assert_string_equal(text, "path,source\n\"/r/a \"\"b\"\",c.wav\",x\n");
}

static void wrong_command_lines(void **state) {
    (void)state;
    write_string("a.csv", "path\nx.wav\n");
    const char *lines[][7] = {
        {"data"},
        {"data", "chek", "a.csv"},
        {"data", "check"},
        {"data", "convert", "a.csv"},
        {"data", "check", "--format", "mlaat", "a.csv"},
        {"data", "check", "--column", "path", "a.csv"},
        {"data", "check", "--column", "=x", "a.csv"},
        {"data", "check", "--split", "train,dev,eval", "a.csv", "a.csv"},
        {"data", "check", "--files", "{none}", "a.csv"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        outcome o = command_run(&(command){.folder = folder, .args = lines[i]});
        if (o.status != 1 || o.out_size != 0 || o.err[0] == '\0') {
            fail_msg("line %zu: exit code %d, stdout \"%.50s\", stderr \"%.200s\"", i, o.status, o.out, o.err);
        }
        outcome_free(&o);
    }
    outcome o = spoor("data", "check", "none.csv");
    exits(&o, 5);
    outcome_free(&o);
    o = spoor("data", "check", "--format=help");
    exits(&o, 0);
    says(&o, "mlaad ");
    outcome_free(&o);
    o = spoor("data", "--help");
    exits(&o, 0);
    says(&o, "Usage: spoor data check ");
    outcome_free(&o);
    o = spoor("data", "convert", "a.csv", "-o", "/nowhere/b.csv");
    exits(&o, 5);
    outcome_free(&o);
}

static void taxonomies(void **state) {
    (void)state;
    outcome o = spoor("taxonomy");
    exits(&o, 0);
    says(&o, "codecfake_plus: 48 sources\n  vq    quantiser             0 real (0), 1 MVQ (38), 2 SVQ (6), 3 SQ (4)\n");
    says(&o, "\nmimi                                   codec   MVQ          semantic     time         also mini\n");
    says(&o, "CLAMTTS: Table 1");
    outcome_free(&o);
    o = spoor("taxonomy", protocols("taxonomy_more.json"), "--json");
    exits(&o, 0);
    json_t *j = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_string_equal(text_of(j, "name"), "more");
    assert_int_equal(json_array_size(json_object_get(j, "sources")), 49);
    json_decref(j);
    outcome_free(&o);
    o = spoor("taxonomy", "--find", "s5_400_xocdec_hubert_general_audio", "--json");
    exits(&o, 0);
    j = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_string_equal(text_of(j, "name"), "xcodec_hubert_general_audio");
    assert_string_equal(text_of(j, "aux"), "semantic");
    json_decref(j);
    outcome_free(&o);
    o = spoor("taxonomy", "--find", "nothing");
    exits(&o, 2);
    outcome_free(&o);
    write_string("bad.json", "{}");
    o = spoor("taxonomy", "bad.json");
    exits(&o, 2);
    outcome_free(&o);
    o = spoor("taxonomy", "gone.json");
    exits(&o, 5);
    outcome_free(&o);
    o = spoor("taxonomy", "a", "b");
    exits(&o, 1);
    outcome_free(&o);
    o = spoor("data", "check", "--format=mlaad", "--taxonomy", protocols("taxonomy_more.json"),
              protocols("mlaad_dev.csv"));
    exits(&o, 0);
    says(&o, "  vq             SQ 1\n");
    outcome_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(check_as_text_and_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(convert_writes_a_manifest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taxonomies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_command_lines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
