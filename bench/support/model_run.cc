#include "hwynn/bench/support/model_run.h"

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/core/check.h"
#include "hwynn/models/make_model.h"

namespace hwynn::bench {
namespace {

const OptimizerOptions kSgd{.momentum = 0.9f, .weight_decay = 5e-4f};

}  // namespace

std::string ModelCaseName(const ModelCase& c) {
  return StrCat(c.train ? "TrainStep/" : "Inference/", c.model, "/", c.size, "/batch:", c.batch);
}

ModelRun::ModelRun(const ModelCase& model_case)
    : case_(model_case),
      model_(MakeModel(case_.model, {.num_classes = case_.classes()})),
      state_(CreateTrainState(*model_, kSgd, KeyFromSeed(0), {case_.size, case_.size, case_.channels})),
      stepper_(*model_, kSgd, case_.step),
      images_({case_.batch, case_.size, case_.size, case_.channels}),
      convs_(ConvolutionsOf(*model_, state_.variables, images_.shape())) {
  Fill(images_, 1);
  if (!case_.train) context_.emplace(InferenceModel(*model_, state_.variables));
  for (int64_t i = 0; i < case_.batch; ++i) labels_.push_back(static_cast<int32_t>(i % case_.classes()));
}

void ModelRun::Run(CallObserver* observer) {
  if (case_.train) {
    stepper_.Train(images_, labels_, 0.01f, Key{}, state_, observer);
  } else {
    context_->Run(images_);
  }
}

double ModelRun::flops() const {
  double flops = 0;
  for (const ModelConv& conv : convs_) {
    const int passes = !case_.train ? 1 : conv.input_gradient ? 3 : 2;
    flops += conv.geometry.flops() * passes * static_cast<double>(conv.count);
  }
  return flops;
}

}  // namespace hwynn::bench
