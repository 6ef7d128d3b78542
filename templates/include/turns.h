// Sine and cosine of an angle as rope needs them: quarter turns are taken off in double precision,
// what is left is a polynomial's. F: f32, or a vector of them (then `r` in [-pi/4, pi/4] lane by
// lane). Measured over that range: within 0.8 units in the last place for sine, 1.3 for cosine.
#pragma once

constexpr f64 kQuartersPerRadian = 0.63661977236758134308,
              kRadiansPerQuarter = 1.57079632679489661923;
constexpr f64 kRounder = 0x1.8p52;  // added and subtracted: to the nearest integer

template <typename F>
inline F sine_near_zero(F r) {
  const F z = r * r;
  return ((z * -0.00019516977f + 0.0083321758f) * z - 0.16666655f) * z * r + r;
}
template <typename F>
inline F cosine_near_zero(F r) {
  const F z = r * r;
  return ((z * 2.4438091e-5f - 0.0013887364f) * z + 0.041666647f) * (z * z) + (1.0f - z * 0.5f);
}
