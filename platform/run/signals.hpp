// SPDX-License-Identifier: Apache-2.0
// Who answers a signal, and when. SIGINT, SIGTERM and SIGHUP end the program; the supervisor borrows them while it
// has children to end first.
#pragma once

#include <csignal>

#include <array>
#include <string>

namespace gnomon::run {

/// What a terminal, `timeout` or a batch system sends to ask the program to end.
inline constexpr std::array termination_signals{SIGINT, SIGTERM, SIGHUP};

/// "SIGSEGV (Segmentation fault)".
std::string describe_signal(int signal);

/// The exit status of a program that `signal` ended, as a shell reports it: 130 for SIGINT, 143 for SIGTERM.
constexpr int exit_status_of_signal(int signal) {
  return 128 + signal;
}

/// From now on a termination signal removes every TemporaryPath of this process and leaves with
/// exit_status_of_signal(). A SIGHUP that was ignored (nohup) stays so. SIGINT is taken even where it was ignored:
/// shells ignore it in what they start by `&`, and a script that sends it means it. SIGPIPE (`gnomon | head`) is
/// taken likewise, unless ignored; SIGXFSZ is ignored: a file that grows past the limit is a write that fails,
/// EFBIG.
void install_termination_handlers();

/// No signal is delivered to this thread while one of these lives.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

/// Puts the handlers of SIGCHLD and the termination signals back as they were, whoever changed them in between.
class SignalHandlersKept {
 public:
  SignalHandlersKept();
  ~SignalHandlersKept();
  SignalHandlersKept(const SignalHandlersKept&) = delete;
  SignalHandlersKept& operator=(const SignalHandlersKept&) = delete;

  bool was_ignored(int signal) const;

 private:
  static constexpr std::array signals{SIGCHLD, SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, signals.size()> before_{};
};

/// For a fresh child: every signal at its default and unblocked, but the termination signals and SIGXFSZ ignored.
/// The former reach the whole process group at once, and it is for the supervisor to end its children.
void take_child_signals();

}  // namespace gnomon::run
