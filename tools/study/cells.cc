#include "tools/study/cells.h"

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/config/field_path.h"
#include "common/config/load.h"
#include "common/config/ranges.h"
#include "common/config/rules.h"

namespace parley {
namespace {

using Algorithm = v1::ImplicitBias::Algorithm;
using StepRule = v1::ImplicitBias::StepRule;
using Split = v1::ImplicitBias::Split;

constexpr size_t kMaxLabel = 32;

std::string Numbered(absl::string_view name, double x) {
  return absl::StrCat(name, FormatNumber(x));
}

std::string LabelOf(const Split& split) {
  if (!split.label().empty()) return split.label();
  const v1::Partition& partition = split.partition();
  switch (partition.kind_case()) {
    case v1::Partition::kIid:
    case v1::Partition::KIND_NOT_SET:
      return "iid";
    case v1::Partition::kDirichlet:
      return Numbered("dirichlet", partition.dirichlet().alpha());
    case v1::Partition::kShards:
      return absl::StrCat("shards", partition.shards().has_per_part()
                                        ? partition.shards().per_part()
                                        : 2);
    case v1::Partition::kPowerLaw:
      return Numbered("power_law", partition.power_law().has_exponent()
                                       ? partition.power_law().exponent()
                                       : 1);
    case v1::Partition::kIndexFile:
      return "index_file";
    case v1::Partition::kByColumn:
      return "by_column";
    case v1::Partition::kFeatureShift:
      return Numbered("feature_shift",
                      partition.feature_shift().has_strength()
                          ? partition.feature_shift().strength()
                          : 1);
  }
  return "";
}

// An algorithm with its own numbers settled, before L and η.
struct Variant {
  StudyPoint point;
  v1::LocalAlgorithm local;
  v1::Aggregation aggregation;  // the optimizer alone
  bool takes_steps = false;
  bool takes_rules = false;
  std::optional<int64_t> rounds = {};
};

Variant ExactVariant(std::string name, double log_lambda) {
  Variant variant;
  variant.point.algorithm =
      absl::StrCat(std::move(name), "-lnlambda", FormatNumber(log_lambda));
  variant.point.log_lambda = log_lambda;
  variant.local.mutable_exact_prox()->set_log_lambda(log_lambda);
  return variant;
}

// Those that one entry of the file stands for.
std::vector<Variant> VariantsOf(const Algorithm& algorithm) {
  std::vector<Variant> variants;
  const auto stepping = [&](std::string name) -> Variant& {
    Variant& variant = variants.emplace_back();
    variant.point.algorithm = std::move(name);
    variant.takes_steps = true;
    variant.takes_rules = true;
    variant.local.mutable_gd();
    return variant;
  };
  switch (algorithm.kind_case()) {
    case Algorithm::kLocalGd:
      stepping("local_gd");
      break;
    case Algorithm::kLocalSgd: {
      const int64_t size = algorithm.local_sgd().batch_size();
      stepping(absl::StrCat("local_sgd-batch", size))
          .local.mutable_sgd()
          ->set_batch_size(size);
      break;
    }
    case Algorithm::kPpm:
      for (const double log_lambda : algorithm.ppm().log_lambda()) {
        variants.push_back(ExactVariant("ppm", log_lambda));
      }
      break;
    case Algorithm::kModifiedLocalGd:
      for (const double log_lambda :
           algorithm.modified_local_gd().log_lambda()) {
        const double power = algorithm.modified_local_gd().power();
        Variant& variant = variants.emplace_back(ExactVariant(
            power == 1 ? "modified_local_gd"
                       : Numbered("modified_local_gd-power", power),
            log_lambda));
        variant.aggregation.mutable_anchored()->set_power(power);
      }
      break;
    case Algorithm::kLossNormalised:
      for (const double c : algorithm.loss_normalised().step_size()) {
        Variant& variant = stepping(Numbered("loss_normalised", c));
        variant.takes_rules = false;
        variant.local.mutable_step_size()->set_initial(c);
        variant.local.mutable_step_size()->mutable_loss_normalised();
      }
      break;
    case Algorithm::kOneShot:
      variants.push_back(
          ExactVariant("one_shot", algorithm.one_shot().log_lambda()));
      variants.back().rounds = 1;
      break;
    case Algorithm::kFedProx:
      for (const double mu : algorithm.fed_prox().mu()) {
        stepping(Numbered("fed_prox", mu)).local.set_proximal(mu);
      }
      break;
    case Algorithm::KIND_NOT_SET:
      break;
  }
  for (Variant& variant : variants) {
    variant.point.kind = algorithm.kind_case();
    if (algorithm.has_rounds()) variant.rounds = algorithm.rounds();
  }
  return variants;
}

void SetSteps(int64_t steps, v1::LocalAlgorithm* local) {
  if (local->has_gd()) local->mutable_gd()->set_steps(steps);
  if (local->has_sgd()) local->mutable_sgd()->set_steps(steps);
}

void SetRule(const StepRule& rule, int64_t steps, v1::LocalAlgorithm* local) {
  v1::StepSize* step_size = local->mutable_step_size();
  if (rule.has_over_steps()) {
    step_size->set_initial(rule.over_steps());
    // c/1 is a fixed c: one cell.
    if (steps != 1) step_size->mutable_over_steps();
  } else {
    step_size->set_initial(rule.fixed());
  }
}

std::string NameOf(const StepRule& rule) {
  return rule.has_over_steps() ? Numbered("over_steps", rule.over_steps())
                               : Numbered("fixed", rule.fixed());
}

class Expansion {
 public:
  Expansion(const v1::StudyConfig& config, std::vector<Problem>* problems)
      : config_(config), sweep_(config.implicit_bias()), problems_(*problems) {}

