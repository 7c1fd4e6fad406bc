#include "tests/unit/rpc/test_certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace parley {

TestCertificates::TestCertificates() {
  std::string pattern = testing::TempDir() + "/parley-certs-XXXXXX";
  folder_ = mkdtemp(pattern.data());
  Run("openssl ecparam -genkey -name prime256v1 -noout -out ca.key");
  Run("openssl req -x509 -new -key ca.key -days 2 -subj /CN=authority "
      "-out ca.pem");
}

TestCertificates::~TestCertificates() { std::filesystem::remove_all(folder_); }

TlsFiles TestCertificates::Make(const std::string& name, bool localhost) {
  Run(absl::StrCat("openssl ecparam -genkey -name prime256v1 -noout -out ",
                   name, ".key"));
  Run(absl::StrCat("openssl req -new -key ", name, ".key -subj /CN=", name,
                   " -out ", name, ".csr"));
  Run(absl::StrCat("echo ",
                   localhost ? "subjectAltName=DNS:localhost,IP:127.0.0.1"
                             : "basicConstraints=CA:FALSE",
                   " > ", name, ".ext"));
  Run(absl::StrCat("openssl x509 -req -in ", name,
                   ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
                   "-extfile ",
                   name, ".ext -out ", name, ".pem"));
  return {"", Path(name + ".pem"), Path(name + ".key")};
}

void TestCertificates::Run(const std::string& command) {
  const std::string all =
      absl::StrCat("cd ", folder_, " && ", command, " 2>> openssl.log");
  ASSERT_EQ(std::system(all.c_str()), 0) << all;
}

}  // namespace parley
