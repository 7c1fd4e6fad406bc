#include "server/rendezvous/gossip_end.h"

#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/report/evaluations.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

template <typename Numbers>
std::optional<double> Read(const Numbers& numbers, const char* name) {
  const auto it = numbers.find(name);
  return it == numbers.end() ? std::nullopt : std::optional(it->second);
}

// Where some peers have the exact average and others do not.
std::string WithoutAverage(const PeerTable& peers) {
  int alone = 0;
  for (const PeerEntry& entry : peers.entries()) {
    alone += entry.done && !entry.done->averaged() ? 1 : 0;
  }
  if (alone == 0 || alone == peers.done()) return "";
  return absl::StrCat("; ", alone,
                      alone == 1 ? " ends with a model of its own"
                                 : " end with models of their own",
                      ", without the average");
}

}  // namespace

std::optional<RunEnd> EndOf(const PeerTable& peers) {
  if (peers.done() == 0 || peers.done() + peers.lost() < peers.peers()) {
    return std::nullopt;
  }
  std::string lost;
  const auto name = [&lost](const std::string& peer,
                            const std::string& reason) {
    absl::StrAppend(&lost, lost.empty() ? "" : "; ", peer, " ", reason);
  };
  for (const PeerEntry& entry : peers.entries()) {
    if (entry.lost && !entry.done) name(entry.name, entry.reason);
  }
  for (const auto& [peer, gone] : peers.gone()) name(peer, gone.reason);
  // Who took the average and died, or was done, could not tell them of it.
  const std::string alone = WithoutAverage(peers);
  if (lost.empty()) {
    return RunEnd(v1::FINISHED, absl::StrCat("all rounds are done", alone));
  }
  return RunEnd(
      v1::FINISHED,
      absl::StrCat(peers.done(), " of ", peers.peers() + peers.gone().size(),
                   " peers have done all rounds: ", Printable(lost), alone));
}

bool AddEvaluations(const PeerTable& peers, RoundReport* last) {
  std::set<uint64_t> hashes;
  for (const PeerEntry& entry : peers.entries()) {
    if (!entry.done) continue;
    const v1::PeerDone& done = *entry.done;
    if (done.averaged()) {
      hashes.insert(done.model_hash());
      if (last->model_hash == 0) last->model_hash = done.model_hash();
      if (!last->central.loss && !done.evaluation().empty()) {
        last->central = {.loss = Read(done.evaluation(), "loss"),
                         .accuracy = Read(done.evaluation(), "accuracy")};
      }
    }
    if (done.own_evaluation().empty() ||
        last->evaluations.size() >= kMaxEvaluations) {
      continue;
    }
    last->evaluations.push_back(
        {.client = entry.name,
         .examples = 1,
         .loss = Read(done.own_evaluation(), "loss"),
         .accuracy = Read(done.own_evaluation(), "accuracy")});
  }
  last->federated = MeanOf(last->evaluations);
  return hashes.size() <= 1;
}

}  // namespace parley