  StudyCells Expand() {
    CheckStudy();
    sweep_is_wrong_ = !problems_.empty();
    if (!config_.has_implicit_bias()) {
      CheckRunAlone();
      return {};
    }
    for (int i = 0; i < sweep_.algorithm_size(); ++i) {
      for (const Variant& variant : VariantsOf(sweep_.algorithm(i))) {
        OverSteps(i, variant);
      }
    }
    if (result_.cells.empty()) CheckRunAlone();
    if (result_.cells.size() > kMaxCells) {
      Add(Problem::Kind::kConflict, "implicit_bias",
          absl::StrCat("stands for more than ", kMaxCells, " cells"));
    }
    return std::move(result_);
  }

 private:
  void Add(Problem::Kind kind, std::string path, std::string text) {
    problems_.push_back({kind, std::move(path), std::move(text)});
  }

  void CheckStudy() {
    if (!IsRunName(config_.name())) {
      Add(Problem::Kind::kValue, "name",
          absl::StrCat("is \"", config_.name(),
                       "\": must be 1 to 64 of A-Z a-z 0-9 . _ -, the first "
                       "no dot"));
    }
    CheckRanges(sweep_, "implicit_bias.", &problems_);
    if (!config_.has_implicit_bias()) {
      Add(Problem::Kind::kMissing, "implicit_bias",
          "is missing: it says what is studied");
      return;
    }
    const v1::RunConfig& run = config_.run();
    if (!run.data().has_train()) {
      Add(Problem::Kind::kMissing, "run.data.train",
          "is missing: the clients are given parts of it");
    }
    Unset(!run.name().empty(), "run.name", "every cell has a name of its own");
    Unset(run.has_local(), "run.local", "the study sweeps over it");
    Unset(run.aggregation().optimizer_case() !=
              v1::Aggregation::OPTIMIZER_NOT_SET,
          "run.aggregation",
          "but for its strategy: the algorithms say what follows the mean");
    Unset(sweep_.seed_size() > 0 && run.has_seed(), "run.seed",
          "the study sweeps over it");
    Unset(sweep_.partition_size() > 0 && run.data().has_partition(),
          "run.data.partition", "the study sweeps over it");
    if (sweep_.algorithm().empty()) {
      Add(Problem::Kind::kMissing, "implicit_bias.algorithm",
          "is missing: at least one");
    }
    for (int i = 0; i < sweep_.algorithm_size(); ++i) CheckAlgorithm(i);
    for (int i = 0; i < sweep_.step_size_size(); ++i) {
      if (sweep_.step_size(i).kind_case() != StepRule::KIND_NOT_SET) continue;
      Add(Problem::Kind::kMissing,
          absl::StrCat("implicit_bias.step_size[", i, "]"),
          "is missing: must have fixed or over_steps");
    }
    std::set<std::string> labels;
    for (int i = 0; i < sweep_.partition_size(); ++i) {
      const std::string path = absl::StrCat("implicit_bias.partition[", i, "]");
      const std::string label = LabelOf(sweep_.partition(i));
      if (!IsRunName(label) || label.size() > kMaxLabel) {
        Add(Problem::Kind::kValue, path + ".label",
            absl::StrCat("is \"", label, "\": must be 1 to ", kMaxLabel,
                         " of A-Z a-z 0-9 . _ -, the first no dot"));
      }
      if (!labels.insert(label).second) {
        Add(Problem::Kind::kConflict, path,
            absl::StrCat("is called ", label,
                         " as another one is: give it a label of its own"));
      }
    }
  }

