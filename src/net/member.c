/* member.c: the settings of one member of an ensemble, or of a network that is one: what it reads, which tasks it
 * answers, its body and heads; from JSON and back. See net.h. */
#include "base/config.h"
#include "net/net_internal.h"
#include <string.h>

const char *const NET_KINDS[] = {BODY_NAMES, "ensemble", NULL};

static size_t add_keys(const char **list, size_t n, const char *const *keys) {
    while (*keys != NULL) {
        list[n++] = *keys++;
    }
    return n;
}

spoor_status member_check_keys(const json_t *config, const char *where, int kind, bool is_member, spoor_error *err) {
    static const char *const all[] = {"kind", "feature_norm", "pool_norm", "embedding", "embedding_dropout",
                                      "mix",  "crop",         NULL};
    static const char *const single[] = {"task_heads", NULL}, *const ensemble[] = {"kind", "task_heads", "members",
                                                                                   "fusion", NULL};
    static const char *const member_of[] = {"first", "columns", "spans",   "rows",       "weight",
                                            "tasks", "embeds",  "classes", "task_heads", NULL};
    const char *known[64] = {NULL}; /* room for the keys of any body */
    if (kind == NET_KIND_ENSEMBLE) {
        return config_keys(config, where, ensemble, err);
    }
    size_t n = add_keys(known, 0, all);
    n = add_keys(known, n, is_member ? member_of : single);
    (void)add_keys(known, n, body_keys((body_kind)kind));
    return config_keys(config, where, known, err);
}

static spoor_status configure(member *m, const json_t *config, int kind, int64_t columns, spoor_error *err) {
    TRY(config_number(config, "network", "crop", 1, 0.01, 1, &m->crop, err));
    TRY(config_bool(config, "network", "feature_norm", false, &m->feature_norm, err));
    TRY(config_bool(config, "network", "pool_norm", false, &m->pool_norm, err));
    TRY(config_int(config, "network", "embedding", 0, 0, 65536, &m->embedding, err));
    TRY(config_number(config, "network", "embedding_dropout", 0, 0, 0.95, &m->embedding_dropout, err));
    TRY(config_int(config, "network", "mix", 0, 0, 128, &m->mix, err));
    if (m->mix > 0 && columns % m->mix != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "network.mix: %lld columns of features are not %lld layers side by side",
                         (long long)columns, (long long)m->mix);
    }
    columns = m->mix > 0 ? columns / m->mix : columns;
    m->width = columns;
    TRY(config_number(config, "network", "logistic", 0, 0, 1e6, &m->logistic, err));
    TRY(config_int(config, "network", "copies", 0, 0, 16, &m->copies, err));
    TRY(config_bool(config, "network", "gate", false, &m->gated, err));
    if (m->gated && m->logistic <= 0) {
        return error_set(err, SPOOR_ERR_USAGE, "network.gate goes with logistic");
    }
    const char *pooling = json_string_value(json_object_get(config, "pooling"));
    if (m->logistic > 0 && (!m->pool_norm || m->feature_norm || m->embedding > 0 || m->mix > 0 ||
                            json_object_get(config, "layers") != NULL ||
                            (pooling != NULL && strcmp(pooling, "stats") != 0))) {
        return error_set(err, SPOOR_ERR_USAGE, "network.logistic goes with pooling: stats and pool_norm: true, without "
                         "feature_norm, embedding, layers and mix");
    }
    return body_configure(&m->body, (body_kind)kind, config, columns, err);
}

/* "tasks": names of those that the member answers; absent: all. */
static spoor_status configure_tasks(const net *n, member *m, const json_t *config, spoor_error *err) {
    const json_t *list = json_object_get(config, "tasks");
    for (size_t k = 0; k < n->n_tasks; k++) {
        m->answers[k] = list == NULL;
    }
    if (list == NULL) {
        return SPOOR_OK;
    }
    if (!json_is_array(list)) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members: tasks must be a list of names");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t k = 0;
        while (name != NULL && k < n->n_tasks && strcmp(n->tasks[k].name, name) != 0) {
            k++;
        }
        if (name == NULL || k == n->n_tasks || m->answers[k]) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "network.members: tasks names \"%.64s\", which is no task of the model or stands "
                             "there twice",
                             name == NULL ? "" : name);
        }
        m->answers[k] = true;
    }
    return SPOOR_OK;
}

/* "classes": {TASK: n}: a fused member's own number of classes, where that is not the task's. */
static spoor_status configure_classes(const net *n, member *m, const json_t *config, spoor_error *err) {
    const json_t *own = json_object_get(config, "classes");
    size_t named = 0;
    for (size_t k = 0; k < n->n_tasks; k++) {
        const json_t *item = json_object_get(own, n->tasks[k].name);
        m->classes[k] = item == NULL ? n->tasks[k].classes : json_integer_value(item);
        named += item != NULL;
        if (m->classes[k] < 1 || m->classes[k] > NET_MAX_CLASSES || (item != NULL && !m->answers[k])) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "network.members: classes of the task %.64s must be 1 to %d, and the member must "
                             "answer it",
                             n->tasks[k].name, NET_MAX_CLASSES);
        }
    }
    bool good =
        own == NULL || (json_is_object(own) && json_object_size(own) == named && n->fused && n->fusion.logistic);
    return good ? SPOOR_OK
                : error_set(err, SPOOR_ERR_USAGE,
                            "network.members: classes must be numbers for tasks of the model, and goes "
                            "with a logistic fusion");
}

