// What stands in place of a stream that could not be dialled.
#ifndef PARLEY_CLIENT_RPC_FAILED_DIAL_H_
#define PARLEY_CLIENT_RPC_FAILED_DIAL_H_

#include <grpcpp/alarm.h>

#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace parley {

// Tells so as a stream would: soon, on a thread that is not the caller's. The
// destructor returns after that.
class FailedDial {
 public:
  explicit FailedDial(Closure tell);
  ~FailedDial();

 private:
  Mutex mu_;
  CondVar told_changed_;
  bool told_ GUARDED_BY(mu_) = false;
  grpc::Alarm alarm_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_FAILED_DIAL_H_
