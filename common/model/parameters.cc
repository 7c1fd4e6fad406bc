#include "common/model/parameters.h"

#include <sys/mman.h>
#include <xxhash.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/base/log.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 40;
constexpr size_t kAlignment = 64;
// From so many bytes on a vector is mapped by itself, and its memory is the
// system's again when it goes. The heap would keep it, and one for each thread:
// a peer took four models more than it held. Below, the heap is faster, as its
// pages are there already.
constexpr size_t kMappedBytes = 8 << 20;

// Preceded by its size.
char* Allocate(size_t bytes, bool zeros) {
  const size_t size =
      (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  void* block;
  if (size >= kMappedBytes) {
    block = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) block = nullptr;
    // A hint: a page fault for each 4 KiB would cost more than the numbers do.
    if (block != nullptr) madvise(block, size, MADV_HUGEPAGE);
  } else {
    block = std::aligned_alloc(kAlignment, size);
    if (block != nullptr && zeros) std::memset(block, 0, size);
  }
  if (block == nullptr) {
    Fatal(__FILE__, __LINE__, absl::StrCat("no memory for ", size, " bytes"));
  }
  std::memcpy(block, &size, sizeof(size));
  return static_cast<char*>(block) + kAlignment;
}

void Release(char* numbers) {
  char* const block = numbers - kAlignment;
  size_t size;
  std::memcpy(&size, block, sizeof(size));
  if (size >= kMappedBytes) {
    munmap(block, size);
  } else {
    std::free(block);
  }
}

// Those that the canonical text can hold without quoting.
bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("._-/:").find(c) != absl::string_view::npos;
}

const char* Name(MergeRule merge) {
  switch (merge) {
    case MergeRule::kMean:
      return "mean";
    case MergeRule::kLocal:
      return "local";
    case MergeRule::kCopy:
      return "copy";
  }
  Fatal(__FILE__, __LINE__, "bad MergeRule");
}

absl::Status CheckName(const std::string& name) {
  if (name.empty()) return absl::InvalidArgumentError("a tensor has no name");
  for (char c : name) {
    if (!IsNameCharacter(c)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor name '", absl::CHexEscape(name),
                       "' may hold letters, digits and . _ - / : only"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

const char* Name(DType t) {
  return t == DType::kFloat32 ? "float32" : "float64";
}

int64_t TensorSpec::elements() const {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

absl::StatusOr<ParameterSpec> ParameterSpec::Create(
    DType dtype, std::vector<TensorSpec> tensors) {
  ParameterSpec spec;
  spec.dtype_ = dtype;
  spec.offsets_.reserve(tensors.size());
  absl::flat_hash_set<absl::string_view> names;
  for (const TensorSpec& tensor : tensors) {
    if (absl::Status status = CheckName(tensor.name); !status.ok()) {
      return status;
    }
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two tensors are named '", tensor.name, "'"));
    }
    int64_t elements = 1;
    for (int64_t extent : tensor.shape) {
      if (extent < 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("tensor '", tensor.name, "' has extent ", extent));
      }
      if (extent > 0 && elements > kMaxElements / extent) {
        return absl::InvalidArgumentError(absl::StrCat(
            "tensor '", tensor.name, "' has more than 2^40 elements"));
      }
      elements *= extent;
    }
    spec.offsets_.push_back(spec.elements_);
    spec.elements_ += elements;
    if (spec.elements_ > kMaxElements) {
      return absl::InvalidArgumentError(
          "the tensors have more than 2^40 elements in all");
    }
  }
  spec.tensors_ = std::move(tensors);
  return spec;
}

std::string ParameterSpec::ToString() const {
  std::string text = absl::StrCat(parley::Name(dtype_), ";");
  for (const TensorSpec& tensor : tensors_) {
    absl::StrAppend(&text, tensor.name, "[", absl::StrJoin(tensor.shape, ","),
                    "]", Name(tensor.merge), ";");
  }
  return text;
}

uint64_t ParameterSpec::Hash() const {
  const std::string text = ToString();
  return XXH3_64bits(text.data(), text.size());
}

ParameterVector::ParameterVector(DType dtype, int64_t elements)
    : dtype_(dtype), elements_(elements) {
  PARLEY_CHECK(elements >= 0);
  if (elements == 0) return;
  data_.reset(Allocate(static_cast<size_t>(bytes()), /*zeros=*/true));
}

ParameterVector ParameterVector::Uninitialized(DType dtype, int64_t elements) {
  PARLEY_CHECK(elements >= 0);
  ParameterVector vector(dtype, 0);
  vector.elements_ = elements;
  if (elements > 0) {
    vector.data_.reset(
        Allocate(static_cast<size_t>(vector.bytes()), /*zeros=*/false));
  }
  return vector;
}

void ParameterVector::Free::operator()(char* p) const { Release(p); }

void ParameterVector::Expect(DType dtype) const {
  // An empty vector has no numbers that could be taken for others.
  PARLEY_CHECK(dtype == dtype_ || elements_ == 0);
}

ParameterVector ParameterVector::Clone() const {
  ParameterVector copy = Uninitialized(dtype_, elements_);
  if (elements_ > 0) std::memcpy(copy.data(), data(), bytes());
  return copy;
}

bool ParameterVector::AllFinite() const {
  if (dtype_ == DType::kFloat32) {
    return KernelsFor<float>().all_finite(elements_, As<float>().data());
  }
  return KernelsFor<double>().all_finite(elements_, As<double>().data());
}

uint64_t ParameterVector::Hash() const { return XXH3_64bits(data(), bytes()); }

}  // namespace parley
