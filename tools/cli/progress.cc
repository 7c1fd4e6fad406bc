#include "tools/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace parley {
namespace {

constexpr int kMostCells = 20;
constexpr int kLeastCells = 5;
// How often the same wait is told about anew.
constexpr absl::Duration kWaitLines = absl::Seconds(10);
constexpr int kUsualWidth = 80;
// Of clients that fail: lines at once, and what is remembered so as not to be
// said again.
constexpr int kMostFailureLines = 5;
constexpr size_t kMostFailures = 1000;

int64_t CommittedRounds(const v1::RunStatus& status) {
  // While it runs, `round` is the one under way.
  return HasEnded(status.state()) ? status.round()
                                  : std::max<int64_t>(status.round() - 1, 0);
}

// For clients, or for its turn.
bool Waits(const v1::RunStatus& status) {
  return (status.state() == v1::WAITING || status.state() == v1::QUEUED) &&
         !status.detail().empty();
}

std::string Quality(const v1::RunStatus& status) {
  return FormatQuality(
      status.has_loss() ? std::optional(status.loss()) : std::nullopt,
      status.has_accuracy() ? std::optional(status.accuracy()) : std::nullopt);
}

std::string Direction(const v1::RunStatus& status) {
  return FormatDirection(
      status.has_direction_gap() ? std::optional(status.direction_gap())
                                 : std::nullopt,
      status.has_log_loss() ? std::optional(status.log_loss()) : std::nullopt);
}

// How far apart the peers of a gossip run are; else empty.
std::string Mixing(const v1::RunStatus& status) {
  std::vector<std::string> parts;
  if (status.has_consensus_distance()) {
    parts.push_back(
        absl::StrFormat("consensus %.3g", status.consensus_distance()));
  }
  if (status.has_contraction()) {
    parts.push_back(absl::StrFormat("contraction %.3f", status.contraction()));
    if (status.has_expected_contraction()) {
      absl::StrAppendFormat(&parts.back(), " (ρ %.3f)",
                            status.expected_contraction());
    }
  }
  return absl::StrJoin(parts, "  ");
}

// What the clients have sent and received; of a gossip run each peer of them.
std::string Traffic(const v1::RunStatus& status) {
  const uint64_t peers =
      status.phase() == "gossip" ? std::max(status.asked(), 1) : 1;
  return absl::StrCat("↑", FormatSize(status.bytes_up() / peers), " ↓",
                      FormatSize(status.bytes_down() / peers),
                      peers > 1 ? " a peer" : "");
}

// ", slowest 12 %", of those that say how far they are; else nothing.
std::string Slowest(const v1::RunStatus& status) {
  if (status.phase() == "gossip") return "";  // theirs is of the whole run
  double least = 2;
  for (const v1::ClientStatus& client : status.client()) {
    if (client.has_progress()) least = std::min(least, client.progress());
  }
  if (least > 1) return "";
  return absl::StrCat(", slowest ", static_cast<int>(100 * least), " %");
}

// UTF-8 characters begin with any byte but these.
bool Continues(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

int Characters(const std::string& text) {
  return static_cast<int>(text.size() -
                          std::count_if(text.begin(), text.end(), Continues));
}

// The first `width` characters, and no part of one.
std::string Truncate(const std::string& text, int width) {
  int characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!Continues(text[i]) && characters++ == width) return text.substr(0, i);
  }
  return text;
}

// The live line with a bar of so many cells; 0: none.
std::string Compose(const v1::RunStatus& status, int cells, bool with_phase) {
  std::vector<std::string> parts;
  std::string head =
      absl::StrCat("round ", status.round(), "/", status.rounds());
  if (cells > 0) {
    const int64_t rounds = std::max<int64_t>(status.rounds(), 1);
    const int64_t full =
        cells * std::min(CommittedRounds(status), rounds) / rounds;
    absl::StrAppend(&head, " [", std::string(full, '#'),
                    std::string(cells - full, '.'), "]");
  }
  parts.push_back(std::move(head));
  if (status.has_loss()) {
    parts.push_back(absl::StrFormat("loss %.4f", status.loss()));
  }
  if (status.has_accuracy()) {
    parts.push_back(absl::StrFormat("acc %.1f %%", 100 * status.accuracy()));
  }
  // How far apart the peers of a gossip run are.
  const bool running =
      status.state() == v1::RUNNING && status.phase() == "gossip";
  for (std::string text : {running ? status.detail() : std::string(),
                           Direction(status), Mixing(status)}) {
    if (!text.empty()) parts.push_back(std::move(text));
  }
  if (Waits(status)) {
    parts.push_back(status.detail());
  } else if (status.asked() > 0) {
    parts.push_back(absl::StrCat(with_phase ? status.phase() + " " : "",
                                 status.done(), "/", status.asked(),
                                 with_phase ? Slowest(status) : ""));
  }
  parts.push_back(Traffic(status));
  if (status.has_eta_seconds()) {
    parts.push_back(
        absl::StrCat("ETA ", FormatSpan(absl::Seconds(status.eta_seconds()))));
  }
  return absl::StrJoin(parts, "  ");
}

}  // namespace

std::string FormatSize(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  // 999.5 would be written as 1000.
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  const int decimals = unit > 0 && value < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*f %s", decimals, value, kUnits[unit]);
}

