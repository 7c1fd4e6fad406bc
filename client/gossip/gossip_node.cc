#include "client/gossip/gossip_node.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/gossip/lane.h"
#include "common/base/lifetime.h"
#include "common/base/status_macros.h"
#include "common/base/wake_timer.h"

namespace parley {
namespace {

// Of the machine that follows the pairwise one: all peers were there just now,
// so it does not wait for ever for those that are not.
GossipMachineOptions ForTheAverage(GossipMachineOptions options) {
  options.first_round = options.rounds + 1;
  options.start_wait = std::min(
      options.start_wait, GossipMachine::kAloneAfter * options.edge_timeout);
  return options;
}

}  // namespace

// All but Start, Stop, Leave, Accept and the destructor runs on the sequence,
// or on `work` where it says so.
class GossipNode::Impl {
 public:
  Impl(GossipNodeOptions options, GossipNodeSeams seams,
       std::unique_ptr<PeerState> state)
      : options_(std::move(options)),
        seams_(seams),
        addresses_(options_.addresses),
        state_(std::move(state)),
        machine_(TraitsOf(options_.algorithm).pairs
                     ? ForTheAverage(options_.machine)
                     : options_.machine,
                 seams.plan, Jitter()),
        timer_(seams.clock, &sequence_, [this] { Wake(); }),
        training_(seams.work, seams.control, &sequence_),
        mixing_(seams.work, seams.control, &sequence_),
        sequence_(seams.control) {
    if (!TraitsOf(options_.algorithm).pairs) return;
    pairwise_.emplace(options_.machine, seams.plan, options_.algorithm.seed,
                      Jitter());
    pairs_ = true;
  }

  ~Impl() {
    lifetime_.AwaitEnd([this] { Stop("the peer ends"); });
  }

  void Start(Done done) {
    lifetime_.Start();
    sequence_.Post([this, done = std::move(done)]() mutable {
      done_ = std::move(done);
      round_began_ = seams_.clock->Now();
      Handle(gossip_event::Started{});
    });
  }

  void ChangeMembership(GossipMembership membership) {
    Post(gossip_event::MembershipChanged{std::move(membership)});
  }

  void Stop(std::string reason) {
    Post(gossip_event::StopRequested{std::move(reason)});
  }

  void Leave(std::string reason) {
    Post(gossip_event::LeaveRequested{std::move(reason)});
  }

  PeerLinkListener* Accept(PeerOrigin origin, std::unique_ptr<PeerLink> link) {
    const uint64_t number = accepted_ += 2;
    auto connection = std::make_unique<Connection>(this, number);
    connection->link = std::move(link);
    PeerLinkListener* listener = connection.get();
    sequence_.Post([this, number, connection = std::move(connection),
                    origin = std::move(origin)]() mutable {
      if (exit_) return;
      links_[number] = std::move(connection);
      Handle(
          gossip_event::Accepted{number, std::move(origin.certificate_name)});
    });
    return listener;
  }

  const PeerState& state() const { return *state_; }
  const GossipMachine& machine() const { return machine_; }
  const PairwiseMachine* pairwise() const {
    return pairwise_ ? &*pairwise_ : nullptr;
  }

 private:
  Rng Jitter() const {
    return Rng(options_.machine.hello.incarnation(),
               options_.machine.hello.name(), 0, "jitter");
  }

  // One link; says what it hears of it on the sequence.
  class Connection final : public PeerLinkListener {
   public:
    Connection(Impl* impl, uint64_t number) : impl_(impl), number_(number) {}
    void OnMessage(v1::PeerMessage message) override {
      impl_->Post(gossip_event::Received{number_, std::move(message)});
    }
    void OnPayload(const absl::StatusOr<uint64_t>& bytes) override {
      impl_->Post(gossip_event::PayloadEnded{number_, bytes.status(),
                                             bytes.value_or(0)});
    }
    void OnClosed(const absl::Status& status) override {
      impl_->Post(gossip_event::Closed{number_, status});
    }

