"""Makes tests/golden/speech_models/kmeans: one small k-means model as scikit-learn's users keep it, and the clusters that it gives
to points, for tests/models/test_quantizer.c.

Made with Python 3.11, scikit-learn 1.5.2, joblib 1.4.2, numpy 1.26.4.

kmeans.joblib, minibatch.joblib (joblib.dump), kmeans.pkl (pickle.dump), float32.joblib (centres in float32); compressed.joblib,
which no reader of plain pickles can read. points.bin: 40 points of 6 float32 numbers; labels.bin: 40 int32.
"""
import os
import pickle

import joblib
import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "speech_models", "kmeans")


def main():
    os.makedirs(TARGET, exist_ok=True)
    random = np.random.RandomState(20240208)
    centres = random.randn(5, 6) * 3
    data = (centres[random.randint(0, 5, 200)] + random.randn(200, 6) * 0.5).astype(np.float32)
    model = KMeans(n_clusters=5, n_init=2, random_state=1).fit(data)
    batch = MiniBatchKMeans(n_clusters=5, n_init=2, random_state=np.random.RandomState(3)).fit(data)
    path = lambda name: os.path.join(TARGET, name)
    # All with the same centres: what is compared is how they are stored.
    model.cluster_centers_ = model.cluster_centers_.astype(np.float64).round(3)
    batch.cluster_centers_ = np.asfortranarray(model.cluster_centers_)
    joblib.dump(model, path("kmeans.joblib"))
    joblib.dump(batch, path("minibatch.joblib"))
    joblib.dump(model, path("compressed.joblib"), compress=3)
    with open(path("kmeans.pkl"), "wb") as file:
        pickle.dump(model, file)
    centres32 = model.cluster_centers_.astype(np.float32)
    joblib.dump({"cluster_centers": centres32, "n_clusters": 5}, path("float32.joblib"))
    points = data[:40]
    squares = ((points[:, None, :].astype(np.float64) - centres32[None].astype(np.float64)) ** 2).sum(-1)
    labels = squares.argmin(1).astype("<i4")
    assert (np.sort(squares, 1)[:, 1] - np.sort(squares, 1)[:, 0]).min() > 1e-3
    points.astype("<f4").tofile(path("points.bin"))
    labels.tofile(path("labels.bin"))


if __name__ == "__main__":
    main()
