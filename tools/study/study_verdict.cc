#include "tools/study/study_verdict.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/analysis/least_squares.h"

namespace parley {
namespace {

using Algorithm = v1::ImplicitBias::Algorithm;

// Groups that get sentences of their own; more are left to the table.
constexpr size_t kMostGroups = 12;
// Why cells failed; the same.
constexpr size_t kMostReasons = 3;
// ηLkγ² by which descent from zeros has left its first steps behind.
constexpr double kLate = 1e3;

std::string Number(double x) { return absl::StrFormat("%.3g", x); }

// "0.2" or "0.2 to 0.3".
std::string Range(double least, double most) {
  const std::string low = Number(least), high = Number(most);
  return low == high ? low : absl::StrCat(low, " to ", high);
}

// "3.1 % slower than".
std::string Against(double measured, double predicted) {
  const double percent = 100 * (measured / predicted - 1);
  if (std::abs(percent) < 0.05) return "as fast as";
  return absl::StrFormat("%.3g %% %s than", std::abs(percent),
                         percent < 0 ? "slower" : "faster");
}

struct Span {
  double least = 0, most = 0;
  bool any = false;

  void Add(double x) {
    if (!std::isfinite(x)) return;
    least = any ? std::min(least, x) : x;
    most = any ? std::max(most, x) : x;
    any = true;
  }
  std::string ToString() const { return any ? Range(least, most) : "–"; }
};

// Points that differ in L alone.
struct Group {
  std::string name;
  std::vector<const StudyPoint*> points;
};

class Verdict {
 public:
  explicit Verdict(StudyResults* results) : results_(*results) {}

  void Add() {
    TellStates();
    for (size_t i = 0; i < results_.sets.size(); ++i) TellSet(i);
    TellGroups();
    TellExact();
    TellFloors();
  }

 private:
  void Say(std::string line) { results_.verdict.push_back(std::move(line)); }

  const CellResult& ResultOf(const StudyPoint& point) const {
    return results_.cells[point.cell];
  }
  const v1::RunConfig& ConfigOf(const StudyPoint& point) const {
    return results_.study->cells.cells[point.cell].config;
  }

  // Where a point lies, but for the algorithm.
  std::string Place(const StudyPoint& point) const {
    std::string place;
    if (results_.sets.size() < 2) return place;
    if (!point.partition.empty()) {
      absl::StrAppend(&place, ", ", point.partition);
    }
    if (results_.study->config.implicit_bias().seed_size() > 1) {
      absl::StrAppend(&place, ", seed ", point.seed);
    }
    return place;
  }

  void TellStates() {
    std::map<std::string, std::vector<std::string>> failed;  // by the reason
    size_t open = 0;
    for (size_t i = 0; i < results_.cells.size(); ++i) {
      const CellState& state = results_.cells[i].state;
      if (state.kind == CellState::kFailed) {
        failed[state.reason].push_back(results_.study->cells.cells[i].name);
      } else if (state.kind != CellState::kFinished) {
        ++open;
      }
    }
    if (open > 0) {
      results_.notes.push_back(absl::StrCat(open, " of ", results_.cells.size(),
                                            " cells are still to be run."));
    }
    size_t told = 0;
    for (auto& [reason, names] : failed) {
      if (++told > kMostReasons) {
        Say(absl::StrCat("Cells failed for ", failed.size() - kMostReasons,
                         " more reasons, which the table of cells gives."));
        return;
      }
      const size_t more = names.size() > 3 ? names.size() - 3 : 0;
      names.resize(names.size() - more);
      Say(absl::StrCat("Failed: ", absl::StrJoin(names, ", "),
                       more > 0 ? absl::StrCat(" and ", more, " more") : "",
                       " (", reason, ")."));
    }
  }

  void TellSet(size_t index) {
    const StudySet& set = results_.sets[index];
    if (!set.facts.has_value()) return;
    std::string name;
    for (const StudyPoint& point : results_.study->cells.points) {
      if (ResultOf(point).set != static_cast<int>(index)) continue;
      name = Place(point);
      break;
    }
    if (!name.empty()) name = absl::StrCat("Data", name, ": ");
    // What it says of centralized descent depends on the cell.
    std::vector<std::string> words = SentencesOf(*set.facts);
    if (set.facts->centralized) words.pop_back();
    Say(absl::StrCat(name, absl::StrJoin(words, " ")));
  }

