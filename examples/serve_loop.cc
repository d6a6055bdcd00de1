// A server's loop: serve_loop MODEL [WORKERS [REQUESTS]]. Requests wait in a queue; each worker is a thread with a
// context of its own, over the one model, and answers one after another. With a thread for each image, and none that
// waits for others, a machine answers the most requests a second; an image alone is answered sooner by a context of
// several threads. Prints how long answers took, from the request on.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/inference/inference_model.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Request {
  std::vector<uint8_t> image;
  Clock::time_point made = Clock::now();
};

// Holds few requests: who makes them faster than they are answered has to wait.
class Queue {
 public:
  explicit Queue(size_t capacity) : capacity_(capacity) {}

  void Push(Request request) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return requests_.size() < capacity_; });
    requests_.push_back(std::move(request));
    changed_.notify_all();
  }

  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  /// False when there will be no more.
  bool Pop(Request& request) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !requests_.empty() || closed_; });
    if (requests_.empty()) return false;
    request = std::move(requests_.front());
    requests_.pop_front();
    changed_.notify_all();
    return true;
  }

 private:
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;
  bool closed_ = false;
};

}  // namespace

int main(int argc, char** argv) try {
  const int workers = argc > 2 ? std::atoi(argv[2]) : hwynn::DefaultThreadCount();
  const int requests = argc > 3 ? std::atoi(argv[3]) : 200;
  if (argc < 2 || argc > 4 || workers < 1 || requests < 1)
    throw std::invalid_argument("usage: serve_loop MODEL [WORKERS [REQUESTS]]");
  const hwynn::InferenceModel model = hwynn::InferenceModel::Load(argv[1]);
  const hwynn::Shape& image = model.info().image_shape;
  if (image.num_elements() == 0)
    throw std::runtime_error(std::string(argv[1]) + ": doesn't say the size of its images");
  const hwynn::Shape shape{1, image[0], image[1], image[2]};

  Queue queue(2 * static_cast<size_t>(workers));
  std::mutex mutex;  // of what follows
  std::vector<double> milliseconds;
  std::exception_ptr failure;
  const auto serve = [&] {
    try {
      hwynn::InferenceContext context(model, {.threads = 1});
      for (Request request; queue.Pop(request);) {
        context.RunBytes(request.image.data(), shape);
        const std::chrono::duration<double, std::milli> took = Clock::now() - request.made;
        const std::lock_guard lock(mutex);
        milliseconds.push_back(took.count());
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
    for (Request rest; queue.Pop(rest);) {  // after a failure: who makes requests must not wait for ever
    }
  };
  const Clock::time_point start = Clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; ++i) threads.emplace_back(serve);
  for (int i = 0; i < requests; ++i) {
    Request request{.image = std::vector<uint8_t>(static_cast<size_t>(image.num_elements()))};
    for (size_t j = 0; j < request.image.size(); ++j) request.image[j] = static_cast<uint8_t>(i + 31 * j);
    queue.Push(std::move(request));
  }
  queue.Close();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);

  const std::chrono::duration<double> seconds = Clock::now() - start;
  std::ranges::sort(milliseconds);
  const auto percentile = [&](size_t percent) { return milliseconds[(milliseconds.size() - 1) * percent / 100]; };
  std::printf("%zu requests, %d workers: %.1f a second\n", milliseconds.size(), workers,
              static_cast<double>(milliseconds.size()) / seconds.count());
  std::printf("milliseconds: p50 %.2f, p90 %.2f, p99 %.2f, max %.2f\n", percentile(50), percentile(90), percentile(99),
              milliseconds.back());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