    std::unique_ptr<PeerLink> link;  // goes first

   private:
    Impl* const impl_;
    const uint64_t number_;
  };

  void Post(GossipEvent event) {
    sequence_.Post([this, event = std::move(event)]() mutable {
      Handle(std::move(event));
    });
  }

  void Handle(GossipEvent event) {
    if (const auto* e = std::get_if<gossip_event::PayloadEnded>(&event)) {
      round_.bytes_received += e->bytes;
    }
    std::optional<uint64_t> closed;
    if (const auto* e = std::get_if<gossip_event::Closed>(&event)) {
      closed = e->link;
    }
    const absl::Time now = seams_.clock->Now();
    for (GossipEffect& effect : pairs_ ? pairwise_->Step(std::move(event), now)
                                       : machine_.Step(std::move(event), now)) {
      std::visit([this](auto& e) { Perform(e); }, effect);
    }
    if (closed) links_.erase(*closed);
    if (pairs_ && pairwise_->averages()) {
      pairs_ = false;
      links_.clear();
      return Handle(gossip_event::Started{});
    }
    SetTimer();
    FinishIfQuiet();
  }

  // ------------------------------------------------------------------- links

  PeerLink* LinkOf(uint64_t number) {
    const auto it = links_.find(number);
    return it == links_.end() ? nullptr : it->second->link.get();
  }
  void Perform(gossip_effect::Dial& e) {
    auto connection = std::make_unique<Connection>(this, e.link);
    connection->link =
        seams_.transport->Dial(addresses_[e.peer], connection.get());
    links_[e.link] = std::move(connection);
  }
  void Perform(gossip_effect::HangUp& e) { links_.erase(e.link); }
  void Perform(gossip_effect::Send& e) {
    if (PeerLink* link = LinkOf(e.link)) link->Send(e.message);
  }
  void Perform(gossip_effect::Arm& e) {
    if (PeerLink* link = LinkOf(e.link)) {
      link->ReceivePayload(state_->Staging(e));
    }
  }
  void Perform(gossip_effect::SendPayload& e) {
    if (e.step.use() != v1::COPY_MODEL) {
      return SendPayload(e, state_->Source(e.peer, e.step));
    }
    // Doubts that are settled may change the model just now.
    mixing_.Run([this, e]() -> Closure {
      return [this, e, source = state_->Source(e.peer, e.step)] {
        SendPayload(e, source);
        FinishIfQuiet();
      };
    });
  }
  void SendPayload(const gossip_effect::SendPayload& e,
                   std::shared_ptr<ChunkSource> source) {
    PeerLink* link = LinkOf(e.link);
    if (link == nullptr) return;
    v1::PeerMessage message;
    v1::PeerBegin& begin = *message.mutable_begin();
    *begin.mutable_step() = e.step;
    begin.set_schedule_hash(machine_.schedule_hash());
    begin.set_weight(state_->OmegaOf(e.step));
    if (e.scale != 1) begin.set_scale(e.scale);
    begin.add_bytes(state_->BytesOf(e.peer, e.step));
    round_.bytes_sent += begin.bytes(0);
    round_.sent[e.peer] += begin.bytes(0);
    link->SendPayload(message, std::move(source));
  }

  // -------------------------------------------------------------------- work

