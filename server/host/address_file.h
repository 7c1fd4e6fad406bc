// The file `address` of a folder, while a coordinator serves from there.
#ifndef PARLEY_SERVER_HOST_ADDRESS_FILE_H_
#define PARLEY_SERVER_HOST_ADDRESS_FILE_H_

#include <unistd.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/files/file_io.h"
#include "server/store/run_store.h"

namespace parley {

// Removes the file when destroyed.
class AddressFile {
 public:
  explicit AddressFile(const std::string& folder)
      : path_(absl::StrCat(folder, "/", kAddressFile)) {}
  ~AddressFile() { unlink(path_.c_str()); }
  AddressFile(const AddressFile&) = delete;
  AddressFile& operator=(const AddressFile&) = delete;

  absl::Status Write(const std::string& address) {
    return ReplaceFile(path_, absl::StrCat(address, "\n"));
  }

 private:
  const std::string path_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_HOST_ADDRESS_FILE_H_
