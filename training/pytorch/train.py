"""Trains an FSVAE, or a network without spikes, with PyTorch, on a processor or a GPU; docs/pytorch.md. The same run as `fsvae-codegen train`, faster."""

import os
import sys

if sys.platform == "linux" and "MALLOC_MMAP_MAX_" not in os.environ:
    # The C library gives large blocks back at once; the next step's first touch of each page costs more than its arithmetic.
    os.environ.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_=str(2**34), MALLOC_TOP_PAD_=str(2**28))
    os.execv(sys.executable, [sys.executable, *sys.argv])

import argparse
import json
import math
import signal
import time

import torch

import data
from checkpoint import encode_network, encode_run, load_network, read_network, restore_run, write_whole
from config import changed_fields, read_config
from errors import FsvaeError, run
from networks import create_network

SAVE_EVERY_S = 120


def learning_rate(optimizer, step, total):
    """Of a step, counted from 0, of so many in all."""
    done = step / total
    factor = {"constant": 1, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[optimizer["schedule"]]
    return optimizer["learningRate"] * factor


class Run:
    def __init__(self, config, images, arguments):
        self.config, self.images, self.out = config, images, arguments.out
        self.device = torch.device(arguments.device)
        if len(images) < config["batchSize"]:
            raise FsvaeError("usage", f"there are {len(images)} images, fewer than batchSize, {config['batchSize']}: lower it")
        self.fingerprint = data.fingerprint(images)
        self.steps_per_epoch = len(images) // config["batchSize"]
        self.total_steps = self.steps_per_epoch * config["epochs"]
        self.network = create_network(config, self.steps_per_epoch, torch.bfloat16 if arguments.bf16 else torch.float32)
        self.network.initialize(config["seed"])
        self.network.to(self.device)
        settings = config["optimizer"]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings["learningRate"],
            betas=(settings["beta1"], settings["beta2"]),
            eps=settings["epsilon"],
            weight_decay=settings["weightDecay"],
        )
        self.position = {"step": 0, "epoch": 0, "stepOfEpoch": 0}
        path = os.path.join(self.out, "checkpoint.safetensors")
        if os.path.exists(path) and not arguments.resume:
            raise FsvaeError("usage", f"{path} is there already: --resume goes on with it, or give another --out")
        if arguments.resume and arguments.begin:
            raise FsvaeError("usage", "--from begins a run and --resume goes on with one: give one")
        if arguments.resume:
            self.restore(path)
        if arguments.begin:
            load_network(self.network, read_network(arguments.begin), arguments.begin)
        self.saved = time.monotonic()
        self.order = None

    def restore(self, path):
        if not os.path.exists(path):
            raise FsvaeError("usage", f"there is no {path} to resume from: leave --resume out to begin")
        config, self.position, images = restore_run(path, self.network, self.optimizer)
        other = changed_fields(config, self.config)
        if other:
            raise FsvaeError("usage", f"{path} was trained with another config, it differs in {', '.join(other)}: give that one")
        if images != self.fingerprint:
            message = f"{path} was trained on other images ({images}; these are {self.fingerprint})"
            raise FsvaeError("usage", f"{message}: give the same --data and --limit, or another --out")

    def batch(self, epoch, step_of_epoch, step):
        size, seed = self.config["batchSize"], self.config["seed"]
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, data.epoch_order(seed, epoch, len(self.images))
        indices = self.order[1][step_of_epoch * size : (step_of_epoch + 1) * size]
        flipped = data.flip_coins(seed, step, size) if self.config["flips"] else None
        return data.batch_of(self.images, indices, flipped).to(self.device)

    def step(self):
        """One step, and the position after it. -> what the log says of it."""
        step, epoch, step_of_epoch = (self.position[key] for key in ("step", "epoch", "stepOfEpoch"))
        images = self.batch(epoch, step_of_epoch, step)
        self.network.train()
        self.optimizer.zero_grad()
        losses = self.network.step(images, epoch, step)
        losses["loss"].backward()
        self.require_finite(losses["total"], step, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config["optimizer"], step, self.total_steps)
        for parameter in self.network.parameters():
            if parameter.grad is None:  # a bias that normalisation subtracts again: no gradient, but it decays
                parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()
        last = step_of_epoch + 1 == self.steps_per_epoch
        self.position = {
            "step": step + 1,
            "epoch": epoch + 1 if last else epoch,
            "stepOfEpoch": 0 if last else step_of_epoch + 1,
        }
        logged = {"loss": "total", "mse": "mse", "distance": "distance", "spikes": "spikes"}
        numbers = {name: float(losses[key].detach()) for name, key in logged.items() if key in losses}
        return {"epoch": epoch + 1, **({"timeSteps": losses["timeSteps"]} if "timeSteps" in losses else {}), **numbers}

    def require_finite(self, loss, step, epoch):
        gradients = {name: p.grad for name, p in self.network.named_parameters() if p.grad is not None}
        if torch.isfinite(loss) and torch.isfinite(sum(gradient.sum() for gradient in gradients.values())):
            return
        gradients_ = ((f"the gradients of {name}", gradient) for name, gradient in gradients.items())
        suspects = [*self.network.suspects(), *gradients_]
        what = next((name for name, numbers in suspects if not torch.isfinite(numbers).all()), "the losses")
        raise FsvaeError(
            "diverged",
            f"{what} are not finite at step {step + 1} (epoch {epoch + 1}); the last checkpoint is from before: "
            "lower optimizer.learningRate, in another --out",
        )

    def save(self):
        """The network first: a checkpoint promises that it is there."""
        write_whole(self.path("model.safetensors"), encode_network(self.config, self.network, self.position["step"]))
        run_ = encode_run(self.config, self.network, self.optimizer, self.position, self.fingerprint)
        write_whole(self.path("checkpoint.safetensors"), run_)
        self.saved = time.monotonic()

    def path(self, name):
        return os.path.join(self.out, name)


