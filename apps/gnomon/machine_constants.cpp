// SPDX-License-Identifier: Apache-2.0
#include "apps/gnomon/machine_constants.hpp"

#include <fmt/format.h>

#include "platform/scenario/data_root.hpp"

namespace gnomon::app {
namespace {

std::string value_text(const config::Node& node) {
  if (const std::string* text = node.text()) return *text;
  if (const auto* whole = std::get_if<std::int64_t>(&node.value)) return fmt::format("{}", *whole);
  if (const auto* real = std::get_if<double>(&node.value)) return fmt::format("{}", *real);
  if (const auto* flag = std::get_if<bool>(&node.value)) return *flag ? "true" : "false";
  return "";
}

}  // namespace

std::optional<MachineConstant> constant_in(const config::Document& profile, std::string_view path) {
  const config::Node* constant = profile.find(path);
  if (constant == nullptr || constant->table() == nullptr) return std::nullopt;
  const auto part = [&](std::string_view which) {
    const config::Member* member = constant->find(which);
    return member == nullptr ? std::string{} : value_text(*member->value);
  };
  MachineConstant out{part("value"), part("kind"), part("source"), {}};
  const config::Member* fitted = constant->find("fitted_to");
  if (fitted != nullptr && fitted->value->array() != nullptr)
    for (const config::NodePtr& item : *fitted->value->array()) out.fitted_to.push_back(value_text(*item));
  return out;
}

std::optional<config::Document> profile_document(const std::string& name) {
  config::Diagnostics ignored;
  const auto file = scenario::machines_folder() / (name + ".toml");
  return config::read_document(file.string(), config::OriginKind::machine_profile, ignored);
}

}  // namespace gnomon::app
