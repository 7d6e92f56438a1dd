// SPDX-License-Identifier: Apache-2.0
// The human report against literal text in fio 3.33's form.
#include <catch2/catch.hpp>

#include "guest/fio/fio_text.hpp"

using namespace gnomon;
using namespace gnomon::fio;

namespace {

/// `count` I/Os, one every `gap`, each `clat` (growing by `step`) in the device after 500 ns of preparation.
JobStatistics paced(const JobSpec& job, Direction d, std::uint64_t count, Time gap, Time clat, Time step,
                    Time end) {
  JobStatistics s(job);
  s.start(Time{});
  for (std::uint64_t i = 0; i < count; ++i) {
    const Time begun = gap * i, submitted = begun + Time::ns(500), completed = submitted + clat + step * i;
    s.record_submit_call(1, submitted);
    s.record_submission(d, begun, submitted, 3);
    s.record_reap_call(1, completed);
    s.record_completion(d, job.block_size[d], begun, submitted, completed);
  }
  s.user_time = Time::ms(10);
  s.system_time = Time::ms(25);
  s.context_switches = count;
  s.finish(end);
  return s;
}

}  // namespace

TEST_CASE("the human report reads like fio's") {
  const auto file = parse_job_file(
      "[global]\nioengine=libaio\ndirect=1\n[j1]\nrw=randread\niodepth=4\nnumjobs=2\ngroup_reporting\n"
      "[j2]\nstonewall\nrw=write\nbs=64k\niodepth=4\ndescription=second\npercentile_list=50:99\n");
  REQUIRE(file.ok());
  const JobStatistics threads[] = {
      paced(file.jobs[0], Direction::read, 1000, Time::ms(1), Time::us(90), Time::ns(100), Time::ms(1001)),
      paced(file.jobs[0], Direction::read, 1000, Time::ms(1), Time::us(91), Time::ns(100), Time::ms(1001)),
      paced(file.jobs[1], Direction::write, 2000, Time::us(100), Time::ns(900), Time::ns(1), Time::ms(300)),
  };
  RunReport run;
  run.timestamp_ms = 1795212846000;
  run.jobs = file.jobs;
  run.entries = merge_entries(file.jobs, threads);
  run.disks.push_back({"nvme0n1", {2000, 2000}, {}, {272, 4}, 276, 21.5});
  CHECK(to_fio_text(run) ==
        R"(j1: (g=0): rw=randread, bs=(R) 4096B-4096B, (W) 4096B-4096B, (T) 4096B-4096B, ioengine=libaio, iodepth=4
...
j2: (g=1): rw=write, bs=(R) 64.0KiB-64.0KiB, (W) 64.0KiB-64.0KiB, (T) 64.0KiB-64.0KiB, ioengine=libaio, iodepth=4
fio-3.33
Starting 3 processes

j1: (groupid=0, jobs=2): err= 0: pid=1: Fri Nov 20 22:14:06 2026
  read: IOPS=1998, BW=7992KiB/s (8184kB/s)(8000KiB/1001msec)
    slat (nsec): min=500, max=500, avg=500.00, stdev= 0.00
    clat (usec): min=90, max=190, avg=140.45, stdev=28.88
     lat (usec): min=90, max=191, avg=140.95, stdev=28.88
    clat percentiles (usec):
     |  1.00th=[   92],  5.00th=[   96], 10.00th=[  101], 20.00th=[  111],
     | 30.00th=[  121], 40.00th=[  131], 50.00th=[  141], 60.00th=[  151],
     | 70.00th=[  161], 80.00th=[  172], 90.00th=[  182], 95.00th=[  186],
     | 99.00th=[  190], 99.50th=[  190], 99.90th=[  192], 99.95th=[  192],
     | 99.99th=[  192]
   bw (  KiB/s): min= 8000, max= 8000, per=100.00%, avg=8000.00, stdev= 0.00, samples=4
   iops        : min= 2000, max= 2000, avg=2000.00, stdev= 0.00, samples=4
  lat (usec)   : 100=9.50%, 250=90.50%
  cpu          : usr=1.00%, sys=2.50%, ctx=2000, majf=0, minf=0
  IO depths    : 1=0.0%, 2=100.0%, 4=0.0%, 8=0.0%, 16=0.0%, 32=0.0%, >=64=0.0%
     submit    : 0=0.0%, 4=100.0%, 8=0.0%, 16=0.0%, 32=0.0%, 64=0.0%, >=64=0.0%
     complete  : 0=0.0%, 4=100.0%, 8=0.0%, 16=0.0%, 32=0.0%, 64=0.0%, >=64=0.0%
     issued rwts: total=2000,0,0,0 short=0,0,0,0 dropped=0,0,0,0
     latency   : target=0, window=0, percentile=100.00%, depth=4
j2: (groupid=1, jobs=1): err= 0: pid=3: Fri Nov 20 22:14:06 2026
  Description  : [second]
  write: IOPS=6666, BW=417MiB/s (437MB/s)(125MiB/300msec); 0 zone resets
    slat (nsec): min=500, max=500, avg=500.00, stdev= 0.00
    clat (nsec): min=900, max=2899, avg=1899.50, stdev=577.49
     lat (nsec): min=1400, max=3399, avg=2399.50, stdev=577.49
    clat percentiles (nsec):
     |  50th=[ 1896],  99th=[ 2864]
  lat (nsec)   : 1000=5.00%
  lat (usec)   : 2=50.00%, 4=45.00%
  cpu          : usr=3.33%, sys=8.33%, ctx=2000, majf=0, minf=0
  IO depths    : 1=0.0%, 2=100.0%, 4=0.0%, 8=0.0%, 16=0.0%, 32=0.0%, >=64=0.0%
     submit    : 0=0.0%, 4=100.0%, 8=0.0%, 16=0.0%, 32=0.0%, 64=0.0%, >=64=0.0%
     complete  : 0=0.0%, 4=100.0%, 8=0.0%, 16=0.0%, 32=0.0%, 64=0.0%, >=64=0.0%
     issued rwts: total=0,2000,0,0 short=0,0,0,0 dropped=0,0,0,0
     latency   : target=0, window=0, percentile=100.00%, depth=4

Run status group 0 (all jobs):
   READ: bw=7992KiB/s (8184kB/s), 7992KiB/s-7992KiB/s (8184kB/s-8184kB/s), io=8000KiB (8192kB), run=1001-1001msec

Run status group 1 (all jobs):
  WRITE: bw=417MiB/s (437MB/s), 417MiB/s-417MiB/s (437MB/s-437MB/s), io=125MiB (131MB), run=300-300msec

Disk stats (read/write):
  nvme0n1: ios=2000/2000, merge=0/0, ticks=272/4, in_queue=276, util=21.50%
)");
}

