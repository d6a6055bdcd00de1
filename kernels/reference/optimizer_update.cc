#include "hwynn/kernels/reference/optimizer_update.h"

#include <cmath>

namespace hwynn::reference {
namespace {

// 1 − b^count with the roundings that the contract names: at count 2 and b = 0.999 only four digits are left.
double BiasCorrection(double b, int64_t count) {
  const auto rounded = static_cast<double>(static_cast<float>(b));
  return static_cast<double>(1.0f - static_cast<float>(std::pow(rounded, static_cast<double>(count))));
}

}  // namespace

SgdElement SgdUpdate(const SgdParams& params, SgdElement before, double grad, bool decay) {
  const double lr = static_cast<double>(params.learning_rate);
  const double momentum = static_cast<double>(params.momentum);
  const double scale = static_cast<double>(params.grad_scale);
  const double weight_decay = decay ? static_cast<double>(params.weight_decay) : 0.0;

  const double g = scale * grad + weight_decay * before.param;
  const double g_magnitude = std::abs(scale * grad) + std::abs(weight_decay * before.param);
  const double t = g + momentum * before.trace;
  const double t_magnitude = g_magnitude + std::abs(momentum * before.trace);
  const bool nesterov = params.nesterov && momentum != 0.0;
  const double u = nesterov ? g + momentum * t : t;
  const double u_magnitude = nesterov ? g_magnitude + std::abs(momentum) * t_magnitude : t_magnitude;
  return {.param = before.param - lr * u,
          .trace = t,
          .param_magnitude = std::abs(before.param) + std::abs(lr) * u_magnitude,
          .trace_magnitude = t_magnitude};
}

AdamElement AdamUpdate(const AdamParams& params, int64_t count, AdamElement before, double grad, bool decay) {
  const double lr = static_cast<double>(params.learning_rate);
  const double scale = static_cast<double>(params.grad_scale);
  const double weight_decay = decay ? static_cast<double>(params.weight_decay) : 0.0;
  const double l2 = params.decoupled ? 0.0 : weight_decay;
  const double decoupled = params.decoupled ? weight_decay : 0.0;

  const double g = scale * grad + l2 * before.param;
  const double g_magnitude = std::abs(scale * grad) + std::abs(l2 * before.param);
  const double m = (1.0 - params.b1) * g + params.b1 * before.mu;
  const double m_magnitude = (1.0 - params.b1) * g_magnitude + std::abs(params.b1 * before.mu);
  const double v = (1.0 - params.b2) * g * g + params.b2 * before.nu;
  const double v_magnitude = (1.0 - params.b2) * g_magnitude * g_magnitude + std::abs(params.b2 * before.nu);
  const double correction1 = BiasCorrection(params.b1, count);
  const double correction2 = BiasCorrection(params.b2, count);
  const double root =
      std::sqrt(v / correction2 + static_cast<double>(params.epsilon_root)) + static_cast<double>(params.epsilon);
  const double u = m / correction1 / root + decoupled * before.param;
  const double u_magnitude = m_magnitude / correction1 / root + std::abs(decoupled * before.param);
  return {.param = before.param - lr * u,
          .mu = m,
          .nu = v,
          .param_magnitude = std::abs(before.param) + std::abs(lr) * u_magnitude,
          .mu_magnitude = m_magnitude,
          .nu_magnitude = v_magnitude};
}

double SumOfSquares(ConstTensorView array) {
  double sum = 0.0;
  for (const float x : array.span()) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

}  // namespace hwynn::reference
