// The files as Debian's Python and NumPy see them, both ways.

#include <cstdlib>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/files/file_io.h"
#include "common/files/parameter_file.h"
#include "common/files/zip.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/files/files_testing.h"

namespace parley {
namespace {

// Runs a program and returns what it printed; a failure fails the test.
std::string Python(const std::string& program,
                   const std::vector<std::string>& args) {
  const std::string file = WriteBytes(NewPath("program.py"), program);
  const std::string out = NewPath("out");
  std::string command = absl::StrCat("/usr/bin/python3 '", file, "'");
  for (const std::string& arg : args) absl::StrAppend(&command, " '", arg, "'");
  const int status =
      std::system(absl::StrCat(command, " > '", out, "' 2>&1").c_str());
  EXPECT_EQ(status, 0) << ReadBytes(out);
  return ReadBytes(out);
}

// The format, in ten lines and in no way ours.
constexpr char kReadSafetensors[] = R"(
import json, numpy
def load(path):
    raw = open(path, 'rb').read()
    n = int.from_bytes(raw[:8], 'little')
    assert n % 8 == 0
    head, data = json.loads(raw[8:8 + n]), raw[8 + n:]
    types = {'F32': numpy.dtype('<f4'), 'F64': numpy.dtype('<f8')}
    return {k: numpy.frombuffer(data[slice(*v['data_offsets'])],
                                types[v['dtype']]).reshape(v['shape'])
            for k, v in head.items()}
)";

constexpr char kPrint[] = R"(
import sys
for name, a in sorted(load(sys.argv[1]).items()):
    print(name, a.dtype.str, a.shape, a.tobytes().hex())
)";

// What kPrint prints of the example.
std::string Printed(const ParameterSpec& spec, const ParameterVector& values) {
  std::map<std::string, std::string> lines;
  for (size_t i = 0; i < spec.tensors().size(); ++i) {
    const TensorSpec& tensor = spec.tensors()[i];
    std::string shape;
    for (const int64_t extent : tensor.shape) {
      absl::StrAppend(&shape, shape.empty() ? "" : ", ", extent);
    }
    if (tensor.shape.size() == 1) shape += ",";
    const size_t size = SizeOf(spec.dtype());
    lines[tensor.name] = absl::StrCat(
        tensor.name, " ", size == 4 ? "<f4" : "<f8", " (", shape, ") ",
        absl::BytesToHexString(absl::string_view(
            values.data() + spec.offset(i) * size, tensor.elements() * size)),
        "\n");
  }
  std::string all;
  for (const auto& [name, line] : lines) all += line;
  return all;
}

TEST(PythonTest, ReadsOurSafetensors) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const ParameterSpec spec = ExampleSpec(dtype);
    const ParameterVector values = ExampleValues(spec);
    const std::string path = NewPath("m.safetensors");
    ASSERT_OK(SaveParameters(path, spec, values));
    EXPECT_EQ(Python(absl::StrCat(kReadSafetensors, kPrint), {path}),
              Printed(spec, values));
  }
}

TEST(PythonTest, NumpyReadsOurNpz) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const ParameterSpec spec = ExampleSpec(dtype);
    const ParameterVector values = ExampleValues(spec);
    const std::string path = NewPath("m.npz");
    ASSERT_OK(SaveParameters(path, spec, values));
    EXPECT_EQ(Python(absl::StrCat("import numpy\nload = numpy.load\n", kPrint),
                     {path}),
              Printed(spec, values));
  }
}

TEST(PythonTest, ZipfileReadsOurZip64) {
  const std::string path = NewPath("x.zip");
  ASSERT_OK_AND_ASSIGN(auto file, FileReplacer::Create(path));
  ZipWriter zip(file.get(), 10);
  ASSERT_OK(zip.Add("small", {"abc"}));
  ASSERT_OK(zip.Add("large", {"0123456789", "", "0123456789"}));
  ASSERT_OK(zip.Add("empty", {""}));
  ASSERT_OK(zip.Finish());
  ASSERT_OK(file->Commit());
  EXPECT_EQ(Python(R"(
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
for name in z.namelist(): print(name, z.read(name).decode())
)",
                   {path}),
            "small abc\nlarge 01234567890123456789\nempty \n");
}

TEST(PythonTest, WeReadWhatNumpyWrites) {
  constexpr char kWrite[] = R"(
import sys, numpy
a = numpy.arange(24, dtype='f4').reshape(2, 3, 4)
arrays = dict(c=a, f=numpy.asfortranarray(a), t=a.transpose(2, 0, 1),
              one=numpy.linspace(0, 1, 5), scalar=numpy.float32(7),
              empty=numpy.zeros((0, 3)), long=numpy.zeros(300000, 'f4'))
numpy.savez(sys.argv[1], **arrays)
numpy.savez_compressed(sys.argv[2], **arrays)
)";
  const std::string stored = NewPath("stored.npz");
  const std::string deflated = NewPath("deflated.npz");
  Python(kWrite, {stored, deflated});
  ASSERT_LT(ReadBytes(deflated).size(), 10000u);
  const auto expected =
      *ParameterSpec::Create(DType::kFloat64, {{"c", {2, 3, 4}},
                                               {"f", {2, 3, 4}},
                                               {"t", {4, 2, 3}},
                                               {"one", {5}},
                                               {"scalar", {}},
                                               {"empty", {0, 3}},
                                               {"long", {300000}}});
  for (const std::string& path : {stored, deflated}) {
    ASSERT_OK_AND_ASSIGN(const ParameterVector loaded,
                         LoadParameters(path, expected));
    const auto values = loaded.As<double>();
    for (int i = 0; i < 24; ++i) {
      EXPECT_EQ(values[expected.offset(0) + i], i);
      EXPECT_EQ(values[expected.offset(1) + i], i);
      // t[k][i][j] = a[i][j][k]
      const int k = i / 6, rest = i % 6;
      EXPECT_EQ(values[expected.offset(2) + i], rest * 4 + k);
    }
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(values[expected.offset(3) + i], i * 0.25);
    }
    EXPECT_EQ(values[expected.offset(4)], 7);
    // Mixed types: all as float64.
    ASSERT_OK_AND_ASSIGN(const NamedParameters read, ReadParameters(path));
    EXPECT_EQ(read.spec.dtype(), DType::kFloat64);
  }
}

// The package itself, where PARLEY_SAFETENSORS names the folder that
// `pip install --target` put it into.
TEST(PythonTest, TheSafetensorsPackageReadsOurs) {
  const char* folder = std::getenv("PARLEY_SAFETENSORS");
  if (folder == nullptr) {
    GTEST_SKIP() << "PARLEY_SAFETENSORS is not set: pip install --target "
                    "FOLDER safetensors, and set it to FOLDER";
  }
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const ParameterSpec spec = ExampleSpec(dtype);
    const ParameterVector values = ExampleValues(spec);
    const std::string path = NewPath("m.safetensors");
    const std::string back = NewPath("back.safetensors");
    ASSERT_OK(SaveParameters(path, spec, values));
    EXPECT_EQ(Python(absl::StrCat(
                         "import sys\nsys.path.insert(0, '", folder,
                         "')\nfrom safetensors.numpy import "
                         "load_file as load, save_file\n",
                         kPrint, "save_file(load(sys.argv[1]), sys.argv[2])\n"),
                     {path, back}),
              Printed(spec, values));
    ASSERT_OK_AND_ASSIGN(const ParameterVector loaded,
                         LoadParameters(back, spec));
    EXPECT_TRUE(SameBytes(loaded, values));
  }
}

}  // namespace
}  // namespace parley
