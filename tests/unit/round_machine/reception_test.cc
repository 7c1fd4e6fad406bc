// What the machines of every kind of run have in common; their own tests go
// through it, too.
#include "server/round/reception.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/wire/protocol.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kLease = absl::Seconds(15);

v1::Register Hello(const std::string& name, uint64_t incarnation = 1) {
  v1::Register hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_name(name);
  hello.set_incarnation(incarnation);
  hello.add_kinds(v1::TRAIN);
  return hello;
}

v1::ClientMessage Heartbeat(uint64_t term = 3) {
  v1::ClientMessage message;
  message.set_run("r");
  message.set_term(term);
  message.mutable_heartbeat();
  return message;
}

class ReceptionTest : public testing::Test {
 protected:
  ReceptionTest() {
    out_.now = absl::UnixEpoch();
    Open(1);
  }

  void Open(SessionId id) {
    event::SessionOpened opened{id, {"1.2.3.4:5", ""}};
    reception_.Open(opened);
  }
  Reception::Heard Hear(SessionId id, v1::ClientMessage message) {
    return reception_.Hear({id, std::move(message)});
  }
  // Registers; whether that went well.
  bool Join(SessionId id, const v1::Register& hello,
            const absl::Status& fits = absl::OkStatus()) {
    v1::ClientMessage message;
    *message.mutable_register_() = hello;
    const auto [session, client] = Hear(id, std::move(message));
    EXPECT_EQ(client, nullptr);
    if (session == nullptr) return false;
    return reception_.Admit(id, *session, hello, fits).has_value();
  }
  // What the calls so far have put out.
  void Take() {
    ended_.clear();
    sent_.clear();
    said_.clear();
    for (const RoundEffect& effect : out_.Take()) {
      if (const auto* e = std::get_if<effect::EndSession>(&effect)) {
        ended_.push_back(e->session);
      } else if (const auto* e = std::get_if<effect::Send>(&effect)) {
        EXPECT_EQ(e->message.run(), "r");
        EXPECT_EQ(e->message.term(), 3);
        sent_.push_back(e->message);
      } else if (const auto* e = std::get_if<effect::Say>(&effect)) {
        said_ += e->text + "\n";
      }
    }
  }

  static RegistryOptions Options() {
    RegistryOptions options;
    options.run = "r";
    options.term = 3;
    options.token_key = "k";
    options.lease = kLease;
    return options;
  }

  Registry registry_{Options()};
  Outbox out_{"r", 3};
  std::vector<std::string> disconnected_;
  Reception reception_{
      [] {
        v1::ServerMessage welcome;
        welcome.mutable_registered()->set_heartbeat_ms(5000);
        return welcome;
      }(),
      kLease, &registry_, &out_,
      [this](Client& client) { disconnected_.push_back(client.name); }};
  std::vector<SessionId> ended_;
  std::vector<v1::ServerMessage> sent_;
  std::string said_;
};

