"""Files of the user's own: helpers beside them, and weights that do not fit, told by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from plexus.errors import ConfigError
from plexus.user_code import run_file, user_function, user_model

NET = "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))\n"


@pytest.fixture
def spec(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(NET)
    return f"{tmp_path / 'own.py'}:net"


def refused(spec: str) -> str:
    """The one line."""
    with pytest.raises(ConfigError) as error:
        user_model(spec)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_helper_beside_the_file_is_found_and_each_file_has_its_own(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name / "kit").mkdir(parents=True)
        (tmp_path / name / "helper.py").write_text(f"value = {value}\n")
        (tmp_path / name / "kit" / "__init__.py").write_text("from kit.parts import ten\n")
        (tmp_path / name / "kit" / "parts.py").write_text("import helper\nten = 10 * helper.value\n")
        (tmp_path / name / "own.py").write_text(
            "from helper import value\nfrom kit import ten\n"
            "def late():\n    import helper\n    return helper.value + value + ten\n"
        )
    before = list(sys.path), set(sys.modules)
    functions = [user_function(f"{tmp_path / name / 'own.py'}:late", f"own_{name}") for name in "ab"]
    assert [call() for call in (*functions, *functions)] == [12, 24, 12, 24]
    assert sys.path == before[0]
    assert not {"helper", "kit", "kit.parts"} & sys.modules.keys()
    for alias in ("own_a", "own_b"):
        sys.modules.pop(alias)
    assert set(sys.modules) == before[1]


def test_a_library_that_lies_below_the_folder_stays_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "env" / "site-packages"
    site.mkdir(parents=True)
    (site / "plexus_test_library.py").write_text("state = []\n")
    (tmp_path / "own.py").write_text("import plexus_test_library\n")
    monkeypatch.syspath_prepend(site)
    run_file(tmp_path / "own.py", "own_library")
    assert sys.modules.pop("plexus_test_library").state == []
    sys.modules.pop("own_library")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_of_this_name\n", "raised ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("other = 3\n", "own.py has no function net"),
        ("net = 3\n", "own.py has no function net"),
        ("def net():\n    raise SystemExit(3)\n", "net() of {file} leaves the program (exit code 3)"),
        ("raise SystemExit\n", "leaves the program (exit code None)"),
        ("def net():\n    return 3\n", "net() must return a torch module, got int"),
        ("def net(:\n", "raised SyntaxError"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line(tmp_path: Path, code: str, words: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(code)
    assert words.format(file=file) in refused(f"{file}:net")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_names_with_the_prefix_of_a_wrapper(tmp_path: Path, spec: str, prefix: str) -> None:
    state = {f"{prefix}{k}": v for k, v in nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    text = refused(f"{spec}+{tmp_path / 'w.safetensors'}")
    assert f"has no '1.weight', '1.bias', has '{prefix}1." in text
    assert text.endswith(f"take '{prefix}' off the names in it")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"1.weight": torch.zeros(2, 4)}, "the file has no '1.bias'"),
        (
            {"1.weight": torch.zeros(2, 4), "1.bias": torch.zeros(2), **{f"x{i}": torch.zeros(1) for i in range(5)}},
            "has 'x0', 'x1', 'x2' and 2 more",
        ),
        ({"1.weight": torch.zeros(2, 5), "1.bias": torch.zeros(2)}, "'1.weight' is (2, 5) in the file, (2, 4) in"),
    ],
)
def test_names_and_shapes_that_do_not_fit(
    tmp_path: Path, spec: str, state: dict[str, torch.Tensor], words: str
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    assert words in refused(f"{spec}+{tmp_path / 'w.safetensors'}")


def test_numbers_that_are_none_and_of_another_type(tmp_path: Path, spec: str) -> None:
    state = {"1.weight": torch.zeros(2, 4), "1.bias": torch.tensor([0.0, float("nan")])}
    save_file(state, tmp_path / "w.safetensors")
    assert "'1.bias' holds NaN" in refused(f"{spec}+{tmp_path / 'w.safetensors'}")
    save_file({name: value.double() for name, value in state.items()}, tmp_path / "w.safetensors")
    assert "'1.weight' is F64 in the file, F32 in the model" in refused(f"{spec}+{tmp_path / 'w.safetensors'}")


def test_a_file_that_is_no_safetensors(tmp_path: Path, spec: str) -> None:
    torch.save({}, tmp_path / "w.pth")
    text = refused(f"{spec}+{tmp_path / 'w.pth'}")
    assert "w.pth: not a safetensors file" in text
    assert "save_file(model.state_dict(), 'NAME.safetensors')" in text
    assert "none.safetensors: No such file" in refused(f"{spec}+{tmp_path / 'none.safetensors'}")


def test_weights_that_fit_are_loaded(tmp_path: Path, spec: str) -> None:
    save_file({"1.weight": torch.ones(2, 4), "1.bias": torch.zeros(2)}, tmp_path / "w.safetensors")
    assert user_model(f"{spec}+{tmp_path / 'w.safetensors'}")(torch.ones(1, 4)).tolist() == [[4, 4]]
