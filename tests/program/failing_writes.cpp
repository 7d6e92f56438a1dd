// SPDX-License-Identifier: Apache-2.0
// Preloaded into the program: of all that its processes do to files under FAIL_UNDER, the FAIL_AT-th fails with
// FAIL_ERRNO, and from then on everything they do to that file: a retry does not help. How often they did something
// is left in the file FAIL_COUNTER, the first eight of its sixteen bytes, in host order.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

struct Plan {
  const char* under = nullptr;
  std::uint64_t at = 0;
  int error = 0;
  struct Shared {  // with forked children
    std::atomic<std::uint64_t> done;
    std::atomic<std::uint64_t> failed;  // hash of the path; 0 before
  };
  Shared* shared = nullptr;
};

/// FNV-1a.
std::uint64_t hash_of(const char* text) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (; *text != '\0'; ++text) hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100'0000'01b3;
  return hash;
}

template <class Function>
Function* next(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

Plan make_plan() {
  Plan plan;
  plan.under = std::getenv("FAIL_UNDER");
  const char* counter = std::getenv("FAIL_COUNTER");
  if (plan.under == nullptr || counter == nullptr) return {};
  plan.at = std::strtoull(std::getenv("FAIL_AT"), nullptr, 10);
  plan.error = std::atoi(std::getenv("FAIL_ERRNO"));
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, counter, O_RDWR));
  void* const page = ::mmap(nullptr, sizeof(Plan::Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) std::abort();
  ::close(fd);
  plan.shared = static_cast<Plan::Shared*>(page);
  return plan;
}

bool fails(const char* path) {
  static const Plan plan = make_plan();
  if (plan.shared == nullptr || path == nullptr || std::strncmp(path, plan.under, std::strlen(plan.under)) != 0)
    return false;
  const std::uint64_t hash = hash_of(path);
  if (plan.shared->done.fetch_add(1) + 1 == plan.at) plan.shared->failed = hash;
  if (plan.shared->failed != hash) return false;
  errno = plan.error;
  return true;
}

bool fails(int fd) {
  char link[64], path[PATH_MAX + 1];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, PATH_MAX);
  if (length <= 0) return false;
  path[length] = '\0';
  return fails(path);
}

bool creates(int flags) {
  return (flags & O_CREAT) != 0;
}

}  // namespace

extern "C" {

#define NEXT(name) next(&::name, #name)

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = creates(flags) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  static const auto real = reinterpret_cast<int (*)(const char*, int, ...)>(::dlsym(RTLD_NEXT, "open"));
  return creates(flags) && fails(path) ? -1 : real(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = creates(flags) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  static const auto real = reinterpret_cast<int (*)(const char*, int, ...)>(::dlsym(RTLD_NEXT, "open64"));
  return creates(flags) && fails(path) ? -1 : real(path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) {
  static const auto real = NEXT(fopen);
  return mode[0] != 'r' && fails(path) ? nullptr : real(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  static const auto real = NEXT(fopen64);
  return mode[0] != 'r' && fails(path) ? nullptr : real(path, mode);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  static const auto real = NEXT(write);
  return fails(fd) ? -1 : real(fd, bytes, size);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto real = NEXT(writev);
  return fails(fd) ? -1 : real(fd, parts, count);
}

int fflush(FILE* file) {
  static const auto real = NEXT(fflush);
  return file != nullptr && fails(::fileno(file)) ? EOF : real(file);
}

int fsync(int fd) {
  static const auto real = NEXT(fsync);
  return fails(fd) ? -1 : real(fd);
}

int mkdir(const char* path, mode_t mode) {
  static const auto real = NEXT(mkdir);
  return fails(path) ? -1 : real(path, mode);
}

int rename(const char* from, const char* to) {
  static const auto real = NEXT(rename);
  return fails(to) ? -1 : real(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  static const auto real = NEXT(renameat2);
  return fails(to) ? -1 : real(from_folder, from, to_folder, to, flags);
}

}  // extern "C"
