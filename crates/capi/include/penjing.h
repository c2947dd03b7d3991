/* The runtime of Penjing for C and C++: opens a model file (.pnj) and runs it. docs/c.md tells how to build and link it.
 *
 * Made by cbindgen from crates/capi; do not edit. `cargo xtask codegen` writes it.
 *
 * Every function but those that free and those that return text answers a PenjingStatus; 0 is success. Null pointers, wrong
 * lengths, misaligned and overlapping buffers are answered, not followed. What cannot be seen from inside is the caller's word:
 * that a pointer which is not null points to what its type says, to as many bytes as are stated, and to nothing that was
 * freed.
 *
 * Ownership, threads and errors are told at each function. In short: what penjing_model_open, penjing_model_from_* and
 * penjing_session_new yield is freed by penjing_model_free and penjing_session_free; what is made in place lies in storage of
 * the caller and is ended by the same functions; nothing else is handed over. A model may be read by many threads at once, a
 * session used by one at a time.
 *
 * A program for a library without std (bare metal) defines PENJING_NO_STD before it includes this file.
 */

#ifndef PENJING_H
#define PENJING_H

#include <stddef.h>
#include <stdint.h>

#if !defined(PENJING_NO_STD)
#define PENJING_STD
#endif


// Words of a PenjingModelStorage.
#define PENJING_MODEL_WORDS 4

// The most dimensions of a tensor.
#define PENJING_MAX_RANK 6

// Words of a PenjingSessionStorage.
#define PENJING_SESSION_WORDS 24

// What a function answers: 0 is success.
enum PenjingStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // It is done.
    PENJING_STATUS_OK = 0,
    // A pointer is null that must not be.
    PENJING_STATUS_NULL_POINTER = 1,
    // No input, output or label has this number.
    PENJING_STATUS_INDEX = 2,
    // There is not enough room for a text.
    PENJING_STATUS_ROOM = 3,
    // An address is not a multiple of what it must be a multiple of.
    PENJING_STATUS_ALIGNMENT = 4,
    // Two buffers overlap.
    PENJING_STATUS_OVERLAP = 5,
    // A buffer has the wrong number of bytes.
    PENJING_STATUS_LENGTH = 6,
    // The wrong number of inputs or outputs.
    PENJING_STATUS_COUNT = 7,
    // A file cannot be read.
    PENJING_STATUS_IO = 8,
    // The bytes are no model, or are damaged.
    PENJING_STATUS_FORMAT = 9,
    // The model is sound, but this library has no kernel for it.
    PENJING_STATUS_UNSUPPORTED = 10,
    // More memory is needed than is granted or lent.
    PENJING_STATUS_MEMORY = 11,
    // Threads cannot be had.
    PENJING_STATUS_THREADS = 12,
    // PENJING_ISA names an instruction set that is unknown or that this machine lacks.
    PENJING_STATUS_ISA = 13,
    // A defect of the library. The call is undone only in part: free the session.
    PENJING_STATUS_INTERNAL = 14,
    // Anything else; the message tells.
    PENJING_STATUS_OTHER = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum PenjingStatus PenjingStatus;
#else
typedef int32_t PenjingStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The type of a tensor's elements.
enum PenjingDataType
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // float, 32 bits.
    PENJING_DATA_TYPE_F32 = 1,
    // int8_t.
    PENJING_DATA_TYPE_I8 = 2,
    // uint8_t.
    PENJING_DATA_TYPE_U8 = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum PenjingDataType PenjingDataType;
#else
typedef int32_t PenjingDataType;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A checked model. Any number of threads may read it at once.
typedef struct PenjingModel PenjingModel;

// A model that is planned and ready to run. One thread at a time may use it.
typedef struct PenjingSession PenjingSession;

// Memory for a model that lies where the caller says: static, on a stack, or part of something else. Its content is the
// library's; it must not be moved or copied while the model is in use.
typedef struct {
    // Nothing to look at.
    size_t words[PENJING_MODEL_WORDS];
} PenjingModelStorage;

