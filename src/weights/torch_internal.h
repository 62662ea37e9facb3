/* torch_internal.h: the state dict of a PyTorch checkpoint as torch_state.c finds it and torch.c reads it. */
#ifndef WEIGHTS_TORCH_INTERNAL_H
#define WEIGHTS_TORCH_INTERNAL_H
#include "weights/pickle.h"
#include "weights/torch.h"
#include "weights/torch_zip.h"

enum { TORCH_WHY = 208 }; /* bytes of the reason why a tensor is not read */

/* A view of a storage: element (i, j, ...) lies at offset + i * stride[0] + j * stride[1] + ... elements. All of them
 * were found to lie inside the storage. */
typedef struct torch_view {
    weights_tensor info;
    char *refused; /* NULL = it can be read; then what follows holds */
    torch_zip_entry storage;
    uint64_t offset, span; /* elements; span: from the first to the last of the view, 0 if it is empty */
    uint64_t stride[SAFETENSORS_MAX_RANK];
} torch_view;

typedef struct torch_views {
    torch_view *v;
    size_t n, capacity;
} torch_views;

/* Appends the tensors of the state dict in the pickle; names and reasons are allocated from ctx, also on failure. */
spoor_status torch_state_find(spoor_context *ctx, const pickle *p, torch_zip *z, const char *folder,
                              size_t folder_length, torch_views *out, spoor_error *err);

/* What a value of the pickle says of a tensor (torch_tensor.c). */
typedef enum torch_what {
    TORCH_OTHER,   /* no tensor */
    TORCH_TENSOR,  /* view is filled in but for name and storage entry; key is the storage's */
    TORCH_REFUSED, /* a tensor that is not read: why */
    TORCH_BROKEN   /* it should be one, but cannot be: why */
} torch_what;

typedef struct torch_found {
    torch_view view;
    pickle_value key;       /* STRING */
    uint64_t storage_bytes; /* what the storage must have at least */
    char why[TORCH_WHY];
} torch_found;

torch_what torch_tensor_find(const pickle *p, pickle_value v, torch_found *out);
/* Whether v is a tensor of some kind: cheap, for counting. */
bool torch_tensor_is(const pickle *p, pickle_value v);
#endif
