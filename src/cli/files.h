/* files.h: the list of recordings that a command was given: files, folders (searched for audio, in sorted order), list
 * files and "-". */
#ifndef CLI_FILES_H
#define CLI_FILES_H
#include "base/context.h"

enum { CLI_FILES_MAX_PATH = 65536 /* bytes of a line in a list */ };

typedef struct cli_files {
    spoor_context *ctx;
    char **paths;
    size_t n, capacity;
    bool searched; /* a folder or a list was among what was named */
} cli_files;

void cli_files_init(cli_files *f, spoor_context *ctx);
void cli_files_clear(cli_files *f);
/* Take a path as it is, or every audio file below it if it is a folder. A folder without audio (or that cannot be read)
 * is taken as it is: opening it then says what is wrong. */
spoor_status cli_files_add(cli_files *f, const char *path, spoor_error *err);
/* One path (file or folder) per line; empty lines are skipped; "-" reads standard input. SPOOR_ERR_IO where the list
 * cannot be read, SPOOR_ERR_INPUT with the line for a NUL byte or a line over CLI_FILES_MAX_PATH. */
spoor_status cli_files_add_list(cli_files *f, const char *path, spoor_error *err);
/* Where opening `path` failed because it is a folder: say that it holds no audio (a folder is listed for no other
 * reason). */
void cli_files_explain(const char *path, spoor_error *err);
#endif
