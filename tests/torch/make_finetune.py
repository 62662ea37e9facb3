"""Oracle for fine-tuning: ten updates of a tiny wav2vec 2.0 of the large style (torchaudio's model: layer norm in every
convolution, norm before attention) with a linear classifier on the mean of its last hidden state. Learning rates by layer;
adam: convolutions frozen; adamw: also with weight decay on matrices and clipping; full: Adam on everything. In float64 from
float32 weights. The positional kernel is one matrix (weight norm taken away), as in Spoor.
Run: /usr/bin/python3 tests/torch/make_finetune.py   (writes tests/torch/finetune.safetensors)"""
import os
import torch
import torchaudio
from vectors import save

torch.manual_seed(11)
CONVS, WIDTH, LAYERS, HEADS, FF, CLASSES = [(8, 10, 5), (8, 3, 2), (8, 2, 2)], 16, 3, 4, 24, 3
STEPS, CLIPS, SAMPLES, LR, DECAY, CLIP = 10, 4, 400, 0.02, 0.05, 1.0


def factor(name):  # of the learning rate
    if name.startswith("head"):
        return 1.0
    if name.startswith("encoder.layers."):
        return 0.2 * 0.7 ** (LAYERS - 1 - int(name.split(".")[2]))
    return 0.05 if name.startswith("feature_") else 0.2


def decays(name, p):
    return p.dim() > 1


def ours(name):  # torchaudio's name -> Hugging Face's, which is Spoor's
    return name.replace("encoder.feature_projection", "feature_projection").replace("encoder.transformer", "encoder")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torchaudio.models.wav2vec2_model(
            extractor_mode="layer_norm", extractor_conv_layer_config=CONVS, extractor_conv_bias=True,
            encoder_embed_dim=WIDTH, encoder_projection_dropout=0.0, encoder_pos_conv_kernel=6, encoder_pos_conv_groups=4,
            encoder_num_layers=LAYERS, encoder_num_heads=HEADS, encoder_attention_dropout=0.0,
            encoder_ff_interm_features=FF, encoder_ff_interm_dropout=0.0, encoder_dropout=0.0,
            encoder_layer_norm_first=True, encoder_layer_drop=0.0, aux_num_out=None)
        torch.nn.utils.remove_weight_norm(self.body.encoder.transformer.pos_conv_embed.conv)
        self.head = torch.nn.Linear(WIDTH, CLASSES)

    def named(self):
        for name, p in self.body.named_parameters():
            yield ours(name), p
        for name, p in self.head.named_parameters():
            yield "head." + name, p

    def forward(self, x):
        return self.head(self.body(x)[0].mean(1))


net = Net()
with torch.no_grad():
    for name, p in net.named():  # norms and biases that matter
        if p.dim() == 1:
            p.add_(0.1 * torch.randn_like(p))
first = {name: p.detach().clone() for name, p in net.named()}
wave = torch.randn(2, CLIPS, SAMPLES)  # two batches in turn
target = torch.tensor([[0, 1, 2, 0], [2, 1, 0, 1]])
out = {"w." + name: p for name, p in first.items()}
out["wave"], out["target"] = wave, target
for kind in ("adam", "adamw", "full"):
    net = net.double()
    with torch.no_grad():
        for name, p in net.named():
            p.copy_(first[name].double())
    groups, trained = [], []
    for name, p in net.named():
        p.requires_grad_(kind == "full" or not name.startswith("feature_extractor"))
        if p.requires_grad:
            groups.append({"params": [p], "lr": LR * factor(name), "weight_decay":
                           DECAY if kind == "adamw" and decays(name, p) else 0.0})
            trained.append(p)
    o = (torch.optim.AdamW if kind == "adamw" else torch.optim.Adam)(groups, lr=LR, betas=(0.9, 0.98), eps=1e-6)
    losses = []
    for i in range(STEPS):
        o.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(wave[i % 2].double()), target[i % 2])
        loss.backward()
        if kind == "adamw":
            torch.nn.utils.clip_grad_norm_(trained, CLIP)
        o.step()
        losses.append(loss.item())
    print(kind, losses)
    out[kind + ".losses"] = torch.tensor(losses)
    for name, p in net.named():
        if name in ("encoder.layers.0.attention.q_proj.weight", "encoder.pos_conv_embed.conv.weight", "head.weight",
                    "encoder.layers.2.final_layer_norm.weight", "feature_extractor.conv_layers.0.conv.weight"):
            out[f"{kind}.{name}"] = p.detach().clone().float()
save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "finetune.safetensors"), {k: v.numpy() for k, v in out.items()}, {})
