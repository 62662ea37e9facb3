/* taxonomy.h: how sources are built: for each source (a codec, a system) its value of each attribute (quantiser,
 * decoder,
 * ...). A taxonomy is a JSON file (docs/data.md); the one in taxonomies/codecfake_plus.json is built in. */
#ifndef DATA_TAXONOMY_H
#define DATA_TAXONOMY_H
#include "base/context.h"
#include <jansson.h>

enum {
    TAXONOMY_MAX_BYTES = 1 << 20,
    TAXONOMY_MAX_ATTRIBUTES = 16,
    TAXONOMY_MAX_VALUES = 64,
    TAXONOMY_MAX_SOURCES = 4096
};
#define TAXONOMY_BUILTIN "codecfake_plus"

typedef struct taxonomy taxonomy;

/* path NULL or TAXONOMY_BUILTIN: the one that is built in. A file may begin from another ("extends", a path beside it
 * or TAXONOMY_BUILTIN) and adds to it or changes it. SPOOR_ERR_INPUT says what is wrong and where. */
spoor_status taxonomy_open(spoor_context *ctx, const char *path, taxonomy **out, spoor_error *err);
/* From the object that taxonomy_json gave; `name` is what sentences call it. */
spoor_status taxonomy_from_json(spoor_context *ctx, const json_t *json, const char *name, taxonomy **out,
                                spoor_error *err);
/* All of it, what it extends included; lives as long as the taxonomy. */
const json_t *taxonomy_json(const taxonomy *t);
void taxonomy_free(taxonomy *t);

/* All strings live as long as the taxonomy. */
const char *taxonomy_name(const taxonomy *t);
const char *taxonomy_about(const taxonomy *t);
size_t taxonomy_attributes(const taxonomy *t);
const char *taxonomy_attribute_name(const taxonomy *t, size_t attribute);
const char *taxonomy_attribute_title(const taxonomy *t, size_t attribute);
size_t taxonomy_attribute(const taxonomy *t, const char *name); /* SIZE_MAX: none has that name */
size_t taxonomy_values(const taxonomy *t, size_t attribute);
/* Values are numbered as their data set numbers its classes. */
const char *taxonomy_value_name(const taxonomy *t, size_t attribute, size_t value);
/* The value that has this name or alias, in letters of any case; SIZE_MAX. */
size_t taxonomy_value(const taxonomy *t, size_t attribute, const char *text);

size_t taxonomy_sources(const taxonomy *t);
const char *taxonomy_source_name(const taxonomy *t, size_t source);
const char *taxonomy_source_kind(const taxonomy *t,
                                 size_t source); /* "codec", "system", or what the file calls it; "" */
const char *taxonomy_source_note(const taxonomy *t, size_t source); /* "" */
size_t taxonomy_aliases(const taxonomy *t, size_t source);
const char *taxonomy_alias(const taxonomy *t, size_t source, size_t alias);
/* The source that has this name or alias, exactly, else in letters of any case; SIZE_MAX. */
size_t taxonomy_find(const taxonomy *t, const char *name);
/* The source by whose name or alias, after a '_', the utterance's id ends: the longest such name
 * ("s5_400_vocos_encodec_6" ends in vocos_encodec_6). *prefix: bytes of the id before that '_'. SIZE_MAX. */
size_t taxonomy_find_suffix(const taxonomy *t, const char *utterance, size_t *prefix);
/* The value that a source has; SIZE_MAX where it is not known. */
size_t taxonomy_of(const taxonomy *t, size_t source, size_t attribute);
#endif
