// The dialer by itself: peer b of a, b and c, which takes a's link and dials c.
#include "client/gossip/peer_dialer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "client/gossip/gossip_parts.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

namespace out = gossip_effect;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Dialer = PeerDialer<gossip_parts::Neighbour>;

constexpr uint64_t kFromA = 2;  // the link that a dialled

v1::PeerHello HelloOf(int index) {
  v1::PeerHello hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_index(index);
  hello.set_name(std::string(1, static_cast<char>('a' + index)));
  hello.set_incarnation(index + 10);
  return hello;
}

v1::PeerMessage Goodbye(const std::string& reason, bool retry) {
  v1::PeerMessage message;
  message.mutable_goodbye()->set_reason(reason);
  message.mutable_goodbye()->set_retry(retry);
  return message;
}

class PeerDialerTest : public testing::Test {
 protected:
  PeerDialerTest() {
    neighbours_[0];
    neighbours_[2];
    Make(/*epochs=*/false);
  }

  void Make(bool epochs) {
    dialer_.emplace(
        Dialer::Options{.hello = &hello_,
                        .names = &names_,
                        .neighbours = &neighbours_,
                        .effects = &effects_,
                        .hello_to =
                            [this](const gossip_parts::Neighbour&) {
                              v1::PeerMessage message;
                              *message.mutable_hello() = hello_;
                              return message;
                            },
                        .lose =
                            [this](int peer, absl::string_view why) {
                              if (dialer_->HangUp(peer)) Lose(peer, why);
                            },
                        .links_after = 101,
                        .epochs = epochs},
        Rng(1, "jitter"));
  }
  // As a machine does when a link is gone.
  uint64_t Lose(int peer, absl::string_view why) {
    lost_.push_back(peer);
    return dialer_->Lost(peer, why, now_);
  }
  // The link to c, just dialled; 0: it was not.
  uint64_t Dial() {
    effects_.clear();
    dialer_->DialDue(now_);
    const auto dials = All<out::Dial>();
    if (dials.empty()) return 0;
    EXPECT_EQ(dials.size(), 1);
    EXPECT_EQ(dials[0].peer, 2);
    return dials[0].link;
  }
  bool Hear(uint64_t link, const v1::PeerHello& hello) {
    effects_.clear();
    if (!dialer_->Fits(link, hello)) return false;
    dialer_->Take(link, hello, now_);
    return true;
  }
  // Of a stranger with this hello.
  std::optional<v1::PeerGoodbye> Refusal(const v1::PeerHello& hello,
                                         std::string certificate = "") {
    dialer_->Accept(kFromA, std::move(certificate), now_);
    if (Hear(kFromA, hello)) return std::nullopt;
    EXPECT_EQ(All<out::HangUp>().size(), 1);
    return GoodbyeTo(kFromA);
  }
  std::optional<v1::PeerGoodbye> GoodbyeTo(uint64_t link) const {
    for (const out::Send& send : All<out::Send>()) {
      if (send.link == link && send.message.has_goodbye()) {
        return send.message.goodbye();
      }
    }
    return std::nullopt;
  }
  template <typename E>
  std::vector<E> All() const {
    std::vector<E> found;
    for (const GossipEffect& effect : effects_) {
      if (const E* e = std::get_if<E>(&effect)) found.push_back(*e);
    }
    return found;
  }
  std::string Said() const {
    std::string said;
    for (const out::Say& say : All<out::Say>()) said += say.text + "\n";
    return said;
  }
  absl::Duration Delay(int peer) const {
    return neighbours_.at(peer).dial_at - now_;
  }

  v1::PeerHello hello_ = HelloOf(1);
  std::vector<std::string> names_ = {"a", "b", "c"};
  std::map<int, gossip_parts::Neighbour> neighbours_;
  std::vector<GossipEffect> effects_;  // of the last call
  std::vector<int> lost_;
  absl::Time now_ = absl::UnixEpoch();
  std::optional<Dialer> dialer_;
};

TEST_F(PeerDialerTest, DialsTheHigherIndexAndTakesItsHello) {
  EXPECT_EQ(dialer_->WakeAt(), absl::InfinitePast());
  const uint64_t link = Dial();
  EXPECT_EQ(link, 103);
  ASSERT_EQ(All<out::Send>().size(), 1);
  EXPECT_EQ(All<out::Send>()[0].message.hello().name(), "b");
  EXPECT_EQ(dialer_->PeerOf(link), -1);
  EXPECT_EQ(Dial(), 0);  // under way
  EXPECT_TRUE(Hear(link, HelloOf(2)));
  EXPECT_EQ(dialer_->PeerOf(link), 2);
  EXPECT_TRUE(neighbours_[2].up);
  EXPECT_EQ(dialer_->WakeAt(), absl::InfiniteFuture());
  EXPECT_FALSE(Hear(link, HelloOf(2)));  // a second one
  EXPECT_THAT(effects_, IsEmpty());
}

