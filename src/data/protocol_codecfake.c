/* protocol_codecfake.c: the lists of CodecFake+: training (7 columns) and evaluation (4 or 5, without the attributes of
 * a source, which a taxonomy has). Ids have underscores of their own and speakers of any length
 * ("s5_400_vocos_encodec_6"), so that a codec is found by the end of the id. */
#include "data/protocol_internal.h"
#include <string.h>

static spoor_status no_memory(spoor_error *err) { return error_memory(err, "reading a list"); }

/* Column of the manifest, attribute of the taxonomy, its place in a line of 7. */
static const struct {
    protocol_column column;
    const char *attribute;
    size_t field;
} ATTRIBUTES[] = {{P_VQ, "vq", 5}, {P_AUX, "aux", 3}, {P_DEC, "dec", 4}};
enum { N_ATTRIBUTES = sizeof ATTRIBUTES / sizeof *ATTRIBUTES };

/* The text of a value, which must outlive the taxonomy. */
static spoor_status set_value(protocol_line *l, size_t k, size_t attribute, size_t value, spoor_error *err) {
    l->cell[ATTRIBUTES[k].column] = protocol_text(l->table, "%s", taxonomy_value_name(l->taxonomy, attribute, value));
    return l->cell[ATTRIBUTES[k].column] ? SPOOR_OK : no_memory(err);
}

/* One attribute: as the list says, else as the taxonomy says of the source; bona fide speech has the value "real". */
static spoor_status set_attribute(protocol_line *l, size_t k, const char *listed, size_t source, spoor_error *err) {
    const taxonomy *t = l->taxonomy;
    size_t a = taxonomy_attribute(t, ATTRIBUTES[k].attribute);
    if (a == SIZE_MAX) {
        return SPOOR_OK;
    }
    bool bonafide = l->cell[P_LABEL][0] == 'b';
    size_t real = taxonomy_value(t, a, "real"), value = SIZE_MAX;
    if (strcmp(listed, "-") != 0) {
        value = taxonomy_value(t, a, listed);
        if (value == SIZE_MAX) {
            return protocol_refuse(l->table, l->number, err, "the taxonomy has no %s \"%.40s\"",
                                   ATTRIBUTES[k].attribute, listed);
        }
        if (bonafide != (value == real)) {
            return protocol_refuse(l->table, l->number, err, "the label %s and the %s %s exclude each other",
                                   l->cell[P_LABEL], ATTRIBUTES[k].attribute, listed);
        }
        size_t expected = bonafide || source == SIZE_MAX ? SIZE_MAX : taxonomy_of(t, source, a);
        if (expected != SIZE_MAX && expected != value && !l->table->noted) {
            l->table->noted = true;
            ctx_log(l->table->ctx, SPOOR_LOG_WARN,
                    "%s, line %zu: %s is %s by the list, %s by the taxonomy: the list's is taken, "
                    "here and wherever they differ",
                    l->table->path, l->number, taxonomy_source_name(t, source), listed,
                    taxonomy_value_name(t, a, expected));
        }
    } else if (bonafide) {
        value = real;
    } else if (source != SIZE_MAX) {
        value = taxonomy_of(t, source, a);
    }
    return value == SIZE_MAX ? SPOOR_OK : set_value(l, k, a, value, err);
}

/* The codec by the end of the id. Without one in the taxonomy: what stands behind SPEAKER_NUMBER_. */
static spoor_status set_codec(protocol_line *l, size_t *source, spoor_error *err) {
    const char *speaker = l->field[0], *id = l->field[1];
    size_t prefix;
    *source = taxonomy_find_suffix(l->taxonomy, id, &prefix);
    if (*source != SIZE_MAX) {
        l->cell[P_SOURCE] = protocol_text(l->table, "%s", taxonomy_source_name(l->taxonomy, *source));
        return l->cell[P_SOURCE] ? SPOOR_OK : no_memory(err);
    }
    size_t n = strlen(speaker);
    const char *number = strncmp(id, speaker, n) == 0 && id[n] == '_' ? id + n + 1 : NULL;
    const char *codec = number ? strchr(number, '_') : NULL;
    if (!codec || !codec[1]) {
        return protocol_refuse(l->table, l->number, err, "no codec stands at the end of the id %.100s", id);
    }
    l->cell[P_SOURCE] = codec + 1;
    return SPOOR_OK;
}

