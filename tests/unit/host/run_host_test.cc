#include "server/host/run_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/driver/fake_client.h"
#include "tests/unit/host/recording_sink.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string RunText(int clients, int rounds) {
  return absl::StrCat(
      "model { custom { name: 'm' spec { tensors { name: 'w' shape: 1000 } } } "
      "}\nstart { zeros {} } cohort { min: ",
      clients, " } stop { rounds: ", rounds, " } tags: 'own'");
}

class RunHostTest : public ::testing::Test {
 protected:
  RunHostTest() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("parley_host_") + info->name());
    std::filesystem::remove_all(folder_);
  }
  ~RunHostTest() override {
    host_.reset();
    std::filesystem::remove_all(folder_);
  }

  RunHostOptions Options() {
    RunHostOptions options;
    options.clock = clock_.get();
    options.control = &control_;
    options.work = &work_;
    options.setup = &setup_;
    return options;
  }
  void Serve(int at_once = 1) {
    RunHostOptions options = Options();
    options.folder = folder_;
    options.at_once = at_once;
    auto made = RunHost::Create(std::move(options));
    ASSERT_OK(made);
    host_ = *std::move(made);
    ASSERT_OK(host_->Start("somewhere:1"));
  }
  absl::StatusOr<v1::SubmitReply> Submit(const std::string& name,
                                         const std::string& text) {
    v1::SubmitRequest request;
    request.set_path(absl::StrCat("/", name, ".textproto"));
    request.set_folder("/");
    request.set_text(text);
    request.add_tags("given");
    return Submit(request);
  }
  absl::StatusOr<v1::SubmitReply> Submit(const v1::SubmitRequest& request) {
    absl::StatusOr<v1::SubmitReply> got = absl::UnknownError("none");
    Mutex mu;
    CondVar changed;
    bool done = false;
    host_->Submit(request, [&](absl::StatusOr<v1::SubmitReply> reply) {
      MutexLock lock(mu);
      got = std::move(reply);
      done = true;
      changed.SignalAll();
    });
    MutexLock lock(mu);
    while (!done) changed.Wait(mu);
    return got;
  }
  std::string SubmitOk(const std::string& name, int clients, int rounds = 2) {
    const auto reply = Submit(name, RunText(clients, rounds));
    EXPECT_OK(reply);
    EXPECT_EQ(reply->errors(), "");
    return reply->run();
  }
  v1::RunStatus Await(const std::string& run, v1::RunState state) {
    v1::RunStatus last;
    Mutex mu;
    CondVar changed;
    const auto id = host_->Watch(run, [&](const v1::RunStatus& status) {
      MutexLock lock(mu);
      last = status;
      changed.SignalAll();
    });
    EXPECT_OK(id);
    {
      MutexLock lock(mu);
      while (last.state() != state) changed.Wait(mu);
    }
    host_->Unwatch(*id);
    return last;
  }
  struct Client {
    std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
    SessionId id = 0;
  };
  Client Join(v1::ClientMessage hello) {
    Client client;
    client.id = host_->OpenSession({}, client.sink);
    host_->Receive(client.id, std::move(hello));
    return client;
  }
  // The name of the run that lets the client in.
  static std::string RunOf(Client& client) {
    return client.sink->AwaitRegistered().run();
  }
  std::shared_ptr<FakeClient> Train(const std::string& name,
                                    bool keep_downloads_open = false) {
    return FakeClient::Join(
        {.name = name,
         .train = [](int64_t, const std::vector<float>& w) { return w; },
         .executor = &transport_,
         .keep_downloads_open = keep_downloads_open},
        host_.get());
  }
  std::vector<std::string> States() {
    std::vector<std::string> states;
    for (const v1::RunStatus& run : host_->Runs()) {
      states.push_back(
          absl::StrCat(run.run(), " ", v1::RunState_Name(run.state())));
    }
    return states;
  }
  bool Exists(const std::string& file) const {
    return std::filesystem::exists(folder_ / file);
  }
  std::string Queue() const {
    std::ifstream file(folder_ / "queue");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  ThreadPool control_{2}, work_{2}, setup_{1}, transport_{2};
  std::unique_ptr<RunHost> host_;
};

TEST_F(RunHostTest, ClientsWaitForARunAndTrainIt) {
  Serve();
  const auto a = Train("a"), b = Train("b");
  EXPECT_EQ(SubmitOk("one", 2), "one-1");
  const v1::RunStatus status = Await("one-1", v1::FINISHED);
  EXPECT_EQ(status.round(), 2);
  EXPECT_THAT(status.tags(), ElementsAre("own", "given"));
  EXPECT_EQ(a->counted() + b->counted(), 4);
  EXPECT_TRUE(Exists("one-1/model.safetensors"));
}

