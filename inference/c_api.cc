// hwynn.h over InferenceModel and InferenceContext. No exception leaves a function.

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/inference/hwynn.h"
#include "hwynn/inference/inference_model.h"

struct hwynn_model {
  hwynn::InferenceModel model;
  std::string steps;
};

struct hwynn_context {
  hwynn::InferenceContext context;
};

namespace {

using hwynn::Check;
using hwynn::ConstTensorView;
using hwynn::InferenceInfo;
using hwynn::Shape;

#define HWYNN_TEXT(value) #value
#define HWYNN_DOTTED(a, b, c) HWYNN_TEXT(a) "." HWYNN_TEXT(b) "." HWYNN_TEXT(c)
constexpr char kVersion[] = HWYNN_DOTTED(HWYNN_VERSION_MAJOR, HWYNN_VERSION_MINOR, HWYNN_VERSION_PATCH);
#undef HWYNN_DOTTED
#undef HWYNN_TEXT
static_assert(std::string_view(kVersion) == HWYNN_PROJECT_VERSION,
              "hwynn.h's version is another than CMakeLists.txt's");

class BufferTooSmall : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What fits of `text`, cut between two characters. Allocates nothing.
void Write(hwynn_error* error, std::string_view text) {
  if (error == nullptr) return;
  size_t size = std::min(text.size(), sizeof(error->message) - 1);
  if (size < text.size()) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  }
  std::memcpy(error->message, text.data(), size);
  error->message[size] = '\0';
}

// Runs `function` and says what it threw; `of_data` is what a std::runtime_error is.
template <class Function>
hwynn_status Guarded(hwynn_error* error, hwynn_status of_data, const Function& function) noexcept {
  const auto failed = [&](hwynn_status status, std::string_view text) {
    Write(error, text);
    return status;
  };
  try {
    function();
    return failed(HWYNN_OK, "");
  } catch (const std::bad_alloc&) {
    return failed(HWYNN_OUT_OF_MEMORY, "out of memory");
  } catch (const std::invalid_argument& thrown) {
    return failed(HWYNN_INVALID_ARGUMENT, thrown.what());
  } catch (const BufferTooSmall& thrown) {
    return failed(HWYNN_BUFFER_TOO_SMALL, thrown.what());
  } catch (const std::runtime_error& thrown) {
    return failed(of_data, thrown.what());
  } catch (const std::exception& thrown) {
    return failed(HWYNN_INTERNAL_ERROR, thrown.what());
  } catch (...) {
    return failed(HWYNN_INTERNAL_ERROR, "unknown error");
  }
}

void CheckNotNull(const char* function, const char* name, const void* argument) {
  Check(argument != nullptr, function, ": ", name, " is NULL");
}

const InferenceInfo& InfoOf(const hwynn_model* model) { return model->model.info(); }

const float* DataOrNull(const std::vector<float>& values) { return values.empty() ? nullptr : values.data(); }

// hwynn_run and hwynn_run_bytes; `run` gives the output for the shape.
template <class Input, class Run>
hwynn_status RunGuarded(const char* function, hwynn_context* context, const Input* images, const int64_t* shape,
                        float* output, size_t capacity, hwynn_error* error, const Run& run) noexcept {
  return Guarded(error, HWYNN_INTERNAL_ERROR, [&] {
    CheckNotNull(function, "context", context);
    CheckNotNull(function, "images", images);
    CheckNotNull(function, "shape", shape);
    CheckNotNull(function, "output", output);
    const Shape input({shape[0], shape[1], shape[2], shape[3]});
    const Shape made = context->context.OutputShape(input);
    if (capacity < static_cast<size_t>(made.num_elements())) {
      throw BufferTooSmall(hwynn::StrCat(function, ": output has room for ", capacity, " floats, but ", made,
                                         " are made, which is ", made.num_elements()));
    }
    std::ranges::copy(run(input).span(), output);
  });
}

}  // namespace

