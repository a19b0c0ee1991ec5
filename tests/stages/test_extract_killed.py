"""extract killed at random moments: no finished batch is lost, and the file is that of an undisturbed run."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.contracts.tables import IMAGES, VIEWS

pytestmark = pytest.mark.slow
N_KILLS = 30
N_IMAGES, BATCH = 60, 4

# Loads everything once, and for each line forks an extraction that it kills after so many seconds (0: never).
# Each batch that the engine ran is noted in a file, which survives the process.
SERVER = f"""
import os, signal, sys, time
import cv2, h5py
from podium.config import Config, Params
from podium.features.backbone import Backbone
from podium.engines.numpy import Engine
from podium.stages import extract

backbone = Backbone(network="color_histogram", batch={BATCH})
config = Config.model_construct(params=Params.model_construct(competition="toy", backbones={{"tiny": backbone}}))
note, run = os.open("batches", os.O_WRONLY | os.O_CREAT | os.O_APPEND), Engine.run
Engine.run = lambda self, images: (os.write(note, b"."), run(self, images))[1]
for seconds in sys.stdin:
    child = os.fork()
    if not child:
        sys.stdout = open(os.devnull, "w")
        extract.run(config, "tiny")
        os._exit(0)
    if float(seconds):
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Extractions:
    """Starts extractions, and kills them after a while."""

    def __init__(self, folder):
        env = os.environ | {"PODIUM_CACHE": str(folder / "machine")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=folder, env=env, **pipes)

    def run(self, seconds=0.0):
        """Return whether the extraction ended by itself before it was killed."""
        self.server.stdin.write(f"{seconds}\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline()) == 0


@pytest.fixture
def extractions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = paths.raw("toy")
    raw.mkdir(parents=True)
    rng, lines = np.random.default_rng(0), []
    for n in range(N_IMAGES):
        content = cv2.imencode(".png", rng.integers(0, 256, (150, 150, 3), dtype=np.uint8))[1].tobytes()
        (raw / f"{n}.png").write_bytes(content)
        lines.append((str(n), f"{n}.png", hashlib.sha256(content).hexdigest()))
    images = pd.DataFrame(lines, columns=["image_id", "source", "digest"])
    images = images.assign(row_id=images["image_id"], split="train", width=150, height=150)
    IMAGES.write(images, paths.data("toy", "images.parquet"))
    views = images[["image_id"]].assign(view="identity", operation="identity", parameters="{}")
    VIEWS.write(views, paths.data("toy", "views.parquet"))
    started = Extractions(tmp_path)
    yield started
    started.server.stdin.close()
    started.server.wait()


def test_a_killed_extraction_goes_on_where_it_was(extractions, tmp_path):
    """Of 30 kills each costs one batch at most, leaves no damaged file, and the end is the same to the byte."""
    output, batches = tmp_path / paths.features("toy", "tiny"), tmp_path / "batches"
    assert extractions.run()
    undisturbed = output.read_bytes()
    started = time.monotonic()
    shutil.rmtree(tmp_path / "machine")
    assert extractions.run()
    whole_s = time.monotonic() - started

    rng, n_kills = random.Random(0), 0
    while n_kills < N_KILLS:
        shutil.rmtree(tmp_path / "machine")
        output.unlink()
        batches.write_bytes(b"")
        n_before = n_kills
        while not extractions.run(rng.uniform(0.001, whole_s)):
            n_kills += 1
            assert not output.exists() or output.read_bytes() == undisturbed
        assert output.read_bytes() == undisturbed
        assert len(batches.read_bytes()) <= N_IMAGES // BATCH + n_kills - n_before
