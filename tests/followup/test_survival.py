"""Cox models against published figures, another library, and simulations with known truth."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_medcnn.core.errors import Cancelled, MedcnnError, ReadError
from napari_medcnn.core.events import JobControl, Message, Progress, run_to_end
from napari_medcnn.followup.cox import event_share, fit_cox
from napari_medcnn.followup.survival_file import read_model, write_model
from napari_medcnn.followup.survival_fit import FitOptions, fit_survival
from napari_medcnn.followup.survival_model import (
    OutsideTrainingRange,
    SurvivalModel,
    predict,
    require_known_range,
)
from napari_medcnn.followup.survival_table import (
    FeatureTable,
    OutcomeColumns,
    OutcomeTable,
    read_features,
    read_outcomes,
)
from napari_medcnn.followup.survival_validation import concordance, count_pairs, folds, no_pairs

# R's coxph (ties by Efron) on the recidivism data of Rossi, Berk and Lenihan (1980), as printed in
# Fox, "Cox Proportional-Hazards Regression for Survival Data", appendix to "An R and S-PLUS
# Companion to Applied Regression" (2002): coefficient and standard error.
FOX = {
    "fin": (-0.3794, 0.1914),
    "age": (-0.0574, 0.0220),
    "race": (0.3139, 0.3080),
    "wexp": (-0.1498, 0.2122),
    "mar": (-0.4337, 0.3819),
    "paro": (-0.0849, 0.1958),
    "prio": (0.0915, 0.0286),
}
QUICK = FitOptions(folds=3, repeats=1, groups=3)


@pytest.fixture(scope="module")
def rossi_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lifelines.datasets import load_rossi

    path = tmp_path_factory.mktemp("rossi") / "rossi.csv"
    load_rossi().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def rossi(rossi_csv: Path) -> OutcomeTable:
    return read_outcomes(rossi_csv, OutcomeColumns("week", "arrest"))


@pytest.fixture(scope="module")
def model(rossi: OutcomeTable) -> SurvivalModel:
    job = fit_survival(rossi, FitOptions(repeats=1), JobControl())
    return run_to_end(job, SurvivalModel)


def simulated(rows: int = 240, seed: int = 0, columns: int = 2) -> OutcomeTable:
    """Exponential times with the log hazard ratios 1, 0, 0, ... and a third censored."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns))
    times = rng.exponential(np.exp(-values[:, 0]))
    limit = rng.exponential(2.0, rows)
    names = tuple(f"line {n}" for n in range(rows))
    features = ("strong", "none", *(f"none_{n}" for n in range(2, columns)))
    return OutcomeTable(
        OutcomeColumns("time", "event"),
        FeatureTable(names, features[:columns], values),
        np.minimum(times, limit),
        times <= limit,
        names,
        "",
    )


def test_coefficients_are_the_published_ones(rossi: OutcomeTable) -> None:
    fit = fit_cox(rossi.table.values, rossi.times, rossi.events)
    assert rossi.table.features == tuple(FOX)
    assert (len(rossi.times), int(rossi.events.sum())) == (432, 114)
    for n, (coefficient, error) in enumerate(FOX.values()):
        assert round(fit.coefficients[n], 4) == coefficient
        assert round(fit.standard_errors[n], 4) == error


def test_another_library_finds_the_same_fit(rossi: OutcomeTable) -> None:
    from statsmodels.duration.hazard_regression import PHReg

    other = PHReg(rossi.times, rossi.table.values, rossi.events, ties="efron").fit()
    fit = fit_cox(rossi.table.values, rossi.times, rossi.events)
    assert fit.coefficients == pytest.approx(other.params, abs=1e-5)
    assert fit.standard_errors == pytest.approx(other.bse, abs=1e-4)
    assert fit.log_likelihood == pytest.approx(other.llf, abs=1e-3)


def test_predictions_are_those_of_the_library(rossi: OutcomeTable, model: SurvivalModel) -> None:
    from lifelines import CoxPHFitter
    from lifelines.datasets import load_rossi

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Starting with pandas version")
        fitter = CoxPHFitter().fit(load_rossi(), "week", "arrest")
        wanted = fitter.predict_survival_function(load_rossi().head(20), times=[30.0])
    shown = replace(rossi.table, rows=rossi.table.rows[:20], values=rossi.table.values[:20])
    found = predict(model, shown, 30.0)
    assert [1 - one.risk for one in found] == pytest.approx(wanted.to_numpy()[0], abs=1e-6)


