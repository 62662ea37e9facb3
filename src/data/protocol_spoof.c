/* protocol_spoof.c: lists of the spoofing challenges and of those that took over their form: fields by position. */
#include "data/protocol_internal.h"
#include <string.h>

static const char *no_dash(const char *text) { return strcmp(text, "-") == 0 ? "" : text; }

static spoor_status set_path(protocol_line *l, const char *path, spoor_error *err) {
    l->cell[P_PATH] = path;
    return path ? SPOOR_OK : error_memory(err, "reading a list");
}

/* ---- ASVspoof 2019 LA: SPEAKER ID - ATTACK KEY ---- */

static spoor_status asv19_line(protocol_line *l, spoor_error *err) {
    const char *split = l->table->split;
    l->cell[P_SPEAKER] = l->field[0];
    l->cell[P_ID] = l->field[1];
    TRY(protocol_set_label(l, l->field[4], l->field[3], err));
    return set_path(l,
                    *split ? protocol_text(l->table, "ASVspoof2019_LA_%s/flac/%s.flac", split, l->field[1])
                           : protocol_text(l->table, "flac/%s.flac", l->field[1]),
                    err);
}

const protocol_format PROTOCOL_ASV19 = {.name = "asvspoof2019",
                                        .summary = "ASVspoof 2019 LA (5 columns)",
                                        .separator = ' ',
                                        .min = 5,
                                        .max = 5,
                                        .columns = P_BIT(P_PATH) | P_BIT(P_ID) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) |
                                                   P_BIT(P_SPEAKER),
                                        .form = "LA_0087 LA_T_7893020 - A05 spoof",
                                        .line = asv19_line};

/* ---- ASVspoof 2021: 8 columns (LA), 13 (DF) ---- */

static spoor_status asv21_line(protocol_line *l, spoor_error *err) {
    if (l->n != 8 && l->n != 13) {
        return protocol_refuse(l->table, l->number, err, "%zu fields; a line of ASVspoof 2021 has 8 (LA) or 13 (DF)",
                               l->n);
    }
    bool df = l->n == 13;
    l->cell[P_SPEAKER] = l->field[0];
    l->cell[P_ID] = l->field[1];
    l->cell[P_CODEC] = strcmp(l->field[2], "nocodec") == 0 || strcmp(l->field[2], "none") == 0 ? "" : l->field[2];
    l->cell[df ? P_CORPUS : P_CHANNEL] = no_dash(l->field[3]);
    TRY(protocol_set_label(l, l->field[5], l->field[4], err));
    l->cell[P_TRIM] = l->field[6];
    l->cell[P_SUBSET] = l->field[7];
    if (df && l->cell[P_LABEL][0] == 's') {
        l->cell[P_VOCODER] = no_dash(l->field[8]);
    }
    return set_path(l, protocol_text(l->table, "ASVspoof2021_%s_eval/flac/%s.flac", df ? "DF" : "LA", l->field[1]),
                    err);
}

const protocol_format PROTOCOL_ASV21 = {
    .name = "asvspoof2021",
    .summary = "ASVspoof 2021 LA and DF with keys (8 or 13 columns)",
    .separator = ' ',
    .min = 8,
    .max = 13,
    .split = "eval",
    .columns = P_BIT(P_PATH) | P_BIT(P_ID) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) | P_BIT(P_SPEAKER) | P_BIT(P_CODEC) |
               P_BIT(P_CORPUS) | P_BIT(P_CHANNEL) | P_BIT(P_TRIM) | P_BIT(P_SUBSET) | P_BIT(P_VOCODER),
    .form = "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -",
    .line = asv21_line};

/* ---- ASVspoof 5: SPEAKER ID GENDER CODEC CODEC_Q CODEC_SEED ATTACK_TAG ATTACK KEY TMP ---- */

static spoor_status asv5_line(protocol_line *l, spoor_error *err) {
    const char *id = l->field[1];
    l->cell[P_SPEAKER] = l->field[0];
    l->cell[P_ID] = id;
    l->cell[P_GENDER] = no_dash(l->field[2]);
    l->cell[P_CODEC] = no_dash(l->field[3]);
    l->cell[P_FAMILY] = no_dash(l->field[6]);
    TRY(protocol_set_label(l, l->field[8], l->field[7], err));
    const char *set = strncmp(id, "T_", 2) == 0 ? "flac_T" : strncmp(id, "D_", 2) == 0 ? "flac_D" : "flac_E_eval";
    return set_path(l, protocol_text(l->table, "%s/%s.flac", set, id), err);
}