  // Says what is wrong with the run where there is no cell that would.
  void CheckRunAlone() {
    v1::RunConfig run = config_.run();
    run.set_name("cell");
    run.mutable_local()->Clear();
    run.mutable_local()->mutable_gd();
    run.mutable_local()->mutable_step_size()->set_initial(1);
    for (const Problem& problem : CompleteRun(&run)) {
      AddOfCell(-1, -1, "", problem);
    }
  }

  void Unset(bool set, const std::string& path, const std::string& why) {
    if (!set) return;
    Add(Problem::Kind::kConflict, path, absl::StrCat("must not be set: ", why));
  }

  void CheckAlgorithm(int i) {
    const Algorithm& algorithm = sweep_.algorithm(i);
    const std::string path = absl::StrCat("implicit_bias.algorithm[", i, "]");
    if (algorithm.kind_case() == Algorithm::KIND_NOT_SET) {
      Add(Problem::Kind::kMissing, path,
          "is missing: must have one of local_gd, local_sgd, ppm, "
          "modified_local_gd, loss_normalised, one_shot, fed_prox");
    }
    if (algorithm.has_loss_normalised() &&
        algorithm.loss_normalised().step_size().empty()) {
      Add(Problem::Kind::kMissing, path + ".loss_normalised.step_size",
          "is missing: at least one");
    }
    if (algorithm.has_fed_prox() && algorithm.fed_prox().mu().empty()) {
      Add(Problem::Kind::kMissing, path + ".fed_prox.mu",
          "is missing: at least one");
    }
    if (algorithm.has_one_shot() && algorithm.has_rounds()) {
      Add(Problem::Kind::kConflict, path + ".rounds",
          "must not be set with one_shot, which takes one");
    }
    if ((algorithm.has_local_gd() || algorithm.has_local_sgd() ||
         algorithm.has_fed_prox()) &&
        sweep_.step_size().empty()) {
      Add(Problem::Kind::kMissing, "implicit_bias.step_size",
          "is missing: at least one, fixed or over_steps");
    }
  }

  void OverSteps(int algorithm, const Variant& variant) {
    if (!variant.takes_steps) return OverSplits(algorithm, variant, "");
    for (const int64_t steps : sweep_.local_steps()) {
      Variant with = variant;
      with.point.local_steps = steps;
      SetSteps(steps, &with.local);
      const std::string name = absl::StrCat("-L", steps);
      if (!variant.takes_rules) {
        OverSplits(algorithm, with, name);
        continue;
      }
      for (const StepRule& rule : sweep_.step_size()) {
        with.local = variant.local;
        SetSteps(steps, &with.local);
        SetRule(rule, steps, &with.local);
        with.point.rule = NameOf(rule);
        OverSplits(algorithm, with,
                   absl::StrCat(name, "-",
                                steps == 1 && rule.has_over_steps()
                                    ? Numbered("fixed", rule.over_steps())
                                    : with.point.rule));
      }
    }
  }

  void OverSplits(int algorithm, const Variant& variant,
                  const std::string& name) {
    if (sweep_.partition().empty())
      return OverSeeds(algorithm, -1, variant, name);
    for (int i = 0; i < sweep_.partition_size(); ++i) {
      Variant with = variant;
      with.point.partition = LabelOf(sweep_.partition(i));
      OverSeeds(algorithm, i, with,
                absl::StrCat(name, "-", with.point.partition));
    }
  }

  void OverSeeds(int algorithm, int split, const Variant& variant,
                 const std::string& name) {
    v1::RunConfig run = config_.run();
    *run.mutable_local() = variant.local;
    run.mutable_aggregation()->MergeFrom(variant.aggregation);
    if (variant.rounds.has_value()) {
      run.mutable_stop()->set_rounds(*variant.rounds);
    }
    if (variant.local.has_exact_prox() && run.model().has_logistic()) {
      run.mutable_model()->mutable_logistic()->set_loss(
          v1::Logistic::EXPONENTIAL);
    }
    if (split >= 0) {
      *run.mutable_data()->mutable_partition() =
          sweep_.partition(split).partition();
    }
    StudyPoint point = variant.point;
    const std::string cell = absl::StrCat(variant.point.algorithm, name);
    if (sweep_.seed().empty()) {
      point.seed = run.has_seed() ? run.seed() : 1;
      return AddCell(algorithm, split, cell, std::move(run), point);
    }
    for (const uint64_t seed : sweep_.seed()) {
      point.seed = seed;
      run.set_seed(seed);
      AddCell(algorithm, split, absl::StrCat(cell, "-seed", seed), run, point);
    }
  }

