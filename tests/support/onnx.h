#ifndef HWYNN_TESTS_SUPPORT_ONNX_H_
#define HWYNN_TESTS_SUPPORT_ONNX_H_

// ONNX's test cases, as far as tests need them: models, tensors, and how protobuf writes them. Sources: protobuf's
// encoding documentation; the fields' numbers are those of onnx/onnx.proto.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hwynn::testing::onnx {

/// A tensor; what isn't float or int64 keeps its type and shape alone.
struct Value {
  static constexpr int kFloat = 1, kInt64 = 7;
  int type = 0;
  std::vector<int64_t> dims;
  std::vector<float> floats;
  std::vector<int64_t> integers;
};

struct Attribute {
  float number = 0;
  int64_t integer = 0;
  std::string text;
  std::vector<int64_t> integers;
  Value tensor;
};

struct Node {
  std::string op;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Attribute> attributes;

  float Number(const std::string& name, float otherwise) const;
  int64_t Integer(const std::string& name, int64_t otherwise) const;
  std::string Text(const std::string& name, const std::string& otherwise) const;
  std::vector<int64_t> Integers(const std::string& name, const std::vector<int64_t>& otherwise) const;
};

struct Model {
  std::vector<Node> nodes;
  std::map<std::string, Value> initialisers;
  std::vector<std::string> inputs;  // without the initialisers
  std::vector<std::string> outputs;
};

/// Throws std::runtime_error for what is no protobuf.
Model ReadModel(const std::string& path);
Value ReadValue(const std::string& path);

/// The files <kind>_0.pb, <kind>_1.pb … of a folder.
std::vector<Value> ReadValues(const std::string& folder, const std::string& kind);

}  // namespace hwynn::testing::onnx

#endif  // HWYNN_TESTS_SUPPORT_ONNX_H_
