/* test_protocol.c: every format of lists on a small made-up one, and what is no line of it. */
#include "data/manifest.h"
#include "data/protocol_internal.h"
#include "support/scratch.h"

static const char *list(const char *name) {
    static char whole[1100];
    snprintf(whole, sizeof whole, "tests/data/protocols/%.1000s", name);
    return support_path(whole);
}

static protocol_options format(const char *name) { return (protocol_options){.format = name}; }

static manifest *read_list(const char *file, const protocol_options *how) {
    manifest *m;
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, file, "", how, NULL, 0, &err), &err);
    return m;
}

static const char *cell(const manifest *m, size_t row, const char *column) {
    size_t index = manifest_column(m, column);
    if (index == SIZE_MAX) {
        fail_msg("no column %s", column);
    }
    return manifest_cell(m, row, index);
}

/* what = "column=value column=value ..."; '_' stands for a blank. */
static void row_is(const manifest *m, size_t row, const char *what) {
    char text[1024];
    snprintf(text, sizeof text, "%s", what);
    for (char *save, *part = strtok_r(text, " ", &save); part; part = strtok_r(NULL, " ", &save)) {
        char *value = strchr(part, '=');
        assert_non_null(value);
        *value++ = '\0';
        if (strcmp(cell(m, row, part), value) != 0) {
            fail_msg("row %zu: %s is \"%s\", not \"%s\"", row, part, cell(m, row, part), value);
        }
    }
}

typedef struct broken {
    const char *format, *text, *says;
    spoor_status status;
} broken;

static void all_refused(const broken *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        manifest *m;
        support_ok(manifest_new(ctx, &m, &err), &err);
        write_text(cases[i].text);
        const protocol_options how = format(cases[i].format);
        spoor_status status = manifest_add_list(m, path, "", &how, NULL, 0, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].says)) {
            fail_msg("case %zu (%s): status %d, \"%s\" does not say \"%s\"", i, cases[i].format, (int)status,
                     status == SPOOR_OK ? "" : err.message, cases[i].says);
        }
        assert_int_equal(manifest_rows(m), 0);
        assert_int_equal(manifest_columns(m), 0);
        manifest_free(m);
    }
}
#define REFUSED(cases) all_refused(cases, sizeof(cases) / sizeof *(cases))

static void mlaad(void **state) {
    (void)state;
    protocol_options how = format("mlaad");
    manifest *m = read_list(list("mlaad_train.csv"), &how);
    assert_int_equal(manifest_rows(m), 4);
    row_is(m, 0, "path=fake/en/suno_bark/a_01.wav label=spoof source=suno/bark language=en split=train");
    row_is(m, 2, "path=fake/de/tts_models_de_thorsten_vits/b_01.wav source=tts_models/de/thorsten/vits language=de");
    row_is(m, 3, "path=fake/de/tts_models_de_thorsten_vits/b_02.wav");
    assert_int_equal(manifest_line(m, 3), 5);
    manifest_free(m);
    how.split = "mine"; /* stands above the name of the file */
    how.files = "wav/{language}-{id}";
    m = read_list(list("mlaad_train.csv"), &how);
    row_is(m, 0, "split=mine path=wav/en-fake/en/suno_bark/a_01.wav");
    manifest_free(m);
    static const broken CASES[] = {
        {"mlaad", "", "is empty", SPOOR_ERR_INPUT},
        {"mlaad", "path,model\na,b\n", "names the column model_name", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\na.wav\n", "line 2: 1 fields", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\na.wav,m,x\n", "line 2: 3 fields", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\na.wav,\n", "line 2: the model name is empty", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\n./,m\n", "line 2: the path is empty", SPOOR_ERR_INPUT},
        {"mlaad", "\xfd" "7zXZ", "unpack it first: xz -dk", SPOOR_ERR_INPUT},
        {"mlaad", "\x1f\x8b\x08", "unpack it first: gzip -dk", SPOOR_ERR_INPUT},
        {"mlaad", "PAR1", "a Parquet table", SPOOR_ERR_INPUT},
        {"mlaat", "path,model_name\n", "did you mean \"mlaad\"", SPOOR_ERR_USAGE},
    };
    REFUSED(CASES);
}

