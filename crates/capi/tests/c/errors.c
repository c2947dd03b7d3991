/* Every way to call wrongly that the library can see: `errors INT8 F32 MANY ARTICLE`, models of one u8 input and one i8
 * output with names and labels, of reals, of three outputs, and the article's network. Run under valgrind: nothing may be read
 * or written that is not there.
 */
#include "checks.h"

/* Memory at an address that suits every type, so that one byte further suits none. */
static _Alignas(16) unsigned char memory[64 * 1024];
static PenjingModelStorage model_storage;
static PenjingSessionStorage session_storage;

static void models(const char *path)
{
    PenjingModel *model = (PenjingModel *)memory;
    REFUSED(penjing_model_open(NULL, &model), PENJING_STATUS_NULL_POINTER, "path");
    CHECK(model == NULL);
    REFUSED(penjing_model_open(path, NULL), PENJING_STATUS_NULL_POINTER, "place");
    REFUSED(penjing_model_open("no/such.pnj", &model), PENJING_STATUS_IO, "no/such.pnj: ");
    REFUSED(penjing_model_open("/dev/null", &model), PENJING_STATUS_FORMAT, "/dev/null: ");
    CHECK(model == NULL);

    size_t len;
    unsigned char *bytes = read_whole(path, &len);
    REFUSED(penjing_model_from_bytes(NULL, len, &model), PENJING_STATUS_NULL_POINTER, "bytes");
    REFUSED(penjing_model_from_bytes(bytes, SIZE_MAX, &model), PENJING_STATUS_LENGTH, "model: ");
    REFUSED(penjing_model_from_bytes(bytes, SIZE_MAX / 2 + 1, &model), PENJING_STATUS_LENGTH,
            "model: ");
    REFUSED(penjing_model_from_static(bytes, 0, &model), PENJING_STATUS_FORMAT, "model: ");
    for (size_t cut = 0; cut < len; cut++) {
        /* A copy of its own, so that valgrind sees a byte too far. */
        unsigned char *part = malloc(cut == 0 ? 1 : cut);
        CHECK(part != NULL);
        memcpy(part, bytes, cut);
        CHECK(penjing_model_from_static(part, cut, &model) == PENJING_STATUS_FORMAT);
        CHECK(penjing_model_in_place(&model_storage, part, cut, &model) == PENJING_STATUS_FORMAT);
        free(part);
    }
    bytes[len / 2] ^= 1;
    REFUSED(penjing_model_from_bytes(bytes, len, &model), PENJING_STATUS_FORMAT, "model: ");
    bytes[len / 2] ^= 1;

    REFUSED(penjing_model_in_place(NULL, bytes, len, &model), PENJING_STATUS_NULL_POINTER,
            "storage");
    REFUSED(penjing_model_in_place((PenjingModelStorage *)(void *)(memory + 1), bytes, len, &model),
            PENJING_STATUS_ALIGNMENT, "storage of the model");
    CHECK(model == NULL);
    free(bytes);
    penjing_model_free(NULL);
}

static void questions(const PenjingModel *model)
{
    size_t count = 9;
    REFUSED(penjing_model_input_count(NULL, &count), PENJING_STATUS_NULL_POINTER, "model");
    CHECK(count == 0);
    REFUSED(penjing_model_input_count(model, NULL), PENJING_STATUS_NULL_POINTER, "number");
    CHECK(penjing_model_input_count(model, &count) == PENJING_STATUS_OK && count == 1);
    CHECK(penjing_model_output_count(model, &count) == PENJING_STATUS_OK && count == 1);
    CHECK(penjing_model_label_count(model, &count) == PENJING_STATUS_OK && count == 4);

    PenjingTensorInfo info;
    REFUSED(penjing_model_input_info(model, 0, NULL), PENJING_STATUS_NULL_POINTER, "tensor");
    REFUSED(penjing_model_input_info(NULL, 0, &info), PENJING_STATUS_NULL_POINTER, "model");
    REFUSED(penjing_model_input_info(model, 1, &info), PENJING_STATUS_INDEX,
            "input: expected a number below 1, found 1");
    REFUSED(penjing_model_output_info(model, SIZE_MAX, &info), PENJING_STATUS_INDEX, "output: ");
    CHECK(penjing_model_input_info(model, 0, &info) == PENJING_STATUS_OK);
    CHECK(info.dtype == PENJING_DATA_TYPE_U8 && info.zero_point == 3 && info.rank == 3);
    CHECK(info.scale > 0.0039f && info.scale < 0.0040f);
    CHECK(info.dims[0] == 6 && info.dims[1] == 6 && info.dims[2] == 2 && info.dims[3] == 0);
    CHECK(info.elements == 72 && info.bytes == 72);
    CHECK(penjing_model_output_info(model, 0, &info) == PENJING_STATUS_OK);
    CHECK(info.dtype == PENJING_DATA_TYPE_I8 && info.zero_point == 12 && info.scale == 0.5f);
    CHECK(info.rank == 1 && info.dims[0] == 4 && info.bytes == 4);
}

