/* One model that several threads read, each with a session and messages of its own: `threads MODEL`, a model of one u8 input and
 * one i8 output. */
#include "checks.h"

#include <pthread.h>

enum { THREADS = 4, RUNS = 20, MOST = 1024 };

typedef struct {
    const PenjingModel *model;
    unsigned char scores[MOST];
    size_t number;
} Job;

static void *work(void *argument)
{
    Job *job = argument;
    PenjingTensorInfo input, output;
    PenjingSession *session = NULL;
    CHECK(strcmp(penjing_error_message(), "") == 0);
    CHECK(penjing_model_input_info(job->model, 0, &input) == PENJING_STATUS_OK);
    CHECK(penjing_model_output_info(job->model, 0, &output) == PENJING_STATUS_OK);
    CHECK(output.bytes <= MOST);
    CHECK(penjing_session_new(job->model, NULL, &session) == PENJING_STATUS_OK);
    unsigned char *image = calloc(input.bytes, 1);
    CHECK(image != NULL);
    char expected[32];
    snprintf(expected, sizeof expected, "found %zu", 1000 + job->number);
    for (int run = 0; run < RUNS; run++) {
        CHECK(penjing_session_run(session, image, input.bytes, job->scores, output.bytes) ==
              PENJING_STATUS_OK);
        REFUSED(penjing_model_input_info(job->model, 1000 + job->number, &input),
                PENJING_STATUS_INDEX, expected);
    }
    free(image);
    penjing_session_free(session);
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    PenjingModel *model = NULL;
    CHECK(penjing_model_open(argv[1], &model) == PENJING_STATUS_OK);
    static Job jobs[THREADS];
    pthread_t threads[THREADS];
    for (size_t at = 0; at < THREADS; at++) {
        jobs[at].model = model;
        jobs[at].number = at;
        CHECK(pthread_create(&threads[at], NULL, work, &jobs[at]) == 0);
    }
    for (size_t at = 0; at < THREADS; at++) {
        CHECK(pthread_join(threads[at], NULL) == 0);
        CHECK(memcmp(jobs[at].scores, jobs[0].scores, MOST) == 0);
    }
    penjing_model_free(model);
    puts("the threads agree");
    return 0;
}
