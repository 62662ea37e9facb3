/* pickle_read.c: the opcodes of a pickle; see pickle.h. One small function each, found by a table: an opcode that is
 * not in the table is refused. None of them looks a name up or calls anything.
 *
 * Every byte is asked for by take(), every value leaves the stack by pop() or pop_mark(); they alone check bounds. */
#include "base/checked.h"
#include "weights/pickle_internal.h"
#include <inttypes.h>
#include <string.h>

enum { VALUE_NONE = 1, VALUE_FALSE, VALUE_TRUE }; /* made once, before anything is read */

typedef struct reader {
    pickle *p;
    const char *name;
    size_t at, op_at; /* the next byte; that of the opcode which is being read */
    unsigned op;
    bool stopped;
    pickle_value *stack;
    size_t depth, stack_capacity;
    uint32_t *marks; /* depths of the stack; what lies below the last one is out of reach */
    size_t n_marks, marks_capacity;
    pickle_value *memo; /* 0 = not set */
    size_t memo_size, memo_capacity, memo_set;
} reader;

/* What is done for an opcode, with the width of the number in it and the kind of value that it makes, where it has
 * them. */
typedef struct opcode opcode;
struct opcode {
    spoor_status (*read)(reader *r, const opcode *o, spoor_error *err);
    uint8_t width, kind;
};

/* ---- bytes, stack, values ---- */

static spoor_status damaged(const reader *r, spoor_error *err, const char *why) {
    return error_set(err, SPOOR_ERR_MODEL, "%s: damaged, or no pickle of PyTorch: %s (opcode 0x%02x at byte %zu)",
                     r->name, why, r->op, r->op_at);
}

static spoor_status limited(const reader *r, spoor_error *err, const char *what, size_t limit) {
    return error_set(err, SPOOR_ERR_LIMIT, "%s: more %s than the limit of %zu (byte %zu)", r->name, what, limit,
                     r->op_at);
}

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "reading a pickle"); }

static spoor_status take(reader *r, size_t n, const unsigned char **bytes, spoor_error *err) {
    *bytes = NULL;
    if (n > r->p->size - r->at) {
        return damaged(r, err, "it ends too early");
    }
    *bytes = r->p->bytes + r->at;
    r->at += n;
    return SPOOR_OK;
}

/* An unsigned little-endian number of n bytes. */
static spoor_status take_number(reader *r, size_t n, uint64_t *out, spoor_error *err) {
    const unsigned char *b;
    *out = 0;
    TRY(take(r, n, &b, err));
    for (size_t i = 0; i < n; i++) {
        *out |= (uint64_t)b[i] << (8 * i);
    }
    return SPOOR_OK;
}

static spoor_status push(reader *r, pickle_value v, spoor_error *err) {
    if (r->depth >= PICKLE_MAX_STACK) {
        return limited(r, err, "values on the stack", PICKLE_MAX_STACK);
    }
    if (!ctx_grow(r->p->ctx, (void **)&r->stack, &r->stack_capacity, r->depth + 1, sizeof *r->stack)) {
        return no_memory(err);
    }
    r->stack[r->depth++] = v;
    return SPOOR_OK;
}

static spoor_status pop(reader *r, pickle_value *v, spoor_error *err) {
    *v = 0;
    size_t floor = r->n_marks > 0 ? r->marks[r->n_marks - 1] : 0;
    if (r->depth <= floor) {
        return damaged(r, err, "a value is missing");
    }
    *v = r->stack[--r->depth];
    return SPOOR_OK;
}

/* All values above the last mark; they stay readable until the next push. */
static spoor_status pop_mark(reader *r, const pickle_value **values, size_t *n, spoor_error *err) {
    *values = NULL;
    *n = 0;
    if (r->n_marks == 0) {
        return damaged(r, err, "a mark is missing");
    }
    size_t begin = r->marks[--r->n_marks];
    *n = r->depth - begin;
    if (*n > 0) {
        *values = r->stack + begin;
    }
    r->depth = begin;
    return SPOOR_OK;
}