static void texts(const PenjingModel *model)
{
    char text[6];
    size_t length = 0;
    CHECK(penjing_model_label(model, 0, NULL, 0, &length) == PENJING_STATUS_OK && length == 5);
    CHECK(penjing_model_label(model, 0, text, 6, NULL) == PENJING_STATUS_OK);
    CHECK(strcmp(text, "north") == 0);
    REFUSED(penjing_model_label(model, 0, text, 5, &length), PENJING_STATUS_ROOM,
            "expected room for 6 bytes, found 5");
    CHECK(length == 5 && text[0] == 0);
    CHECK(penjing_model_label(model, 3, text, sizeof text, NULL) == PENJING_STATUS_OK);
    CHECK(strcmp(text, "west") == 0);
    REFUSED(penjing_model_label(model, 4, text, 6, NULL), PENJING_STATUS_INDEX, "below 4");
    REFUSED(penjing_model_label(model, 0, NULL, 6, NULL), PENJING_STATUS_NULL_POINTER, "text");
    REFUSED(penjing_model_label(model, 0, NULL, 0, NULL), PENJING_STATUS_ROOM, "found 0");
    REFUSED(penjing_model_label(model, 0, text, 0, NULL), PENJING_STATUS_ROOM, "found 0");
    CHECK(penjing_model_input_name(model, 0, text, sizeof text, &length) == PENJING_STATUS_OK);
    CHECK(strcmp(text, "image") == 0 && length == 5);
    CHECK(penjing_model_output_name(model, 0, text, 1, &length) == PENJING_STATUS_OK);
    CHECK(text[0] == 0 && length == 0);
    REFUSED(penjing_model_output_name(model, 1, text, 1, &length), PENJING_STATUS_INDEX, "output");
    REFUSED(penjing_model_input_name(NULL, 0, text, 1, &length), PENJING_STATUS_NULL_POINTER,
            "model");
}

/* On the heap or in place, a model of so many bytes to so many; each more than 3. */
static void runs(PenjingSession *session, size_t ins, size_t outs)
{
    unsigned char *input = calloc(ins, 1), *output = malloc(outs + 1), *again = malloc(outs);
    CHECK(input != NULL && output != NULL && again != NULL);
    memset(output, 0x55, outs + 1);
    REFUSED(penjing_session_run(NULL, input, ins, output, outs), PENJING_STATUS_NULL_POINTER,
            "session");
    REFUSED(penjing_session_run(session, NULL, ins, output, outs), PENJING_STATUS_NULL_POINTER,
            "input");
    REFUSED(penjing_session_run(session, input, ins, NULL, outs), PENJING_STATUS_NULL_POINTER,
            "output");
    REFUSED(penjing_session_run(session, input, ins - 1, output, outs), PENJING_STATUS_LENGTH,
            "input 0: expected");
    REFUSED(penjing_session_run(session, input, ins, output, outs - 1), PENJING_STATUS_LENGTH,
            "output 0: expected");
    REFUSED(penjing_session_run(session, input, ins, output, outs + 1), PENJING_STATUS_LENGTH,
            "output 0: expected");
    REFUSED(penjing_session_run(session, input, SIZE_MAX, output, outs), PENJING_STATUS_LENGTH,
            "input 0");
    REFUSED(penjing_session_run(session, input, ins, output, SIZE_MAX), PENJING_STATUS_LENGTH,
            "output 0");
    REFUSED(penjing_session_run(session, input, ins, input + 3, outs), PENJING_STATUS_OVERLAP,
            "output 0 and input 0");
    CHECK(output[0] == 0x55 && output[outs] == 0x55);

    PenjingInput in = {input, ins};
    PenjingOutput out = {output, outs};
    REFUSED(penjing_session_run_many(session, &in, 2, &out, 1), PENJING_STATUS_COUNT,
            "inputs: expected 1, found 2");
    REFUSED(penjing_session_run_many(session, &in, SIZE_MAX, &out, 1), PENJING_STATUS_COUNT,
            "inputs");
    REFUSED(penjing_session_run_many(session, &in, 1, &out, 0), PENJING_STATUS_COUNT, "outputs");
    REFUSED(penjing_session_run_many(session, NULL, 1, &out, 1), PENJING_STATUS_NULL_POINTER,
            "list");
    REFUSED(penjing_session_run_many(session, &in, 1, NULL, 1), PENJING_STATUS_NULL_POINTER,
            "list");
    REFUSED(penjing_session_run_many(NULL, &in, 1, &out, 1), PENJING_STATUS_NULL_POINTER,
            "session");
    CHECK(penjing_session_run_many(session, &in, 1, &out, 1) == PENJING_STATUS_OK);
    CHECK(output[outs] == 0x55);
    CHECK(penjing_session_run(session, input, ins, again, outs) == PENJING_STATUS_OK);
    CHECK(memcmp(again, output, outs) == 0);
    free(input);
    free(output);
    free(again);
}

