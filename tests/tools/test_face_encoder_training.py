import cv2
import numpy as np
import pytest
import torch
from tools.face_encoder import Recipe, Run, augment, measure

from mien.datasets.ferplus import ferplus_faces
from mien.features.face_encoder import FERPLUS_EMOTIONS, FaceEncoder

pytestmark = pytest.mark.slow

NAMES = [*FERPLUS_EMOTIONS, "unknown", "not_face"]


@pytest.fixture
def ferplus(tmp_path):
    """Seventy faces of one grey each, the last two of which are `unknown` and `not_face`."""
    faces = np.repeat(np.arange(70, dtype=np.uint8), 48 * 48).reshape(70, 48, 48)
    padded = np.concatenate([faces, np.zeros((50, 48, 48), np.uint8)])
    mosaic = padded.reshape(2, 60, 48, 48).transpose(0, 2, 1, 3).reshape(96, 60 * 48)
    cv2.imwrite(str(tmp_path / "train.png"), mosaic)
    votes = np.zeros((70, 10), np.uint8)
    votes[np.arange(70), np.arange(70) % 8] = 6
    votes[:, 9] = 4
    votes[68:] = np.eye(10, dtype=np.uint8)[8:] * 10
    np.savez(tmp_path / "train_votes.npz", votes=votes, vote_names=NAMES)
    return tmp_path


def test_faces_are_cut_out_of_the_mosaic_and_non_faces_left_out(ferplus):
    faces, shares = ferplus_faces(ferplus, "train")
    assert faces[:, 0, 0, 0].tolist() == list(range(68))
    assert shares.shape == (68, 8)
    assert torch.allclose(shares.sum(1), torch.ones(68))
    assert (shares.argmax(1) == torch.arange(68) % 8).all()


def test_augmentation_is_drawn_from_its_generator(ferplus):
    faces, _ = ferplus_faces(ferplus, "train")
    crops = faces.float() / 255

    def drawn(seed):
        return augment(crops, Recipe(), torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert drawn(1).shape == crops.shape
    assert drawn(1).isfinite().all()


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(ferplus, tmp_path):
    faces, shares = ferplus_faces(ferplus, "train")
    recipe = Recipe(epochs=2, batch=34, warmup_epochs=1)

    def run(folder, epochs):
        (tmp_path / folder).mkdir(exist_ok=True)
        one = Run(recipe, 2, tmp_path / folder)
        one.resume()
        for _ in range(epochs):
            loss = one.train_epoch(faces, shares)
            one.epoch += 1
            one.log.append({"epoch": one.epoch, "train_loss": loss})
            one.save()
        return one

    whole = run("whole", 2)
    run("parts", 1)
    parts = run("parts", 1)
    assert parts.epoch == 2
    for ours, theirs in zip(
        whole.average.state_dict().values(), parts.average.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_measures_of_an_encoder_that_says_one_thing():
    encoder = FaceEncoder()
    torch.nn.init.zeros_(encoder.classifier.weight)
    with torch.no_grad():
        encoder.classifier.bias.copy_(torch.tensor([9.0, 0, 0, 0, 0, 0, 0, 0]))
    shares = torch.eye(8)[[0, 0, 0, 1]]
    got = measure(encoder, torch.zeros(4, 1, 48, 48, dtype=torch.uint8), shares)
    assert got["accuracy"] == 0.75
    assert got["unweighted_average_recall"] == 0.5
