/* enrolled.h: enrolled sources beside those that a model knows; spoor.h has what is public of it. */
#ifndef TRACE_ENROLLED_H
#define TRACE_ENROLLED_H
#include "openset/gallery.h"
#include "trace/trace.h"

struct spoor_gallery {
    spoor_context *ctx;
    const spoor_model *model; /* must outlive it */
    const openset_stats *space;
    gallery *file;
    double *centroid; /* [sources, E] */
    char *path;
};

/* Where the gallery of a model is kept unless another place is named: $SPOOR_GALLERY, else MODEL.gallery.safetensors
 * beside MODEL.safetensors. Freed with ctx_free; NULL: out of memory. */
char *enrolled_default_path(const spoor_model *m);
/* A gallery in memory as one of the model's, which becomes the owner of `file` also on failure. */
spoor_status enrolled_new(const spoor_model *m, gallery *file, const char *path, spoor_gallery **out, spoor_error *err);
/* Every enrolled source against an embedding, the best first (by LLR, or by score where there is none; then by name):
 * out[sources]. *known is the cosine to the nearest class that the model knows (NAN where that cannot be said). */
spoor_status enrolled_rank(const spoor_gallery *g, const float *embedding, spoor_enrolled *out, double *known,
                           spoor_error *err);
#endif
