/* pickle_internal.h: the values of a pickle as they lie in memory; shared by pickle.c (asking) and pickle_read.c. */
#ifndef WEIGHTS_PICKLE_INTERNAL_H
#define WEIGHTS_PICKLE_INTERNAL_H
#include "weights/pickle.h"

/* Items of a tuple lie together in pickle.items. A container that grows holds a list of chunks there: the place of the
 * next chunk (0 = none), the number of items, the items. */
enum { CHUNK_NEXT, CHUNK_COUNT, CHUNK_HEAD };

typedef struct pickle_node {
    uint32_t kind;   /* pickle_kind */
    uint32_t callee; /* CALL */
    union {
        int64_t integer; /* INT, BOOL */
        double real;     /* FLOAT */
        struct {
            uint32_t at, size; /* STRING, BYTES: in the pickle; TUPLE: in items */
        } span;
        struct {
            uint32_t first, last; /* LIST, DICT, CALL: chunks, 0 = none */
            uint32_t args, state; /* CALL */
        } grows;
        struct {
            uint32_t module, name; /* GLOBAL */
        } global;
        uint32_t id; /* PERSISTENT */
    } u;
} pickle_node;

struct pickle {
    spoor_context *ctx;
    const unsigned char *bytes;
    size_t size;
    pickle_node *nodes; /* [0] is PICKLE_ABSENT */
    size_t n_nodes, nodes_capacity;
    uint32_t *items; /* [0] is not used, so that 0 is no place */
    size_t n_items, items_capacity;
    pickle_value top;
};
#endif
