/* The numbers that both backends' GELU is made of. For a >= 0 the normal distribution's tail is
 * Phi(-a) = exp(-a^2 / 2) R(a), where R(a) = erfcx(a / sqrt(2)) / 2 falls slowly from 1/2: as a polynomial of
 * t = 1 / (1 + 0.35 a) without a constant term, fitted for the least relative error (3.2e-8) over a <= 14. So Phi keeps its
 * relative precision far into the left tail, where (1 + erf) / 2 has none left. */
#ifndef SPIRITLM_KERNELS_GELU_TAIL_H
#define SPIRITLM_KERNELS_GELU_TAIL_H

/* The coefficients of t, t^2, ... t^9. */
#define GELU_TAIL_COEFFICIENTS                                                                                         \
    {                                                                                                                  \
        0.139621404f, 0.139861869f, 0.119832872f, 0.105507985f, -0.0231097893f, 0.159174095f, -0.255714198f,           \
            0.143971671f, -0.029145925f                                                                                \
    }
#define GELU_TAIL_DEGREE 9
#define GELU_TAIL_SLOPE 0.35f
#define GELU_TAIL_END 40.0f          /* Phi and its bell are 0 from there on */
#define GELU_BELL_SCALE 0.398942280f /* 1 / sqrt(2 pi) */

#endif
