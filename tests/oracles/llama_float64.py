"""transformers' Llama in float64 throughout, for the scripts that measure errors.

`model.double()` is not enough: the library goes on computing the RMSNorm, the rotary angles, the softmax of the attention and the
logits' cast in float32, and takes the rotary frequencies from a float32 table. A reference with such angles agrees with the
library's own float32 model in just the errors that they cause, and blames whoever computes the angles exactly.
"""
import torch
import transformers.models.llama.modeling_llama as modeling


def norm_forward(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def rotary_forward(self, x, position_ids, seq_len=None):
    size = self.config.hidden_size // self.config.num_attention_heads
    exponent = torch.arange(0, size, 2, dtype=torch.float64) / size
    angles = position_ids[:, :, None].double() * torch.pow(torch.tensor(float(self.config.rope_theta), dtype=torch.float64), -exponent)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def logits_float64(model, ids):
    """[tokens][vocabulary] of a list of ids; the model is left in float32."""
    kept = modeling.LlamaRMSNorm.forward, modeling.LlamaRotaryEmbedding.forward, torch.nn.functional.softmax
    modeling.LlamaRMSNorm.forward = norm_forward
    modeling.LlamaRotaryEmbedding.forward = rotary_forward
    torch.nn.functional.softmax = lambda x, dim=None, dtype=None: kept[2](x, dim=dim)
    try:
        model.double()
        with torch.no_grad():
            hidden = model.model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state
            logits = model.lm_head(hidden)[0]
        assert logits.dtype == torch.float64
        return logits.numpy()
    finally:
        modeling.LlamaRMSNorm.forward, modeling.LlamaRotaryEmbedding.forward, torch.nn.functional.softmax = kept
        model.float()
