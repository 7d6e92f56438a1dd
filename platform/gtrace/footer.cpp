// SPDX-License-Identifier: Apache-2.0
// Varints and strings with their lengths.
#include "platform/gtrace/footer.hpp"

#include "platform/gtrace/format.hpp"
#include "platform/gtrace/wire.hpp"

namespace gnomon::gtrace {
namespace {

void put_string(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out += text;
}

void put_stream(std::string& out, const Stream& s) {
  for (const std::string* text : {&s.name, &s.format, &s.clock, &s.lane}) put_string(out, *text);
  put_varint(out, s.tallies.size());
  for (const Tally& tally : s.tallies) {
    put_string(out, tally.name);
    put_varint(out, tally.used);
    put_varint(out, tally.ignored);
    put_string(out, tally.why);
  }
  put_varint(out, s.notes.size());
  for (const Note& note : s.notes) {
    put_string(out, note.text);
    put_varint(out, note.count);
  }
  for (const std::uint64_t number : {s.lines, s.events, s.first_ns, s.last_ns}) put_varint(out, number);
  put_varint(out, s.by_kind.size());
  for (const std::uint64_t count : s.by_kind) put_varint(out, count);
}

[[noreturn]] void damaged(const char* what) {
  throw GtraceError{std::string{"damaged: "} + what};
}

class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number() {
    std::uint64_t value = 0;
    if (!get_varint(rest_, value)) damaged("the footer ends early");
    return value;
  }

  std::uint64_t at_most(std::uint64_t limit) {
    const std::uint64_t value = number();
    if (value > limit) damaged("a number of the footer is out of range");
    return value;
  }

  std::string string() {
    const std::uint64_t size = at_most(longest_string);
    if (size > rest_.size()) damaged("the footer ends early");
    std::string text{rest_.substr(0, size)};
    rest_.remove_prefix(size);
    return text;
  }

  /// A count of things of at least one byte each.
  std::uint64_t count() { return at_most(rest_.size()); }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

Stream get_stream(Input& in) {
  Stream s;
  for (std::string* text : {&s.name, &s.format, &s.clock, &s.lane}) *text = in.string();
  s.tallies.resize(in.at_most(most_strings));
  for (Tally& tally : s.tallies) {
    tally.name = in.string();
    tally.used = in.number();
    tally.ignored = in.number();
    tally.why = in.string();
  }
  s.notes.resize(in.at_most(most_strings));
  for (Note& note : s.notes) {
    note.text = in.string();
    note.count = in.number();
  }
  for (std::uint64_t* number : {&s.lines, &s.events, &s.first_ns, &s.last_ns}) *number = in.number();
  if (in.number() != event_kinds) damaged("another number of kinds of events");
  std::uint64_t sum = 0;
  for (std::uint64_t& count : s.by_kind) {
    count = in.number();
    if (__builtin_add_overflow(sum, count, &sum)) damaged("counts of events overflow");
  }
  if (sum != s.events) damaged("counts of events disagree");
  return s;
}

void check_blocks(const Footer& footer, std::uint64_t footer_offset) {
  std::uint64_t offset = header_size;
  std::vector<std::uint64_t> events(footer.streams.size(), 0);
  for (const BlockPlace& block : footer.blocks) {
    if (block.offset != offset) damaged("blocks are not where the footer says");
    offset += block_header_size + block.stored;
    events[block.stream] += block.events;
  }
  if (offset != footer_offset) damaged("blocks are missing");
  for (std::size_t i = 0; i < events.size(); ++i)
    if (events[i] != footer.streams[i].events) damaged("counts of events disagree");
}

}  // namespace

std::string encode(const Footer& footer) {
  std::string out;
  put_varint(out, footer.strings.size());
  for (const std::string& text : footer.strings) put_string(out, text);
  put_varint(out, footer.streams.size());
  for (const Stream& stream : footer.streams) put_stream(out, stream);
  put_varint(out, footer.blocks.size());
  for (const BlockPlace& b : footer.blocks) {
    for (const std::uint64_t number : {b.offset, b.stored, b.raw}) put_varint(out, number);
    put_varint(out, b.stream);
    put_varint(out, b.events);
  }
  return out;
}

Footer decode_footer(std::string_view bytes, std::uint64_t footer_offset) {
  Input in{bytes};
  Footer footer;
  footer.strings.resize(in.at_most(most_strings));
  for (std::string& text : footer.strings) text = in.string();
  if (footer.strings.empty() || !footer.strings.front().empty()) damaged("the first string is not empty");
  const std::uint64_t streams = in.at_most(most_streams);
  for (std::uint64_t i = 0; i < streams; ++i) footer.streams.push_back(get_stream(in));
  const std::uint64_t blocks = in.count();
  if (blocks != 0 && streams == 0) damaged("blocks of no stream");
  footer.blocks.resize(blocks);
  for (BlockPlace& b : footer.blocks) {
    b.offset = in.at_most(footer_offset);
    b.stored = in.at_most(footer_offset);
    b.raw = in.at_most(most_block_bytes);
    b.stream = static_cast<std::uint32_t>(in.at_most(streams - 1));
    b.events = static_cast<std::uint32_t>(in.at_most(most_block_bytes));
  }
  if (!in.at_end()) damaged("bytes after the footer");
  check_blocks(footer, footer_offset);
  return footer;
}

}  // namespace gnomon::gtrace
