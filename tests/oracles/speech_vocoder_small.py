"""Makes tests/golden/speech_models/hifigan: three small random vocoders in several layouts of files, and what PyTorch computes with
them in float64, for tests/models/test_hifigan.c. The network is written here from its description: embeddings side by side,
conv_pre, stages of LeakyReLU(0.1), ConvTranspose1d and the mean of residual blocks, LeakyReLU(0.01), conv_post, tanh; durations by
two convolutions, each with ReLU and LayerNorm, and a linear layer.

Made with Python 3.11, torch 1.13.1, safetensors 0.4.

plain    units alone, as X.pt and X_config.json; also without weight normalisation, and as safetensors without "generator."
full     units, pitch and style codes, speakers and styles; as a folder; also with the names of `parametrizations`
named    units and speakers, multispkr a text, no predictor of durations, odd sizes
"""
import json
import os

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import remove_weight_norm, weight_norm

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "speech_models", "hifigan")


class Block(nn.Module):
    def __init__(self, channels, kernel, dilations):
        super().__init__()
        self.convs1 = nn.ModuleList(weight_norm(nn.Conv1d(channels, channels, kernel, dilation=d, padding=(kernel - 1) // 2 * d))
                                    for d in dilations)
        self.convs2 = nn.ModuleList(weight_norm(nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2))
                                    for _ in dilations)

    def forward(self, x):
        for first, second in zip(self.convs1, self.convs2):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, 0.1)), 0.1))
        return x


class Predictor(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(width, hidden, 3, padding=1), nn.ReLU())
        self.ln1 = nn.LayerNorm(hidden)
        self.conv2 = nn.Sequential(nn.Conv1d(hidden, hidden, 3, padding=1), nn.ReLU())
        self.ln2 = nn.LayerNorm(hidden)
        self.proj = nn.Linear(hidden, 1)

    def forward(self, x):  # [T, C]
        x = self.ln1(self.conv1(x.T[None])[0].T)
        x = self.ln2(self.conv2(x.T[None])[0].T)
        return self.proj(x)[:, 0]


