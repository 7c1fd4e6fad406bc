// Certificates made for one test.
#ifndef PARLEY_TESTS_UNIT_RPC_TEST_CERTIFICATES_H_
#define PARLEY_TESTS_UNIT_RPC_TEST_CERTIFICATES_H_

#include <string>

#include "common/rpc/credentials.h"

namespace parley {

// A folder with an authority and what it signs, made by the openssl program.
// Removed by the destructor. Fails the test where openssl does.
class TestCertificates {
 public:
  TestCertificates();
  ~TestCertificates();

  // A certificate for localhost with the common name `name`, and its key;
  // without a `ca`.
  TlsFiles Make(const std::string& name, bool localhost);
  std::string authority() const { return folder_ + "/ca.pem"; }
  std::string Path(const std::string& file) const {
    return folder_ + "/" + file;
  }

 private:
  void Run(const std::string& command);

  std::string folder_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_RPC_TEST_CERTIFICATES_H_
