// The hard-margin SVM on files of the user's, against LIBLINEAR's dual
// coordinate descent at equal accuracy. Run by hand:
//   margin_bench FILE.svm[.gz]...
// For each file what FindReference says of it, and, where it is separable, the
// seconds (best of three) until the margin is within a share of the largest one
// there is: ours by its certificate, LIBLINEAR's (L1 loss, a C that does not
// bind) by the loosest of its tolerances 0.1, 0.01, ... whose w has that
// margin.
#include <linear.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/analysis/direction.h"
#include "common/analysis/reference.h"
#include "common/data/libsvm.h"

namespace parley {
namespace {

double Seconds(absl::FunctionRef<void()> work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
      .count();
}

double BestOfThree(absl::FunctionRef<void()> work) {
  return std::min({Seconds(work), Seconds(work), Seconds(work)});
}

double MarginOf(const SignedRows& rows, const std::vector<double>& w) {
  const std::vector<double> margins = rows.Margins(w);
  return *std::min_element(margins.begin(), margins.end()) / Norm(w);
}

// The same examples as LIBLINEAR takes them.
class Problem {
 public:
  explicit Problem(const Batch<double>& batch) {
    for (int64_t n = 0; n < batch.rows; ++n) {
      begins_.push_back(nodes_.size());
      for (int64_t i = batch.row_begin[n]; i < batch.row_begin[n + 1]; ++i) {
        nodes_.push_back({batch.column[i] + 1, batch.value[i]});
      }
      nodes_.push_back({-1, 0});
      y_.push_back(batch.target[n]);
    }
    for (const size_t begin : begins_) x_.push_back(&nodes_[begin]);
    problem_ = {static_cast<int>(batch.rows), static_cast<int>(batch.features),
                y_.data(), x_.data(), -1};
    set_print_string_function([](const char*) {});
  }

  std::vector<double> Solve(double tolerance) const {
    parameter how = {};
    how.solver_type = L2R_L1LOSS_SVC_DUAL;
    how.C = 1e12;
    how.eps = tolerance;
    model* trained = train(&problem_, &how);
    std::vector<double> w(trained->w, trained->w + problem_.n);
    if (trained->label[0] == -1) {
      for (double& v : w) v = -v;
    }
    free_and_destroy_model(&trained);
    return w;
  }

 private:
  std::vector<feature_node> nodes_;
  std::vector<size_t> begins_;
  std::vector<feature_node*> x_;
  std::vector<double> y_;
  problem problem_;
};

void Race(const SignedRows& rows, const Problem& problem, double margin,
          double share) {
  MaxMargin found;
  const double ours =
      BestOfThree([&] { found = *FindMaxMargin(rows, {.tolerance = share}); });
  std::printf("  within %.0e: %.4f s (%ld epochs)", share, ours,
              static_cast<long>(found.epochs));
  for (double tolerance = 0.1; tolerance > 1e-12; tolerance /= 10) {
    std::vector<double> w;
    const double theirs = BestOfThree([&] { w = problem.Solve(tolerance); });
    if (MarginOf(rows, w) < (1 - share) * margin) continue;
    std::printf(", LIBLINEAR %.4f s (tolerance %.0e): %.1f times ours\n",
                theirs, tolerance, theirs / ours);
    return;
  }
  std::printf(", LIBLINEAR does not get there\n");
}

int Main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    auto examples = LoadLibsvm<double>({.path = argv[i]});
    if (!examples.ok()) {
      std::fprintf(stderr, "%s\n", examples.status().ToString().c_str());
      return 1;
    }
    if (auto info = NormalizeTargets(TargetKind::kSign, *examples);
        !info.ok()) {
      std::fprintf(stderr, "%s\n", info.status().ToString().c_str());
      return 1;
    }
    const Dataset<double> data(*std::move(examples));
    const auto rows = SignedRows::Create(data);
    if (!rows.ok()) {
      std::fprintf(stderr, "%s\n", rows.status().ToString().c_str());
      return 1;
    }
    const std::vector<double> weights(rows->rows(),
                                      1.0 / static_cast<double>(rows->rows()));
    absl::StatusOr<Reference> reference;
    const double seconds =
        Seconds([&] { reference = FindReference(*rows, weights); });
    std::printf("%s: %ld x %ld, %s, in %.2f s\n", argv[i],
                static_cast<long>(rows->rows()),
                static_cast<long>(rows->features()),
                reference.ok() ? ToString(*reference).c_str()
                               : reference.status().ToString().c_str(),
                seconds);
    std::fflush(stdout);
    if (!reference.ok() || reference->verdict != Separability::kSeparable) {
      continue;
    }
    const Problem problem(data.All());
    for (const double share : {1e-3, 1e-5}) {
      Race(*rows, problem, reference->margin, share);
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace
}  // namespace parley

int main(int argc, char** argv) { return parley::Main(argc, argv); }
