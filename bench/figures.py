"""Figures with their spread."""

import random
import statistics

DRAWS = 4000


def quantile(values, q):
    return statistics.quantiles(values, n=200, method="inclusive")[round(q * 200) - 1]


def drawn(figure, *series):
    """A figure of the medians of these series, with the 95 % interval of a bootstrap that draws whole rounds, since everything was
    measured in each."""
    rounds = range(len(series[0]))
    generator = random.Random(1)
    draws = []
    for _ in range(DRAWS):
        chosen = generator.choices(rounds, k=len(rounds))
        draws.append(figure(*(statistics.median(values[i] for i in chosen) for values in series)))
    return figure(*map(statistics.median, series)), quantile(draws, 0.025), quantile(draws, 0.975)


def ratio(ours, theirs):
    return drawn(lambda ours, theirs: ours / theirs, ours, theirs)


def difference(ours, theirs):
    return drawn(lambda ours, theirs: ours - theirs, ours, theirs)


def median(values):
    return drawn(lambda value: value, values)


def with_interval(figures, digits=2):
    value, low, high = (f"{figure:.{digits}f}" for figure in figures)
    return f"{value} ({low} to {high})"


def goal(text, figures, met, digits=2, unit=""):
    """A row of the table of goals."""
    return f"| {text} | {with_interval(figures, digits)}{unit} | {'yes' if met else '**no**'} |"
