"""The files of the C export: their names, numbers and bytes, what they do with strange input, and what is refused."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from c_networks import Reader, numbers
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.pruning.c.check import STRICT, Compiled, compiler, temporary
from espalier.pruning.c.network import Network
from espalier.pruning.c.write import prefix_of

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler")


@needs_compiler
def test_the_same_bits_twice_and_every_digit(tmp_path):
    torch.manual_seed(4)
    model = Reader("lstm", 3, 9)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        espalier.export(model, tmp_path / name / "my-net.1.c", numbers(3), say=None)
    for file in ("my-net.1.c", "my-net.1.h"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    text = (tmp_path / "one" / "my-net.1.c").read_text()
    assert "void my_net_1_step(my_net_1_state *state" in text and '#include "my-net.1.h"' in text
    numbers_of = re.search(r"/\* head \*/\nstatic const float \w+\[\d+\] = \{\n(.*?)\n\};", text, flags=re.S).group(1)
    written = {np.float32(one.strip().rstrip("f")) for one in numbers_of.split(",") if one.strip()}
    assert {np.float32(one) for one in model.head.weight.detach().flatten().tolist()} <= written


def test_names_are_names():
    assert [prefix_of(name) for name in ("net.c", "2nd.c", "a b-é.c", "__x.c", "!.c")] == ["net", "n2nd", "a_b", "x", "net"]


@needs_compiler
def test_strange_codes_and_numbers_of_steps(tmp_path):
    model = Reader("gru", 4, 5, codes=7, both=True, read="last")
    espalier.export(model, tmp_path / "net.c", lambda batch, time: torch.randint(7, (batch, time)), say=None)
    (tmp_path / "main.c").write_text("""
#include <stdio.h>
#include "net.h"
static net_state state;
int main(void)
{
    int codes[3] = {1, 7, -1};
    float out[NET_OUTPUTS];
    printf("%d %d ", net_run(&state, codes, 0, out), net_run(&state, codes, NET_MAX_STEPS + 1, out));
    printf("%d ", net_run(&state, codes, 3, out));
    printf("%d ", out[0] != out[0]);
    printf("%d ", net_run(&state, codes, 1, out));
    printf("%d", out[0] == out[0]);
    return 0;
}
""")
    flags = [*STRICT, "-fsanitize=address,undefined", "-DNET_MAX_STEPS=4"]
    subprocess.run([compiler(), *flags, "main.c", "net.c", "-lm", "-o", "main"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout == "-1 -1 1 1 1 1"


@needs_compiler
@pytest.mark.parametrize("name", ["main", "gru", "net_main", "VECTORS"])
def test_files_of_any_name_and_headers_for_cpp(name, tmp_path):
    espalier.export(Reader("gru", 3, 5), tmp_path / f"{name}.c", torch.randn(2, 6, 3), say=None)
    (tmp_path / "user.cpp").write_text(f'#include "{name}.h"\nint main() {{ return sizeof({name}_state) == 0; }}')
    if shutil.which("g++"):
        subprocess.run(["g++", "-Wall", "-Werror", "-fsyntax-only", "user.cpp"], cwd=tmp_path, check=True)


@needs_compiler
@pytest.mark.parametrize(("kind", "read"), [("gru", "all"), ("lstm", "mean"), ("rnn_tanh", "last")])
def test_runs_go_on_from_where_the_state_is(kind, read, tmp_path):
    """Three hundred steps in runs of odd lengths are one long sequence."""
    torch.manual_seed(7)
    model, x = Reader(kind, 3, 9, 2, read=read).eval(), torch.randn(1, 300, 3)
    espalier.export(model, tmp_path / "net.c", numbers(3), say=None)
    (tmp_path / "main.c").write_text("""
