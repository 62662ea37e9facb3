/* test_scores.c: score files of our own and of others, and .npy matrices: there and back, and everything that is wrong. */
#include "base/rng.h"
#include "eval/npy.h"
#include "eval/scores.h"
#include "support/scratch.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- our own form ------------------------------------------------------------------------------------- */

enum { CLIPS = 5, WIDTH = 5 };
static const char *const source_names[] = {"tab\there", "b\"q\"", "c/d"}, *const family_names[] = {"x", "y"};
static const eval_task tasks[] = {{"source", 3, source_names}, {"family", 2, family_names}};

static void fill(eval_clip *clips, int32_t *truth, float *scores) {
    rng r = rng_make(21, 0);
    for (size_t i = 0; i < CLIPS; i++) {
        for (size_t k = 0; k < WIDTH; k++) {
            scores[i * WIDTH + k] = (float)rng_uniform(&r) * 1e-3f;
        }
        truth[2 * i] = (int32_t)(i % 4) - 1;
        truth[2 * i + 1] = (int32_t)(i % 3) - 1;
        clips[i] = (eval_clip){.id = i == 0 ? "#line\nbreak" : "a b,c", .split = "dev", .page = i % 2 ? "p/q" : "",
                               .setting = "same", .source = "s\xc3\xa9", .truth = truth + 2 * i, .scores = scores + i * WIDTH,
                               .bonafide = rng_normal(&r) / 3, .known = rng_normal(&r), .is_bonafide = (int)(i % 3) - 1,
                               .is_known = 1 - (int)(i % 3)};
    }
    clips[1].bonafide = NAN;
    clips[2].bonafide = -INFINITY;
    scores[3 * WIDTH + 3] = NAN; /* nothing said of the family */
    clips[4].scores = NULL;      /* not evaluated */
    clips[4].bonafide = clips[4].known = NAN;
}

static bool same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static void own_form_there_and_back(void **state) {
    (void)state;
    eval_clip clips[CLIPS];
    int32_t truth[2 * CLIPS];
    float scores[CLIPS * WIDTH];
    fill(clips, truth, scores);
    eval_set set = {.tasks = tasks, .task_count = 2, .clips = clips, .n = CLIPS, .probabilities = true, .bonafide_is_llr = true,
                    .has_threshold = true, .known_threshold = -1.0 / 3};
    support_ok(score_file_write(ctx, path, &set, &err), &err);
    score_file *f;
    support_ok(score_file_read(ctx, path, &f, &err), &err);
    const eval_set *got = score_file_set(f);
    assert_true(got->n == CLIPS && got->task_count == 2 && got->probabilities && got->bonafide_is_llr && !got->decisions);
    assert_true(got->has_threshold && got->known_threshold == -1.0 / 3); /* to the bit */
    for (size_t t = 0; t < 2; t++) {
        assert_string_equal(got->tasks[t].name, tasks[t].name);
        assert_int_equal(got->tasks[t].classes, tasks[t].classes);
        for (size_t k = 0; k < tasks[t].classes; k++) {
            assert_string_equal(got->tasks[t].names[k], tasks[t].names[k]);
        }
    }
    for (size_t i = 0; i < CLIPS; i++) {
        const eval_clip *a = &clips[i], *b = &got->clips[i];
        assert_string_equal(a->id, b->id);
        assert_string_equal(a->split, b->split);
        assert_string_equal(a->page, b->page);
        assert_string_equal(a->setting, b->setting);
        assert_string_equal(a->source, b->source);
        assert_true(a->is_bonafide == b->is_bonafide && a->is_known == b->is_known);
        assert_true(same(a->bonafide, b->bonafide) && same(a->known, b->known));
        assert_true(a->truth[0] == b->truth[0] && a->truth[1] == b->truth[1]);
        assert_true((a->scores == NULL) == (b->scores == NULL));
        for (size_t k = 0; a->scores != NULL && k < WIDTH; k++) {
            bool unsaid = i == 3 && k >= 3;
            assert_true(unsaid ? isnan(b->scores[k]) : a->scores[k] == b->scores[k]);
        }
    }
    score_file_free(f);
    score_file_free(NULL);
    const eval_task bad = {"a/b", 3, source_names};
    set.tasks = &bad;
    set.task_count = 1;
    refused(score_file_write(ctx, path, &set, &err), SPOOR_ERR_USAGE, "a/b");
    refused(score_file_write(ctx, "/nonexistent/x.tsv", &set, &err), SPOOR_ERR_IO, "nonexistent");
}