TEST_F(ReceptionTest, WelcomesWhoRegistersAndRenewsItsLease) {
  EXPECT_TRUE(Join(1, Hello("a")));
  Take();
  ASSERT_EQ(sent_.size(), 1);
  EXPECT_EQ(sent_[0].registered().heartbeat_ms(), 5000);
  EXPECT_EQ(sent_[0].registered().token(), registry_.Find("a")->token);
  out_.now += kLease / 2;
  const auto [session, client] = Hear(1, Heartbeat());
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(client->name, "a");
  EXPECT_EQ(client->lease_end, out_.now + kLease);
  Take();
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(ReceptionTest, TurnsAwayWithAReason) {
  EXPECT_EQ(Hear(1, Heartbeat()).session, nullptr);
  Take();
  EXPECT_THAT(ended_, ElementsAre(1));
  EXPECT_EQ(sent_[0].goodbye().reason(),
            "the first message has to be Register");
  EXPECT_THAT(said_, HasSubstr("1.2.3.4:5 was turned away"));
  Open(2);
  v1::ClientMessage other;
  other.set_run("other");
  *other.mutable_register_() = Hello("a");
  EXPECT_EQ(Hear(2, other).session, nullptr);
  Take();
  EXPECT_THAT(ended_, ElementsAre(2));
  EXPECT_THAT(sent_[0].goodbye().reason(), HasSubstr("runs 'r', not 'other'"));
  Open(3);
  EXPECT_FALSE(Join(3, Hello("a"), absl::ResourceExhaustedError("later")));
  Open(4);
  EXPECT_FALSE(Join(4, Hello("a"), absl::InvalidArgumentError("never")));
  Open(5);
  EXPECT_FALSE(Join(5, Hello("no name")));
  Take();
  EXPECT_THAT(ended_, ElementsAre(3, 4, 5));
  EXPECT_TRUE(sent_[0].goodbye().retry());
  EXPECT_FALSE(sent_[1].goodbye().retry());
  EXPECT_EQ(registry_.size(), 0);
  EXPECT_EQ(Hear(3, Heartbeat()).session, nullptr);  // crossed its end
  Take();
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(ReceptionTest, ALaterSessionTakesThePlaceOfAnEarlierOne) {
  EXPECT_TRUE(Join(1, Hello("a")));
  Open(2);
  EXPECT_TRUE(Join(2, Hello("a")));  // the same process
  Take();
  EXPECT_THAT(ended_, ElementsAre(1));
  for (const auto& message : sent_) EXPECT_FALSE(message.has_goodbye());
  Open(3);
  EXPECT_TRUE(Join(3, Hello("a", 2)));
  Take();
  EXPECT_THAT(ended_, ElementsAre(2));
  EXPECT_THAT(sent_[0].goodbye().reason(), HasSubstr("another process"));
  EXPECT_THAT(disconnected_, IsEmpty());  // it is there
  reception_.Forget(3);
  EXPECT_THAT(disconnected_, ElementsAre("a"));
  EXPECT_EQ(registry_.Find("a")->session, 0);
}

TEST_F(ReceptionTest, TooManyMessagesThatMakeNoSenseEndTheSession) {
  EXPECT_TRUE(Join(1, Hello("a")));
  EXPECT_FALSE(Join(1, Hello("b")));
  Take();
  EXPECT_THAT(said_, HasSubstr("a: a second Register, under another name"));
  EXPECT_THAT(ended_, IsEmpty());
  for (int i = 0; i < 9; ++i) {
    Take();
    EXPECT_THAT(ended_, IsEmpty()) << i;
    EXPECT_EQ(Hear(1, Heartbeat(/*term=*/2)).session, nullptr);
  }
  Take();
  EXPECT_THAT(ended_, ElementsAre(1));
  EXPECT_THAT(sent_[0].goodbye().reason(), HasSubstr("another run or term"));
  EXPECT_THAT(disconnected_, ElementsAre("a"));
}

TEST_F(ReceptionTest, AFloodEndsTheSession) {
  EXPECT_TRUE(Join(1, Hello("a")));
  int said = 0;
  while (Hear(1, Heartbeat()).session != nullptr && said < 10000) ++said;
  EXPECT_EQ(said, SessionTable::kBurst - 1);  // and the Register
  Take();
  EXPECT_THAT(ended_, ElementsAre(1));
  EXPECT_TRUE(sent_.back().goodbye().retry());
  EXPECT_THAT(said_, HasSubstr("messages a second"));
}

TEST_F(ReceptionTest, LeasesAndPatienceEnd) {
  EXPECT_TRUE(Join(1, Hello("a")));
  Open(2);
  Take();
  std::vector<std::string> lost;
  const auto lose = [&](const std::string& name, const std::string& reason) {
    lost.push_back(name + " " + reason);
    registry_.Remove(name);
  };
  EXPECT_EQ(reception_.NextTimer(), out_.now + kLease);
  reception_.Expire(lose);
  Take();
  EXPECT_THAT(ended_, IsEmpty());
  out_.now += kLease;
  reception_.Expire(lose);
  Take();
  EXPECT_THAT(lost, ElementsAre("a is lost: silent for 15s"));
  EXPECT_THAT(ended_, ElementsAre(1, 2));
  EXPECT_THAT(sent_[0].goodbye().reason(), HasSubstr("than the lease"));
  EXPECT_THAT(sent_[1].goodbye().reason(), HasSubstr("no Register came"));
}

TEST_F(ReceptionTest, WhenTheRunIsOverAllGo) {
  EXPECT_TRUE(Join(1, Hello("a")));
  Open(2);
  Take();
  reception_.Close("all rounds are done", /*well=*/true);
  Open(3);
  Take();
  EXPECT_THAT(ended_, ElementsAre(1, 2, 3));
  ASSERT_EQ(sent_.size(), 3);
  EXPECT_EQ(sent_[0].goodbye().reason(), "all rounds are done");
  EXPECT_TRUE(sent_[0].goodbye().run_over());
  EXPECT_EQ(sent_[2].goodbye().reason(), "the run is over");
  EXPECT_THAT(reception_.sessions().all(), IsEmpty());
}

}  // namespace
}  // namespace parley