// What a caller must know of an input or output. One image stands for whatever the network takes.
typedef struct {
    // Type of the elements.
    PenjingDataType dtype;
    // Real units a step, of integers: real = scale * (element - zero_point). 1 of floats.
    float scale;
    // The integer that stands for real 0; 0 of floats.
    int32_t zero_point;
    // How many dimensions one image has, without the batch.
    size_t rank;
    // The dimensions of one image, outermost first (height, width, channels); 0 beyond rank.
    size_t dims[PENJING_MAX_RANK];
    // Elements of one image.
    size_t elements;
    // Bytes of one image.
    size_t bytes;
} PenjingTensorInfo;

#if defined(PENJING_STD)
// How a session on the heap runs.
typedef struct {
    // Threads that share a batch, the caller's among them; 0 for one a core, at most 1024.
    size_t threads;
    // The most bytes that the session may take; 0 for 256 MiB.
    uint64_t max_bytes;
    // The most images that go through the network at once: 1 takes the least memory; 0 for what suits the caches.
    size_t tile_images;
} PenjingSessionOptions;
#endif

// Memory for a session that lies where the caller says: static, on a stack, or part of something else. Its content is the
// library's; it must not be moved or copied while the session is in use.
typedef struct {
    // Nothing to look at.
    size_t words[PENJING_SESSION_WORDS];
} PenjingSessionStorage;

// A batch of one input: images one after the other, each as the model's shape says, outermost dimension first.
typedef struct {
    // The first element, of the model's type for this input.
    const void *data;
    // Bytes of the whole batch.
    size_t bytes;
} PenjingInput;

// Where a batch of one output goes: images one after the other, each as the model's shape says.
typedef struct {
    // The first element, of the model's type for this output.
    void *data;
    // Bytes of the whole batch.
    size_t bytes;
} PenjingOutput;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// A few words on a status, in English: never null, and also for numbers that are no status.
//
// Ownership: the text is part of the library. Threads: any. Errors: none.
const char *penjing_status_text(int32_t status);

// The library's version, such as "0.1.0": never null.
//
// Ownership: the text is part of the library. Threads: any. Errors: none.
const char *penjing_version(void);

#if defined(PENJING_STD)
// What went wrong in the last call of this thread that failed: what was expected, what was found, and where. Empty where
// none has failed; never null. A call that succeeds leaves it as it is.
//
// Ownership: the text belongs to the library and stays until the next call of this thread that fails, or until the thread
// ends; copy it to keep it. Threads: each has a message of its own. Errors: none.
const char *penjing_error_message(void);
#endif

#if defined(PENJING_STD)
// Opens a model from a file, which is mapped into memory and checked as a whole.
//
// path: text that ends with a zero, UTF-8 on Windows. The file must stay as it is while the model is in use: replace it by
// renaming another over it, or read it and call penjing_model_from_bytes.
//
// Ownership: *model is the caller's, until penjing_model_free; null where the call fails. Path may go at once.
// Threads: any. Errors: NULL_POINTER, IO, FORMAT, MEMORY.
PenjingStatus penjing_model_open(const char *path,
                                 PenjingModel **model);
#endif

#if defined(PENJING_STD)
// Opens a model from bytes, which are copied.
//
// Ownership: *model is the caller's, until penjing_model_free; null where the call fails. The bytes may go at once.
// Threads: any. Errors: NULL_POINTER, LENGTH, FORMAT, MEMORY.
PenjingStatus penjing_model_from_bytes(const void *bytes,
                                       size_t len,
                                       PenjingModel **model);
#endif

#if defined(PENJING_STD)
// Opens a model from bytes that stay where they are: an array of the program, say, or a file that it has mapped.
//
// Ownership: *model is the caller's, until penjing_model_free; null where the call fails. The bytes stay the caller's and
// must outlive the model, unchanged. Threads: any. Errors: NULL_POINTER, LENGTH, FORMAT, MEMORY.
PenjingStatus penjing_model_from_static(const void *bytes,
                                        size_t len,
                                        PenjingModel **model);
