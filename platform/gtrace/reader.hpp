// SPDX-License-Identifier: Apache-2.0
// Reads a gtrace event by event; one block is in memory at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "platform/gtrace/block.hpp"
#include "platform/gtrace/footer.hpp"

namespace gnomon::gtrace {

/// Bytes that can be read anywhere.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;

  virtual std::uint64_t size() const = 0;
  /// All of `into`, from `offset`; it lies within the size. Throws std::system_error.
  virtual void read(std::uint64_t offset, std::span<char> into) = 0;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<char> into) override;

 private:
  std::string_view bytes_;
};

/// Everything throws GtraceError where the bytes are not a whole, undamaged gtrace of this version.
class GtraceReader {
 public:
  /// Reads header and footer. `source` must outlive the reader.
  explicit GtraceReader(ByteSource& source);

  const std::vector<Stream>& streams() const { return footer_.streams; }
  std::uint64_t events() const;  ///< of all streams
  std::size_t blocks() const { return footer_.blocks.size(); }
  std::string_view string(std::uint64_t number) const { return footer_.strings.at(number); }
  std::size_t strings() const { return footer_.strings.size(); }

  /// From the first event again, of this stream only, or of all.
  void rewind(std::optional<std::uint32_t> stream = std::nullopt);

  /// The next event, streams one after the other, each in the order recorded. False after the last.
  bool next(Event& event);
  std::uint32_t stream() const { return current_stream_; }  ///< of the event next() gave

 private:
  bool load_block();

  ByteSource& source_;
  Footer footer_;
  std::optional<std::uint32_t> only_;
  std::size_t next_block_ = 0;
  std::uint32_t current_stream_ = 0;
  std::uint64_t left_ = 0;  // events of this block
  std::string stored_, raw_;
  BlockDecoder decoder_;
};

}  // namespace gnomon::gtrace
