#include "common/topology/drawing.h"

#include <cmath>
#include <cstdlib>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/unit/topology/matrix.h"

namespace parley {
namespace {

int Count(absl::string_view text, absl::string_view word) {
  int count = 0;
  for (size_t at = text.find(word); at != absl::string_view::npos;
       at = text.find(word, at + word.size())) {
    ++count;
  }
  return count;
}

std::string Draw(const TopologyOptions& options, int64_t peers,
                 int64_t rounds = 1) {
  return DrawTopology(options, *Make(options, peers), rounds);
}

// The number that follows `name` in each element of the class.
std::vector<double> Numbers(const std::string& svg, const std::string& element,
                            const std::string& name) {
  std::vector<double> numbers;
  for (size_t at = svg.find(element); at != std::string::npos;
       at = svg.find(element, at + 1)) {
    const size_t value = svg.find(name, at) + name.size();
    numbers.push_back(std::strtod(svg.c_str() + value, nullptr));
  }
  return numbers;
}

TEST(Drawing, HasEachPeerAndEachEdgeOnce) {
  for (auto [kind, peers, edges] : {std::tuple{"ring", 16, 16},
                                    {"path", 5, 4},
                                    {"complete", 7, 21},
                                    {"star", 9, 8},
                                    {"hypercube", 16, 32},
                                    {"torus", 16, 32},
                                    {"grid", 16, 24},
                                    {"static_exponential", 5, 10}}) {
    SCOPED_TRACE(kind);
    const std::string svg = Draw({.kind = kind}, peers);
    EXPECT_EQ(Count(svg, "<circle class=\"peer\""), peers);
    EXPECT_EQ(Count(svg, "<path class=\"edge\""), edges);
    EXPECT_EQ(Count(svg, "<title>"), Count(svg, "</title>"));
    EXPECT_NE(svg.find(absl::StrCat(kind, ", ", peers, " peers")),
              std::string::npos);
    EXPECT_NE(svg.find("prefers-color-scheme:dark"), std::string::npos);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
  }
}

TEST(Drawing, DirectedEdgesHaveArrowsAndBothWaysTwo) {
  EXPECT_EQ(Count(Draw({.kind = "ring"}, 6), "marker-end"), 0);
  const std::string ring = Draw({.kind = "ring", .directed = true}, 6);
  EXPECT_EQ(Count(ring, "marker-end"), 6);
  EXPECT_EQ(Count(ring, "marker-start"), 0);
  EXPECT_NE(ring.find("<title>0 → 1: 0.5</title>"), std::string::npos);
  const std::string two = Draw({.kind = "ring", .directed = true}, 2);
  EXPECT_EQ(Count(two, "marker-end"), 1);
  EXPECT_EQ(Count(two, "marker-start"), 1);
}

TEST(Drawing, ChangingGraphsAreOnePictureARound) {
  const std::string svg = Draw({.kind = "one_peer_exponential"}, 16, 4);
  EXPECT_EQ(Count(svg, "<g transform"), 4);
  EXPECT_EQ(Count(svg, "<circle"), 64);
  EXPECT_NE(svg.find("round 4 of 4"), std::string::npos);
  const std::string drawn = Draw({.kind = "random_matching"}, 5, 4);
  EXPECT_EQ(Count(drawn, "<circle class=\"idle\""), 4);
  EXPECT_EQ(drawn.find("round 1 of"), std::string::npos);
  EXPECT_NE(drawn.find("round 1<"), std::string::npos);
}

TEST(Drawing, PeersAreApartAndInThePicture) {
  for (auto [kind, peers] : {std::pair{"ring", 3},
                             {"ring", 100},
                             {"star", 30},
                             {"grid", 30},
                             {"torus", 1024},
                             {"ring", 1}}) {
    SCOPED_TRACE(absl::StrCat(kind, " ", peers));
    const std::string svg = Draw({.kind = kind}, peers);
    const std::vector<double> x = Numbers(svg, "<circle", " cx=\""),
                              y = Numbers(svg, "<circle", " cy=\"");
    const double r = Numbers(svg, "<circle", " r=\"")[0];
    const double width = Numbers(svg, "<svg", " width=\"")[0],
                 height = Numbers(svg, "<svg", " height=\"")[0];
    ASSERT_EQ(x.size(), static_cast<size_t>(peers));
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_GT(x[i], r);
      EXPECT_LT(x[i] + r, width);
      EXPECT_LT(y[i] + r, height);
      for (size_t j = 0; j < i; ++j) {
        ASSERT_GT(std::hypot(x[i] - x[j], y[i] - y[j]), 2 * r);
      }
    }
  }
}

}  // namespace
}  // namespace parley
