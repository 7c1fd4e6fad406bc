#include "server/http/http_server.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/json.h"
#include "common/report/metrics_log.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/cli/temp_folder.h"
#include "tests/unit/http/live_runs.h"

namespace parley {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kHostile[] = "</script><script>alert(1)</script>\n\ndata: x";

RoundReport Round(int64_t number) {
  RoundReport report;
  report.round = number;
  report.asked = report.counted = {"client-1"};
  report.seconds = {{"train", 0.5}};
  return report;
}

// A connection whose every byte is ours.
class RawConnection {
 public:
  explicit RawConnection(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  ~RawConnection() { close(fd_); }

  void Send(const std::string& text) {
    send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
  }
  // Until the other end closes.
  std::string ReadAll() {
    std::string all;
    char block[4096];
    for (ssize_t got; (got = recv(fd_, block, sizeof(block), 0)) > 0;) {
      all.append(block, got);
    }
    return all;
  }

 private:
  const int fd_;
};

// Reads a stream of events in a thread of its own.
class EventReader {
 public:
  EventReader(int port, const std::string& path)
      : client_("127.0.0.1", port), reader_([this, path] {
          client_.set_read_timeout(60);
          const auto result = client_.Get(
              path,
              [this](const httplib::Response& response) {
                MutexLock lock(mu_);
                status_ = response.status;
                changed_.SignalAll();
                return true;
              },
              [this](const char* data, size_t size) {
                MutexLock lock(mu_);
                text_.append(data, size);
                changed_.SignalAll();
                return true;
              });
          MutexLock lock(mu_);
          over_ = true;
          changed_.SignalAll();
        }) {}
  ~EventReader() {
    client_.stop();
    reader_.join();
  }

  // The data of the next event of that name; others are passed over.
  Json Next(const std::string& name) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(30);
    MutexLock lock(mu_);
    while (true) {
      const size_t end = text_.find("\n\n", at_);
      if (end == std::string::npos) {
        if (over_ || !changed_.WaitUntil(mu_, deadline)) break;
        continue;
      }
      const std::string event = text_.substr(at_, end - at_);
      at_ = end + 2;
      const std::vector<std::string> lines = absl::StrSplit(event, '\n');
      if (lines.size() != 2 || lines[0] != "event: " + name) continue;
      EXPECT_THAT(lines[1], StartsWith("data: "));
      const absl::StatusOr<Json> json = Json::Parse(lines[1].substr(6));
      EXPECT_OK(json);
      return *json;
    }
    ADD_FAILURE() << "no event " << name << " in " << text_;
    return Json();
  }
  int Status() {
    MutexLock lock(mu_);
    while (status_ == 0 && !over_) changed_.Wait(mu_);
    return status_;
  }
  // What came in all, once the stream has ended.
  std::string Rest() {
    MutexLock lock(mu_);
    while (!over_) changed_.Wait(mu_);
    return text_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::string text_ GUARDED_BY(mu_);
  size_t at_ GUARDED_BY(mu_) = 0;
  int status_ GUARDED_BY(mu_) = 0;
  bool over_ GUARDED_BY(mu_) = false;
  httplib::Client client_;
  std::thread reader_;
};

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_.Write(
        "run.textproto",
        "name: \"mine\" model { logistic {} features: 3 } local { gd "
        "{} step_size { initial: 1 } } cohort { min: 1 } stop { rounds: 9 }");
    ASSERT_OK_AND_ASSIGN(log_, MetricsLog::Open(folder_.Path("metrics.jsonl")));
    status_.set_run("mine");
    status_.set_state(v1::RUNNING);
    status_.set_round(1);
    status_.set_folder(folder_.path());
    v1::ClientStatus& client = *status_.add_client();
    client.set_name("client-1");
    client.set_state("failed");
    client.set_reason(kHostile);
    runs_.Tell(status_);
    Start(16);
  }

  void Start(int viewers) {
    ASSERT_OK_AND_ASSIGN(server_,
                         HttpServer::Start({.max_viewers = viewers}, &runs_));
    client_.emplace("127.0.0.1", server_->port());
  }

  void Commit(int64_t round) {
    ASSERT_OK(log_->Append(Round(round)));
    status_.set_round(round + 1);
    runs_.Tell(status_);
  }

  httplib::Response Get(const std::string& path,
                        const httplib::Headers& headers = {}) {
    const httplib::Result result = client_->Get(path, headers);
    EXPECT_TRUE(result) << path << ": " << httplib::to_string(result.error());
    return result ? *result : httplib::Response();
  }

  TempFolder folder_;
  std::unique_ptr<MetricsLog> log_;
  v1::RunStatus status_;
  LiveRuns runs_;
  std::unique_ptr<HttpServer> server_;
  std::optional<httplib::Client> client_;
};