static void mlaad_meta(void **state) {
    (void)state;
    const protocol_options how = format("mlaad-meta");
    manifest *m;
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, list("fake/zh-cn/OpenVoiceV2/meta.csv"), NULL, &how, NULL, 0, &err), &err);
    assert_int_equal(manifest_rows(m), 2);
    row_is(m, 0, "path=fake/zh-cn/OpenVoiceV2/x_1.wav label=spoof source=OpenVoiceV2 language=zh-cn family=VITS seconds=3.2 "
                 "original=en_US/x_1.wav training=internal");
    assert_string_equal(cell(m, 0, "text"), "\"He said, \"go\", and went");
    row_is(m, 1, "path=fake/zh/Other/x_2.wav"); /* not this list's folder: left alone */
    assert_string_equal(manifest_path(m, 0), list("fake/zh-cn/OpenVoiceV2/x_1.wav"));
    manifest_free(m);
    static const broken CASES[] = {
        {"mlaad-meta", "path|model_name\na|b\n", "names the column language", SPOOR_ERR_INPUT},
        {"mlaad-meta", "path,model_name\na,b\n", "names the column path", SPOOR_ERR_INPUT},
    };
    REFUSED(CASES);
}

static void csv_and_tsv(void **state) {
    (void)state;
    protocol_options how = format("tsv");
    how.rename[0] = (protocol_rename){"path", "wav_path"};
    how.rename[1] = (protocol_rename){"source", "system"};
    how.n_renames = 2;
    write_text("utt_id\twav_path\tsystem\tsplit\nu1\ta.wav\tx\tdev\n");
    manifest *m = read_list(path, &how);
    row_is(m, 0, "path=a.wav source=x split=dev utt_id=u1");
    manifest_free(m);
    write_text("path\twav_path\tsystem\nold\ta.wav\tx\n"); /* what is displaced keeps a name */
    m = read_list(path, &how);
    row_is(m, 0, "path=a.wav source=x path.listed=old");
    manifest_free(m);
    how.n_renames = 1;
    how.format = NULL;
    manifest *none;
    support_ok(manifest_new(ctx, &none, &err), &err);
    write_text("path,b\nx,y\n");
    refused(manifest_add_list(none, path, "", &how, NULL, 0, &err), SPOOR_ERR_INPUT, "no column wav_path");
    how = format("csv");
    how.files = "{nothing}.wav";
    refused(manifest_add_list(none, path, "", &how, NULL, 0, &err), SPOOR_ERR_USAGE, "{nothing}");
    how.files = "{b}/{id}.wav{";
    support_ok(manifest_add_list(none, path, "", &how, NULL, 0, &err), &err);
    row_is(none, 0, "path=y/x.wav{");
    manifest_free(none);
}

static void the_split_stands_in_the_name(void **state) {
    (void)state;
    static const char *const NAMES[][2] = {
        {"ASVspoof2019.LA.cm.train.trn.txt", "train"}, {"ASVspoof2019.LA.cm.dev.trl.txt", "dev"},
        {"validation_list.csv", "dev"}, {"my-TEST.csv", "test"}, {"eval2.csv", NULL}, {"retrained.csv", NULL},
        {"trial_metadata.txt", NULL}, {"", NULL}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        const char *got = protocol_split_word(NAMES[i][0]);
        if ((got == NULL) != (NAMES[i][1] == NULL) || (got && strcmp(got, NAMES[i][1]) != 0)) {
            fail_msg("%s: %s", NAMES[i][0], got ? got : "none");
        }
    }
}

static void failing_memory(void **state) {
    (void)state;
    spoor_status status = SPOOR_ERR_LIMIT;
    for (size_t n = 1; status != SPOOR_OK; n++) {
        assert_true(n < 200);
        support_failing fail = {.fail_at = n};
        spoor_context *failing = support_failing_context(&fail);
        manifest *m = NULL;
        protocol_options how = format("mlaad");
        how.files = "wav/{id}";
        status = manifest_new(failing, &m, &err);
        if (status == SPOOR_OK) {
            status = manifest_add_list(m, list("mlaad_train.csv"), NULL, &how, NULL, 0, &err);
        }
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        manifest_free(m);
        assert_int_equal(fail.live, 0);
        spoor_context_free(failing);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlaad),
        cmocka_unit_test(mlaad_meta),
        cmocka_unit_test(csv_and_tsv),
        cmocka_unit_test(the_split_stands_in_the_name),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
