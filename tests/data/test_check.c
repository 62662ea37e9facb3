/* test_check.c: the report on lists, by hand: what is known, what stands twice, what is missing. */
#include "data/check.h"
#include "support/scratch.h"
#include <sndfile.h>

static manifest *table;
static size_t faults;

static void add(const char *name, const char *text) {
    char file[4200];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    support_ok(io_write_file(ctx, file, text, strlen(text), &err), &err);
    support_ok(manifest_add_list(table, file, NULL, NULL, NULL, 0, &err), &err);
}

static json_t *checked(const char *const *names, check_options what) {
    json_t *report;
    support_ok(check_lists(ctx, table, names, &what, &report, &faults, &err), &err);
    return report;
}

/* A number of the report by a path like "sets.1.ood.rows"; -1 where there is none, the size of a list. */
static json_int_t at(const json_t *j, const char *where) {
    char text[200];
    snprintf(text, sizeof text, "%s", where);
    for (char *save, *part = strtok_r(text, ".", &save); part && j; part = strtok_r(NULL, ".", &save)) {
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(part)) : json_object_get(j, part);
    }
    return json_is_integer(j) ? json_integer_value(j) : json_is_array(j) ? (json_int_t)json_array_size(j) : -1;
}

static bool warns(const json_t *report, const char *words) {
    const json_t *list = json_object_get(report, "warnings");
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strstr(json_string_value(json_array_get(list, i)), words)) {
            return true;
        }
    }
    return false;
}

static void known_and_unknown(void **state) {
    (void)state;
    support_ok(manifest_new(ctx, &table, &err), &err);
    add("train.csv", "path,label,source\nt1,spoof,x/bark\nt2,spoof,x/bark\nt3,spoof,b\nt4,bonafide,bonafide\n");
    /* three of bark are one half of six OOD rows of six classes less two; a bona fide clip is no class */
    add("dev.csv",
        "path,label,source\n1,spoof,b\n2,spoof,y/bark-small\n3,spoof,y/bark-small\n4,spoof,y/bark-small\n"
        "4,spoof,y/bark-small\n5,spoof,d\n6,spoof,e\n7,spoof,f\n8,spoof,g\n9,bonafide,bonafide\n10,spoof,\n");
    add("eval.csv", "path,label,source\nt1,spoof,x/bark\n11,spoof,d\n11,spoof,e\n");
    json_t *r = checked((const char *const[]){"a/train.csv", "a/dev.csv", "a/eval.csv"}, (check_options){0});
    assert_int_equal(at(r, "rows"), 18);
    assert_int_equal(at(r, "files"), 15);
    assert_int_equal(at(r, "sets"), 3);
    assert_int_equal(at(r, "sets.0.rows"), 4);
    assert_int_equal(at(r, "sets.0.sources"), 2);
    assert_int_equal(at(r, "sets.0.id.rows"), -1); /* train knows itself */
    assert_int_equal(at(r, "sets.1.rows"), 11);
    assert_int_equal(at(r, "sets.1.files"), 10);
    assert_int_equal(at(r, "sets.1.id.rows"), 1);
    assert_int_equal(at(r, "sets.1.id.classes"), 1);
    assert_int_equal(at(r, "sets.1.ood.rows"), 8);
    assert_int_equal(at(r, "sets.1.ood.files"), 7);
    assert_int_equal(at(r, "sets.1.ood.classes"), 5);
    assert_int_equal(at(r, "sets.1.duplicates"), 1);
    assert_int_equal(at(r, "sets.1.near_names"), 1);
    assert_int_equal(at(r, "sets.1.labels.label.spoof"), 10);
    assert_int_equal(at(r, "sets.1.labels.label.bonafide"), 1);
    assert_int_equal(at(r, "sets.2.conflicts"), 1);
    assert_int_equal(at(r, "overlaps"), 1);
    assert_int_equal(at(r, "overlaps.0.sets.0"), 0);
    assert_int_equal(at(r, "overlaps.0.sets.1"), 2);
    assert_int_equal(at(r, "overlaps.0.files"), 1);
    assert_int_equal(faults, 1);
    assert_true(warns(r, "train.csv and eval.csv share 1 files: what is measured"));
    assert_true(warns(r, "dev.csv: 1 rows repeat an earlier one word for word (11 rows, 10 files)"));
    assert_true(warns(r, "eval.csv: 1 rows describe a file again and otherwise"));
    assert_true(warns(r, "dev.csv: 1 of the 2 classes of train do not occur (x/bark)"));
    assert_true(warns(r, "dev.csv and eval.csv have 2 OOD classes in common (d, e)"));
    assert_false(warns(r, "alone is")); /* 4 of 8 rows are under three times a fifth */
    assert_false(warns(r, "no bona fide"));
    json_decref(r);
    manifest_free(table);
}

