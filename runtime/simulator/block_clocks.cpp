#include "runtime/simulator/block_clocks.h"

#include <algorithm>
#include <functional>

namespace hone::sim {

BlockClocks::BlockClocks(std::uint64_t block, const std::uint32_t* clocks, std::size_t warps)
    : warps_(warps), pages_(block / kBlocks + 1) {
  Page page(kBlocks * warps);
  std::copy_n(clocks, warps, page.data() + block % kBlocks * warps);
  pages_.back() = std::make_shared<const Page>(std::move(page));
}

const std::uint32_t* BlockClocks::find(std::uint64_t block) const {
  const std::size_t at = block / kBlocks;
  if (at >= pages_.size() || pages_[at] == nullptr) return nullptr;
  return pages_[at]->data() + block % kBlocks * warps_;
}

std::shared_ptr<const BlockClocks> BlockClocks::merge(const std::shared_ptr<const BlockClocks>& a,
                                                      const std::shared_ptr<const BlockClocks>& b) {
  if (a == b || b == nullptr) return a;
  if (a == nullptr) return b;
  std::shared_ptr<BlockClocks> merged;
  for (std::size_t i = 0; i < b->pages_.size(); ++i) {
    const auto& theirs = b->pages_[i];
    const auto ours = i < a->pages_.size() ? a->pages_[i] : nullptr;
    if (theirs == nullptr || theirs == ours) continue;
    if (ours != nullptr &&
        std::equal(theirs->begin(), theirs->end(), ours->begin(), std::less_equal<>()))
      continue;
    if (merged == nullptr) {
      merged = std::make_shared<BlockClocks>(*a);
      merged->pages_.resize(std::max(a->pages_.size(), b->pages_.size()));
    }
    if (ours == nullptr) {
      merged->pages_[i] = theirs;
      continue;
    }
    Page page = *ours;
    for (std::size_t k = 0; k < page.size(); ++k) page[k] = std::max(page[k], (*theirs)[k]);
    merged->pages_[i] = std::make_shared<const Page>(std::move(page));
  }
  return merged == nullptr ? a : merged;
}

}  // namespace hone::sim
