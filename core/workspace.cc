#include "hwynn/core/workspace.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory_resource>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace hwynn {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
// Two cache lines: what x86's adjacent-line prefetcher pulls in together.
constexpr size_t kAlignmentBytes = 128;
// Of addresses, which cost nothing until they are used; an emulator, though, may keep a book of them. So a workspace
// begins with few, and most stay there.
constexpr size_t kChunkBytes = size_t{16} << 30;
// Where the system grants no more addresses than memory: small requests share a chunk.
constexpr size_t kMinChunkBytes = size_t{32} << 20;

constexpr size_t WholeUnits(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// A part of a chunk. The regions of a chunk cover it; two that are free are never neighbours.
struct Region {
  size_t size;
  bool free;
};

// Where the nodes of those lists live: what it once got from the heap it keeps and gives out again. (Not std::pmr's
// pools: libstdc++'s are broken after an allocation of theirs that failed.)
class NodeMemory final : public std::pmr::memory_resource {
 public:
  NodeMemory() = default;
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;
  ~NodeMemory() override {
    while (free_ != nullptr) ::operator delete(std::exchange(free_, free_->next));
  }

 private:
  struct FreeNode {
    FreeNode* next;
  };

  void* do_allocate(size_t bytes, size_t) override {
    HWYNN_DCHECK(bytes_ == 0 || bytes_ == bytes);
    bytes_ = bytes;  // all nodes are of one kind
    if (free_ == nullptr) return ::operator new(std::max(bytes, sizeof(FreeNode)));
    return std::exchange(free_, free_->next);
  }
  void do_deallocate(void* node, size_t, size_t) override { free_ = new (node) FreeNode{free_}; }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  size_t bytes_ = 0;
  FreeNode* free_ = nullptr;
};

// Memory in one piece. From the system it comes page by page, when it is first written: so a chunk can be larger than
// all that will ever be asked for, and then free neighbours merge wherever they lie.
class Chunk {
 public:
  /// At least `bytes`, with so many addresses if the system grants them. `nodes` is where the list of regions lives.
  /// Throws std::bad_alloc.
  Chunk(size_t bytes, size_t addresses, std::pmr::memory_resource& nodes);
  Chunk(Chunk&& other) noexcept
      : regions(std::move(other.regions)),
        used(other.used),
        size_(other.size_),
        mapped_(std::exchange(other.mapped_, nullptr)),
        data_(std::exchange(other.data_, nullptr)) {}
  Chunk& operator=(Chunk&&) = delete;
  ~Chunk();

  char* data() const { return data_; }
  size_t size() const { return size_; }

  std::pmr::map<size_t, Region> regions;  // by offset
  size_t used = 0;                        // bytes from the front that were ever handed out

 private:
  size_t size_;
  void* mapped_ = nullptr;  // what the system gave; null: operator new did
  char* data_ = nullptr;
};

Chunk::Chunk(size_t bytes, size_t addresses, std::pmr::memory_resource& nodes)
    : regions(&nodes), size_(WholeUnits(bytes, kHugePageBytes)) {
  Region& all = regions.emplace(0, Region{0, true}).first->second;  // first: whatever throws, nothing stays mapped
#if defined(__linux__)
  const size_t wanted = std::max(size_, addresses);
  void* mapped = mmap(nullptr, wanted + kHugePageBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped != MAP_FAILED) {
    const auto address = reinterpret_cast<uintptr_t>(mapped);
    mapped_ = mapped;
    data_ = static_cast<char*>(mapped) + (WholeUnits(address, kHugePageBytes) - address);
    size_ = wanted;
  }
#endif
  if (data_ == nullptr) {
    size_ = std::max(size_, kMinChunkBytes);
    data_ = static_cast<char*>(::operator new (size_, std::align_val_t{kHugePageBytes}));
  }
#if defined(__linux__)
  madvise(data_, size_, MADV_HUGEPAGE);  // advice: where it is refused, 4 KiB pages are still correct
#endif
  all.size = size_;
}

Chunk::~Chunk() {
#if defined(__linux__)
  if (mapped_ != nullptr) {
    munmap(mapped_, size_ + kHugePageBytes);
    return;
  }
#endif
  ::operator delete (data_, std::align_val_t{kHugePageBytes});
}

}  // namespace

