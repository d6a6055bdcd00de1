#include "hwynn/training/profile.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

namespace hwynn {
namespace {

constexpr std::pair<WorkKind, const char*> kKinds[] = {{WorkKind::kConvolution, "convolution"},
                                                       {WorkKind::kDense, "dense"},
                                                       {WorkKind::kPooling, "pooling"},
                                                       {WorkKind::kPass, "pass over memory"}};

const char* NameOf(WorkKind kind) {
  return std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& row) { return row.first == kind; })->second;
}

// A row of the table.
std::string Row(const std::string& name, const std::string& what, double seconds, double bytes, double kept) {
  char line[256];
  std::snprintf(line, sizeof line, "%-40s %-18s %9.3f %9.1f %8.1f %9.1f\n", name.c_str(), what.c_str(), seconds * 1e3,
                bytes * 1e-6, seconds > 0 ? bytes / seconds * 1e-9 : 0.0, kept * 1e-6);
  return line;
}

}  // namespace

void StepProfile::OnWork(const Work& work) noexcept {
  if (!complete_) return;
  try {
    work_.push_back(work);
  } catch (...) {  // nothing but memory can be missing
    complete_ = false;
  }
}

int64_t StepProfile::kept_bytes() const {
  int64_t bytes = 0;
  for (const auto& kept : kept_) bytes += kept.second;
  return bytes;
}

double StepProfile::Seconds(WorkKind kind) const {
  double seconds = 0;
  for (const Work& work : work_) seconds += work.kind == kind ? work.seconds : 0.0;
  return seconds;
}

std::string StepProfile::Table() const {
  char head[256];
  std::snprintf(head, sizeof head, "%-40s %-18s %9s %9s %8s %9s\n", "module", "work", "ms", "MB moved", "GB/s",
                "MB kept");
  std::string table = head;
  std::map<std::string, int64_t> kept;
  for (const auto& [path, bytes] : kept_) kept[path] += bytes;
  for (const Work& work : work_) {
    // What a module keeps stands once, beside its first work.
    const auto found = kept.find(work.path);
    const double bytes = found == kept.end() ? 0.0 : static_cast<double>(found->second);
    if (found != kept.end()) kept.erase(found);
    table += Row(work.path, std::string(work.what), work.seconds, static_cast<double>(work.bytes), bytes);
  }
  for (const auto& [path, bytes] : kept) table += Row(path, "", 0, 0, static_cast<double>(bytes));
  for (const auto& [kind, name] : kKinds) {
    double bytes = 0;
    for (const Work& work : work_) bytes += work.kind == kind ? static_cast<double>(work.bytes) : 0.0;
    table += Row("all", name, Seconds(kind), bytes, 0);
  }
  table += Row("all", "kept", 0, 0, static_cast<double>(kept_bytes()));
  return complete_ ? table : table + "incomplete: memory ran out\n";
}

std::string StepProfile::TraceJson() const {
  using Json = nlohmann::ordered_json;
  Json events = Json::array();
  for (const Work& work : work_) {
    const std::chrono::duration<double, std::micro> start = work.start - work_.front().start;
    events.push_back({{"name", work.path + " " + std::string(work.what)},
                      {"cat", NameOf(work.kind)},
                      {"ph", "X"},
                      {"pid", 1},
                      {"tid", 1},
                      {"ts", start.count()},
                      {"dur", work.seconds * 1e6},
                      {"args", {{"bytes", work.bytes}}}});
  }
  return Json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump() + "\n";
}

void StepProfile::Clear() {
  work_.clear();
  complete_ = true;
  kept_.clear();
}

}  // namespace hwynn
