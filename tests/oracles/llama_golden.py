"""Makes tests/golden/llama/: what Hugging Face's LlamaForCausalLM computes, for tests/models/test_llama_golden.c and
test_llama_folder.c.

    llama_golden.py cases                      the *.safetensors of CASES
    llama_golden.py foreign                    hf_f16_sharded/: a folder written by save_pretrained
    llama_golden.py folders DIRECTORY          folders.safetensors: hashes and logits of the folders that
                                               `test_models_llama_folder --write DIRECTORY` wrote

Made with Python 3.11, torch 1.13.0 (Debian), transformers 4.38.2, safetensors 0.8.0, numpy 1.26.4; the versions are in
each file's metadata.

The reference is float64 throughout. The library's model computes parts in float32 even when it is moved to float64, so
this script replaces four of them: the RMSNorm, the rotary table (frequencies, angles, cosine and sine), the softmax of
the attention and the logits' cast. Weights are not stored: both sides draw them from the counter-based generator of
core/rng.h as integers times an exact power-of-two fraction, rounded once to float32 (or to bfloat16), so that
they are the same numbers everywhere.

The bf16 cases hold, beside the float64 result for bfloat16 weights, the error of the library's own unpatched bfloat16
model on these weights, as one relative norm per tensor.
"""
import hashlib
import json
import os
import sys

import numpy as np
import safetensors
import torch
import transformers
import transformers.models.llama.modeling_llama as modeling
from safetensors.numpy import save_file

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "llama")
VERSIONS = {
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "numpy": np.__version__,
    "safetensors": safetensors.__version__,
    "script": "tests/oracles/llama_golden.py",
}
BASE = dict(hidden=48, intermediate=80, layers=4, heads=4, kv_heads=2, vocabulary=112, positions=300, theta=10000.0,
            epsilon=1e-5, tied=False, seed=11, dtype="f32", std=0.02)
CASES = {
    "t1_std02": dict(rows=1, length=1),
    "t31_std02": dict(rows=2, length=31),
    "t257_std02": dict(rows=1, length=257),
    "t1_std10": dict(rows=1, length=1, std=0.1),
    "t31_std10": dict(rows=2, length=31, std=0.1),
    "t257_std10": dict(rows=1, length=257, std=0.1),
    "tied_std02": dict(rows=2, length=31, tied=True, kv_heads=1, theta=500000.0, epsilon=1e-6),
    "tied_std10": dict(rows=2, length=31, tied=True, kv_heads=1, theta=500000.0, epsilon=1e-6, std=0.1),
    "bf16_t257_std02": dict(rows=1, length=257, dtype="bf16"),
    "bf16_t31_std10": dict(rows=2, length=31, dtype="bf16", std=0.1),
}
FOREIGN = dict(BASE, hidden=16, intermediate=24, layers=2, heads=2, kv_heads=1, vocabulary=20, positions=32, std=0.1)

# ---- core/rng.h ----

MASK = (1 << 64) - 1
RNG_TEST = 1


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def words(seed, a, b, blocks):
    """The first 4 * blocks words of rng_make(seed, RNG_TEST, a, b), [blocks][4]."""
    key = mix((mix(seed) + RNG_TEST) & MASK)
    name = mix((mix(key ^ a) + b) & MASK)
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    index = np.arange(blocks, dtype=np.uint64)
    c = [index & low, index >> shift, np.full(blocks, name & 0xFFFFFFFF, np.uint64), np.full(blocks, name >> 32, np.uint64)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(k0), p1 & low, (p0 >> shift) ^ c[3] ^ np.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1)


def spread(seed, a, count):
    """Numbers of mean 0 and deviation 1 (the sum of four uniform ones), exact in double."""
    sums = words(seed, a, 0, count).astype(np.int64).sum(axis=1) - 2 * (2**32 - 1)
    return sums.astype(np.float64) * (1.7320508075688772 / 4294967296.0)


# ---- the model ----


def names(config):
    """In the order of parameter_layout_create, aliases left out."""
    result = ["model.embed_tokens.weight"]
    for layer in range(config["layers"]):
        for part in ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                     "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"):
            result.append(f"model.layers.{layer}.{part}.weight")
    return result + ["model.norm.weight"] + ([] if config["tied"] else ["lm_head.weight"])


