// A client's LOCAL tensors of one run, which never leave it: as training left
// them last, and as they were before that.
#ifndef PARLEY_CLIENT_STATE_LOCAL_TENSORS_H_
#define PARLEY_CLIENT_STATE_LOCAL_TENSORS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/parameters.h"

namespace parley {

// A round that is trained again, by a client that died over it or for a
// coordinator that did, begins where it began the first time: so neither death
// changes the model. Thread-compatible.
class LocalTensors {
 public:
  struct Options {
    // Of the file, which FORMAT.md describes; empty: they live as long as this
    // object.
    std::string path;
    uint64_t run_id = 0;     // Registered.run_id
    uint64_t spec_hash = 0;  // of the run's whole model
  };

  LocalTensors() = default;

  // `elements` numbers: as the file has them, zeros where there is no file.
  // FailedPrecondition: the file is damaged, or of another run, model or
  // version, and what to do. Any code of the file system.
  static absl::StatusOr<LocalTensors> Open(Options options, DType dtype,
                                           int64_t elements);

  // What the training of `round` begins with.
  const ParameterVector& Before(int64_t round) const {
    return round == round_ ? before_ : latest_;
  }
  const ParameterVector& latest() const { return latest_; }
  int64_t round() const { return round_; }  // trained last; 0: none
  const std::string& path() const { return options_.path; }

  // What the training of `round` left. In the file when it returns; any code of
  // the file system, and nothing has changed.
  absl::Status Keep(int64_t round, ParameterVector trained);

 private:
  absl::Status Read();
  absl::Status Write(int64_t round, const ParameterVector& before,
                     const ParameterVector& latest) const;
  absl::Status Refused(absl::string_view what) const;

  Options options_;
  int64_t round_ = 0;
  ParameterVector before_;
  ParameterVector latest_;
};

// "FOLDER/local-CLIENT-000000000000002a", of a client and a run.
std::string LocalTensorsPath(const std::string& folder,
                             absl::string_view client, uint64_t run_id);

}  // namespace parley

#endif  // PARLEY_CLIENT_STATE_LOCAL_TENSORS_H_
