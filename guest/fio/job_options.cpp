// SPDX-License-Identifier: Apache-2.0
// The modelled options, one line each, and the rules between them. Ranges are those of fio 3.33 (--cmdhelp) unless
// noted.
#include "guest/fio/job_options.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "guest/fio/option_table.hpp"
#include "guest/fio/option_value.hpp"

namespace gnomon::fio {
namespace {

template <class T>
struct Named {
  std::string_view name;
  T value;
};

constexpr Named<Pattern> patterns[] = {
    {"read", Pattern::read},           {"write", Pattern::write},  {"randread", Pattern::randread},
    {"randwrite", Pattern::randwrite}, {"rw", Pattern::readwrite}, {"readwrite", Pattern::readwrite},
    {"randrw", Pattern::randrw},
};
constexpr std::string_view trim_patterns[] = {"trim", "randtrim", "trimwrite", "randtrimwrite"};
constexpr Named<Engine> engines[] = {
    {"libaio", Engine::libaio}, {"io_uring", Engine::io_uring}, {"psync", Engine::psync}, {"null", Engine::null}};

/// One option being applied.
struct Application {
  JobSpec& job;
  const OptionText& option;
  Refusal refusal;

  void refuse(std::string why) { refusal = {option.key + ": " + std::move(why), {}, {}, true}; }
  /// Stores a parsed value or its error.
  template <class T, class U>
  void store(const Parsed<T>& parsed, U& target) {
    if (parsed)
      target = parsed.value;
    else
      refuse(parsed.error);
  }
  template <class T>
  void integer(T& target, std::uint64_t least, std::uint64_t most = std::numeric_limits<T>::max()) {
    const auto parsed = parse_integer(option.value, job.kb_base);
    if (!parsed) return refuse(parsed.error);
    if (parsed.value < least || parsed.value > most)
      return refuse(option.value + " is outside " + std::to_string(least) + " to " + std::to_string(most));
    target = static_cast<T>(parsed.value);
  }
  void boolean(bool& target) { store(parse_bool(option.value), target); }
  void flag(bool& target) {
    if (option.has_value)
      boolean(target);
    else
      target = true;
  }
  void time(Time& target, Time unit) { store(parse_time(option.value, unit), target); }
  template <class T, std::size_t n>
  void choice(const Named<T> (&choices)[n], T& target) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : choices) {
      if (option.value == name) {
        target = value;
        return;
      }
      names.push_back(name);
    }
    refuse("'" + option.value + "' is not one of its values");
    refusal.nearest = nearest(option.value, names);
    refusal.accepted.assign(names.begin(), names.end());
  }
};

void apply_rw(Application& a) {
  const std::string& value = a.option.value;
  const bool sequencer = value.find(':') != std::string::npos;  // rw=read:8, reads with holes or repeated offsets
  const bool trim = std::find(std::begin(trim_patterns), std::end(trim_patterns), value) != std::end(trim_patterns);
  a.choice(patterns, a.job.pattern);
  if (sequencer || trim)
    a.refusal.message = a.option.key + "=" + value + " is not modelled", a.refusal.nearest.clear();
}

void apply_bs(Application& a) {
  const auto parsed = parse_per_direction(a.option.value, a.job.kb_base, a.job.block_size);
  constexpr std::uint64_t most = std::uint64_t{1} << 31;  // fits a request's 32-bit length
  if (!parsed) return a.refuse(parsed.error);
  for (const Direction d : directions)
    if (parsed.value[d] == 0 || parsed.value[d] > most)
      return a.refuse(std::to_string(parsed.value[d]) + " is outside 1 to " + std::to_string(most));
  a.job.block_size = parsed.value;
}

void apply_engine(Application& a) {
  a.choice(engines, a.job.engine);
  if (!a.refusal.message.empty()) return;
  std::erase_if(a.job.ignored, [](const IgnoredOption& i) { return i.option.key == "ioengine"; });
  a.job.ignored.push_back({a.option, a.job.engine == Engine::psync
                                         ? "requests go to the simulated device; psync is kept to a depth of 1"
                                         : "requests go to the simulated device whatever the engine"});
}

void apply_direct(Application& a, bool inverted) {
  bool value = false;
  a.boolean(value);
  if (!a.refusal.message.empty()) return;
  if (value == inverted) {
    a.refusal = {"buffered I/O is not modelled", {}, {inverted ? "0" : "1"}, true};
    return;
  }
  a.job.direct = true;
}

