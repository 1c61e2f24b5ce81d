"""The tensors of the speech models' small checkpoints that no formula gives, as tests/golden/speech_models/calibration.safetensors.

The weights of those checkpoints come from a formula (tests/support/models/formula_weights.h). Two biases were fitted once, so that
the published implementation chooses varied units and styles on real speech: the quantizer's first and the style projector's.

usage: speech_models_calibration.py CALIB.npz OUT.safetensors   (numpy 1.24, safetensors 0.4)
"""
import sys

import numpy as np
from safetensors.numpy import save_file

values = np.load(sys.argv[1])
save_file({"quantizer/0.bias": values["q0_bias"], "style/projector.bias": values["s_bias"]}, sys.argv[2])
