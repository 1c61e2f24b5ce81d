"""Compares FCPE of this tree with torchfcpe 0.0.4 and its published weights on real speech, and their speed on the same threads.

usage: fcpe_check.py WHEEL PROGRAM FOLDER [THREADS [SECONDS]]
  WHEEL    torchfcpe 0.0.4 (PyPI), unpacked; it holds the weights, torchfcpe/assets/fcpe_c_v001.pt (41 MB, MIT)
  PROGRAM  build/cpu/tests/test_models_fcpe
  FOLDER   16 kHz WAV files of 16 bits, mono; others are left out. `scripts/demo` leaves some in out/demo/corpus/real
  SECONDS  of speech to compare at least, 600 unless given
Needs PyTorch (measured with 1.13), numpy, safetensors, and Debian's pocketsphinx-testdata.

Clips are the files of the first half, and those of the second half joined in chunks of 100 s, as the release cuts them; then cuts of
1, 1199, 1280, 1359, 1360 and 365,185 samples, nothing, silence and noise. Of voiced frames 99.9 % must be within 0.02 Hz, and voicing equal wherever the confidence
is not within 1e-3 of the threshold.
"""
import os
import subprocess
import sys
import tempfile
import time
import wave

import numpy as np
import torch
from safetensors.numpy import load_file

import fcpe_reference

CUTS = (1, 1199, 1280, 1359, 1360, 365185)
CHUNK = 1600000
SPHINX = "/usr/share/pocketsphinx/test/data"  # Debian's pocketsphinx-testdata
GOLDEN = {"goforward": "goforward.raw", "cards005": "cards/005.wav",
          "austen0870": "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"}