static void one_class_that_dominates(void **state) {
    (void)state;
    support_ok(manifest_new(ctx, &table, &err), &err);
    add("train.csv", "path,label,source\nt1,spoof,x/bark\nt2,spoof,x/bark\nt3,spoof,b\n");
    add("dev.csv",
        "path,label,source\n1,spoof,y/Bark\n2,spoof,y/Bark\n3,spoof,y/Bark\n4,spoof,d\n5,spoof,e\n6,spoof,f\n"
        "7,spoof,g\n8,spoof,h\n");
    json_t *r = checked((const char *const[]){"train.csv", "dev.csv"}, (check_options){0});
    assert_false(warns(r, "y/Bark alone")); /* 3/8 of six classes: 2.25 times its part */
    json_decref(r);
    add("test.csv",
        "path,label,source\n21,spoof,y/Bark\n22,spoof,y/Bark\n23,spoof,y/Bark\n24,spoof,d\n25,spoof,e\n26,spoof,f\n");
    add("eval.csv", "path,label,source\n11,spoof,y/Bark\n12,spoof,y/Bark\n13,spoof,y/Bark\n14,spoof,y/"
                    "Bark\n15,spoof,d\n16,spoof,e\n"
                    "17,spoof,f\n18,spoof,g\n19,spoof,h\n");
    add("more.csv", "path,label,source,split\n31,spoof,y/Bark,eval\n32,spoof,y/Bark,eval\n33,spoof,y/Bark,eval\n"
                    "34,spoof,y/Bark,eval\n35,spoof,y/Bark,eval\n36,spoof,d,eval\n37,spoof,e,eval\n38,spoof,f,eval\n"
                    "39,spoof,g,eval\n40,spoof,h,eval\n41,spoof,x/bark,other\n");
    r = checked((const char *const[]){"train.csv", "dev.csv", "test.csv", "eval.csv", "more.csv"}, (check_options){0});
    assert_false(warns(r, "test.csv OOD: y/Bark alone")); /* 1/2 of four classes: twice */
    assert_false(warns(r, "eval.csv OOD: y/Bark alone")); /* 4/9 of six: 2.67 times */
    assert_true(warns(
        r, "more.csv (eval) OOD: y/Bark alone is 5 of 10 rows (50 %) in 6 classes, and by its name it is close to "
           "what was trained on as x/bark (2 rows)")); /* three times */
    assert_true(warns(r, "train.csv: no bona fide speech"));
    assert_int_equal(at(r, "sets"), 6);
    json_decref(r);
    manifest_free(table);
}

static void near_names(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool near;
    } CASES[] = {{"x/bark", "y/bark", true},
                 {"suno/bark-small", "bark", true},
                 {"Vits", "tts/vits--neon", true},
                 {"vits", "vitsneon", false},
                 {"bark", "dark", false},
                 {"x/bark", "bark/x", false},
                 {"xtts_v1.1", "xtts_v2", false},
                 {"", "", true},
                 {"a/", "a/", true}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        if (check_near_names(CASES[i].a, CASES[i].b) != CASES[i].near ||
            check_near_names(CASES[i].b, CASES[i].a) != CASES[i].near) {
            fail_msg("%s and %s", CASES[i].a, CASES[i].b);
        }
    }
}

static void write_sound(const char *name, size_t samples) {
    char file[4200];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *f = sf_open(file, SFM_WRITE, &info);
    assert_non_null(f);
    short *x = calloc(samples, sizeof *x);
    assert_non_null(x);
    assert_int_equal(sf_write_short(f, x, (sf_count_t)samples), samples);
    assert_int_equal(sf_close(f), 0);
    free(x);
}

static void files_that_are_not_there(void **state) {
    (void)state;
    support_ok(manifest_new(ctx, &table, &err), &err);
    write_sound("good.wav", 8000);
    write_sound("short.wav", 7999);
    snprintf(path, sizeof path, "%s/noise.wav", folder);
    write_text("no sound");
    add("list.csv", "path,path_b\ngood.wav,gone.wav\nshort.wav,\nnoise.wav,good.wav\nmissing.wav,\nmissing.wav,\n");
    const char *const names[] = {"list.csv"};
    json_t *r = checked(names, (check_options){.files = true});
    assert_int_equal(at(r, "sets.0.missing"), 2);
    assert_int_equal(at(r, "sets.0.unreadable"), -1);
    assert_int_equal(faults, 2);
    json_decref(r);
    r = checked(names, (check_options){.audio = true});
    assert_int_equal(at(r, "sets.0.missing"), 2);
    assert_int_equal(at(r, "sets.0.unreadable"), 1);
    assert_int_equal(at(r, "sets.0.short"), 1);
    assert_int_equal(faults, 4);
    assert_true(warns(r, "4 files are missing or cannot be used"));
    json_decref(r);
    manifest_free(table);
    support_ok(manifest_new(ctx, &table, &err), &err);
    add("empty.csv", "path\n");
    refused(check_lists(ctx, table, names, &(check_options){0}, &r, &faults, &err), SPOOR_ERR_INPUT, "holds no row");
    manifest_free(table);
}

static void failing_memory(void **state) {
    (void)state;
    spoor_status status = SPOOR_ERR_LIMIT;
    snprintf(path, sizeof path, "%s/all.csv", folder);
    write_text("path,source,split\na,x,train\nb,y,dev\nb,y,dev\na,z,dev\n");
    const char *const names[] = {"all.csv"};
    for (size_t n = 1; status != SPOOR_OK; n++) {
        assert_true(n < 300);
        support_failing fail = {.fail_at = n};
        spoor_context *failing = support_failing_context(&fail);
        json_t *r = NULL;
        manifest *m = NULL;
        status = manifest_new(failing, &m, &err);
        if (status == SPOOR_OK) {
            status = manifest_add(m, path, NULL, NULL, 0, &err);
        }
        if (status == SPOOR_OK) {
            status = check_lists(failing, m, names, &(check_options){.files = true}, &r, &faults, &err);
        }
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        json_decref(r);
        manifest_free(m);
        assert_int_equal(fail.live, 0);
        spoor_context_free(failing);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_and_unknown), cmocka_unit_test(one_class_that_dominates),
        cmocka_unit_test(near_names),        cmocka_unit_test(files_that_are_not_there),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
