/* import.h: checkpoints of other programs that are whole models, as model files of Spoor: AASIST on the waveform and
 * its light form AASIST-L (Jung et al. 2022) under the names of the authors' release, with a head of any number of
 * classes. */
#ifndef MODEL_IMPORT_H
#define MODEL_IMPORT_H
#include "model/model.h"
#include "weights/weights.h"

/* Whether the checkpoint has the tensors by which such a model is known. */
bool import_knows(const weights *w);
typedef struct import_options {
    const char *name;   /* of the model */
    const char *source; /* file name and hash of the checkpoint, for the provenance */
    const char *sha256;
    const char *const *classes; /* names of the head's classes, in its order; NULL: two are "spoof" and "bonafide" (the
                                   order of the release), others "class-00", ... */
    size_t n_classes;
    bool half; /* matrices and kernels as F16 */
} import_options;
/* Write the model file `path`: front end, network, task ("bonafide" with two classes, else "source"), weights. What the
 * weights do not show is as in the release: 70 sinc filters of 129 samples, pool ratios (AASIST-L, known by its graph
 * of 24 channels: 0.4, 0.5, 0.7; else 0.5, 0.7, 0.5), temperatures 2, 2, 100. Batch norms in front of the blocks that
 * were never trained (weights 1, biases 0) are left out, as the release never applies them; where they were trained
 * they are applied. SPOOR_ERR_MODEL where a tensor is missing, left over or of a wrong shape. */
spoor_status import_save(spoor_context *ctx, const weights *w, const char *path, const import_options *o,
                         spoor_error *err);
#endif
