// Settings of the whole process that a program with gRPC inside wants.
#ifndef PARLEY_COMMON_RPC_PROCESS_H_
#define PARLEY_COMMON_RPC_PROCESS_H_

namespace parley {

// Call first in main, before there are threads. Tunes the allocator for the
// receive buffers of bulk transfers (twice as fast), lets threads finish their
// piece of work before those that they wake (an exchange takes a third less),
// turns Abseil's deadlock detection off, raises the limit of open files to what
// is allowed (gRPC 1.51 stops listening for good once it runs out), ignores
// SIGPIPE, sends gRPC's own error lines to our log, and silences protobuf's.
void TuneProcess();

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_PROCESS_H_