TEST_CASE("numbers shorten as fio shortens them") {
  CHECK(short_number(16371371, 4, true, "B/s") == "15.6MiB/s");
  CHECK(short_number(16371371, 4, false, "B/s") == "16.4MB/s");
  CHECK(short_number(8183816, 4, true, "B/s") == "7992KiB/s");
  CHECK(short_number(8183816, 4, false, "B/s") == "8184kB/s");
  CHECK(short_number(8192000, 4, true, "B") == "8000KiB");
  CHECK(short_number(8192000, 4, false, "B") == "8192kB");
  CHECK(short_number(1073741824, 4, true, "B") == "1024MiB");
  CHECK(short_number(1073741824, 4, false, "B") == "1074MB");
  CHECK(short_number(9998336, 4, true, "B") == "9764KiB");
  CHECK(short_number(4096, 4, true, "B") == "4096B");
  CHECK(short_number(16384, 4, true, "B") == "16.0KiB");
  CHECK(short_number(1024000, 4, false, "") == "1024k");
  CHECK(short_number(128000, 4, false, "") == "128k");
  CHECK(short_number(3997, 4, false, "") == "3997");
  CHECK(short_number(4097722, 6, false, "") == "4097.7k");
  CHECK(short_number(0, 4, true, "B/s") == "0B/s");
}

TEST_CASE("latencies move to larger units as fio's do") {
  const auto file = parse_job_file("[a]\ndirect=1\nioengine=libaio\npercentile_list=50:99.9\n");
  RunReport run;
  run.jobs = file.jobs;
  const auto lines = [&](Time clat, Time step) {
    const JobStatistics threads[] = {
        paced(file.jobs[0], Direction::read, 1000, Time::ms(1), clat, step, Time::s(1))};
    run.entries = merge_entries(file.jobs, threads);
    const auto text = to_fio_text(run);
    const auto first = text.find("    clat (");
    const auto middle = text.find("    clat percentiles"), last = text.find("   bw (");
    return text.substr(first, text.find('\n', first) + 1 - first) + text.substr(middle, last - middle);
  };
  CHECK(lines(Time::us(3), Time::us(1)) ==
        "    clat (usec): min=3, max=1002, avg=502.50, stdev=288.82\n"
        "    clat percentiles (usec):\n     | 50.0th=[  502], 99.9th=[ 1004]\n");
  CHECK(lines(Time::us(3), Time::ns(1)) ==
        "    clat (nsec): min=3000, max=3999, avg=3499.50, stdev=288.82\n"
        "    clat percentiles (nsec):\n     | 50.0th=[ 3504], 99.9th=[ 3984]\n");
  CHECK(lines(Time::ms(3), Time::ms(1)) ==
        "    clat (msec): min=3, max=1002, avg=502.50, stdev=288.82\n"
        "    clat percentiles (msec):\n     | 50.0th=[  502], 99.9th=[ 1003]\n");
}
