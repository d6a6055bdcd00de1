#include "hwynn/core/workspace.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace hwynn {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
// Two cache lines: what x86's adjacent-line prefetcher pulls in together.
constexpr size_t kAlignmentBytes = 128;
// Small requests share a chunk, so that a model of many small tensors stays on few huge pages.
constexpr size_t kMinChunkBytes = size_t{32} << 20;

constexpr size_t RoundUp(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

struct Chunk {
  char* data;
  size_t size;
  std::map<size_t, size_t> free;  // offset → size of each free region, never adjacent to another
};

}  // namespace

class PooledMemory final : public WorkspaceMemory {
 public:
  ~PooledMemory() override {
    for (const Chunk& chunk : chunks_) ::operator delete (chunk.data, std::align_val_t{kHugePageBytes});
  }

  float* Allocate(size_t wanted) {
    const size_t size = RoundUp(std::max<size_t>(wanted, 1), kAlignmentBytes);
    const std::lock_guard lock(mutex_);
    char* data = TakeFirstFit(size);
    if (data == nullptr) {
      AddChunk(std::max(RoundUp(size, kHugePageBytes), kMinChunkBytes));
      data = TakeFirstFit(size);
    }
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
    return reinterpret_cast<float*>(data);
  }

  void Release(const float* pointer) noexcept override {
    const auto* data = reinterpret_cast<const char*>(pointer);
    const std::lock_guard lock(mutex_);
    const auto taken = taken_.find(data);
    HWYNN_DCHECK(taken != taken_.end());
    const auto [chunk_index, size] = taken->second;
    taken_.erase(taken);
    in_use_ -= size;
    Chunk& chunk = chunks_[chunk_index];
    auto region = chunk.free.emplace(static_cast<size_t>(data - chunk.data), size).first;
    const auto next = std::next(region);
    if (next != chunk.free.end() && region->first + region->second == next->first) {
      region->second += next->second;
      chunk.free.erase(next);
    }
    if (region != chunk.free.begin()) {
      const auto previous = std::prev(region);
      if (previous->first + previous->second == region->first) {
        previous->second += region->second;
        chunk.free.erase(region);
      }
    }
  }

  size_t in_use() const { return Locked(in_use_); }
  size_t peak() const { return Locked(peak_); }
  size_t reserved() const { return Locked(reserved_); }

 private:
  size_t Locked(const size_t& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  char* TakeFirstFit(size_t size) {
    for (size_t index = 0; index < chunks_.size(); ++index) {
      Chunk& chunk = chunks_[index];
      const auto region =
          std::find_if(chunk.free.begin(), chunk.free.end(), [&](const auto& r) { return r.second >= size; });
      if (region == chunk.free.end()) continue;
      const auto [offset, available] = *region;
      char* data = chunk.data + offset;
      taken_.emplace(data, std::pair(index, size));
      chunk.free.erase(region);
      if (available > size) chunk.free.emplace(offset + size, available - size);
      return data;
    }
    return nullptr;
  }

  void AddChunk(size_t size) {
    auto* data = static_cast<char*>(::operator new (size, std::align_val_t{kHugePageBytes}));
#if defined(__linux__)
    madvise(data, size, MADV_HUGEPAGE);  // advice: where it is refused, 4 KiB pages are still correct
#endif
    chunks_.push_back({data, size, {{0, size}}});
    reserved_ += size;
  }

  mutable std::mutex mutex_;
  std::vector<Chunk> chunks_;
  std::unordered_map<const char*, std::pair<size_t, size_t>> taken_;  // address → chunk index, size
  size_t in_use_ = 0;
  size_t peak_ = 0;
  size_t reserved_ = 0;
};

namespace {
PooledMemory& Pooled(const std::shared_ptr<WorkspaceMemory>& memory) { return static_cast<PooledMemory&>(*memory); }
}  // namespace

Workspace::Workspace() : memory_(std::make_shared<PooledMemory>()) {}

Tensor Workspace::NewTensor(const Shape& shape) const {
  const size_t bytes = static_cast<size_t>(shape.num_elements()) * sizeof(float);
  return {Pooled(memory_).Allocate(bytes), shape, memory_};
}

int64_t Workspace::bytes_in_use() const { return static_cast<int64_t>(Pooled(memory_).in_use()); }
int64_t Workspace::peak_bytes() const { return static_cast<int64_t>(Pooled(memory_).peak()); }
int64_t Workspace::bytes_reserved() const { return static_cast<int64_t>(Pooled(memory_).reserved()); }

}  // namespace hwynn
