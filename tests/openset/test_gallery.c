/* test_gallery.c: the file of enrolled sources: there and back, its limits, hostile files, no memory. */
#include "base/io.h"
#include "openset/gallery.h"
#include "support/support.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 3 };
static const char MODEL[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static spoor_context *ctx;
static spoor_error err;
static char *folder;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    folder = support_temporary();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(folder);
    free(folder);
    spoor_context_free(ctx);
    return 0;
}

static const char *in_folder(const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%.500s/%s", folder, name);
    return path;
}

static void refused(spoor_status got, spoor_status want, const char *words) {
    if (got != want || strstr(err.message, words) == NULL) {
        fail_msg("status %d \"%s\" is not status %d with \"%s\"", got, err.message, want, words);
    }
}

/* n files with hashes from `first` on; embedding of file i: {i, 1, -i}. */
static gallery_hash hash[VERIFY_MAX_FILES + 1];
static float embedding[(VERIFY_MAX_FILES + 1) * DIM];
static void make_files(size_t n, size_t first) {
    for (size_t i = 0; i < n; i++) {
        snprintf(hash[i], sizeof hash[i], "%064zx", first + i);
        float x = (float)(first + i);
        memcpy(embedding + i * DIM, (float[]){x, 1, -x}, DIM * sizeof(float));
    }
}

static spoor_status add(gallery *g, const char *name, size_t n, size_t first, size_t *added) {
    make_files(n, first);
    return gallery_add(g, name, (const gallery_hash *)hash, embedding, n, added, &err);
}

static gallery *two_sources(spoor_context *c) {
    gallery *g = NULL;
    support_ok(gallery_new(c, MODEL, DIM, &g, &err), &err);
    support_ok(add(g, "alt-tts", 2, 10, NULL), &err);
    support_ok(add(g, "Größe 龙", 1, 20, NULL), &err);
    return g;
}

static void a_gallery_comes_back_as_it_was(void **state) {
    (void)state;
    gallery *g = two_sources(ctx), *back = NULL;
    support_ok(gallery_save(g, in_folder("g.safetensors"), &err), &err);
    support_ok(gallery_open(ctx, in_folder("g.safetensors"), &back, &err), &err);
    assert_int_equal(back->n, 2);
    assert_int_equal(back->dim, DIM);
    assert_string_equal(back->model, MODEL);
    for (size_t i = 0; i < 2; i++) {
        const gallery_source *a = &g->source[i], *b = &back->source[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->n, b->n);
        assert_memory_equal(a->file, b->file, a->n * sizeof *a->file);
        assert_memory_equal(a->embedding, b->embedding, a->n * DIM * sizeof(float));
    }
    unsigned char *first, *second; /* and the same bytes once more */
    size_t n, m;
    support_ok(io_read_file(ctx, in_folder("g.safetensors"), 1 << 20, &first, &n, &err), &err);
    support_ok(gallery_save(back, in_folder("h.safetensors"), &err), &err);
    support_ok(io_read_file(ctx, in_folder("h.safetensors"), 1 << 20, &second, &m, &err), &err);
    assert_int_equal(n, m);
    assert_memory_equal(first, second, n);
    ctx_free(ctx, first);
    ctx_free(ctx, second);
    support_ok(gallery_remove(back, "alt-tts", &err), &err);
    assert_int_equal(back->n, 1);
    assert_int_equal(gallery_find(back, "alt-tts"), SIZE_MAX);
    assert_int_equal(gallery_find(back, "Größe 龙"), 0);
    refused(gallery_remove(back, "alt-tts", &err), SPOOR_ERR_USAGE, "no source \"alt-tts\"");
    support_ok(gallery_remove(back, "Größe 龙", &err), &err);
    support_ok(gallery_save(back, in_folder("h.safetensors"), &err), &err);
    gallery_free(back);
    support_ok(gallery_open(ctx, in_folder("h.safetensors"), &back, &err), &err); /* an empty one is one too */
    assert_int_equal(back->n, 0);
    gallery_free(back);
    gallery_free(g);
}

static void one_to_fifty_files_each_once(void **state) {
    (void)state;
    gallery *g = two_sources(ctx);
    size_t added;
    support_ok(add(g, "alt-tts", 3, 11, &added), &err); /* 11 is there already */
    assert_int_equal(added, 2);
    assert_int_equal(g->source[0].n, 4);
    assert_float_equal(g->source[0].embedding[3 * DIM], 13, 0);
    support_ok(add(g, "many", 50, 100, &added), &err);
    assert_int_equal(g->source[2].n, 50);
    support_ok(add(g, "many", 50, 100, &added), &err);
    assert_int_equal(added, 0);
    refused(add(g, "many", 1, 200, &added), SPOOR_ERR_LIMIT, "many would have 51 recordings");
    refused(add(g, "more", 51, 300, &added), SPOOR_ERR_LIMIT, "51 recordings of more");
    refused(add(g, "none", 0, 0, &added), SPOOR_ERR_LIMIT, "0 recordings of none");
    make_files(1, 1);
    embedding[1] = NAN;
    refused(gallery_add(g, "nan", (const gallery_hash *)hash, embedding, 1, NULL, &err), SPOOR_ERR_INPUT, "not finite");
    make_files(1, 1);
    hash[0][5] = 'G';
    refused(gallery_add(g, "hash", (const gallery_hash *)hash, embedding, 1, NULL, &err), SPOOR_ERR_USAGE, "no hash");
    assert_int_equal(g->n, 3); /* refusals change nothing */
    assert_int_equal(g->source[2].n, 50);
    gallery_free(g);
}

