#include "common/config/rules.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/config/complaints.h"
#include "common/config/data_rules.h"
#include "common/config/defaults.h"
#include "common/config/diagnostics_rules.h"
#include "common/config/run_gossip.h"
#include "common/config/run_topology.h"

namespace parley {
namespace {

constexpr int kMaxTags = 16;

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
}

bool IsTag(const std::string& tag) {
  return !tag.empty() && tag.size() <= 64 &&
         std::all_of(tag.begin(), tag.end(), IsNameCharacter);
}

bool IsValueName(const std::string& name) {
  if (name.empty() || !absl::ascii_islower(name[0])) return false;
  for (char c : name) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '_') {
      return false;
    }
  }
  return true;
}

// Whether the model tells classes apart, so that there is an accuracy.
bool HasClasses(const v1::Model& model) {
  return !model.has_linear_regression() &&
         !(model.has_mlp() && model.mlp().loss() == v1::Mlp::SQUARED);
}

class Rules : private Complaints {
 public:
  Rules(const v1::RunConfig& config, std::vector<Problem>* problems)
      : Complaints(problems), config_(config) {}

  void CheckAll() {
    CheckName();
    CheckModel();
    CheckDataRules(config_, *this);
    CheckLocal();
    CheckAggregation();
    CheckTopologyRules(config_, *this);
    CheckGossipRules(config_, *this);
    if (!config_.has_gossip()) CheckCohort();
    CheckEvaluation();
    CheckStop();
    CheckStart();
    CheckRoundValues();
    CheckTags();
    CheckDiagnosticsRules(config_, *this);
    CheckWire("wire.down", config_.wire().down());
    CheckWire("wire.up", config_.wire().up());
  }

 private:
  void CheckName() {
    if (IsRunName(config_.name())) return;
    Value("name",
          absl::StrCat("is \"", config_.name(),
                       "\": must be 1 to 64 of A-Z a-z 0-9 . _ -, the first no "
                       "dot"));
  }

  void CheckTags() {
    if (config_.tags_size() > kMaxTags) {
      Value("tags", absl::StrCat("has ", config_.tags_size(),
                                 " entries: must have at most ", kMaxTags));
    }
    for (int i = 0; i < config_.tags_size(); ++i) {
      if (IsTag(config_.tags(i))) continue;
      Value(absl::StrCat("tags[", i, "]"),
            absl::StrCat("is \"", config_.tags(i),
                         "\": must be 1 to 64 of A-Z a-z 0-9 . _ -"));
    }
  }

  void CheckMerge(const v1::ParameterSpec& spec, const v1::MergeOf& merge,
                  const std::string& path) {
    if (merge.rule() == v1::MERGE_UNSPECIFIED) {
      Missing(path + ".rule", "must be MEAN, LOCAL or COPY");
    }
    for (const v1::TensorSpec& tensor : spec.tensors()) {
      if (Matches(merge, tensor.name())) return;
    }
    if (spec.tensors().empty()) return;
    Value(path + ".tensors", absl::StrCat("is \"", merge.tensors(),
                                          "\": must match a tensor's name"));
  }