static void sessions(const PenjingModel *model)
{
    PenjingSession *session = (PenjingSession *)memory;
    REFUSED(penjing_session_new(NULL, NULL, &session), PENJING_STATUS_NULL_POINTER, "model");
    CHECK(session == NULL);
    REFUSED(penjing_session_new(model, NULL, NULL), PENJING_STATUS_NULL_POINTER, "place");
    PenjingSessionOptions options = {1, 100, 0};
    REFUSED(penjing_session_new(model, &options, &session), PENJING_STATUS_MEMORY,
            "at most 100 bytes");
    options.max_bytes = 0;
    options.threads = 2;
    CHECK(penjing_session_new(model, &options, &session) == PENJING_STATUS_OK);
    runs(session, 72, 4);
    unsigned char batch[3 * 72], scores[3 * 4], one[4];
    for (size_t at = 0; at < sizeof batch; at++) {
        batch[at] = (unsigned char)(at * 37);
    }
    CHECK(penjing_session_run(session, batch, sizeof batch, scores, 12) == PENJING_STATUS_OK);
    CHECK(penjing_session_run(session, batch + 72, 72, one, 4) == PENJING_STATUS_OK);
    CHECK(memcmp(one, scores + 4, 4) == 0);
    penjing_session_free(session);
    penjing_session_free(NULL);
}

static void sessions_in_place(const PenjingModel *model)
{
    PenjingSession *session = NULL;
    size_t bytes = 0;
    REFUSED(penjing_model_arena_bytes(NULL, &bytes), PENJING_STATUS_NULL_POINTER, "model");
    REFUSED(penjing_model_arena_bytes(model, NULL), PENJING_STATUS_NULL_POINTER, "number");
    CHECK(penjing_model_arena_bytes(model, &bytes) == PENJING_STATUS_OK);
    CHECK(bytes > 0 && bytes <= sizeof memory);
    PenjingSessionStorage *place = &session_storage, *odd = (void *)(memory + 1);
    REFUSED(penjing_session_in_place(NULL, model, memory, bytes, &session),
            PENJING_STATUS_NULL_POINTER, "storage");
    REFUSED(penjing_session_in_place(odd, model, memory, bytes, &session),
            PENJING_STATUS_ALIGNMENT, "storage of the session");
    REFUSED(penjing_session_in_place(place, NULL, memory, bytes, &session),
            PENJING_STATUS_NULL_POINTER, "model");
    REFUSED(penjing_session_in_place(place, model, NULL, bytes, &session),
            PENJING_STATUS_NULL_POINTER, "arena");
    REFUSED(penjing_session_in_place(place, model, memory, SIZE_MAX, &session),
            PENJING_STATUS_LENGTH, "arena");
    REFUSED(penjing_session_in_place(place, model, memory, bytes, NULL),
            PENJING_STATUS_NULL_POINTER, "place");
    for (size_t less = 1; less <= bytes; less++) {
        CHECK(penjing_session_in_place(place, model, memory, bytes - less, &session) ==
              PENJING_STATUS_MEMORY);
        CHECK(session == NULL);
    }
    /* Exactly as much as is needed, so that valgrind sees a byte too far. */
    unsigned char *arena = malloc(bytes);
    CHECK(arena != NULL);
    CHECK(penjing_session_in_place(place, model, arena, bytes, &session) == PENJING_STATUS_OK);
    PenjingTensorInfo input, output;
    CHECK(penjing_model_input_info(model, 0, &input) == PENJING_STATUS_OK);
    CHECK(penjing_model_output_info(model, 0, &output) == PENJING_STATUS_OK);
    runs(session, input.bytes, output.bytes);
    penjing_session_free(session);
    free(arena);

    /* Buffers that reach into the arena by a byte. */
    arena = memory + sizeof memory / 2;
    CHECK(input.bytes < sizeof memory / 2 && bytes + output.bytes < sizeof memory / 2);
    CHECK(penjing_session_in_place(place, model, arena, bytes, &session) == PENJING_STATUS_OK);
    REFUSED(penjing_session_run(session, memory, input.bytes, arena + bytes - 1, output.bytes),
            PENJING_STATUS_OVERLAP, "output 0 and arena");
    REFUSED(penjing_session_run(session, arena - input.bytes + 1, input.bytes, memory, output.bytes),
            PENJING_STATUS_OVERLAP, "input 0 and arena");
    CHECK(penjing_session_run(session, arena - input.bytes, input.bytes, arena + bytes,
                              output.bytes) == PENJING_STATUS_OK);
    penjing_session_free(session);
}