def test_the_order_of_events_is_counted_as_by_the_library(rossi: OutcomeTable) -> None:
    from lifelines.utils import concordance_index

    # Rounded: many scores and times are equal.
    scores = np.round(rossi.table.values @ np.linspace(-1, 1, 7), 0)
    pairs = no_pairs(len(scores))
    count_pairs(pairs, rossi, np.arange(len(scores)), scores)
    wanted = concordance_index(rossi.times, -scores, rossi.events)
    found = concordance(pairs, rossi.patients, seed=0)
    assert found.estimate == pytest.approx(wanted, abs=1e-6)
    assert found.low < found.estimate < found.high


def test_the_cross_validated_order_has_an_interval(model: SurvivalModel) -> None:
    order = model.concordance
    assert order.low is not None and order.high is not None
    assert 0.5 < order.low < order.estimate < order.high < order.apparent + 0.1
    assert order.estimate < order.apparent
    # As summary(coxph) prints in R: "Concordance= 0.64".
    assert round(order.apparent, 2) == 0.64


def test_known_truth_is_found() -> None:
    outcomes = simulated(400)
    found = run_to_end(fit_survival(outcomes, QUICK, JobControl()), SurvivalModel)
    strong, none = found.terms
    assert abs(strong.coefficient - 1) < 3 * strong.standard_error
    assert abs(none.coefficient) < 3 * none.standard_error
    assert found.concordance.low > 0.6
    assert found.calibration.slope_low < 1 < found.calibration.slope_high
    for part in found.calibration.groups:
        assert part.low - 0.05 < part.said < part.high + 0.05


def test_features_without_meaning_tell_no_order() -> None:
    blind = simulated(150, seed=3, columns=6)
    blind = replace(
        blind,
        table=replace(
            blind.table, features=blind.table.features[1:], values=blind.table.values[:, 1:]
        ),
    )
    found = run_to_end(fit_survival(blind, QUICK, JobControl()), SurvivalModel)
    assert found.concordance.low < 0.5 < found.concordance.apparent
    assert found.calibration.slope < 0.7


def test_an_effect_that_turns_over_is_told() -> None:
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, 300).astype(float)
    # Those of side 1 leave in the middle, those of side 0 before and after.
    early_or_late = rng.uniform(0, 1, 300) + 2 * rng.integers(0, 2, 300)
    times = np.where(side == 1, rng.uniform(0.8, 1.2, 300), early_or_late)
    outcomes = replace(
        simulated(300),
        table=FeatureTable(tuple(map(str, range(300))), ("side",), side[:, None]),
        times=times,
        events=np.ones(300, bool),
    )
    events = list(fit_survival(outcomes, QUICK, JobControl()))
    told = [event.text for event in events if isinstance(event, Message)]
    assert any("not be proportional" in text for text in told)
    assert events[-1].result.warnings == tuple(told)


def test_few_events_are_told() -> None:
    outcomes = simulated(40, columns=4)
    events = list(fit_survival(outcomes, QUICK, JobControl()))
    assert any("events per feature" in e.text for e in events if isinstance(e, Message))


def test_a_fit_can_be_cancelled() -> None:
    control = JobControl()
    job = fit_survival(simulated(), QUICK, control)
    assert isinstance(next(event for event in job if isinstance(event, Progress)), Progress)
    control.cancel()
    with pytest.raises(Cancelled):
        next(job)


def test_a_feature_that_tells_the_events_is_no_fit() -> None:
    outcomes = simulated(120)
    told = replace(outcomes.table, values=np.stack([outcomes.events, outcomes.times], axis=1))
    with pytest.raises(MedcnnError, match="no Cox model fits"):
        list(fit_survival(replace(outcomes, table=told), QUICK, JobControl()))


def test_too_few_events_and_a_horizon_beyond_the_times_are_refused() -> None:
    with pytest.raises(MedcnnError, match="too few"):
        list(fit_survival(simulated(8), FitOptions(), JobControl()))
    with pytest.raises(MedcnnError, match="lies outside of 0 to"):
        list(fit_survival(simulated(), FitOptions(horizon=1e6), JobControl()))


