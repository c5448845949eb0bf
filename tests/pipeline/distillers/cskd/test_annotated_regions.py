"""Where boxes lie on a pyramid level, against loops written from the specification."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.distillers.cskd.annotated_regions import Boxes

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
FRAMES = st.tuples(st.integers(20, 90), st.integers(20, 90))


def boxes_in(frame: tuple[int, int], count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)).sort(dim=1).values
    return (corners * torch.tensor([frame[1], frame[0]])).flatten(1)


@settings(max_examples=40)
@given(size=SIZES, frame=FRAMES, counts=st.tuples(st.integers(0, 3), st.integers(0, 3)), seed=st.integers(0, 2**16))
def test_foreground_and_regions(
    size: tuple[int, int], frame: tuple[int, int], counts: tuple[int, int], seed: int
) -> None:
    frames = [frame, (frame[0] + 7, frame[1])]
    boxes = [boxes_in(frames[index], count, seed + index) for index, count in enumerate(counts)]
    wanted, regions = torch.zeros(2, *size, dtype=torch.bool), []
    for index, (corners, (height, width)) in enumerate(zip(boxes, frames, strict=True)):
        for x1, y1, x2, y2 in corners:
            left, right = (value / width * size[1] for value in (x1, x2))
            top, bottom = (value / height * size[0] for value in (y1, y2))
            wanted[index, int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
            regions.append([index, left, top, right, bottom])
    drawn = Boxes.of(boxes, frames)
    assert torch.equal(drawn.foreground(size), wanted)
    torch.testing.assert_close(drawn.regions(size), torch.tensor(regions).reshape(-1, 5))


def test_a_box_at_the_far_border_is_outside_the_map_and_one_over_it_is_clipped() -> None:
    inside = Boxes.of([torch.tensor([[40.0, 0.0, 40.0, 40.0]])], [(40, 40)]).foreground((4, 4))
    assert not inside.any()
    over = Boxes.of([torch.tensor([[30.0, -25.0, 55.0, 12.0]])], [(40, 40)]).foreground((4, 4))
    assert over.nonzero().tolist() == [[0, 0, 3], [0, 1, 3]]


def test_a_batch_without_boxes() -> None:
    drawn = Boxes.of([torch.zeros(0, 4)] * 2, [(8, 8)] * 2)
    foreground = drawn.foreground((2, 3))
    assert foreground.shape == (2, 2, 3)
    assert not foreground.any()
    assert drawn.regions((2, 3)).shape == (0, 5)
