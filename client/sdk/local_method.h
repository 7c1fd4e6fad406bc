// How the built-in trainer trains: one class a kind, behind one interface.
#ifndef PARLEY_CLIENT_SDK_LOCAL_METHOD_H_
#define PARLEY_CLIENT_SDK_LOCAL_METHOD_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/sdk/builtin_trainer.h"

namespace parley {

// Trains on one client's rows. Thread-compatible.
template <typename T>
class LocalMethod {
 public:
  virtual ~LocalMethod() = default;

  // `w`, of all the model's parameters, in place. InvalidArgument: what the
  // task says cannot be done. Cancelled: it is wanted no more. Internal: the
  // training diverged.
  virtual absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                            absl::Span<T> w) = 0;
};

// As the options say, which are copied as far as it needs them; train has rows.
// InvalidArgument: they ask for what goes in double alone, or rows are not as
// SignedRows takes them.
absl::StatusOr<std::unique_ptr<LocalMethod<float>>> MakeLocalMethod(
    const BuiltinTrainerOptions<float>& options);
absl::StatusOr<std::unique_ptr<LocalMethod<double>>> MakeLocalMethod(
    const BuiltinTrainerOptions<double>& options);

// Says how far the task is; false where it is wanted no more.
bool GoesOn(const TrainTask& task, int64_t done, int64_t of);

}  // namespace parley

#endif  // PARLEY_CLIENT_SDK_LOCAL_METHOD_H_
