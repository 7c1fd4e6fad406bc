// What a rendezvous writes when its disk fails.
#include "server/rendezvous/rendezvous_driver.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/json.h"
#include "common/config/load.h"
#include "common/wire/protocol.h"
#include "server/store/recorded_run.h"
#include "tests/support/status_matchers.h"
#include "tests/support/virtual_clock.h"
#include "tests/unit/driver/fake_client.h"
#include "tests/unit/store/folder.h"

namespace {

std::atomic<int> failing_syncs = 0;  // that come

}  // namespace

// In the place of the C library's: a disk that fails cannot be had otherwise.
extern "C" int fdatasync(int) {
  if (failing_syncs == 0) return 0;
  --failing_syncs;
  errno = EIO;
  return -1;
}

namespace parley {
namespace {

class DeafSink final : public SessionSink {
 public:
  void Send(v1::ServerMessage) override {}
  void Close(const absl::Status&) override {}
};

class RendezvousDriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = TestFolder();
    ASSERT_OK_AND_ASSIGN(
        v1::RunConfig config,
        LoadRunText("model { mlp { hidden: 2 } features: 4 classes: 3 } "
                    "local { sgd {} step_size { initial: 0.1 } } "
                    "gossip { topology { ring {} } } "
                    "data { partition { parts: 2 } } stop { rounds: 5 }",
                    "/x/run"));
    RendezvousDriverOptions options;
    options.config = std::move(config);
    options.folder = folder_;
    options.clock = &clock_;
    options.control = &control_;
    options.work = &work_;
    options.say = [](LogLevel, const std::string&) {};
    options.on_end = [this](const v1::RunStatus& status) { end_ = status; };
    ASSERT_OK_AND_ASSIGN(driver_, RendezvousDriver::Create(std::move(options)));
    driver_->Start();
  }
  ~RendezvousDriverTest() override { failing_syncs = 0; }

  void Join(const std::string& name) {
    const SessionId session =
        driver_->OpenSession({.address = "ip", .certificate_name = ""},
                             std::make_shared<DeafSink>());
    v1::ClientMessage message;
    v1::Register& hello = *message.mutable_register_();
    hello.set_protocol_version(kProtocolVersion);
    hello.set_name(name);
    hello.set_incarnation(1);
    hello.add_kinds(v1::TRAIN);
    hello.add_encodings(v1::ENCODING_FLOAT32);
    hello.add_features("gossip");
    hello.set_peer_address("h:1");
    driver_->Receive(session, std::move(message));
  }
  void RunToTheEnd() {
    for (int i = 0; i < 20; ++i) {
      control_.RunAll();
      work_.RunAll();
    }
    ASSERT_TRUE(end_);
  }
  std::string StateOfFile() {
    auto json = Json::Parse(absl::StripTrailingAsciiWhitespace(
        ReadAll(absl::StrCat(folder_, "/", kStatusFile))));
    EXPECT_OK(json);
    return *json->Find("state")->AsString();
  }

  std::string folder_;
  VirtualClock clock_;
  ManualExecutor control_, work_;
  std::optional<v1::RunStatus> end_;
  std::unique_ptr<RendezvousDriver> driver_;
};

TEST_F(RendezvousDriverTest, ARunEndsAsItsFilesSay) {
  Join("a");
  Join("b");
  driver_->Stop("enough");
  RunToTheEnd();
  EXPECT_EQ(end_->state(), v1::STOPPED);
  EXPECT_EQ(end_->detail(), "enough");
  EXPECT_EQ(StateOfFile(), "stopped");
  ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(folder_));
  EXPECT_EQ(run.ended->state(), "STOPPED");
  EXPECT_EQ(run.membership->member_size(), 2);
}

// The journal's sync is under way at the end, and the disk says only once that
// it has lost something.
TEST_F(RendezvousDriverTest, ASyncThatFailsAtTheEndFailsTheRun) {
  Join("a");
  Join("b");
  control_.RunAll();  // all are there: the membership is to be synced
  driver_->Stop("enough");
  control_.RunAll();
  failing_syncs = 1;
  RunToTheEnd();
  EXPECT_EQ(failing_syncs, 0);
  EXPECT_EQ(end_->state(), v1::FAILED);
  EXPECT_EQ(StateOfFile(), "failed");
  ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(folder_));
  EXPECT_EQ(run.ended->state(), "FAILED");
}

}  // namespace
}  // namespace parley
