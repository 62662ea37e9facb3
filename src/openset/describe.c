/* describe.c: an open-set score to JSON and back; see openset.h. */
#include "openset/statistics.h"
#include <math.h>
#include <string.h>

#define K_KINDS (OPENSET_BIT(OPENSET_KNN_COSINE) | OPENSET_BIT(OPENSET_KNN_EUCLIDEAN) | OPENSET_BIT(OPENSET_NNGUIDE))

static json_t *gate_to_json(const openset_gate *g) {
    json_t *list = json_array();
    int bad = 0;
    for (unsigned k = 0; k < OPENSET_KINDS; k++) {
        if (g->members & OPENSET_BIT(k)) {
            bad |= json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f}", "scorer",
                                                         openset_kind_name((openset_kind)k), "mean", g->mean[k],
                                                         "deviation", g->deviation[k], "weight", g->weight[k]));
        }
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:f, s:o}", "offset", g->offset, "members", list);
}

json_t *openset_to_json(const openset *o) {
    json_t *threshold = isfinite(o->threshold) ? json_real(o->threshold) : json_null();
    json_t *out = json_pack("{s:s, s:f, s:o, s:f}", "scorer", openset_kind_name(o->kind), "temperature", o->temperature,
                            "threshold", threshold, "acceptance", o->acceptance);
    openset_kinds needs = openset_needs(o);
    int bad = out == NULL;
    if (o->by_eer) {
        bad |= json_object_set_new(out, "rule", json_string("eer"));
    }
    if (needs & K_KINDS) {
        bad |= json_object_set_new(out, "k", json_integer((json_int_t)o->k));
    }
    if (o->kind == OPENSET_GATE) {
        bad |= json_object_set_new(out, "gate", gate_to_json(&o->gate));
    }
    if (needs & OPENSET_OF_TRAIN) {
        bad |= json_object_set_new(out, "statistics", o->stats == NULL ? NULL : openset_stats_to_json(o->stats, needs));
    }
    if (bad != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static spoor_status number(const json_t *json, const char *key, double *out, spoor_error *err) {
    const json_t *value = json_object_get(json, key);
    *out = json_number_value(value);
    if (!json_is_number(value) || !isfinite(*out)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: gate: \"%s\" is missing or no number", key);
    }
    return SPOOR_OK;
}

static spoor_status gate_from_json(const json_t *json, openset_gate *g, spoor_error *err) {
    *g = (openset_gate){0};
    TRY(number(json, "offset", &g->offset, err));
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(json, "members"), i, member) {
        const char *name = json_string_value(json_object_get(member, "scorer"));
        openset_kind k;
        if (name == NULL || openset_kind_parse(name, &k, NULL) != SPOOR_OK || k == OPENSET_GATE ||
            (g->members & OPENSET_BIT(k))) {
            return error_set(err, SPOOR_ERR_MODEL, "open set: gate: member %zu names no scorer, or one that was named "
                                                   "already",
                             i + 1);
        }
        g->members |= OPENSET_BIT(k);
        TRY(number(member, "mean", &g->mean[k], err));
        TRY(number(member, "deviation", &g->deviation[k], err));
        TRY(number(member, "weight", &g->weight[k], err));
        if (!(g->deviation[k] > 0)) {
            return error_set(err, SPOOR_ERR_MODEL, "open set: gate: \"deviation\" is not above 0");
        }
    }
    return g->members != 0 ? SPOOR_OK : error_set(err, SPOOR_ERR_MODEL, "open set: gate: \"members\" is missing or "
                                                                        "empty");
}

static spoor_status threshold_from_json(const json_t *json, openset *o, spoor_error *err) {
    const json_t *threshold = json_object_get(json, "threshold"), *acceptance = json_object_get(json, "acceptance"),
                 *rule = json_object_get(json, "rule");
    if (json_is_number(threshold)) {
        o->threshold = json_number_value(threshold);
    } else if (!json_is_null(threshold)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"threshold\" is missing or no number");
    }
    o->acceptance = json_number_value(acceptance);
    if (!json_is_number(acceptance) || !(o->acceptance >= 0 && o->acceptance <= 1)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"acceptance\" is missing or outside 0..1");
    }
    o->by_eer = rule != NULL && json_is_string(rule);
    if (rule != NULL && (!o->by_eer || strcmp(json_string_value(rule), "eer") != 0)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"rule\" is not \"eer\"");
    }
    return SPOOR_OK;
}

spoor_status openset_from_json(const json_t *json, openset *out, spoor_error *err) {
    openset o;
    openset_init(&o);
    const json_t *scorer = json_object_get(json, "scorer");
    if (!json_is_string(scorer) || openset_kind_parse(json_string_value(scorer), &o.kind, NULL) != SPOOR_OK) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"scorer\" is missing or none that this version knows");
    }
    o.temperature = json_number_value(json_object_get(json, "temperature"));
    if (!(o.temperature > 0) || !isfinite(o.temperature)) {
        return error_set(err, SPOOR_ERR_MODEL, "open set: \"temperature\" is missing or not above 0");
    }
    TRY(threshold_from_json(json, &o, err));
    if (o.kind == OPENSET_GATE) {
        TRY(gate_from_json(json_object_get(json, "gate"), &o.gate, err));
    }
    if (openset_needs(&o) & K_KINDS) {
        json_int_t k = json_integer_value(json_object_get(json, "k"));
        if (k < 1 || k > OPENSET_MAX_K) {
            return error_set(err, SPOOR_ERR_MODEL, "open set: \"k\" is missing or not 1 to %d", OPENSET_MAX_K);
        }
        o.k = (size_t)k;
    }
    *out = o;
    return SPOOR_OK;
}
