/* yaml.h: a YAML file as a JSON value. One document; no anchors, aliases or tags; scalars by the core schema (null,
 * true, false, integers, numbers, else strings; anything in quotes is a string). */
#ifndef TRAIN_YAML_H
#define TRAIN_YAML_H
#include "base/context.h"
#include <jansson.h>

enum { YAML_MAX_BYTES = 1 << 20, YAML_MAX_DEPTH = 32, YAML_MAX_NODES = 100000 };

/* text[size]; `name` is what sentences call it ("recipe.yaml"). *out is a new reference. SPOOR_ERR_USAGE with the line
 * for anything that is not such a document, a key that stands twice; SPOOR_ERR_LIMIT over a limit above. */
spoor_status yaml_parse(const char *name, const void *text, size_t size, json_t **out, spoor_error *err);
/* One plain scalar by the core schema: "3" is an integer, "x" a string. New reference; NULL = out of memory or not
 * UTF-8. */
json_t *yaml_scalar(const char *text, size_t size);
#endif