  void TellGroups() {
    std::vector<Group> groups;
    std::map<std::string, size_t> index;
    for (const StudyPoint& point : results_.study->cells.points) {
      if (point.local_steps == 0 ||
          ResultOf(point).state.kind != CellState::kFinished) {
        continue;
      }
      const std::string name =
          absl::StrCat(point.algorithm, point.rule.empty() ? "" : ", ",
                       point.rule, Place(point));
      const auto [it, fresh] = index.emplace(name, groups.size());
      if (fresh) groups.push_back({name, {}});
      groups[it->second].points.push_back(&point);
    }
    for (size_t i = 0; i < groups.size() && i < kMostGroups; ++i) {
      TellGroup(groups[i]);
    }
    if (groups.size() > kMostGroups) {
      Say(absl::StrCat("The other ", groups.size() - kMostGroups,
                       " sweeps over L are in the table of cells."));
    }
  }

  void TellGroup(const Group& group) {
    const StudySet& set = results_.sets[ResultOf(*group.points[0]).set];
    std::vector<int64_t> lengths;
    for (const StudyPoint* point : group.points) {
      lengths.push_back(point->local_steps);
    }
    const bool own = group.points[0]->kind == Algorithm::kLossNormalised;
    const std::string head =
        absl::StrCat(group.name, ", L = ", absl::StrJoin(lengths, ", "),
                     own ? " (Parley's own, not of the paper): " : ": ");
    if (set.facts.has_value() && set.facts->margin.has_value()) {
      TellSeparable(group, set, head);
    } else if (set.facts.has_value() && set.facts->reference == "minimum") {
      TellNotSeparable(group, set, head);
    } else {
      Span loss, apart;
      for (const StudyPoint* point : group.points) {
        loss.Add(ResultOf(*point).Last("log_loss"));
        apart.Add(ResultOf(*point).Last("centralized_steps_distance"));
      }
      Say(absl::StrCat(head, "(measured) ln f is ", loss.ToString(),
                       " at the end",
                       apart.any ? absl::StrCat(", and w ", apart.ToString(),
                                                " from centralized descent "
                                                "after as many gradient steps, "
                                                "as a share of its norm")
                                 : "",
                       "; there is no limit to hold it against."));
    }
  }

  void TellSeparable(const Group& group, const StudySet& set,
                     const std::string& head) {
    const double margin = *set.facts->margin;
    Span gap, slope, r_squared, norm, loss;
    const StudyPoint* longest = nullptr;
    for (const StudyPoint* point : group.points) {
      const CellResult& cell = ResultOf(*point);
      gap.Add(cell.Last("gap"));
      if (!cell.fits.has_value()) continue;
      slope.Add(cell.fits->inverse_gap.slope);
      r_squared.Add(cell.fits->inverse_gap.r_squared);
      norm.Add(cell.fits->norm.slope);
      loss.Add(cell.fits->loss_last);
      if (longest == nullptr || cell.Last("t") > ResultOf(*longest).Last("t")) {
        longest = point;
      }
    }
    std::string text = absl::StrCat(head,
                                    "(measured) gap to the max-margin "
                                    "direction ",
                                    gap.ToString(), " at the end.");
    if (longest != nullptr) {
      const DirectionFits& fits = *ResultOf(*longest).fits;
      absl::StrAppend(&text, " With L = ", longest->local_steps,
                      ", up to ηLk = ", Number(ResultOf(*longest).Last("t")),
                      ": 1/gap grows by ", WithError(fits.inverse_gap, 1),
                      " per e-fold of ηLk, R² ",
                      absl::StrFormat("%.4f", fits.inverse_gap.r_squared),
                      " ((paper) a line; ", PredictedSlope(set),
                      "); ‖w‖ grows by ", WithError(fits.norm, std::log(10)),
                      " per decade, ", Against(fits.norm.slope, 1 / margin),
                      " (derived) ln 10/γ = ", Number(std::log(10) / margin),
                      "; f·ηLk·γ² is ", Range(fits.loss_least, fits.loss_most),
                      " over the last decade, (derived) tends to 1.");
      if (std::abs(fits.loss_last - 1) > 0.1) {
        // Descent has f·ηLk·γ² near 1 by then, unless a step was no descent.
        const bool leapt =
            fits.loss_last < 0.5 &&
            ResultOf(*longest).Last("t") * margin * margin > kLate;
        absl::StrAppend(
            &text, leapt ? " The loss is far below that: steps of this η leap "
                           "where theory has them descend. A smaller η, or "
                           "features of a smaller scale, would show its limit."
                         : " ηLk is still too small for the terms that theory "
                           "keeps to lead.");
      }
      if (group.points.size() > 1) {
        absl::StrAppend(
            &text, " Over all L: 1/gap by ", slope.ToString(), ", R² ",
            absl::StrFormat("%.4f", r_squared.least), " or more; ‖w‖ by ",
            Range(norm.least * std::log(10), norm.most * std::log(10)),
            "; f·ηLk·γ² ", loss.ToString(), " at the end.");
      }
    }
    Say(absl::StrCat(text, Centralized(group)));
  }

