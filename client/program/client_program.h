// A whole client program around a trainer: flags, log, name, reconnecting,
// Ctrl-C. parley-client is one; a program of your own is main() with
// ClientMain.
#ifndef PARLEY_CLIENT_PROGRAM_CLIENT_PROGRAM_H_
#define PARLEY_CLIENT_PROGRAM_CLIENT_PROGRAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"

namespace parley {

// What a trainer is made for.
struct TrainerSetup {
  std::string run;     // its name
  std::string client;  // this client's name
  std::string data;    // --data, where it is none of part:auto and part:N
  // The part of the run's data set that this client was given, of `parts`.
  std::optional<int32_t> part;
  int32_t parts = 0;
};

// Called for each run that the client joins; may take long. Its error ends the
// client's part in the run, and the program where the coordinator has no other.
using MakeTrainer = std::function<absl::StatusOr<std::unique_ptr<Trainer>>(
    const TrainerSetup& setup)>;

// To be all of main(); returns its exit code. Takes the flags of parley-client
// (--help lists them) and calls `make_trainer` once it has joined. Without
// --data the client has no data that Parley knows of.
int ClientMain(int argc, char** argv, MakeTrainer make_trainer);

}  // namespace parley

#endif  // PARLEY_CLIENT_PROGRAM_CLIENT_PROGRAM_H_
