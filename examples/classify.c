/* Says what is on an image, as classify.cc does, in C: classify_c MODEL IMAGE.ppm (or .pgm, 8 bits). */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "hwynn/inference/hwynn.h"

/* The pixels of a PPM or PGM, [H,W,C], to be freed; NULL for other files. shape = [1,H,W,C]. */
static unsigned char* read_image(const char* path, int64_t shape[4]) {
  FILE* file = fopen(path, "rb");
  unsigned char* pixels = NULL;
  char kind = 0;
  int width = 0, height = 0, white = 0;
  if (file == NULL) return NULL;
  if (fscanf(file, "P%c %d %d %d", &kind, &width, &height, &white) == 4 && (kind == '5' || kind == '6') &&
      white == 255 && width > 0 && height > 0 && width <= 10000 && height <= 10000 && fgetc(file) != EOF) {
    const size_t channels = kind == '6' ? 3 : 1, size = (size_t)width * (size_t)height * channels;
    pixels = malloc(size);
    if (pixels != NULL && fread(pixels, 1, size, file) != size) {
      free(pixels);
      pixels = NULL;
    }
    shape[0] = 1;
    shape[1] = height;
    shape[2] = width;
    shape[3] = (int64_t)channels;
  }
  fclose(file);
  return pixels;
}

/* Prints the five largest scores, of `size`, as probabilities; they are overwritten. */
static void print_best(const hwynn_model* model, float* scores, size_t size) {
  double largest = scores[0], sum = 0;
  for (size_t i = 0; i < size; ++i) largest = scores[i] > largest ? scores[i] : largest;
  for (size_t i = 0; i < size; ++i) sum += exp(scores[i] - largest);
  for (size_t place = 0; place < 5 && place < size; ++place) {
    size_t best = 0;
    for (size_t i = 1; i < size; ++i) best = scores[i] > scores[best] ? i : best;
    const char* name = hwynn_model_class_name(model, (int64_t)best);
    printf("%5.1f %%  ", 100 * exp(scores[best] - largest) / sum);
    if (name != NULL) {
      printf("%s\n", name);
    } else {
      printf("class %zu\n", best);
    }
    scores[best] = -INFINITY;
  }
}

int main(int argc, char** argv) {
  hwynn_error error = {""};
  hwynn_model* model = NULL;
  hwynn_context* context = NULL;
  unsigned char* pixels = NULL;
  float* scores = NULL;
  size_t size = 0;
  int64_t shape[4];
  int code = 1;
  if (argc != 3) {
    fprintf(stderr, "usage: classify_c MODEL IMAGE.ppm\n");
  } else if ((pixels = read_image(argv[2], shape)) == NULL) {
    fprintf(stderr, "%s: can't be read as a PPM or PGM of 8 bits\n", argv[2]);
  } else if (hwynn_model_load(argv[1], 0, &model, &error) != HWYNN_OK ||
             hwynn_context_create(model, 0, &context, &error) != HWYNN_OK ||
             hwynn_output_size(context, shape, &size, &error) != HWYNN_OK) {
    fprintf(stderr, "%s\n", error.message);
  } else if ((scores = malloc(size * sizeof(float))) == NULL) {
    fprintf(stderr, "out of memory\n");
  } else if (hwynn_run_bytes(context, pixels, shape, scores, size, &error) != HWYNN_OK) {
    fprintf(stderr, "%s\n", error.message);
  } else {
    print_best(model, scores, size);
    code = 0;
  }
  free(scores);
  free(pixels);
  hwynn_context_free(context);
  hwynn_model_free(model);
  return code;
}