static spoor_status add_node(reader *r, const pickle_node *node, pickle_value *v, spoor_error *err) {
    pickle *p = r->p;
    *v = 0;
    if (p->n_nodes >= PICKLE_MAX_VALUES) {
        return limited(r, err, "values", PICKLE_MAX_VALUES);
    }
    if (!ctx_grow(p->ctx, (void **)&p->nodes, &p->nodes_capacity, p->n_nodes + 1, sizeof *p->nodes)) {
        return no_memory(err);
    }
    *v = (pickle_value)p->n_nodes;
    p->nodes[p->n_nodes++] = *node;
    return SPOOR_OK;
}

static spoor_status push_node(reader *r, const pickle_node *node, spoor_error *err) {
    pickle_value v;
    TRY(add_node(r, node, &v, err));
    return push(r, v, err);
}

static spoor_status reserve_items(reader *r, size_t n, spoor_error *err) {
    pickle *p = r->p;
    if (n > PICKLE_MAX_ITEMS - p->n_items) {
        return limited(r, err, "items", PICKLE_MAX_ITEMS);
    }
    return ctx_grow(p->ctx, (void **)&p->items, &p->items_capacity, p->n_items + n, sizeof *p->items) ? SPOOR_OK
                                                                                                      : no_memory(err);
}

static void put_items(pickle *p, const pickle_value *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        p->items[p->n_items++] = values[i];
    }
}

/* More items at the end of a container: into its last chunk where that is the last thing in p->items. */
static spoor_status extend(reader *r, pickle_value container, const pickle_value *values, size_t n, spoor_error *err) {
    if (n == 0) {
        return SPOOR_OK;
    }
    pickle *p = r->p;
    TRY(reserve_items(r, n + CHUNK_HEAD, err));
    pickle_node *node = &p->nodes[container];
    uint32_t last = node->u.grows.last;
    if (last != 0 && last + CHUNK_HEAD + p->items[last + CHUNK_COUNT] == p->n_items) {
        p->items[last + CHUNK_COUNT] += (uint32_t)n;
    } else {
        uint32_t fresh = (uint32_t)p->n_items, head[CHUNK_HEAD] = {0, (uint32_t)n};
        put_items(p, head, CHUNK_HEAD);
        if (last != 0) {
            p->items[last + CHUNK_NEXT] = fresh;
        } else {
            node->u.grows.first = fresh;
        }
        node->u.grows.last = fresh;
    }
    put_items(p, values, n);
    return SPOOR_OK;
}

static pickle_kind kind(const reader *r, pickle_value v) { return (pickle_kind)r->p->nodes[v].kind; }

/* ---- opcodes: protocol and stack ---- */

static spoor_status op_proto(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    uint64_t version;
    TRY(take_number(r, 1, &version, err));
    return version >= 2 && version <= 5 ? SPOOR_OK : damaged(r, err, "its protocol is none of 2 to 5");
}

static spoor_status op_frame(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    uint64_t size;
    TRY(take_number(r, 8, &size, err));
    return size <= r->p->size - r->at ? SPOOR_OK : damaged(r, err, "a frame ends beyond the end");
}

static spoor_status op_stop(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    r->stopped = true;
    return pop(r, &r->p->top, err);
}

static spoor_status op_mark(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    if (r->n_marks >= PICKLE_MAX_MARKS) {
        return limited(r, err, "open containers", PICKLE_MAX_MARKS);
    }
    if (!ctx_grow(r->p->ctx, (void **)&r->marks, &r->marks_capacity, r->n_marks + 1, sizeof *r->marks)) {
        return no_memory(err);
    }
    r->marks[r->n_marks++] = (uint32_t)r->depth;
    return SPOOR_OK;
}

static spoor_status op_pop(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_value v;
    return pop(r, &v, err);
}

static spoor_status op_pop_mark(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    const pickle_value *values;
    size_t n;
    return pop_mark(r, &values, &n, err);
}

/* ---- opcodes: the memo ---- */

/* A pickler numbers its memo in order, so that an index is never larger than the number of bytes before it: a short
 * file cannot ask for a large memo. */
