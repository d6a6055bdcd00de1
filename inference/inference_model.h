#ifndef HWYNN_INFERENCE_INFERENCE_MODEL_H_
#define HWYNN_INFERENCE_INFERENCE_MODEL_H_

// Models that are served: BatchNorms folded into the convolutions, filters packed once, memory planned.
//
//   const InferenceModel model = InferenceModel::Load("resnet50.hwynn");   // or InferenceModel(module, variables)
//   InferenceContext context(model, {.threads = 2});                      // one for each caller
//   ConstTensorView logits = context.Run(images);                          // [N,H,W,C] → [N,classes]

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/formats/preprocessing.h"
#include "hwynn/kernels/precision.h"
#include "hwynn/module/module.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

/// What a program needs besides the network, to make its input of an image and to say what its output means. Whatever
/// isn't known is empty.
struct InferenceInfo {
  Shape image_shape{0, 0, 0};  // [H,W,C] that the model was trained on; others work where the network takes them
  std::vector<std::string> class_names{};
  // A byte b of channel c goes in as (b/255 − mean[c])·(1/stddev[c]).
  Standardization standardization{};
  // What makes an image of image_shape of a photograph; by default nothing.
  EvaluationTransform transform{};
};

struct InferenceOptions {
  // An image's logits have the same bits in whatever batch it comes (Conv2dParams::batch_invariant). A batch of several
  // may take more time.
  bool batch_invariant = false;
  // How convolutions may round, where it isn't to be what each one's own options say.
  std::optional<Precision> precision = std::nullopt;
};

/// A network with its weights, ready to run. Evaluation's numbers (Predict) but for rounding, as BatchNorm is a part of
/// the filters. A module of a user's own is called, with whatever it allocates.
///
/// Threads: const; contexts of any number of threads share one. A copy is the same model: it costs a pointer.
/// Numerics: the same bits for any number of threads and callers, and on every instruction set with a fused
/// multiply-add.
class InferenceModel {
 public:
  /// Of a network and its variables. What is folded is copied; `variables` and `module` must outlive the model only if
  /// it calls modules of a user's own. Throws std::invalid_argument as Module::Forward does where variables are
  /// missing.
  InferenceModel(const Module& module, const Variables& variables, InferenceInfo info = {},
                 const InferenceOptions& options = {});

  /// From a file that Save wrote. It is mapped into memory, and must stay as it is while the model lives. The calling
  /// thread does it alone, so that a process may load a model and then fork. Throws std::runtime_error with path and
  /// reason for files that can't be read, aren't such or were changed.
  static InferenceModel Load(const std::string& path, const InferenceOptions& options = {});

  /// Whether Save wrote the file, as far as its header says. False for whatever can't be read.
  static bool IsModelFile(const std::string& path);

  /// Writes all that Load needs, or leaves the file at `path` as it was (WriteFileAtomically). With `packed_for`, an
  /// input's shape, also the filters as calls of that shape read them on the current target: processes that load the
  /// file then share their memory. Calls of other shapes, and other targets, pack the filters for themselves. Throws
  /// std::invalid_argument for a model that calls modules of a user's own, which no file holds, and for a shape that
  /// the network doesn't take.
  void Save(const std::string& path, const std::optional<Shape>& packed_for = std::nullopt) const;

  const InferenceInfo& info() const;
  /// The last extent of the output, its classes; 0 where an input's shape decides (a flattened output) and behind a
  /// module of a user's own.
  int64_t num_classes() const;
  /// Bytes of weights, as the file has them; and of filters that were packed until now, which are kept.
  int64_t weight_bytes() const;
  int64_t packed_bytes() const;
  /// One line a kernel call: what it does and to which value.
  std::string Describe() const;

  struct State;  // inference_model.cc

 private:
  friend class InferenceContext;
  explicit InferenceModel(std::shared_ptr<const State> state);

  std::shared_ptr<const State> state_;
};

struct InferenceContextOptions {
  // ≥ 1: at most so many threads work on a call, the caller's among them; 1: the calling thread alone, which never
  // waits for another. 0: those of the tbb::task_arena that the caller of Run is in; without one, or in one of the size
  // that oneTBB gives it by default, no more than the process may use, by its affinity and its container's quota when
  // the context was made (DefaultThreadCount).
  int threads = 0;
};

/// What one caller of a model needs: memory for the values between its layers, and a number of threads. The memory
/// grows to what the largest call needs, and stays. From the second call of a shape on, a call takes no memory from the
/// system and no page fault.
///
/// Threads: one call at a time. After fork() a child may use models and contexts of its parent's, if no call ran
/// meanwhile, and make its own. If hwynn had run something on several threads before, those stayed with the parent:
/// then each call of the child has the calling thread alone, whatever its context says. Nothing waits for them, and the
/// numbers are the same.
class InferenceContext {
 public:
  explicit InferenceContext(InferenceModel model, const InferenceContextOptions& options = {});
  InferenceContext(InferenceContext&&) noexcept;
  InferenceContext& operator=(InferenceContext&&) noexcept;
  ~InferenceContext();

  /// The model's output for `input`, [N,H,W,C] and standardised; valid until the next call. Throws
  /// std::invalid_argument for shapes that the network doesn't take.
  ConstTensorView Run(ConstTensorView input);

  /// The same for N images of bytes, [H,W,C] each, which are standardised as the model's info says.
  ConstTensorView RunBytes(const uint8_t* images, const Shape& shape);

  /// The shape of what Run gives for an input of such a shape, and prepares for it. Throws as Run does.
  Shape OutputShape(const Shape& input);

  const InferenceModel& model() const;
  /// Memory for values and temporaries.
  int64_t bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hwynn

#endif  // HWYNN_INFERENCE_INFERENCE_MODEL_H_
