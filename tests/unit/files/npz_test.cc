#include "common/files/npz.h"

#include "absl/strings/str_cat.h"
#include "common/files/file_io.h"
#include "common/files/zip.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/files/files_testing.h"

namespace parley {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// An .npz of one member.
absl::StatusOr<std::unique_ptr<TensorFile>> OpenMember(
    const std::string& name, const std::string& bytes) {
  const std::string path = NewPath("x.npz");
  PARLEY_ASSIGN_OR_RETURN(auto file, FileReplacer::Create(path));
  ZipWriter zip(file.get());
  PARLEY_RETURN_IF_ERROR(zip.Add(name, {bytes}));
  PARLEY_RETURN_IF_ERROR(zip.Finish());
  PARLEY_RETURN_IF_ERROR(file->Commit());
  return OpenNpz(path);
}

absl::StatusOr<std::unique_ptr<TensorFile>> OpenArray(const std::string& dict,
                                                      size_t bytes) {
  return OpenMember(
      "a.npy", absl::StrCat(absl::string_view("\x93NUMPY\x01\x00", 8),
                            std::string(1, static_cast<char>(dict.size())),
                            std::string(1, '\0'), dict, std::string(bytes, 0)));
}

TEST(NpzTest, TakesTheHeadersThatPythonMayWrite) {
  for (const char* dict :
       {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
        "{'shape':(2,3),'descr':'<f4','fortran_order':False}",
        "{\"descr\": \"<f4\", \"fortran_order\": True, \"shape\": (2,3,)}  "}) {
    ASSERT_OK_AND_ASSIGN(const auto file, OpenArray(dict, 24));
    EXPECT_THAT(file->tensors()[0].shape, testing::ElementsAre(2, 3)) << dict;
    EXPECT_EQ(file->tensors()[0].name, "a");
  }
}

TEST(NpzTest, RefusesHostileHeaders) {
  for (const char* dict :
       {"", "{", "{}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': False, "
        "'shape': (99999999999999999999,)}"}) {
    EXPECT_THAT(OpenArray(dict, 4), StatusIs(kInvalid, "cannot be read"))
        << dict;
  }
  const std::string rest = "'fortran_order': False, 'shape': ";
  EXPECT_THAT(OpenArray("{'descr': '>f4', " + rest + "(1,)}", 4),
              StatusIs(kInvalid, "dtype >f4"));
  EXPECT_THAT(OpenArray("{'descr': '|O', " + rest + "(1,)}", 4),
              StatusIs(kInvalid, "dtype |O"));
  EXPECT_THAT(OpenArray("{'descr': '<f4', " + rest + "(2,)}", 4),
              StatusIs(kInvalid, "fit"));
  EXPECT_THAT(
      OpenArray("{'descr': '<f4', " + rest + "(4294967296,4294967297)}", 4),
      StatusIs(kInvalid, "2^40"));
  EXPECT_THAT(OpenMember("a.txt", "text"), StatusIs(kInvalid, ".npy"));
  EXPECT_THAT(OpenMember("a.npy", "text"), StatusIs(kInvalid, ".npy"));
  EXPECT_THAT(OpenMember("a.npy", "a text that is longer"),
              StatusIs(kInvalid, "version"));
  EXPECT_THAT(
      OpenMember("a.npy", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)),
      StatusIs(kInvalid, "too long a header"));
}

}  // namespace
}  // namespace parley
