// Short payloads within messages: who may, and what becomes of an answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/wire/protocol.h"
#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

// Clients that read what comes within a message.
class Inline : public ::testing::Test {
 protected:
  explicit Inline(int64_t most = kInlineBytes, int clients = 3)
      : world(Config(most, clients)) {}
  static v1::RunConfig Config(int64_t most, int clients) {
    v1::RunConfig config = SmallRun(clients, 1);
    config.mutable_wire()->set_inline_bytes(most);
    config.mutable_limits()->set_lease_seconds(1000);
    return config;
  }
  void Join(const std::string& name) {
    v1::Register hello = world.Hello(name);
    hello.add_features(kInlineFeature);
    world.Join(name, hello);
  }
  void JoinAll() {
    for (const char* name : {"a", "b", "c"}) Join(name);
  }
  v1::UpdateReady WithChunks(const std::string& name) {
    v1::UpdateReady update = world.Update(name);
    update.add_chunks()->set_data("numbers");
    return update;
  }

  RoundWorld world;
};

TEST_F(Inline, AnAnswerWithItsChunksNeedsNoGrant) {
  JoinAll();
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_TRUE(world.client(name).task->update_inline());
    world.Ready(name, WithChunks(name));
    EXPECT_TRUE(world.client(name).verdict->accepted());
    EXPECT_EQ(world.client(name).grants, 0);
  }
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.reports[0].bytes_up, 3 * world.total());
  EXPECT_EQ(world.reports[0].bytes_down, 3 * world.total());
}

TEST_F(Inline, AnAnswerWithoutItsChunksIsGrantedAnUpload) {
  JoinAll();
  for (const char* name : {"a", "b", "c"}) world.Answer(name);
  ASSERT_TRUE(world.end);
}

TEST_F(Inline, ChunksThatWereNotAskedForAreRefused) {
  world.Join("a");  // does not say that it reads them
  Join("b");
  Join("c");
  EXPECT_FALSE(world.client("a").task->update_inline());
  world.Ready("a", WithChunks("a"));
  EXPECT_FALSE(world.client("a").verdict->accepted());
  EXPECT_THAT(world.client("a").verdict->reason(),
              HasSubstr("the task did not allow"));
}

TEST_F(Inline, BadNumbersAreRefusedAndAWrongChecksumIsAskedForAgain) {
  JoinAll();
  world.chunks_status = absl::InvalidArgumentError("a NaN");
  world.Ready("a", WithChunks("a"));
  EXPECT_FALSE(world.client("a").verdict->accepted());
  EXPECT_THAT(world.client("a").verdict->reason(), HasSubstr("a NaN"));
  world.chunks_status = absl::DataLossError("its checksum differs");
  world.Ready("b", WithChunks("b"));
  EXPECT_FALSE(world.client("b").verdict.has_value());
  world.Advance(absl::Seconds(1));
  EXPECT_EQ(world.client("b").grants, 1);
  world.Upload("b");
  EXPECT_TRUE(world.client("b").verdict->accepted());
}

TEST_F(Inline, WhatFindsNoRoomIsGrantedAnUpload) {
  JoinAll();
  world.chunks_status = absl::ResourceExhaustedError("full");
  world.Ready("a", WithChunks("a"));
  EXPECT_EQ(world.client("a").grants, 1);
  world.Upload("a");
  EXPECT_TRUE(world.client("a").verdict->accepted());
}

TEST_F(Inline, ATaskThatIsSentAgainLeavesItToADownload) {
  JoinAll();
  world.Break("a");
  Join("a");
  EXPECT_EQ(world.client("a").tasks, 2);
  EXPECT_FALSE(world.client("a").task->update_inline());
  const TransferId download = world.OpenDownload("a");
  EXPECT_TRUE(world.runs(download));
  world.End(download, absl::OkStatus());
  // The first one allowed it, and may have come.
  world.Ready("a", WithChunks("a"));
  EXPECT_TRUE(world.client("a").verdict->accepted());
}

class TooLong : public Inline {
 protected:
  TooLong() : Inline(/*most=*/47) {}  // the model has 48 bytes
};

TEST_F(TooLong, NothingTravelsWithinMessages) {
  JoinAll();
  ASSERT_EQ(world.total(), 48u);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_FALSE(world.client(name).task->update_inline());
    world.Answer(name);
  }
  ASSERT_TRUE(world.end);
}

}  // namespace
}  // namespace parley
