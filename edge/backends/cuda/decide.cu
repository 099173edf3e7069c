// Decisions on the device.  Compiled at run time by NVRTC, by nvcc in a test, and as C++ (ON_HOST) for a driver that runs
// on the processor.
#ifdef ON_HOST
#include <cmath>
#define KERNEL extern "C" void
#define LANE 0
#define LANES 1
static float over_lanes_max(float value) { return value; }
static float over_lanes_sum(float value) { return value; }
extern "C" void cudaGraphSetConditional(unsigned long long condition, unsigned int value);
#else
#define KERNEL extern "C" __global__ void
#define LANE threadIdx.x
#define LANES 32
#ifdef __CUDACC_RTC__
extern "C" __device__ __cudart_builtin__ void cudaGraphSetConditional(unsigned long long condition, unsigned int value);
#endif
static __device__ float over_lanes_max(float value) {
    for (int step = 16; step; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
    return value;
}
static __device__ float over_lanes_sum(float value) {
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}
#endif

// A gate is kept with its probability: uniforms lie in [0, 1).  What is no probability is marked by -1, and dropped.
KERNEL draw_gate(unsigned long long keep, unsigned long long drop, const float *probabilities, const float *uniforms,
                 int gate, int *route) {
    if (LANE) return;
    float probability = probabilities[gate];
    bool kept = uniforms[gate] < probability;
    route[gate] = probability >= 0.0f && probability <= 1.0f ? kept : -1;
    cudaGraphSetConditional(keep, kept);
    cudaGraphSetConditional(drop, !kept);
}

// Goes on unless the largest softmax reaches the threshold; the last exit that was asked is the one taken.
KERNEL decide_exit(unsigned long long go_on, const float *scores, int classes, float threshold, int exit, int *taken) {
    float highest = -3.4e38f, sum = 0.0f;
    for (int at = LANE; at < classes; at += LANES) highest = fmaxf(highest, scores[at]);
    highest = over_lanes_max(highest);
    for (int at = LANE; at < classes; at += LANES) sum += expf(scores[at] - highest);
    sum = over_lanes_sum(sum);
    if (LANE) return;
    *taken = exit;
    cudaGraphSetConditional(go_on, !(1.0f / sum >= threshold));
}

KERNEL take_exit(int exit, int *taken) {
    if (!LANE) *taken = exit;
}
