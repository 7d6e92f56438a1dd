// SPDX-License-Identifier: Apache-2.0
// fio job files that are accepted, and what they come to.
#include <catch2/catch.hpp>

#include "guest/fio/job_file.hpp"

using namespace gnomon;
using namespace gnomon::fio;

namespace {

constexpr const char* two_jobs = R"([global]
filename=/dev/nvme0n1
runtime=10
ioengine=libaio
direct=1
time_based

[randwrite_multi]
group_reporting
rw=randwrite
numjobs=16
iodepth=16
bs=64k
size=1G

[randrw_page]
rw=randrw
rwmixread=50
rwmixwrite=50
iodepth=128
bs=4k
size=1G
)";

JobFile accepted(std::string_view text, const JobFileContext& context = {}) {
  auto file = parse_job_file(text, context);
  for (const auto& diagnostic : file.diagnostics) UNSCOPED_INFO(to_string(diagnostic, "job.fio"));
  REQUIRE(file.ok());
  return file;
}

/// One job with direct=1 and these lines.
JobSpec job(const std::string& lines) {
  const auto file = accepted("[a]\nioengine=libaio\ndirect=1\n" + lines);
  REQUIRE(file.jobs.size() == 1);
  return file.jobs[0];
}

}  // namespace

TEST_CASE("the job file of the virtio-iommu flush-policy measurements is read as it stands") {
  const auto file = accepted(two_jobs);
  REQUIRE(file.jobs.size() == 2);
  const JobSpec& write = file.jobs[0];
  CHECK(write.name == "randwrite_multi");
  CHECK(write.pattern == Pattern::randwrite);
  CHECK(write.numjobs == 16);
  CHECK(write.iodepth == 16);
  CHECK(write.block_size == PerDirection<std::uint64_t>{65536, 65536});
  CHECK(write.size.bytes == std::uint64_t{1} << 30);
  CHECK(write.group_reporting);
  CHECK(write.time_based);
  CHECK(write.runtime == Time::s(10));
  CHECK(write.engine == Engine::libaio);
  CHECK(write.line == 8);
  const JobSpec& page = file.jobs[1];
  CHECK(page.pattern == Pattern::randrw);
  CHECK(page.rwmixread == 50);
  CHECK(page.iodepth == 128);
  CHECK(page.numjobs == 1);
  CHECK_FALSE(page.group_reporting);
  CHECK(page.group_id == 0);  // no stonewall: both run at once
}

TEST_CASE("stonewalled jobs of the null engine with a ramp and a rate are read") {
  const auto file = accepted(
      "[global]\nioengine=null\nruntime=2\ndirect=1\ntime_based\nrandseed=42\n\n[randwrite_multi]\ngroup_"
      "reporting\n"
      "rw=randwrite\nnumjobs=2\niodepth=16\nbs=64k\nsize=1G\n\n[randrw_page]\nstonewall\nrw=randrw\nrwmixread=50\n"
      "rwmixwrite=50\niodepth=128\nbs=4k\nsize=1G\nrate_iops=20000\nramp_time=0.2\n");
  REQUIRE(file.jobs.size() == 2);
  CHECK(file.jobs[0].randseed == 42);
  CHECK(file.jobs[1].group_id == 1);
  CHECK(file.jobs[1].iodepth == 128);  // null takes I/Os asynchronously when deeper than 1
  CHECK(file.jobs[1].rate_iops == PerDirection<std::uint64_t>{20000, 20000});
  CHECK(file.jobs[1].ramp_time == Time::ms(200));
}

TEST_CASE("an option keeps its text and its place") {
  const auto file = accepted(two_jobs);
  REQUIRE(file.global_options.size() == 5);
  CHECK(file.global_options[0].key == "filename");
  CHECK(file.global_options[0].value == "/dev/nvme0n1");
  CHECK_FALSE(file.global_options[4].has_value);  // time_based
  REQUIRE(file.jobs[0].options.size() == 6);
  const OptionText& bs = file.jobs[0].options[4];
  CHECK(bs.key == "bs");
  CHECK(bs.value == "64k");
  CHECK(bs.line == 13);
  CHECK(bs.column == 1);
  CHECK(bs.value_column == 4);
}

