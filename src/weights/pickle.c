/* pickle.c: asking a pickle that was read for its values; see pickle.h. Every question may be asked of every value. */
#include "weights/pickle_internal.h"
#include <stdio.h>
#include <string.h>

void pickle_free(pickle *p) {
    if (p != NULL) {
        ctx_free(p->ctx, p->nodes);
        ctx_free(p->ctx, p->items);
        ctx_free(p->ctx, p);
    }
}

pickle_value pickle_top(const pickle *p) { return p->top; }

size_t pickle_values(const pickle *p) { return p->n_nodes - 1; }

/* The node of v if it is of that kind, else the node of no value, in which everything is 0. */
static const pickle_node *node_of(const pickle *p, pickle_value v, pickle_kind kind) {
    return p->nodes[v].kind == (uint32_t)kind ? &p->nodes[v] : &p->nodes[0];
}

pickle_kind pickle_kind_of(const pickle *p, pickle_value v) { return (pickle_kind)p->nodes[v].kind; }

bool pickle_int(const pickle *p, pickle_value v, int64_t *out) {
    *out = node_of(p, v, PICKLE_INT)->u.integer;
    return p->nodes[v].kind == PICKLE_INT;
}

const char *pickle_text(const pickle *p, pickle_value v, size_t *size) {
    const pickle_node *n = &p->nodes[v];
    if (n->kind != PICKLE_STRING && n->kind != PICKLE_BYTES) {
        *size = 0;
        return NULL;
    }
    *size = n->u.span.size;
    return (const char *)p->bytes + n->u.span.at;
}

bool pickle_is_text(const pickle *p, pickle_value v, const char *text) {
    size_t size;
    const char *have = pickle_text(p, v, &size);
    return p->nodes[v].kind == PICKLE_STRING && size == strlen(text) && memcmp(have, text, size) == 0;
}

size_t pickle_length(const pickle *p, pickle_value tuple) { return node_of(p, tuple, PICKLE_TUPLE)->u.span.size; }

pickle_value pickle_item(const pickle *p, pickle_value tuple, size_t i) {
    const pickle_node *n = node_of(p, tuple, PICKLE_TUPLE);
    return i < n->u.span.size ? p->items[n->u.span.at + i] : 0;
}

pickle_value pickle_module(const pickle *p, pickle_value global) {
    return node_of(p, global, PICKLE_GLOBAL)->u.global.module;
}

pickle_value pickle_name(const pickle *p, pickle_value global) {
    return node_of(p, global, PICKLE_GLOBAL)->u.global.name;
}

bool pickle_is_global(const pickle *p, pickle_value v, const char *module, const char *name) {
    return pickle_is_text(p, pickle_module(p, v), module) && pickle_is_text(p, pickle_name(p, v), name);
}

pickle_value pickle_id(const pickle *p, pickle_value persistent) {
    return node_of(p, persistent, PICKLE_PERSISTENT)->u.id;
}

pickle_value pickle_callee(const pickle *p, pickle_value call) { return node_of(p, call, PICKLE_CALL)->callee; }

pickle_value pickle_args(const pickle *p, pickle_value call) { return node_of(p, call, PICKLE_CALL)->u.grows.args; }

pickle_value pickle_state(const pickle *p, pickle_value call) { return node_of(p, call, PICKLE_CALL)->u.grows.state; }

/* `n` items together from where the iterator stands. it->chunk is 0 before the first chunk; a chunk is never empty. */
static bool next_items(const pickle *p, const pickle_node *node, pickle_iterator *it, size_t n, pickle_value *out) {
    if (it->chunk == 0) {
        it->chunk = node->u.grows.first;
        it->at = 0;
    } else if (it->at >= p->items[it->chunk + CHUNK_COUNT]) {
        if (p->items[it->chunk + CHUNK_NEXT] == 0) {
            return false;
        }
        it->chunk = p->items[it->chunk + CHUNK_NEXT];
        it->at = 0;
    }
    if (it->chunk == 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = p->items[it->chunk + CHUNK_HEAD + it->at++];
    }
    return true;
}

bool pickle_next_item(const pickle *p, pickle_value list, pickle_iterator *it, pickle_value *item) {
    *item = 0;
    return next_items(p, node_of(p, list, PICKLE_LIST), it, 1, item);
}

bool pickle_next_pair(const pickle *p, pickle_value dict, pickle_iterator *it, pickle_value *key, pickle_value *value) {
    pickle_value pair[2] = {0, 0};
    const pickle_node *node = node_of(p, dict, p->nodes[dict].kind == PICKLE_CALL ? PICKLE_CALL : PICKLE_DICT);
    bool more = next_items(p, node, it, 2, pair);
    *key = pair[0];
    *value = pair[1];
    return more;
}

static size_t describe_text(const pickle *p, pickle_value v, char *out, size_t room) {
    size_t size;
    const char *text = pickle_text(p, v, &size);
    size_t n = size < room ? size : room;
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(text[i] > 0x20 && text[i] < 0x7f ? text[i] : '?');
    }
    return n;
}

void pickle_describe(const pickle *p, pickle_value v, char out[PICKLE_DESCRIPTION]) {
    size_t at = 0;
    for (int i = 0; i < 8 && p->nodes[v].kind == PICKLE_CALL; i++) { /* what a call gave may be called in turn */
        v = p->nodes[v].callee;
    }
    if (p->nodes[v].kind == PICKLE_GLOBAL) {
        at = describe_text(p, p->nodes[v].u.global.module, out, PICKLE_DESCRIPTION / 2);
        out[at++] = '.';
        at += describe_text(p, p->nodes[v].u.global.name, out + at, PICKLE_DESCRIPTION - 1 - at);
    }
    out[at] = '\0';
}
