/* test_joint.c: the joint head (net/joint.h) and its loss against PyTorch on committed vectors (tests/torch/make_joint.py): codecs'
 * and attributes' logits, the loss of known, partly known and mixed clips, all gradients; what it refuses; failing allocations. */
#include "support/vectors.h"
#include "train/losses_joint.h"

enum { SOURCE, VQ, DEC, TASKS, PLAIN = 7, MIXED = 3, CLASSES = 6 };
static const char *const names[TASKS] = {"source", "vq", "dec"};
static const char CONFIG[] = "{\"kind\": \"joint\", \"human\": 0, \"parents\": {\"vq\": [0, 1, 2, 1, 3, -2], \"dec\": [0, 1, 2, 2, -1, -2]}}";

#define TOLERANCE 1e-5

typedef struct fixture {
    vectors v;
    net_joint *joint;
} fixture;

static net_joint *make(spoor_context *ctx, const char *config, const bool *answers, const char *refused) {
    const net_task tasks[TASKS] = {{(char *)(uintptr_t)names[0], CLASSES}, {(char *)(uintptr_t)names[1], 4}, {(char *)(uintptr_t)names[2], 3}};
    json_t *json = json_loads(config, 0, NULL);
    spoor_error err = {0};
    net_joint *j;
    assert_non_null(json);
    spoor_status status = joint_new(ctx, json, SOURCE, tasks, answers, TASKS, &j, &err);
    json_decref(json);
    if (refused != NULL) {
        assert_int_equal(status, SPOOR_ERR_USAGE);
        assert_null(j);
        if (strstr(err.message, refused) == NULL) {
            fail_msg("\"%s\" says: %s", config, err.message);
        }
    } else {
        support_ok(status, &err);
    }
    return j;
}