extern "C" {

const char* hwynn_version(void) { return kVersion; }

void hwynn_version_numbers(int* major, int* minor, int* patch) {
  if (major != nullptr) *major = HWYNN_VERSION_MAJOR;
  if (minor != nullptr) *minor = HWYNN_VERSION_MINOR;
  if (patch != nullptr) *patch = HWYNN_VERSION_PATCH;
}

hwynn_status hwynn_model_load(const char* path, unsigned options, hwynn_model** model, hwynn_error* error) {
  return Guarded(error, HWYNN_BAD_FILE, [&] {
    CheckNotNull("hwynn_model_load", "path", path);
    CheckNotNull("hwynn_model_load", "model", model);
    const unsigned known = HWYNN_BATCH_INVARIANT | HWYNN_HIGHEST_PRECISION;
    Check((options & ~known) == 0, "hwynn_model_load: unknown options ", options & ~known);
    hwynn::InferenceOptions wanted{.batch_invariant = (options & HWYNN_BATCH_INVARIANT) != 0};
    if ((options & HWYNN_HIGHEST_PRECISION) != 0) wanted.precision = hwynn::Precision::kHighest;
    auto loaded = hwynn::InferenceModel::Load(path, wanted);
    std::string steps = loaded.Describe();
    *model = new hwynn_model{std::move(loaded), std::move(steps)};
  });
}

void hwynn_model_free(hwynn_model* model) { delete model; }

hwynn_status hwynn_model_image_shape(const hwynn_model* model, int64_t shape[3], hwynn_error* error) {
  return Guarded(error, HWYNN_INTERNAL_ERROR, [&] {
    CheckNotNull("hwynn_model_image_shape", "model", model);
    CheckNotNull("hwynn_model_image_shape", "shape", shape);
    std::ranges::copy(InfoOf(model).image_shape.extents(), shape);
  });
}

int64_t hwynn_model_num_classes(const hwynn_model* model) { return model != nullptr ? model->model.num_classes() : 0; }

const char* hwynn_model_class_name(const hwynn_model* model, int64_t index) {
  if (model == nullptr || index < 0 || index >= static_cast<int64_t>(InfoOf(model).class_names.size())) return nullptr;
  return InfoOf(model).class_names[static_cast<size_t>(index)].c_str();
}

const float* hwynn_model_mean(const hwynn_model* model) {
  return model != nullptr ? DataOrNull(InfoOf(model).standardization.mean) : nullptr;
}

const float* hwynn_model_stddev(const hwynn_model* model) {
  return model != nullptr ? DataOrNull(InfoOf(model).standardization.stddev) : nullptr;
}

hwynn_transform hwynn_model_transform(const hwynn_model* model) {
  if (model == nullptr) return {0, 0, HWYNN_BILINEAR};
  const hwynn::EvaluationTransform& transform = InfoOf(model).transform;
  const bool bilinear = transform.interpolation == hwynn::Interpolation::kBilinear;
  return {transform.image_size, transform.resize, bilinear ? HWYNN_BILINEAR : HWYNN_BICUBIC};
}

const char* hwynn_model_steps(const hwynn_model* model) { return model != nullptr ? model->steps.c_str() : nullptr; }

hwynn_status hwynn_context_create(const hwynn_model* model, int threads, hwynn_context** context, hwynn_error* error) {
  return Guarded(error, HWYNN_INTERNAL_ERROR, [&] {
    CheckNotNull("hwynn_context_create", "model", model);
    CheckNotNull("hwynn_context_create", "context", context);
    Check(threads >= 0, "hwynn_context_create: threads (", threads, ") must not be negative");
    *context = new hwynn_context{hwynn::InferenceContext(model->model, {.threads = threads})};
  });
}

void hwynn_context_free(hwynn_context* context) { delete context; }

hwynn_status hwynn_output_size(hwynn_context* context, const int64_t shape[4], size_t* size, hwynn_error* error) {
  return Guarded(error, HWYNN_INTERNAL_ERROR, [&] {
    CheckNotNull("hwynn_output_size", "context", context);
    CheckNotNull("hwynn_output_size", "shape", shape);
    CheckNotNull("hwynn_output_size", "size", size);
    const Shape made = context->context.OutputShape({shape[0], shape[1], shape[2], shape[3]});
    *size = static_cast<size_t>(made.num_elements());
  });
}

hwynn_status hwynn_run(hwynn_context* context, const float* images, const int64_t shape[4], float* output,
                       size_t capacity, hwynn_error* error) {
  return RunGuarded("hwynn_run", context, images, shape, output, capacity, error, [&](const Shape& input) {
    return context->context.Run({images, input});
  });
}

hwynn_status hwynn_run_bytes(hwynn_context* context, const uint8_t* images, const int64_t shape[4], float* output,
                             size_t capacity, hwynn_error* error) {
  return RunGuarded("hwynn_run_bytes", context, images, shape, output, capacity, error,
                    [&](const Shape& input) { return context->context.RunBytes(images, input); });
}

}  // extern "C"
