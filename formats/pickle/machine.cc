#include "hwynn/formats/pickle/machine.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "hwynn/core/check.h"

namespace hwynn::pickle {
namespace {

constexpr uint8_t kProto = 0x80;

struct Global {
  std::string_view module, name;
  Kind kind;
};

// All that a pickle may name. NumPy 2 moved its core to numpy._core.
constexpr std::array kGlobals = std::to_array<Global>({
    {"numpy", "ndarray", Kind::kArrayType},
    {"numpy", "dtype", Kind::kDtypeType},
    {"numpy.core.multiarray", "_reconstruct", Kind::kReconstruct},
    {"numpy._core.multiarray", "_reconstruct", Kind::kReconstruct},
    {"numpy.core.numeric", "_frombuffer", Kind::kFromBuffer},
    {"numpy._core.numeric", "_frombuffer", Kind::kFromBuffer},
    {"_codecs", "encode", Kind::kEncode},
});

bool IsText(const Value& value) { return value.kind == Kind::kText || value.kind == Kind::kBytes; }

bool IsBytes(const Value& value) { return value.kind == Kind::kBytes || value.kind == Kind::kLatin1Bytes; }

// A name of the file's, fit for an error's sentence.
std::string Printable(std::string_view text) {
  constexpr size_t kMost = 64;
  std::string printable(text.substr(0, kMost));
  std::ranges::replace_if(
      printable, [](unsigned char c) { return c < ' ' || c >= 0x7f; }, '?');
  return printable + (text.size() > kMost ? "…" : "");
}

std::string Hex(uint8_t byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return {'0', 'x', kDigits[byte / 16], kDigits[byte % 16]};
}

}  // namespace

const char* NameOf(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a bool";
    case Kind::kInteger:
      return "a whole number";
    case Kind::kText:
      return "a text";
    case Kind::kBytes:
    case Kind::kLatin1Bytes:
      return "bytes";
    case Kind::kList:
      return "a list";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kDictionary:
      return "a dictionary";
    case Kind::kArray:
      return "an array";
    case Kind::kDtype:
      return "a dtype";
    default:
      return "a function or type";
  }
}

template <class... Parts>
void Machine::Require(bool ok, const Parts&... parts) const {
  CheckData(ok, path_, ": the pickle's opcode at byte ", opcode_offset_, " ", parts...);
}

// ---- the file ----

std::string_view Machine::Take(size_t size) {
  Require(size <= file_.size() - offset_, "wants ", size, " bytes from byte ", offset_, " on, where the file has ",
          file_.size() - offset_);
  const std::string_view bytes(reinterpret_cast<const char*>(file_.data()) + offset_, size);
  offset_ += size;
  return bytes;
}

std::string_view Machine::TakeLine() {
  const std::string_view rest(reinterpret_cast<const char*>(file_.data()) + offset_, file_.size() - offset_);
  const size_t end = rest.find('\n');
  Require(end != rest.npos, "names something that the file ends in");
  offset_ += end + 1;
  return rest.substr(0, end);
}

uint64_t Machine::TakeNumber(size_t size) {
  uint64_t number = 0;
  const std::string_view bytes = Take(size);
  for (size_t i = 0; i < size; ++i) number |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return number;
}

int64_t Machine::TakeSigned(size_t size) {
  if (size == 0) return 0;
  const uint64_t number = TakeNumber(size);
  const uint64_t sign = uint64_t{1} << (8 * size - 1);
  return static_cast<int64_t>((number ^ sign) - sign);
}

// ---- the stack ----

void Machine::Push(Value value) {
  Require(num_values_ < max_values_, "makes more than ", max_values_, " values");
  ++num_values_;
  stack_.push_back(value);
}

Value Machine::Pop() {
  Require(stack_.size() > (marks_.empty() ? 0 : marks_.back()), "takes a value where none is left");
  const Value value = stack_.back();
  stack_.pop_back();
  return value;
}

Value& Machine::Top(const char* what, Kind kind) {
  Require(stack_.size() > (marks_.empty() ? 0 : marks_.back()) && stack_.back().kind == kind, "wants ", what);
  return stack_.back();
}

void Machine::PushSequence(Kind kind, std::vector<Value> values) {
  Push({kind, std::ssize(pools_.sequences), {}});
  pools_.sequences.push_back(std::move(values));
}