def test_rows_of_a_patient_stay_together() -> None:
    outcomes = replace(simulated(), patients=tuple(str(n // 3) for n in range(240)))
    for _, train, test in folds(outcomes, 5, 2, 0):
        patients = np.asarray(outcomes.patients)
        assert not set(patients[train]) & set(patients[test])


def test_the_share_with_the_event_is_that_of_kaplan_and_meier() -> None:
    # Worked by hand: 4/5 survive time 1, 2/3 of the three left then survive time 3.
    times = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    events = np.array([True, False, True, False, False])
    share, low, high = event_share(times, events, 3.5)
    assert share == pytest.approx(1 - 4 / 5 * 2 / 3)
    assert low < share < high
    assert event_share(times, events, 6.0) is None


def row(rossi: OutcomeTable, **changed: float) -> FeatureTable:
    values = rossi.table.values[:1].copy()
    for name, value in changed.items():
        values[0, rossi.table.features.index(name)] = value
    return FeatureTable(("patient 7",), rossi.table.features, values)


def test_a_row_outside_of_the_training_range_is_refused(
    rossi: OutcomeTable, model: SurvivalModel
) -> None:
    ages = rossi.table.values[:, rossi.table.features.index("age")]
    assert (ages.min(), ages.max()) == (17, 44)
    with pytest.raises(OutsideTrainingRange) as refused:
        old = row(rossi, age=45)
        require_known_range(model, old.rows[0], old.values[0])
    assert str(refused.value) == "patient 7: column age: 45, the model knows 17 to 44"
    (said,) = predict(model, row(rossi, age=45))
    assert (said.risk, said.hazard_ratio, said.median_time) == (None, None, None)
    assert said.refused == str(refused.value)


def test_the_ends_of_the_range_are_in_it_and_a_missing_value_is_not(
    rossi: OutcomeTable, model: SurvivalModel
) -> None:
    (oldest,) = predict(model, row(rossi, age=44))
    assert oldest.refused == "" and 0 < oldest.risk < 1
    (unknown,) = predict(model, row(rossi, age=np.nan, prio=99))
    assert "column age: no number" in unknown.refused and "column prio: 99" in unknown.refused


def test_a_time_beyond_the_training_is_refused(rossi: OutcomeTable, model: SurvivalModel) -> None:
    with pytest.raises(OutsideTrainingRange, match="0 to 52"):
        predict(model, rossi.table, 53.0)


def test_a_model_is_the_same_after_its_file(tmp_path: Path, model: SurvivalModel) -> None:
    write_model(tmp_path / "model.json", model)
    assert read_model(tmp_path / "model.json") == model


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("kind",), "something else", "kind"),
        (("terms", 0, "coefficient"), "large", "coefficient"),
        (("terms", 0, "lowest"), 1e9, "contradict"),
        (("hazard",), [0.1], "contradict"),
        (("extra",), 1, "extra"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    tmp_path: Path, model: SurvivalModel, place: tuple, value: object, words: str
) -> None:
    path = tmp_path / "model.json"
    write_model(path, model)
    content = json.loads(path.read_text(encoding="utf-8"))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ReadError, match=words) as refused:
        read_model(path)
    assert "model.json" in str(refused.value)


def test_applying_a_model_needs_no_library(
    monkeypatch: pytest.MonkeyPatch, rossi: OutcomeTable, model: SurvivalModel
) -> None:
    monkeypatch.setitem(sys.modules, "lifelines", None)
    assert len(predict(model, rossi.table)) == 432
    with pytest.raises(MedcnnError, match=r"napari-medcnn\[prognosis\]"):
        fit_cox(rossi.table.values, rossi.times, rossi.events)


TABLE = {"id": ["a", "b", "c"], "time": [1, 2, 3], "event": [1, 0, 1], "x": [1.0, 2.0, 4.0]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": [1, "", 3]}, "b, column x: no number"),
        ({"time": [1, -2, 3]}, "b, column time: -2 is no time"),
        ({"event": [1, 2, 0]}, "b, column event: 2 is neither 0 nor 1"),
        ({"x": [1, 1, 1]}, "column x is 1 in every row"),
        ({"x": ["low", "high", "low"]}, "a, column x: no number"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, change: dict, words: str) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame({**TABLE, **change}).to_csv(path, index=False)
    with pytest.raises(ReadError, match=r"table\.csv") as refused:
        read_outcomes(path, OutcomeColumns("time", "event", row="id"))
    assert words in str(refused.value)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame(TABLE).to_csv(path, index=False)
    with pytest.raises(ReadError, match="has no column age"):
        read_features(path, ["x", "age"])
    assert read_features(path, ["x"]).rows == ("line 2", "line 3", "line 4")
