/* test_eval_html.c: the page of an evaluation: whole, well formed, self-contained, whatever the names. */
#include "report/eval_html.h"
#include "base/rng.h"
#include "support/html.h"
#include "support/scratch.h"
#include <math.h>

enum { CLASSES = 3, N = 90 };
static const char *const names[CLASSES] = {"<script>alert(1)</script>", "b\"\xff&", "c"};
static const eval_task task = {"so<urce", CLASSES, names};

typedef struct case_set {
    eval_clip clips[N];
    int32_t truth[N];
    float scores[N * CLASSES];
    eval_set set;
} case_set;

static void fill(case_set *c) {
    rng r = rng_make(12, 0);
    for (size_t i = 0; i < N; i++) {
        bool known = i % 3 != 0;
        float sum = 0;
        c->truth[i] = known ? (int32_t)(i % CLASSES) : -1;
        for (size_t k = 0; k < CLASSES; k++) {
            c->scores[i * CLASSES + k] = (float)rng_uniform(&r) + (known && k == i % CLASSES ? 1.0f : 0.0f);
            sum += c->scores[i * CLASSES + k];
        }
        for (size_t k = 0; k < CLASSES; k++) {
            c->scores[i * CLASSES + k] /= sum;
        }
        c->clips[i] = (eval_clip){.id = "x",
                                  .split = "",
                                  .page = i % 2 ? "<p>" : "",
                                  .setting = i % 4 ? "s&t" : "",
                                  .source = names[i % CLASSES],
                                  .truth = &c->truth[i],
                                  .scores = c->scores + i * CLASSES,
                                  .bonafide = rng_normal(&r),
                                  .known = rng_normal(&r) + known,
                                  .is_bonafide = i % 5 == 0,
                                  .is_known = known};
    }
    c->clips[0].bonafide = INFINITY;
    c->set = (eval_set){.tasks = &task, .task_count = 1, .clips = c->clips, .n = N, .probabilities = true,
                        .bonafide_is_llr = true};
}

static char *page_of(const eval_set *set, const eval_options *o) {
    json_t *report;
    unsigned char *html;
    size_t size;
    support_ok(eval_report(ctx, set, o, &report, &err), &err);
    support_ok(report_eval_html(ctx, path, set, report, &err), &err);
    json_decref(report);
    support_ok(io_read_file(ctx, path, 1 << 24, &html, &size, &err), &err);
    html_is_balanced((const char *)html);
    assert_null(strstr((const char *)html, "<script"));
    assert_null(strstr((const char *)html, "http"));
    assert_null(strstr((const char *)html, "nan"));
    return (char *)html;
}

static void has(const char *html, const char *text) {
    if (strstr(html, text) == NULL) {
        fail_msg("the page does not have \"%s\"", text);
    }
}

static void a_whole_page(void **state) {
    (void)state;
    static case_set c;
    fill(&c);
    eval_options o;
    eval_options_init(&o);
    o.replicates = 20;
    o.system = "<b>mine</b>";
    o.known = (eval_threshold){0.25, "d&v"};
    const eval_merge_pair pair = {"<x>", "y"};
    o.merged = &pair;
    o.n_merged = 1;
    char *html = page_of(&c.set, &o);
    has(html, "Evaluation of &lt;b&gt;mine&lt;/b&gt;");
    has(html, "&lt;script&gt;alert(1)&lt;/script&gt;");
    has(html, "Merged: &lt;x&gt; as y");
    has(html, "from the score 0.25 on (d&amp;v)");
    has(html, "<figcaption>ROC</figcaption>");
    has(html, "<figcaption>DET</figcaption>");
    has(html, "<figcaption>OSCR");
    has(html, "<figcaption>Reliability");
    has(html, "<figcaption>Scores: known");
    has(html, "<figcaption>Scores: bona fide");
    has(html, "class=\"confusion\"");
    has(html, "By source");
    has(html, "prefers-color-scheme:dark");
    ctx_free(ctx, html);
}

static void pages_with_little_on_them(void **state) {
    (void)state;
    static case_set c;
    fill(&c);
    eval_set set = {0};
    eval_options o;
    eval_options_init(&o);
    o.replicates = 0;
    char *html = page_of(&set, &o);
    has(html, "0 recordings");
    ctx_free(ctx, html);
    set = c.set;
    for (set.n = 1; set.n <= 3; set.n++) { /* one side alone, equal scores */
        html = page_of(&set, &o);
        has(html, "Known or unknown source");
        ctx_free(ctx, html);
    }
    for (size_t i = 0; i < N; i++) {
        c.clips[i].known = 1;
        c.clips[i].bonafide = i % 2 ? -INFINITY : INFINITY;
    }
    html = page_of(&c.set, &o);
    has(html, "<figcaption>DET</figcaption>");
    ctx_free(ctx, html);
}

static void without_memory(void **state) {
    (void)state;
    static case_set c;
    fill(&c);
    c.set.n = 8;
    json_t *report;
    eval_options o;
    eval_options_init(&o);
    o.replicates = 2;
    support_ok(eval_report(ctx, &c.set, &o, &report, &err), &err);
    spoor_status status = SPOOR_ERR_LIMIT;
    size_t at = 1;
    for (; status != SPOOR_OK && at < 200; at++) {
        support_failing failing = {0};
        spoor_context *weak = support_failing_context(&failing);
        failing.fail_at = at;
        status = report_eval_html(weak, path, &c.set, report, &err);
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        assert_int_equal(failing.live, 0);
        failing.fail_at = 0;
        spoor_context_free(weak);
    }
    assert_true(status == SPOOR_OK && at > 8);
    refused(report_eval_html(ctx, "/nonexistent/r.html", &c.set, report, &err), SPOOR_ERR_IO, "nonexistent");
    json_decref(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_page),
        cmocka_unit_test(pages_with_little_on_them),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
