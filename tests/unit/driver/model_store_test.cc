#include "server/round/model_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/wire/checksum.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

ParameterSpec Spec() {
  return *ParameterSpec::Create(DType::kFloat64,
                                {{"w", {2}}, {"n", {}, MergeRule::kCopy}});
}

class ModelStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<ModelStore> Make(bool median = false) {
    v1::Aggregation config;
    if (median) {
      config.mutable_median();
    } else {
      config.mutable_fed_avg();
    }
    config.mutable_plain()->set_step_size(1);
    ParameterVector start(DType::kFloat64, 3);
    start.As<double>()[0] = 100;
    return *ModelStore::Create(config, {}, Spec(), std::move(start), nullptr);
  }
  std::shared_ptr<StagedUpdate> Stage(double weight,
                                      std::vector<double> numbers) {
    v1::UpdateReady header;
    header.set_weight(weight);
    *header.add_payloads() =
        PayloadFor(kModelPayload, Spec(), v1::ENCODING_FLOAT64);
    EXPECT_OK(staging_.Open(++id_, header));
    const auto update = staging_.Find(id_);
    const absl::string_view bytes(reinterpret_cast<char*>(numbers.data()),
                                  8 * numbers.size());
    EXPECT_OK(
        update->Write(*update->Begin(0), {0, 0, Checksum(bytes)}, {bytes}));
    return update;
  }
  static std::vector<double> Numbers(const ModelStore& store) {
    const auto model = store.model();
    return {model->As<double>().begin(), model->As<double>().end()};
  }

  RegionPool pool_{{.memory_bytes = 1 << 20, .folder = ""}};
  StagingArea staging_{&pool_};
  uint64_t id_ = 0;
};

TEST_F(ModelStoreTest, MeansAreAddedAndCopiesReplace) {
  const auto store = Make();
  store->Accumulate(*Stage(1, {4, 8, 7}));
  store->Accumulate(*Stage(3, {8, 0, 9}));
  ASSERT_OK_AND_ASSIGN(const uint64_t hash, store->Aggregate(1));
  EXPECT_THAT(Numbers(*store), ::testing::ElementsAre(107, 2, 7));
  EXPECT_EQ(hash, store->model()->Hash());
}

TEST_F(ModelStoreTest, DiscardForgetsTheRound) {
  for (bool median : {false, true}) {
    const auto store = Make(median);
    EXPECT_EQ(store->settles(), !median);
    const auto bad = Stage(1, {1e6, 1e6, 1e6}), good = Stage(1, {1, 2, 3});
    store->Accumulate(*bad);
    store->Discard();
    store->Accumulate(*good);
    ASSERT_OK(store->Aggregate(1));
    EXPECT_THAT(Numbers(*store), ::testing::ElementsAre(101, 2, 3));
  }
}

TEST_F(ModelStoreTest, ReadersOfTheOldBufferAreLeftAlone) {
  const auto store = Make();
  const std::shared_ptr<const ParameterVector> read = store->model();
  store->LeaveToReaders();
  store->Accumulate(*Stage(1, {1, 2, 3}));
  ASSERT_OK(store->Aggregate(1));
  EXPECT_EQ(read->As<double>()[0], 100);
  EXPECT_EQ(store->model()->As<double>()[0], 101);
}

TEST_F(ModelStoreTest, AnOverflowIsNoticed) {
  const auto store = Make();
  const double big = std::numeric_limits<double>::max();
  store->Accumulate(*Stage(1, {0, big, 0}));
  ASSERT_OK(store->Aggregate(1));
  EXPECT_TRUE(store->whole());
  store->Accumulate(*Stage(1, {0, big, 0}));
  EXPECT_THAT(store->Aggregate(1),
              StatusIs(absl::StatusCode::kFailedPrecondition, "diverged"));
  EXPECT_FALSE(store->whole());
}

}  // namespace
}  // namespace parley