static void reals(const char *path)
{
    PenjingModel *model = NULL;
    PenjingSession *session = NULL;
    PenjingTensorInfo info;
    CHECK(penjing_model_open(path, &model) == PENJING_STATUS_OK);
    CHECK(penjing_model_input_info(model, 0, &info) == PENJING_STATUS_OK);
    CHECK(info.dtype == PENJING_DATA_TYPE_F32 && info.bytes == 4 * info.elements);
    CHECK(info.scale == 1.0f && info.zero_point == 0);
    CHECK(penjing_session_new(model, NULL, &session) == PENJING_STATUS_OK);
    /* The session owns what it needs. */
    penjing_model_free(model);
    float output[8];
    memset(memory, 0, info.bytes + 8);
    REFUSED(penjing_session_run(session, memory + 1, info.bytes, output, 16),
            PENJING_STATUS_ALIGNMENT, "input 0: expected an address that 4 divides");
    REFUSED(penjing_session_run(session, memory, info.bytes, (char *)output + 2, 16),
            PENJING_STATUS_ALIGNMENT, "output 0");
    REFUSED(penjing_session_run(session, memory, info.bytes - 1, output, 16),
            PENJING_STATUS_LENGTH, "input 0: expected a multiple of 4 bytes");
    CHECK(penjing_session_run(session, memory, info.bytes, output, 16) == PENJING_STATUS_OK);
    penjing_session_free(session);
}

/* A model of 72 bytes to three times 4. */
static void runs_many(PenjingSession *session, unsigned char scores[3][4])
{
    unsigned char input[72] = {1, 2, 3};
    PenjingInput in = {input, sizeof input};
    PenjingOutput out[3] = {{scores[0], 4}, {scores[1], 4}, {scores[2], 4}};
    REFUSED(penjing_session_run(session, input, 72, scores, 4), PENJING_STATUS_COUNT,
            "outputs: expected 3, found 1");
    CHECK(penjing_session_run_many(session, &in, 1, out, 3) == PENJING_STATUS_OK);
    out[2].data = scores[0];
    REFUSED(penjing_session_run_many(session, &in, 1, out, 3), PENJING_STATUS_OVERLAP,
            "output 2 and output 0");
}

static void many(const char *path)
{
    PenjingModel *model = NULL;
    PenjingSession *session = NULL;
    size_t count = 0;
    unsigned char scores[3][4], same[3][4];
    CHECK(penjing_model_open(path, &model) == PENJING_STATUS_OK);
    CHECK(penjing_model_output_count(model, &count) == PENJING_STATUS_OK && count == 3);
    CHECK(penjing_session_new(model, NULL, &session) == PENJING_STATUS_OK);
    runs_many(session, scores);
    penjing_session_free(session);
    CHECK(penjing_session_in_place(&session_storage, model, memory, sizeof memory, &session) ==
          PENJING_STATUS_OK);
    runs_many(session, same);
    CHECK(memcmp(scores, same, sizeof scores) == 0);
    penjing_session_free(session);
    penjing_model_free(model);
}

/* Model and session, each on the heap and in place. */
static void in_place(const char *small, const char *path)
{
    PenjingModel *model = NULL;
    size_t len;
    unsigned char *bytes = read_whole(small, &len);
    CHECK(penjing_model_in_place(&model_storage, bytes, len, &model) == PENJING_STATUS_OK);
    questions(model);
    texts(model);
    sessions(model);
    sessions_in_place(model);
    penjing_model_free(model);
    free(bytes);

    bytes = read_whole(path, &len);
    CHECK(penjing_model_in_place(&model_storage, bytes, len, &model) == PENJING_STATUS_OK);
    sessions_in_place(model);
    penjing_model_free(model);
    free(bytes);
    CHECK(penjing_model_open(path, &model) == PENJING_STATUS_OK);
    sessions_in_place(model);
    penjing_model_free(model);
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    CHECK(strcmp(penjing_error_message(), "") == 0);
    CHECK(strcmp(penjing_status_text(PENJING_STATUS_OK), "success") == 0);
    CHECK(strlen(penjing_status_text(-1)) > 0 && strlen(penjing_status_text(9999)) > 0);
    models(argv[1]);

    PenjingModel *model = NULL;
    CHECK(penjing_model_open(argv[1], &model) == PENJING_STATUS_OK);
    questions(model);
    texts(model);
    sessions(model);
    sessions_in_place(model);
    penjing_model_free(model);

    reals(argv[2]);
    many(argv[3]);
    in_place(argv[1], argv[4]);
    puts("every error was answered");
    return 0;
}
