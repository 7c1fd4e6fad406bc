// Data that a client brings itself, by a word on its command line.
#ifndef PARLEY_COMMON_CONFIG_OWN_DATA_H_
#define PARLEY_COMMON_CONFIG_OWN_DATA_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/partitioned.h"
#include "common/data/source.h"
#include "common/data/targets.h"
#include "parley/v1/run.pb.h"

namespace parley {

// The forms of such a word, as people are told: "libsvm:PATH, ...".
std::string OwnDataForms();

// InvalidArgument: `spec` is of none of these forms; they are listed.
absl::Status CheckOwnData(absl::string_view spec);

// The rows of `spec`, less the held-out share. Labels must be in the form that
// means the same to every client (MapOfOwn); columns must fit
// config.model.features, which must be set (StateFacts). The alphabet of text
// is that which the run file spells out. InvalidArgument: a malformed spec, or
// data that does not fit; others as LoadRows.
template <typename T>
absl::StatusOr<PartData<T>> LoadOwn(const std::string& spec,
                                    const v1::RunConfig& config);

// How labels are read where there is no data.train that could tell: they must
// be 0..classes−1, or −1/+1, or 0/1, and no texts. InvalidArgument: they are
// not, or the data does not fit config.model.
absl::StatusOr<TargetMap> MapOfOwn(const v1::RunConfig& config,
                                   const DataSource& source,
                                   const SourceTargets& told);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_OWN_DATA_H_
