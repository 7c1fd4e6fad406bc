#include "client/gossip/gossip_run.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/config/run_gossip.h"
#include "common/config/start.h"
#include "common/wire/checksum.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

uint64_t RunId(v1::RunConfig config, const ParameterVector& start,
               const Membership& membership) {
  config.mutable_data()->clear_train();
  config.mutable_data()->clear_test();
  config.mutable_data()->mutable_partition()->clear_index_file();
  config.clear_start();
  std::string text;
  {
    google::protobuf::io::StringOutputStream stream(&text);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    config.SerializeToCodedStream(&out);
  }
  absl::StrAppend(&text, "\n", start.Hash(), "\n", membership.epoch);
  for (const GossipPeer& peer : membership.peers) {
    absl::StrAppend(&text, "\n", peer.name, " ", peer.address);
  }
  return Checksum(text);
}

}  // namespace

absl::StatusOr<GossipRun> MakeGossipRun(const v1::RunConfig& config,
                                        const Membership& membership) {
  if (!config.has_gossip()) {
    return absl::InvalidArgumentError(
        "the run file has no gossip { }; it is for a coordinator");
  }
  GossipRun run;
  PARLEY_ASSIGN_OR_RETURN(run.spec, ModelSpecOf(config));
  GossipNodeOptions& node = run.node;
  node.algorithm = AlgorithmOptionsOf(config);
  PARLEY_ASSIGN_OR_RETURN(
      run.schedule,
      Schedule::Create(
          GossipTopologyOf(config),
          {.seed = config.seed(),
           .epoch = membership.epoch,
           .peers = static_cast<int64_t>(membership.peers.size())}));
  PARLEY_ASSIGN_OR_RETURN(node.start, StartOf(config));
  for (const GossipPeer& peer : membership.peers) {
    node.machine.names.push_back(peer.name);
    node.addresses.push_back(peer.address);
  }
  node.machine.rounds = config.stop().rounds();
  node.machine.average_every = config.gossip().average_every();
  node.machine.edge_timeout = absl::Seconds(config.gossip().edge_seconds());
  v1::PeerHello& hello = node.machine.hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_run(config.name());
  hello.set_run_id(RunId(config, node.start, membership));
  hello.set_spec_hash(run.spec.Hash());
  hello.set_epoch(membership.epoch);
  hello.set_software(absl::StrCat("parley ", kVersion));
  return run;
}

}  // namespace parley
