/* bind.c: which parts of the front end the members of a network read; see net.h. */
#include "net/net_internal.h"

static bool reads(const member *m, int64_t first, int64_t columns) {
    for (size_t i = 0; i < m->n_spans; i++) {
        if (m->span[i].first < first + columns && first < m->span[i].first + m->span[i].columns) {
            return true;
        }
    }
    return false;
}

bool net_trains_on(const net *n, int64_t first, int64_t columns) {
    for (size_t i = 0; i < n->n_members; i++) {
        if (n->members[i].logistic <= 0 && reads(&n->members[i], first, columns)) {
            return true;
        }
    }
    return false;
}

/* The parts whose columns a member reads, or that it names; they must come at about the same rate. */
static spoor_status bind_member(const net *n, size_t index, const frontend *fe, const int64_t *rate, spoor_error *err) {
    member *m = &n->members[index];
    uint32_t read = 0;
    size_t n_parts = frontend_parts(fe), one = SIZE_MAX;
    for (size_t p = 0; p < n_parts; p++) {
        size_t first, columns;
        frontend_part_columns(fe, p, &first, &columns);
        read |= (uint32_t)reads(m, (int64_t)first, (int64_t)columns) << p;
    }
    m->parts = m->parts_given ? m->parts : read;
    if (m->parts >> n_parts != 0) {
        return error_set(err, SPOOR_ERR_USAGE, "network.members: rows of member %zu names a part that the front end "
                                               "does not have",
                         index + 1);
    }
    for (size_t p = 0; p < n_parts; p++) {
        if (((m->parts | read) >> p & 1) == 0) {
            continue;
        }
        one = one == SIZE_MAX ? p : one;
        double a = (double)rate[one], b = (double)rate[p];
        if (b > 1.04 * a + 4 || a > 1.04 * b + 4) {
            return error_set(err, SPOOR_ERR_USAGE,
                             "network: member %zu reads the parts %zu and %zu of the front end, "
                             "which have %.0f and %.0f rows a second; give each a member of its own",
                             index + 1, one + 1, p + 1, a / 100, b / 100);
        }
    }
    return SPOOR_OK;
}

spoor_status net_bind(net *n, const frontend *fe, spoor_error *err) {
    int64_t rate[FRONTEND_MAX_PARTS];
    frontend_part_rows(fe, 100 * FRONTEND_RATE, rate);
    for (size_t i = 0; i < n->n_members; i++) {
        TRY(bind_member(n, i, fe, rate, err));
    }
    return SPOOR_OK;
}