TEST_F(RunHostTest, TellsAtOnceWhatAClientWaitsFor) {
  Serve();
  Client client = Join(Hello("a"));
  const v1::ServerMessage first =
      client.sink->Await([](const auto&) { return true; });
  EXPECT_THAT(first.notice().text(), HasSubstr("waits for a run"));
  SubmitOk("one", 1);
  EXPECT_TRUE(client.sink->AwaitRegistered().registered().more_runs());
  host_->CloseSession(client.id, absl::OkStatus());
}

TEST_F(RunHostTest, RunsBeginInTheirTurn) {
  Serve(/*at_once=*/2);
  SubmitOk("one", 9);
  SubmitOk("two", 9);
  SubmitOk("three", 1);
  Await("two-1", v1::WAITING);
  EXPECT_THAT(States(),
              ElementsAre("one-1 WAITING", "two-1 WAITING", "three-1 QUEUED"));
  EXPECT_EQ(Await("three-1", v1::QUEUED).detail(), "queued, 2 before it");
  EXPECT_EQ(Queue(), "one-1\ntwo-1\nthree-1\n");
  // The oldest first, and then one that is not among the exceptions.
  Client a = Join(Hello("a")), b = Join(Hello("a", "", {"one-1"})),
         named = Join(Hello("b", "two-1")), later = Join(Hello("c", "three-1")),
         rest = Join(Hello("a", "", {"one-1", "two-1"}));
  EXPECT_EQ(RunOf(a), "one-1");
  EXPECT_EQ(RunOf(b), "two-1");
  EXPECT_EQ(RunOf(named), "two-1");
  EXPECT_THAT(
      later.sink->Await([](const auto&) { return true; }).notice().text(),
      HasSubstr("three-1"));
  EXPECT_EQ(*host_->Stop("", "first"), "one-1");
  Await("one-1", v1::STOPPED);
  EXPECT_EQ(a.sink->AwaitGoodbye().reason(), "first");
  EXPECT_EQ(RunOf(later), "three-1");
  EXPECT_EQ(RunOf(rest), "three-1");
  host_->Shutdown("the end", [] {});
  EXPECT_TRUE(b.sink->AwaitGoodbye().retry());
  EXPECT_EQ(rest.sink->AwaitGoodbye().reason(), "the end");
}

TEST_F(RunHostTest, WithoutAQueueAllAreTheOneRuns) {
  Mutex mu;
  CondVar changed;
  std::optional<v1::RunStatus> end;
  RunHostOptions options = Options();
  options.on_end = [&](const v1::RunStatus& status) {
    MutexLock lock(mu);
    end = status;
    changed.SignalAll();
  };
  ASSERT_OK_AND_ASSIGN(host_, RunHost::Create(std::move(options)));
  ASSERT_OK_AND_ASSIGN(v1::RunConfig config,
                       LoadRunText(RunText(2, 3), "/one.textproto"));
  ASSERT_OK(host_->Host(std::move(config), folder_, /*resume=*/false));
  ASSERT_OK(host_->Start("somewhere:1"));
  EXPECT_TRUE(Exists("address"));
  const auto a = Train("a"), b = Train("b");
  Client silent, late;
  silent.id = host_->OpenSession({}, silent.sink);
  {
    MutexLock lock(mu);
    while (!end) changed.Wait(mu);
    EXPECT_EQ(end->state(), v1::FINISHED);
  }
  EXPECT_FALSE(silent.sink->AwaitGoodbye().more_runs());  // is of the run
  late.id = host_->OpenSession({}, late.sink);
  EXPECT_TRUE(late.sink->AwaitGoodbye().run_over());
  EXPECT_THAT(Submit("two", RunText(1, 1)),
              StatusIs(absl::StatusCode::kFailedPrecondition, "--queue"));
  EXPECT_THAT(States(), ElementsAre("one FINISHED"));
}

TEST_F(RunHostTest, SaysWhyThereIsNoSuchRun) {
  Serve();
  Client client = Join(Hello("a", "other-1"));
  EXPECT_THAT(client.sink->AwaitGoodbye().reason(), HasSubstr("'other-1'"));
  EXPECT_FALSE(client.sink->AwaitGoodbye().retry());
  const auto trainer = Train("a");
  SubmitOk("one", 1);
  Await("one-1", v1::FINISHED);
  Client late = Join(Hello("b", "one-1"));
  EXPECT_THAT(late.sink->AwaitGoodbye().reason(), HasSubstr("is over"));
  EXPECT_TRUE(late.sink->AwaitGoodbye().run_over());
  EXPECT_TRUE(late.sink->AwaitGoodbye().more_runs());
  Client next = Join(Hello("b"));  // waits
  EXPECT_TRUE(next.sink->Await([](const auto&) { return true; }).has_notice());

  v1::DownloadRequest request;
  request.mutable_task()->set_run("other-1");
  absl::Status status;
  host_->OpenDownload(
      request, [&status](auto source) { status = source.status(); }, nullptr);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, ""));
  EXPECT_THAT(host_->Stop("other-1", ""),
              StatusIs(absl::StatusCode::kNotFound, "other-1"));
}

