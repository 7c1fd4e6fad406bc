// A whole coordinator program: parley-server is one. A program of your own,
// with strategies of your own, is main() with ServerMain.
#ifndef PARLEY_SERVER_PROGRAM_SERVER_PROGRAM_H_
#define PARLEY_SERVER_PROGRAM_SERVER_PROGRAM_H_

#include <vector>

#include "server/strategies/strategy.h"

namespace parley {

// To be all of main(); returns its exit code. Takes the flags of parley-server
// (--help lists them).
int ServerMain(int argc, char** argv, std::vector<CustomStrategy> strategies);

}  // namespace parley

#endif  // PARLEY_SERVER_PROGRAM_SERVER_PROGRAM_H_