def read_clips(folder, seconds):
    clips, total = [], 0
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".wav"):
            continue
        with wave.open(os.path.join(folder, name)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (16000, 1, 2):
                continue
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        clips.append((name, samples))
        total += len(samples)
        if total >= seconds * 16000:
            break
    if total < seconds * 16000:
        sys.exit(f"error: {folder} has only {total / 16000:.0f} s of speech; {seconds} s are needed")
    return clips


def all_cases(clips):
    half = np.cumsum([len(samples) for _, samples in clips]).searchsorted(sum(len(samples) for _, samples in clips) // 2)
    cases, joined = clips[:half], np.concatenate([samples for _, samples in clips[half:]])
    chunks = [(f"chunk {i // CHUNK}", joined[i:i + CHUNK]) for i in range(0, len(joined), CHUNK)]
    for start in (len(joined) // 3, len(joined) // 2):
        cases = cases + [(f"cut of {n} at {start}", joined[start:start + n]) for n in CUTS]
    cases += [("nothing", joined[:0]), ("silence", np.zeros(40000, np.float32)),
              ("noise", np.random.default_rng(1).standard_normal(1199).astype(np.float32) * 0.01)]
    return cases + chunks, chunks[0]


def run_program(program, weights, cases, threads):
    with tempfile.TemporaryDirectory() as folder:
        clips, output = folder + "/clips", folder + "/output"
        with open(clips, "wb") as file:
            for _, samples in cases:
                file.write(np.int64(len(samples)).tobytes() + samples.tobytes())
        text = subprocess.run([program, weights, clips, output, str(threads)], check=True, stdout=subprocess.PIPE).stdout
        values, results, at = np.fromfile(output, np.float32), [], 0
        for _, samples in cases:
            frames, track = len(samples) // 160 + 1, len(samples) // 80 + 1
            parts = np.split(values[at:at + 2 * (frames + track)], [frames, 2 * frames, 2 * frames + track])
            results.append(dict(zip(("frequency", "confidence", "f0", "voiced"), parts)))
            at += 2 * (frames + track)
        return results, [float(word) for word in text.split()]


def infer(model, samples):
    with torch.no_grad():
        return model.infer(torch.from_numpy(samples.copy())[None, :, None], 16000, decoder_mode="local_argmax", threshold=0.05,
                           f0_min=50, f0_max=1100, interp_uv=True, output_interp_target_length=len(samples) // 80 + 1,
                           retur_uv=True)


def reference(model, samples):
    """Confidences [F], and f0 and voicing [T], or None where torchfcpe fails because no frame is voiced."""
    seen = []
    hook = model.model.output_proj.register_forward_hook(lambda _, __, output: seen.append(torch.sigmoid(output).max(-1)[0][0]))
    try:
        f0, uv = infer(model, samples)
        return seen[0].numpy(), f0.reshape(-1).numpy(), 1 - uv.reshape(-1).numpy()
    except (IndexError, RuntimeError):
        return seen[0].numpy(), None, None
    finally:
        hook.remove()


def check_golden(program, weights, threads):
    """The tracks that the published implementation (torch 2.1.2) computed on three clips, tests/golden/speech_models/pitch.safetensors."""
    golden = load_file(os.path.join(os.path.dirname(__file__), "../golden/speech_models/pitch.safetensors"))
    cases = []
    for name, path in GOLDEN.items():
        raw = np.fromfile(os.path.join(SPHINX, path), np.uint8)
        start = 0 if path.endswith(".raw") else 44
        cases.append((name, raw[start:start + (len(raw) - start) // 2 * 2].view("<i2").astype(np.float32) / 32768))
    worst, other = 0.0, 0
    for (name, _), result in zip(cases, run_program(program, weights, cases, threads)[0]):
        f0, voiced = golden[name + ".f0"], golden[name + ".voiced"] > 0
        if len(f0) != len(result["f0"]):
            sys.exit(f"error: {name} has {len(result['f0'])} places, expected {len(f0)}")
        other += int((voiced != (result["voiced"] > 0)).sum())
        worst = max(worst, float(np.abs(f0 - result["f0"]).max()))
    print(f"golden tracks of {', '.join(GOLDEN)}: f0 at most {worst:.2e} Hz apart, voicing differs in {other} places")
    return worst <= 0.02 and other == 0


class Tally:
    def __init__(self):
        self.frames = self.voiced = self.near = self.other = self.excused = 0
        self.worst = self.confidence = 0.0
        self.bad = []

    def add(self, name, ours, theirs):
        confidence, f0, voiced = theirs
        difference = np.abs(confidence - ours["confidence"])
        self.confidence = max(self.confidence, float(difference.max()))
        if not np.isfinite(ours["f0"]).all():
            self.bad.append(name + ": not finite")
        if f0 is None:
            if ours["f0"].any() or ours["voiced"].any():
                self.bad.append(name + ": torchfcpe has no voiced frame, this tree has")
            return
        places = np.minimum(len(confidence) - 1,
                            np.floor(np.arange(len(f0), dtype=np.float32) * np.float32(len(confidence) / len(f0))).astype(int))
        excused = np.abs(confidence[places] - 0.05) < 1e-3
        other = (voiced > 0.5) != (ours["voiced"] > 0.5)
        both = (voiced > 0.5) & ~other
        apart = np.abs(f0[both] - ours["f0"][both])
        self.frames += len(f0)
        self.voiced += int(both.sum())
        self.near += int((apart <= 0.02).sum())
        self.other += int((other & ~excused).sum())
        self.excused += int((other & excused).sum())
        self.worst = max(self.worst, float(apart.max(initial=0)))
        if (other & ~excused).any():
            self.bad.append(f"{name}: voicing differs in {(other & ~excused).sum()} places")


def time_both(model, program, weights, chunk, threads):
    own, others = [], []
    for _ in range(3):  # in turn, so that neither has the quieter machine
        own.append(run_program(program, weights, [chunk], threads)[1])
        began = time.monotonic(), time.process_time()
        infer(model, chunk[1])
        others.append([time.monotonic() - began[0], time.process_time() - began[1]])
    seconds = len(chunk[1]) / 16000
    for what, place in (("seconds", 0), ("processor seconds", 1)):
        a, b = (sorted(times[place] for times in both) for both in (own, others))
        print(f"{threads} threads, {seconds:.0f} s of speech, {what} (least, median, most): this tree "
              f"{a[0]:.2f} {a[1]:.2f} {a[2]:.2f}, torchfcpe {b[0]:.2f} {b[1]:.2f} {b[2]:.2f}; torchfcpe / this tree "
              f"{b[1] / a[1]:.2f}; {seconds / a[1]:.0f} times real time", flush=True)


def main():
    wheel, program, folder = sys.argv[1:4]
    threads = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    clips = read_clips(folder, float(sys.argv[5]) if len(sys.argv) > 5 else 600)
    torch.set_num_threads(threads)
    model = fcpe_reference.load(wheel).spawn_bundled_infer_model(device="cpu")
    weights = wheel + "/torchfcpe/assets/fcpe_c_v001.pt"
    golden = check_golden(program, weights, threads)
    cases, chunk = all_cases(clips)
    ours, _ = run_program(program, weights, cases, threads)
    tally = Tally()
    for (name, samples), result in zip(cases, ours):
        if len(samples) == 0:
            samples = np.zeros(1, np.float32)  # torchfcpe takes no empty clip; one sample has as many frames
        tally.add(name, result, reference(model, samples))
    seconds = sum(len(samples) for _, samples in cases) / 16000
    print(f"{len(cases)} clips, {seconds:.0f} s; torch {torch.__version__}")
    print(f"voiced in both: {tally.voiced}; within 0.02 Hz: {100 * tally.near / tally.voiced:.4f} %; worst {tally.worst:.2e} Hz")
    print(f"voicing differs in {tally.other} of {tally.frames} places, and in {tally.excused} where the confidence is within 1e-3 of 0.05")
    print(f"confidence: at most {tally.confidence:.2e} apart")
    time_both(model, program, weights, chunk, threads)
    good = golden and not tally.bad and tally.near >= 0.999 * tally.voiced and tally.other == 0
    print("\n".join(tally.bad + ["equal" if good else "NOT EQUAL"]))
    sys.exit(not good)


main()