class PooledMemory final : public WorkspaceMemory {
 public:
  void* Allocate(size_t wanted) {
    const size_t size = WholeUnits(std::max<size_t>(wanted, 1), kAlignmentBytes);
    const std::lock_guard lock(mutex_);
    char* data = TakeFirstFit(size);
    if (data == nullptr) {
      const bool small = chunks_.empty() && size <= kMinChunkBytes;
      chunks_.emplace_back(size, small ? kMinChunkBytes : kChunkBytes, nodes_);
      data = TakeFirstFit(size);
    }
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
    return data;
  }

  // Allocates nothing: it only marks a region and takes away those that merge with it.
  void Release(const void* pointer) noexcept override {
    const auto* data = static_cast<const char*>(pointer);
    const std::lock_guard lock(mutex_);
    const auto chunk = std::ranges::find_if(chunks_, [&](const Chunk& c) {
      return !std::less<>()(data, c.data()) && std::less<>()(data, c.data() + c.size());
    });
    HWYNN_DCHECK(chunk != chunks_.end());
    auto& regions = chunk->regions;
    auto region = regions.find(static_cast<size_t>(data - chunk->data()));
    HWYNN_DCHECK(region != regions.end() && !region->second.free);
    in_use_ -= region->second.size;
    region->second.free = true;
    if (const auto next = std::next(region); next != regions.end() && next->second.free) {
      region->second.size += next->second.size;
      regions.erase(next);
    }
    if (region == regions.begin()) return;
    if (const auto previous = std::prev(region); previous->second.free) {
      previous->second.size += region->second.size;
      regions.erase(region);
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
    for (Chunk& chunk : chunks_) {
      const auto found = std::ranges::find_if(
          chunk.regions, [&](const auto& region) { return region.second.free && region.second.size >= size; });
      if (found == chunk.regions.end()) continue;
      const auto [offset, region] = *found;
      if (region.size > size) chunk.regions.emplace(offset + size, Region{region.size - size, true});
      found->second = {size, false};
      const size_t used = std::max(chunk.used, WholeUnits(offset + size, kHugePageBytes));
      reserved_ += used - chunk.used;
      chunk.used = used;
      return chunk.data() + offset;
    }
    return nullptr;
  }

  mutable std::mutex mutex_;
  NodeMemory nodes_;
  std::vector<Chunk> chunks_;
  size_t in_use_ = 0;
  size_t peak_ = 0;
  size_t reserved_ = 0;
};

namespace {

PooledMemory& Pooled(const std::shared_ptr<WorkspaceMemory>& memory) { return static_cast<PooledMemory&>(*memory); }

// Stands behind a tensor whose memory somebody else releases.
class BorrowedMemory final : public WorkspaceMemory {
 public:
  explicit BorrowedMemory(std::shared_ptr<const void> keeper) : keeper_(std::move(keeper)) {}
  void Release(const void*) noexcept override {}

 private:
  std::shared_ptr<const void> keeper_;
};

}  // namespace

Buffer::Buffer(std::byte* data, int64_t bytes, std::shared_ptr<WorkspaceMemory> owner)
    : data_(data), bytes_(bytes), owner_(std::move(owner)) {}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      owner_(std::move(other.owner_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(owner_, other.owner_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ != nullptr) owner_->Release(data_);
}

Workspace::Workspace() : memory_(std::make_shared<PooledMemory>()) {}

Tensor Workspace::NewTensor(const Shape& shape) const {
  const size_t bytes = static_cast<size_t>(shape.num_elements()) * sizeof(float);
  return {static_cast<float*>(Pooled(memory_).Allocate(bytes)), shape, memory_};
}

Buffer Workspace::NewBuffer(int64_t bytes) const {
  return {static_cast<std::byte*>(Pooled(memory_).Allocate(static_cast<size_t>(bytes))), bytes, memory_};
}

int64_t Workspace::bytes_in_use() const { return static_cast<int64_t>(Pooled(memory_).in_use()); }
int64_t Workspace::peak_bytes() const { return static_cast<int64_t>(Pooled(memory_).peak()); }
int64_t Workspace::bytes_reserved() const { return static_cast<int64_t>(Pooled(memory_).reserved()); }

Tensor BorrowTensor(TensorView values, std::shared_ptr<const void> keeper) {
  return {values.data(), values.shape(), std::make_shared<BorrowedMemory>(std::move(keeper))};
}

}  // namespace hwynn