def make_model(config):
    """A float32 model whose weights are the test's (rounded to bfloat16 in the bf16 cases)."""
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=config["vocabulary"], hidden_size=config["hidden"], intermediate_size=config["intermediate"],
        num_hidden_layers=config["layers"], num_attention_heads=config["heads"], num_key_value_heads=config["kv_heads"],
        max_position_embeddings=config["positions"], rope_theta=config["theta"], rms_norm_eps=config["epsilon"],
        tie_word_embeddings=config["tied"], attn_implementation="eager", use_cache=False))
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for index, name in enumerate(names(config)):
            parameter = parameters[name]
            values = spread(config["seed"], index, parameter.numel())
            values = 1 + 0.1 * values if parameter.dim() == 1 else values * config["std"]
            values = torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape)
            parameter.copy_(values.bfloat16() if config["dtype"] == "bf16" else values)
    return model


def norm_forward(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def rotary_forward(self, x, position_ids, seq_len=None):
    exponent = torch.arange(0, self.dim, 2, dtype=torch.float64) / self.dim
    frequencies = torch.pow(torch.tensor(float(self.base), dtype=torch.float64), -exponent)
    angles = position_ids[:, :, None].double() * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


class Float64:
    """Inside this context, the library's Llama computes only in float64."""

    def __enter__(self):
        self.kept = modeling.LlamaRMSNorm.forward, modeling.LlamaRotaryEmbedding.forward, torch.nn.functional.softmax
        softmax = self.kept[2]
        modeling.LlamaRMSNorm.forward = norm_forward
        modeling.LlamaRotaryEmbedding.forward = rotary_forward
        torch.nn.functional.softmax = lambda x, dim=None, dtype=None: softmax(x, dim=dim)

    def __exit__(self, *_):
        modeling.LlamaRMSNorm.forward, modeling.LlamaRotaryEmbedding.forward, torch.nn.functional.softmax = self.kept


def run(model, config, ids, targets):
    """Logits, the loss per position and all gradients of the mean loss, as float64 arrays."""
    rows, length = ids.shape
    hidden = model.model(input_ids=ids).last_hidden_state
    logits = model.lm_head(hidden)
    wide = logits if logits.dtype == torch.float64 else logits.float()
    losses = torch.nn.functional.cross_entropy(wide.reshape(rows * length, -1), targets.reshape(-1), ignore_index=-1,
                                               reduction="none")
    scale = float(np.float32(1.0 / int((targets >= 0).sum())))
    (losses.sum() * scale).backward()
    gradients = {name: parameter.grad.double().numpy() for name, parameter in model.named_parameters()}
    return logits.detach().double().numpy(), losses.detach().double().numpy(), [gradients[n] for n in names(config)]


def check_float64(model, ids):
    """Nothing in the patched forward may be narrower than float64."""
    seen = []
    hooks = [m.register_forward_hook(lambda m, i, o: seen.append((type(m).__name__, o))) for m in model.modules()]
    model.model(input_ids=ids)
    for hook in hooks:
        hook.remove()
    for name, output in seen:
        for tensor in output if isinstance(output, tuple) else (output,):
            if torch.is_tensor(tensor) and tensor.is_floating_point():
                assert tensor.dtype == torch.float64, name


def relative(actual, expected):
    norm = np.linalg.norm(expected)
    return np.linalg.norm(actual - expected) / norm if norm > 0 else np.linalg.norm(actual - expected)


def case_inputs(config, index):
    count = config["rows"] * config["length"]
    drawn = words(config["seed"], 1000 + index, 0, count)
    ids = (drawn[:, 0] % np.uint64(config["vocabulary"])).astype(np.int32)
    targets = (drawn[:, 1] % np.uint64(config["vocabulary"])).astype(np.int32)
    if count > 1:
        targets[drawn[:, 2] % np.uint64(8) == 0] = -1
    shape = (config["rows"], config["length"])
    return ids.reshape(shape), targets.reshape(shape)


def metadata(config):
    return {**{key: str(value) for key, value in config.items()}, **VERSIONS}


def make_cases():
    for index, (case, changes) in enumerate(CASES.items()):
        config = dict(BASE, **changes)
        ids, targets = case_inputs(config, index)
        long_ids, long_targets = torch.from_numpy(ids).long(), torch.from_numpy(targets).long()
        model = make_model(config)
        reference = make_model(config).double()
        with Float64():
            check_float64(reference, long_ids)
            logits, losses, gradients = run(reference, config, long_ids, long_targets)
        tensors = {"ids": ids, "targets": targets, "logits": logits.astype(np.float32), "losses": losses}
        for name, gradient in zip(names(config), gradients):
            tensors[name] = gradient.astype(np.float32)
        own = model.bfloat16() if config["dtype"] == "bf16" else model
        own_logits, own_losses, own_gradients = run(own, config, long_ids, long_targets)
        errors = [relative(a, e) for a, e in zip(own_gradients, gradients)]
        if config["dtype"] == "bf16":
            tensors["torch_gradient_errors"] = np.array(errors)
            tensors["torch_logits_error"] = np.array([relative(own_logits, logits)])
            tensors["torch_losses_error"] = np.array([relative(own_losses, losses)])
        path = os.path.join(GOLDEN, case + ".safetensors")
        save_file(tensors, path, metadata=metadata(config))
        print(f"{case}: {os.path.getsize(path)} bytes; the library's own {config['dtype']}: logits "
              f"{np.abs(own_logits - logits).max():.2e}, worst gradient {max(errors):.2e}")


def float64_logits(model, ids):
    with Float64(), torch.no_grad():
        return model.double()(input_ids=torch.from_numpy(ids).long()[None]).logits[0].double().numpy()


def make_foreign():
    config = FOREIGN
    path = os.path.join(GOLDEN, "hf_f16_sharded")
    model = make_model(config).half()
    model.save_pretrained(path, max_shard_size="4KB", safe_serialization=True)
    ids = (np.arange(32) * 7 % config["vocabulary"]).astype(np.int32)
    with Float64(), torch.no_grad():
        hidden = model.double().model(input_ids=torch.from_numpy(ids).long()[None]).last_hidden_state
        logits = model.lm_head(hidden)[0].numpy()
    save_file({"ids": ids, "logits": logits.astype(np.float32)}, os.path.join(GOLDEN, "hf_f16_sharded.safetensors"),
              metadata=metadata(config))
    print(sorted(os.listdir(path)))


def make_folders(root):
    """What from_pretrained makes of the folders that our own code wrote: it must give the same logits as the weights."""
    tensors, hashes = {}, {}
    for folder in sorted(os.listdir(root)):
        path = os.path.join(root, folder)
        model, report = transformers.LlamaForCausalLM.from_pretrained(path, torch_dtype="auto",
                                                                      attn_implementation="eager",
                                                                      output_loading_info=True)
        assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")), report
        assert model.generation_config.bos_token_id == 1 and model.generation_config.eos_token_id == 2
        wanted = torch.bfloat16 if "bf16" in folder else torch.float32
        assert all(p.dtype == wanted for p in model.parameters()), folder
        ids = (np.arange(24) * 5 % model.config.vocab_size).astype(np.int32)
        with Float64(), torch.no_grad():
            model = model.double()
            hidden = model.model(input_ids=torch.from_numpy(ids).long()[None]).last_hidden_state
            tensors[folder + ".logits"] = model.lm_head(hidden)[0].numpy().astype(np.float32)
        tensors[folder + ".ids"] = ids
        for name in sorted(os.listdir(path)):
            if name != "MANIFEST":
                with open(os.path.join(path, name), "rb") as file:
                    hashes[f"{folder}/{name}"] = hashlib.sha256(file.read()).hexdigest()
    save_file(tensors, os.path.join(GOLDEN, "folders.safetensors"), metadata={**hashes, **VERSIONS})
    print(json.dumps(hashes, indent=1))


if __name__ == "__main__":
    os.makedirs(GOLDEN, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if sys.argv[1:] == ["cases"]:
        make_cases()
    elif sys.argv[1:] == ["foreign"]:
        make_foreign()
    elif len(sys.argv) == 3 and sys.argv[1] == "folders":
        make_folders(sys.argv[2])
    else:
        sys.exit(__doc__)