static void another_locale_changes_nothing(void **state) {
    (void)state;
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "nl_NL.UTF-8"};
    const char *set_to = NULL;
    for (size_t i = 0; i < sizeof commas / sizeof *commas && set_to == NULL; i++) {
        set_to = setlocale(LC_NUMERIC, commas[i]);
    }
    if (set_to == NULL) {
        print_message("SKIP: no locale with a decimal comma is installed\n");
        skip();
    }
    own_form_there_and_back(state);
    setlocale(LC_NUMERIC, "C");
}

static void own_form_that_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "column \"id\""},
        {"name\tscore\nx\t1\n", "\"name\" of the header is none"},
        {"split\tpage\nx\ty\n", "column \"id\""},
        {"id\tid\n", "\"id\" of the header stands there twice"},
        {"id\tscore/source\n", "is not of the form score/TASK/CLASS"},
        {"id\tscore/source/a\n", "without a column true/TASK"},
        {"id\ttrue/\n", "not of the form true/TASK"},
        {"id\ttrue/a\ttrue/a\n", "\"true/a\" of the header stands there twice"},
        {"id\ttrue/a\n", "task a has no column score/a/CLASS"},
        {"id\ttrue/a\tscore/a/x\tscore/a/x\n", "stands there twice"},
        {"id\ttrue/a\tscore/a/x\tpage\tscore/a/y\n", "beside the others"},
        {"id\tknown\nx\t1\ny\n", "line 3: 1 fields, but the header has 2"},
        {"id\tknown\nx\t1\t2\n", "line 2: 3 fields"},
        {"id\tknown\nx\tabc\n", "line 2, column known: \"abc\" is not a number"},
        {"id\tknown\nx\t1.5e\n", "\"1.5e\" is not a number"},
        {"id\tknown\nx\tnan\n", "\"nan\" is not a number"},
        {"id\tis_known\nx\t2\n", "is not 0, 1 or empty"},
        {"id\ttrue/a\tscore/a/x\tscore/a/y\n\nq\tx\t1\t\n", "line 3: only 1 of the 2 scores of task a"},
    };
    score_file *f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(cases[i].text);
        refused(score_file_read(ctx, path, &f, &err), SPOOR_ERR_INPUT, cases[i].says);
        assert_null(f);
    }
    write_text("id\tknown\n"); /* no clips: no error */
    support_ok(score_file_read(ctx, path, &f, &err), &err);
    assert_int_equal(score_file_set(f)->n, 0);
    score_file_free(f);
    write_text("id,true/a,score/a/x,score/a/y\nq,z,1,2\n"); /* CSV as well; z is no class */
    support_ok(score_file_read(ctx, path, &f, &err), &err);
    assert_int_equal(score_file_set(f)->clips[0].truth[0], -1);
    assert_true(score_file_set(f)->clips[0].scores[1] == 2 && isnan(score_file_set(f)->clips[0].known));
    score_file_free(f);
}

/* ---- foreign files ------------------------------------------------------------------------------------ */

static void foreign_detection(void **state) {
    (void)state;
    score_columns c;
    score_columns_init(&c);
    c.id = "1";
    c.label = "3";
    c.score = "4";
    c.target_label = "bonafide";
    write_text("LA_1 - bonafide 3.5\nLA_2 A05 spoof -1e2\n");
    score_file *f;
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    const eval_set *s = score_file_set(f);
    assert_true(s->n == 2 && s->task_count == 0);
    assert_string_equal(s->clips[1].id, "LA_2");
    assert_true(s->clips[0].bonafide == 3.5 && s->clips[0].is_bonafide == 1 && isnan(s->clips[0].known));
    assert_true(s->clips[1].bonafide == -100 && s->clips[1].is_bonafide == 0 && s->clips[1].is_known == -1);
    score_file_free(f);
    c = (score_columns){.label = "is ood", .score = "s", .target_label = "0", .lower_is_target = true, .known = true,
                        .page = "p", .header = -1};
    write_text("s,is ood,p\n2,1,A\n-1,0,B\n5,,C\n");
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    s = score_file_set(f);
    assert_true(s->n == 3 && s->clips[0].known == -2 && s->clips[1].known == 1);
    assert_true(s->clips[0].is_known == 0 && s->clips[1].is_known == 1 && s->clips[2].is_known == -1);
    assert_string_equal(s->clips[1].page, "B");
    assert_string_equal(s->clips[1].id, "3"); /* its line */
    score_file_free(f);
}

