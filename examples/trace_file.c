/* trace_file.c: trace one recording. Build: cc trace_file.c $(pkg-config --cflags --libs spoor) */
#include <spoor/spoor.h>
#include <stdio.h>

int main(int argc, char **argv) {
    spoor_error err = {0};
    spoor_context *ctx = NULL;
    spoor_model *model = NULL;
    spoor_session *session = NULL;
    spoor_audio *audio = NULL;
    spoor_result *result = NULL;
    const char *file = argc > 1 ? argv[1] : "-", *weights = argc > 2 ? argv[2] : NULL;
    if (spoor_context_new(NULL, &ctx, &err) || spoor_model_open(ctx, weights, &model, &err) ||
        spoor_session_new(model, &session, &err) || spoor_audio_open(ctx, file, NULL, &audio, &err) ||
        spoor_trace(session, audio, NULL, &result, &err))
        fprintf(stderr, "%s\n", err.message);
    else
        puts(spoor_result_json(result));
    spoor_result_free(result);
    spoor_audio_free(audio);
    spoor_session_free(session);
    spoor_model_free(model);
    spoor_context_free(ctx);
    return (int)err.status;
}
