/* The CSV table: quoting, joining, filters, hostile files, failing memory. */
#include "support/support.h"
#include "base/io.h"
#include "data/delimited.h"
#include "data/manifest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    spoor_context *ctx;
    char *folder;
    spoor_error err;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = support_context();
    f->folder = support_temporary();
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    support_remove(f->folder);
    free(f->folder);
    spoor_context_free(f->ctx);
    free(f);
    return 0;
}

static char *put(fixture *f, const char *name, const void *text, size_t size) {
    char *path = ctx_printf(f->ctx, "%s/%s", f->folder, name);
    support_ok(io_write_file(f->ctx, path, text, size, &f->err), &f->err);
    return path;
}

static spoor_status add_text(fixture *f, manifest *m, const char *text, size_t size) {
    char *path = put(f, "m.csv", text, size);
    spoor_status status = manifest_add(m, path, NULL, NULL, 0, &f->err);
    ctx_free(f->ctx, path);
    return status;
}

static void quoting(void **state) {
    fixture *f = *state;
    manifest *m;
    support_ok(manifest_new(f->ctx, &m, &f->err), &f->err);
    const char *text = "\xEF\xBB\xBFpath,source,\"odd,\"\"name\"\"\"\r\n"
                       "a/b.wav,\"x,y\",\"two\nlines\"\r\n"
                       "\r\n"
                       "../up.wav,,\"\"\n"
                       "/abs.wav,\"say \"\"hi\"\"\",z";
    support_ok(add_text(f, m, text, strlen(text)), &f->err);
    assert_int_equal(manifest_rows(m), 3);
    assert_int_equal(manifest_columns(m), 3);
    size_t source = manifest_column(m, "source"), odd = manifest_column(m, "odd,\"name\"");
    assert_int_equal(source, 1);
    assert_int_equal(odd, 2);
    assert_string_equal(manifest_cell(m, 0, source), "x,y");
    assert_string_equal(manifest_cell(m, 0, odd), "two\nlines");
    assert_string_equal(manifest_cell(m, 1, source), "");
    assert_string_equal(manifest_cell(m, 2, source), "say \"hi\"");
    assert_string_equal(manifest_cell(m, 2, odd), "z");
    assert_string_equal(manifest_cell(m, 2, SIZE_MAX), "");
    assert_string_equal(manifest_id(m, 1), "../up.wav");
    assert_string_equal(manifest_path(m, 2), "/abs.wav");
    assert_int_equal(strncmp(manifest_path(m, 1), f->folder, strlen(f->folder)), 0);
    assert_string_equal(manifest_path(m, 1) + strlen(f->folder), "/../up.wav");
    manifest_free(m);
}

static void joining(void **state) {
    fixture *f = *state;
    manifest *m;
    support_ok(manifest_new(f->ctx, &m, &f->err), &f->err);
    char *a = put(f, "a.csv", "path,split,source\n1,train,x\n2,dev,y\n3,test,z\n", 45);
    char *b = put(f, "b.csv", "page,source,path\np,q,4\n", 23);
    const char *values[] = {"train", "dev"};
    manifest_where where = {"split", values, 2};
    support_ok(manifest_add(m, a, "root", &where, 1, &f->err), &f->err);
    support_ok(manifest_add(m, b, "", NULL, 0, &f->err), &f->err);
    assert_int_equal(manifest_rows(m), 3);
    assert_string_equal(manifest_path(m, 1), "root/2");
    assert_string_equal(manifest_path(m, 2), "4");
    assert_string_equal(manifest_cell(m, 2, manifest_column(m, "source")), "q");
    assert_string_equal(manifest_cell(m, 2, manifest_column(m, "split")), "");
    assert_string_equal(manifest_cell(m, 0, manifest_column(m, "page")), "");
    assert_true(manifest_match(m, 0, &where, 1));
    assert_false(manifest_match(m, 2, &where, 1));
    assert_int_equal(manifest_column(m, "nothing"), SIZE_MAX);
    /* a bad file leaves the table as it was */
    char *c = put(f, "c.csv", "path,new\n1\n", 11);
    assert_int_equal(manifest_add(m, c, NULL, NULL, 0, &f->err), SPOOR_ERR_INPUT);
    assert_int_equal(manifest_rows(m), 3);
    assert_int_equal(manifest_column(m, "new"), SIZE_MAX);
    ctx_free(f->ctx, a);
    ctx_free(f->ctx, b);
    ctx_free(f->ctx, c);
    manifest_free(m);
}