  void Perform(gossip_effect::Train& e) {
    if (!pairs_ && !mixing_.busy()) return Train(e.round);
    // Doubts that are settled change the model first.
    mixing_.Run([this, round = e.round]() -> Closure {
      state_->TakeSnapshot();
      return [this, round] {
        if (!exit_) Train(round);
        FinishIfQuiet();
      };
    });
  }
  void Train(int64_t round) {
    training_.Run([this, round]() -> Closure {
      TrainTask task;
      task.round = round;
      task.client = options_.machine.hello.name();
      absl::StatusOr<TrainResult> result = state_->Train(seams_.trainer, task);
      return [this, result = std::move(result)] {
        if (result.ok()) round_.trained = *result;
        Handle(gossip_event::Trained{result.status()});
      };
    });
  }
  void Perform(gossip_effect::Prepare& e) {
    mixing_.Run([this, e]() -> Closure {
      state_->Prepare(e.round, e.plain);
      return [this] { Handle(gossip_event::Prepared{}); };
    });
  }
  void Perform(gossip_effect::Fold& e) {
    mixing_.Run([this, e]() -> Closure {
      state_->Fold(e);
      return [this] { Handle(gossip_event::Staged{}); };
    });
  }
  void Perform(gossip_effect::Give& e) {
    mixing_.Run([this, e]() -> Closure {
      state_->Give(e.peer, e.weight);
      return [this] { FinishIfQuiet(); };
    });
  }
  void Perform(gossip_effect::KeepDoubt& e) {
    mixing_.Run([this, e]() -> Closure {
      state_->KeepDoubt(e);
      if (e.step.use() != v1::EXCHANGE) return [this] { FinishIfQuiet(); };
      return [this] { Handle(gossip_event::Staged{}); };
    });
  }
  void Perform(gossip_effect::Settle& e) {
    mixing_.Run([this, e]() -> Closure {
      state_->Settle(e);
      return [this] { FinishIfQuiet(); };
    });
  }
  void Perform(gossip_effect::TakeModel&) {
    mixing_.Run([this]() -> Closure {
      state_->TakeModel();
      return [this] { Handle(gossip_event::Staged{}); };
    });
  }
  void Perform(gossip_effect::TakeNothing&) {
    mixing_.Run([this]() -> Closure {
      state_->TakeNothing();
      return [this] { FinishIfQuiet(); };
    });
  }
  void Perform(gossip_effect::ChangeEpoch& e) {
    addresses_ = e.addresses;
    mixing_.Run([this, e = std::move(e)]() -> Closure {
      state_->ChangeEpoch(e);
      return [this] { FinishIfQuiet(); };
    });
  }
  void Perform(gossip_effect::CloseAverage& e) {
    mixing_.Run([this, e]() -> Closure {
      state_->CloseAverage(e.applied);
      return [this] { FinishIfQuiet(); };
    });
  }
  void Perform(gossip_effect::Mix& e) {
    mixing_.Run([this, round = e.round]() -> Closure {
      const absl::Status status = state_->Mix();
      return [this, round, status] {
        TellRound(round);
        Handle(gossip_event::Mixed{status});
      };
    });
  }

  void TellRound(int64_t round) {
    const absl::Time now = seams_.clock->Now();
    round_.round = std::min(round, options_.machine.rounds + 1);
    round_.used_edges =
        pairs_ ? pairwise_->used_edges() : machine_.used_edges();
    round_.lost_edges =
        pairs_ ? pairwise_->lost_edges() : machine_.lost_edges();
    const double distance = state_->neighbour_distance();
    round_.neighbour_distance = std::isfinite(distance) ? distance : 0;
    round_.elapsed = now - std::exchange(round_began_, now);
    if (options_.on_round) options_.on_round(round_, *state_);
    round_ = GossipRound();
  }

  void Perform(gossip_effect::Say& e) {
    options_.log ? options_.log(e.level, e.text) : Log(e.level, e.text);
  }
  void Perform(gossip_effect::Exit& e) {
    exit_ = std::move(e.status);
    training_.Clear();
  }

  // ------------------------------------------------------------ time and end

  void SetTimer() {
    if (exit_) return timer_.Cancel();
    timer_.SetBy(pairs_ ? pairwise_->wake_at() : machine_.wake_at());
  }
  void Wake() {
    gossip_event::TimerFired fired;
    for (const auto& [link, connection] : links_) {
      fired.chunks.emplace_back(link, connection->link->chunks());
    }
    Handle(std::move(fired));
  }

