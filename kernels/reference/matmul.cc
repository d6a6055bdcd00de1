#include "hwynn/kernels/reference/matmul.h"

namespace hwynn::reference {
namespace {

// Calls body(index in [M,K], index in [K,N], index in [M,N]) for every product.
template <class Body>
void ForEachTerm(int64_t M, int64_t K, int64_t N, const Body& body) {
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t k = 0; k < K; ++k) {
      for (int64_t n = 0; n < N; ++n) body(m * K + k, k * N + n, m * N + n);
    }
  }
}

double Product(float a, float b) { return static_cast<double>(a) * b; }

}  // namespace

Sums MatmulForward(ConstTensorView a, ConstTensorView b) {
  const int64_t M = a.shape()[0], K = a.shape()[1], N = b.shape()[1];
  Sums sums(M * N);
  ForEachTerm(M, K, N, [&](int64_t mk, int64_t kn, int64_t mn) { sums.Add(mn, Product(a[mk], b[kn])); });
  return sums;
}

Sums MatmulBackwardA(ConstTensorView grad_output, ConstTensorView b) {
  const int64_t M = grad_output.shape()[0], K = b.shape()[0], N = b.shape()[1];
  Sums sums(M * K);
  ForEachTerm(M, K, N, [&](int64_t mk, int64_t kn, int64_t mn) { sums.Add(mk, Product(grad_output[mn], b[kn])); });
  return sums;
}

Sums MatmulBackwardB(ConstTensorView a, ConstTensorView grad_output) {
  const int64_t M = a.shape()[0], K = a.shape()[1], N = grad_output.shape()[1];
  Sums sums(K * N);
  ForEachTerm(M, K, N, [&](int64_t mk, int64_t kn, int64_t mn) { sums.Add(kn, Product(a[mk], grad_output[mn])); });
  return sums;
}

}  // namespace hwynn::reference
