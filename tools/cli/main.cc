// parley: what a person types.
#include "common/rpc/process.h"
#include "tools/cli/command.h"

int main(int argc, char** argv) {
  parley::TuneProcess();
  return parley::Main(argc, argv);
}
