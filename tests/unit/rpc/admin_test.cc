#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/rpc/admin_client.h"
#include "server/rpc/server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/rpc/fake_coordinator.h"

namespace parley {
namespace {

using absl::StatusCode;

class AdminTest : public testing::Test {
 protected:
  AdminTest() {
    SetRound(1);
    server_ = *RpcServer::Start({}, &coordinator_, &coordinator_);
    admin_ =
        *AdminClient::Create(absl::StrCat("127.0.0.1:", server_->port()), {});
  }
  void SetRound(int64_t round) {
    v1::RunStatus status;
    status.set_state(v1::RUNNING);
    status.set_round(round);
    coordinator_.SetStatus(status);
  }

  FakeCoordinator coordinator_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<AdminClient> admin_;
};

TEST_F(AdminTest, TellsTheStatus) {
  ASSERT_OK_AND_ASSIGN(const v1::RunStatus status, admin_->GetStatus());
  EXPECT_EQ(status.round(), 1);
  SetRound(2);
  EXPECT_EQ(admin_->GetStatus()->round(), 2);
  while (coordinator_.watchers() > 0) std::this_thread::yield();
}

TEST_F(AdminTest, WatchesUntilTheRunEnds) {
  std::vector<int64_t> rounds;
  v1::RunStatus last;
  EXPECT_OK(admin_->Watch("", [&](const v1::RunStatus& status) {
    last = status;
    if (status.state() == v1::RUNNING) rounds.push_back(status.round());
    if (rounds.size() < 5) {
      SetRound(rounds.size() + 1);
    } else if (status.state() == v1::RUNNING) {
      EXPECT_OK(admin_->Stop("run", "by hand"));
    }
    return true;
  }));
  EXPECT_EQ(rounds, (std::vector<int64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(last.state(), v1::STOPPED);
  EXPECT_EQ(last.detail(), "by hand");
  while (coordinator_.watchers() > 0) std::this_thread::yield();
}

TEST_F(AdminTest, WatchEndsWhenTheWatcherHasEnough) {
  EXPECT_OK(admin_->Watch("run", [](const v1::RunStatus&) { return false; }));
  while (coordinator_.watchers() > 0) std::this_thread::yield();
}

TEST_F(AdminTest, RefusesARunThatIsNotThere) {
  EXPECT_THAT(admin_->GetStatus("other"), StatusIs(StatusCode::kNotFound, ""));
  EXPECT_THAT(admin_->Stop("other", ""), StatusIs(StatusCode::kNotFound, ""));
  EXPECT_THAT(admin_->Watch("other", [](const v1::RunStatus&) { return true; }),
              StatusIs(StatusCode::kNotFound, ""));
}

TEST_F(AdminTest, SubmitsAndLists) {
  v1::SubmitRequest request;
  EXPECT_THAT(admin_->Submit(request),
              StatusIs(StatusCode::kInvalidArgument, "one\ntwo"));
  request.set_text("text");
  request.set_path("/a");
  ASSERT_OK_AND_ASSIGN(const v1::SubmitReply reply, admin_->Submit(request));
  EXPECT_EQ(reply.run(), "/a");
  ASSERT_OK_AND_ASSIGN(const auto runs, admin_->ListRuns());
  ASSERT_EQ(runs.size(), 1);
  EXPECT_EQ(runs[0].round(), 1);
}

TEST_F(AdminTest, NobodyListens) {
  server_.reset();
  EXPECT_THAT(admin_->GetStatus(), StatusIs(StatusCode::kUnavailable, ""));
  EXPECT_THAT(admin_->Stop("", ""), StatusIs(StatusCode::kUnavailable, ""));
}

}  // namespace
}  // namespace parley