static spoor_status put_memo(reader *r, uint64_t index, spoor_error *err) {
    size_t floor = r->n_marks > 0 ? r->marks[r->n_marks - 1] : 0;
    if (r->depth <= floor) {
        return damaged(r, err, "a value to remember is missing");
    }
    if (index >= PICKLE_MAX_MEMO) {
        return limited(r, err, "remembered values", PICKLE_MAX_MEMO);
    }
    if (index > r->at) {
        return damaged(r, err, "a memo index is out of order");
    }
    size_t i = (size_t)index;
    if (i >= r->memo_size) {
        if (!ctx_grow(r->p->ctx, (void **)&r->memo, &r->memo_capacity, i + 1, sizeof *r->memo)) {
            return no_memory(err);
        }
        memset(r->memo + r->memo_size, 0, (i + 1 - r->memo_size) * sizeof *r->memo);
        r->memo_size = i + 1;
    }
    r->memo_set += r->memo[i] == 0;
    r->memo[i] = r->stack[r->depth - 1];
    return SPOOR_OK;
}

static spoor_status op_put(reader *r, const opcode *o, spoor_error *err) {
    uint64_t index;
    TRY(take_number(r, o->width, &index, err));
    return put_memo(r, index, err);
}

static spoor_status op_memoize(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    return put_memo(r, r->memo_set, err);
}

static spoor_status op_get(reader *r, const opcode *o, spoor_error *err) {
    uint64_t index;
    TRY(take_number(r, o->width, &index, err));
    if (index >= r->memo_size || r->memo[index] == 0) {
        return damaged(r, err, "a value is used that was not remembered");
    }
    return push(r, r->memo[index], err);
}

/* ---- opcodes: scalars ---- */

static spoor_status op_constant(reader *r, const opcode *o, spoor_error *err) { return push(r, o->kind, err); }

/* n bytes, two's complement where signed; beyond 64 bits the value is not kept. */
static spoor_status push_integer(reader *r, size_t n, bool is_signed, spoor_error *err) {
    pickle_node node = {.kind = n <= 8 ? PICKLE_INT : PICKLE_BIG};
    const unsigned char *b;
    TRY(take(r, n, &b, err));
    uint64_t bits = is_signed && n > 0 && b[n - 1] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; n <= 8 && i < n; i++) {
        bits = (bits & ~((uint64_t)0xff << (8 * i))) | (uint64_t)b[i] << (8 * i);
    }
    if (n <= 8) {
        memcpy(&node.u.integer, &bits, sizeof bits);
    }
    return push_node(r, &node, err);
}

static spoor_status op_signed(reader *r, const opcode *o, spoor_error *err) {
    return push_integer(r, o->width, true, err);
}

static spoor_status op_unsigned(reader *r, const opcode *o, spoor_error *err) {
    return push_integer(r, o->width, false, err);
}

static spoor_status op_long(reader *r, const opcode *o, spoor_error *err) {
    uint64_t n;
    TRY(take_number(r, o->width, &n, err));
    return push_integer(r, (size_t)n, true, err);
}

static spoor_status op_binfloat(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    const unsigned char *b;
    TRY(take(r, 8, &b, err));
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++) { /* big-endian, alone of all numbers */
        bits = bits << 8 | b[i];
    }
    pickle_node node = {.kind = PICKLE_FLOAT};
    memcpy(&node.u.real, &bits, sizeof bits);
    return push_node(r, &node, err);
}

/* A string or bytes after their length. */
static spoor_status op_span(reader *r, const opcode *o, spoor_error *err) {
    uint64_t size;
    const unsigned char *b;
    TRY(take_number(r, o->width, &size, err));
    size_t at = r->at;
    TRY(take(r, size > SIZE_MAX ? SIZE_MAX : (size_t)size, &b, err));
    pickle_node node = {.kind = o->kind, .u.span = {(uint32_t)at, (uint32_t)size}};
    return push_node(r, &node, err);
}

/* ---- opcodes: containers ---- */

static spoor_status push_tuple(reader *r, const pickle_value *values, size_t n, spoor_error *err) {
    TRY(reserve_items(r, n, err));
    pickle_node node = {.kind = PICKLE_TUPLE, .u.span = {(uint32_t)r->p->n_items, (uint32_t)n}};
    put_items(r->p, values, n);
    return push_node(r, &node, err);
}

