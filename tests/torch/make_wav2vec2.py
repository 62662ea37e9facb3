#!/usr/bin/env python3
"""Oracle for the wav2vec 2.0 family: torchaudio's wav2vec2_model and hubert_pretrain_model with small widths and random
weights; for WavLM the same with its attention replaced by one written here from the paper (Chen et al. 2022, section 3.1).
Computed in double. Run: /usr/bin/python3 tests/torch/make_wav2vec2.py
Writes tests/torch/wav2vec2_CASE.safetensors: the sizes as a Hugging Face configuration, parameters (Hugging Face's names,
kernels [O,K,C], the positional kernel without its weight norm), clips, every hidden state, the weights of a loss
sum_l sum_i weight_l[i] hidden_l[i], and its gradients for the parameters and the clips.

Hidden states are counted as Hugging Face counts them: 0 goes into the first layer, l comes out of layer l; where layer norm
comes first, the last one is behind the final norm (torchaudio's extract_features gives it before that norm)."""
import math
import os
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchaudio.models as models
from vectors import save

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))


def bucket(distance, buckets, longest):
    """Of key position - query position."""
    half = buckets // 2
    exact = half // 2
    d = distance.abs()
    far = torch.log(d.clamp(min=1).float() / exact) / math.log(longest / exact) * (half - exact)
    far = (exact + far).long().clamp(max=half - 1)
    return torch.where(d < exact, d, far) + half * (distance > 0)


