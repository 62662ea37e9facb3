#include "cli/fuse.h"
spoor_status fuse_score_files(const fuse_command *o, spoor_context *ctx, spoor_error *err) { (void)o, (void)ctx; return error_set(err, SPOOR_ERR_USAGE, "x"); }
