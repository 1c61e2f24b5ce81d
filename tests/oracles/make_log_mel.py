"""Makes tests/golden/log_mel.bin: log-mel spectra by torch.stft in float64 and the filter bank of
transformers.audio_utils, on pieces of a real recording (pocketsphinx-testdata's cards/001.wav, BSD licence).

Made with Python 3.11, numpy 1.26.4, torch 1.13.1 (Debian 12), transformers 4.38.2.

Layout, little-endian, one case after the other: int64 samples, int64 bands, int64 frames, int16 samples (to be divided
by 32768), float32 [frames][bands]. The sizes of the int16 parts are even, so nothing is padded.
"""
import hashlib
import struct
import sys
import wave

import numpy as np
import torch
from transformers.audio_utils import mel_filter_bank

SOURCE = "/usr/share/pocketsphinx/test/data/cards/001.wav"


def log_mel(samples, bands):
    side = (1024 - 160) // 2
    signal = torch.from_numpy(samples)[None, None]
    mode = "reflect" if side < signal.shape[-1] else "constant"
    signal = torch.nn.functional.pad(signal, (side, side), mode=mode)[0]
    spectrum = torch.stft(signal, 1024, 160, 1024, torch.hann_window(1024, dtype=torch.float64), center=False,
                          return_complex=True)[0]
    magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9).numpy()
    bank = mel_filter_bank(513, bands, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney")
    frames = len(samples) // 160
    return np.log(np.maximum(bank.T @ magnitude, 1e-5)).T[:frames]


def main(target):
    with wave.open(SOURCE) as clip:
        assert clip.getframerate() == 16000 and clip.getnchannels() == 1
        raw = clip.readframes(clip.getnframes())
    print("input", SOURCE, "SHA-256", hashlib.sha256(raw).hexdigest())
    clip = np.frombuffer(raw, "<i2")
    speech = clip[4000:]
    cases = [(speech[:17778], 80), (speech[:434], 80), (speech[:432], 80), (speech[:1278], 80), (speech[:3000], 128),
             (np.zeros(2000, "<i2"), 80), (speech[:160], 80)]
    with open(target, "wb") as file:
        for samples, bands in cases:
            # float32 first: what the toolkit reads from a sound file
            signal = (samples.astype(np.float32) / np.float32(32768)).astype(np.float64)
            mel = log_mel(signal, bands)
            file.write(struct.pack("<qqq", len(samples), bands, len(mel)))
            file.write(samples.tobytes())
            file.write(mel.astype("<f4").tobytes())


main(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/log_mel.bin")