class GatedAttention(nn.Module):
    """Self-attention of WavLM over torchaudio's projections; `distances` belongs to the first layer, all layers use it."""

    def __init__(self, plain, c, distances):
        super().__init__()
        self.heads, self.c, self.distances = plain.num_heads, c, [distances]
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = plain.q_proj, plain.k_proj, plain.v_proj, plain.out_proj
        self.gru_rel_pos_linear = nn.Linear(plain.head_dim, 8)
        self.gru_rel_pos_const = nn.Parameter(torch.ones(1, self.heads, 1, 1))

    def forward(self, x, mask=None):
        assert mask is None
        b, t, d = x.shape
        split = lambda y: y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        i = torch.arange(t)
        bias = self.distances[0].weight[bucket(i[None] - i[:, None], self.c["num_buckets"], self.c["max_bucket_distance"])]
        outputs = self.gru_rel_pos_linear(split(x))  # from the layer's input, [B, H, T, 8]
        update, reset = torch.sigmoid(outputs.view(b, self.heads, t, 2, 4).sum(-1)).unbind(-1)
        gate = update * (reset * self.gru_rel_pos_const[..., 0] - 1) + 2
        logits = q @ k.transpose(-1, -2) * (d // self.heads) ** -0.5 + gate[..., None] * bias.permute(2, 0, 1)
        return self.out_proj((logits.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))


def build(c):
    """The network of a Hugging Face configuration, without dropout and layer drop."""
    convs = list(zip(c["conv_dim"], c["conv_kernel"], c["conv_stride"]))
    args = [c["feat_extract_norm"] + "_norm", convs, c["conv_bias"], c["hidden_size"], 0.0, c["num_conv_pos_embeddings"],
            c["num_conv_pos_embedding_groups"], c["num_hidden_layers"], c["num_attention_heads"], 0.0,
            c["intermediate_size"], 0.0, 0.0, c["do_stable_layer_norm"], 0.0]
    if c["model_type"] == "hubert":
        net = models.hubert_pretrain_model(*args, 0.0, "static", 0.0, 10, False, 1, 0.0, "static", 0.0, 10, False, 1,
                                           False, 0.0, 4, 4, None).wav2vec2
    else:
        net = models.wav2vec2_model(*args, None)
    if c["model_type"] == "wavlm":
        distances = nn.Embedding(c["num_buckets"], c["num_attention_heads"])
        for i, layer in enumerate(net.encoder.transformer.layers):
            layer.attention = GatedAttention(layer.attention, c, distances)
            if i == 0:
                layer.attention.rel_attn_embed = distances
    return net


def sharpen(net):
    """Attention of random weights is nearly uniform; it would hide an error."""
    for layer in net.encoder.transformer.layers:
        layer.attention.q_proj.weight.mul_(3)
        layer.attention.k_proj.weight.mul_(3)


def hidden_states(net, x):
    """x [B, n] -> layers + 1 states [B, T, d]."""
    t = net.encoder.transformer
    features, _ = net.feature_extractor(x, None)
    h = t._preprocess(net.encoder.feature_projection(features))
    out = [h]
    for i, layer in enumerate(t.layers):
        h = layer(h)
        if i + 1 == len(t.layers) and not t.layer_norm_first:  # its flag is that of the norm in front of the layers
            h = t.layer_norm(h)
        out.append(h)
    return out


def hugging_face_name(name):
    return name.replace("encoder.feature_projection.", "feature_projection.").replace("encoder.transformer.", "encoder.")


def ours(name, a):
    """Kernels of convolutions are [O,K,C] here."""
    return a.transpose(1, 2) if name.endswith("conv.weight") else a


def make(case, c, clips, samples, seed):
    torch.manual_seed(seed)
    net = build(c)
    torch.nn.utils.remove_weight_norm(net.encoder.transformer.pos_conv_embed.conv)
    with torch.no_grad():
        for n, p in net.named_parameters():
            if p.dim() == 1 or "const" in n:
                p.add_(0.1 * torch.randn_like(p))
        sharpen(net)
    net.float().double()  # float32 values, computed in double: the oracle adds no rounding of its own
    x = torch.randn(clips, samples).double().requires_grad_()
    states = hidden_states(net, x)
    whole, _ = net(x)
    assert torch.equal(whole, states[-1])
    weights = [torch.randn(h.shape).double() for h in states]
    sum((h * w).sum() for h, w in zip(states, weights)).backward()
    out = {"input": x.detach().numpy(), "grad.input": x.grad.numpy()}
    for i, (h, w) in enumerate(zip(states, weights)):
        out[f"hidden.{i}"], out[f"weight.{i}"] = h.detach().numpy(), w.numpy()
    for n, p in net.named_parameters():
        name = hugging_face_name(n)
        out["param." + name], out["grad." + name] = ours(name, p.detach()).numpy(), ours(name, p.grad).numpy()
    save(os.path.join(HERE, f"wav2vec2_{case}.safetensors"), out, c)


BASE = {"model_type": "wav2vec2", "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 3,
        "intermediate_size": 20, "conv_dim": [8, 8, 10], "conv_kernel": [10, 3, 2], "conv_stride": [5, 2, 2],
        "conv_bias": False, "feat_extract_norm": "group", "do_stable_layer_norm": False, "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4, "layer_norm_eps": 1e-5}
LARGE = {**BASE, "conv_bias": True, "feat_extract_norm": "layer", "do_stable_layer_norm": True,
         "num_attention_heads": 2, "conv_dim": [8, 6, 9], "num_conv_pos_embedding_groups": 2}
WAVLM = {"model_type": "wavlm", "num_buckets": 8, "max_bucket_distance": 13, "num_hidden_layers": 2}

if __name__ == "__main__":
    make("base", BASE, 2, 330, 1)
    make("large", LARGE, 2, 330, 2)
    make("hubert", {**BASE, "model_type": "hubert", "num_conv_pos_embeddings": 7, "num_attention_heads": 1}, 1, 251, 3)
    make("hubert_large", {**LARGE, "model_type": "hubert", "conv_bias": False, "num_hidden_layers": 2,
                          "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 12}, 1, 251, 4)
    make("wavlm", {**BASE, **WAVLM}, 2, 500, 5)
    make("wavlm_large", {**LARGE, **WAVLM, "conv_bias": False, "num_attention_heads": 4}, 1, 500, 6)
