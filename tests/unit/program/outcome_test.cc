#include "client/program/outcome.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "common/base/stop_signals.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using End = Outcome::End;

// Work that ends when it is asked to, or when the test says so.
class OutcomeTest : public testing::Test {
 protected:
  End Wait() {
    return outcome_.Wait(
        [this](const std::string& reason) {
          asked_.push_back("leave: " + reason);
          on_leave_();
          return takes_a_while_;
        },
        [this](const std::string& reason) {
          asked_.push_back("stop: " + reason);
          if (stops_) outcome_.Set(absl::AbortedError("stopped"));
        });
  }

  StopSignals signals_;  // first: what a test raises must not end it
  Outcome outcome_{&signals_};
  bool takes_a_while_ = true;
  bool stops_ = true;
  std::function<void()> on_leave_ = [] {};
  std::vector<std::string> asked_;
  const std::string term_ = strsignal(SIGTERM);
};

TEST_F(OutcomeTest, WorkThatEndsByItselfIsNotAsked) {
  outcome_.Set(absl::DataLossError("torn"));
  EXPECT_EQ(Wait(), End::kByItself);
  EXPECT_THAT(outcome_.status(), StatusIs(absl::StatusCode::kDataLoss, "torn"));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(OutcomeTest, TheFirstSignalAsksItToLeaveAndWaits) {
  kill(getpid(), SIGTERM);
  on_leave_ = [this] { outcome_.Set(absl::OkStatus()); };
  EXPECT_EQ(Wait(), End::kLeft);
  EXPECT_OK(outcome_.status());
  EXPECT_EQ(asked_, std::vector<std::string>{"leave: " + term_});
}

TEST_F(OutcomeTest, TheSecondSignalStopsIt) {
  kill(getpid(), SIGTERM);
  on_leave_ = [] { kill(getpid(), SIGINT); };
  EXPECT_EQ(Wait(), End::kStopped);
  EXPECT_THAT(outcome_.status(),
              StatusIs(absl::StatusCode::kAborted, "stopped"));
  EXPECT_EQ(asked_,
            (std::vector<std::string>{"leave: " + term_, "stop: " + term_}));
}

TEST_F(OutcomeTest, WhatHandsNothingOverIsNotStoppedBeside) {
  takes_a_while_ = false;
  kill(getpid(), SIGTERM);
  on_leave_ = [this] { outcome_.Set(absl::OkStatus()); };
  EXPECT_EQ(Wait(), End::kLeft);
  EXPECT_EQ(asked_, std::vector<std::string>{"leave: " + term_});
}

// The last signal ends the moment that the work is given.
TEST_F(OutcomeTest, WorkThatDoesNotEndIsNotWaitedFor) {
  takes_a_while_ = false;
  on_leave_ = [] { kill(getpid(), SIGTERM); };
  EXPECT_EXIT(
      {
        kill(getpid(), SIGTERM);
        Wait();
      },
      testing::ExitedWithCode(0), "ends without waiting for the work");
  takes_a_while_ = true;
  stops_ = false;
  on_leave_ = [] { kill(getpid(), SIGINT); };
  EXPECT_EXIT(
      {
        kill(getpid(), SIGTERM);
        Wait();
      },
      testing::ExitedWithCode(0), "ends without waiting for the work");
}

}  // namespace
}  // namespace parley
