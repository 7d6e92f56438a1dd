// SPDX-License-Identifier: Apache-2.0
// What a job tells its supervisor, as frames on a pipe: {kind: 1 byte, size: 8 bytes, payload}, in host order,
// since both ends are one program on one machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gnomon::run {

/// How far a simulation is. A horizon of 0 is unknown.
struct Progress {
  std::uint64_t simulated_ps = 0;
  std::uint64_t horizon_ps = 0;
  std::uint64_t events = 0;
  bool operator==(const Progress&) const = default;
};

/// The job's side. One thread uses it.
class Channel {
 public:
  virtual ~Channel() = default;

  /// Cheap enough to call often: never blocks, and drops what comes too soon or does not fit.
  virtual void progress(const Progress& progress) = 0;

  /// Hands over the result, of any size; blocks until the supervisor has room. Of several, the last one counts.
  virtual void result(std::string bytes) = 0;
};

/// A Channel over the write end of a pipe, which it makes non-blocking and does not own.
/// Throws std::system_error where the pipe fails.
class PipeChannel final : public Channel {
 public:
  explicit PipeChannel(int write_end, std::chrono::milliseconds progress_interval = std::chrono::milliseconds{20});

  void progress(const Progress& progress) override;
  void result(std::string bytes) override;
  void failure(std::string_view message);  ///< why the job ends without a result

 private:
  void send(std::uint8_t kind, std::string_view payload);
  void write_all(std::string_view bytes);

  const int write_end_;
  const std::chrono::steady_clock::duration progress_interval_;
  std::optional<std::chrono::steady_clock::time_point> last_progress_;
};

/// The supervisor's side: bytes in, however the pipe cut them; whole messages out.
class FrameDecoder {
 public:
  /// False if the bytes are no frames: the sender's memory is corrupt, and nothing more from it is believed.
  [[nodiscard]] bool feed(std::string_view bytes);

  /// The newest progress since the last call, if any.
  std::optional<Progress> take_progress() { return std::exchange(progress_, std::nullopt); }

  std::string take_result() { return std::move(result_); }    ///< empty unless a whole result arrived
  std::string take_failure() { return std::move(failure_); }  ///< empty unless the job said why it failed

 private:
  void accept(std::uint8_t kind, std::string_view payload);

  std::string pending_;  ///< the frame that is not whole yet
  std::optional<Progress> progress_;
  std::string result_;
  std::string failure_;
  bool garbled_ = false;
};

}  // namespace gnomon::run
