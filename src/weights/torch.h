/* torch.h: the tensors of a PyTorch zip checkpoint (.pt, .pth, .bin: what torch.save writes since PyTorch 1.6).
 *
 * Nothing of the file is ever run. Its pickle is read as data (pickle.h); of the calls in it only those that rebuild a
 * tensor are understood, by name: torch._utils._rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3,
 * _rebuild_parameter, _rebuild_parameter_with_state, torch._tensor._rebuild_from_type_v2 for plain tensors and
 * parameters, torch.Size, collections.OrderedDict and defaultdict, the storage classes and dtypes. Any other object is
 * opaque: it is never called, and a tensor that depends on it is refused by name when it is asked for.
 *
 * Which tensors: the state dict. Wrappers are the keys "model", "state_dict", "model_state_dict", "model_weight", "net"
 * and "module". Candidates are the object at the top and every mapping that is reached from it through wrappers alone.
 * A candidate counts the tensors below it; one that has a candidate with tensors inside counts only its own entries.
 * The one with the most tensors is the state dict, of equals the innermost and then the first. Its tensors are named by
 * their keys, joined with '.' where mappings lie in mappings; keys that are no strings (an optimiser's numbered state)
 * and values that are no tensors are passed over. */
#ifndef WEIGHTS_TORCH_H
#define WEIGHTS_TORCH_H
#include "weights/weights.h"

/* Limits. A storage is also never larger than its entry of the archive, nor that than the file (unless deflated). */
#define TORCH_MAX_PICKLE ((size_t)64 << 20)          /* bytes of data.pkl */
#define TORCH_MAX_ENTRIES ((size_t)262144)           /* of the archive */
#define TORCH_MAX_TENSORS SAFETENSORS_MAX_TENSORS    /* of the state dict */
#define TORCH_MAX_NAME SAFETENSORS_MAX_NAME          /* bytes of a tensor's name, all keys joined */
#define TORCH_MAX_NESTING 16                         /* mappings in mappings, parameters in parameters */
#define TORCH_MAX_DEFLATED ((uint64_t)4 << 30)       /* bytes of a compressed entry once inflated */
#define TORCH_MAX_EXPANDED ((size_t)1 << 24)         /* elements of a view that has more of them than its storage */

typedef struct torch_file torch_file; /* immutable once open; may be read by several threads at once */

/* Whether a file that begins with these bytes (the first 512, or all of a shorter one) is for torch_open: a zip
 * archive, or one of the two older formats of PyTorch, which torch_open refuses with what to do about it. */
bool torch_begins(const void *head, size_t size);

/* SPOOR_ERR_MODEL: no PyTorch checkpoint, a damaged one, or one that is not read (older than the zip format,
 * TorchScript, big-endian), with what to do; SPOOR_ERR_IO: no readable file; SPOOR_ERR_LIMIT. The file stays open until
 * torch_free and tensors are read from it when they are asked for. */
spoor_status torch_open(spoor_context *ctx, const char *path, torch_file **out, spoor_error *err);
/* The same from memory, which must outlive the object; `name` is what sentences call it. */
spoor_status torch_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, torch_file **out,
                               spoor_error *err);
void torch_free(torch_file *f);

size_t torch_count(const torch_file *f);
/* In the file's order; lives as long as f. Names are unique, valid UTF-8 and without control characters. */
const weights_tensor *torch_at(const torch_file *f, size_t i);
/* Why tensor i cannot be read ("it is quantised"), or NULL where it can. Where not, its dtype, rank and shape mean
 * nothing (they are those of an empty U8 tensor). Lives as long as f. */
const char *torch_refused(const torch_file *f, size_t i);

/* All elements of tensor i as float into out[count], row-major whatever its strides in the file.
 * SPOOR_ERR_MODEL: it is refused (above), or the archive is damaged there. */
spoor_status torch_read(const torch_file *f, size_t i, float *out, spoor_error *err);
/* The same as they are stored: count elements of its dtype, little-endian, row-major. */
spoor_status torch_read_raw(const torch_file *f, size_t i, void *out, spoor_error *err);
#endif
