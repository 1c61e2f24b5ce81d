/* Who computes conv1d_forward on a GPU (kernels.conv1d): our own kernels, or cuDNN, which wants scratch. Chosen once, before
 * contexts are opened and plans are made; a context keeps what was chosen when it was opened. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_ENGINE_H
#define SPIRITLM_KERNELS_CUDA_CONV1D_ENGINE_H

enum cuda_conv1d_engine { CUDA_CONV1D_OWN, CUDA_CONV1D_CUDNN };

void cuda_conv1d_choose(enum cuda_conv1d_engine engine);
enum cuda_conv1d_engine cuda_conv1d_engine(void);

#endif
