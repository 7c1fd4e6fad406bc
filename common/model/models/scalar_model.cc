#include "common/model/models/scalar_model.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"
#include "common/model/batch_ops.h"

namespace parley {
namespace {

enum Slot : size_t { kOutputs, kScratch };

template <typename T>
class ScalarModel final : public Model<T> {
 public:
  ScalarModel(ParameterSpec spec, int64_t features, bool bias,
              std::unique_ptr<const ScalarLoss<T>> loss)
      : spec_(std::move(spec)),
        features_(features),
        bias_(bias),
        loss_(std::move(loss)) {}

  const ParameterSpec& spec() const override { return spec_; }
  int64_t features() const override { return features_; }
  TargetKind target_kind() const override { return loss_->target_kind(); }

  void Initialize(Rng&, absl::Span<T> w) const override {
    std::fill(w.begin(), w.end(), T{0});
  }

  double LossAndGradient(absl::Span<const T> w, const Batch<T>& batch,
                         absl::Span<T> gradient,
                         Workspace<T>& workspace) const override {
    const Kernels<T>& k = KernelsFor<T>();
    std::fill(gradient.begin(), gradient.end(), T{0});
    const T share = static_cast<T>(1.0 / static_cast<double>(batch.rows));
    double sum = 0;
    ForBlocks(batch, [&](const Batch<T>& block) {
      T* z = Outputs(w, block, workspace.Get(kOutputs, block.rows));
      sum += loss_->Slopes(block.rows, block.target, z,
                           workspace.Get(kScratch, 2 * block.rows));
      k.scale(block.rows, share, z);
      AddGradient(block, z, gradient);
    });
    return sum / static_cast<double>(batch.rows);
  }

  // Xᵀ·diag(ℓ″)·X·v / n.
  void HessianVectorProduct(absl::Span<const T> w, absl::Span<const T> v,
                            const Batch<T>& batch, absl::Span<T> out,
                            Workspace<T>& workspace) const override {
    std::fill(out.begin(), out.end(), T{0});
    const T share = static_cast<T>(1.0 / static_cast<double>(batch.rows));
    ForBlocks(batch, [&](const Batch<T>& block) {
      T* z = Outputs(w, block, workspace.Get(kOutputs, block.rows));
      const T* change = Outputs(v, block, workspace.Get(kScratch, block.rows));
      loss_->Curvatures(block.rows, block.target, z);
      for (int64_t i = 0; i < block.rows; ++i) z[i] *= share * change[i];
      AddGradient(block, z, out);
    });
  }

  EvalSums Evaluate(absl::Span<const T> w, const Batch<T>& batch,
                    Workspace<T>& workspace) const override {
    EvalSums sums;
    sums.examples = static_cast<double>(batch.rows);
    ForBlocks(batch, [&](const Batch<T>& block) {
      T* z = Outputs(w, block, workspace.Get(kOutputs, block.rows));
      sums.correct += loss_->Correct(block.rows, block.target, z);
      sums.loss += loss_->Slopes(block.rows, block.target, z,
                                 workspace.Get(kScratch, 2 * block.rows));
    });
    return sums;
  }

 private:
  // Calls f with blocks of rows that stay in the second-level cache, so that
  // the gradient reads them from there and memory is read once.
  template <typename F>
  void ForBlocks(const Batch<T>& batch, F f) const {
    PARLEY_CHECK(batch.features == features_);
    constexpr int64_t kBlockBytes = 256 << 10, kMaxRows = 512, kMinRows = 16;
    const int64_t row_bytes = features_ * static_cast<int64_t>(sizeof(T));
    const int64_t rows = batch.sparse() ? kMaxRows
                                        : std::clamp(kBlockBytes / row_bytes,
                                                     kMinRows, kMaxRows);
    for (int64_t begin = 0; begin < batch.rows; begin += rows) {
      f(RowRange(batch, begin, std::min(begin + rows, batch.rows)));
    }
  }

  T* Outputs(absl::Span<const T> w, const Batch<T>& block, T* z) const {
    MultiplyBatch(block, 1, w.data(), z);
    if (bias_) {
      for (int64_t i = 0; i < block.rows; ++i) z[i] += w[features_];
    }
    return z;
  }

  void AddGradient(const Batch<T>& block, const T* slopes,
                   absl::Span<T> gradient) const {
    AddTransposed(block, 1, slopes, gradient.data());
    if (bias_) {
      gradient[features_] += static_cast<T>(Sum(block.rows, slopes));
    }
  }

  const ParameterSpec spec_;
  const int64_t features_;
  const bool bias_;
  const std::unique_ptr<const ScalarLoss<T>> loss_;
};

}  // namespace

template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> MakeScalarModel(
    int64_t features, bool bias, std::unique_ptr<const ScalarLoss<T>> loss) {
  std::vector<TensorSpec> tensors = {{.name = "weight", .shape = {features}}};
  if (bias) tensors.push_back({.name = "bias", .shape = {1}});
  PARLEY_ASSIGN_OR_RETURN(
      ParameterSpec spec,
      ParameterSpec::Create(DTypeOf<T>(), std::move(tensors)));
  return std::make_unique<ScalarModel<T>>(std::move(spec), features, bias,
                                          std::move(loss));
}

template absl::StatusOr<std::unique_ptr<Model<float>>> MakeScalarModel(
    int64_t, bool, std::unique_ptr<const ScalarLoss<float>>);
template absl::StatusOr<std::unique_ptr<Model<double>>> MakeScalarModel(
    int64_t, bool, std::unique_ptr<const ScalarLoss<double>>);

}  // namespace parley
