// What a report shows of a run's rounds.
#ifndef PARLEY_COMMON_REPORT_RUN_HISTORY_H_
#define PARLEY_COMMON_REPORT_RUN_HISTORY_H_

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/report/round_report.h"

namespace parley {

// Takes rounds one by one and keeps what fits, however long the run is: where
// there are too many rounds, every second, then every fourth, ... and always
// the latest; clients, reasons and numbers by name up to a limit. Counts and
// bytes go over all rounds. Thread-compatible.
class RunHistory {
 public:
  // Of tests alone; the defaults keep a page below about 15 MB.
  struct Limits {
    size_t rounds = 4000;
    size_t cells = 500'000;  // client × round
    size_t clients = 500;    // by name
    size_t reasons = 100;
    size_t names = 32;       // of phases and of numbers that clients send, each
    size_t edges = 20'000;   // between peers of a gossip run
    size_t measured = 1000;  // rounds with numbers of RoundReport::direction
  };

  RunHistory() = default;
  explicit RunHistory(Limits limits) : limits_(limits) {}

  void Add(const RoundReport& report);

  // What a reader of ToJsonMembers has been told.
  struct Seen {
    int64_t rounds = 0;  // all that were added
    int64_t stride = 1;
    bool operator==(const Seen&) const = default;
  };
  Seen seen() const { return {added_, stride_}; }

  // Members of a JSON object, without its braces. page/data.js says what they
  // mean. For whoever has seen `since`: only what is new, where that can be.
  std::string ToJsonMembers(Seen since) const;
  std::string ToJsonMembers() const { return ToJsonMembers({}); }

 private:
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  // What a client did in a round.
  struct Cell {
    uint32_t client = 0;  // of clients_
    uint32_t state = 0;   // kCounted, ..., or kRefused + index of the reason
    double quality = kNone;
  };
  struct Round {
    int64_t ordinal = 0;  // from 0, of all rounds that were added
    int64_t number = 0;
    std::array<double, 16> values{};
    std::vector<double> seconds;  // as phases_
    std::vector<double> metrics;  // as metrics_
    std::vector<Cell> cells;
  };
  // A round at which the direction was measured: few, and kept beside the
  // others, of which only every so many-th is.
  struct Measured {
    int64_t number = 0;
    double elapsed = 0, bytes_up = 0, bytes_down = 0;  // as of kColumns
    std::map<std::string, double> direction;
  };
  struct Client {
    std::string name;
    int64_t asked = 0;
    int64_t counted = 0;
  };
  struct Reason {
    std::string text;
    int64_t times = 0;
    int64_t first = 0;  // rounds
    int64_t last = 0;
    std::vector<std::string> clients;  // the first few
    bool more_clients = false;
  };
  // Names up to a limit, in order of appearance.
  struct Names {
    std::vector<std::string> list;
    bool left_out = false;

    // Its index; list.size() where there is no room.
    size_t Find(const std::string& name, size_t limit);
  };

  // -1: no room.
  int FindClient(const std::string& name);
  uint32_t CountRefusal(const Refusal& refusal, int64_t round);
  void AddCells(const RoundReport& report, Round* round);
  void Thin();
  // Of the rounds from index `from` on.
  template <typename Append>
  void AppendRounds(size_t from, Append append, std::string* out) const;
  template <typename Get>
  void AppendColumn(const char* name, size_t from, Get get,
                    std::string* out) const;
  void AppendCells(size_t from, std::string* out) const;
  void AppendMeasured(std::string* out) const;

  void AppendTraffic(std::string* out) const;

  Limits limits_;
  std::vector<Round> rounds_;
  std::vector<Measured> measured_;
  size_t cells_ = 0;  // in rounds_
  int64_t stride_ = 1;
  int64_t added_ = 0;
  Names phases_;
  Names metrics_;
  std::vector<Client> clients_;
  absl::flat_hash_map<std::string, int> client_index_;
  bool more_clients_ = false;
  std::vector<Reason> reasons_;  // the last one may stand for all others
  absl::flat_hash_map<std::string, size_t> reason_index_;
  bool accuracy_known_ = false;  // of clients: else their quality is a loss

  // Totals so far. A coordinator that took its run up again counts the seconds
  // anew.
  uint64_t bytes_up_ = 0;
  uint64_t bytes_down_ = 0;
  double seconds_before_ = 0;
  double last_elapsed_ = 0;
  std::map<std::pair<int, int>, uint64_t> traffic_;  // bytes, from and to
};

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_RUN_HISTORY_H_
