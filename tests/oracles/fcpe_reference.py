"""torchfcpe without what a model of convolutions at 16 kHz never calls: torchaudio (resampling), local_attention and einops (attention).
Missing ones are replaced by empty modules, so that torchfcpe 0.0.4's wheel and PyTorch are all that is needed.

    import fcpe_reference; torchfcpe = fcpe_reference.load("FOLDER of the unpacked wheel")
"""
import importlib
import sys
import types


def load(folder):
    for name in ("torchaudio", "torchaudio.transforms", "local_attention", "einops"):
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
    for module, name in (("torchaudio.transforms", "Resample"), ("local_attention", "LocalAttention"),
                         ("einops", "rearrange"), ("einops", "repeat")):
        if not hasattr(sys.modules[module], name):
            setattr(sys.modules[module], name, None)
    sys.path.insert(0, folder)
    return importlib.import_module("torchfcpe")
