import pytest

from dualpose_ros.commands import check_gpu
from dualpose_ros.inference.cuda import Gpu


def test_without_a_gpu_it_says_what_is_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_gpu, "find_gpu", lambda: None)
    assert check_gpu.main() == 1
    said = capsys.readouterr().out
    assert "no NVIDIA GPU" in said and "onnxruntime " in said


@pytest.mark.parametrize(("fails", "code"), [(None, 0), ("lifting", 1), ("bench", 1)])
def test_every_network_is_built_compared_and_timed(
    fails: str | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []

    def dualpose(*args: str) -> bool:
        ran.append(args)
        return fails not in args

    monkeypatch.setattr(check_gpu, "find_gpu", lambda: Gpu("H200", "9.0", 13000))
    monkeypatch.setattr(check_gpu, "dualpose", dualpose)
    assert check_gpu.main() == code
    assert len([args for args in ran if args[0] == "export"]) == 2 * len(check_gpu.NETWORKS)
    assert [args[1] for args in ran if args[0] == "bench"] == ["engines", "pipeline"]