static void foreign_decisions(void **state) {
    (void)state;
    score_columns c;
    score_columns_init(&c);
    c.label = "truth";
    c.predicted = "said";
    write_text("file;truth;said\nf1;b;a\nf2;a;a\nf3;c;\n");
    score_file *f;
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    const eval_set *s = score_file_set(f);
    assert_true(s->n == 3 && s->task_count == 1 && s->decisions && s->tasks[0].classes == 3);
    assert_string_equal(s->tasks[0].names[2], "c");
    assert_true(s->clips[0].truth[0] == 1 && s->clips[0].scores[0] == 1 && s->clips[0].scores[1] == 0);
    assert_true(s->clips[2].truth[0] == 2 && s->clips[2].scores == NULL);
    score_file_free(f);
}

static void foreign_that_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text, *score, *label, *target;
        spoor_status status;
        const char *says;
    } cases[] = {
        {"a b 1\n", "3", NULL, "b", SPOOR_ERR_USAGE, "name the columns"},
        {"a b 1\n", "3", "2", NULL, SPOOR_ERR_USAGE, "name the columns"},
        {"a b 1\n", "0", "2", "b", SPOOR_ERR_USAGE, "counted from 1"},
        {"a b 1\n", "99999999", "2", "b", SPOOR_ERR_USAGE, "counted from 1"},
        {"x y z\n", "score", "2", "b", SPOOR_ERR_USAGE, "no column called \"score\""},
        {"", "score", "2", "b", SPOOR_ERR_USAGE, "no column called \"score\""},
        {"a b 1\na b\n", "3", "2", "b", SPOOR_ERR_INPUT, "line 2: 2 fields, but column 3"},
        {"a b 1\na b x\n", "3", "2", "b", SPOOR_ERR_INPUT, "line 2: the score \"x\""},
        {"a b nan\n", "3", "2", "b", SPOOR_ERR_INPUT, "line 1: the score \"nan\""},
        {"a b inf\n", "3", "2", "b", SPOOR_ERR_INPUT, "line 1: the score \"inf\""},
        {"a b 1\n", "3", "2", "bonafide", SPOOR_ERR_INPUT, "no line has the target's label \"bonafide\"; the first has \"b\""},
    };
    score_file *f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        score_columns c;
        score_columns_init(&c);
        c.score = cases[i].score;
        c.label = cases[i].label;
        c.target_label = cases[i].target;
        write_text(cases[i].text);
        refused(score_file_read_columns(ctx, path, &c, &f, &err), cases[i].status, cases[i].says);
        assert_null(f);
    }
}

static void write_key(const char *text) {
    char name[4300];
    snprintf(name, sizeof name, "%s/key", folder);
    support_ok(io_write_file(ctx, name, text, strlen(text), &err), &err);
}

