#include "server/http/http_server.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/executor.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/report/page.h"
#include "common/report/run_status.h"
#include "common/rpc/address.h"
#include "server/http/bounded_server.h"
#include "server/http/prometheus_text.h"
#include "server/http/run_feed.h"

namespace parley {
namespace {

using httplib::Request;
using httplib::Response;
using SteadyClock = std::chrono::steady_clock;

constexpr int kShortConnections = 8;  // beside those of the viewers
// Of a file that is sent. Who reads it more slowly asks again for what is left.
constexpr uint64_t kBlock = 64 << 10;
constexpr std::chrono::minutes kFileTime{1};

// A viewer is told at most so often: of a status, of rounds.
constexpr std::chrono::milliseconds kStatusEvery{250};
constexpr std::chrono::milliseconds kRoundsEvery{1000};
// How long a viewer's thread waits before it sees whether the viewer has left,
// and when it says something so that others in between see that it lives.
constexpr std::chrono::milliseconds kLookEvery{500};
constexpr std::chrono::seconds kSayEvery{15};
// For viewers to be told the end.
constexpr std::chrono::milliseconds kEndTime{1500};

// Nothing but what this server sends may run in its pages.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
    "'none'";

void Say(Response& response, int code, absl::string_view text) {
  response.status = code;
  response.set_content(absl::StrCat(text, "\n"), "text/plain; charset=utf-8");
}

void SayWhy(Response& response, const absl::Status& status) {
  Say(response, absl::IsNotFound(status) ? 404 : 500,
      std::string(status.message()));
}

// "HOST" or "HOST:PORT" names this machine in a way that nobody else can have
// made up: as an address, localhost, or as it was told to listen.
bool IsOurName(const std::string& name, const std::string& bound) {
  const bool has_port =
      !absl::EndsWith(name, "]") && absl::StrContains(name, ':');
  const std::string host =
      absl::AsciiStrToLower(SplitAddress(has_port ? name : name + ":0").host);
  in6_addr address;
  return host == "localhost" || (!host.empty() && host == bound) ||
         inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

std::string Event(absl::string_view name, absl::string_view json) {
  return absl::StrCat("event: ", name, "\ndata: ", json, "\n\n");
}

std::string StatusList(const std::vector<v1::RunStatus>& runs) {
  std::string list = "[";
  for (const v1::RunStatus& run : runs) {
    absl::StrAppend(&list, list.size() > 1 ? "," : "", StatusLine(run));
  }
  return list + "]";
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const Options& options, LiveSource* source)
      : max_viewers_(options.max_viewers),
        source_(*source),
        bound_host_(absl::AsciiStrToLower(SplitAddress(options.address).host)),
        page_(absl::StrReplaceAll(kLiveHtml, {{"<!-- body -->", kBodyHtml}})),
        script_(absl::StrCat("(() => {\n\"use strict\";\n", kPageJs, kLiveJs,
                             "})();\n")),
        server_(options.max_viewers + kShortConnections),
        listener_(1) {
    server_.set_default_headers(
        {{"Cache-Control", "no-store"},
         {"Content-Security-Policy", kPolicy},
         {"Cross-Origin-Resource-Policy", "same-origin"},
         {"Referrer-Policy", "no-referrer"},
         {"X-Content-Type-Options", "nosniff"}});
    // Before httplib routes by regular expressions, looks for files, or reads a
    // body.
    server_.set_pre_routing_handler(
        [this](const Request& request, Response& response) {
          Answer(request, response);
          return httplib::Server::HandlerResponse::Handled;
        });
    server_.set_error_handler([](const Request&, Response& response) {
      if (response.body.empty()) {
        Say(response, response.status, "this is no request that can be read");
      }
    });
  }

  absl::Status Listen(const std::string& address) {
    const auto [host, port_text] = SplitAddress(address);
    int port;
    if (host.empty() || !absl::SimpleAtoi(port_text, &port) || port < 0 ||
        port > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("--http ", address,
                       ": must be HOST:PORT, as in 127.0.0.1:8080 or [::1]:0"));
    }
    errno = 0;
    port_ = port == 0                          ? server_.bind_to_any_port(host)
            : server_.bind_to_port(host, port) ? port
                                               : -1;
    if (port_ < 0) {
      return absl::UnavailableError(absl::StrCat(
          "cannot serve HTTP at ", address, ": ",
          errno == 0 ? "no such address here" : std::strerror(errno)));
    }
    listener_.Post([this] {
      if (!server_.listen_after_bind() && !stopping()) {
        LogWarning("the live view has ended: it can no longer accept");
      }
    });
    server_.AwaitListening();
    return absl::OkStatus();
  }

