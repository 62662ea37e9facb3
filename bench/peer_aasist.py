"""The peer of bench_aasist: the same W2VAASIST in PyTorch (tests/torch/aasist.py), one thread, in thread CPU time.
Usage: /usr/bin/python3 bench/peer_aasist.py FEATURES FRAMES BATCH REPEATS [forward]"""
import os
import sys
import time
import torch
import torch.nn.functional as F
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "torch"))
from aasist import AASIST

torch.set_num_threads(1)
features, frames, batch, repeats = map(int, sys.argv[1:5])
forward = sys.argv[5:] == ["forward"]
net = AASIST({}, features, 24).train(not forward)
x, target = torch.randn(batch, frames, features), torch.randint(0, 24, (batch,))
times = []
for k in range(repeats + 2):
    start = time.thread_time()
    if forward:
        with torch.no_grad():
            net(x)
    else:
        net.zero_grad(set_to_none=True)
        F.cross_entropy(net(x)[1], target).backward()
    if k >= 2:
        times.append(time.thread_time() - start)
ms = 1e3 * sorted(times)[len(times) // 2] / batch
print(f"PyTorch {torch.__version__} W2VAASIST, {features} features x {frames} frames, batch {batch}, "
      f"{'forward' if forward else 'forward+backward'}: {ms:.2f} ms/clip")
