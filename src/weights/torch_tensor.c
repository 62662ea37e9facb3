/* torch_tensor.c: the calls in a pickle that rebuild a tensor, understood as data. This is the whole list of functions
 * and classes that mean anything to the reader; a call of any other is opaque. */
#include "base/checked.h"
#include "weights/torch_internal.h"
#include <stdio.h>
#include <string.h>

typedef enum rebuild {
    REBUILD_NONE,
    REBUILD_V1,        /* (storage, offset, size, stride) */
    REBUILD_V2,        /* (storage, offset, size, stride, requires_grad, hooks[, metadata]) */
    REBUILD_V3,        /* (storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]) */
    REBUILD_PARAMETER, /* (tensor, requires_grad, hooks[, state]) */
    REBUILD_TYPED,     /* (function, class, arguments, state) */
    REBUILD_OTHER      /* a tensor of a kind that is not read */
} rebuild;

static const struct {
    const char *module, *name;
    rebuild how;
} FUNCTIONS[] = {
    {"torch._utils", "_rebuild_tensor", REBUILD_V1},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_V2},
    {"torch._utils", "_rebuild_tensor_v3", REBUILD_V3},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER},
    {"torch._utils", "_rebuild_parameter_with_state", REBUILD_PARAMETER},
    {"torch._tensor", "_rebuild_from_type_v2", REBUILD_TYPED},
};

/* Storage classes and dtypes by name. size 0: elements that are not read. */
static const struct {
    const char *storage, *dtype;
    int is; /* safetensors_dtype; -1: known, but not read */
    size_t size;
} TYPES[] = {
    {"FloatStorage", "float32", SAFETENSORS_F32, 4}, {"HalfStorage", "float16", SAFETENSORS_F16, 2},
    {"BFloat16Storage", "bfloat16", SAFETENSORS_BF16, 2}, {"DoubleStorage", "float64", SAFETENSORS_F64, 8},
    {"LongStorage", "int64", SAFETENSORS_I64, 8}, {"IntStorage", "int32", SAFETENSORS_I32, 4},
    {"ShortStorage", "int16", SAFETENSORS_I16, 2}, {"CharStorage", "int8", SAFETENSORS_I8, 1},
    {"ByteStorage", "uint8", SAFETENSORS_U8, 1}, {"BoolStorage", "bool", SAFETENSORS_BOOL, 1},
    {NULL, "uint64", SAFETENSORS_U64, 8}, {NULL, "uint32", SAFETENSORS_U32, 4}, {NULL, "uint16", SAFETENSORS_U16, 2},
    {"ComplexFloatStorage", "complex64", -1, 8}, {"ComplexDoubleStorage", "complex128", -1, 16},
    {"QInt8Storage", "qint8", -1, 1}, {"QUInt8Storage", "quint8", -1, 1}, {"QInt32Storage", "qint32", -1, 4},
    {"QUInt4x2Storage", "quint4x2", -1, 1}, {"QUInt2x4Storage", "quint2x4", -1, 1},
    {"UntypedStorage", NULL, -1, 1}, {"_UntypedStorage", NULL, -1, 1},
};

static rebuild function_of(const pickle *p, pickle_value callee) {
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (pickle_is_global(p, callee, FUNCTIONS[i].module, FUNCTIONS[i].name)) {
            return FUNCTIONS[i].how;
        }
    }
    size_t size;
    const char *name = pickle_text(p, pickle_name(p, callee), &size);
    bool ours = pickle_is_text(p, pickle_module(p, callee), "torch._utils");
    return ours && size > 9 && memcmp(name, "_rebuild_", 9) == 0 ? REBUILD_OTHER : REBUILD_NONE;
}

static torch_what broken(torch_found *out, const char *why) {
    (void)snprintf(out->why, sizeof out->why, "%s", why);
    return TORCH_BROKEN;
}

/* v is not what it should be: opaque, then the tensor depends on it; else the file is damaged. */
static torch_what not_expected(const pickle *p, pickle_value v, torch_found *out, const char *why) {
    char what[PICKLE_DESCRIPTION];
    pickle_describe(p, v, what);
    if (what[0] == '\0') {
        return broken(out, why);
    }
    (void)snprintf(out->why, sizeof out->why, "it depends on %s, which is never called", what);
    return TORCH_REFUSED;
}

static torch_what refused(torch_found *out, const char *why) {
    (void)snprintf(out->why, sizeof out->why, "%s", why);
    return TORCH_REFUSED;
}

/* ---- the parts of a tensor ---- */