TEST_CASE("what does not matter in a simulation is listed with a reason") {
  const auto ignored = job("filename=/dev/vdb\nthread\nrefill_buffers\nunlink=1\n").ignored;
  REQUIRE(ignored.size() == 5);
  CHECK(ignored[0].option.key == "ioengine");
  CHECK(ignored[1].option.value == "/dev/vdb");
  CHECK(ignored[2].reason == "a submitter is simulated the same as thread and as process");
  CHECK(ignored[3].reason == "what the buffers hold does not change the time they take");
  CHECK(ignored[4].reason == "no file system is simulated");
}

TEST_CASE("[global] applies to the jobs below it, and adds up") {
  const auto file = accepted("[global]\ndirect=1\nbs=8k\n[a]\n[global]\nbs=16k\n[b]\n[c]\nbs=32k\n[d]\n");
  REQUIRE(file.jobs.size() == 4);
  CHECK(file.jobs[0].block_size.read == 8192);
  CHECK(file.jobs[1].block_size.read == 16384);
  CHECK(file.jobs[2].block_size.read == 32768);
  CHECK(file.jobs[3].block_size.read == 16384);
}

TEST_CASE("comments, blanks and line ends do not matter") {
  const auto spec = job("  # note\r\n\t bs = 8k ; eight\r\n; more\r\nnumjobs=2#two\r\n");
  CHECK(spec.block_size.read == 8192);
  CHECK(spec.numjobs == 2);
}

TEST_CASE("every modelled option has its effect") {
  const auto spec =
      job("readwrite=randrw\nrwmixwrite=30\nblocksize=4k,8k\nnorandommap\niodepth=32\niodepth_batch_submit=8\n"
          "iodepth_batch_complete_min=4\niodepth_batch_complete_max=16\nnumjobs=3\nnew_group\nstonewall\nsize=50%\n"
          "io_limit=2g\noffset=1m\ntimeout=1500ms\ntime_based=1\nramp_time=0.2\nstartdelay=2\nthinktime=5\n"
          "rate_iops=,500\nnumber_ios=1000\nloops=2\nrandseed=42\nrandrepeat=0\nallrandrepeat=1\n"
          "percentile_list=99.9:50\nslat_percentiles=1\nclat_percentiles=0\nlat_percentiles=1\nname=renamed\n"
          "description=what it is\n");
  CHECK(spec.pattern == Pattern::randrw);
  CHECK(spec.rwmixread == 70);
  CHECK(spec.block_size == PerDirection<std::uint64_t>{4096, 8192});
  CHECK(spec.norandommap);
  CHECK(spec.iodepth == 32);
  CHECK(spec.iodepth_batch == 8);
  CHECK(spec.iodepth_batch_complete_min == 4);
  CHECK(spec.iodepth_batch_complete_max == 16);
  CHECK(spec.numjobs == 3);
  CHECK(spec.new_group);
  CHECK(spec.stonewall);
  CHECK(spec.size.of(1000) == 500);
  CHECK(spec.io_size == std::uint64_t{2} << 30);
  CHECK(spec.offset.of(7) == 1 << 20);
  CHECK(spec.runtime == Time::ms(1500));
  CHECK(spec.ramp_time == Time::ms(200));
  CHECK(spec.startdelay == Time::s(2));
  CHECK(spec.thinktime == Time::us(5));
  CHECK(spec.rate_iops == PerDirection<std::uint64_t>{0, 500});
  CHECK(spec.number_ios == 1000);
  CHECK(spec.loops == 2);
  CHECK(spec.randseed == 42);
  CHECK_FALSE(spec.randrepeat);
  CHECK(spec.allrandrepeat);
  CHECK(spec.percentile_list == std::vector<double>{50, 99.9});
  CHECK(spec.slat_percentiles);
  CHECK_FALSE(spec.clat_percentiles);
  CHECK(spec.lat_percentiles);
  CHECK(spec.name == "renamed");
  CHECK(spec.description == "what it is");
}

