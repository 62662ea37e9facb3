/* find.h: the recordings below a folder, by the endings of their names. */
#ifndef AUDIO_FIND_H
#define AUDIO_FIND_H
#include "base/context.h"

/* Does the name end like that of a sound file (.wav, .flac, .ogg, .opus, .mp3, ...)? */
bool audio_is_named(const char *name);
/* Calls take for every audio file below the folder, sorted by name in each folder; the path begins with `folder`. Also
 * taken: links to files (dead ones too) and folders that cannot be read, so that opening them says so. Links to folders
 * are not followed: they could lead in circles or to the same file twice. SPOOR_ERR_IO, or what take returns. */
spoor_status audio_find(spoor_context *ctx, const char *folder,
                        spoor_status (*take)(void *user, const char *path, spoor_error *err), void *user,
                        spoor_error *err);
#endif
