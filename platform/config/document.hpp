// SPDX-License-Identifier: Apache-2.0
// A parsed TOML text whose every key and value knows its position, and the overlays that make a variant of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "platform/config/diagnostics.hpp"
#include "platform/config/source.hpp"

namespace gnomon::config {

struct Node;
using NodePtr = std::shared_ptr<const Node>;

struct Member {
  std::string key;
  Location where;  ///< of the key
  NodePtr value;   ///< never null
};
using Members = std::vector<Member>;  ///< in the order of the file, keys unique
using Items = std::vector<NodePtr>;

/// A date or a time of day: well-formed, but no field takes one.
struct Date {};

/// One value. Immutable and shared: an overlay copies the tables on its path and shares the rest.
struct Node {
  std::variant<bool, std::int64_t, double, std::string, Date, Items, Members> value;
  Location where;   ///< of the value; of a table, its header
  std::string raw;  ///< the text as typed, for values given by --set; else empty

  const Members* table() const { return std::get_if<Members>(&value); }
  const Items* array() const { return std::get_if<Items>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  /// The member called `key`, or null: also where this is no table.
  const Member* find(std::string_view key) const;
  /// "a boolean", "an integer", "a number", "a string", "a date", "an array", "a table".
  std::string_view kind_name() const;
};

/// A table whose keys are dotted paths into another document: `set = { "guest.cmdline" = "iommu.strict=1" }`.
struct FreeTable {
  struct Entry {
    std::string path;
    Location where;  ///< of the key
    NodePtr value;
  };
  std::vector<Entry> entries;  ///< in the order of the file
};

/// Bounds on what is read, so that any input ends in a document or in diagnostics.
inline constexpr std::size_t max_file_bytes = std::size_t{4} << 20;
inline constexpr std::size_t max_depth = 64;        ///< tables and arrays in one another, dots of a path included
inline constexpr std::size_t max_settings = 1'000;  ///< values one variant sets
inline constexpr std::size_t max_tables = 1'000;    ///< elements of one array of tables

class Document {
 public:
  Document();

  const Node& root() const { return *root_; }
  /// The node at `path` (dotted; an array's item by its number: "device.0.model"), or null.
  const Node* find(std::string_view path) const;

  /// With the --set argument PATH=VALUE applied. VALUE is read as TOML where it is TOML, else as a string. Errors
  /// are reported at `--set:1:COLUMN` and leave the document as it was; so for the overlays below.
  Document with_setting(std::string_view argument, Diagnostics& diagnostics) const;
  /// With a variant's `set` table applied. Its values keep their positions; their origin becomes the variant.
  Document with_variant(const FreeTable& set, std::string_view variant, Diagnostics& diagnostics) const;
  /// With `other` laid over the table at `path` ("" is the root).
  Document with(std::string_view path, const Document& other, Diagnostics& diagnostics) const;

 private:
  friend std::optional<Document> parse_document(std::string, std::string, OriginKind, Diagnostics&);
  explicit Document(NodePtr root) : root_(std::move(root)) {}
  NodePtr root_;
};

/// Parses `text`, called `name` in messages. Syntax errors, all that can be told apart, are reported and give
/// nothing.
std::optional<Document> parse_document(std::string text, std::string name, OriginKind kind,
                                       Diagnostics& diagnostics);

/// parse_document of a file. An unreadable one is `FILE:1:1: error: cannot read: REASON`.
std::optional<Document> read_document(const std::string& path, OriginKind kind, Diagnostics& diagnostics);

/// A dotted path in its parts; a part may be quoted ("…" or '…'). Nothing where it is no path or exceeds max_depth.
struct PathPart {
  std::string key;
  std::size_t offset;  ///< in code points from the start of the path
};
std::optional<std::vector<PathPart>> split_path(std::string_view path);

/// `parent`.`key`, the key quoted where a dotted path needs it.
std::string join_path(std::string_view parent, std::string_view key);

/// `text` as a TOML basic string, quotes included.
std::string quoted(std::string_view text);

}  // namespace gnomon::config