static spoor_status op_short_tuple(reader *r, const opcode *o, spoor_error *err) {
    pickle_value values[3] = {0};
    for (size_t i = o->width; i-- > 0;) {
        TRY(pop(r, &values[i], err));
    }
    return push_tuple(r, values, o->width, err);
}

static spoor_status op_tuple(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    const pickle_value *values;
    size_t n;
    TRY(pop_mark(r, &values, &n, err));
    return push_tuple(r, values, n, err);
}

static spoor_status op_empty(reader *r, const opcode *o, spoor_error *err) {
    pickle_node node = {.kind = o->kind};
    return push_node(r, &node, err);
}

static spoor_status op_frozenset(reader *r, const opcode *o, spoor_error *err) {
    TRY(op_pop_mark(r, o, err));
    return op_empty(r, o, err);
}

/* The value on top, which stays there. */
static spoor_status peek(reader *r, pickle_value *v, spoor_error *err) {
    TRY(pop(r, v, err));
    return push(r, *v, err);
}

/* Items for a list. An object that is no list may take them too (a subclass of list): it is opaque, they are
 * dropped. */
static spoor_status append(reader *r, const pickle_value *values, size_t n, spoor_error *err) {
    pickle_value list;
    TRY(peek(r, &list, err));
    if (kind(r, list) != PICKLE_LIST && kind(r, list) != PICKLE_CALL) {
        return damaged(r, err, "an item is added to what is no list");
    }
    return kind(r, list) == PICKLE_LIST ? extend(r, list, values, n, err) : SPOOR_OK;
}

static spoor_status op_append(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_value item;
    TRY(pop(r, &item, err));
    return append(r, &item, 1, err);
}

static spoor_status op_appends(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    const pickle_value *values;
    size_t n;
    TRY(pop_mark(r, &values, &n, err));
    return append(r, values, n, err);
}

static spoor_status set_items(reader *r, const pickle_value *values, size_t n, spoor_error *err) {
    pickle_value dict;
    TRY(peek(r, &dict, err));
    if (n % 2 != 0 || (kind(r, dict) != PICKLE_DICT && kind(r, dict) != PICKLE_CALL)) {
        return damaged(r, err, "an item is set in what is no mapping");
    }
    return extend(r, dict, values, n, err);
}

static spoor_status op_setitem(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_value pair[2];
    TRY(pop(r, &pair[1], err));
    TRY(pop(r, &pair[0], err));
    return set_items(r, pair, 2, err);
}

static spoor_status op_setitems(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    const pickle_value *values;
    size_t n;
    TRY(pop_mark(r, &values, &n, err));
    return set_items(r, values, n, err);
}

static spoor_status op_additems(reader *r, const opcode *o, spoor_error *err) {
    pickle_value set;
    TRY(op_pop_mark(r, o, err));
    TRY(peek(r, &set, err));
    return kind(r, set) == PICKLE_SET || kind(r, set) == PICKLE_CALL
               ? SPOOR_OK
               : damaged(r, err, "an item is added to what is no set");
}

/* ---- opcodes: names and calls ---- */

static spoor_status push_global(reader *r, pickle_value module, pickle_value name, spoor_error *err) {
    if (kind(r, module) != PICKLE_STRING || kind(r, name) != PICKLE_STRING) {
        return damaged(r, err, "a class or function has no name");
    }
    if (r->p->nodes[module].u.span.size > PICKLE_MAX_GLOBAL || r->p->nodes[name].u.span.size > PICKLE_MAX_GLOBAL) {
        return limited(r, err, "bytes in a class's or function's name", PICKLE_MAX_GLOBAL);
    }
    pickle_node node = {.kind = PICKLE_GLOBAL, .u.global = {module, name}};
    return push_node(r, &node, err);
}

static spoor_status take_line(reader *r, pickle_value *v, spoor_error *err) {
    size_t left = r->p->size - r->at, most = left <= PICKLE_MAX_GLOBAL ? left : PICKLE_MAX_GLOBAL + 1;
    const unsigned char *end = most > 0 ? memchr(r->p->bytes + r->at, '\n', most) : NULL;
    if (end == NULL) {
        return damaged(r, err, "the name of a class or function has no end");
    }
    size_t n = (size_t)(end - r->p->bytes) - r->at;
    pickle_node node = {.kind = PICKLE_STRING, .u.span = {(uint32_t)r->at, (uint32_t)n}};
    r->at += n + 1;
    return add_node(r, &node, v, err);
}