TEST_F(HttpServerTest, AnswersEachRoute) {
  Commit(1);
  for (const auto& [path, type, text] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"/", "text/html", "<script src=\"/live.js\""},
           {"/run/mine", "text/html", "<script src=\"/live.js\""},
           {"/style.css", "text/css", "--page"},
           {"/chart.js", "text/javascript", "Chart.js"},
           {"/live.js", "text/javascript", "EventSource"},
           {"/healthz", "text/plain", "ok\n"},
           {"/metrics", "text/plain; version=0.0.4",
            "parley_last_round_seconds{run=\"mine\",phase=\"train\"} 0.5\n"},
           {"/api/runs", "application/json", "[{\"run\":\"mine\""},
           {"/api/runs/mine", "application/json", "{\"run\":\"mine\""},
           {"/api/runs/mine/rounds", "application/x-ndjson", "{\"round\":1,"},
       }) {
    const httplib::Response response = Get(path);
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_THAT(response.get_header_value("Content-Type"), StartsWith(type));
    EXPECT_THAT(response.body, HasSubstr(text)) << path;
    EXPECT_EQ(response.get_header_value("X-Content-Type-Options"), "nosniff");
    EXPECT_THAT(response.get_header_value("Content-Security-Policy"),
                HasSubstr("script-src 'self';"));
    const httplib::Result head = client_->Head(path);
    ASSERT_TRUE(head) << path;
    EXPECT_EQ(head->status, 200);
    EXPECT_EQ(head->body, "");
  }
}

