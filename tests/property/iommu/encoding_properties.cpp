// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding are each other's inverse, and decoding takes any bits there are.
#include <rapidcheck/catch.h>

#include "models/spec/vtd/capabilities.hpp"
#include "models/spec/vtd/fault.hpp"
#include "models/spec/vtd/first_stage.hpp"
#include "models/spec/vtd/invalidation.hpp"
#include "models/spec/vtd/pasid_table_entry.hpp"
#include "models/spec/vtd/translation_tables.hpp"

using namespace gnomon;
using namespace gnomon::vtd;

namespace {

template <class T = std::uint64_t>
T below(std::uint64_t bound) {
  return static_cast<T>(*rc::gen::inRange<std::uint64_t>(0, bound));
}
std::uint64_t any64() {
  return *rc::gen::resize(1000, rc::gen::arbitrary<std::uint64_t>());
}
bool flip() {
  return *rc::gen::arbitrary<bool>();
}
SourceId source() {
  return {below<std::uint16_t>(0x10000)};
}
DomainId domain() {
  return {below<std::uint16_t>(0x10000)};
}
Granularity granularity() {
  return static_cast<Granularity>(below<std::uint8_t>(3) + 1);
}

InvalidationDescriptor descriptor() {
  const Iova addr{any64() & mask(63, 12)};
  switch (below<unsigned>(5)) {
    case 0: return ContextCacheInvalidate{granularity(), domain(), source(), below<std::uint8_t>(4)};
    case 1: return IotlbInvalidate{granularity(), flip(), flip(), domain(), below<std::uint8_t>(64), flip(), addr};
    case 2: return DeviceTlbInvalidate{below<std::uint8_t>(32), source(), source(), flip(), addr};
    case 3: return InterruptEntryCacheInvalidate{flip(), below<std::uint8_t>(32), below<std::uint16_t>(0x10000)};
    default:
      return InvalidationWait{
          flip(), flip(), flip(), flip(), static_cast<std::uint32_t>(any64()), Hpa{any64() & mask(63, 2)}};
  }
}

InvalidationDescriptor wide_descriptor() {
  const Iova addr{any64() & mask(63, 12)};
  const auto pasid = below<std::uint32_t>(1 << 20);
  switch (below<unsigned>(4)) {
    case 0:
      return PasidIotlbInvalidate{static_cast<PasidGranularity>(below<std::uint8_t>(2) + 2),
                                  domain(),
                                  pasid,
                                  below<std::uint8_t>(64),
                                  flip(),
                                  addr};
    case 1: {
      constexpr PasidCacheGranularity all[] = {PasidCacheGranularity::domain, PasidCacheGranularity::pasid,
                                               PasidCacheGranularity::global};
      return PasidCacheInvalidate{all[below(3)], domain(), pasid};
    }
    case 2:
      return PasidDeviceTlbInvalidate{below<std::uint8_t>(32), source(), source(), pasid, flip(), flip(), addr};
    default: return descriptor();
  }
}

}  // namespace

