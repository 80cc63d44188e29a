#pragma once
// Small networks of the kinds that are in use, as descriptions: each has what its large relatives
// have.

namespace s3::test {

/// Inverted bottlenecks with depthwise convolutions, hard-swish and squeeze-and-excite, as in
/// MobileNetV3 (Howard et al., ICCV 2019, section 5).
inline constexpr const char* mobile_net = R"(
input 16 16 3 mean=0.5 std=0.25
pad after=1 # as TensorFlow's convolutions do
conv stem 3 16 kernel=3 stride=2
bn stem.bn
hardswish h0
conv a.expand 16 32 kernel=1
bn a.bn1
hardswish
conv a.depthwise 32 32 kernel=3 padding=1 groups=32
bn a.bn2
hardswish a.wide
globalmean
conv a.squeeze 32 8 kernel=1
relu
conv a.excite 8 32 kernel=1
hardsigmoid
mul a.wide
conv a.project 32 16 kernel=1
bn a.bn3
add h0 name=a
conv b.expand 16 48 kernel=1
bn b.bn1
relu6
conv b.depthwise 48 48 kernel=5 stride=2 padding=2 groups=48
bn b.bn2
relu6
conv b.project 48 24 kernel=1
bn b.bn3
conv head 24 64 kernel=1
bn head.bn
hardswish
globalmean
flatten
linear classifier.0 64 32
hardswish
linear classifier.3 32 10
)";

/// A contracting and an expanding path with two skip connections (Ronneberger et al., MICCAI 2015),
/// which upsamples instead of transposing a convolution. Its output is a map of probabilities.
inline constexpr const char* u_net = R"(
input 12 16 1
conv down1 1 8 kernel=3 padding=1
bn down1.bn
relu skip1
maxpool kernel=2
conv down2 8 16 kernel=3 padding=1
bn down2.bn
relu skip2
maxpool kernel=2
conv middle 16 32 kernel=3 padding=1
bn middle.bn
relu
upsample
conv narrow 32 16 kernel=3 padding=1
concat skip2
relu
conv up2 32 16 kernel=3 padding=1
bn up2.bn
leakyrelu alpha=0.1
upsample wide factor=2x2
concat wide skip1 from=skip1 name=all
conv up1 32 8 kernel=3 padding=1
bn up1.bn
silu
conv out 8 2 kernel=1
sigmoid probabilities
)";

/// Depthwise-separable convolutions over 49 × 10 features, as an image (DS-CNN of Zhang et al.,
/// "Hello Edge", arXiv 1711.07128).
inline constexpr const char* keywords = R"(
input 49 10 1
conv first 1 16 kernel=10x4 stride=2 padding=5x1
bn first.bn
relu
conv depthwise1 16 16 kernel=3 padding=1 groups=16
bn depthwise1.bn
relu
conv pointwise1 16 16 kernel=1
bn pointwise1.bn
relu
conv depthwise2 16 16 kernel=3 padding=1 groups=16
bn depthwise2.bn
relu
conv pointwise2 16 16 kernel=1
bn pointwise2.bn
relu
avgpool kernel=25x5
flatten
linear fc 16 12
)";

/// The same features as a sequence of 49 steps, in one dimension, with a convolution of the past.
inline constexpr const char* sequence = R"(
input 49 10
conv first 10 24 kernel=5 stride=2 padding=2
bn first.bn
tanh
pad before=16
conv depthwise 24 24 kernel=9 dilation=2 groups=24
bn depthwise.bn
conv pointwise 24 32 kernel=1
bn pointwise.bn
elu
maxpool kernel=2
conv last 32 16 kernel=3
gelu
flatten
linear fc 160 12
)";

} // namespace s3::test