#endif

// As penjing_model_from_static, in storage that the caller lends: nothing is allocated. The one exception is a model of
// entropy-coded weights, which is decoded to the heap. A library without std decodes none, and checks no more here than the
// content hash: what does not go together is answered when a session is made.
//
// Ownership: *model points into storage, and is null where the call fails. Storage and bytes stay the caller's and must
// outlive the model, and the sessions in place of it, unchanged and unmoved, until penjing_model_free.
// Threads: any. Errors: NULL_POINTER, LENGTH, ALIGNMENT, FORMAT, MEMORY.
PenjingStatus penjing_model_in_place(PenjingModelStorage *storage,
                                     const void *bytes,
                                     size_t len,
                                     PenjingModel **model);

// Ends a model of any kind. Null does nothing. Sessions in place must have ended before; those on the heap go on.
//
// Ownership: the model is gone; storage that it lay in is the caller's again.
// Threads: any, when no other uses the model. Errors: none.
void penjing_model_free(PenjingModel *model);

// How many inputs a model has.
//
// Ownership: *count is written, and 0 where the call fails. Threads: any number at once. Errors: NULL_POINTER.
PenjingStatus penjing_model_input_count(const PenjingModel *model,
                                        size_t *count);

// How many outputs a model has.
//
// Ownership: *count is written, and 0 where the call fails. Threads: any number at once. Errors: NULL_POINTER.
PenjingStatus penjing_model_output_count(const PenjingModel *model,
                                         size_t *count);

// How many labels a model has: names of its classes, in the order of the first output's last dimension. 0 where the file
// states none.
//
// Ownership: *count is written, and 0 where the call fails. Threads: any number at once. Errors: NULL_POINTER.
PenjingStatus penjing_model_label_count(const PenjingModel *model,
                                        size_t *count);

// Type, shape, scale and zero point of input number index.
//
// Ownership: *info is written where the call succeeds, and holds no pointers.
// Threads: any number at once. Errors: NULL_POINTER, INDEX.
PenjingStatus penjing_model_input_info(const PenjingModel *model,
                                       size_t index,
                                       PenjingTensorInfo *info);

// Type, shape, scale and zero point of output number index.
//
// Ownership: *info is written where the call succeeds, and holds no pointers.
// Threads: any number at once. Errors: NULL_POINTER, INDEX.
PenjingStatus penjing_model_output_info(const PenjingModel *model,
                                        size_t index,
                                        PenjingTensorInfo *info);

// The name of input number index, UTF-8; empty where the file states none.
//
// text: room for size bytes; the name and a zero after it are written there. length: where the name's bytes without the
// zero are told, also where the room is too small; may be null. Text may be null where size is 0, to ask for length alone.
//
// Ownership: text and length stay the caller's. Threads: any number at once.
// Errors: NULL_POINTER, INDEX, ROOM (text is empty then).
PenjingStatus penjing_model_input_name(const PenjingModel *model,
                                       size_t index,
                                       char *text,
                                       size_t size,
                                       size_t *length);

// The name of output number index; the rest as penjing_model_input_name.
//
// Ownership: text and length stay the caller's. Threads: any number at once.
// Errors: NULL_POINTER, INDEX, ROOM (text is empty then).
PenjingStatus penjing_model_output_name(const PenjingModel *model,
                                        size_t index,
                                        char *text,
                                        size_t size,
                                        size_t *length);

// Label number index; the rest as penjing_model_input_name.
//
// Ownership: text and length stay the caller's. Threads: any number at once.
// Errors: NULL_POINTER, INDEX, ROOM (text is empty then).
PenjingStatus penjing_model_label(const PenjingModel *model,
                                  size_t index,
                                  char *text,
                                  size_t size,
                                  size_t *length);

