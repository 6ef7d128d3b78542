#include "tuning_db/compression.h"

#include <fmt/format.h>
#include <zstd.h>

#include <memory>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr int kLevel = 6;  // shared objects shrink to a third here; higher levels win a few percent

}  // namespace

std::string compressed(std::string_view bytes) {
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                        ZSTD_freeCCtx);
  if (!context) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size =
      ZSTD_compress2(context.get(), frame.data(), frame.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) {
    throw Error(Code::kInternal, fmt::format("zstd can't compress {} bytes: {}", bytes.size(),
                                             ZSTD_getErrorName(size)));
  }
  frame.resize(size);
  return frame;
}

std::optional<std::string> decompressed(std::string_view frame) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > kMaxCodeBytes) {
    return std::nullopt;
  }
  // Kept: making a context costs more than decompressing a kernel.
  thread_local const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(
      ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (!context) throw std::bad_alloc();
  std::string bytes(static_cast<std::size_t>(size), '\0');
  const std::size_t got =
      ZSTD_decompressDCtx(context.get(), bytes.data(), bytes.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0 || got != bytes.size()) return std::nullopt;
  return bytes;
}

}  // namespace hone