TEST_CASE("decode(encode(x)) == x") {
  rc::prop("root entry", [] {
    const RootEntry e{flip(), Hpa{any64() & mask(63, 12)}};
    RC_ASSERT(decode_root_entry(encode(e)) == e);
    RC_ASSERT(!root_entry_reserved_set(encode(e), 64));
  });
  rc::prop("context entry", [] {
    const ContextEntry e{flip(),
                         flip(),
                         static_cast<TranslationType>(below(4)),
                         Hpa{any64() & mask(63, 12)},
                         below<std::uint8_t>(8),
                         domain()};
    RC_ASSERT(decode_context_entry(encode(e)) == e);
    RC_ASSERT(!context_entry_reserved_set(encode(e), 64));
  });
  rc::prop("second-stage paging entry", [] {
    const SecondStagePte e{flip(), flip(), flip(), flip(), Hpa{any64() & mask(51, 12)}};
    RC_ASSERT(decode_second_stage_pte(encode(e)) == e);
  });
  rc::prop("invalidation descriptor", [] {
    const InvalidationDescriptor d = descriptor();
    RC_ASSERT(decode_invalidation_descriptor(encode(d)) == d);
  });
  rc::prop("256-bit invalidation descriptor", [] {
    const InvalidationDescriptor d = wide_descriptor();
    RC_ASSERT(decode_wide_invalidation_descriptor(encode_wide(d)) == d);
  });
  rc::prop("scalable tables", [] {
    const ScalableRootEntry root = decode_scalable_root_entry({any64(), any64()});
    RC_ASSERT(decode_scalable_root_entry(encode(root)) == root);
    const ScalableContextEntry context = decode_scalable_context_entry({{any64(), any64(), any64(), any64()}});
    RC_ASSERT(decode_scalable_context_entry(encode(context)) == context);
    RC_ASSERT(!scalable_context_entry_reserved_set(encode(context), 64));
    const PasidDirectoryEntry directory = decode_pasid_directory_entry(any64());
    RC_ASSERT(decode_pasid_directory_entry(encode(directory)) == directory);
    PasidTableEntry entry = decode_pasid_table_entry({{any64(), any64(), any64(), 0, 0, 0, 0, 0}});
    RC_ASSERT(decode_pasid_table_entry(encode(entry)) == entry);
    const FirstStagePte pte = decode_first_stage_pte(any64());
    RC_ASSERT(decode_first_stage_pte(encode(pte)) == pte);
  });
  rc::prop("fault record", [] {
    const FaultRecord r{Iova{any64() & mask(63, 12)},
                        source(),
                        below<std::uint8_t>(256),
                        static_cast<RequestType>(below(4)),
                        below<std::uint8_t>(4),
                        flip(),
                        below<std::uint32_t>(1 << 20),
                        flip(),
                        flip(),
                        flip()};
    RC_ASSERT(decode_fault_record(encode(r)) == r);
  });
  rc::prop("capabilities", [] {
    const Capability c = decode_capability(any64());
    RC_ASSERT(decode_capability(encode(c)) == c);
    const ExtendedCapability e = decode_extended_capability(any64());
    RC_ASSERT(decode_extended_capability(encode(e)) == e);
  });
}

TEST_CASE("descriptor decoding is total") {
  rc::prop("any 128 bits decode, and encode back to themselves", [] {
    // Low type nibbles and few other bits, so that legal descriptors and near misses both come up.
    const std::uint64_t lo = flip() ? any64() : encode(descriptor()).lo ^ std::uint64_t{flip()} << below(64);
    const Bits128 raw{lo, flip() ? any64() : any64() & mask(63, 12)};
    const InvalidationDescriptor d = decode_invalidation_descriptor(raw);
    RC_CLASSIFY(std::holds_alternative<IllegalDescriptor>(d), "illegal");
    RC_ASSERT(encode(d) == raw);
  });
  rc::prop("any 256 bits decode, and encode back to themselves", [] {
    Bits256 raw = encode_wide(wide_descriptor());
    if (flip()) raw.word[below(4)] ^= std::uint64_t{1} << below(64);
    if (below(4) == 0) raw = {{any64(), any64(), any64(), any64()}};
    RC_ASSERT(encode_wide(decode_wide_invalidation_descriptor(raw)) == raw);
  });
  rc::prop("no single bit of a descriptor is lost", [] {
    Bits128 raw = encode(descriptor());
    const unsigned n = below<unsigned>(128);
    (n < 64 ? raw.lo : raw.hi) ^= std::uint64_t{1} << (n % 64);
    RC_ASSERT(encode(decode_invalidation_descriptor(raw)) == raw);
  });
}

TEST_CASE("page blocks") {
  rc::prop("contain the address, aligned to their size", [] {
    const Iova addr{any64() & mask(56, 12)};
    const auto am = below<std::uint8_t>(45);
    const PageBlock b = page_block(addr, am);
    RC_ASSERT(b.bytes == page_size << am);
    RC_ASSERT(b.base.value % b.bytes == 0u);
    RC_ASSERT(addr - b.base < b.bytes);
  });
}
