#!/usr/bin/env python3
"""Names of the parameters of tiny encoders in every kind of checkpoint, with torchaudio's own models and importers as
the authority on which name means what. Run: /usr/bin/python3 tests/torch/make_dialect.py (PyTorch 1.13, torchaudio
0.13). Writes tests/frontend/data/dialects.json, for each encoder: "sizes" (the description that must be found), "ours"
(Hugging Face's name: PyTorch's shape), "files": a dialect, a prefix, {the file's name: Hugging Face's name, "" where it
is the same} (the parts of weight norm are called "v" and "g"), and other tensors that such files have;
and tests/torch/dialect.safetensors: v, g, and the product of torch's weight norm."""
import json
import os
import torch
from torchaudio.models import wav2vec2_model
from torchaudio.models.wav2vec2.utils.import_fairseq import _map_key
from vectors import save

HERE = os.path.dirname(os.path.abspath(__file__))
POSITIONAL = "encoder.pos_conv_embed.conv."
KERNELS, STRIDES = [10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]
WIDTH, HEADS, LAYERS, FF, TAPS, GROUPS = 64, 1, 2, 8, 6, 16


def torchaudio_model(layer_norm):
    convs = [(4, k, s) for k, s in zip(KERNELS, STRIDES)]
    return wav2vec2_model("layer_norm" if layer_norm else "group_norm", convs, layer_norm, WIDTH, 0.0, TAPS, GROUPS,
                          LAYERS, HEADS, 0.0, FF, 0.0, 0.0, layer_norm, 0.0, None)


def hugging_face(name):
    """Of torchaudio's name: its importer loads three modules of Hugging Face's model into its own by prefix."""
    for ours, theirs in (("encoder.transformer.", "encoder."), ("encoder.feature_projection.", "feature_projection.")):
        if name.startswith(ours):
            return theirs + name[len(ours):]
    return name


def fairseq(name, layer_norm):
    """A name of fairseq's for torchaudio's: found by trying, since torchaudio's importer goes the other way."""
    part = name.split(".")
    number = part[2] if part[1] == "conv_layers" else part[3] if part[2] == "layers" else ""
    kind = part[-1]
    tries = [f"feature_extractor.conv_layers.{number}.{i}.{kind}" for i in ("0", "2.1" if layer_norm else "2")]
    tries += [f"{stem}.{kind}" for stem in
              ("post_extract_proj", "layer_norm", "encoder.pos_conv.0", "encoder.layer_norm")]
    tries += [f"encoder.layers.{number}.{stem}.{kind}" for stem in
              ("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj", "self_attn_layer_norm",
               "fc1", "fc2", "final_layer_norm")]
    for t in tries:
        try:
            if _map_key(t) == name:
                return t
        except ValueError:
            pass
    raise SystemExit("no fairseq name for " + name)


def source(name):
    """Hugging Face's name, or v and g."""
    return {"weight_v": "v", "weight_g": "g"}.get(name.split(".")[-1], name)


def newer(name):
    """The newer form of weight norm."""
    return name.replace("conv.weight_g", "conv.parametrizations.weight.original0").replace(
        "conv.weight_v", "conv.parametrizations.weight.original1")


def describe(kind, layer_norm):
    return {"model_type": kind, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "intermediate_size": FF, "conv_dim": [4] * 7, "conv_kernel": KERNELS, "conv_stride": STRIDES,
            "conv_bias": layer_norm, "feat_extract_norm": "layer" if layer_norm else "group",
            "do_stable_layer_norm": layer_norm, "num_conv_pos_embeddings": TAPS,
            "num_conv_pos_embedding_groups": GROUPS, "layer_norm_eps": 1e-5}


def wav2vec2(layer_norm):
    state = torchaudio_model(layer_norm).state_dict()
    ours = {hugging_face(n): list(v.shape) for n, v in state.items() if not n.endswith(("_g", "_v"))}
    ours[POSITIONAL + "weight"] = list(state["encoder.transformer.pos_conv_embed.conv.weight_v"].shape)
    theirs = {n: source(hugging_face(n)) for n in state}
    hf = {hugging_face(n): s for n, s in theirs.items()}
    fs = {fairseq(n, layer_norm): s for n, s in theirs.items()}
    trained = ["mask_emb", "quantizer.vars", "quantizer.weight_proj.weight", "project_q.weight", "final_proj.weight"]
    files = [("torchaudio", "", theirs, ["aux.weight"]),
             ("Hugging Face", "", hf, ["masked_spec_embed"]),
             ("Hugging Face", "wav2vec2.", {newer(n): s for n, s in hf.items()},
              ["lm_head.weight", "quantizer.codevectors"]),
             ("fairseq", "", fs, trained),
             ("fairseq", "w2v_encoder.w2v_model.", fs, ["w2v_encoder.proj.weight"]),
             ("fairseq", "w2v_model.", {newer(n): s for n, s in fs.items()}, [])]
    plain = {n: n for n in ours}
    files.append(("Hugging Face", "frontend.", plain, []))
    return {"sizes": describe("wav2vec2", layer_norm), "ours": ours, "files": files}, fs, hf