static void a_gallery_has_room_for_4096_sources(void **state) {
    (void)state;
    gallery *g = NULL;
    support_ok(gallery_new(ctx, MODEL, DIM, &g, &err), &err);
    char name[20];
    for (size_t i = 0; i < GALLERY_MAX_SOURCES; i++) {
        snprintf(name, sizeof name, "s%zu", i);
        support_ok(add(g, name, 1, i, NULL), &err);
    }
    refused(add(g, "one more", 1, 1, NULL), SPOOR_ERR_LIMIT, "at most 4096 sources");
    support_ok(add(g, "s7", 1, 5000, NULL), &err);
    gallery_free(g);
    refused(gallery_new(ctx, MODEL, 0, &g, &err), SPOOR_ERR_USAGE, "1 to");
    refused(gallery_new(ctx, "abc", DIM, &g, &err), SPOOR_ERR_USAGE, "hash");
}

static void names_are_plain_text(void **state) {
    (void)state;
    char longest[GALLERY_MAX_NAME + 2];
    memset(longest, 'x', sizeof longest);
    longest[GALLERY_MAX_NAME] = '\0';
    support_ok(gallery_check_name(longest, &err), &err);
    support_ok(gallery_check_name("合成 2 — ü", &err), &err);
    longest[GALLERY_MAX_NAME] = 'x';
    longest[GALLERY_MAX_NAME + 1] = '\0';
    const char *bad[] = {"",       longest,     "a\nb",         "\x1b[31mred", "del\x7f",          "c1 \xc2\x9b",
                         " blank", "blank ",    "\xff\xfe",     "cut \xe2\x82", "over\xc0\xaflong", "half \xed\xa0\x80",
                         "tab\t",  "bonafide",  "human"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refused(gallery_check_name(bad[i], &err), SPOOR_ERR_USAGE, i < 13 ? "UTF-8 without control" : "human speech");
    }
}

static void a_gallery_belongs_to_one_model(void **state) {
    (void)state;
    gallery *g = two_sources(ctx);
    char other[65];
    memcpy(other, MODEL, sizeof other);
    support_ok(gallery_check_model(g, "g", MODEL, DIM, &err), &err);
    refused(gallery_check_model(g, "g", MODEL, DIM + 1, &err), SPOOR_ERR_INPUT, "another model");
    other[0] = 'f';
    refused(gallery_check_model(g, "g", other, DIM, &err), SPOOR_ERR_INPUT, "another model");
    gallery_free(g);
}

/* ---- hostile files ---- */

static spoor_status open_text(const char *meta, size_t sources, size_t files, safetensors_dtype dtype, const void *data) {
    safetensors_writer *w = NULL;
    support_ok(safetensors_writer_new(ctx, &w, &err), &err);
    if (meta != NULL) {
        support_ok(safetensors_writer_meta(w, "spoor.gallery", meta, &err), &err);
    }
    for (size_t i = 0; i < sources; i++) {
        char name[32];
        snprintf(name, sizeof name, "source.%zu", i);
        support_ok(safetensors_writer_add(w, name, dtype, 2, (int64_t[]){(int64_t)files, DIM}, data, &err), &err);
    }
    support_ok(safetensors_writer_save(w, in_folder("bad.safetensors"), &err), &err);
    safetensors_writer_free(w);
    gallery *g = NULL;
    memset(&err, 0, sizeof err);
    spoor_status status = gallery_open(ctx, in_folder("bad.safetensors"), &g, &err);
    assert_true((status == SPOOR_OK) == (g != NULL));
    gallery_free(g);
    return status;
}

#define HASH_A "1111111111111111111111111111111111111111111111111111111111111111"
#define HASH_B "2222222222222222222222222222222222222222222222222222222222222222"
#define META(sources) "{\"format\":1,\"model\":\"" HASH_A "\",\"dim\":3,\"sources\":[" sources "]}"
#define SOURCE(name, files) "{\"name\":\"" name "\",\"files\":[" files "]}"

