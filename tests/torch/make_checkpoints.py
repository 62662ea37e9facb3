#!/usr/bin/env python3
"""Small PyTorch checkpoints for tests/weights/test_torch.c, as people save them, and what PyTorch says is in them.
Run: /usr/bin/python3 tests/torch/make_checkpoints.py [AASIST_FOLDER]
Writes tests/weights/torch/*.pt and expected.txt: FILE NAME DTYPE SHAPE SHA256 of a tensor's bytes row-major, or
FILE NAME refused. With a folder of real AASIST checkpoints, also real.txt: FILE COUNT SHA256 over all its tensors.
With --seeds FOLDER: the pickles alone, as seeds of the fuzz targets."""
import argparse
import collections
import hashlib
import io
import os
import pickle
import sys
import types
import zipfile
import torch

torch.manual_seed(1)
torch.set_num_threads(1)
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "torch")
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
          torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
expected = []


def row_major(t):
    t = t.detach().contiguous()
    return (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()


def shape_of(t):
    return "x".join(map(str, t.shape)) or "scalar"


def note(file, tensors):
    for name, t in tensors.items():
        if t is None:
            expected.append(f"{file} {name} refused")
        else:
            expected.append(f"{file} {name} {DTYPES[t.dtype]} {shape_of(t)} {hashlib.sha256(row_major(t)).hexdigest()}")


def save(file, what, tensors, **options):
    torch.save(what, os.path.join(HERE, file), **options)
    note(file, tensors)


def fake(path, base=object):
    """A class of a module that is not installed here and will not be where the file is read."""
    module, name = path.rsplit(".", 1)
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[:i + 1]), types.ModuleType(".".join(parts[:i + 1])))
    made = type(name, (base,), {"__module__": module, "__qualname__": name})
    setattr(sys.modules[module], name, made)
    return made


