// What is known of other blocks: a clock of each of their warps, by the block's number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace hone::sim {

// Never changes. One that is made from another shares its pages: where every block of a large
// launch goes past one counter, each learns what all before it did.
class BlockClocks {
 public:
  BlockClocks(std::uint64_t block, const std::uint32_t* clocks, std::size_t warps);
  // A clock per warp, 0 where nothing is known; nullptr: nothing is known of the whole block.
  const std::uint32_t* find(std::uint64_t block) const;

  // The later of both for each warp; nullptr knows nothing. `a` itself when `b` has no news for it.
  static std::shared_ptr<const BlockClocks> merge(const std::shared_ptr<const BlockClocks>& a,
                                                  const std::shared_ptr<const BlockClocks>& b);

 private:
  static constexpr std::size_t kBlocks = 64;  // of a page
  using Page = std::vector<std::uint32_t>;    // [block][warp]
  std::size_t warps_;
  std::vector<std::shared_ptr<const Page>> pages_;  // nullptr: nothing is known
};

}  // namespace hone::sim