TEST_CASE("the latter of rwmixread and rwmixwrite wins") {
  CHECK(job("rw=rw\nrwmixread=70\nrwmixwrite=40\n").rwmixread == 60);
  CHECK(job("rw=rw\nrwmixwrite=40\nrwmixread=70\n").rwmixread == 70);
}

TEST_CASE("batches are settled against the depth as fio does") {
  const auto whole = job("iodepth=8\niodepth_batch=0\niodepth_batch_complete_min=9\n");
  CHECK(whole.iodepth_batch == 8);
  CHECK(whole.iodepth_batch_complete_min == 8);
  CHECK(whole.iodepth_batch_complete_max == 8);
  CHECK(job("iodepth=8\niodepth_batch=20\n").iodepth_batch == 8);
}

TEST_CASE("psync keeps a depth of 1 and says so") {
  const auto file = accepted("[a]\ndirect=1\niodepth=32\n");  // psync is fio's default
  CHECK(file.jobs[0].iodepth == 1);
  REQUIRE(file.jobs[0].ignored.size() == 1);
  CHECK(file.jobs[0].ignored[0].option.value == "32");
}

TEST_CASE("kb_base applies to the whole section, wherever it stands in it") {
  CHECK(job("bs=4k\nkb_base=1000\n").block_size.read == 4000);
  CHECK(job("kb_base=1000\nbs=4kib\n").block_size.read == 4096);
}

TEST_CASE("variables and reserved words come from the caller") {
  JobFileContext context;
  context.variables = {{"DEPTH", "16"}, {"ncpus", "4"}};
  const auto file = accepted("[a]\nioengine=libaio\ndirect=1\niodepth=${DEPTH}\nnumjobs=$ncpus\n", context);
  CHECK(file.jobs[0].iodepth == 16);
  CHECK(file.jobs[0].numjobs == 4);
  CHECK(file.jobs[0].options[2].value == "16");
}

TEST_CASE("includes are read where they stand, relative to the file that includes") {
  JobFileContext context;
  context.directory = "jobs";
  context.include = [](std::string_view path) -> std::optional<std::string> {
    if (path == "jobs/common/base.inc") return "direct=1\ninclude more.inc\n";
    if (path == "jobs/common/more.inc") return "bs=16k\n";
    return std::nullopt;
  };
  const auto file = accepted("[global]\ninclude common/base.inc\n[a]\n", context);
  CHECK(file.jobs[0].block_size.read == 16384);
  CHECK(file.global_options[1].file == "jobs/common/more.inc");
}

TEST_CASE("sections can be chosen as with fio --section") {
  JobFileContext context;
  context.sections = {"b"};
  const auto file = accepted("[global]\ndirect=1\n[a]\nverify=crc32c\n[b]\nbs=8k\n[c]\n", context);
  REQUIRE(file.jobs.size() == 1);
  CHECK(file.jobs[0].name == "b");
  CHECK(file.jobs[0].block_size.read == 8192);
}

TEST_CASE("a stonewall or new_group opens a reporting group") {
  const auto file = accepted("[global]\ndirect=1\n[a]\nstonewall\n[b]\n[c]\nstonewall\n[d]\nnew_group\n");
  CHECK(file.jobs[0].group_id == 0);
  CHECK(file.jobs[1].group_id == 0);
  CHECK(file.jobs[2].group_id == 1);
  CHECK(file.jobs[3].group_id == 2);
}

TEST_CASE("group_reporting joins a job's clones, and jobs of one group") {
  const auto apart = plan_report(accepted(two_jobs).jobs);
  REQUIRE(apart.size() == 2);
  CHECK(apart[0].threads == 16);
  CHECK(apart[1].first_thread == 16);
  CHECK(apart[1].threads == 1);
  const auto file =
      accepted("[global]\ndirect=1\ngroup_reporting\n[a]\nnumjobs=2\n[b]\n[c]\nstonewall\nnumjobs=3\n");
  const auto joined = plan_report(file.jobs);
  REQUIRE(joined.size() == 2);
  CHECK(joined[0].threads == 3);
  CHECK(joined[1].first_job == 2);
  CHECK(joined[1].threads == 3);
  CHECK(plan_report(accepted("[a]\ndirect=1\nnumjobs=4\n").jobs).size() == 4);
}
