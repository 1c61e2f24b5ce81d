"""Opens what `inspect --export` writes with transformers: ids of 1,000 mixed prompts, logits, and the form of the published tree.

    export_check.py BUILD WORK [MODEL ...]

BUILD is a build folder with bin/ and tests/, WORK a folder that is not there yet. `test_package_export --make` trains small
models of both kinds of text model there and exports them. Ids must be those of our own encoder (`test_package_export --ids`),
from AutoTokenizer, and for tokenizer.model from LlamaTokenizer, the class that Spirit LM's release opens it with. Our logits must be
within 1e-4 (of numbers above 1) of transformers' float64 (`test_models_llama_layouts --model`), and the same from the export as from
what was exported.

Each MODEL, of text alone and in whatever layout, is exported and checked too.

Run with Python 3.11, torch 1.13.1, transformers 4.45.2, tokenizers 0.20.3, safetensors 0.8.0, numpy 1.24.
"""
import json
import pathlib
import random
import subprocess
import sys
import warnings

import numpy as np
import torch
import transformers
from llama_float64 import logits_float64
from safetensors import safe_open
from safetensors.numpy import save_file

PROMPTS, LOGIT_PROMPTS = 1000, 20
WORDS = ["the", "king", "said", "unto", "people,", "naïve", "Größe", "данные", "東京", "10:30", "3.14159", "don't", "e=mc^2", "👍",
         "[Hu501]", "[Text", "Speech]", "ab\tcd", "  two", "A", "I"]
FILES = {"config.json", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json"}


def prompt(generator, units):
    parts = []
    for _ in range(generator.randint(1, 6)):
        if generator.random() < 0.5:
            parts.append("[Text]" + " ".join(generator.choices(WORDS, k=generator.randint(0, 8))))
        else:
            streams = generator.choices(list(units), k=generator.randint(0, 12))
            parts.append("[Speech]" + "".join(f"[{name}{generator.randrange(units[name])}]" for name in streams))
    return "".join(parts)


def our_ids(build, folder, prompts, work):
    path = work / "prompts.txt"
    path.write_text("".join(text + "\n" for text in prompts), encoding="utf-8")
    run = subprocess.run([build / "tests" / "test_package_export", "--ids", folder, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = [line for line in run.stdout.split("\n") if not line.startswith("[")]
    return [[int(part) for part in line.split()] for line in lines[:len(prompts)]]


def check_ids(build, folder, work, slow):
    generator = random.Random(12)
    if (folder / "spiritlm.json").exists():
        components = json.loads((folder / "spiritlm.json").read_text())
        units = {"Hu": components["codes"]["hubert"]}
        if components["expressive"]:
            units |= {"Pi": components["codes"]["pitch"], "St": components["codes"]["style"]}
        prompts = [prompt(generator, units) for _ in range(PROMPTS)]
    else:
        prompts = [" ".join(generator.choices(WORDS, k=generator.randint(1, 20))) for _ in range(PROMPTS)]
    ours = our_ids(build, folder, prompts, work)
    with warnings.catch_warnings(record=True) as caught:
        tokenizers = [transformers.AutoTokenizer.from_pretrained(folder)]
        if slow:
            tokenizers.append(transformers.LlamaTokenizer.from_pretrained(folder))
    assert not caught, [str(warning.message) for warning in caught]
    for tokenizer in tokenizers:
        for text, expected in zip(prompts, ours):
            found = tokenizer.encode(text, add_special_tokens=False)
            assert found == expected, (type(tokenizer).__name__, text, found, expected)
        print(f"{folder.name}: {type(tokenizer).__name__}: the ids of {PROMPTS} prompts are ours, "
              f"{sum(map(len, ours))} in all")
    return ours


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double().numpy()


def our_difference(build, model, ids, logits, work):
    """The largest difference of our model's logits from these."""
    save_file(dict(ids=np.array(ids, np.int32), logits=logits.astype(np.float32)), work / "expected.safetensors")
    run = subprocess.run([build / "tests" / "test_models_llama_layouts", "--model", model, work / "expected.safetensors"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    line = next(line for line in (run.stdout + run.stderr).splitlines() if "largest difference" in line)
    return float(line.split("of a logit ")[1].split(",")[0])


def check_logits(build, folder, source, ids, work):
    """Our logits of `source` and of its export against transformers' float64 of the export, the same before and after."""
    model, info = transformers.LlamaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    with safe_open(folder / "model.safetensors", "np") as file:
        tied = model.config.tie_word_embeddings
        assert len(file.keys()) == (1 if tied else 2) + 1 + 9 * model.config.num_hidden_layers
    chosen = [[model.config.bos_token_id or 0] + part[:model.config.max_position_embeddings - 1]
              for part in ids if len(part) > 3][:LOGIT_PROMPTS]
    rounded = [logits_of(model, part) for part in chosen]
    exact = [logits_float64(model, part) for part in chosen]
    theirs = max(float(np.abs(a - b).max()) for a, b in zip(rounded, exact))
    before = [our_difference(build, source, *pair, work) for pair in zip(chosen, exact)]
    after = [our_difference(build, folder, *pair, work) for pair in zip(chosen, exact)]
    scale = max(float(np.abs(logits).max()) for logits in exact)
    over = sum(difference > 1e-4 for difference in before)
    print(f"{folder.name}: logits of {len(chosen)} prompts, up to {scale:.2f}, differ by at most {max(before):.2e} from transformers' "
          f"float64, from which its float32 differs by {theirs:.2e}; more than 1e-4 in {over} prompts; the same after the export")
    assert before == after, (before, after)
    assert scale >= 1 and max(before) <= 1e-4


def main():
    build, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    transformers.logging.set_verbosity_error()
    work.mkdir()
    run = subprocess.run([build / "tests" / "test_package_export", "--make", work], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    tree = work / "tree" / "spiritlm_model"
    assert sorted(path.name for path in tree.iterdir()) == ["spirit-lm-base-7b", "spirit-lm-expressive-7b"]
    for folder, name, slow in [(work / "expressive.hf", "expressive", True), (work / "base.hf", "base", True),
                               (work / "bytes.hf", "bytes", False), (tree / "spirit-lm-base-7b", "base", True),
                               (tree / "spirit-lm-expressive-7b", "expressive", True)]:
        checkpoint = next((work / name / "checkpoints").iterdir())
        ids = check_ids(build, folder, work, slow)
        check_logits(build, folder, checkpoint, ids, work)
        if folder.parent == tree:
            assert FILES | {"tokenizer.json", "tokenizer.model"} <= {path.name for path in folder.iterdir()}
            special = json.loads((folder / "special_tokens_map.json").read_text())
            assert {key: value["content"] for key, value in special.items()} == dict(
                bos_token="<s>", eos_token="</s>", unk_token="<unk>"), special
    for number, model in enumerate(sys.argv[3:]):
        folder = work / f"model{number}.hf"
        subprocess.run([build / "bin" / "inspect", "--export", folder, "--layout", "hf", model], check=True)
        ids = check_ids(build, folder, work, (folder / "tokenizer.model").exists())
        check_logits(build, folder, model, ids, work)


main()
