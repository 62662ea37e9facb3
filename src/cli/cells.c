/* cells.c: see cells.h. */
#include "cli/cells.h"
#include <stdio.h>

const char *cell_text(const json_t *figure, double scale, int decimals, char out[CELL]) {
    const json_t *value = json_object_get(figure, "value"), *low = json_object_get(figure, "low"),
                 *high = json_object_get(figure, "high"), *mean = json_object_get(figure, "mean");
    (void)snprintf(out, CELL, "-");
    if (json_is_number(value) && json_is_number(low) && json_is_number(high)) {
        (void)snprintf(out, CELL, "%.*f [%.*f %.*f]", decimals, scale * json_number_value(value), decimals,
                       scale * json_number_value(low), decimals, scale * json_number_value(high));
    } else if (json_is_number(value)) {
        (void)snprintf(out, CELL, "%.*f", decimals, scale * json_number_value(value));
    } else if (json_is_number(mean)) {
        (void)snprintf(out, CELL, "%.*f +- %.*f", decimals, scale * json_number_value(mean), decimals,
                       scale * json_number_value(json_object_get(figure, "sd")));
    }
    return out;
}
