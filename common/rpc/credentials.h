// How the two ends of a connection prove themselves: TLS, mutual TLS, or
// nothing where that is allowed.
#ifndef PARLEY_COMMON_RPC_CREDENTIALS_H_
#define PARLEY_COMMON_RPC_CREDENTIALS_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

// PEM files, as --tls-ca, --tls-cert and --tls-key name them.
struct TlsFiles {
  std::string ca;    // certificates that the peer's must descend from
  std::string cert;  // one's own, with those between it and the authority
  std::string key;   // of `cert`, without a passphrase

  bool empty() const { return ca.empty() && cert.empty() && key.empty(); }
};

struct Security {
  TlsFiles tls;
  bool allow_insecure = false;  // no TLS beyond loopback either
};

// For a server at `address`: needs cert and key; with `ca` only clients that
// have a certificate from it get in. Without files: unencrypted.
// FailedPrecondition: unencrypted is not allowed there. InvalidArgument: a file
// that is missing, unreadable, no PEM, expired, or a key of another
// certificate; says which and what to do.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    absl::string_view address, const Security& security);

// For dialling `address`: needs ca; cert and key where the server wants to know
// its clients. Errors as above.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>
MakeChannelCredentials(absl::string_view address, const Security& security);

// The name in the verified certificate of a call's other end: its first
// alternative name, else its common name. Empty: it has none.
std::string CertificateName(const grpc::ServerContextBase& context);

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_CREDENTIALS_H_
