#ifndef HWYNN_FORMATS_PICKLE_MACHINE_H_
#define HWYNN_FORMATS_PICKLE_MACHINE_H_

// The values of a pickle, and the machine that its opcodes run on: for formats/pickle.cc. Opcodes and their meaning:
// Python's Lib/pickletools.py; what NumPy's arrays become: numpy.ndarray.__reduce__ and __reduce_ex__.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {
namespace pickle {

enum class Kind {
  kNone,
  kBool,
  kInteger,
  kText,         // UTF-8
  kBytes,        // also a text of Python 2
  kLatin1Bytes,  // given as the UTF-8 of the text that has these bytes in Latin-1
  kList,
  kTuple,
  kDictionary,
  kArray,
  kDtype,
  // What is called: none of them is a value that a data set may hold.
  kArrayType,
  kReconstruct,
  kFromBuffer,
  kDtypeType,
  kEncode,
};

struct Value {
  Kind kind = Kind::kNone;
  int64_t number = 0;      // also of a bool, and the index of a list, tuple, dictionary, array
  std::string_view bytes;  // of the file; of a dtype its name
};

/// numpy.ndarray as its state says; nothing is checked yet, for a pickle may name one text in many arrays.
struct Array {
  bool is_built = false;
  Value shape, dtype, bytes;
  bool is_fortran = false;
};

/// Values that others hold by their index, so that a list may hold itself and nothing is copied.
struct Pools {
  std::vector<std::vector<Value>> sequences;  // lists, tuples, and dictionaries as key, value, key, …
  std::vector<Array> arrays;
};

/// "a list", "bytes", …
const char* NameOf(Kind kind);

class Machine {
 public:
  Machine(const std::string& path, std::span<const std::byte> file) : path_(path), file_(file) {}

  /// Runs the opcodes up to the end of the file and returns what they leave.
  Value Run(size_t max_values);

  Pools& pools() { return pools_; }

 private:
  void Step(uint8_t opcode);
  bool PushPlain(uint8_t opcode);
  bool PushBytes(uint8_t opcode);
  bool Memo(uint8_t opcode);
  bool Collect(uint8_t opcode);
  void PushGlobal(std::string_view module, std::string_view name);
  void Reduce();
  void Build();

  template <class... Parts>
  void Require(bool ok, const Parts&... parts) const;
  std::string_view Take(size_t size);
  std::string_view TakeLine();
  uint64_t TakeNumber(size_t size);
  int64_t TakeSigned(size_t size);

  void Push(Value value);
  Value Pop();
  Value& Top(const char* what, Kind kind);
  void PushSequence(Kind kind, std::vector<Value> values);
  std::vector<Value> PopToMark();
  std::vector<Value> PopSome(size_t count);
  const std::vector<Value>& ElementsOf(const Value& value) const;
  void Memoize(uint64_t key);

  const std::string& path_;
  const std::span<const std::byte> file_;
  size_t offset_ = 0;
  size_t opcode_offset_ = 0;
  size_t max_values_ = 0;
  size_t num_values_ = 0;
  bool ended_ = false;
  std::vector<Value> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, Value> memo_;
  Pools pools_;
};

}  // namespace pickle
}  // namespace hwynn

#endif  // HWYNN_FORMATS_PICKLE_MACHINE_H_
