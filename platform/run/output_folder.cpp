// SPDX-License-Identifier: Apache-2.0
// A temporary sibling, swapped in place.
#include "platform/run/output_folder.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "platform/run/signals.hpp"

namespace gnomon::run {
namespace fs = std::filesystem;
namespace {

fs::path resolve(const fs::path& target) {
  std::error_code error;
  const fs::path whole = fs::absolute(target, error).lexically_normal();
  if (error) throw IoError{FileOperation::open, target, error.value()};
  const fs::path path = fs::weakly_canonical(whole.has_filename() ? whole : whole.parent_path(), error);
  if (error) throw IoError{FileOperation::open, target, error.value()};
  if (!path.has_filename()) throw OutputRefused{target.string() + " is the root folder"};
  return path;
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& target, FaultHook faults)
    : files_(std::move(faults)), target_(resolve(target)) {
  target_exists();  // refuses early

  std::vector<fs::path> missing;  // innermost first
  std::error_code error;
  for (fs::path at = target_.parent_path(); !fs::exists(at, error); at = at.parent_path()) {
    if (error) throw IoError{FileOperation::make_folder, at, error.value()};
    missing.push_back(at);
  }
  if (missing.empty()) remove_stale_temporaries(target_.parent_path());
  temporary_.emplace(target_.parent_path(), static_cast<unsigned>(missing.size()));
  try {
    for (auto at = missing.rbegin(); at != missing.rend(); ++at) files_.make_folder(*at);
    files_.make_folder(temporary_->path());
    temporary_->keep();
  } catch (const IoError&) {
    temporary_->remove();
    throw;
  }
}

OutputFolder::~OutputFolder() {
  if (temporary_) temporary_->remove();
}

bool OutputFolder::target_exists() const {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target_, error);
  if (!fs::exists(status)) {
    if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
      throw IoError{FileOperation::open, target_, error.value()};
    return false;
  }
  if (!fs::is_directory(status)) throw OutputRefused{target_.string() + " exists and is no folder"};
  const bool empty = fs::is_empty(target_, error);
  if (error) throw IoError{FileOperation::open, target_, error.value()};
  if (!empty && !fs::is_regular_file(target_ / result_marker, error))
    throw OutputRefused{target_.string() + " is not empty and holds no " + result_marker +
                        ": it is no result folder, and is not replaced"};
  return true;
}

void OutputFolder::commit() {
  const bool replaces = target_exists();
  files_.sync_folder(path());
  if (replaces) {
    swap_in();
  } else {
    files_.rename(path(), target_);
  }
  if (!replaces) temporary_.reset();  // the name is free; else the old results have it now, until they are gone
  files_.sync_folder(target_.parent_path());
  if (!replaces) return;
  files_.remove_tree(path());
  temporary_.reset();
}

void OutputFolder::swap_in() {
  struct stat old {};
  if (::stat(target_.c_str(), &old) == 0) static_cast<void>(::chmod(path().c_str(), old.st_mode & 07777));
  if (files_.exchange(path(), target_)) return;

  // Without an atomic exchange: move the old results aside, and back if the new ones do not get in. Meanwhile both
  // have temporary names, which a signal would remove.
  const SignalsBlocked undisturbed;
  const TemporaryPath aside{target_.parent_path()};
  files_.rename(target_, aside.path());
  try {
    files_.rename(path(), target_);
  } catch (const IoError&) {
    files_.rename(aside.path(), target_);
    throw;
  }
  files_.rename(aside.path(), path());
}

}  // namespace gnomon::run
