// SPDX-License-Identifier: Apache-2.0
// fio job files that are refused: the exact words and places.
#include <catch2/catch.hpp>

#include "guest/fio/job_file.hpp"

using namespace gnomon::fio;

namespace {

/// All diagnostics, one a line.
std::string errors(std::string_view text, const JobFileContext& context = {}) {
  std::string out;
  for (const auto& diagnostic : parse_job_file(text, context).diagnostics) {
    if (!out.empty()) out += '\n';
    out += to_string(diagnostic, "j");
  }
  return out;
}

/// Of one job that is right but for this line, its fourth.
std::string error_of(const std::string& line) {
  return errors("[a]\nioengine=libaio\ndirect=1\n" + line + "\n");
}

}  // namespace

TEST_CASE("unknown options name the nearest one") {
  CHECK(error_of("sze=1M") == "j:4:1: unknown option 'sze'; did you mean 'size'?");
  CHECK(error_of("  blokcsize=4k") == "j:4:3: unknown option 'blokcsize'; did you mean 'blocksize'?");
  CHECK(error_of("BS=4k") == "j:4:1: unknown option 'BS'; did you mean 'bs'?");
  CHECK(error_of("completely_else=1") == "j:4:1: unknown option 'completely_else'");
}

TEST_CASE("options that would change the run and are not simulated are errors") {
  CHECK(error_of("verify=crc32c") == "j:4:8: verify=crc32c is not modelled (accepted: 0)");
  CHECK(error_of("rate_process=poisson") == "j:4:14: rate_process=poisson is not modelled (accepted: linear)");
  CHECK(error_of("random_distribution=zipf:1.2") ==
        "j:4:21: random_distribution=zipf:1.2 is not modelled (accepted: random)");
  CHECK(error_of("zonemode=zbd") == "j:4:10: zonemode=zbd is not modelled (accepted: none)");
  CHECK(error_of("bsrange=1k-4k") == "j:4:1: option 'bsrange' is not modelled");
  CHECK(error_of("wait_for=b") == "j:4:1: option 'wait_for' is not modelled");
  CHECK(error_of("exitall") == "j:4:1: exitall is not modelled (accepted: 0)");
  CHECK(error_of("rate_process=linear").empty());
}

TEST_CASE("patterns that trim or skip are not modelled") {
  const std::string accepted = " (accepted: read write randread randwrite rw readwrite randrw)";
  CHECK(error_of("rw=randtrim") == "j:4:4: rw=randtrim is not modelled" + accepted);
  CHECK(error_of("rw=read:8") == "j:4:4: rw=read:8 is not modelled" + accepted);
  CHECK(error_of("rw=redd") == "j:4:4: rw: 'redd' is not one of its values; did you mean 'read'?" + accepted);
}

TEST_CASE("buffered I/O is refused, also where fio would take it by default") {
  CHECK(error_of("direct=0") == "j:4:8: buffered I/O is not modelled (accepted: 1)");
  CHECK(error_of("buffered=1") == "j:4:10: buffered I/O is not modelled (accepted: 0)");
  CHECK(error_of("buffered=0").empty());
  CHECK(errors("[a]\nioengine=libaio\n") ==
        "j:1:1: buffered I/O, fio's default, is not modelled; the job needs direct=1");
  CHECK(errors("[a]\nioengine=null\n").empty());
}

TEST_CASE("values out of range or of no form") {
  CHECK(error_of("iodepth=0") == "j:4:9: iodepth: 0 is outside 1 to 4294967295");
  CHECK(error_of("rwmixread=101") == "j:4:11: rwmixread: 101 is outside 0 to 100");
  CHECK(error_of("numjobs=0") == "j:4:9: numjobs: 0 is outside 1 to 4096");
  CHECK(error_of("bs=0") == "j:4:4: bs: 0 is outside 1 to 2147483648");
  CHECK(error_of("size=abc") == "j:4:6: size: 'abc' is not an integer");
  CHECK(error_of("size=150%") == "j:4:6: size: '150%' is not a percentage of 1% to 100%");
  CHECK(error_of("direct=2") == "j:4:8: direct: '2' is neither 0 nor 1");
  CHECK(error_of("runtime=5x") == "j:4:9: runtime: '5x' is not a time: the units are d h m s ms us");
  CHECK(error_of("percentile_list=50:abc") ==
        "j:4:17: percentile_list: 'abc' is not a percentile above 0 and up to 100");
  CHECK(error_of("ioengine=sync") ==
        "j:4:10: ioengine: 'sync' is not one of its values; did you mean 'psync'? "
        "(accepted: libaio io_uring psync null)");
  CHECK(error_of("size") == "j:4:1: option 'size' requires a value");
  CHECK(error_of("size=") == "j:4:1: option 'size' requires a value");
}

TEST_CASE("options that contradict each other") {
  CHECK(error_of("time_based") == "j:1:1: time_based needs a runtime");
  CHECK(error_of("rw=randrw\nbs=4k,8k") ==
        "j:1:1: a random map shared by two block sizes is not modelled; add norandommap");
}

TEST_CASE("sections") {
  CHECK(errors("size=1M\n[a]\ndirect=1\n") == "j:1:1: option outside a [section]");
  CHECK(errors("[a\ndirect=1\n") == "j:1:1: the section has no closing ']'");
  CHECK(errors(" [a] b\ndirect=1\n") == "j:1:5: text after the section's ']'");
  CHECK(errors("[]\ndirect=1\n") == "j:1:1: the section has no name");
  CHECK(errors("[globals]\ndirect=1\n") ==
        "j:1:1: fio takes [globals] for [global]; write [global] or another name");
  CHECK(errors("[global]\ndirect=1\n") == "j: the file defines no job");
  CHECK(errors("") == "j: the file defines no job");
  JobFileContext context;
  context.sections = {"writ"};
  CHECK(errors("[read]\ndirect=1\n[write]\ndirect=1\n", context) ==
        "j: the file has no section [writ]; did you mean 'write'? (accepted: read write)");
}

TEST_CASE("variables, includes and long lines") {
  CHECK(error_of("bs=x${SIZE}") == "j:4:5: variable 'SIZE' has no value here");
  CHECK(error_of("numjobs=$ncpus") == "j:4:9: variable 'ncpus' has no value here");
  CHECK(error_of("include nowhere.inc") == "j:4:9: cannot read included file 'nowhere.inc'");
  CHECK(error_of("#" + std::string(8191, 'x')) == "j:4:8192: the line is longer than 8191 bytes");
  CHECK(error_of("#" + std::string(8190, 'x')).empty());
  JobFileContext context;
  context.include = [](std::string_view) { return "include again.inc\n"; };
  CHECK(errors("[a]\ndirect=1\ninclude again.inc\n", context) ==
        "again.inc:1:1: includes are nested deeper than 16");
  context.include = [](std::string_view) { return "\nbs=0\n"; };
  CHECK(errors("[a]\ndirect=1\ninclude b.inc\n", context) == "b.inc:2:4: bs: 0 is outside 1 to 2147483648");
}

TEST_CASE("all errors are told, in order, once each") {
  CHECK(errors("[global]\ndirekt=1\ndirect=1\n[a]\nsze=1\nbs=0\n[b]\nrw=red\n[c]\n") ==
        "j:2:1: unknown option 'direkt'; did you mean 'direct'?\n"
        "j:5:1: unknown option 'sze'; did you mean 'size'?\n"
        "j:6:4: bs: 0 is outside 1 to 2147483648\n"
        "j:8:4: rw: 'red' is not one of its values; did you mean 'read'? "
        "(accepted: read write randread randwrite rw readwrite randrw)");
}
