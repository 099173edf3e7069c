"""Torch modules as ONNX graphs of plain operators, with nothing of this machine in them."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import onnx
import torch
from torch import Tensor, nn

# What ONNX Runtime 1.20 and TensorRT 10 both run in full.
OPSET = 20

_PLAIN = (bool, int, float, str, tuple, type(None))


def export_modules(modules: Mapping[str, nn.Module], inputs: Mapping[str, Tensor]) -> dict[str, onnx.ModelProto]:
    """One model a module: float32, batch 1, input "ID.in" and output "ID.out", weights named as the parameters.

    `inputs` has what each module sees, by the same ids.  The exporter takes seconds a module, so modules that differ in
    nothing but their weights are exported once.
    """
    models: dict[str, onnx.ModelProto] = {}
    templates: dict[str, onnx.ModelProto] = {}
    for stage, module in modules.items():
        signature = _signature(module, inputs[stage])
        if signature not in templates:
            templates[signature] = _template(module, inputs[stage])
        models[stage] = _tidied(stage, templates[signature], dict(module.named_parameters()))
    return models


def _signature(module: nn.Module, x: Tensor) -> str:
    """Equal for modules of the same structure, options and shapes."""
    parts = [
        (name, type(part), sorted((key, value) for key, value in vars(part).items() if isinstance(value, _PLAIN)))
        for name, part in module.named_modules()
    ]
    return repr((x.shape, parts, [(name, parameter.shape) for name, parameter in module.named_parameters()]))


def _template(module: nn.Module, x: Tensor) -> onnx.ModelProto:
    module = copy.deepcopy(module).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            # The exporter leaves out a bias that is zero everywhere, and joins weights that are equal.
            parameter.uniform_(0.5, 1.0, generator=generator)
    with _quiet_exporter():
        program = torch.onnx.export(
            module,
            (x,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["in"],
            output_names=["out"],
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence about what the exporter would like to have (torchvision) and what it deprecates in itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _tidied(stage: str, exported: onnx.ModelProto, weights: Mapping[str, Tensor]) -> onnx.ModelProto:
    """The same graph with these weights, readable names and nothing else: the exporter leaves source lines in it."""
    names = {"in": f"{stage}.in", "out": f"{stage}.out"}
    nodes = []
    for index, node in enumerate(exported.graph.node):
        for output in node.output:
            names.setdefault(output, f"{node.op_type}{index}")
        inputs = [names.get(name, name) for name in node.input]
        fresh = onnx.helper.make_node(
            node.op_type, inputs, [names[name] for name in node.output], f"{node.op_type}{index}"
        )
        fresh.attribute.extend(node.attribute)
        nodes.append(fresh)
    graph = onnx.helper.make_graph(
        nodes,
        stage,
        [_boundary(names, exported.graph.input[0])],
        [_boundary(names, exported.graph.output[0])],
        [_initializer(weight, weights) for weight in exported.graph.initializer],
    )
    model = onnx.helper.make_model(
        graph, producer_name="edgebench", ir_version=exported.ir_version, opset_imports=exported.opset_import
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _initializer(stored: onnx.TensorProto, weights: Mapping[str, Tensor]) -> onnx.TensorProto:
    if stored.name in weights:
        return onnx.numpy_helper.from_array(weights[stored.name].detach().contiguous().numpy(), stored.name)
    return onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(stored), stored.name)


def _boundary(names: dict[str, str], value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    return onnx.helper.make_tensor_value_info(names[value.name], onnx.TensorProto.FLOAT, shape)