static void wrong_files_are_refused_with_a_reason(void **state) {
    (void)state;
    const float good[] = {1, 2, 3, 4, 5, 6}, nan[] = {1, 2, NAN, 4, 5, 6};
    const char *two = META(SOURCE("a", "\"" HASH_A "\",\"" HASH_B "\""));
    support_ok(open_text(two, 1, 2, SAFETENSORS_F32, good), &err);
    refused(open_text(two, 1, 2, SAFETENSORS_F32, nan), SPOOR_ERR_INPUT, "not finite");
    refused(open_text(two, 1, 1, SAFETENSORS_F32, good), SPOOR_ERR_INPUT, "another shape");
    refused(open_text(two, 1, 2, SAFETENSORS_F16, good), SPOOR_ERR_INPUT, "another shape");
    refused(open_text(two, 2, 2, SAFETENSORS_F32, good), SPOOR_ERR_INPUT, "one tensor for each");
    refused(open_text(two, 0, 2, SAFETENSORS_F32, good), SPOOR_ERR_INPUT, "one tensor for each");
    static const struct {
        const char *meta, *words;
    } cases[] = {
        {NULL, "no metadata of a gallery"},
        {"", "no JSON object"},
        {"[]", "no JSON object"},
        {"{\"format\":1,\"format\":1}", "no JSON object"},
        {"{\"format\":2}", "format is not 1"},
        {"{\"format\":1,\"model\":\"xyz\",\"dim\":3,\"sources\":[]}", "hash of its model"},
        {"{\"format\":1,\"model\":\"" HASH_A "\",\"dim\":0,\"sources\":[]}", "width"},
        {"{\"format\":1,\"model\":\"" HASH_A "\",\"dim\":99999999999,\"sources\":[]}", "width"},
        {"{\"format\":1,\"model\":\"" HASH_A "\",\"dim\":3,\"sources\":{}}", "list of sources"},
        {META("7"), "plain name"},
        {META(SOURCE("", "\"" HASH_A "\"")), "plain name"},
        {META(SOURCE("a\\u001b[2J", "\"" HASH_A "\"")), "plain name"},
        {META(SOURCE("a\\u0085", "\"" HASH_A "\"")), "plain name"},
        {META(SOURCE("human", "\"" HASH_A "\"")), "plain name"},
        {META(SOURCE("a", "")), "1 to 50 files"},
        {META(SOURCE("a", "\"" HASH_A "\",7")), "hash of a recording"},
        {META(SOURCE("a", "\"" HASH_A "\",\"short\"")), "hash of a recording"},
        {META(SOURCE("a", "\"" HASH_A "\",\"" HASH_A "\"")), "a recording twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refused(open_text(cases[i].meta, 1, 2, SAFETENSORS_F32, good), SPOOR_ERR_INPUT, cases[i].words);
    }
    const char *twice = META(SOURCE("a", "\"" HASH_A "\",\"" HASH_B "\"") "," SOURCE("a", "\"" HASH_A "\",\"" HASH_B "\""));
    refused(open_text(twice, 2, 2, SAFETENSORS_F32, good), SPOOR_ERR_INPUT, "same name");
    char many[8000] = "";
    for (int i = 0; i < 51; i++) {
        snprintf(many + strlen(many), sizeof many - strlen(many), "%s\"%064x\"", i ? "," : "", i);
    }
    char meta[9000];
    float rows[51 * DIM] = {0};
    snprintf(meta, sizeof meta, META("{\"name\":\"a\",\"files\":[%s]}"), many);
    refused(open_text(meta, 1, 51, SAFETENSORS_F32, rows), SPOOR_ERR_INPUT, "1 to 50 files");
    gallery *g = NULL;
    refused(gallery_open_memory(ctx, "no container", 12, "x", &g, &err), SPOOR_ERR_INPUT, "x");
    refused(gallery_open(ctx, in_folder("missing"), &g, &err), SPOOR_ERR_IO, "missing");
}

static void no_memory_at_any_point_is_said_and_nothing_leaks(void **state) {
    (void)state;
    gallery *g = two_sources(ctx);
    support_ok(gallery_save(g, in_folder("g.safetensors"), &err), &err);
    gallery_free(g);
    for (size_t at = 1;; at++) {
        support_failing f = {.fail_at = at};
        spoor_context *c = support_failing_context(&f);
        gallery *h = NULL;
        spoor_status status = gallery_open(c, in_folder("g.safetensors"), &h, &err);
        if (status == SPOOR_OK) {
            make_files(2, 30);
            status = gallery_add(h, "new", (const gallery_hash *)hash, embedding, 2, NULL, &err);
            assert_int_equal(h->n, status == SPOOR_OK ? 3 : 2);
        }
        if (status == SPOOR_OK) {
            status = gallery_save(h, in_folder("f.safetensors"), &err);
        }
        gallery_free(h);
        assert_int_equal(f.live, 0);
        spoor_context_free(c);
        if (status == SPOOR_OK) {
            assert_true(at > 10);
            break;
        }
        assert_int_equal(status, SPOOR_ERR_LIMIT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gallery_comes_back_as_it_was),
        cmocka_unit_test(one_to_fifty_files_each_once),
        cmocka_unit_test(a_gallery_has_room_for_4096_sources),
        cmocka_unit_test(names_are_plain_text),
        cmocka_unit_test(a_gallery_belongs_to_one_model),
        cmocka_unit_test(wrong_files_are_refused_with_a_reason),
        cmocka_unit_test(no_memory_at_any_point_is_said_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