  int port() const { return port_; }

  void Shutdown() {
    {
      MutexLock lock(mu_);
      if (std::exchange(stopping_, true)) return;
      changed_.SignalAll();
      const auto deadline = SteadyClock::now() + kEndTime;
      while (viewers_ > 0 && changed_.WaitUntil(mu_, deadline)) {
      }
    }
    server_.CutOff();
    server_.stop();
  }

 private:
  class Viewer;  // a live page that is open

  bool stopping() {
    MutexLock lock(mu_);
    return stopping_;
  }
  // Waits until then, or until the server stops; says whether it does.
  bool Pause(SteadyClock::time_point until) {
    MutexLock lock(mu_);
    while (!stopping_ && changed_.WaitUntil(mu_, until)) {
    }
    return stopping_;
  }

  std::shared_ptr<RunFeed> FeedOf(const v1::RunStatus& run) {
    MutexLock lock(mu_);
    std::shared_ptr<RunFeed>& feed = feeds_[run.folder()];
    if (feed == nullptr) feed = std::make_shared<RunFeed>(run.folder());
    return feed;
  }

  // The run of that name, or null: the list is all that a name is looked up in.
  static const v1::RunStatus* Find(const std::vector<v1::RunStatus>& runs,
                                   absl::string_view name) {
    const auto it = std::find_if(
        runs.begin(), runs.end(),
        [&](const v1::RunStatus& run) { return run.run() == name; });
    return it == runs.end() ? nullptr : &*it;
  }

  void Answer(const Request& request, Response& response);
  void AnswerAboutRun(const Request& request, absl::string_view name,
                      absl::string_view what, Response& response);
  void SendRounds(const Request& request, const v1::RunStatus& run,
                  Response& response);
  void SendEvents(std::string run, Response& response);
  void SendMetrics(Response& response);

  const int max_viewers_;
  LiveSource& source_;
  const std::string bound_host_;
  const std::string page_;
  const std::string script_;
  int port_ = -1;

  Mutex mu_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mu_) = false;
  int viewers_ GUARDED_BY(mu_) = 0;
  // By folder. Shared with the viewers that read.
  std::map<std::string, std::shared_ptr<RunFeed>> feeds_ GUARDED_BY(mu_);

  BoundedServer server_;
  ThreadPool listener_;  // joined first
};

// Of one run, or of the list of them where `run` is empty. On one thread.
class HttpServer::Impl::Viewer {
 public:
  Viewer(Impl* server, std::string run)
      : server_(*server), run_(std::move(run)) {}

  // Waits a while for something to tell, and tells it. False: the viewer is
  // gone.
  bool Tell(httplib::DataSink& sink) {
    const bool last = server_.Pause(next_);
    if (!sink.is_writable()) return false;
    const auto now = SteadyClock::now();
    version_ =
        server_.source_.AwaitChange(version_, last ? now : now + kLookEvery);
    std::string events = run_.empty() ? ListEvents() : RunEvents(last);
    if (events.empty() && SteadyClock::now() > told_ + kSayEvery) {
      events = ": still here\n\n";
    }
    if (!events.empty()) {
      if (!sink.write(events.data(), events.size())) return false;
      told_ = SteadyClock::now();
      next_ = told_ + kStatusEvery;
    }
    if (last) sink.done();
    return true;
  }