static int type_of(const pickle *p, pickle_value global, bool dtype) {
    pickle_value name = pickle_name(p, global), module = pickle_module(p, global);
    bool ours = pickle_is_text(p, module, "torch") ||
                (!dtype && (pickle_is_text(p, module, "torch.storage") || pickle_is_text(p, module, "torch.cuda")));
    for (size_t i = 0; ours && i < sizeof TYPES / sizeof *TYPES; i++) {
        const char *text = dtype ? TYPES[i].dtype : TYPES[i].storage;
        if (text != NULL && pickle_is_text(p, name, text)) {
            return (int)i;
        }
    }
    return -1;
}

/* ("storage", class, key, location, elements), the persistent id: *type is the class's place in TYPES. */
static torch_what read_storage(const pickle *p, pickle_value v, torch_found *out, int *type) {
    if (pickle_kind_of(p, v) != PICKLE_PERSISTENT) {
        return not_expected(p, v, out, "it has no storage");
    }
    pickle_value id = pickle_id(p, v), class = pickle_item(p, id, 1);
    int64_t elements;
    if (pickle_length(p, id) < 5 || !pickle_is_text(p, pickle_item(p, id, 0), "storage")) {
        return broken(out, "the id of its storage is none");
    }
    *type = type_of(p, class, false);
    if (*type < 0) {
        return not_expected(p, class, out, "its storage has no class");
    }
    out->key = pickle_item(p, id, 2);
    if (pickle_kind_of(p, out->key) != PICKLE_STRING) {
        return not_expected(p, out->key, out, "its storage has no name");
    }
    size_t bytes;
    if (!pickle_int(p, pickle_item(p, id, 4), &elements) || elements < 0 ||
        !checked_mul((size_t)elements, TYPES[*type].size, &bytes)) {
        return not_expected(p, pickle_item(p, id, 4), out, "its storage has no valid size");
    }
    out->storage_bytes = bytes;
    return TORCH_TENSOR;
}

/* The tuple of v, which may stand in torch.Size. */
static pickle_value sizes_of(const pickle *p, pickle_value v) {
    bool wrapped = pickle_is_global(p, pickle_callee(p, v), "torch", "Size");
    return wrapped ? pickle_item(p, pickle_args(p, v), 0) : v;
}

/* Sizes, strides and offset: all elements must lie in the storage. */
static torch_what read_view(const pickle *p, pickle_value args, size_t element, torch_found *out) {
    pickle_value sizes = sizes_of(p, pickle_item(p, args, 2)), strides = sizes_of(p, pickle_item(p, args, 3));
    if (pickle_kind_of(p, sizes) != PICKLE_TUPLE || pickle_kind_of(p, strides) != PICKLE_TUPLE) {
        return not_expected(p, pickle_kind_of(p, sizes) != PICKLE_TUPLE ? sizes : strides, out, "it has no shape");
    }
    size_t rank = pickle_length(p, sizes), count = 1, last = 0, reach;
    int64_t offset;
    if (rank > SAFETENSORS_MAX_RANK || rank != pickle_length(p, strides)) {
        return broken(out, "it has more dimensions than are read, or not a stride for each of them");
    }
    for (size_t i = 0; i < rank; i++) {
        int64_t stride, size;
        if (!pickle_int(p, pickle_item(p, sizes, i), &size) || !pickle_int(p, pickle_item(p, strides, i), &stride) ||
            size < 0 || stride < 0) {
            bool first = pickle_int(p, pickle_item(p, sizes, i), &size);
            return not_expected(p, pickle_item(p, first ? strides : sizes, i), out, "a size or stride is no number >= "
                                                                                    "0");
        }
        if (!checked_mul(count, (size_t)size, &count)) {
            return broken(out, "its shape is larger than any memory");
        }
        if (size > 1 && (!checked_mul((size_t)size - 1, (size_t)stride, &reach) || !checked_add(last, reach, &last))) {
            last = SIZE_MAX;
        }
        out->view.info.shape[i] = size;
        out->view.stride[i] = (uint64_t)stride;
    }
    if (!pickle_int(p, pickle_item(p, args, 1), &offset) || offset < 0) {
        return not_expected(p, pickle_item(p, args, 1), out, "its offset is no number >= 0");
    }
    size_t elements = (size_t)out->storage_bytes / element, end = 0;
    if (count > 0 && (!checked_add((size_t)offset, last, &end) || end >= elements)) {
        return broken(out, "it reaches beyond the end of its storage");
    }
    if (count > elements && count > TORCH_MAX_EXPANDED) {
        return broken(out, "it repeats its storage to more elements than the limit for that");
    }
    out->view.info.rank = (int)rank;
    out->view.info.count = count;
    out->view.offset = count > 0 ? (uint64_t)offset : 0;
    out->view.span = count > 0 ? last + 1 : 0;
    return TORCH_TENSOR;
}

