// SPDX-License-Identifier: Apache-2.0
// Trailer, footer, then the blocks in order.
#include "platform/gtrace/reader.hpp"

#include <algorithm>
#include <cstring>

#include "platform/gtrace/format.hpp"
#include "platform/gtrace/wire.hpp"

namespace gnomon::gtrace {
namespace {

std::string bytes_at(ByteSource& source, std::uint64_t offset, std::uint64_t size) {
  std::string bytes(size, '\0');
  source.read(offset, bytes);
  return bytes;
}

void check_header(ByteSource& source) {
  if (source.size() < header_size) throw GtraceError{"not a gtrace: it is shorter than the header of one"};
  const std::string header = bytes_at(source, 0, header_size);
  if (!header.starts_with(magic)) throw GtraceError{"not a gtrace: it does not start as one"};
  const auto version = word_at<std::uint32_t>(header, magic.size());
  if (version != format_version)
    throw GtraceError{"a gtrace of format version " + std::to_string(version) + "; this program reads version " +
                      std::to_string(format_version)};
  if (word_at<std::uint32_t>(header, magic.size() + 4) != 0) throw GtraceError{"damaged: the header"};
}

Footer read_footer(ByteSource& source) {
  const std::string cut = "truncated: the end of a gtrace is missing";
  if (source.size() < header_size + trailer_size) throw GtraceError{cut};
  const std::uint64_t end = source.size() - trailer_size;
  const std::string trailer = bytes_at(source, end, trailer_size);
  if (!trailer.ends_with(end_magic)) throw GtraceError{cut};
  const auto offset = word_at<std::uint64_t>(trailer, 0);
  const auto stored_size = word_at<std::uint64_t>(trailer, 8);
  const auto raw_size = word_at<std::uint64_t>(trailer, 16);
  if (offset < header_size || offset > end || stored_size != end - offset || raw_size > most_footer_bytes ||
      stored_size > most_footer_bytes)
    throw GtraceError{"damaged: the footer is not where the trailer says"};
  const std::string stored = bytes_at(source, offset, stored_size);
  if (hash_of(stored) != word_at<std::uint64_t>(trailer, 24)) throw GtraceError{"damaged: checksum of the footer"};
  std::string raw;
  decompress(raw, stored, raw_size);
  return decode_footer(raw, offset);
}

}  // namespace

void MemorySource::read(std::uint64_t offset, std::span<char> into) {
  std::memcpy(into.data(), bytes_.data() + offset, into.size());
}

GtraceReader::GtraceReader(ByteSource& source) : source_(source) {
  check_header(source_);
  footer_ = read_footer(source_);
}

std::uint64_t GtraceReader::events() const {
  std::uint64_t sum = 0;
  for (const Stream& stream : footer_.streams) sum += stream.events;
  return sum;
}

void GtraceReader::rewind(std::optional<std::uint32_t> stream) {
  only_ = stream;
  next_block_ = 0;
  left_ = 0;
  decoder_ = {};
}

bool GtraceReader::load_block() {
  while (next_block_ < footer_.blocks.size() && only_ && footer_.blocks[next_block_].stream != *only_)
    ++next_block_;
  if (next_block_ == footer_.blocks.size()) return false;
  const BlockPlace& place = footer_.blocks[next_block_++];
  const auto at = [&] { return " of the block at byte " + std::to_string(place.offset); };
  const std::string header = bytes_at(source_, place.offset, block_header_size);
  const std::string_view hashed = std::string_view{header}.substr(0, 24);
  if (hash_of(hashed) != word_at<std::uint64_t>(header, 24))
    throw GtraceError{"damaged: checksum of the header" + at()};
  if (word_at<std::uint32_t>(header, 0) != place.stream || word_at<std::uint32_t>(header, 4) != place.events ||
      word_at<std::uint32_t>(header, 8) != place.raw || word_at<std::uint32_t>(header, 12) != place.stored)
    throw GtraceError{"damaged: the footer contradicts the header" + at()};
  stored_.resize(place.stored);
  source_.read(place.offset + block_header_size, stored_);
  if (hash_of(stored_) != word_at<std::uint64_t>(header, 16)) throw GtraceError{"damaged: checksum" + at()};
  decompress(raw_, stored_, place.raw);
  decoder_ = BlockDecoder{raw_, footer_.strings.size()};
  current_stream_ = place.stream;
  left_ = place.events;
  return true;
}

bool GtraceReader::next(Event& event) {
  while (left_ == 0) {
    if (decoder_.next(event)) throw GtraceError{"damaged: a block holds more events than it says"};
    if (!load_block()) return false;
  }
  if (!decoder_.next(event)) throw GtraceError{"damaged: a block holds fewer events than it says"};
  --left_;
  return true;
}

}  // namespace gnomon::gtrace