  void CheckModel() {
    const v1::Model& model = config_.model();
    if (model.kind_case() == v1::Model::KIND_NOT_SET) {
      Missing(
          "model",
          "must have one of linear_regression, logistic, softmax, mlp, cnn, "
          "embedding_mlp, custom");
      return;
    }
    if (model.has_custom()) {
      const v1::Custom& custom = model.custom();
      NotEmpty("model.custom.name", custom.name());
      if (custom.spec().tensors().empty()) {
        Missing("model.custom.spec.tensors",
                "must list the parameters of a custom model, or start.file be "
                "a .safetensors or .npz with them");
      } else if (custom.spec().dtype() != config_.precision()) {
        Conflict("model.custom.spec.dtype",
                 absl::StrCat("is ", v1::DType_Name(custom.spec().dtype()),
                              ": must be as precision, which is ",
                              v1::DType_Name(config_.precision())));
      }
      for (int i = 0; i < custom.merge_size(); ++i) {
        CheckMerge(custom.spec(), custom.merge(i),
                   absl::StrCat("model.custom.merge[", i, "]"));
      }
      return;
    }
    if (model.has_classes() && !HasClasses(model)) {
      Conflict("model.classes",
               absl::StrCat("is ", model.classes(),
                            ": must not be set, as the model has none"));
    }
    if (model.has_classes() && model.has_logistic() && model.classes() != 2 &&
        InRange("model.classes")) {
      Conflict("model.classes", absl::StrCat("is ", model.classes(),
                                             ": must be 2 with logistic"));
    }
    if (model.has_cnn()) CheckCnn(model);
    if (config_.data().has_train()) return;
    constexpr char kWhy[] = "must be set where there is no data.train";
    if (!model.has_features() && !model.has_cnn()) {
      Missing("model.features", kWhy);
    }
    if (!model.has_classes() && HasClasses(model) && !model.has_logistic()) {
      Missing("model.classes", kWhy);
    }
  }

  void CheckCnn(const v1::Model& model) {
    const v1::Cnn& cnn = model.cnn();
    if (cnn.conv().empty()) {
      Missing("model.cnn.conv", "must list at least one convolution");
    }
    for (int i = 0; i < cnn.conv_size(); ++i) {
      const std::string path = absl::StrCat("model.cnn.conv[", i, "]");
      if (cnn.conv(i).padding() >= cnn.conv(i).kernel() &&
          InRange(path + ".padding") && InRange(path + ".kernel")) {
        Conflict(path + ".padding",
                 absl::StrCat("is ", cnn.conv(i).padding(),
                              ": must be < kernel, which is ",
                              cnn.conv(i).kernel()));
      }
    }
    const bool some = cnn.has_channels() || cnn.has_height() || cnn.has_width();
    if (some || !config_.data().has_train()) {
      const char* const why =
          some ? "must be set, as another one of channels, height, width is"
               : "must be set where there is no data.train";
      if (!cnn.has_channels()) Missing("model.cnn.channels", why);
      if (!cnn.has_height()) Missing("model.cnn.height", why);
      if (!cnn.has_width()) Missing("model.cnn.width", why);
    }
    const int64_t features = FeaturesOf(cnn);
    if (features > 0 && features != model.features() &&
        InRange("model.features")) {
      Conflict("model.features",
               absl::StrCat("is ", model.features(),
                            ": must be channels × height × width of model.cnn, "
                            "which is ",
                            features));
    }
  }

  void CheckLocal() {
    if (!config_.has_local()) {
      if (!config_.model().has_custom()) {
        Missing("local", "must have gd or sgd, and step_size");
      }
      return;
    }
    const v1::LocalAlgorithm& local = config_.local();
    if (local.kind_case() == v1::LocalAlgorithm::KIND_NOT_SET) {
      Missing("local", "must have one of gd, sgd, exact_prox");
    }
    if (local.has_exact_prox()) return CheckExactProx();
    if (!local.has_step_size()) {
      Missing("local.step_size", "must have at least initial");
    }
    if (local.step_size().has_step_decay()) {
      CheckRising("local.step_size.step_decay.at_rounds",
                  local.step_size().step_decay());
    }
    if (local.step_size().has_loss_normalised()) CheckLossNormalised();
  }

