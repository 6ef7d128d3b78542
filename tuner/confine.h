// Keeping untested code from outliving, multiplying or hiding its end. Linux.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace hone {

// The calling process, from now on: starting a process or a program kills it (SIGSYS); threads stay
// possible. False when the system has no such filter; then look for strays().
bool forbid_new_processes();

// A fatal signal first writes one JSON line {"signal":"SIGSEGV","fault":"..."} to `descriptor`,
// `fault` being what describe_address() makes of the address, then takes its course.
void report_fatal_signals(int descriptor);

// The calling process becomes the parent of orphans below it. True on success.
bool adopt_orphans();

// Marks a child's environment; strays() finds what inherited it.
std::string stray_mark(pid_t owner);  // "HONE_WORKER_OF=<owner>"
// Living processes with the mark of this process, except `known`. Reaps those that have ended.
std::vector<pid_t> strays(pid_t known);
// Kills them, and what they start meanwhile.
void kill_strays(pid_t known);

}  // namespace hone
