// Writes a compiled model and an image that it takes, for the examples that serve one: inference MODEL IMAGE.

#include <cstdio>
#include <fstream>
#include <string>

#include "hwynn/inference/inference_model.h"
#include "hwynn/kernels/target.h"
#include "hwynn/models/resnet.h"

int main(int, char** argv) {
  const hwynn::ResNet network({.stage_sizes = {1}, .num_filters = 8, .num_classes = 3});
  const hwynn::Variables variables = Init(network, hwynn::KeyFromSeed(1), {1, 28, 28, 3});
  const hwynn::InferenceInfo info{.image_shape = {28, 28, 3}, .class_names = {"cat", "dog", "eel"}};
  hwynn::InferenceModel(network, variables, info).Save(argv[1]);
  std::ofstream(argv[2], std::ios::binary) << "P6 28 28 255\n" << std::string(28 * 28 * 3, 'x');
  std::printf("%s\n", hwynn::CurrentTarget().c_str());
}
