"""Trains the CTC model of tests/golden/ctc_speech, a small Wav2Vec2ForCTC, on speech that flite renders, and writes its folder as
transformers would. tests/data/test_align_ctc_speech.c renders the speech and measures the model on other texts.

    python train_ctc_model.py build/cpu/tests/test_data_align_ctc_speech OUTPUT [CLIPS [STEPS]]

Made with Python 3.11, torch 1.13.0 of Debian 12, transformers 4.45.2, safetensors 0.4. One thread: 50 seconds of processor time to
render 400 clips (42 minutes), and 200 for each of the two parts of 1,200 steps (AMD EPYC, Zen 3). The seeds are fixed; another machine's
order of sums gives other last bits.

Like most CTC models that are made of a pretrained encoder, this one keeps its convolutions frozen. Nothing was pretrained here, so
they are given: a bank of filters, its envelopes, and their logarithms in straight pieces, which GELUs make. What they give is computed
once for each clip, and only the transformer and the head are trained. The first steps teach frames, with the letters of a word spread
evenly over the synthesiser's time for it, since CTC from scratch takes hours to leave the blank. All others are CTC alone.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import wave

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = {"<pad>": 0, "|": 1, **{letter: 2 + i for i, letter in enumerate(LETTERS)}}
RATE, HOP, FIELD = 16000, 320, 600  # samples
BANDS, KERNEL, PIECES = 32, 320, 5
WIDTH, BATCH = 64, 12


def read(folder):
    clips = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".wav"):
            continue
        with wave.open(os.path.join(folder, name)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        words = []
        with open(os.path.join(folder, name[:-4] + ".txt")) as lines:
            for line in lines:
                start, end, word = line.split()
                words.append((int(start), int(end), "".join(c for c in word.lower() if c in LETTERS)))
        clips.append((samples, words))
    return clips


# ---- the model ----

def make_model():
    return transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(
        vocab_size=len(VOCABULARY), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=160, conv_dim=[2 * BANDS, BANDS, PIECES * BANDS, BANDS, 2 * BANDS],
        conv_kernel=[KERNEL, 4, 1, 1, 2], conv_stride=[40, 4, 1, 1, 2], num_feat_extract_layers=5,
        feat_extract_norm="group", conv_bias=True, do_stable_layer_norm=True, num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8, pad_token_id=0, mask_time_prob=0.0, layerdrop=0.0, hidden_dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0, final_dropout=0.0))


def mel(frequency):
    return 1127 * np.log1p(frequency / 700)


def set_filters(extractor):
    """Filters of one shape under a Hann window, cosine and sine for each band on the mel scale; their mean positive parts over
    10 ms."""
    edges = 700 * np.expm1(np.linspace(mel(60), mel(7800), BANDS + 2) / 1127)
    t = (np.arange(KERNEL) - (KERNEL - 1) / 2) / RATE
    for layer in extractor.conv_layers:
        layer.conv.weight.zero_()
        layer.conv.bias.zero_()
    first, second = extractor.conv_layers[0], extractor.conv_layers[1]
    for band in range(BANDS):
        seconds = min(KERNEL / RATE, 4 / (edges[band + 2] - edges[band]))  # the window of that bandwidth
        window = np.where(abs(t) < seconds / 2, 0.5 + 0.5 * np.cos(2 * np.pi * t / seconds), 0)
        for phase in range(2):
            wave_of_band = np.cos(2 * np.pi * edges[band + 1] * t - np.pi / 2 * phase) * window / window.sum()
            first.conv.weight[2 * band + phase, 0] = torch.from_numpy(wave_of_band)
            second.conv.weight[band, 2 * band + phase] = 1 / 2
    first.layer_norm.weight.fill_(4)
    first.layer_norm.bias.zero_()


def set_logarithms(extractor, clips):
    """f = sum of c_k relu(x - t_k), which is k where x is t_k, for levels t_k in equal ratios; then two times, 10 ms apart, become
    the channels of one frame."""
    rows = torch.cat([envelopes(extractor, samples) for samples, _ in clips[:20]], 1).flatten().numpy()
    loudest = np.quantile(rows, 0.99)
    levels = np.geomspace(loudest / 100, loudest, PIECES)
    gaps = np.diff(levels)
    slopes = np.append(1 / gaps, 0.5 / gaps[-1])
    third, fourth, fifth = extractor.conv_layers[2:5]
    for band in range(BANDS):
        for piece in range(PIECES):
            steep = 4 * slopes[piece]
            third.conv.weight[PIECES * band + piece, band] = steep
            third.conv.bias[PIECES * band + piece] = -steep * levels[piece]
            change = slopes[piece] - (slopes[piece - 1] if piece else 0)
            fourth.conv.weight[band, PIECES * band + piece] = change / steep
        for part in range(2):
            fifth.conv.weight[2 * band + part, band, part] = 1


def normalized(samples):
    x = torch.from_numpy(samples)
    return (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-7)


def envelopes(extractor, samples):
    x = normalized(samples)[None, None]
    for layer in extractor.conv_layers[:2]:
        x = layer(x)
    return x[0]


def round_weights(module):
    for parameter in module.parameters():
        parameter.copy_(parameter.half().float())


# ---- training ----

def frames_of(words, count):
    """A label for each frame: a word's letters evenly over its time, the delimiter in its last frame, blanks elsewhere."""
    frames = np.zeros(count, np.int64)
    place = lambda sample: int(round((sample - FIELD / 2) / HOP))
    for start, end, word in words:
        first, last = max(place(start), 0), min(place(end), count)
        for frame in range(first, last):
            frames[frame] = VOCABULARY[word[min(len(word) - 1, (frame - first) * len(word) // max(1, last - first))]]
        if last - first > len(word):
            frames[last - 1] = VOCABULARY["|"]
    return frames


def draw(clips, random, count):
    """At most `count` words of a clip: features, labels, a label for each frame."""
    features, words, frames = clips[random.randint(len(clips))]
    count = min(count, len(words))
    first = random.randint(len(words) - count + 1)
    chosen = words[first:first + count]
    begin = 0 if count == len(words) else max(0, int((chosen[0][0] - FIELD / 2) // HOP) - 2)
    end = len(frames) if count == len(words) else min(len(frames), int((chosen[-1][1] - FIELD / 2) // HOP) + 3)
    labels = [VOCABULARY[c] for c in "|".join(word for _, _, word in chosen)]
    return features[begin:end], labels, torch.from_numpy(frames[begin:end])


def logits_of(model, batch):
    """transformers' forward pass, but for one assignment through a mask whose backward takes ten times as long as all else."""
    counts = torch.tensor([len(features) for features, _, _ in batch])
    rows = torch.nn.utils.rnn.pad_sequence([features for features, _, _ in batch], batch_first=True)
    mask = (torch.arange(rows.shape[1])[None] < counts[:, None]).float()
    encoder = model.wav2vec2.encoder
    hidden = model.wav2vec2.feature_projection(rows)[0] * mask[:, :, None]
    hidden = hidden + encoder.pos_conv_embed(hidden)
    attention = ((1 - mask) * -1e9)[:, None, None, :].expand(-1, 1, rows.shape[1], -1)
    for layer in encoder.layers:
        hidden = layer(hidden, attention_mask=attention)[0]
    return model.lm_head(encoder.layer_norm(hidden)).log_softmax(-1), counts


def loss_of(model, batch, taught):
    logits, counts = logits_of(model, batch)
    if taught:
        rows = torch.cat([logits[i, :count] for i, count in enumerate(counts)])
        return torch.nn.functional.nll_loss(rows, torch.cat([frames for _, _, frames in batch]))
    labels = torch.tensor([label for _, own, _ in batch for label in own])
    lengths = torch.tensor([len(own) for _, own, _ in batch])
    losses = torch.nn.functional.ctc_loss(logits.transpose(0, 1), labels, counts, lengths, reduction="none",
                                          zero_infinity=True)
    return losses.sum() / counts.sum()  # nats per frame


def train(model, clips, part, steps, taught_steps, rate, output):
    """Steps with an optimizer of their own, the first of them on frames; the rate decays to 0 over the last half."""
    random = np.random.RandomState(13 + part)
    trained = [p for name, p in model.named_parameters() if "feature_extractor" not in name]
    optimizer = torch.optim.AdamW(trained, lr=1, betas=(0.9, 0.98), weight_decay=0.01)
    means = {}
    for step in range(steps):
        taught = step < taught_steps
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 50) * min(1, 2 * (1 - step / steps))
        count, size = (100, BATCH // 3) if random.rand() < 0.1 else (random.randint(1, 9), BATCH)
        loss = loss_of(model, [draw(clips, random, count) for _ in range(size)], taught)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        means[taught] = 0.97 * means.get(taught, float(loss)) + 0.03 * float(loss)
        if (step + 1) % 50 == 0:
            print(f"{step + 1} steps, {time.process_time():.0f} s, {'frames' if taught else 'CTC'}: loss {means[taught]:.3f}",
                  flush=True)
            write(model, output)


def write(model, folder):
    os.makedirs(folder, exist_ok=True)
    for name, contents in (("config.json", dict(model.config.to_diff_dict(), model_type="wav2vec2")),
                           ("vocab.json", VOCABULARY),
                           ("tokenizer_config.json", {"pad_token": "<pad>", "word_delimiter_token": "|"}),
                           ("preprocessor_config.json", {"do_normalize": True, "sampling_rate": RATE})):
        with open(os.path.join(folder, name), "w") as file:
            json.dump(contents, file, indent=1, sort_keys=True)
            file.write("\n")
    save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()},
              os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def main():
    torch.set_num_threads(1)
    torch.manual_seed(13)
    program, output = sys.argv[1:3]
    count, steps = sys.argv[3] if len(sys.argv) > 3 else "400", int(sys.argv[4]) if len(sys.argv) > 4 else 1200
    if os.path.isdir(program):
        clips = read(program)
    else:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([program, "--render", folder, count], check=True)
            clips = read(folder)
    model = make_model()
    extractor = model.wav2vec2.feature_extractor
    with torch.no_grad():
        set_filters(extractor)
        set_logarithms(extractor, clips)
        round_weights(extractor)
        seen = []
        for samples, words in clips:
            features = extractor(normalized(samples)[None])[0].T.contiguous()
            seen.append((features, words, frames_of(words, len(features))))
    print(f"{len(clips)} clips, {sum(len(samples) for samples, _ in clips) / RATE / 60:.1f} minutes, "
          f"{sum(p.numel() for p in model.parameters())} weights, {time.process_time():.0f} s", flush=True)
    for part in range(2):
        train(model, seen, part, steps, 0 if part else steps * 45 // 100, 3e-3 if part else 4e-3, output)
        with torch.no_grad():
            round_weights(model)
        write(model, output)


if __name__ == "__main__":
    main()
