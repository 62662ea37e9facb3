/* cells.h: a figure of a report in a cell of a table. */
#ifndef CLI_CELLS_H
#define CLI_CELLS_H
#include <jansson.h>

enum { CELL = 64, CELL_WIDE = 21 /* columns that a cell takes up */ };

/* "0.534 [0.490 0.580]" of {"value", "low", "high"}, times `scale`, without the interval where there is none; "32.26 +-
 * 0.31" of
 * {"mean", "sd"}; "-" where undefined. Returns out. */
const char *cell_text(const json_t *figure, double scale, int decimals, char out[CELL]);
#endif
