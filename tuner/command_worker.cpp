// hone worker: the child process of the tuner.
#include "tuner/command.h"
#include "tuner/worker.h"

namespace hone {
namespace {

namespace po = boost::program_options;

int run_worker(const Words& words) {
  CommandLine line("hone worker --channel FD",
                   "Runs untested kernels for a tuner. Not meant for people.");
  line.add()("channel", po::value<int>()->required(), "socket to the tuner");
  return line.parse(words) ? serve_worker(line.get<int>("channel")) : 0;
}

const RegisterCommand kWorker({"worker", "runs untested kernels for a tuner", run_worker, true});

}  // namespace
}  // namespace hone
