#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/flags.h"
#include "common/base/json.h"
#include "common/files/parameter_file.h"
#include "tools/cli/command.h"
#include "tools/cli/model_source.h"

namespace parley {
namespace {

constexpr char kSources[] =
    "A source is a run's folder (its latest model), a checkpoint, or a "
    ".safetensors or\n.npz file.\n";

// Euclidean norm of some elements.
double NormOf(const ParameterVector& values, int64_t begin, int64_t count) {
  double sum = 0;
  for (int64_t i = begin; i < begin + count; ++i) {
    const double x = values.dtype() == DType::kFloat32
                         ? double{values.As<float>()[i]}
                         : values.As<double>()[i];
    sum += x * x;
  }
  return std::sqrt(sum);
}

Json ToJson(const SourcedModel& model) {
  const ParameterSpec& spec = model.parameters.spec;
  const ParameterVector& values = model.parameters.values;
  Json tensors = Json::Array();
  for (size_t i = 0; i < spec.tensors().size(); ++i) {
    const TensorSpec& tensor = spec.tensors()[i];
    Json shape = Json::Array();
    for (const int64_t extent : tensor.shape) shape.Add(extent);
    Json one = Json::Object();
    one.Set("name", tensor.name)
        .Set("shape", std::move(shape))
        .Set("norm", NormOf(values, spec.offset(i), tensor.elements()));
    tensors.Add(std::move(one));
  }
  Json json = Json::Object();
  json.Set("file", model.file)
      .Set("round", model.round)
      .Set("dtype", Name(spec.dtype()))
      .Set("parameters", spec.elements())
      .Set("norm", NormOf(values, 0, spec.elements()))
      .Set("hash", absl::StrFormat("%016x", values.Hash()))
      .Set("tensors", std::move(tensors));
  return json;
}

void Print(const SourcedModel& model) {
  const ParameterSpec& spec = model.parameters.spec;
  const ParameterVector& values = model.parameters.values;
  absl::PrintF("%s%s\n%s, %d parameters, norm %.6g, hash %016x\n", model.file,
               model.round.has_value()
                   ? absl::StrCat(", after round ", *model.round)
                   : "",
               Name(spec.dtype()), spec.elements(),
               NormOf(values, 0, spec.elements()), values.Hash());
  size_t width = 0;
  for (const TensorSpec& tensor : spec.tensors()) {
    width = std::max(width, tensor.name.size());
  }
  for (size_t i = 0; i < spec.tensors().size(); ++i) {
    const TensorSpec& tensor = spec.tensors()[i];
    absl::PrintF("  %-*s  %-16s  norm %.6g\n", static_cast<int>(width),
                 tensor.name,
                 absl::StrCat("[", absl::StrJoin(tensor.shape, ","), "]"),
                 NormOf(values, spec.offset(i), tensor.elements()));
  }
}

int Show(int argc, const char* const* argv) {
  bool json = false;
  Flags flags({"parley model show", "SOURCE",
               absl::StrCat("Lists the tensors of a model.\n", kSources),
               "Example:\n  parley model show runs/fashion_fedavg-1\n", 1, 1});
  flags.Add("json", &json, "", "Print one JSON object.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const auto model = ReadModel(flags.arguments()[0]);
  if (!model.ok()) return Complain(model.status());
  if (json) {
    absl::PrintF("%s\n", ToJson(*model).ToString());
  } else {
    Print(*model);
  }
  return kExitOk;
}

int Save(const std::string& path, const ParameterSpec& spec,
         const ParameterVector& values) {
  if (absl::Status status = SaveParameters(path, spec, values); !status.ok()) {
    return Complain(status);
  }
  absl::PrintF("wrote %s: %d parameters, %s\n", path, spec.elements(),
               Name(spec.dtype()));
  return kExitOk;
}

int Export(int argc, const char* const* argv) {
  Flags flags(
      {"parley model export", "SOURCE OUT",
       absl::StrCat("Writes a model to OUT, a .safetensors or .npz file that "
                    "other programs read.\n",
                    kSources),
       "Examples:\n"
       "  $ parley model export runs/fashion_fedavg-1 model.npz\n"
       "  $ parley model export runs/fashion_fedavg-1/checkpoint-00000010 "
       "ten.safetensors\n",
       2, 2});
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const auto model = ReadModel(flags.arguments()[0]);
  if (!model.ok()) return Complain(model.status());
  return Save(flags.arguments()[1], model->parameters.spec,
              model->parameters.values);
}

int Import(int argc, const char* const* argv) {
  std::string run;
  Flags flags({"parley model import", "FILE OUT",
               "Checks that the tensors of FILE, .safetensors or .npz, are "
               "those of a run's\nmodel, and writes them to OUT in its order "
               "and precision. A run starts from OUT\nwith "
               "start { file: \"OUT\" }.\n",
               "Example:\n"
               "  $ parley model import edited.npz start.safetensors --run "
               "examples/median.textproto\n"
               "  $ parley run examples/median.textproto --set "
               "start.file=start.safetensors\n",
               2, 2});
  flags.Add("run", &run, "RUN",
            "The run file, or the folder of an earlier run; required.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (run.empty()) {
    return Complain(
        absl::InvalidArgumentError("parley model import: --run RUN is missing"),
        kExitUsage);
  }
  const auto spec = SpecOfRun(run);
  if (!spec.ok()) return Complain(spec.status());
  const auto values = LoadParameters(flags.arguments()[0], *spec);
  if (!values.ok()) return Complain(values.status());
  return Save(flags.arguments()[1], *spec, *values);
}

constexpr Command kModelCommands[] = {
    {"show", "List the tensors of a model, with shapes and norms.", Show},
    {"export", "Write a run's model as .safetensors or .npz.", Export},
    {"import", "Make a run's starting point from such a file.", Import},
};

}  // namespace

int ModelCommand(int argc, const char* const* argv) {
  return Dispatch("parley model", kModelCommands,
                  "Shows, exports and imports models.\n", kSources, argc, argv);
}

}  // namespace parley