/* CoSG: the first column is the system that the demonstration page is of; bona fide clips are that page's. */
static spoor_status set_system(protocol_line *l, size_t *source, spoor_error *err) {
    const char *name = l->field[0];
    *source = taxonomy_find(l->taxonomy, name);
    l->cell[P_PAGE] = name;
    if (l->cell[P_LABEL][0] == 's') {
        l->cell[P_SOURCE] =
            *source == SIZE_MAX ? name : protocol_text(l->table, "%s", taxonomy_source_name(l->taxonomy, *source));
    }
    return l->cell[P_SOURCE] ? SPOOR_OK : no_memory(err);
}

/* Re-synthesis (CoRS) names a speaker with whom the id begins; generation (CoSG) a system of the taxonomy, or any
 * other. */
static bool is_generated(const protocol_line *l) {
    if (l->n == 7) {
        return false;
    }
    size_t source = taxonomy_find(l->taxonomy, l->field[0]), n = strlen(l->field[0]);
    return (source != SIZE_MAX && strcmp(taxonomy_source_kind(l->taxonomy, source), "system") == 0) ||
           strncmp(l->field[1], l->field[0], n) != 0 || l->field[1][n] != '_';
}

static spoor_status codecfake_line(protocol_line *l, spoor_error *err) {
    if (l->n == 6) {
        return protocol_refuse(l->table, l->number, err, "6 fields; lines of CodecFake+ have 4, 5 or 7");
    }
    bool generated = is_generated(l);
    size_t source = SIZE_MAX;
    TRY(protocol_set_label(l, l->field[l->n - 1], "", err));
    bool spoof = l->cell[P_LABEL][0] == 's';
    l->cell[P_ID] = l->field[1];
    l->cell[P_CORPUS] = generated ? "CoSG" : "CoRS";
    l->cell[P_SPEAKER] = generated ? "" : l->field[0];
    if (generated) {
        TRY(set_system(l, &source, err));
    } else if (spoof) {
        TRY(set_codec(l, &source, err));
    }
    for (size_t k = 0; k < N_ATTRIBUTES; k++) {
        const char *listed = l->n == 7 ? l->field[ATTRIBUTES[k].field] : l->n == 5 && k == 0 ? l->field[3] : "-";
        TRY(set_attribute(l, k, listed, source, err));
    }
    l->cell[P_PATH] = generated ? protocol_text(l->table, "SLMdemos_16k/%s/%s.wav", l->field[0], l->field[1])
                                : protocol_text(l->table, "all_data_16k/%s.wav", l->field[1]);
    return l->cell[P_PATH] ? SPOOR_OK : no_memory(err);
}

const protocol_format PROTOCOL_CODECFAKE = {.name = "codecfake",
                                            .summary = "CodecFake+: training, CoRS and CoSG lists (7, 5 or 4 columns)",
                                            .separator = ' ',
                                            .min = 4,
                                            .max = 7,
                                            .taxonomy = true,
                                            .columns = P_BIT(P_PATH) | P_BIT(P_ID) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) |
                                                       P_BIT(P_VQ) | P_BIT(P_AUX) | P_BIT(P_DEC) | P_BIT(P_SPEAKER) |
                                                       P_BIT(P_CORPUS) | P_BIT(P_PAGE),
                                            .form = "p260 p260_075_Encodec_24b24k - Trad TIME MVQ spoof",
                                            .line = codecfake_line};
