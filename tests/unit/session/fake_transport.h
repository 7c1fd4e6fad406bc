// A transport in a test's hands: it remembers what was asked of it, and the
// test plays the coordinator.
#ifndef PARLEY_TESTS_UNIT_SESSION_FAKE_TRANSPORT_H_
#define PARLEY_TESTS_UNIT_SESSION_FAKE_TRANSPORT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/session/coordinator_transport.h"
#include "common/base/executor.h"
#include "tests/support/manual_executor.h"

namespace parley {

// Single-threaded.
class FakeTransport final : public CoordinatorTransport {
 public:
  struct Session {
    std::string address;
    SessionListener* listener;
  };
  // `source` or `sink` is there while the client holds the transfer.
  struct Bulk {
    v1::DownloadRequest download;
    v1::TransferHeader upload;
    ChunkSink* sink = nullptr;
    ChunkSource* source = nullptr;
    Done done;
  };

  std::unique_ptr<ClientSession> OpenSession(
      const std::string& address, SessionListener* listener) override {
    session = Session{address, listener};
    return std::make_unique<OpenedSession>(this);
  }
  std::unique_ptr<Transfer> Download(const v1::DownloadRequest& request,
                                     ChunkSink* sink, Done done) override {
    bulk.emplace();
    bulk->download = request;
    bulk->sink = sink;
    bulk->done = std::move(done);
    return std::make_unique<OpenedTransfer>(this);
  }
  std::unique_ptr<Transfer> Upload(const v1::TransferHeader& header,
                                   ChunkSource* source, Done done) override {
    bulk.emplace();
    bulk->upload = header;
    bulk->source = source;
    bulk->done = std::move(done);
    return std::make_unique<OpenedTransfer>(this);
  }

  std::optional<Session> session;
  std::vector<v1::ClientMessage> sent;
  std::optional<Bulk> bulk;

 private:
  class OpenedSession final : public ClientSession {
   public:
    explicit OpenedSession(FakeTransport* transport) : transport_(transport) {}
    ~OpenedSession() override { transport_->session.reset(); }
    void Send(v1::ClientMessage message) override {
      transport_->sent.push_back(message);
    }

   private:
    FakeTransport* const transport_;
  };
  class OpenedTransfer final : public Transfer {
   public:
    explicit OpenedTransfer(FakeTransport* transport) : transport_(transport) {}
    ~OpenedTransfer() override { transport_->bulk.reset(); }

   private:
    FakeTransport* const transport_;
  };
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_SESSION_FAKE_TRANSPORT_H_
