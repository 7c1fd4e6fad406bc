#include "common/topology/drawing.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/topology/graphs/graphs.h"

namespace parley {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kWidest = 1600;  // of the document, unless one graph is wider
constexpr double kTop = 34;       // for the heading
constexpr double kCaption = 24;   // below a graph
constexpr int64_t kMostNumbered = 100;  // peers

constexpr char kStyle[] =
    "<style>\n"
    ".page{fill:#ffffff}.edge{stroke:#2463b8;fill:none;opacity:.7}\n"
    ".head{fill:#2463b8}.peer{fill:#e6eef8;stroke:#2463b8}\n"
    ".idle{fill:#f1f3f6;stroke:#c3cad2}\n"
    "text{fill:#1c2127;font-family:system-ui,sans-serif;text-anchor:middle}\n"
    "@media (prefers-color-scheme:dark){\n"
    ".page{fill:#1c2026}.edge{stroke:#6ba4ec}.head{fill:#6ba4ec}\n"
    ".peer{fill:#243144;stroke:#6ba4ec}.idle{fill:#22272e;stroke:#4a525c}\n"
    "text{fill:#e4e7eb}}\n"
    "</style>\n";

struct Point {
  double x = 0, y = 0;
};

bool InRows(const TopologyOptions& options) {
  return options.kind == "grid" || options.kind == "torus";
}

// Where the peers are, in a box from (0, 0), their circles included.
class Layout {
 public:
  Layout(const TopologyOptions& options, int64_t peers)
      : radius_(peers <= kMostNumbered ? 11
                : peers <= 400         ? 5
                                       : 2.5) {
    if (InRows(options)) {
      PlaceInRows(GridRows(options, peers), peers, options.kind == "torus");
    } else {
      PlaceAround(options.kind == "star" ? 1 : 0, peers);
    }
  }

  const Point& at(int64_t peer) const { return points_[peer]; }
  double radius() const { return radius_; }
  double width() const { return width_; }
  double height() const { return height_; }

  // Where an edge would run over peers between its ends: the control point of
  // a curve that does not.
  std::optional<Point> Bend(int64_t a, int64_t b) const {
    return columns_ > 0 ? BendInRows(a, b) : BendInCircle(a, b);
  }

 private:
  void PlaceInRows(int64_t rows, int64_t peers, bool closed) {
    columns_ = peers / rows;
    spacing_ = 5 * radius_;
    const double margin = 2 * radius_ + (closed ? 0.4 * spacing_ : 0);
    for (int64_t peer = 0; peer < peers; ++peer) {
      points_.push_back(
          {margin + spacing_ * static_cast<double>(peer % columns_),
           margin + spacing_ * static_cast<double>(peer / columns_)});
    }
    width_ = points_.back().x + margin;
    height_ = points_.back().y + margin;
  }

  // From the top, clockwise; the first `inside` peers in the middle.
  void PlaceAround(int64_t inside, int64_t peers) {
    const double count =
        static_cast<double>(std::max(peers - inside, int64_t{1}));
    const double ring = std::max(8 * radius_, count * 3 * radius_ / (2 * kPi));
    const double centre = ring + 2 * radius_;
    for (int64_t peer = 0; peer < peers; ++peer) {
      const double angle = 2 * kPi * static_cast<double>(peer - inside) / count;
      points_.push_back(peer < inside ? Point{centre, centre}
                                      : Point{centre + ring * std::sin(angle),
                                              centre - ring * std::cos(angle)});
    }
    width_ = height_ = 2 * centre;
    if (inside == 0) ring_ = ring;
  }

  // Those that close a torus.
  std::optional<Point> BendInRows(int64_t a, int64_t b) const {
    const int64_t across = std::abs(a % columns_ - b % columns_);
    const int64_t down = std::abs(a / columns_ - b / columns_);
    if (across + down < 2) return std::nullopt;
    const double out = 0.8 * spacing_;  // the curve reaches half of it
    return Point{(at(a).x + at(b).x) / 2 - (down > 0 ? out : 0),
                 (at(a).y + at(b).y) / 2 - (across > 0 ? out : 0)};
  }

  // Short ones, around few peers: towards the centre.
  std::optional<Point> BendInCircle(int64_t a, int64_t b) const {
    const int64_t peers = static_cast<int64_t>(points_.size());
    const int64_t steps = std::min(std::abs(a - b), peers - std::abs(a - b));
    if (ring_ == 0 || steps < 2) return std::nullopt;
    // How far the straight line is from the peers next to its ends.
    const double half = kPi / static_cast<double>(peers);
    const double clear =
        ring_ * (std::cos(static_cast<double>(steps - 2) * half) -
                 std::cos(static_cast<double>(steps) * half));
    const double wanted = 1.8 * radius_;
    if (clear >= wanted) return std::nullopt;
    const Point middle = {(at(a).x + at(b).x) / 2, (at(a).y + at(b).y) / 2};
    const double centre = width_ / 2;
    const double away = std::hypot(centre - middle.x, centre - middle.y);
    const double in = std::min(1.0, 2 * (wanted - clear) / away);
    return Point{middle.x + in * (centre - middle.x),
                 middle.y + in * (centre - middle.y)};
  }

  const double radius_;
  std::vector<Point> points_;
  double width_ = 0, height_ = 0;
  int64_t columns_ = 0;  // 0: not in rows
  double spacing_ = 0;
  double ring_ = 0;  // radius of the circle; 0: not in one, or around a centre
};

// One graph, from (0, 0).
class Graph {
 public:
  Graph(const Layout& layout, const Schedule& schedule, int64_t round,
        std::string* out)
      : layout_(layout), schedule_(schedule), round_(round), out_(*out) {}

