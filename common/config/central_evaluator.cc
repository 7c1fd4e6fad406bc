#include "common/config/central_evaluator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/facts.h"

namespace parley {
namespace {

constexpr int64_t kPieceRows = 256;

template <typename T>
class Evaluator final : public CentralEvaluator {
 public:
  Evaluator(std::shared_ptr<const Model<T>> model, Dataset<T> data,
            Executor* executor)
      : model_(std::move(model)),
        data_(std::move(data)),
        executor_(executor),
        pieces_((data_.rows() + kPieceRows - 1) / kPieceRows) {}

  std::map<std::string, double> Evaluate(
      const ParameterVector& parameters) override {
    const absl::Span<const T> w = parameters.As<T>();
    ParallelFor(executor_, static_cast<int64_t>(pieces_.size()), 1,
                [&](int64_t from, int64_t to) {
                  std::unique_ptr<Workspace<T>> workspace = TakeWorkspace();
                  for (int64_t i = from; i < to; ++i) {
                    const int64_t begin = i * kPieceRows;
                    const int64_t end =
                        std::min(begin + kPieceRows, data_.rows());
                    pieces_[i] = model_->Evaluate(
                        w, data_.Slice(begin, end).All(), *workspace);
                  }
                  MutexLock lock(mu_);
                  workspaces_.push_back(std::move(workspace));
                });
    EvalSums sums;  // added up in the order of the rows, whoever did them
    for (const EvalSums& piece : pieces_) sums.Add(piece);
    std::map<std::string, double> metrics = {
        {"loss", sums.loss / sums.examples}};
    if (model_->target_kind() != TargetKind::kReal) {
      metrics["accuracy"] = sums.correct / sums.examples;
    }
    return metrics;
  }

 private:
  std::unique_ptr<Workspace<T>> TakeWorkspace() {
    MutexLock lock(mu_);
    if (workspaces_.empty()) return std::make_unique<Workspace<T>>();
    std::unique_ptr<Workspace<T>> taken = std::move(workspaces_.back());
    workspaces_.pop_back();
    return taken;
  }

  const std::shared_ptr<const Model<T>> model_;
  const Dataset<T> data_;
  Executor* const executor_;
  std::vector<EvalSums> pieces_;

  Mutex mu_;
  std::vector<std::unique_ptr<Workspace<T>>> workspaces_ GUARDED_BY(mu_);
};

}  // namespace

template <typename T>
std::unique_ptr<CentralEvaluator> MakeCentralEvaluator(
    std::shared_ptr<const Model<T>> model, Dataset<T> data,
    Executor* executor) {
  return std::make_unique<Evaluator<T>>(std::move(model), std::move(data),
                                        executor);
}

template std::unique_ptr<CentralEvaluator> MakeCentralEvaluator(
    std::shared_ptr<const Model<float>>, Dataset<float>, Executor*);
template std::unique_ptr<CentralEvaluator> MakeCentralEvaluator(
    std::shared_ptr<const Model<double>>, Dataset<double>, Executor*);

namespace {

template <typename T>
absl::StatusOr<std::unique_ptr<CentralEvaluator>> Make(
    const v1::RunConfig& config, Executor* executor) {
  PARLEY_ASSIGN_OR_RETURN(const ModelOptions options,
                          ModelOptionsOf(config, StatedFacts(config.model())));
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<const Model<T>> model,
                          MakeModel<T>(options));
  PARLEY_ASSIGN_OR_RETURN(Dataset<T> test, LoadTest<T>(config));
  if (test.rows() == 0) {
    return absl::InvalidArgumentError("data.test has no rows");
  }
  if (const absl::Status fits = model->CheckInputs(test.All()); !fits.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.test does not fit: ", fits.message()));
  }
  return MakeCentralEvaluator<T>(std::move(model), std::move(test), executor);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CentralEvaluator>> MakeTestEvaluator(
    const v1::RunConfig& config, Executor* executor) {
  return DTypeOf(config) == DType::kFloat32 ? Make<float>(config, executor)
                                            : Make<double>(config, executor);
}

}  // namespace parley
