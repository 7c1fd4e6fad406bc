#include "common/rpc/credentials.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/address.h"

namespace parley {
namespace {

template <typename T, void (*free)(T*)>
struct Freer {
  void operator()(T* p) const { free(p); }
};
using CertificatePtr = std::unique_ptr<X509, Freer<X509, X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;

absl::StatusOr<std::string> ReadFile(absl::string_view flag,
                                     const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", path, ": cannot be read: ",
                     errno != 0 ? std::strerror(errno) : "it is empty"));
  }
  return text.str();
}

BioPtr Memory(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The first certificate of a PEM text.
absl::StatusOr<CertificatePtr> ParseCertificate(absl::string_view flag,
                                                const std::string& path,
                                                const std::string& pem) {
  CertificatePtr certificate(
      PEM_read_bio_X509(Memory(pem).get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", path, ": holds no certificate in PEM form"));
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", path, ": the certificate has expired"));
  }
  return certificate;
}

absl::StatusOr<std::string> ReadAuthority(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(std::string pem, ReadFile("--tls-ca", path));
  PARLEY_RETURN_IF_ERROR(ParseCertificate("--tls-ca", path, pem).status());
  return pem;
}

// The certificate and its key, which belong together.
absl::StatusOr<grpc::SslServerCredentialsOptions::PemKeyCertPair> ReadPair(
    const TlsFiles& files) {
  if (files.cert.empty() || files.key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        files.cert.empty() ? "--tls-cert" : "--tls-key",
        " is missing: a certificate and its key are given together"));
  }
  PARLEY_ASSIGN_OR_RETURN(std::string cert, ReadFile("--tls-cert", files.cert));
  PARLEY_ASSIGN_OR_RETURN(std::string key, ReadFile("--tls-key", files.key));
  PARLEY_ASSIGN_OR_RETURN(const CertificatePtr certificate,
                          ParseCertificate("--tls-cert", files.cert, cert));
  // A passphrase is never asked for.
  pem_password_cb* const no_passphrase = [](char*, int, int, void*) {
    return -1;
  };
  const KeyPtr parsed_key(PEM_read_bio_PrivateKey(Memory(key).get(), nullptr,
                                                  no_passphrase, nullptr));
  if (parsed_key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-key ", files.key,
                     ": holds no private key in PEM form, or one with a "
                     "passphrase, which must be removed"));
  }
  if (X509_check_private_key(certificate.get(), parsed_key.get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--tls-key ", files.key,
        ": is not the key of the certificate in --tls-cert ", files.cert));
  }
  return grpc::SslServerCredentialsOptions::PemKeyCertPair{std::move(key),
                                                           std::move(cert)};
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    absl::string_view address, const Security& security) {
  const TlsFiles& files = security.tls;
  if (files.empty()) {
    PARLEY_RETURN_IF_ERROR(CheckInsecure(address, security.allow_insecure));
    return grpc::InsecureServerCredentials();
  }
  grpc::SslServerCredentialsOptions options(
      files.ca.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  PARLEY_ASSIGN_OR_RETURN(options.pem_key_cert_pairs.emplace_back(),
                          ReadPair(files));
  if (!files.ca.empty()) {
    PARLEY_ASSIGN_OR_RETURN(options.pem_root_certs, ReadAuthority(files.ca));
  }
  return grpc::SslServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>
MakeChannelCredentials(absl::string_view address, const Security& security) {
  const TlsFiles& files = security.tls;
  if (files.empty()) {
    PARLEY_RETURN_IF_ERROR(CheckInsecure(address, security.allow_insecure));
    return grpc::InsecureChannelCredentials();
  }
  if (files.ca.empty()) {
    return absl::InvalidArgumentError(
        "--tls-ca is missing: it names the authority that the server's "
        "certificate comes from");
  }
  grpc::SslCredentialsOptions options;
  PARLEY_ASSIGN_OR_RETURN(options.pem_root_certs, ReadAuthority(files.ca));
  if (!files.cert.empty() || !files.key.empty()) {
    PARLEY_ASSIGN_OR_RETURN(auto pair, ReadPair(files));
    options.pem_private_key = std::move(pair.private_key);
    options.pem_cert_chain = std::move(pair.cert_chain);
  }
  return grpc::SslCredentials(options);
}

std::string CertificateName(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "";
  const std::vector<grpc::string_ref> names = auth->GetPeerIdentity();
  if (names.empty()) return "";
  return std::string(names[0].data(), names[0].size());
}

}  // namespace parley