class Generator(nn.Module):
    TABLES = (("dict", "num_embeddings"), ("f0_dict", "num_f0_tokens"), ("style_dict", "num_style_tokens"),
              ("spkr", "num_speakers"), ("style", "num_styles"))

    def __init__(self, c):
        super().__init__()
        self.tables = [name for name, key in self.TABLES if key in c]
        for name, key in self.TABLES:
            if key in c:
                setattr(self, name, nn.Embedding(c[key], c["embedding_dim"]))
        if "dur_predictor_params" in c:
            self.dur_predictor = Predictor(c["embedding_dim"], c["dur_predictor_params"]["var_pred_hidden_dim"])
        channels = c["upsample_initial_channel"]
        self.conv_pre = weight_norm(nn.Conv1d(c["model_in_dim"], channels, 7, padding=3))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(c["upsample_rates"], c["upsample_kernel_sizes"]):
            self.ups.append(weight_norm(nn.ConvTranspose1d(channels, channels // 2, kernel, rate, (kernel - rate) // 2)))
            channels //= 2
            for size, dilations in zip(c["resblock_kernel_sizes"], c["resblock_dilation_sizes"]):
                self.resblocks.append(Block(channels, size, dilations))
        self.conv_post = weight_norm(nn.Conv1d(channels, 1, 7, padding=3))
        self.per_stage = len(c["resblock_kernel_sizes"])

    def forward(self, ids):  # ids[table]: [T] or a number
        frames = len(ids["dict"])
        rows = [getattr(self, name)(torch.as_tensor(ids[name]).expand(frames)) for name in self.tables]
        x = self.conv_pre(torch.cat(rows, 1).T[None])
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, 0.1))
            blocks = self.resblocks[stage * self.per_stage:(stage + 1) * self.per_stage]
            x = sum(block(x) for block in blocks) / self.per_stage
        return torch.tanh(self.conv_post(F.leaky_relu(x)))[0, 0]


def randomise(model):
    for name, parameter in model.named_parameters():
        values = torch.randn_like(parameter) * (0.1 if parameter.dim() == 1 else 1)
        if name.endswith("weight_g"):
            values = values.abs() * 0.5 + 0.8
        elif ".ln" in name and name.endswith("weight"):
            values = values + 1
        elif name.startswith("dur_predictor") and parameter.dim() > 1:
            values = values / parameter[0].numel() ** 0.5
        elif name == "dur_predictor.proj.bias":
            values = values + 1.2
        parameter.data = values
    model.conv_post.weight_g.data *= 0.2


def write(path, config, state, prefix="generator"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save({prefix: state, "steps": 7} if prefix else state, path)
    if config is not None:
        name = "config.json" if path.endswith("generator.pt") else os.path.basename(path)[:-3] + "_config.json"
        with open(os.path.join(os.path.dirname(path), name), "w") as file:
            json.dump(config, file, indent=1)
            file.write("\n")


def config(**more):
    c = dict(resblock="1", upsample_rates=[3, 2], upsample_kernel_sizes=[7, 4], upsample_initial_channel=24,
             resblock_kernel_sizes=[3, 5], resblock_dilation_sizes=[[1, 2, 4], [1, 3, 5]], num_embeddings=11, embedding_dim=10,
             model_in_dim=10, code_hop_size=6, sampling_rate=8000,
             dur_predictor_params=dict(encoder_embed_dim=10, var_pred_hidden_dim=9, var_pred_kernel_size=3, var_pred_dropout=0.5))
    c.update(more)
    return {key: value for key, value in c.items() if value is not None}


def make(c):
    model = Generator(c)
    randomise(model)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return model.double().eval(), state


def main():
    torch.manual_seed(20231206)
    tensors = {}
    with torch.no_grad():
        c = config(multispkr=None, f0=False, f0_quant_num_bin=0)
        model, state = make(c)
        write(f"{TARGET}/plain/small.pt", c, state)
        for units in ([4], [3, 9], [1, 0, 10, 10, 5, 2, 8], list(range(11)) * 3):
            name = f"plain.{len(units)}"
            logs = model.dur_predictor(model.dict(torch.tensor(units)))
            durations = torch.clamp(torch.round(torch.exp(logs) - 1).long(), min=1)
            tensors[name + ".units"] = torch.tensor(units, dtype=torch.int32)
            tensors[name + ".logs"] = logs.float()
            tensors[name + ".durations"] = durations.int()
            tensors[name + ".wave"] = model({"dict": torch.repeat_interleave(torch.tensor(units), durations)}).float()
        for module in [model.conv_pre, model.conv_post, *model.ups,
                       *(conv for block in model.resblocks for conv in [*block.convs1, *block.convs2])]:
            remove_weight_norm(module)
        folded = {name: tensor.float().contiguous() for name, tensor in model.state_dict().items()}
        write(f"{TARGET}/plain/folded.pt", c, folded)
        os.makedirs(f"{TARGET}/safetensors", exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, f"{TARGET}/safetensors/small.safetensors")
        with open(f"{TARGET}/safetensors/config.json", "w") as file:
            json.dump(c, file)
            file.write("\n")

        c = config(num_f0_tokens=5, num_style_tokens=6, multispkr="from_input_file", num_speakers=3, multistyle="from_input_file",
                   num_styles=4, model_in_dim=50, f0_hop_size=13, style_hop_size=24)
        model, state = make(c)
        write(f"{TARGET}/full/generator.pt", c, state)
        renamed = {name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"): tensor for name, tensor in state.items()}
        write(f"{TARGET}/parametrized/generator.pt", c, renamed)
        for folder in ("full", "parametrized"):
            with open(f"{TARGET}/{folder}/speakers.txt", "w") as file:
                file.write("anna\nbert\ncarl\n")
            with open(f"{TARGET}/{folder}/styles.txt", "w") as file:
                file.write("default\nhappy")
        units = torch.tensor([0, 3, 7, 7, 10, 1, 2, 2, 9])
        pitch, style = torch.tensor([4, 0, 1, 3]), torch.tensor([5, 2])  # 2 frames each, 4 frames each, the last ones to the end
        each = {"f0_dict": torch.repeat_interleave(pitch, 2), "style_dict": torch.repeat_interleave(style, 4)}
        ids = {name: torch.cat([codes, codes[-1:]]) for name, codes in each.items()}
        tensors["full.rate.wave"] = model({"dict": units, "spkr": 1, "style": 3, **ids}).float()
        ids = {"dict": units, **ids}
        durations = torch.clamp(torch.round(torch.exp(model.dur_predictor(model.dict(units))) - 1).long(), min=1)
        repeated = {name: torch.repeat_interleave(codes, durations) for name, codes in ids.items()}
        tensors["full.unit.wave"] = model({"spkr": 2, "style": 0, **repeated}).float()

        c = config(num_speakers=200, multispkr="_", model_in_dim=26, embedding_dim=13, dur_predictor_params=None,
                   upsample_rates=[5, 1, 2], upsample_kernel_sizes=[5, 3, 8], upsample_initial_channel=16,
                   resblock_kernel_sizes=[1, 3, 7], resblock_dilation_sizes=[[1, 1, 1], [2, 1, 3], [1, 3, 1]])
        model, state = make(c)
        del c["num_speakers"]
        write(f"{TARGET}/named/vocoder.bin.pt", c, state)
        tensors["named.wave"] = model({"dict": torch.tensor([0, 0, 4, 10, 3]), "spkr": 199}).float()
    save_file(tensors, f"{TARGET}/expected.safetensors")


if __name__ == "__main__":
    main()
