// Who takes part in the run: clients by name, each under a lease that every
// message of it renews.
#ifndef PARLEY_SERVER_REGISTRY_REGISTRY_H_
#define PARLEY_SERVER_REGISTRY_REGISTRY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

struct Client {
  std::string name;
  uint64_t incarnation = 0;
  uint64_t session = 0;  // 0: not connected at present
  absl::Time lease_end;
  bool evaluates = false;
  bool reads_inline = false;  // has kInlineFeature
  std::optional<int32_t> part;
  std::string token;

  // Refusals and failures in a row, and the back-off that they bring.
  int failures = 0;
  absl::Time not_before = absl::InfinitePast();

  uint64_t serial = 0;  // of its stay in the registry

  // The last TaskOver, for whoever answers late; told: it was sent.
  std::optional<v1::TaskOver> last_over;
  bool last_over_told = false;
};

// What any run asks of a registration: a protocol version that is spoken here,
// a name, the certificate's where there is one, an incarnation, and no more of
// everything than a client needs. Codes as Registry::Admit.
absl::Status CheckIdentity(const v1::Register& request,
                           absl::string_view certificate_name);

struct RegistryOptions {
  std::string run;
  uint64_t term = 1;
  std::string token_key;
  absl::Duration lease;
  int32_t max_clients = 10000;
  int32_t parts = 0;  // of the named data set; 0: there is none
  std::vector<v1::Encoding> encodings;  // that every client must know
  // Parts that belong to a name from the start.
  std::map<std::string, int32_t> reserved_parts;
};

// A new secret key for a registry's tokens. An error: there are no random
// numbers.
absl::StatusOr<std::string> NewTokenKey();

// How a registration went.
struct Admission {
  enum class Kind {
    kNew,        // or back after its lease had expired
    kResumed,    // the same process in a new session
    kRestarted,  // another process under the same name
  };
  Kind kind = Kind::kNew;
  Client* client = nullptr;
  uint64_t displaced = 0;  // its earlier session, to be ended; 0: none
};

// Not thread-safe. Owns the clients; a pointer to one is good until Remove.
class Registry {
 public:
  explicit Registry(RegistryOptions options);

  // Checks a registration and lets the client in. InvalidArgument,
  // FailedPrecondition, PermissionDenied: come as you are, never;
  // ResourceExhausted: full, come back later. The text says what to do.
  absl::StatusOr<Admission> Admit(uint64_t session, const v1::Register& request,
                                  absl::string_view certificate_name,
                                  absl::Time now);

  Client* Find(absl::string_view name);
  // The client whose session this token proves, or null. Takes the same time
  // whatever the token is.
  Client* FindByToken(absl::string_view name, absl::string_view token);

  void Renew(Client& client, absl::Time now);
  // Its part stays with the name.
  void Remove(const std::string& name);
  // Its part, if it has one, may go to another client until it is back.
  void Yield(const std::string& name);

  // A client whose lease is over, to be removed, or null. Call until it returns
  // null.
  const Client* NextExpired(absl::Time now);
  // Not later than the next lease ends.
  absl::Time NextExpiry() const;

  size_t size() const { return clients_.size(); }

 private:
  absl::StatusOr<std::optional<int32_t>> LeasePart(const v1::Register& request);
  void GivePart(int32_t part, const std::string& name);
  std::string TokenOf(const Client& client) const;

  const RegistryOptions options_;
  absl::flat_hash_map<std::string, std::unique_ptr<Client>> clients_;

  // One entry a client, renewed only when it comes up: a message costs nothing
  // here.
  struct Expiry {
    absl::Time when;
    std::string name;
    uint64_t serial;
    bool operator<(const Expiry& other) const { return when > other.when; }
  };
  std::priority_queue<Expiry> expiries_;
  uint64_t last_serial_ = 0;

  std::map<std::string, int32_t> part_of_;
  std::map<int32_t, std::string> owner_of_;
  std::set<int32_t> yielded_;  // of part_of_
  int32_t lowest_free_part_ = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_REGISTRY_REGISTRY_H_