std::vector<Value> Machine::PopToMark() {
  Require(!marks_.empty(), "wants a mark where none is left");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Value> values(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return values;
}

std::vector<Value> Machine::PopSome(size_t count) {
  std::vector<Value> values(count);
  for (size_t i = count; i-- > 0;) values[i] = Pop();
  return values;
}

const std::vector<Value>& Machine::ElementsOf(const Value& value) const {
  return pools_.sequences[static_cast<size_t>(value.number)];
}

// ---- opcodes ----

bool Machine::PushPlain(uint8_t opcode) {
  switch (opcode) {
    case 'N':  // NONE
      Push({});
      return true;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      Push({Kind::kBool, opcode == 0x88 ? 1 : 0, {}});
      return true;
    case 'K':  // BININT1
      Push({Kind::kInteger, static_cast<int64_t>(TakeNumber(1)), {}});
      return true;
    case 'M':  // BININT2
      Push({Kind::kInteger, static_cast<int64_t>(TakeNumber(2)), {}});
      return true;
    case 'J':  // BININT
      Push({Kind::kInteger, TakeSigned(4), {}});
      return true;
    case 0x8a: {  // LONG1
      const uint64_t size = TakeNumber(1);
      Require(size <= 8, "holds a number of ", size, " bytes");
      Push({Kind::kInteger, TakeSigned(size), {}});
      return true;
    }
    default:
      return false;
  }
}

bool Machine::PushBytes(uint8_t opcode) {
  struct Row {
    uint8_t opcode;
    Kind kind;
    size_t length_bytes;
  };
  constexpr std::array kRows = std::to_array<Row>({
      {'X', Kind::kText, 4},    // BINUNICODE
      {0x8c, Kind::kText, 1},   // SHORT_BINUNICODE
      {0x8d, Kind::kText, 8},   // BINUNICODE8
      {'U', Kind::kBytes, 1},   // SHORT_BINSTRING, a text of Python 2
      {'T', Kind::kBytes, 4},   // BINSTRING
      {'C', Kind::kBytes, 1},   // SHORT_BINBYTES
      {'B', Kind::kBytes, 4},   // BINBYTES
      {0x8e, Kind::kBytes, 8},  // BINBYTES8
      {0x96, Kind::kBytes, 8},  // BYTEARRAY8
  });
  const auto* row = std::ranges::find(kRows, opcode, &Row::opcode);
  if (row == kRows.end()) return false;
  const uint64_t size = TakeNumber(row->length_bytes);
  Push({row->kind, 0, Take(size)});
  return true;
}

void Machine::Memoize(uint64_t key) {
  Require(!stack_.empty(), "keeps a value where there is none");
  memo_[key] = stack_.back();
  Require(memo_.size() <= max_values_, "keeps more than ", max_values_, " values");
}

bool Machine::Memo(uint8_t opcode) {
  switch (opcode) {
    case 'q':  // BINPUT
      Memoize(TakeNumber(1));
      return true;
    case 'r':  // LONG_BINPUT
      Memoize(TakeNumber(4));
      return true;
    case 0x94:  // MEMOIZE
      Memoize(memo_.size());
      return true;
    case 'h':    // BINGET
    case 'j': {  // LONG_BINGET
      const uint64_t key = TakeNumber(opcode == 'h' ? 1 : 4);
      const auto found = memo_.find(key);
      Require(found != memo_.end(), "takes value ", key, ", which was not kept");
      Push(found->second);
      return true;
    }
    default:
      return false;
  }
}

bool Machine::Collect(uint8_t opcode) {
  const auto append = [this](Kind kind, const char* what, std::vector<Value> values) {
    const Value& sequence = Top(what, kind);
    auto& elements = pools_.sequences[static_cast<size_t>(sequence.number)];
    elements.insert(elements.end(), values.begin(), values.end());
  };
  switch (opcode) {
    case '(':  // MARK
      Require(marks_.size() < max_values_, "marks more than ", max_values_, " places");
      marks_.push_back(stack_.size());
      return true;
    case ')':  // EMPTY_TUPLE
      PushSequence(Kind::kTuple, {});
      return true;
    case 't':  // TUPLE
      PushSequence(Kind::kTuple, PopToMark());
      return true;
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      PushSequence(Kind::kTuple, PopSome(opcode - 0x84u));
      return true;
    case ']':  // EMPTY_LIST
      PushSequence(Kind::kList, {});
      return true;
    case '}':  // EMPTY_DICT
      PushSequence(Kind::kDictionary, {});
      return true;
    case 'a':  // APPEND
      append(Kind::kList, "a list to append to", PopSome(1));
      return true;
    case 'e':  // APPENDS
      append(Kind::kList, "a list to append to", PopToMark());
      return true;
    case 's':  // SETITEM
      append(Kind::kDictionary, "a dictionary to put something in", PopSome(2));
      return true;
    case 'u': {  // SETITEMS
      std::vector<Value> values = PopToMark();
      Require(values.size() % 2 == 0, "puts a key without a value in a dictionary");
      append(Kind::kDictionary, "a dictionary to put something in", std::move(values));
      return true;
    }
    default:
      return false;
  }
}

void Machine::PushGlobal(std::string_view module, std::string_view name) {
  const auto* found = std::ranges::find_if(
      kGlobals, [&](const Global& global) { return global.module == module && global.name == name; });
  Require(found != kGlobals.end(), "names ", Printable(module), ".", Printable(name),
          ", which no data set needs; hwynn runs nothing that a pickle names");
  Push({found->kind, 0, {}});
}

void Machine::Reduce() {
  const Value tuple = Pop();
  const Value function = Pop();
  Require(tuple.kind == Kind::kTuple, "calls something without a tuple of arguments");
  const std::vector<Value>& arguments = ElementsOf(tuple);
  const size_t count = arguments.size();
  switch (function.kind) {
    case Kind::kReconstruct:
      Require(count == 3 && arguments[0].kind == Kind::kArrayType, "makes something else than a NumPy array");
      Push({Kind::kArray, std::ssize(pools_.arrays), {}});
      pools_.arrays.emplace_back();
      return;
    case Kind::kFromBuffer:
      Require(count == 4 && IsBytes(arguments[0]) && arguments[1].kind == Kind::kDtype &&
                  arguments[2].kind == Kind::kTuple && IsText(arguments[3]),
              "doesn't make a NumPy array of bytes, dtype, shape and order");
      Push({Kind::kArray, std::ssize(pools_.arrays), {}});
      pools_.arrays.push_back({.is_built = true,
                               .shape = arguments[2],
                               .dtype = arguments[1],
                               .bytes = arguments[0],
                               .is_fortran = arguments[3].bytes == "F"});
      return;
    case Kind::kDtypeType:
      Require(count >= 1 && IsText(arguments[0]), "makes a dtype without a name");
      Push({Kind::kDtype, 0, arguments[0].bytes});
      return;
    case Kind::kEncode:
      Require(count == 2 && arguments[0].kind == Kind::kText && IsText(arguments[1]) &&
                  (arguments[1].bytes == "latin1" || arguments[1].bytes == "latin-1"),
              "encodes something else than a text in Latin-1");
      Push({Kind::kLatin1Bytes, 0, arguments[0].bytes});
      return;
    default:
      Require(false, "calls ", NameOf(function.kind));
  }
}

void Machine::Build() {
  const Value state = Pop();
  Require(state.kind == Kind::kTuple, "sets a state that is no tuple");
  const std::vector<Value>& fields = ElementsOf(state);
  const Value object = Pop();
  Push(object);
  if (object.kind == Kind::kDtype) return;  // byte order and the like: nothing that bytes need
  Require(object.kind == Kind::kArray, "sets the state of ", NameOf(object.kind));
  Array& array = pools_.arrays[static_cast<size_t>(object.number)];
  Require(!array.is_built, "sets the state of an array twice");
  Require(fields.size() == 5 && fields[1].kind == Kind::kTuple && fields[2].kind == Kind::kDtype && IsBytes(fields[4]),
          "sets a state that no array of bytes has");
  array = {.is_built = true,
           .shape = fields[1],
           .dtype = fields[2],
           .bytes = fields[4],
           .is_fortran = fields[3].kind == Kind::kBool ? fields[3].number != 0 : false};
}

void Machine::Step(uint8_t opcode) {
  if (PushPlain(opcode) || PushBytes(opcode) || Memo(opcode) || Collect(opcode)) return;
  switch (opcode) {
    case 0x95: {  // FRAME
      const uint64_t size = TakeNumber(8);
      Require(size <= file_.size() - offset_, "frames ", size, " bytes, where the file has ", file_.size() - offset_);
      return;
    }
    case 'c': {  // GLOBAL
      const std::string_view module = TakeLine();
      PushGlobal(module, TakeLine());
      return;
    }
    case 0x93: {  // STACK_GLOBAL
      const std::vector<Value> names = PopSome(2);
      Require(IsText(names[0]) && IsText(names[1]), "names something without a text");
      PushGlobal(names[0].bytes, names[1].bytes);
      return;
    }
    case 'R':  // REDUCE
      Reduce();
      return;
    case 'b':  // BUILD
      Build();
      return;
    case '.':  // STOP
      ended_ = true;
      return;
    default:
      Require(false, "is ", Hex(opcode), ", which no dictionary of a data set needs");
  }
}

Value Machine::Run(size_t max_values) {
  max_values_ = max_values;
  CheckData(file_.size() >= 2 && static_cast<uint8_t>(file_[0]) == kProto, path_,
            ": doesn't begin as a pickle of protocol 2 to 5 at byte 0");
  const auto protocol = static_cast<int>(file_[1]);
  CheckData(protocol >= 2 && protocol <= 5, path_, ": is a pickle of protocol ", protocol, " at byte 1, not of 2 to 5");
  offset_ = 2;
  while (!ended_) {
    opcode_offset_ = offset_;
    CheckData(offset_ < file_.size(), path_, ": the pickle ends at byte ", offset_, " without its last opcode");
    Step(static_cast<uint8_t>(file_[offset_++]));
  }
  CheckData(offset_ == file_.size(), path_, ": trailing bytes from byte ", offset_, " on");
  const Value value = Pop();
  Require(stack_.empty() && marks_.empty(), "leaves more than one value");
  return value;
}

}  // namespace hwynn::pickle
