#!/usr/bin/python3
"""Trains a PyTorch model in a run of Parley, beside clients of any kind.

    pytorch_client.py --write-start start.npz        the parameters to start from
    pytorch_client.py --server HOST:PORT --name NAME --data MINE.npz [--model bn]

MINE.npz holds x[n, features] and t[n], the classes as whole numbers.

  --model mlp   the tensors of the built-in `mlp { hidden: 32 }` by their names,
                so that native clients can take part in the same run
  --model bn    with batch normalization: a custom model; see pytorch.textproto
"""
import argparse
import logging

import numpy as np
import parley
import torch
from torch import nn

FEATURES, CLASSES = 8, 3


def make_model(kind):
    torch.manual_seed(1)
    layers = {"layer0": nn.Linear(FEATURES, 32), "bn": nn.BatchNorm1d(32), "relu": nn.ReLU(),
              "layer1": nn.Linear(32, CLASSES)}
    if kind == "mlp":
        del layers["bn"]
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def to_numpy(model):
    return {name: tensor.numpy(force=True).copy() for name, tensor in model.state_dict().items()}


def load(model, parameters):
    # Whole numbers, such as BatchNorm's counter, become what they were.
    model.load_state_dict({name: torch.from_numpy(x) for name, x in parameters.items()})


def make_client(name, model, x, t):
    x, t = torch.tensor(x, dtype=torch.float32), torch.tensor(t, dtype=torch.long)

    def train(parameters, task):
        load(model, parameters)
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=task.values.get("step_size", 0.1))
        torch.manual_seed(task.round)
        losses = []
        for rows in torch.randperm(len(x)).split(32):
            if len(rows) < 2 or task.cancelled:  # BatchNorm needs two
                continue
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[rows]), t[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return parley.Update(to_numpy(model), examples=len(x), local_steps=len(losses),
                             metrics={"loss": float(np.mean(losses))})

    def evaluate(parameters, task):
        load(model, parameters)
        model.eval()
        with torch.no_grad():
            scores = model(x)
        accuracy = (scores.argmax(1) == t).float().mean().item()
        return parley.Evaluation(len(x), {"loss": nn.functional.cross_entropy(scores, t).item(),
                                          "accuracy": accuracy})

    # With the model's own parameters, a run of another model is refused at once.
    return parley.Client(train, evaluate, name=name, parameters=to_numpy(model))


def main():
    flags = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--write-start", metavar="FILE")
    flags.add_argument("--server", metavar="HOST:PORT")
    flags.add_argument("--name")
    flags.add_argument("--data", metavar="FILE")
    flags.add_argument("--model", choices=["mlp", "bn"], default="bn")
    words = flags.parse_args()
    model = make_model(words.model)
    if words.write_start:
        # Coordinators know floating-point numbers only.
        np.savez(words.write_start, **{name: values.astype("float32")
                                       for name, values in to_numpy(model).items()})
        return
    if not (words.server and words.data):
        flags.error("--server and --data are needed, or --write-start")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with np.load(words.data) as data:
        client = make_client(words.name, model, data["x"], data["t"])
    client.run(words.server)


if __name__ == "__main__":
    main()