#include <stdio.h>
#include "net.h"
static net_state state;
static float in[300 * NET_INPUTS], out[300 * NET_OUTPUTS];
int main(void)
{
    const int lengths[4] = {1, 11, 8, 5};
    int done = 0;
    if (fread(in, sizeof in, 1, stdin) != 1) return 1;
    net_reset(&state);
    for (int k = 0; done < 300; k++) {
        const int n = 300 - done < lengths[k % 4] ? 300 - done : lengths[k % 4];
        net_run(&state, in + done * NET_INPUTS, n, out + (NET_EVERY_STEP ? done * NET_OUTPUTS : 0));
        done += n;
    }
    fwrite(out, sizeof *out * NET_OUTPUTS, NET_EVERY_STEP ? 300 : 1, stdout);
    return 0;
}
""")
    subprocess.run([compiler(), *STRICT, "main.c", "net.c", "-lm", "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], input=x.numpy().tobytes(), capture_output=True, check=True)
    expected = model(x).detach().flatten().numpy()
    assert np.abs(np.frombuffer(done.stdout, np.float32) - expected).max() < 1e-5 * np.abs(expected).max() + 1e-6


class Depends(nn.Module):
    """Goes other ways for other values, or other numbers of steps."""

    def __init__(self, how):
        super().__init__()
        self.rnn, self.how = nn.GRU(3, 4, batch_first=True), how

    def forward(self, x):
        states = self.rnn(x)[0]
        if self.how == "values":
            return states if float(x[:, -1, :1]) > 0 else -states
        return states * x.shape[1]


@pytest.mark.parametrize(
    ("how", "words"), [("values", "the way through the network depends on values"), ("steps", "number of")]
)
def test_what_is_no_function_of_steps_is_refused(how, words, tmp_path):
    with pytest.raises(InputError, match=words):
        espalier.export(Depends(how), tmp_path / "net.c", numbers(3), say=None)


def test_without_a_compiler_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    lines = []
    (row,) = espalier.export(Reader("gru", 3, 5), tmp_path / "net.c", numbers(3), say=lines.append)
    assert "difference" not in row and "not compiled and not checked" in row["note"] and (tmp_path / "net.c").exists()
    assert any("rnn, h2h: 15 x 5, 0 % zero" in line for line in lines)


@needs_compiler
def test_sigmoid_and_tanh_are_off_by_what_is_said(tmp_path):
    """Over all of the line, by a function that stands alone; with -DNET_LIBM they are libm's."""
    for function in (torch.tanh, torch.sigmoid):
        model, line = nn.Sequential(nn.Linear(1, 1), Function(function)), torch.linspace(-12, 12, 20001)[:, None]
        with torch.no_grad():
            model[0].weight.fill_(1.0)
            model[0].bias.zero_()
        writer = Network(model, lambda batch, time: torch.randn(batch, 1)).writer("net.c")
        expected = function(line.double()).numpy()
        for flags, most in ((STRICT, 5e-7), ((*STRICT, "-DNET_LIBM"), 1.5e-7), ((*STRICT, "-DNET_PLAIN", "-O3"), 5e-7)):
            with temporary() as folder:
                ((found, _),) = Compiled(writer, folder, flags).run([line.numpy()])
            assert np.abs(found - expected).max() < most


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@needs_compiler
def test_int8_takes_a_quarter_and_tells_its_error(tmp_path):
    torch.manual_seed(6)
    model = Reader("lstm", 64, 64)
    (whole,) = espalier.export(model, tmp_path / "net.c", numbers(64), say=None)
    (small,) = espalier.export(model, tmp_path / "small.c", numbers(64), say=None, quantize="int8")
    assert small["bytes"] < 0.3 * whole["bytes"] and 0 < small["error"] < 0.05 and small["difference"] < 1e-5
    assert "int8: off by" in small["note"]


@needs_compiler
def test_bytes_of_state_and_constants_are_the_compilers(tmp_path):
    espalier.export(Reader("lstm", 3, 9, 2), tmp_path / "net.c", numbers(3), say=None)
    text = (tmp_path / "net.c").read_text()
    flash, ram = (
        int(re.search(pattern, text).group(1).replace(",", "")) for pattern in (r"flash\): ([\d,]+)", r"RAM\): ([\d,]+)")
    )
    arrays = sum(
        int(count) * {"float": 4, "int": 4, "unsigned short": 2}[kind]
        for kind, count in re.findall(r"static const (float|int|unsigned short) \w+\[(\d+)\]", text)
    )
    assert flash == arrays
    (tmp_path / "main.c").write_text(
        f'#include "net.h"\nchar right[sizeof(net_state) == {ram} ? 1 : -1];\nint main(void) {{ return 0; }}'
    )
    subprocess.run([compiler(), "-std=c99", "main.c", "-o", "main"], cwd=tmp_path, check=True)


def test_it_fits_a_microcontroller(tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("needs arm-none-eabi-gcc and qemu-system-arm")
    espalier.export(Reader("gru", 3, 8), tmp_path / "net.c", numbers(3), say=None, quantize="int8")
    (tmp_path / "main.c").write_text("""
#include <stdio.h>
#include <stdlib.h>
#include "net.h"
static net_state state;
int main(void)
{
    float in[NET_INPUTS] = {1.0f, -2.0f, 0.5f}, out[NET_OUTPUTS];
    net_reset(&state);
    for (int t = 0; t < 5; t++) net_step(&state, in, out);
    for (int k = 0; k < NET_OUTPUTS; k++) printf("%.6f\\n", (double)out[k]);
    exit(0);
}
""")
    flags = ["-std=c99", "-O2", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "--specs=rdimon.specs"]
    subprocess.run(["arm-none-eabi-gcc", *flags, "main.c", "net.c", "-lm", "-o", "net.elf"], cwd=tmp_path, check=True)
    machine = ["qemu-system-arm", "-M", "netduinoplus2", "-nographic", "-semihosting", "-kernel", "net.elf"]
    done = subprocess.run(machine, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    subprocess.run([compiler(), "-std=c99", "main.c", "net.c", "-lm", "-o", "here"], cwd=tmp_path, check=True)
    here = subprocess.run([tmp_path / "here"], capture_output=True, text=True, check=True).stdout
    assert np.allclose(np.loadtxt(done.stdout.splitlines()), np.loadtxt(here.splitlines()), atol=1e-5)