static void hostile(void **state) {
    fixture *f = *state;
    static const struct {
        const char *text;
        size_t size;
        spoor_status status;
        const char *says;
    } cases[] = {
        {"", 0, SPOOR_ERR_INPUT, "is empty"},
        {"# only a comment\n", 17, SPOOR_ERR_INPUT, "is empty"},
        {"\n\n\r\n", 4, SPOOR_ERR_INPUT, "is empty"},
        {"file,x\na,b\n", 11, SPOOR_ERR_INPUT, "no column named path"},
        {"path,\na,b\n", 10, SPOOR_ERR_INPUT, "column 2 of the header has no name"},
        {"path,x,x\n", 9, SPOOR_ERR_INPUT, "named twice"},
        {"path,x\na\n", 9, SPOOR_ERR_INPUT, "line 2: 1 fields where the header names 2"},
        {"path,x\na,b,c\n", 13, SPOOR_ERR_INPUT, "line 2: 3 fields"},
        {"path,x\n\"a\nb\",c\nd\n", 17, SPOOR_ERR_INPUT, "line 4: 1 fields"},
        {"path\n\"a", 7, SPOOR_ERR_INPUT, "line 2: a quote is opened and never closed"},
        {"path\n\"a\"b\n", 10, SPOOR_ERR_INPUT, "after the closing quote"},
        {"path\na\"b\n", 9, SPOOR_ERR_INPUT, "a quote inside a field"},
        {"path,x\n,b\n", 10, SPOOR_ERR_INPUT, "line 2: the path is empty"},
        {"path\na\0b\n", 9, SPOOR_ERR_INPUT, "line 2: a NUL byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        manifest *m;
        support_ok(manifest_new(f->ctx, &m, &f->err), &f->err);
        assert_int_equal(add_text(f, m, cases[i].text, cases[i].size), cases[i].status);
        if (!strstr(f->err.message, cases[i].says)) {
            fail_msg("case %zu says: %s", i, f->err.message);
        }
        assert_int_equal(manifest_rows(m), 0);
        manifest_free(m);
    }
}

static void limits(void **state) {
    fixture *f = *state;
    size_t size = 4 * DELIMITED_MAX_FIELD;
    char *text = malloc(size);
    const char *const heads[] = {"path\n\"", "path\n", "path\nshort/"};
    for (size_t i = 0; i < 3; i++) {
        memset(text, 'x', size);
        memcpy(text, heads[i], strlen(heads[i]));
        text[size - 1] = i == 0 ? '"' : 'x';
        manifest *m;
        support_ok(manifest_new(f->ctx, &m, &f->err), &f->err);
        size_t used = i == 2 ? 5 + MANIFEST_MAX_PATH : size;
        assert_int_equal(add_text(f, m, text, used), SPOOR_ERR_LIMIT);
        manifest_free(m);
    }
    size_t at = (size_t)sprintf(text, "path");
    for (int i = 0; i < MANIFEST_MAX_COLUMNS; i++) {
        at += (size_t)sprintf(text + at, ",c%d", i);
    }
    manifest *m;
    support_ok(manifest_new(f->ctx, &m, &f->err), &f->err);
    assert_int_equal(add_text(f, m, text, at), SPOOR_ERR_LIMIT);
    manifest_free(m);
    free(text);
}

static void missing_files(void **state) {
    fixture *f = *state;
    manifest *m;
    support_ok(manifest_new(f->ctx, &m, &f->err), &f->err);
    char *path = put(f, "here.wav", "x", 1);
    const char *text = "path\nhere.wav\nb.wav\nc.wav\nd.wav\ne.wav\n";
    support_ok(add_text(f, m, text, strlen(text)), &f->err);
    const size_t rows[] = {0};
    support_ok(manifest_check_files(m, rows, 1, &f->err), &f->err);
    assert_int_equal(manifest_check_files(m, NULL, 5, &f->err), SPOOR_ERR_INPUT);
    assert_non_null(strstr(f->err.message, "4 of 5"));
    assert_non_null(strstr(f->err.message, "b.wav"));
    ctx_free(f->ctx, path);
    manifest_free(m);
}

static void failing_memory(void **state) {
    fixture *f = *state;
    char *path = put(f, "m.csv", "path,source,page\na,b,c\nd,e,f\n", 29);
    spoor_status status = SPOOR_ERR_LIMIT;
    for (size_t n = 1; status != SPOOR_OK; n++) {
        assert_true(n < 100);
        support_failing state_of = {.fail_at = n};
        spoor_context *ctx = support_failing_context(&state_of);
        manifest *m = NULL;
        status = manifest_new(ctx, &m, &f->err);
        if (status == SPOOR_OK) {
            status = manifest_add(m, path, NULL, NULL, 0, &f->err);
        }
        assert_true(status == SPOOR_OK || status == SPOOR_ERR_LIMIT);
        manifest_free(m);
        assert_int_equal(state_of.live, 0);
        spoor_context_free(ctx);
    }
    ctx_free(f->ctx, path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(quoting, setup, teardown),
        cmocka_unit_test_setup_teardown(joining, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_files, setup, teardown),
        cmocka_unit_test_setup_teardown(failing_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
