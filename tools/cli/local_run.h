// A run on this machine: a coordinator and its clients as child processes.
#ifndef PARLEY_TOOLS_CLI_LOCAL_RUN_H_
#define PARLEY_TOOLS_CLI_LOCAL_RUN_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/rpc/admin_client.h"
#include "tools/cli/progress.h"
#include "tools/cli/supervisor.h"

namespace parley {

// Starts parley-server, waits until it listens, starts the clients, shows how
// the run goes, and ends with all of them gone. A client that dies is told
// about with the end of its log; what becomes of the run is the coordinator's
// to decide. Used once, on the main thread, before there are others.
class LocalRun {
 public:
  struct Options {
    std::string server;               // the coordinator's program
    std::vector<std::string> client;  // the client's, and words it is given
    bool parts = true;  // clients get part:I, I from 0; else I/N of N clients
    bool gossip = false;  // clients are peers; the first writes the model
    std::string run_file;
    std::vector<std::string> sets;  // field=value
    std::string folder;             // of the run; exists
    int clients = 0;
    int port = 0;  // of the coordinator; 0: any free one
    // The run's name: says where it is shown live over HTTP, at a free port of
    // loopback. Empty: nowhere.
    std::string live_run;
    // How long a coordinator may take to end when it is told to, and clients
    // once it has ended.
    absl::Duration stop_grace = absl::Seconds(15);
    absl::Duration leave_grace = absl::Seconds(10);
    // How long the coordinator may go on once no client is left: when they had
    // all ended well, and when they had not.
    absl::Duration finish_grace = absl::Minutes(2);
    absl::Duration orphan_grace = absl::Seconds(5);
    // When a client that fails is told about: not where the run ends meanwhile,
    // as that is why it left.
    absl::Duration tell_after = absl::Seconds(1);
  };

  // `printer` is borrowed.
  LocalRun(Options options, ProgressPrinter* printer)
      : options_(std::move(options)), printer_(printer) {}

  // OK once the coordinator has exited by itself, or because it was told to;
  // its folder says how the run ended. Internal: it could not be started, died,
  // or had to be killed; says why, with the end of its log. Aborted: every
  // client ended before the run did.
  absl::Status Run();

 private:
  // The coordinator's address. Aborted: a signal came first.
  absl::StatusOr<std::string> StartServer();
  void TellLivePage();
  absl::Status StartClients(const std::string& address);
  // Until the coordinator has exited; false where it had to be given up.
  bool Supervise(AdminClient& admin, int* server_status);
  void Stop(AdminClient& admin, const std::string& reason);
  void NoteClient(const Supervisor::Event& event);
  void TellOfLostClients();
  void WaitForClients();
  std::string LogOf(size_t child) const;

  const Options options_;
  ProgressPrinter* const printer_;
  std::unique_ptr<Supervisor> children_;
  std::vector<std::string> names_;       // of the children, the server first
  std::atomic<bool> run_ended_ = false;  // says the coordinator
  bool client_failed_ = false;
  bool abandoned_ = false;         // by all its clients
  std::vector<std::string> lost_;  // what is to be told of clients,
  absl::Time tell_at_ = absl::InfiniteFuture();  // and when
};

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_LOCAL_RUN_H_