  void CheckLossNormalised() {
    const std::string path = "local.step_size.loss_normalised";
    const v1::Model& model = config_.model();
    if (!model.has_logistic() || model.logistic().bias()) {
      Conflict(path, "must go with model { logistic { bias: false } }");
    }
    if (config_.precision() != v1::FLOAT64) {
      Conflict(path, "must go with precision FLOAT64");
    }
    const v1::LocalAlgorithm& local = config_.local();
    if (!local.has_gd() || local.momentum() != 0 || local.weight_decay() != 0 ||
        local.proximal() != 0) {
      Conflict(path,
               "must go with local.gd, without momentum, weight_decay and "
               "proximal");
    }
    if (!config_.aggregation().has_fed_avg() &&
        !config_.aggregation().has_uniform()) {
      Conflict(path,
               "must go with aggregation fed_avg or uniform, by whose weights "
               "it makes the clients' losses one");
    }
  }

  void CheckExactProx() {
    const std::string path = "local.exact_prox";
    const v1::Model& model = config_.model();
    if (!model.has_logistic() ||
        model.logistic().loss() != v1::Logistic::EXPONENTIAL ||
        model.logistic().bias()) {
      Conflict(
          path,
          "must go with model { logistic { loss: EXPONENTIAL bias: false } "
          "}");
    }
    if (config_.precision() != v1::FLOAT64) {
      Conflict(path, "must go with precision FLOAT64");
    }
    const v1::LocalAlgorithm& local = config_.local();
    if (local.has_step_size() || local.momentum() != 0 ||
        local.weight_decay() != 0 || local.proximal() != 0) {
      Conflict(
          path,
          "must go without step_size, momentum, weight_decay and proximal: "
          "it takes no steps");
    }
  }

  void CheckRising(const std::string& path,
                   const v1::StepSize::StepDecay& decay) {
    if (decay.at_rounds().empty()) {
      Missing(path, "must list at least one round");
    }
    for (int i = 1; i < decay.at_rounds_size(); ++i) {
      const std::string here = absl::StrCat(path, "[", i, "]");
      if (decay.at_rounds(i) > decay.at_rounds(i - 1) || !InRange(here) ||
          !InRange(absl::StrCat(path, "[", i - 1, "]"))) {
        continue;
      }
      Conflict(here, absl::StrCat("is ", decay.at_rounds(i),
                                  ": must be > the one before, which is ",
                                  decay.at_rounds(i - 1)));
    }
  }

  void CheckAggregation() {
    if (!config_.aggregation().has_custom()) return;
    const v1::Custom& custom = config_.aggregation().custom();
    NotEmpty("aggregation.custom.name", custom.name());
    if (custom.has_spec()) {
      Conflict("aggregation.custom.spec",
               "must not be set, as only a custom model has one");
    }
    if (custom.merge_size() > 0) {
      Conflict("aggregation.custom.merge",
               "must not be set, as it is for a custom model");
    }
  }

  void CheckCohort() {
    const v1::Cohort& cohort = config_.cohort();
    if (!cohort.has_min()) {
      if (!config_.data().has_train()) {
        Missing("cohort.min",
                "must say how many clients a round waits for where there is no "
                "data.train");
      }
      return;
    }
    const int32_t parts = config_.data().partition().parts();
    // Where they are to be counted but cannot be, that was reported.
    const bool known =
        config_.data().has_train() && config_.data().partition().has_parts();
    if (known && cohort.min() > parts && InRange("cohort.min") &&
        InRange("data.partition.parts")) {
      Conflict(
          "cohort.min",
          absl::StrCat("is ", cohort.min(),
                       ": must be <= data.partition.parts, which is ", parts));
    } else if (cohort.min() > config_.limits().clients() &&
               InRange("cohort.min") && InRange("limits.clients")) {
      Conflict("cohort.min",
               absl::StrCat("is ", cohort.min(),
                            ": must be <= limits.clients, which is ",
                            config_.limits().clients()));
    }
  }

  void CheckEvaluation() {
    const bool custom = config_.model().has_custom();
    if (config_.evaluation().central()) {
      if (custom) {
        Conflict("evaluation.central",
                 "is true: must be false with a custom model, which the "
                 "coordinator cannot evaluate");
      } else if (!config_.data().has_test()) {
        Conflict("evaluation.central", "is true: needs data.test");
      }
    }
    if (config_.evaluation().federated() && !custom &&
        config_.data().held_out() == 0) {
      Conflict("evaluation.federated", "is true: needs data.held_out > 0");
    }
  }