  void Draw() {
    std::vector<bool> idle(schedule_.peers(), true);
    for (int64_t peer = 0; peer < schedule_.peers(); ++peer) {
      const MixingRow row = schedule_.Row(round_, peer);
      for (const PeerWeight& in : row.in) {
        if (in.peer == peer) continue;
        idle[peer] = idle[in.peer] = false;
        // One line stands for both directions.
        const bool both = Has(row.out, in.peer);
        if (!both || in.peer < peer) DrawEdge(in.peer, peer, in.weight, both);
      }
    }
    for (int64_t peer = 0; peer < schedule_.peers(); ++peer) {
      DrawPeer(peer, idle[peer]);
    }
  }

 private:
  static bool Has(const std::vector<PeerWeight>& side, int64_t peer) {
    return std::any_of(side.begin(), side.end(),
                       [peer](const PeerWeight& w) { return w.peer == peer; });
  }

  // The point `distance` from `from` on the way to `to`.
  static Point Towards(const Point& from, const Point& to, double distance) {
    const double share = distance / std::hypot(to.x - from.x, to.y - from.y);
    return {from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)};
  }

  void DrawEdge(int64_t from, int64_t to, double weight, bool both) {
    const Point a = layout_.at(from), b = layout_.at(to);
    const bool arrows = !schedule_.symmetric();
    absl::StrAppendFormat(&out_, "<path class=\"edge\" stroke-width=\"%.2f\"",
                          layout_.radius() / 11 * (0.7 + 3 * weight));
    const std::optional<Point> bend = layout_.Bend(from, to);
    // An arrow's tip is at the rim of its peer.
    const double cut = arrows ? layout_.radius() : 0;
    const Point start = Towards(a, bend.value_or(b), cut);
    const Point end = Towards(b, bend.value_or(a), cut);
    absl::StrAppendFormat(&out_, " d=\"M%.1f %.1f", start.x, start.y);
    if (bend.has_value()) {
      absl::StrAppendFormat(&out_, "Q%.1f %.1f %.1f %.1f\"", bend->x, bend->y,
                            end.x, end.y);
    } else {
      absl::StrAppendFormat(&out_, "L%.1f %.1f\"", end.x, end.y);
    }
    if (arrows) {
      absl::StrAppend(&out_, " marker-end=\"url(#head)\"",
                      both ? " marker-start=\"url(#head)\"" : "");
    }
    if (schedule_.peers() <= kMostNumbered) {
      absl::StrAppendFormat(&out_, "><title>%d %s %d: %.6g</title></path>\n",
                            from, arrows && !both ? "→" : "–", to, weight);
    } else {
      absl::StrAppend(&out_, "/>\n");
    }
  }

  void DrawPeer(int64_t peer, bool idle) {
    const Point& at = layout_.at(peer);
    absl::StrAppendFormat(
        &out_, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n",
        idle ? "idle" : "peer", at.x, at.y, layout_.radius());
    if (schedule_.peers() <= kMostNumbered) {
      absl::StrAppendFormat(
          &out_, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\">%d</text>\n",
          at.x, at.y + 3.5, peer);
    }
  }

  const Layout& layout_;
  const Schedule& schedule_;
  const int64_t round_;
  std::string& out_;
};

}  // namespace

std::string DrawTopology(const TopologyOptions& options,
                         const Schedule& schedule, int64_t rounds) {
  const Layout layout(options, schedule.peers());
  const std::string heading =
      absl::StrCat(options.kind, ", ", schedule.peers(),
                   schedule.peers() == 1 ? " peer" : " peers");
  const int64_t a_row = std::clamp<int64_t>(
      static_cast<int64_t>(kWidest / layout.width()), 1, rounds);
  const int64_t rows = (rounds + a_row - 1) / a_row;
  const double below = rounds > 1 ? kCaption : 0;
  // Wide enough for the heading too, of letters of 7.5 on average.
  const double width = std::max(layout.width() * static_cast<double>(a_row),
                                7.5 * static_cast<double>(heading.size()) + 24);
  const double height =
      kTop + (layout.height() + below) * static_cast<double>(rows);
  const double left = (width - layout.width() * static_cast<double>(a_row)) / 2;
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" "
      "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n",
      width, height, width, height);
  absl::StrAppend(
      &out, kStyle,
      "<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" "
      "markerWidth=\"");
  absl::StrAppendFormat(
      &out,
      "%.1f\" markerHeight=\"%.1f\" markerUnits=\"userSpaceOnUse\" "
      "orient=\"auto-start-reverse\"><path class=\"head\" "
      "d=\"M0 1L8 4L0 7Z\"/></marker></defs>\n"
      "<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n"
      "<text x=\"%.1f\" y=\"22\" font-size=\"14\">%s</text>\n",
      layout.radius() * 0.8, layout.radius() * 0.8, width / 2, heading);
  for (int64_t round = 0; round < rounds; ++round) {
    absl::StrAppendFormat(
        &out, "<g transform=\"translate(%.1f %.1f)\">\n",
        left + layout.width() * static_cast<double>(round % a_row),
        kTop + (layout.height() + below) * static_cast<double>(round / a_row));
    Graph(layout, schedule, round, &out).Draw();
    if (rounds > 1) {
      absl::StrAppendFormat(
          &out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\">%s</text>\n",
          layout.width() / 2, layout.height() + 10,
          schedule.period() == 0
              ? absl::StrCat("round ", round + 1)
              : absl::StrCat("round ", round + 1, " of ", schedule.period()));
    }
    absl::StrAppend(&out, "</g>\n");
  }
  absl::StrAppend(&out, "</svg>\n");
  return out;
}

}  // namespace parley
