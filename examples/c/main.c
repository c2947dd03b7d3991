/* Classifies raw images with a Penjing model: `classify heap|in-place MODEL.pnj IMAGES`.
 *
 * IMAGES holds images one after the other, as the model's input lies in memory, or is an IDX file of bytes (MNIST's, unzipped).
 * `heap` opens the file and plans a session on the heap. `in-place` is what a device does: the model lies in memory, and
 * model, session and all that they compute lie in the static storage below; the library allocates nothing. It is not a lesson in
 * reading files.
 */
#include <penjing.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a network in place computes; penjing_model_arena_bytes tells how much a model needs. */
static _Alignas(8) unsigned char arena[16 * 1024];
static PenjingModelStorage model_storage;
static PenjingSessionStorage session_storage;

/* What is read of a file. */
typedef struct {
    unsigned char *bytes;
    size_t len;
} File;

/* Prints what went wrong, if anything did. */
static bool ok(PenjingStatus status, const char *what)
{
    if (status == PENJING_STATUS_OK) {
        return true;
    }
    fprintf(stderr, "%s: %s (%s)\n", what, penjing_error_message(), penjing_status_text(status));
    return false;
}

static bool read_file(const char *path, File *file)
{
    FILE *stream = fopen(path, "rb");
    long len = -1;
    if (stream != NULL && fseek(stream, 0, SEEK_END) == 0) {
        len = ftell(stream);
    }
    if (len > 0 && fseek(stream, 0, SEEK_SET) == 0) {
        file->len = (size_t)len;
        file->bytes = malloc(file->len);
    }
    bool whole = file->bytes != NULL && fread(file->bytes, 1, file->len, stream) == file->len;
    if (stream != NULL) {
        fclose(stream);
    }
    if (!whole) {
        fprintf(stderr, "%s: cannot be read, or is empty\n", path);
    }
    return whole;
}

/* How many bytes come before the images: an IDX file says 0, 0, its type (8: bytes), how many dimensions, and each as 4 bytes. */
static size_t images_start(const File *file)
{
    if (file->len >= 4 && file->bytes[0] == 0 && file->bytes[1] == 0 && file->bytes[2] == 8) {
        size_t start = 4 + 4 * (size_t)file->bytes[3];
        return start < file->len ? start : file->len;
    }
    return 0;
}

static double element(const PenjingTensorInfo *info, const void *elements, size_t index)
{
    switch (info->dtype) {
    case PENJING_DATA_TYPE_F32:
        return ((const float *)elements)[index];
    case PENJING_DATA_TYPE_I8:
        return ((const int8_t *)elements)[index];
    default:
        return ((const uint8_t *)elements)[index];
    }
}

static void print_answer(const PenjingModel *model, const PenjingTensorInfo *info, size_t image,
                         const void *scores)
{
    size_t best = 0;
    for (size_t at = 1; at < info->elements; at++) {
        if (element(info, scores, at) > element(info, scores, best)) {
            best = at;
        }
    }
    char label[64];
    if (penjing_model_label(model, best, label, sizeof label, NULL) != PENJING_STATUS_OK) {
        snprintf(label, sizeof label, "class %zu", best);
    }
    printf("%zu: %s, scores", image, label);
    for (size_t at = 0; at < info->elements; at++) {
        printf(" %.9g", element(info, scores, at));
    }
    printf("\n");
}

/* Runs image by image; a session on the heap could take them all in one call. */
static bool classify(const PenjingModel *model, PenjingSession *session, const File *images)
{
    PenjingTensorInfo input, output;
    if (!ok(penjing_model_input_info(model, 0, &input), "input") ||
        !ok(penjing_model_output_info(model, 0, &output), "output")) {
        return false;
    }
    /* Of their own, since malloc's address suits every type, and an image within a file has any address. */
    void *image = malloc(input.bytes);
    void *scores = malloc(output.bytes);
    bool fine = image != NULL && scores != NULL;
    size_t at = images_start(images);
    for (size_t number = 0; fine && images->len - at >= input.bytes; number++, at += input.bytes) {
        memcpy(image, images->bytes + at, input.bytes);
        fine = ok(penjing_session_run(session, image, input.bytes, scores, output.bytes), "run");
        if (fine) {
            print_answer(model, &output, number, scores);
        }
    }
    free(image);
    free(scores);
    return fine;
}

/* Model and session on the heap. */
static bool on_the_heap(const char *path, const File *images)
{
    PenjingModel *model = NULL;
    PenjingSession *session = NULL;
    bool fine = ok(penjing_model_open(path, &model), "model") &&
                ok(penjing_session_new(model, NULL, &session), "session") &&
                classify(model, session, images);
    penjing_session_free(session);
    penjing_model_free(model);
    return fine;
}

/* Model and session in static storage. On a device, `file` would be an array of the program. */
static bool in_place(const File *file, const File *images)
{
    PenjingModel *model = NULL;
    PenjingSession *session = NULL;
    size_t needed = 0;
    bool fine =
        ok(penjing_model_in_place(&model_storage, file->bytes, file->len, &model), "model") &&
        ok(penjing_model_arena_bytes(model, &needed), "arena");
    if (fine) {
        fprintf(stderr, "arena: %zu of %zu bytes\n", needed, sizeof arena);
    }
    fine = fine &&
           ok(penjing_session_in_place(&session_storage, model, arena, sizeof arena, &session),
              "session") &&
           classify(model, session, images);
    penjing_session_free(session);
    penjing_model_free(model);
    return fine;
}

int main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[1], "heap") != 0 && strcmp(argv[1], "in-place") != 0)) {
        fprintf(stderr, "usage: classify heap|in-place MODEL.pnj IMAGES\npenjing %s\n",
                penjing_version());
        return 2;
    }
    File model = {NULL, 0}, images = {NULL, 0};
    bool fine = read_file(argv[3], &images);
    if (strcmp(argv[1], "heap") == 0) {
        fine = fine && on_the_heap(argv[2], &images);
    } else {
        fine = fine && read_file(argv[2], &model) && in_place(&model, &images);
    }
    free(model.bytes);
    free(images.bytes);
    return fine ? 0 : 1;
}
