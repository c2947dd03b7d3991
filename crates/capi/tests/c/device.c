/* What a device does, against the library without std and of one model's ops: `device MODEL IMAGES OTHER`, a model of one u8
 * input and one i8 output. Prints the scores of each image. OTHER is a model of other ops. */
#define PENJING_NO_STD
#include <penjing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

/* What the library asks of a program that can reach a panic of it. */
void penjing_panic(void)
{
    fputs("the library panicked\n", stderr);
    abort();
}

static unsigned char file[64 * 1024], images[16 * 1024];
static _Alignas(8) unsigned char arena[16 * 1024];
static PenjingModelStorage model_storage;
static PenjingSessionStorage session_storage;

static size_t read_into(const char *path, unsigned char *room, size_t size)
{
    FILE *stream = fopen(path, "rb");
    CHECK(stream != NULL);
    size_t len = fread(room, 1, size, stream);
    CHECK(len > 0 && len < size);
    fclose(stream);
    return len;
}

/* Whoever damages a file is found out by its hash. */
static void damaged(size_t len)
{
    PenjingModel *model = NULL;
    for (size_t at = 0; at < len; at += 97) {
        file[at] ^= 0x10;
        CHECK(penjing_model_in_place(&model_storage, file, len, &model) == PENJING_STATUS_FORMAT);
        CHECK(model == NULL);
        file[at] ^= 0x10;
        CHECK(penjing_model_in_place(&model_storage, file, at, &model) == PENJING_STATUS_FORMAT);
    }
}

static PenjingModel *open(size_t len)
{
    PenjingModel *model = NULL;
    PenjingModelStorage *odd = (PenjingModelStorage *)(void *)(arena + 1);
    CHECK(penjing_model_in_place(NULL, file, len, &model) == PENJING_STATUS_NULL_POINTER);
    CHECK(penjing_model_in_place(odd, file, len, &model) == PENJING_STATUS_ALIGNMENT);
    CHECK(penjing_model_in_place(&model_storage, file, SIZE_MAX, &model) == PENJING_STATUS_LENGTH);
    CHECK(penjing_model_in_place(&model_storage, file, len, &model) == PENJING_STATUS_OK);
    size_t count = 0;
    CHECK(penjing_model_input_count(model, &count) == PENJING_STATUS_OK && count == 1);
    CHECK(penjing_model_output_count(model, &count) == PENJING_STATUS_OK && count == 1);
    return model;
}

/* In an arena that is exactly as large as it must be. */
static PenjingSession *plan(PenjingModel *model)
{
    size_t bytes = 0;
    PenjingSession *session = NULL;
    CHECK(penjing_model_arena_bytes(model, &bytes) == PENJING_STATUS_OK);
    CHECK(bytes > 0 && bytes < sizeof arena);
    for (size_t less = 1; less <= bytes; less++) {
        CHECK(penjing_session_in_place(&session_storage, model, arena, bytes - less, &session) ==
              PENJING_STATUS_MEMORY);
    }
    CHECK(penjing_session_in_place(&session_storage, model, NULL, bytes, &session) ==
          PENJING_STATUS_NULL_POINTER);
    CHECK(penjing_session_in_place(&session_storage, model, arena, bytes, &session) ==
          PENJING_STATUS_OK);
    return session;
}

/* A model of ops that the library was not built for. */
static void other(const char *path)
{
    size_t len = read_into(path, file, sizeof file);
    PenjingModel *model = NULL;
    PenjingSession *session = NULL;
    CHECK(penjing_model_in_place(&model_storage, file, len, &model) == PENJING_STATUS_OK);
    CHECK(penjing_session_in_place(&session_storage, model, arena, sizeof arena, &session) ==
          PENJING_STATUS_UNSUPPORTED);
    CHECK(session == NULL);
    penjing_model_free(model);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    size_t len = read_into(argv[1], file, sizeof file);
    size_t bytes = read_into(argv[2], images, sizeof images);
    damaged(len);
    PenjingModel *model = open(len);
    PenjingSession *session = plan(model);
    PenjingTensorInfo input, output;
    CHECK(penjing_model_input_info(model, 0, &input) == PENJING_STATUS_OK);
    CHECK(penjing_model_output_info(model, 0, &output) == PENJING_STATUS_OK);
    CHECK(input.dtype == PENJING_DATA_TYPE_U8 && output.dtype == PENJING_DATA_TYPE_I8);
    int8_t scores[64];
    CHECK(output.bytes <= sizeof scores && bytes % input.bytes == 0);
    CHECK(penjing_session_run(session, images, input.bytes, images + 1, output.bytes) ==
          PENJING_STATUS_OVERLAP);
    CHECK(penjing_session_run(session, images, input.bytes - 1, scores, output.bytes) ==
          PENJING_STATUS_LENGTH);
    for (size_t at = 0; at < bytes; at += input.bytes) {
        CHECK(penjing_session_run(session, images + at, input.bytes, scores, output.bytes) ==
              PENJING_STATUS_OK);
        for (size_t score = 0; score < output.elements; score++) {
            printf(score == 0 ? "%d" : " %d", scores[score]);
        }
        printf("\n");
    }
    penjing_session_free(session);
    penjing_model_free(model);
    other(argv[3]);
    return 0;
}
