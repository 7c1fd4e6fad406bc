// A file that tells where a coordinator serves, while it does.
#ifndef PARLEY_SERVER_HOST_ADDRESS_FILE_H_
#define PARLEY_SERVER_HOST_ADDRESS_FILE_H_

#include <unistd.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/files/file_io.h"

namespace parley {

// Removes the file when destroyed.
class AddressFile {
 public:
  AddressFile(const std::string& folder, absl::string_view name)
      : path_(absl::StrCat(folder, "/", name)) {}
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
