#include "server/host/lobby.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/host/recording_sink.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LobbyTest : public ::testing::Test {
 protected:
  std::shared_ptr<RecordingSink> Open(SessionId id, Lobby& lobby) {
    return Open(id, lobby, {});
  }
  std::shared_ptr<RecordingSink> Open(SessionId id, Lobby& lobby,
                                      PeerIdentity peer) {
    auto sink = std::make_shared<RecordingSink>();
    Answers out;
    lobby.Open(id, std::move(peer), sink, now_, &out);
    std::move(out).Deliver();
    return sink;
  }
  const Guest* Hear(SessionId id, Lobby& lobby, v1::ClientMessage message) {
    Answers out;
    const Guest* guest = lobby.Hear(id, std::move(message), now_, &out);
    std::move(out).Deliver();
    return guest;
  }
  void Tick(Lobby& lobby) {
    Answers out;
    lobby.Tick(now_, &out);
    std::move(out).Deliver();
  }

  absl::Time now_ = absl::UnixEpoch();
  Lobby lobby_{3};
};

TEST_F(LobbyTest, AGuestIsWhoRegisters) {
  const auto sink = Open(1, lobby_);
  EXPECT_EQ(lobby_.Find(1), nullptr);
  EXPECT_THAT(lobby_.guests(), IsEmpty());
  const Guest* guest = Hear(1, lobby_, Hello("a", "run-1"));
  ASSERT_NE(guest, nullptr);
  EXPECT_EQ(guest->hello.run(), "run-1");
  EXPECT_THAT(lobby_.guests(), ElementsAre(1));
  v1::ClientMessage beat;
  beat.mutable_heartbeat();
  EXPECT_EQ(Hear(1, lobby_, beat), nullptr);  // no news
  EXPECT_FALSE(sink->closed());

  Answers out;
  lobby_.Tell(1, "waits", &out);
  std::move(out).Deliver();
  ASSERT_EQ(sink->messages().size(), 1);
  EXPECT_EQ(sink->messages()[0].notice().text(), "waits");

  EXPECT_EQ(lobby_.Take(1).sink, sink);
  EXPECT_THAT(lobby_.guests(), IsEmpty());
}

TEST_F(LobbyTest, SendsAwayWhoIsNotInOrder) {
  v1::ClientMessage beat, version = Hello("b"), large = Hello("c");
  beat.mutable_heartbeat();
  version.mutable_register_()->set_protocol_version(99);
  large.mutable_register_()->set_software(std::string(70000, 'x'));
  SessionId id = 0;
  for (const auto& [message, why] :
       {std::pair(beat, "has to be Register"), std::pair(version, "version 99"),
        std::pair(large, "65536")}) {
    const auto sink = Open(++id, lobby_);
    EXPECT_EQ(Hear(id, lobby_, message), nullptr);
    EXPECT_THAT(sink->AwaitGoodbye().reason(), HasSubstr(why));
    EXPECT_FALSE(sink->AwaitGoodbye().retry());
    EXPECT_FALSE(sink->AwaitClosed().ok());
  }
  const auto sink = Open(++id, lobby_, {.certificate_name = "other"});
  EXPECT_EQ(Hear(id, lobby_, Hello("d")), nullptr);
  EXPECT_THAT(sink->AwaitGoodbye().reason(), HasSubstr("certificate"));
}

TEST_F(LobbyTest, WhoStaysSilentGoes) {
  const auto sink = Open(1, lobby_);
  EXPECT_EQ(lobby_.NextTimer(), now_ + Lobby::kPatience);
  now_ += Lobby::kPatience - absl::Milliseconds(1);
  Tick(lobby_);
  EXPECT_FALSE(sink->closed());
  now_ += absl::Milliseconds(1);
  Tick(lobby_);
  EXPECT_TRUE(sink->AwaitGoodbye().retry());
  EXPECT_THAT(sink->AwaitClosed(),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ""));
}

TEST_F(LobbyTest, GuestsAreToHearEveryTenSeconds) {
  EXPECT_FALSE(lobby_.TakeNotice(now_ + absl::Hours(1)));
  Open(1, lobby_);
  Hear(1, lobby_, Hello("a"));
  EXPECT_EQ(lobby_.NextTimer(), now_ + absl::Seconds(10));
  EXPECT_FALSE(lobby_.TakeNotice(now_ + absl::Seconds(9)));
  EXPECT_TRUE(lobby_.TakeNotice(now_ + absl::Seconds(10)));
  EXPECT_FALSE(lobby_.TakeNotice(now_ + absl::Seconds(19)));
  EXPECT_TRUE(lobby_.TakeNotice(now_ + absl::Seconds(20)));
  lobby_.Close(1);
  EXPECT_TRUE(lobby_.TakeNotice(now_ + absl::Seconds(30)));
  EXPECT_FALSE(lobby_.TakeNotice(now_ + absl::Hours(1)));
}

