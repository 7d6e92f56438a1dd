// SPDX-License-Identifier: Apache-2.0
// What is wrong with a trace is found, placed and named.
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "platform/trace_import/sniff.hpp"
#include "tests/unit/trace_import/import_fixture.hpp"

using namespace gnomon;
using namespace gnomon::trace_import::test;

namespace {

std::string zstd_of(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

std::string gzip_of(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0'), in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string tar_member(const std::string& name, const std::string& text) {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, const std::string& field) { header.replace(at, field.size(), field); };
  char number[16];
  put(0, name);
  std::snprintf(number, sizeof number, "%011zo", text.size());
  put(124, number);
  put(156, "0");
  put(257, std::string{"ustar\0"
                       "00",
                       8});
  put(148, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(number, sizeof number, "%06o", sum);
  put(148, std::string{number} + '\0' + ' ');
  return header + text + std::string((512 - text.size() % 512) % 512, '\0');
}
std::string tar_of(const std::string& members) {
  return members + std::string(1024, '\0');
}

/// "LINE:COLUMN: message" of the only finding.
std::string refusal(const std::string& text) {
  const Imported t = import_text(text);
  if (t.findings.size() != 1) return std::to_string(t.findings.size()) + " findings";
  return std::to_string(t.findings[0].line) + ":" + std::to_string(t.findings[0].column) + ": " +
         t.findings[0].message;
}

const std::string good = map_line(1, 0x1000, 4096, 0x9000);

}  // namespace

TEST_CASE("a line that does not parse is placed, with what was expected") {
  CHECK(refusal(good + ftrace_line(".....", 2, "map: IOMMU: iova=0x1000 - 0x2000 paddr=0x9000 size=4k")) ==
        "2:96: expected the end of the line");
  CHECK(refusal(good + ftrace_line(".....", 2, "map: IOMMU: iova=0x1000 - 0x3000 paddr=0x9000 size=4096")) ==
        "2:99: expected a size that reaches from the start to the end");
  CHECK(refusal(good + "what is this?\n") == "2:1: expected COMM-PID [CPU] FLAGS SECONDS: EVENT: TEXT");
  CHECK(refusal(good + "           fio-7 [000] ..... 12345: map: x\n")
            .starts_with("2:30: expected a time in seconds"));
  CHECK(refusal("1@2.000003:vtd_inv_qi_tail write tail x\n") == "1:39: expected write tail NUMBER" + std::string{});
  CHECK(refusal("fio version 3 iolog\n5 /dev/a red 0 4096\n").starts_with("2:10: expected add, open"));
  CHECK(refusal("  8,0 0 1 0.5 7 Q R 8 - 8 [x]\n").starts_with("1:22: expected SECTOR + COUNT"));
}

TEST_CASE("at most ten findings, and none of what follows") {
  std::string text = good;
  for (int i = 0; i < 30; ++i) text += "nonsense\n";
  const Imported t = import_text(text);
  CHECK(t.findings.size() == 10);
  CHECK(t.findings.back().line == 11);
}

TEST_CASE("truncated, shuffled, repeated and foreign files") {
  CHECK(refusal(good + good.substr(0, 40)).find("the file ends within this line") != std::string::npos);
  CHECK(refusal("# tracer: nop\n# entries-in-buffer/entries-written: 3/3   #P:2\n" + good)
            .starts_with("3:1: 2 events that the header counts are not there"));
  CHECK(refusal(map_line(5, 0x1000, 4096, 0x9000) + map_line(4, 0x2000, 4096, 0x9000))
            .starts_with("2:1: time runs backwards"));
  CHECK(refusal(good + good) == "2:1: this line repeats the line before it");
  CHECK(refusal("") == "1:1: the file is empty");
  CHECK(refusal("root:x:0:0:root:/root:/bin/bash\n") == "1:1: this is no trace gnomon knows");
  CHECK(refusal(std::string(4096, '\0')) == "1:1: this is no trace gnomon knows");
  CHECK(refusal("PERFILE2xxxxxxx").find("perf script") != std::string::npos);
  CHECK(refusal(import_text(good).bytes).find("gtrace already") != std::string::npos);
  const Imported twice = import_texts({good, good});
  REQUIRE(twice.findings.size() == 1);
  CHECK(twice.findings[0].message.find("same contents as file0") != std::string::npos);
}

TEST_CASE("times of different CPUs may interleave") {
  CHECK(import_text(map_line(5, 0x1000, 4096, 0x9000, 0) + map_line(4, 0x2000, 4096, 0x9000, 1)).findings.empty());
}

TEST_CASE("lost events are noise, and are counted") {
  const Imported t = import_text("CPU:1 [LOST 66 EVENTS]\n" + good + "CPU:0 [EVENTS DROPPED]\n");
  REQUIRE(t.findings.empty());
  CHECK(t.note("events lost") == 67);
  CHECK(t.tally("lost events").ignored == 2);
}

TEST_CASE("a line of more than a MiB is no line") {
  CHECK(refusal(good + std::string(2 << 20, 'x')).find("more than 1 MiB") != std::string::npos);
}

TEST_CASE("the events do not depend on how the bytes come, nor on their packing") {
  const std::string text = excerpt("virtio-lists-6.12.ftrace");
  const auto plain = import_text(text).events;
  REQUIRE(plain.size() > 40);
  const std::string half = text.substr(0, 5000), rest = text.substr(5000);
  const std::string packed[] = {text,
                                zstd_of(text),
                                gzip_of(text),
                                zstd_of(half) + zstd_of(rest),
                                gzip_of(half) + gzip_of(rest),
                                tar_of(tar_member("a/run.ftrace", text)),
                                zstd_of(tar_of(tar_member("a/run.ftrace", text)))};
  for (const std::string& bytes : packed)
    for (const std::size_t piece : {1u, 7u, 511u, 1u << 20})
      CHECK(import_texts({bytes}, {}, piece).events == plain);
}

TEST_CASE("compressed files and archives that end early") {
  const std::string text = excerpt("virtio-lists-6.12.ftrace");
  for (const std::string& whole : {zstd_of(text), gzip_of(text), tar_of(tar_member("run.ftrace", text))}) {
    const Imported cut = import_text(whole.substr(0, whole.size() * 3 / 4));
    REQUIRE_FALSE(cut.findings.empty());
    CHECK(cut.findings.back().message.find("truncated") != std::string::npos);
  }
}

TEST_CASE("archives: members that are no traces are named, others can be left out") {
  const std::string archive =
      tar_of(tar_member("r/run.ftrace", good) + tar_member("r/console", "Linux version 6.1\n") +
             tar_member("r/empty", "") + tar_member("r/boot.ftrace", map_line(9, 0x5000, 4096, 0)));
  const Imported all = import_text(archive);
  REQUIRE(all.findings.empty());
  REQUIRE(all.streams.size() == 2);
  CHECK(all.streams[0].name == "run.ftrace");
  CHECK(all.skipped == std::vector<std::string>{"file0:r/console", "file0:r/empty"});
  trace_import::ImportOptions options;
  options.members = {"boot.ftrace"};
  CHECK(import_text(archive, options).streams.size() == 1);
  options.members = {"oot.ftrace"};
  CHECK(import_text(archive, options).findings.size() == 1);
}

TEST_CASE("what a file is does not depend on its name") {
  using trace_import::Format;
  const auto format = [](const char* name) { return trace_import::sniff(excerpt(name)).format; };
  CHECK(format("intel-6.1.ftrace") == Format::ftrace);
  CHECK(format("amd-6.12.qtrace") == Format::qemu_log);
  CHECK(format("fio-v2.log") == Format::fio_v2);
  CHECK(format("fio-v3.log") == Format::fio_v3);
  CHECK(format("blkparse.txt") == Format::blkparse);
  CHECK_FALSE(
      trace_import::sniff("vtd_inv_*\nvirtio_queue_notify\n").format);  // QEMU's list of events, not its log
}
