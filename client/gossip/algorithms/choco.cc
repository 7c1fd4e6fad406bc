// CHOCO-SGD (Koloskova et al. 2019, arXiv 1907.09356, algorithm 1): peers send
// compressed differences q to public copies x̂ of their models, which their
// neighbours follow: q = Q(x + Δ − x̂); x̂ ← x̂ + q;
// x ← x + Δ + γ·Σ_k W_jk·(x̂_k − x̂_j). What Q leaves out stays in x + Δ − x̂ and
// goes later: error feedback.
//
// Keeps e_k = W_jk·(x̂_k − x̂_j) for each neighbour k, the exact negative of what
// k keeps, so that an edge that is lost for a round is left out at both ends.
// The first exchange after that, and in an epoch, sends x̂ in full. Who is in
// doubt about the last exchange does so, too, while the other end may send the
// difference: each takes what comes, and next time both send x̂ in full.
#include <map>
#include <set>

#include "client/gossip/algorithms/algorithms.h"
#include "client/gossip/algorithms/compressor.h"
#include "client/gossip/byte_chunks.h"
#include "client/gossip/number_chunks.h"
#include "client/gossip/vectors.h"

namespace parley {
namespace {

// The payloads of an exchange: one of the two.
constexpr uint32_t kShort = 0;
constexpr uint32_t kFull = 1;

// Takes either, and says which one came.
class EitherSink final : public PayloadSink {
 public:
  EitherSink(std::unique_ptr<PayloadSink> in_short,
             std::unique_ptr<PayloadSink> in_full,
             std::shared_ptr<bool> full_came)
      : short_(std::move(in_short)),
        full_(std::move(in_full)),
        full_came_(std::move(full_came)) {}
  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override {
    if (!begun_) *full_came_ = header.payload == kFull;
    begun_ = true;
    return sink().Write(header, pieces);
  }
  absl::StatusOr<uint64_t> Finish() override { return sink().Finish(); }

 private:
  PayloadSink& sink() const { return *full_came_ ? *full_ : *short_; }

  const std::unique_ptr<PayloadSink> short_, full_;
  const std::shared_ptr<bool> full_came_;
  bool begun_ = false;
};

class Choco final : public Algorithm, public EdgeStates {
 public:
  Choco(const AlgorithmOptions& options, int self, DType dtype,
        int64_t elements)
      : self_(self),
        gamma_(options.consensus_step),
        bytes_(CompressedBytes(options, SizeOf(dtype), elements)),
        compressor_(MakeCompressor(options, dtype, elements)),
        public_(std::make_shared<ParameterVector>(dtype, elements)) {}

  void Prepare(int64_t round, const ParameterVector& x,
               const ParameterVector& delta, ParameterVector* sent) override {
    round_ = round;
    // For transfers, which ask while edges are folded.
    full_.clear();
    all_full_ = !begins_ || round != 1;
    short_edges_.clear();
    maybe_short_.clear();
    for (const auto& [peer, edge] : edges_) {
      const bool follows = edge.round == round - 1;
      (follows && !edge.in_doubt ? short_edges_ : full_).insert(peer);
      if (follows && edge.in_doubt) maybe_short_.insert(peer);
    }
    CopyInto(x, sent);
    AddScaled(1, delta, sent);
    AddScaled(-1, *public_, sent);
    const CompressedBy by = {self_, round};
    short_ =
        std::make_shared<const std::string>(compressor_->Encode(by, *sent));
    // What it wrote itself it can read, but for numbers that bfloat16 lacks:
    // then nobody follows, and the others refuse it.
    if (!compressor_->Decode(by, *short_, sent).ok()) SetZero(sent);
    if (!HeldAlone(public_)) {  // a transfer that was broken off reads it
      public_ = std::make_shared<ParameterVector>(public_->Clone());
    }
    AddScaled(1, *sent, public_.get());
  }

  EdgeStates* edge_states() override { return this; }

  void Fold(int peer, double weight, const ParameterVector& staged,
            const ParameterVector& sent, ParameterVector* mixed) override {
    AddScaled(gamma_, Follow(peer, weight, staged, sent).difference, mixed);
  }

