// SPDX-License-Identifier: Apache-2.0
// Signal dispositions.
#include "platform/run/signals.hpp"

#include <unistd.h>
#include <cstring>

#include "platform/run/temporary_path.hpp"

namespace gnomon::run {
namespace {

// Only async-signal-safe calls: see remove_all_temporary_paths().
extern "C" void end_by_signal(int signal) {
  remove_all_temporary_paths();
  ::_exit(exit_status_of_signal(signal));
}

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigfillset(&action.sa_mask);  // a second signal must not cut the first one's work short
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

std::string describe_signal(int signal) {
  const char* name = ::sigabbrev_np(signal);
  if (name == nullptr) return "signal " + std::to_string(signal);
  return std::string{"SIG"} + name + " (" + ::sigdescr_np(signal) + ")";
}

void install_termination_handlers() {
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  for (const int signal : termination_signals)
    if (signal != SIGHUP || hangup.sa_handler != SIG_IGN) set_handler(signal, end_by_signal);
  struct sigaction broken_pipe {};
  ::sigaction(SIGPIPE, nullptr, &broken_pipe);
  if (broken_pipe.sa_handler != SIG_IGN) set_handler(SIGPIPE, end_by_signal);
  set_handler(SIGXFSZ, SIG_IGN);
}

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() {
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

SignalHandlersKept::SignalHandlersKept() {
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], nullptr, &before_[i]);
}

SignalHandlersKept::~SignalHandlersKept() {
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
}

bool SignalHandlersKept::was_ignored(int signal) const {
  for (std::size_t i = 0; i < signals.size(); ++i)
    if (signals[i] == signal) return before_[i].sa_handler == SIG_IGN;
  return false;
}

void take_child_signals() {
  for (int signal = 1; signal < NSIG; ++signal)
    if (signal != SIGKILL && signal != SIGSTOP) set_handler(signal, SIG_DFL);
  for (const int signal : termination_signals) set_handler(signal, SIG_IGN);
  set_handler(SIGXFSZ, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace gnomon::run
