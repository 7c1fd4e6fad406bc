#include "tests/bench/step/bare_eigen.h"

#include <Eigen/Dense>

namespace parley {
namespace {

using Matrix =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::VectorXf;

}  // namespace

double BareLogisticSteps(int64_t rows, int64_t features, const float* x,
                         const float* target, float step_size, int64_t steps,
                         float* w) {
  const Eigen::Map<const Matrix> xs(x, rows, features);
  const Eigen::Map<const VectorXf> t(target, rows);
  Eigen::Map<VectorXf> weight(w, features);
  VectorXf margin(rows), e(rows), slope(rows), gradient(features);
  double loss = 0;
  for (int64_t step = 0; step < steps; ++step) {
    margin.noalias() = xs * weight;
    margin = t.array() * (margin.array() + w[features]);
    e = (-margin.array().abs()).exp();
    loss = (e.array().log1p() + (-margin.array()).max(0.0f)).mean();
    slope = -t.array() * (margin.array() < 0).select(1.0f, e.array()) /
            (1 + e.array()) / static_cast<float>(rows);
    gradient.noalias() = xs.transpose() * slope;
    weight -= step_size * gradient;
    w[features] -= step_size * slope.sum();
  }
  return loss;
}

double BareMlpSteps(const BareMlpShape& s, const float* x, const float* target,
                    const std::vector<int64_t>& order, float step_size,
                    float* w) {
  Eigen::Map<Matrix> w0(w, s.hidden, s.features);
  Eigen::Map<VectorXf> b0(w0.data() + w0.size(), s.hidden);
  Eigen::Map<Matrix> w1(b0.data() + b0.size(), s.classes, s.hidden);
  Eigen::Map<VectorXf> b1(w1.data() + w1.size(), s.classes);
  Matrix in(s.batch, s.features), h(s.batch, s.hidden), p(s.batch, s.classes);
  Matrix d0(s.batch, s.hidden), g0(s.hidden, s.features);
  Matrix g1(s.classes, s.hidden);
  VectorXf gb0(s.hidden), gb1(s.classes), max(s.batch), sum(s.batch);
  double loss = 0;
  for (size_t begin = 0; begin + s.batch <= order.size(); begin += s.batch) {
    loss = 0;
    for (int64_t r = 0; r < s.batch; ++r) {
      in.row(r) = Eigen::Map<const Eigen::RowVectorXf>(
          x + order[begin + r] * s.features, s.features);
    }
    h.noalias() = in * w0.transpose();
    h.rowwise() += b0.transpose();
    h = h.cwiseMax(0.0f);
    p.noalias() = h * w1.transpose();
    p.rowwise() += b1.transpose();
    max = p.rowwise().maxCoeff();
    p.colwise() -= max;
    for (int64_t r = 0; r < s.batch; ++r) {
      loss -= p(r, static_cast<int64_t>(target[order[begin + r]]));
    }
    p = p.array().exp();
    sum = p.rowwise().sum();
    loss += sum.array().log().sum();
    p.array().colwise() /= sum.array();
    for (int64_t r = 0; r < s.batch; ++r) {
      p(r, static_cast<int64_t>(target[order[begin + r]])) -= 1;
    }
    p /= static_cast<float>(s.batch);
    g1.noalias() = p.transpose() * h;
    gb1 = p.colwise().sum();
    d0.noalias() = p * w1;
    d0 = (h.array() > 0).select(d0, 0.0f);
    g0.noalias() = d0.transpose() * in;
    gb0 = d0.colwise().sum();
    w0 -= step_size * g0;
    b0 -= step_size * gb0;
    w1 -= step_size * g1;
    b1 -= step_size * gb1;
    loss /= static_cast<double>(s.batch);
  }
  return loss;
}

}  // namespace parley