TEST_F(HttpServerTest, OtherPathsAreNotThere) {
  for (const char* path :
       {"/nope", "/run/", "/run/other", "/run/mine/", "/run/mine/x",
        "/api/runs/", "/api/runs/other/rounds", "/run/..%2Fmine",
        "/run/mine%2F..%2F..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
        "/api/runs/mine/rounds/../../run.textproto", "/run.textproto",
        "/run/%00mine"}) {
    const httplib::Response response = Get(path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_THAT(response.body, HasSubstr("there is no")) << path;
  }
}

TEST_F(HttpServerTest, IsReadOnly) {
  for (const httplib::Result& result :
       {client_->Post("/api/runs/mine", std::string(100'000, 'x'),
                      "text/plain"),
        client_->Put("/", "x", "text/plain"), client_->Delete("/api/runs/mine"),
        client_->Options("/")}) {
    ASSERT_TRUE(result) << httplib::to_string(result.error());
    EXPECT_EQ(result->status, 405);
    EXPECT_EQ(result->get_header_value("Allow"), "GET, HEAD");
    EXPECT_THAT(result->body, HasSubstr("read-only"));
  }
}

TEST_F(HttpServerTest, KnowsItsName) {
  for (const char* host : {"localhost", "LocalHost:80", "127.0.0.1:1",
                           "10.1.2.3", "[::1]", "[::1]:8080"}) {
    EXPECT_EQ(Get("/healthz", {{"Host", host}}).status, 200) << host;
  }
  for (const char* host : {"evil.example", "evil.example:80", "localhost.evil",
                           "127.0.0.1.evil.example", "[::1", "a b", ":80"}) {
    const httplib::Response response = Get("/api/runs", {{"Host", host}});
    EXPECT_EQ(response.status, 403) << host;
    EXPECT_THAT(response.body, StartsWith("refused")) << host;
  }
  RawConnection nameless(server_->port());
  nameless.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(nameless.ReadAll(), StartsWith("HTTP/1.1 403"));
}

TEST_F(HttpServerTest, WhatClientsSayStaysText) {
  const httplib::Response response = Get("/api/runs/mine");
  ASSERT_OK_AND_ASSIGN(const Json json, Json::Parse(response.body));
  EXPECT_EQ(*json.Find("client")->items()[0].Find("reason")->AsString(),
            kHostile);
  EventReader events(server_->port(), "/run/mine/events");
  const Json status = events.Next("status");
  EXPECT_EQ(*status.Find("client")->items()[0].Find("reason")->AsString(),
            kHostile);
}

TEST_F(HttpServerTest, TellsRoundsAfterOne) {
  std::string lines[3];
  for (int64_t round = 1; round <= 3; ++round) {
    Commit(round);
    lines[round - 1] = ToJsonLine(Round(round)) + "\n";
  }
  const std::string path = "/api/runs/mine/rounds";
  EXPECT_EQ(Get(path).body, lines[0] + lines[1] + lines[2]);
  EXPECT_EQ(Get(path + "?after=1").body, lines[1] + lines[2]);
  EXPECT_EQ(Get(path + "?after=3").body, "");
  Commit(4);
  EXPECT_EQ(Get(path + "?after=3").body, ToJsonLine(Round(4)) + "\n");
  for (const char* after : {"x", "-1", "", "1x", "99999999999999999999"}) {
    EXPECT_EQ(Get(absl::StrCat(path, "?after=", after)).status, 400) << after;
  }
}

TEST_F(HttpServerTest, PushesWhatIsNew) {
  Commit(1);
  EventReader one(server_->port(), "/run/mine/events");
  EventReader all(server_->port(), "/events");
  const Json report = one.Next("report");
  const Json& run = report.Find("runs")->items()[0];
  EXPECT_EQ(run.Find("round")->ToString(), "[1]");
  EXPECT_THAT(*run.Find("run_file")->AsString(), HasSubstr("logistic"));
  EXPECT_EQ(*one.Next("status").Find("round")->AsString(), "2");
  EXPECT_EQ(all.Next("runs").items().size(), 1);

  Commit(2);
  const Json update = one.Next("rounds");
  EXPECT_EQ(update.Find("round")->ToString(), "[2]");
  EXPECT_EQ(update.Find("from")->AsInt64(), 1);
  EXPECT_EQ(*all.Next("runs").items()[0].Find("round")->AsString(), "3");

  status_.set_state(v1::FINISHED);
  Commit(3);
  EXPECT_EQ(one.Next("rounds").Find("round")->ToString(), "[3]");
  EXPECT_EQ(*one.Next("status").Find("state")->AsString(), "FINISHED");
}

TEST_F(HttpServerTest, ARunThatHasNotBegunHasAStatusOnly) {
  v1::RunStatus queued;
  queued.set_run("later");
  queued.set_folder(folder_.Path("later"));
  runs_.Tell(queued);
  EventReader events(server_->port(), "/run/later/events");
  EXPECT_EQ(*events.Next("status").Find("run")->AsString(), "later");
  EXPECT_EQ(Get("/api/runs/later/rounds").body, "");
  EXPECT_EQ(Get("/metrics").status, 200);
}

TEST_F(HttpServerTest, DamageIsToldOf) {
  std::ofstream(folder_.Path("metrics.jsonl")) << "nonsense\n";
  EventReader events(server_->port(), "/run/mine/events");
  EXPECT_THAT(*events.Next("trouble").AsString(), HasSubstr("line 1"));
  const httplib::Response response = Get("/api/runs/mine/rounds");
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, HasSubstr("line 1"));
}

TEST_F(HttpServerTest, ViewersAreCounted) {
  Start(1);
  {
    EventReader first(server_->port(), "/events");
    first.Next("runs");
    const httplib::Response refused = Get("/run/mine/events");
    EXPECT_EQ(refused.status, 503);
    EXPECT_THAT(refused.body, StartsWith("there are 1 viewers already"));
    EXPECT_EQ(Get("/healthz").status, 200);
  }
  // Its place is free once the server has seen that it left.
  for (int status = 503; status != 200;) {
    EventReader next(server_->port(), "/events");
    status = next.Status();
    ASSERT_TRUE(status == 200 || status == 503) << status;
  }
}

TEST_F(HttpServerTest, EndsWithItsViewersToldAndTheSlowCutOff) {
  RawConnection silent(server_->port()), deaf(server_->port());
  deaf.Send("GET /run/mine/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EventReader events(server_->port(), "/run/mine/events");
  events.Next("status");
  status_.set_state(v1::STOPPED);
  runs_.Tell(status_);
  const auto begin = std::chrono::steady_clock::now();
  server_->Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(events.Rest(), HasSubstr("\"state\":\"STOPPED\""));
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_FALSE(client_->Get("/healthz"));
}

TEST_F(HttpServerTest, WhoSendsTooMuchOrTooSlowlyIsCutOff) {
  std::vector<std::unique_ptr<RawConnection>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(std::make_unique<RawConnection>(server_->port()));
    slow.back()->Send("GET / HT");
  }
  EXPECT_EQ(Get("/healthz").status, 200);  // others are served meanwhile
  RawConnection endless(server_->port());
  for (int i = 0; i < 10'000; ++i) endless.Send("Header: again and again\r\n");
  EXPECT_THAT(endless.ReadAll(), StartsWith("HTTP/1.1 400"));
  RawConnection ranges(server_->port());
  std::string list;
  while (list.size() < 8000) list += "1-2,";
  ranges.Send(
      absl::StrCat("GET /healthz HTTP/1.1\r\nHost: localhost\r\nRange: "
                   "bytes=",
                   list, "1-2\r\n\r\n"));
  EXPECT_THAT(ranges.ReadAll(), EndsWith("ok\n"));
  for (const auto& connection : slow) {
    EXPECT_EQ(connection->ReadAll().find("HTTP/1.1 200"), std::string::npos);
  }
}

TEST(HttpServerStartTest, SaysWhyItCannot) {
  LiveRuns runs;
  const auto start = [&](const std::string& address, bool insecure = false) {
    return HttpServer::Start({.address = address, .allow_insecure = insecure},
                             &runs);
  };
  EXPECT_THAT(start("0.0.0.0:0"),
              StatusIs(absl::StatusCode::kFailedPrecondition, "--insecure"));
  EXPECT_OK(start("0.0.0.0:0", true));
  for (const char* address :
       {"127.0.0.1", "localhost:x", "127.0.0.1:70000", "127.0.0.1:-1"}) {
    EXPECT_THAT(start(address, true),
                StatusIs(absl::StatusCode::kInvalidArgument, "HOST:PORT"));
  }
  ASSERT_OK_AND_ASSIGN(const auto first, start("127.0.0.1:0"));
  EXPECT_THAT(start(absl::StrCat("127.0.0.1:", first->port())),
              StatusIs(absl::StatusCode::kUnavailable, "in use"));
}

}  // namespace
}  // namespace parley