static spoor_status op_global(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_value module, name;
    TRY(take_line(r, &module, err));
    TRY(take_line(r, &name, err));
    return push_global(r, module, name, err);
}

static spoor_status op_stack_global(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_value module, name;
    TRY(pop(r, &name, err));
    TRY(pop(r, &module, err));
    return push_global(r, module, name, err);
}

static spoor_status op_binpersid(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_node node = {.kind = PICKLE_PERSISTENT};
    TRY(pop(r, &node.u.id, err));
    return push_node(r, &node, err);
}

/* What would be called is noted; that is all that ever happens to it. */
static spoor_status op_call(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_node node = {.kind = PICKLE_CALL};
    TRY(pop(r, &node.u.grows.args, err));
    TRY(pop(r, &node.callee, err));
    if (kind(r, node.u.grows.args) != PICKLE_TUPLE) {
        return damaged(r, err, "a call's arguments are no tuple");
    }
    if (kind(r, node.callee) != PICKLE_GLOBAL && kind(r, node.callee) != PICKLE_CALL) {
        return damaged(r, err, "a call of what is no class or function");
    }
    return push_node(r, &node, err);
}

static spoor_status op_newobj_ex(reader *r, const opcode *o, spoor_error *err) {
    TRY(op_pop(r, o, err)); /* keyword arguments: nothing that is understood takes them */
    return op_call(r, o, err);
}

static spoor_status op_build(reader *r, const opcode *o, spoor_error *err) {
    (void)o;
    pickle_value object, state;
    TRY(pop(r, &state, err));
    TRY(peek(r, &object, err));
    if (kind(r, object) != PICKLE_CALL) {
        return damaged(r, err, "a state is set in what is no object");
    }
    r->p->nodes[object].u.grows.state = state;
    return SPOOR_OK;
}

/* ---- the table ---- */

static const opcode OPCODES[256] = {
    [0x80] = {op_proto, 0, 0},              /* PROTO */
    [0x95] = {op_frame, 0, 0},              /* FRAME */
    ['.'] = {op_stop, 0, 0},                /* STOP */
    ['('] = {op_mark, 0, 0},                /* MARK */
    ['0'] = {op_pop, 0, 0},                 /* POP */
    ['1'] = {op_pop_mark, 0, 0},            /* POP_MARK */
    ['q'] = {op_put, 1, 0},                 /* BINPUT */
    ['r'] = {op_put, 4, 0},                 /* LONG_BINPUT */
    [0x94] = {op_memoize, 0, 0},            /* MEMOIZE */
    ['h'] = {op_get, 1, 0},                 /* BINGET */
    ['j'] = {op_get, 4, 0},                 /* LONG_BINGET */
    ['N'] = {op_constant, 0, VALUE_NONE},   /* NONE */
    [0x88] = {op_constant, 0, VALUE_TRUE},  /* NEWTRUE */
    [0x89] = {op_constant, 0, VALUE_FALSE}, /* NEWFALSE */
    ['J'] = {op_signed, 4, 0},              /* BININT */
    ['K'] = {op_unsigned, 1, 0},            /* BININT1 */
    ['M'] = {op_unsigned, 2, 0},            /* BININT2 */
    [0x8a] = {op_long, 1, 0},               /* LONG1 */
    [0x8b] = {op_long, 4, 0},               /* LONG4 */
    ['G'] = {op_binfloat, 0, 0},            /* BINFLOAT */
    [0x8c] = {op_span, 1, PICKLE_STRING},   /* SHORT_BINUNICODE */
    ['X'] = {op_span, 4, PICKLE_STRING},    /* BINUNICODE */
    [0x8d] = {op_span, 8, PICKLE_STRING},   /* BINUNICODE8 */
    ['C'] = {op_span, 1, PICKLE_BYTES},     /* SHORT_BINBYTES */
    ['B'] = {op_span, 4, PICKLE_BYTES},     /* BINBYTES */
    [0x8e] = {op_span, 8, PICKLE_BYTES},    /* BINBYTES8 */
    [0x96] = {op_span, 8, PICKLE_BYTES},    /* BYTEARRAY8 */
    [')'] = {op_short_tuple, 0, 0},         /* EMPTY_TUPLE */
    [0x85] = {op_short_tuple, 1, 0},        /* TUPLE1 */
    [0x86] = {op_short_tuple, 2, 0},        /* TUPLE2 */
    [0x87] = {op_short_tuple, 3, 0},        /* TUPLE3 */
    ['t'] = {op_tuple, 0, 0},               /* TUPLE */
    [']'] = {op_empty, 0, PICKLE_LIST},     /* EMPTY_LIST */
    ['a'] = {op_append, 0, 0},              /* APPEND */
    ['e'] = {op_appends, 0, 0},             /* APPENDS */
    ['}'] = {op_empty, 0, PICKLE_DICT},     /* EMPTY_DICT */
    ['s'] = {op_setitem, 0, 0},             /* SETITEM */
    ['u'] = {op_setitems, 0, 0},            /* SETITEMS */
    [0x8f] = {op_empty, 0, PICKLE_SET},     /* EMPTY_SET */
    [0x90] = {op_additems, 0, 0},           /* ADDITEMS */
    [0x91] = {op_frozenset, 0, PICKLE_SET}, /* FROZENSET */
    ['c'] = {op_global, 0, 0},              /* GLOBAL */
    [0x93] = {op_stack_global, 0, 0},       /* STACK_GLOBAL */
    ['Q'] = {op_binpersid, 0, 0},           /* BINPERSID */
    ['R'] = {op_call, 0, 0},                /* REDUCE */
    [0x81] = {op_call, 0, 0},               /* NEWOBJ */
    [0x92] = {op_newobj_ex, 0, 0},          /* NEWOBJ_EX */
    ['b'] = {op_build, 0, 0},               /* BUILD */
};

