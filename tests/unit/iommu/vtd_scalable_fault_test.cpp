// SPDX-License-Identifier: Apache-2.0
// Every way a scalable-mode request can fail, by its fault reason.
#include <catch2/catch.hpp>

#include "models/spec/vtd/capabilities.hpp"
#include "tests/unit/iommu/scalable_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::scalable_config;
using test::ScalableHost;
using Kind = Translation::Kind;
using Pgtt = ScalableHost::Pgtt;
using pgtable::read_write;
using pgtable::size_4k;
using vtd::FaultReason;

namespace {

constexpr std::uint64_t gib = 1 << 30;

FaultReason reason(ScalableHost& h, std::uint64_t iova = 0x5000, Access access = Access::read) {
  const Translation t = h.core.translate(ScalableHost::device, Iova{iova}, access);
  CHECK(t.kind == Kind::fault);
  CHECK_FALSE(h.core.resolve(ScalableHost::device, Iova{iova}, access));
  return static_cast<FaultReason>(t.reason.value);
}
/// The slot of `level` on the way to `iova` in a table that lies in host memory.
Hpa slot(const ScalableHost& h, Hpa table, std::uint64_t iova, unsigned level, unsigned levels = 4) {
  for (unsigned l = levels; l > level; --l) {
    table = Hpa{h.memory.read<std::uint64_t>(table + vtd::table_index(Iova{iova}, l) * 8u) & 0xf'ffff'ffff'f000};
  }
  return table + vtd::table_index(Iova{iova}, level) * 8u;
}
/// The same of the guest's table, whose pointers are the guest's.
Hpa guest_slot(const ScalableHost& h, std::uint64_t iova, unsigned level) {
  Gpa table = h.guest.root();
  for (unsigned l = 4; l > level; --l) {
    const Hpa at = h.pages.at(table.value) + vtd::table_index(Iova{iova}, l) * 8u;
    table = Gpa{h.memory.read<std::uint64_t>(at) & 0xf'ffff'ffff'f000};
  }
  return h.pages.at(table.value) + vtd::table_index(Iova{iova}, level) * 8u;
}
void change(ScalableHost& h, Hpa at, std::uint64_t set, std::uint64_t clear = 0) {
  h.memory.write(at, (h.memory.read<std::uint64_t>(at) & ~clear) | set);
}
/// The guest-physical page that the entry of `level` on the way to 5000h points to.
Gpa pointed_to(const ScalableHost& h, unsigned level) {
  return Gpa{h.memory.read<std::uint64_t>(guest_slot(h, 0x5000, level)) & 0xf'ffff'ffff'f000};
}
void remap(ScalableHost& h, Gpa page, pgtable::Permissions permissions) {
  const Hpa at = h.second.lookup(Iova{page.value})->hpa;
  h.second.unmap(Iova{page.value}, page_size, h.unlinked);
  h.second.map(Iova{page.value}, at, page_size, permissions, size_4k, h.unlinked);
}

struct Nested : ScalableHost {
  explicit Nested(const IommuConfig& config = scalable_config()) : ScalableHost(config) {
    second.map(Iova{0}, Hpa{gib}, 0x10'0000, read_write, size_4k, unlinked);
    guest.map(Iova{0x5000}, Gpa{0x9000}, 0x1000, read_write, size_4k, guest_unlinked);
    use(Pgtt::nested);
  }
};

}  // namespace

TEST_CASE("root, context, PASID directory and PASID table") {
  ScalableHost h;
  h.use(Pgtt::pass_through);
  const Hpa root_entry = h.root + 3 * 16u;
  const Hpa context_entry = h.contexts + 0x10 * 32u;
  const Hpa directory_entry = h.directory + (ScalableHost::pasid.value >> 6) * 8u;
  const Hpa pasid_entry = h.pasids + (ScalableHost::pasid.value & 0x3fu) * 64u;
  SECTION("root") {
    h.memory.write(root_entry, vtd::Bits128{h.contexts.value | 1, 0});  // the lower half alone
    CHECK(reason(h) == FaultReason::scalable_root_not_present);
    h.memory.write(root_entry, vtd::Bits128{0, h.contexts.value | 3});
    CHECK(reason(h) == FaultReason::scalable_root_reserved);
    h.memory.write(root_entry, vtd::Bits128{0, ScalableHost::memory_bytes | 1});
    CHECK(reason(h) == FaultReason::scalable_context_inaccessible);
    h.core.write64(vtd::reg::rtaddr, ScalableHost::memory_bytes | 1 << 10);
    h.core.write32(vtd::reg::gcmd, vtd::gcmd::te | vtd::gcmd::qie | vtd::gcmd::srtp);
    CHECK(reason(h) == FaultReason::scalable_root_inaccessible);
    h.core.write64(vtd::reg::rtaddr, h.root.value | 2 << 10);
    h.core.write32(vtd::reg::gcmd, vtd::gcmd::te | vtd::gcmd::qie | vtd::gcmd::srtp);
    CHECK(reason(h) == FaultReason::root_table_address_invalid);
  }
  SECTION("context") {
    const auto with = [&](auto set) {
      vtd::ScalableContextEntry e = h.context;
      set(e);
      h.attach(ScalableHost::device, e);
      return reason(h);
    };
    CHECK(with([](auto& e) { e.p = false; }) == FaultReason::scalable_context_not_present);
    CHECK(with([](auto& e) { e.pre = true; }) == FaultReason::scalable_context_reserved);
    CHECK(with([](auto& e) { e.rid_priv = true; }) == FaultReason::scalable_context_reserved);
    CHECK(with([](auto& e) { e.rid_pasid = 128 * 64; }) == FaultReason::rid_pasid_invalid);  // PDTS 0
    CHECK(with([](auto& e) { e.pasiddirptr = Hpa{ScalableHost::memory_bytes}; }) ==
          FaultReason::pasid_directory_inaccessible);
    h.attach(ScalableHost::device, h.context);
    change(h, context_entry + 16u, 1);
    // The context entry of the last request is cached, as it should not have been by then: drop it.
    h.run<ContextCacheInvalidated>(vtd::ContextCacheInvalidate{});
    CHECK(reason(h) == FaultReason::scalable_context_reserved);
  }
  SECTION("a PASID wider than hardware has") {
    IommuConfig config = scalable_config();
    config.pasid_bits = 12;
    ScalableHost narrow(config);
    narrow.use(Pgtt::pass_through);
    CHECK(reason(narrow) == FaultReason::rid_pasid_invalid);
  }
  SECTION("PASID directory") {
    h.memory.write(directory_entry, h.pasids.value);
    CHECK(reason(h) == FaultReason::pasid_directory_not_present);
    h.memory.write(directory_entry, h.pasids.value | 5);
    CHECK(reason(h) == FaultReason::pasid_directory_reserved);
    h.memory.write(directory_entry, ScalableHost::memory_bytes | 1);
    CHECK(reason(h) == FaultReason::pasid_entry_inaccessible);
  }
  SECTION("PASID table") {
    const auto with = [&](auto set) {
      vtd::PasidTableEntry e = h.entry;
      set(e);
      h.write_entry(e);
      return reason(h);
    };
    CHECK(with([](auto& e) { e.p = false; }) == FaultReason::pasid_entry_not_present);
    CHECK(with([](auto& e) { e.sre = true; }) == FaultReason::pasid_entry_reserved);
    CHECK(with([](auto& e) { e.ere = true; }) == FaultReason::pasid_entry_reserved);
    CHECK(with([](auto& e) { e.ssade = true; }) == FaultReason::pasid_entry_reserved);
    CHECK(with([](auto& e) { e.eafe = true; }) == FaultReason::pasid_entry_reserved);
    CHECK(with([](auto& e) { e.aw = 1; }) == FaultReason::pasid_entry_invalid);
    CHECK(with([](auto& e) { e.pgtt = static_cast<Pgtt>(5); }) == FaultReason::pasid_entry_invalid);
    CHECK(with([](auto& e) {
            e.pgtt = Pgtt::first_stage;
            e.fspm = 1;
          }) == FaultReason::pasid_entry_invalid);
    h.use(Pgtt::pass_through);
    h.memory.write(pasid_entry + 56u, std::uint64_t{1});
    CHECK(reason(h) == FaultReason::pasid_entry_reserved);
    CHECK(h.core.scalable_mode().pasid_cache_size() == 0);
  }
}

TEST_CASE("modes the unit does not have") {
  IommuConfig config = scalable_config();
  config.nested = false;
  ScalableHost second_and_first(config);
  second_and_first.use(Pgtt::nested);
  CHECK(reason(second_and_first) == FaultReason::pasid_entry_invalid);
  config.first_stage = false;
  ScalableHost second(config);
  second.use(Pgtt::first_stage);
  CHECK(reason(second) == FaultReason::pasid_entry_invalid);
  config.scalable_mode = false;
  ScalableHost none(config);
  CHECK(reason(none) == FaultReason::root_table_address_invalid);
}

TEST_CASE("second stage") {
  ScalableHost h;
  h.second.map(Iova{0x5000}, Hpa{gib}, 0x1000, pgtable::read_only, size_4k, h.unlinked);
  h.use(Pgtt::second_stage);
  CHECK(reason(h, 0x5000, Access::write) == FaultReason::scalable_write_not_permitted);
  CHECK(reason(h, 0x6000) == FaultReason::second_stage_not_present);
  CHECK(reason(h, std::uint64_t{1} << 48) == FaultReason::scalable_address_beyond_mgaw);
  const Hpa leaf = slot(h, h.second.root(), 0x5000, 1);
  change(h, leaf, 2, 1);
  CHECK(reason(h) == FaultReason::scalable_read_not_permitted);
  change(h, leaf, std::uint64_t{1} << 46 | 1);
  CHECK(reason(h) == FaultReason::second_stage_reserved);
  h.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
  h.memory.write(slot(h, h.second.root(), 0x5000, 2), ScalableHost::memory_bytes | 3);
  CHECK(reason(h) == FaultReason::second_stage_inaccessible);
  h.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
  h.entry.ssptptr = Hpa{ScalableHost::memory_bytes};
  h.write_entry(h.entry);
  h.run<PasidCacheInvalidated>(vtd::PasidCacheInvalidate{});
  CHECK(reason(h) == FaultReason::second_stage_root_inaccessible);
}

TEST_CASE("first stage") {
  ScalableHost h;
  h.first.map(Iova{0x5000}, Hpa{gib}, 0x1000, pgtable::read_only, size_4k, h.unlinked);
  h.use(Pgtt::first_stage);
  const Hpa leaf = slot(h, h.first.root(), 0x5000, 1);
  const std::uint64_t good = h.memory.read<std::uint64_t>(leaf);
  const auto with = [&](std::uint64_t set, std::uint64_t clear = 0) {
    h.memory.write(leaf, (good & ~clear) | set);
    return reason(h);
  };
  CHECK(reason(h, 0x5000, Access::write) == FaultReason::scalable_write_not_permitted);
  CHECK(reason(h, 0x6000) == FaultReason::first_stage_not_present);
  CHECK(reason(h, std::uint64_t{1} << 47) == FaultReason::address_not_canonical);
  CHECK(with(0, 1) == FaultReason::first_stage_not_present);
  CHECK(with(0, 4) == FaultReason::user_not_permitted);
  CHECK(with(std::uint64_t{1} << 63) == FaultReason::first_stage_reserved);
  CHECK(with(std::uint64_t{1} << 46) == FaultReason::first_stage_reserved);
  h.memory.write(leaf, (good & 0xfff) | 0xfee0'0000);
  CHECK(reason(h) == FaultReason::output_in_interrupt_range);
  h.memory.write(leaf, good);
  h.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
  h.memory.write(slot(h, h.first.root(), 0x5000, 2), ScalableHost::memory_bytes | 0x27);
  CHECK(reason(h) == FaultReason::first_stage_inaccessible);
  change(h, slot(h, h.first.root(), 0x5000, 4), 0x80);
  h.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
  CHECK(reason(h) == FaultReason::first_stage_reserved);  // no leaves at level 4
  h.entry.fsptptr = ScalableHost::memory_bytes;
  h.write_entry(h.entry);
  h.run<PasidCacheInvalidated>(vtd::PasidCacheInvalidate{});
  CHECK(reason(h) == FaultReason::first_stage_root_inaccessible);
}

TEST_CASE("XD with NXE, 1 GiB leaves where there are none, PAT in a large leaf") {
  IommuConfig config = scalable_config();
  config.first_stage_1g = false;
  ScalableHost h(config);
  h.entry.nxe = true;
  h.first.map(Iova{0}, Hpa{gib}, gib, read_write, pgtable::size_1g, h.unlinked);
  h.first.map(Iova{gib}, Hpa{gib}, 0x20'0000, read_write, pgtable::size_2m, h.unlinked);
  h.use(Pgtt::first_stage);
  CHECK(reason(h, 0) == FaultReason::first_stage_reserved);
  change(h, slot(h, h.first.root(), gib, 2), std::uint64_t{1} << 63 | 1 << 12);
  CHECK(h.read(gib + 0x1234).hpa == Hpa{gib + 0x1234});
  change(h, slot(h, h.first.root(), gib, 2), 1 << 13);
  h.invalidate_pages(gib, 0);
  CHECK(reason(h, gib) == FaultReason::first_stage_reserved);
}

TEST_CASE("a large leaf over the interrupt range is cut before it and blocked in it") {
  ScalableHost h;
  h.first.map(Iova{gib}, Hpa{3 * gib}, gib, read_write, pgtable::size_1g, h.unlinked);
  h.use(Pgtt::first_stage);
  const std::uint64_t start = gib + (0xfee0'0000 - 3 * gib);
  CHECK(h.read(start - 0x1000).bytes == 0x1000);
  CHECK(h.read(start - 0x2000).iotlb_hit);
  CHECK(reason(h, start) == FaultReason::output_in_interrupt_range);
  CHECK(h.read(start + 0x10'0000).kind == Kind::translated);
}

TEST_CASE("nested: what the second stage denies the first stage's tables") {
  Nested h;
  const Gpa leaf_table = pointed_to(h, 2);
  SECTION("the root") {
    remap(h, h.guest.root(), pgtable::write_only);
    CHECK(reason(h) == FaultReason::first_stage_root_not_readable);
    h.second.unmap(Iova{h.guest.root().value}, page_size, h.unlinked);
    CHECK(reason(h) == FaultReason::second_stage_not_present);
  }
  SECTION("another") {
    remap(h, leaf_table, pgtable::write_only);
    CHECK(reason(h) == FaultReason::first_stage_table_not_readable);
  }
  SECTION("read-only is enough while no flag is to be set") {
    remap(h, leaf_table, pgtable::read_only);
    CHECK(h.write(0x5000).kind == Kind::translated);
    h.invalidate_pages(0x5000, 0, true);
    change(h, guest_slot(h, 0x5000, 1), 0, 1 << 6);
    CHECK(h.read(0x5000).kind == Kind::translated);
    CHECK(reason(h, 0x5000, Access::write) == FaultReason::first_stage_table_not_writable);
  }
  SECTION("beyond the second stage") {
    change(h, guest_slot(h, 0x5000, 2), std::uint64_t{1} << 48);
    CHECK(reason(h) == FaultReason::first_stage_table_beyond_width);
  }
  SECTION("pointed to where the host has no memory") {
    h.second.unmap(Iova{leaf_table.value}, page_size, h.unlinked);
    h.second.map(Iova{leaf_table.value}, Hpa{ScalableHost::memory_bytes}, page_size, read_write, size_4k,
                 h.unlinked);
    CHECK(reason(h) == FaultReason::first_stage_inaccessible);
  }
}

TEST_CASE("nested: what the second stage denies the page") {
  Nested h;
  SECTION("not mapped") {
    h.second.unmap(Iova{0x9000}, page_size, h.unlinked);
    CHECK(reason(h) == FaultReason::second_stage_not_present);
  }
  SECTION("read-only") {
    remap(h, Gpa{0x9000}, pgtable::read_only);
    CHECK(h.read(0x5000).permissions == pgtable::read_only);
    CHECK(reason(h, 0x5000, Access::write) == FaultReason::scalable_write_not_permitted);
  }
  SECTION("write-only") {
    remap(h, Gpa{0x9000}, pgtable::write_only);
    CHECK(reason(h) == FaultReason::scalable_read_not_permitted);
  }
  SECTION("beyond its width") {
    change(h, guest_slot(h, 0x5000, 1), std::uint64_t{1} << 48);
    CHECK(reason(h) == FaultReason::first_stage_output_beyond_width);
  }
}

TEST_CASE("faults are recorded as of requests without PASID, and FPD of any entry silences them") {
  Nested h;
  Translation t = h.read(0x6000);
  CHECK(t.recorded);
  const auto r = vtd::decode_fault_record({h.core.read64(vtd::reg::frcd), h.core.read64(vtd::reg::frcd + 8)});
  CHECK(r.fr == 0x71);
  CHECK_FALSE(r.pp);
  CHECK(r.fi == Iova{0x6000});
  const auto silent = [&] {
    h.run<ContextCacheInvalidated>(vtd::ContextCacheInvalidate{});
    h.run<PasidCacheInvalidated>(vtd::PasidCacheInvalidate{});
    const bool cold = h.read(0x6000).recorded;
    return !cold && !h.read(0x6000).recorded;
  };
  CHECK_FALSE(silent());
  SECTION("context") {
    h.context.fpd = true;
    h.attach(ScalableHost::device, h.context);
    CHECK(silent());
  }
  SECTION("directory") {
    h.memory.write(h.directory + (ScalableHost::pasid.value >> 6) * 8u,
                   vtd::encode(vtd::PasidDirectoryEntry{true, true, h.pasids}));
    CHECK(silent());
  }
  SECTION("table") {
    h.entry.fpd = true;
    h.write_entry(h.entry);
    CHECK(silent());
  }
}

TEST_CASE("capabilities of a scalable unit") {
  IommuConfig config = scalable_config();
  config.pasid_bits = 16;
  config.caching_mode = true;
  config.first_stage_5_levels = true;
  const ScalableHost h(config);
  const auto cap = vtd::decode_capability(h.core.read64(vtd::reg::cap));
  CHECK(cap.cm);
  CHECK(cap.fs1gp);
  CHECK(cap.fs5lp);
  const auto ecap = vtd::decode_extended_capability(h.core.read64(vtd::reg::ecap));
  CHECK(ecap.smts);
  CHECK(ecap.ssts);
  CHECK(ecap.fsts);
  CHECK(ecap.nest);
  CHECK(ecap.rps);
  CHECK(ecap.pss == 15);
  CHECK_FALSE(ecap.eafs);
  PhysicalMemory memory{1 << 20};
  const VtdUnit legacy(IommuConfig{}, memory);
  CHECK(legacy.read64(vtd::reg::ecap) == 0xf000cf);
  const auto refused = [&](auto set) {
    IommuConfig c = scalable_config();
    set(c);
    CHECK_THROWS_AS(VtdUnit(c, memory), std::invalid_argument);
  };
  refused([](IommuConfig& c) { c.scalable_mode = false; });
  refused([](IommuConfig& c) { c.first_stage = false; });
  refused([](IommuConfig& c) { c.pasid_bits = 21; });
  refused([](IommuConfig& c) { c.pasid_bits = 0; });
  refused([](IommuConfig& c) { c.pasid_cache_entries = 12; });
}
