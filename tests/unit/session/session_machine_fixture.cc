#include "tests/unit/session/session_machine_fixture.h"

namespace parley {

std::string Word(const SessionEffect& effect) {
  struct Visitor {
    std::string operator()(const session_effect::Dial& e) {
      return absl::StrCat("dial ", e.address);
    }
    std::string operator()(const session_effect::HangUp&) { return "hang up"; }
    std::string operator()(const session_effect::Send& e) {
      const v1::ClientMessage& m = e.message;
      switch (m.kind_case()) {
        case v1::ClientMessage::kRegister:
          return m.register_().peer_address().empty()
                     ? "register"
                     : absl::StrCat("register at ",
                                    m.register_().peer_address());
        case v1::ClientMessage::kPeerReports:
          return absl::StrCat("reports ", m.peer_reports().report(0).round(),
                              " to ",
                              m.peer_reports().report().rbegin()->round());
        case v1::ClientMessage::kPeerDone:
          return "done";
        case v1::ClientMessage::kHeartbeat:
          return "heartbeat";
        case v1::ClientMessage::kProgress:
          return absl::StrCat("progress ", m.progress().task().round(), ": ",
                              m.progress().fraction());
        case v1::ClientMessage::kUpdateReady:
          return absl::StrCat("ready ", m.update_ready().task().round());
        case v1::ClientMessage::kTaskFailed:
          return absl::StrCat("failed ", m.task_failed().task().round(), ": ",
                              m.task_failed().reason());
        case v1::ClientMessage::kLeave:
          return "leave";
        default:
          return "?";
      }
    }
    std::string operator()(const session_effect::MakeTrainer&) {
      return "make trainer";
    }
    std::string operator()(const session_effect::OpenJob& e) {
      return absl::StrCat("open ", e.task.task().round());
    }
    std::string operator()(const session_effect::StartDownload&) {
      return "download";
    }
    std::string operator()(const session_effect::Work&) { return "work"; }
    std::string operator()(const session_effect::StartUpload& e) {
      return absl::StrCat("upload from ", e.offset);
    }
    std::string operator()(const session_effect::StopTransfer&) {
      return "stop transfer";
    }
    std::string operator()(const session_effect::LookAtTransfer&) {
      return "look";
    }
    std::string operator()(const session_effect::DropJob&) { return "drop"; }
    std::string operator()(const session_effect::ListenForPeers& e) {
      return absl::StrCat("listen, ", e.server);
    }
    std::string operator()(const session_effect::StartPeer& e) {
      return absl::StrCat("start peer of ", e.membership.member_size());
    }
    std::string operator()(const session_effect::UpdatePeer& e) {
      return absl::StrCat("update ", e.membership.member(0).address());
    }
    std::string operator()(const session_effect::LeavePeer&) {
      return "leave peers";
    }
    std::string operator()(const session_effect::EndPeer&) {
      return "end peer";
    }
    std::string operator()(const session_effect::Say&) { return ""; }
    std::string operator()(const session_effect::Exit& e) {
      return absl::StrCat("exit ", absl::StatusCodeToString(e.status.code()));
    }
  };
  return std::visit(Visitor(), effect);
}

Words SessionMachineTest::Step(SessionEvent event) {
  Words words;
  for (const SessionEffect& effect : machine().Step(std::move(event), now_)) {
    if (auto* e = std::get_if<session_effect::Dial>(&effect)) {
      connection_ = e->connection;
    } else if (auto* e = std::get_if<session_effect::MakeTrainer>(&effect)) {
      trainer_ = e->trainer;
    } else if (auto* e = std::get_if<session_effect::OpenJob>(&effect)) {
      job_ = e->job;
    } else if (auto* e = std::get_if<session_effect::StartDownload>(&effect)) {
      transfer_ = e->transfer;
      token_ = e->token;
    } else if (auto* e = std::get_if<session_effect::StartUpload>(&effect)) {
      transfer_ = e->transfer;
      token_ = e->token;
    } else if (auto* e = std::get_if<session_effect::Send>(&effect)) {
      sent_ = e->message;
    } else if (auto* e = std::get_if<session_effect::Say>(&effect)) {
      said_.push_back(e->text);
    } else if (auto* e = std::get_if<session_effect::Exit>(&effect)) {
      exit_ = e->status;
    }
    if (std::string word = Word(effect); !word.empty()) {
      words.push_back(std::move(word));
    }
  }
  return words;
}

}  // namespace parley