static spoor_status read_all(reader *r, spoor_error *err) {
    static const pickle_node CONSTANTS[] = {
        {.kind = PICKLE_ABSENT},
        [VALUE_NONE] = {.kind = PICKLE_NONE},
        [VALUE_FALSE] = {.kind = PICKLE_BOOL},
        [VALUE_TRUE] = {.kind = PICKLE_BOOL, .u.integer = 1},
    };
    const pickle_value unused = 0;
    for (size_t i = 0; i < sizeof CONSTANTS / sizeof *CONSTANTS; i++) {
        pickle_value v;
        TRY(add_node(r, &CONSTANTS[i], &v, err));
    }
    TRY(reserve_items(r, 1, err));
    put_items(r->p, &unused, 1);
    if (r->p->size < 2 || r->p->bytes[0] != 0x80) {
        return error_set(err, SPOOR_ERR_MODEL, "%s: no pickle, or one of a protocol before 2", r->name);
    }
    while (!r->stopped) {
        const unsigned char *op;
        r->op_at = r->at;
        TRY(take(r, 1, &op, err));
        r->op = *op;
        const opcode *o = &OPCODES[r->op];
        if (o->read == NULL) {
            return damaged(r, err, "not an opcode that torch.save writes");
        }
        TRY(o->read(r, o, err));
    }
    return SPOOR_OK;
}

spoor_status pickle_read(spoor_context *ctx, const void *bytes, size_t size, const char *name, pickle **out,
                         spoor_error *err) {
    *out = NULL;
    if (size > PICKLE_MAX_BYTES) {
        return error_set(err, SPOOR_ERR_LIMIT, "%s: a pickle of %zu bytes is over the limit of %zu", name, size,
                         PICKLE_MAX_BYTES);
    }
    pickle *p = ctx_calloc(ctx, 1, sizeof *p);
    if (p == NULL) {
        return no_memory(err);
    }
    *p = (pickle){.ctx = ctx, .bytes = bytes, .size = size};
    reader r = {.p = p, .name = name};
    spoor_status status = read_all(&r, err);
    ctx_free(ctx, r.stack);
    ctx_free(ctx, r.marks);
    ctx_free(ctx, r.memo);
    if (status != SPOOR_OK) {
        pickle_free(p);
        return status;
    }
    *out = p;
    return SPOOR_OK;
}
