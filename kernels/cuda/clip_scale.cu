/* The factor that clips the gradient, from one number to two: a single thread, so that the host never waits for the norm. */
#include "kernels/cuda/launch.cuh"

__global__ void clip_scale_kernel(struct clip_scale p)
{
    if (threadIdx.x != 0)
        return;
    double norm = sqrt(*p.squared_norm), scale = double(p.maximum) / (norm + 1e-6);
    *p.norm = float(norm);
    *p.scale = !(p.maximum > 0) ? 1.0f : scale > 1 ? 1.0f : float(scale); /* a NaN norm gives a NaN scale */
}

extern "C" enum status cuda_clip_scale(const struct device_context *context, const struct clip_scale *p)
{
    return launch(context, "clip_scale", clip_scale_kernel, 1, 1, WARP, *p);
}
