// common.h and the generated messages.
#ifndef PARLEY_COMMON_PRECOMPILED_MESSAGES_H_
#define PARLEY_COMMON_PRECOMPILED_MESSAGES_H_

#include "common/precompiled/common.h"
#include "parley/v1/admin.pb.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/journal.pb.h"
#include "parley/v1/model.pb.h"
#include "parley/v1/run.pb.h"

#endif  // PARLEY_COMMON_PRECOMPILED_MESSAGES_H_