const protocol_format PROTOCOL_ASV5 = {.name = "asvspoof5",
                                       .summary = "ASVspoof 5, track 1 (10 columns)",
                                       .separator = ' ',
                                       .min = 10,
                                       .max = 10,
                                       .columns = P_BIT(P_PATH) | P_BIT(P_ID) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) |
                                                  P_BIT(P_FAMILY) | P_BIT(P_SPEAKER) | P_BIT(P_GENDER) | P_BIT(P_CODEC),
                                       .form = "T_4850 T_0000000001 F - - - AC3 A05 spoof -",
                                       .line = asv5_line};

/* ---- ADD 2023 track 3: FILE CLASS, 0 = real, 1 to 6, 7 = unknown ---- */

static spoor_status add23_line(protocol_line *l, spoor_error *err) {
    const char *class = l->field[1];
    if (class[0] < '0' || class[0] > '7' || class[1]) {
        return protocol_refuse(l->table, l->number, err,
                               "the class \"%.20s\" is none of 0 (real), 1 to 6 and 7 (unknown)", class);
    }
    l->cell[P_PATH] = protocol_plain_path(l->field[0]);
    return protocol_set_label(l, class[0] == '0' ? "real" : "fake", class[0] == '7' ? "unknown" : class, err);
}

const protocol_format PROTOCOL_ADD23 = {.name = "add2023",
                                        .summary = "ADD 2023 track 3 (file and class 0 to 7)",
                                        .separator = ' ',
                                        .min = 2,
                                        .max = 2,
                                        .columns = P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE),
                                        .form = "ADD2023_T3_E_00000000.wav 3",
                                        .line = add23_line};

/* ---- ST-Codecfake: FILE real|fake CLASS, 0 = real ---- */

static spoor_status st_codecfake_line(protocol_line *l, spoor_error *err) {
    const char *class = l->field[2];
    size_t digits = strspn(class, "0123456789");
    if (digits == 0 || digits > 2 || class[digits] || (digits == 2 && (class[0] != '1' || class[1] > '1'))) {
        return protocol_refuse(l->table, l->number, err, "the class \"%.20s\" is none of 0 to 11", class);
    }
    TRY(protocol_set_label(l, l->field[1], class, err));
    if ((l->cell[P_LABEL][0] == 'b') != (strcmp(class, "0") == 0)) {
        return protocol_refuse(l->table, l->number, err,
                               "the label %.20s and the class %s exclude each other (0 is real)", l->field[1], class);
    }
    l->cell[P_PATH] = protocol_plain_path(l->field[0]);
    return SPOOR_OK;
}

const protocol_format PROTOCOL_ST_CODECFAKE = {.name = "st-codecfake",
                                               .summary = "ST-Codecfake (file, real or fake, class 0 to 11)",
                                               .separator = ' ',
                                               .min = 3,
                                               .max = 3,
                                               .columns = P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE),
                                               .form = "encodec_p230_135.wav fake 4",
                                               .line = st_codecfake_line};

/* ---- TADA's unified lists: FILE|SPEAKER|SYSTEM ---- */

static spoor_status tada_line(protocol_line *l, spoor_error *err) {
    const char *system = no_dash(l->field[2]), *label = protocol_label(system);
    bool bonafide = label && label[0] == 'b';
    l->cell[P_PATH] = protocol_plain_path(l->field[0]);
    l->cell[P_SPEAKER] = no_dash(l->field[1]);
    return *system ? protocol_set_label(l, bonafide ? "bonafide" : "spoof", system, err) : SPOOR_OK;
}

const protocol_format PROTOCOL_TADA = {.name = "tada",
                                       .summary = "TADA's unified lists (file|speaker|system)",
                                       .separator = '|',
                                       .unquoted = true,
                                       .min = 3,
                                       .max = 3,
                                       .columns = P_BIT(P_PATH) | P_BIT(P_LABEL) | P_BIT(P_SOURCE) | P_BIT(P_SPEAKER),
                                       .form = "LA_D_1000265|LA_0075|A01",
                                       .line = tada_line};
