#include <cstdio>

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/target.h"

int main() {
  const hwynn::Tensor image({1, 28, 28, 1}, 0.5f);
  std::printf("%s, %s\n", hwynn::CurrentTarget().c_str(), image.shape().ToString().c_str());
}
