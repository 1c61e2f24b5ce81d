/* Which of three ways computes a convolution: by its shape alone, so that a row's bits do not depend on what is computed with it. */
#include "kernels/cpu/conv1d.h"

enum status cpu_conv1d_forward(const struct device_context *context, const struct conv1d_forward *p)
{
    if (p->batch == 0 || p->output_frames == 0 || !conv1d_lengths_fit(context, p, "conv1d_forward"))
        return STATUS_OK;
    if (p->groups == p->channels && p->groups == p->output_channels && p->channels > 1)
        return conv1d_depthwise(context, p);
    if (conv1d_is_product(p))
        return conv1d_product(context, p);
    conv1d_general(context, p);
    return STATUS_OK;
}
