// The child process that runs untested kernels: `hone worker --channel FD`, not meant for people.
#pragma once

namespace hone {

// Serves requests on a stream socket until the other end closes it. Returns the exit status.
// Requests (JSON, see wire.h), each answered with its "id", after {"id","stage"} lines that tell
// how far it got:
//   open     device, templates, seed                                   -> confined
//   problem  problem; blob: the compiled reference                     -> nothing
//   trial    variant, config, source, entries, time, best_s; blob: code
//            -> status, error, reason, checked, timed, median_s, spread, samples
//   final    candidates [{variant, config, source, entries, bytes}]; blob: their codes, joined
//            -> results [{median_s, spread, samples}]
// What goes wrong in Hone itself is answered with {"code", "what"}.
int serve_worker(int channel);

// The worker's exit status when somebody closed its channel.
constexpr int kChannelLost = 113;

}  // namespace hone