void apply_seed(Application& a) {
  a.integer(a.job.randseed, 0);
  a.job.randseed_given = a.job.randseed_given || a.refusal.message.empty();
}

void apply_filename(Application& a) {
  a.job.filename = a.option.value;
  std::erase_if(a.job.ignored, [](const IgnoredOption& i) { return i.option.key == "filename"; });
  a.job.ignored.push_back({a.option, "the platform says which simulated device the job uses"});
}

/// A prefix of names of files, which lie with the other results.
void apply_log(Application& a, std::string& prefix) {
  if (a.option.value.find('/') != std::string::npos) return a.refuse("logs lie in the result folder: no '/' here");
  prefix = a.option.value;
}

void apply_mix(Application& a, bool write) {  // the latter of the two wins when they do not add up to 100
  std::uint32_t percent = 0;
  a.integer(percent, 0, 100);
  if (a.refusal.message.empty()) a.job.rwmixread = write ? 100 - percent : percent;
}

struct Modelled {
  std::string_view name;
  void (*apply)(Application&);
};

constexpr Time second = Time::s(1);
using A = Application;

constexpr Modelled modelled_options[] = {
    {"allrandrepeat", [](A& a) { a.boolean(a.job.allrandrepeat); }},
    {"bs", apply_bs},
    {"buffered", [](A& a) { apply_direct(a, true); }},
    {"clat_percentiles", [](A& a) { a.boolean(a.job.clat_percentiles); }},
    {"description", [](A& a) { a.job.description = a.option.value; }},
    {"direct", [](A& a) { apply_direct(a, false); }},
    {"filename", apply_filename},
    {"group_reporting", [](A& a) { a.flag(a.job.group_reporting); }},
    {"io_size", [](A& a) { a.integer(a.job.io_size, 0); }},
    {"iodepth", [](A& a) { a.integer(a.job.iodepth, 1); }},
    {"iodepth_batch", [](A& a) { a.integer(a.job.iodepth_batch, 0); }},
    {"iodepth_batch_complete_max", [](A& a) { a.integer(a.job.iodepth_batch_complete_max, 0); }},
    {"iodepth_batch_complete_min", [](A& a) { a.integer(a.job.iodepth_batch_complete_min, 0); }},
    {"ioengine", apply_engine},
    {"kb_base",
     [](A& a) {
       constexpr Named<unsigned> bases[] = {{"1024", 1024}, {"1000", 1000}};
       a.choice(bases, a.job.kb_base);
     }},
    {"lat_percentiles", [](A& a) { a.boolean(a.job.lat_percentiles); }},
    {"log_avg_msec", [](A& a) { a.integer(a.job.log_avg_msec, 0); }},
    {"log_offset", [](A& a) { a.boolean(a.job.log_offset); }},
    {"loops", [](A& a) { a.integer(a.job.loops, 1); }},
    {"name", [](A& a) { a.job.name = a.option.value; }},
    {"new_group", [](A& a) { a.flag(a.job.new_group); }},
    {"norandommap", [](A& a) { a.flag(a.job.norandommap); }},
    {"number_ios", [](A& a) { a.integer(a.job.number_ios, 0); }},
    {"numjobs", [](A& a) { a.integer(a.job.numjobs, 1, 4096); }},
    {"offset", [](A& a) { a.store(parse_amount(a.option.value, a.job.kb_base), a.job.offset); }},
    {"percentile_list", [](A& a) { a.store(parse_percentiles(a.option.value), a.job.percentile_list); }},
    {"ramp_time", [](A& a) { a.time(a.job.ramp_time, second); }},
    {"randrepeat", [](A& a) { a.boolean(a.job.randrepeat); }},
    {"randseed", apply_seed},
    {"rate_iops",
     [](A& a) { a.store(parse_per_direction(a.option.value, a.job.kb_base, a.job.rate_iops), a.job.rate_iops); }},
    {"runtime", [](A& a) { a.time(a.job.runtime, second); }},
    {"rw", apply_rw},
    {"rwmixread", [](A& a) { apply_mix(a, false); }},
    {"rwmixwrite", [](A& a) { apply_mix(a, true); }},
    {"size", [](A& a) { a.store(parse_amount(a.option.value, a.job.kb_base), a.job.size); }},
    {"slat_percentiles", [](A& a) { a.boolean(a.job.slat_percentiles); }},
    {"startdelay", [](A& a) { a.time(a.job.startdelay, second); }},
    {"stonewall", [](A& a) { a.flag(a.job.stonewall); }},
    {"thinktime", [](A& a) { a.time(a.job.thinktime, Time::us(1)); }},
    {"time_based", [](A& a) { a.flag(a.job.time_based); }},
    {"write_bw_log", [](A& a) { apply_log(a, a.job.write_bw_log); }},
    {"write_iops_log", [](A& a) { apply_log(a, a.job.write_iops_log); }},
    {"write_lat_log", [](A& a) { apply_log(a, a.job.write_lat_log); }},
};