TEST_F(PeerDialerTest, AnswersWhoeverDialsAndHangsUpAnOlderLink) {
  dialer_->Accept(kFromA, "a", now_);
  EXPECT_TRUE(Hear(kFromA, HelloOf(0)));
  ASSERT_EQ(All<out::Send>().size(), 1);
  EXPECT_TRUE(All<out::Send>()[0].message.has_hello());
  dialer_->Accept(4, "a", now_);
  EXPECT_TRUE(Hear(4, HelloOf(0)));
  ASSERT_EQ(All<out::HangUp>().size(), 1);
  EXPECT_EQ(All<out::HangUp>()[0].link, kFromA);
  EXPECT_THAT(Said(), HasSubstr("lost a: it dialled again"));
  EXPECT_THAT(lost_, ElementsAre(0));
  EXPECT_EQ(dialer_->PeerOf(4), 0);
  EXPECT_EQ(dialer_->PeerOf(kFromA), -1);
}

TEST_F(PeerDialerTest, RefusesStrangersThatDoNotFit) {
  EXPECT_THAT(Refusal(HelloOf(2))->reason(), HasSubstr("lower index dials"));
  EXPECT_THAT(Refusal(HelloOf(0), "mallory")->reason(),
              HasSubstr("certificate is for mallory"));
  EXPECT_THAT(Said(), HasSubstr("refuses a peer: its certificate"));
  v1::PeerHello hello = HelloOf(0);
  hello.set_name("x");
  EXPECT_THAT(Refusal(hello)->reason(), HasSubstr("peer 0 is not x here"));
  EXPECT_FALSE(Refusal(hello)->retry());
  // No stranger speaks for a, but one that may be a: it does not fit.
  EXPECT_EQ(neighbours_[0].refusal, "");
  hello = HelloOf(0);
  hello.set_spec_hash(1);
  EXPECT_TRUE(Refusal(hello, "mallory"));
  EXPECT_EQ(neighbours_[0].refusal, "");
  EXPECT_TRUE(Refusal(hello, "a"));
  EXPECT_THAT(neighbours_[0].refusal, HasSubstr("another model"));
  EXPECT_THAT(lost_, IsEmpty());
  EXPECT_EQ(Refusal(HelloOf(0), "a"), std::nullopt);
  EXPECT_EQ(neighbours_[0].refusal, "");
}

TEST_F(PeerDialerTest, AnotherEpochMayComeAgainWhereThereAreEpochs) {
  v1::PeerHello hello = HelloOf(0);
  hello.set_epoch(1);
  EXPECT_FALSE(Refusal(hello)->retry());
  Make(/*epochs=*/true);
  neighbours_[0].refusal = "";
  EXPECT_TRUE(Refusal(hello)->retry());
  EXPECT_EQ(neighbours_[0].refusal, "");
}

TEST_F(PeerDialerTest, AStrangerMustSayHelloFirstAndInTime) {
  dialer_->Accept(kFromA, "", now_);
  dialer_->OnEarly(kFromA, Goodbye("no", true));
  EXPECT_THAT(GoodbyeTo(kFromA)->reason(), HasSubstr("must be a hello"));
  dialer_->Accept(4, "", now_);
  neighbours_[2].left = true;  // is not dialled
  EXPECT_EQ(dialer_->WakeAt(), now_ + Dialer::kDialTimeout);
  now_ += Dialer::kDialTimeout;
  dialer_->CheckDeadlines(now_);
  EXPECT_THAT(GoodbyeTo(4)->reason(), HasSubstr("said no hello"));
  EXPECT_TRUE(GoodbyeTo(4)->retry());
  EXPECT_EQ(dialer_->WakeAt(), absl::InfiniteFuture());
  EXPECT_FALSE(Hear(4, HelloOf(0)));  // it is gone
}

TEST_F(PeerDialerTest, AtTheBeginTheRightOneMayStillComeInItsPlace) {
  EXPECT_FALSE(Hear(Dial(), HelloOf(0)));
  EXPECT_THAT(GoodbyeTo(103)->reason(), HasSubstr("another peer answers"));
  EXPECT_THAT(neighbours_[2].refusal, HasSubstr("another peer answers"));
  EXPECT_THAT(lost_, ElementsAre(2));
  now_ += Dialer::kMaxDelay;
  const uint64_t second = Dial();
  EXPECT_EQ(second, 105);
  dialer_->OnEarly(second, Goodbye("wrong run", false));
  EXPECT_THAT(Said(), HasSubstr("c refuses: wrong run"));
  EXPECT_EQ(neighbours_[2].refusal, "wrong run");
  now_ += Dialer::kMaxDelay;
  EXPECT_NE(Dial(), 0);
}

