"""The peer of bench_conformer: torchaudio's Conformer of the same size, forward + backward per clip on one thread.
Usage: /usr/bin/python3 bench/peer_torchaudio.py DIM DEPTH FRAMES BATCH REPEATS
It has no relative positions and no class head, so it does a little less work than ours."""
import sys
import time
import torch
import torchaudio

torch.set_num_threads(1)
dim, depth, frames, batch, repeats = map(int, sys.argv[1:6])
net = torchaudio.models.Conformer(input_dim=dim, num_heads=4, ffn_dim=4 * dim, num_layers=depth,
                                  depthwise_conv_kernel_size=31).train()
x = torch.randn(batch, frames, dim)
lengths = torch.full((batch,), frames)
times = []
for k in range(repeats + 2):
    start = time.thread_time()
    net.zero_grad(set_to_none=True)
    net(x, lengths)[0].square().mean().backward()
    if k >= 2:
        times.append(time.thread_time() - start)
ms = 1e3 * sorted(times)[len(times) // 2] / batch
print(f"torchaudio {torchaudio.__version__} (PyTorch {torch.__version__}) conformer d{dim} x {depth}, {frames} frames, "
      f"batch {batch}, forward+backward: {ms:.2f} ms/clip")
