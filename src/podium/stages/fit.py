"""fit@member: one head on one backbone's features -> its models, out-of-fold and test predictions."""

from podium import paths
from podium.config import Config, vector_task
from podium.fitting.fit_inputs import FitInputs, fit_member


def run(config: Config, name: str) -> dict[str, int]:
    """Cross-fit the member `name` on the features of its backbone."""
    competition, member = config.params.competition, config.params.members[name]
    inputs = FitInputs.read(competition, member.backbones, config.params.views, each=member.head.takes == "images")
    folder = paths.models(competition, name)
    predictions = fit_member(inputs, vector_task(config), member, member.backbones, config.params.seed, folder)
    predictions.write(paths.predictions(competition, name))
    return {"rows predicted": len(predictions)}
