// SPDX-License-Identifier: Apache-2.0
// Header, blocks, footer, trailer.
#include "platform/gtrace/writer.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "platform/gtrace/format.hpp"
#include "platform/gtrace/wire.hpp"

namespace gnomon::gtrace {

GtraceWriter::GtraceWriter(Sink sink) : sink_(std::move(sink)) {
  std::string header{magic};
  put_word<std::uint32_t>(header, format_version);
  put_word<std::uint32_t>(header, 0);
  put(header);
}

void GtraceWriter::put(std::string_view bytes) {
  sink_(bytes);
  offset_ += bytes.size();
}

void GtraceWriter::begin_stream() {
  if (footer_.streams.size() == most_streams) throw std::length_error{"more than 4096 sources"};
  counted_ = {};
}

void GtraceWriter::add(const Event& event) {
  if (event.runs.size() > most_runs) throw std::invalid_argument{"a mapping of more than 65,536 runs"};
  block_.add(event);
  counted_.first_ns = counted_.events == 0 ? event.time_ns : std::min(counted_.first_ns, event.time_ns);
  counted_.last_ns = std::max(counted_.last_ns, event.time_ns);
  ++counted_.events;
  ++counted_.by_kind[static_cast<std::size_t>(event.kind)];
  if (block_.bytes().size() >= block_target) write_block();
}

void GtraceWriter::write_block() {
  if (block_.events() == 0) return;
  scratch_.clear();
  compress(scratch_, block_.bytes());
  BlockPlace place;
  place.offset = offset_;
  place.stored = scratch_.size();
  place.raw = block_.bytes().size();
  place.stream = static_cast<std::uint32_t>(footer_.streams.size());
  place.events = block_.events();
  std::string header;
  put_word<std::uint32_t>(header, place.stream);
  put_word<std::uint32_t>(header, place.events);
  put_word<std::uint32_t>(header, static_cast<std::uint32_t>(place.raw));
  put_word<std::uint32_t>(header, static_cast<std::uint32_t>(place.stored));
  put_word(header, hash_of(scratch_));
  put_word(header, hash_of(header));
  put(header);
  put(scratch_);
  footer_.blocks.push_back(place);
  block_.clear();
}

const Stream& GtraceWriter::end_stream(Stream about) {
  write_block();
  about.events = counted_.events;
  about.first_ns = counted_.first_ns;
  about.last_ns = counted_.last_ns;
  about.by_kind = counted_.by_kind;
  footer_.streams.push_back(std::move(about));
  return footer_.streams.back();
}

void GtraceWriter::finish() {
  for (std::size_t i = 0; i < strings_.size(); ++i) footer_.strings.emplace_back(strings_[i]);
  const std::string raw = encode(footer_);
  if (raw.size() > most_footer_bytes) throw std::length_error{"a footer of more than 64 MiB"};
  std::string stored;
  compress(stored, raw);
  std::string trailer;
  put_word<std::uint64_t>(trailer, offset_);
  put_word<std::uint64_t>(trailer, stored.size());
  put_word<std::uint64_t>(trailer, raw.size());
  put_word(trailer, hash_of(stored));
  trailer += end_magic;
  put(stored);
  put(trailer);
}

}  // namespace gnomon::gtrace
