"""The peers of bench_frontend: the same encoders with random weights in PyTorch (torchaudio) and, with the path of its
library given, in ONNX Runtime. One clip, one thread, float32.
Usage: /usr/bin/python3 bench/peer_frontend.py xls-r-300m|wav2vec2-base CLIPS [SECONDS [libonnxruntime.so [FOLDER]]]
FOLDER keeps the exported model (1.3 GB for XLS-R). libonnxruntime.so comes with any package of ONNX Runtime, for example npm's
onnxruntime-node; it is used through its C interface, so no Python package of it is needed. Times are medians of this
thread's processor time. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE must not be set: they slow PyTorch."""
import ctypes
import os
import sys
import time

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    if name in os.environ:  # they are read when the library is loaded: start again without
        del os.environ[name]
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable] + sys.argv)

import torch
import torchaudio


def build(which):
    if which == "wav2vec2-base":
        return torchaudio.models.wav2vec2_base()
    return torchaudio.models.wav2vec2_model("layer_norm", None, True, 1024, 0.0, 128, 16, 24, 16, 0.0, 4096, 0.0, 0.0, True,
                                            0.0, None)


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)[0]


def median_ms(run, clips):
    times = []
    for k in range(clips + 1):
        start = time.thread_time()
        run()
        if k > 0:
            times.append(time.thread_time() - start)
    return 1e3 * sorted(times)[len(times) // 2]


class OnnxRuntime:
    """As much of onnxruntime_c_api.h as is needed; the places of functions in its table never change."""
    ERROR, ENV, SESSION, RUN, OPTIONS, LEVEL, THREADS, INTER, TENSOR, DATA, CPU = 2, 3, 7, 9, 10, 23, 24, 25, 49, 51, 69

    def __init__(self, library, model):
        base = ctypes.CDLL(library).OrtGetApiBase
        base.restype = ctypes.POINTER(ctypes.c_void_p * 2)
        get, version = base().contents
        self.version = ctypes.CFUNCTYPE(ctypes.c_char_p)(version)().decode()
        table = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(get)(14)
        self.table = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
        env, options, self.session, self.cpu = (ctypes.c_void_p() for _ in range(4))
        self.call(self.ENV, ctypes.c_int(3), b"peer", ctypes.byref(env))
        self.call(self.OPTIONS, ctypes.byref(options))
        self.call(self.LEVEL, options, ctypes.c_int(99))
        self.call(self.THREADS, options, ctypes.c_int(1))
        self.call(self.INTER, options, ctypes.c_int(1))
        self.call(self.SESSION, env, model.encode(), options, ctypes.byref(self.session))
        self.call(self.CPU, ctypes.c_int(1), ctypes.c_int(0), ctypes.byref(self.cpu))

    def call(self, place, *args):
        status = ctypes.CFUNCTYPE(ctypes.c_void_p, *[type(a) if not isinstance(a, bytes) else ctypes.c_char_p
                                                     for a in args])(self.table[place])(*args) \
            if not any(type(a).__name__ == "CArgObject" for a in args) else self.loose(place, *args)
        if status:
            message = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(self.table[self.ERROR])(status)
            raise SystemExit("ONNX Runtime: " + message.decode(errors="replace"))

    def loose(self, place, *args):
        """byref() has no type that a prototype could name: pointers are passed as numbers."""
        kept = [ctypes.cast(a, ctypes.c_void_p) if type(a).__name__ == "CArgObject" else
                ctypes.c_void_p(ctypes.cast(ctypes.c_char_p(a), ctypes.c_void_p).value) if isinstance(a, bytes) else a
                for a in args]
        return ctypes.CFUNCTYPE(ctypes.c_void_p, *[type(a) for a in kept])(self.table[place])(*kept)

    def run(self, x):
        shape = (ctypes.c_int64 * 2)(*x.shape)
        tensor, out = ctypes.c_void_p(), ctypes.c_void_p()
        self.call(self.TENSOR, self.cpu, ctypes.c_void_p(x.data_ptr()), ctypes.c_size_t(4 * x.numel()), shape_pointer(shape),
                  ctypes.c_size_t(2), ctypes.c_int(1), ctypes.byref(tensor))
        names, results = (ctypes.c_char_p * 1)(b"x"), (ctypes.c_char_p * 1)(b"y")
        inputs = (ctypes.c_void_p * 1)(tensor.value)
        self.call(self.RUN, self.session, ctypes.c_void_p(None), pointer(names), pointer(inputs), ctypes.c_size_t(1),
                  pointer(results), ctypes.c_size_t(1), ctypes.byref(out))
        data = ctypes.c_void_p()
        self.call(self.DATA, out, ctypes.byref(data))
        return ctypes.cast(data, ctypes.POINTER(ctypes.c_float))


def pointer(array):
    return ctypes.cast(array, ctypes.c_void_p)


shape_pointer = pointer


def main():
    which, clips = sys.argv[1], int(sys.argv[2])
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 4.0
    library = sys.argv[4] if len(sys.argv) > 4 else None
    folder = sys.argv[5] if len(sys.argv) > 5 else "/tmp"
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Encoder(build(which)).eval()
    x = torch.randn(1, int(seconds * 16000))
    with torch.no_grad():
        want = model(x)
        ms = median_ms(lambda: model(x), clips)
        print(f"{which}, {seconds:.1f} s, PyTorch {torch.__version__}, torchaudio {torchaudio.__version__}, float32: "
              f"median {ms:.1f} ms", flush=True)
        if library is None:
            return
        path = os.path.join(folder, f"{which}-{int(seconds * 1000)}.onnx")
        if not os.path.exists(path):
            torch.onnx.export(model, x, path, input_names=["x"], output_names=["y"], opset_version=14)
    runtime = OnnxRuntime(library, path)
    got = runtime.run(x)
    worst = max(abs(got[i] - float(v)) for i, v in enumerate(want.flatten()[:1024]))
    assert worst < 1e-2, f"ONNX Runtime computes something else: {worst}"
    ms = median_ms(lambda: runtime.run(x), clips)
    print(f"{which}, {seconds:.1f} s, ONNX Runtime {runtime.version}, float32: median {ms:.1f} ms", flush=True)


main()