  void CheckStop() {
    if (!config_.has_stop()) {
      Missing("stop.rounds", "must be >= 1");
      return;
    }
    const v1::Stop& stop = config_.stop();
    if (stop.has_accuracy()) {
      CheckMeasured("stop.accuracy");
      if (!HasClasses(config_.model())) {
        Conflict("stop.accuracy",
                 "must not be set, as the model has no classes");
      }
    }
    if (stop.has_loss()) CheckMeasured("stop.loss");
  }

  // A stop condition needs somebody who measures while the run goes on.
  void CheckMeasured(const std::string& path) {
    const v1::Evaluation& evaluation = config_.evaluation();
    if (!evaluation.central() && !evaluation.federated()) {
      Conflict(path,
               "needs an evaluation: set data.test, or data.held_out > 0");
    } else if (evaluation.every() == 0) {
      Conflict(path, "needs evaluation.every >= 1");
    }
  }

  void CheckStart() {
    const v1::Start& start = config_.start();
    if (start.kind_case() == v1::Start::kFile) {
      NotEmpty("start.file", start.file());
    } else if (start.kind_case() == v1::Start::kRun) {
      NotEmpty("start.run", start.run());
    } else if (start.has_random() && config_.model().has_custom()) {
      Conflict("start.random",
               "must not be set with a custom model: zeros, file or run");
    }
  }

  void CheckRoundValues() {
    std::set<std::string> names;
    for (int i = 0; i < config_.round_values_size(); ++i) {
      const v1::RoundValue& value = config_.round_values(i);
      const std::string path = absl::StrCat("round_values[", i, "]");
      if (!IsValueName(value.name())) {
        Value(path + ".name",
              absl::StrCat("is \"", value.name(),
                           "\": must be lower-case letters, digits and _, the "
                           "first a letter"));
      } else if (!names.insert(value.name()).second) {
        Conflict(path + ".name", absl::StrCat("is \"", value.name(),
                                              "\": must not be there twice"));
      } else if (value.name() == "log_loss") {
        Conflict(path + ".name",
                 "is \"log_loss\": must be another, as "
                 "local.step_size.loss_normalised sends that");
      } else if (value.name() == "step_size" &&
                 config_.local().step_size().has_loss_normalised()) {
        Conflict(path + ".name",
                 "is \"step_size\": must not be set with "
                 "local.step_size.loss_normalised, which it would replace");
      }
      if (value.name() != "step_size") continue;
      if (value.initial() <= 0) {
        Conflict(path + ".initial", absl::StrCat("is ", value.initial(),
                                                 ": must be > 0 for "
                                                 "step_size"));
      }
      if (value.factor() <= 0) {
        Conflict(path + ".factor", absl::StrCat("is ", value.factor(),
                                                ": must be > 0 for "
                                                "step_size"));
      }
    }
  }

  void CheckWire(const std::string& path, v1::Encoding encoding) {
    if (encoding == v1::ENCODING_FLOAT64 &&
        config_.precision() == v1::FLOAT32) {
      Conflict(path,
               "is ENCODING_FLOAT64: must be ENCODING_FLOAT32 or "
               "ENCODING_BFLOAT16 with precision FLOAT32");
    }
  }

  const v1::RunConfig& config_;
};

}  // namespace

bool IsRunName(const std::string& name) {
  if (name.empty() || name.size() > 64 || name[0] == '.') return false;
  for (char c : name) {
    if (!IsNameCharacter(c)) return false;
  }
  return true;
}

void CheckRules(const v1::RunConfig& config, std::vector<Problem>* problems) {
  Rules(config, problems).CheckAll();
}

}  // namespace parley
