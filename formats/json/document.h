#ifndef HWYNN_FORMATS_JSON_DOCUMENT_H_
#define HWYNN_FORMATS_JSON_DOCUMENT_H_

// nlohmann's JSON for readers that must stand a lack of memory. Its destructor of a value with children asks for
// memory, and ends the program where there is none; so a document takes itself apart from its leaves on, which needs
// none, and is built within itself, so that whatever throws while it is read, a part of it is taken apart in the same
// way.

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace hwynn::json {

template <class Json>
class Document {
 public:
  Document() = default;
  ~Document() { TakeApart(root_); }
  Document(Document&& other) noexcept : root_(std::move(other.root_)) {}
  Document& operator=(Document&& other) noexcept {
    std::swap(root_, other.root_);
    return *this;
  }

  const Json& operator*() const { return root_; }
  const Json* operator->() const { return &root_; }
  Json& root() { return root_; }

 private:
  static void TakeApart(Json& value) noexcept {
    if (auto* list = value.template get_ptr<typename Json::array_t*>()) {
      for (; !list->empty(); list->pop_back()) TakeApart(list->back());
    } else if (auto* object = value.template get_ptr<typename Json::object_t*>()) {
      while (!object->empty()) {
        const auto last = std::prev(object->end());
        TakeApart(last->second);
        object->erase(last);
      }
    }
  }

  Json root_;
};

/// What Parse calls as it goes, in the places of nlohmann's parser callbacks: observe(depth, event, key), where depth
/// counts the lists and objects that are open around the value, and key is an object's key at event key. It may throw.
template <class Json, class Observe>
class Builder {
 public:
  using Event = typename Json::parse_event_t;

  Builder(Json& root, const Observe& observe) : root_(root), observe_(observe) {}

  bool null() { return Leaf(Json()); }
  bool boolean(bool value) { return Leaf(Json(value)); }
  bool number_integer(typename Json::number_integer_t value) { return Leaf(Json(value)); }
  bool number_unsigned(typename Json::number_unsigned_t value) { return Leaf(Json(value)); }
  bool number_float(typename Json::number_float_t value, const std::string&) { return Leaf(Json(value)); }
  bool string(std::string& value) { return Leaf(Json(std::move(value))); }
  bool binary(typename Json::binary_t&) { return false; }  // never in a text
  bool start_object(std::size_t) { return Open(Json::object(), Event::object_start); }
  bool start_array(std::size_t) { return Open(Json::array(), Event::array_start); }
  bool end_object() { return Close(Event::object_end); }
  bool end_array() { return Close(Event::array_end); }
  bool key(std::string& name) {
    observe_(Depth(), Event::key, name);
    key_ = std::move(name);
    return true;
  }

  /// Throws what Json::parse throws.
  bool parse_error(std::size_t, const std::string&, const typename Json::exception& error) {
    if (const auto* syntax = dynamic_cast<const typename Json::parse_error*>(&error)) throw *syntax;
    if (const auto* range = dynamic_cast<const typename Json::out_of_range*>(&error)) throw *range;
    throw error;
  }

 private:
  int Depth() const { return static_cast<int>(open_.size()); }

  bool Leaf(Json&& value) {
    observe_(Depth(), Event::value, std::string());
    Add(std::move(value));
    return true;
  }

  bool Open(Json&& value, Event event) {
    observe_(Depth(), event, std::string());
    open_.push_back(Add(std::move(value)));
    return true;
  }

  bool Close(Event event) {
    open_.pop_back();
    observe_(Depth(), event, std::string());
    return true;
  }

  Json* Add(Json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (auto* list = parent.template get_ptr<typename Json::array_t*>()) {
      list->push_back(std::move(value));
      return &list->back();
    }
    Json& place = (*parent.template get_ptr<typename Json::object_t*>())[key_];
    place = std::move(value);
    return &place;
  }

  Json& root_;
  const Observe& observe_;
  std::vector<Json*> open_;  // an element stays where it is while it is open: only its own children are added to
  std::string key_;
};

/// Json::parse with a callback, as a Document.
template <class Json, class Text, class Observe>
Document<Json> Parse(const Text& text, const Observe& observe) {
  Document<Json> document;
  Builder<Json, Observe> builder(document.root(), observe);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return document;
}

}  // namespace hwynn::json

#endif  // HWYNN_FORMATS_JSON_DOCUMENT_H_