static spoor_status configure_span(const net *n, const json_t *pair, net_span *out, spoor_error *err) {
    const json_t *a = json_array_get(pair, 0), *b = json_array_get(pair, 1);
    *out = (net_span){json_integer_value(a), json_integer_value(b)};
    if (json_array_size(pair) != 2 || !json_is_integer(a) || !json_is_integer(b) || out->first < 0 ||
        out->first >= n->input_dim || out->columns < 1 || out->columns > n->input_dim - out->first) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "network.members: spans must be a list of [first, columns] within the %lld columns "
                         "of the features",
                         (long long)n->input_dim);
    }
    return SPOOR_OK;
}

/* The columns that a member reads: first and columns, or spans. *columns: how many in all. */
static spoor_status configure_columns(const net *n, member *m, const json_t *config, int64_t *columns,
                                      spoor_error *err) {
    const char *w = "network.members";
    const json_t *list = json_object_get(config, "spans");
    m->n_spans = list == NULL ? 1 : json_array_size(list);
    if (list == NULL) {
        TRY(config_int(config, w, "first", 0, 0, n->input_dim - 1, &m->span->first, err));
        TRY(config_int(config, w, "columns", 0, 0, n->input_dim - m->span->first, &m->span->columns, err));
        m->span->columns = m->span->columns == 0 ? n->input_dim - m->span->first : m->span->columns;
        *columns = m->span->columns;
        return SPOOR_OK;
    }
    if (m->n_spans < 1 || m->n_spans > NET_MAX_SPANS || json_object_get(config, "first") != NULL ||
        json_object_get(config, "columns") != NULL) {
        return error_set(err, SPOOR_ERR_USAGE,
                         "network.members: spans must be a list of 1 to %d spans, without first and columns",
                         NET_MAX_SPANS);
    }
    *columns = 0;
    for (size_t i = 0; i < m->n_spans; i++) {
        TRY(configure_span(n, json_array_get(list, i), &m->span[i], err));
        *columns += m->span[i].columns;
    }
    return SPOOR_OK;
}

/* "rows": numbers of parts of the front end. */
static spoor_status configure_rows(member *m, const json_t *config, spoor_error *err) {
    const json_t *list = json_object_get(config, "rows");
    m->parts_given = list != NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t part = json_integer_value(item);
        if (!json_is_integer(item) || part < 0 || part >= FRONTEND_MAX_PARTS) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "network.members: rows must be a list of parts of the front end, counted from 0");
        }
        m->parts |= 1u << part;
    }
    return list == NULL || m->parts != 0
               ? SPOOR_OK
               : error_set(err, SPOOR_ERR_USAGE, "network.members: rows must list at least one part");
}

/* "task_heads" of a member: instead of the network's. */
static spoor_status configure_heads(const net *n, member *m, const json_t *config, spoor_error *err) {
    net_task own[NET_MAX_TASKS];
    m->own_heads = json_object_get(config, "task_heads") != NULL;
    for (size_t k = 0; k < n->n_tasks; k++) {
        own[k] = (net_task){n->tasks[k].name, m->classes[k]};
        m->head_options[k] = n->heads[k];
    }
    return m->own_heads ? head_configure(json_object_get(config, "task_heads"), own, n->n_tasks, m->head_options, err)
                        : SPOOR_OK;
}

spoor_status member_configure(net *n, member *m, const json_t *config, spoor_error *err) {
    int kind;
    int64_t columns = 0;
    const char *w = "network.members";
    if (!json_is_object(config)) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members must be a list of networks");
    }
    TRY(config_choice(config, w, "kind", NET_KINDS, 0, &kind, err));
    if (kind == NET_KIND_ENSEMBLE) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members: an ensemble in an ensemble");
    }
    TRY(member_check_keys(config, w, kind, true, err));
    TRY(configure_columns(n, m, config, &columns, err));
    TRY(configure_rows(m, config, err));
    TRY(config_number(config, w, "weight", 1, 0, 100, &m->weight, err));
    TRY(config_bool(config, w, "embeds", true, &m->embeds, err));
    TRY(configure_tasks(n, m, config, err));
    TRY(configure_classes(n, m, config, err));
    TRY(configure_heads(n, m, config, err));
    return configure(m, config, kind, columns, err);
}

