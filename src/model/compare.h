/* compare.h: what a model knows about comparing recordings with each other: verification and enrolled sources. */
#ifndef MODEL_COMPARE_H
#define MODEL_COMPARE_H
#include "model/model.h"

enum { MODEL_VERIFY_NAME = 64 };

/* The statistics that whiten m's embeddings: those of its "verify", else of its open-set scorer; NULL: cosines of
 * embeddings as they are. */
const openset_stats *model_space(const spoor_model *m);
/* A tensor's name in statistics.h ("openset.factor") as it is called among those of verification ("verify.factor"). */
void model_verify_name(const char *name, char out[MODEL_VERIFY_NAME]);
/* For model.c: m->verify from m->meta and the file's tensors (openset_stats_read says how). */
spoor_status model_read_verify(spoor_model *m, size_t numel, openset_read_fn read, void *user, spoor_error *err);
bool model_is_verify_tensor(const spoor_model *m, const char *name);
#endif
