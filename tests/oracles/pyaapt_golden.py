"""Makes tests/golden/speech/pyaapt.safetensors: what AMFM_decompy computes for real speech that Debian ships.

    python3 tests/oracles/pyaapt_golden.py [OUTPUT]          the committed selection; takes about seven minutes
    python3 tests/oracles/pyaapt_golden.py --all OUTPUT      every clip of both packages; give it to test_speech_f0

Made with Python 3.11, AMFM_decompy 1.0.12.2, numpy 1.26.4, scipy 1.17.1, safetensors 0.8.0, and Debian's
asterisk-core-sounds-en-g722 1.6.1-1, pocketsphinx-testdata 0.8+5prealpha+1-15 and libspandsp2 0.0.6+dfsg-2+b1.

Tensors: voiced (bits, little end first, every clip from a new byte), f0 and interpolated (f32, all clips one after the
other), frames (i64, per clip). Metadata clip.N: "KIND:NAME SHA-256 of the f32 samples at 16 kHz". The kinds are in
samples_of below; the test makes the same samples itself and compares the hash.
"""
import ctypes
import glob
import hashlib
import sys
import warnings

import amfm_decompy.basic_tools as basic
import amfm_decompy.pYAAPT as pyaapt
import numpy as np
from safetensors.numpy import save_file
from scipy.interpolate import interp1d
from scipy.io import wavfile

ASTERISK = "/usr/share/asterisk/sounds/en_US_f_Allison/"
POCKETSPHINX = "/usr/share/pocketsphinx/test/data/"
OUTPUT = "tests/golden/speech/pyaapt.safetensors"

spandsp = ctypes.CDLL("libspandsp.so.2")
spandsp.g722_decode_init.restype = ctypes.c_void_p
spandsp.g722_decode_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
spandsp.g722_decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
spandsp.g722_decode_free.argtypes = [ctypes.c_void_p]


def read_file(path):
    """16-bit samples at 16 kHz."""
    if path.endswith(".wav"):
        rate, samples = wavfile.read(path)
        assert rate == 16000 and samples.ndim == 1 and samples.dtype == np.int16
        return samples
    coded = open(path, "rb").read()
    samples = np.zeros(2 * len(coded), np.int16)
    decoder = spandsp.g722_decode_init(None, 64000, 0)
    assert spandsp.g722_decode(decoder, samples.ctypes.data, coded, len(coded)) == len(samples)
    spandsp.g722_decode_free(decoder)
    return samples


def made(name, files):
    """Sounds that exercise the edges, by integer recipes that C follows to the bit."""
    i = np.arange(16000)
    speech = read_file(POCKETSPHINX + "cards/001.wav").astype(np.int64)
    if name == "tone":
        return np.rint(12000 * np.sin(2 * np.pi * 120 * i / 16000))
    if name == "harmonics":
        return np.rint(2500 * sum(np.sin(2 * np.pi * 120 * h * i / 16000) for h in range(1, 11)))
    if name == "noise":
        state, values = 1, []
        for _ in range(16037):
            state = (state * 1664525 + 1013904223) % 2**32
            values.append((state >> 18) - 8192)
        return np.array(values)
    if name == "click":
        return np.where(i == 8000, 20000, 0)
    if name == "constant":
        return np.full(16000, 10000)
    if name == "clipped":
        return np.clip(speech, -500, 500)
    if name == "gap":
        return np.where((np.arange(len(speech)) >= 6000) & (np.arange(len(speech)) < 12000), 0, speech)
    if name == "quiet":
        return np.sign(speech) * (np.abs(speech) // 256)
    if name == "four_frames":
        return speech[8000:8320]
    if name == "five_frames":
        return speech[8000:8479]
    assert name == "hundred_seconds"
    return np.concatenate([read_file(path) for path in files if path.startswith(ASTERISK)])[: 1600041]


def samples_of(kind, name, files):
    values = (read_file(name) if kind == "file" else made(name, files)).astype(np.int64)
    return (values / 32768).astype(np.float32)


def reference(samples):
    """The call of the extractor with Spirit LM's parameters: (voiced by energy, F0, F0 interpolated)."""
    signal = samples[: len(samples) // 80 * 80].astype(np.float64)
    signal = np.pad(signal / (np.abs(signal).max() or 1) * 0.95, (160, 160))
    pitch = pyaapt.yaapt(basic.SignalObj(signal, 16000), frame_length=20.0, frame_space=5.0, nccf_thresh1=0.25,
                         tda_frame_length=25.0)
    f0 = pitch.samp_values
    where = np.nonzero(f0)[0]
    if len(where) < 2:
        return pitch.vuv, f0, np.zeros_like(f0)
    line = interp1d(where, f0[where], bounds_error=False, fill_value=(f0[where[0]], f0[where[-1]]))
    return pitch.vuv, f0, line(np.arange(len(f0)))


def main():
    arguments = [a for a in sys.argv[1:] if a != "--all"]
    everything = "--all" in sys.argv
    asterisk = sorted(glob.glob(ASTERISK + "**/*.g722", recursive=True))
    asterisk = [path for path in asterisk if "/silence/" not in path or everything]
    if not everything:  # a spread, without the few clips that last a minute
        asterisk = [path for path in asterisk if len(open(path, "rb").read()) < 80000][::4]
    files = asterisk + sorted(glob.glob(POCKETSPHINX + "**/*.wav", recursive=True))
    clips = [("file", path) for path in files]
    if not everything:
        clips += [("made", name) for name in ("tone harmonics noise click constant clipped gap quiet four_frames "
                                              "five_frames hundred_seconds").split()]
    warnings.filterwarnings("ignore")
    voiced, f0, interpolated, frames, metadata = [], [], [], [], {}
    for number, (kind, name) in enumerate(clips):
        samples = samples_of(kind, name, files)
        v, raw, line = reference(samples)
        voiced.append(np.packbits(v, bitorder="little"))
        f0.append(raw.astype(np.float32))
        interpolated.append(line.astype(np.float32))
        frames.append(len(raw))
        metadata[f"clip.{number}"] = f"{kind}:{name} {hashlib.sha256(samples.tobytes()).hexdigest()}"
    save_file({"voiced": np.concatenate(voiced), "f0": np.concatenate(f0),
               "interpolated": np.concatenate(interpolated), "frames": np.array(frames, np.int64)},
              arguments[0] if arguments else OUTPUT, metadata)
    print(f"{len(clips)} clips, {sum(frames)} frames, {sum(frames) / 200:.0f} s")


main()
