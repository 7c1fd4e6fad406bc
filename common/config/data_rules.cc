#include "common/config/data_rules.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/config/facts.h"
#include "common/data/cifar10.h"

namespace parley {
namespace {

// The columns that a source has by its configuration alone; 0: unknown.
int64_t StatedFeatures(const v1::Source& source) {
  switch (source.kind_case()) {
    case v1::Source::kLibsvm:
      return source.libsvm().features();
    case v1::Source::kSeparable:
      return source.separable().features();
    case v1::Source::kMixture:
      return source.mixture().features();
    case v1::Source::kRegression:
      return source.regression().features();
    case v1::Source::kCifar10:
      return kCifar10Features;
    case v1::Source::kText:
      return source.text().context();
    case v1::Source::kIdx:
    case v1::Source::kCsv:
    case v1::Source::KIND_NOT_SET:
      return 0;
  }
  return 0;
}

class DataRules {
 public:
  DataRules(const v1::RunConfig& config, Complaints& complaints)
      : config_(config), complaints_(complaints) {}

  void Check() {
    const v1::Data& data = config_.data();
    if (data.has_train()) CheckSource("data.train", data.train());
    if (data.has_test()) CheckSource("data.test", data.test());
    if (!data.has_train()) {
      // With gossip it says how many peers there are.
      if (data.has_partition() && !config_.has_gossip()) {
        complaints_.Conflict("data.partition",
                             "must not be set without data.train");
      }
      return;
    }
    const v1::Partition& partition = data.partition();
    const bool by_label = partition.has_dirichlet() || partition.has_shards();
    if (by_label && data.train().has_regression()) {
      complaints_.Conflict(
          partition.has_dirichlet() ? "data.partition.dirichlet"
                                    : "data.partition.shards",
          "must not be set with data.train.regression, which has no "
          "labels");
    }
    if (partition.has_index_file()) {
      complaints_.NotEmpty("data.partition.index_file.path",
                           partition.index_file().path());
    }
    if (partition.has_by_column()) {
      complaints_.NotEmpty("data.partition.by_column.column",
                           partition.by_column().column());
      if (!data.train().has_csv()) {
        complaints_.Conflict("data.partition.by_column",
                             "must go with data.train.csv");
      }
    }
  }

 private:
  void CheckCsv(const std::string& path, const v1::Csv& csv) {
    complaints_.NotEmpty(path + ".path", csv.path());
    complaints_.NotEmpty(path + ".target", csv.target());
    for (int i = 0; i < csv.ignore_size(); ++i) {
      if (csv.ignore(i) != csv.target() || csv.target().empty()) continue;
      complaints_.Conflict(absl::StrCat(path, ".ignore[", i, "]"),
                           absl::StrCat("is \"", csv.target(),
                                        "\": must not be the target as well"));
    }
  }

  void CheckCifar10(const std::string& path, const v1::Cifar10& cifar10) {
    if (cifar10.paths().empty()) {
      complaints_.Missing(path + ".paths", "must list at least one file");
    }
    for (int i = 0; i < cifar10.paths_size(); ++i) {
      complaints_.NotEmpty(absl::StrCat(path, ".paths[", i, "]"),
                           cifar10.paths(i));
    }
  }

  void CheckText(const std::string& path, const v1::Text& text) {
    complaints_.NotEmpty(path + ".path", text.path());
    if (path == "data.train.text") return;
    const v1::Data& data = config_.data();
    if (data.has_train() && !text.alphabet().empty()) {
      complaints_.Conflict(path + ".alphabet",
                           "must not be set, as it is that of data.train.text");
    } else if (!data.has_train() && text.alphabet().empty()) {
      complaints_.Missing(
          path + ".alphabet",
          "must be set where there is no data.train, whose it would be");
    }
    if (data.has_train() && !data.train().has_text()) {
      complaints_.Conflict(path, "must go with data.train.text");
    }
  }

  void CheckSource(const std::string& path, const v1::Source& source) {
    switch (source.kind_case()) {
      case v1::Source::kLibsvm:
        complaints_.NotEmpty(path + ".libsvm.path", source.libsvm().path());
        break;
      case v1::Source::kIdx:
        complaints_.NotEmpty(path + ".idx.images", source.idx().images());
        complaints_.NotEmpty(path + ".idx.labels", source.idx().labels());
        break;
      case v1::Source::kCsv:
        CheckCsv(path + ".csv", source.csv());
        break;
      case v1::Source::kCifar10:
        CheckCifar10(path + ".cifar10", source.cifar10());
        break;
      case v1::Source::kText:
        CheckText(path + ".text", source.text());
        break;
      case v1::Source::kSeparable:
      case v1::Source::kMixture:
      case v1::Source::kRegression:
        break;
      case v1::Source::KIND_NOT_SET:
        complaints_.Missing(
            path,
            "must have one of libsvm, idx, separable, mixture, regression, "
            "csv, cifar10, text");
        return;
    }
    CheckFeatures(path, source);
    CheckClasses(path, source);
  }

  // All that states a number of columns must state the same.
  void CheckFeatures(const std::string& path, const v1::Source& source) {
    const int64_t features = StatedFeatures(source);
    const int64_t of_model = config_.model().features();
    const int64_t of_train = StatedFeatures(config_.data().train());
    if (features <= 0) return;
    if (of_model > 0 && features != of_model) {
      complaints_.Conflict(path,
                           absl::StrCat("has ", features,
                                        " features: must be as model.features, "
                                        "which is ",
                                        of_model));
    } else if (of_train > 0 && features != of_train) {
      complaints_.Conflict(
          path, absl::StrCat("has ", features,
                             " features: must be as data.train, which "
                             "has ",
                             of_train));
    }
  }

  // The classes that a source has by its configuration alone; 0: unknown.
  int64_t StatedClasses(const std::string& path, const v1::Source& source) {
    if (source.has_separable()) return 2;
    if (source.has_cifar10()) return kCifar10Classes;
    const bool known =
        source.has_mixture() && complaints_.InRange(path + ".mixture.classes");
    return known ? source.mixture().classes() : 0;
  }

  void CheckClasses(const std::string& path, const v1::Source& source) {
    const v1::Model& model = config_.model();
    if (TargetKindOf(model) == TargetKind::kReal) return;
    if (source.has_regression()) {
      complaints_.Conflict(
          path + ".regression",
          "must go with linear_regression or an mlp with loss SQUARED, as "
          "its targets are real numbers");
    }
    const int64_t classes = StatedClasses(path, source);
    if (classes == 0) return;
    const int64_t of_train =
        StatedClasses("data.train", config_.data().train());
    if (model.has_logistic() && classes != 2) {
      complaints_.Conflict(
          path,
          absl::StrCat("has ", classes, " classes: must have 2 with logistic"));
    } else if (model.has_classes() && classes > model.classes() &&
               complaints_.InRange("model.classes")) {
      complaints_.Conflict(path, absl::StrCat("has ", classes,
                                              " classes: must have at most "
                                              "model.classes, which is ",
                                              model.classes()));
    } else if (of_train > 0 && classes != of_train) {
      complaints_.Conflict(
          path, absl::StrCat("has ", classes,
                             " classes: must be as data.train, which "
                             "has ",
                             of_train));
    }
  }

  const v1::RunConfig& config_;
  Complaints& complaints_;
};

}  // namespace

void CheckDataRules(const v1::RunConfig& config, Complaints& complaints) {
  DataRules(config, complaints).Check();
}

}  // namespace parley
