#include "server/rendezvous/peer_report_check.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

constexpr size_t kMaxScalarName = 128;
constexpr size_t kMaxAddress = 256;
// Of a round: 2^53, so that sums of them stay whole numbers as doubles.
constexpr uint64_t kMaxBytes = uint64_t{1} << 53;

template <typename Scalars>
absl::Status CheckScalars(const Scalars& scalars) {
  if (scalars.size() > static_cast<size_t>(kMaxPeerScalars)) {
    return absl::InvalidArgumentError(absl::StrCat(
        scalars.size(), " scalars; at most ", kMaxPeerScalars, " are taken"));
  }
  for (const auto& [name, value] : scalars) {
    if (name.empty() || name.size() > kMaxScalarName) {
      return absl::InvalidArgumentError(
          absl::StrCat("a scalar's name has 1 to ", kMaxScalarName, " bytes"));
    }
    if (!std::isfinite(value)) {
      return absl::InvalidArgumentError("a scalar is infinite or no number");
    }
  }
  return absl::OkStatus();
}

bool IsSize(double value) { return std::isfinite(value) && value >= 0; }

// So that sums over all edges of all peers stay finite.
constexpr double kMostBalance = 1e290;
bool IsBalance(double value) { return std::abs(value) <= kMostBalance; }

template <typename Numbers>
bool AllFinite(const Numbers& numbers) {
  return std::all_of(numbers.begin(), numbers.end(),
                     [](double x) { return std::isfinite(x); });
}

absl::Status CheckAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (address.size() > kMaxAddress || colon == absl::string_view::npos ||
      colon == 0 || colon + 1 == address.size() ||
      !std::all_of(address.begin(), address.end(), [](char c) {
        return absl::ascii_isgraph(static_cast<unsigned char>(c));
      })) {
    return absl::InvalidArgumentError(absl::StrCat(
        "peer_address must be HOST:PORT of at most ", kMaxAddress, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPeerReport(const v1::PeerReport& report, int peers,
                             int64_t rounds, int64_t epoch) {
  if (report.round() < 1 || report.round() > rounds + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a report of round ", report.round(), " of ", rounds));
  }
  if (report.epoch() < 0 || report.epoch() > epoch) {
    return absl::InvalidArgumentError(
        absl::StrCat("a report of membership epoch ", report.epoch(),
                     "; the latest is ", epoch));
  }
  if (absl::Status status = CheckScalars(report.scalars()); !status.ok()) {
    return status;
  }
  if (!IsSize(report.examples()) || !IsSize(report.neighbour_distance()) ||
      !IsSize(report.seconds())) {
    return absl::InvalidArgumentError(
        "examples, neighbour_distance and seconds must be finite and >= 0");
  }
  if (std::min(report.used_edges(), report.lost_edges()) < 0 ||
      std::max(report.used_edges(), report.lost_edges()) > peers) {
    return absl::InvalidArgumentError(absl::StrCat("more edges than the ",
                                                   peers,
                                                   " peers have, or fewer "
                                                   "than none"));
  }
  if (std::max(report.bytes_sent(), report.bytes_received()) > kMaxBytes) {
    return absl::InvalidArgumentError("more bytes than a round can have");
  }
  std::set<int32_t> receivers;
  for (const v1::PeerReport::EdgeTraffic& edge : report.sent()) {
    if (edge.peer() < 0 || edge.peer() >= peers || edge.bytes() > kMaxBytes ||
        !receivers.insert(edge.peer()).second) {
      return absl::InvalidArgumentError(
          "traffic to a peer that is not there or named twice, or too much");
    }
    if (!IsBalance(edge.flow()) || !IsBalance(edge.flow_omega()) ||
        !IsBalance(edge.doubt()) || !IsBalance(edge.doubt_omega()) ||
        edge.doubt() < 0 || edge.doubt_omega() < 0) {
      return absl::InvalidArgumentError(
          "a flow, or what is in doubt of it, that is no number, or more than "
          "there can be");
    }
  }
  if (!IsSize(report.omega()) || report.omega() > kMostBalance ||
      !IsBalance(report.sum()) || !IsBalance(report.added()) ||
      !IsBalance(report.added_omega()) || !IsBalance(report.gone_flow()) ||
      !IsBalance(report.gone_flow_omega())) {
    return absl::InvalidArgumentError(
        "omega must be >= 0, and it, sum and what made them not too large");
  }
  if (absl::Status status = CheckScalars(report.evaluation()); !status.ok()) {
    return status;
  }
  if (report.sent_sketch_size() != report.mixed_sketch_size() ||
      report.sent_sketch_size() > kMaxSketchNumbers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sketches of ", report.sent_sketch_size(), " and ",
        report.mixed_sketch_size(), " numbers; equally many, at most ",
        kMaxSketchNumbers, ", are taken"));
  }
  if (!AllFinite(report.sent_sketch()) || !AllFinite(report.mixed_sketch())) {
    return absl::InvalidArgumentError(
        "a sketch has numbers that are infinite or none");
  }
  return absl::OkStatus();
}

absl::Status CheckPeerDone(const v1::PeerDone& done) {
  if (absl::Status status = CheckScalars(done.evaluation()); !status.ok()) {
    return status;
  }
  return CheckScalars(done.own_evaluation());
}

absl::Status CheckPeer(const v1::Register& request, const v1::RunConfig& config,
                       const PeerTable& peers) {
  const auto& features = request.features();
  if (std::find(features.begin(), features.end(), kGossipFeature) ==
      features.end()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "run ", config.name(),
        " is gossip between peers, which this client cannot do (it does not "
        "list \"",
        kGossipFeature,
        "\" among its features): use the parley-client of this release"));
  }
  if (config.data().has_train() && !request.wants_part()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "run ", config.name(),
        " deals its data.train out to the peers: start the client with --data "
        "part:auto"));
  }
  if (!peers.Takes(request.name())) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", config.name(), " has its ", peers.peers(),
                     " peers, and no place for '", request.name(), "'"));
  }
  if (request.peer_address().empty()) return absl::OkStatus();
  return CheckAddress(request.peer_address());
}

}  // namespace parley
