#ifndef HWYNN_INFERENCE_HWYNN_H_
#define HWYNN_INFERENCE_HWYNN_H_

/* Serving a compiled model from C, or from any language that calls C (C99; no C++ in here).
 *
 *   hwynn_error error;
 *   hwynn_model* model = NULL;
 *   hwynn_context* context = NULL;
 *   float scores[1000];
 *   const int64_t shape[4] = {1, 224, 224, 3};
 *   if (hwynn_model_load("resnet50.hwynn", 0, &model, &error) != HWYNN_OK ||
 *       hwynn_context_create(model, 2, &context, &error) != HWYNN_OK ||
 *       hwynn_run_bytes(context, pixels, shape, scores, 1000, &error) != HWYNN_OK) {
 *     fprintf(stderr, "%s\n", error.message);
 *   }
 *   hwynn_context_free(context);
 *   hwynn_model_free(model);
 *
 * Errors: a function that can fail returns a hwynn_status and says in `error`, which the caller brings and may leave
 * out (NULL), what was wrong. So the last error belongs to the caller: nothing is kept for each thread, which would be
 * lost where a language moves its calls between threads. A call that failed has written nothing but the error.
 * Ownership: what a function makes is freed by the function of its name; freeing NULL does nothing. A context keeps
 * what it needs of its model, which may be freed first. Texts and arrays that functions return belong to the model, and
 * live as long as it.
 * Threads: a model is read only, any number of threads may use one at once. A context has one caller at a time.
 * Nothing is printed, no signal handler is set, no function ends the program. */

#include <stddef.h>  // NOLINT(modernize-deprecated-headers): this is C
#include <stdint.h>  // NOLINT(modernize-deprecated-headers)

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what follows is what a shared library exports for C */
#endif

/* ---- version ---- */

#define HWYNN_VERSION_MAJOR 0
#define HWYNN_VERSION_MINOR 1
#define HWYNN_VERSION_PATCH 0

/* The library's version, "0.1.0", and its numbers; each place may be NULL. While the first number is 0, another second
 * one may change this interface: compare with the macros, which are those of the header. */
const char* hwynn_version(void);
void hwynn_version_numbers(int* major, int* minor, int* patch);

/* ---- errors ---- */

typedef enum hwynn_status {
  HWYNN_OK = 0,
  HWYNN_INVALID_ARGUMENT = 1, /* the caller's mistake: NULL, a shape that the network doesn't take */
  HWYNN_BAD_FILE = 2,         /* a file that can't be read, is none of hwynn's or was changed */
  HWYNN_BUFFER_TOO_SMALL = 3, /* the message says what is needed */
  HWYNN_OUT_OF_MEMORY = 4,    /* the call may be repeated when there is more */
  HWYNN_INTERNAL_ERROR = 5    /* anything else */
} hwynn_status;

/* What was wrong in one sentence, in UTF-8; "" after a call that succeeded. */
typedef struct hwynn_error {
  char message[1024];
} hwynn_error;

/* ---- models ---- */

typedef struct hwynn_model hwynn_model;

/* Options of hwynn_model_load, to be added up. The first: an image's output has the same bits in whatever batch it
 * comes; a batch of several may take more time. The second: convolutions round as little as float32 allows, which
 * leaves out their fastest algorithm. */
#define HWYNN_BATCH_INVARIANT 1u
#define HWYNN_HIGHEST_PRECISION 2u

/* Loads a file that `hwynn compile` wrote. It is mapped into memory, and must stay as it is while the model or one of
 * its contexts lives (a file that is replaced as a whole stays). `options`: 0, or the sum of some of the above. */
hwynn_status hwynn_model_load(const char* path, unsigned options, hwynn_model** model, hwynn_error* error);
void hwynn_model_free(hwynn_model* model);

/* Height, width and channels of the images that the model was trained on, each 0 where the file doesn't say so. Others
 * work where the network takes them. */
hwynn_status hwynn_model_image_shape(const hwynn_model* model, int64_t shape[3], hwynn_error* error);

/* How many numbers the model makes of one image, its classes; 0 where that depends on the image's size, and for NULL.
 */
int64_t hwynn_model_num_classes(const hwynn_model* model);

/* The name of a class, in UTF-8; NULL where the file has none for this index, and for a model that is NULL. */
const char* hwynn_model_class_name(const hwynn_model* model, int64_t index);

/* How bytes become floats: byte b of channel c goes in as (b/255 − mean[c])·(1/stddev[c]). As many numbers as the image
 * shape has channels; NULL where the file doesn't say, then b/255 goes in. */
const float* hwynn_model_mean(const hwynn_model* model);
const float* hwynn_model_stddev(const hwynn_model* model);

/* How a photograph becomes such an image: its shorter side is resized to `resize` pixels, filtered as Pillow does, and
 * the middle of image_size² pixels is cut out. All 0 where the file says nothing of it, and for NULL. */
typedef enum hwynn_interpolation { HWYNN_BILINEAR = 0, HWYNN_BICUBIC = 1 } hwynn_interpolation;
typedef struct hwynn_transform {
  int64_t image_size;
  int64_t resize;
  hwynn_interpolation interpolation;
} hwynn_transform;
hwynn_transform hwynn_model_transform(const hwynn_model* model);

/* What the model computes, a line a kernel call, for people; NULL for NULL. */
const char* hwynn_model_steps(const hwynn_model* model);

/* ---- runs ---- */

typedef struct hwynn_context hwynn_context;

/* What one caller of a model needs: memory, which grows to what its largest call needs, and a number of threads.
 * `threads`: 1, the calling thread alone, which never waits for another; n ≥ 2, at most n, the calling one among them;
 * 0, all that the process may use, as its affinity and its container's quota say (called from within a tbb::task_arena:
 * that one's). Results have the same bits for any number.
 * After fork() a child may use its parent's models and contexts and make its own, if no call ran meanwhile; but once
 * the parent has run one on several threads, each call of the child has the calling thread alone. */
hwynn_status hwynn_context_create(const hwynn_model* model, int threads, hwynn_context** context, hwynn_error* error);
void hwynn_context_free(hwynn_context* context);

/* How many floats a run makes of images of `shape`, [N,H,W,C]; the run may follow with no more preparation. */
hwynn_status hwynn_output_size(hwynn_context* context, const int64_t shape[4], size_t* size, hwynn_error* error);

/* Runs the model on images, `shape` = [N,H,W,C] floats, row by row, channels last, standardised as the model was
 * trained (hwynn_model_mean). `output` has room for `capacity` floats and gets [N,classes], the scores before a softmax
 * (logits). It may not overlap `images`. From the second call of a shape on, a call takes no memory from the system. */
hwynn_status hwynn_run(hwynn_context* context, const float* images, const int64_t shape[4], float* output,
                       size_t capacity, hwynn_error* error);

/* The same for images of bytes, [N,H,W,C], which are standardised as the file says. */
hwynn_status hwynn_run_bytes(hwynn_context* context, const uint8_t* images, const int64_t shape[4], float* output,
                             size_t capacity, hwynn_error* error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif /* HWYNN_INFERENCE_HWYNN_H_ */
