"""A program: every sampler through save_pretrained and from_pretrained of transformers; prints which did not go on."""

import tempfile

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from cases import SAMPLERS, SamplerCase
from logq.nn import SampledSoftmaxLoss

C, D, TARGETS = 40, 4, torch.tensor([3, 1, 2])


class Config(PretrainedConfig):
    model_type = "logq-test"


class Model(PreTrainedModel):
    config_class = Config
    case: SamplerCase

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.items = nn.Embedding(C, D)
        self.loss = SampledSoftmaxLoss(D, C, self.case(C, torch.float32, 3))
        self.post_init()

    def forward(self, targets: Tensor) -> Tensor:
        return self.loss(self.items(targets), targets)


def main() -> None:
    for name, case in SAMPLERS.items():
        Model.case = staticmethod(case)
        trained = Model(Config()).train()
        for _ in range(3):
            trained(TARGETS)
        with tempfile.TemporaryDirectory() as folder:
            trained.save_pretrained(folder)
            loaded = Model.from_pretrained(folder).train()
        for _ in range(3):
            expected, found = trained(TARGETS), loaded(TARGETS)
            if not torch.equal(expected, found):
                print(f"{name}: {expected.item()} became {found.item()}")
    print(f"{len(SAMPLERS)} samplers")


if __name__ == "__main__":
    main()
