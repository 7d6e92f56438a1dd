// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/exit_table.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "models/base/random.hpp"

using namespace gnomon;
using observe::ExitSpelling;
using observe::ExitStatistics;
using observe::ExitTable;
using trace::ExitReason;

namespace {

void exit(ExitTable& table, Time at, Time lasted, ExitReason reason, std::uint32_t cpu = 0) {
  table.on_event(at, trace::VmExit{(at - lasted).ps(), cpu, reason});
}

ExitTable three_reasons(ExitSpelling spelling) {
  ExitTable table{spelling};
  exit(table, Time::us(10), Time::us(1), ExitReason::msr_write, 0);
  exit(table, Time::us(20), Time::us(3), ExitReason::ept_misconfig, 0);
  exit(table, Time::us(30), Time::us(1), ExitReason::ept_misconfig, 1);
  exit(table, Time::us(40), Time::us(2), ExitReason::ept_misconfig, 1);
  exit(table, Time::us(900), Time::us(812) + Time::ns(400), ExitReason::hlt, 1);
  exit(table, Time::us(950), Time::ns(500), ExitReason::preemption_timer, 0);
  exit(table, Time::us(960), Time::ns(1500), ExitReason::external_interrupt, 0);
  exit(table, Time::us(970), Time::ns(1500), ExitReason::external_interrupt, 1);
  return table;
}

}  // namespace

TEST_CASE("the report is perf kvm stat's, to the character") {
  CHECK(three_reasons(ExitSpelling::vmx).render() ==
        "\n"
        "\n"
        "Analyze events for all VMs, all VCPUs:\n"
        "\n"
        "             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time \n"
        "\n"
        "       EPT_MISCONFIG          3    37.50%     0.73%      1.00us      3.00us      2.00us ( +-  28.87% )\n"
        "  EXTERNAL_INTERRUPT          2    25.00%     0.36%      1.50us      1.50us      1.50us ( +-   0.00% )\n"
        "                 HLT          1    12.50%    98.72%    812.40us    812.40us    812.40us ( +-   0.00% )\n"
        "           MSR_WRITE          1    12.50%     0.12%      1.00us      1.00us      1.00us ( +-   0.00% )\n"
        "    PREEMPTION_TIMER          1    12.50%     0.06%      0.50us      0.50us      0.50us ( +-   0.00% )\n"
        "\n"
        "Total Samples:8, Total events handled time:822.90us.\n"
        "\n");
}

TEST_CASE("on AMD reasons have SVM's names, and two that share one are one row") {
  const auto rows = three_reasons(ExitSpelling::svm).rows();
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].name == "npf");
  CHECK(rows[1].name == "interrupt");
  CHECK(rows[1].exits.count == 3);
  CHECK(rows[1].exits.total_ps == Time::ns(3500).ps());
  CHECK(rows[1].exits.min_ps == Time::ns(500).ps());
  CHECK(rows[1].exits.max_ps == Time::ns(1500).ps());
  CHECK(rows[2].name == "hlt");
  CHECK(rows[3].name == "msr");
}

TEST_CASE("one vCPU's report counts that vCPU and names it") {
  const ExitTable table = three_reasons(ExitSpelling::vmx);
  const auto rows = table.rows(1);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].exits.count == 2);
  CHECK(table.render(1).find("Analyze events for all VMs, VCPU 1:\n\n") == 2);
  CHECK(table.render(1).find("Total Samples:4, ") != std::string::npos);
  CHECK(table.rows(7).empty());
}

TEST_CASE("rows go by samples, or by time") {
  const ExitTable table = three_reasons(ExitSpelling::vmx);
  CHECK(table.rows({}, ExitTable::Order::time).front().name == "HLT");
  CHECK(table.rows({}, ExitTable::Order::samples).front().name == "EPT_MISCONFIG");
}

TEST_CASE("without exits the report is empty and divides by nothing") {
  const std::string text = ExitTable{ExitSpelling::vmx}.render();
  CHECK(text.find("Total Samples:0, Total events handled time:0.00us.\n\n") != std::string::npos);
  CHECK(text.find("nan") == std::string::npos);
}

TEST_CASE("the window's scope leaves out what ends outside of it") {
  ExitTable table{ExitSpelling::vmx, ExitTable::Scope::window};
  exit(table, Time::us(1), Time::ns(100), ExitReason::hlt);
  table.on_event(Time::us(2), trace::WindowOpened{1});
  exit(table, Time::us(3), Time::us(2), ExitReason::hlt);
  table.on_event(Time::us(4), trace::WindowClosed{1});
  exit(table, Time::us(5), Time::ns(100), ExitReason::hlt);
  const auto rows = table.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].exits.count == 1);
  CHECK(rows[0].exits.total_ps == Time::us(2).ps());
}

TEST_CASE("the spread of the mean agrees with the two-pass formula") {
  RandomStream random{1, "exits"};
  ExitStatistics exits;
  std::vector<double> durations;
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t ps = 1'000'000'000 + random.below(5'000);  // spread far below the mean: where floats cancel
    exits.add(ps);
    durations.push_back(static_cast<double>(ps) - 1e9);
  }
  double mean = 0;
  for (const double d : durations) mean += d / 2000.0;
  double squares = 0;
  for (const double d : durations) squares += (d - mean) * (d - mean);
  CHECK(exits.standard_error_ps() == Approx(std::sqrt(squares / 1999.0 / 2000.0)).epsilon(1e-9));
  CHECK(exits.mean_ps() == Approx(1e9 + mean).epsilon(1e-12));
}

TEST_CASE("merged statistics are those of all samples in any order") {
  ExitStatistics all, left, right;
  for (std::uint64_t ps = 1; ps < 100; ++ps) {
    all.add(ps * ps);
    (ps % 3 == 0 ? left : right).add(ps * ps);
  }
  right.merge(left);
  CHECK(right.count == all.count);
  CHECK(right.total_ps == all.total_ps);
  CHECK(right.min_ps == all.min_ps);
  CHECK(right.max_ps == all.max_ps);
  CHECK(right.standard_error_ps() == all.standard_error_ps());
}
