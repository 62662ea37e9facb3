/* test_pickle.c: a pickle as data: every kind of value, one refusal for each thing that can be wrong, the limits. */
#include "support/support.h"
#include "weights/pickle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static spoor_context *ctx;
static spoor_error err;

static int set_up(void **state) {
    (void)state;
    ctx = support_context();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spoor_context_free(ctx);
    return 0;
}

/* From a copy of exactly n bytes, so that a sanitizer sees a read beyond them; *copy is freed by the caller. */
static spoor_status read_copy(const void *bytes, size_t n, char **copy, pickle **p) {
    *copy = malloc(n + 1);
    assert_non_null(*copy);
    memcpy(*copy, bytes, n);
    *copy = realloc(*copy, n > 0 ? n : 1);
    err = (spoor_error){0};
    return pickle_read(ctx, *copy, n, "x.pt", p, &err);
}

#define READ(text, copy, p) support_ok(read_copy(text, sizeof(text) - 1, copy, p), &err)

static void every_kind_of_value_is_read(void **state) {
    (void)state;
    static const char text[] = "\x80\2("
                               "N\x88\x89K\xffM\xff\xffJ\xfe\xff\xff\xff\x8a\0\x8a\2\0\xff\x8a\11\1\1\1\1\1\1\1\1\1"
                               "G\x3f\xf8\0\0\0\0\0\0X\2\0\0\0hi\x8c\1aC\2\0\1)K\7\x85\x8f\x8b\1\0\0\0\x05t.";
    char *copy;
    pickle *p;
    READ(text, &copy, &p);
    pickle_value top = pickle_top(p);
    static const pickle_kind kinds[] = {PICKLE_NONE,  PICKLE_BOOL,   PICKLE_BOOL,   PICKLE_INT,   PICKLE_INT,   PICKLE_INT,
                                        PICKLE_INT,   PICKLE_INT,    PICKLE_BIG,    PICKLE_FLOAT, PICKLE_STRING, PICKLE_STRING,
                                        PICKLE_BYTES, PICKLE_TUPLE,  PICKLE_TUPLE,  PICKLE_SET,   PICKLE_INT};
    static const int64_t ints[] = {0, 0, 0, 255, 65535, -2, 0, -256};
    assert_int_equal(pickle_length(p, top), sizeof kinds / sizeof *kinds);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int64_t number;
        assert_int_equal(pickle_kind_of(p, pickle_item(p, top, i)), kinds[i]);
        assert_int_equal(pickle_int(p, pickle_item(p, top, i), &number), kinds[i] == PICKLE_INT);
        assert_int_equal(number, i < 8 ? ints[i] : i == 16 ? 5 : 0);
    }
    assert_true(pickle_is_text(p, pickle_item(p, top, 10), "hi"));
    assert_false(pickle_is_text(p, pickle_item(p, top, 10), "h"));
    assert_false(pickle_is_text(p, pickle_item(p, top, 0), ""));
    size_t size;
    assert_memory_equal(pickle_text(p, pickle_item(p, top, 12), &size), "\0\1", 2);
    assert_int_equal(size, 2);
    assert_int_equal(pickle_length(p, pickle_item(p, top, 13)), 0);
    assert_int_equal(pickle_item(p, top, 17), 0);
    assert_int_equal(pickle_length(p, pickle_item(p, top, 0)), 0);
    pickle_free(p);
    free(copy);
}

static void containers_keep_their_items_in_order(void **state) {
    (void)state;
    /* {"a": [1, 2, 3], "b": {}, "c": the list again}: items come singly, together, and with others made between. */
    static const char text[] = "\x80\2}q\0X\1\0\0\0a]q\1K\1a(K\2K\2\x85" "0K\3esX\1\0\0\0b}s(X\1\0\0\0ch\1u.";
    char *copy;
    pickle *p;
    READ(text, &copy, &p);
    pickle_iterator it = {0}, inner = {0};
    pickle_value key, value, item, list = 0;
    static const char *const keys[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(pickle_next_pair(p, pickle_top(p), &it, &key, &value));
        assert_true(pickle_is_text(p, key, keys[i]));
        list = i == 0 ? value : list;
    }
    assert_false(pickle_next_pair(p, pickle_top(p), &it, &key, &value));
    assert_int_equal(key, 0);
    for (int64_t i = 1; i <= 3; i++) {
        int64_t number;
        assert_true(pickle_next_item(p, list, &inner, &item));
        assert_true(pickle_int(p, item, &number));
        assert_int_equal(number, i);
    }
    assert_false(pickle_next_item(p, list, &inner, &item));
    pickle_free(p);
    free(copy);
}