static int set_up(void **state) {
    static const bool all[TASKS] = {true, true, true};
    fixture *f = calloc(1, sizeof *f);
    vectors_open(&f->v, "tests/torch/joint.safetensors", 1);
    f->joint = make(f->v.ctx, CONFIG, all, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    joint_free(f->joint);
    vectors_close(&f->v);
    free(f);
    return 0;
}

/* The head of the committed embeddings: leaves the layers' parameters in w and b. */
static void forward(fixture *f, tensor **e, tensor **w, tensor **b, tensor **logits, tensor **evidence) {
    *e = vectors_input(&f->v, "e", "");
    for (int k = 0; k < TASKS; k++) {
        w[k] = vectors_input(&f->v, names[k], ".weight");
        b[k] = vectors_input(&f->v, names[k], ".bias");
        logits[k] = op_linear(f->v.tape, *e, w[k], b[k], OP_ACT_NONE);
        evidence[k] = NULL;
    }
    joint_forward(f->joint, f->v.tape, logits, evidence);
}

static void outputs(void **state) {
    fixture *f = *state;
    tensor *e, *w[TASKS], *b[TASKS], *logits[TASKS], *evidence[TASKS];
    tape_begin(f->v.tape, false, false, 0);
    forward(f, &e, w, b, logits, evidence);
    assert_non_null(logits[DEC]);
    vectors_same(&f->v, "z", "", logits[SOURCE]->data, 0, TOLERANCE);
    assert_null(evidence[SOURCE]);
    for (int k = VQ; k < TASKS; k++) {
        vectors_same(&f->v, "evidence.", names[k], evidence[k]->data, 0, TOLERANCE);
        tensor *p = op_softmax(f->v.tape, logits[k]);
        vectors_same(&f->v, "marginal.", names[k], p->data, 0, TOLERANCE);
    }
}

static tensor *slice(tape *t, tensor *x, int64_t start, int64_t n) {
    tensor *y = op_slice_frames(t, op_reshape(t, x, 3, (int64_t[]){1, x->dim[0], x->dim[1]}), start, n);
    return op_reshape(t, y, 2, (int64_t[]){n, x->dim[1]});
}

static void loss_and_gradients(void **state) {
    fixture *f = *state;
    spoor_error err = {0};
    tensor *e, *w[TASKS], *b[TASKS], *logits[TASKS], *evidence[TASKS];
    int64_t target[TASKS][PLAIN + MIXED], partner[TASKS][MIXED];
    float weight[CLASSES], lambda[MIXED];
    losses_task tasks[TASKS] = {0};
    const int64_t *partners[TASKS];
    for (int k = 0; k < TASKS; k++) {
        memcpy(target[k], vectors_need(&f->v, "target.", names[k])->data, sizeof target[k]);
        memcpy(partner[k], vectors_need(&f->v, "partner.", names[k])->data, sizeof partner[k]);
        tasks[k].target = target[k];
        partners[k] = partner[k];
    }
    safetensors_to_f32(vectors_need(&f->v, "weight", ""), weight);
    safetensors_to_f32(vectors_need(&f->v, "lambda", ""), lambda);
    tasks[SOURCE].class_weight = weight;
    losses_options o = {.plain = PLAIN, .mixed = MIXED, .task = tasks, .partner = partners, .lambda = lambda,
                        .plain_weight = 0.6f, .mixed_weight = 0.4f};
    tape_begin(f->v.tape, true, true, 1);
    forward(f, &e, w, b, logits, evidence);
    tensor *z = logits[SOURCE];
    tensor *loss = losses_joint(f->v.tape, &o, f->joint, slice(f->v.tape, z, 0, PLAIN), slice(f->v.tape, z, PLAIN, MIXED));
    support_ok(tape_backward(f->v.tape, loss, &err), &err);
    vectors_same(&f->v, "loss", "", loss->data, 0, TOLERANCE);
    vectors_same(&f->v, "grad.", "e", e->grad, 0, TOLERANCE);
    for (int k = 0; k < TASKS; k++) {
        char name[40];
        snprintf(name, sizeof name, "grad.%s", names[k]);
        vectors_same(&f->v, name, ".weight", w[k]->grad, 0, TOLERANCE);
        vectors_same(&f->v, name, ".bias", b[k]->grad, 0, TOLERANCE);
    }
}

/* Two codecs and human speech with the probabilities 0.5, 0.2 and 0.3, of MVQ, of a quantiser that is not known, and of none. Of two
 * values that are no human speech's the second codec has each by half: MVQ has 0.5 + 0.1, SVQ 0.1. */
static void by_hand(void **state) {
    fixture *f = *state;
    spoor_error err = {0};
    const net_task tasks[2] = {{(char *)(uintptr_t)"codec", 3}, {(char *)(uintptr_t)"vq", 3}};
    json_t *json = json_loads("{\"human\": 2, \"parents\": {\"vq\": [1, -1, 0]}}", 0, NULL);
    net_joint *j;
    support_ok(joint_new(f->v.ctx, json, 0, tasks, (bool[]){true, true}, 2, &j, &err), &err);
    json_decref(json);
    float own[3] = {logf(0.5f), logf(0.2f) + 2, logf(0.3f)}, vq[3] = {1, 2, 40};
    own[0] += 2 - vq[1]; /* the values' logits are added: any share of the sum can stand on either side */
    own[2] += 2 - vq[0];
    tape_begin(f->v.tape, false, false, 0);
    tensor *logits[2] = {tape_view(f->v.tape, 2, (int64_t[]){1, 3}, own), tape_view(f->v.tape, 2, (int64_t[]){1, 3}, vq)}, *evidence[2] = {0};
    joint_forward(j, f->v.tape, logits, evidence);
    tensor *p = op_softmax(f->v.tape, logits[0]), *m = op_softmax(f->v.tape, logits[1]);
    const double codec[3] = {0.5, 0.2, 0.3}, value[3] = {0.3, 0.6, 0.1};
    for (int i = 0; i < 3; i++) {
        support_close((double)p->data[i], codec[i], 1e-6, "P(codec)");
        support_close((double)m->data[i], value[i], 1e-6, "P(value)");
    }
    /* a clip of which MVQ alone is known: -ln(0.5 + 0.2 / 2); beside it one of the second codec: -ln 0.2 */
    int64_t codecs[2] = {-1, 1}, values[2] = {1, -1};
    losses_task k[2] = {{.target = codecs}, {.target = values}};
    losses_options o = {.plain = 2, .task = k, .plain_weight = 1};
    tensor *both[2] = {logits[0], logits[0]}, *loss = losses_joint(f->v.tape, &o, j, op_concat(f->v.tape, both, 2, 0), NULL);
    support_close((double)loss->data[0], (-log(0.6) - log(0.2)) / 2, 1e-5, "loss");
    joint_free(j);
}

static void refused(void **state) {
    fixture *f = *state;
    static const bool all[TASKS] = {true, true, true}, some[TASKS] = {true, true, false};
    static const struct {
        const char *config, *says;
        bool some;
    } cases[] = {{"{\"parents\": {}}", "needs parents", false},
                 {"{\"parents\": {\"aux\": [0, 0, 0, 0, 0, 0]}}", "no other task", false},
                 {"{\"parents\": {\"source\": [0, 0, 0, 0, 0, 0]}}", "no other task", false},
                 {"{\"parents\": {\"dec\": [0, 1, 2, 2, -1, -2]}}", "no other task", true},
                 {"{\"parents\": {\"vq\": [0, 1]}}", "value for each class", false},
                 {"{\"parents\": {\"vq\": [0, 1, 2, 1, 4, -2]}}", "class of its own", false},
                 {"{\"parents\": {\"vq\": [0, 1, 2, 1, -3, -2]}}", "class of its own", false},
                 {"{\"parents\": {\"vq\": [0, 1, 2, 1, \"x\", -2]}}", "class of its own", false},
                 {"{\"human\": 6, \"parents\": {\"vq\": [0, 1, 2, 1, 3, -2]}}", "number of a class", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)make(f->v.ctx, cases[i].config, cases[i].some ? some : all, cases[i].says);
    }
}

/* One parent of that size passes, two do not: a short list in a file must not ask for gigabytes. */
static void sizes_of_all_parents_together(void **state) {
    fixture *f = *state;
    enum { MANY = 2048, VALUES = 1500 };
    static const bool all[3] = {true, true, true};
    const net_task tasks[3] = {{(char *)(uintptr_t)names[0], MANY}, {(char *)(uintptr_t)names[1], VALUES}, {(char *)(uintptr_t)names[2], VALUES}};
    for (int parents = 1; parents <= 2; parents++) {
        json_t *config = json_pack("{s:{}}", "parents");
        for (int k = 1; k <= parents; k++) {
            json_t *list = json_array();
            for (int i = 0; i < MANY; i++) {
                json_array_append_new(list, json_integer(0));
            }
            json_object_set_new(json_object_get(config, "parents"), names[k], list);
        }
        spoor_error err = {0};
        net_joint *j;
        spoor_status status = joint_new(f->v.ctx, config, 0, tasks, all, 3, &j, &err);
        assert_int_equal(status, parents == 1 ? SPOOR_OK : SPOOR_ERR_USAGE);
        assert_true(parents == 1 || strstr(err.message, "too many classes") != NULL);
        joint_free(j);
        json_decref(config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outputs, set_up, tear_down), cmocka_unit_test_setup_teardown(loss_and_gradients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_hand, set_up, tear_down), cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_of_all_parents_together, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
