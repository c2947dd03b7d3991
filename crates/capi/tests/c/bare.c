/* The least of a device, against the library without std and of one model's ops: `bare MODEL IMAGE`, of one u8 input and one i8
 * output, prints the scores. It has no penjing_panic: what is linked cannot panic, or it would not link.
 */
#define PENJING_NO_STD
#include <penjing.h>

#include <stdio.h>

static unsigned char file[64 * 1024], image[784];
static _Alignas(8) unsigned char arena[4 * 1024];
static PenjingModelStorage model_storage;
static PenjingSessionStorage session_storage;

int main(int argc, char **argv)
{
    FILE *streams[2] = {argc == 3 ? fopen(argv[1], "rb") : NULL, argc == 3 ? fopen(argv[2], "rb") : NULL};
    if (streams[0] == NULL || streams[1] == NULL) {
        return 2;
    }
    size_t len = fread(file, 1, sizeof file, streams[0]);
    size_t bytes = fread(image, 1, sizeof image, streams[1]);
    fclose(streams[0]);
    fclose(streams[1]);
    PenjingModel *model = NULL;
    PenjingSession *session = NULL;
    int8_t scores[10];
    PenjingStatus status = penjing_model_in_place(&model_storage, file, len, &model);
    if (status == PENJING_STATUS_OK) {
        status = penjing_session_in_place(&session_storage, model, arena, sizeof arena, &session);
    }
    if (status == PENJING_STATUS_OK) {
        status = penjing_session_run(session, image, bytes, scores, sizeof scores);
    }
    if (status != PENJING_STATUS_OK) {
        fprintf(stderr, "%s\n", penjing_status_text(status));
        return 1;
    }
    for (size_t score = 0; score < sizeof scores; score++) {
        printf(score == 0 ? "%d" : " %d", scores[score]);
    }
    printf("\n");
    penjing_session_free(session);
    penjing_model_free(model);
    return 0;
}
