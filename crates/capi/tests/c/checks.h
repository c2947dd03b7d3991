/* What the C tests share: a check that names its line, and files read whole. */
#include <penjing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
            fprintf(stderr, "last message: %s\n", penjing_error_message());       \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

/* The status, and a message that says why. */
#define REFUSED(call, status, words)                                              \
    do {                                                                          \
        CHECK((call) == (status));                                                \
        CHECK(strstr(penjing_error_message(), words) != NULL);                    \
    } while (0)

static inline unsigned char *read_whole(const char *path, size_t *len)
{
    FILE *stream = fopen(path, "rb");
    CHECK(stream != NULL);
    CHECK(fseek(stream, 0, SEEK_END) == 0);
    *len = (size_t)ftell(stream);
    CHECK(fseek(stream, 0, SEEK_SET) == 0);
    unsigned char *bytes = malloc(*len);
    CHECK(bytes != NULL);
    CHECK(fread(bytes, 1, *len, stream) == *len);
    fclose(stream);
    return bytes;
}