  void Mix(ParameterVector* delta, const ParameterVector&,
           ParameterVector* mixed, ParameterVector* x) override {
    AddScaled(1, *delta, x);
    AddScaled(1, *mixed, x);
  }

  void FoldDoubt(int peer, double weight, const ParameterVector& staged,
                 const ParameterVector& sent, ParameterVector* kept) override {
    CopyInto(Follow(peer, weight, staged, sent).difference, kept);
    edges_[peer].in_doubt = true;
  }
  void MixLate(int peer, int64_t round, const ParameterVector& missed, int64_t,
               ParameterVector* x) override {
    AddScaled(gamma_, missed, x);
    if (round < epoch_begin_) return;  // another graph's
    Edge& edge = edges_[peer];
    if (edge.round == round) edge.in_doubt = false;  // else it has gone on
  }

  std::shared_ptr<ChunkSource> SourceFor(int peer) override {
    if (IsShort(peer)) return std::make_shared<ByteSource>(short_, kShort);
    return std::make_shared<NumberSource>(public_, 0, public_->elements(),
                                          kFull);
  }
  void BeginEpoch(int self, int64_t round) override {
    self_ = self;
    epoch_begin_ = round;
    edges_.clear();
    begins_ = false;
  }
  uint64_t BytesFor(int peer) override {
    return IsShort(peer) ? bytes_ : static_cast<uint64_t>(public_->bytes());
  }
  std::shared_ptr<PayloadSink> SinkFor(
      int peer, std::shared_ptr<ParameterVector> staged) override {
    full_came_ = std::make_shared<bool>(true);
    auto full = std::make_unique<NumberSink>(staged, kFull);
    if (!IsShort(peer) && !maybe_short_.contains(peer)) return full;
    auto in_short = std::make_unique<ByteSink>(
        bytes_, kShort,
        [compressor = compressor_, by = CompressedBy{peer, round_},
         staged = std::move(staged)](const std::string& bytes) {
          return compressor->Decode(by, bytes, staged.get());
        });
    return std::make_shared<EitherSink>(std::move(in_short), std::move(full),
                                        full_came_);
  }

 private:
  struct Edge {
    ParameterVector difference = {};  // e
    int64_t round = 0;                // the last that it is of; −1: none
    bool in_doubt = false;            // nobody knows whether that counts
  };

  // Whether both ends follow each other up to the last round.
  bool IsShort(int peer) const {
    return all_full_ ? short_edges_.contains(peer) : !full_.contains(peer);
  }

  const Edge& Follow(int peer, double weight, const ParameterVector& staged,
                     const ParameterVector& sent) {
    const bool is_short = !*full_came_;
    Edge& edge = edges_[peer];
    if (edge.difference.elements() == 0) {
      edge.difference = ParameterVector(sent.dtype(), sent.elements());
    }
    if (!is_short) SetZero(&edge.difference);
    AddDifference(weight, staged, is_short ? sent : *public_, &edge.difference);
    // Where the two ends did not send the same their sums differ by rounding.
    edge.round = is_short == IsShort(peer) ? round_ : -1;
    edge.in_doubt = false;
    return edge;
  }

  int self_;
  const double gamma_;
  const uint64_t bytes_;
  const std::shared_ptr<const Compressor> compressor_;  // shared with sinks
  int64_t round_ = 0;
  int64_t epoch_begin_ = 0;
  std::shared_ptr<ParameterVector> public_;   // x̂; shared with transfers
  std::shared_ptr<const std::string> short_;  // q as it is sent; likewise
  std::map<int, Edge> edges_;
  // Of the round: neighbours that follow, and those that do not; of others all
  // get x̂ in full, or none.
  std::set<int> short_edges_;
  std::set<int> full_;
  std::set<int> maybe_short_;  // of full_: what they send is not known
  bool all_full_ = false;
  bool begins_ = true;  // all x̂ are 0 in the first round
  std::shared_ptr<bool> full_came_;  // in what was staged; the sink writes it
};

}  // namespace

std::unique_ptr<Algorithm> MakeChoco(const AlgorithmOptions& options, int self,
                                     DType dtype, int64_t elements) {
  return std::make_unique<Choco>(options, self, dtype, elements);
}

}  // namespace parley
