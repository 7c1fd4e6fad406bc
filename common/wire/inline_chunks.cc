#include "common/wire/inline_chunks.h"

#include "common/base/status_macros.h"

namespace parley {

InlineChunks ReadAll(ChunkSource& source) {
  InlineChunks chunks;
  while (const std::optional<ChunkView> view = source.Next()) {
    v1::Chunk& chunk = *chunks.Add();
    chunk.set_payload(view->header.payload);
    chunk.set_offset(view->header.offset);
    chunk.set_checksum(view->header.checksum);
    chunk.set_data(view->data.data(), view->data.size());
  }
  return chunks;
}

absl::Status WriteAll(const InlineChunks& chunks, ChunkSink& sink) {
  for (const v1::Chunk& chunk : chunks) {
    const absl::string_view data = chunk.data();
    PARLEY_RETURN_IF_ERROR(sink.Write({.payload = chunk.payload(),
                                       .offset = chunk.offset(),
                                       .checksum = chunk.checksum()},
                                      {data}));
  }
  return sink.Finish().status();
}

}  // namespace parley
