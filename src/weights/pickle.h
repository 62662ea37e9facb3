/* pickle.h: a Python pickle read as data. No name in it is looked up and no call in it is made: a class or function
 * stays its two names, and a call stays a value that says what would be called with what. Whoever asks decides which
 * few of these it understands; torch_state.c is the one place that does.
 *
 * Read are the opcodes that Python's picklers write in protocols 2 to 5, the text opcodes of protocols 0 and 1 but for
 * GLOBAL not among them. Values are numbered in the order of their making and lie in one block, so that cycles and
 * nesting cost nothing here; whoever walks them bounds his own depth. */
#ifndef WEIGHTS_PICKLE_H
#define WEIGHTS_PICKLE_H
#include "base/context.h"

/* Limits. Sizes of strings are bounded by that of the pickle: they stay where they are. */
#define PICKLE_MAX_BYTES ((size_t)64 << 20)
#define PICKLE_MAX_VALUES ((size_t)4 << 20)
#define PICKLE_MAX_ITEMS ((size_t)16 << 20) /* of all tuples, lists and mappings together */
#define PICKLE_MAX_STACK ((size_t)1 << 20)
#define PICKLE_MAX_MARKS ((size_t)1024)     /* containers begun but not ended */
#define PICKLE_MAX_MEMO ((size_t)4 << 20)
#define PICKLE_MAX_GLOBAL ((size_t)1024)    /* bytes of a module's or class's name */

typedef enum pickle_kind {
    PICKLE_ABSENT, /* value 0: there is none */
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIG, /* an integer beyond 64 bits; its value is not kept */
    PICKLE_FLOAT,
    PICKLE_STRING,
    PICKLE_BYTES,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_SET,        /* its items are not kept */
    PICKLE_GLOBAL,     /* a class or function by module and name */
    PICKLE_PERSISTENT, /* something outside the pickle: its id */
    PICKLE_CALL        /* what a call would give: callee, arguments, the state and items set afterwards */
} pickle_kind;

typedef struct pickle pickle;   /* immutable once read */
typedef uint32_t pickle_value;  /* a value's number; 0 = none */

/* The bytes must outlive the object; `name` is what sentences call them. SPOOR_ERR_MODEL: no such pickle, with the
 * place and the reason; SPOOR_ERR_LIMIT. Bytes after the end are not looked at. */
spoor_status pickle_read(spoor_context *ctx, const void *bytes, size_t size, const char *name, pickle **out,
                         spoor_error *err);
void pickle_free(pickle *p);

pickle_value pickle_top(const pickle *p);
size_t pickle_values(const pickle *p); /* how many there are */
pickle_kind pickle_kind_of(const pickle *p, pickle_value v);

/* An INT that fits, else false. */
bool pickle_int(const pickle *p, pickle_value v, int64_t *out);
/* A STRING or the bytes of a BYTES, not terminated; NULL if v is neither. Lives as long as the bytes. */
const char *pickle_text(const pickle *p, pickle_value v, size_t *size);
/* Whether v is the STRING `text`. */
bool pickle_is_text(const pickle *p, pickle_value v, const char *text);
/* TUPLE: its items. */
size_t pickle_length(const pickle *p, pickle_value tuple); /* 0 for any other kind */
pickle_value pickle_item(const pickle *p, pickle_value tuple, size_t i); /* 0 beyond the end */
/* GLOBAL: its two names, STRINGs; 0 for any other kind. */
pickle_value pickle_module(const pickle *p, pickle_value global);
pickle_value pickle_name(const pickle *p, pickle_value global);
bool pickle_is_global(const pickle *p, pickle_value v, const char *module, const char *name);
pickle_value pickle_id(const pickle *p, pickle_value persistent);
/* CALL: 0 for any other kind. */
pickle_value pickle_callee(const pickle *p, pickle_value call);
pickle_value pickle_args(const pickle *p, pickle_value call);  /* a TUPLE */
pickle_value pickle_state(const pickle *p, pickle_value call); /* 0 = none was set */

/* The items of a LIST, the pairs of a DICT or those that were set in a CALL, in order. Start with {0}. */
typedef struct pickle_iterator {
    uint32_t chunk, at;
} pickle_iterator;
bool pickle_next_item(const pickle *p, pickle_value list, pickle_iterator *it, pickle_value *item);
bool pickle_next_pair(const pickle *p, pickle_value dict, pickle_iterator *it, pickle_value *key, pickle_value *value);

/* "module.name" of a GLOBAL, or of what a CALL calls; "" of any other kind. Printable ASCII whatever the bytes are. */
enum { PICKLE_DESCRIPTION = 128 };
void pickle_describe(const pickle *p, pickle_value v, char out[PICKLE_DESCRIPTION]);
#endif