/* Scores in one file, labels in another, as ASVspoof has them. */
static void labels_of_a_key(void **state) {
    (void)state;
    char key[4300];
    snprintf(key, sizeof key, "%s/key", folder);
    score_columns c;
    score_columns_init(&c);
    c.score = "2";
    c.target_label = "bonafide";
    c.key = (score_key){.path = key, .id = "2", .label = "5", .source = "4"};
    write_key("S1 u3 - A07 spoof\nS1 u1 - - bonafide\nS2 u2 - A08 spoof\nS9 u9 - - bonafide\nS1 ./u3 - A07 spoof\n");
    write_text("u1 2.5\n./u2 -1\nu3 0.5\nu1 2.25\n");
    score_file *f;
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    const eval_set *s = score_file_set(f);
    assert_true(s->n == 5 && s->task_count == 0);
    assert_true(s->clips[0].is_bonafide == 1 && s->clips[0].bonafide == 2.5 && s->clips[3].is_bonafide == 1);
    assert_true(s->clips[1].is_bonafide == 0 && s->clips[2].is_bonafide == 0);
    assert_string_equal(s->clips[1].source, "A08");
    assert_string_equal(s->clips[1].id, "./u2");
    assert_string_equal(s->clips[4].id, "u9"); /* in the key, not scored */
    assert_true(s->clips[4].is_bonafide == 1 && isnan(s->clips[4].bonafide) && s->clips[4].scores == NULL);
    score_file_free(f);
    c.key = (score_key){.path = key, .id = "utt", .label = "key", .page = "codec"};
    write_key("utt,codec,key\nu1,mp3,spoof\nu2,opus,bonafide\n");
    write_text("u2\t1\nu1\t0\n");
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    assert_string_equal(score_file_set(f)->clips[0].page, "opus");
    assert_true(score_file_set(f)->clips[0].is_bonafide == 1 && score_file_set(f)->n == 2);
    score_file_free(f);
    static const struct {
        const char *key, *text, *says;
        spoor_status status;
    } bad[] = {
        {"utt,codec,key\nu1,-,spoof\n", "u1 1\nu2 1\n", "line 2: the id \"u2\" is not in the key", SPOOR_ERR_INPUT},
        {"utt,codec,key\nu1,-,spoof\nu1,-,bonafide\n", "u1 1\n", "line 3: u1 is labelled otherwise in line 2",
         SPOOR_ERR_INPUT},
        {"utt,codec,key\nu1,-\n", "u1 1\n", "line 2: 2 fields, but column 3", SPOOR_ERR_INPUT},
        {"utt,codec,key\nu1,-,spoof\n", "u1 1\n",
         "no line has the target's label \"bonafide\"; the first has \"spoof\"", SPOOR_ERR_INPUT},
        {"id,codec,key\nu1,-,spoof\n", "u1 1\n", "no column called \"utt\"", SPOOR_ERR_USAGE},
        {"", "u1 1\n", "no column called \"utt\"", SPOOR_ERR_USAGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_key(bad[i].key);
        write_text(bad[i].text);
        refused(score_file_read_columns(ctx, path, &c, &f, &err), bad[i].status, bad[i].says);
        assert_null(f);
    }
    c.label = "2";
    refused(score_file_read_columns(ctx, path, &c, &f, &err), SPOOR_ERR_USAGE, "not of both");
    c.label = NULL;
    c.key.path = "/nonexistent/key";
    refused(score_file_read_columns(ctx, path, &c, &f, &err), SPOOR_ERR_IO, "nonexistent");
}

static void scores_of_classes(void **state) {
    (void)state;
    score_columns c;
    score_columns_init(&c);
    c.id = "1";
    c.label = "2";
    c.probabilities = "3-5";
    c.classes = "REAL,Mvq,Svq";
    write_text("a REAL .7 .2 .1\nb Svq .25 .25 .5\nc never .5 .25 .25\n");
    score_file *f;
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    const eval_set *s = score_file_set(f);
    assert_true(s->n == 3 && s->task_count == 1 && s->tasks[0].classes == 3 && s->probabilities && !s->decisions);
    assert_true(s->clips[1].truth[0] == 2 && s->clips[2].truth[0] == -1 && s->clips[1].scores[2] == 0.5f);
    assert_true(isnan(s->clips[0].known) && s->clips[0].is_known == -1);
    assert_string_equal(s->clips[2].source, "never");
    score_file_free(f);
    c.known = true; /* labels that are classes are known; the score is the greatest */
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    s = score_file_set(f);
    assert_true(s->clips[0].is_known == 1 && s->clips[2].is_known == 0 && s->clips[2].known == 0.5);
    support_close(s->clips[0].known, 0.7, 1e-12, "greatest");
    score_file_free(f);
    c = (score_columns){.label = "y",
                        .probabilities = "real,p 2",
                        .header = -1,
                        .score = "real",
                        .target_label = "real",
                        .more_targets = (const char *const[]){"human"},
                        .n_more_targets = 1};
    write_text("y,real,p 2\nreal,3,-2\np 2,1,4\nhuman,0,1\n");
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    s = score_file_set(f);
    assert_true(!s->probabilities && s->clips[0].bonafide == 3 && s->clips[1].truth[0] == 1 &&
                s->clips[2].is_bonafide == 1);
    assert_string_equal(s->tasks[0].names[1], "p 2");
    score_file_free(f);
    c = (score_columns){.label = "1", .probabilities = "3,2", .header = 1};
    write_text("l p q\n2 0 1\n3 1 0\n"); /* a header, classes called by it */
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    assert_string_equal(score_file_set(f)->tasks[0].names[0], "q");
    score_file_free(f);
    c.header = -1;
    write_text("2 0 1\n3 1 0\n");
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    assert_string_equal(score_file_set(f)->tasks[0].names[0], "3");
    assert_true(score_file_set(f)->clips[1].truth[0] == 0 && score_file_set(f)->clips[1].scores[0] == 0);
    score_file_free(f);
    c = (score_columns){.label = "1", .predicted = "2", .classes = "x,y", .score = "3", .known = true, .header = -1};
    write_text("y x 1\nz y .5\n"); /* z is no class: unknown */
    support_ok(score_file_read_columns(ctx, path, &c, &f, &err), &err);
    s = score_file_set(f);
    assert_true(s->decisions && s->clips[0].truth[0] == 1 && s->clips[1].truth[0] == -1 && s->clips[1].is_known == 0);
    score_file_free(f);
    static const struct {
        const char *text, *probabilities, *classes, *says;
        spoor_status status;
    } bad[] = {
        {"a .5 .5\n", "2-3", "x", "1 classes are named for 2 columns", SPOOR_ERR_USAGE},
        {"a .5 .5\n", "2-3", "x,x", "\"x\" is named twice", SPOOR_ERR_USAGE},
        {"a .5 .5\n", "2,2", NULL, "column 2 is named twice", SPOOR_ERR_USAGE},
        {"a .5 .5\n", "3-2", NULL, "a range goes from", SPOOR_ERR_USAGE},
        {"a .5 .5\n", "0-2", NULL, "a range goes from", SPOOR_ERR_USAGE},
        {"a .5 .5\n", "2-99999", NULL, "a range goes from", SPOOR_ERR_USAGE},
        {"a .5 .5\n", "2,", NULL, "no column called \"\"", SPOOR_ERR_USAGE},
        {"a .5\n", "2-3", NULL, "line 1: 2 fields, but column 3", SPOOR_ERR_INPUT},
        {"a .5 x\n", "2-3", NULL, "the score \"x\" is no finite number", SPOOR_ERR_INPUT},
        {"a .5 inf\n", "2-3", NULL, "the score \"inf\" is no finite number", SPOOR_ERR_INPUT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c = (score_columns){
            .label = "1", .probabilities = bad[i].probabilities, .classes = bad[i].classes, .header = -1};
        write_text(bad[i].text);
        refused(score_file_read_columns(ctx, path, &c, &f, &err), bad[i].status, bad[i].says);
        assert_null(f);
    }
    c = (score_columns){.label = "1", .predicted = "2", .classes = "x,y", .header = -1};
    write_text("x w\n");
    refused(score_file_read_columns(ctx, path, &c, &f, &err), SPOOR_ERR_INPUT,
            "the predicted label \"w\" is none of the classes");
    c.probabilities = "2";
    refused(score_file_read_columns(ctx, path, &c, &f, &err), SPOOR_ERR_USAGE, "not both");
}

/* Every single allocation fails once: a sentence, no leak. */
static void readers_without_memory(void **state) {
    (void)state;
    char own[4300];
    snprintf(own, sizeof own, "%s/own.tsv", folder);
    static const char text[] = "id\ttrue/a\tscore/a/x\nq\tx\t1\n";
    support_ok(io_write_file(ctx, own, text, strlen(text), &err), &err);
    write_text("f1;b;a;1\nf2;a;a;2\n");
    char key[4300];
    snprintf(key, sizeof key, "%s/key", folder);
    write_key("f1 b\nf2 a\n");
    const score_columns ways[] = {{.label = "2", .predicted = "3", .score = "4", .target_label = "a", .header = 0},
                                  {.label = "2", .probabilities = "4", .known = true},
                                  {.id = "1",
                                   .predicted = "3",
                                   .score = "4",
                                   .known = true,
                                   .classes = "a,b",
                                   .key = {.path = key, .label = "2"}}};
    for (int kind = 0; kind < 4; kind++) {
        spoor_status status = SPOOR_ERR_LIMIT;
        for (size_t at = 1; status != SPOOR_OK && at < 100; at++) {
            support_failing failing = {0};
            spoor_context *weak = support_failing_context(&failing);
            failing.fail_at = at;
            score_file *f;
            status = kind == 0 ? score_file_read(weak, own, &f, &err)
                               : score_file_read_columns(weak, path, &ways[kind - 1], &f, &err);
            assert_true(status == SPOOR_OK || (status == SPOOR_ERR_LIMIT && f == NULL));
            score_file_free(f);
            assert_int_equal(failing.live, 0);
            failing.fail_at = 0;
            spoor_context_free(weak);
        }
        assert_int_equal(status, SPOOR_OK);
    }
}

/* Random damage to a good file never crashes and never passes a half-read table on. */
static void damaged_files(void **state) {
    (void)state;
    static const char good[] = "# spoor scores 1 probabilities=1 decisions=0 llr=1 known_threshold=0.25\nid\tpage\tknown\ttrue/a\tscore/a/x\tscore/a/y\n"
                               "q\t\"p\"\"q\"\t1.5\tx\t0.25\t0.75\nr\tz\t\ty\t\t\n";
    static const char alphabet[] = "\t\n\r\"#,;/ 0e-x\xff";
    rng r = rng_make(31, 0);
    size_t read = 0;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        size_t n = sizeof good - 1;
        for (uint64_t k = rng_below(&r, 4) + 1; k > 0; k--) {
            text[rng_below(&r, n)] = alphabet[rng_below(&r, sizeof alphabet - 1)];
        }
        n = rng_below(&r, 5) == 0 ? rng_below(&r, n) : n;
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, n, file), n);
        fclose(file);
        score_file *f;
        spoor_status status = score_file_read(ctx, path, &f, &err);
        assert_true((status == SPOOR_OK) == (f != NULL));
        read += status == SPOOR_OK;
        score_file_free(f);
        score_columns c = {.label = "2", .predicted = "1", .header = -1};
        status = score_file_read_columns(ctx, path, &c, &f, &err);
        assert_true((status == SPOOR_OK) == (f != NULL));
        score_file_free(f);
    }
    assert_true(read > 100 && read < 2900);
}