class Call:
    """Pickled as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def dtypes():
    d = {}
    for dtype in DTYPES:
        t = torch.randn(2, 3) * 50
        d[str(dtype).split(".")[1]] = t > 0 if dtype == torch.bool else t.abs().to(dtype) if dtype == torch.uint8 else t.to(dtype)
    refused = {"complex": torch.randn(2, dtype=torch.complex64),
               "quantised": torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8),
               "sparse": torch.eye(3).to_sparse()}
    save("dtypes.pt", {**d, **refused}, {**d, **{k: None for k in refused}})


def strides():
    base = torch.arange(60, dtype=torch.float32).view(3, 4, 5)
    d = {"base": base, "transposed": base.transpose(0, 2), "slice": base[1:, ::2, 3], "row": base[2, 3], "scalar": base[1, 2, 3],
         "expanded": torch.tensor([1.5, -2]).view(2, 1).expand(2, 7), "empty": base[:, 4:], "tied": base,
         "half": torch.randn(6, 4).half().t(), "flat": torch.tensor([3], dtype=torch.int64).expand(5),
         "one": torch.randn(1, 4, 1).transpose(0, 2)}
    save("strides.pt", d, d)


def nested():
    w, b, e = torch.randn(2, 3), torch.nn.Parameter(torch.randn(2)), torch.randn(4)
    what = {"epoch": 3, "note": "text", "encoder": {"layers": collections.OrderedDict([("0.weight", w), ("0.bias", b)]), "none": {}},
            "decoder": {"embed": e, "7": e, 7: e, "big": 1 << 100, "when": 1.5, "list": [w]}}
    save("nested.pt", what, {"encoder.layers.0.weight": w, "encoder.layers.0.bias": b, "decoder.embed": e, "decoder.7": e})


def fairseq():
    model = torch.nn.Sequential(torch.nn.Conv1d(1, 4, 3), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimiser = torch.optim.Adam(model.parameters())
    optimiser.step()
    config = fake("omegaconf.dictconfig.DictConfig")()
    config.__dict__ = {"_metadata": fake("omegaconf.base.ContainerMetadata")(), "_content": {"model": {"dim": 4}}, "_parent": config}
    what = {"args": argparse.Namespace(arch="wav2vec2", lr=[0.1]), "cfg": config, "model": model.state_dict(),
            "criterion": None, "optimizer_history": [{"criterion_name": "x", "num_updates": 1}],
            "task_state": collections.defaultdict(list, {"a": [1]}), "extra_state": {"best": torch.tensor(0.5).numpy()[()], "kept": {1, 2}},
            "last_optimizer_state": optimiser.state_dict()}
    save("fairseq.pt", what, model.state_dict())


def wrapped():
    inner = {"w": torch.randn(3), "v": torch.randn(2, 2)}
    save("wrapped.pt", {"module": {"state_dict": inner, "step": torch.tensor(4)}, "ema": {"w": torch.zeros(3), "v": torch.zeros(4), "u": torch.zeros(1)}},
         inner)
    flat = {"w": torch.randn(3), "model.v": torch.randn(2, 2)}
    save("flat.pt", {**flat, "model": {"x": flat["w"]}}, {**flat, "model.x": flat["w"]})


def protocols():
    d = {"w": torch.randn(2, 2), "b": torch.nn.Parameter(torch.randn(2)), "size": torch.Size([1, 2]), "dtype": torch.float16,
         "device": torch.device("cpu"), "bytes": b"\0\1", "array": bytearray(3), "set": {1}, "frozen": frozenset([2])}
    for protocol in (3, 4, 5):
        save(f"protocol{protocol}.pt", d, {"w": d["w"], "b": d["b"]}, pickle_protocol=protocol)


def opaque():
    t = torch.randn(4)
    function, marked = fake("project.parts.make_weight"), torch.randn(2, 2)
    marked.attribute = "a state"
    subclass = fake("project.parts.Special", torch.Tensor)
    special = torch.randn(2).as_subclass(subclass)
    utils = sys.modules["torch._utils"]
    for name in ("_rebuild_parameter_with_state", "_rebuild_tensor_v3"):
        if not hasattr(utils, name):
            setattr(utils, name, type(name, (), {"__module__": "torch._utils", "__qualname__": name}))
    storage = t.storage()
    d = {"plain": t, "made": Call(function, t), "deep": Call(function, (1, [2], (t, 3))), "marked": marked, "special": special,
         "state": Call(utils._rebuild_parameter_with_state, t, True, collections.OrderedDict(), {"x": 1}),
         "v1": Call(utils._rebuild_tensor, storage, 1, (3,), (1,)),
         "v3": Call(utils._rebuild_tensor_v3, storage, 0, torch.Size([2]), (2,), False, collections.OrderedDict(), torch.float32),
         "shape": Call(utils._rebuild_tensor_v2, storage, 0, Call(function, 4), (1,), False, collections.OrderedDict()),
         "object": Call(function, 5)}
    save("opaque.pt", d, {"plain": t, "made": None, "deep": None, "marked": marked, "special": None, "state": t, "v1": t[1:],
                          "v3": t[::2][:2], "shape": None})


def rezip(source, file, method=zipfile.ZIP_STORED, extra=None, drop=()):
    old = zipfile.ZipFile(os.path.join(HERE, source))
    with zipfile.ZipFile(os.path.join(HERE, file), "w", method) as new:
        for name in old.namelist():
            if not any(name.endswith(d) for d in drop):
                new.writestr(zipfile.ZipInfo(name), old.read(name), method)
        for name, data in (extra or {}).items():
            new.writestr(zipfile.ZipInfo(old.namelist()[0].split("/")[0] + "/" + name), data, method)


def others():
    w = torch.arange(2000, dtype=torch.float32).view(40, 50).contiguous()
    d = {"w": w, "column": w[30:, 7]}
    torch.save(d, os.path.join(HERE, "deflated.pt"))
    rezip("deflated.pt", "new.pt", zipfile.ZIP_DEFLATED)
    os.replace(os.path.join(HERE, "new.pt"), os.path.join(HERE, "deflated.pt"))
    note("deflated.pt", d)
    small = {"w": torch.randn(2)}
    torch.save(small, os.path.join(HERE, "old.pt"), _use_new_zipfile_serialization=False)
    torch.save(small, os.path.join(HERE, "big-endian.pt"))
    rezip("big-endian.pt", "new.pt", extra={"byteorder": "big"})
    os.replace(os.path.join(HERE, "new.pt"), os.path.join(HERE, "big-endian.pt"))
    torch.save(small, os.path.join(HERE, "plain.pt"))
    note("plain.pt", small)
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), os.path.join(HERE, "script.pt"))
    torch.save(torch.nn.Linear(2, 1), os.path.join(HERE, "object.pt"))
    torch.save([torch.randn(2)], os.path.join(HERE, "list.pt"))


def real(folder):
    lines = []
    for file in sorted(os.listdir(folder)):
        digest, tensors = hashlib.sha256(), torch.load(os.path.join(folder, file), map_location="cpu")
        for name, t in tensors.items():
            digest.update(f"{name} {DTYPES[t.dtype]} {shape_of(t)} {hashlib.sha256(row_major(t)).hexdigest()}\n".encode())
        lines.append(f"{file} {len(tensors)} {digest.hexdigest()}\n")
    with open(os.path.join(HERE, "real.txt"), "w") as f:
        f.writelines(lines)


def seeds(folder):
    for kind in ("pickle", "torch"):
        os.makedirs(os.path.join(folder, kind), exist_ok=True)
    for file in sorted(os.listdir(HERE)):
        path = os.path.join(HERE, file)
        if not file.endswith(".pt") or not zipfile.is_zipfile(path):
            continue
        z = zipfile.ZipFile(path)
        data = next(z.read(n) for n in z.namelist() if n.endswith("/data.pkl"))
        with open(os.path.join(folder, "pickle", file[:-3]), "wb") as f:
            f.write(data)
        with open(os.path.join(folder, "torch", file[:-3]), "wb") as f:
            f.write(bytes([240]) + data + bytes(range(240)))
        if os.path.getsize(path) < 2500:
            with open(path, "rb") as whole, open(os.path.join(folder, "torch", file[:-3] + "-zip"), "wb") as f:
                f.write(whole.read())


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--seeds":
        seeds(sys.argv[2])
        sys.exit()
    os.makedirs(HERE, exist_ok=True)
    for make in (dtypes, strides, nested, fairseq, wrapped, protocols, opaque, others):
        make()
    with open(os.path.join(HERE, "expected.txt"), "w") as f:
        f.write("\n".join(expected) + "\n")
    if len(sys.argv) > 1:
        real(sys.argv[1])