spoor_status member_configure_alone(net *n, const json_t *config, int kind, spoor_error *err) {
    member *m = n->members;
    m->embeds = true;
    m->span[0] = (net_span){0, n->input_dim};
    m->n_spans = 1;
    TRY(configure_tasks(n, m, NULL, err));
    TRY(configure_classes(n, m, NULL, err));
    TRY(configure_heads(n, m, NULL, err));
    return configure(m, config, kind, n->input_dim, err);
}

int64_t member_vector(const member *m) { return m->embedding > 0 ? m->embedding : body_pooled(&m->body); }

int64_t member_embedding(const net *n, const member *m) {
    int64_t ways = 0;
    for (size_t k = 0; k < n->n_tasks; k++) {
        ways += m->answers[k];
    }
    return member_vector(m) * (body_splits(&m->body) ? ways : 1);
}

/* ---- and back ---- */

/* The names of a member's tasks; NULL: out of memory. */
static json_t *describe_tasks(const net *n, const member *m) {
    json_t *list = json_array();
    for (size_t k = 0; list != NULL && k < n->n_tasks; k++) {
        if (m->answers[k] && json_array_append_new(list, json_string(n->tasks[k].name)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

size_t member_answering(const net *n, size_t k, size_t first, size_t count) {
    size_t found = 0;
    for (size_t i = first; i < first + count; i++) {
        found += n->members[i].answers[k];
    }
    return found;
}

bool member_answers_all(const net *n, const member *m) {
    bool all = true;
    for (size_t k = 0; k < n->n_tasks; k++) {
        all &= m->answers[k];
    }
    return all;
}

static bool describe_columns(const member *m, json_t *out) {
    bool good = true;
    if (m->n_spans == 1) {
        good = json_object_set_new(out, "first", json_integer(m->span->first)) == 0 &&
               json_object_set_new(out, "columns", json_integer(m->span->columns)) == 0;
    } else {
        json_t *list = json_array();
        for (size_t i = 0; i < m->n_spans; i++) {
            json_t *pair = json_pack("[I,I]", (json_int_t)m->span[i].first, (json_int_t)m->span[i].columns);
            good = json_array_append_new(list, pair) == 0 && good;
        }
        good = json_object_set_new(out, "spans", list) == 0 && good;
    }
    if (m->parts_given) {
        json_t *list = json_array();
        for (size_t p = 0; p < FRONTEND_MAX_PARTS; p++) {
            good = ((m->parts >> p & 1) == 0 || json_array_append_new(list, json_integer((json_int_t)p)) == 0) && good;
        }
        good = json_object_set_new(out, "rows", list) == 0 && good;
    }
    return good;
}

/* Numbers of classes that are not those of the task. */
static bool describe_classes(const net *n, const member *m, json_t *out) {
    json_t *own = json_object();
    bool good = own != NULL;
    for (size_t k = 0; good && k < n->n_tasks; k++) {
        good = !m->answers[k] || m->classes[k] == n->tasks[k].classes ||
               json_object_set_new(own, n->tasks[k].name, json_integer(m->classes[k])) == 0;
    }
    good = good && (json_object_size(own) == 0 || json_object_set(out, "classes", own) == 0);
    json_decref(own);
    return good;
}

static bool describe_heads(const net *n, const member *m, json_t *out) {
    json_t *heads = NULL;
    bool good = !m->own_heads || head_describe(m->head_options, n->tasks, n->n_tasks, &heads);
    heads = good && m->own_heads && heads == NULL ? json_object() : heads;
    return good && (!m->own_heads || json_object_set_new(out, "task_heads", heads) == 0);
}

json_t *member_describe(const net *n, const member *m) {
    json_t *out = json_object();
    bool good = out != NULL &&
                body_describe(&m->body, out) &&
                (m->logistic <= 0 || json_object_set_new(out, "logistic", json_real(m->logistic)) == 0) &&
                (m->copies == 0 || json_object_set_new(out, "copies", json_integer(m->copies)) == 0) &&
                (!m->gated || json_object_set_new(out, "gate", json_true()) == 0) &&
                (m->crop >= 1 || json_object_set_new(out, "crop", json_real(m->crop)) == 0) &&
                (!m->feature_norm || json_object_set_new(out, "feature_norm", json_true()) == 0) &&
                json_object_set_new(out, "pool_norm", json_boolean(m->pool_norm)) == 0 &&
                (m->mix == 0 || json_object_set_new(out, "mix", json_integer(m->mix)) == 0) &&
                json_object_set_new(out, "embedding", json_integer(m->embedding)) == 0 &&
                json_object_set_new(out, "embedding_dropout", json_real(m->embedding_dropout)) == 0;
    if (n->ensemble) {
        good = good && describe_columns(m, out) && describe_classes(n, m, out) && describe_heads(n, m, out) &&
               json_object_set_new(out, "weight", json_real(m->weight)) == 0 &&
               (m->embeds || json_object_set_new(out, "embeds", json_false()) == 0) &&
               (member_answers_all(n, m) || json_object_set_new(out, "tasks", describe_tasks(n, m)) == 0);
    }
    if (!good) {
        json_decref(out);
        return NULL;
    }
    return out;
}
