// The folder of a coordinator's queue: a folder a run, and the order of those
// that are not over.
#ifndef PARLEY_SERVER_HOST_QUEUE_FOLDER_H_
#define PARLEY_SERVER_HOST_QUEUE_FOLDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "parley/v1/admin.pb.h"
#include "parley/v1/run.pb.h"

namespace parley {

inline constexpr char kQueueFile[] = "queue";

// Locks the folder while it lives. Blocks on the disk; one call at a time.
class QueueFolder {
 public:
  // FailedPrecondition: another coordinator has it. Any code of the file
  // system.
  static absl::StatusOr<std::unique_ptr<QueueFolder>> Open(
      const std::string& path);
  ~QueueFolder();
  QueueFolder(const QueueFolder&) = delete;
  QueueFolder& operator=(const QueueFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string FolderOf(const std::string& run) const;

  // The runs that the file `queue` names and that are not over, in its order.
  // Those whose files are damaged are passed over, with a word in the log.
  absl::StatusOr<std::vector<v1::RunConfig>> Unfinished() const;

  // Makes a folder NAME-N for the run, the first that is not there and that
  // `is_known` does not know from before, names the run so, and writes its
  // run.textproto. InvalidArgument: a name that is too long for that.
  absl::Status Add(v1::RunConfig* config,
                   absl::FunctionRef<bool(const std::string&)> is_known) const;

  // Replaces the file `queue`.
  absl::Status Save(const std::vector<std::string>& runs) const;

  // How a run ended that never began.
  absl::Status WriteEnd(const v1::RunStatus& status) const;

 private:
  QueueFolder(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;  // holds the lock
};

}  // namespace parley

#endif  // PARLEY_SERVER_HOST_QUEUE_FOLDER_H_
