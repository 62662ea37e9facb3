"""AASIST (Jung et al., ICASSP 2022) in PyTorch, for raw waveforms and, as W2VAASIST (Tak et al., Odyssey 2022), for features;
written from the papers' description and from the names and shapes in the published weights, which load with strict=True.
make_aasist.py can compare what each batch norm sees on real speech with the statistics that it learned."""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F

WAVEFORM = {"AASIST": {"channels": [32, 32, 64, 64, 64, 64], "graph": [64, 32], "pool_ratios": [0.5, 0.7, 0.5]},
            "AASIST-L": {"channels": [32, 32, 24, 24, 24, 24], "graph": [24, 32], "pool_ratios": [0.4, 0.5, 0.7]}}
DEFAULTS = {"input": "features", "project": 128, "sinc": 70, "sinc_kernel": 129, "first_pool": 3, "channels": [32, 32, 64, 64, 64, 64],
            "preactivation": False, "graph": [64, 32], "pool_ratios": [0.5, 0.5, 0.5], "temperatures": [2, 2, 100],
            "dropout": 0.5, "way_dropout": 0.2, "graph_dropout": 0.2, "pool_dropout": 0.3}


def settings(given):
    c = {**DEFAULTS, **given}
    wave = c["input"] == "waveform"
    c.setdefault("attention", 0 if wave else 128)
    c.setdefault("block_pool", 3 if wave else 1)
    return c


def sinc_filters(n, kernel):
    """Band-pass filters between n + 1 points of the mel scale, 0 to 8 kHz, times a Hamming window."""
    top = 2595 * math.log10(1 + 8000 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, n + 1, dtype=torch.float64) / 2595) - 1) / 16000
    x = torch.arange(kernel, dtype=torch.float64) - (kernel - 1) / 2
    low = 2 * edges[:, None] * torch.sinc(2 * edges[:, None] * x)
    return (low[1:] - low[:-1]) * torch.hamming_window(kernel, periodic=False, dtype=torch.float64)


class Residual(nn.Module):
    """x [B,C,bands,frames]"""
    def __init__(self, cin, cout, first, c):
        super().__init__()
        self.pre, self.pool = c["preactivation"] and not first, c["block_pool"]
        if not first:
            self.bn1 = nn.BatchNorm2d(cin)
        self.conv1 = nn.Conv2d(cin, cout, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, (2, 3), padding=(0, 1))
        if cin != cout:
            self.conv_downsample = nn.Conv2d(cin, cout, (1, 3), padding=(0, 1))

    def forward(self, x):
        y = F.selu(self.bn1(x)) if self.pre else x
        y = self.conv2(F.selu(self.bn2(self.conv1(y))))
        y = y + (self.conv_downsample(x) if hasattr(self, "conv_downsample") else x)
        return F.max_pool2d(y, (1, min(self.pool, y.shape[3])))


def attend(pair, vector, products, temperature):
    return (torch.tanh(pair(products)) @ vector)[..., 0] / temperature


class GAT(nn.Module):
    def __init__(self, cin, cout, temperature, c):
        super().__init__()
        self.att_proj, self.att_weight = nn.Linear(cin, cout), nn.Parameter(0.2 * torch.randn(cout, 1))
        self.proj_with_att, self.proj_without_att = nn.Linear(cin, cout), nn.Linear(cin, cout)
        self.bn, self.temperature, self.drop = nn.BatchNorm1d(cout), temperature, c["graph_dropout"]

    def forward(self, x):
        x = F.dropout(x, self.drop, self.training)
        a = attend(self.att_proj, self.att_weight, x[:, :, None] * x[:, None], self.temperature).softmax(-1)
        x = self.proj_with_att(a @ x) + self.proj_without_att(x)
        return F.selu(self.bn(x.transpose(1, 2)).transpose(1, 2))


class HtrgGAT(nn.Module):
    def __init__(self, cin, cout, temperature, c):
        super().__init__()
        self.proj_type1, self.proj_type2 = nn.Linear(cin, cin), nn.Linear(cin, cin)
        self.att_proj, self.att_projM = nn.Linear(cin, cout), nn.Linear(cin, cout)
        for kind in "11", "22", "12", "M":
            setattr(self, "att_weight" + kind, nn.Parameter(0.2 * torch.randn(cout, 1)))
        self.proj_with_att, self.proj_without_att = nn.Linear(cin, cout), nn.Linear(cin, cout)
        self.proj_with_attM, self.proj_without_attM = nn.Linear(cin, cout), nn.Linear(cin, cout)
        self.bn, self.temperature, self.drop = nn.BatchNorm1d(cout), temperature, c["graph_dropout"]

    def forward(self, one, two, master):
        n = one.shape[1]
        x = F.dropout(torch.cat([self.proj_type1(one), self.proj_type2(two)], 1), self.drop, self.training)
        products = x[:, :, None] * x[:, None]
        first = torch.arange(x.shape[1]) < n
        logits = attend(self.att_proj, self.att_weight12, products, self.temperature)
        for vector, kind in (self.att_weight11, first), (self.att_weight22, ~first):
            own = kind[:, None] & kind[None]
            logits = torch.where(own, attend(self.att_proj, vector, products, self.temperature), logits)
        of_master = attend(self.att_projM, self.att_weightM, x * master, self.temperature).softmax(-1)
        master = self.proj_with_attM(of_master[:, None] @ x) + self.proj_without_attM(master)
        x = self.proj_with_att(logits.softmax(-1) @ x) + self.proj_without_att(x)
        x = F.selu(self.bn(x.transpose(1, 2)).transpose(1, 2))
        return x[:, :n], x[:, n:], master


