#include "server/registry/registry.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

// What a client may tell of itself; there may be many clients.
constexpr int kMaxLabels = 64;
constexpr size_t kMaxLabelBytes = 256;  // of a key, and of a value

bool IsName(absl::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '.' || c == '_' || c == '-';
         });
}

absl::Status CheckAbilities(const v1::Register& request,
                            const RegistryOptions& options) {
  for (const v1::Encoding needed : options.encodings) {
    if (std::find(request.encodings().begin(), request.encodings().end(),
                  needed) == request.encodings().end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("this run needs ", v1::Encoding_Name(needed),
                       ", which the client does not list among its encodings"));
    }
  }
  if (std::find(request.kinds().begin(), request.kinds().end(), v1::TRAIN) ==
      request.kinds().end()) {
    return absl::FailedPreconditionError(
        "this run needs clients that can do TRAIN, which the client does not "
        "list among its kinds");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckIdentity(const v1::Register& request,
                           absl::string_view certificate_name) {
  if (request.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("protocol version ", request.protocol_version(),
                     " is not spoken here, version ", kProtocolVersion,
                     " is: install the same release of Parley on both sides"));
  }
  if (!IsName(request.name())) {
    return absl::InvalidArgumentError(
        "a client's name is 1 to 128 characters out of A-Z, a-z, 0-9, '.', "
        "'_' and '-'");
  }
  if (!certificate_name.empty() && certificate_name != request.name()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the certificate is for '", certificate_name, "', not for '",
        request.name(), "': register under the certificate's name"));
  }
  if (request.incarnation() == 0) {
    return absl::InvalidArgumentError(
        "incarnation is 0: draw a number at each process start");
  }
  if (request.labels_size() > kMaxLabels) {
    return absl::InvalidArgumentError(absl::StrCat(
        request.labels_size(), " labels; at most ", kMaxLabels, " are taken"));
  }
  for (const auto& [key, value] : request.labels()) {
    if (std::max(key.size(), value.size()) > kMaxLabelBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a label has ", std::max(key.size(), value.size()),
          " bytes; its key and its value may have ", kMaxLabelBytes, " each"));
    }
  }
  if (request.except_runs_size() > kMaxExceptRuns) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.except_runs_size(), " except_runs; at most ",
                     kMaxExceptRuns, " are taken"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> NewTokenKey() {
  std::string key(32, '\0');
  if (getentropy(key.data(), key.size()) != 0) {
    return absl::ErrnoToStatus(errno, "no random numbers for the tokens");
  }
  return key;
}

Registry::Registry(RegistryOptions options) : options_(std::move(options)) {
  for (const auto& [name, part] : options_.reserved_parts) {
    part_of_[name] = part;
    owner_of_[part] = name;
  }
}

absl::StatusOr<Admission> Registry::Admit(uint64_t session,
                                          const v1::Register& request,
                                          absl::string_view certificate_name,
                                          absl::Time now) {
  PARLEY_RETURN_IF_ERROR(CheckIdentity(request, certificate_name));
  PARLEY_RETURN_IF_ERROR(CheckAbilities(request, options_));
  Client* known = Find(request.name());
  if (known == nullptr &&
      clients_.size() >= static_cast<size_t>(options_.max_clients)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("limits.clients: ", options_.max_clients,
                     " clients are registered already"));
  }
  PARLEY_ASSIGN_OR_RETURN(const std::optional<int32_t> part,
                          LeasePart(request));

  Admission admission;
  if (known == nullptr) {
    auto client = std::make_unique<Client>();
    client->name = request.name();
    client->serial = ++last_serial_;
    known = client.get();
    clients_.emplace(request.name(), std::move(client));
    expiries_.push({now + options_.lease, request.name(), known->serial});
  } else {
    admission.kind = known->incarnation == request.incarnation()
                         ? Admission::Kind::kResumed
                         : Admission::Kind::kRestarted;
    if (known->session != session) admission.displaced = known->session;
  }
  known->incarnation = request.incarnation();
  known->session = session;
  known->part = part;
  known->evaluates = std::find(request.kinds().begin(), request.kinds().end(),
                               v1::EVALUATE) != request.kinds().end();
  known->reads_inline =
      std::find(request.features().begin(), request.features().end(),
                kInlineFeature) != request.features().end();
  known->token = TokenOf(*known);
  Renew(*known, now);
  admission.client = known;
  return admission;
}