 private:
  std::string ListEvents() {
    if (std::exchange(told_version_, version_) == version_) return "";
    return Event("runs", StatusList(server_.source_.Runs()));
  }

  std::string RunEvents(bool last) {
    const std::vector<v1::RunStatus> runs = server_.source_.Runs();
    const v1::RunStatus* run = Find(runs, run_);
    if (run == nullptr) return "";
    last = last || HasEnded(run->state());
    std::string events;
    // Rounds before the status: the page stops listening once a run has ended.
    if (last || SteadyClock::now() >= rounds_told_ + kRoundsEvery) {
      events = RoundEvents(*run);
      if (!events.empty()) rounds_told_ = SteadyClock::now();
    }
    if (std::exchange(told_version_, version_) != version_) {
      events += Event("status", StatusLine(*run));
    }
    return events;
  }

  std::string RoundEvents(const v1::RunStatus& run) {
    const std::shared_ptr<RunFeed> feed = server_.FeedOf(run);
    const absl::StatusOr<std::string> json =
        described_ ? feed->Since(&seen_) : feed->Whole(&seen_);
    if (!json.ok()) {
      if (absl::IsNotFound(json.status())) return "";  // it has not begun
      std::string trouble = Json(json.status().message()).ToString();
      if (trouble == trouble_) return "";
      trouble_ = trouble;
      return Event("trouble", trouble);
    }
    if (json->empty()) return "";
    return Event(std::exchange(described_, true) ? "rounds" : "report", *json);
  }

  Impl& server_;
  const std::string run_;
  uint64_t version_ = 0;
  uint64_t told_version_ = 0;
  bool described_ = false;
  RunHistory::Seen seen_;
  std::string trouble_;  // told last
  SteadyClock::time_point next_, told_, rounds_told_;
};

void HttpServer::Impl::Answer(const Request& request, Response& response) {
  if (stopping()) return Say(response, 503, "the coordinator is ending");
  if (request.get_header_value_count("Host") != 1 ||
      !IsOurName(request.get_header_value("Host"), bound_host_)) {
    return Say(response, 403,
               "refused: ask under this machine's address, localhost, or the "
               "name that --http was given");
  }
  if (request.method != "GET" && request.method != "HEAD") {
    response.set_header("Allow", "GET, HEAD");
    return Say(response, 405, "only GET and HEAD: the live view is read-only");
  }
  absl::string_view path = request.path;
  if (path == "/")
    return response.set_content(page_, "text/html; charset=utf-8");
  if (path == "/style.css") return response.set_content(kPageCss, "text/css");
  if (path == "/chart.js" || path == "/live.js") {
    return response.set_content(path == "/live.js" ? script_ : kChartJs,
                                "text/javascript; charset=utf-8");
  }
  if (path == "/events") return SendEvents("", response);
  if (path == "/metrics") return SendMetrics(response);
  if (path == "/healthz") return Say(response, 200, "ok");
  if (path == "/api/runs") {
    return response.set_content(StatusList(source_.Runs()), "application/json");
  }
  for (const char* const folder : {"/run/", "/api/runs/"}) {
    if (!absl::ConsumePrefix(&path, folder)) continue;
    const size_t slash = std::min(path.find('/'), path.size());
    return AnswerAboutRun(request, path.substr(0, slash),
                          absl::StrCat(folder, path.substr(slash)), response);
  }
  Say(response, 404,
      "there is no such page; try /, /api/runs, /metrics or /healthz");
}