def hubert(layer_norm):
    case, fs, hf = wav2vec2(layer_norm)
    case["sizes"] = describe("hubert", layer_norm)
    case["files"] = [("fairseq", "", fs, ["mask_emb", "final_proj.weight", "label_embs_concat"]),
                     ("fairseq", "", fs, ["final_proj.weight"]),
                     ("Hugging Face", "hubert.", hf, ["lm_head.weight"])]
    return case


def wavlm(layer_norm):
    """Microsoft's files are fairseq's with the relative positions added; these names are written down here by hand."""
    case, fs, hf = wav2vec2(layer_norm)
    heads = 2
    case["sizes"] = dict(describe("wavlm", layer_norm), num_attention_heads=heads, num_buckets=32,
                         max_bucket_distance=800)
    extra = {}
    for i in range(LAYERS):
        a, b = f"encoder.layers.{i}.self_attn.", f"encoder.layers.{i}.attention."
        for theirs, name, shape in (("grep_linear.weight", "gru_rel_pos_linear.weight", [8, WIDTH // heads]),
                                    ("grep_linear.bias", "gru_rel_pos_linear.bias", [8]),
                                    ("grep_a", "gru_rel_pos_const", [1, heads, 1, 1])):
            extra[a + theirs] = b + name
            case["ours"][b + name] = shape
    table = "encoder.layers.0.attention.rel_attn_embed.weight"
    extra["encoder.layers.0.self_attn.relative_attention_bias.weight"] = table
    case["ours"][table] = [32, heads]
    case["files"] = [("WavLM", "", {**fs, **extra}, ["mask_emb", "final_proj.weight"]),
                     ("Hugging Face", "wavlm.", {**hf, **{n: n for n in extra.values()}}, ["lm_head.weight"])]
    return case


def whisper():
    d, ff, mels, positions = WIDTH, 8, 5, 7
    ours = {"conv1.weight": [d, mels, 3], "conv1.bias": [d], "conv2.weight": [d, d, 3], "conv2.bias": [d],
            "embed_positions.weight": [positions, d], "layer_norm.weight": [d], "layer_norm.bias": [d]}
    openai = {"encoder.conv1.weight": "conv1.weight", "encoder.conv1.bias": "conv1.bias",
              "encoder.conv2.weight": "conv2.weight", "encoder.conv2.bias": "conv2.bias",
              "encoder.positional_embedding": "embed_positions.weight", "encoder.ln_post.weight": "layer_norm.weight",
              "encoder.ln_post.bias": "layer_norm.bias"}
    for i in range(LAYERS):
        for theirs, name, shape in (("attn.query", "self_attn.q_proj", [d, d]),
                                    ("attn.key", "self_attn.k_proj", [d, d]),
                                    ("attn.value", "self_attn.v_proj", [d, d]),
                                    ("attn.out", "self_attn.out_proj", [d, d]),
                                    ("attn_ln", "self_attn_layer_norm", [d]), ("mlp.0", "fc1", [ff, d]),
                                    ("mlp.2", "fc2", [d, ff]), ("mlp_ln", "final_layer_norm", [d])):
            for kind in ("weight", "bias"):
                if kind == "weight" or name != "self_attn.k_proj":
                    ours[f"layers.{i}.{name}.{kind}"] = shape if kind == "weight" else shape[:1]
                    openai[f"encoder.blocks.{i}.{theirs}.{kind}"] = f"layers.{i}.{name}.{kind}"
    sizes = {"model_type": "whisper", "d_model": d, "encoder_layers": LAYERS, "encoder_attention_heads": HEADS,
             "encoder_ffn_dim": ff, "num_mel_bins": mels, "max_source_positions": positions}
    hf = {n: n for n in ours}
    decoder = ["decoder.conv1.bias", "decoder.blocks.0.attn.query.weight"]
    return {"sizes": sizes, "ours": ours, "files": [
        ("OpenAI", "", openai, decoder), ("Hugging Face", "encoder.", hf, []),
        ("Hugging Face", "model.encoder.", hf, ["proj_out.weight"]), ("Hugging Face", "", hf, [])]}


torch.manual_seed(5)
v, g = torch.randn(WIDTH, WIDTH // GROUPS, TAPS), torch.rand(1, 1, TAPS) + 0.5
save(os.path.join(HERE, "dialect.safetensors"),
     {"v": v.numpy(), "g": g.numpy(), "weight": torch._weight_norm(v, g, 2).numpy()}, {})
cases = {"wav2vec2 base": wav2vec2(False)[0], "wav2vec2 large": wav2vec2(True)[0], "hubert base": hubert(False),
         "wavlm large": wavlm(True), "wavlm base": wavlm(False), "whisper": whisper()}
for case in cases.values():
    case["files"] = [{"dialect": dialect, "prefix": prefix, "others": others,
                      "names": {n: "" if n == s else s for n, s in names.items()}}
                     for dialect, prefix, names, others in case["files"]]
with open(os.path.join(HERE, "..", "frontend", "data", "dialects.json"), "w") as f:
    json.dump(cases, f, separators=(",", ":"))
    f.write("\n")
