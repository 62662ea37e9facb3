/* fuzz_pickle.c: any bytes as a pickle: read as data, and if accepted, every value asked everything. */
#define _GNU_SOURCE
#include "target.h"
#include "weights/pickle.h"

static void ask(const pickle *p, pickle_value v) {
    size_t size, items = 0;
    int64_t number;
    char what[PICKLE_DESCRIPTION];
    pickle_iterator it = {0};
    pickle_value key, value;
    pickle_kind kind = pickle_kind_of(p, v);
    CHECK(kind > PICKLE_ABSENT && kind <= PICKLE_CALL);
    const char *text = pickle_text(p, v, &size);
    CHECK(text == NULL || size == 0 || memchr(text, text[0], size) != NULL);
    CHECK(pickle_int(p, v, &number) == (kind == PICKLE_INT));
    for (size_t i = 0; i <= pickle_length(p, v); i++) {
        CHECK((pickle_item(p, v, i) == 0) == (i == pickle_length(p, v)));
    }
    while (pickle_next_pair(p, v, &it, &key, &value)) {
        CHECK(key != 0 && value != 0 && key <= pickle_values(p) && value <= pickle_values(p));
        items++;
    }
    it = (pickle_iterator){0};
    while (pickle_next_item(p, v, &it, &value)) {
        CHECK(value != 0 && value <= pickle_values(p));
        items++;
    }
    CHECK(items == 0 || kind == PICKLE_LIST || kind == PICKLE_DICT || kind == PICKLE_CALL);
    CHECK((pickle_module(p, v) != 0) == (kind == PICKLE_GLOBAL) && (pickle_name(p, v) != 0) == (kind == PICKLE_GLOBAL));
    CHECK((pickle_id(p, v) != 0) == (kind == PICKLE_PERSISTENT));
    CHECK((pickle_callee(p, v) != 0) == (kind == PICKLE_CALL) && (pickle_args(p, v) != 0) == (kind == PICKLE_CALL));
    CHECK(pickle_state(p, v) <= pickle_values(p));
    pickle_describe(p, v, what);
    CHECK(strlen(what) < sizeof what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spoor_context *ctx = target_context();
    spoor_error err = {0};
    pickle *p = NULL;
    spoor_status status = pickle_read(ctx, data, size, "fuzz", &p, &err);
    target_refused(status, &err);
    CHECK((status == SPOOR_OK) == (p != NULL));
    for (pickle_value v = 1; p != NULL && v <= pickle_values(p); v++) {
        ask(p, v);
    }
    CHECK(p == NULL || (pickle_top(p) != 0 && pickle_top(p) <= pickle_values(p)));
    pickle_free(p);
    spoor_context_free(ctx);
    return 0;
}