TEST_F(PeerDialerTest, LaterWhoDoesNotFitIsNotDialledAgain) {
  dialer_->BeginRun();
  dialer_->OnEarly(Dial(), Goodbye("come again", true));
  EXPECT_EQ(neighbours_[2].refusal, "");
  now_ += Dialer::kMaxDelay;
  dialer_->OnEarly(Dial(), Goodbye("wrong run", false));
  EXPECT_TRUE(neighbours_[2].refused);
  EXPECT_EQ(dialer_->WakeAt(), absl::InfiniteFuture());
  now_ += Dialer::kMaxDelay;
  EXPECT_EQ(Dial(), 0);
}

TEST_F(PeerDialerTest, DialsMoreAndMoreSlowly) {
  for (int i = 0; i < 12; ++i) {
    const uint64_t link = Dial();
    ASSERT_NE(link, 0);
    EXPECT_EQ(dialer_->WakeAt(), now_ + Dialer::kDialTimeout);
    if (i == 0) {
      now_ += Dialer::kDialTimeout;
      dialer_->CheckDeadlines(now_);
      EXPECT_THAT(lost_, ElementsAre(2));
      EXPECT_EQ(All<out::HangUp>()[0].link, link);
    } else {
      ASSERT_EQ(dialer_->Closed(link), 2);
      EXPECT_EQ(Lose(2, "gone"), link);
    }
    EXPECT_EQ(Said(), "");  // it was not up
    const absl::Duration longest =
        std::min(Dialer::kFirstDelay * (1 << i), Dialer::kMaxDelay);
    EXPECT_GE(Delay(2), longest / 2);
    EXPECT_LE(Delay(2), longest);
    EXPECT_EQ(Dial(), 0);
    now_ = dialer_->WakeAt();
  }
  // One that answers is tried sooner, even if it refuses.
  dialer_->OnEarly(Dial(), Goodbye("come again", true));
  EXPECT_LE(Delay(2), Dialer::kFirstDelay * 8);
  now_ = dialer_->WakeAt();
  EXPECT_TRUE(Hear(Dial(), HelloOf(2)));
  Lose(2, "gone");
  EXPECT_THAT(Said(), HasSubstr("lost c: gone"));
  EXPECT_LE(Delay(2), Dialer::kFirstDelay);
}

TEST_F(PeerDialerTest, DropsWithoutAWord) {
  dialer_->Accept(kFromA, "", now_);
  dialer_->Drop(kFromA);
  const uint64_t link = Dial();
  dialer_->Drop(link);
  ASSERT_EQ(All<out::HangUp>().size(), 1);
  EXPECT_EQ(All<out::HangUp>()[0].link, link);
  EXPECT_EQ(GoodbyeTo(link), std::nullopt);
  EXPECT_EQ(Said(), "");
  EXPECT_THAT(lost_, ElementsAre(2));
  EXPECT_FALSE(dialer_->HangUp(2));
  EXPECT_EQ(dialer_->Closed(kFromA), -1);
}

TEST_F(PeerDialerTest, TellsWhoseLinkClosed) {
  const uint64_t link = Dial();
  EXPECT_EQ(dialer_->Closed(link), 2);
  EXPECT_TRUE(Hear(link, HelloOf(2)));
  EXPECT_EQ(dialer_->Closed(link), 2);
  dialer_->Accept(kFromA, "", now_);
  EXPECT_EQ(dialer_->Closed(kFromA), -1);
  EXPECT_FALSE(Hear(kFromA, HelloOf(0)));
  EXPECT_THAT(effects_, IsEmpty());
}

TEST_F(PeerDialerTest, SaysWhomItWaitsForAndWhetherAllRefuse) {
  EXPECT_EQ(dialer_->Waiting(), "waits for 2 of 2 neighbours: a, c");
  EXPECT_EQ(dialer_->RefusedByAll(), absl::OkStatus());
  v1::PeerHello hello = HelloOf(0);
  hello.set_spec_hash(1);
  EXPECT_TRUE(Refusal(hello));
  EXPECT_EQ(dialer_->RefusedByAll(), absl::OkStatus());
  dialer_->OnEarly(Dial(), Goodbye("wrong run", false));
  EXPECT_THAT(
      dialer_->RefusedByAll(),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               "none of its 2 neighbours takes this peer: a: it has another "
               "model; c: wrong run"));
  now_ += Dialer::kMaxDelay;
  EXPECT_TRUE(Hear(Dial(), HelloOf(2)));
  EXPECT_EQ(dialer_->RefusedByAll(), absl::OkStatus());
  EXPECT_EQ(dialer_->Waiting(), "waits for 1 of 2 neighbours: a");
  neighbours_.clear();
  EXPECT_EQ(dialer_->RefusedByAll(), absl::OkStatus());
}

}  // namespace
}  // namespace parley
