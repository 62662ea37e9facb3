/* ggml.h: the tensors of a ggml Whisper file, as whisper.cpp keeps them (ggml-tiny.bin and its kin): a magic number,
 * eleven hyper-parameters, mel filters, vocabulary, then tensors with their names, all little-endian. Filters and
 * vocabulary are passed over. Names are OpenAI's ("encoder.blocks.0.attn.query.weight"), shapes as PyTorch prints them
 * (the file has them back to front); the biases of the two convolutions have the shape [n, 1] in these files. Elements
 * are F32 or F16; a file with quantised tensors is refused. */
#ifndef WEIGHTS_GGML_H
#define WEIGHTS_GGML_H
#include "weights/weights.h"

/* Limits. */
#define GGML_MAX_FILE ((size_t)16 << 30)  /* bytes; mapped */
#define GGML_MAX_TENSORS ((size_t)16384)
#define GGML_MAX_RANK 4                   /* ggml's own */
#define GGML_MAX_SIZE ((int64_t)1 << 24)  /* of a hyper-parameter, or of one dimension */
#define GGML_MAX_FILTER ((int64_t)1 << 16) /* mel filters, and frequencies of one */

typedef struct ggml_file ggml_file; /* immutable once open; may be read by several threads at once */

bool ggml_begins(const void *head, size_t size);
/* The file is mapped (io_map_file). SPOOR_ERR_MODEL: no such file or a damaged one, with the reason; SPOOR_ERR_IO,
 * SPOOR_ERR_LIMIT. */
spoor_status ggml_file_open(spoor_context *ctx, const char *path, ggml_file **out, spoor_error *err);
/* The same from memory, which must outlive the object; `name` is what sentences call it. */
spoor_status ggml_file_open_memory(spoor_context *ctx, const void *data, size_t size, const char *name, ggml_file **out,
                                   spoor_error *err);
void ggml_file_free(ggml_file *f);

size_t ggml_file_count(const ggml_file *f);
/* In the file's order; lives as long as f. Names are valid UTF-8 without control characters; that they differ is
 * weights_open's to check. */
const safetensors_tensor *ggml_file_at(const ggml_file *f, size_t i);
/* {"format": "ggml", "n_vocab": .., "n_audio_ctx": .., "n_audio_state": .., "n_audio_head": .., "n_audio_layer": ..,
 * "n_text_ctx": .., "n_text_state": .., "n_text_head": .., "n_text_layer": .., "n_mels": .., "ftype": ..}; borrowed. */
const json_t *ggml_file_config(const ggml_file *f);
#endif