constexpr std::string_view flags[] = {"group_reporting", "new_group", "norandommap", "stonewall", "time_based"};

Refusal apply_modelled(const OptionEntry& entry, const OptionText& option, JobSpec& job) {
  const auto handler = std::find_if(std::begin(modelled_options), std::end(modelled_options),
                                    [&](const Modelled& m) { return m.name == entry.name; });
  const bool flag = std::find(std::begin(flags), std::end(flags), entry.name) != std::end(flags);
  if (!flag && option.value.empty()) return {"option '" + option.key + "' requires a value", {}, {}, false};
  Application application{job, option, {}};
  handler->apply(application);
  return std::move(application.refusal);
}

/// An option accepted only with the values that ask for nothing more than is simulated.
Refusal check_only(const OptionEntry& entry, const OptionText& option) {
  std::vector<std::string> accepted;
  for (std::string_view rest = entry.detail; !rest.empty();) {
    const auto value = rest.substr(0, rest.find('|'));
    accepted.emplace_back(value);
    rest.remove_prefix(std::min(value.size() + 1, rest.size()));
  }
  if (option.has_value && std::find(accepted.begin(), accepted.end(), option.value) != accepted.end()) return {};
  const std::string text = option.has_value ? option.key + "=" + option.value : option.key;
  return {text + " is not modelled", {}, std::move(accepted), option.has_value};
}

}  // namespace

std::string_view to_string(Pattern pattern) {
  constexpr std::string_view names[] = {"read", "write", "rw", "randread", "randwrite", "randrw"};
  return names[static_cast<std::size_t>(pattern)];
}

std::string_view to_string(Engine engine) {
  for (const auto& [name, value] : engines)
    if (value == engine) return name;
  return {};
}

std::vector<double> default_percentiles() {
  return {1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99};
}

Refusal apply_option(const OptionText& option, JobSpec& job) {
  const OptionEntry* entry = find_option(option.key);
  if (entry == nullptr)
    return {"unknown option '" + option.key + "'", std::string(nearest(option.key, option_names())), {}, false};
  switch (entry->treatment) {
    case Treatment::modelled: return apply_modelled(*entry, option, job);
    case Treatment::ignored: job.ignored.push_back({option, std::string(entry->detail)}); return {};
    case Treatment::only: return check_only(*entry, option);
    case Treatment::not_modelled: break;
  }
  return {"option '" + option.key + "' is not modelled", {}, {}, false};
}

std::vector<Refusal> settle(JobSpec& job) {
  std::vector<Refusal> refusals;
  job.has_runtime = job.runtime > Time{};  // fio: runtime=0 is no runtime
  if (!job.direct && job.engine != Engine::null)
    refusals.push_back({"buffered I/O, fio's default, is not modelled; the job needs direct=1", {}, {}, false});
  if (job.time_based && !job.has_runtime)
    refusals.push_back({"time_based needs a runtime", {}, {}, false});  // fio 3.33 runs size once
  if (job.pattern == Pattern::randrw && job.block_size.read != job.block_size.write && !job.norandommap)
    refusals.push_back({"a random map shared by two block sizes is not modelled; add norandommap", {}, {}, false});
  if (job.engine == Engine::psync && job.iodepth > 1) {  // fio 3.33: "queue depth will be capped at 1"
    const OptionText depth{"iodepth", std::to_string(job.iodepth), true, {}, job.line, 1, 1};
    job.ignored.push_back({depth, "psync, fio's default engine, is synchronous: the depth is capped at 1"});
    job.iodepth = 1;
  }
  if (job.iodepth_batch == 0 || job.iodepth_batch > job.iodepth) job.iodepth_batch = job.iodepth;
  job.iodepth_batch_complete_min = std::min(job.iodepth_batch_complete_min, job.iodepth);
  job.iodepth_batch_complete_max = std::max(job.iodepth_batch_complete_max, job.iodepth_batch_complete_min);
  return refusals;
}

}  // namespace gnomon::fio
