/* cli.h: the commands of `spoor`. Each gets argv with argv[0] = the command's name and returns an exit code
 * (spoor_status). */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "spoor/spoor.h"
int cli_trace(int argc, char **argv);
int cli_train(int argc, char **argv);
int cli_eval(int argc, char **argv);
int cli_enroll(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_embed(int argc, char **argv);
int cli_table(int argc, char **argv);
int cli_openset(int argc, char **argv);
int cli_frechet(int argc, char **argv);
int cli_fuse(int argc, char **argv);
int cli_extract(int argc, char **argv);
int cli_calibrate(int argc, char **argv);
int cli_convert(int argc, char **argv);
int cli_data(int argc, char **argv);
int cli_taxonomy(int argc, char **argv);
int cli_inspect(int argc, char **argv);
#endif