  void AddCell(int algorithm, int split, const std::string& name,
               v1::RunConfig run, StudyPoint point) {
    if (result_.cells.size() > kMaxCells) return;
    const auto [it, fresh] =
        by_name_.emplace(name, static_cast<int>(result_.cells.size()));
    point.cell = it->second;
    if (!fresh) {
      for (const StudyPoint& other : result_.points) {
        if (other.cell == point.cell && other.rule == point.rule) {
          return Add(Problem::Kind::kConflict,
                     absl::StrCat("implicit_bias.algorithm[", algorithm, "]"),
                     absl::StrCat("stands for ", name, " twice"));
        }
      }
      result_.points.push_back(std::move(point));
      return;
    }
    run.set_name(name);
    for (const Problem& problem : CompleteRun(&run)) {
      AddOfCell(algorithm, split, name, problem);
    }
    result_.points.push_back(std::move(point));
    result_.cells.push_back({name, std::move(run)});
  }

  // Puts a cell's problem down to the field of the study that it comes from.
  void AddOfCell(int algorithm, int split, const std::string& name,
                 Problem problem) {
    if (IsWithin(problem.path, "local") || problem.path == "name") {
      // Of several cells the first; and none where it is the sweep's own
      // numbers and labels that are wrong, which was said.
      if (sweep_is_wrong_ && problem.kind == Problem::Kind::kValue) return;
      if (!told_.emplace(algorithm, problem.path + problem.text).second) return;
      problem.text = absl::StrCat("makes a cell ", name, " whose ",
                                  problem.path, " ", problem.text);
      problem.path = absl::StrCat("implicit_bias.algorithm[", algorithm, "]");
    } else if (split >= 0 && IsWithin(problem.path, "data.partition")) {
      problem.path = absl::StrCat(
          "implicit_bias.partition[", split, "].partition",
          problem.path.substr(std::string("data.partition").size()));
    } else {
      problem.path = absl::StrCat("run.", problem.path);
    }
    problems_.push_back(std::move(problem));
  }

  const v1::StudyConfig& config_;
  const v1::ImplicitBias& sweep_;
  std::vector<Problem>& problems_;
  bool sweep_is_wrong_ = false;
  std::set<std::pair<int, std::string>> told_;  // algorithm, path and text
  std::map<std::string, int> by_name_;
  StudyCells result_;
};

}  // namespace

void FillStudyDefaults(v1::StudyConfig* config) {
  v1::RunConfig* run = config->mutable_run();
  if (run->model().kind_case() == v1::Model::KIND_NOT_SET) {
    run->mutable_model()->mutable_logistic();
  }
  if (run->model().has_logistic() && !run->model().logistic().has_bias()) {
    run->mutable_model()->mutable_logistic()->set_bias(false);
  }
  if (run->precision() == v1::DTYPE_UNSPECIFIED) {
    run->set_precision(v1::FLOAT64);
  }
  if (run->aggregation().strategy_case() == v1::Aggregation::STRATEGY_NOT_SET) {
    run->mutable_aggregation()->mutable_uniform();
  }
  if (run->start().kind_case() == v1::Start::KIND_NOT_SET) {
    run->mutable_start()->mutable_zeros();
  }
  if (!run->evaluation().has_every()) run->mutable_evaluation()->set_every(0);
  if (!run->checkpoints().has_every()) {
    run->mutable_checkpoints()->set_every(0);
  }
  if (run->cohort().too_few() == v1::Cohort::TOO_FEW_UNSPECIFIED) {
    run->mutable_cohort()->set_too_few(v1::Cohort::FAIL);
  }
  if (!run->has_diagnostics()) {
    run->mutable_diagnostics()->mutable_direction_gap();
  }
  if (!config->has_implicit_bias()) return;
  v1::ImplicitBias* sweep = config->mutable_implicit_bias();
  if (sweep->local_steps().empty()) sweep->add_local_steps(1);
  for (Algorithm& algorithm : *sweep->mutable_algorithm()) {
    if (algorithm.has_ppm() && algorithm.ppm().log_lambda().empty()) {
      algorithm.mutable_ppm()->add_log_lambda(-100);
    }
    if (algorithm.has_local_sgd() && !algorithm.local_sgd().has_batch_size()) {
      algorithm.mutable_local_sgd()->set_batch_size(32);
    }
    if (algorithm.has_modified_local_gd()) {
      auto* modified = algorithm.mutable_modified_local_gd();
      if (modified->log_lambda().empty()) modified->add_log_lambda(-100);
      if (!modified->has_power()) modified->set_power(1);
    }
    if (algorithm.has_one_shot() && !algorithm.one_shot().has_log_lambda()) {
      algorithm.mutable_one_shot()->set_log_lambda(-1000);
    }
  }
}

StudyCells ExpandStudy(const v1::StudyConfig& config,
                       std::vector<Problem>* problems) {
  return Expansion(config, problems).Expand();
}

}  // namespace parley
