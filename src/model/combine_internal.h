/* combine_internal.h: the plan of a combined model; see combine.h. */
#ifndef MODEL_COMBINE_INTERNAL_H
#define MODEL_COMBINE_INTERNAL_H
#include "model/combine.h"
#include "weights/safetensors.h"

enum { COMBINE_MAX = NET_MAX_MEMBERS, COMBINE_PREFIX = 32 };

typedef struct combine_part { /* of the joined front end */
    json_t *config;
    size_t owner;                /* the input that its weights come from */
    char prefix[COMBINE_PREFIX]; /* of their names there: "frontend." or "frontend.2." */
    size_t first, columns;       /* in the new features */
} combine_part;

typedef struct combine_source {
    const combine_input *in;
    spoor_model *model;
    safetensors *file;
    json_t *frontend;                 /* its description */
    bool keeps[NET_MAX_TASKS];        /* its tasks that it answers */
    bool embeds;
    size_t part[FRONTEND_MAX_PARTS];  /* its parts among the new ones */
    size_t n_parts;
    json_t *network;                  /* its resolved configuration */
    size_t n_members;
    int64_t place[NET_MAX_MEMBERS];   /* its members among the new ones; -1: left out */
    int64_t kept;                     /* how many are not */
    int32_t *order[NET_MAX_TASKS];    /* its class for each class of the new task; NULL: as they are */
} combine_source;

typedef struct combine_task {
    size_t owner, index;  /* the first input that answers it, and its number there */
    const char **classes; /* borrowed from the models */
    size_t n_classes, capacity;
} combine_task;

typedef struct combine_plan {
    spoor_context *ctx;
    const combine_options *options;
    combine_source source[COMBINE_MAX];
    size_t n;
    combine_part part[FRONTEND_MAX_PARTS];
    size_t n_parts, dim;
    bool same;   /* all inputs have this front end: it stays as it is */
    combine_task task[NET_MAX_TASKS];
    size_t n_tasks;
    size_t known; /* the input that gives the known score; SIZE_MAX: none */
    json_t *members, *meta;
    safetensors_writer *writer;
    net *net; /* of the new configuration, for the shapes of what is new */
} combine_plan;

/* Fill in part, source[].part, same, dim. */
spoor_status combine_parts(combine_plan *p, spoor_error *err);
/* The joined front end's configuration; a new reference. NULL: out of memory. */
json_t *combine_frontend(const combine_plan *p);
/* Set the keys of a member of input s, whose own are in `member`, that say which columns and rows of the new features
 * it reads. */
spoor_status combine_columns(const combine_plan *p, size_t s, json_t *member, spoor_error *err);
/* The name that a tensor of a front end of input s has in the new file, "" if it is not there. */
void combine_part_name(const combine_plan *p, size_t s, const char *name, char *out, size_t size);
/* Fill in meta (front end, network, tasks, what carries over) and net. */
spoor_status combine_describe(combine_plan *p, spoor_error *err);
/* Write meta and all tensors. */
spoor_status combine_write(combine_plan *p, const char *path, spoor_error *err);
#endif
