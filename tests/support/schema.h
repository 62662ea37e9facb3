/* schema.h: a JSON Schema validator for the part of draft 2020-12 that docs/result.schema.json uses: type, required,
 * properties, items, enum, oneOf, $ref to #/$defs, minimum, maximum, pattern. A keyword beyond these fails, so that a
 * schema cannot ask for what is not checked. */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* `why` gets the first complaint, with the place in the value. */
bool schema_valid(const json_t *schema, const json_t *value, char *why, size_t room);
#endif