  // "0.31 ± 0.02", times `unit`.
  static std::string WithError(const LineFit& fit, double unit) {
    return absl::StrCat(Number(fit.slope * unit), " ± ",
                        absl::StrFormat("%.1g", fit.slope_within * unit));
  }

  static std::string PredictedSlope(const StudySet& set) {
    if (!set.offset.has_value()) {
      return absl::StrCat("its slope is not predicted: ", set.without_offset);
    }
    return absl::StrCat(
        "(derived) ", set.offset->spans_rows ? "by " : "by at most ",
        Number(set.offset->inverse_gap_slope), " in the end",
        set.offset->spans_rows ? ""
                               : ", as rows lie beside the span of the support "
                                 "vectors");
  }

  // How near centralized descent is, against how far both are.
  std::string Centralized(const Group& group) const {
    const StudyPoint* best = nullptr;
    for (const StudyPoint* point : group.points) {
      const double apart = ResultOf(*point).Last("centralized_steps_gap");
      if (point->local_steps > 1 && std::isfinite(apart)) best = point;
    }
    if (best == nullptr) return "";
    const CellResult& cell = ResultOf(*best);
    const double apart = cell.Last("centralized_steps_gap");
    return absl::StrCat(
        " With L = ", best->local_steps, " it ends ", Number(apart),
        " from centralized descent after as many gradient steps, and both ",
        Number(cell.Last("gap")), " from the limit",
        apart > 0 && cell.Last("gap") > apart
            ? absl::StrCat(": ", Number(cell.Last("gap") / apart),
                           " times as far.")
            : ".");
  }

  void TellNotSeparable(const Group& group, const StudySet& set,
                        const std::string& head) {
    std::vector<std::string> parts;
    for (const StudyPoint* point : group.points) {
      const CellResult& cell = ResultOf(*point);
      if (!cell.bias.has_value()) continue;
      std::string part =
          absl::StrCat("L = ", point->local_steps,
                       ": (measured) ‖w − w*‖ = ", Number(cell.bias->measured));
      if (point->local_steps > 1) {
        absl::StrAppend(&part, ", (derived) ", Number(cell.bias->predicted),
                        ", cosine ",
                        absl::StrFormat("%.4f", cell.bias->cosine));
      } else {
        absl::StrAppend(&part,
                        ", (derived) 0, so that is how far it is from "
                        "having converged");
      }
      parts.push_back(std::move(part));
    }
    if (parts.empty()) {
      Span distance;
      for (const StudyPoint* point : group.points) {
        distance.Add(ResultOf(*point).Last("distance"));
      }
      Say(absl::StrCat(
          head, "nothing separates the rows. (measured) ‖w − w*‖/‖w*‖ is ",
          distance.ToString(),
          " at the end, w* the centralized minimum of the loss; where local "
          "steps end beside it is not predicted here",
          set.without_bias.empty()
              ? " but for local_gd with the logistic loss and a fixed η"
              : absl::StrCat(": ", set.without_bias),
          "."));
      return;
    }
    Say(absl::StrCat(
        head,
        "nothing separates the rows, so with L > 1 and a fixed η it does not "
        "end at the centralized minimum w*, but to first order (η(L−1)/2)·H⁻¹ "
        "Σ p H ∇f(w*) beside it. ",
        absl::StrJoin(parts, "; "), "."));
  }