  void FinishIfQuiet() {
    if (!exit_ || training_.busy() || mixing_.busy() || !done_) return;
    links_.clear();
    if (exit_->ok() && !machine_.left() && state_->omega() == 0 &&
        machine_.round() > options_.machine.rounds) {
      exit_ = absl::UnavailableError(
          "it joined, but no other peer gave it anything of the model");
    }
    Done done = std::exchange(done_, nullptr);
    lifetime_.End();
    std::move(done)(*exit_);
  }

  // Constant after construction.
  const GossipNodeOptions options_;
  const GossipNodeSeams seams_;

  // Of the sequence; `state_` also of the lanes.
  std::vector<std::string> addresses_;  // by index in the epoch
  const std::unique_ptr<PeerState> state_;
  GossipMachine machine_;
  std::optional<PairwiseMachine> pairwise_;
  bool pairs_ = false;  // the pairwise machine is at work
  Done done_;
  std::optional<absl::Status> exit_;
  std::map<uint64_t, std::unique_ptr<Connection>> links_;
  GossipRound round_;
  absl::Time round_began_;
  WakeTimer timer_;

  Lifetime lifetime_;
  std::atomic<uint64_t> accepted_ = 0;  // the last such link

  Lane training_;
  Lane mixing_;
  Sequence sequence_;  // last: goes first
};

absl::StatusOr<std::unique_ptr<GossipNode>> GossipNode::Create(
    GossipNodeOptions options, GossipNodeSeams seams) {
  const AlgorithmTraits traits = TraitsOf(options.algorithm);
  const Schedule& schedule = seams.plan->schedule();
  if (traits.symmetric && !schedule.symmetric()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.algorithm.kind,
                     " needs a topology whose edges have no direction"));
  }
  if (traits.fixed && schedule.period() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.algorithm.kind, " needs a topology that stays as it is"));
  }
  if (traits.pairs && options.machine.joins) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.algorithm.kind,
        " keeps the peers that it begins with: nobody joins under way"));
  }
  const size_t peers = static_cast<size_t>(seams.plan->peers());
  const v1::PeerHello& hello = options.machine.hello;
  if (options.addresses.size() != peers ||
      options.machine.names.size() != peers || hello.index() < 0 ||
      static_cast<size_t>(hello.index()) >= peers) {
    return absl::InvalidArgumentError(
        absl::StrCat("peer ", hello.index(), " with ", options.addresses.size(),
                     " addresses and ", options.machine.names.size(),
                     " names of ", peers, " peers"));
  }
  options.machine.trains_first = traits.trains_first;
  options.machine.flows = traits.flows || !schedule.symmetric();
  if (traits.averages) options.machine.average_every = 1;
  options.machine.hello.set_schedule_hash(schedule.hash());
  PARLEY_ASSIGN_OR_RETURN(
      std::unique_ptr<PeerState> state,
      PeerState::Create(options.algorithm, std::move(options.start),
                        hello.index(), static_cast<int>(peers),
                        options.machine.joins && options.machine.flows));
  return std::unique_ptr<GossipNode>(new GossipNode(
      std::make_unique<Impl>(std::move(options), seams, std::move(state))));
}

GossipNode::GossipNode(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GossipNode::~GossipNode() = default;

void GossipNode::Start(Done done) { impl_->Start(std::move(done)); }
void GossipNode::ChangeMembership(GossipMembership membership) {
  impl_->ChangeMembership(std::move(membership));
}
void GossipNode::Stop(std::string reason) { impl_->Stop(std::move(reason)); }
void GossipNode::Leave(std::string reason) { impl_->Leave(std::move(reason)); }
PeerLinkListener* GossipNode::Accept(PeerOrigin origin,
                                     std::unique_ptr<PeerLink> link) {
  return impl_->Accept(std::move(origin), std::move(link));
}
const PeerState& GossipNode::state() const { return impl_->state(); }
const GossipMachine& GossipNode::machine() const { return impl_->machine(); }
bool GossipNode::left() const {
  return machine().left() || (pairwise() != nullptr && pairwise()->left());
}
const PairwiseMachine* GossipNode::pairwise() const {
  return impl_->pairwise();
}

}  // namespace parley
