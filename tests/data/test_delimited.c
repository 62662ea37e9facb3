/* test_delimited.c: delimited text of every kind, and what is refused. */
#include "data/delimited.h"
#include "support/scratch.h"
#include <stdlib.h>
#include <string.h>

static void fields_of_every_kind(void **state) {
    (void)state;
    static const struct {
        const char *text, *cells[8];
        char separator;
        size_t rows;
    } cases[] = {
        {"a\tb\r\nc\td\n", {"a", "b", "c", "d"}, '\t', 2},
        {"a,b\n\n  \nc,d", {"a", "b", "c", "d"}, ',', 2},
        {"\xef\xbb\xbf"
         "a,\"b,\"\"x\"\"\ny\"\n,",
         {"a", "b,\"x\"\ny", "", ""},
         ',',
         2},
        {"a;b\n", {"a", "b"}, ';', 1},
        {"a|b|\n", {"a", "b", ""}, '|', 1},
        {"LA_1  -\tb 3.5 \n", {"LA_1  -", "b 3.5 "}, '\t', 1},
        {"  LA_1 -   bonafide 3.5  \r\nLA_2 \"x\" y z", {"LA_1", "-", "bonafide", "3.5", "LA_2", "\"x\"", "y", "z"}, ' ', 2},
        {"# note\nx\n", {"x"}, ' ', 1},
        {"\t\n", {"", ""}, '\t', 1},
        {"", {0}, ' ', 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        delimited d;
        write_text(cases[i].text);
        support_ok(delimited_read(ctx, path, 0, &d, &err), &err);
        assert_int_equal(d.separator, cases[i].separator);
        assert_int_equal(d.rows, cases[i].rows);
        for (size_t k = 0; k < d.cell_count; k++) {
            assert_string_equal(d.cells[k], cases[i].cells[k]);
        }
        assert_true(d.cell_count == 8 || cases[i].cells[d.cell_count] == NULL);
        delimited_clear(&d);
    }
    delimited d;
    write_text("a,b\n\nc,\"d\ne\"\nf,g\n");
    support_ok(delimited_read(ctx, path, 0, &d, &err), &err);
    assert_true(d.line[0] == 1 && d.line[1] == 3 && d.line[2] == 5);
    delimited_clear(&d);
    write_text("a,b\nc,\"d\n");
    refused(delimited_read(ctx, path, 0, &d, &err), SPOOR_ERR_INPUT, "line 2: a quote is opened");
    write_text("a,\"b\"c\n");
    refused(delimited_read(ctx, path, 0, &d, &err), SPOOR_ERR_INPUT, "line 1: text after the closing quote");
    write_text("a,b\nc,d\"e\"\n");
    refused(delimited_read(ctx, path, 0, &d, &err), SPOOR_ERR_INPUT, "line 2: a quote inside a field");
    write_bytes("a\nb\0c\n", 6);
    refused(delimited_read(ctx, path, 0, &d, &err), SPOOR_ERR_INPUT, "line 2: a NUL byte");
    char *wide = malloc(DELIMITED_MAX_FIELD + 10);
    assert_non_null(wide);
    memset(wide, 'x', DELIMITED_MAX_FIELD + 1);
    write_bytes(wide, DELIMITED_MAX_FIELD + 1);
    refused(delimited_read(ctx, path, 0, &d, &err), SPOOR_ERR_LIMIT, "more than 65536 bytes");
    memset(wide, ',', DELIMITED_MAX_COLUMNS);
    write_bytes(wide, DELIMITED_MAX_COLUMNS - 1); /* the most that is allowed */
    support_ok(delimited_read(ctx, path, 0, &d, &err), &err);
    delimited_clear(&d);
    write_bytes(wide, DELIMITED_MAX_COLUMNS);
    refused(delimited_read(ctx, path, 0, &d, &err), SPOOR_ERR_LIMIT, "4096 fields");
    free(wide);
    refused(delimited_read(ctx, folder, 0, &d, &err), SPOOR_ERR_IO, "folder");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_of_every_kind)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