/* ---- .npy --------------------------------------------------------------------------------------------- */

static void npy_there_and_back(void **state) {
    (void)state;
    static const size_t shapes[][2] = {{3, 4}, {0, 5}, {1, 1}, {2000, 7}, {4, 0}};
    char name[4300];
    snprintf(name, sizeof name, "%s/m.npy", folder);
    rng r = rng_make(41, 0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t n = shapes[i][0] * shapes[i][1], rows, cols, size;
        float *data = malloc((n + 1) * sizeof *data), *back;
        assert_non_null(data);
        for (size_t k = 0; k < n; k++) {
            data[k] = k == 1 ? NAN : (float)rng_normal(&r);
        }
        support_ok(npy_write_f32(ctx, name, data, shapes[i][0], shapes[i][1], &err), &err);
        support_ok(npy_read_f32(ctx, name, 1 << 20, &back, &rows, &cols, &err), &err);
        assert_true(rows == shapes[i][0] && cols == shapes[i][1]);
        assert_memory_equal(data, back, n * sizeof *data);
        ctx_free(ctx, back);
        unsigned char *bytes;
        support_ok(io_read_file(ctx, name, 1 << 20, &bytes, &size, &err), &err);
        assert_int_equal((size - 4 * n) % 64, 0);
        ctx_free(ctx, bytes);
        free(data);
    }
    float *none;
    size_t rows, cols;
    refused(npy_read_f32(ctx, name, 10, &none, &rows, &cols, &err), SPOOR_ERR_LIMIT, "limit");
    refused(npy_write_f32(ctx, name, NULL, SIZE_MAX / 2, 4, &err), SPOOR_ERR_LIMIT, "limit");
    const char *const ids[] = {"a/b.wav", "c\nd", ""};
    support_ok(npy_write_ids(ctx, name, ids, 3, &err), &err);
    snprintf(name, sizeof name, "%s/m.ids.txt", folder);
    unsigned char *bytes;
    size_t size;
    support_ok(io_read_file(ctx, name, 100, &bytes, &size, &err), &err);
    assert_string_equal((char *)bytes, "a/b.wav\nc?d\n\n");
    ctx_free(ctx, bytes);
}