TEST_F(RunHostTest, AClientThatLosesItsLinkComesBackToItsRun) {
  Serve(/*at_once=*/2);
  SubmitOk("one", 9);
  SubmitOk("two", 9);
  Await("two-1", v1::WAITING);
  Client a = Join(Hello("a", "two-1"));
  const v1::ServerMessage first = a.sink->AwaitRegistered();
  host_->CloseSession(a.id, absl::CancelledError());
  Client again = Join(Hello("a", "two-1"));
  EXPECT_EQ(again.sink->AwaitRegistered().registered().token(),
            first.registered().token());
  host_->Shutdown("the end", [] {});
}

TEST_F(RunHostTest, AQueuedRunCanBeStopped) {
  Serve();
  SubmitOk("one", 9);
  SubmitOk("two", 9);
  EXPECT_EQ(*host_->Stop("two-1", "not wanted"), "two-1");
  EXPECT_EQ(Await("two-1", v1::STOPPED).detail(), "not wanted");
  EXPECT_TRUE(Exists("two-1/status.json"));
  EXPECT_FALSE(Exists("two-1/journal"));
  EXPECT_EQ(*host_->Stop("two-1", "again"), "two-1");  // nothing happens
  EXPECT_EQ(Await("two-1", v1::STOPPED).detail(), "not wanted");
  *host_->Stop("one-1", "");
  Await("one-1", v1::STOPPED);
}

TEST_F(RunHostTest, ARunThatCannotBeginFailsAlone) {
  Serve();
  const auto client = Train("a");
  const auto reply = Submit(
      "bad", RunText(1, 1) + " aggregation { custom { name: 'unknown' } }");
  ASSERT_OK(reply);
  EXPECT_EQ(reply->run(), "bad-1");
  EXPECT_THAT(Await("bad-1", v1::FAILED).detail(), HasSubstr("unknown"));
  SubmitOk("good", 1);
  Await("good-1", v1::FINISHED);
}

TEST_F(RunHostTest, TakesTheQueueUpAgain) {
  Serve();
  SubmitOk("one", 1, 100000);
  SubmitOk("two", 1);
  {
    const auto client = Train("a");
    Await("one-1", v1::RUNNING);
    host_->Shutdown("for now", [] {});
    while (!client->closed()) std::this_thread::yield();
  }
  host_.reset();
  EXPECT_FALSE(Exists("one-1/status.json"));
  EXPECT_FALSE(Exists("one-1/address"));
  EXPECT_EQ(Queue(), "one-1\ntwo-1\n");

  Serve();
  Client waits = Join(Hello("b", "one-1"));  // before it has begun, perhaps
  const v1::ServerMessage welcome = waits.sink->AwaitRegistered();
  EXPECT_EQ(welcome.term(), 2);
  EXPECT_THAT(welcome.registered().config().tags(),
              ElementsAre("own", "given"));
  *host_->Stop("one-1", "enough");
  Await("one-1", v1::STOPPED);
  const auto client = Train("c");
  Await("two-1", v1::FINISHED);
  EXPECT_EQ(States(),
            (std::vector<std::string>{"one-1 STOPPED", "two-1 FINISHED"}));
}

TEST_F(RunHostTest, ADriverLivesWhileItsNumbersAreRead) {
  Serve();
  const auto client = Train("a", /*keep_downloads_open=*/true);
  SubmitOk("one", 1, 1);
  Await("one-1", v1::FINISHED);
  // Nothing else that is done on `setup` ends the driver.
  EXPECT_NE(Submit("wrong", "what")->errors(), "");
  EXPECT_TRUE(Exists("one-1/address"));
  ASSERT_EQ(client->open_downloads().size(), 1);
  EXPECT_EQ(client->open_downloads()[0].size(), 4000);
  client->DropDownloads();
  while (Exists("one-1/address")) std::this_thread::yield();
}

TEST_F(RunHostTest, RefusesWhatIsWrong) {
  Serve();
  ASSERT_OK_AND_ASSIGN(const v1::SubmitReply reply,
                       Submit("x", "stop { rounds: 0 }\nwhat: 3"));
  EXPECT_EQ(reply.run(), "");
  EXPECT_THAT(reply.errors(), HasSubstr("/x.textproto:1: stop.rounds"));
  EXPECT_THAT(reply.errors(), HasSubstr("/x.textproto:2: RunConfig"));
  EXPECT_THAT(States(), ::testing::IsEmpty());
  EXPECT_THAT(host_->Watch("", [](const v1::RunStatus&) {}),
              StatusIs(absl::StatusCode::kNotFound, "no run"));
  EXPECT_OK(Submit("../x", RunText(1, 1)));  // names no folder
  EXPECT_EQ(Queue(), "x-1\n");
  v1::SubmitRequest request;
  request.set_path("x.textproto");
  request.set_folder("/");
  EXPECT_THAT(Submit(request),
              StatusIs(absl::StatusCode::kInvalidArgument, "absolute"));
}

}  // namespace
}  // namespace parley