TEST_F(LobbyTest, ALaterSessionTakesThePlaceOfTheEarlier) {
  const auto first = Open(1, lobby_), second = Open(2, lobby_),
             other = Open(3, lobby_), named = Open(4, lobby_);
  Hear(1, lobby_, Hello("a"));
  Hear(2, lobby_, Hello("a"));
  EXPECT_TRUE(first->AwaitGoodbye().retry());
  v1::ClientMessage restarted = Hello("a");
  restarted.mutable_register_()->set_incarnation(8);
  Hear(3, lobby_, restarted);
  EXPECT_FALSE(second->AwaitGoodbye().retry());
  // To wait for a run that it was in is another matter.
  Hear(4, lobby_, Hello("a", "run-1"));
  EXPECT_THAT(lobby_.guests(), ElementsAre(3, 4));
  EXPECT_FALSE(other->closed());
}

TEST_F(LobbyTest, BoundsItsGuests) {
  for (SessionId id = 1; id <= 3; ++id) {
    Open(id, lobby_);
    Hear(id, lobby_, Hello(absl::StrCat("client-", id)));
  }
  const auto sink = Open(4, lobby_);
  EXPECT_EQ(Hear(4, lobby_, Hello("late")), nullptr);
  EXPECT_THAT(sink->AwaitGoodbye().reason(), HasSubstr("--max-clients"));
  EXPECT_TRUE(sink->AwaitGoodbye().retry());
  Open(5, lobby_);
  EXPECT_NE(Hear(5, lobby_, Hello("client-2")), nullptr);  // in its own place
  lobby_.Close(1);
  Open(6, lobby_);
  EXPECT_NE(Hear(6, lobby_, Hello("late")), nullptr);
}

TEST_F(LobbyTest, BoundsThoseWhoHaveNotRegistered) {
  const auto oldest = Open(1, lobby_), second = Open(2, lobby_);
  for (SessionId id = 3; id <= SessionTable::kMaxUnregistered; ++id) {
    Open(id, lobby_);
  }
  EXPECT_FALSE(oldest->closed());
  Open(SessionTable::kMaxUnregistered + 1, lobby_);
  EXPECT_TRUE(oldest->AwaitGoodbye().retry());
  EXPECT_FALSE(second->closed());
}

TEST_F(LobbyTest, BoundsWhatAGuestMaySend) {
  const auto sink = Open(1, lobby_);
  Hear(1, lobby_, Hello("a"));
  v1::ClientMessage beat;
  beat.mutable_heartbeat();
  for (int i = 1; i < SessionTable::kBurst; ++i) Hear(1, lobby_, beat);
  EXPECT_FALSE(sink->closed());
  Hear(1, lobby_, beat);
  EXPECT_THAT(sink->AwaitGoodbye().reason(), HasSubstr("slow down"));
}

TEST_F(LobbyTest, LeavesAndIsClosed) {
  const auto leaver = Open(1, lobby_), stayer = Open(2, lobby_),
             silent = Open(3, lobby_);
  Hear(1, lobby_, Hello("a"));
  Hear(2, lobby_, Hello("b"));
  v1::ClientMessage leave;
  leave.mutable_leave();
  Hear(1, lobby_, leave);
  EXPECT_OK(leaver->AwaitClosed());
  v1::Goodbye goodbye;
  goodbye.set_reason("later");
  Answers out;
  lobby_.CloseAll(goodbye, &out);
  std::move(out).Deliver();
  EXPECT_EQ(stayer->AwaitGoodbye().reason(), "later");
  EXPECT_EQ(silent->AwaitGoodbye().reason(), "later");
  EXPECT_THAT(lobby_.guests(), IsEmpty());
}

TEST_F(LobbyTest, AGuestMayComeBack) {
  const auto sink = Open(1, lobby_);
  Hear(1, lobby_, Hello("a"));
  Guest guest = lobby_.Take(1);
  Answers out;
  lobby_.Return(1, std::move(guest), now_, &out);
  std::move(out).Deliver();
  ASSERT_NE(lobby_.Find(1), nullptr);
  EXPECT_EQ(lobby_.Find(1)->hello.register_().name(), "a");
  EXPECT_THAT(sink->messages(), IsEmpty());
}

}  // namespace
}  // namespace parley