/* A file with this dictionary and `data` zero bytes after it. */
static void write_npy(int version, const char *dictionary, size_t claim, size_t data) {
    unsigned char bytes[512] = "\x93NUMPY";
    size_t at = 8, n = strlen(dictionary);
    bytes[6] = (unsigned char)version;
    for (int i = 0; i < (version == 1 ? 2 : 4); i++) {
        bytes[at++] = (unsigned char)(claim >> (8 * i));
    }
    memcpy(bytes + at, dictionary, n);
    write_bytes(bytes, at + n + data);
}

static void npy_of_numpy(void **state) {
    (void)state;
    static const struct {
        int version;
        const char *dictionary;
        size_t data, rows, cols;
    } good[] = {
        {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", 24, 2, 3},
        {2, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", 48, 2, 3},
        {3, "{\"shape\": (5,), \"fortran_order\": False, \"descr\": \"<f4\"}", 20, 5, 1},
        {1, "{'shape':(0,1),'fortran_order':False,'descr':'<f4'}", 0, 0, 1},
    };
    float *data;
    size_t rows, cols;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        write_npy(good[i].version, good[i].dictionary, strlen(good[i].dictionary), good[i].data);
        support_ok(npy_read_f32(ctx, path, 1000, &data, &rows, &cols, &err), &err);
        assert_true(rows == good[i].rows && cols == good[i].cols);
        for (size_t k = 0; k < rows * cols; k++) {
            assert_true(data[k] == 0);
        }
        ctx_free(ctx, data);
    }
}

static void npy_that_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *dictionary;
        size_t data;
        const char *says;
    } bad[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, "23 bytes follow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, "25 bytes follow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0, "0 bytes follow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, "0 bytes follow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999, 1), }", 0, "none of"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24, "none of"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", 24, "none of"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", 24, "none of"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }", 24, "none of"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, "none of"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }", 24, "none of"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, "none of"},
        {"{'descr': '<f4', 'fortran_order': False}", 24, "none of"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x", 24, "none of"},
        {"{'descr': '<f4", 24, "none of"},
        {"{'other': 1, 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 24, "none of"},
        {"{}  ", 0, "none of"},
    };
    static const char fine[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    float *data;
    size_t rows, cols;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_npy(1, bad[i].dictionary, strlen(bad[i].dictionary), bad[i].data);
        refused(npy_read_f32(ctx, path, 1000, &data, &rows, &cols, &err), SPOOR_ERR_INPUT, bad[i].says);
        assert_null(data);
    }
    write_npy(2, "{}", 0xffffffff, 0);
    refused(npy_read_f32(ctx, path, 1000, &data, &rows, &cols, &err), SPOOR_ERR_INPUT, "says that it has 4294967295");
    write_npy(1, "{}", 3, 0);
    refused(npy_read_f32(ctx, path, 1000, &data, &rows, &cols, &err), SPOOR_ERR_INPUT, "says that it has 3");
    write_npy(4, "{}", 2, 0);
    refused(npy_read_f32(ctx, path, 1000, &data, &rows, &cols, &err), SPOOR_ERR_INPUT, "no .npy file");
    write_text("");
    refused(npy_read_f32(ctx, path, 1000, &data, &rows, &cols, &err), SPOOR_ERR_INPUT, "no .npy file");
    write_npy(1, fine, strlen(fine), 24);
    for (size_t at = 1; at <= 2; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        refused(npy_read_f32(weak, path, 1000, &data, &rows, &cols, &err), SPOOR_ERR_LIMIT, "out of memory");
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_form_there_and_back),
        cmocka_unit_test(another_locale_changes_nothing), cmocka_unit_test(own_form_that_is_wrong),
        cmocka_unit_test(foreign_detection),      cmocka_unit_test(foreign_decisions),
        cmocka_unit_test(foreign_that_is_wrong),  cmocka_unit_test(labels_of_a_key),
        cmocka_unit_test(scores_of_classes),      cmocka_unit_test(readers_without_memory),
        cmocka_unit_test(damaged_files),          cmocka_unit_test(npy_there_and_back),
        cmocka_unit_test(npy_of_numpy),           cmocka_unit_test(npy_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