std::string FormatSpan(absl::Duration span) {
  const int64_t s = std::max<int64_t>(
      absl::ToInt64Seconds(span + absl::Milliseconds(500)), 0);
  if (s >= 3600) {
    return absl::StrFormat("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
  }
  return absl::StrFormat("%d:%02d", s / 60, s % 60);
}

std::string FormatQuality(std::optional<double> loss,
                          std::optional<double> accuracy) {
  std::vector<std::string> parts;
  if (loss.has_value()) {
    parts.push_back(std::abs(*loss) < 1e6
                        ? absl::StrFormat("loss %.4f", *loss)
                        : absl::StrFormat("loss %.3g", *loss));
  }
  if (accuracy.has_value()) {
    parts.push_back(absl::StrFormat("accuracy %.1f %%", 100 * *accuracy));
  }
  return absl::StrJoin(parts, "  ");
}

std::string FormatDirection(std::optional<double> gap,
                            std::optional<double> log_loss) {
  std::vector<std::string> parts;
  if (gap.has_value()) parts.push_back(absl::StrFormat("gap %.4g", *gap));
  if (log_loss.has_value()) {
    parts.push_back(absl::StrFormat("log-loss %.5g", *log_loss));
  }
  return absl::StrJoin(parts, "  ");
}

std::string FormatLiveLine(const v1::RunStatus& status, int width) {
  // A narrow terminal gets a shorter bar, then none, then no phase.
  std::string line;
  for (int cells = kMostCells; cells >= kLeastCells; --cells) {
    line = Compose(status, cells, true);
    if (Characters(line) <= width) return line;
  }
  line = Compose(status, 0, true);
  if (Characters(line) > width) line = Compose(status, 0, false);
  return Truncate(line, width);
}

std::string FormatRoundLine(const v1::RunStatus& status) {
  const std::string quality = Quality(status), direction = Direction(status),
                    mixing = Mixing(status);
  return absl::StrCat("round ", CommittedRounds(status), "/", status.rounds(),
                      quality.empty() ? "" : "  ", quality,
                      direction.empty() ? "" : "  ", direction,
                      mixing.empty() ? "" : "  ", mixing, "  ", Traffic(status),
                      "  ", FormatSpan(absl::Seconds(status.seconds())));
}

ProgressPrinter::ProgressPrinter(std::FILE* out)
    : ProgressPrinter(out, isatty(fileno(out)) == 1, 0) {}

ProgressPrinter::ProgressPrinter(std::FILE* out, bool terminal, int width)
    : out_(out), terminal_(terminal), fixed_width_(width) {}

ProgressPrinter::~ProgressPrinter() {
  MutexLock lock(mu_);
  if (live_.empty()) return;
  std::fputs("\n", out_);
  std::fflush(out_);
}

void ProgressPrinter::Update(const v1::RunStatus& status) {
  MutexLock lock(mu_);
  if (!HasEnded(status.state())) TellFailures(status);
  if (terminal_) {
    int width = fixed_width_;
    if (winsize size; width == 0) {
      const bool known = ioctl(fileno(out_), TIOCGWINSZ, &size) == 0;
      width = known && size.ws_col > 0 ? size.ws_col : kUsualWidth;
    }
    // The last column stays free: some terminals wrap when it is written.
    const std::string line = FormatLiveLine(status, width - 1);
    if (status.state() == v1::RUNNING) TellWaiting(status);
    if (line == live_) return;
    Clear();
    std::fputs(line.c_str(), out_);
    live_ = line;
  } else if (const int64_t rounds = CommittedRounds(status);
             rounds > told_rounds_) {
    told_rounds_ = rounds;
    told_waiting_ = absl::InfinitePast();
    absl::FPrintF(out_, "%s\n", FormatRoundLine(status));
  } else if (!HasEnded(status.state())) {
    TellWaiting(status);
  }
  std::fflush(out_);
}

void ProgressPrinter::Say(absl::string_view line) {
  MutexLock lock(mu_);
  SayLocked(line);
}

void ProgressPrinter::SayLocked(absl::string_view line) {
  Clear();
  absl::FPrintF(out_, "%s\n", line);
  std::fputs(live_.c_str(), out_);
  std::fflush(out_);
}

void ProgressPrinter::TellFailures(const v1::RunStatus& status) {
  int told = 0, untold = 0;
  for (const v1::ClientStatus& client : status.client()) {
    if (client.reason().empty()) continue;
    std::string line =
        absl::StrCat(client.name(), " ", client.state(), ": ", client.reason());
    if (told_failures_.contains(line)) continue;
    if (told_failures_.size() >= kMostFailures) told_failures_.clear();
    if (told++ < kMostFailureLines) {
      SayLocked(line);
    } else {
      ++untold;
    }
    told_failures_.insert(std::move(line));
  }
  if (untold > 0) SayLocked(absl::StrCat("and ", untold, " more clients"));
}

void ProgressPrinter::TellWaiting(const v1::RunStatus& status) {
  if (status.detail().empty() || absl::Now() < told_waiting_ + kWaitLines) {
    return;
  }
  told_waiting_ = absl::Now();
  SayLocked(status.detail());
}

void ProgressPrinter::Clear() {
  if (!live_.empty()) std::fputs("\r\x1b[K", out_);
}

}  // namespace parley
