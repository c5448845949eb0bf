"""TOOD's head: without towers, and in float32 whatever the training runs in."""

import torch
from mmengine.logging import MessageHub

from pipeline.detectors import family_of, flow_of
from tests.deformable_detectors import deformable_detector
from tests.other_detectors import annotated_batch


def test_it_has_nothing_to_go_through_and_says_so() -> None:
    detector = deformable_detector("tood")
    family = family_of(detector)
    assert family.towers(detector.bbox_head, 0) == family.layers(detector.bbox_head, 0) == {}
    assert "take PKD" in family.obstacles(detector.bbox_head)[0]


def test_its_head_runs_in_float32_under_autocast() -> None:
    detector = deformable_detector("tood").train()
    MessageHub.get_current_instance().update_info("epoch", 0)
    seen: list[torch.dtype] = []
    for module in (detector.neck.fpn_convs[0].conv, detector.bbox_head.tood_cls, detector.bbox_head.reg_offset_module):
        module.register_forward_hook(lambda *outputs: seen.append(outputs[-1].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        flow_of(detector).losses(detector, *annotated_batch())
    assert seen[0] == torch.bfloat16
    assert set(seen[1:]) == {torch.float32}