  // The algorithms that solve their local problems exactly.
  void TellExact() {
    for (const StudyPoint& point : results_.study->cells.points) {
      const CellResult& cell = ResultOf(point);
      if (point.local_steps > 0 || cell.state.kind != CellState::kFinished) {
        continue;
      }
      const double gap = cell.Last("gap");
      const std::string after = absl::StrCat(
          point.algorithm, Place(point), ": (measured) after ",
          cell.state.rounds, cell.state.rounds == 1 ? " round" : " rounds");
      if (!cell.margin.has_value() || !std::isfinite(gap)) {
        TellExactWithoutMargin(cell, after);
        continue;
      }
      const std::string head = absl::StrCat(after, " gap ", Number(gap));
      switch (point.kind) {
        case Algorithm::kModifiedLocalGd:
          Say(absl::StrCat(head, Beats(point, gap),
                           ". (paper) From zeros it converges to that "
                           "direction, up to a floor that falls with λ."));
          break;
        case Algorithm::kPpm:
          Say(absl::StrCat(head, Moved(cell),
                           ". (paper) It tends to a point that separates the "
                           "rows, not to the one of the largest margin."));
          break;
        default:
          Say(absl::StrCat(head, Beats(point, gap),
                           ": the mean of the clients' own support vector "
                           "machines."));
      }
    }
  }

  void TellExactWithoutMargin(const CellResult& cell,
                              const std::string& after) {
    if (cell.margin.has_value()) {  // it is at 0
      Say(absl::StrCat(after, " w has no direction to compare."));
      return;
    }
    const double loss = cell.Last("log_loss");
    Say(absl::StrCat(
        after, " ",
        std::isfinite(loss) ? absl::StrCat("ln f is ", Number(loss), "; ") : "",
        "no hyperplane is known to separate the rows, and where none does the "
        "paper says of no limit."));
  }

  // Against the best that takes steps, on the same rows, in as many rounds.
  std::string Beats(const StudyPoint& exact, double gap) const {
    const StudyPoint* best = nullptr;
    double least = 0;
    for (const StudyPoint& point : results_.study->cells.points) {
      const double other = ResultOf(point).Last("gap");
      if (point.kind != Algorithm::kLocalGd || !std::isfinite(other) ||
          ResultOf(point).set != ResultOf(exact).set) {
        continue;
      }
      if (best == nullptr || other < least) {
        best = &point;
        least = other;
      }
    }
    if (best == nullptr) return "";
    const StudySet& set = results_.sets[ResultOf(exact).set];
    const double known = set.facts.has_value() ? ReferenceError(*set.facts) : 0;
    if (gap <= known || least <= known) {
      // Their quotient would be one of errors.
      return absl::StrCat(", against ", Number(least), " of the best local_gd ",
                          "(L = ", best->local_steps, ", ", best->rule, ", ",
                          ResultOf(*best).state.rounds,
                          " rounds), and the direction itself is known to "
                          "within ",
                          Number(known));
    }
    const double factor = least / gap;
    return absl::StrCat(", ", Number(factor > 1 ? factor : 1 / factor),
                        factor > 1 ? " times less" : " times more",
                        " than the best of local_gd (L = ", best->local_steps,
                        ", ", best->rule, ", ", ResultOf(*best).state.rounds,
                        " rounds: ", Number(least), ")");
  }

  std::string Moved(const CellResult& cell) const {
    const std::vector<double>& gap = *cell.Find("gap");
    const std::vector<double>& round = *cell.Find("round");
    const auto it =
        std::lower_bound(round.begin(), round.end(), round.back() / 10);
    const double before = gap[it - round.begin()];
    return absl::StrCat(" (", Number(before), " after round ", *it, ")");
  }

  void TellFloors() {
    for (const LambdaFloor& floor : results_.floors) {
      std::string text = absl::StrCat(
          floor.algorithm, ": (measured) the last gap falls from ",
          Number(floor.gap.back()), " to ", Number(floor.gap.front()),
          " as |ln λ| grows ", Number(floor.x.back() / floor.x.front()),
          "-fold; (derived) in proportion to 1/|ln λ|, once the rounds no "
          "longer hold it up");
      const auto fit = FitLine(floor.x, floor.gap);
      if (fit.ok()) {
        absl::StrAppend(&text, ": gap = ", Number(fit->intercept), " + (",
                        Number(fit->slope), " ± ",
                        absl::StrFormat("%.1g", fit->slope_within),
                        ")/|ln λ|, R² ",
                        absl::StrFormat("%.4f", fit->r_squared));
      }
      Say(text + ".");
    }
  }

  StudyResults& results_;
};

}  // namespace

void AddVerdict(StudyResults* results) {
  Verdict(results).Add();
  results->notes.push_back(
      "(paper) is claimed in arXiv 2412.07971, (derived) is our own, "
      "(measured) is of these runs. ± is a 95 % confidence interval of least "
      "squares, as if the points erred independently, which points of one "
      "curve do not.");
}

}  // namespace parley
