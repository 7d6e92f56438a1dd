// SPDX-License-Identifier: Apache-2.0
// The values a field can hold, in one type: how a described member is read and written without knowing its C++
// type.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "models/base/time.hpp"

namespace gnomon::config {

/// A scalar or a list. monostate: an empty std::optional. Integers and times in base units; a choice by its name.
using FieldValue = std::variant<std::monostate, bool, std::uint64_t, double, std::string,
                                std::vector<std::uint64_t>, std::vector<std::string>>;

template <class T>
concept Count = std::unsigned_integral<T> && !std::same_as<T, bool>;

/// Conversion of a member's type to FieldValue and back. The reader has checked kind and range before `from`.
template <class T>
struct FieldCodec;

template <class T>
requires std::same_as<T, bool> || std::same_as<T, double> || std::same_as<T, std::string>
struct FieldCodec<T> {
  static FieldValue to(const T& value) { return value; }
  static T from(const FieldValue& value) { return std::get<T>(value); }
};

template <Count T>
struct FieldCodec<T> {
  static FieldValue to(T value) { return std::uint64_t{value}; }
  static T from(const FieldValue& value) { return static_cast<T>(std::get<std::uint64_t>(value)); }
};

template <>
struct FieldCodec<Time> {
  static FieldValue to(Time value) { return value.ps(); }
  static Time from(const FieldValue& value) { return Time::ps(std::get<std::uint64_t>(value)); }
};

template <class T>
struct FieldCodec<std::optional<T>> {
  static FieldValue to(const std::optional<T>& value) { return value ? FieldCodec<T>::to(*value) : FieldValue{}; }
  static std::optional<T> from(const FieldValue& value) {
    if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
    return FieldCodec<T>::from(value);
  }
};

template <class T>
requires std::same_as<T, std::string> || std::same_as<T, Time> || Count<T>
struct FieldCodec<std::vector<T>> {
  using Wide = std::conditional_t<std::same_as<T, std::string>, std::string, std::uint64_t>;
  static FieldValue to(const std::vector<T>& value) {
    std::vector<Wide> wide;
    for (const auto& item : value) wide.push_back(std::get<Wide>(FieldCodec<T>::to(item)));
    return wide;
  }
  static std::vector<T> from(const FieldValue& value) {
    std::vector<T> narrow;
    for (const auto& item : std::get<std::vector<Wide>>(value)) narrow.push_back(FieldCodec<T>::from(item));
    return narrow;
  }
};

template <class T>
struct OptionalOf {
  using Item = T;
  static constexpr bool is_optional = false;
};
template <class T>
struct OptionalOf<std::optional<T>> {
  using Item = T;
  static constexpr bool is_optional = true;
};
template <class T>
struct ListOf {
  using Item = T;
  static constexpr bool is_list = false;
};
template <class T>
struct ListOf<std::vector<T>> {
  using Item = T;
  static constexpr bool is_list = true;
};

}  // namespace gnomon::config