class Pool(nn.Module):
    def __init__(self, dim, ratio, c):
        super().__init__()
        self.proj, self.ratio, self.drop = nn.Linear(dim, 1), ratio, c["pool_dropout"]

    def forward(self, x):
        scores = torch.sigmoid(self.proj(F.dropout(x, self.drop, self.training)))
        best = scores[..., 0].topk(max(1, int(x.shape[1] * self.ratio)), 1).indices
        return (x * scores).gather(1, best[..., None].expand(-1, -1, x.shape[2]))


class AASIST(nn.Module):
    def __init__(self, given, input_dim, classes):
        super().__init__()
        c = self.c = settings(given)
        self.wave = c["input"] == "waveform"
        if self.wave:
            self.register_buffer("filters", sinc_filters(c["sinc"], c["sinc_kernel"]).float()[:, None], persistent=False)
        else:
            self.LL = nn.Linear(input_dim, c["project"])
        wide = c["sinc"] if self.wave else c["project"]
        bands, last, (d, o) = wide // min(c["first_pool"], wide), c["channels"][-1], c["graph"]
        self.first_bn = nn.BatchNorm2d(1)
        widths = [1] + c["channels"]
        self.encoder = nn.Sequential(*(nn.Sequential(Residual(widths[i], widths[i + 1], i == 0, c)) for i in range(len(widths) - 1)))
        if c["attention"]:
            self.first_bn1 = nn.BatchNorm2d(last)
            self.attention = nn.Sequential(nn.Conv2d(last, c["attention"], 1), nn.SELU(), nn.BatchNorm2d(c["attention"]),
                                           nn.Conv2d(c["attention"], last, 1))
        self.pos_S = nn.Parameter(torch.randn(1, bands, last))
        self.master1, self.master2 = nn.Parameter(torch.randn(1, 1, d)), nn.Parameter(torch.randn(1, 1, d))
        t, r = c["temperatures"], c["pool_ratios"]
        self.GAT_layer_S, self.GAT_layer_T = GAT(last, d, t[0], c), GAT(last, d, t[1], c)
        for branch in "12":
            setattr(self, f"HtrgGAT_layer_ST{branch}1", HtrgGAT(d, o, t[2], c))
            setattr(self, f"HtrgGAT_layer_ST{branch}2", HtrgGAT(o, o, t[2], c))
            setattr(self, f"pool_hS{branch}", Pool(o, r[2], c))
            setattr(self, f"pool_hT{branch}", Pool(o, r[2], c))
        self.pool_S, self.pool_T = Pool(d, r[0], c), Pool(d, r[1], c)
        self.out_layer = nn.Linear(5 * o, classes)

    def picture(self, x):
        """-> [B,1,bands,frames]"""
        if self.wave:
            return F.conv1d(x.flatten(1)[:, None], self.filters).abs()[:, None]
        return self.LL(x).transpose(1, 2)[:, None]

    def nodes(self, x):
        if not self.c["attention"]:
            s, t = x.abs().amax(3), x.abs().amax(2)
        else:
            x = F.selu(self.first_bn1(x))
            w = self.attention(x)
            s, t = (x * w.softmax(3)).sum(3), (x * w.softmax(2)).sum(2)
        return s.transpose(1, 2), t.transpose(1, 2)

    def branch(self, number, t, s):
        layer = lambda k: getattr(self, f"HtrgGAT_layer_ST{number}{k}")
        master = getattr(self, f"master{number}").expand(len(t), -1, -1)
        t, s, master = layer(1)(t, s, master)
        s, t = getattr(self, f"pool_hS{number}")(s), getattr(self, f"pool_hT{number}")(t)
        more = layer(2)(t, s, master)
        return [F.dropout(a + b, self.c["way_dropout"], self.training) for a, b in zip((t, s, master), more)]

    def encode(self, x):
        """-> nodes for bands, without positions, and for frames"""
        x = self.picture(x)
        k = self.c["first_pool"]
        x = F.max_pool2d(x, (min(k, x.shape[2]), min(k, x.shape[3])))
        return self.nodes(self.encoder(F.selu(self.first_bn(x))))

    def read(self, s, t):
        s = s + self.pos_S
        s, t = self.pool_S(self.GAT_layer_S(s)), self.pool_T(self.GAT_layer_T(t))
        t, s, m = (torch.max(a, b) for a, b in zip(self.branch(1, t, s), self.branch(2, t, s)))
        e = torch.cat([t.abs().amax(1), t.mean(1), s.abs().amax(1), s.mean(1), m[:, 0]], 1)
        return F.dropout(e, self.c["dropout"], self.training)

    def forward(self, x):
        e = self.read(*self.encode(x))
        return e, self.out_layer(e)