absl::StatusOr<std::optional<int32_t>> Registry::LeasePart(
    const v1::Register& request) {
  if (!request.wants_part()) return std::nullopt;
  if (options_.parts == 0) {
    return absl::FailedPreconditionError(
        "the run has no data.train to take a part of: give the client data of "
        "its own with --data");
  }
  const auto own = part_of_.find(request.name());
  int32_t part;
  if (own != part_of_.end()) {
    part = own->second;
    if (request.has_part() && request.part() != part) {
      return absl::FailedPreconditionError(
          absl::StrCat("part ", request.part(), " was asked for, but '",
                       request.name(), "' has had part ", part,
                       " since it first registered: ask for that, "
                       "or take another name"));
    }
    yielded_.erase(part);
    return part;
  }
  if (request.has_part()) {
    part = request.part();
    if (part < 0 || part >= options_.parts) {
      return absl::InvalidArgumentError(
          absl::StrCat("part ", part, " is not one of the run's ",
                       options_.parts, " parts, 0 to ", options_.parts - 1));
    }
    const auto owner = owner_of_.find(part);
    if (owner != owner_of_.end() && !yielded_.contains(part)) {
      return absl::FailedPreconditionError(
          absl::StrCat("part ", part, " belongs to '", owner->second,
                       "': ask for another one, or for part:auto"));
    }
  } else {
    while (owner_of_.count(lowest_free_part_)) ++lowest_free_part_;
    part = lowest_free_part_;
    if (part >= options_.parts && !yielded_.empty()) part = *yielded_.begin();
    if (part >= options_.parts) {
      return absl::FailedPreconditionError(absl::StrCat(
          "all ", options_.parts,
          " parts belong to clients already: raise data.partition.parts, or "
          "start fewer clients"));
    }
  }
  GivePart(part, request.name());
  return part;
}

void Registry::GivePart(int32_t part, const std::string& name) {
  if (yielded_.erase(part) > 0) part_of_.erase(owner_of_[part]);
  part_of_[name] = part;
  owner_of_[part] = name;
}

void Registry::Yield(const std::string& name) {
  const auto part = part_of_.find(name);
  if (part != part_of_.end()) yielded_.insert(part->second);
}

std::string Registry::TokenOf(const Client& client) const {
  const std::string text =
      absl::StrCat(options_.run.size(), ":", options_.run, ":", options_.term,
                   ":", client.name, ":", client.incarnation);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), options_.token_key.data(),
       static_cast<int>(options_.token_key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest,
       &size);
  return std::string(reinterpret_cast<char*>(digest), size);
}

Client* Registry::Find(absl::string_view name) {
  const auto it = clients_.find(name);
  return it == clients_.end() ? nullptr : it->second.get();
}

Client* Registry::FindByToken(absl::string_view name, absl::string_view token) {
  Client* client = Find(name);
  if (client == nullptr || client->token.size() != token.size() ||
      CRYPTO_memcmp(client->token.data(), token.data(), token.size()) != 0) {
    return nullptr;
  }
  return client;
}

void Registry::Renew(Client& client, absl::Time now) {
  client.lease_end = now + options_.lease;
}

void Registry::Remove(const std::string& name) { clients_.erase(name); }

const Client* Registry::NextExpired(absl::Time now) {
  while (!expiries_.empty() && expiries_.top().when <= now) {
    Expiry entry = expiries_.top();
    expiries_.pop();
    const Client* client = Find(entry.name);
    if (client == nullptr || client->serial != entry.serial) continue;  // left
    if (client->lease_end <= now) return client;
    entry.when = client->lease_end;
    expiries_.push(std::move(entry));
  }
  return nullptr;
}

absl::Time Registry::NextExpiry() const {
  return expiries_.empty() ? absl::InfiniteFuture() : expiries_.top().when;
}

}  // namespace parley