/* ---- the functions ---- */

static torch_what rebuild_tensor(const pickle *p, pickle_value args, rebuild how, torch_found *out) {
    int type = -1;
    if (pickle_length(p, args) < (how == REBUILD_V1 ? 4 : how == REBUILD_V2 ? 6 : 7)) {
        return broken(out, "the function that rebuilds it has too few arguments");
    }
    torch_what what = read_storage(p, pickle_item(p, args, 0), out, &type);
    if (what != TORCH_TENSOR) {
        return what;
    }
    if (how == REBUILD_V3) { /* the storage is bytes, the dtype an argument */
        pickle_value dtype = pickle_item(p, args, 6);
        type = type_of(p, dtype, true);
        if (type < 0) {
            return pickle_is_text(p, pickle_module(p, dtype), "torch") ? refused(out, "its dtype is not read")
                                                                       : not_expected(p, dtype, out, "it has no dtype");
        }
    }
    if (TYPES[type].is < 0) {
        return refused(out, TYPES[type].storage[0] == 'C'   ? "it holds complex numbers"
                            : TYPES[type].storage[0] == 'Q' ? "it is quantised"
                                                            : "its dtype is not said");
    }
    pickle_value metadata = pickle_item(p, args, how == REBUILD_V3 ? 7 : 6), key, value;
    if (pickle_next_pair(p, metadata, &(pickle_iterator){0}, &key, &value)) {
        return refused(out, "it is a conjugate or negated view");
    }
    out->view.info.dtype = (safetensors_dtype)TYPES[type].is;
    return read_view(p, args, TYPES[type].size, out);
}

/* Whether an opaque call was given a tensor or a storage, so that what it gives may be one. */
static bool depends_on_tensor(const pickle *p, pickle_value args, int depth) {
    size_t n = pickle_length(p, args);
    for (size_t i = 0; i < n && i < 16; i++) {
        pickle_value v = pickle_item(p, args, i);
        rebuild how = function_of(p, pickle_callee(p, v));
        if (pickle_kind_of(p, v) == PICKLE_PERSISTENT || how != REBUILD_NONE ||
            (depth > 0 && depends_on_tensor(p, v, depth - 1))) {
            return true;
        }
    }
    return false;
}

/* The innermost call that has the storage: parameters and typed tensors are only wrappers of it. */
static rebuild unwrap(const pickle *p, pickle_value v, pickle_value *args, pickle_value *opaque) {
    pickle_value callee = pickle_callee(p, v);
    *args = pickle_args(p, v);
    *opaque = 0;
    for (int depth = 0; depth < TORCH_MAX_NESTING; depth++) {
        rebuild how = function_of(p, callee);
        if (how == REBUILD_PARAMETER) {
            v = pickle_item(p, *args, 0);
            callee = pickle_callee(p, v);
            *opaque = callee != 0 ? v : 0;
            *args = pickle_args(p, v);
        } else if (how == REBUILD_TYPED) {
            pickle_value class = pickle_item(p, *args, 1);
            if (!pickle_is_global(p, class, "torch", "Tensor") &&
                !pickle_is_global(p, class, "torch.nn.parameter", "Parameter")) {
                *opaque = class;
                return REBUILD_NONE;
            }
            callee = *opaque = pickle_item(p, *args, 0);
            *args = pickle_item(p, *args, 2);
        } else {
            return how;
        }
    }
    return REBUILD_NONE;
}

bool torch_tensor_is(const pickle *p, pickle_value v) {
    pickle_value callee = pickle_callee(p, v);
    return callee != 0 && (function_of(p, callee) != REBUILD_NONE || depends_on_tensor(p, pickle_args(p, v), 2));
}

torch_what torch_tensor_find(const pickle *p, pickle_value v, torch_found *out) {
    pickle_value args, opaque;
    *out = (torch_found){0};
    if (!torch_tensor_is(p, v)) {
        return TORCH_OTHER;
    }
    rebuild outer = function_of(p, pickle_callee(p, v)), how = unwrap(p, v, &args, &opaque);
    if (how == REBUILD_NONE) {
        return not_expected(p, outer == REBUILD_NONE ? v : opaque, out, "there is no tensor in it");
    }
    if (how == REBUILD_OTHER) {
        return refused(out, "it is sparse, quantised or of another kind that is not read");
    }
    return rebuild_tensor(p, args, how, out);
}