def open_log(path, step):
    """Lines after the checkpoint are dropped: those steps are done again."""
    kept = []
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                try:
                    if json.loads(line)["step"] <= step:
                        kept.append(line)
                except (ValueError, KeyError):
                    pass
    write_whole(path, "".join(kept).encode())
    return open(path, "a", buffering=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="JSON file, docs/training.md")
    parser.add_argument("--data", required=True, help="mnist, fashion-mnist, a folder of idx files, or a .npy file")
    parser.add_argument("--out", required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--from", dest="begin", metavar="CHECKPOINT", help="begin with these weights: .safetensors, or of torch.save")
    parser.add_argument("--steps", type=int, help="stop once so many steps are done in all")
    parser.add_argument("--limit", type=int, help="the first so many images only")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--bf16", action="store_true", help="products in bfloat16")
    parser.add_argument("--threads", type=int, help="of the processor")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config = read_config(arguments.config)
    try:
        os.makedirs(arguments.out, exist_ok=True)
        torch.zeros(1, device=arguments.device)
    except (OSError, RuntimeError, AssertionError) as error:
        raise FsvaeError("usage", str(error).splitlines()[0])
    run_ = Run(config, data.open_images(arguments.data, "train", config["model"], arguments.limit), arguments)
    log = open_log(run_.path("log.jsonl"), run_.position["step"])
    end = min(run_.total_steps, arguments.steps or run_.total_steps)
    print(f"torch {torch.__version__}, {arguments.device}: steps {run_.position['step'] + 1} to {end}", flush=True)
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    while run_.position["step"] < end and not stop:
        started = time.monotonic()
        entry = run_.step()
        rate = config["batchSize"] / (time.monotonic() - started)
        log.write(json.dumps({"step": run_.position["step"], **entry, "imagesPerSecond": rate}) + "\n")
        if run_.position["step"] % 20 == 0:
            shown = "  ".join(f"{name} {entry[name]:.4f}" for name in ("mse", "distance") if name in entry)
            print(f"step {run_.position['step']}/{end}  {shown}  {rate:.1f} images/s", flush=True)
        if run_.position["stepOfEpoch"] == 0 or time.monotonic() - run_.saved >= SAVE_EVERY_S:
            run_.save()
    run_.save()


if __name__ == "__main__":
    run(main)