void HttpServer::Impl::AnswerAboutRun(const Request& request,
                                      absl::string_view name,
                                      absl::string_view what,
                                      Response& response) {
  const std::vector<v1::RunStatus> runs = source_.Runs();
  const v1::RunStatus* run = Find(runs, name);
  if (run == nullptr) {
    return Say(response, 404,
               "there is no run of that name here; / lists those there are");
  }
  if (what == "/run/") {
    response.set_content(page_, "text/html; charset=utf-8");
  } else if (what == "/run//events") {
    SendEvents(run->run(), response);
  } else if (what == "/api/runs/") {
    response.set_content(StatusLine(*run), "application/json");
  } else if (what == "/api/runs//rounds") {
    SendRounds(request, *run, response);
  } else {
    Say(response, 404,
        "there is no such page; of a run there are /run/NAME, /api/runs/NAME "
        "and /api/runs/NAME/rounds");
  }
}

void HttpServer::Impl::SendRounds(const Request& request,
                                  const v1::RunStatus& run,
                                  Response& response) {
  int64_t after = 0;
  if (request.has_param("after") &&
      (!absl::SimpleAtoi(request.get_param_value("after"), &after) ||
       after < 0)) {
    return Say(response, 400, "after must be the number of a round, or 0");
  }
  const absl::StatusOr<RunFeed::Lines> lines = FeedOf(run)->LinesAfter(after);
  if (!lines.ok()) return SayWhy(response, lines.status());
  constexpr char kType[] = "application/x-ndjson";
  if (lines->begin == lines->end) return response.set_content("", kType);
  absl::StatusOr<std::unique_ptr<FileReader>> opened =
      FileReader::Open(lines->path);
  if (!opened.ok()) return SayWhy(response, opened.status());
  response.set_content_provider(
      lines->end - lines->begin, kType,
      [begin = lines->begin, deadline = SteadyClock::now() + kFileTime,
       file = std::shared_ptr<FileReader>(*std::move(opened))](
          size_t offset, size_t length, httplib::DataSink& sink) {
        if (SteadyClock::now() > deadline) return false;
        const auto block =
            file->Read(begin + offset, std::min<uint64_t>(length, kBlock));
        return block.ok() && sink.write(block->data(), block->size());
      });
}

void HttpServer::Impl::SendEvents(std::string run, Response& response) {
  {
    MutexLock lock(mu_);
    if (viewers_ >= max_viewers_) {
      response.set_header("Retry-After", "5");
      return Say(response, 503,
                 absl::StrCat("there are ", max_viewers_,
                              " viewers already, which is as many as there may "
                              "be; close a page and try again"));
    }
    ++viewers_;
  }
  response.set_chunked_content_provider(
      "text/event-stream",
      [viewer = std::make_shared<Viewer>(this, std::move(run))](
          size_t, httplib::DataSink& sink) { return viewer->Tell(sink); },
      [this](bool) {
        MutexLock lock(mu_);
        --viewers_;
        changed_.SignalAll();
      });
}

void HttpServer::Impl::SendMetrics(Response& response) {
  std::vector<ScrapedRun> scraped;
  for (v1::RunStatus& run : source_.Runs()) {
    ScrapedRun& one = scraped.emplace_back();
    one.status = std::move(run);
    if (HasEnded(one.status.state())) continue;
    auto seconds = FeedOf(one.status)->LastSeconds();
    if (!seconds.ok()) return SayWhy(response, seconds.status());
    one.last_seconds = *std::move(seconds);
  }
  response.set_content(PrometheusText(scraped), kPrometheusType);
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const Options& options, LiveSource* source) {
  if (!options.allow_insecure && !IsLoopback(options.address)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "refusing to serve HTTP at ", options.address,
        ", which is not a loopback address: it has no TLS and asks nobody who "
        "they are. Listen at 127.0.0.1 and reach it through ssh -L, or give "
        "--insecure"));
  }
  auto impl = std::make_unique<Impl>(options, source);
  PARLEY_RETURN_IF_ERROR(impl->Listen(options.address));
  return absl::WrapUnique(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { Shutdown(); }

int HttpServer::port() const { return impl_->port(); }

void HttpServer::Shutdown() { impl_->Shutdown(); }

}  // namespace parley
