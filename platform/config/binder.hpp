// SPDX-License-Identifier: Apache-2.0
// The one header to include: configuration structs read from TOML, by one description each.
//
// A struct holds its defaults. Beside it, in its namespace, one function describes its keys:
//
//   enum class Spinlock { test_and_set, queued };
//   inline constexpr std::array spinlock_names{EnumName{"test-and-set", Spinlock::test_and_set},
//                                              EnumName{"queued", Spinlock::queued}};
//   struct NvmeConfig {
//     unsigned channels = 8;
//     std::uint64_t write_bandwidth = 2'000'000'000;  // bytes/s
//     Time doorbell = 100_ns;
//     Spinlock spinlock = Spinlock::test_and_set;
//     std::optional<unsigned> queues;
//   };
//   void describe(Description& d, NvmeConfig& c) {
//     d.field("channels", c.channels, range(1, 4096), "parallel media units").power_of_two();
//     d.field("media.write_bandwidth", c.write_bandwidth, Unit::bytes_per_second, "sustained write bandwidth");
//     d.constant("doorbell", c.doorbell, "time of a doorbell write");
//     d.choice("spinlock", c.spinlock, spinlock_names, "lock of the submission queue");
//     d.field("queues", c.queues, "I/O queue pairs; by default one a vCPU");
//   }
//
// Structs nest by d.table("nvme", c.nvme, "…"), arrays by d.tables("device", c.devices, "…"), a variant's overrides
// by d.free_table("set", c.set, "…"). Rows take .required(), .not_empty(), .within(range(…)), .power_of_two() and
// .only_for("model", {"nvme"}): the key belongs to those values of the choice "model", which is described before
// it.
//
//   Diagnostics diagnostics;
//   auto base = read_document("quickstart.toml", OriginKind::scenario, diagnostics);   // nothing: syntax errors
//   auto document = base->with_setting("guest.vcpus=4", diagnostics);                  // --set
//   Scenario scenario;
//   Origins origins = bind(scenario, document, diagnostics);                           // all errors at once
//   for (const Variant& v : scenario.variants) {
//     Scenario one;
//     Origins its = bind(one, document.with_variant(v.set, v.name, diagnostics), diagnostics);
//     if (one.guest.vcpus > 64) diagnostics.error(its.where("guest.vcpus"), "…");      // rules across fields
//   }
//   if (diagnostics.has_errors()) fmt::print(stderr, "{}", diagnostics.render());
//
// The same description gives effective_toml(scenario, origins), parameters<Scenario>() with list_text, explain_text
// and markdown_reference, and json_schema(description_of<Scenario>(), title).
//
// A constant() may be plain or { value = "3.6us", kind = "fitted", source = "…", fitted_to = ["…"] }. In documents
// read as OriginKind::machine_profile that form is mandatory for every constant(), and for every number and
// quantity however described. The provenance is in Origins, beside the value.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "platform/config/catalogue.hpp"
#include "platform/config/description.hpp"
#include "platform/config/diagnostics.hpp"
#include "platform/config/document.hpp"
#include "platform/config/effective.hpp"
#include "platform/config/origins.hpp"
#include "platform/config/quantity.hpp"

namespace gnomon::config {

/// Reads `document` into `object`, whose values are the defaults, and reports all that is wrong with it.
template <class T>
Origins bind(T& object, const Document& document, Diagnostics& diagnostics) {
  return read(describe_object(object), document, diagnostics);
}

/// The effective configuration. `object` is not changed; describe() wants it mutable.
template <class T>
requires(!std::same_as<std::remove_const_t<T>, Description>) std::string
    effective_toml(T& object, const Origins& origins) {
  return effective_toml(describe_object(object), origins);
}

template <class T>
std::vector<Parameter> parameters(std::string_view prefix = "") {
  return parameters(description_of<T>(), prefix);
}

}  // namespace gnomon::config