#if defined(PENJING_STD)
// Plans a session on the heap.
//
// options: null for one thread and 256 MiB at most. The environment's PENJING_ISA forces an instruction set.
//
// Ownership: *session is the caller's, until penjing_session_free; null where the call fails. It owns all it needs: the model
// may go at once. Threads: any. Errors: NULL_POINTER, FORMAT, UNSUPPORTED, MEMORY, THREADS, ISA.
PenjingStatus penjing_session_new(const PenjingModel *model,
                                  const PenjingSessionOptions *options,
                                  PenjingSession **session);
#endif

// How many bytes of arena a session in place of this model needs, exactly, at an address that 4 divides. A program that knows
// its model has the number from `penjing convert --c`, as PENJING_MODEL_ARENA_BYTES.
//
// Without std the call takes 1 KB of stack, and models of more than some fifty nodes are answered MEMORY.
//
// Ownership: *bytes is written, and 0 where the call fails. Threads: any number at once.
// Errors: NULL_POINTER, FORMAT, UNSUPPORTED, MEMORY.
PenjingStatus penjing_model_arena_bytes(const PenjingModel *model,
                                        size_t *bytes);

// Plans a session in storage and an arena that the caller lends: nothing is allocated, neither now nor while it runs.
//
// storage: for the session itself. arena: for what it computes, penjing_model_arena_bytes of it at an address that 4
// divides; anything may lie there.
//
// Ownership: *session points into storage, and is null where the call fails. Model, storage and arena stay the caller's and
// must outlive the session, unmoved and otherwise unused, until penjing_session_free.
// Threads: any. Errors: NULL_POINTER, ALIGNMENT, LENGTH, FORMAT, UNSUPPORTED, MEMORY (the arena is too small).
PenjingStatus penjing_session_in_place(PenjingSessionStorage *storage,
                                       const PenjingModel *model,
                                       void *arena,
                                       size_t arena_bytes,
                                       PenjingSession **session);

// Ends a session of any kind. Null does nothing.
//
// Ownership: the session is gone; storage and arena are the caller's again.
// Threads: any, when no other uses the session. Errors: none.
void penjing_session_free(PenjingSession *session);

// Runs a model of one input and one output.
//
// input: input_bytes bytes, images one after the other, elements of the model's type. output: output_bytes bytes, as many
// images; it may be uninitialized, and must not overlap the input or the arena. A session in place takes one image a
// call, another as many as there are. Nothing is allocated, on any thread.
//
// Ownership: input and output stay the caller's. Threads: one at a time uses a session, any.
// Errors: NULL_POINTER, LENGTH, ALIGNMENT, OVERLAP, COUNT (use penjing_session_run_many). The output is left as it is then.
// INTERNAL: a defect of the library; free the session.
PenjingStatus penjing_session_run(PenjingSession *session,
                                  const void *input,
                                  size_t input_bytes,
                                  void *output,
                                  size_t output_bytes);

// Runs a model of any number of inputs and outputs, each in the model's order; the rest as penjing_session_run.
//
// Nothing is allocated for up to 8 inputs and 8 outputs; a library without std takes no more.
//
// Ownership: lists and buffers stay the caller's. Threads: one at a time uses a session, any.
// Errors: NULL_POINTER, LENGTH, ALIGNMENT, OVERLAP, COUNT, UNSUPPORTED. The outputs are left as they are then.
// INTERNAL: a defect of the library; free the session.
PenjingStatus penjing_session_run_many(PenjingSession *session,
                                       const PenjingInput *inputs,
                                       size_t input_count,
                                       const PenjingOutput *outputs,
                                       size_t output_count);

#if !defined(PENJING_STD)
// Of the program, not of the library: what happens where a library without std meets a defect of its own. It must not
// return: reset the device, say. A program that links without it has no code that could call it.
extern void penjing_panic(void);
#endif

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PENJING_H */
