// The names that the clients of a local run have, in processes and simulated.
#ifndef PARLEY_TOOLS_SIM_CLIENT_NAME_H_
#define PARLEY_TOOLS_SIM_CLIENT_NAME_H_

#include <cstdint>
#include <string>

namespace parley {

// "client-0003", with more digits where `clients` has them, so that names sort
// like numbers. `index` from 0.
std::string ClientNameOf(int64_t index, int64_t clients);

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_CLIENT_NAME_H_
