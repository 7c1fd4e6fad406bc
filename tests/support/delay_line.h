// What a link of constant delay holds: packets on their way.
#ifndef PARLEY_TESTS_SUPPORT_DELAY_LINE_H_
#define PARLEY_TESTS_SUPPORT_DELAY_LINE_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace parley {

// Gives each packet back once it is `delay` old, in the order in which they
// came. Pure: `now` is told, and must not go back. Not thread-safe.
class DelayLine {
 public:
  struct Packet {
    absl::Time due;
    int to = 0;
    std::string bytes;
  };

  // Of more than `max_bytes` on their way the newest are lost.
  DelayLine(absl::Duration delay, int64_t max_bytes)
      : delay_(delay), max_bytes_(max_bytes) {}

  // False: it is lost.
  bool Push(int to, std::string bytes, absl::Time now) {
    const int64_t size = static_cast<int64_t>(bytes.size());
    if (size > max_bytes_ - held_bytes_) return false;
    held_bytes_ += size;
    packets_.push_back({now + delay_, to, std::move(bytes)});
    return true;
  }

  // The next one that is due, or nothing.
  std::optional<Packet> Pop(absl::Time now) {
    if (packets_.empty() || packets_.front().due > now) return std::nullopt;
    Packet packet = std::move(packets_.front());
    packets_.pop_front();
    held_bytes_ -= static_cast<int64_t>(packet.bytes.size());
    return packet;
  }

  // When the next one will be.
  absl::Time next() const {
    return packets_.empty() ? absl::InfiniteFuture() : packets_.front().due;
  }

 private:
  const absl::Duration delay_;
  const int64_t max_bytes_;
  int64_t held_bytes_ = 0;
  std::deque<Packet> packets_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_SUPPORT_DELAY_LINE_H_
