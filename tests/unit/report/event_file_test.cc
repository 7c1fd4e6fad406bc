#include "common/report/event_file.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include "common/report/metrics_log.h"
#include "parley/v1/event_file.pb.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)),
                     std::istreambuf_iterator<char>());
}

// The events of a file; checksums are for tests/integration/event_file_test.py.
std::vector<v1::Event> Events(const std::string& path) {
  const std::string bytes = Contents(path);
  std::vector<v1::Event> events;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length;
    std::memcpy(&length, &bytes[at], sizeof(length));
    EXPECT_TRUE(
        events.emplace_back().ParseFromString(bytes.substr(at + 12, length)));
    at += 12 + length + 4;
  }
  return events;
}

TEST(EventFileTest, TheChecksumIsCrc32c) {
  // The check value of the catalogues, and of RFC 3720, B.4.
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aa);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43);
  EXPECT_EQ(Crc32c(""), 0);
}

TEST(EventFileTest, RoundsAreStepsAndNumbersAreScalars) {
  const std::string metrics = testing::TempDir() + "/event_file_test.jsonl";
  std::remove(metrics.c_str());
  {
    ASSERT_OK_AND_ASSIGN(auto log, MetricsLog::Open(metrics));
    RoundReport round;
    round.round = 4;
    round.elapsed_seconds = 1.5;
    round.central = {0.5, std::nullopt};
    round.train_loss = INFINITY;  // left out
    round.metrics = {{"norm", 2}};
    round.direction = {{"gap", 0.5}};
    round.seconds = {{"train", 1}};
    round.evaluations = {{"a", 1, 3.0, 0.25}, {"b", 1, 1.0, 0.75}};
    round.asked = {"a", "b"};
    round.counted = {"a"};
    round.bytes_up = 7;
    ASSERT_OK(log->Append(round));
  }
  const absl::Time started = absl::FromUnixSeconds(1'700'000'000);
  ASSERT_OK_AND_ASSIGN(const std::string path,
                       WriteEventFile(metrics, started, testing::TempDir()));
  EXPECT_THAT(path,
              testing::EndsWith("/events.out.tfevents.1700000000.parley"));
  const auto events = Events(path);
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].wall_time(), 1'700'000'001.5);
  EXPECT_EQ(events[1].step(), 4);
  std::map<std::string, float> scalars;
  for (const auto& value : events[1].summary().value()) {
    EXPECT_TRUE(scalars.emplace(value.tag(), value.simple_value()).second);
  }
  const std::map<std::string, float> expected = {
      {"loss/central", 0.5},
      {"metrics/norm", 2},
      {"direction/gap", 0.5},
      {"seconds/train", 1},
      {"loss_by_client/least", 1},
      {"loss_by_client/median", 3},
      {"loss_by_client/most", 3},
      {"accuracy_by_client/least", 0.25},
      {"accuracy_by_client/median", 0.75},
      {"accuracy_by_client/most", 0.75},
      {"bytes/up", 7},
      {"bytes/down", 0},
      {"clients/connected", 0},
      {"clients/asked", 2},
      {"clients/counted", 1}};
  EXPECT_EQ(scalars, expected);
}

TEST(EventFileTest, ARunWithoutRoundsHasTheVersionAlone) {
  ASSERT_OK_AND_ASSIGN(
      const std::string path,
      WriteEventFile("/no/such/file", absl::UnixEpoch(), testing::TempDir()));
  EXPECT_EQ(Events(path).size(), 1);
}

TEST(EventFileTest, SaysWhatCannotBeReadOrWritten) {
  const std::string wrong = testing::TempDir() + "/event_file_wrong.jsonl";
  std::ofstream(wrong) << "nonsense\n";
  EXPECT_THAT(WriteEventFile(wrong, absl::UnixEpoch(), testing::TempDir()),
              StatusIs(absl::StatusCode::kInvalidArgument, "line 1"));
  EXPECT_THAT(WriteEventFile(wrong, absl::UnixEpoch(), "/no/such/folder"),
              StatusIs(absl::StatusCode::kNotFound, "/no/such/folder"));
}

}  // namespace
}  // namespace parley