static void calls_are_noted_and_not_made(void **state) {
    (void)state;
    static const char text[] = "\x80\4cos\nsystem\nX\4\0\0\0exit\x85Rq\0}X\1\0\0\0kNsb(X\1\0\0\0iK\1u"
                               "\x8c\1m\x8c\2n\n\x93)}\x92\x86.";
    char *copy, what[PICKLE_DESCRIPTION];
    pickle *p;
    READ(text, &copy, &p);
    pickle_value call = pickle_item(p, pickle_top(p), 0), made = pickle_item(p, pickle_top(p), 1), key, value;
    assert_int_equal(pickle_kind_of(p, call), PICKLE_CALL);
    assert_true(pickle_is_global(p, pickle_callee(p, call), "os", "system"));
    assert_true(pickle_is_text(p, pickle_item(p, pickle_args(p, call), 0), "exit"));
    assert_int_equal(pickle_kind_of(p, pickle_state(p, call)), PICKLE_DICT);
    assert_true(pickle_next_pair(p, call, &(pickle_iterator){0}, &key, &value));
    assert_true(pickle_is_text(p, key, "i"));
    pickle_describe(p, call, what);
    assert_string_equal(what, "os.system");
    pickle_describe(p, made, what);
    assert_string_equal(what, "m.n?");
    pickle_describe(p, pickle_args(p, made), what);
    assert_string_equal(what, "");
    assert_int_equal(pickle_state(p, made), 0);
    assert_int_equal(pickle_callee(p, key), 0);
    pickle_free(p);
    free(copy);
}

static void a_value_may_hold_itself(void **state) {
    (void)state;
    static const char text[] = "\x80\2]q\0h\0ah\0a.";
    char *copy;
    pickle *p;
    READ(text, &copy, &p);
    pickle_value item;
    assert_true(pickle_next_item(p, pickle_top(p), &(pickle_iterator){0}, &item));
    assert_int_equal(item, pickle_top(p));
    pickle_free(p);
    free(copy);
}

/* ---- refusals ---- */

#define BYTES(text) text, sizeof(text) - 1
static const struct {
    const char *bytes;
    size_t n;
    const char *why;
} WRONG[] = {
    {BYTES(""), "no pickle"},
    {BYTES("\x80"), "no pickle"},
    {BYTES("(lp0\n."), "no pickle, or one of a protocol before 2"},
    {BYTES("\x80\1N."), "protocol"},
    {BYTES("\x80\6N."), "protocol"},
    {BYTES("\x80\2N"), "ends too early"},
    {BYTES("\x80\2X\5\0\0\0ab."), "ends too early"},
    {BYTES("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "ends too early"},
    {BYTES("\x80\2\x8b\xff\xff\xff\xff."), "ends too early"},
    {BYTES("\x80\2."), "a value is missing"},
    {BYTES("\x80\2(."), "a value is missing"},
    {BYTES("\x80\2N(\x85."), "a value is missing"},
    {BYTES("\x80\2N0\x30."), "a value is missing"},
    {BYTES("\x80\2t."), "a mark is missing"},
    {BYTES("\x80\2" "1."), "a mark is missing"},
    {BYTES("\x80\2q\0."), "a value to remember"},
    {BYTES("\x80\2Nq\3h\0."), "not remembered"},
    {BYTES("\x80\2h\0."), "not remembered"},
    {BYTES("\x80\2Nr\0\1\0\0."), "out of order"},
    {BYTES("\x80\2NNa."), "no list"},
    {BYTES("\x80\2}(NNNu."), "no mapping"},
    {BYTES("\x80\2](NNu."), "no mapping"},
    {BYTES("\x80\2NNNs."), "no mapping"},
    {BYTES("\x80\4N(N\x90."), "no set"},
    {BYTES("\x80\2ca\nb."), "has no end"},
    {BYTES("\x80\2" "ca"), "has no end"},
    {BYTES("\x80\4NN\x93."), "has no name"},
    {BYTES("\x80\2ca\nb\nNR."), "no tuple"},
    {BYTES("\x80\2N)R."), "no class or function"},
    {BYTES("\x80\2X\1\0\0\0a)R."), "no class or function"},
    {BYTES("\x80\2}}b."), "no object"},
    {BYTES("\x80\2ca\nb\nNb."), "no object"},
    {BYTES("\x80\4\x95\x09\0\0\0\0\0\0\0N."), "a frame ends"},
    {BYTES("\x80\2ia\nb\n."), "not an opcode"},   /* INST */
    {BYTES("\x80\2P1\n."), "not an opcode"},      /* PERSID */
    {BYTES("\x80\2\x82\1."), "not an opcode"},    /* EXT1 */
    {BYTES("\x80\5\x97."), "not an opcode"},      /* NEXT_BUFFER */
    {BYTES("\x80\2\xff."), "not an opcode"},
};

static void refused(const void *bytes, size_t n, spoor_status status, const char *why) {
    char *copy;
    pickle *p;
    spoor_status got = read_copy(bytes, n, &copy, &p);
    if (got != status || p != NULL || strstr(err.message, why) == NULL || strncmp(err.message, "x.pt: ", 6) != 0) {
        fail_msg("want a refusal with \"%s\", got %s: %s", why, spoor_status_name(got), err.message);
    }
    free(copy);
}

static void wrong_pickles_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        refused(WRONG[i].bytes, WRONG[i].n, SPOOR_ERR_MODEL, WRONG[i].why);
    }
}

