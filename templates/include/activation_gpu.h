// The activations of gates and epilogues.
#pragma once
#include "numeric_gpu.h"

HONE_INLINE f32 sigmoid_times(f32 v) { return v / (1.0f + expf(-v)); }
HONE_INLINE f32 gelu(f32 v) { return 0.5f * v * (1.0f + erff(v * 0.70710678f)); }
HONE_INLINE f32 gelu_tanh(f32 v) {
  return 0.5f * v * (1.0f + tanhf(0.79788456f * (v + 0.044715f * v * v * v)));
}
HONE_INLINE f32 relu(f32 v) { return v < 0 ? 0.0f : v; }  // NaN stays
