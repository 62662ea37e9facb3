"""Oracle for the fit of a fusion: scikit-learn's multinomial logistic regression on unit embeddings beside probabilities, for three
strengths, and its mean cross-entropy and accuracy on other rows. scikit-learn minimises C sum(loss) + |w|^2/2, so l2 = 1/(C n).
Run: /usr/bin/python3 tests/torch/make_fuse.py   (writes tests/torch/fuse.safetensors)"""
import os
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from vectors import save

rng = np.random.default_rng(6)
TRAIN, DEV, CLASSES = 90, 50, 4


def rows(n):
    y = rng.integers(0, CLASSES, n)
    e = rng.normal(size=(n, 6)) + 0.8 * np.eye(CLASSES, 6)[y]
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    z = 1.5 * np.eye(CLASSES)[y] + rng.normal(size=(n, CLASSES))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return np.concatenate([e, p], 1).astype(np.float32).astype(np.float64), y


x, y = rows(TRAIN)
dx, dy = rows(DEV)
missing = rng.random(TRAIN) < 0.1
label, dev_label = np.where(missing, -1, y), dy.copy()
dev_label[[3, 17]] = -1
strengths = [1e-3, 1e-2, 1e-1]
out = {"x": x, "label": label, "dev_x": dx, "dev_label": dev_label, "l2": np.array(strengths)}
for i, l2 in enumerate(strengths):
    kept = ~missing
    m = LogisticRegression(C=1 / (l2 * kept.sum()), multi_class="multinomial", solver="newton-cg", tol=1e-12, max_iter=10000)
    m.fit(x[kept], y[kept])
    out[f"w{i}"], out[f"b{i}"] = m.coef_, m.intercept_ - m.intercept_.mean()
    use = dev_label >= 0
    p = m.predict_proba(dx[use])
    out[f"nll{i}"] = np.array([log_loss(dy[use], p, labels=range(CLASSES))])
    out[f"accuracy{i}"] = np.array([(p.argmax(1) == dy[use]).mean()])
save(os.path.join(os.path.dirname(__file__), "fuse.safetensors"), out, {})