/* "\x80\2", `piece` as often as it takes for n bytes, and the end. */
static void repeated_is_refused(const char *piece, size_t times, const char *why) {
    size_t n = strlen(piece), size = 2 + n * times;
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    memcpy(bytes, "\x80\2", 2);
    for (size_t i = 0; i < times; i++) {
        memcpy(bytes + 2 + i * n, piece, n);
    }
    bytes[size] = '.';
    refused(bytes, size + 1, SPOOR_ERR_LIMIT, why);
    free(bytes);
}

static void limits_hold(void **state) {
    (void)state;
    repeated_is_refused("N", PICKLE_MAX_STACK + 1, "values on the stack");
    repeated_is_refused("(", PICKLE_MAX_MARKS + 1, "open containers");
    repeated_is_refused(")0", PICKLE_MAX_VALUES, "values than");
    /* Tuples of a million Nones: 17 of them hold more items than all may. */
    size_t million = (size_t)1 << 20, n = 2;
    char *bytes = malloc(18 * (million + 2));
    assert_non_null(bytes);
    memcpy(bytes, "\x80\2", 2);
    for (int i = 0; i < 17; i++) {
        bytes[n++] = '(';
        memset(bytes + n, 'N', million - 20);
        n += million - 20;
        bytes[n++] = 't';
    }
    refused(bytes, n, SPOOR_ERR_LIMIT, "items");
    n = 2; /* a class's name of 1,025 bytes; of 1,024 it is none too long */
    memcpy(bytes + n, "\x80\4X\1\4\0\0", 7);
    memset(bytes + n + 7, 'n', 1025);
    memcpy(bytes + n + 7 + 1025, "X\1\0\0\0a\x93.", 8);
    refused(bytes, n + 7 + 1025 + 8, SPOOR_ERR_LIMIT, "name");
    free(bytes);
    bytes = calloc(PICKLE_MAX_BYTES + 1, 1);
    assert_non_null(bytes);
    pickle *p;
    assert_int_equal(pickle_read(ctx, bytes, PICKLE_MAX_BYTES + 1, "x.pt", &p, &err), SPOOR_ERR_LIMIT);
    assert_null(p);
    free(bytes);
}

/* ---- damage and memory ---- */

static const char SOUND[] = "\x80\2}q\0(X\1\0\0\0wccollections\nOrderedDict\nq\1)Rq\2X\1\0\0\0m}s}b"
                            "X\1\0\0\0l]q\3(K\1M\1\2h\2eX\1\0\0\0pX\1\0\0\0iQu.";

static void damaged_pickles_do_no_harm(void **state) {
    (void)state;
    size_t n = sizeof SOUND - 1;
    char *copy;
    pickle *p;
    for (size_t cut = 0; cut < n; cut++) {
        refused(SOUND, cut, SPOOR_ERR_MODEL, "");
    }
    char flipped[sizeof SOUND];
    for (size_t bit = 0; bit < 8 * n; bit++) {
        memcpy(flipped, SOUND, n);
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ (1 << bit % 8));
        spoor_status status = read_copy(flipped, n, &copy, &p);
        assert_true((status == SPOOR_OK) == (p != NULL) && (p != NULL || err.message[0] != '\0'));
        pickle_free(p);
        free(copy);
    }
}

static void memory_may_run_out_anywhere(void **state) {
    (void)state;
    bool done = false;
    for (size_t n = 1; !done; n++) {
        assert_true(n < 100);
        support_failing s = {.fail_at = n};
        spoor_context *failing = support_failing_context(&s);
        pickle *p;
        spoor_status status = pickle_read(failing, SOUND, sizeof SOUND - 1, "x.pt", &p, &err);
        done = status == SPOOR_OK;
        assert_true(done || (status == SPOOR_ERR_LIMIT && p == NULL));
        pickle_free(p);
        assert_int_equal(s.live, 0);
        s.fail_at = 0;
        spoor_context_free(failing);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(containers_keep_their_items_in_order),
        cmocka_unit_test(calls_are_noted_and_not_made),
        cmocka_unit_test(a_value_may_hold_itself),
        cmocka_unit_test(wrong_pickles_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(damaged_pickles_do_no_harm),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
