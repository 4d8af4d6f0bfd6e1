"""What `-c` options make of a stage."""

import pytest

from infra.stages import BadStage, Stage, stage_from


def stage(**options: str) -> Stage:
    return stage_from({**options, "@aws-cdk/core:checkSecretUsage": True})


def test_staging_is_the_stage_where_none_is_named() -> None:
    assert (stage().name, stage().livemode) == ("staging", False)


def test_production_keeps_its_data_and_takes_real_money() -> None:
    production = stage(stage="prod")
    assert (production.livemode, production.retain, production.multi_az) == (True, True, True)


def test_an_option_changes_one_thing() -> None:
    changed = stage(stage="prod", front="rest", capacity_max="16", reserve="false")
    assert changed == stage(stage="prod").model_copy(update={"front": "rest", "capacity_max": 16, "reserve": False})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stage": "live"}, "-c stage=prod or staging"),
        ({"front": "alb"}, "-c front=alb: Input should be 'http' or 'rest'"),
        ({"reserve": "perhaps"}, "-c reserve=perhaps"),
        ({"capacity_max": "much"}, "-c capacity_max=much"),
        ({"reserved": "false"}, "-c reserved: there is no such option, but stage, livemode, front"),
        ({"rest_private": "true"}, "needs -c front=rest"),
        ({"domain": "billing.example.com"}, "-c certificate_arn"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(options: dict[str, str], says: str) -> None:
    with pytest.raises(BadStage) as refused:
        stage(**options)
    assert says in str(refused.value)
