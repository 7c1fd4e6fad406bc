// Words for what a run file misspells.
#ifndef PARLEY_COMMON_CONFIG_SUGGEST_H_
#define PARLEY_COMMON_CONFIG_SUGGEST_H_

#include <google/protobuf/descriptor.h>

#include <string>

namespace parley {

// "Cohort has no field quorm; did you mean quorum? It has fraction, min, ..."
std::string NoSuchField(const google::protobuf::Descriptor& message,
                        const std::string& name);

// "Mlp.Activation has no value RELO; did you mean RELU? It has RELU, TANH"
std::string NoSuchValue(const google::protobuf::EnumDescriptor& type,
                        const std::string& name);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_SUGGEST_H_
